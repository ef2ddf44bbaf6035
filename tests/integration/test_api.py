"""The resources as a well-meaning client uses them."""
import hashlib
import unittest

from lib import der
from lib.keys import Key, openssl
from lib import audit
from lib.world import Case, Token, cluster_document, issue

CERTIFICATE_MEMBERS = {
    'serial', 'cluster', 'authority', 'node', 'profile', 'identity', 'role', 'subject', 'dns', 'addresses', 'key_usage',
    'extended_key_usage', 'state', 'not_before', 'not_after', 'issued_at', 'requested_by', 'spki_sha256', 'sha256',
    'log_sequence'}
PEM_MEMBERS = {'certificate', 'chain', 'bundle'}


def blocks(pem):
    return pem.count('-----BEGIN CERTIFICATE-----')


class Clusters(Case):
    def test_create_is_idempotent(self):
        document = cluster_document('again', '10.1.0')
        status, first, headers = self.admin.post('/v1/clusters', {'cluster': document})
        self.assertEqual((status, headers['Location']), (201, '/v1/clusters/again'))
        status, second, headers = self.admin.post('/v1/clusters', {'cluster': document})
        self.assertEqual((status, headers['Location']), (200, None))
        self.assertEqual(first, second)
        self.assertEqual(self.admin.get('/v1/clusters/again')[1], first)

    def test_another_document_conflicts(self):
        document = cluster_document()
        del document['nodes'][2]
        self.refused(self.admin, 'POST', '/v1/clusters', 409, 'conflict', {'cluster': document})
        self.assertEqual(len(self.admin.get('/v1/clusters/vagrant')[1]['document']['nodes']), 4)

    def test_wrong_documents_are_pointed_at(self):
        cases = [
            ('an unknown member', {'color': 'blue'}, '/cluster/color'),
            ('a name that is no label', {'name': 'Not A Label'}, '/cluster/name'),
            ('a wrong type', {'nodes': {}}, '/cluster/nodes'),
            ('an unknown role', {'nodes': [{'name': 'one', 'addresses': ['10.2.0.1'], 'roles': ['chef']}]},
             '/cluster/nodes/0/roles/0'),
            ("the service's own name", {'name': 'ensign'}, '/cluster/name'),
        ]
        for what, change, pointer in cases:
            with self.subTest(what):
                document = cluster_document('wrong', '10.2.0') | change
                answer = self.refused(self.admin, 'POST', '/v1/clusters', 400, 'invalid', {'cluster': document})
                self.assertIn(pointer, self.pointers(answer))
        self.refused(self.admin, 'GET', '/v1/clusters/wrong', 404, 'not_found')

    def test_all_mistakes_at_once(self):
        document = cluster_document('wrong', '10.2.0') | {'color': 'blue', 'kubernetesVersion': 7}
        answer = self.refused(self.admin, 'POST', '/v1/clusters', 400, 'invalid', {'cluster': document})
        self.assertLessEqual({'/cluster/color', '/cluster/kubernetesVersion'}, self.pointers(answer))

    def test_list_leaves_the_inventory_out(self):
        status, answer, _ = self.admin.get('/v1/clusters')
        self.assertEqual((status, answer['next_cursor']), (200, None))
        for item in answer['items']:
            self.assertNotIn('nodes', item['document'])
            self.assertEqual(len(item['authorities']), 3)


class Authorities(Case):
    def test_list_and_bundle_agree(self):
        status, answer, _ = self.admin.get('/v1/clusters/vagrant/authorities')
        self.assertEqual(status, 200)
        self.assertEqual({item['name'] for item in answer['items']}, {'etcd-ca', 'kubernetes', 'front-proxy-ca'})
        for item in answer['items']:
            _, bundle, headers = self.admin.get(f"/v1/clusters/vagrant/authorities/{item['name']}/bundle")
            self.assertEqual(bundle.decode(), item['certificate'])
            self.assertEqual(hashlib.sha256(der.pem_der(item['certificate'])).hexdigest(), item['sha256'])
            self.assertEqual(headers['Content-Type'], 'application/x-pem-file')

    def test_service_authority_is_the_pinned_one(self):
        _, answer, _ = self.admin.get('/v1/clusters/ensign/authorities')
        self.assertEqual([item['name'] for item in answer['items']], ['service-ca'])
        _, bundle, _ = self.world.nobody().get('/v1/clusters/ensign/authorities/service-ca/bundle')
        public = openssl('x509', '-pubkey', '-noout', data=bundle)
        spki = openssl('pkey', '-pubin', '-outform', 'DER', data=public)
        self.assertEqual(hashlib.sha256(spki).digest(), self.world.pin)

    def test_etag(self):
        path = '/v1/clusters/vagrant/authorities/etcd-ca/bundle'
        client = self.world.nobody()
        _, bundle, headers = client.get(path)
        tag = headers['ETag']
        self.assertRegex(tag, '^"[0-9a-f]{64}"$')
        self.assertIn('max-age=300', headers['Cache-Control'])
        for known, expected in ((tag, 304), (f'"other", {tag}', 304), ('*', 304), ('"other"', 200)):
            with self.subTest(known):
                status, body, headers = client.request('GET', path, None, {'If-None-Match': known})
                self.assertEqual((status, headers['ETag'], body), (expected, tag, b'' if expected == 304 else bundle))


