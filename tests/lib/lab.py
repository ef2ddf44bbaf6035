"""A lab of real Debian hosts for tests: systemd, sshd, etcd, containerd, kubelet and kubeadm in each; beside the cluster's
hosts a `ca` with ensignd and a `bastion` with its operator, both from the Debian packages.

HOWTO. A test begins with enter(), which starts it once more in namespaces of its own (processes, mounts, network) and
takes the lock: there is one lab at a time. Whatever kills the test, the kernel ends all hosts with it, and the guard that
enter() has started outside sweeps up files and cgroups.

    from lib import lab
    lab.enter()                                        # skips (77), and fails in CI, where there can be no lab
    with lab.Lab('external-haproxy') as it:            # 10 s; journals are printed when the test fails in here
        it.serve()                                     # ensignd on `ca`, the cluster, an operator on `bastion`
        it.ensign('cluster', 'check', '-f', it.file)   # on the bastion, as its operator; check=False: any exit code
        it.hosts['etcdone'].run('systemctl', 'is-active', 'etcd', check=False).stdout
        it.hosts['etcdone'].sh('cat > /etc/motd', input='hello')
        it.ssh('etcdone', 'id -u', user='ops')         # from the bastion; known_hosts has all hosts' real keys
        before = it.snapshot()                         # files (hash, time, inode) and processes of all hosts
        it.hosts['lb'].power_cut(); it.hosts['lb'].boot(); it.hosts['lb'].cut(); it.hosts['lb'].heal()
        assert not it.changes(before)                  # what another apply has changed
        assert not it.leaked_authority_keys()          # a CA's private key anywhere on any host

Test cases are lab.Case, with `lab` from enterClassContext(); then journals are printed of each that fails.

The cluster file is tests/e2e/lab/topologies/TOPOLOGY.yaml; Lab.place() puts a variant of it on the bastion. The programs
are those of ENSIGN_BUILD: packages are made anew (a minute or two) when a source is newer; LAB_PROGRAMS=build puts the
build's programs over the packages' instead. For a look around, with the programs of a build:

    ENSIGN_BUILD=build python3 tests/lib/lab.py external-haproxy [COMMAND...]   # a shell in there; `lab enter lb` works

`./setup lab` prepares what that needs, builds, and runs it.

A power cut kills all processes of a host at once; what they have written is there after boot(), for the page cache is the
machine's: what a disk loses is not to be seen here.
"""
import base64
import contextlib
import fcntl
import hashlib
import json
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from lib.repository import Archive  # noqa: E402
from lib.root import own_namespaces  # noqa: E402
from lib.service import BUILD, ENSIGN, ROOT, run  # noqa: E402

FOLDER = ROOT / 'tests/e2e/lab'
LAB = pathlib.Path(os.environ.get('LAB', '/var/cache/ensign-lab'))
RUN = LAB / 'test'
PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'
OWN = ('ca', 'bastion')  # hosts that are none of the cluster's
CONTEXT = '/root/.config/ensign/context'
# What a second apply leaves as it is. Kubernetes' own data are not in it.
SAME_FILES = ('/etc/kubernetes', '/etc/etcd', '/etc/default/etcd', '/etc/ensign', '/etc/haproxy', '/etc/nginx',
              '/etc/keepalived', '/etc/crictl.yaml', '/etc/containerd', '/etc/cni', '/etc/sysctl.d', '/etc/modules-load.d', '/etc/systemd/system', '/etc/apt',
              '/etc/hosts', '/etc/fstab', '/var/lib/kubelet/config.yaml', '/var/lib/kubelet/kubeadm-flags.env',
              '/var/lib/kubelet/pki')
SAME_PROGRAMS = ('etcd', 'kubelet', 'containerd', 'haproxy', 'nginx', 'keepalived', 'kube-apiserver', 'kube-controller',
                 'kube-scheduler', 'kube-proxy', 'ensign')
KEY_FOLDERS = ('/etc', '/root', '/home', '/var/lib', '/var/log', '/var/tmp', '/tmp', '/run', '/opt', '/srv', '/dev/shm')
KEY_SKIPPED = {'/var/lib/containerd', '/run/containerd/io.containerd.runtime.v2.task', '/var/lib/dpkg', '/var/lib/apt'}
KEY_SIZE_MAX = 4 << 20


