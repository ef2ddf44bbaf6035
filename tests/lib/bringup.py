"""A lab whose hosts `ensign cluster apply` makes a cluster, by the operator on the bastion.

    with bringup.Bringup('external-haproxy') as it:
        it.serve()
        it.apply()                                      # until exit code 0; it.apply(check=False).code
        with it.applying() as running:                  # meanwhile
            running.wait_begun('init'); running.kill()
        it.plan(), it.status()          # [(stage, node, why)]; (exit code, {node: (health, what is to be done)})
        it.state()                                      # what the hosts came to, without keys and times
        with it.writing('a rotation'):                  # a client meanwhile, whose failed writes are counted
"""
import contextlib
import json
import os
import pathlib
import re
import signal
import subprocess
import threading
import time

from lib import lab
from lib.service import run, wait_for
from lib.writer import NAMESPACE, Writer

MARKS = '/var/lib/ensign-apply'
ADMIN = '/etc/kubernetes/admin.conf'
APPLY_SECONDS = 600
RATIO_WANTED, RATIO_MAX = 1.2, 1.5
FIRST = {'external-haproxy': 'masterone', 'external-keepalived': 'k8smaster1', 'stacked-haproxy': 'cp1'}
ENDPOINTS = {'external-haproxy': '192.168.29.81', 'external-keepalived': '192.168.13.70', 'stacked-haproxy': '192.168.40.10'}
# What each node makes or is given for itself, and what says when.
OWN_FILES = re.compile(r'\.(key|pub|crt|pem|der)$|^/etc/kubernetes/[^/]*\.conf$|^/etc/ensign/node/|'
                       r'^/var/lib/kubelet/pki/|^/etc/systemd/system/.*\.wants/')
UNITS = ('etcd', 'haproxy', 'containerd', 'kubelet', 'ensign-pod-routes', 'ensign-agent')


def kubeadm_seconds(topology):
    """Until the nodes are Ready, by plain kubeadm on hosts of their own"""
    with lab.Lab(topology) as it:
        said = run(lab.FOLDER / 'reference', it.topology, env=dict(os.environ, READY_ONLY='1'), timeout=900).stdout
    print(said.strip(), flush=True)
    return float(re.findall(r'\(at +([\d.]+) s\)  \d+ nodes Ready', said)[-1])


class Applying:
    """One `ensign cluster apply`, or another command, while it runs."""

    def __init__(self, it, *more, words=('cluster', 'apply')):
        self.it, self.lines, self.started = it, [], time.monotonic()
        self.marks = it.marks()
        command = it.bastion.command('ensign', *words, '-f', it.file, *more)
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT, text=True, bufsize=1)
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        for line in self.process.stdout:
            self.lines.append((time.monotonic() - self.started, line.rstrip()))

    @property
    def text(self):
        return '\n'.join(f'{at:6.1f} {line}' for at, line in self.lines)

    def at(self, end):
        """When a line that ends so came; the last of them"""
        return [at for at, line in self.lines if line.endswith(end)][-1]

    def end(self, seconds=APPLY_SECONDS):
        self.code = self.process.wait(timeout=seconds)
        self.reader.join(10)
        self.process.stdout.close()
        self.seconds = time.monotonic() - self.started
        return self

    def wait_begun(self, step, seconds=APPLY_SECONDS):
        """Until some host has begun it: the host's name; None when all came to its end without it."""
        def begun():
            return [name for (name, mark), at in self.it.marks().items()
                    if mark == step and self.marks.get((name, mark)) != at]
        seen = wait_for(f'{step} to begin', lambda: begun() or self.process.poll() is not None, seconds)
        return None if seen is True else seen[0]

    def kill(self):
        """SIGKILL, of the program alone: its connections are left as they are."""
        entered = self.process.pid  # nsenter, which ends as its child does
        children = pathlib.Path(f'/proc/{entered}/task/{entered}/children')
        if self.process.poll() is None:
            os.kill(int(wait_for('it to have started', children.read_text, 20)), signal.SIGKILL)
        return self.end(20)