class Certificates(Case):
    def test_object(self):
        key = Key()
        status, answer, headers = self.admin.post('/v1/clusters/vagrant/certificates', {
            'profile': 'etcd-member', 'node': 'etcdone', 'csr': der.request(key)})
        self.assertEqual((status, headers['Location']), (201, '/v1/certificates/' + answer['serial']))
        self.assertEqual(set(answer), CERTIFICATE_MEMBERS | PEM_MEMBERS)
        self.assertRegex(answer['serial'], '^[0-7][0-9a-f]{39}$')
        self.assertEqual(answer['spki_sha256'], hashlib.sha256(key.spki).hexdigest())
        self.assertEqual(answer['sha256'], hashlib.sha256(der.pem_der(answer['certificate'])).hexdigest())
        self.assertEqual((answer['state'], answer['requested_by']), ('valid', 'admin admin'))
        self.assertEqual((blocks(answer['certificate']), blocks(answer['chain']), blocks(answer['bundle'])), (1, 2, 1))
        self.assertTrue(answer['chain'].startswith(answer['certificate']))
        self.assertEqual(answer['chain'].removeprefix(answer['certificate']), answer['bundle'])
        self.assertEqual(self.admin.get(headers['Location'])[1], answer)

    def test_openssl_reads_what_the_object_says(self):
        answer = self.issued(self.admin, der.request(Key()), node='etcdone')
        text = openssl('x509', '-noout', '-serial', '-subject', '-ext', 'subjectAltName,extendedKeyUsage',
                       data=answer['certificate'].encode()).decode()
        self.assertIn('serial=' + answer['serial'].upper(), text)
        for name in answer['dns']:
            self.assertIn('DNS:' + name, text)
        self.assertIn('10.9.0.61', answer['addresses'])
        self.assertIn('IP Address:10.9.0.61', text)
        self.assertEqual(answer['extended_key_usage'], ['serverAuth', 'clientAuth'])
        self.assertIn('TLS Web Server Authentication, TLS Web Client Authentication', text)

    def test_dry_run(self):
        size = len(audit.leaves(self.admin))
        status, answer = issue(self.admin, der.request(Key()), node='etcdone', dry_run=True)
        self.assertEqual((status, list(answer)), (200, ['decision']))
        real = self.issued(self.admin, der.request(Key()), node='etcdone')
        moving = {'not_before', 'not_after'}
        self.assertEqual({name: value for name, value in answer['decision'].items() if name not in moving},
                         {name: real[name] for name in answer['decision'] if name not in moving})
        self.not_issued(self.admin, der.request(Key()), 403, 'policy_denied', 'etcd-member', node='masterone',
                        dry_run=True)
        self.assertEqual(len(audit.leaves(self.admin)), size + 1)

    def test_dry_run_leaves_the_token_alone(self):
        token, first, second = self.world.token_client(), der.request(Key()), der.request(Key())
        self.assertEqual(issue(token, first, dry_run=True)[0], 200)
        self.issued(token, second)

    def test_unknown_things(self):
        csr = der.request(Key())
        self.not_issued(self.admin, csr, 404, 'not_found', 'no-such-profile', node='etcdone')
        self.not_issued(self.admin, csr, 404, 'not_found', cluster='none', node='etcdone')
        for node in ({'node': 'nobody'}, {}):
            status, answer = issue(self.admin, csr, **node)
            self.assertIn((status, answer['code']), {(404, 'not_found'), (403, 'policy_denied')}, answer)

    def test_lifetime(self):
        answer = self.issued(self.admin, der.request(Key()), node='etcdone', lifetime_seconds=3600)
        year = self.issued(self.admin, der.request(Key()), node='etcdone')
        self.assertLess(answer['not_after'], year['not_after'])
        refused = self.not_issued(self.admin, der.request(Key()), 403, 'policy_denied', node='etcdone',
                                  lifetime_seconds=366 * 86400)
        self.assertEqual({'/lifetime_seconds'}, self.pointers(refused))

    def test_malformed_serials(self):
        for serial in ('1', '0' * 39, '0' * 41, 'g' * 40):
            self.refused(self.admin, 'GET', '/v1/certificates/' + serial, 400, 'malformed')


