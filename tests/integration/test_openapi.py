"""The description of the API: it is served, and what is not as it says is found."""
import base64
import copy
import http.client
import json
import os
import pathlib
import subprocess
import sys
import unittest

from lib import der
from lib.keys import Key
from lib.openapi import WrongAnswer, description
from lib.service import BUILD, ROOT
from lib.world import Case

RECORDED = ROOT / 'tests/recorder/recorded.py'


class Served(Case):
    def test_is_what_was_built(self):
        status, document, headers = self.world.nobody().get('/openapi.json')
        self.assertEqual((status, headers['Content-Type']), (200, 'application/json'))
        self.assertEqual(document, json.loads((BUILD / 'server/openapi.json').read_text()))
        self.assertRegex(document['openapi'], r'^3\.1\.')

    def test_this_suite_is_recorded(self):
        if 'ENSIGN_ANSWERS' not in os.environ:
            self.skipTest('run by hand')
        name = self.id()[-36:]
        self.world.nobody().request('GET', '/livez', None, {'X-Request-Id': name})
        self.assertIn(f'"X-Request-Id":"{name}"', pathlib.Path(os.environ['ENSIGN_ANSWERS']).read_text())

    def test_etag(self):
        client = self.world.nobody()
        tag = client.get('/openapi.json')[2]['ETag']
        for known, expected in ((tag, 304), ('"other"', 200)):
            status, _, headers = client.request('GET', '/openapi.json', None, {'If-None-Match': known})
            self.assertEqual((status, headers['ETag']), (expected, tag))
        self.assertIn('max-age=', client.get('/openapi.json')[2]['Cache-Control'])


class Found(Case):
    """Each way to be wrong is found in answers that are right before."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        body = {'profile': 'etcd-member', 'node': 'etcdone', 'csr': der.request(Key())}
        cls.post = ('POST', '/v1/clusters/vagrant/certificates')
        cls.issued = cls.admin.request(*cls.post, body)
        cls.refused = cls.admin.request(*cls.post, body | {'profile': 'apiserver-etcd-client'})
        cls.bundle = cls.world.nobody().get('/v1/clusters/vagrant/authorities/etcd-ca/bundle')
        assert [answer[0] for answer in (cls.issued, cls.refused, cls.bundle)] == [201, 403, 200]

    def check(self, request, answer, status=None, body=None, **headers):
        """headers: changed, or taken out when None."""
        old_status, old_body, old_headers = answer
        changed = http.client.HTTPMessage()
        for name, value in (dict(old_headers) | {name.replace('_', '-'): value for name, value in headers.items()}).items():
            if value is not None:
                changed[name] = value
        body = old_body if body is None else body
        text = body if isinstance(body, bytes) else json.dumps(body).encode()
        description(BUILD).check(*request, status or old_status, changed, text)

    def wrong(self, what, *arguments, **more):
        with self.subTest(what), self.assertRaises(WrongAnswer):
            self.check(*arguments, **more)

    def test_right_ones(self):
        self.check(self.post, self.issued)
        self.check(self.post, self.refused)
        self.check(('GET', '/v1/clusters/vagrant/authorities/etcd-ca/bundle'), self.bundle)

    def test_statuses(self):
        for status in (202, 204, 302, 418, 501):
            self.wrong(status, self.post, self.issued, status=status)
        self.wrong('another method', ('PUT', self.post[1]), self.issued)
        self.wrong('another path', ('POST', '/v2'), self.issued)
        self.wrong('code and status', self.post, self.refused, status=404)

    def test_bodies(self):
        good = self.issued[1]
        for member in good:
            self.wrong(f'without {member}', self.post, self.issued,
                       body={name: value for name, value in good.items() if name != member})
        for change in ({'colour': 'blue'}, {'serial': 'x'}, {'serial': good['serial'].upper() + 'A'}, {'node': ''},
                       {'log_sequence': '7'}, {'log_sequence': -1}, {'not_after': '2026-11-21 07:00:00'},
                       {'state': 'sleepy'}, {'dns': 'etcdone'}, {'key_usage': ['keyCertSign']}, {'role': 'god'},
                       {'certificate': good['certificate'] + 'x'}, {'chain': ''}):
            self.wrong(change, self.post, self.issued, body=good | change)
        for change in ({'code': 'no_such_code'}, {'code': 'not_found'}, {'detail': ''}, {'status': 400}, {'errors': []},
                       {'errors': [{'pointer': '/x'}]}, {'stack': 'trace'}):
            self.wrong(change, self.post, self.refused, body=self.refused[1] | change)
        self.wrong('no JSON', self.post, self.issued, body=b'{')
        self.wrong('no PEM', ('GET', '/v1/clusters/vagrant/authorities/etcd-ca/bundle'), self.bundle, body=b'-----BEGIN')
        self.wrong('HEAD with a body', ('HEAD', '/livez'), self.world.nobody().get('/livez'))

    def test_headers(self):
        for change in ({'Location': None}, {'Location': '/elsewhere'}, {'X_Request_Id': None}, {'Cache_Control': None},
                       {'Cache_Control': 'max-age=1'}, {'X_Content_Type_Options': None}, {'Content_Type': 'text/html'},
                       {'Content_Type': None}, {'ETag': '"x"'}, {'Retry_After': '1'}):
            self.wrong(change, self.post, self.issued, **change)
        self.wrong('WWW-Authenticate', ('GET', '/v1/whoami'), self.world.nobody().get('/v1/whoami'),
                   WWW_Authenticate=None)


class Recorded(unittest.TestCase):
    """What goes by this harness's own client is recorded and found, too."""

    def run_recorded(self, *command):
        return subprocess.run([sys.executable, RECORDED, *command], capture_output=True, text=True)

    def line(self, **change):
        headers = {'X-Request-Id': 'x', 'Cache-Control': 'no-store', 'X-Content-Type-Options': 'nosniff',
                   'Content-Type': 'text/plain; charset=utf-8'}
        answer = {'method': 'GET', 'path': '/livez', 'status': 200, 'headers': headers,
                  'body': base64.b64encode(b'ok').decode()}
        return json.dumps(copy.deepcopy(answer) | change)

    def test_good_and_wrong_lines(self):
        wrong = self.line(body=base64.b64encode(b'fine').decode())
        for lines, exit_code in (([self.line()], 0), ([self.line(), wrong], 1), ([self.line(status=418)], 1), ([], 1)):
            with self.subTest(lines):
                script = ''.join(f"echo '{line}' >> $ENSIGN_ANSWERS; " for line in lines) + 'true'
                result = self.run_recorded('sh', '-c', script)
                self.assertEqual(result.returncode, exit_code, result.stdout + result.stderr)

    def test_a_failing_test_fails(self):
        self.assertEqual(self.run_recorded('sh', '-c', f"echo '{self.line()}' >> $ENSIGN_ANSWERS; exit 3").returncode, 3)



if __name__ == '__main__':
    unittest.main(warnings='ignore')
