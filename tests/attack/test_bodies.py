"""JSON that is not what it seems; and what every refusal looks like."""
import json
import unittest

from lib import der
from lib.keys import Key
from lib.world import Case, Token

JSON = {'Content-Type': 'application/json'}


def nested(depth):
    return '[' * depth + ']' * depth


# what, the text of a body for POST …/certificates around a member "csr" that is good
BROKEN = [
    ('nothing', ''),
    ('no JSON', 'hello'),
    ('cut', '{"profile": "etcd-member"'),
    ('bytes behind', '{"profile": "etcd-member"} {}'),
    ('a comment', '{"profile": "etcd-member" /* hi */}'),
    ('a trailing comma', '{"profile": "etcd-member",}'),
    ('single quotes', "{'profile': 'etcd-member'}"),
    ('NaN', '{"lifetime_seconds": NaN}'),
    ('duplicate member', '{"profile": "etcd-member", "profile": "node-identity"}'),
    ('duplicate member, escaped', '{"profile": "etcd-member", "pro\\u0066ile": "node-identity"}'),
    ('too deep', '{"profile": ' + nested(17) + '}'),
    ('far too deep', '{"profile": ' + nested(20000) + '}'),
    ('a number beyond 64 bits', '{"lifetime_seconds": 99999999999999999999}'),
    ('a number beyond double', '{"lifetime_seconds": 1e999}'),
    ('NUL in a string', '{"profile": "etcd-member\\u0000"}'),
    ('NUL in a name', '{"profile\\u0000": "etcd-member"}'),
    ('a lone surrogate', '{"profile": "\\ud800"}'),
    ('not UTF-8', b'{"profile": "\xff"}'),
    ('overlong UTF-8', b'{"profile": "\xc0\xaf"}'),
    ('byte order mark', b'\xef\xbb\xbf{}'),
]

# what, members changed, the pointers of the reasons
INVALID = [
    ('unknown member', {'colour': 1}, {'/colour'}),
    ('unknown member to be escaped', {'a/b~c': 1}, {'/a~1b~0c'}),
    ('number for a text', {'profile': 7}, {'/profile'}),
    ('null for a text', {'profile': None}, {'/profile'}),
    ('text for a number', {'lifetime_seconds': '3600'}, {'/lifetime_seconds'}),
    ('fraction', {'lifetime_seconds': 3600.5}, {'/lifetime_seconds'}),
    ('zero', {'lifetime_seconds': 0}, {'/lifetime_seconds'}),
    ('negative', {'lifetime_seconds': -1}, {'/lifetime_seconds'}),
    ('very large', {'lifetime_seconds': 2 ** 62}, {'/lifetime_seconds'}),
    ('text for a bool', {'dry_run': 'true'}, {'/dry_run'}),
    ('number for a bool', {'dry_run': 1}, {'/dry_run'}),
    ('all at once', {'profile': [], 'dry_run': {}, 'colour': 1}, {'/profile', '/dry_run', '/colour'}),
]


class Bodies(Case):
    path = '/v1/clusters/vagrant/certificates'

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.good = {'profile': 'etcd-member', 'node': 'etcdone', 'csr': der.request(Key())}

    def test_control_good(self):
        """The control, with all the freedom that JSON gives."""
        text = json.dumps(self.good, indent=8).replace('etcd-member', 'etcd\\u002dmember')
        self.assertEqual(self.admin.request('POST', self.path, text, JSON)[0], 201)

    def test_A13_broken(self):
        for what, text in BROKEN:
            with self.subTest(what):
                status, answer, headers = self.admin.request('POST', self.path, text, JSON)
                self.assertEqual(status, 400, answer)
                self.assertIn(answer['code'], {'malformed', 'invalid'})
                self.problem(answer, 400, answer['code'], headers)

    def test_A13_invalid(self):
        for what, change, pointers in INVALID:
            with self.subTest(what):
                answer = self.refused(self.admin, 'POST', self.path, 400, 'invalid', self.good | change)
                self.assertEqual(self.pointers(answer), pointers)

    def test_A13_missing(self):
        answer = self.refused(self.admin, 'POST', self.path, 400, 'invalid', {})
        self.assertEqual(len(answer['errors']), 2, answer)

    def test_A13_not_an_object(self):
        for text in ('[]', '"etcd-member"', '7', 'null', 'true'):
            with self.subTest(text):
                status, answer, headers = self.admin.request('POST', self.path, text, JSON)
                self.assertEqual(status, 400, answer)
                self.assertIn(answer['code'], {'malformed', 'invalid'})
                self.problem(answer, 400, answer['code'], headers)

    def test_A13_every_route_with_a_body_is_strict(self):
        routes = {'/v1/clusters': {}, '/v1/clusters/vagrant/tokens': Token(self.world.pin).body('etcdone'),
                  '/v1/identities': {'name': 'alice', 'role': 'auditor', 'csr': der.request(Key())}}
        for path, good in routes.items():
            with self.subTest(path):
                answer = self.refused(self.admin, 'POST', path, 400, 'invalid', good | {'colour': 1})
                self.assertIn('/colour', self.pointers(answer))

    def test_A12_limits(self):
        self.refused(self.admin, 'POST', self.path, 413, 'too_large', self.good | {'csr': 'x' * (65 << 10)})
        self.refused(self.admin, 'POST', '/v1/clusters/vagrant/tokens', 413, 'too_large', {'id': 'x' * 4096})
        self.refused(self.admin, 'DELETE', '/v1/tokens/' + '0' * 32, 413, 'too_large', {})

    def test_A13_other_refusals(self):
        self.refused(self.admin, 'GET', '/v2', 404, 'not_found')
        self.refused(self.admin, 'PUT', self.path, 405, 'method_not_allowed')
        self.refused(self.admin, 'POST', self.path, 415, 'unsupported_media_type', json.dumps(self.good),
                     {'Content-Type': 'text/plain'})
        self.refused(self.admin, 'GET', '/livez?colour=blue', 400, 'invalid')
        self.refused(self.admin, 'GET', '/v1/clusters?colour=blue', 400, 'invalid')

    def test_A13_hostile_texts_are_cleaned_when_quoted(self):
        answer = self.refused(self.admin, 'POST', self.path, 404, 'not_found', self.good | {'profile': '"\u202e\u00e9'})
        self.assertRegex(answer['detail'], '^[ -~]*$')
        self.refused(self.admin, 'POST', self.path, 400, 'malformed', self.good | {'profile': '\x1b[31m'})


if __name__ == '__main__':
    unittest.main(warnings='ignore')
