"""A control plane of policies/examples/vagrant-external-etcd.yaml that runs on certificates from Ensign: three real etcd
members, HAProxy, and kube-apiserver, kube-controller-manager and kube-scheduler with the options that kubeadm gives them
where the CA is external. The addresses are moved to a loopback network."""
import json
import pathlib
import random
import re
import subprocess
import uuid

from lib import kubernetes
from lib.service import Client, Service, free_port, run, wait_for

EXAMPLE, NETWORK = 'vagrant-external-etcd.yaml', '192.168.29'
MEMBERS = {'etcdone': 61, 'etcdtwo': 62, 'etcdthree': 63}
MASTER, BALANCER = 51, 81
PKI, ETCD_PKI = '/etc/kubernetes/pki/', '/etc/etcd/pki/'
PROGRAMS = ['etcd', 'etcdctl', 'haproxy', 'curl']


def loopback_network():
    """Three bytes of a network in which nobody uses the port of the API server, which is in the kubeconfigs."""
    while True:
        network = f'127.{random.randrange(1, 255)}.{random.randrange(1, 255)}'
        if all(free(f'{network}.{host}', 6443) for host in (MASTER, BALANCER)):
            return network


def free(address, port):
    try:
        free_port(address, port)
    except OSError:
        return False
    return True


class Programs:
    """What was started, to be stopped: the last first."""

    def __init__(self, folder):
        self.folder, self.running = folder, {}

    def start(self, name, *command, cwd=None):
        with open(self.folder / f'{name}.log', 'ab') as log:
            self.running[name] = subprocess.Popen([str(word) for word in command], stdout=log, stderr=log,
                                                  stdin=subprocess.DEVNULL, cwd=cwd or self.folder)

    def stop(self, name):
        process = self.running.pop(name)
        process.terminate()
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def stop_all(self):
        for name in reversed(list(self.running)):
            self.stop(name)

    def wait(self, what, condition, seconds=60):
        """As wait_for(), but not longer than all of them run."""
        def happened():
            for name, process in self.running.items():
                if process.poll() is not None:
                    tail = (self.folder / f'{name}.log').read_text(errors='replace')[-3000:]
                    raise AssertionError(f'{name} ended with {process.returncode}:\n{tail}')
            return condition()
        return wait_for(what, happened, seconds)


