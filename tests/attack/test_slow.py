"""A11: a thousand connections that dawdle, from fifty addresses: a client that means well is served as before, memory
stays flat, and each of them is cut off in its time."""
import collections
import concurrent.futures
import json
import pathlib
import resource
import select
import socket
import ssl
import threading
import time
import unittest

from lib import der
from lib.keys import Key
from lib.service import BUILD, Client, run, wait_for
from lib.world import Case, issue

CONNECTIONS, ADDRESSES = 1000, 50
HEADERS_SECONDS, BODY_SECONDS = 10, 30  # in total: server/http.h
SLACK_SECONDS = 5
P99_MAX_MILLISECONDS, GROWTH_MAX = 200, 100 << 20
LOAD_SECONDS, SAMPLES_MIN = 3, 200

BODY = (b'POST /v1/clusters/vagrant/certificates HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n'
        b'Content-Length: 60000\r\nAuthorization: Bearer %s\r\n\r\n')


class Dawdler:
    """One connection of an attacker. kinds: what it dawdles with, and how long that may take in total."""

    kinds = {'nothing': HEADERS_SECONDS, 'handshake': HEADERS_SECONDS, 'headers': HEADERS_SECONDS,
             'body': HEADERS_SECONDS + BODY_SECONDS}

    def __init__(self, kind, address, port, token, context):
        self.kind, self.ended = kind, None
        self.socket = socket.create_connection(('127.0.0.1', port), timeout=60, source_address=(address, 0))
        self.began = time.monotonic()
        if kind in ('headers', 'body'):
            self.socket = context.wrap_socket(self.socket)
            self.socket.sendall(BODY % token.encode() if kind == 'body' else b'GET /livez HTTP/1.1\r\nHost: localhost\r\nX: ')
        elif kind == 'handshake':
            self.socket.sendall(bytes.fromhex('16030102000100'))  # the first bytes of a ClientHello of 512
        self.socket.setblocking(False)

    def drip(self):
        """One byte more; notices the end."""
        try:
            if self.kind != 'nothing':
                self.socket.send(b' ' if self.kind == 'body' else b'a' if self.kind == 'headers' else b'\0')
            if self.readable():
                self.ended = time.monotonic() - self.began
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError, BlockingIOError):
            pass
        except OSError:
            self.ended = time.monotonic() - self.began

    def readable(self):
        """True at the end of the connection; what is said before is of no interest."""
        if not select.select([self.socket], [], [], 0)[0]:
            return False
        return not self.socket.recv(65536)


def memory_bytes(pid):
    """Without the pages of files: those of the database grow with what the good client gets, and are the kernel's to drop."""
    return int(pathlib.Path(f'/proc/{pid}/status').read_text().split('RssAnon:')[1].split()[0]) << 10


def established(port):
    """Connections to the service's port that the kernel has on the server's side, as (remote address)."""
    found = []
    for line in pathlib.Path('/proc/net/tcp').read_text().splitlines()[1:]:
        fields = line.split()
        if int(fields[1].split(':')[1], 16) == port and fields[3] == '01':
            found.append(fields[2].split(':')[0])
    return found


class Slow(Case):
    @classmethod
    def setUpClass(cls):
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(limit[1], 8192), limit[1]))
        super().setUpClass()

    def dawdle(self, i):
        kinds = list(Dawdler.kinds)
        return Dawdler(kinds[i % len(kinds)], f'127.0.1.{1 + i // len(kinds) % ADDRESSES}',
                       self.world.service.port, self.token, self.context)

    def besiege(self):
        """All of them connected."""
        self.token = self.world.new_token().text()
        self.context = ssl.create_default_context()
        self.context.check_hostname, self.context.verify_mode = False, ssl.CERT_NONE
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            return list(pool.map(self.dawdle, range(CONNECTIONS)))

    def drip(self, dawdlers, over, besieging, stopping):
        """Until stopped; who is cut off comes again while the siege lasts."""
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            while not stopping.is_set():
                for dawdler in dawdlers:
                    if dawdler.ended is None:
                        dawdler.drip()
                gone = [i for i, dawdler in enumerate(dawdlers) if dawdler.ended and besieging.is_set()]
                over += [dawdlers[i] for i in gone]
                for i, again in zip(gone, pool.map(self.dawdle, gone)):
                    dawdlers[i].socket.close()
                    dawdlers[i] = again
                stopping.wait(0.5)

    def serve(self):
        """What a client that means well meets, in a process of its own."""
        return json.loads(run(BUILD / 'tests/bench/load', '--port', self.world.service.port, '--context',
                              self.world.service.context_file, '--path', '/v1/clusters/vagrant/certificates', '--body',
                              json.dumps({'profile': 'etcd-member', 'node': 'etcdone'}), '--csr', 'csr', '--expect', 201,
                              '--connections', 4, '--seconds', LOAD_SECONDS).stdout)

    def test_A11_a_thousand_slow_connections(self):
        pid = self.world.service.pid('server')
        quiet = self.serve()
        before = memory_bytes(pid)
        dawdlers, over = self.besiege(), []
        connected = established(self.world.service.port)
        besieging, stopping = threading.Event(), threading.Event()
        besieging.set()
        dripper = threading.Thread(target=self.drip, args=(dawdlers, over, besieging, stopping))
        dripper.start()
        self.addCleanup(stopping.set)
        busy = self.serve()
        grown = memory_bytes(pid) - before
        still = len(established(self.world.service.port))
        besieging.clear()
        fresh = Client(self.world.service, self.world.service.context_file)
        self.assertEqual(issue(fresh, der.request(Key()), node='etcdone')[0], 201)
        print(f'{len(connected)} slow connections from {len(set(connected))} addresses, {still} at the end; p99 of '
              f'{busy["count"]} certificates {busy["p99"]} ms (without them {quiet["p99"]} ms); '
              f'{grown / (1 << 20):.0f} MiB more')
        self.assertGreaterEqual(len(connected), CONNECTIONS)
        self.assertGreaterEqual(len(set(connected)), 40)
        self.assertGreaterEqual(still, CONNECTIONS // 2)  # they are cut off, and come again, in waves
        self.assertEqual(busy['failed'], 0)
        self.assertGreaterEqual(busy['count'], SAMPLES_MIN)
        self.assertLessEqual(busy['p99'], P99_MAX_MILLISECONDS)
        self.assertLessEqual(grown, GROWTH_MAX)
        wait_for('all to be cut off', lambda: all(dawdler.ended for dawdler in dawdlers),
                 HEADERS_SECONDS + BODY_SECONDS + 2 * SLACK_SECONDS)
        stopping.set()
        dripper.join()
        longest = collections.defaultdict(float)
        for dawdler in dawdlers + over:
            longest[dawdler.kind] = max(longest[dawdler.kind], dawdler.ended)
        print('cut off after at most ' + ', '.join(f'{kind} {seconds:.1f} s' for kind, seconds in longest.items()))
        for kind, seconds in Dawdler.kinds.items():
            self.assertLessEqual(longest[kind], seconds + SLACK_SECONDS, kind)
        self.assertEqual(self.world.service.pid('server'), pid)


if __name__ == '__main__':
    unittest.main(warnings='ignore')
