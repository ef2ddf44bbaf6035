#!/usr/bin/env python3
"""Bits of data.mdb flip: in each of N random pages (--flips N; all when there are fewer) one random bit, or all bits of a
random byte: once under the server that runs, and once before `ensignd verify` of a copy.

Nothing wrong is ever served, what is damaged is told, a server that crashes comes back, and a signer never crashes (it
ends with its server, and another one is started).
What a running server does not find any more although it is there (LMDB's tree has no checksums) must be found by verify
and at the next start.
"""
import os
import random
import shutil
import struct

import faults
from full import answers
from lib import audit
from lib.openapi import WrongAnswer
from lib.service import BUILD, Client, run, wait_for
from load import GONE, Load, violations
from outcome import Outcome, main

PAGE = 4096
LAST_PAGE, TRANSACTION = 136, 144  # of a meta page of LMDB's
CERTIFICATES = 40
OPEN_SECONDS = 60


def pages_used(data):
    """Of a database: pages 0 and 1 are its meta pages, of which the one with the later transaction counts."""
    metas = [(struct.unpack_from('=Q', data, page * PAGE + TRANSACTION)[0],
              struct.unpack_from('=Q', data, page * PAGE + LAST_PAGE)[0]) for page in (0, 1)]
    return max(metas)[1] + 1


class Flip:
    """One, made and undone."""

    def __init__(self, path, page):
        self.path, self.offset = path, page * PAGE + random.randrange(PAGE)
        self.mask = random.choice((0xff, 1 << random.randrange(8)))

    def __str__(self):
        return f'page {self.offset // PAGE}, byte {self.offset % PAGE}, xor {self.mask:#04x}'

    def turn(self):
        file = os.open(self.path, os.O_RDWR)
        byte = os.pread(file, 1, self.offset)
        os.pwrite(file, bytes([byte[0] ^ self.mask]), self.offset)
        os.close(file)

    def __enter__(self):
        self.turn()
        return self

    def __exit__(self, *_):
        self.turn()


class Truth:
    """All that can be read, as it is right."""

    def __init__(self, service):
        admin = Client(service, service.context_file)
        self.listed = audit.certificates(admin)
        self.certificates = {serial: admin.get(f'/v1/certificates/{serial}')[1] for serial in self.listed}
        self.leaves = audit.leaves(admin)
        self.cluster = admin.get('/v1/clusters/vagrant')[1]

    def judge(self, service):
        """What the service says now, as words: ok, error, gone, hidden, wrong."""
        try:
            return self.read(Client(service, service.context_file))
        except GONE:
            return {'gone'}
        except WrongAnswer:  # a value that no answer may have
            return {'wrong'}

    def read(self, admin):
        found = set()
        for serial, right in self.certificates.items():
            found.add(self.compare(*admin.get(f'/v1/certificates/{serial}')[:2], right))
        found.add(self.compare(*admin.get('/v1/clusters/vagrant')[:2], self.cluster))
        try:
            listed, leaves = audit.certificates(admin), audit.leaves(admin)
        except AssertionError as error:
            return found | {'wrong' if 'twice' in str(error) else 'error'}
        found.add('ok' if listed == self.listed else self.partial(listed.items(), self.listed.items()))
        found.add('ok' if leaves == self.leaves else self.partial(leaves, self.leaves))
        return found

    @staticmethod
    def compare(status, answer, right):
        if status == 200:
            return 'ok' if answer == right else 'wrong'
        return 'hidden' if status in (401, 403, 404) else 'error'

    @staticmethod
    def partial(found, right):
        return 'hidden' if all(item in right for item in found) else 'wrong'


def verdict(words):
    return next((word for word in ('wrong', 'gone', 'hidden', 'error') if word in words), 'ok')


def live(service, truth, page, outcome, counts):
    """Under the server that runs; returns the flip and what it made of it."""
    server = service.pids('server')
    with Flip(service.state / 'data.mdb', page) as flip:
        word = verdict(truth.judge(service))
        if word == 'gone' and service.pids('server') == server and answers(service):
            word = 'error'
    counts[f'{word} while running'] = counts.get(f'{word} while running', 0) + 1
    if word == 'wrong':
        outcome.wrong.append(f'{flip}: a wrong value was served')
    wait_for(f'the server to be right again after {flip}', lambda: verdict(truth.judge(service)) == 'ok')
    return flip, word


def offline(copy, flip, word, outcome, counts):
    """In a copy, read by `ensignd verify`, which must not praise what the server did not find."""
    flip.path = copy / 'data.mdb'
    with flip:
        result = run(BUILD / 'server/ensignd', 'verify', '--config', copy / 'ensignd.yaml', check=False,
                     timeout=OPEN_SECONDS)
    told = 'verified' if result.returncode == 0 else 'crash told' if 'crashes' in result.stderr else 'damage told'
    counts[told] = counts.get(told, 0) + 1
    if result.returncode not in (0, 1):
        outcome.wrong.append(f'{flip}: verify ended with {result.returncode}: {result.stderr}')
    if word != 'ok' and result.returncode == 0:
        outcome.wrong.append(f'{flip}: {word} while running, and verify finds nothing')


def copied(service):
    """The state, as it is when nobody writes."""
    copy = service.folder / 'copy'
    shutil.copytree(service.state, copy, ignore=shutil.ignore_patterns('run', 'lock.mdb', 'ensignd.lock'))
    config = (copy / 'ensignd.yaml').read_text()
    (copy / 'ensignd.yaml').write_text(config.replace(str(service.state), str(copy)))
    return copy


def flips_round(service, wanted, outcome):
    load = Load(service, watchers=0)
    with load:
        wait_for('work', lambda: len(load.acknowledged) >= CERTIFICATES)
    service.stop()
    service.start()  # which writes what was left to index, and then no more
    copy = copied(service)
    truth, counts = Truth(service), {}
    used = pages_used((service.state / 'data.mdb').read_bytes())
    pages = list(range(used)) if wanted >= used else random.sample(range(used), wanted)
    for page in pages:
        flip, word = live(service, truth, page, outcome, counts)
        offline(copy, flip, word, outcome, counts)
        outcome.rounds += 1
    if not counts.get('error while running') or not counts.get('damage told'):
        outcome.wrong.append('control: no damage was found')
    service.wait_ready()
    crashes = faults.crashes(service)
    outcome.wrong += [line for line in crashes if 'the signer' in line]
    outcome.wrong += violations(service, load)
    outcome.acknowledged += len(load.acknowledged)
    outcome.notes = {'pages': used, 'crashes of the server': len(crashes), **counts}


def flips(wanted):
    outcome = Outcome('F12')
    with faults.service() as service:
        service.maker = os.environ.get('ENSIGND', service.maker)  # a control reads only what it wrote
        service.init().start()
        faults.guarded(outcome, service, flips_round, service, wanted, outcome, rounds=0)
    return outcome


if __name__ == '__main__':
    main(__doc__, {'flips': flips})
