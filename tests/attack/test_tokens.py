"""Join tokens under attack: replayed, raced, guessed, stolen with the database, or sent to a false service."""
import base64
import pathlib
import secrets
import shutil
import socket
import ssl
import tempfile
import threading
import time
import unittest

from lib import der
from lib import keys
from lib.keys import Key
from lib import audit
from lib.sealed import p256_scalars, unsealed
from lib.service import Client, Service, run, wait_for, ENSIGN
from lib.world import Case, Token, issue

RACERS = 100
LIFETIME_MIN = 60  # seconds, of tokens and certificates


def whoami(world, text):
    return Client(world.service, token=text).get('/v1/whoami')


class Use(Case):
    def test_A7_same_key_gets_the_stored_certificate(self):
        """An ECDSA request signed again has other bytes, and is the same request all the same."""
        client, key = self.world.token_client(), Key()
        requests = [der.request(key) for _ in range(3)]
        self.assertEqual(len(set(requests)), 3)
        first = self.issued(client, requests[0])
        for csr in requests:
            self.assertEqual(self.issued(client, csr, status=200), first)

    def test_A6_another_key_conflicts(self):
        client, key = self.world.token_client(), Key()
        first = self.issued(client, der.request(key))
        self.not_issued(client, der.request(Key()), 409, 'key_conflict')
        self.assertEqual(self.denials()[-1]['code'], 'key_conflict')
        self.assertEqual(self.issued(client, der.request(key), status=200), first)
        self.issued(client, der.request(Key()), 'node-identity')

    def test_A6_another_node(self):
        client = self.world.token_client('etcdone')
        answer = self.not_issued(client, der.request(Key()), 403, 'policy_denied', node='etcdtwo')
        self.assertEqual(self.pointers(answer), {'/node'})
        self.assertEqual(self.denials()[-1]['what'], 'certificate vagrant etcd-member etcdtwo')
        self.assertEqual(self.issued(client, der.request(Key()))['node'], 'etcdone')

    def test_A6_race(self):
        """A hundred callers with a key each and one token: one gets it."""
        token = self.world.new_token()
        requests = [der.request(Key()) for _ in range(RACERS)]
        answers, start = [], threading.Barrier(RACERS, timeout=60)

        def race(csr):
            client = Client(self.world.service, token=token.text())
            client.get('/livez')
            start.wait()
            answers.append(issue(client, csr))

        threads = [threading.Thread(target=race, args=(csr,)) for csr in requests]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        outcomes = [(status, answer.get('code')) for status, answer in answers]
        self.assertEqual(sorted(outcomes, key=str), [(201, None)] + [(409, 'key_conflict')] * (RACERS - 1))
        winner = next(answer for status, answer in answers if status == 201)
        _, listed, _ = self.admin.get('/v1/clusters/vagrant/tokens')
        uses = next(item['uses'] for item in listed['items'] if item['id'] == token.id.hex())
        self.assertEqual(uses, [{'profile': 'etcd-member', 'serial': winner['serial']}])


