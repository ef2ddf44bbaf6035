"""Hosts for tests of SSH: each a real sshd in namespaces of its own (mounts, host name), with an /etc, a /run and users
that exist nowhere else. Of the machine itself nothing changes. Needs root, sudo and sshd."""
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

from lib.service import ENSIGN, ROOT, free_port, is_running, run, wait_for

UNPACKED = ROOT / 'build/tools/sshd/usr'
SSHD = next((path for path in (pathlib.Path('/usr/sbin/sshd'), UNPACKED / 'sbin/sshd') if path.exists()), None)
# What an /etc has of this machine's; the rest is the tests'.
ETC = ('alternatives', 'default', 'environment', 'ld.so.cache', 'ld.so.conf', 'ld.so.conf.d', 'localtime', 'login.defs',
       'nsswitch.conf', 'os-release', 'pam.conf', 'pam.d', 'profile', 'protocols', 'security', 'services', 'ssl')
PASSWORD = 'wrong horse "battery" $(staple)'
# name, id, password in /etc/shadow
USERS = (('ops', 4001, True), ('free', 4002, False), ('guest', 4003, True), ('nobodys', 4004, False))
SUDOERS = 'Defaults lecture=never\nDefaults passwd_tries=3\nroot ALL=(ALL) ALL\nops ALL=(ALL) ALL\nfree ALL=(ALL) NOPASSWD: ALL\n'


def missing():
    """Why these tests cannot run here; empty when they can."""
    if os.geteuid() != 0:
        return 'only root makes namespaces with users'
    if not SSHD:
        return 'there is no sshd'
    return '' if shutil.which('sudo') else 'there is no sudo'


def own_machine(*addresses):
    """Goes on, started once more, with mounts and a network of its own: the loopback interface with these addresses."""
    if 'ENSIGN_OWN_MACHINE' not in os.environ:
        os.execvpe('unshare', ['unshare', '--net', '--mount', sys.executable, *sys.argv],
                   dict(os.environ, ENSIGN_OWN_MACHINE='yes'))
    run('ip', 'link', 'set', 'lo', 'up')
    for address in addresses:
        run('ip', 'address', 'add', f'{address}/32', 'dev', 'lo')


class Hosts:
    """A folder with a key, a home for root (whose ~/.ssh is the user's), and hosts."""

    def __init__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix='ensign-hosts-'))
        self.folder.chmod(0o755)
        self.home = self.folder / 'home'
        (self.home / '.ssh').mkdir(parents=True, mode=0o700)
        self.home.chmod(0o700)
        self.key = self.home / '.ssh/id_ed25519'
        run('ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-f', self.key)
        self.known, self.config = self.home / '.ssh/known_hosts', self.home / '.ssh/config'
        self.hash = run('openssl', 'passwd', '-6', '-stdin', input=PASSWORD).stdout.strip()
        self.hosts = {}
        self.make_etc(self.folder / 'etc', {})
        run('mount', '--bind', self.folder / 'etc', '/etc')

    def make_etc(self, etc, names):
        etc.mkdir()
        there = [pathlib.Path('/etc') / name for name in ETC]
        subprocess.run(['cp', '-a', *(path for path in there if path.exists()), etc], check=True)
        root = [f'root:x:0:0:root:{self.home}:/bin/bash']
        users = [f'{name}:x:{number}:{number}::/:/bin/sh' for name, number, _ in USERS]
        (etc / 'passwd').write_text('\n'.join([*root, *users, 'sshd:x:4100:65534::/run/sshd:/usr/sbin/nologin', '']))
        (etc / 'group').write_text(''.join(f'{name}:x:{number}:\n' for name, number in
                                           (('root', 0), ('nogroup', 65534), *((n, i) for n, i, _ in USERS))))
        (etc / 'shadow').write_text('root:*:19000:0:99999:7:::\nsshd:*:19000:0:99999:7:::\n' + ''.join(
            f'{name}:{self.hash if password else "*"}:19000:0:99999:7:::\n' for name, _, password in USERS))
        (etc / 'shadow').chmod(0o600)
        (etc / 'sudoers').write_text(SUDOERS)
        (etc / 'sudoers').chmod(0o440)
        (etc / 'hosts').write_text('127.0.0.1 localhost\n' + ''.join(f'{ip} {name}\n' for name, ip in names.items()))

    def add(self, name, address, known=True, **more):
        host = Host(self, name, address, **more)
        self.hosts[name] = host
        if known:
            self.know(host)
        return host

    def know(self, host):
        with open(self.known, 'a') as known:
            known.write(f'[{host.address}]:{host.port} {host.host_key()}\n')

    def configure(self):
        """The user's ~/.ssh/config: where the hosts are, and as whom."""
        self.config.write_text(''.join(f'Host {host.name}\n  HostName {host.address}\n  Port {host.port}\n  User {host.user}\n'
                                       for host in self.hosts.values()))

    def ensign(self, *arguments, check=True, **more):
        environment = dict(os.environ, HOME=str(self.home), XDG_STATE_HOME=str(self.folder / 'state'))
        environment.pop('SSH_AUTH_SOCK', None)
        return run(ENSIGN, *arguments, check=check, env=environment, **more)

    def close(self):
        for host in self.hosts.values():
            host.stop()
        run('umount', '/etc')
        shutil.rmtree(self.folder)


