"""What the benchmarks share: the load generator, CPU time and memory of processes, and the limits of the machine."""
import json
import os
import pathlib
import subprocess
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from lib.service import BUILD, Client, Service, free_port, run, wait_for
from lib.world import Token

LOAD = BUILD / 'tests/bench/load'


def cpu_seconds(pid):
    fields = pathlib.Path(f'/proc/{pid}/stat').read_text().rsplit(')', 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')


def resident_mib(pid):
    """Without the pages of files, such as the database's map."""
    status = pathlib.Path(f'/proc/{pid}/status').read_text()
    return int(status.split('RssAnon:')[1].split()[0]) / 1024


def disk_bytes(service):
    return (service.state / 'data.mdb').stat().st_blocks * 512


def limits(folder):
    """Operations a second of one core, and of the disk."""
    return json.loads(run(LOAD, '--limits', folder).stdout)


def load(pids, connections, seconds, *target):
    """pids: {name: pid} whose CPU is counted. Rate, latency in milliseconds, CPU milliseconds per certificate."""
    before = {name: cpu_seconds(pid) for name, pid in pids.items()}
    result = json.loads(run(LOAD, '--connections', connections, '--seconds', seconds, *target).stdout)
    result['rate'] = result['count'] / result['seconds']
    result['cpu'] = {name: (cpu_seconds(pid) - before[name]) * 1000 / result['count'] for name, pid in pids.items()}
    result['memory'] = {name: resident_mib(pid) for name, pid in pids.items()}
    return result


class Ensign(Service):
    """ensignd with a cluster, under the load of an admin who requests certificates for one node."""

    def __init__(self, algorithm='ecdsa-p256', connections=1024):
        super().__init__()
        self.init()
        with open(self.state / 'ensignd.yaml', 'a') as config:
            config.write(f'limits: {{connections: {connections}, connectionsPerAddress: {connections}}}\n')
        self.start()
        self.create_cluster('vagrant-external-etcd.yaml',
                            [('etcd:\n', f'keys: {{authorities: {algorithm}}}\netcd:\n')])

    def load(self, connections, seconds, *more):
        pids = {part: self.pid(part) for part in ('server', 'signer')}
        return load(pids, connections, seconds, '--port', self.port, '--context', self.context_file,
                    '--path', '/v1/clusters/vagrant/certificates', '--csr', 'csr', '--expect', 201,
                    '--body', json.dumps({'profile': 'etcd-member', 'node': 'etcdone'}), *more)


class Herd(Service):
    """ensignd with one large cluster, and tests/bench/herd for all of its nodes."""

    CLUSTER = 'herd'
    FEW = [('etcd', 3), ('control-plane', 3)]

    def __init__(self, nodes, limits='agentsWaiting: 256'):
        super().__init__()
        self.init()
        with open(self.state / 'ensignd.yaml', 'a') as config:
            config.write(f'limits: {{connections: 2000, connectionsPerAddress: 2000, {limits}}}\n')
        self.start()
        self.admin = Client(self, self.context_file)
        self.inventory = [(f'{role}-{number}', role) for role, count in self.FEW for number in range(count)]
        self.inventory += [(f'worker-{number}', 'worker') for number in range(nodes - len(self.inventory))]
        status, answer, _ = self.admin.post('/v1/clusters', {'cluster': self.document()})
        assert status == 201, answer
        self.roles = {role: self.holdings(name) for name, role in reversed(self.inventory)}

    def document(self, but=()):
        nodes = [{'name': name, 'addresses': [f'10.9.{number // 250}.{number % 250 + 1}'], 'roles': [role]}
                 for number, (name, role) in enumerate(self.inventory) if name not in but]
        return {'apiVersion': 'ensign/v1', 'kind': 'Cluster', 'name': self.CLUSTER, 'kubernetesVersion': '1.35',
                'controlPlaneEndpoint': '10.8.0.1:6443', 'etcd': {'topology': 'external', 'certificates': 'member'},
                'nodes': nodes}

    def holdings(self, node):
        items = self.admin.get(f'/v1/clusters/{self.CLUSTER}/catalogue?node={node}')[1]['items']
        named = lambda *kinds: [item['name'] for item in items if item['kind'] in kinds]
        return {'profiles': sorted(named('certificate', 'kubeconfig'), key=lambda name: name != 'node-identity'),
                'authorities': [name for name in named('ca-bundle') if name != 'service-ca']}

    def tokens(self):
        """What the generator reads."""
        pin = bytes.fromhex(json.loads(self.context_file.read_text())['pin'].removeprefix('sha256:'))
        nodes = []
        for name, role in self.inventory:
            token = Token(pin)
            status, answer, _ = self.admin.post(f'/v1/clusters/{self.CLUSTER}/tokens', token.body(name))
            assert status == 201, answer
            nodes.append({'name': name, 'token': token.text(), **self.roles[role]})
        return nodes

    def certificates(self):
        return sum(len(self.roles[role]['profiles']) for _, role in self.inventory)


class Generator:
    """tests/bench/herd, beside the service whose CPU and memory are looked at every second."""

    def __init__(self, herd, lifetime, *more):
        self.herd = herd
        nodes = json.dumps(herd.tokens())
        self.before = self.cpu()
        self.process = subprocess.Popen(
            [str(word) for word in (BUILD / 'tests/bench/herd', '--port', herd.port, '--cluster', herd.CLUSTER,
                                    '--lifetime', lifetime, *more)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.line(nodes)
        self.enrolled = json.loads(self.process.stdout.readline() or '{}')
        assert self.enrolled, 'not all could enrol'
        self.enrolled['cpu'] = self.used()

    def cpu(self):
        return {part: cpu_seconds(self.herd.pid(part)) for part in ('server', 'signer')}

    def used(self):
        """CPU seconds of each process since this was asked last."""
        before, self.before = self.before, self.cpu()
        return {part: self.before[part] - before[part] for part in before}

    def line(self, text):
        self.process.stdin.write(text + '\n')
        self.process.stdin.flush()

    def go(self, every_second=lambda: None):
        """The result; what the service was like each second is its 'service'."""
        pid, seen = self.herd.pid('server'), []
        self.line('go')
        reader = threading.Thread(target=lambda: seen.append(self.process.stdout.read()))
        looks = []
        reader.start()
        while reader.is_alive():
            looks.append({'at': time.monotonic(), 'cpu': sum(self.cpu().values()), 'memory': resident_mib(pid),
                          'threads': len(os.listdir(f'/proc/{pid}/task'))})
            every_second()
            reader.join(1)
        assert self.process.wait() == 0 and seen, 'the generator failed'
        return {**json.loads(seen[0]), 'service': looks, 'cpu': self.used()}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.stdout.close()
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait()
