"""Nodes with `ensign agent`: enrolled below a folder of their own, with a clock that can be ahead."""
import base64
import json
import os
import pathlib
import random
import re
import subprocess
import threading
import time

from lib.service import BUILD, ENSIGN, Client, free_port, run

SETS = 'etc/ensign/node'
KILLED = BUILD / 'tests/fault/ensign_killed'


def loopback_network():
    while True:
        network = f'127.{random.randrange(1, 255)}.{random.randrange(1, 255)}.'
        try:
            for port in (2379, 2380, 6443):
                free_port(network + '61', port)
            return network
        except OSError:
            pass


def public_key(*command, pem):
    return run('openssl', *command, input=pem.decode()).stdout


def key_of_certificate(pem):
    return public_key('x509', '-noout', '-pubkey', pem=pem)


def key_of_key(pem):
    return public_key('pkey', '-pubout', pem=pem)


def pair_matches(certificate, key):
    return key_of_certificate(certificate) == key_of_key(key)


def serial(path):
    return run('openssl', 'x509', '-noout', '-serial', '-in', path).stdout.strip().split('=')[1].lower()


def clock(ahead, **more):
    """The environment in which it is later. Without faketime's own process, which takes deaths for itself."""
    command = ['faketime', '-f', ahead, 'env', '-0'] if ahead else ['env', '-0']
    found = dict(line.split('=', 1) for line in run(*command).stdout.split('\0') if line)
    found.pop('FAKETIME_SHARED', None)  # it ended with that process
    options = os.environ.get('ASAN_OPTIONS', '')
    return dict(found, ASAN_OPTIONS=f'{options}:verify_asan_link_order=0', **more)  # faketime's library comes before it


class PairReader(threading.Thread):
    """Loads a pair in a loop as Go's tls.LoadX509KeyPair does: the certificate, and then the key. It never pauses, so that
    most switches fall between its two calls: what counts is that the next load is right, as the programs load again."""

    def __init__(self, stem):
        super().__init__()
        self.paths, self.stopping, self.loads, self.seen = [f'{stem}.crt', f'{stem}.key'], False, 0, []
        self.start()

    def run(self):
        while not self.stopping:
            pair = []
            for path in self.paths:
                fd = os.open(path, os.O_RDONLY)
                pair.append(os.read(fd, 65536))
                os.close(fd)
            self.loads += 1
            now = time.monotonic()
            if not self.seen or self.seen[-1][0] != pair:
                self.seen.append([pair, now, now])
            self.seen[-1][2] = now

    def stop(self):
        """(loads, [seconds from the first to the last load of each mixed pair])"""
        self.stopping = True
        self.join()
        return self.loads, [last - first for pair, first, last in self.seen if not pair_matches(*pair)]


class NodeRoot:
    """A node below `root`."""

    def __init__(self, service, cluster, name, root):
        self.service, self.cluster, self.name, self.root = service, cluster, name, root
        self.sets = root / SETS

    def enroll(self, *more, port=None):
        token = self.service.folder / f'{self.cluster}-{self.name}.token'
        token.touch(mode=0o600)
        token.write_text(self.service.token(self.cluster, self.name))
        result = run(ENSIGN, 'enroll', '--server', f'https://localhost:{port or self.service.port}', '--token-file', token,
                     '--root', self.root, '--timeout', '1s', *more, check=False)
        assert result.returncode in (0, 7), result.stderr
        return self

    def settings(self, **more):
        path = self.root / 'etc/ensign/agent.yaml'
        path.write_text(json.dumps({'apiVersion': 'ensign/v1', 'kind': 'Agent', **more}))

    def start(self, *options, ahead='+45m', program=ENSIGN, **environment):
        return subprocess.Popen([str(program), 'agent', *options, '--root', self.root], text=True, stderr=subprocess.PIPE,
                                env=clock(ahead, **environment))

    def once(self, **more):
        """(exit code, what it said)"""
        process = self.start('--once', **more)
        _, said = process.communicate()
        for left in pathlib.Path('/dev/shm').glob(f'*faketime_s*_{process.pid}'):  # by one that was killed
            left.unlink()
        return process.returncode, said

    # ---- what is there ----

    def set_pairs(self):
        """{profile: (certificate, key)}"""
        return {path.parent.name: (path.read_bytes(), path.with_name('tls.key').read_bytes())
                for path in self.sets.glob('[!.]*/tls.crt')}

    def serials(self):
        return {path.parent.name: serial(path) for path in self.sets.glob('[!.]*/tls.crt')}

    def pending(self):
        """{profile: public key} of renewals that were begun."""
        return {path.parent.name: key_of_key(path.read_bytes()) for path in self.sets.glob('.pending/[!.]*/tls.key')}

    def installed_pairs(self):
        """{path: (certificate, key)} of what was put where programs read it."""
        pairs = {str(path): (path.read_bytes(), path.with_suffix('.key').read_bytes())
                 for path in self.root.rglob('[!.]*.crt')
                 if self.sets not in path.parents and path.with_suffix('.key').exists()}
        for path in self.root.glob('etc/kubernetes/[!.]*.conf'):
            found = [base64.b64decode(data) for data in
                     re.findall(r'client-(?:certificate|key)-data: "?([A-Za-z0-9+/=]+)', path.read_text())]
            if len(found) == 2:
                pairs[str(path)] = tuple(found)
        return pairs

    # ---- what the service has ----

    def get(self, path):
        client = Client(self.service, self.service.context_file)
        status, answer, _ = client.get(path)
        client.connection.close()
        assert status == 200, answer
        return answer

    def deployed(self):
        answer = self.get(f'/v1/clusters/{self.cluster}/deployed?node={self.name}')
        return {entry['profile']: entry for item in answer['items'] for entry in item['certificates']}

    def issued(self):
        """[(profile, serial)], the oldest first"""
        found, cursor = [], ''
        while cursor is not None:
            answer = self.get(f'/v1/certificates?cluster={self.cluster}&node={self.name}&limit=500{cursor}')
            found += [(item['profile'], item['serial']) for item in answer['items']]
            cursor = f'&cursor={answer["next_cursor"]}' if answer.get('next_cursor') else None
        return found
