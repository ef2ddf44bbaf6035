"""Requests at a steady rate over TLS with client certificates, to servers whose certificates and whose clients' change
meanwhile: over a new connection each, and over connections that are kept. Says what failed, and which certificates
were seen on the wire."""
import http.client
import pathlib
import ssl
import threading
import time

from lib.service import run

TIMEOUT_SECONDS = 10
PAIR_SECONDS = 5  # for which certificate and key may be of two sets


def serial(path):
    return run('openssl', 'x509', '-noout', '-serial', '-in', path).stdout.strip().split('=')[1].lower().zfill(40)


class Pair:
    """A client's certificate and key, read again when they change, as Go's clients do. stem: the path without suffix"""

    def __init__(self, stem, ca):
        self.files = [pathlib.Path(f'{stem}.{suffix}') for suffix in ('crt', 'key')]
        self.ca, self.now, self.mixed = ca, None, 0

    def context(self):
        """(TLS context, whether it is another one than before)"""
        now = [path.read_bytes() for path in self.files]
        if now == self.now:
            return self.made, False
        end = time.monotonic() + PAIR_SECONDS
        while True:
            made = ssl.create_default_context(cafile=self.ca)
            try:
                made.load_cert_chain(*self.files)
                break
            except ssl.SSLError:
                self.mixed += 1
                if time.monotonic() > end:
                    raise
        self.now, self.made = now, made
        return made, True


class Target:
    """address: (host, port). again: connections are opened anew when the client's certificate is another one, as
    client-go does: an API server looks at it at each request."""

    def __init__(self, address, pair, method, path, body=None, again=False):
        self.address, self.pair, self.again = address, pair, again
        self.what, self.connection = (method, path, body), None


class Lane(threading.Thread):
    """Asks its targets in turn. kept: over one connection to each, else over a new one each time"""

    def __init__(self, name, targets, kept, period):
        super().__init__(name=name, daemon=True)
        self.targets, self.kept, self.period, self.over = targets, kept, period, threading.Event()
        self.requests, self.connections, self.failed, self.seen = 0, 0, [], {}

    def run(self):
        due, turn = time.monotonic(), 0
        while not self.over.wait(max(0, due - time.monotonic())):
            due = max(due + self.period, time.monotonic() - 1)
            targets = self.targets
            self.ask(targets[turn % len(targets)])
            turn += 1

    def ask(self, target):
        self.requests += 1
        try:
            status = self.answer(target)
            if status == 200:
                return
            why = f'status {status}'
        except (OSError, http.client.HTTPException) as error:
            why = repr(error)
        self.close(target)
        self.failed.append(f'{time.strftime("%H:%M:%S")} {target.address[0]}:{target.address[1]} {why}')

    def answer(self, target):
        context, other = target.pair.context()
        if not self.kept or (other and target.again):
            self.close(target)
        if not target.connection:
            target.connection = http.client.HTTPSConnection(*target.address, context=context, timeout=TIMEOUT_SECONDS)
            target.connection.connect()
            self.connections += 1
            shown = target.connection.sock.getpeercert()['serialNumber'].lower().zfill(40)
            self.seen.setdefault(target.address, {}).setdefault(shown, time.time())
        target.connection.request(*target.what)
        answer = target.connection.getresponse()
        answer.read()
        return answer.status

    def close(self, target):
        if target.connection:
            target.connection.close()
            target.connection = None

    def stop(self):
        self.over.set()
        self.join()
        for target in self.targets:
            self.close(target)


class Load:
    """lanes: name -> (targets, kept)"""

    def __init__(self, lanes, per_second=10):
        self.lanes = [Lane(name, targets, kept, len(lanes) / per_second) for name, (targets, kept) in lanes.items()]

    def start(self):
        self.began = time.monotonic()
        for lane in self.lanes:
            lane.start()
        return self

    def stop(self):
        for lane in self.lanes:
            lane.stop()

    def seen(self, address):
        """serial -> when this server showed it first, in this order"""
        first = {}
        for lane in self.lanes:
            for number, when in list(lane.seen.get(address, {}).items()):
                first[number] = min(when, first.get(number, when))
        return dict(sorted(first.items(), key=lambda item: item[1]))

    def requests(self):
        return sum(lane.requests for lane in self.lanes)

    def failed(self):
        return [f'{lane.name} {why}' for lane in self.lanes for why in lane.failed]

    def figures(self):
        seconds = time.monotonic() - self.began
        parts = ', '.join(f'{lane.name} {lane.requests} over {lane.connections}' for lane in self.lanes)
        return (f'requests {self.requests()} in {seconds:.0f} s ({self.requests() / seconds:.1f}/s), failed '
                f'{len(self.failed())}; over connections: {parts}')
