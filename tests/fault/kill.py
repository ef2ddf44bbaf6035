#!/usr/bin/env python3
"""kill.py [--rounds N]: kill -9 of server, signer, and all of ensignd, N times each, under load.

Clients issue certificates all the time and record each answer in a file that they fsync. Between two kills at least one
certificate is acknowledged. Afterwards nothing that was acknowledged may be missing or different (I1, I2), serials are
unique (I3), every checkpoint that was ever shown is a prefix of the log, and the log's issue leaves are exactly the
certificates (I5).
"""
import argparse
import hashlib
import http.client
import os
import pathlib
import random
import subprocess
import sys
import threading

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from lib import audit
from lib.service import Client, Service, wait_for

CLIENTS = 4


class Load:
    """Clients that issue until stopped."""

    def __init__(self, service, record_path, csr):
        self.service, self.csr = service, csr
        self.record = open(record_path, 'a', buffering=1)
        self.lock = threading.Lock()
        self.acknowledged, self.refused, self.stopping = {}, {}, False
        self.checkpoints = []
        self.threads = [threading.Thread(target=self.work) for _ in range(CLIENTS)]
        for thread in self.threads:
            thread.start()

    def keep(self, certificate):
        with self.lock:
            digest = hashlib.sha256(certificate['certificate'].encode()).hexdigest()
            self.record.write(f"{certificate['serial']} {digest}\n")
            self.record.flush()
            os.fsync(self.record.fileno())
            self.acknowledged[certificate['serial']] = certificate['certificate']

    def work(self):
        client = Client(self.service, self.service.context_file)
        body = {'profile': 'etcd-member', 'node': 'etcdone', 'csr': self.csr}
        while not self.stopping:
            try:
                status, answer, _ = client.post('/v1/clusters/vagrant/certificates', body)
            except (OSError, http.client.HTTPException):
                continue  # killed under our feet
            if status == 201:
                self.keep(answer)
            else:
                code = answer.get('code') if isinstance(answer, dict) else status
                self.refused[code] = self.refused.get(code, 0) + 1

    def checkpoint(self):
        try:
            status, note, _ = Client(self.service).get('/v1/audit/checkpoint')
        except (OSError, http.client.HTTPException):
            return
        if status == 200:
            self.checkpoints.append(audit.checkpoint_parse(note))

    def stop(self):
        self.stopping = True
        for thread in self.threads:
            thread.join()


def kill_rounds(service, load, parts, rounds):
    counted = 0
    for _ in range(rounds):
        before = len(load.acknowledged)
        wait_for('an acknowledgement between kills', lambda: len(load.acknowledged) > before)
        load.checkpoint()
        threading.Event().wait(random.uniform(0.001, 0.05))  # the moment of the kill is what is random
        service.kill(*parts)
        counted += 1
        if 'supervisor' in parts:
            service.start()
    before = len(load.acknowledged)
    wait_for('an acknowledgement after the last kill', lambda: len(load.acknowledged) > before)
    return counted


def verify(service, load):
    """Yields what is wrong."""
    admin = Client(service, service.context_file)
    listed = audit.certificates(admin)
    recorded = dict(line.split() for line in (service.folder / 'acknowledged').read_text().splitlines())
    if set(recorded) != set(load.acknowledged):
        yield 'the record on disk is not what the clients saw'
    for serial, digest in recorded.items():
        status, answer, _ = admin.get(f'/v1/certificates/{serial}')
        if status != 200:
            yield f'{serial} was acknowledged and is lost ({status})'
        elif hashlib.sha256(answer['certificate'].encode()).hexdigest() != digest:
            yield f'{serial} reads back different'
        if serial not in listed:
            yield f'{serial} is not in the list'
    leaves = audit.leaves(admin)
    hashes = [audit.leaf_hash(leaf) for leaf in leaves]
    issued = audit.issued(leaves)
    if set(issued) != set(listed):
        yield f'the log names {len(issued)} certificates, the list {len(listed)}'
    for serial, item in listed.items():
        if issued.get(serial) != item['sha256']:
            yield f'{serial}: the log has another hash'
    load.checkpoint()
    roots = {}
    for _, size, root in load.checkpoints:
        if size > len(hashes):
            yield f'a checkpoint of size {size} was shown, the log has {len(hashes)}'
        elif roots.setdefault(size, audit.tree_root(hashes[:size])) != root:
            yield f'the log is not consistent with a checkpoint of size {size}'
    print(f'{len(recorded)} acknowledged, {len(listed)} listed, {len(leaves)} leaves, '
          f'{len(load.checkpoints)} checkpoints, refused meanwhile: {load.refused}')


def make_csr(folder):
    key = folder / 'load.key'
    return subprocess.run(['openssl', 'req', '-new', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes',
                           '-keyout', key, '-subj', '/'], capture_output=True, text=True, check=True).stdout


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument('--rounds', type=int, default=100)
    rounds = arguments.parse_args().rounds
    with Service() as service:
        service.init().start()
        service.create_cluster('vagrant-external-etcd.yaml')
        load = Load(service, service.folder / 'acknowledged', make_csr(service.folder))
        try:
            for parts in (['server'], ['signer'], ['supervisor', 'signer', 'server']):
                print(f"kill -9 of {'+'.join(parts)}: {kill_rounds(service, load, parts, rounds)} times", flush=True)
        finally:
            load.stop()
        wrong = list(verify(service, load))
    print('\n'.join(wrong[:20]))
    print(f'{1 if not wrong else 0} passed, {1 if wrong else 0} failed')
    sys.exit(1 if wrong else 0)


main()