class Forgery(Case):
    def test_control_good_token(self):
        status, answer, _ = whoami(self.world, self.world.new_token().text())
        self.assertEqual((status, answer['kind']), (200, 'token'))

    def test_A6_wrong_tokens(self):
        token, stranger = self.world.new_token(), Token(self.world.pin)
        last_bit = token.secret[:-1] + bytes([token.secret[-1] ^ 1])
        cases = {'unknown': stranger.text(), 'last bit': token.text(secret=last_bit),
                 'no secret': token.text(secret=bytes(32)), 'for another service': token.text(pin=bytes(32))}
        for what, text in cases.items():
            with self.subTest(what):
                status, answer, headers = whoami(self.world, text)
                self.assertEqual((status, headers['WWW-Authenticate']), (401, 'Bearer'))
                self.problem(answer, 401, 'unauthenticated', headers)
                self.assertNotIn(text, str(answer))

    def test_A6_unknown_and_wrong_are_answered_alike(self):
        token, stranger = self.world.new_token(), Token(self.world.pin)
        details = {whoami(self.world, text)[1]['detail']
                   for text in (stranger.text(), token.text(secret=secrets.token_bytes(32)))}
        self.assertEqual(len(details), 1)

    def test_A6_malformed_headers(self):
        good = self.world.new_token().text()
        content = base64.urlsafe_b64decode(good.removeprefix('ensign1.') + '=')
        padded = 'ensign1.' + base64.urlsafe_b64encode(content).decode()
        cases = ['', 'Bearer', 'Bearer ', good, 'Basic ' + good, 'Bearer ' + good[:-1], 'Bearer ' + good + 'A',
                 'Bearer ' + padded, 'Bearer ' + good.replace('ensign1', 'ensign2'), 'Bearer  ' + good,
                 'Bearer ' + good + ' x', 'Bearer ensign1.' + '=' * 107, 'Bearer ensign1.' + 'A' * 5000]
        for header in cases:
            with self.subTest(header[:24]):
                answer = self.refused(self.admin, 'GET', '/v1/whoami', 401, 'unauthenticated',
                                      headers={'Authorization': header})
                self.assertIn('ensign1.', answer['detail'])
                self.assertNotIn(good[8:], answer['detail'])

    def test_header_wins_over_the_certificate(self):
        text = self.world.new_token().text()
        _, answer, _ = self.admin.request('GET', '/v1/whoami', None, {'Authorization': 'Bearer ' + text})
        self.assertEqual(answer['kind'], 'token')

    def test_A6_foreign_certificate(self):
        """One that was made elsewhere, with the name and the serial of ours."""
        admin = self.admin.get('/v1/certificates?profile=identity')[1]['items'][0]
        key = Key()
        with tempfile.NamedTemporaryFile() as file:
            file.write(key.pem)
            file.flush()
            forged = keys.openssl('req', '-x509', '-new', '-key', file.name, '-subj', '/CN=admin', '-set_serial',
                                  '0x' + admin['serial'], '-days', '1').decode()
        self.refused(self.world.certificate_client(forged, key), 'GET', '/v1/whoami', 401, 'unauthenticated')

    def test_A2_certificate_that_is_no_identity(self):
        """A member's certificate opens etcd, not Ensign."""
        key = Key()
        answer = self.issued(self.admin, der.request(key), node='etcdone')
        client = self.world.certificate_client(answer['certificate'], key)
        self.refused(client, 'GET', '/v1/whoami', 401, 'unauthenticated')


class End(Case):
    def test_A6_revoked(self):
        token, key = self.world.new_token(), Key()
        client = Client(self.world.service, token=token.text())
        self.issued(client, der.request(key))
        self.assertEqual(self.admin.request('DELETE', f'/v1/tokens/{token.id.hex()}')[0], 204)
        self.not_issued(client, der.request(key), 401, 'unauthenticated')

    def test_A6_expired(self):
        """A token and an identity: good while they live, and nothing afterwards."""
        made = time.monotonic()
        brief = self.world.identity_client('auditor', 'brief', lifetime_seconds=LIFETIME_MIN)
        client = Client(self.world.service, token=self.world.new_token(ttl_seconds=LIFETIME_MIN).text())
        for caller in (brief, client):
            self.assertEqual(caller.get('/v1/whoami')[0], 200)
        for caller in (brief, client):
            wait_for('it to expire', lambda: caller.get('/v1/whoami')[0] == 401, LIFETIME_MIN + 10)
            self.assertGreater(time.monotonic() - made, LIFETIME_MIN - 2)
            self.refused(caller, 'GET', '/v1/whoami', 401, 'unauthenticated')
        self.not_issued(client, der.request(Key()), 401, 'unauthenticated')
        expired = audit.certificates(self.admin, '&state=expired')
        self.assertEqual({item['identity'] for item in expired.values()}, {'brief'})


