"""The life of the processes: what they tell systemd and the log, how they end, what starts them again, and the
service's own certificate."""
import datetime
import hashlib
import http.client
import json
import os
import secrets
import signal
import socket
import ssl
import subprocess
import threading
import time
import unittest

from lib import der
from lib.keys import Key
from lib.service import ENSIGND, Client, Service, wait_for
from lib.world import Case, issue

DAY = 86400
SUBJECT_KEY, AUTHORITY_KEY = '2.5.29.14', '2.5.29.35'
ANSWER_SECONDS = 30  # that the server gives the signer


class Unready(Service):
    """A service whose start is not waited for."""

    def spawn(self, **environment):
        self.log = open(self.folder / 'ensignd.log', 'ab')
        self.process = subprocess.Popen([ENSIGND, '--config', self.state / 'ensignd.yaml'], stderr=self.log,
                                        stdout=self.log, env=dict(os.environ, **environment))


class Stopped(Case):
    """A signer that hangs is ended, and callers are answered in bounded time."""

    def test_issuance_is_refused_and_reads_go_on(self):
        pid, answers = self.world.service.pid('signer'), []

        def ask(pause):
            time.sleep(pause)
            began = time.monotonic()
            client = Client(self.world.service, self.world.service.context_file)
            answers.append((issue(client, der.request(Key()), node='etcdone'), time.monotonic() - began))

        os.kill(pid, signal.SIGSTOP)
        threads = [threading.Thread(target=ask, args=(pause,)) for pause in (0, 0.5, 1, 2)]
        for thread in threads:
            thread.start()
        while threads[0].is_alive():
            began = time.monotonic()
            self.assertEqual(self.admin.get('/v1/certificates?limit=1')[0], 200)
            self.assertLess(time.monotonic() - began, 5)
            threads[0].join(timeout=1)
        for thread in threads:
            thread.join()
        for (status, answer), seconds in answers:
            self.problem(answer, status, 'signer_down')
            self.assertEqual(status, 503)
            self.assertLess(seconds, ANSWER_SECONDS + 10)
        wait_for('another signer', lambda: self.admin.get('/readyz')[0] == 200)
        self.assertNotEqual(self.world.service.pid('signer'), pid)
        self.issued(self.admin, der.request(Key()), node='etcdone')


class Log(Case):
    def test_token_in_the_place_of_its_id(self):
        """The world looks for it in the log when it closes."""
        token = self.world.new_token()
        self.refused(self.admin, 'DELETE', '/v1/tokens/' + token.text(), 400, 'malformed')
        self.refused(self.admin, 'GET', '/v1/' + token.text(), 404, 'not_found')


class Killed(unittest.TestCase):
    """A process that is killed before it is ready is started again, even the first one."""

    def test_first_signer(self):
        with Unready() as service:
            service.init_with_passphrase()  # which takes a while to be hashed
            service.spawn()
            signer = wait_for('the signer', lambda: service.pids('signer'))
            service.kill_pids(signer)
            service.wait_ready()
            self.assertNotEqual(service.pids('signer'), signer)
            self.assertEqual(service.stop(), 0)


class Systemd(unittest.TestCase):
    def test_ready_and_stopping_are_told(self):
        with Unready() as service, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            service.init()
            path = service.folder / 'notify'
            manager.bind(str(path))
            manager.settimeout(60)
            service.spawn(NOTIFY_SOCKET=str(path))
            told = manager.recv(4096).decode()
            self.assertIn('READY=1', told.split('\n'))
            self.assertIn(str(service.port), told)
            self.assertEqual(Client(service).get('/readyz')[0], 200)
            self.assertEqual(service.stop(), 0)
            self.assertEqual(manager.recv(4096).decode(), 'STOPPING=1')

    def test_control_nobody_is_told_before(self):
        with Unready() as service, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            service.init()
            path = service.folder / 'notify'
            manager.bind(str(path))
            (service.folder / 'seal.key').write_text('0' * 64 + '\n')
            service.spawn(NOTIFY_SOCKET=str(path))
            self.assertNotEqual(service.process.wait(timeout=60), 0)
            manager.setblocking(False)
            self.assertRaises(BlockingIOError, manager.recv, 4096)


class Drain(unittest.TestCase):
    def test_request_in_progress_is_answered(self):
        with Service() as service:
            service.init().start()
            admin, idle = Client(service, service.context_file), Client(service)
            self.assertEqual(idle.get('/livez')[0], 200)
            body = json.dumps({'name': 'late', 'role': 'auditor', 'csr': der.request(Key())}).encode()
            with admin.tls.wrap_socket(socket.create_connection(('127.0.0.1', service.port), timeout=60)) as late:
                late.sendall(b'POST /v1/identities HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n'
                             b'Expect: 100-continue\r\nContent-Length: %d\r\n\r\n' % len(body))
                self.assertTrue(late.recv(4096).startswith(b'HTTP/1.1 100 '))  # so the request is in progress
                service.process.send_signal(signal.SIGTERM)
                wait_for('idle connections to be ended', lambda: not idle.connection.sock.recv(1))
                self.assertIsNone(service.process.poll())
                late.sendall(body)
                answer = http.client.HTTPResponse(late)
                answer.begin()
                self.assertEqual((answer.status, answer.getheader('Connection')), (201, 'close'))
                self.assertEqual(json.loads(answer.read())['identity'], 'late')
            self.assertEqual(service.process.wait(timeout=60), 0)


