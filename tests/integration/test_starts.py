"""Starts that must not succeed: each says why in one clear sentence, and changes nothing."""
import hashlib
import secrets
import socket
import subprocess
import unittest

from lib import der
from lib.keys import Key
from lib import audit
from lib.service import ENSIGND, Client, Service
from lib.world import cluster_document, issue

START_SECONDS = 30


# These say who reads, or tried to start, and are no state.
WHO_RUNS = {'lock.mdb', 'ensignd.lock'}


def picture(folder):
    """path -> type, mode and hash of everything"""
    found = {}
    for path in sorted(folder.rglob('*')):
        mode = path.lstat().st_mode
        regular = path.is_file() and path.name not in WHO_RUNS
        found[str(path.relative_to(folder))] = mode, hashlib.sha256(path.read_bytes()).hexdigest() if regular else None
    return found


class Starts(unittest.TestCase):
    def setUp(self):
        """A service that ran once, has certificates, and is stopped."""
        self.service = Service()
        self.addCleanup(self.service.__exit__)
        self.service.init().start()
        self.fill()
        self.service.stop()

    def fill(self):
        admin = Client(self.service, self.service.context_file)
        status, answer, _ = admin.post('/v1/clusters', {'cluster': cluster_document()})
        self.assertEqual(status, 201, answer)
        for _ in range(3):
            self.assertEqual(issue(admin, der.request(Key()), node='etcdone')[0], 201)
        self.issued = audit.certificates(admin)

    def start_fails(self, *words, command=None):
        """Runs ensignd, which must end with a sentence that has these words, and change nothing."""
        line, *more = self.start_output(command)
        self.assertEqual(more, [])
        for word in words:
            self.assertIn(str(word), line)
        return line

    def start_output(self, command=None):
        """What a start that fails says, and that it changes nothing."""
        before = picture(self.service.state)
        command = command or ['--config', self.service.state / 'ensignd.yaml']
        result = subprocess.run([ENSIGND, *map(str, command)], capture_output=True, text=True, timeout=START_SECONDS)
        self.assertEqual(result.returncode, 1, result.stderr)
        self.assertEqual(picture(self.service.state), before)
        return [line for line in result.stderr.splitlines() if line and not line.startswith('{')]  # the log is JSON

    def start_succeeds(self):
        """The control: afterwards the same state folder works, with all that it had."""
        self.service.start()
        self.assertEqual(audit.certificates(Client(self.service, self.service.context_file)), self.issued)

    def test_control(self):
        self.start_succeeds()

    def test_wrong_seal_key(self):
        key_file = self.service.folder / 'seal.key'
        right = key_file.read_text()
        key_file.write_text(secrets.token_hex(32) + '\n')
        line = self.start_fails('seal key', key_file)
        for secret in (right.strip(), key_file.read_text().strip()):
            self.assertNotIn(secret, line)
        key_file.write_text(right)
        self.start_succeeds()

    def test_seal_key_missing(self):
        key_file = self.service.folder / 'seal.key'
        key_file.rename(self.service.folder / 'moved.key')
        self.start_fails(key_file)
        (self.service.folder / 'moved.key').rename(key_file)
        self.start_succeeds()

    def test_seal_key_that_others_can_read(self):
        key_file = self.service.folder / 'seal.key'
        key_file.chmod(0o644)
        self.start_fails(key_file)
        key_file.chmod(0o600)
        self.start_succeeds()

    def damage(self, change):
        """Changes data.mdb; returns how to put it back."""
        database = next(self.service.state.rglob('data.mdb'))
        good = database.read_bytes()
        data = bytearray(good)
        change(data)
        database.write_bytes(data)
        return lambda: database.write_bytes(good)

    def test_no_database(self):
        def overwrite(data):
            data[:] = b'this is no database\n' * 1000
        restore = self.damage(overwrite)
        self.start_fails('data.mdb')
        restore()
        self.start_succeeds()

    def test_empty_database(self):
        restore = self.damage(lambda data: data.clear())
        self.start_fails('data')
        restore()
        self.start_succeeds()

    def test_last_leaf_changed(self):
        """One bit in the newest leaf: its checksum and the tree tell."""
        def flip(data):
            at = data.rindex(b'"event":"certificate.issued"')
            while at >= 0:
                data[at + 12] ^= 1
                at = data.rfind(b'"event":"certificate.issued"', 0, at)
        restore = self.damage(flip)
        self.start_fails()
        restore()
        self.start_succeeds()

    def test_second_on_the_same_state(self):
        self.service.start()
        self.start_fails(self.service.state, self.service.pid('supervisor'), 'runs on')
        self.assertEqual(Client(self.service).get('/readyz')[0], 200)
        self.service.stop()
        self.start_succeeds()

    def test_port_in_use(self):
        with socket.create_server(('127.0.0.1', self.service.port)):
            self.start_fails(f'port {self.service.port} of 127.0.0.1', 'in use')
        self.start_succeeds()

    def test_second_init(self):
        self.start_fails(self.service.state, command=[
            'init', '--state', self.service.state, '--name', 'localhost', '--listen', '127.0.0.1:8443',
            '--seal-key-file', self.service.folder / 'other.key'])
        self.assertFalse((self.service.folder / 'other.key').exists())
        self.start_succeeds()

    def test_mistakes_in_the_configuration(self):
        """All at once, each with its place."""
        config = self.service.state / 'ensignd.yaml'
        good = config.read_text()
        config.write_text(good + 'colour: blue\nlog: {level: loud}\n')
        output = '\n'.join(self.start_output())
        line = good.count('\n') + 1
        for word in (f'ensignd.yaml:{line}:1', 'colour', f'ensignd.yaml:{line + 1}:', 'loud'):
            self.assertIn(word, output)
        config.write_text(good)
        self.start_succeeds()

    def test_state_folder_missing(self):
        config = self.service.folder / 'other.yaml'
        config.write_text((self.service.state / 'ensignd.yaml').read_text().replace(str(self.service.state),
                                                                                 '/nonexistent/state'))
        self.start_fails(command=['--config', config])


