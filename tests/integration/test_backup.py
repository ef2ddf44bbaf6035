"""Backups of a running service, restoring them elsewhere, and old copies of the database (A20)."""
import base64
import contextlib
import hashlib
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import unittest

from lib import audit, der
from lib.keys import Key
from lib.service import BUILD, ENSIGN, ENSIGND, Client, Service, free_port, run, wait_for
from lib.world import Case, Token, UnixClient, cluster_document

LOAD = BUILD / 'tests/bench/load'
CERTIFICATES = '/v1/clusters/vagrant/certificates'


def backup(service, recipient, path, check=True):
    return run(ENSIGND, 'backup', '--config', service.state / 'ensignd.yaml', '--recipient', recipient, path,
               check=check)


def restore(state, key, path, *more, check=True):
    return run(ENSIGND, 'restore', '--state', state, '--key-file', key, *more, path, check=check)


def restored_service(original, key, path):
    """A service of its own on what comes out of the backup, not started."""
    service = Service()
    service.folder.chmod(0o700)
    service.output = restore(service.state, key, path).stdout
    service.port = free_port()
    config = service.state / 'ensignd.yaml'
    config.write_text(config.read_text().replace(f':{original.port}', f':{service.port}'))
    service.context_file = original.context_file
    return service


def client_state(service):
    """ensign as somebody who remembers checkpoints: a function that runs it there."""
    memory = tempfile.mkdtemp(dir=service.folder)

    def ensign(*words, check=False):
        environment = dict(os.environ, ENSIGN_CONTEXT=str(service.context_file), XDG_STATE_HOME=memory,
                           ENSIGN_SERVER=f'https://127.0.0.1:{service.port}')
        return run(ENSIGN, *words, check=check, env=environment)
    return ensign


@contextlib.contextmanager
def impostor(service, answer):
    """Something else at the service's socket, that answers this to everything."""
    path = service.state / 'run' / 'ensignd.sock'
    path.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()

        def serve():
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    with connection:
                        connection.recv(4096)
                        connection.sendall(answer)
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


