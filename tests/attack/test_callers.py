"""A2, A6: whoever holds a valid token or identity of the wrong kind gets no certificate with it, whatever it asks for."""
import unittest

from lib import der
import hostile
from lib.keys import Key
from lib import audit
from lib.service import Client
from lib.world import Case, Token, issue

PROFILES = [*hostile.NODE_PROFILES, 'service', 'identity', 'user', 'cluster-admin']
NODES = ('etcdone', 'etcdtwo', 'masterone')


class Callers(Case):
    def token_of(self, node):
        return Client(self.world.service, token=self.world.new_token(node).text())

    def revoked(self):
        token = self.world.new_token()
        assert self.admin.request('DELETE', f'/v1/tokens/{token.id.hex()}')[0] == 204
        return Client(self.world.service, token=token.text())

    def member(self):
        """Who presents a certificate that was issued here, but for etcd."""
        key = Key()
        return self.world.certificate_client(self.issued(self.admin, der.request(key), node='etcdthree')['certificate'], key)

    def test_A2_A6_no_wrong_caller_gets_a_certificate(self):
        callers = {
            'nobody': (self.world.nobody(), {401}), "a node's identity": (self.world.node_client(), {403}),
            'an auditor': (self.world.identity_client('auditor'), {403}), 'a revoked token': (self.revoked(), {401}),
            'a token that was never made': (Client(self.world.service, token=Token(self.world.pin).text()), {401}),
            "a member's certificate": (self.member(), {401}),
            "another node's token": (self.token_of('etcdthree'), {403}),
        }
        sibling = self.issued(self.admin, der.request(Key()), node='etcdtwo')['serial']
        says = {"a node's identity": {'replaces': sibling}}
        listed, asked = set(audit.certificates(self.admin)), 0
        for who, (client, statuses) in callers.items():
            for profile in PROFILES:
                for node in NODES:
                    with self.subTest(who, profile=profile, node=node):
                        status, answer = issue(client, der.request(KEY), profile, node=node, **says.get(who, {}))
                        self.assertIn(status, statuses, answer)
                        asked += 1
        self.assertEqual(set(audit.certificates(self.admin)), listed)
        self.assertEqual(asked, 7 * len(PROFILES) * len(NODES))
        self.issued(self.admin, der.request(KEY), node='etcdone')  # the control

    def test_A2_operator_makes_no_identities_and_no_service(self):
        operator = self.world.identity_client('operator')
        self.refused(operator, 'POST', '/v1/identities', 403, 'forbidden',
                     {'name': 'eve', 'role': 'admin', 'csr': der.request(Key())})
        for profile in ('service', 'identity', 'cluster-admin'):
            self.not_issued(operator, der.request(Key()), 403, 'policy_denied', profile)
        self.issued(operator, der.request(Key()), node='etcdone')

    def test_A2_nobody_but_admins_raises_a_role(self):
        """Each kind of caller, with the body of a new admin."""
        for client in (self.world.identity_client('operator', 'o2'), self.world.identity_client('auditor', 'a2'),
                       self.world.node_client('etcdtwo'), self.token_of('etcdone')):
            self.refused(client, 'POST', '/v1/identities', 403, 'forbidden',
                         {'name': 'eve', 'role': 'admin', 'csr': der.request(Key())})
        self.assertNotIn('eve', {item['identity'] for item in audit.certificates(self.admin).values()})


KEY = Key()

if __name__ == '__main__':
    unittest.main(warnings='ignore')
