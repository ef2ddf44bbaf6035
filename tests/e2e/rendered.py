#!/usr/bin/env python3
"""The files of client/render/ in the programs that read them: HAProxy, nginx, keepalived, containerd, systemd, and an etcd
cluster of three members that runs on them, as its own user, with keys of root. Each has a control, a file of which little is
wrong and which that program must refuse. kubeadm's are in tests/e2e/kubernetes/configuration.py; what no program here reads
(CRI-O, kube-vip) is in tests/golden/rendered/ only."""
import json
import os
import pathlib
import pwd
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

import yaml

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from lib import kubernetes
from lib.control_plane import Programs
from lib.service import BUILD, ROOT, Service, run

EXAMPLES = {name: ROOT / f'policies/examples/{name}.yaml' for name in
            ('vagrant-external-etcd', 'nginx-keepalived-external-etcd', 'haproxy-stacked-etcd')}
BRIDGE = ROOT / 'tests/golden/kube-vip-bridge.yaml'
VERSIONS = ('1.20', '1.28', '1.29', '1.31', '1.37')
# Moved to loopback addresses: a peer comes from 127.0.0.1 then, which is in its certificate, too.
NETWORK, MOVED = '192.168.29.', '127.29.29.'
MEMBERS = {'etcdone': f'{MOVED}61', 'etcdtwo': f'{MOVED}62', 'etcdthree': f'{MOVED}63'}
PKI = '/etc/etcd/pki'
kubernetes.own_network()
run('ip', 'link', 'add', 'eth0', 'type', 'veth', 'peer', 'name', 'other')  # the examples' interface, which keepalived looks for


def rendered(cluster, version='1.31', *words):
    """{(node, path): text}"""
    files = json.loads(run(BUILD / 'tests/golden/rendered', cluster, version, *words).stdout)
    return {(file['node'], file['path']): file['text'] for file in files}


def of_path(files, path):
    return [text for (_, where), text in files.items() if where == path]


def skips_without(program):
    """In CI that is a failure."""
    return unittest.skipUnless(shutil.which(program) or os.environ.get('CI'), f'no {program}')