class ControlPlane:
    replaced = []  # what differs from the example

    def __init__(self):
        self.network = loopback_network()
        self.service = Service().init()
        self.programs = Programs(self.service.folder)
        self.hosts = {}
        self.client_ports = {name: free_port(self.address(host)) for name, host in MEMBERS.items()}

    def close(self):
        self.programs.stop_all()
        self.service.__exit__()

    def address(self, host):
        return f'{self.network}.{host}'

    def start(self):
        self.service.start()
        cluster, self.catalogue = kubernetes.example_cluster(self.service, EXAMPLE,
                                                             [(NETWORK + '.', self.network + '.'), *self.replaced])
        for name in [*MEMBERS, 'masterone']:
            self.place(name)
        self.master = self.hosts['masterone']
        self.start_etcd()
        self.write_options(cluster)
        self.start_balancer()
        self.start_kubernetes()
        return self

    def place(self, name, *more):
        holder = self.hosts.get('masterone')
        self.hosts[name] = kubernetes.Host(self.service.folder / name)
        kubernetes.enrol(self.service, self.catalogue['cluster'], name, self.hosts[name].root, holder and holder.root,
                         more)
        return self.hosts[name]

    def start_etcd(self):
        peers = {name: f'https://{self.address(host)}:{free_port(self.address(host))}' for name, host in MEMBERS.items()}
        for name in MEMBERS:
            member = self.hosts[name].path(f'{ETCD_PKI}member.crt')
            self.start_member(name, *etcd(name, self.etcd_url(name), peers, self.service.folder / f'{name}.data', member,
                                          member.with_name('ca.crt')))
        self.programs.wait('etcd to be healthy', lambda: self.etcd_healthy(*map(self.etcd_url, MEMBERS)))

    def start_member(self, name, *command):
        self.programs.start(name, *command)

    def etcd_url(self, name):
        return f'https://{self.address(MEMBERS[name])}:{self.client_ports[name]}'

    def etcd_healthy(self, *urls, client=f'{PKI}apiserver-etcd-client', ca=f'{PKI}etcd/ca.crt'):
        return run('etcdctl', 'endpoint', 'health', '--endpoints', ','.join(urls), '--cacert', self.master.path(ca),
                   '--cert', self.master.path(f'{client}.crt'), '--key', self.master.path(f'{client}.key'),
                   check=False).returncode == 0

    def write_options(self, cluster):
        """Lets kubeadm write the options. It wants no loopback address: these come afterwards."""
        original = json.loads(json.dumps(cluster).replace(self.network + '.', NETWORK + '.'))
        self.master.configure(original, self.catalogue)
        self.master.kubeadm('init', 'phase', 'control-plane', 'all')

    def options(self, program, **more):
        """Of the manifest; more: options that differ"""
        text = self.master.path(f'/etc/kubernetes/manifests/{program}.yaml').read_text()
        found = dict(re.findall(r'^ +- --([a-z-]+)=(.*)$', text, re.M))
        moved = {option: value.replace(NETWORK + '.', self.network + '.').replace('/etc/', f'{self.master.root}/etc/')
                 for option, value in found.items()}
        moved |= {option.replace('_', '-'): value for option, value in more.items()}
        return [f'--{option}={value}' for option, value in moved.items()]

    def start_balancer(self):
        """Passes TCP on, as the example's load balancer does."""
        file = self.service.folder / 'haproxy.cfg'
        file.write_text(f'defaults\n mode tcp\n timeout connect 5s\n timeout client 1m\n timeout server 1m\n'
                        f'listen kubernetes\n bind {self.address(BALANCER)}:6443\n'
                        f' server masterone {self.address(MASTER)}:6443\n')
        self.programs.start('haproxy', 'haproxy', '-db', '-f', file)

    def start_kubernetes(self):
        folder = self.service.folder
        policy = folder / 'audit-policy.json'
        policy.write_text(json.dumps({'apiVersion': 'audit.k8s.io/v1', 'kind': 'Policy', 'rules': [{'level': 'Metadata'}]}))
        self.audit_log = folder / 'audit.log'
        # No Endpoints for the Service "kubernetes": they may not be loopback addresses.
        self.run('kube-apiserver', bind_address=self.address(MASTER), endpoint_reconciler_type='none',
                 authorization_mode='Webhook,Node,RBAC', authorization_webhook_version='v1',
                 authorization_webhook_config_file=self.webhook(folder / 'webhook.conf'), audit_policy_file=policy, audit_log_path=self.audit_log,
                 etcd_servers=','.join(map(self.etcd_url, MEMBERS)))
        self.programs.wait('kube-apiserver to be ready',
                           lambda: self.kubectl('admin', 'get', '--raw', '/readyz', check=False).stdout == 'ok')
        for program in ('kube-controller-manager', 'kube-scheduler'):
            port = free_port()
            self.run(program, secure_port=port, cert_dir=folder / f'{program}.tls')
            self.programs.wait(f'{program} to be healthy', lambda: self.healthy(port))

    def webhook(self, path):
        """The kubeconfig with which the API server asks the service who was revoked: as its node."""
        identity = self.master.path('/etc/ensign/node/node-identity')
        path.write_text(json.dumps({
            'apiVersion': 'v1', 'kind': 'Config', 'current-context': 'this',
            'clusters': [{'name': 'this', 'cluster': {
                'server': f'https://localhost:{self.service.port}/v1/clusters/vagrant/subjectaccessreview',
                'certificate-authority': str(identity / 'ca.crt')}}],
            'contexts': [{'name': 'this', 'context': {'cluster': 'this', 'user': 'this'}}],
            'users': [{'name': 'this', 'user': {'client-certificate': str(identity / 'tls.crt'),
                                                'client-key': str(identity / 'tls.key')}}]}))
        return path

    def reviews(self):
        """How often the webhook was asked, by status."""
        text = Client(self.service, self.service.context_file).get('/metrics')[1].decode()
        return dict(re.findall(r'_count\{route="[^"]*/subjectaccessreview",method="POST",code="(\d+)"\} (\d+)', text))

    def run(self, program, **more):
        self.programs.start(program, kubernetes.BIN / program, *self.options(program, **more))

    def healthy(self, port):
        return run('curl', '-sk', f'https://127.0.0.1:{port}/healthz', check=False).stdout == 'ok'

    def publish(self):
        """Stores in the cluster what kubeadm reads when another control plane joins."""
        self.master.kubeadm('init', 'phase', 'upload-config', 'all')
        self.master.kubeadm('init', 'phase', 'bootstrap-token', '--skip-token-print')

    def configure_join(self, host, name):
        """discovery.conf: how kubeadm finds the cluster"""
        discovery = '/etc/kubernetes/discovery.conf'
        host.path(discovery).write_bytes(self.master.path('/etc/kubernetes/admin.conf').read_bytes())
        host.path('/kubeadm.yaml').write_text(json.dumps({
            'apiVersion': self.catalogue['kubeadm_api'], 'kind': 'JoinConfiguration',
            'discovery': {'file': {'kubeConfigPath': discovery}},
            'nodeRegistration': {'name': name, 'criSocket': kubernetes.CRI_SOCKET},
            'controlPlane': {'localAPIEndpoint': {'advertiseAddress': f'{NETWORK}.52', 'bindPort': 6443}}}))

    def kubectl(self, who, *arguments, check=True, **more):
        """who: the name of a kubeconfig, or its path"""
        config = who if isinstance(who, pathlib.Path) else self.master.path(f'/etc/kubernetes/{who}.conf')
        return run(kubernetes.BIN / 'kubectl', '--kubeconfig', config, *arguments, check=check, **more)

    def create(self, who, document, check=True):
        return self.kubectl(who, 'create', '-f', '-', check=check, input=json.dumps(document))

    def curl(self, path, *options, client=None):
        """(status, body) of the API server's answer to whom it takes for the client of this certificate."""
        identity = ['--cert', self.master.path(f'{client}.crt'), '--key', self.master.path(f'{client}.key')]
        out = run('curl', '-sS', '--cacert', self.master.path(f'{PKI}ca.crt'), *(identity if client else []), *options,
                  '-w', '\n%{http_code}', f'https://{self.address(BALANCER)}:6443{path}').stdout
        body, status = out.rsplit('\n', 1)
        return int(status), body

    def seen(self, ask):
        """(user, groups) of who asks, in the audit log. ask: takes the path that is to be asked for"""
        mark = uuid.uuid4().hex
        ask(f'/version?{mark}')
        def event():
            for line in self.audit_log.read_text().splitlines():
                if mark in line and line.endswith('}'):
                    return json.loads(line)['user']
        user = self.programs.wait('the audit log', event)
        return user['username'], sorted(user['groups'])


def etcd(name, url, peers, data, certificate, ca):
    key = certificate.with_suffix('.key')
    return ['etcd', '--name', name, '--data-dir', data, '--listen-client-urls', url, '--advertise-client-urls', url,
            '--listen-peer-urls', peers[name], '--initial-advertise-peer-urls', peers[name],
            '--initial-cluster', ','.join(f'{peer}={peers[peer]}' for peer in peers),
            '--client-cert-auth', '--trusted-ca-file', ca, '--cert-file', certificate, '--key-file', key,
            '--peer-client-cert-auth', '--peer-trusted-ca-file', ca, '--peer-cert-file', certificate,
            '--peer-key-file', key, '--logger', 'zap']
