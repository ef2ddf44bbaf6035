#!/usr/bin/env python3
"""While certificates are signed, the CA keys are in the signer's memory and in no other process of ensignd.

`keysearch` opens a copy of the database with the seal key and looks for each private key (scalar or primes, in both byte
orders, and PKCS#8 DER) in all readable mappings of a process.
"""
import os
import pathlib
import shutil
import subprocess
import sys
import threading

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from lib.service import BUILD, Client, Service, run

ROUNDS = 5


def main():
    if os.geteuid() != 0:
        print('SKIP: only root may read the memory of ensignd')
        sys.exit(77)
    failures = []
    with Service() as service:
        service.init().start()
        service.create_cluster('vagrant-external-etcd.yaml')
        service.create_cluster('nginx-keepalived-external-etcd.yaml',
                               [('kind: Cluster', 'kind: Cluster\nkeys: {authorities: rsa-2048}')])
        signed, stopping = [0, 0], threading.Event()

        def load(slot, cluster, node):
            client = Client(service, service.context_file)
            csr = run('openssl', 'req', '-new', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-subj',
                      '/', '-keyout', '/dev/null').stdout
            while not stopping.is_set():
                status, answer, _ = client.post(f'/v1/clusters/{cluster}/certificates',
                                                {'profile': 'etcd-member', 'node': node, 'csr': csr})
                assert status == 201, answer
                signed[slot] += 1

        threads = [threading.Thread(target=load, args=(0, 'vagrant', 'etcdone')),
                   threading.Thread(target=load, args=(1, 'k8s-cluster1', 'k8setcd1.isociel.com'))]
        for thread in threads:
            thread.start()
        try:
            for _ in range(ROUNDS):
                copy = service.folder / 'copy'
                shutil.rmtree(copy, ignore_errors=True)
                shutil.copytree(service.state, copy, ignore=shutil.ignore_patterns('*.sock', 'run'))
                for part, wanted in (('signer', True), ('server', False), ('supervisor', False)):
                    out = subprocess.run([BUILD / 'tests/e2e/keysearch', copy, service.folder / 'seal.key',
                                          str(service.pid(part))], capture_output=True, text=True, check=True).stdout
                    keys, found = (int(word) for word in out.split())
                    print(f'{part}: {found} of {keys} keys found')
                    if keys < 6 or (found == 0) == wanted:
                        failures.append(f'{part}: {found} of {keys} found')
        finally:
            stopping.set()
            for thread in threads:
                thread.join()
    print(f'{sum(signed)} certificates signed meanwhile')
    sys.exit(1 if failures or not all(signed) else 0)


main()
