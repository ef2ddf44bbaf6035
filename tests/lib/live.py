"""A control plane whose certificates live for minutes, kept alive by an agent on each host: etcd with the CRL that the
agent fetches, and somebody who starts programs again that a hook has stopped, as the kubelet does."""
import json
import threading

from lib.control_plane import ETCD_PKI, MASTER, MEMBERS, PKI, ControlPlane
from lib.load import Load, Pair, Target
from lib.service import ENSIGN, Client

CLUSTER, HOST = 'vagrant', 'masterone'
# It may be two minutes until the API server shows another certificate of its own.
ETCD_SECONDS, MASTER_SECONDS = 60, 240
FILES_SECONDS = 1200  # of what clients look at every five minutes
# A busy machine is no reason to elect.
CALM = ['--heartbeat-interval', '500', '--election-timeout', '5000']
RESTARTED = ('kube-controller-manager', 'kube-scheduler')


class Kubelet(threading.Thread):
    """Starts what has ended again."""

    def __init__(self, plane):
        super().__init__(daemon=True)
        self.plane, self.over, self.restarts = plane, threading.Event(), dict.fromkeys(RESTARTED, 0)

    def run(self):
        running = self.plane.programs.running
        while not self.over.wait(0.1):
            for name in RESTARTED:
                if running[name].poll() is not None:
                    self.restarts[name] += 1
                    self.plane.programs.start(name, *running[name].args)
                    self.plane.note(name)

    def stop(self):
        self.over.set()
        self.join()


class LivePlane(ControlPlane):
    """files: the kubeconfigs of the restarted programs name files, so that nobody has to restart them"""

    def __init__(self, files=False):
        super().__init__()
        self.files, self.master_seconds = files, FILES_SECONDS if files else MASTER_SECONDS
        self.replaced = [('  apiserverClient: shared\n', '')]
        if files:
            self.replaced.append(('\netcd:\n', '\nkubeconfigs: files\netcd:\n'))

    def place(self, name):
        seconds = self.master_seconds if name == HOST else ETCD_SECONDS
        super().place(name, '--lifetime', f'{seconds}s')
        more = self.master_settings() if name == HOST else {'check': {'etcd-member': '{}:{}'.format(*self.member(name))}}
        settings = {'apiVersion': 'ensign/v1', 'kind': 'Agent', 'lifetime': f'{seconds}s', **more}
        self.hosts[name].path('/etc/ensign/agent.yaml').write_text(json.dumps(settings))
        self.start_agent(name)
        return self.hosts[name]

    def master_settings(self):
        restarted = () if self.files else RESTARTED
        return {'hooks': {'kubelet': 'none', **{name.removeprefix('kube-'): self.stopping(name) for name in restarted}}}

    def stopping(self, name):
        return {'command': ['sh', '-c', 'kill "$(cat "$1")"', 'hook', str(self.pid_file(name))]}

    def pid_file(self, name):
        return self.service.folder / f'{name}.pid'

    def note(self, name):
        self.pid_file(name).write_text(str(self.programs.running[name].pid))

    def start_agent(self, name):
        self.programs.start(f'agent-{name}', ENSIGN, 'agent', '--root', self.hosts[name].root)

    def stop_agents(self):
        for name in self.hosts:
            self.programs.stop(f'agent-{name}')

    def crl(self, name):
        return self.hosts[name].path(f'{ETCD_PKI}crl.der')

    def start_member(self, name, *command):
        self.programs.wait(f'the CRL of {name}', self.crl(name).exists)
        self.commands = getattr(self, 'commands', {}) | {name: command}
        super().start_member(name, *command, '--client-crl-file', self.crl(name), '--peer-crl-file', self.crl(name), *CALM)

    def restart_member(self, name):
        self.programs.stop(name)
        self.start_member(name, *self.commands[name])

    def run(self, program, **more):
        """With kubeconfigs that name files: a copy that names them where they lie here."""
        if self.files and program in RESTARTED:
            original = self.master.path(f'/etc/kubernetes/{program.removeprefix("kube-")}.conf').read_text()
            copy = self.service.folder / f'{program}.conf'
            copy.write_text(original.replace('/etc/kubernetes/', f'{self.master.root}/etc/kubernetes/'))
            more |= {'kubeconfig': copy, 'authentication_kubeconfig': copy, 'authorization_kubeconfig': copy, 'v': 1}
        super().run(program, **more)

    def start_kubernetes(self):
        super().start_kubernetes()
        for name in RESTARTED:
            self.note(name)
        self.kubelet = Kubelet(self)
        self.kubelet.start()

    def close(self):
        if hasattr(self, 'kubelet'):
            self.kubelet.stop()
        super().close()

    # ---- load ----

    def member(self, name):
        return self.address(MEMBERS[name]), self.client_ports[name]

    @property
    def api(self):
        return self.address(MASTER), 6443

    def load(self):
        host = self.hosts[HOST]
        own = {name: Pair(self.hosts[name].path(f'{ETCD_PKI}healthcheck-client'), self.hosts[name].path(f'{ETCD_PKI}ca.crt'))
               for name in MEMBERS}
        theirs = Pair(host.path(f'{PKI}apiserver-etcd-client'), host.path(f'{PKI}etcd/ca.crt'))
        put, get = ('/v3/kv/put', '{"key": "c2hpcA==", "value": "ZW5zaWdu"}'), ('/v3/kv/range', '{"key": "c2hpcA=="}')
        api = lambda: Target(self.api, Pair(host.path(f'{PKI}apiserver-kubelet-client'), host.path(f'{PKI}ca.crt')), 'GET',
                             '/api/v1/namespaces/default', again=True)
        return Load({'etcd-new': ([Target(self.member(name), own[name], 'POST', *put) for name in MEMBERS], False),
                     'etcd-kept': ([Target(self.member(name), theirs, 'POST', *get) for name in MEMBERS], True),
                     'api-new': ([api()], False), 'api-kept': ([api()], True)})

    # ---- what was issued ----

    def get(self, path):
        client = Client(self.service, self.service.context_file)
        status, answer, _ = client.get(path)
        client.connection.close()
        assert status == 200, answer
        return answer

    def issued(self):
        """(node, profile) -> what was issued for it, the oldest first"""
        found, cursor = {}, ''
        while cursor is not None:
            answer = self.get(f'/v1/certificates?cluster={CLUSTER}&limit=500{cursor}')
            for item in answer['items']:
                if item.get('node'):
                    found.setdefault((item['node'], item['profile']), []).append(item)
            cursor = f'&cursor={answer["next_cursor"]}' if answer['next_cursor'] else None
        return {place: sorted(items, key=lambda item: item['serial']) for place, items in found.items()}