class Renewal(unittest.TestCase):
    """The service's own certificate is renewed at two thirds of its life, by the process that serves it."""

    @classmethod
    def setUpClass(cls):
        cls.service = Service().init().start()
        cls.addClassCleanup(cls.service.__exit__)

    def served(self):
        """DER of the certificate that a new connection sees."""
        return ssl.PEM_cert_to_DER_cert(ssl.get_server_certificate(('127.0.0.1', self.service.port)))

    def put(self, age_seconds, life_seconds):
        """Gives the service a certificate of this age and life, and tells it to look."""
        text = pair(time.time() - age_seconds, life_seconds)
        path = self.service.state / 'tls.pem'
        path.with_suffix('.test').write_text(text)
        path.with_suffix('.test').chmod(0o600)
        path.with_suffix('.test').rename(path)
        os.kill(self.service.pid('supervisor'), signal.SIGHUP)
        return der.pem_der(text[text.index('-----BEGIN CERTIFICATE'):])

    def by_the_service(self, certificate):
        issuer = der.children(der.tlv(der.SEQUENCE, der.children(certificate)[0][1]))[3][1]
        return b'ensign-service-ca' in issuer

    def test_before_two_thirds_it_stays(self):
        certificate = self.put(59 * DAY, 90 * DAY)
        wait_for('the other certificate', lambda: self.served() == certificate)
        self.assertFalse(self.by_the_service(certificate))

    def test_after_two_thirds_it_is_renewed(self):
        pid, old = self.service.pid('server'), Client(self.service)
        self.assertEqual(old.get('/livez')[0], 200)
        self.put(10 * DAY, 90 * DAY)
        wait_for('the certificate of nobody', lambda: not self.by_the_service(self.served()))
        certificate = self.put(61 * DAY, 90 * DAY)
        wait_for('a renewed certificate', lambda: self.by_the_service(self.served()))
        self.assertNotEqual(self.served(), certificate)
        self.assertEqual(self.service.pid('server'), pid)
        self.assertEqual(old.get('/livez')[0], 200)  # a connection made before goes on

    def test_it_looks_by_itself(self):
        certificate = self.put(60, 96)  # due in 4 s
        wait_for('the other certificate', lambda: self.served() == certificate)
        wait_for('a renewed certificate', lambda: self.by_the_service(self.served()))


def pair(not_before, life_seconds):
    """Key, certificate and CA as in tls.pem, of nobody that the service knows."""
    key, authority = Key(), Key()
    blocks = [der.pem('CERTIFICATE', certificate(*names, public.spki, authority, not_before, life_seconds))
              for public, names in ((key, (b'nobody', b'localhost')), (authority, (b'nobody', b'nobody')))]
    return key.pem.decode() + ''.join(blocks)


def certificate(issuer, subject, spki, signer, not_before, life_seconds):
    def moment(seconds):
        text = datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc).strftime('%y%m%d%H%M%SZ')
        return der.tlv(0x17, text.encode())

    def named(text):
        return der.name(der.attribute(der.COMMON_NAME, text, der.PRINTABLE))

    # As ensignd itself writes them, which reads no others.
    extensions = [der.extension(der.BASIC_CONSTRAINTS, der.tlv(der.SEQUENCE), critical=True),
                  der.extension(der.KEY_USAGE, b'\3\2\7\x80', critical=True),
                  der.extended_key_usage(der.SERVER_AUTH),
                  der.extension(SUBJECT_KEY, der.tlv(der.OCTET_STRING, identifier(spki))),
                  der.extension(AUTHORITY_KEY, der.tlv(der.SEQUENCE, der.tlv(0x80, identifier(signer.spki)))),
                  der.alternative_names((der.DNS_NAME, b'localhost'))]
    body = der.tlv(der.SEQUENCE, der.tlv(0xa0, der.integer(2)), der.tlv(der.INTEGER, b'\1' + secrets.token_bytes(19)),
                   signer.algorithm, named(issuer),
                   der.tlv(der.SEQUENCE, moment(not_before), moment(not_before + life_seconds)), named(subject), spki,
                   der.tlv(0xa3, der.tlv(der.SEQUENCE, *extensions)))
    return der.tlv(der.SEQUENCE, body, signer.algorithm, der.bits(signer.sign(body)))


def identifier(spki):
    """RFC 7093 section 2, method 1."""
    return hashlib.sha256(der.children(spki)[1][1][1:]).digest()[:20]


if __name__ == '__main__':
    unittest.main(warnings='ignore')
