"""`ensign agent` with a real service and a real etcd: renewals of all that a node has, deaths at every call, hooks that
fail, files that somebody edited, a service that is away, an identity that expired.

Certificates live an hour here, and an agent whose clock is 45 minutes ahead finds each of them due."""
import http.server
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import threading
import time
import unittest

from lib.agents import KILLED, SETS, PairReader, clock, loopback_network, pair_matches, serial
from lib.service import ENSIGN, ROOT, Client, Service, run, wait_for

EXAMPLE, CLUSTER = 'vagrant-external-etcd.yaml', 'vagrant'
EXPIRING, CONFLICT, FAILED, PENDING = 5, 6, 1, 7
KILLS_MAX = 200  # a run that ends before is not killed any more
KILLS_STEP = int(os.environ.get('KILLS_STEP', '4'))  # 1: at each call
ETCD_FILES = {'etcd-member': 'etc/etcd/pki/member', 'etcd-healthcheck-client': 'etc/etcd/pki/healthcheck-client'}
MASTER_FILES = {name: f'etc/kubernetes/pki/{name}' for name in ('apiserver', 'apiserver-kubelet-client', 'front-proxy-client')}
MASTER_CONFIGS = ('admin', 'super-admin', 'kubelet', 'controller-manager', 'scheduler')


class Agents(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.service = Service().init()
        cls.addClassCleanup(cls.service.__exit__)
        cls.service.configure('limits: {renewalsPerHour: 0}').start()  # by the service's clock nothing is due here
        cls.network = loopback_network()
        cls.service.create_cluster(EXAMPLE, [('192.168.29.', cls.network)])

    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(dir=self.service.folder))

    def enroll(self, node, *more, root=None):
        root, token = root or self.folder / node, self.folder / f'{node}.token'
        token.touch(mode=0o600)
        token.write_text(self.service.token(CLUSTER, node))
        result = run(ENSIGN, 'enroll', '--server', f'https://localhost:{self.service.port}', '--token-file', token,
                     '--root', root, '--timeout', '1s', *more, check=False)
        self.assertIn(result.returncode, (0, 7), result.stderr)
        return root

    def settings(self, root, **more):
        path = root / 'etc/ensign/agent.yaml'
        path.write_text(json.dumps({'apiVersion': 'ensign/v1', 'kind': 'Agent', **more}))

    def agent(self, root, ahead='+45m', program=ENSIGN, exit_code=0, at=None):
        environment = dict(clock(ahead), **({'ENSIGN_KILLED_AT': str(at)} if at else {}))
        process = subprocess.Popen([str(program), 'agent', '--once', '--root', root], env=environment, text=True,
                                   stderr=subprocess.PIPE)
        _, stderr = process.communicate()
        for left in pathlib.Path('/dev/shm').glob(f'*faketime_s*_{process.pid}'):  # by one that was killed
            left.unlink()
        if exit_code is not None:
            self.assertEqual(process.returncode, exit_code, stderr)
        return subprocess.CompletedProcess(process.args, process.returncode, stderr=stderr)

    def get(self, path):
        client = Client(self.service, self.service.context_file)
        status, answer, _ = client.get(path)
        client.connection.close()
        self.assertEqual(status, 200, answer)
        return answer

    def deployed(self, node):
        answer = self.get(f'/v1/clusters/{CLUSTER}/deployed?node={node}')
        return {entry['profile']: entry for item in answer['items'] for entry in item['certificates']}

    def issued(self, node):
        items = self.get(f'/v1/certificates?cluster={CLUSTER}&node={node}&limit=500')['items']
        return [(item['profile'], item['serial']) for item in items]

    def check_pair(self, root, profile, stem):
        own = root / SETS / profile
        for suffix in ('crt', 'key'):
            self.assertEqual((root / f'{stem}.{suffix}').read_bytes(), (own / f'tls.{suffix}').read_bytes(), stem)
        self.assertTrue(pair_matches((own / 'tls.crt').read_bytes(), (own / 'tls.key').read_bytes()))


