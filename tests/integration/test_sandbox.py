"""What the three processes gave up, as the kernel sees it while they run; what they cannot do any more is tried in
tests/unit/hsm/confined.c. And the unit file: how exposed systemd finds it, and that its filter lets them confine
themselves."""
import ctypes
import functools
import os
import pathlib
import re
import resource
import shutil
import signal
import socket
import subprocess
import sys
import time
import unittest

from lib import der
from lib.keys import Key
from lib.inject import inject, possible
from lib.service import BUILD, ENSIGND, Client, Service, is_running, run, wait_for
from test_processes import pair
from lib.world import World

PARTS = ('supervisor', 'signer', 'server')
NO_CAPABILITIES = '0' * 16
SETPCAP = 1 << 8
LOCKED_KB_ALL = 1000  # at least, when all memory is locked and not only what is unsealed
UNIT = BUILD / 'server/package/ensignd.service'
EXPOSURE_MAX = 1.5
BINARY = pathlib.Path(ENSIGND).read_bytes()
SANITIZER = b'__asan_init' in BINARY or b'__tsan_init' in BINARY


def status(path):
    return dict(re.findall(r'^(\w+):\t(.*)$', pathlib.Path(path, 'status').read_text(), re.M))


def bounding_set():
    """What is left of it: only who has CAP_SETPCAP can give it up."""
    own = status('/proc/self')
    return NO_CAPABILITIES if int(own['CapEff'], 16) & SETPCAP else own['CapBnd']


def faults(path):
    """How a thread or process differs from a confined one."""
    expected = {'Seccomp': '2', 'NoNewPrivs': '1', 'CapEff': NO_CAPABILITIES, 'CapPrm': NO_CAPABILITIES,
                'CapInh': NO_CAPABILITIES, 'CapAmb': NO_CAPABILITIES, 'CapBnd': bounding_set()}
    found = status(path)
    return {name: found[name] for name in expected if found[name] != expected[name]}


def unprivileged(*command):
    """As the same user without capabilities."""
    return ('setpriv', '--bounding-set', '-all', '--inh-caps', '-all', *command) if os.geteuid() == 0 else command


def memory_readable(pid):
    probe = f"open('/proc/{pid}/mem', 'rb')"
    return subprocess.run(unprivileged(sys.executable, '-c', probe), stderr=subprocess.DEVNULL).returncode == 0