class BadInit(unittest.TestCase):
    """An init that fails leaves nothing behind, and can be run again."""

    def setUp(self):
        self.service = Service()
        self.service.folder.chmod(0o700)
        self.addCleanup(self.service.__exit__)

    def init_fails(self, *codes, **change):
        options = {'--state': self.service.state, '--name': 'localhost', '--listen': '127.0.0.1:8443',
                   '--seal-key-file': self.service.folder / 'seal.key'} | change
        before = picture(self.service.folder)
        result = subprocess.run([ENSIGND, 'init', *[str(word) for item in options.items() for word in item if word]],
                                capture_output=True, text=True, timeout=START_SECONDS)
        self.assertIn(result.returncode, codes, result.stderr)
        self.assertTrue(result.stderr.strip())
        self.assertEqual(picture(self.service.folder), before)

    def test_bad_values(self):
        short = self.service.folder / 'short.key'
        short.touch(mode=0o600)
        short.write_text('1234\n')
        cases = [{'--name': 'Not A Name'}, {'--listen': 'nowhere'}, {'--listen': '127.0.0.1:99999'},
                 {'--listen': '127.0.0.1:0'}, {'--seal-key-file': short}]
        for change in cases:
            with self.subTest(change):
                self.init_fails(1, 2, **change)
        self.service.init().start()

    def test_folder_that_is_not_empty(self):
        self.service.state.mkdir(mode=0o700)
        (self.service.state / 'precious').write_text('keep me')
        self.init_fails(1)

    def test_folder_that_cannot_be_made(self):
        self.init_fails(1, **{'--state': '/proc/ensign'})


if __name__ == '__main__':
    unittest.main(warnings='ignore')