class FalseService(Case):
    """Who answers at the address is not who the token names."""

    def enrol(self, url, text):
        with tempfile.TemporaryDirectory() as folder:
            token_file = pathlib.Path(folder) / 'token'
            token_file.touch(mode=0o600)
            token_file.write_text(text)
            return run(ENSIGN, 'enroll', '--server', url, '--token-file', token_file, '--out', f'{folder}/out',
                       '--timeout', '5s', check=False)

    def test_A18_nothing_is_sent_to_it(self):
        text = self.world.new_token().text()
        received = []
        with FalseServer(received) as port:
            result = self.enrol(f'https://127.0.0.1:{port}', text)
        self.assertNotEqual(result.returncode, 0)
        self.assertEqual(b''.join(received), b'')
        self.assertNotIn(text, result.stdout + result.stderr)
        result = self.enrol(f'https://127.0.0.1:{self.world.service.port}', text)
        self.assertEqual(result.returncode, 0, result.stderr)

    def test_A18_another_ensignd(self):
        text = self.world.new_token().text()
        with Service() as other:
            other.init().start()
            result = self.enrol(f'https://127.0.0.1:{other.port}', text)
            self.assertNotEqual(result.returncode, 0)
            served = audit.certificates(Client(other, other.context_file)).values()
            self.assertNotIn('etcdone', [item['node'] for item in served])


class FalseServer:
    """Speaks TLS with a certificate of its own, and keeps what it is told."""

    def __init__(self, received):
        self.received = received

    def __enter__(self):
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        key = Key()
        with tempfile.NamedTemporaryFile() as file:
            file.write(key.pem)
            file.flush()
            file.write(keys.openssl('req', '-x509', '-new', '-key', file.name, '-subj', '/CN=localhost', '-days', '1',
                                    '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1'))
            file.flush()
            self.context.load_cert_chain(file.name)
        self.socket = socket.create_server(('127.0.0.1', 0))
        self.thread = threading.Thread(target=self.serve)
        self.thread.start()
        return self.socket.getsockname()[1]

    def serve(self):
        while True:
            try:
                plain, _ = self.socket.accept()
            except OSError:
                return
            try:
                with self.context.wrap_socket(plain, server_side=True) as connection:
                    connection.settimeout(5)
                    self.received.append(connection.recv(65536))
            except OSError:
                continue

    def __exit__(self, *_):
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()
        self.thread.join()


class StolenDatabase(Case):
    """Whoever has data.mdb has neither a token nor a CA key."""

    def database(self):
        copy = self.world.service.folder / 'stolen.mdb'
        source = next(self.world.service.state.rglob('data.mdb'))
        shutil.copy(source, copy)
        return copy.read_bytes()

    def test_A19_no_token(self):
        token = self.world.new_token()
        Client(self.world.service, token=token.text()).get('/v1/enrolment')
        stolen = self.database()
        self.assertIn(token.id, stolen)
        self.assertIn(bytes.fromhex(token.body('')['secret_sha256']), stolen)
        text = token.text()
        for form in (token.secret, token.secret.hex().encode(), token.secret[::-1], base64.b64encode(token.secret)[:40],
                     text.encode(), text[-90:-45].encode()):
            self.assertNotIn(form, stolen)

    def test_A19_no_authority_key(self):
        """Every sealed key is found and opened with the seal key, which proves that this search finds keys; without
        it none is in the database, in no form."""
        stolen = self.database()
        seal_key = bytes.fromhex((self.world.service.folder / 'seal.key').read_text().strip())
        scalars = [scalar for plain in unsealed(stolen, seal_key) for scalar in p256_scalars(plain)]
        self.assertGreaterEqual(len(scalars), 4)  # the service's CA and three of the cluster
        for scalar in scalars:
            for form in (scalar, scalar[::-1], scalar.hex().encode(), base64.b64encode(scalar)[:40]):
                self.assertNotIn(form, stolen)
        self.assertEqual(list(unsealed(stolen, secrets.token_bytes(32))), [])
        self.assertNotIn(seal_key, stolen)


if __name__ == '__main__':
    unittest.main(warnings='ignore')
