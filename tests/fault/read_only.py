#!/usr/bin/env python3
"""The file system of the state folder becomes read-only under load.

--error: as the kernel does after an error on the disk. It stays so until it is mounted anew, which needs the service to
be stopped. --remount: as `mount -o remount,ro` and back, which a kernel refuses while a file is open for writing, so here
the calls of the service fail instead (failing.c).

Issuing is refused, reads go on, also when the server is killed meanwhile; after a remount all comes back by itself.
"""
import os
import time

import faults
from disk import Disk
from failing import FailingService
from full import answers, issue, reads
from lib.service import wait_for
from load import Load, violations
from outcome import Outcome, main

TRIES = 20


def refuses_and_reads(service, load):
    """At once, and again by a server that was started meanwhile."""
    for again in (False, True):
        if again:
            service.kill('server')
        wait_for('the server to answer', lambda: answers(service))
        wait_for('a refusal', lambda: issuing(service, load))
        os.sync()  # so that what LMDB maps is clean, and a write to it a fault
        wait_for('reads', lambda: readable(service, load))
        for _ in range(TRIES):
            issuing(service, load)


def issuing(service, load):
    """Whether it is refused as it should."""
    try:
        status, answer = issue(service, load)
    except OSError:
        return False  # it ends, to be started again
    if status == 201:
        raise AssertionError(f'{answer["serial"]} was issued on a read-only disk')
    return status == 503 and answer['code'] == 'read_only'


def readable(service, load):
    try:
        return not list(reads(service, load))
    except OSError:
        return False


def error_round(service, disk, outcome):
    load = Load(service)
    with load:
        wait_for('work', lambda: len(load.acknowledged) > 50)
        disk.fail()
        wait_for('a refusal', lambda: load.refused.get('read_only'))
    refuses_and_reads(service, load)
    service.stop()
    disk.unmount()
    disk.mount()
    service.start()
    finish(service, load, outcome)


def remount_round(service, outcome):
    load = Load(service)
    with load:
        wait_for('work', lambda: len(load.acknowledged) > 50)
        service.read_only(True)
        time.sleep(0.2)  # requests that were on their way
    refuses_and_reads(service, load)
    service.read_only(False)
    wait_for('issuing to go on by itself', lambda: recovers(service, load))
    finish(service, load, outcome)


def recovers(service, load):
    try:
        return issue(service, load)[0] == 201
    except OSError:
        return False


def finish(service, load, outcome):
    service.wait_ready()
    outcome.wrong += violations(service, load)
    outcome.acknowledged += len(load.acknowledged)
    outcome.notes = dict(outcome.notes, restarts=faults.restarts(service))


def error(rounds):
    outcome = Outcome('F5')
    for _ in range(rounds):
        with faults.service() as service:
            disk = Disk(service.folder, options='errors=remount-ro')
            service.use(disk.folder / 'state')
            service.init().start()
            faults.guarded(outcome, service, error_round, service, disk, outcome)
            service.stop()
            disk.unmount()
    return outcome


def remount(rounds):
    outcome = Outcome('F5')
    for _ in range(rounds):
        with FailingService() as service:
            service.init().start()
            faults.guarded(outcome, service, remount_round, service, outcome)
            service.read_only(False)
    return outcome


if __name__ == '__main__':
    main(__doc__, {'error': error, 'remount': remount})
