"""What the benchmarks share: the load generator, CPU time and memory of processes, and the limits of the machine."""
import json
import os
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from lib.service import BUILD, Client, Service, free_port, run, wait_for

LOAD = BUILD / 'tests/bench/load'


def cpu_seconds(pid):
    fields = pathlib.Path(f'/proc/{pid}/stat').read_text().rsplit(')', 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')


def resident_mib(pid):
    """Without the pages of files, such as the database's map."""
    status = pathlib.Path(f'/proc/{pid}/status').read_text()
    return int(status.split('RssAnon:')[1].split()[0]) / 1024


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
