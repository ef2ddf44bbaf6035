"""Every route with every kind of caller: the table of who may do what."""
import base64
import pathlib
import re
import time
import unittest

from lib import der
from lib.keys import Key
from lib.clock import text
from lib.service import ROOT
from lib.world import Case, Token, cluster_document, issue

CALLERS = ('nobody', 'token', 'node', 'operator', 'auditor', 'admin', 'root')

# In the order of CALLERS. The token and the node are etcdone's.
MATRIX = [
    ('POST', '/v1/clusters', 'same_cluster', (401, 403, 403, 403, 403, 200, 200)),
    ('GET', '/v1/clusters', None, (401, 403, 200, 200, 200, 200, 200)),
    ('GET', '/v1/clusters/vagrant', None, (401, 200, 200, 200, 200, 200, 200)),
    ('GET', '/v1/clusters/other', None, (401, 404, 404, 200, 200, 200, 200)),
    ('GET', '/v1/clusters/none', None, (401, 404, 404, 404, 404, 404, 404)),
    ('GET', '/v1/clusters/ensign', None, (401, 404, 404, 404, 404, 404, 404)),
    ('PUT', '/v1/clusters/vagrant', 'same_cluster', (401, 403, 403, 403, 403, 200, 200)),
    ('PUT', '/v1/clusters/none', 'same_cluster', (401, 403, 403, 403, 403, 404, 404)),
    ('GET', '/v1/clusters/vagrant/authorities', None, (401, 200, 200, 200, 200, 200, 200)),
    ('GET', '/v1/clusters/other/authorities', None, (401, 404, 404, 200, 200, 200, 200)),
    ('POST', '/v1/clusters/vagrant/authorities', 'same_authority', (401, 403, 403, 403, 403, 200, 200)),
    ('POST', '/v1/clusters/vagrant/authorities/etcd-ca/reissue', 'nothing', (401, 403, 403, 403, 403, 200, 200)),
    ('GET', '/v1/import-key', None, (401, 403, 403, 403, 403, 200, 200)),
    ('GET', '/v1/clusters/vagrant/authorities/etcd-ca/bundle', None, (200,) * 7),
    ('GET', '/v1/clusters/ensign/authorities/service-ca/bundle', None, (200,) * 7),
    ('GET', '/v1/clusters/vagrant/authorities/none/bundle', None, (404,) * 7),
    ('GET', '/v1/clusters/vagrant/catalogue', None, (401, 403, 403, 200, 200, 200, 200)),
    ('GET', '/v1/clusters/none/catalogue', None, (401, 403, 403, 404, 404, 404, 404)),
    ('GET', '/v1/clusters/vagrant/catalogue?node=etcdone', None, (401, 403, 403, 200, 200, 200, 200)),
    ('GET', '/v1/clusters/vagrant/catalogue?node=none', None, (401, 403, 403, 404, 404, 404, 404)),
    ('POST', '/v1/clusters/vagrant/tokens', 'new_token', (401, 403, 403, 201, 403, 201, 201)),
    ('GET', '/v1/clusters/vagrant/tokens', None, (401, 403, 403, 200, 200, 200, 200)),
    ('DELETE', '/v1/tokens/{revoked}', None, (401, 403, 403, 204, 403, 204, 204)),
    ('GET', '/v1/enrolment', None, (401, 200, 403, 403, 403, 403, 403)),
    # The node is no control plane.
    ('PUT', '/v1/clusters/vagrant/sealing-key', 'sealing_key', (401, 403, 403, 403, 403, 403, 403)),
    ('PUT', '/v1/clusters/other/sealing-key', 'sealing_key', (401, 403, 404, 403, 403, 403, 403)),
    ('GET', '/v1/clusters/vagrant/shared-keys/sa', None, (401, 403, 403, 403, 200, 200, 200)),
    ('GET', '/v1/clusters/other/shared-keys/sa', None, (401, 403, 404, 403, 200, 200, 200)),
    ('GET', '/v1/clusters/vagrant/shared-keys/none', None, (401, 403, 403, 403, 404, 404, 404)),
    ('PUT', '/v1/clusters/vagrant/shared-keys/sa', 'claim', (401, 403, 403, 403, 403, 403, 403)),
    ('POST', '/v1/clusters/vagrant/shared-keys/sa/envelopes', 'envelopes', (401, 403, 403, 403, 403, 403, 403)),
    ('POST', '/v1/clusters/vagrant/shared-keys/sa/acknowledgement', 'held', (401, 403, 403, 403, 403, 403, 403)),
    ('POST', '/v1/clusters/vagrant/shared-keys/sa/certificate', 'certify', (401, 403, 403, 403, 403, 403, 403)),
    # Nobody has made it yet.
    ('POST', '/v1/clusters/vagrant/shared-keys/sa/reset', 'held', (401, 403, 403, 403, 403, 409, 409)),
    ('GET', '/v1/clusters/vagrant/nodes/etcdone/work', None, (401, 403, 200, 403, 403, 403, 403)),
    ('GET', '/v1/clusters/vagrant/nodes/etcdtwo/work', None, (401, 403, 404, 403, 403, 403, 403)),
    ('GET', '/v1/clusters/other/nodes/etcdone/work', None, (401, 403, 404, 403, 403, 403, 403)),
    ('POST', '/v1/clusters/vagrant/rotations', 'rotation', (401, 403, 403, 201, 403, 201, 201)),
    ('POST', '/v1/clusters/none/rotations', 'rotation', (401, 403, 403, 404, 403, 404, 404)),
    ('GET', '/v1/clusters/vagrant/rotations', None, (401, 403, 403, 200, 200, 200, 200)),
    ('GET', '/v1/clusters/none/rotations', None, (401, 403, 403, 404, 404, 404, 404)),
    ('GET', '/v1/clusters/vagrant/rotations/{rotation}', None, (401, 403, 403, 200, 200, 200, 200)),
    ('GET', '/v1/clusters/other/rotations/{rotation}', None, (401, 403, 403, 404, 404, 404, 404)),
    ('POST', '/v1/clusters/vagrant/leases/etcd', 'lease', (401, 403, 200, 403, 403, 403, 403)),
    ('POST', '/v1/clusters/vagrant/leases/control-plane', 'lease', (401, 403, 403, 403, 403, 403, 403)),
    ('POST', '/v1/clusters/other/leases/etcd', 'lease', (401, 403, 404, 403, 403, 403, 403)),
    ('POST', '/v1/clusters/vagrant/leases/none', 'lease', (401, 403, 404, 403, 403, 403, 403)),
    ('POST', '/v1/clusters/vagrant/leases/etcd/release', 'healthy', (401, 403, 200, 200, 403, 200, 200)),
    ('POST', '/v1/clusters/vagrant/leases/control-plane/release', 'healthy', (401, 403, 403, 200, 403, 200, 200)),
    ('POST', '/v1/clusters/other/leases/etcd/release', 'healthy', (401, 403, 404, 200, 403, 200, 200)),
    ('GET', '/v1/clusters/vagrant/leases', None, (401, 403, 200, 200, 200, 200, 200)),
    ('GET', '/v1/clusters/other/leases', None, (401, 403, 404, 200, 200, 200, 200)),
    ('POST', '/v1/clusters/vagrant/certificates', 'own_csr', (401, 201, 400, 201, 403, 201, 201)),
    ('POST', '/v1/clusters/vagrant/certificates', 'renewal', (401, 400, 403, 400, 403, 400, 400)),
    ('POST', '/v1/clusters/vagrant/certificates', 'other_csr', (401, 403, 400, 201, 403, 201, 201)),
    ('POST', '/v1/clusters/other/certificates', 'own_csr', (401, 404, 404, 201, 403, 201, 201)),
    ('POST', '/v1/clusters/other/certificates', 'user', (401, 404, 404, 201, 403, 201, 201)),
    ('POST', '/v1/clusters/vagrant/certificates', 'user', (401, 403, 400, 201, 403, 201, 201)),
    ('POST', '/v1/clusters/vagrant/certificates', 'cluster_admin', (401, 403, 400, 403, 403, 201, 201)),
    ('POST', '/v1/clusters/vagrant/certificates', 'administrator', (401, 403, 400, 403, 403, 201, 201)),
    ('POST', '/v1/clusters/vagrant/certificates', 'kubelet_client', (401, 403, 400, 403, 403, 201, 201)),
    ('POST', '/v1/clusters/vagrant/certificates', 'etcd_client', (401, 403, 400, 201, 403, 201, 201)),
    ('PUT', '/v1/clusters/vagrant/nodes/etcdone/deployed', 'report', (401, 403, 200, 403, 403, 403, 403)),
    ('PUT', '/v1/clusters/vagrant/nodes/etcdtwo/deployed', 'report', (401, 403, 404, 403, 403, 403, 403)),
    ('PUT', '/v1/clusters/other/nodes/etcdone/deployed', 'report', (401, 403, 404, 403, 403, 403, 403)),
    ('GET', '/v1/clusters/vagrant/deployed', None, (401, 403, 200, 200, 200, 200, 200)),
    ('GET', '/v1/clusters/vagrant/deployed?node=etcdtwo', None, (401, 403, 404, 200, 200, 200, 200)),
    ('GET', '/v1/clusters/vagrant/deployed?node=none', None, (401, 403, 404, 404, 404, 404, 404)),
    ('GET', '/v1/clusters/other/deployed', None, (401, 403, 404, 200, 200, 200, 200)),
    ('GET', '/v1/clusters/vagrant/authorities/etcd-ca/crl', None, (200,) * 7),
    ('GET', '/v1/clusters/ensign/authorities/service-ca/crl?format=pem', None, (200,) * 7),
    ('GET', '/v1/clusters/vagrant/authorities/none/crl', None, (404,) * 7),
    ('POST', '/v1/certificates/{gone}/revocation', 'reason', (401, 403, 403, 200, 403, 200, 200)),
    ('POST', '/v1/certificates/{identity}/revocation', 'reason', (401, 403, 403, 403, 403, 200, 200)),
    ('POST', '/v1/clusters/vagrant/revocations', 'selector', (401, 403, 403, 200, 403, 200, 200)),
    ('POST', '/v1/clusters/none/revocations', 'selector', (401, 403, 403, 404, 403, 404, 404)),
    ('GET', '/v1/clusters/vagrant/revoked-fingerprints', None, (401, 403, 200, 200, 200, 200, 200)),
    ('GET', '/v1/clusters/other/revoked-fingerprints', None, (401, 403, 404, 200, 200, 200, 200)),
    ('POST', '/v1/clusters/vagrant/subjectaccessreview', 'review', (401, 403, 403, 403, 403, 403, 403)),
    ('POST', '/v1/clusters/other/subjectaccessreview', 'review', (401, 403, 404, 403, 403, 403, 403)),
    ('POST', '/v1/identities', 'identity', (401, 403, 403, 403, 403, 201, 201)),
    ('GET', '/v1/certificates', None, (401, 403, 200, 200, 200, 200, 200)),
    ('GET', '/v1/certificates?cluster=vagrant&node=etcdone', None, (401, 403, 200, 200, 200, 200, 200)),
    ('GET', '/v1/certificates?cluster=vagrant&node=etcdtwo', None, (401, 403, 404, 200, 200, 200, 200)),
    ('GET', '/v1/certificates?cluster=other&node=etcdone', None, (401, 403, 404, 200, 200, 200, 200)),
    ('GET', '/v1/certificates/{own}', None, (401, 200, 200, 200, 200, 200, 200)),
    ('GET', '/v1/certificates/{other_node}', None, (401, 404, 404, 200, 200, 200, 200)),
    ('GET', '/v1/certificates/{other_cluster}', None, (401, 404, 404, 200, 200, 200, 200)),
    ('GET', '/v1/certificates/' + '0' * 40, None, (401, 404, 404, 404, 404, 404, 404)),
    ('GET', '/v1/audit/checkpoint', None, (200,) * 7),
    ('GET', '/v1/audit/entries', None, (401, 403, 403, 200, 200, 200, 200)),
    ('GET', '/v1/audit/key', None, (200,) * 7),
    ('GET', '/v1/whoami', None, (401, 200, 200, 200, 200, 200, 200)),
    ('GET', '/v1/clock', None, (401, 403, 403, 200, 200, 200, 200)),
    ('POST', '/v1/clock/acknowledgement', 'now', (401, 403, 403, 403, 403, 200, 200)),
    ('POST', '/v1/audit/witness', 'checkpoint', (401, 403, 403, 200, 200, 200, 200)),
    ('GET', '/v1/restore', None, (401, 403, 403, 200, 200, 200, 200)),
    ('POST', '/v1/restore/acknowledgement', 'entries', (401, 403, 403, 403, 403, 200, 200)),
    ('GET', '/metrics', None, (401, 403, 403, 200, 200, 200, 200)),
    ('GET', '/livez', None, (200,) * 7),
    ('GET', '/readyz', None, (200,) * 7),
    ('GET', '/openapi.json', None, (200,) * 7),
]

