"""A cluster that runs on a PKI made without Ensign: kubeadm's, with its own etcd, or with an external one on cfssl's
certificates. In a network of its own (lib.kubernetes.own_network), so at the usual ports."""
import json
import re
import shutil
import ssl

import yaml

from lib import kubernetes
from lib.control_plane import ETCD_PKI, PKI, Programs, etcd
from lib.service import BUILD, Service, run, wait_for

MASTER, MEMBER, ENDPOINT = '192.0.2.10', '192.0.2.21', '192.0.2.80'
ADDRESSES = (MASTER, MEMBER, ENDPOINT)
CONF = '/etc/kubernetes/'
CONTROL_PLANE = ('kube-apiserver', 'kube-controller-manager', 'kube-scheduler')
CFSSL_CA = {'CN': 'etcd-ca', 'key': {'algo': 'rsa', 'size': 2048}, 'ca': {'expiry': '87600h'}}
CFSSL_PROFILES = {'signing': {'default': {'expiry': '8760h'}, 'profiles': {
    'member': {'expiry': '8760h', 'usages': ['signing', 'key encipherment', 'server auth', 'client auth']},
    'client': {'expiry': '8760h', 'usages': ['signing', 'key encipherment', 'client auth']}}}}


def cluster_file(topology):
    nodes = {'stacked': [('masterone', MASTER, ['control-plane', 'etcd'])],
             'external': [('etcdone', MEMBER, ['etcd']), ('masterone', MASTER, ['control-plane'])]}[topology]
    etcd_part = {'topology': topology}
    if topology == 'external':
        etcd_part['certificates'] = 'member'
    return {'apiVersion': 'ensign/v1', 'kind': 'Cluster', 'name': topology, 'kubernetesVersion': kubernetes.VERSION,
            'controlPlaneEndpoint': f'{ENDPOINT}:6443', 'etcd': etcd_part,
            'nodes': [{'name': name, 'addresses': [address], 'roles': roles} for name, address, roles in nodes]}


class Cfssl:
    """A folder with a CA of cfssl's, and what it issues, by the names that cfssl gives: ca.pem, ca-key.pem, NAME.pem…"""

    def __init__(self, folder):
        self.folder = folder
        folder.mkdir()
        (folder / 'profiles.json').write_text(json.dumps(CFSSL_PROFILES))
        self.write('ca', run('cfssl', 'gencert', '-initca', '-', input=json.dumps(CFSSL_CA)).stdout)

    def write(self, name, answer):
        made = json.loads(answer)
        (self.folder / f'{name}.pem').write_text(made['cert'])
        key = self.folder / f'{name}-key.pem'
        key.touch(mode=0o600)
        key.write_text(made['key'])

    def issue(self, name, profile, hosts=()):
        request = {'CN': name, 'hosts': list(hosts), 'key': {'algo': 'rsa', 'size': 2048}}
        self.write(name, run('cfssl', 'gencert', '-ca', self.folder / 'ca.pem', '-ca-key', self.folder / 'ca-key.pem',
                             '-config', self.folder / 'profiles.json', '-profile', profile, '-',
                             input=json.dumps(request)).stdout)

    def place(self, host, paths):
        """paths: ours -> the host's"""
        for name, path in paths.items():
            target = host.path(path)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(self.folder / name, target)


