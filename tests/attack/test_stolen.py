"""A9: who has stolen the identity of a node renews nothing with it that is not this node's own and of now, however it is
asked; and what the node itself does is not disturbed."""
import http.client
import json
import threading
import time
import unittest

from lib import audit, der
from lib.keys import Key
from lib.service import wait_for
from lib.world import Case, issue

ROUNDS, RACERS = 100, 4


class Stolen(Case):
    config = 'limits: {renewalsPerHour: 0}'  # what is here does not need it, and goes on for longer

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.world.create_cluster(name='other', network='10.8.0')

    def node(self, name, cluster='vagrant', **more):
        """client of its identity, serial of the identity, its member's answer"""
        key = Key()
        token = self.world.token_client(name, cluster)
        identity = self.have(token, 'node-identity', key, cluster, **more)
        member = self.have(token, 'etcd-member', Key(), cluster)
        return self.world.certificate_client(identity['certificate'], key), identity['serial'], member['serial']

    def have(self, client, profile, key, cluster='vagrant', **more):
        status, answer = issue(client, der.request(key), profile, cluster, **more)
        self.assertIn(status, (200, 201), answer)
        return answer

    def listed(self):
        return set(audit.certificates(self.admin))

    def ask(self, client, replaces, profile='etcd-member', cluster='vagrant', key=None):
        return issue(client, der.request(key or Key()), profile, cluster, replaces=replaces)

    def nothing(self, statuses, client, replaces, **more):
        before = self.listed()
        status, answer = self.ask(client, replaces, **more)
        self.assertIn(status, statuses, answer)
        self.problem(answer, status, {401: 'unauthenticated', 403: 'policy_denied', 404: 'not_found'}[status])
        self.assertEqual(self.listed(), before)
        return answer['detail'] + ''.join(error['detail'] for error in answer.get('errors', []))

    def installed(self, client, node, *serials):
        body = {'agent': {'version': '1'}, 'certificates': [
            {'profile': profile, 'serial': serial, 'state': 'installed'} for profile, serial in serials]}
        status, answer, _ = client.request('PUT', f'/v1/clusters/vagrant/nodes/{node}/deployed', body)
        self.assertEqual(status, 200, answer)

    def revoke(self, serial):
        status, answer, _ = self.admin.post(f'/v1/certificates/{serial}/revocation', {'reason': 'keyCompromise'})
        self.assertEqual(status, 200, answer)

    # ---- what is not its own ----

    def test_A9_siblings_and_other_clusters(self):
        thief, _, member = self.node('etcdone')
        _, sibling_identity, sibling = self.node('etcdtwo')
        other, _, other_member = self.node('etcdone', 'other')
        for serial in (sibling, other_member):
            self.nothing({403}, thief, serial)
        self.nothing({403}, thief, sibling_identity, profile='node-identity')
        for cluster, serial in (('other', other_member), ('other', member)):
            self.nothing({403, 404}, thief, serial, cluster=cluster)
        self.nothing({403, 404}, other, member)
        status, answer = issue(thief, der.request(Key()), replaces=member, node='etcdtwo')
        self.assertEqual(status, 403, answer)
        for profile in ('service', 'identity', 'user', 'cluster-admin', 'apiserver'):
            self.nothing({403}, thief, member, profile=profile)
        self.assertEqual(self.ask(thief, member)[0], 201)  # the control

    # ---- what counts no more ----

    def test_A9_revoked(self):
        thief, identity, member = self.node('etcdone')
        self.revoke(member)
        self.assertIn('revoked', self.nothing({403}, thief, member))
        self.revoke(identity)
        self.nothing({401}, thief, member)
        self.nothing({401}, thief, identity, profile='node-identity')
        thief, _, member = self.node('etcdone')
        self.assertEqual(self.ask(thief, member)[0], 201)  # the control

    def test_A9_expired(self):
        short, _, member = self.node('etcdthree', lifetime_seconds=60)
        begun = time.monotonic()
        client, identity, kept = self.node('etcdtwo')
        renewed = self.have(client, 'etcd-member', Key(), replaces=kept, lifetime_seconds=60)['serial']
        _, again = self.ask(short, member)
        self.assertEqual(again.get('profile'), 'etcd-member', again)  # the control: it was good a minute ago
        wait_for('both to expire', lambda: time.monotonic() > begun + 62, 90)
        self.assertIn('expired', self.nothing({403}, client, renewed))
        try:
            self.nothing({401}, short, again['serial'])
        except (OSError, http.client.HTTPException):
            pass  # TLS refuses it already
        self.assertEqual(self.ask(client, identity, profile='node-identity')[0], 201)

    def test_A9_superseded(self):
        thief, first, member = self.node('etcdone')
        key, identity_key = Key(), Key()
        second = self.have(thief, 'etcd-member', key, replaces=member)['serial']
        self.assertIn('superseded', self.nothing({403}, thief, member))
        status, answer = self.ask(thief, member, key=key)
        self.assertEqual((status, answer['serial']), (200, second))  # the answer that was lost
        self.installed(thief, 'etcdone', ('etcd-member', second))
        self.assertIn('installed', self.nothing({403}, thief, member, key=key))
        identity = self.have(thief, 'node-identity', identity_key, replaces=first)
        owner = self.world.certificate_client(identity['certificate'], identity_key)
        self.installed(owner, 'etcdone', ('node-identity', identity['serial']), ('etcd-member', second))
        for serial, profile in ((first, 'node-identity'), (member, 'etcd-member'), (second, 'etcd-member')):
            self.nothing({401}, thief, serial, profile=profile, key=key)
        self.assertEqual(self.ask(owner, second)[0], 201)  # the control

    # ---- at once ----

    def test_A9_raced(self):
        """Thief and owner, at once and over connections of their own: one successor, and it is told to one key only."""
        owner, _, member = self.node('etcdone')
        context = owner.tls
        clients = [owner] + [type(owner)(self.world.service) for _ in range(RACERS - 1)]
        for client in clients:
            client.tls = context
        before, won = self.listed(), set()
        for number in range(ROUNDS):
            keys = [Key() for _ in range(RACERS // 2)]
            requests = [der.request(key) for key in keys]
            gate, answers = threading.Barrier(RACERS), []

            def race(racer):
                gate.wait()
                answers.append((racer % len(keys), *issue(clients[racer], requests[racer % len(keys)], replaces=member)))
            threads = [threading.Thread(target=race, args=[racer]) for racer in range(RACERS)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            good = {(key, answer['serial']) for key, status, answer in answers if status in (200, 201)}
            self.assertEqual(len(good), 1, (number, answers))
            self.assertEqual(sum(status == 201 for _, status, _ in answers), 1, (number, answers))
            self.assertEqual({status for key, status, _ in answers if key != next(iter(good))[0]}, {403}, number)
            (key, member), = good
            won.add(key)
        self.assertEqual(len(self.listed() - before), ROUNDS)
        print(f'{ROUNDS} races of {RACERS}; won by {len(won)} of {len(keys)} keys')
        replaced = [leaf['replaces'] for leaf in map(json.loads, audit.leaves(self.admin)) if leaf.get('replaces')]
        self.assertEqual(len(replaced), len(set(replaced)))


if __name__ == '__main__':
    unittest.main(verbosity=2)