class Bringup(lab.Lab):
    def __init__(self, topology='external-haproxy', hosts=()):
        super().__init__(topology, hosts)
        self.options = []  # of all commands that look at hosts
        self.first = FIRST[topology]  # a control plane, where kubectl runs

    def document(self, nodes=None, edits=(), **variant):
        """nodes: these alone, by their hosts' names; edits: [(text, what stands in its place)]"""
        text = super().document(**variant)
        if nodes is not None:
            head, listed = text.split('nodes:\n')
            entries = {re.search(r'name: ([\w-]+)', entry)[1]: entry for entry in re.split(r'(?m)^(?=  - )', listed)[1:]}
            text = f'{head}nodes:\n{"".join(entries[name] for name in nodes)}'
        for old, new in edits:
            assert old in text, old
            text = text.replace(old, new)
        return text

    # ---- the operator's commands ----

    def look(self, command, *more, **how):
        return self.ensign('cluster', command, '-f', self.file, *self.options, *more, **how)

    @contextlib.contextmanager
    def applying(self, *more, **how):
        running = Applying(self, *self.options, *more, **how)
        try:
            yield running
        finally:
            if running.process.poll() is None:
                running.kill()

    def apply(self, *more, check=True, **how):
        with self.applying(*more, **how) as running:
            running.end()
        if check and running.code != 0:
            raise AssertionError(f'it exited {running.code}\n{running.text}')
        return running

    def apply_beside(self, by_kubeadm):
        """The first apply, beside what plain kubeadm took in the same run."""
        first = self.apply()
        ready = first.at('all nodes are Ready: done')
        ratio = ready / by_kubeadm
        print(f'{self.topology}: all nodes Ready: by kubeadm {by_kubeadm:.1f} s, by apply {ready:.1f} s, ratio {ratio:.2f} '
              f'(wanted: at most {RATIO_WANTED}); apply ended at {first.seconds:.1f} s', flush=True)
        assert ratio <= RATIO_MAX, first.text

    def plan(self, *more):
        """[(stage, node, why)]"""
        items = json.loads(self.look('plan', '-o', 'json', *more).stdout)['items']
        return [(item['stage'], item['node'], item['why']) for item in items]

    def status(self):
        """(exit code, {node: (health, what is to be done)})"""
        result = self.look('status', '-o', 'json', check=False)
        assert result.stdout, result.stderr
        items = json.loads(result.stdout)['items']
        return result.returncode, {item['node']: (item['health'], item['to_do']) for item in items}

    def well(self):
        code, nodes = self.status()
        return code == 0 and all(state == ('ok', '') for state in nodes.values())

    def write(self, **variant):
        """Another cluster file, which the service gets, too."""
        self.place(**variant)
        self.ca.put(self.file, self.bastion.read(self.file))
        self.ca.run('ensign', 'cluster', 'update', '-f', self.file)

    def boot(self, name):
        """Until the bastion reaches it"""
        self.hosts[name].boot()
        wait_for(f'{name} to answer', lambda: self.ssh(name, 'true', check=False).returncode == 0, 60)

    @contextlib.contextmanager
    def writing(self, what, failed_max=40, gap_max_seconds=15, address=None):
        """Somebody writes through the API meanwhile, by the load balancer or at that address: no acknowledged write may
        be lost, and few may fail."""
        self.kubectl('create', 'namespace', NAMESPACE, check=False)
        writer = Writer(self.bastion, (address or ENDPOINTS[self.topology], 6443), self.hosts[self.first].read(ADMIN), self.folder)
        writer.start()
        try:
            wait_for('the first writes', lambda: len(writer.acknowledged) > 10, 60)
            yield writer
        finally:
            writer.stop()
            there = writer.there()
            self.kubectl('delete', 'namespace', NAMESPACE, '--wait')
        lost = {number for number, _ in writer.acknowledged} - there
        gap = writer.longest_gap()
        print(f'{what}: {writer.number} writes in {writer.seconds:.0f} s, {len(writer.failed)} failed, longest gap '
              f'{gap:.1f} s, lost {len(lost)}', *(f'\n    {why}' for _, why in writer.failed[:4]), flush=True)
        assert not lost, f'lost: {lost}'
        assert len(writer.failed) <= failed_max, f'{len(writer.failed)} of {writer.number} writes failed'
        assert gap < gap_max_seconds, f'nothing was written for {gap:.1f} s'

    # ---- what there is ----

    def snapshot(self):
        """When all pods run: what Kubernetes starts by itself is nobody's change. Without a cluster, at once."""
        wait_for('all pods to run', self.pods_run, 180)
        return super().snapshot()

    def pods_run(self):
        phases = self.kubectl('get', 'pods', '-A', '-o', 'jsonpath={.items[*].status.phase}', check=False)
        return phases.returncode != 0 or set(phases.stdout.split()) <= {'Running', 'Succeeded'}

    def marks(self):
        """(host, step) -> when it was begun, of those that have not come to their end"""
        return {(name, path.removesuffix('.begun').rsplit('/', 1)[1]): status.st_mtime_ns
                for name, host in self.cluster_hosts.items() for path, status in host.find([MARKS])
                if path.endswith('.begun')}

    def issued(self):
        """All serial numbers of the cluster"""
        listed = self.ensign('certificate', 'list', '--cluster', self.cluster, '--limit', '1000', '-o', 'json').stdout
        return {item['serial'] for item in json.loads(listed)['items']}

    def kubectl(self, *arguments, host=None, **how):
        return self.hosts[host or self.first].run('kubectl', '--kubeconfig', ADMIN, '--request-timeout', '20s', *arguments, **how)

    def nodes(self):
        """name -> whether it is Ready"""
        template = '{range .items[*]}{.metadata.name} {.status.conditions[?(@.type=="Ready")].status}{"\\n"}{end}'
        lines = self.kubectl('get', 'nodes', '-o', f'jsonpath={template}').stdout.split('\n')
        return {line.split()[0]: line.split()[1] == 'True' for line in lines if line}

    def members(self):
        """Names of etcd's, as one of them has them"""
        said = self.hosts['etcdone'].sh(
            'cd /etc/etcd/pki; ETCDCTL_API=3 etcdctl --cacert ca.crt --cert healthcheck-client.crt '
            '--key healthcheck-client.key --endpoints https://127.0.0.1:2379 member list -w json').stdout
        return [member['name'] for member in json.loads(said)['members']]

    def unit_states(self, host):
        properties = 'Id,LoadState,ActiveState,UnitFileState'
        shown = host.run('systemctl', 'show', '-p', properties, *UNITS, check=False).stdout
        rows = [dict(line.split('=', 1) for line in block.splitlines()) for block in shown.strip().split('\n\n')]
        return {row['Id']: (row['ActiveState'], row['UnitFileState']) for row in rows if row['LoadState'] == 'loaded'}

    def state(self):
        """host -> what it came to: files with their content and mode, of keys and certificates only that they are
        there, and units"""
        found = {}
        for name, host in self.cluster_hosts.items():
            files = {path: ('' if OWN_FILES.search(path) else what[0], *what[1:4])
                     for path, what in host.files().items() if not path.startswith('/etc/ensign/node/.')}
            found[name] = {**files, **self.unit_states(host)}
        return found


def differences(one, other):
    """["HOST WHAT: ONE -> OTHER"]"""
    return [f'{name} {what}: {one[name].get(what)} -> {other[name].get(what)}' for name in one
            for what in sorted({*one[name], *other[name]}) if one[name].get(what) != other[name].get(what)]
