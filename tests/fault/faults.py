"""What the fault tests share: the path of the modules of other tests, and a service whose remains can be kept."""
import os
import pathlib
import sys

TESTS = pathlib.Path(__file__).resolve().parent.parent
sys.path[:0] = [str(TESTS / 'fault'), str(TESTS), str(TESTS / 'integration')]

from lib.service import BUILD, Service  # noqa: E402, the path comes first


class FaultService(Service):
    """keep_evidence: the folder of a service on which something was wrong stays. What is broken on purpose
    is only the service that runs, not the one that makes the state."""

    maker = str(BUILD / 'server/ensignd')

    def __init__(self):
        super().__init__()
        self.keep_evidence = 'ENSIGN_KEEP_EVIDENCE' in os.environ

    def use(self, state):
        """Has its state there."""
        self.state = state
        self.context_file = state / 'admin.context'


def service():
    return FaultService()