class Rendered(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))

    def enterContext(self, manager):  # Python 3.11 has it
        value = manager.__enter__()
        self.addCleanup(manager.__exit__, None, None, None)
        return value

    def write(self, name, text):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def taken(self, text, *command):
        """(whether the program takes the file, what it says); the file stands where the command has FILE."""
        path = self.write('file', text)
        result = run(*[path if word == 'FILE' else word for word in command], check=False)
        return result.returncode == 0, result.stdout + result.stderr

    def assert_taken(self, texts, *command, wrong):
        """wrong: {from: to}, each of which must make the program refuse the first text."""
        self.assertTrue(texts)
        for text in texts:
            self.assertTrue(*self.taken(text, *command))
        for before, after in wrong.items():
            self.assertIn(before, texts[0])
            self.assertFalse(self.taken(texts[0].replace(before, after), *command)[0], f'taken: {after}')

    @skips_without('haproxy')
    def test_haproxy(self):
        texts = of_path(rendered(EXAMPLES['vagrant-external-etcd']), '/etc/haproxy/haproxy.cfg')
        texts += of_path(rendered(EXAMPLES['haproxy-stacked-etcd']), '/etc/haproxy/haproxy.cfg')
        self.assertEqual(len(texts), 2)
        # Without the time limits it only warns, as of the original of the stacked example.
        self.assert_taken(texts, 'haproxy', '-c', '-dW', '-f', 'FILE',
                          wrong={'balance roundrobin': 'balance roundrobbing', '  timeout client 10m\n': ''})

    @skips_without('nginx')
    def test_nginx(self):
        texts = of_path(rendered(EXAMPLES['nginx-keepalived-external-etcd']), '/etc/nginx/nginx.conf')
        texts = [text.replace('/run/nginx.pid', f'{self.folder}/pid').replace('/var/log/nginx', str(self.folder))
                 for text in texts]
        self.assertEqual(len(texts), 2)
        self.assert_taken(texts, 'nginx', '-t', '-c', 'FILE',
                          wrong={'include /etc/nginx/modules-enabled/*.conf;\n': '', 'proxy_timeout': 'proxytimeout'})

    @skips_without('keepalived')
    def test_keepalived(self):
        files = rendered(EXAMPLES['nginx-keepalived-external-etcd'])
        texts = of_path(files, '/etc/keepalived/keepalived.conf')
        self.assertEqual([re.search(r'priority (\d+)', text).group(1) for text in texts], ['101', '100'])
        self.assert_taken(texts, 'keepalived', '-t', '-f', 'FILE',
                          wrong={'virtual_router_id 70': 'virtual_router_id 300', 'track_script': 'track_scripts'})
        # The script is a program and no link to one that does other things by another name.
        script = re.search(r'script "(\S+)', texts[0]).group(1)
        self.assertEqual(os.path.realpath(script).rsplit('/', 1)[1], script.rsplit('/', 1)[1])

    @skips_without('containerd')
    def test_containerd(self):
        text = of_path(rendered(BRIDGE), '/etc/containerd/config.toml')[0]
        taken, dump = self.taken(text, 'containerd', '--config', 'FILE', 'config', 'dump')
        self.assertTrue(taken, dump)
        for setting in ['SystemdCgroup = false', 'sandbox_image = "registry.example.com/pause:3.9"',
                        'bin_dir = "/usr/lib/cni"', 'address = "/run/containerd/containerd.sock"']:
            self.assertIn(setting, dump)
        example = of_path(rendered(EXAMPLES['vagrant-external-etcd']), '/etc/containerd/config.toml')[0]
        self.assertIn('SystemdCgroup = true', self.taken(example, 'containerd', '--config', 'FILE', 'config', 'dump')[1])
        # Its default is another one: what the file says has reached it.
        self.assertIn('SystemdCgroup = false', self.taken('version = 2\n', 'containerd', '--config', 'FILE', 'config',
                                                          'dump')[1])
        self.assertFalse(self.taken(text.replace('[grpc]', '[grpc'), 'containerd', '--config', 'FILE', 'config', 'dump')[0])

    def verified(self, unit):
        result = run('systemd-analyze', 'verify', unit, check=False)
        return result.returncode == 0 and not result.stdout + result.stderr

    @skips_without('systemd-analyze')
    def test_units(self):
        routes = of_path(rendered(BRIDGE), '/etc/systemd/system/ensign-pod-routes.service')
        self.assertEqual(len(routes), 3)
        for text in routes:
            self.assertTrue(self.verified(self.write('routes.service', text)))
        self.assertFalse(self.verified(self.write('wrong.service', routes[0].replace('RemainAfterExit', 'RemainAfter'))))
        package = '[Service]\nEnvironmentFile=-/etc/default/%p\nType=notify\nUser=root\nExecStart=/usr/bin/env true\n'
        drop_in = of_path(rendered(EXAMPLES['vagrant-external-etcd']), '/etc/systemd/system/etcd.service.d/ensign.conf')[0]
        for wrong in (False, True):
            unit = self.write(f'{wrong}/etcd.service', package)
            text = drop_in.replace('AmbientCapabilities', 'AmbientCapability') if wrong else drop_in
            self.write(f'{wrong}/etcd.service.d/ensign.conf', text)
            self.assertEqual(self.verified(unit), not wrong)

    def test_yaml(self):
        """YAML 1.1, which Kubernetes reads, gives every text as a text, and arguments in the form of their version."""
        for cluster in [*EXAMPLES.values(), BRIDGE]:
            for version in VERSIONS:
                files = rendered(cluster, version, 'token')
                texts = of_path(files, '/etc/kubernetes/kubeadm.yaml') + \
                    of_path(files, '/etc/kubernetes/manifests/kube-vip.yaml') + of_path(files, '/etc/crictl.yaml')
                for text in texts:
                    for document in yaml.safe_load_all(text):
                        self.check_document(document, version)

    def check_document(self, document, version):
        if 'kind' not in document:
            return self.assertEqual(document['timeout'], 10)
        for arguments in found(document, ('extraArgs', 'kubeletExtraArgs')):
            if int(version[2:]) >= 31:
                self.assertTrue(all(set(argument) == {'name', 'value'} for argument in arguments))
                arguments = {argument['name']: argument['value'] for argument in arguments}
            self.assertTrue(all(isinstance(text, str) for text in arguments.values()), arguments)
        if document['kind'] == 'Pod':
            variables = document['spec']['containers'][0]['env']
            self.assertTrue(all(isinstance(one.get('value', ''), str) for one in variables))
        if document['kind'] == 'KubeletConfiguration':
            self.assertIs(document['rotateCertificates'], False)
        if document['kind'] in ('InitConfiguration', 'JoinConfiguration', 'ClusterConfiguration'):
            api = 'v1beta2' if int(version[2:]) < 22 else 'v1beta3' if int(version[2:]) < 31 else 'v1beta4'
            self.assertEqual(document['apiVersion'], f'kubeadm.k8s.io/{api}')


def found(value, names):
    """All members of these names, wherever they are."""
    if isinstance(value, list):
        return [one for item in value for one in found(item, names)]
    if not isinstance(value, dict):
        return []
    return [member for name, member in value.items() if name in names] + found(list(value.values()), names)


