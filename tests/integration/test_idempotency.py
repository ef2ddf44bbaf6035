"""Idempotency-Key: what is asked for twice is made once, and answered the same."""
import http.client
import json
import secrets
import socket
import threading
import unittest

from lib import der
from lib.keys import Key
from lib import audit
from lib.service import Client, Service
from lib.world import Case, Token, cluster_document

RACERS = 50


def send(client, path, body, key):
    """(status, body as it came, Location); the bytes are of one serialisation, as a client that retries sends them."""
    text = body if isinstance(body, str) else json.dumps(body)
    status, answer, headers = client.request('POST', path, text, {'Content-Type': 'application/json',
                                                                  'Idempotency-Key': key})
    return status, client.raw, headers['Location']


class Keys(Case):
    certificates = '/v1/clusters/vagrant/certificates'

    def certificate(self, **more):
        return {'profile': 'etcd-member', 'node': 'etcdone', 'csr': der.request(Key())} | more

    def size(self):
        return len(audit.leaves(self.admin))

    def creations(self):
        name = 'c' + secrets.token_hex(4)
        network = f'172.{16 + secrets.randbelow(16)}.{secrets.randbelow(256)}'
        return {
            'certificates': (self.certificates, self.certificate()),
            'identities': ('/v1/identities', {'name': 'carol', 'role': 'auditor', 'csr': der.request(Key())}),
            'tokens': ('/v1/clusters/vagrant/tokens', Token(self.world.pin).body('etcdone')),
            'clusters': ('/v1/clusters', {'cluster': cluster_document(name, network)}),
        }

    def mismatch(self, *request):
        status, raw, _ = send(*request)
        self.assertEqual((status, json.loads(raw)['code']), (422, 'idempotency_mismatch'))

    def test_same_answer_on_every_route(self):
        for what, (path, body) in self.creations().items():
            with self.subTest(what):
                key, size = secrets.token_hex(8), self.size()
                first = send(self.admin, path, body, key)
                self.assertEqual(first[0], 201, first)
                self.assertEqual(first[2] is None, what == 'tokens')
                for _ in range(3):
                    self.assertEqual(send(self.admin, path, body, key), first)
                self.assertEqual(self.size(), size + 1)

    def test_control_without_a_key_it_is_made_again(self):
        body, size = self.certificate(), self.size()
        serials = {self.admin.post(self.certificates, body)[1]['serial'] for _ in range(3)}
        self.assertEqual((len(serials), self.size()), (3, size + 3))

    def test_the_kept_answer_does_not_change_with_the_thing(self):
        token = Token(self.world.pin)
        path, body = '/v1/clusters/vagrant/tokens', token.body('etcdone')
        first = send(self.admin, path, body, 'a token')
        self.assertEqual(self.admin.request('DELETE', '/v1/tokens/' + token.id.hex())[0], 204)
        self.assertEqual(send(self.admin, path, body, 'a token'), first)

    def test_another_request_is_a_mismatch(self):
        body, key = self.certificate(), secrets.token_hex(8)
        first = send(self.admin, self.certificates, body, key)
        size = self.size()
        self.mismatch(self.admin, self.certificates, body | {'node': 'etcdtwo'}, key)
        self.mismatch(self.admin, self.certificates, json.dumps(body, indent=1), key)
        self.mismatch(self.admin, '/v1/identities', body, key)
        self.mismatch(self.admin, '/v1/identities', '{"not": "even valid"}', key)
        self.assertEqual(self.size(), size)
        self.assertEqual(send(self.admin, self.certificates, body, key), first)

    def test_callers_are_independent(self):
        body, key = self.certificate(), secrets.token_hex(8)
        alice, bob = (self.world.identity_client('operator', name) for name in ('alice', 'bob'))
        answers = {send(client, self.certificates, body, key) for client in (self.admin, alice, bob, self.world.root())}
        self.assertEqual((len(answers), {answer[0] for answer in answers}), (4, {201}))
        again = self.world.identity_client('operator', 'alice')  # another certificate, the same caller
        self.assertIn(send(again, self.certificates, body, key), answers)

    def test_refusals_are_decided_anew(self):
        wrong, key = self.certificate(node='masterone'), secrets.token_hex(8)
        for _ in range(2):
            self.assertEqual(send(self.admin, self.certificates, wrong, key)[0], 403)
        good = self.certificate()
        self.assertEqual(send(self.admin, self.certificates, good, key)[0], 201)
        self.mismatch(self.admin, self.certificates, wrong, key)

    def test_what_makes_nothing_keeps_nothing(self):
        key = secrets.token_hex(8)
        self.assertEqual(send(self.admin, self.certificates, self.certificate(dry_run=True), key)[0], 200)
        self.assertEqual(send(self.admin, '/v1/clusters', {'cluster': cluster_document()}, key)[0], 200)
        self.assertEqual(send(self.admin, self.certificates, self.certificate(), key)[0], 201)

    def test_tokens_have_no_need(self):
        client, body, key = self.world.token_client(), self.certificate(), secrets.token_hex(8)
        first, second = (send(client, self.certificates, body, key) for _ in range(2))
        self.assertEqual((first[0], second[0], first[1]), (201, 200, second[1]))
        self.assertEqual(send(client, self.certificates, self.certificate(), key)[0], 409)

    def test_wrong_keys(self):
        body = json.dumps(self.certificate())
        for key in ('', 'k' * 129, 'a\tb', 'sch\u00f6n'):
            with self.subTest(key):
                self.refused(self.admin, 'POST', self.certificates, 400, 'invalid', body,
                             {'Content-Type': 'application/json', 'Idempotency-Key': key})
        for key in ('k' * 128, '"8e03978e-40d5-43dd-bc93-6894a57f9324"', 'a b'):
            with self.subTest(key):
                self.assertEqual(send(self.admin, self.certificates, body, key)[0], 201)

    def test_two_keys_are_malformed(self):
        body = json.dumps(self.certificate()).encode()
        with self.admin.tls.wrap_socket(socket.create_connection(
                ('127.0.0.1', self.world.service.port))) as plain:
            plain.sendall(b'POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n'
                          b'Idempotency-Key: a\r\nIdempotency-Key: b\r\nContent-Length: %d\r\n\r\n%s'
                          % (self.certificates.encode(), len(body), body))
            answer = http.client.HTTPResponse(plain)
            answer.begin()
            self.assertEqual((answer.status, json.loads(answer.read())['code']), (400, 'malformed'))

    def race(self, path, body, key):
        answers, start = [], threading.Barrier(RACERS)

        def run():
            client = Client(self.world.service, self.world.service.context_file)
            client.get('/livez')  # connected
            start.wait()
            answers.append(send(client, path, body, key))

        threads = [threading.Thread(target=run) for _ in range(RACERS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return answers

    def test_race(self):
        for what, (path, body) in self.creations().items():
            with self.subTest(what):
                size = self.size()
                answers = self.race(path, body, secrets.token_hex(8))
                self.assertEqual((len(answers), len(set(answers)), answers[0][0]), (RACERS, 1, 201))
                self.assertEqual(self.size(), size + 1)

    def test_the_key_is_nowhere(self):
        key = 'canary-' + secrets.token_hex(8)
        self.assertEqual(send(self.admin, self.certificates, self.certificate(), key)[0], 201)
        for path in (self.world.service.state / 'data.mdb', self.world.service.folder / 'ensignd.log'):
            self.assertNotIn(key.encode(), path.read_bytes())


class Survives(unittest.TestCase):
    """Restarts and kills."""

    def setUp(self):
        self.service = Service().init().start()
        self.addCleanup(self.service.__exit__)
        self.service.create_cluster('vagrant-external-etcd.yaml')
        self.path = '/v1/clusters/vagrant/certificates'
        self.body = {'profile': 'etcd-member', 'node': 'etcdone', 'csr': der.request(Key())}

    def admin(self):
        return Client(self.service, self.service.context_file)

    def issued(self):
        return len(audit.issued(audit.leaves(self.admin())))

    def test_restart_and_kill(self):
        first, issued = send(self.admin(), self.path, self.body, 'key'), self.issued()
        self.assertEqual(first[0], 201)
        self.service.stop()
        self.service.start()
        self.assertEqual(send(self.admin(), self.path, self.body, 'key'), first)
        self.service.kill('supervisor', 'signer', 'server')
        self.service.start()
        self.assertEqual(send(self.admin(), self.path, self.body, 'key'), first)
        self.assertEqual(self.issued(), issued)

    def test_kill_while_it_is_sent(self):
        """Whatever the kill hits, the client that sends it again until it is answered has one certificate."""
        issued = self.issued()
        for number in range(10):
            key, answers, began = f'key {number}', [], threading.Event()

            def insist():
                while not answers:
                    try:
                        client = self.admin()
                        client.get('/livez')
                        began.set()
                        answer = send(client, self.path, self.body, key)
                        answers.extend([answer] if answer[0] == 201 else [])
                    except (OSError, http.client.HTTPException):
                        pass  # killed under our feet

            client = threading.Thread(target=insist)
            client.start()
            began.wait(60)
            threading.Event().wait(0.0008 * number)  # the moment of the kill is what varies
            self.service.kill('server')
            client.join()
            self.service.wait_ready()
            self.assertEqual(send(self.admin(), self.path, self.body, key), answers[0])
        self.assertEqual(self.issued(), issued + 10)


if __name__ == '__main__':
    unittest.main(warnings='ignore')