class Running:
    def __init__(self, topology):
        self.topology, self.service = topology, Service().init()
        self.programs = Programs(self.service.folder)
        self.document = cluster_file(topology)
        self.file = self.service.folder / 'cluster.yaml'
        self.file.write_text(yaml.safe_dump(self.document))
        self.catalogue = json.loads(run(BUILD / 'tests/golden/catalogue', self.file, kubernetes.VERSION).stdout)
        self.master = kubernetes.Host(self.service.folder / 'masterone')
        self.hosts = {'masterone': self.master}
        self.cfssl = None

    def close(self):
        self.programs.stop_all()
        self.service.__exit__()

    def make(self):
        """The PKI, without Ensign."""
        if self.topology == 'external':
            self.make_etcd()
        self.master.configure(self.document, self.catalogue)
        self.master.kubeadm('init', 'phase', 'certs', 'all')
        self.master.kubeadm('init', 'phase', 'kubeconfig', 'all')
        self.write_manifests()

    def make_etcd(self):
        self.cfssl = Cfssl(self.service.folder / 'cfssl')
        self.cfssl.issue('etcdone', 'member', ['etcdone', 'localhost', '127.0.0.1', MEMBER])
        self.cfssl.issue('masterone', 'client')
        self.hosts['etcdone'] = kubernetes.Host(self.service.folder / 'etcdone')
        self.cfssl.place(self.hosts['etcdone'], {'ca.pem': f'{ETCD_PKI}ca.crt', 'etcdone.pem': f'{ETCD_PKI}member.crt',
                                                 'etcdone-key.pem': f'{ETCD_PKI}member.key'})
        self.cfssl.place(self.master, {'ca.pem': f'{PKI}etcd/ca.crt', 'masterone.pem': f'{PKI}apiserver-etcd-client.crt',
                                       'masterone-key.pem': f'{PKI}apiserver-etcd-client.key'})

    def write_manifests(self):
        self.master.kubeadm('init', 'phase', 'control-plane', 'all')
        if self.topology == 'stacked':
            self.master.kubeadm('init', 'phase', 'etcd', 'local')

    def options(self, program):
        """Those of the manifest, on this host's files."""
        text = self.master.path(f'{CONF}manifests/{program}.yaml').read_text()
        moved = lambda value: re.sub('/(?=etc/|var/)', f'{self.master.root}/', value)
        return [f'--{name}={moved(value)}' for name, value in re.findall(r'^ +- --([a-z-]+)=(.*)$', text, re.M)]

    # ---- programs ----

    def start(self):
        self.start_etcd()
        self.start_api_server()
        for program, port in (('kube-controller-manager', 10257), ('kube-scheduler', 10259)):
            self.run(program)
            self.programs.wait(f'{program} to be healthy', lambda: run(
                'curl', '-sk', f'https://127.0.0.1:{port}/healthz', check=False).stdout == 'ok')

    def start_etcd(self):
        if self.topology == 'stacked':
            self.programs.start('etcd', 'etcd', *self.options('etcd'), '--logger=zap')
        else:
            member = self.hosts['etcdone'].path(f'{ETCD_PKI}member.crt')
            self.programs.start('etcd', *etcd('etcdone', f'https://{MEMBER}:2379', {'etcdone': f'https://{MEMBER}:2380'},
                                              self.service.folder / 'etcd.data', member, member.with_name('ca.crt')))
        self.programs.wait('etcd to be healthy', lambda: self.etcd_healthy(self.master))

    def etcd_healthy(self, host):
        """host: whose client certificate is used; a copy of a host will do"""
        url = f'https://{MEMBER if self.topology == "external" else MASTER}:2379'
        files = ((option, host.path(PKI + file)) for option, file in
                 (('cacert', 'etcd/ca.crt'), ('cert', 'apiserver-etcd-client.crt'), ('key', 'apiserver-etcd-client.key')))
        return run('etcdctl', 'endpoint', 'health', '--endpoints', url, *(f'--{option}={path}' for option, path in files),
                   check=False).returncode == 0

    def start_api_server(self):
        self.run('kube-apiserver')
        self.programs.wait('kube-apiserver to be ready',
                           lambda: self.kubectl(self.master, 'get', '--raw', '/readyz', check=False).stdout == 'ok')

    def run(self, program):
        self.programs.start(program, kubernetes.BIN / program, *self.options(program))

    def restart(self):
        self.programs.stop_all()
        self.start()

    def pids(self):
        return {name: process.pid for name, process in self.programs.running.items() if process.poll() is None}

    def served(self):
        """The certificates in use, PEM."""
        member = MEMBER if self.topology == 'external' else MASTER
        return [ssl.get_server_certificate((address, port)) for address, port in ((MASTER, 6443), (member, 2380))]

    def kubectl(self, host, *arguments, check=True, **more):
        """With the admin.conf of a host, or of the copy of one."""
        return run(kubernetes.BIN / 'kubectl', '--kubeconfig', host.path(f'{CONF}admin.conf'), *arguments, check=check,
                   **more)

    def ship(self, host):
        """What is stored in the object, as that admin.conf gets it; the object is made when there is none."""
        read = lambda: self.kubectl(host, 'get', 'configmap', 'ship', '-o', 'jsonpath={.data.name}', check=False)
        if 'NotFound' in read().stderr:
            self.kubectl(host, 'create', 'configmap', 'ship', '--from-literal=name=Ensign')
        return read().stdout
