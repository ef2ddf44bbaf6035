"""Below the API: bodies that lie about their length (A12), old TLS (A17), and key files that others could read (A16)."""
import pathlib
import re
import socket
import ssl
import subprocess
import unittest

from lib.service import ENSIGN, run
from lib.world import Case

HEAD = 'POST /v1/clusters/vagrant/certificates HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n' \
    'Connection: close\r\n'
GROWTH_MAX = 8 << 20

# what, what is sent behind the head, status
FRAMES = [
    ('Content-Length and chunked', 'Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n', 400),
    ('chunked and Content-Length', 'Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n', 400),
    ('two lengths', 'Content-Length: 2\r\nContent-Length: 3\r\n\r\n{} ', 400),
    ('two equal lengths', 'Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}', 400),
    ('a list of lengths', 'Content-Length: 2, 2\r\n\r\n{}', 400),
    ('a signed length', 'Content-Length: +2\r\n\r\n{}', 400),
    ('a negative length', 'Content-Length: -2\r\n\r\n{}', 400),
    ('a hexadecimal length', 'Content-Length: 0x2\r\n\r\n{}', 400),
    ('a length of 2^64 + 2', 'Content-Length: 18446744073709551618\r\n\r\n{}', 413),
    ('another encoding', 'Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n', 400),
    ('an encoding that is nearly one', 'Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n', 400),
    ('a chunk of 2^64', 'Transfer-Encoding: chunked\r\n\r\n10000000000000000\r\n', 413),
    ('a chunk of no number', 'Transfer-Encoding: chunked\r\n\r\nxyz\r\n', 400),
    ('more than is taken', 'Content-Length: 70000\r\n\r\n' + ' ' * 70000, 413),
    ('1 TiB', 'Content-Length: 1099511627776\r\n\r\n', 413),
    ('two hosts', 'Host: other\r\nContent-Length: 2\r\n\r\n{}', 400),
    ('two authorizations', 'Authorization: a\r\nAuthorization: b\r\nContent-Length: 2\r\n\r\n{}', 400),
]


def resident_bytes(pid):
    return int(pathlib.Path(f'/proc/{pid}/status').read_text().split('VmRSS:')[1].split()[0]) << 10


class Transport(Case):
    def exchange(self, text):
        """All that is answered, on an admin's connection, which the service must end."""
        with self.admin.tls.wrap_socket(socket.create_connection(('127.0.0.1', self.world.service.port), 10)) as connection:
            connection.settimeout(10)
            connection.sendall((HEAD + text).encode())
            answer = b''
            while part := connection.recv(65536):
                answer += part
            return answer.decode()

    def test_A12_bodies_that_lie(self):
        for what, text, status in FRAMES:
            with self.subTest(what):
                # libmicrohttpd 0.9.75 sends the head of its own refusals twice, before it closes
                self.assertEqual(set(re.findall(r'HTTP/1.1 (\d+)', self.exchange(text))), {str(status)})

    def test_A12_control(self):
        self.assertIn('HTTP/1.1 400', self.exchange('Content-Length: 2\r\n\r\n{}'))  # an empty request: invalid
        self.assertIn('"code":"invalid"', self.exchange('Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n'))

    def test_A12_endless_chunks_take_no_memory(self):
        pid = self.world.service.pid('server')
        before, sent = resident_bytes(pid), 0
        with self.admin.tls.wrap_socket(socket.create_connection(('127.0.0.1', self.world.service.port), 10)) as connection:
            connection.sendall((HEAD + 'Transfer-Encoding: chunked\r\n\r\n').encode())
            with self.assertRaises(OSError):
                while sent < 256 << 20:
                    connection.sendall(b'10000\r\n' + b' ' * 65536 + b'\r\n')
                    sent += 65536
        self.assertLess(sent, 32 << 20)
        self.assertLess(resident_bytes(pid) - before, GROWTH_MAX)

    def openssl(self, *options):
        return subprocess.run(['openssl', 's_client', '-connect', f'127.0.0.1:{self.world.service.port}', *options],
                              input='', capture_output=True, text=True, timeout=60)

    def test_A17_old_versions_and_ciphers(self):
        for options in (['-tls1_1', '-cipher', 'ALL:@SECLEVEL=0'], ['-tls1', '-cipher', 'ALL:@SECLEVEL=0'],
                        ['-tls1_2', '-cipher', 'ECDHE-ECDSA-AES128-SHA256:@SECLEVEL=0'],
                        ['-tls1_2', '-cipher', 'AES128-GCM-SHA256:@SECLEVEL=0'],
                        ['-tls1_2', '-cipher', 'aNULL:@SECLEVEL=0'], ['-tls1_3', '-ciphersuites', 'TLS_AES_128_CCM_SHA256']):
            with self.subTest(options):
                result = self.openssl(*options)
                self.assertRegex(result.stdout, 'written [1-9][0-9]* bytes')  # so it was offered
                self.assertIn('Cipher is (NONE)', result.stdout)
        for version in ('-tls1_2', '-tls1_3'):  # control
            self.assertRegex(self.openssl(version).stdout, 'Cipher is (TLS_AES|ECDHE-ECDSA-).*GCM')

    def test_A17_no_renegotiation(self):
        with subprocess.Popen(['openssl', 's_client', '-connect', f'127.0.0.1:{self.world.service.port}', '-tls1_2'],
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as client:
            client.stdin.write('R\n')
            client.stdin.flush()  # and stays open: the client ends because it is refused
            client.wait(60)
            before, behind = client.stdout.read().split('RENEGOTIATING')
        self.assertIn('verify return', before)
        self.assertNotIn('verify return', behind)  # no second handshake

    def test_A17_best_version_is_taken(self):
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with context.wrap_socket(socket.create_connection(('127.0.0.1', self.world.service.port))) as connection:
            self.assertEqual(connection.version(), 'TLSv1.3')

    def enrol(self, out, mode=0o600):
        path = self.world.service.folder / 'join.token'
        path.unlink(missing_ok=True)
        path.touch()
        path.chmod(mode)
        path.write_text(self.world.new_token().text())
        return run(ENSIGN, 'enroll', '--server', f'https://127.0.0.1:{self.world.service.port}', '--token-file', path, '--out',
                   out, check=False)

    def test_A16_folder_that_others_can_write(self):
        for mode in (0o770, 0o777, 0o702):
            out = self.world.service.folder / f'open-{mode:o}'
            out.mkdir()
            out.chmod(mode)
            result = self.enrol(out / 'node')
            self.assertNotEqual(result.returncode, 0)
            self.assertIn('writable by others', result.stderr)
            self.assertEqual(list(out.rglob('*.key')), [])

    def test_A16_files_are_for_their_owner_alone(self):
        out = self.world.service.folder / 'own'
        result = self.enrol(out)
        self.assertEqual(result.returncode, 0, result.stderr)
        keys = list(out.rglob('*.key'))
        self.assertGreaterEqual(len(keys), 3)
        for path in [*keys, out / 'context', self.world.service.folder / 'seal.key', self.world.service.context_file,
                     self.world.service.state / 'tls.pem', *self.world.service.state.rglob('data.mdb')]:
            self.assertEqual(path.stat().st_mode & 0o077, 0, path)


if __name__ == '__main__':
    unittest.main(warnings='ignore')
