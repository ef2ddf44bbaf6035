"""Control planes that share keys: a cluster of three, and what is the same on them."""
import base64
import concurrent.futures
import json
import os
import signal
import struct
import subprocess
import unittest

from lib import audit
from lib.keys import Key, openssl
from lib.service import ENSIGN, ENSIGND, Client, Service, run

NODES = ('cpone', 'cptwo', 'cpthree')
CLAIM_SECONDS = 10  # SHARED_CLAIM_SECONDS of ca/shared_key.h
PENDING = 7


def decoded(text):
    return base64.urlsafe_b64decode(text + '=' * (-len(text) % 4))


def encoded(data):
    return base64.urlsafe_b64encode(data).decode().rstrip('=')


def spki_of(pem_file):
    return run('openssl', 'pkey', '-in', pem_file, '-pubout').stdout


class Cluster:
    """A cluster of three control planes; folders and enrolments of its nodes."""

    def __init__(self, service, name, recovery=None, shared=False):
        self.service, self.name = service, name
        self.folder = service.folder / name
        self.folder.mkdir(mode=0o700)
        number = len(os.listdir(service.folder))
        document = {
            'apiVersion': 'ensign/v1', 'kind': 'Cluster', 'name': name, 'kubernetesVersion': '1.31',
            'controlPlaneEndpoint': f'10.{number}.0.81:6443', 'etcd': {'topology': 'external'},
            'nodes': [{'name': node, 'addresses': [f'10.{number}.0.{i + 1}'], 'roles': ['control-plane']}
                      for i, node in enumerate(NODES)]
            + [{'name': 'etcd', 'addresses': [f'10.{number}.0.9'], 'roles': ['etcd']},
               {'name': 'worker', 'addresses': [f'10.{number}.0.10'], 'roles': ['worker']}]}
        if shared:
            document['etcd']['apiserverClient'] = 'shared'
        if recovery:
            document['recovery'] = {'publicKey': recovery}
        path = self.folder / 'cluster.json'
        path.write_text(json.dumps(document))
        service.ensign('cluster', 'create', '-f', path)
        self.admin = Client(service, service.context_file)

    def path(self, node):
        return self.folder / node

    def token(self, node):
        path = self.folder / f'{node}.token'
        if not path.exists():
            path.touch(0o600)
            path.write_text(self.service.token(self.name, node))
        return path

    def identity(self, node):
        """Only the node's identity and context, without the shared key."""
        self.service.ensign('enroll', '--server', f'https://localhost:{self.service.port}', '--token-file',
                            self.token(node), '--out', self.path(node), '--profile', 'node-identity')

    def command(self, node, timeout='20s', what=('sync',)):
        return ['shared-key', *what, '--out', self.path(node), '--root', self.root(node), '--timeout', timeout]

    def root(self, node):
        root = self.folder / f'{node}.root'
        root.mkdir(mode=0o700, exist_ok=True)
        return root

    def sync(self, node, check=True, **more):
        return self.service.ensign(*self.command(node, **more), check=check)

    def enroll(self, node, timeout='3s', check=True):
        return self.service.ensign('enroll', '--server', f'https://localhost:{self.service.port}', '--token-file',
                                   self.token(node), '--out', self.path(node), '--root', self.root(node), '--timeout',
                                   timeout, check=check)

    def key_file(self, node):
        return self.root(node) / 'etc/kubernetes/pki/sa.key'

    def client(self, node):
        """The node at the API."""
        folder = self.path(node) / 'node-identity'
        path = self.folder / f'{node}.json'
        path.touch(0o600)
        path.write_text(json.dumps({'certificate': (folder / 'tls.crt').read_text(), 'key': (folder / 'tls.key').read_text()}))
        return Client(self.service, path)

    def publish(self, node):
        """The node's sealing key, as it would itself, but not more."""
        pair = openssl('genpkey', '-algorithm', 'X25519')
        private = openssl('pkey', '-outform', 'DER', data=pair)[-32:]
        public = openssl('pkey', '-pubout', '-outform', 'DER', data=pair)[-32:]
        path = self.path(node) / 'sealing.key'
        path.touch(0o600)
        path.write_text(encoded(private) + '\n')
        text = b''.join(struct.pack('>I', len(part)) + part
                        for part in (b'ensign sealing key v1', self.name.encode(), node.encode())) + public
        signature = Key(pem=(self.path(node) / 'node-identity/tls.key').read_bytes()).sign(text)
        status, answer, _ = self.client(node).request('PUT', f'/v1/clusters/{self.name}/sealing-key',
                                                      {'public_key': encoded(public), 'signature': encoded(signature)})
        assert status == 200, answer

    def show(self, client=None, name='sa'):
        status, answer, _ = (client or self.admin).get(f'/v1/clusters/{self.name}/shared-keys/{name}')
        assert status == 200, answer
        return answer

    def events(self):
        return [event for event in map(json.loads, audit.leaves(self.admin)) if event.get('cluster') == self.name]

    def killed(self, node, call, when, **more):
        """Runs that command of the node, and kills it as it does this system call for the when-th time. Its exit code and
        the names of the events that it left in the log."""
        before = len(self.events())
        process = subprocess.Popen(['strace', '-f', '-qq', '-o', '/dev/null', '-e', f'trace={call}', '-e',
                                    f'inject={call}:signal=KILL:when={when}', ENSIGN,
                                    *map(str, self.command(node, **more))],
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        process.wait(timeout=60)
        return process.returncode, [event['event'] for event in self.events()[before:]]


def settle(cluster, nodes=NODES, rounds=4):
    """Runs sync on the nodes at once until all are done, as one who brings up a cluster does."""
    left = list(nodes)
    for _ in range(rounds):
        with concurrent.futures.ThreadPoolExecutor() as pool:
            results = dict(zip(nodes, pool.map(lambda node: cluster.sync(node, False, timeout='3s'), nodes)))
        assert {result.returncode for result in results.values()} <= {0, PENDING}, [r.stderr for r in results.values()]
        left = [node for node, result in results.items() if result.returncode]
        if not left:
            return
    raise AssertionError(f'{left} have no key after {rounds} rounds')


def verify(service):
    """At the end: the database is whole, and nothing was wrong with the service."""
    assert service.stop() == 0
    run(ENSIGND, 'verify', '--config', service.state / 'ensignd.yaml')
    log = (service.folder / 'ensignd.log').read_text()
    for mark in ('Sanitizer', 'runtime error:', f'killed by signal {signal.SIGSYS:d}'):
        assert mark not in log, log[log.index(mark):][:2000]


class Case(unittest.TestCase):
    """With a service for all tests of the class, which is verified behind them."""

    @classmethod
    def setUpClass(cls):
        cls.service = Service().init()
        cls.addClassCleanup(cls.service.__exit__)
        cls.service.start()
        cls.addClassCleanup(verify, cls.service)
