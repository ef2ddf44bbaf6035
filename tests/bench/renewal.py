#!/usr/bin/env python3
"""renewal.py [--seconds S] [--rounds N]: what a renewal costs beside an issuance, and what agents cost that wait.

The CPU of the service for a certificate that an admin requests and for one that a node renews, over kept connections,
in turns; then agents wait for work: the memory of each, and how long after `rotate` they know of it; and what asking
costs where there is no room to wait.

    ENSIGN_BUILD=build tests/bench/renewal.py
"""
import argparse
import statistics
import time

from measure import Ensign, Generator, Herd, resident_mib

CONNECTIONS = 16
WAITING = 250
WAKE_SECONDS = 20
POLLING, POLL_SECONDS = 500, 40
DAY = 86400


def costs(seconds, rounds):
    issued, renewed = [], []
    print(f'{CONNECTIONS} connections: CPU ms each   issued  renewed')
    with Ensign() as service:
        for _ in range(rounds):
            found = service.load(CONNECTIONS, seconds)
            assert found['failed'] == 0
            issued.append(sum(found['cpu'].values()))
            with Herd(CONNECTIONS, 'renewalsPerHour: 0') as herd, Generator(herd, DAY, '--seconds', seconds, '--cycle', CONNECTIONS) as generator:
                found = generator.go()
                assert found['failed'] == 0
                renewed.append(sum(found['cpu'].values()) * 1000 / len(found['renewals']))
            print(f"{'':<30} {issued[-1]:8.3f} {renewed[-1]:8.3f}", flush=True)
    print(f'medians: a renewal costs {statistics.median(renewed) / statistics.median(issued):.2f} of an issuance')


class Rotation:
    """Begun once all agents wait."""

    def __init__(self, herd):
        self.herd, self.begun, self.memory = herd, None, resident_mib(herd.pid('server'))
        self.before = self.memory

    def waiting(self):
        text = self.herd.admin.get('/metrics')[1].decode()
        return next(int(line.split()[-1]) for line in text.splitlines() if line.startswith('ensign_agents_waiting '))

    def look(self):
        if self.begun or self.waiting() < len(self.herd.inventory):
            return
        self.memory = resident_mib(self.herd.pid('server'))
        self.begun = time.monotonic()
        status, answer, _ = self.herd.admin.post(f'/v1/clusters/{self.herd.CLUSTER}/rotations', {'profile': 'node-identity'})
        assert status == 201, answer
        self.answered = time.monotonic()


def wake():
    with Herd(WAITING) as herd, Generator(herd, 30 * DAY, '--seconds', WAKE_SECONDS) as generator:
        rotation = Rotation(herd)
        found = generator.go(rotation.look)
        assert found['failed'] == 0 and rotation.begun, found['failed']
        woken = sorted(at - rotation.begun for at, _ in found['woken'])
        done = sorted(at - rotation.begun for at, _ in found['turns'] if at > rotation.begun)
        assert len(woken) >= WAITING, len(woken)
        print(f'{WAITING} agents wait: {(rotation.memory - rotation.before) / WAITING * 1024:.0f} KiB each; `rotate` was '
              f'answered after {rotation.answered - rotation.begun:.2f} s, the first agent knew after {woken[0]:.2f} s, '
              f'half of them after {woken[len(woken) // 2]:.2f} s, the last after {woken[WAITING - 1]:.2f} s; '
              f'all had renewed and reported after {done[WAITING - 1]:.2f} s', flush=True)


def polls():
    with Herd(POLLING, 'agentsWaiting: 1') as herd, Generator(herd, 30 * DAY, '--seconds', POLL_SECONDS, '--spread', 1) as generator:
        found = generator.go()
        assert found['failed'] == 0
        # What the first rounds cost, with all that they fetch, is none of it.
        looks = [look for look in found['service'] if look['at'] > found['begin'] + POLL_SECONDS / 2]
        asked = sum(looks[0]['at'] < at < looks[-1]['at'] for at, _ in found['polls'])
        each = (looks[-1]['cpu'] - looks[0]['cpu']) / asked
        print(f'no room to wait: {asked} questions for work at {each * 1000:.2f} ms CPU each, with their connections: '
              f'{each * 5000:.1f} s for 5,000')


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--seconds', type=int, default=4)
    parser.add_argument('--rounds', type=int, default=5)
    arguments = parser.parse_args()
    costs(arguments.seconds, arguments.rounds)
    wake()
    polls()


main()
