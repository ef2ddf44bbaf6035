"""What the table of hostile requests (hostile.py) does not show: all reasons at once, what becomes of a token, and whose
key it is."""
import threading
import unittest

from lib import der
import hostile
from lib import keys
from lib.der import alternative_names, attribute, name
from lib.keys import Key
from lib.sealed import p256_scalars, unsealed
from lib.world import Case, issue


class Requests(Case):
    def denied(self, csr, profile='etcd-member'):
        """Refused by policy, with reasons, and in the audit log."""
        before = len(self.denials())
        answer = self.not_issued(self.client, csr, 403, 'policy_denied', profile)
        self.assertTrue(answer['errors'])
        self.assertEqual(len(self.denials()), before + 1)
        return answer

    def setUp(self):
        self.client = self.world.token_client()

    def test_control_good_requests_are_granted(self):
        """The control: the same machinery, nothing odd in it."""
        good = [
            der.request(Key()),
            der.request(Key(), name(attribute(der.COMMON_NAME, b'etcdone'))),
            der.request(Key(), extensions=[alternative_names((der.DNS_NAME, b'etcdone'), (der.IP_NAME, hostile.ONE))]),
            der.request(Key(), extensions=[der.extended_key_usage(der.SERVER_AUTH)]),
            der.request(Key('rsa_keygen_bits:2048', algorithm='RSA')),
        ]
        for csr in good:
            self.issued(self.world.token_client(), csr)

    def test_A1_all_excess_is_told_at_once(self):
        csr = der.request(Key(), name(attribute(der.COMMON_NAME, b'etcdtwo')),
                          [hostile.CA_TRUE, hostile.CERT_SIGN, alternative_names((der.IP_NAME, hostile.TWO))])
        self.assertEqual(self.pointers(self.denied(csr)),
                         {'/csr/subject', '/csr/extensions', '/csr/keyUsage', '/csr/subjectAltName'})

    def test_A1_client_is_no_server(self):
        self.client = self.world.token_client('masterone')
        csr = der.request(Key(), extensions=[der.extended_key_usage(der.SERVER_AUTH, der.CLIENT_AUTH),
                                             alternative_names((der.DNS_NAME, b'masterone'))])
        self.assertEqual(self.pointers(self.denied(csr, 'apiserver-etcd-client')),
                         {'/csr/extendedKeyUsage', '/csr/subjectAltName'})
        answer = self.issued(self.client, der.request(Key()), 'apiserver-etcd-client')
        self.assertEqual((answer['extended_key_usage'], answer['dns'], answer['addresses']), (['clientAuth'], [], []))

    def test_A1_after_refusals_the_token_is_good_still(self):
        self.denied(der.request(Key(), extensions=[hostile.CA_TRUE]))
        answer = self.issued(self.client, der.request(Key()))
        text = keys.openssl('x509', '-noout', '-text', data=answer['certificate'].encode()).decode()
        self.assertIn('CA:FALSE', text)

    def test_A2_other_profiles(self):
        """An etcd member is no client of the API server, nor the service itself."""
        for profile in ('apiserver-etcd-client', 'service', 'identity', 'user', 'cluster-admin'):
            with self.subTest(profile):
                self.denied(der.request(Key()), profile)
        self.assertIn(('certificate vagrant apiserver-etcd-client etcdone', 'policy_denied'),
                      {(event['what'], event['code']) for event in self.denials()})
        self.issued(self.world.token_client('masterone'), der.request(Key()), 'apiserver-etcd-client')

    def test_A7_proof_of_possession(self):
        """A request for somebody else's key."""
        mine, victim = Key(), Key()
        self.not_issued(self.client, der.request(victim, signer=mine), 400, 'proof_of_possession')
        self.issued(self.client, der.request(victim))


    def keys_are_anothers(self, caller, key, profile='etcd-member', **more):
        before = len(self.denials())
        answer = self.not_issued(caller, der.request(key), 403, 'policy_denied', profile, **more)
        self.assertEqual(self.pointers(answer), {'/csr/publicKey'})
        self.assertIn('/csr/publicKey', self.denials()[before]['reason'])

    def test_A5_key_of_another_node_or_identity(self):
        """By whoever has its private half: each holds it of one owner only."""
        person, node = Key(), Key()
        status, answer, _ = self.admin.post('/v1/identities',
                                            {'name': 'eve', 'role': 'auditor', 'csr': der.request(person)})
        self.assertEqual(status, 201, answer)
        self.issued(self.world.token_client('etcdtwo'), der.request(node))
        for key in (person, node):
            self.keys_are_anothers(self.client, key)
            self.keys_are_anothers(self.client, key, 'node-identity')
            self.keys_are_anothers(self.admin, key, node='etcdthree')
        for name_of, key in (('mallory', person), ('mallory', node)):
            status, answer, _ = self.admin.post('/v1/identities',
                                                {'name': name_of, 'role': 'admin', 'csr': der.request(key)})
            self.assertEqual((status, answer['code']), (403, 'policy_denied'), answer)
        self.issued(self.world.token_client('etcdtwo'), der.request(node), 'node-identity')  # control: its own node
        self.issued(self.client, der.request(Key()))

    def test_A5_key_of_a_node_of_another_cluster_with_the_same_name(self):
        self.world.create_cluster(name='other', network='10.8.0')
        key = Key()
        self.issued(self.client, der.request(key))
        self.keys_are_anothers(self.world.token_client('etcdone', 'other'), key, cluster='other')

    def test_A5_key_of_a_ca(self):
        """Stolen with database and seal key."""
        service = self.world.service
        seal_key = bytes.fromhex((service.folder / 'seal.key').read_text().strip())
        stolen = next(service.state.rglob('data.mdb')).read_bytes()
        scalars = {scalar for plain in unsealed(stolen, seal_key) for scalar in p256_scalars(plain)}
        self.assertGreaterEqual(len(scalars), 4)
        for scalar in scalars:
            key = keys.p256_of_scalar(scalar)
            self.keys_are_anothers(self.client, key)
            for profile in ('user', 'cluster-admin'):
                self.keys_are_anothers(self.admin, key, profile, user='jane')
            status, answer, _ = self.admin.post('/v1/identities', {'name': 'eve', 'role': 'admin', 'csr': der.request(key)})
            self.assertEqual((status, answer['code']), (403, 'policy_denied'), answer)
        self.issued(self.admin, der.request(Key()), 'user', user='jane')  # the control

    def test_A5_raced_for_two_nodes(self):
        """Only one of the two gets anything for the key, however often both ask at once."""
        key, answers = Key(), []
        nodes, csr = ('etcdone', 'etcdtwo') * 10, der.request(key)
        clients = [self.world.token_client(node) for node in nodes]
        start = threading.Barrier(len(nodes), timeout=60)

        def race(node, client):
            client.get('/livez')
            start.wait()
            answers.append((node, issue(client, csr)[0]))

        threads = [threading.Thread(target=race, args=each) for each in zip(nodes, clients)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual({status for _, status in answers}, {201, 403}, answers)
        self.assertEqual(len({node for node, status in answers if status == 201}), 1, answers)


if __name__ == '__main__':
    unittest.main(warnings='ignore')
