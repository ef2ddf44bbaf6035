"""A8: secrets are nowhere but where they belong. Each is looked for, in every usual form, in the log, the audit entries,
the texts of errors, the command lines and environments of all that we started, and the database; also after a client
has put each of them in every wrong place. And no process leaves a core."""
import base64
import contextlib
import json
import os
import pathlib
import resource
import secrets
import signal
import socket
import subprocess
import threading
import unittest
import urllib.parse

from lib import der
from lib.keys import Key
from lib import audit
from lib.sealed import p256_scalars
from lib.service import ENSIGN, ENSIGND, Client, Service, is_running, run, wait_for
from lib.world import Case, cluster_document

UNLIMITED = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
CORE_PATTERN = pathlib.Path('/proc/sys/kernel/core_pattern').read_text().strip()


def forms(secret):
    """Each half of it as it is, in hexadecimal, and in base64 wherever in a longer text it stands."""
    half = len(secret) // 2
    for part in (secret[:half], secret[half:]):
        yield from forms_of_part(part)


def forms_of_part(secret):
    yield from (secret, secret.hex().encode(), secret.hex().upper().encode())
    for before in range(3):
        inner = base64.b64encode(bytes(before) + secret)[4 if before else 0:-4]
        yield inner
        yield inner.replace(b'+', b'-').replace(b'/', b'_')


def found(data, known):
    """Names of the secrets that are in there."""
    return sorted({name for name, secret in known.items() for form in forms(secret) if form in data})


class Watch:
    """Reads the command line and environment of every process that this one started, again and again."""

    def __init__(self):
        self.data, self.pids, self.stopping = set(), set(), threading.Event()
        self.thread = threading.Thread(target=self.work)
        self.thread.start()

    def work(self):
        while not self.stopping.is_set():
            for pid in descendants(os.getpid()):
                for name in ('cmdline', 'environ'):
                    with contextlib.suppress(OSError):
                        self.data.add(pathlib.Path(f'/proc/{pid}/{name}').read_bytes())
                        self.pids.add(pid)

    def stop(self):
        self.stopping.set()
        self.thread.join()


def descendants(pid):
    for child in children(pid):
        yield child
        yield from descendants(child)


def children(pid):
    with contextlib.suppress(OSError):
        for task in pathlib.Path(f'/proc/{pid}/task').iterdir():
            with contextlib.suppress(OSError):
                yield from map(int, (task / 'children').read_text().split())


def wrong_places(text):
    """method, path, body, headers: a client that puts this text where it does not belong"""
    quoted, path = urllib.parse.quote(text, safe=''), '/v1/clusters/vagrant/certificates'
    for where in ('/{}', '/v1/{}', '/v1/clusters/{}', '/v1/certificates/{}', '/v1/clusters/vagrant/authorities/{}/bundle',
                  '/livez?{}=1', '/v1/certificates?{}', '/v1/certificates?cluster={}', '/v1/certificates?cursor={}',
                  '/v1/certificates?state={}', '/v1/certificates?cluster=vagrant&node={}', '/v1/audit/entries?start={}'):
        yield 'GET', where.format(quoted), None, {}
    yield 'DELETE', f'/v1/tokens/{quoted}', None, {}
    if '\n' not in text:
        for name in ('X-Request-Id', 'Authorization', 'Idempotency-Key', 'Content-Type', 'If-None-Match', 'X-Secret'):
            yield 'POST', path, {'profile': 'nothing', 'csr': ''}, {name: text}
        yield 'POST', path, {'profile': 'nothing', 'csr': ''}, {'Authorization': 'Bearer ' + text}
    good = {'profile': 'etcd-member', 'node': 'etcdone', 'csr': der.request(Key(), extensions=[
        der.extension('1.2.3', b'\5\0')])}
    for member in (*good, 'lifetime_seconds', 'dry_run', text):
        yield 'POST', path, good | {member: text}, {}
    yield 'POST', path, text, {'Content-Type': 'application/json'}
    yield 'POST', '/v1/identities', {'name': text + '!', 'role': text, 'csr': text, text: text}, {}
    yield 'POST', '/v1/clusters/vagrant/tokens', {'id': text, 'secret_sha256': text, 'node': text, text: text}, {}
    document = cluster_document()
    for member in document:
        yield 'POST', '/v1/clusters', {'cluster': document | {member: text}}, {}
    yield 'POST', '/v1/clusters', {'cluster': document | {'name': 'new', 'nodes': [{
        'name': text, 'addresses': [text], 'roles': [text], 'hostnames': [text], text: text}]}}, {}
    for csr in wrong_requests(text.encode()):
        yield 'POST', path, good | {'csr': csr}, {}


