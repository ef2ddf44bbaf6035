#!/usr/bin/env python3
"""The clock of an ensignd under load jumps forward and back, and sometimes ensignd is killed meanwhile (F7, --jumps N).

While it is wrong nothing is acknowledged; once it is right again issuing goes on. Afterwards what kill.py checks holds,
every certificate was issued at a time at which somebody asked for it, and the times of the log never go back.

--believed N is the control: an ensignd that believes its clock must be found out.
"""
import datetime
import json
import random
import time

import faults
from kill import ALL, acknowledgement, endure
from lib import audit
from lib.clock import Clock, seconds
from lib.service import Client, wait_for
from outcome import Outcome, main

HOUR, DAY = 3600, 86400
JUMPS = (-6 * 60, 6 * 60, -HOUR, HOUR, -30 * DAY, 30 * DAY, -3653 * DAY, 3653 * DAY)
BACKDATE, TOLERANCE = 300, 2


def refusals(load):
    return load.refused.get('clock_untrusted', 0)


def jump(service, load, clock, change):
    """No answer that was on its way counts: the second refusal was asked for after the first."""
    acknowledgement(load)
    clock.set(wall_seconds=change)
    before = refusals(load)
    wait_for('the jump to be found', lambda: refusals(load) > before)
    acknowledged = len(load.acknowledged)
    if random.random() < 0.5:
        service.kill(*ALL)
        service.start('/livez')
    before = refusals(load)
    wait_for('refusals after that', lambda: refusals(load) > before + 20)
    late = len(load.acknowledged) - acknowledged
    if late > len(load.threads):  # each may have had one on its way
        load.wrong.append(f'{late} certificates were acknowledged while the clock was {change:+} s wrong')
    clock.set(wall_seconds=0)
    acknowledgement(load)


def believe(load, clock, change):
    acknowledgement(load)
    clock.set(wall_seconds=change, believed=1)
    before = len(load.acknowledged)
    wait_for('certificates with a wrong time', lambda: len(load.acknowledged) > before + 2 * len(load.threads))
    clock.set(wall_seconds=0)


def times_verify(service, begin):
    """Yields what is wrong with the times of certificates and leaves."""
    admin, end = Client(service, service.context_file), time.time()
    for serial, item in audit.certificates(admin).items():
        issued = seconds(item['not_before']) + BACKDATE
        if not begin - TOLERANCE <= issued <= end + TOLERANCE:
            yield f"{serial} was issued at a wrong time: {item['not_before']}"
    last = 0
    for leaf in map(json.loads, audit.leaves(admin)):
        if seconds(leaf['time']) < last:
            yield f"leaf {leaf['sequence']} is before the one before it: {leaf['time']}"
        last = seconds(leaf['time'])
    if last > end + TOLERANCE:
        yield f'the last leaf is of {datetime.datetime.fromtimestamp(last, datetime.timezone.utc)}'


def run(rounds, one_round):
    clock = Clock()
    try:
        with faults.service() as service:
            begin = time.time()
            service.init().start()
            outcome = endure(Outcome('F7'), service, rounds,
                             lambda load, number: one_round(service, load, clock, JUMPS[number % len(JUMPS)]))
            outcome.wrong += times_verify(service, begin)
            return outcome
    finally:
        clock.close()


def jumps(rounds):
    return run(rounds, jump)


def believed(rounds):
    return run(rounds, lambda service, load, clock, change: believe(load, clock, abs(change)))


if __name__ == '__main__':
    main(__doc__, {'jumps': jumps, 'believed': believed})
