"""What the suites share: a running ensignd with a cluster, and a caller of each kind.

One suite by hand: ENSIGN_BUILD=build PYTHONPATH=tests:tests/lib python3 tests/integration/test_roles.py
"""
import base64
import hashlib
import http.client
import json
import secrets
import signal
import socket
import unittest

from lib import der
from lib.keys import Key
from lib import audit
from lib.service import Client, Service

NODES = [('etcdone', '10.9.0.61', 'etcd'), ('etcdtwo', '10.9.0.62', 'etcd'), ('etcdthree', '10.9.0.63', 'etcd'),
         ('masterone', '10.9.0.71', 'control-plane')]
PROBLEM_MEMBERS = {'type', 'title', 'status', 'code', 'detail', 'request_id'}


def cluster_document(name='vagrant', network='10.9.0'):
    return {
        'apiVersion': 'ensign/v1', 'kind': 'Cluster', 'name': name, 'kubernetesVersion': '1.31',
        'controlPlaneEndpoint': f'{network}.81:6443', 'etcd': {'topology': 'external', 'certificates': 'member'},
        'nodes': [{'name': node, 'addresses': [address.replace('10.9.0', network)], 'roles': [role]}
                  for node, address, role in NODES],
    }


class Token:
    """A join token, made as a client makes it: the service gets the hash of the secret."""

    def __init__(self, pin):
        self.id, self.secret, self.pin = secrets.token_bytes(16), secrets.token_bytes(32), pin

    def text(self, secret=None, pin=None):
        content = self.id + (secret or self.secret) + (pin or self.pin)
        return 'ensign1.' + base64.urlsafe_b64encode(content).decode().rstrip('=')

    def body(self, node, ttl_seconds=3600):
        return {'id': self.id.hex(), 'secret_sha256': hashlib.sha256(self.secret).hexdigest(), 'node': node,
                'ttl_seconds': ttl_seconds}


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__('localhost', timeout=30)
        self.path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self.path)


class UnixClient(Client):
    """Who connects to the service's own socket."""

    def __init__(self, service):
        super().__init__(service)
        self.path = service.state / 'run' / 'ensignd.sock'

    def request(self, *arguments, **more):
        self.connection = self.connection or UnixConnection(self.path)
        return super().request(*arguments, **more)


class World:
    """A service that runs, with the cluster `vagrant`."""

    def __init__(self, config=''):
        self.service = Service().init().configure(config).start()
        self.tokens = []
        self.admin = Client(self.service, self.service.context_file)
        context = json.loads(self.service.context_file.read_text())
        self.pin = bytes.fromhex(context['pin'].removeprefix('sha256:'))
        self.create_cluster()

    def close(self):
        """Stops it, and reads its log: no report of a sanitizer or of a forbidden call, and no secret."""
        with self.service:
            code = self.service.stop()
            log = (self.service.folder / 'ensignd.log').read_text()
        assert code == 0, f'ensignd ended with {code}'
        assert '"message":"answered"' in log
        for mark in ('Sanitizer', 'runtime error:', f'killed by signal {signal.SIGSYS:d}'):
            assert mark not in log, log[log.index(mark):][:2000]
        for token in self.tokens:
            for form in (token.text(), token.text().removeprefix('ensign1.')[24:60], token.secret.hex()):
                assert form not in log, f'the secret of token {token.id.hex()} is in the log'

    def nobody(self):
        return Client(self.service)

    def root(self):
        return UnixClient(self.service)

    def create_cluster(self, **more):
        document = cluster_document(**more)
        status, answer, _ = self.admin.post('/v1/clusters', {'cluster': document})
        assert status == 201, answer
        return document

    def new_token(self, node='etcdone', cluster='vagrant', ttl_seconds=3600):
        token = Token(self.pin)
        self.tokens.append(token)
        status, answer, _ = self.admin.post(f'/v1/clusters/{cluster}/tokens', token.body(node, ttl_seconds))
        assert status == 201, answer
        return token

    def token_client(self, node='etcdone', cluster='vagrant'):
        return Client(self.service, token=self.new_token(node, cluster).text())

    def certificate_client(self, certificate, key):
        """A client that presents this certificate."""
        path = self.service.folder / f'{secrets.token_hex(8)}.context'
        path.touch(mode=0o600)
        path.write_text(json.dumps({'certificate': certificate, 'key': key.pem.decode()}))
        return Client(self.service, path)

    def identity_client(self, role, name=None, **more):
        key = Key()
        body = {'name': name or f'the-{role}', 'role': role, 'csr': der.request(key), **more}
        status, answer, _ = self.admin.post('/v1/identities', body)
        assert status == 201, answer
        return self.certificate_client(answer['certificate'], key)

    def node_client(self, node='etcdone', cluster='vagrant'):
        key = Key()
        status, answer = issue(self.token_client(node, cluster), der.request(key), 'node-identity', cluster=cluster)
        assert status == 201, answer
        return self.certificate_client(answer['certificate'], key)


def issue(client, csr, profile='etcd-member', cluster='vagrant', **more):
    status, answer, _ = client.post(f'/v1/clusters/{cluster}/certificates', {'profile': profile, 'csr': csr, **more})
    return status, answer


class Case(unittest.TestCase):
    """A suite over one world."""

    config = ''  # one more line of ensignd.yaml

    @classmethod
    def setUpClass(cls):
        cls.world = World(cls.config)
        cls.addClassCleanup(cls.world.close)
        cls.admin = cls.world.admin

    def problem(self, answer, status, code, headers=None):
        """Checks a refusal, whose shape is always the same."""
        self.assertEqual((answer.get('status'), answer.get('code')), (status, code), answer)
        self.assertLessEqual(PROBLEM_MEMBERS, set(answer), answer)
        self.assertLessEqual(set(answer), PROBLEM_MEMBERS | {'errors', 'errors_omitted'}, answer)
        self.assertTrue(answer['detail'])
        for error in answer.get('errors', []):
            self.assertEqual(set(error), {'pointer', 'detail'}, answer)
        if headers is not None:
            self.assertEqual(headers['Content-Type'], 'application/problem+json')
            self.assertEqual(headers['X-Request-Id'], answer['request_id'])

    def refused(self, client, method, path, status, code, body=None, headers=None):
        """Asks, checks the refusal, and returns it."""
        got, answer, answer_headers = client.request(method, path, body, headers)
        self.assertEqual(got, status, answer)
        self.problem(answer, status, code, answer_headers)
        return answer

    def issued(self, client, csr, profile='etcd-member', status=201, **more):
        got, answer = issue(client, csr, profile, **more)
        self.assertEqual(got, status, answer)
        return answer

    def not_issued(self, client, csr, status, code, profile='etcd-member', **more):
        got, answer = issue(client, csr, profile, **more)
        self.assertEqual(got, status, answer)
        self.problem(answer, status, code)
        return answer

    def denials(self):
        """The leaves of refusals, as dictionaries."""
        return [event for event in map(json.loads, audit.leaves(self.admin)) if event['event'] == 'denied']

    def pointers(self, answer):
        return {error['pointer'] for error in answer.get('errors', [])}
