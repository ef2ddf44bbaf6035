"""`ensign cluster check` on real hosts: sshd, sudo, the facts script as root; and hosts that are hostile."""
import fcntl
import json
import os
import pathlib
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
import unittest

from lib import hosts as lib
from lib.service import ENSIGN, Service, is_running, wait_for

NAMES = {'etcdone': '192.0.2.21', 'masterone': '192.0.2.10', 'workerone': '192.0.2.31'}
ROLES = {'etcdone': 'etcd', 'masterone': 'control-plane', 'workerone': 'worker'}


def runs_left():
    return [path for path in pathlib.Path('/tmp').glob('ensign-??????') if path.is_dir() and (path / 'config').exists()]


class Fleet(unittest.TestCase):
    """Three hosts of a cluster."""

    def setUp(self):
        self.before = runs_left()
        self.hosts = lib.Hosts()
        self.addCleanup(self.hosts.close)
        self.bootstrap, self.version = {}, '1.31'

    def add(self, name, **more):
        return self.hosts.add(name, NAMES[name], names=NAMES, **more)

    def add_all(self, **users):
        for name in NAMES:
            self.add(name, user=users.get(name, 'root')).start()

    def file(self):
        nodes = [{'name': name, 'addresses': [address], 'roles': [ROLES[name]]} for name, address in NAMES.items()]
        path = self.hosts.folder / 'cluster.yaml'
        path.write_text(json.dumps({
            'apiVersion': 'ensign/v1', 'kind': 'Cluster', 'name': 'fleet', 'kubernetesVersion': self.version,
            'controlPlaneEndpoint': '192.0.2.10:6443', 'etcd': {'topology': 'external'}, 'nodes': nodes,
            'bootstrap': self.bootstrap}))
        return path

    def check(self, *more, **how):
        self.hosts.configure()
        result = self.hosts.ensign('cluster', 'check', '-f', self.file(), '-o', 'json', *more, check=False, timeout=100,
                                   **how)
        answer = json.loads(result.stdout) if result.stdout else None
        return result, answer

    def errors(self, answer):
        return [(item['node'], item['check']) for item in answer['items'] if item['level'] == 'error']

    def one(self, answer, node, check):
        found = [item for item in answer['items'] if (item['node'], item['check']) == (node, check)]
        self.assertEqual(1, len(found), answer['items'])
        return found[0]

    def password_file(self, text, mode=0o600):
        path = self.hosts.folder / 'password'
        path.touch(mode=mode)
        path.write_text(text)
        return path


