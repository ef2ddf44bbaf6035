#!/usr/bin/env python3
"""compare.py [--rounds N] [--seconds S] [--connections N]: ensignd beside cfssl, which keeps what it issues in SQLite.

Both durable, both over TLS with kept connections, the same requests, in rounds that take turns, so that what else the
machine does meets both. SQLite is in WAL mode with synchronous=FULL, which cfssl has to be told: its driver says NORMAL,
with which a power cut loses certificates that were answered. ensignd besides checks the caller's client certificate,
decides by profile and inventory, and writes the audit log.

    apt-get install golang-cfssl sqlite3 && ENSIGN_BUILD=build tests/bench/compare.py
"""
import argparse
import json
import pathlib
import shutil
import statistics
import subprocess
import tempfile

from measure import Ensign, free_port, load, run, wait_for

TABLE = '''PRAGMA journal_mode=WAL;
CREATE TABLE certificates (serial_number blob NOT NULL, authority_key_identifier blob NOT NULL, ca_label blob,
status blob NOT NULL, reason int, expiry timestamp, revoked_at timestamp, pem blob NOT NULL,
PRIMARY KEY(serial_number, authority_key_identifier));'''


class Cfssl:
    def __init__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix='ensign-bench-'))
        self.port = free_port()
        self.make_files()
        self.log = open(self.folder / 'log', 'w')
        self.process = subprocess.Popen(
            ['cfssl', 'serve', '-address', '127.0.0.1', '-port', str(self.port), '-loglevel', '3', '-ca', 'ca.pem',
             '-ca-key', 'ca-key.pem', '-tls-cert', 'ca.pem', '-tls-key', 'ca-key.pem', '-config', 'config.json',
             '-db-config', 'db.json'], cwd=self.folder, stdout=self.log, stderr=self.log)
        wait_for('cfssl', lambda: subprocess.run(
            ['curl', '-sk', f'https://127.0.0.1:{self.port}/'], capture_output=True).returncode == 0)

    def make_files(self):
        run('sqlite3', self.folder / 'certs.db', TABLE)
        key = {'CN': 'etcd-ca', 'key': {'algo': 'ecdsa', 'size': 256}}
        made = json.loads(run('cfssl', 'genkey', '-initca', '-', input=json.dumps(key)).stdout)
        usages = ['signing', 'server auth', 'client auth']
        for name, text in {
                'ca.pem': made['cert'], 'ca-key.pem': made['key'],
                'db.json': json.dumps({'driver': 'sqlite3', 'data_source': f'{self.folder}/certs.db?_synchronous=FULL'}),
                'config.json': json.dumps({'signing': {'default': {'expiry': '8760h', 'usages': usages}}})}.items():
            (self.folder / name).write_text(text)

    def load(self, connections, seconds):
        return load({'cfssl': self.process.pid}, connections, seconds, '--port', self.port,
                    '--path', '/api/v1/cfssl/sign', '--csr', 'certificate_request', '--expect', 200,
                    '--body', json.dumps({'hostname': 'etcdone,etcdone.example.com,192.168.29.61'}))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()
        shutil.rmtree(self.folder)


def median(rounds, what):
    return statistics.median(what(found) for found in rounds)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--rounds', type=int, default=5)
    parser.add_argument('--seconds', type=int, default=3)
    parser.add_argument('--connections', default='64')
    arguments = parser.parse_args()
    with Ensign() as service, Cfssl() as cfssl:
        peers = {'ensignd': service, 'cfssl + sqlite WAL': cfssl}
        found = {name: [] for name in peers}
        print(f"{arguments.connections} connections{'':<10} certs/s  p50 ms  p99 ms  CPU ms/cert  RSS MiB  failed")
        for _ in range(arguments.rounds):
            for name, peer in peers.items():
                result = peer.load(arguments.connections, arguments.seconds)
                found[name].append(result)
                print(f"{name:<22} {result['rate']:9.0f} {result['p50']:7.2f} {result['p99']:7.2f} "
                      f"{sum(result['cpu'].values()):12.3f} {sum(result['memory'].values()):8.1f} "
                      f"{result['failed']:7}", flush=True)
        ours, theirs = found.values()
        print(f"medians: {median(ours, lambda r: r['rate']) / median(theirs, lambda r: r['rate']):.1f} times cfssl's rate at "
              f"{median(ours, lambda r: sum(r['cpu'].values())) / median(theirs, lambda r: sum(r['cpu'].values())):.2f} "
              'of its CPU')


main()
