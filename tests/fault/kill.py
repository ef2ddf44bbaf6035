#!/usr/bin/env python3
"""ensignd under load is killed with SIGKILL (--kills N: signer, server and all three in turns) or cut off from power
(--power-cuts N: its state is on an ext4 file system that stops writing, journal included).

Between two faults at least one certificate is acknowledged; the moment of the fault is random. Afterwards nothing that
was acknowledged may be missing or different (I1, I2), serials are unique (I3), every checkpoint that was ever shown is a
prefix of the log, the log's issue leaves are exactly the certificates (I5), tokens get the same answers again (I6), and
what was renewed has one successor, the one that was acknowledged; what was revoked stays so and is in the CRL, whose number
only rises.
"""
import random
import time

import faults  # noqa: F401, the path of the modules
from disk import Disk
from lib.service import Service, wait_for
from load import Load, violations
from outcome import Outcome, main

ALL = ('supervisor', 'signer', 'server')
VICTIMS = (('signer',), ('server',), ALL)


def acknowledgement(load):
    before = len(load.acknowledged)
    wait_for('an acknowledgement', lambda: len(load.acknowledged) > before or load.wrong)


def kill_round(service, load, number):
    acknowledgement(load)
    time.sleep(random.uniform(0.001, 0.5))  # the moment of the kill is what is random
    parts = VICTIMS[number % len(VICTIMS)]
    service.kill(*parts)
    if parts is ALL:
        service.start()


def cut_round(service, load, disk):
    acknowledgement(load)
    time.sleep(random.uniform(0.001, 0.3))
    pids = service.pids(*ALL)
    disk.cut_power()
    service.kill_pids(pids)
    disk.unmount()
    disk.mount()
    service.start()


def endure(outcome, service, rounds, one_round):
    """Rounds under load, then the invariants. A service that does not come back is a finding like any other."""
    load = Load(service)
    try:
        with load:
            for number in range(rounds):
                one_round(load, number)
                outcome.rounds += 1
            acknowledgement(load)
        outcome.wrong += violations(service, load)
    except AssertionError as error:
        outcome.wrong.append(str(error))
    outcome.acknowledged = len(load.acknowledged)
    outcome.notes = {'checkpoints': len(load.checkpoints), 'tokens': len(load.tokens), 'clusters': len(load.clusters),
                     'renewals': len(load.successors), 'revocations': len(load.revoked)}
    service.keep = bool(outcome.wrong) and service.keep_evidence
    return outcome


def kills(rounds):
    with faults.service() as service:
        service.init().start()
        return endure(Outcome('F1'), service, rounds, lambda load, number: kill_round(service, load, number))


def power_cuts(rounds):
    with faults.service() as service:
        disk = Disk(service.folder)
        service.use(disk.folder / 'state')
        service.init()
        disk.settle()
        service.start()
        outcome = endure(Outcome('F2'), service, rounds, lambda load, number: cut_round(service, load, disk))
        service.stop()
        disk.unmount()
        return outcome


if __name__ == '__main__':
    main(__doc__, {'kills': kills, 'power-cuts': power_cuts})