class Host:
    """One sshd. force: what runs in the place of each command; names: more of its /etc/hosts"""

    def __init__(self, hosts, name, address, user='root', force=None, hostname=None, names=None):
        self.name, self.address, self.user, self.force = name, address, user, force
        self.hostname = hostname or name
        self.folder = hosts.folder / name
        self.folder.mkdir()
        self.etc = self.folder / 'etc'
        hosts.make_etc(self.etc, names or {name: address})
        (self.etc / 'machine-id').write_text(os.urandom(16).hex() + '\n')
        self.port = free_port(address)
        self.authorized = self.folder / 'authorized_keys'
        shutil.copy(hosts.key.with_suffix('.pub'), self.authorized)
        self.authorized.chmod(0o644)
        self.process = None
        self.new_host_key()

    def new_host_key(self):
        for path in self.folder.glob('host_key*'):
            path.unlink()
        run('ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-f', self.folder / 'host_key')

    def host_key(self):
        return ' '.join((self.folder / 'host_key.pub').read_text().split()[:2])

    def configuration(self):
        lines = [f'ListenAddress {self.address}', f'Port {self.port}', f'HostKey {self.folder}/host_key', 'PidFile none',
                 f'AuthorizedKeysFile {self.authorized}', 'StrictModes no', 'UsePAM no', 'PasswordAuthentication no',
                 'PermitRootLogin yes', 'UseDNS no']
        session = UNPACKED / 'lib/openssh/sshd-session'
        lines += [f'SshdSessionPath {session}'] if session.exists() and UNPACKED in SSHD.parents else []
        lines += [f'ForceCommand {self.force}'] if self.force else []
        return '\n'.join(lines) + '\n'

    def start(self):
        (self.folder / 'sshd_config').write_text(self.configuration())
        script = ('set -e; hostname "$1"; mount --bind "$2" /etc; mount -t tmpfs run /run; mkdir -m 0755 /run/sshd; '
                  '[ ! -d /var/lib/etcd ] || mount -t tmpfs etcd /var/lib/etcd; exec "$3" -D -e -f "$4"')
        self.log = open(self.folder / 'sshd.log', 'ab')
        self.log_begin = self.log.tell()
        self.process = subprocess.Popen(
            ['unshare', '--mount', '--uts', 'sh', '-c', script, 'sh', self.hostname, self.etc, SSHD,
             self.folder / 'sshd_config'], stdout=self.log, stderr=self.log)
        wait_for(f'sshd of {self.name}', self.listening)
        return self

    def listening(self):
        said = (self.folder / 'sshd.log').read_bytes()[self.log_begin:].decode()  # not what an earlier one said
        if self.process.poll() is not None:
            raise AssertionError(said)
        return 'Server listening' in said

    def connections(self):
        """Its processes that serve somebody."""
        children = pathlib.Path(f'/proc/{self.process.pid}/task/{self.process.pid}/children').read_text().split()
        return [int(pid) for pid in children if is_running(int(pid))]

    def stop(self):
        if self.process and self.process.poll() is None:
            for pid in self.connections():
                os.kill(pid, 9)
            self.process.kill()
            self.process.wait()
        self.log.close()
