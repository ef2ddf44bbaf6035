#!/usr/bin/env python3
"""clock.py: the clock of an ensignd under load jumps forward and back, and sometimes ensignd is killed meanwhile (F7).

While it is wrong nothing is acknowledged; once it is right again issuing goes on. Afterwards what kill.py checks holds
(I1 to I5), every certificate was issued at a time at which somebody asked for it, and the times of the log never go
back.

--believe is the control: an ensignd that believes its clock must be found out.
"""
import argparse
import datetime
import json
import pathlib
import random
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from kill import ALL, Load, make_csr, verify
from lib import audit
from lib.clock import Clock, seconds
from lib.service import Client, Service, wait_for

HOUR, DAY = 3600, 86400
JUMPS = (-6 * 60, 6 * 60, -HOUR, HOUR, -30 * DAY, 30 * DAY, -3653 * DAY, 3653 * DAY)
BACKDATE, TOLERANCE = 300, 2


def refusals(load):
    return load.refused.get('clock_untrusted', 0)


def jump(service, load, clock, change):
    """Yields what is wrong. No answer that was on its way counts: the second refusal was asked for after the first."""
    clock.set(wall_seconds=change)
    before = refusals(load)
    wait_for('the jump to be found', lambda: refusals(load) > before)
    acknowledged = len(load.acknowledged)
    killed = random.random() < 0.5
    if killed:
        service.kill(*ALL)
        service.start('/livez')
    before = refusals(load)
    wait_for('refusals after that', lambda: refusals(load) > before + 20)
    late = len(load.acknowledged) - acknowledged
    print(f"clock {change:+} s{', killed' if killed else ''}: {refusals(load)} refused so far", flush=True)
    if late > len(load.threads):  # each may have had one on its way
        yield f'{late} certificates were acknowledged while the clock was {change:+} s wrong'
    clock.set(wall_seconds=0)
    before = len(load.acknowledged)
    wait_for('issuing to go on', lambda: len(load.acknowledged) > before)
    load.checkpoint()


def believe(load, clock, change):
    clock.set(wall_seconds=change, believed=1)
    before = len(load.acknowledged)
    wait_for('certificates with a wrong time', lambda: len(load.acknowledged) > before + 2 * len(load.threads))


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


def endure(arguments, service, clock):
    """What was found wrong, after all rounds."""
    begin, wrong = time.time(), []
    service.init().start()
    service.create_cluster('vagrant-external-etcd.yaml')
    load = Load(service, service.folder / 'acknowledged', make_csr(service.folder))
    try:
        for number in range(arguments.rounds):
            before = len(load.acknowledged)
            wait_for('an acknowledgement between jumps', lambda: len(load.acknowledged) > before)
            change = JUMPS[number % len(JUMPS)]
            if arguments.believe:
                believe(load, clock, abs(change))
            else:
                wrong += jump(service, load, clock, change)
        clock.set(wall_seconds=0)
    finally:
        load.stop()
    return wrong + list(verify(service, load)) + list(times_verify(service, begin))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--rounds', type=int, default=8)
    parser.add_argument('--believe', action='store_true')
    arguments = parser.parse_args()
    clock = Clock()
    try:
        with Service() as service:
            try:
                wrong = endure(arguments, service, clock)
            except (AssertionError, subprocess.SubprocessError) as error:
                wrong = [str(error)]
    finally:
        clock.close()
    print('\n'.join(wrong[:20]))
    good = any('at a wrong time' in line for line in wrong) if arguments.believe else not wrong
    print(f'{int(good)} passed, {int(not good)} failed')
    sys.exit(0 if good else 1)


main()