class Hosts(Fleet):
    def test_fit(self):
        self.add_all(etcdone='ops', workerone='free')
        result, answer = self.check('--sudo-password-file', self.password_file(lib.PASSWORD + '\n'))
        self.assertEqual([], self.errors(answer), result.stderr)
        self.assertEqual(0, result.returncode)
        facts = {host['node']: host['facts'] for host in answer['hosts']}
        for name in NAMES:
            self.assertEqual(name, facts[name]['hostname'])
            self.assertIn([name, NAMES[name]], facts[name]['names'])
        self.assertEqual(3, len({each['machine_id'] for each in facts.values()}))
        for host in answer['hosts']:
            self.assertLess(abs(host['clock_ahead_ms']), 1000 + host['clock_uncertainty_ms'])
        self.nothing_left()
        self.no_secret(result)

    def no_run_left(self):
        wait_for('the folder of the run to be gone', lambda: set(runs_left()) <= set(self.before), 20)

    def nothing_left(self):
        self.no_run_left()
        wait_for('all connections to end', lambda: not any(host.connections() for host in self.hosts.hosts.values()), 10)

    def no_secret(self, result):
        logs = list((self.hosts.folder / 'state/ensign/fleet').iterdir())
        self.assertEqual({f'{name}.log' for name in NAMES}, {log.name for log in logs})
        for log in logs:
            self.assertEqual(0o600, log.stat().st_mode & 0o777)
            self.assertIn('tell its facts', log.read_text())
            self.assertNotIn(lib.PASSWORD, log.read_text())
        self.assertNotIn(lib.PASSWORD, result.stdout + result.stderr)

    def test_sudo_refusals(self):
        self.add_all(etcdone='guest', masterone='ops', workerone='nobodys')
        result, answer = self.check('--sudo-password-file', self.password_file('not the password\n'))
        self.assertEqual(1, result.returncode)
        self.assertIn('does not take the password', self.one(answer, 'masterone', 'forbidden')['seen'])
        self.assertIn('does not take the password', self.one(answer, 'workerone', 'forbidden')['seen'])
        result, answer = self.check('--sudo-password-file', self.password_file(lib.PASSWORD))
        self.assertEqual([('etcdone', 'forbidden'), ('workerone', 'forbidden')], self.errors(answer))
        self.assertIn('may not use sudo', self.one(answer, 'etcdone', 'forbidden')['seen'])

    def test_password_file_of_others(self):
        self.add_all()
        path = self.password_file(lib.PASSWORD)
        path.chmod(0o644)
        result, answer = self.check('--sudo-password-file', path)
        self.assertIsNone(answer)
        self.assertIn('password', result.stderr)

    def test_password_wanted_without_terminal(self):
        self.add_all(etcdone='ops')
        result, answer = self.check(start_new_session=True)
        self.assertEqual(2, result.returncode)
        self.assertIn('--sudo-password-file', result.stderr)
        self.nothing_left()

    def test_password_asked_once(self):
        self.add_all(etcdone='ops', masterone='ops')
        self.hosts.configure()
        pid, terminal = pty.fork()
        if pid == 0:
            os.environ.update(HOME=str(self.hosts.home), XDG_STATE_HOME=str(self.hosts.folder / 'state'), TERM='xterm')
            os.execv(ENSIGN, [ENSIGN, 'cluster', 'check', '-f', str(self.file())])
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack('HHHH', 40, 100, 0, 0))
        seen, answered, end = '', False, time.monotonic() + 60
        while time.monotonic() < end:
            if not select.select([terminal], [], [], 1)[0]:
                continue
            try:
                seen += os.read(terminal, 4096).decode()
            except OSError:
                break
            if not answered and 'Password for sudo' in seen:
                os.write(terminal, lib.PASSWORD.encode() + b'\n')
                answered = True
        self.assertEqual(0, os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), seen)
        self.assertEqual(1, seen.count('Password for sudo'), seen)
        self.assertNotIn(lib.PASSWORD, seen)
        self.assertIn('\033[3A', seen)  # a line per host, drawn again

    def test_unknown_and_pinned(self):
        for name in NAMES:
            self.add(name, known=False).start()
        result, answer = self.check()
        self.assertEqual([(name, 'untrusted') for name in NAMES], self.errors(answer))
        self.assertIn('not known', self.one(answer, 'etcdone', 'untrusted')['seen'])
        self.bootstrap = {'ssh': {'hostKeys': {name: host.host_key() for name, host in self.hosts.hosts.items()}}}
        result, answer = self.check()
        self.assertEqual([], self.errors(answer), result.stderr)
        self.assertFalse(self.hosts.known.exists() and self.hosts.known.read_text())

    def test_changed_key(self):
        self.add_all()
        worker = self.hosts.hosts['workerone']
        worker.stop()
        worker.new_host_key()
        worker.start()
        result, answer = self.check()
        self.assertEqual([('workerone', 'untrusted')], self.errors(answer))
        self.assertIn('another key than before', self.one(answer, 'workerone', 'untrusted')['seen'])
        self.assertEqual(1, result.returncode)
        self.hosts.know(worker)  # the user knows it now, but the cluster file pins another one
        self.bootstrap = {'ssh': {'hostKeys': {'workerone': self.hosts.hosts['etcdone'].host_key()}}}
        self.assertEqual([('workerone', 'untrusted')], self.errors(self.check()[1]))

    def test_no_entry(self):
        self.add_all()
        self.hosts.hosts['etcdone'].authorized.write_text('')
        self.hosts.hosts['masterone'].stop()
        _, answer = self.check()
        self.assertEqual([('etcdone', 'unauthenticated'), ('masterone', 'unreachable')], self.errors(answer))

    def test_user_configuration_does_not_weaken(self):
        self.add_all()
        worker = self.hosts.hosts['workerone']
        worker.stop()
        worker.new_host_key()
        worker.start()
        config = self.hosts.folder / 'lax config'
        self.hosts.configure()
        lax = 'Host *\n  StrictHostKeyChecking no\n  UserKnownHostsFile /dev/null\n  RemoteCommand false\n  RequestTTY force\n'
        config.write_text(lax + self.hosts.config.read_text())
        _, answer = self.check('--ssh-config', config)
        self.assertEqual([(name, 'untrusted') for name in NAMES], self.errors(answer))

    def test_jump_host(self):
        """ssh's own ProxyJump: over a node that is a host of the cluster, too."""
        self.add_all()
        self.hosts.configure()
        config = self.hosts.folder / 'jump config'
        config.write_text('Host workerone\n  ProxyJump etcdone\n' + self.hosts.config.read_text())
        result, answer = self.check('--ssh-config', config)
        self.assertEqual([], self.errors(answer), result.stderr)
        accepted = {name: (host.folder / 'sshd.log').read_text().count('Accepted publickey')
                    for name, host in self.hosts.hosts.items()}
        self.assertEqual({'etcdone': 2, 'masterone': 1, 'workerone': 1}, accepted)
        self.nothing_left()

    def test_hangs(self):
        self.add_all()
        worker, master = self.hosts.hosts['workerone'], self.hosts.hosts['masterone']
        os.kill(worker.process.pid, signal.SIGSTOP)  # accepts, and says nothing
        self.addCleanup(os.kill, worker.process.pid, signal.SIGCONT)
        master.stop()
        self.force(master, 'kill -STOP $PPID; exec sleep 600')  # says nothing any more
        master.start()
        begun = time.monotonic()
        _, answer = self.check()
        self.assertLess(time.monotonic() - begun, 60)
        self.assertEqual([('masterone', 'unreachable'), ('workerone', 'unreachable')], self.errors(answer))
        self.no_run_left()

    def force(self, host, script):
        """It answers the first questions as it should, and runs this in the place of the script that asks for facts."""
        path = host.folder / 'force'
        path.write_text('case "$SSH_ORIGINAL_COMMAND" in *ensign-probe*|*date*) exec sh -c "$SSH_ORIGINAL_COMMAND";; esac\n'
                        f'{script}\n')
        host.force = f'/bin/sh {path}'

    def test_hostile(self):
        scripts = {'etcdone': 'exec cat /dev/zero', 'masterone': """cat >/dev/null; echo '{"version":1,"surprise":"no"}'""",
                   'workerone': r"""cat >/dev/null; printf '{"version":1,"hostname":"\033[2J"}'"""}
        for name, script in scripts.items():
            host = self.add(name)
            self.force(host, script)
            host.start()
        result, answer = self.check()
        self.assertEqual([('etcdone', 'too_large'), ('masterone', 'invalid'), ('workerone', 'malformed')],
                         self.errors(answer), result.stderr)
        self.assertNotIn('\033', result.stdout + result.stderr)
        self.nothing_left()

    def test_wrong_hosts(self):
        """What check.h finds, of real hosts: another cluster's CA, a port, a name, an address, a copied machine."""
        for name in NAMES:
            self.add(name, hostname='mailer' if name == 'workerone' else None)
        etcd, worker = self.hosts.hosts['etcdone'], self.hosts.hosts['workerone']
        (worker.etc / 'machine-id').write_text((etcd.etc / 'machine-id').read_text())
        pki = worker.etc / 'kubernetes/pki'
        pki.mkdir(parents=True)
        subprocess.run(['openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes',
                        '-subj', '/CN=kubernetes', '-keyout', '/dev/null', '-out', pki / 'ca.crt'], check=True,
                       capture_output=True)
        der = subprocess.run(['openssl', 'x509', '-in', pki / 'ca.crt', '-noout', '-fingerprint', '-sha256'], check=True,
                             capture_output=True, text=True).stdout.strip().split('=')[1].replace(':', '').lower()
        for host in self.hosts.hosts.values():
            host.start()
        taker = subprocess.Popen([sys.executable, '-c', 'import socket, time; s = socket.socket(); '
                                  's.bind(("0.0.0.0", 2379)); s.listen(); print(flush=True); time.sleep(600)'],
                                 stdout=subprocess.PIPE)
        self.addCleanup(taker.stdout.close)
        self.addCleanup(taker.wait)
        self.addCleanup(taker.kill)
        taker.stdout.readline()
        result, answer = self.check()
        self.assertEqual([('etcdone', 'port'), ('workerone', 'machine id')], self.errors(answer), result.stderr)
        self.assertIn('python', self.one(answer, 'etcdone', 'port')['seen'])
        self.assertIn(der[:16], self.one(answer, 'workerone', 'cluster')['seen'])
        self.assertEqual('mailer', self.one(answer, 'workerone', 'host name')['seen'])
        self.assertEqual(1, result.returncode)

    def test_whose_ca(self):
        """With a service to ask: before it has the cluster, a CA is somebody else's; then its own is fine, another not."""
        for name in NAMES:
            self.add(name)
        service = Service().init().start()
        self.addCleanup(service.__exit__)
        pki = [self.hosts.hosts[name].etc / 'kubernetes/pki' for name in ('masterone', 'workerone')]
        for folder in pki:
            folder.mkdir(parents=True)
            (folder / 'ca.crt').write_bytes((service.state / 'tls.pem').read_bytes())
        for host in self.hosts.hosts.values():
            host.start()
        with_service = ('--context', service.context_file)
        self.assertEqual([('masterone', 'cluster'), ('workerone', 'cluster')], self.errors(self.check(*with_service)[1]))
        service.ensign('cluster', 'create', '-f', self.file())
        bundle = service.ensign('ca', 'bundle', '--cluster', 'fleet', '--authority', 'kubernetes').stdout
        (pki[0] / 'ca.crt').write_text(bundle)
        result, answer = self.check(*with_service)
        self.assertEqual({('workerone', 'cluster')}, set(self.errors(answer)), result.stderr)
        (pki[1] / 'ca.crt').write_text(bundle)
        self.assertEqual([], self.errors(self.check(*with_service)[1]))

    def test_interrupt(self):
        self.add_all()
        slow = self.hosts.hosts['workerone']
        slow.stop()
        self.force(slow, 'exec sleep 600')
        slow.start()
        self.hosts.configure()
        environment = dict(os.environ, HOME=str(self.hosts.home), XDG_STATE_HOME=str(self.hosts.folder / 'state'))
        process = subprocess.Popen([ENSIGN, 'cluster', 'check', '-f', self.file()], env=environment,
                                   stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
        line = ''
        while 'masterone: look: done' not in line:
            line = process.stderr.readline()
            self.assertTrue(line, 'it ended before it was interrupted')
        self.assertTrue(set(runs_left()) - set(self.before))  # the control: there is something to tidy up
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=20)
        self.assertEqual(-signal.SIGINT, process.returncode)
        self.nothing_left()
        self.assertFalse(is_running(process.pid))


if __name__ == '__main__':
    if lib.missing():
        print(f'skipped: {lib.missing()}')
        sys.exit(77)
    lib.own_machine(*NAMES.values())
    unittest.main(verbosity=2)
