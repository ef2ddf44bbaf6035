#!/usr/bin/env python3
"""Descriptors (--files) or memory (--memory N: N places in an issuance, in server and signer, at which one allocation
fails, or all from there on) run out.

No process ends, what is answered is an error or right, nothing is lost or there twice, and afterwards all works.
"""
import http.client
import random
import resource

import faults
from failing import FailingService
from full import answers, issue
from lib.service import Client, wait_for
from load import Load, violations
from outcome import Outcome, main

PARTS = ('server', 'signer')
REFUSALS = (500, 503)  # no memory in the server; the signer has ended for want of it
ALLOCATIONS_MAX = 1 << 40


def ended(service, pids, what):
    """No process may end but a signer without memory, which says so with its status."""
    now = service.pids('supervisor', 'server')
    return [f'{what}: a process ended ({pids} -> {now})'] if now != pids else []


# ---- descriptors ----

def limit(pid, number):
    """The soft limit; returns the one before."""
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (number, before[1]))
    return before[0]


def files_round(service, outcome):
    load = Load(service)
    pids = service.pids('supervisor', 'server')
    with load:
        wait_for('work', lambda: len(load.acknowledged) > 50)
        for part in ('server', 'signer', 'supervisor'):
            for number in (3, 8, 16, 64):
                before = limit(service.pid(part), number)
                acknowledged = len(load.acknowledged)
                wait_for('connections that are open to go on', lambda: len(load.acknowledged) > acknowledged + 5)
                limit(service.pid(part), before)
                outcome.wrong += ended(service, pids, f'{number} descriptors for the {part}')
        before = limit(service.pid('supervisor'), 3)
        service.kill('server')  # which cannot be started again
        limit(service.pid('supervisor'), before)
        wait_for('the server to be back', lambda: answers(service))
    wait_for('issuing to go on', lambda: issue(service, load)[0] == 201)
    service.wait_ready()
    outcome.wrong += [line for line in faults.crashes(service) if 'signal 9' not in line]
    outcome.wrong += violations(service, load)
    outcome.acknowledged += len(load.acknowledged)


def files(rounds):
    outcome = Outcome('F6')
    for _ in range(rounds):
        with faults.service() as service:
            service.init().start()
            faults.guarded(outcome, service, files_round, service, outcome)
    return outcome


# ---- memory ----

class Caller:
    """Asks for a certificate with a join token, again until it is there, and checks what it hears."""

    def __init__(self, service, load):
        self.service, self.load = service, load
        self.admin = Client(service, service.context_file)

    def allocations(self, part):
        """How many a good issuance takes."""
        self.service.memory_fail(self.service.pid(part), ALLOCATIONS_MAX)
        assert self.ask(random.choice(self.load.requests['etcdone']))[0] == 201
        left = self.service.memory_left()
        self.service.memory_end()
        return ALLOCATIONS_MAX - left

    def ask(self, csr):
        """None, {}: the connection was ended."""
        body = {'profile': 'etcd-member', 'node': 'etcdone', 'csr': csr}
        try:
            status, answer, _ = self.admin.post('/v1/clusters/vagrant/certificates', body)
        except (OSError, http.client.HTTPException):
            return None, {}
        if not isinstance(answer, dict):
            raise AssertionError(f'{status} with an answer that does not call itself JSON')
        if status == 201:
            self.load.acknowledged[answer['serial']] = answer['certificate']
        return status, answer


def memory_place(caller, part, place, lasting, outcome, seen):
    service = caller.service
    pids = service.pids('supervisor', 'server')
    service.memory_fail(service.pid(part), place, lasting)
    status, answer = caller.ask(random.choice(caller.load.requests['etcdone']))
    failed = service.memory_end()
    what = f'allocation {place}{" and on" if lasting else ""} in the {part}'
    code = answer.get('code') if isinstance(answer, dict) else None
    seen[code or status] = seen.get(code or status, 0) + 1
    if status not in (201, None) and status not in REFUSALS:
        outcome.wrong.append(f'{what}: {status} {answer}')
    wait_for(f'issuing to go on after {what}', lambda: caller.ask(caller.load.requests['etcdone'][0])[0] == 201)
    outcome.wrong += ended(service, pids, what)
    outcome.rounds += bool(failed)


def memory_rounds(service, places, outcome):
    load = Load(service, 0, 0, 0, 0, 0, 0)
    seen = {}
    with load:
        caller = Caller(service, load)
        assert caller.ask(load.requests['etcdone'][0])[0] == 201
        counts = {part: max(caller.allocations(part) for _ in range(3)) for part in PARTS}
        for number in range(places):
            part, lasting = PARTS[number % 2], number % 4 > 1
            place = 1 + number * counts[part] // places if places < sum(counts.values()) else \
                random.randint(1, counts[part])
            memory_place(caller, part, place, lasting, outcome, seen)
    if not seen.get('internal'):
        outcome.wrong.append('control: no allocation that failed was told')
    outcome.wrong += faults.crashes(service)
    outcome.wrong += violations(service, load)
    outcome.acknowledged += len(load.acknowledged)
    outcome.notes = {**{f'allocations of the {part}': count for part, count in counts.items()},
                     **{f'answered {code}': count for code, count in seen.items()},
                     'restarts': faults.restarts(service)}


def memory(places):
    outcome = Outcome('F6')
    with FailingService() as service:
        service.init().start()
        faults.guarded(outcome, service, memory_rounds, service, places, outcome, rounds=0)
    return outcome


if __name__ == '__main__':
    main(__doc__, {'files': files, 'memory': memory})