class Renewal(Agents):
    def check_renewals(self, node, files, configs=()):
        root = self.enroll(node, '--lifetime', '1h')
        hooks = self.folder / 'hooks'
        hook = {'command': ['sh', '-c', 'echo run >> "$1"', 'hook', str(hooks)]}
        self.settings(root, lifetime='1h', hooks={'kubelet': 'none', 'scheduler': hook, 'controller-manager': hook},
                      health={'apiserver': 'none'})
        profiles = ['node-identity', *files, *configs]
        self.assertEqual(self.agent(root, ahead=None).stderr.count('issued'), 0)
        readers = [PairReader(root / stem) for stem in files.values()]
        seen = {profile: [] for profile in profiles}
        for turn in range(3):
            self.assertEqual(self.agent(root).stderr.count('issued'), len(profiles))
            for profile, stem in files.items():
                self.check_pair(root, profile, stem)
            for name in configs:
                self.assertIn('client-certificate-data', (root / f'etc/kubernetes/{name}.conf').read_text())
            for profile in profiles:
                seen[profile].append((serial(root / SETS / profile / 'tls.crt'),
                                      (root / SETS / profile / 'tls.key').read_bytes()))
            deployed = self.deployed(node)
            self.assertEqual({profile: deployed[profile]['serial'] for profile in profiles},
                             {profile: entries[-1][0] for profile, entries in seen.items()})
            self.assertLessEqual({entry['state'] for entry in deployed.values()}, {'installed', 'served'})
        for profile, entries in seen.items():
            self.assertEqual(len(set(number for number, _ in entries)), 3, profile)
            self.assertEqual(len(set(key for _, key in entries)), 3, profile)
        results = [reader.stop() for reader in readers]
        mixed = [lasted for _, pairs in results for lasted in pairs]
        print(f'{node}: {3 * len(profiles)} renewals; {sum(loads for loads, _ in results)} loads of {len(readers)} pairs; '
              f'{len(mixed)} mixed ones, the longest for {1e6 * max(mixed, default=0):.0f} us')
        self.assertLess(max(mixed, default=0), 0.05)
        if configs:
            self.assertEqual(hooks.read_text().count('run'), 2 * 3)
        before = self.issued(node)
        self.agent(root, ahead=None)
        self.assertEqual(self.issued(node), before, 'nothing is due')

    def test_a_host_of_etcd(self):
        self.check_renewals('etcdone', ETCD_FILES)

    def test_a_control_plane(self):
        self.check_renewals('masterone', MASTER_FILES, MASTER_CONFIGS)

    def test_killed_at_calls(self):
        """Of a whole renewal: the next run goes on with the same key."""
        root, node = self.enroll('etcdtwo', '--profile', 'etcd-member', '--lifetime', '1h'), 'etcdtwo'
        self.enroll(node, root=root)
        self.settings(root, lifetime='1h')
        self.agent(root, ahead=None)
        killed, mixed = 0, 0
        for at in range(1, KILLS_MAX, KILLS_STEP):
            before = len(self.issued(node))
            result = self.agent(root, program=KILLED, at=at, exit_code=None)
            if result.returncode == 0:
                break
            self.assertEqual(result.returncode, -signal.SIGKILL, result.stderr)
            killed += 1
            stem = root / ETCD_FILES['etcd-member']
            mixed += not pair_matches(stem.with_suffix('.crt').read_bytes(), stem.with_suffix('.key').read_bytes())
            self.assertTrue((root / SETS / 'etcd-member/tls.crt').exists())
            asked = len(self.issued(node)) - before
            ended = (root / SETS / '.done/etcd-member').read_text() == serial(root / SETS / 'etcd-member/tls.crt')
            self.agent(root)
            self.check_pair(root, 'etcd-member', ETCD_FILES['etcd-member'])
            if asked and not ended:
                self.assertLessEqual(len(self.issued(node)) - before, 2)
            self.assertEqual(self.deployed(node)['etcd-member']['serial'], serial(f'{stem}.crt'))
        self.assertLess(at, KILLS_MAX - KILLS_STEP)
        self.assertGreater(killed, 20 // KILLS_STEP)
        self.assertLessEqual(mixed, 1, 'only between the two renames')
        left = sorted(path.name for path in (root / SETS).glob('.*'))
        self.assertEqual(left, ['.done'])
        print(f'killed {killed} times; a mixed pair was left {mixed} times, until the next run')


class Trouble(Agents):
    def test_expired_identity(self):
        root = self.enroll('etcdthree', '--lifetime', '1h')
        result = self.agent(root, ahead='+2h', exit_code=EXPIRING)
        self.assertIn('ensign token create --cluster CLUSTER --node etcdthree', result.stderr)

    def test_expired_certificate_does_not_hold_up_others(self):
        root = self.enroll('mastertwo', '--profile', 'apiserver', '--lifetime', '1h')
        self.enroll('mastertwo', root=root)
        result = self.agent(root, ahead='+2h', exit_code=EXPIRING)
        self.assertIn('apiserver: it has expired', result.stderr)
        self.assertEqual(self.deployed('mastertwo')['apiserver']['state'], 'failed')
        self.assertEqual(self.deployed('mastertwo')['admin']['state'], 'installed')

    def test_edited_file_is_left_alone(self):
        root = self.enroll('workerone', '--lifetime', '1h')
        self.settings(root, lifetime='1h', hooks={'kubelet': 'none'})
        self.agent(root, ahead=None)
        conf = root / 'etc/kubernetes/kubelet.conf'
        original, before = conf.read_bytes(), self.issued('workerone')
        edited = original.replace(b'https://', b'https://other-')
        conf.write_bytes(edited)
        result = self.agent(root, exit_code=CONFLICT)
        self.assertIn('it was changed, or is from somebody else', result.stderr)
        self.assertEqual(conf.read_bytes(), edited)
        after = self.issued('workerone')
        self.assertEqual({profile for profile, _ in set(after) - set(before)}, {'node-identity'}, 'the other goes on')
        self.assertEqual(self.deployed('workerone')['kubelet']['state'], 'failed')
        conf.write_bytes(original)
        self.agent(root)
        self.assertNotEqual(conf.read_bytes(), original)
        self.assertEqual(self.deployed('workerone')['kubelet']['state'], 'installed')

    def test_what_only_init_needs_may_go(self):
        root = self.enroll('masterone')
        for gone in ('super-admin', 'admin'):  # the second: the control
            shutil.rmtree(root / 'etc/ensign/node' / gone)
            (root / f'etc/kubernetes/{gone}.conf').unlink()
            result = self.agent(root, ahead='+0', exit_code=None)
            self.assertEqual(gone == 'admin', f'no {gone} yet' in result.stderr, result.stderr)
            self.assertFalse((root / f'etc/kubernetes/{gone}.conf').exists())

    def test_removed_file_comes_back(self):
        """Nothing is due: what is said to be installed has to be there."""
        root = self.enroll('workerone')
        self.settings(root, hooks={'kubelet': 'none'})
        self.agent(root, ahead=None)
        conf, issued = root / 'etc/kubernetes/kubelet.conf', self.issued('workerone')
        content, mode = conf.read_bytes(), conf.stat().st_mode
        conf.unlink()
        self.agent(root, ahead=None)
        self.assertEqual((content, mode), (conf.read_bytes(), conf.stat().st_mode))
        conf.write_bytes(content.replace(b'https://', b'https://other-'))
        self.agent(root, ahead=None, exit_code=CONFLICT)
        self.assertEqual('failed', self.deployed('workerone')['kubelet']['state'])
        conf.write_bytes(content)
        self.agent(root, ahead=None)
        self.assertEqual('installed', self.deployed('workerone')['kubelet']['state'])
        self.assertEqual(issued, self.issued('workerone'))

    def test_failing_hook_is_run_again(self):
        root, ran = self.enroll('masterthree', '--lifetime', '1h'), self.folder / 'ran'
        for script, codes in (('echo cannot do it; exit 4', [FAILED]), ('echo run >> "$1"', [0, PENDING])):
            self.settings(root, lifetime='1h', health={'apiserver': 'none'}, hooks={
                'kubelet': 'none', 'controller-manager': 'none', 'scheduler': {'command': ['sh', '-c', script, 'hook', str(ran)]}})
            self.assertIn(self.agent(root, exit_code=None).returncode, codes)  # another may have sa.key
        self.assertEqual(ran.read_text(), 'run\n')
        self.assertEqual(self.deployed('masterthree')['scheduler']['state'], 'installed')
        numbers = [number for profile, number in self.issued('masterthree') if profile == 'scheduler']
        self.assertEqual(len(numbers), 2, 'the one that failed was finished, not replaced')

    def update(self, *changes):
        text = (ROOT / 'policies/examples' / EXAMPLE).read_text()
        for old, new in [('192.168.29.', self.network), *changes]:
            text = text.replace(old, new)
        path = self.folder / 'cluster.yaml'
        path.write_text(text)
        run(ENSIGN, 'cluster', 'update', '-f', path, '--context', self.service.context_file)

    def test_kubeconfigs_follow_the_endpoint(self):
        """Once it can be used, and then without being told"""
        root, ran = self.enroll('workerone'), self.folder / 'ran'
        self.settings(root, hooks={'kubelet': {'command': ['touch', str(ran)]}})
        self.agent(root, ahead=None)
        conf, before = root / 'etc/kubernetes/kubelet.conf', self.issued('workerone')
        silent = type('Silent', (http.server.BaseHTTPRequestHandler,), {'log_message': lambda *_: None})
        server = http.server.ThreadingHTTPServer((f'{self.network}82', 0), silent)
        self.addCleanup(server.server_close)
        endpoint = '{}:{}'.format(*server.server_address)
        self.addCleanup(self.update)
        self.update((f'controlPlaneEndpoint: {self.network}81:6443', f'controlPlaneEndpoint: {endpoint}'))
        self.assertNotIn(endpoint, conf.read_text())
        self.assertIn(f'until https://{endpoint} can be used', self.agent(root, ahead=None, exit_code=PENDING).stderr)
        self.assertNotIn(endpoint, conf.read_text())
        self.assertFalse(ran.exists())
        pki, context = self.enroll('masterone') / 'etc/kubernetes/pki', ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pki / 'apiserver.crt', pki / 'apiserver.key')
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.shutdown)
        self.agent(root, ahead=None)
        self.assertIn(f'https://{endpoint}', conf.read_text())
        self.assertTrue(ran.exists())
        self.assertEqual(self.issued('workerone'), before, 'the certificate is the same')

    def organizations(self, root, profile):
        subject = run('openssl', 'x509', '-noout', '-subject', '-nameopt', 'sep_multiline', '-in',
                      root / SETS / profile / 'tls.crt').stdout
        return re.findall(r'\bO=(.*)', subject)

    def test_certificates_follow_the_version(self):
        """Those that are others in the new version are replaced without being asked for, and no others; what only
        `kubeadm init` of the new version has does not come, and nobody misses it."""
        def at(version):
            self.update(('kubernetesVersion: "1.35"', f'kubernetesVersion: "{version}"'))
        self.addCleanup(self.update)
        at('1.28')
        root = self.enroll('masterone')
        self.settings(root, health={'apiserver': 'none'},
                      hooks=dict.fromkeys(('kubelet', 'scheduler', 'controller-manager'), 'none'))
        self.agent(root, ahead=None)
        masters, admins, client = ['system:masters'], ['kubeadm:cluster-admins'], 'apiserver-kubelet-client'
        self.assertEqual((masters, masters), (self.organizations(root, 'admin'), self.organizations(root, client)))
        for version, replaced, expected in (('1.29', {'admin', client}, (admins, admins)), ('1.30', set(), (admins, admins)),
                                            ('1.37', {client}, (admins, []))):
            before, conf = self.issued('masterone'), (root / 'etc/kubernetes/admin.conf').read_text()
            at(version)
            self.agent(root, ahead=None)
            self.assertEqual(replaced, {profile for profile, _ in set(self.issued('masterone')) - set(before)}, version)
            self.assertEqual(expected, (self.organizations(root, 'admin'), self.organizations(root, client)), version)
            self.assertEqual('admin' in replaced, conf != (root / 'etc/kubernetes/admin.conf').read_text())
            self.check_pair(root, client, f'etc/kubernetes/pki/{client}')
        self.assertFalse((root / 'etc/kubernetes/super-admin.conf').exists())
        rows = run(ENSIGN, 'cluster', 'certificates', CLUSTER, '--node', 'masterone', '--context', self.service.context_file).stdout
        self.assertEqual({'ok'}, {row.split()[2] for row in rows.splitlines()[1:] if row.split()[0] == 'masterone'}, rows)

    def test_waits_for_its_turn_to_restart(self):
        root, other, ran = self.enroll('masterone', '--lifetime', '1h'), self.enroll('mastertwo'), self.folder / 'ran'
        self.settings(root, lifetime='1h', health={'apiserver': 'none'}, hooks={
            'kubelet': 'none', 'controller-manager': 'none', 'scheduler': {'command': ['touch', str(ran)]}})
        self.agent(root, ahead=None, exit_code=None)
        context = self.folder / 'mastertwo.context'
        identity = other / SETS / 'node-identity'
        context.write_text(json.dumps({'certificate': (identity / 'tls.crt').read_text(),
                                       'key': (identity / 'tls.key').read_text()}))
        client, lease = Client(self.service, context), f'/v1/clusters/{CLUSTER}/leases/control-plane'
        self.assertEqual(client.post(lease, {'lifetime_seconds': 60})[0], 200)
        result = self.agent(root, exit_code=PENDING)
        self.assertIn('scheduler: waits for its turn to restart', result.stderr)
        self.assertEqual(self.deployed('masterone')['scheduler']['state'], 'waiting-restart')
        self.assertEqual(self.deployed('masterone')['admin']['state'], 'installed', 'others are not held up')
        self.assertFalse(ran.exists())
        self.assertEqual(client.post(f'{lease}/release', {'healthy': True})[0], 200)
        client.connection.close()
        self.agent(root, ahead=None, exit_code=None)
        self.assertTrue(ran.exists())
        self.assertEqual(self.deployed('masterone')['scheduler']['state'], 'installed')