class Identities(Case):
    def body(self, **more):
        return {'name': 'alice', 'role': 'operator', 'csr': der.request(Key())} | more

    def test_create(self):
        status, answer, headers = self.admin.post('/v1/identities', self.body())
        self.assertEqual((status, headers['Location']), (201, '/v1/certificates/' + answer['serial']))
        self.assertEqual((answer['identity'], answer['role'], answer['cluster'], answer['authority']),
                         ('alice', 'operator', 'ensign', 'service-ca'))
        self.assertEqual(answer['extended_key_usage'], ['clientAuth'])

    def test_names_and_roles(self):
        for pointer, change in (('/name', {'name': ''}), ('/name', {'name': 'a b'}), ('/name', {'name': 'x' * 65}),
                                ('/name', {'name': 'root'}), ('/name', {'name': 'al\u00efce'}),
                                ('/role', {'role': 'god'}), ('/role', {'role': 'node'}), ('/colour', {'colour': 1})):
            with self.subTest(change):
                answer = self.refused(self.admin, 'POST', '/v1/identities', 400, 'invalid', self.body(**change))
                self.assertEqual(self.pointers(answer), {pointer})

    def test_identity_comes_from_this_route_only(self):
        self.not_issued(self.admin, der.request(Key()), 403, 'policy_denied', 'identity')