def wrong_requests(text):
    for tag in (der.DNS_NAME, der.EMAIL_NAME, der.URI_NAME):
        yield der.request(Key(), extensions=[der.alternative_names((tag, text))])
    for kind in (der.COMMON_NAME, der.ORGANIZATION):
        for value in (text, text[:64]):
            yield der.request(Key(), der.name(der.attribute(kind, value)))
    yield der.request(Key(), extensions=[der.extension('1.2.3.4', text)])
    for kind in ('1.2.840.113549.1.9.7', '1.2.840.113549.1.9.2'):  # challengePassword, unstructuredName
        value = der.tlv(der.SEQUENCE, der.oid(kind), der.tlv(der.SET, der.tlv(der.UTF8, text)))
        yield der.request(Key(), attributes=[value])


def key_with_short_words():
    """A key whose lines, as every third's, are cut by a slash into words that alone look harmless."""
    while True:
        key = subprocess.run(['openssl', 'ecparam', '-name', 'prime256v1', '-genkey', '-noout'], check=True,
                             capture_output=True, text=True).stdout
        if max(map(len, key.splitlines()[1].split('/'))) <= 40:
            return key


class Secrets(Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        service = cls.world.service
        service.stop()
        configuration = service.state / 'ensignd.yaml'
        configuration.write_text(configuration.read_text() + 'log: {level: debug}\n')
        os.chdir(service.folder)  # where a core would be
        service.start()
        cls.admin.connection = None
        cls.watch = Watch()
        cls.addClassCleanup(cls.watch.stop)

    def enrol(self):
        """A node gets its certificates with the client. Returns all secrets that were in use."""
        folder, token = self.world.service.folder, self.world.new_token()
        path = folder / 'token'
        path.touch(mode=0o600)
        path.write_text(token.text())
        run(ENSIGN, 'enroll', '--server', f'https://127.0.0.1:{self.world.service.port}', '--token-file', path, '--out',
            folder / 'node')
        keys = {f'key of {file.parent.name}': next(p256_scalars(der.pem_der(file.read_text())))
                for file in folder.glob('node/*/tls.key')}
        self.assertGreaterEqual(len(keys), 3)
        context = json.loads(self.world.service.context_file.read_text())
        return token, keys | {
            'token': token.secret, 'key of the admin': next(p256_scalars(der.pem_der(context['key']))),
            'seal key': bytes.fromhex((folder / 'seal.key').read_text().strip()), 'idempotency key': secrets.token_bytes(32)}

    def misuse(self, token, known):
        """What the service answers when these are put everywhere."""
        texts = {form.decode() for name in ('token', 'seal key', 'key of etcd-member', 'idempotency key')
                 for secret in [known[name]] for form in (secret.hex().encode(), base64.urlsafe_b64encode(secret).rstrip(b'='))}
        texts |= {token.text(), (self.world.service.folder / 'node/etcd-member/tls.key').read_text()}
        split = key_with_short_words()
        known['split key'] = next(p256_scalars(der.pem_der(split)))
        texts |= {split, split.splitlines()[1]}
        answers, count = b'', 0
        holder = Client(self.world.service, token=token.text())
        for text in texts:
            for client in (self.admin, holder):
                for method, path, body, headers in wrong_places(text):
                    if client is holder and 'Authorization' in headers:
                        continue
                    status, answer, got = client.request(method, path, body, headers)
                    self.assertTrue(status >= 400 or path.startswith('/v1/certificates?cluster='), (status, path[:20], body))
                    answers += repr(answer).encode() + bytes(got)
                    count += 1
        print(f'{len(texts)} texts in {count} wrong places')
        return answers

    def test_A8_secrets_are_nowhere(self):
        token, known = self.enrol()
        self.assertIn('seal key', known)
        places = {'error texts': self.misuse(token, known)}
        places['audit log'] = b'\n'.join(audit.leaves(self.admin))
        places['log'] = (self.world.service.folder / 'ensignd.log').read_bytes()
        places['database'] = next(self.world.service.state.rglob('data.mdb')).read_bytes()
        planted = subprocess.Popen(['sleep', '60'], env={'CANARY': known['idempotency key'].hex()})
        self.addCleanup(planted.wait)
        self.addCleanup(planted.kill)
        wait_for('the planted canary to be seen',
                 lambda: found(b'\n'.join(self.watch.data.copy()), known) == ['idempotency key'])
        for name, data in places.items():
            with self.subTest(name):
                self.assertIn(b'etcdone', data)  # this is where we think we look
                self.assertEqual(found(data, known), [])
        print(f'{len(known)} secrets in none of {len(places)} places and {len(self.watch.pids)} processes')

    def test_A8_control_what_is_planted_is_found(self):
        secret = secrets.token_bytes(32)
        for form in (secret, secret.hex().encode(), base64.b64encode(secret), base64.urlsafe_b64encode(b'xx' + secret + b'y')):
            self.assertEqual(found(b'before ' + form + b' behind', {'canary': secret}), ['canary'])
        self.assertEqual(found(secrets.token_bytes(1 << 20), {'canary': secret}), [])

    def cores(self):
        return set(self.world.service.folder.glob('*core*')) | set(self.world.service.state.glob('*core*'))

    def no_limit_is_enough(self, pid):
        """The limit is zero; and lifted, where this machine lets root do that, it makes no difference, because the process
        is not dumpable."""
        self.assertEqual(resource.prlimit(pid, resource.RLIMIT_CORE), (0, 0))
        try:
            resource.prlimit(pid, resource.RLIMIT_CORE, UNLIMITED)
        except PermissionError:
            print('the limit of cores cannot be lifted here: that it binds is all that is shown')
        os.kill(pid, signal.SIGSEGV)

    @unittest.skipIf(CORE_PATTERN[0] in '|/', 'cores are put elsewhere on this machine')
    def test_A8_no_process_leaves_a_core(self):
        control = subprocess.Popen(['sleep', '60'], preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CORE, UNLIMITED))
        control.send_signal(signal.SIGSEGV)
        self.assertTrue(os.WCOREDUMP(os.waitpid(control.pid, 0)[1]))
        self.assertTrue(self.cores())
        for core in self.cores():
            core.unlink()
        for part in ('signer', 'server'):
            pid = self.world.service.pid(part)
            self.no_limit_is_enough(pid)
            wait_for(f'the {part} to be gone', lambda pid=pid: not is_running(pid))
            self.admin.connection = None
            self.world.service.wait_ready()
        self.client_leaves_none()
        self.assertEqual(self.cores(), set())

    def client_leaves_none(self):
        """While it waits for an answer that does not come."""
        with socket.create_server(('127.0.0.1', 0)) as silent:
            client = subprocess.Popen([ENSIGN, 'whoami', '--server', f'https://127.0.0.1:{silent.getsockname()[1]}',
                                       '--context', self.world.service.context_file], stderr=subprocess.PIPE)
            silent.settimeout(30)
            connection, _ = silent.accept()
            with connection:  # closed, it would be an answer
                self.no_limit_is_enough(client.pid)
                status = os.waitpid(client.pid, 0)[1]
            said = client.stderr.read()
            client.stderr.close()
            self.assertEqual((os.WTERMSIG(status), os.WCOREDUMP(status)), (signal.SIGSEGV, False), said)


