"""A22: a process that crashes under load, as by a hole in a parser: the others go on, it is back within seconds, and
nothing that was acknowledged is lost."""
import http.client
import os
import signal
import threading
import time
import unittest

from lib import der
from lib.keys import Key
from lib import audit
from lib.service import Client, is_running, wait_for
from lib.world import Case, issue

BACK_SECONDS = 15


class Load:
    """Certificates for one node, until stopped."""

    def __init__(self, world):
        self.acknowledged, self.stopping = {}, threading.Event()
        self.threads = [threading.Thread(target=self.work, args=(world.service,)) for _ in range(4)]
        for thread in self.threads:
            thread.start()

    def work(self, service):
        client, csr = Client(service, service.context_file), der.request(KEY)
        while not self.stopping.is_set():
            try:
                status, answer = issue(client, csr, node='etcdone')
            except (OSError, http.client.HTTPException):
                continue
            if status == 201:
                self.acknowledged[answer['serial']] = answer['certificate']

    def more(self, count, seconds):
        until = len(self.acknowledged) + count
        wait_for('more certificates', lambda: len(self.acknowledged) >= until, seconds)

    def stop(self):
        self.stopping.set()
        for thread in self.threads:
            thread.join()


KEY = Key()


class Crash(Case):
    def crash(self, part, others):
        """SIGSEGV under load; the others must be the same processes afterwards."""
        service, load = self.world.service, Load(self.world)
        self.addCleanup(load.stop)
        load.more(100, 60)
        pid, pids = service.pid(part), service.pids(*others)
        os.kill(pid, signal.SIGSEGV)
        wait_for(f'the {part} to be gone', lambda: not is_running(pid))
        began = time.monotonic()
        wait_for('another one', lambda: service.pids(part) not in ([], [pid]), BACK_SECONDS)
        load.more(1, BACK_SECONDS)
        seconds = time.monotonic() - began
        self.assertEqual(service.pids(*others), pids)
        load.stop()
        print(f'{part} crashed: issues again after {seconds:.1f} s; {len(load.acknowledged)} certificates acknowledged')
        return load.acknowledged

    def log(self):
        return (self.world.service.folder / 'ensignd.log').read_text()

    def nothing_is_lost(self, acknowledged):
        self.admin.connection = None
        listed, issued = audit.certificates(self.admin), audit.issued(audit.leaves(self.admin))
        self.assertLessEqual(set(acknowledged), set(listed))
        self.assertEqual({serial: item['sha256'] for serial, item in listed.items()}, issued)
        for serial in list(acknowledged)[-50:]:
            self.assertEqual(self.admin.get(f'/v1/certificates/{serial}')[1]['certificate'], acknowledged[serial])
        self.assertIn(f'was killed by signal {int(signal.SIGSEGV)}', self.log())

    def test_A22_signer_crashes(self):
        self.nothing_is_lost(self.crash('signer', ('supervisor', 'server')))

    def test_A22_server_crashes(self):
        """The signer belongs to its server: it ends in good order and is another one, too."""
        self.nothing_is_lost(self.crash('server', ('supervisor',)))
        self.assertNotIn('the signer ended with status', self.log())


if __name__ == '__main__':
    unittest.main(warnings='ignore')
