"""GET /metrics: a format that Prometheus' own tool takes, values that follow what is done, and who may read them."""
import os
import re
import signal
import subprocess
import time
import unittest

from lib import der
from lib.keys import Key
from lib import audit
from lib.service import wait_for
from lib.world import Case

CERTIFICATES = '/v1/clusters/{cluster}/certificates'
REQUESTS = 'ensign_http_request_duration_seconds'
SAMPLE = re.compile(r'([a-z_0-9]+)(?:\{(.*)\})? (\S+)')
LABEL = re.compile(r'([a-zA-Z_]+)="((?:[^"\\]|\\.)*)"')


def samples(text):
    """(name, frozenset of labels) -> value"""
    found = {}
    for line in text.splitlines():
        if line.startswith('#'):
            continue
        name, labels, value = SAMPLE.fullmatch(line).groups()
        key = name, frozenset(LABEL.findall(labels or ''))
        assert key not in found, f'{line}: a series twice'
        found[key] = float(value)
    return found


def promtool(text):
    return subprocess.run(['promtool', 'check', 'metrics'], input=text, text=True, capture_output=True)


class Metrics(Case):
    def text(self, client=None):
        status, body, headers = (client or self.admin).get('/metrics')
        self.assertEqual(status, 200, body)
        self.assertEqual(headers['Content-Type'], 'text/plain; version=0.0.4; charset=utf-8')
        self.assertEqual(headers['Cache-Control'], 'no-store')
        return body.decode()

    def value(self, name, **labels):
        return samples(self.text()).get((name, frozenset(labels.items())), 0)  # what did not happen has no series

    def restart(self, more=''):
        self.assertEqual(self.world.service.stop(), 0)
        path = self.world.service.state / 'ensignd.yaml'
        path.write_text(path.read_text() + more)
        self.world.service.start()
        self.admin.connection = None

    def test_promtool_takes_it(self):
        self.world.nobody().get('/v1/no"such\\route')
        checked = promtool(self.text())
        self.assertEqual((checked.returncode, checked.stdout, checked.stderr), (0, '', ''))
        control = promtool(self.text() + 'ensign_build_info{version="0\n')
        self.assertNotEqual(control.returncode, 0)

    def test_issuing_counts(self):
        labels = {'issuer': 'etcd-ca', 'profile': 'etcd-member'}
        names = ('ensign_certificates_issued_total', 'ensign_certificates_denied_total')
        before = [self.value(name, **labels) for name in names]
        signed = self.value('ensign_sign_duration_seconds_count')
        answered = self.value(REQUESTS + '_count', route=CERTIFICATES, method='POST', code='201')
        for _ in range(3):
            self.issued(self.world.token_client(), der.request(Key()))
        self.not_issued(self.world.token_client('masterone'), der.request(Key()), 403, 'policy_denied')
        self.not_issued(self.world.token_client('masterone'), der.request(Key()), 403, 'policy_denied', dry_run=True)
        self.assertEqual([self.value(name, **labels) for name in names], [before[0] + 3, before[1] + 1])
        self.assertEqual(self.value('ensign_sign_duration_seconds_count'), signed + 3)
        self.assertEqual(self.value(REQUESTS + '_count', route=CERTIFICATES, method='POST', code='201'), answered + 3)
        self.assertEqual(self.value('ensign_certificates_denied_total', issuer='etcd-ca', profile='none'), 0)

    def test_same_answer_again_is_not_issued_again(self):
        client, csr = self.world.token_client(), der.request(Key())
        self.issued(client, csr)
        before = self.value('ensign_certificates_issued_total', issuer='etcd-ca', profile='etcd-member')
        self.issued(client, csr, status=200)
        self.assertEqual(self.value('ensign_certificates_issued_total', issuer='etcd-ca', profile='etcd-member'),
                         before)

    def test_histograms_are_whole(self):
        found = samples(self.text())
        counted = 0
        for (name, labels), value in found.items():
            if name.endswith('_count'):
                buckets = [(dict(bucket)['le'], found[other, bucket]) for other, bucket in found
                           if other == name.removesuffix('_count') + '_bucket' and labels < bucket]
                numbers = [number for _, number in sorted(buckets, key=lambda bucket: float(bucket[0]))]
                self.assertEqual(numbers, sorted(numbers))
                self.assertEqual(numbers[-1], value)
                counted += 1
        self.assertGreater(counted, 3)

    def test_callers_make_no_series(self):
        client = self.world.nobody()
        serial = self.issued(self.world.token_client(), der.request(Key()))['serial']
        self.admin.get(f'/v1/certificates/{serial}')
        for path in ('/v1/one', '/v1/two', '/v1/clusters/one', '/v1/clusters/two', '/livez'):
            client.get(path)
        client.request('BREW', '/livez')
        routes = {dict(labels)['route'] for name, labels in samples(self.text()) if name == REQUESTS + '_count'}
        self.assertIn('other', routes)
        self.assertIn('/v1/clusters/{cluster}', routes)
        methods = {dict(labels)['method'] for name, labels in samples(self.text()) if name == REQUESTS + '_count'}
        self.assertLessEqual(methods, {'GET', 'POST', 'DELETE', 'other'})
        self.assertNotIn(serial, self.text())
        self.assertFalse([route for route in routes if 'one' in route or 'two' in route])

    def test_parts(self):
        found = {name: value for (name, labels), value in samples(self.text()).items() if not labels}
        self.assertEqual(found['ensign_audit_head_sequence'], len(audit.leaves(self.admin)) - 1)
        self.assertEqual(found['ensign_signer_up'], 1)
        self.assertEqual(found['ensign_ledger_read_only'], 0)
        self.assertGreaterEqual(found['ensign_http_connections'], 1)
        self.assertGreater(found['ensign_lmdb_map_used_bytes'], 0)
        self.assertGreater(found['ensign_lmdb_map_size_bytes'], found['ensign_lmdb_map_used_bytes'])
        self.assertLess(abs(found['process_start_time_seconds'] - time.time()), 600)
        self.assertGreater(found['process_cpu_seconds_total'], 0)
        self.assertGreater(found['process_resident_memory_bytes'], 1 << 20)
        self.assertGreater(found['process_open_fds'], 5)
        self.assertGreater(found['process_max_fds'], found['process_open_fds'])
        self.assertEqual(found['ensign_authorities_omitted'], 0)

    def test_connections_are_counted(self):
        name = 'ensign_http_connections'
        wait_for('connections of other tests to be gone', lambda: self.value(name) == 1)
        clients = [self.world.nobody() for _ in range(5)]
        for client in clients:
            client.get('/livez')
        self.assertEqual(self.value(name), 6)
        for client in clients:
            client.connection.close()
        wait_for('connections to be gone', lambda: self.value(name) == 1)

    def test_validity(self):
        found = samples(self.text())
        ends = {labels: value for (name, labels), value in found.items() if name == 'x509_cert_not_after'}
        begins = {labels: value for (name, labels), value in found.items() if name == 'x509_cert_not_before'}
        self.assertEqual(set(ends), set(begins))
        known = {(dict(labels)['cluster'], dict(labels)['authority'], dict(labels)['type']) for labels in ends}
        self.assertEqual(known, {('ensign', 'service-ca', 'tls'), ('ensign', 'service-ca', 'ca'),
                                 ('vagrant', 'etcd-ca', 'ca'), ('vagrant', 'kubernetes', 'ca'),
                                 ('vagrant', 'front-proxy-ca', 'ca')})
        for labels in ends:
            self.assertLess(begins[labels], time.time() + 1)
            self.assertGreater(ends[labels], time.time() + 86400)

    def test_signer_that_is_away(self):
        supervisor = self.world.service.pid('supervisor')
        os.kill(supervisor, signal.SIGSTOP)  # it would start another at once
        try:
            self.world.service.kill('signer')
            wait_for('the gauge to fall', lambda: self.value('ensign_signer_up') == 0)
        finally:
            os.kill(supervisor, signal.SIGCONT)
        wait_for('the gauge to rise', lambda: self.value('ensign_signer_up') == 1)

    def test_head(self):
        status, body, headers = self.admin.request('HEAD', '/metrics')
        self.assertEqual((status, body), (200, b''))
        self.assertGreater(int(headers['Content-Length']), 1000)

    def test_query_and_method(self):
        self.refused(self.admin, 'GET', '/metrics?name=up', 400, 'invalid')
        self.refused(self.admin, 'POST', '/metrics', 405, 'method_not_allowed')

    def test_anonymous_when_configured(self):
        """Who else may is in the matrix of test_roles."""
        self.refused(self.world.nobody(), 'GET', '/metrics', 401, 'unauthenticated')
        node = self.world.node_client()
        self.refused(node, 'GET', '/metrics', 403, 'forbidden')
        self.restart('metrics: {anonymous: true}\n')
        self.text(self.world.nobody())
        node.connection = None
        self.text(node)
        self.refused(self.world.nobody(), 'GET', '/v1/audit/entries', 401, 'unauthenticated')


if __name__ == '__main__':
    unittest.main(warnings='ignore')