# ---- one lab, that ends with its test ----

def missing():
    """Why there can be no lab here; empty when there can."""
    release = dict(re.findall(r'^(ID|VERSION_ID)="?(.*?)"?$', pathlib.Path('/etc/os-release').read_text(), re.M))
    if os.geteuid() != 0:
        return 'only root boots hosts'
    if release != {'ID': 'debian', 'VERSION_ID': '12'}:
        return 'its hosts are Debian 12, and this is another system'
    if not (LAB / 'images').is_dir():
        return f'it is not prepared: {FOLDER}/prepare'
    return ''


def enter():
    """To be called first: see above."""
    if 'ENSIGN_OWN_NAMESPACES' not in os.environ:
        reason = missing()
        if reason:
            print(f'skipped: no lab: {reason}')
            sys.exit(1 if os.environ.get('CI') else 77)
        os.environ.update(RUN=str(RUN), LC_ALL='C.UTF-8')
        lock()
        run(FOLDER / 'lab', 'tidy')
        run(FOLDER / 'lab', 'guard', stdin=subprocess.DEVNULL)
    own_namespaces('systemd-nspawn', 'ip', 'nsenter')
    os.makedirs('/run/netns', exist_ok=True)
    run('mount', '-t', 'tmpfs', 'netns', '/run/netns')
    reap_for_a_child()


def reap_for_a_child():
    """Goes on in a child: the first process of the namespace has to bury others, and the namespace ends with it."""
    test = os.fork()
    while test:
        pid, status = os.wait()
        if pid == test:
            os._exit(abs(os.waitstatus_to_exitcode(status)))


