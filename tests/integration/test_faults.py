"""What works while the signer is away, and that everything comes back."""
import os
import signal
import unittest

from lib import der
from lib.keys import Key
from lib import audit
from lib.service import is_running, wait_for
from lib.world import Case, issue


class Ready(Case):
    def test_ready(self):
        for path, text in (('/livez', 'ok'), ('/readyz', 'ok'),
                           ('/readyz?verbose', '[+]store ok\n[+]ledger ok\n[+]signer ok\n'
                            '[+]clock ok\n[+]restore ok\nreadyz check passed\n')):
            with self.subTest(path):
                status, answer, headers = self.world.nobody().get(path)
                self.assertEqual((status, answer.decode()), (200, text))
                self.assertIn('text/plain', headers['Content-Type'])


class SignerAway(Case):
    def setUp(self):
        """Kills the signer while the supervisor, which would start it again at once, is stopped."""
        service = self.world.service
        self.supervisor, signer = service.pid('supervisor'), service.pid('signer')
        os.kill(self.supervisor, signal.SIGSTOP)
        self.addCleanup(os.kill, self.supervisor, signal.SIGCONT)
        os.kill(signer, signal.SIGKILL)
        wait_for('the signer to be gone', lambda: not is_running(signer))
        wait_for('the server to see it', lambda: self.admin.get('/readyz')[0] == 503)

    def come_back(self):
        os.kill(self.supervisor, signal.SIGCONT)
        wait_for('the signer to be back', lambda: self.admin.get('/readyz')[0] == 200)

    def test_issuance_is_refused_and_reads_go_on(self):
        serials = set(audit.certificates(self.admin))
        status, answer, headers = self.admin.post('/v1/clusters/vagrant/certificates', {
            'profile': 'etcd-member', 'node': 'etcdone', 'csr': der.request(Key())})
        self.assertEqual(status, 503, answer)
        self.problem(answer, 503, 'signer_down', headers)
        self.assertGreater(int(headers['Retry-After']), 0)
        _, text, _ = self.admin.get('/readyz')
        self.assertIn('[-]signer failed: signer_down', text.decode())
        self.assertEqual(self.admin.get('/livez')[0], 200)
        self.assertEqual(set(audit.certificates(self.admin)), serials)
        for serial in serials:
            self.assertEqual(self.admin.get('/v1/certificates/' + serial)[0], 200)
        self.come_back()
        self.assertEqual(set(audit.certificates(self.admin)), serials)
        self.issued(self.admin, der.request(Key()), node='etcdone')

    def test_the_same_request_succeeds_afterwards(self):
        """A token is not used up by a request that failed."""
        self.come_back()
        client, csr = self.world.token_client(), der.request(Key())
        self.setUp()
        self.not_issued(client, csr, 503, 'signer_down')
        self.come_back()
        first = self.issued(client, csr)
        self.assertEqual(self.issued(client, csr, status=200), first)


class ServerKilled(Case):
    def test_nothing_that_was_answered_is_lost(self):
        answers = [self.issued(self.admin, der.request(Key()), node='etcdone') for _ in range(3)]
        note = audit.checkpoint_parse(self.admin.get('/v1/audit/checkpoint')[1])
        self.world.service.kill('server')
        self.admin.connection = None
        self.world.service.wait_ready()
        for answer in answers:
            self.assertEqual(self.admin.get('/v1/certificates/' + answer['serial'])[1], answer)
        hashes = [audit.leaf_hash(leaf) for leaf in audit.leaves(self.admin)]
        self.assertEqual(audit.tree_root(hashes[:note[1]]), note[2])
        self.assertEqual(issue(self.admin, der.request(Key()), node='etcdone')[0], 201)


if __name__ == '__main__':
    unittest.main(warnings='ignore')