class Lists(Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        requests = {node: der.request(Key()) for node in ('etcdone', 'etcdtwo')}
        for node, count in (('etcdone', 25), ('etcdtwo', 3)):
            for _ in range(count):
                assert issue(cls.admin, requests[node], node=node)[0] == 201
        assert issue(cls.admin, requests['etcdone'], node='etcdone', lifetime_seconds=3600)[0] == 201

    def pages(self, query, limit):
        """How many items each page has, and all of them."""
        sizes, items, cursor = [], [], ''
        while cursor is not None:
            status, page, _ = self.admin.get(f'/v1/certificates?limit={limit}&{query}' +
                                             (f'&cursor={cursor}' if cursor else ''))
            self.assertEqual(status, 200, page)
            sizes.append(len(page['items']))
            items += page['items']
            cursor = page['next_cursor']
        return sizes, items

    def test_pages_cut_nothing_and_repeat_nothing(self):
        for query in ('', 'cluster=vagrant', 'cluster=vagrant&node=etcdone', 'profile=etcd-member', 'state=valid',
                      'expiring_within=87600h'):
            with self.subTest(query):
                sizes, items = self.pages(query, 10)
                serials = [item['serial'] for item in items]
                self.assertEqual(sizes[:2], [10, 10])
                self.assertEqual(len(serials), len(set(serials)))
                self.assertEqual(set(serials), set(audit.certificates(self.admin, '&' + query if query else '')))

    def test_filters(self):
        cases = [('cluster=vagrant&node=etcdone', 26), ('cluster=vagrant&node=etcdtwo', 3),
                 ('cluster=vagrant&node=etcdthree', 0), ('cluster=vagrant', 29), ('cluster=none', 0),
                 ('profile=etcd-member', 29), ('profile=node-identity', 0), ('cluster=vagrant&state=valid', 29),
                 ('cluster=vagrant&state=expired', 0), ('cluster=vagrant&state=revoked', 0),
                 ('cluster=vagrant&expiring_within=2h', 1), ('cluster=vagrant&expiring_within=30m', 0),
                 ('expiring_within=2h', 1), ('cluster=vagrant&node=etcdtwo&expiring_within=2h', 0)]
        for query, count in cases:
            with self.subTest(query):
                self.assertEqual(len(self.pages(query, 500)[1]), count)

    def test_items_have_no_pem(self):
        for item in self.pages('', 5)[1]:
            self.assertEqual(set(item), CERTIFICATE_MEMBERS | {'authority_key_identifier'})

    def test_wrong_queries(self):
        for query, pointer in (('state=sleepy', 'state'), ('expiring_within=soon', 'expiring_within'),
                               ('limit=0', 'limit'), ('limit=501', 'limit'), ('limit=-1', 'limit'),
                               ('limit=1e2', 'limit'), ('node=etcdone', 'node'), ('colour=blue', 'colour')):
            with self.subTest(query):
                answer = self.refused(self.admin, 'GET', '/v1/certificates?' + query, 400, 'invalid')
                self.assertEqual(self.pointers(answer), {pointer})
        for query in ('cursor=%21', 'cursor=AAAA', 'limit=1&limit=2'):
            with self.subTest(query):
                self.refused(self.admin, 'GET', '/v1/certificates?' + query, 400, 'malformed')


class Tokens(Case):
    def test_life_of_a_token(self):
        token = Token(self.world.pin)
        status, created, _ = self.admin.post('/v1/clusters/vagrant/tokens', token.body('etcdone', 600))
        self.assertEqual(status, 201)
        self.assertEqual((created['id'], created['state'], created['uses']), (token.id.hex(), 'active', []))
        self.assertNotIn(token.secret.hex(), str(created))
        _, listed, _ = self.admin.get('/v1/clusters/vagrant/tokens')
        self.assertIn(created, listed['items'])
        for _ in range(2):
            self.assertEqual(self.admin.request('DELETE', '/v1/tokens/' + created['id'])[:2], (204, b''))
        _, listed, _ = self.admin.get('/v1/clusters/vagrant/tokens')
        self.assertIn(created | {'state': 'revoked'}, listed['items'])

    def test_refusals(self):
        body = Token(self.world.pin).body('etcdone')
        cases = [('/node', {'node': 'nobody'}), ('/ttl_seconds', {'ttl_seconds': 59}),
                 ('/ttl_seconds', {'ttl_seconds': 7 * 86400 + 1}), ('/id', {'id': 'xyz'}),
                 ('/secret_sha256', {'secret_sha256': '00'}), ('/secret', {'secret': 'never send it'})]
        for pointer, change in cases:
            with self.subTest(change):
                answer = self.refused(self.admin, 'POST', '/v1/clusters/vagrant/tokens', 400, 'invalid', body | change)
                self.assertEqual(self.pointers(answer), {pointer})
        self.refused(self.admin, 'POST', '/v1/clusters/none/tokens', 404, 'not_found', body)
        self.refused(self.admin, 'DELETE', '/v1/tokens/' + '0' * 32, 404, 'not_found')
        self.refused(self.admin, 'DELETE', '/v1/tokens/xyz', 400, 'malformed')

    def test_same_id_again(self):
        token = self.world.new_token()
        other = Token(self.world.pin)
        other.id = token.id
        self.refused(self.admin, 'POST', '/v1/clusters/vagrant/tokens', 409, 'conflict', other.body('etcdtwo'))

    def test_enrolment(self):
        client = self.world.token_client()
        status, answer, _ = client.get('/v1/enrolment')
        self.assertEqual((status, answer['cluster'], answer['node']), (200, 'vagrant', 'etcdone'))
        profiles = [item['profile'] for item in answer['certificates']]
        self.assertEqual(profiles[0], 'node-identity')
        self.assertIn('etcd-member', profiles)
        self.assertEqual({item['serial'] for item in answer['certificates']}, {None})
        self.assertEqual(answer['log_verifier'], self.admin.get('/v1/audit/key')[1]['verifier'])
        _, bundle, _ = self.admin.get('/v1/clusters/ensign/authorities/service-ca/bundle')
        self.assertEqual(answer['service']['ca'], bundle.decode())
        for item in answer['certificates']:
            self.issued(client, der.request(Key()), item['profile'])
        _, after, _ = client.get('/v1/enrolment')
        for item in after['certificates']:
            self.assertEqual(self.admin.get('/v1/certificates/' + item['serial'])[1]['profile'], item['profile'])


if __name__ == '__main__':
    unittest.main(warnings='ignore')
