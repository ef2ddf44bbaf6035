"""Floods get 429 and leave a bounded trace; others, and what succeeds, are not touched."""
import json
import tempfile
import time
import unittest

from lib import der
from lib import keys
from lib.keys import Key
from lib import audit
from lib.service import Client, wait_for
from lib.world import Case, Token

BURST = 5
FLOOD = 40
LOW = f'''limits:
  failures: {{burst: {BURST}, perMinute: 60}}
  refusals: {{burst: {BURST}, perMinute: 60}}
'''
GOOD_REQUESTS = 5000


class Limits(Case):
    def configured(self, limits):
        """Starts again with these limits; the file is as before when the test ends."""
        path = self.world.service.state / 'ensignd.yaml'
        before = path.read_text()
        self.addCleanup(path.write_text, before)
        self.assertEqual(self.world.service.stop(), 0)
        path.write_text(before + limits)
        self.world.service.start()
        self.admin.connection = None

    def wrong_token_client(self):
        return Client(self.world.service, token=Token(self.world.pin).text())

    def foreign_certificate(self):
        key = Key()
        with tempfile.NamedTemporaryFile() as file:
            file.write(key.pem)
            file.flush()
            made = keys.openssl('req', '-x509', '-new', '-key', file.name, '-subj', '/CN=admin', '-days', '2')
        return made.decode(), key

    def flood(self, client, method, path, body=None):
        """statuses of many requests"""
        statuses = []
        for _ in range(FLOOD):
            status, answer, headers = client.request(method, path, body)
            statuses.append(status)
            if status == 429:
                self.problem(answer, 429, 'rate_limited', headers)
                self.assertRegex(headers['Retry-After'], '^[1-9][0-9]*$')
                self.assertLessEqual(int(headers['Retry-After']), 2)
        return statuses

    def bounded(self, count, began):
        """As many as the burst and one for each second; and the burst was not cut."""
        self.assertGreaterEqual(count, BURST)
        self.assertLessEqual(count, BURST + 1 + time.monotonic() - began)

    def test_wrong_tokens(self):
        self.configured('')  # the control
        self.assertEqual(set(self.flood(self.wrong_token_client(), 'GET', '/v1/enrolment')), {401})
        self.configured(LOW)
        good, began = self.world.token_client(), time.monotonic()
        stranger = self.wrong_token_client()
        statuses = self.flood(stranger, 'GET', '/v1/enrolment')
        self.assertEqual(statuses[:BURST], [401] * BURST)
        self.assertEqual(set(statuses), {401, 429})
        self.bounded(statuses.count(401), began)
        for path in ('/v1/enrolment', '/v1/whoami'):
            self.assertEqual(good.get(path)[0], 200)  # from the same address
        self.issued(good, der.request(Key()))
        wait_for('the bucket to have one again', lambda: stranger.get('/v1/enrolment')[0] == 401, 10)

    def test_unknown_certificates(self):
        self.configured(LOW)
        certificate, key = self.foreign_certificate()
        stranger = self.world.certificate_client(certificate, key)
        self.assertEqual(set(self.flood(stranger, 'GET', '/v1/whoami')), {401, 429})
        self.assertEqual(self.admin.get('/v1/whoami')[0], 200)

    def test_strangers_are_counted_all_the_same(self):
        self.configured(LOW)
        before = len(audit.leaves(self.admin))
        self.flood(self.wrong_token_client(), 'GET', '/v1/enrolment')
        self.assertEqual(len(audit.leaves(self.admin)), before)
        self.configured('')
        added = [json.loads(leaf) for leaf in audit.leaves(self.admin)][before:]
        self.assertEqual([(event['event'], event['refusals']) for event in added], [('denied.unknown', FLOOD)])

    def test_refusals_by_role(self):
        auditor, operator = (self.world.identity_client(role, f'{role}-of-flood') for role in ('auditor', 'operator'))
        self.configured(LOW)
        auditor.connection = operator.connection = None
        before, began = len(self.denials()), time.monotonic()
        statuses = self.flood(auditor, 'POST', '/v1/clusters', {'cluster': {}})
        self.assertEqual(set(statuses), {403, 429})
        added = self.denials()[before:]
        self.assertEqual(len(added), statuses.count(403))
        self.bounded(len(added), began)
        self.assertEqual({event['actor'] for event in added}, {'auditor auditor-of-flood'})
        self.assertEqual(auditor.get('/v1/certificates')[0], 200)  # what it may, it may still
        self.refused(operator, 'POST', '/v1/clusters', 403, 'forbidden', {'cluster': {}})

    def test_refusals_by_policy(self):
        operator = self.world.identity_client('operator', 'operator-of-policy')
        self.configured(LOW)
        operator.connection = None
        before, began = len(self.denials()), time.monotonic()
        body = {'profile': 'apiserver-etcd-client', 'node': 'etcdone', 'csr': der.request(Key())}
        statuses = self.flood(operator, 'POST', '/v1/clusters/vagrant/certificates', body)
        self.assertEqual(set(statuses), {403, 429})
        self.assertEqual(len(self.denials()) - before, statuses.count(403))
        self.bounded(statuses.count(403), began)
        self.issued(operator, der.request(Key()), node='etcdone')
        self.not_issued(self.admin, der.request(Key()), 403, 'policy_denied', 'apiserver-etcd-client', node='etcdone')
        dry = {**body, 'dry_run': True}  # leaves no trace, so it has no limit
        self.assertEqual(set(self.flood(operator, 'POST', '/v1/clusters/vagrant/certificates', dry)), {403})

    def test_requests(self):
        auditor = self.world.identity_client('auditor', 'auditor-that-asks')
        self.configured(f'limits: {{requests: {{burst: {BURST * 2}, perMinute: 60}}}}\n')
        auditor.connection = None
        statuses = self.flood(auditor, 'GET', '/v1/whoami')
        self.assertEqual(statuses[:BURST * 2], [200] * BURST * 2)
        self.assertEqual(set(statuses), {200, 429})
        self.assertEqual(self.admin.get('/v1/whoami')[0], 200)
        self.assertEqual(set(self.flood(self.world.nobody(), 'GET', '/livez')), {200})
        wait_for('the bucket to have one again', lambda: auditor.get('/v1/whoami')[0] == 200, 10)

    def test_what_succeeds_is_not_limited(self):
        self.configured(LOW)
        client = self.world.token_client()
        statuses = {client.get('/v1/enrolment')[0] for _ in range(GOOD_REQUESTS)}
        self.assertEqual(statuses, {200})

    def test_flood_does_not_fill_the_log(self):
        self.configured(LOW)
        log = self.world.service.folder / 'ensignd.log'
        before = log.read_text().count('"status":429')
        statuses = self.flood(self.wrong_token_client(), 'GET', '/v1/enrolment')
        told = log.read_text().count('"status":429') - before
        self.assertGreater(statuses.count(429), 11)
        self.assertGreater(told, 0)
        self.assertLessEqual(told, 11)


if __name__ == '__main__':
    unittest.main(warnings='ignore')