# In form, all that keys which control planes share, and leases, are about.
BODIES = {
    'lease': {'lifetime_seconds': 60},
    'healthy': {'healthy': True},
    'rotation': {'node': 'etcdone'},
    'sealing_key': {'public_key': 'A' * 42 + 'E', 'signature': 'AAAA'},
    'claim': {'expected_generation': 0, 'spki': base64.urlsafe_b64encode(Key().spki).decode().rstrip('=')},
    'envelopes': {'generation': 1, 'envelopes': [{'receiver': 'masterone', 'sealing_key': 'A' * 42 + 'E', 'sealed': 'AAAA',
                                                  'signature': 'AAAA'}]},
    'held': {'generation': 1},
    'certify': {'csr': der.request(Key())},
}

NODE_BODIES = {'own_csr': ('etcd-member', 'etcdone'), 'other_csr': ('etcd-member', 'etcdtwo'),
               'administrator': ('admin', 'masterone'), 'kubelet_client': ('apiserver-kubelet-client', 'masterone'),
               'etcd_client': ('apiserver-etcd-client', 'masterone')}

CODES = {400: {'invalid'}, 401: {'unauthenticated'}, 403: {'forbidden', 'policy_denied'}, 404: {'not_found'},
         409: {'conflict'}}

WHO = {
    'token': {'kind': 'token', 'cluster': 'vagrant', 'node': 'etcdone'},
    'node': {'kind': 'node', 'name': 'etcdone', 'cluster': 'vagrant', 'node': 'etcdone'},
    'operator': {'kind': 'operator', 'name': 'the-operator', 'cluster': None, 'node': None},
    'auditor': {'kind': 'auditor', 'name': 'the-auditor', 'cluster': None, 'node': None},
    'admin': {'kind': 'admin', 'name': 'admin', 'cluster': None, 'node': None},
    'root': {'kind': 'admin', 'name': 'root', 'cluster': None, 'node': None},
}