class Copies(Case):
    """What both have: issuing, and that it waits."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.folder = cls.world.service.folder
        cls.folder.chmod(0o700)
        cls.key = cls.folder / 'backup.key'
        cls.recipient = run(ENSIGND, 'backup', 'keygen', cls.key).stdout.strip()

    def issues(self, client):
        return self.issued(client, der.request(Key()), node='etcdone')

    def waits(self, client, state):
        """Nothing is issued, reading goes on, and everybody who looks is told why."""
        csr = der.request(Key())
        for path, body in ((CERTIFICATES, {'profile': 'etcd-member', 'node': 'etcdone', 'csr': csr}),
                           ('/v1/clusters/vagrant/tokens', Token(self.world.pin).body('etcdone')),
                           ('/v1/clusters', {'cluster': cluster_document('other', '10.8.0')}),
                           ('/v1/identities', {'name': 'mallory', 'role': 'auditor', 'csr': csr})):
            got, answer, headers = client.post(path, body)
            self.assertEqual(got, 503, answer)
            self.problem(answer, 503, 'restored', headers)
            self.assertIn('ensign restore show', answer['detail'])
            self.assertGreater(int(headers['Retry-After']), 0)
        status, lines, _ = client.get('/readyz')
        self.assertEqual((status, lines.count(b'[-]')), (503, 1), lines)
        self.assertIn(b'[-]restore failed: restored', lines)
        self.assertIn(b'ensign_restore_pending 1', client.get('/metrics')[1])
        for path in ('/livez', '/v1/certificates', '/v1/clusters/vagrant', '/v1/audit/entries'):
            self.assertEqual(client.get(path)[0], 200)
        status, answer, _ = client.get('/v1/restore')
        self.assertEqual((status, answer['state']), (200, state), answer)
        return answer

    def acknowledged(self, client, entries):
        """By an admin who knows which copy it is."""
        for body in ({}, {'entries': -1}, {'entries': str(entries)}, {'entries': entries, 'more': 1}):
            self.refused(client, 'POST', '/v1/restore/acknowledgement', 400, 'invalid', body)
        for wrong in (entries - 1, entries + 1):
            answer = self.refused(client, 'POST', '/v1/restore/acknowledgement', 400, 'invalid', {'entries': wrong})
            self.assertEqual(self.pointers(answer), {'/entries'})
        for _ in range(2):  # the second time there is nothing to say
            status, answer, _ = client.post('/v1/restore/acknowledgement', {'entries': entries})
            self.assertEqual((status, answer['state'], answer['entries']), (200, 'none', None), answer)
        self.assertEqual(client.get('/readyz')[0], 200)
        self.assertIn(b'ensign_restore_pending 0', client.get('/metrics')[1])

    def events(self, client):
        return [json.loads(leaf) for leaf in audit.leaves(client)]


class Backup(Copies):
    def test_under_load(self):
        """Each certificate that was there before a backup began is in it; the service does not notice."""
        service, kept = self.world.service, []
        load = subprocess.Popen(
            [LOAD, '--port', str(service.port), '--context', service.context_file, '--path', CERTIFICATES, '--csr', 'csr',
             '--expect', '201', '--connections', '8', '--seconds', '4', '--body',
             json.dumps({'profile': 'etcd-member', 'node': 'etcdone'})], stdout=subprocess.PIPE, text=True)
        self.addCleanup(load.stdout.close)
        self.addCleanup(load.wait)
        begun = self.size()
        wait_for('the load to begin', lambda: self.size() > begun + 100)
        for number in range(3):
            kept.append([self.issues(self.admin) for _ in range(3)])
            size = self.size()
            path = self.folder / f'load.{number}'
            text = backup(service, self.recipient, path).stderr
            self.assertGreaterEqual(int(re.search(r'at least (\d+) entries', text)[1]), size)
            self.assertIn('seal key is NOT in it', text)
            self.assertEqual(path.stat().st_mode & 0o7777, 0o600)
        during = load.poll() is None and self.size() > size
        self.assertEqual(load.wait(), 0)
        self.assertTrue(during, 'the load was over before the backups')
        self.assertEqual(json.loads(load.stdout.read())['failed'], 0)
        self.assertFalse(list(self.folder.glob('*.new')))
        for number in (0, 2):
            with restored_service(service, self.key, self.folder / f'load.{number}') as copy:
                self.copy_is_whole(copy, [item for items in kept[:number + 1] for item in items])
        with restored_service(service, self.key, self.folder / 'load.0') as copy:  # the control
            copy.start('/livez')
            self.assertEqual(Client(copy, service.context_file).get('/v1/certificates/' + kept[2][2]['serial'])[0], 404)

    def size(self):
        return audit.checkpoint_parse(self.admin.get('/v1/audit/checkpoint')[1])[1]

    def copy_is_whole(self, copy, expected):
        self.assertIn('Verified', run(ENSIGND, 'verify', '--config', copy.state / 'ensignd.yaml').stdout)
        copy.start('/livez')
        client = Client(copy, self.world.service.context_file)
        for item in expected:
            status, answer, _ = client.get('/v1/certificates/' + item['serial'])
            self.assertEqual((status, answer), (200, item))
        answer = self.waits(client, 'restored')
        self.assertIn(f"{answer['entries']} entries, root {answer['root']}", copy.output)
        self.assertIn(answer['time'], copy.output)

    def test_restored_elsewhere(self):
        path = self.folder / 'elsewhere'
        self.issues(self.admin)
        run('sh', '-c', f'"$0" backup --config "$1" --recipient "$2" - > "$3" 2>/dev/null', ENSIGND,
            self.world.service.state / 'ensignd.yaml', self.recipient, path)  # to a pipe of our own
        later = self.issues(self.admin)
        content = path.read_bytes()
        self.assertEqual(content.split(b'\n')[0], b'ensign backup 1')
        for text in (b'vagrant', b'etcdone', b'PRIVATE', b'keyFile', b'"kdf"'):
            self.assertNotIn(text, content)
        with restored_service(self.world.service, self.key, path) as copy:
            seal_key = (self.folder / 'seal.key').read_text().strip()
            everything = b''.join(file.read_bytes() for file in copy.state.rglob('*') if file.is_file())
            for form in (seal_key.encode(), bytes.fromhex(seal_key)):
                self.assertNotIn(form, everything)
            self.assertIn(b'vagrant', everything)  # the control
            copy.start('/livez')  # by the seal key that its configuration names
            client, root = Client(copy, self.world.service.context_file), UnixClient(copy)
            events = self.events(client)
            entries = self.waits(client, 'restored')['entries']
            self.assertEqual(client.get('/v1/certificates/' + later['serial'])[0], 404)
            self.assertEqual((events[-1]['event'] == 'certificate.issued', events[-2]['event'], len(events)),
                             (True, 'database.restored', entries + 2))  # and its TLS certificate, which is not in it
            self.assertEqual((events[-2]['entries'], events[-2]['actor']), (entries, 'service restore'))
            for kill in (True, False):
                copy.kill('supervisor', 'signer', 'server') if kill else copy.stop()
                copy.start('/livez')
                client.connection = root.connection = None
                self.waits(client, 'restored')
            self.refused(Client(copy), 'POST', '/v1/restore/acknowledgement', 401, 'unauthenticated', {'entries': entries})
            self.acknowledged(root, entries)
            event = self.events(client)[-1]
            self.assertEqual((event['event'], event['actor'], event['entries']),
                             ('restore.acknowledged', 'admin root', entries))
            self.issues(client)
            copy.stop()
            copy.start()
            client.connection = None
            self.issues(client)
            copy.stop()
            run(ENSIGND, 'verify', '--config', copy.state / 'ensignd.yaml')

    def test_who_made_it(self):
        """Anybody can encrypt to the recipient: --log-key takes only what the service of that log has signed."""
        service, path, theirs = self.world.service, self.folder / 'signed', self.folder / 'theirs'
        root = audit.checkpoint_parse(self.admin.get('/v1/audit/checkpoint')[1])
        verifier = self.admin.get('/v1/audit/key')[1]['verifier']
        fingerprint = hashlib.sha256(base64.b64decode(verifier.split('+', 2)[2])[1:]).hexdigest()
        self.assertEqual(backup(service, self.recipient, path).stderr.count('\n'), 2)
        said = restore(self.folder / 'unpinned', self.key, path).stdout
        shutil.rmtree(self.folder / 'unpinned')
        self.assertIn(f'\n  log key       {fingerprint}\n  signed by it  the first {root[1]} entries\n', said)
        self.assertIn(f'Restored {verifier.split("+")[0]}:\n', said)
        file = self.folder / 'log.key'
        for name, text in (('answer', json.dumps({'verifier': verifier})), ('line', verifier + '\n'),
                           ('context', service.context_file.read_text())):
            with self.subTest(name):
                file.write_text(text)
                restore(self.folder / 'pinned', self.key, path, '--log-key', file)
                shutil.rmtree(self.folder / 'pinned')
        with Service().init().start() as other:
            backup(other, self.recipient, theirs)
            other.stop()
            unsigned = backup(other, self.recipient, self.folder / 'unsigned').stderr
            key = Client(service).get('/v1/audit/key')[1]
            self.assertIn('warning: the backup is not signed: no service at', unsigned)
        file.write_text(json.dumps(key))
        for pin in (fingerprint, file):
            self.refuses(theirs, 'the backup is of another service', str(pin), pin=pin)
        file.write_text(verifier[:-1] + ('A' if verifier[-1] != 'A' else 'B'))
        for pin in (file, '0' * 64):
            self.refuses(path, 'the backup is of another service', fingerprint, pin=pin)
        self.refuses(path, 'absent', pin=self.folder / 'absent')
        said = restore(self.folder / 'unpinned', self.key, self.folder / 'unsigned').stdout
        shutil.rmtree(self.folder / 'unpinned')
        self.assertIn('signed by it  nothing', said)
        theirs_pin = re.search(r'log key +([0-9a-f]{64})', said)[1]
        self.refuses(self.folder / 'unsigned', 'nobody has signed the backup', pin=theirs_pin)
        restore(self.folder / 'pinned', self.key, theirs, '--log-key', theirs_pin)  # the control
        shutil.rmtree(self.folder / 'pinned')

    def test_what_is_signed_is_what_is_in_it(self):
        """An impostor on the host answers in the place of the service: with another log's checkpoint, with its own of
        another time, with nonsense. Only what the log's key signed is taken; what the log does not have is refused."""
        with Service().init().start() as service, Service().init().start() as other:
            client = Client(service, service.context_file)
            client.post('/v1/clusters', {'cluster': cluster_document()})
            early = Client(service).get('/v1/audit/checkpoint')[1]
            foreign = Client(other).get('/v1/audit/checkpoint')[1]
            service.stop()
            data = (service.state / 'data.mdb').read_bytes()
            service.start()
            client.connection = None
            self.issued(client, der.request(Key()), node='etcdone')
            late = Client(service).get('/v1/audit/checkpoint')[1]
            service.stop()
            answer = b'HTTP/1.1 200 OK\r\n\r\n'
            rows = [('its own', answer + late, True), ('an earlier one', answer + early, True),
                    ("another log's", answer + foreign, False), ('changed', answer + late[:-9] + b'AAAAAAA=\n', False),
                    ('nothing', b'', False), ('an error', b'HTTP/1.1 503 No\r\n\r\n' + late, False),
                    ('too much', answer + late + b'x' * 9000, False), ('no head', late, False)]
            for what, sent, signed in rows:
                with self.subTest(what), impostor(service, sent):
                    said = backup(service, self.recipient, self.folder / 'copy').stderr
                    self.assertEqual('not signed' in said, not signed, said)
                    out = restore(self.folder / 'it', self.key, self.folder / 'copy').stdout
                    self.assertEqual('signed by it  nothing' in out, not signed, out)
                    shutil.rmtree(self.folder / 'it')
            # A copy that is older than what the service has signed.
            (service.state / 'data.mdb').write_bytes(data)
            with impostor(service, answer + late):
                backup(service, self.recipient, self.folder / 'copy')
            self.refuses(self.folder / 'copy', 'is not the one that its head promises')

    def test_stopped(self):
        with Service().init().start() as service:
            service.stop()
            backup(service, self.recipient, service.folder / 'copy')
            restore(service.folder / 'new', self.key, service.folder / 'copy')
            run(ENSIGND, 'verify', '--config', service.folder / 'new/ensignd.yaml')
            line = run(ENSIGND, 'backup', '--config', service.state / 'ensignd.yaml', '--recipient', 'x', 'y', check=False)
            self.assertEqual((line.returncode, line.stderr.count('\n')), (2, 1), line.stderr)

    def refuses(self, path, *words, key=None, pin=None):
        """Nothing is left behind."""
        state = self.folder / 'refused'
        result = restore(state, key or self.key, path, *(['--log-key', pin] if pin else []), check=False)
        self.assertEqual((result.returncode, result.stdout), (1, ''), result)
        for word in words:
            self.assertIn(word, result.stderr)
        self.assertFalse(state.exists())

    def test_what_is_not_whole_is_refused(self):
        path, changed = self.folder / 'whole', self.folder / 'changed'
        backup(self.world.service, self.recipient, path)
        content = path.read_bytes()
        for part in range(40):
            changed.write_bytes(content[:len(content) * part // 40])
            self.refuses(changed, 'cut off')
        for size in (len(content) - 1, len(content) - 17, len(content) - 64):
            changed.write_bytes(content[:size])
            self.refuses(changed, 'cut off')
        changed.write_bytes(content + b'\0')
        self.refuses(changed, 'follows the end')
        for part in range(60):
            at = len(content) * part // 60
            changed.write_bytes(content[:at] + bytes([content[at] ^ 1 << part % 8]) + content[at + 1:])
            self.refuses(changed, 'backup')
        other = self.folder / 'other.key'
        run(ENSIGND, 'backup', 'keygen', other)
        self.refuses(path, 'the backup is for ' + self.recipient, key=other)
        self.refuses(path, 'is not a private key', key=self.world.service.folder / 'seal.key')
        self.refuses(self.folder / 'absent', 'absent')
        state = self.folder / 'control'
        self.assertIn('NOT in a backup', restore(state, self.key, path).stdout)
        before = {p: p.lstat().st_mtime_ns for p in state.rglob('*')}
        result = restore(state, self.key, path, check=False)
        self.assertIn('is not empty', result.stderr)
        self.assertEqual((result.returncode, {p: p.lstat().st_mtime_ns for p in state.rglob('*')}), (1, before))
        shutil.rmtree(state)

    def test_what_is_no_database_is_not_backed_up(self):
        with Service().init() as service:
            data = service.state / 'data.mdb'
            data.write_bytes(b'\xff' * 3 * 4096)
            result = backup(service, self.recipient, service.folder / 'copy', check=False)
            self.assertEqual((result.returncode, result.stderr.count('\n')), (1, 1), result.stderr)
            self.assertFalse((service.folder / 'copy').exists())

    def test_damage_is_not_backed_up(self):
        """The last good backup stays."""
        with Service().init().start() as service:
            service.create_cluster('vagrant-external-etcd.yaml')
            service.stop()
            path, data = service.folder / 'copy', service.state / 'data.mdb'
            backup(service, self.recipient, path)
            good, content = path.read_bytes(), data.read_bytes()
            self.assertIn(b'"event":"cluster.created"', content)
            data.write_bytes(content.replace(b'"event":"cluster.created"', b'"event":"cluster.creatEd"'))
            result = backup(service, self.recipient, path, check=False)
            self.assertEqual(result.returncode, 1)
            self.assertIn('fails its checksum', result.stderr)
            self.assertEqual(path.read_bytes(), good)
            self.assertFalse(pathlib.Path(f'{path}.new').exists())

    def test_killed(self):
        """No FILE, or the one before; the service goes on, and the next backup is whole."""
        service, path, temporary = self.world.service, self.folder / 'killed', self.folder / 'killed.new'

        def killed_once():
            process = subprocess.Popen([ENSIGND, 'backup', '--config', service.state / 'ensignd.yaml', '--recipient',
                                        self.recipient, path], stderr=subprocess.DEVNULL)
            while process.poll() is None and not temporary.exists():
                pass
            process.send_signal(signal.SIGKILL)
            died = process.wait() == -signal.SIGKILL
            if not died:
                path.unlink()
            return died
        for content in (None, b'older'):
            wait_for('a backup that is killed', killed_once)
            self.assertEqual(path.read_bytes() if path.exists() else None, content)
            self.issues(self.admin)
            path.write_bytes(b'older')
        backup(service, self.recipient, path)
        restore(self.folder / 'after', self.key, path)
        shutil.rmtree(self.folder / 'after')
        self.assertFalse(temporary.exists())


class Rollback(Copies):
    """An old data.mdb in the place of the new one, by hand."""

    def exchange(self, data):
        """Puts it there; returns what was there."""
        service = self.world.service
        service.stop()
        path = service.state / 'data.mdb'
        before = path.read_bytes()
        path.write_bytes(data)
        service.start('/livez')
        self.admin.connection = None
        return before

    def old_data(self):
        """As it is now, and some certificates later a client that knows better."""
        self.world.service.stop()
        old = (self.world.service.state / 'data.mdb').read_bytes()
        self.world.service.start('/livez')
        self.admin.connection = None
        return old

    def show(self, note):
        return self.admin.post('/v1/audit/witness', {'checkpoint': note.decode()})

    def checkpoint(self):
        return self.world.nobody().get('/v1/audit/checkpoint')[1]

    def test_a_newer_checkpoint_is_shown(self):
        knowing, root = client_state(self.world.service), self.world.root()
        self.issues(self.admin)
        self.assertEqual(knowing('audit', 'verify').returncode, 0)
        old = self.old_data()
        for _ in range(3):
            lost = self.issues(self.admin)
        verified = knowing('audit', 'verify')
        self.assertEqual(verified.returncode, 0, verified.stderr)
        self.assertEqual(knowing('audit', 'checkpoint').stdout.encode(), self.checkpoint())
        newest, size = self.checkpoint(), len(audit.leaves(self.admin))
        self.exchange(old)
        # The control: it agrees with itself, so without that client nobody notices.
        self.assertEqual(self.admin.get('/v1/certificates/' + lost['serial'])[0], 404)
        self.assertEqual(client_state(self.world.service)('audit', 'verify').returncode, 0)
        self.issues(self.admin)
        self.assertEqual(self.admin.get('/readyz')[0], 200)
        self.assertEqual(self.show(self.checkpoint())[1], {'state': 'in_log'})
        # With it:
        told = knowing('audit', 'verify')
        self.assertEqual(told.returncode, 1)
        self.assertIn('issues nothing until an admin', told.stderr)
        answer = self.waits(self.admin, 'rolled_back')
        self.assertEqual(answer['shown'], size)
        event = self.events(self.admin)[-1]
        self.assertEqual((event['event'], event['actor'], event['shown']), ('rollback.found', 'admin admin', size))
        self.world.service.kill('supervisor', 'signer', 'server')
        self.world.service.start('/livez')
        self.admin.connection = root.connection = None
        self.assertEqual(self.waits(self.admin, 'rolled_back'), answer)
        self.assertEqual(knowing('audit', 'checkpoint').returncode, 1)
        self.assertEqual(self.waits(self.admin, 'rolled_back'), answer)  # the same again is no news
        shown = json.loads(knowing('restore', 'show', '-o', 'json').stdout)
        self.assertEqual(shown, answer)
        self.assertEqual(knowing('restore', 'acknowledge', answer['entries'] + 1).returncode, 1)
        done = knowing('restore', 'acknowledge', answer['entries'])
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn(f"has {answer['entries']} entries of the log, as of {answer['time']}", done.stderr)
        # What was shown is settled; the log grows over it.
        for _ in range(4):
            self.issues(self.admin)
            self.assertEqual(self.show(newest)[1], {'state': 'settled'})
        settled = knowing('audit', 'verify')
        self.assertEqual(settled.returncode, 1)
        self.assertIn('if you know of that, remove', settled.stderr)
        self.issues(self.admin)
        self.assertEqual(client_state(self.world.service)('audit', 'verify').returncode, 0)

    def test_again_and_further(self):
        """Another rollback is found out by a checkpoint that no admin has acknowledged; by one of the same size, too."""
        root = self.world.root()
        old = self.old_data()
        notes = []
        for _ in range(5):
            self.issues(self.admin)
            notes.append(self.checkpoint())
        self.exchange(old)
        root.connection = None
        self.assertEqual(self.show(notes[1])[1], {'state': 'not_in_log'})
        answer = self.waits(self.admin, 'rolled_back')
        self.assertEqual(self.show(notes[3])[1], {'state': 'not_in_log'})
        self.assertGreater(self.waits(self.admin, 'rolled_back')['shown'], answer['shown'])
        self.acknowledged(root, answer['entries'])
        for note in notes[:4]:
            self.assertEqual(self.show(note)[1], {'state': 'settled'})
        self.issues(self.admin)
        while audit.checkpoint_parse(self.checkpoint())[1] < audit.checkpoint_parse(notes[4])[1]:
            self.issues(self.admin)
        self.assertEqual(audit.checkpoint_parse(self.checkpoint())[1], audit.checkpoint_parse(notes[4])[1])
        self.assertEqual(self.show(notes[4])[1], {'state': 'not_in_log'})  # as large as the log, and another
        self.acknowledged(root, self.waits(self.admin, 'rolled_back')['entries'])
        self.issues(self.admin)

    def test_only_its_own_checkpoints_count(self):
        note = self.checkpoint()
        size = note.split(b'\n')[1]
        with Service().init().start() as other:
            Client(other, other.context_file).post('/v1/clusters', {'cluster': cluster_document()})
            foreign = Client(other).get('/v1/audit/checkpoint')[1]
        for wrong in (note.replace(b'\n' + size + b'\n', b'\n' + size + b'0\n'), note[:-20] + b'\n', b'', b'x', foreign,
                      note.split(b'\n\n')[0] + b'\n\n'):
            answer = self.refused(self.admin, 'POST', '/v1/audit/witness', 400, 'invalid', {'checkpoint': wrong.decode()})
            self.assertEqual(self.pointers(answer), {'/checkpoint'})
        for body in ({}, {'checkpoint': 7}, {'checkpoint': note.decode(), 'more': 1}):
            self.refused(self.admin, 'POST', '/v1/audit/witness', 400, 'invalid', body)
        self.assertEqual(self.show(note)[1], {'state': 'in_log'})
        self.issues(self.admin)


if __name__ == '__main__':
    unittest.main(warnings='ignore')