class Living(Agents):
    """Certificates that live for a minute, etcd that serves them, and a service that goes away when they are due."""

    def start_etcd(self, root):
        address, pki = f'{self.network}61', root / 'etc/etcd/pki'
        url, peer = f'https://{address}:2379', f'https://{address}:2380'
        log = open(self.folder / 'etcd.log', 'wb')
        process = subprocess.Popen(
            ['etcd', '--name', 'one', '--data-dir', self.folder / 'data', '--listen-client-urls', url,
             '--advertise-client-urls', url, '--listen-peer-urls', peer, '--initial-advertise-peer-urls', peer,
             '--initial-cluster', f'one={peer}', '--client-cert-auth', '--trusted-ca-file', pki / 'ca.crt',
             '--cert-file', pki / 'member.crt', '--key-file', pki / 'member.key', '--peer-client-cert-auth',
             '--peer-trusted-ca-file', pki / 'ca.crt', '--peer-cert-file', pki / 'member.crt', '--peer-key-file',
             pki / 'member.key', '--logger', 'zap'], stdout=log, stderr=log)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        wait_for('etcd to listen', lambda: self.shown() is not None)

    def shown(self):
        """The serial that etcd shows; None: no handshake."""
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
        try:
            with socket.create_connection((f'{self.network}61', 2379), timeout=5) as raw, tls.wrap_socket(raw) as wrapped:
                der = wrapped.getpeercert(binary_form=True)
        except OSError:
            return None
        pem = ssl.DER_cert_to_PEM_cert(der)
        return run('openssl', 'x509', '-noout', '-serial', input=pem).stdout.strip().split('=')[1].lower()

    def handshakes(self, until):
        """Until the condition holds: (handshakes, those that failed, those that failed twice in a row)"""
        count = failed = twice = 0
        last, end = True, time.monotonic() + 70
        while not until():
            self.assertLess(time.monotonic(), end, (self.folder / 'agent.log').read_text())
            good = self.shown() is not None
            count, failed, twice = count + 1, failed + (not good), twice + (not good and not last)
            last = good
        return count, failed, twice

    def test_renewed_when_the_service_asks(self):
        root = self.enroll('workerone')
        self.settings(root, hooks={'kubelet': 'none'})
        conf = root / 'etc/kubernetes/kubelet.conf'
        with open(self.folder / 'agent.log', 'wb') as log:
            agent = subprocess.Popen([ENSIGN, 'agent', '--root', root], stderr=log)
        self.addCleanup(agent.kill)
        wait_for('the first report', lambda: 'kubelet' in self.deployed('workerone'))
        wait_for('it to wait for work', lambda: b'\nensign_agents_waiting 1' in self.get('/metrics'))
        before, asked = conf.read_bytes(), time.monotonic()
        self.service.ensign('rotate', CLUSTER, '--node', 'workerone', '--profile', 'kubelet')
        wait_for('the renewal', lambda: conf.read_bytes() != before, 15)
        print(f'renewed {time.monotonic() - asked:.1f} s after it was asked for')
        wait_for('the report', lambda: self.deployed('workerone')['kubelet']['serial'] ==
                 serial(root / SETS / 'kubelet/tls.crt'))
        self.assertEqual([profile for profile, _ in self.issued('workerone')].count('kubelet'), 2, 'once')
        agent.terminate()
        self.assertEqual(agent.wait(timeout=10), 0)

    def test_a_minute(self):
        root = self.enroll('etcdone', '--lifetime', '60s')
        started = time.time()
        self.settings(root, lifetime='60s')
        first = serial(root / 'etc/etcd/pki/member.crt')
        self.start_etcd(root)
        metrics = self.folder / 'agent.prom'
        with open(self.folder / 'agent.log', 'wb') as log:
            agent = subprocess.Popen([ENSIGN, 'agent', '--root', root, '--metrics-file', metrics], stderr=log)
        self.addCleanup(agent.kill)
        wait_for('the first report', lambda: self.deployed('etcdone').get('etcd-member', {}).get('state') == 'served')
        self.service.stop()
        wait_for('the certificate to be due', lambda: time.time() > started + 41)
        self.assertEqual(serial(root / 'etc/etcd/pki/member.crt'), first)
        self.service.start()
        result = self.handshakes(lambda: (self.shown() or first) != first)
        print(f'renewed {time.time() - started:.0f} s into a life of 60 s, the service being back since 41 s; '
              'handshakes, failed, failed twice:', *result)
        self.assertEqual(result[2], 0)
        now = serial(root / 'etc/etcd/pki/member.crt')
        wait_for('the report', lambda: self.deployed('etcdone')['etcd-member'].get('served_serial') == now)
        self.assertIn('ensign_agent_renewals_total', metrics.read_text())
        asked = time.monotonic()
        agent.terminate()
        self.assertEqual(agent.wait(timeout=10), 0)
        self.assertLess(time.monotonic() - asked, 2)
        log = (self.folder / 'agent.log').read_text()
        self.assertNotIn('PRIVATE KEY', log)
        self.assertIn('etcd-member: issued', log)


if __name__ == '__main__':
    unittest.main(verbosity=2)
