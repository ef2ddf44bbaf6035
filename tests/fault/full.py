#!/usr/bin/env python3
"""The disk of the state folder is full, under load: issuing is refused before anything is signed, reads go on, also after
the server was killed meanwhile, and all comes back by itself when there is room again."""
import pathlib

import faults
from disk import Disk
from lib.service import Client, wait_for
from load import Load, violations
from outcome import Outcome, main

MEBIBYTES = 48
TRIES = 20


def fill(path):
    with open(path, 'wb', buffering=0) as file:
        try:
            while True:
                file.write(bytes(65536))
        except OSError:
            pass
        try:
            while True:
                file.write(bytes(512))
        except OSError:
            pass


def wakes(pid):
    """How often the threads of the process were woken since they began."""
    return sum(int(line.split()[1]) for task in pathlib.Path(f'/proc/{pid}/task').iterdir()
               for line in (task / 'status').read_text().splitlines() if line.startswith('voluntary_ctxt_switches'))


def issue(service, load):
    body = {'profile': 'etcd-member', 'node': 'etcdone', 'csr': load.requests['etcdone'][0]}
    status, answer, _ = Client(service, service.context_file).post('/v1/clusters/vagrant/certificates', body)
    if status == 201:
        load.acknowledged[answer['serial']] = answer['certificate']
    return status, answer


def refused(service, load, code='read_only'):
    status, answer = issue(service, load)
    return status == 503 and answer['code'] == code


def reads(service, load):
    """Yields what cannot be read."""
    admin = Client(service, service.context_file)
    for serial in list(load.acknowledged)[-50:]:
        status, answer, _ = admin.get(f'/v1/certificates/{serial}')
        if status != 200 or answer['certificate'] != load.acknowledged[serial]:
            yield f'{serial} cannot be read: {status}'
    for path in ('/v1/certificates?limit=5', '/v1/certificates?cluster=vagrant&limit=5', '/v1/audit/entries', '/livez'):
        status, _, _ = admin.get(path)
        if status != 200:
            yield f'{path} answers {status}'


def answers(service):
    try:
        return Client(service).get('/livez')[0] == 200
    except OSError:
        return False


def full_round(service, disk, outcome):
    ballast = disk.folder / 'ballast'
    load = Load(service)
    with load:
        wait_for('work', lambda: len(load.acknowledged) > 50)
        fill(ballast)
        wait_for('a refusal', lambda: refused(service, load))
        service.kill('server')  # what it had not indexed yet, the next one cannot write
        wait_for('the server to be back', lambda: answers(service))
    outcome.wrong += reads(service, load)
    signer = service.pid('signer')
    before = wakes(signer)
    if not all([refused(service, load) for _ in range(TRIES)]):
        outcome.wrong.append('issuing is not refused any more')
    if wakes(signer) != before:
        outcome.wrong.append(f'the signer was asked {wakes(signer) - before} times for what could not be stored')
    ballast.unlink()
    wait_for('issuing to go on', lambda: issue(service, load)[0] == 201)
    if wakes(signer) == before:
        outcome.wrong.append('control: the signer can be asked without our seeing it')
    wait_for('readiness', lambda: Client(service).get('/readyz')[0] == 200)
    outcome.wrong += violations(service, load)
    outcome.acknowledged += len(load.acknowledged)


def full(rounds):
    outcome = Outcome('F3')
    for _ in range(rounds):
        with faults.service() as service:
            disk = Disk(service.folder, MEBIBYTES)
            service.use(disk.folder / 'state')
            service.init().start()
            faults.guarded(outcome, service, full_round, service, disk, outcome)
            service.stop()
            disk.unmount()
    return outcome


if __name__ == '__main__':
    main(__doc__, {'full': full})
