"""What a fault test found, and how it ends as a program of its own: the same for each fault."""
import argparse
import dataclasses
import sys
import time


@dataclasses.dataclass
class Outcome:
    fault: str  # "F1"
    rounds: int = 0
    acknowledged: int = 0  # answers with 201 that were checked afterwards
    wrong: list = dataclasses.field(default_factory=list)  # sentences; none: all invariants hold
    notes: dict = dataclasses.field(default_factory=dict)  # counts that are worth keeping
    seconds: float = 0

    def print(self):
        for line in self.wrong[:20]:
            print(line)
        counts = ', '.join(f'{value} {name}' for name, value in self.notes.items())
        print(f'{self.fault}: {self.rounds} rounds, {self.acknowledged} acknowledged, {len(self.wrong)} wrong, '
              f'{self.seconds:.0f} s' + (f' ({counts})' if counts else ''), flush=True)


class Skipped(Exception):
    """It cannot be tested here."""


def timed(run, *arguments):
    begun = time.monotonic()
    outcome = run(*arguments)
    outcome.seconds = time.monotonic() - begun
    return outcome


def main(description, runs):
    """runs: option -> function of a number of rounds. With --expect, the check must find something that contains this
    text: for controls, whose service is broken on purpose."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in runs:
        parser.add_argument('--' + name, type=int, default=0, metavar='ROUNDS')
    parser.add_argument('--expect', metavar='TEXT')
    arguments = parser.parse_args()
    good = []
    try:
        for name, run in runs.items():
            rounds = getattr(arguments, name.replace('-', '_'))
            if not rounds:
                continue
            outcome = timed(run, rounds)
            outcome.print()
            found = any(arguments.expect in line for line in outcome.wrong) if arguments.expect else not outcome.wrong
            good.append(found)
    except Skipped as reason:
        print(f'SKIP: {reason}')
        sys.exit(77)
    print(f'{sum(good)} passed, {len(good) - sum(good)} failed')
    sys.exit(0 if good and all(good) else 1)