def lock():
    """Held by this process and those that it becomes: they alone inherit it."""
    if (LAB / 'run/topology').exists():
        sys.exit(f'a lab is up, started by hand: {FOLDER}/lab down')
    held = os.open(LAB / 'test.lock', os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        print('another test has the lab: waiting until it ends', file=sys.stderr, flush=True)
        fcntl.flock(held, fcntl.LOCK_EX)
    os.set_inheritable(held, True)


def lab(*command, **more):
    return run(FOLDER / 'lab', *command, stdin=subprocess.DEVNULL, **more)


# ---- hosts ----

class Host:
    def __init__(self, name, address, domain):
        self.name, self.address, self.domain = name, address, domain
        self.boot_known()

    def boot_known(self):
        self.leader = int(lab('leader', self.name).stdout)

    def path(self, absolute):
        """A file of the host as it sees it, from out here. Absolute links lead astray."""
        return pathlib.Path(f'/proc/{self.leader}/root') / absolute.lstrip('/')

    def command(self, *command):
        enter_all = ['nsenter', '-t', str(self.leader), '-m', '-u', '-i', '-n', '-p', '-C', '-r', '-w', '--']
        return [*enter_all, 'env', '-i', f'PATH={PATH}', 'HOME=/root', 'LC_ALL=C.UTF-8', 'TERM=dumb', *map(str, command)]

    def run(self, *command, check=True, timeout=120, **more):
        """As root, at once and without ssh."""
        if 'input' not in more:
            more.setdefault('stdin', subprocess.DEVNULL)
        return run(*self.command(*command), check=check, timeout=timeout, **more)

    def sh(self, script, **more):
        return self.run('sh', '-ec', script, **more)

    def put(self, path, content, mode=0o644):
        self.run('install', '-D', '-m', f'{mode:o}', '/dev/stdin', path, input=content)

    def copy(self, source, path, mode=0o644):
        """A file from out here."""
        with open(source, 'rb') as content:
            self.sh(f'cat > {path}.new && chmod {mode:o} {path}.new && mv {path}.new {path}', stdin=content)

    def read(self, path):
        return self.run('cat', path).stdout

    def power_cut(self):
        lab('kill', self.name)

    def boot(self):
        lab('start', self.name)
        self.boot_known()

    def wipe(self):
        """Lost, and another in its place: an empty disk, the same name, address and host key"""
        lab('wipe', self.name)
        self.boot_known()

    def cut(self):
        lab('cut', self.name)

    def heal(self):
        lab('heal', self.name)

    def host_key(self):
        """"ssh-ed25519 AAAA…" """
        return ' '.join(self.read('/etc/ssh/ssh_host_ed25519_key.pub').split()[:2])

    def journal(self, *units, lines=30):
        chosen = [word for unit in units for word in ('-u', unit)]
        return self.run('journalctl', '--no-pager', '-o', 'short', '-n', lines, *chosen, check=False).stdout

    def states(self):
        """What systemd has that failed."""
        return self.run('systemctl', '--failed', '--plain', '--no-legend', check=False).stdout

    # ---- what is there ----

    def find(self, folders, skipped=()):
        """(path, status) of all regular files and links below, in the host's mounts."""
        top = str(self.path('/'))
        for folder in folders:
            start = top.rstrip('/') + folder
            if os.path.isfile(start):
                yield folder, os.lstat(start)
            for parent, folders_there, names in os.walk(start):
                inside = parent[len(top.rstrip('/')):]
                folders_there[:] = [name for name in folders_there if f'{inside}/{name}' not in skipped]
                for name in names:
                    with contextlib.suppress(FileNotFoundError):
                        yield f'{inside}/{name}', os.lstat(f'{parent}/{name}')

    def files(self):
        """path -> what it is and when it was written"""
        found = {}
        for path, status in self.find(SAME_FILES):
            real = self.path(path)
            with contextlib.suppress(OSError):
                content = os.readlink(real) if real.is_symlink() else hashlib.sha256(real.read_bytes()).hexdigest()
                found[path] = (content, f'{status.st_mode:o}', status.st_uid, status.st_gid, status.st_mtime_ns, status.st_ino)
        return found

    def disk(self):
        """path -> status of all that the host has written since it was made, but for logs"""
        found = {}
        upper = RUN / self.name / 'upper'
        for parent, folders, names in os.walk(upper):
            inside = '/' + os.path.relpath(parent, upper).lstrip('.')
            folders[:] = [name for name in folders if os.path.join(inside, name) != '/var/log']
            for name in names:
                with contextlib.suppress(FileNotFoundError):
                    status = os.lstat(os.path.join(parent, name))
                    found[os.path.join(inside, name)] = (status.st_mode, status.st_size, status.st_mtime_ns, status.st_ino)
        return found

    def processes(self):
        """"name pid" -> when it was started (ticks since boot); the pid is out here, that of no other host's"""
        found = {}
        for folder in pathlib.Path('/proc').glob('[0-9]*'):
            with contextlib.suppress(OSError):
                if f'/lab/{self.name}' not in (folder / 'cgroup').read_text():
                    continue
                name, rest = (folder / 'stat').read_text().split('(', 1)[1].rsplit(')', 1)
                if name.startswith(SAME_PROGRAMS):
                    found[f'{name} {folder.name}'] = rest.split()[19]
        return found

    def private_keys(self):
        """(path, DER of the public key) of each private key in a file, in PEM or as a kubeconfig has it."""
        for path, status in self.find(KEY_FOLDERS, KEY_SKIPPED):
            if status.st_size > KEY_SIZE_MAX or (status.st_mode & 0o170000) != 0o100000:
                continue
            with contextlib.suppress(OSError):
                for pem in pem_keys(self.path(path).read_bytes()):
                    made = subprocess.run(['openssl', 'pkey', '-pubout', '-outform', 'DER', '-passin', 'pass:'], input=pem,
                                          capture_output=True, check=False)
                    if made.returncode == 0:
                        yield path, made.stdout


def pem_keys(content):
    embedded = [base64.b64decode(text) for text in re.findall(rb'(?m)^ *client-key-data: *"?([A-Za-z0-9+/=]+)', content)]
    begin = rb'-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----.*?-----END (?:[A-Z]+ )*PRIVATE KEY-----'
    return [pem for text in (content, *embedded) for pem in re.findall(begin, text, re.S)]


def public_key_of(certificate):
    pem = subprocess.run(['openssl', 'x509', '-noout', '-pubkey'], input=certificate, capture_output=True, check=True).stdout
    return subprocess.run(['openssl', 'pkey', '-pubin', '-outform', 'DER'], input=pem, capture_output=True, check=True).stdout


# ---- packages ----

def packages():
    """The two .deb files of these sources."""
    folder = BUILD / 'lab-package'
    made = sorted(folder.glob('*.deb'))
    listed = run('git', '-C', ROOT, 'ls-files', 'meson.build', 'ca', 'policies', 'hsm', 'server', 'client').stdout.split()
    newest = max((ROOT / name).stat().st_mtime for name in listed if (ROOT / name).exists())
    if len(made) != 2 or (min(path.stat().st_mtime for path in made) < newest and not own_programs()):
        shutil.rmtree(folder, ignore_errors=True)
        run(ROOT / 'server/package/build', folder)
        made = sorted(folder.glob('*.deb'))
        for path in made:
            os.utime(path)  # they bear the commit's time
    return made


def own_programs():
    return os.environ.get('LAB_PROGRAMS') == 'build'


def kubernetes_packages(folder, version='1.20.2-1.1'):
    """Kubernetes 1.20.2 as its own packages have it: kubeadm, kubelet, kubectl, cri-tools. version: of the packages"""
    root, made = LAB / 'base', []
    drop_in = 'etc/systemd/system/kubelet.service.d/10-kubeadm.conf'
    content = {'kubectl': ['usr/bin/kubectl'], 'cri-tools': ['usr/bin/crictl'],
               'kubelet': ['usr/bin/kubelet', 'usr/lib/systemd/system/kubelet.service'],
               'kubeadm': ['usr/bin/kubeadm', drop_in]}
    needs = {'kubeadm': 'Depends: kubelet (>= 1.19), kubectl (>= 1.19), cri-tools\n'}
    for name, paths in content.items():
        tree = folder / name
        for path in paths:
            (tree / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(root / path, tree / path)
        (tree / 'DEBIAN').mkdir()
        (tree / 'DEBIAN/control').write_text(f'Package: {name}\nVersion: {version}\nArchitecture: amd64\n'
                                             f'Maintainer: Nobody <nobody@example.com>\n{needs.get(name, "")}'
                                             f'Description: {name}, for the lab\n')
        made.append(folder / f'{name}_{version}_amd64.deb')
        run('dpkg-deb', '-Z', 'none', '--root-owner-group', '--build', tree, made[-1])
    return made


# ---- the lab ----

class Lab:
    """hosts: boots only these of the cluster's (`ca` and `bastion` come with each)"""

    def __init__(self, topology='external-haproxy', hosts=()):
        self.topology, self.wanted = topology, [*hosts, *OWN] if hosts else []
        self.file = '/root/cluster.yaml'
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix='ensign-lab-'))
        self.repository = None

    def __enter__(self):
        try:
            self.up()
        except BaseException:
            self.down()
            raise
        return self

    def __exit__(self, kind, *_):
        if kind and not issubclass(kind, SystemExit):
            self.tell()
        self.down()

    def up(self):
        print(lab('up', self.topology, *self.wanted).stdout.strip(), flush=True)
        text = (FOLDER / 'topologies' / self.topology).read_text()
        self.domain = re.search(r'^domain (\S+)', text, re.M)[1]
        listed = dict(re.findall(r'^host (\S+) +(\S+)', text, re.M))
        self.hosts = {name: Host(name, address, self.domain) for name, address in listed.items()
                      if not self.wanted or name in self.wanted}
        self.ca, self.bastion = (self.hosts[name] for name in OWN)
        self.cluster_hosts = {name: host for name, host in self.hosts.items() if name not in OWN}
        self.cluster = re.search(r'(?m)^name: (\S+)', self.document())[1]
        self.furnish_bastion()

    def down(self):
        """What this leaves, the end of the namespaces takes away."""
        lab('down', check=False)
        shutil.rmtree(self.folder, ignore_errors=True)

    def tell(self, lines=40):
        for host in self.hosts.values():
            failed, journal = host.states(), host.journal(lines=lines)
            print(f'---- {host.name}: failed units: {failed.strip() or "none"}\n{journal}', file=sys.stderr, flush=True)

    # ---- the two hosts beside the cluster ----

    def furnish_bastion(self):
        self.bastion.put('/root/.ssh/id_ed25519', (LAB / 'ssh/id_ed25519').read_text(), 0o600)
        self.bastion.put('/root/.ssh/known_hosts', self.known_hosts(), 0o600)
        self.install(self.bastion, 'ensign')

    def known_hosts(self):
        return ''.join(f'{host.name},{host.name}.{host.domain},{host.address} {host.host_key()}\n'
                       for host in self.hosts.values())

    def install(self, host, *names):
        for path in packages():
            if path.name.split('_')[0] in names:
                host.copy(path, f'/tmp/{path.name}')
                host.run('dpkg', '-i', f'/tmp/{path.name}')
        if own_programs():
            for name, program in (('ensign', ENSIGN), ('ensignd', BUILD / 'server/ensignd')):
                if name in names:
                    where = host.run('sh', '-c', f'command -v {name}').stdout.strip()
                    host.copy(program, where, 0o755)

    def serve(self, create=True, **variant):
        """As README.md says it to an administrator; then the cluster, and an operator's context for the bastion.
        variant: of the cluster file, as document() has it"""
        name = f'ca.{self.domain}'
        self.install(self.ca, 'ensign', 'ensignd')
        self.ca.run('setpriv', '--reuid', 'ensign', '--regid', 'ensign', '--clear-groups', 'ensignd', 'init', '--state',
                    '/var/lib/ensign', '--name', name, '--listen', '0.0.0.0:8443', '--seal-key-file', '/etc/ensign/seal.key')
        self.ca.run('systemctl', 'enable', '--now', 'ensignd')
        self.ca.sh(f'install -D -m 0600 /var/lib/ensign/admin.context {CONTEXT} && rm /var/lib/ensign/admin.context')
        self.ca.run('ensign', 'whoami')
        if create:
            self.place(**variant)
            self.ca.put(self.file, self.bastion.read(self.file))
            self.ca.run('ensign', 'cluster', 'create', '-f', self.file)
        self.ca.run('ensign', 'identity', 'create', 'operator', '--role', 'operator', '--out', '/root/operator.context')
        self.bastion.put(CONTEXT, self.ca.read('/root/operator.context'), 0o600)
        self.ca.run('rm', '/root/operator.context')

    def document(self, user='root', pinned=False, repository=False, ensign=False):
        """The cluster file. user: of ssh; pinned: it has the hosts' keys; repository: Kubernetes comes from the
        bastion's; ensign: its package is copied to the hosts"""
        text = (FOLDER / 'topologies' / f'{self.topology}.yaml').read_text()
        keys = ', '.join(f'{host.name}: "{host.host_key()}"' for host in self.cluster_hosts.values())
        ssh = f'  ssh: {{user: {user}{", hostKeys: {" + keys + "}" if pinned else ""}}}\n'
        text = re.sub(r'(?m)^  ssh: .*\n', lambda _: ssh, text)
        if ensign:
            package = next(path.name for path in packages() if path.name.startswith('ensign_'))
            text = text.replace('  packages:\n', f'  packages:\n    ensign: {{source: /tmp/{package}}}\n')
        if repository:
            source = json.dumps(self.repository_source())
            present = '    kubernetes: {source: present}\n'
            assert present in text
            ours = f'{{source: {source}, keyFile: /srv/repository.asc, version: 1.20.2-1.1}}'
            text = text.replace(present, f'    kubernetes: {ours}\n')
        return text

    def place(self, text=None, **variant):
        """Puts the cluster file on the bastion."""
        self.bastion.put(self.file, text or self.document(**variant))

    def ensign(self, *arguments, check=True, timeout=300, **more):
        return self.bastion.run('ensign', *arguments, check=check, timeout=timeout, **more)

    def ssh(self, host, command, user='root', **more):
        options = ('-oBatchMode=yes', '-oStrictHostKeyChecking=yes', '-oConnectTimeout=5')
        return self.bastion.run('ssh', *options, f'{user}@{host}', command, **more)

    def enroll(self, name, *more):
        """As README.md says it to an operator, on the bastion."""
        self.install(self.hosts[name], 'ensign')
        server = f'https://ca.{self.domain}:8443'
        command = shlex.join(['ensign', 'enroll', '--server', server, '--token-file', '-', *more])
        return self.bastion.sh(f'ensign token create --cluster {self.cluster} --node {name} | ssh {name} {command}')

    # ---- an apt repository on the bastion ----

    def repository_source(self):
        return f'deb http://{self.bastion.address}/ ./'

    def publish(self):
        """Kubernetes' packages on the bastion, by nginx, signed; the hosts of the cluster lose what the image has of them."""
        (self.folder / 'packages').mkdir()
        (self.folder / 'archive').mkdir()
        self.repository = Archive(self.folder / 'archive', kubernetes_packages(self.folder / 'packages'))
        self.bastion.run('mkdir', '-p', '/srv/repository')
        for path in self.repository.files.iterdir():
            self.bastion.copy(path, f'/srv/repository/{path.name}')
        self.bastion.put('/srv/repository.asc', self.repository.armoured())
        self.bastion.put('/etc/nginx/sites-enabled/repository', 'server { listen 80; root /srv/repository; }\n')
        self.bastion.run('systemctl', 'restart', 'nginx')
        for host in self.cluster_hosts.values():
            host.sh('cd / && rm -rf usr/bin/kubeadm usr/bin/kubelet usr/bin/kubectl usr/bin/crictl '
                    'usr/lib/systemd/system/kubelet.service etc/systemd/system/kubelet.service.d && systemctl daemon-reload')

    def publish_more(self, version):
        """The same packages with another version, beside the first ones."""
        folder = self.folder / version
        folder.mkdir()
        for path in kubernetes_packages(folder, version):
            shutil.copy(path, self.repository.files)
        self.repository.index()
        for path in self.repository.files.iterdir():
            self.bastion.copy(path, f'/srv/repository/{path.name}')

    # ---- all hosts ----

    def snapshot(self):
        return {name: {**host.files(), **host.processes()} for name, host in self.cluster_hosts.items()}

    def changes(self, before):
        """["HOST PATH: BEFORE -> AFTER"]; "NAME PID" in the place of a path is a process"""
        after, found = self.snapshot(), []
        for name in before:
            for what in sorted({*before[name], *after[name]}):
                pair = before[name].get(what, 'absent'), after[name].get(what, 'absent')
                found += [f'{name} {what}: {pair[0]} -> {pair[1]}'] if pair[0] != pair[1] else []
        return found

    def authority_keys(self, authorities=('etcd-ca', 'kubernetes', 'front-proxy-ca')):
        """name -> DER of its public key, as the service says"""
        bundle = ('ca', 'bundle', '--cluster', self.cluster, '--authority')
        return {name: public_key_of(self.ensign(*bundle, name).stdout.encode()) for name in authorities}

    def leaked_authority_keys(self):
        """["HOST PATH: AUTHORITY"]: a CA's private key in a file. The signer's memory: tests/e2e/memory.py"""
        authorities = {der: name for name, der in self.authority_keys().items()}
        found, seen = [], 0
        for host in self.hosts.values():
            for path, der in host.private_keys():
                seen += 1
                found += [f'{host.name} {path}: {authorities[der]}'] if der in authorities else []
        assert seen, 'there are no keys at all, not even those of sshd'
        return found


class Case(unittest.TestCase):
    """Of a test whose class has `lab`: tells of the hosts when it fails."""

    def run(self, result=None):
        before = len(result.failures) + len(result.errors)
        super().run(result)
        if len(result.failures) + len(result.errors) > before:
            self.lab.tell()
        return result


def main():
    enter()
    with Lab(sys.argv[1] if len(sys.argv) > 1 else 'external-haproxy') as it:
        it.serve(ensign=True)
        environment = dict(os.environ, PATH=f'{FOLDER}:{os.environ["PATH"]}')
        command = sys.argv[2:] or ['bash']
        print(f'in here: lab enter HOST [COMMAND...], as lab enter bastion ensign cluster apply -f {it.file}; '
              f'the lab ends with: {shlex.join(command)}', flush=True)
        sys.exit(subprocess.run(command, env=environment, check=False).returncode)


if __name__ == '__main__':
    main()