class Passphrase(unittest.TestCase):
    """The passphrase of the seal, and one that is wrong."""

    def test_A8_it_is_nowhere_but_in_its_file(self):
        known = {name: secrets.token_urlsafe(32).encode() for name in ('passphrase', 'wrong passphrase')}
        watch = Watch()
        self.addCleanup(watch.stop)
        with Service() as service:
            service.init_with_passphrase(known['passphrase'].decode()).start()
            service.create_cluster('vagrant-external-etcd.yaml')
            service.stop()
            passphrase = service.folder / 'passphrase'
            passphrase.write_bytes(known['wrong passphrase'])
            refused = run(ENSIGND, '--config', service.state / 'ensignd.yaml', check=False)
            self.assertNotEqual(refused.returncode, 0)
            self.assertIn('passphrase', refused.stderr)
            places = {path: path.read_bytes() for path in service.folder.rglob('*') if path.is_file()}
            self.assertEqual(found(places.pop(passphrase), known), ['wrong passphrase'])
            places |= {'refusal': (refused.stdout + refused.stderr).encode(), 'processes': b'\n'.join(watch.data.copy())}
        self.assertGreaterEqual(len(places), 8)
        self.assertIn(b'passphrase-file', places['processes'])
        self.assertEqual({str(place): found(data, known) for place, data in places.items() if found(data, known)}, {})


if __name__ == '__main__':
    unittest.main(warnings='ignore')
