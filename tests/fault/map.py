#!/usr/bin/env python3
"""The map of the database is too small (it grows), and another process reads the database and hangs, so that nothing that
is erased can be used again: the database grows, at 80 % of the disk there is an alarm, and when that reader dies its
pages are used again before the disk is full."""
import json
import os
import signal
import subprocess

import faults
from disk import mounts_private
from full import issue
from lib.service import BUILD, run, wait_for
from load import GONE, Load, violations
from outcome import Outcome, Skipped, main

MAP_BYTES, DISK_MEBIBYTES = 2 << 20, 64
AFTERWARDS = 600  # commits, which would fill the disk if the dead reader kept their pages


class Reader:
    """Hangs in the middle of a read transaction."""

    def __init__(self, state):
        self.process = subprocess.Popen([BUILD / 'tests/fault/reader', state], stdout=subprocess.PIPE)
        assert self.process.stdout.readline() == b'reading\n'

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.process.stdout.close()


def alarms(service):
    lines = [json.loads(line) for line in (service.folder / 'ensignd.log').read_text().splitlines()]
    return [line for line in lines if line['message'].startswith('the store is nearly full')]


def map_round(service, outcome):
    data = service.state / 'data.mdb'
    reader = Reader(service.state)
    load = Load(service)

    def go_on(condition):
        try:
            status, answer = issue(service, load) if not load.refused.get('read_only') else (503, {'code': 'read_only'})
        except GONE:
            status, answer = 'the service went away', {}
        if status != 201:
            raise AssertionError(f'refused although the disk has room: {status} {answer}')
        return condition()

    try:
        with load:
            wait_for('the map to grow', lambda: go_on(lambda: data.stat().st_size > 2 * MAP_BYTES))
            wait_for('the alarm', lambda: go_on(lambda: alarms(service)))
    finally:
        reader.kill()
    size = data.stat().st_size
    for _ in range(AFTERWARDS):
        go_on(lambda: True)
    outcome.notes = {'KiB at the alarm': size >> 10, 'KiB at the end': data.stat().st_size >> 10}
    if len(alarms(service)) != 1:
        outcome.wrong.append(f'{len(alarms(service))} alarms')
    outcome.wrong += violations(service, load)
    outcome.acknowledged += len(load.acknowledged)


def map_full(rounds):
    os.environ['ENSIGN_MAP_BYTES'] = str(MAP_BYTES)
    outcome = Outcome('F4')
    for _ in range(rounds):
        with faults.service() as service:
            if 'ENSIGND' not in os.environ:
                service.program = str(BUILD / 'tests/fault/ensignd_map')
            mounts_private()
            service.state.mkdir(mode=0o700)
            options = f'size={DISK_MEBIBYTES}m,mode=0700'
            if run('mount', '-t', 'tmpfs', '-o', options, 'none', service.state, check=False).returncode != 0:
                raise Skipped('mounting is not permitted here')
            service.init().start()
            faults.guarded(outcome, service, map_round, service, outcome)
            service.stop()
            run('umount', service.state)
    return outcome


if __name__ == '__main__':
    main(__doc__, {'map': map_full})