@skips_without('etcd')
class Etcd(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.service = Service().init()
        cls.addClassCleanup(cls.service.__exit__)
        cls.service.start()
        cls.programs = Programs(cls.service.folder)
        example = 'vagrant-external-etcd.yaml'
        _, catalogue = kubernetes.example_cluster(cls.service, example, [(NETWORK, MOVED)])
        cls.service.folder.chmod(0o711)  # so that only the keys are closed to etcd
        cls.files = rendered(ROOT / 'policies/examples' / example, '1.31', 'crl')
        cls.hosts = {}
        for name in MEMBERS:
            cls.hosts[name] = kubernetes.Host(cls.service.folder / name)
            kubernetes.enrol(cls.service, catalogue['cluster'], name, cls.hosts[name].root)
            shutil.copy(cls.crl(), cls.hosts[name].path(f'{PKI}/crl.der'))

    @classmethod
    def crl(cls):
        """Empty and of any CA: etcd compares serial numbers only."""
        path = cls.service.folder / 'crl.der'
        if path.exists():
            return path
        file = lambda name: cls.service.folder / f'crl.{name}'
        file('cnf').write_text(f'[ca]\ndefault_ca=any\n[any]\ndatabase={file("index")}\ndefault_md=sha256\n'
                               'default_crl_days=1\n')
        file('index').touch()
        run('openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-subj', '/CN=any',
            '-keyout', file('key'), '-out', file('crt'))
        run('openssl', 'ca', '-gencrl', '-config', file('cnf'), '-keyfile', file('key'), '-cert', file('crt'), '-out',
            file('pem'))
        run('openssl', 'crl', '-in', file('pem'), '-outform', 'der', '-out', path)
        return path

    def environment(self, name):
        """What the file says, with its paths below the host's folder."""
        text = self.files[name, '/etc/default/etcd'].replace(NETWORK, MOVED)
        lines = [line.split('=', 1) for line in text.splitlines() if not line.startswith('#')]
        data = self.service.folder / f'{name}.data'
        data.mkdir(mode=0o700, exist_ok=True)
        if os.geteuid() == 0:
            os.chown(data, *as_etcd())
        local = f'127.0.0.{1 + list(MEMBERS).index(name)}'  # three hosts are one here
        return {key: value.replace('/etc/', f'{self.hosts[name].root}/etc/').replace('/var/lib/etcd', str(data))
                .replace('127.0.0.1', local) for key, value in lines}

    def command(self, name, with_right=True):
        """etcd as the drop-in has systemd start it; without root as who runs this."""
        settings = [f'{key}={value}' for key, value in self.environment(name).items()]
        if os.geteuid() != 0:
            return ['env', *settings, 'etcd']
        right = self.files[name, '/etc/systemd/system/etcd.service.d/ensign.conf']
        self.assertIn('AmbientCapabilities=CAP_DAC_READ_SEARCH\n', right)
        capability = '+dac_read_search' if with_right else '-all'
        user, group = as_etcd()
        return ['setpriv', '--reuid', user, '--regid', group, '--clear-groups', '--no-new-privs', '--inh-caps', capability,
                '--ambient-caps', capability, 'env', *settings, 'etcd']

    def healthy(self):
        pki = self.hosts['etcdone'].path(PKI)
        endpoints = ','.join(f'https://{address}:2379' for address in MEMBERS.values())
        return run('etcdctl', 'endpoint', 'health', '--endpoints', endpoints, '--cacert', pki / 'ca.crt', '--cert',
                   pki / 'healthcheck-client.crt', '--key', pki / 'healthcheck-client.key', check=False,
                   env=dict(os.environ, ETCDCTL_API='3')).returncode == 0

    def test_members_run_on_it(self):
        self.addCleanup(self.programs.stop_all)
        for name in MEMBERS:
            self.programs.start(name, *self.command(name))
        self.programs.wait('etcd to be healthy', self.healthy)
        # Control: the file of revoked certificates is read, because without it nobody comes in.
        for host in self.hosts.values():
            host.path(f'{PKI}/crl.der').rename(host.path(f'{PKI}/gone.der'))
        self.assertFalse(self.healthy())
        for host in self.hosts.values():
            host.path(f'{PKI}/gone.der').rename(host.path(f'{PKI}/crl.der'))
        self.programs.wait('etcd to be healthy again', self.healthy)

    @unittest.skipUnless(os.geteuid() == 0, 'only root can become etcd')
    def test_the_right_to_read_is_needed(self):
        """Control: as etcd's user alone it cannot read the key."""
        result = subprocess.run([str(word) for word in self.command('etcdone', with_right=False)], capture_output=True,
                                text=True, timeout=30)
        self.assertNotEqual(result.returncode, 0)
        self.assertRegex(result.stdout + result.stderr, 'member.key: permission denied')


def as_etcd():
    """The ids of the package's user; of nobody where there is none."""
    try:
        entry = pwd.getpwnam('etcd')
    except KeyError:
        entry = pwd.getpwnam('nobody')
    return entry.pw_uid, entry.pw_gid


if __name__ == '__main__':
    unittest.main(verbosity=2)