class Confined(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.world = World()
        cls.addClassCleanup(cls.world.close)
        cls.service = cls.world.service
        cls.process = {part: pathlib.Path('/proc', str(cls.service.pid(part))) for part in PARTS}

    def test_every_thread(self):
        threads = 0
        connections = [Client(self.service) for _ in range(3)]  # each has a thread
        for connection in connections:
            self.assertEqual(connection.get('/livez')[0], 200)
        for part, process in self.process.items():
            for task in (process / 'task').iterdir():
                with self.subTest(part, task=task.name):
                    threads += 1
                    self.assertEqual(faults(task), {})
        self.assertGreater(threads, len(PARTS) + len(connections))

    def test_filter_of_its_own(self):
        """Besides the one of the supervisor."""
        supervisor, *others = (int(status(self.process[part])['Seccomp_filters']) for part in PARTS)
        self.assertEqual(others, [supervisor + 1] * 2)

    def test_control_this_process(self):
        self.assertLessEqual({'Seccomp', 'NoNewPrivs'}, set(faults('/proc/self')))

    def test_started_again(self):
        """By a supervisor that had nothing left to give."""
        old = self.service.pids(*PARTS[1:])
        self.service.kill(*PARTS[1:])
        wait_for('others', lambda: len(set(self.service.pids(*PARTS[1:])) - set(old)) == 2)
        self.service.wait_ready()
        for part in PARTS[1:]:
            type(self).process[part] = pathlib.Path('/proc', str(self.service.pid(part)))
            self.assertEqual(faults(self.process[part]), {})
        self.world.admin.connection = None
        answer = self.world.admin.post('/v1/clusters/vagrant/certificates', {
            'profile': 'etcd-member', 'node': 'etcdone', 'csr': der.request(Key())})
        self.assertEqual(answer[0], 201, answer[1])

    def test_no_core_dumps(self):
        for part in PARTS:
            limits = (self.process[part] / 'limits').read_text()
            self.assertRegex(limits, r'Max core file size +0 +0 ', part)

    def test_memory_is_nobodys(self):
        control = subprocess.Popen(unprivileged('sleep', '1000'))
        self.addCleanup(control.wait)
        self.addCleanup(control.kill)
        name = pathlib.Path('/proc', str(control.pid), 'comm')
        wait_for('the control', lambda: name.read_text() == 'sleep\n')
        if not memory_readable(control.pid):
            self.skipTest('no process here may read the memory of another: nothing to compare with')
        for part in PARTS:
            self.assertFalse(memory_readable(self.service.pid(part)), part)
            self.assertEqual((self.process[part] / 'mem').stat().st_uid, 0)

    def test_no_memory_is_written_and_run(self):
        for part in PARTS:
            maps = self.maps(part)
            self.assertTrue([line for line in maps if line.split()[1].startswith('r-xp')])
            self.assertEqual([line for line in maps if 'w' in line.split()[1] and 'x' in line.split()[1]], [], part)

    def maps(self, part):
        try:
            return (self.process[part] / 'maps').read_text().splitlines()
        except PermissionError:
            self.skipTest('only root may see the memory of ensignd')

    def test_signer_locks_memory(self):
        if SANITIZER:
            self.skipTest('a sanitizer locks no memory')
        locked = int(status(self.process['signer'])['VmLck'].split()[0])
        limit = re.search(r'Max locked memory +(\S+)', (self.process['signer'] / 'limits').read_text())[1]
        self.assertGreater(locked, LOCKED_KB_ALL if limit == 'unlimited' else 0)

    def test_descriptors(self):
        """The signer has its channel; the server no file outside of the state folder but where it logs and what /proc
        says of it, and nothing of the supervisor's but what it listens on."""
        if os.geteuid() != 0:
            self.skipTest('only root may see the descriptors of ensignd')
        kinds = {part: self.descriptors(part) for part in PARTS}
        self.assertEqual(len(kinds['signer']), 2)
        self.assertEqual([kind for kind in kinds['signer'] if kind.startswith('socket:')], kinds['signer'][1:])
        log, inside = str(self.service.folder / 'ensignd.log'), str(self.service.state) + '/'
        allowed = ('socket:', 'anon_inode:[signalfd]', 'anon_inode:[eventfd]', inside, str(self.process['server']))
        for kind in kinds['server'][3:]:
            self.assertTrue(kind.startswith(allowed), kind)
        self.assertIn(inside + 'data.mdb', kinds['server'])
        self.assertIn(log, kinds['server'][:3])
        self.assertEqual(kinds['server'].count('anon_inode:[signalfd]'), 1)
        shared = set(kinds['server']) & set(kinds['supervisor'])
        self.assertEqual(len([kind for kind in shared if kind.startswith('socket:')]), 2)

    def descriptors(self, part):
        folder = self.process[part] / 'fd'
        return [os.readlink(folder / name) for name in sorted(os.listdir(folder), key=int)]


class BrokenInto(unittest.TestCase):
    """A process that does what it never does: injected into the real ones."""
    GETPID, SOCKET, BPF = 39, 41, 321  # of x86-64

    @classmethod
    def setUpClass(cls):
        if not possible():
            raise unittest.SkipTest('as root on x86-64 only')

    def setUp(self):
        self.service = Service().init().start()
        self.addCleanup(self.service.__exit__)

    def killed(self, part, call, *arguments):
        pid = self.service.pid(part)
        self.assertEqual(inject(pid, self.GETPID), pid)  # control: it survives what it may do
        self.assertIsNone(inject(pid, call, *arguments))
        wait_for('the process to be gone', lambda: not is_running(pid))
        return pid

    def test_signer_and_server_are_killed_and_started_again(self):
        for part in PARTS[1:]:
            with self.subTest(part):
                pid = self.killed(part, self.SOCKET, socket.AF_INET, socket.SOCK_STREAM, 0)
                self.service.wait_ready()
                self.assertNotEqual(self.service.pid(part), pid)
                self.assertIn(f'the {part} was killed by signal {signal.SIGSYS:d}', self.service.log_tail(1000))

    def test_supervisor_is_killed_and_takes_the_others_along(self):
        others = self.service.pids(*PARTS[1:])
        supervisor = self.service.pid('supervisor')
        self.assertGreaterEqual(inject(supervisor, self.SOCKET, socket.AF_UNIX, socket.SOCK_DGRAM, 0), 0)
        self.killed('supervisor', self.BPF, 0, 0, 0)
        wait_for('the others to be gone', lambda: not any(is_running(pid) for pid in others))

    def test_server_reads_no_file_outside_of_the_state_folder(self):
        """The one file that it opens while it runs is made to lie elsewhere. Inside it is used: test_processes.py."""
        if not landlock():
            self.skipTest('this kernel has no Landlock')
        outside, path = self.service.folder / 'elsewhere.pem', self.service.state / 'tls.pem'
        outside.write_text(pair(time.time() - 10, 86400))
        path.unlink()
        path.symlink_to(outside)
        os.kill(self.service.pid('supervisor'), signal.SIGHUP)
        wait_for('another certificate', lambda: not path.is_symlink())
        self.assertIn(f'cannot open {path}: Permission denied', self.service.log_tail(1000))


class Owner(unittest.TestCase):
    def test_root_needs_a_folder_of_its_own(self):
        if os.geteuid() != 0:
            self.skipTest('root only')
        with Service() as service:
            service.init()
            os.chown(service.state, 65534, 65534)
            before = sorted(service.state.rglob('*'))
            result = run(ENSIGND, '--config', service.state / 'ensignd.yaml', check=False)
            self.assertEqual(result.returncode, 1)
            self.assertIn('belongs to the user 65534', result.stderr)
            self.assertEqual(sorted(service.state.rglob('*')), before)


# ---- the unit file ----

def unit_settings(text, name):
    return re.findall(rf'^{name}=(.*)$', text, re.M)


class Unit(unittest.TestCase):
    def exposure(self, text):
        """As systemd rates it: 0 is best, 10 is worst. With its exit status for our threshold."""
        folder = Service()  # for its temporary folder
        self.addCleanup(folder.__exit__)
        path = folder.folder / 'ensignd.service'
        path.write_text(text)
        result = run('systemd-analyze', 'security', '--offline=true', f'--threshold={EXPOSURE_MAX * 10:.0f}',
                     '--no-pager', path, check=False)
        if 'unrecognized option' in result.stderr:
            self.skipTest('this systemd does not rate files')
        found = re.search(r'Overall exposure level.*: ([0-9.]+)', result.stdout)
        self.assertTrue(found, result.stdout + result.stderr)
        return float(found[1]), result.returncode

    def test_exposure(self):
        exposure, code = self.exposure(UNIT.read_text())
        print(f'exposure of the unit: {exposure} of 10')
        self.assertLessEqual(exposure, EXPOSURE_MAX)
        self.assertEqual(code, 0)

    def test_control_without_a_system_call_filter(self):
        text = re.sub(r'^(SystemCall.*|CapabilityBoundingSet=|PrivateUsers=yes|Restrict.*)\n', '', UNIT.read_text(),
                      flags=re.M)
        exposure, code = self.exposure(text)
        self.assertGreater(exposure, EXPOSURE_MAX)
        self.assertNotEqual(code, 0)


@functools.lru_cache(None)
def call_set(name):
    """The calls of systemd's set @name, with those of the sets in it."""
    lines = [line.strip() for line in run('systemd-analyze', 'syscall-filter', name).stdout.splitlines()[1:]]
    words = {line for line in lines if line and not line.startswith('#')}
    return words.union(*(call_set(word) for word in words if word.startswith('@')))


def unit_calls(text):
    """What SystemCallFilter= comes to: later lines add to it and, with ~, take away."""
    calls = set()
    for line in unit_settings(text, 'SystemCallFilter'):
        words = set(line.removeprefix('~').split())
        words = words.union(*(call_set(word) for word in words if word.startswith('@')))
        calls = calls - words if line.startswith('~') else calls | words
    return {call for call in calls if not call.startswith('@')}


def filter_load(calls):
    """In the child, before it becomes ensignd: all other calls fail with EPERM, as SystemCallErrorNumber= says."""
    library = ctypes.CDLL('libseccomp.so.2')
    library.seccomp_init.restype = ctypes.c_void_p
    allow, refuse = 0x7fff0000, 0x00050000 | 1
    context = ctypes.c_void_p(library.seccomp_init(ctypes.c_uint32(refuse)))
    for call in calls:
        number = library.seccomp_syscall_resolve_name(call.encode())
        if number >= 0:
            library.seccomp_rule_add(context, ctypes.c_uint32(allow), number, 0)
    if library.seccomp_load(context) != 0:
        os._exit(125)


class UnderTheUnit(unittest.TestCase):
    """The unit's filter, as systemd would set it, and its limits."""

    def start(self, service, calls):
        def prepare():
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            filter_load(calls)
        service.log = open(service.folder / 'ensignd.log', 'ab')
        service.process = subprocess.Popen([ENSIGND, '--config', service.state / 'ensignd.yaml'], stderr=service.log,
                                           stdout=service.log, preexec_fn=prepare)
        return service

    def setUp(self):
        if not shutil.which('systemd-analyze'):
            self.skipTest('systemd-analyze says what is in the sets of calls')
        self.calls = unit_calls(UNIT.read_text()) | ({'ptrace'} if SANITIZER else set())
        self.assertIn('accept4', self.calls)
        self.assertNotIn('mount', self.calls)

    def test_it_serves(self):
        with Service() as service:
            self.start(service.init(), self.calls).wait_ready()
            service.create_cluster('vagrant-external-etcd.yaml')
            for part in PARTS:
                self.assertEqual(status(f'/proc/{service.pid(part)}')['Seccomp'], '2')
            os.kill(service.pid('supervisor'), signal.SIGHUP)
            self.assertEqual(Client(service).get('/readyz')[0], 200)
            self.assertEqual(service.stop(), 0)
            self.assertEqual('Landlock' in service.log_tail(1000), not landlock())

    def test_control_capset_is_needed(self):
        with Service() as service:
            self.start(service.init(), self.calls - {'capset'})
            self.assertNotEqual(service.process.wait(timeout=60), 0)
            self.assertIn('capabilities', service.log_tail())

    def test_control_landlock_is_missed(self):
        with Service() as service:
            self.start(service.init(), self.calls - {'landlock_create_ruleset'}).wait_ready()
            self.assertIn('no Landlock', service.log_tail(1000))


def landlock():
    """Its version; 0 when the kernel has none."""
    create_ruleset, version_asked = 444, 1
    return max(0, ctypes.CDLL(None).syscall(create_ruleset, None, 0, version_asked))


if __name__ == '__main__':
    unittest.main(warnings='ignore')
