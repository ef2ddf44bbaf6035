"""What the fault tests share: the path of the modules of other tests, and a service whose remains can be kept."""
import os
import pathlib
import sys

TESTS = pathlib.Path(__file__).resolve().parent.parent
sys.path[:0] = [str(TESTS / 'fault'), str(TESTS)]

from lib.service import BUILD, Client, Service  # noqa: E402, the path comes first

Client.timeout_seconds = 10  # a listening socket lives on while nobody accepts


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


def guarded(outcome, service, one_round, *arguments, rounds=1):
    """A round, in which a service that does not come back is a finding like any other."""
    try:
        one_round(*arguments)
        outcome.rounds += rounds
    except (AssertionError, OSError) as error:
        outcome.wrong.append(f'{type(error).__name__}: {error}')
    service.keep = bool(outcome.wrong) and service.keep_evidence


def restarts(service):
    """How often a process was started again, after the first time."""
    return (service.folder / 'ensignd.log').read_text().count('is ready, process') - 2


def crashes(service):
    """Lines about processes that a signal has ended."""
    lines = (service.folder / 'ensignd.log').read_text().splitlines()
    return [line for line in lines if 'was killed by signal' in line]