def routes():
    """method and pattern of every row of the server's table"""
    text = pathlib.Path(ROOT / 'server/routes.c').read_text()
    return set(re.findall(r'\{"([A-Z]+)",\s*"([^"]+)"', text))


def fits(path, pattern):
    return re.fullmatch(re.sub(r'\{\w+\}', '[^/]+', pattern), path.split('?')[0])


class Roles(Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.world.create_cluster(name='other', network='10.8.0')
        cls.callers = {'nobody': cls.world.nobody(), 'token': cls.world.token_client(),
                       'node': cls.world.node_client(), 'admin': cls.admin, 'root': cls.world.root()}
        for role in ('operator', 'auditor'):
            cls.callers[role] = cls.world.identity_client(role)
        cls.things = cls.make_things()

    @classmethod
    def make_things(cls):
        revoked = cls.world.new_token()
        assert cls.admin.request('DELETE', f'/v1/tokens/{revoked.id.hex()}')[0] == 204
        things = {'revoked': revoked.id.hex()}
        for what, cluster, node in (('own', 'vagrant', 'etcdone'), ('other_node', 'vagrant', 'etcdtwo'),
                                    ('other_cluster', 'other', 'etcdone')):
            status, answer = issue(cls.admin, der.request(Key()), cluster=cluster, node=node)
            assert status == 201, answer
            things[what] = answer['serial']
        status, answer, _ = cls.admin.post('/v1/clusters/vagrant/rotations', {})
        assert status == 201, answer
        things['rotation'] = answer['id']
        status, answer = issue(cls.admin, der.request(Key()), node='etcdthree')
        assert status == 201, answer
        things['gone'] = answer['serial']
        status, answer, _ = cls.admin.post('/v1/identities', {'name': 'gone', 'role': 'auditor', 'csr': der.request(Key())})
        assert status == 201, answer
        things['identity'] = answer['serial']
        return things

    def body(self, kind):
        if kind == 'same_cluster':
            return {'cluster': cluster_document()}
        if kind == 'same_authority':  # with a key that nobody looks at
            _, bundle, _ = self.admin.get('/v1/clusters/vagrant/authorities/etcd-ca/bundle')
            return {'name': 'etcd-ca', 'certificate': bundle.decode(), 'key': ''}
        if kind == 'nothing':
            return {}
        if kind == 'new_token':
            return Token(self.world.pin).body('etcdone')
        if kind == 'now':
            return {'time': text(time.time())}
        if kind == 'checkpoint':
            return {'checkpoint': self.world.nobody().get('/v1/audit/checkpoint')[1].decode()}
        if kind == 'entries':
            return {'entries': 7}
        if kind == 'reason':
            return {'reason': 'superseded'}
        if kind == 'selector':
            return {'reason': 'superseded', 'user': 'nobody'}
        if kind == 'review':
            return {'apiVersion': 'authorization.k8s.io/v1', 'kind': 'SubjectAccessReview', 'spec': {'user': 'jane'}}
        if kind == 'report':
            return {'agent': {'version': '1'}, 'certificates': []}
        if kind == 'renewal':
            return {'profile': 'etcd-member', 'replaces': self.things['other_node'], 'csr': der.request(Key())}
        if kind in BODIES:
            return BODIES[kind]
        if kind == 'identity':
            return {'name': 'somebody', 'role': 'auditor', 'csr': der.request(Key())}
        if kind in ('user', 'cluster_admin'):
            return {'profile': kind.replace('_', '-'), 'user': 'jane', 'csr': der.request(Key())}
        if kind:
            profile, node = NODE_BODIES[kind]
            return {'profile': profile, 'node': node, 'csr': der.request(Key())}
        return None

    def test_matrix(self):
        for method, path, kind, expected in MATRIX:
            path = path.format(**self.things)
            for caller, status in zip(CALLERS, expected):
                with self.subTest(f'{method} {path}', caller=caller):
                    got, answer, headers = self.callers[caller].request(method, path, self.body(kind))
                    self.assertEqual(got, status, answer)
                    if status >= 400:
                        self.assertIn(answer['code'], CODES[status])
                        self.problem(answer, status, answer['code'], headers)

    def test_matrix_has_every_route(self):
        self.assertGreater(len(routes()), 15)
        for method, pattern in routes():
            with self.subTest(f'{method} {pattern}'):
                self.assertTrue([row for row in MATRIX if row[0] == method and fits(row[1], pattern)])

    def test_whoami(self):
        for caller, expected in WHO.items():
            with self.subTest(caller):
                status, answer, _ = self.callers[caller].get('/v1/whoami')
                self.assertEqual(status, 200)
                self.assertEqual(answer | expected, answer)

    def test_what_is_hidden_looks_like_what_is_not_there(self):
        """A refusal must not tell that something exists."""
        pairs = [('/v1/clusters/other', '/v1/clusters/none'),
                 ('/v1/certificates/' + self.things['other_node'], '/v1/certificates/' + '0' * 40)]
        for caller in ('token', 'node'):
            for hidden, absent in pairs:
                details = []
                for path in (hidden, absent):
                    answer = self.refused(self.callers[caller], 'GET', path, 404, 'not_found')
                    details.append(answer['detail'].replace(path.rsplit('/', 1)[1], 'X'))
                self.assertEqual(details[0], details[1])

    def test_node_sees_its_own_in_lists(self):
        _, clusters, _ = self.callers['node'].get('/v1/clusters')
        self.assertEqual([item['name'] for item in clusters['items']], ['vagrant'])
        _, mine, _ = self.callers['node'].get('/v1/certificates')
        self.assertEqual({(item['cluster'], item['node']) for item in mine['items']}, {('vagrant', 'etcdone')})
        _, everybodys, _ = self.callers['auditor'].get('/v1/certificates')
        self.assertGreater(len({item['node'] for item in everybodys['items']}), 1)

    def test_refusal_by_role_is_audited(self):
        before = self.denials()
        self.refused(self.callers['auditor'], 'POST', '/v1/clusters', 403, 'forbidden', self.body('same_cluster'))
        self.refused(self.callers['nobody'], 'POST', '/v1/clusters', 401, 'unauthenticated', self.body('same_cluster'))
        added = self.denials()[len(before):]
        self.assertEqual([(event['actor'], event['what'], event['code']) for event in added],
                         [('auditor the-auditor', 'POST /v1/clusters', 'forbidden')])


if __name__ == '__main__':
    unittest.main(warnings='ignore')
