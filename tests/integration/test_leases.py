"""Leases: one holder at a time, whatever races, dies, lies or turns the clock. The service is ensignd_clock, whose clock
is the real one and what lib.clock adds to it."""
import concurrent.futures
import json
import unittest

from lib import audit
from lib.clock import Clock
from lib.world import Case

MEMBERS = ('etcdone', 'etcdtwo', 'etcdthree')
LEASES = '/v1/clusters/vagrant/leases'
ROUNDS = 100


def take(client, group='etcd', seconds=600):
    return client.post(f'{LEASES}/{group}', {'lifetime_seconds': seconds})


def release(client, group='etcd', healthy=True):
    return client.post(f'{LEASES}/{group}/release', {'healthy': healthy})


class Leases(Case):
    @classmethod
    def setUpClass(cls):
        cls.clock = Clock()
        cls.addClassCleanup(cls.clock.close)
        super().setUpClass()
        cls.nodes = {name: cls.world.node_client(name) for name in MEMBERS + ('masterone',)}
        cls.operator = cls.world.identity_client('operator')

    def setUp(self):
        self.one, self.two = self.nodes['etcdone'], self.nodes['etcdtwo']
        self.addCleanup(self.free)

    def free(self):
        self.assertEqual(release(self.operator)[0], 200)

    def lease(self, group='etcd'):
        return next(lease for lease in self.operator.get(LEASES)[1]['items'] if lease['group'] == group)

    def events(self):
        return [event for event in map(json.loads, audit.leaves(self.admin)) if event['event'].startswith('lease.')]

    def blocked(self, client, holder, why):
        status, answer, headers = take(client)
        self.problem(answer, 409, 'conflict', headers)
        for word in (f'"{holder}" {why}', 'ensign cluster release vagrant etcd'):
            self.assertIn(word, answer['detail'])
        self.assertGreater(int(headers['Retry-After']), 0)

    def test_two_race(self):
        """Each round two nodes ask at the same time; the winner gives it back."""
        pair, won = [('etcdone', self.one), ('etcdtwo', self.two)], []
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            for _ in range(ROUNDS):
                answers = list(pool.map(lambda node: take(node[1]), pair))
                self.assertEqual(sorted(answer[0] for answer in answers), [200, 409])
                winner = next(node for node, answer in zip(pair, answers) if answer[0] == 200)
                loser = next(answer for answer in answers if answer[0] == 409)
                self.assertIn(f'"{winner[0]}" holds', loser[1]['detail'])
                self.assertEqual(self.lease()['holder'], winner[0])
                self.assertEqual(release(winner[1])[0], 200)
                won.append(winner[0])
        self.assertGreaterEqual([event['event'] for event in self.events()].count('lease.taken'), ROUNDS)
        print(f'{ROUNDS} rounds, won by', {name: won.count(name) for name in MEMBERS})

    def test_is_held_until_it_is_given_back(self):
        status, lease, _ = take(self.one, seconds=60)
        self.assertEqual((status, lease['holder'], lease['state']), (200, 'etcdone', 'held'))
        self.problem(take(self.two)[1], 409, 'conflict')
        self.assertEqual(release(self.one)[1]['state'], 'free')
        self.assertEqual(release(self.one)[1]['state'], 'free')  # again
        self.assertEqual(take(self.two)[1]['holder'], 'etcdtwo')

    def test_is_extended(self):
        first = take(self.one, seconds=60)[1]
        self.assertEqual(take(self.one, seconds=62)[1], first)  # is not written
        longer = take(self.one, seconds=600)[1]
        self.assertGreater(longer['expires_at'], first['expires_at'])
        self.assertEqual(longer['taken_at'], first['taken_at'])
        self.assertEqual(take(self.one, seconds=10)[1], longer)  # never shorter

    def test_blocks_when_its_holder_does_not_come_back(self):
        take(self.one, seconds=10)
        self.assertEqual(self.lease()['state'], 'held')
        self.clock.pass_time(11)
        self.assertEqual(self.lease()['state'], 'expired')
        self.blocked(self.two, 'etcdone', 'did not come back')
        self.assertEqual(take(self.one)[1]['state'], 'held')  # it came back
        self.assertEqual(release(self.one)[0], 200)
        self.assertEqual(take(self.two)[0], 200)

    def test_blocks_when_its_holder_is_ill(self):
        take(self.one)
        self.assertEqual(release(self.one, healthy=False)[1]['state'], 'unhealthy')
        self.blocked(self.two, 'etcdone', 'came back ill')
        self.assertEqual(take(self.one)[0], 200)
        self.assertEqual(release(self.one)[0], 200)
        self.assertEqual(take(self.two)[0], 200)

    def test_a_clock_that_jumps_ends_no_lease(self):
        before = take(self.one, seconds=600)[1]
        passed = self.clock.values['wall_seconds']
        for jump in (3600, -3600):
            self.clock.set(wall_seconds=passed + jump)
            self.assertEqual(self.lease()['state'], 'held')
            self.problem(take(self.two)[1], 503, 'clock_untrusted')
            self.problem(take(self.one)[1], 503, 'clock_untrusted')
            self.assertEqual(self.lease(), before)
        self.assertEqual(release(self.one)[1]['state'], 'free')  # needs no time
        self.clock.set(wall_seconds=passed)
        self.assertEqual(take(self.two)[0], 200)

    def test_an_operator_gives_it_back_by_force(self):
        take(self.one)
        release(self.one, healthy=False)
        self.assertEqual(release(self.operator)[1]['state'], 'free')
        event = self.events()[-1]
        self.assertEqual((event['event'], event['actor'], event['holder'], event['group']),
                         ('lease.released_by_force', 'operator the-operator', 'etcdone', 'etcd'))
        self.assertEqual(take(self.two)[0], 200)
        out = self.world.service.ensign('cluster', 'release', 'vagrant', 'etcd').stdout
        self.assertEqual(out.split(), ['GROUP', 'etcd', 'STATE', 'free'])
        self.assertEqual(self.events()[-1]['actor'], 'admin admin')
        self.assertEqual(take(self.two)[0], 200)
        self.problem(release(self.one)[1], 403, 'policy_denied')  # who held it before does not give back another's

    def test_the_groups_are_apart(self):
        take(self.one)
        self.assertEqual(take(self.nodes['masterone'], 'control-plane')[0], 200)
        self.assertEqual(release(self.nodes['masterone'], 'control-plane')[0], 200)

    def test_strangers(self):
        """A node of another role or cluster, and one that does not hold it."""
        self.world.create_cluster(name='foreign', network='10.7.0')
        foreign = self.world.node_client('etcdone', 'foreign')
        take(self.one)
        for client, status, code, call in ((self.nodes['masterone'], 403, 'policy_denied', take),
                                           (self.two, 403, 'policy_denied', release),
                                           (foreign, 404, 'not_found', take), (foreign, 404, 'not_found', release)):
            self.problem(call(client)[1], status, code)
        self.assertEqual(foreign.get(LEASES)[0], 404)
        self.assertEqual(self.lease()['holder'], 'etcdone')
        denials = [event for event in map(json.loads, audit.leaves(self.admin)) if event.get('what') == 'lease']
        self.assertLessEqual({'node masterone', 'node etcdtwo'}, {event['actor'] for event in denials})

    def test_bodies(self):
        for body in ({}, {'lifetime_seconds': 9}, {'lifetime_seconds': 601}, {'lifetime_seconds': '60'},
                     {'lifetime_seconds': 60, 'node': 'etcdtwo'}):
            self.problem(self.one.post(f'{LEASES}/etcd', body)[1], 400, 'invalid')
        for body in ({}, {'healthy': 1}, {'healthy': True, 'holder': 'etcdtwo'}):
            self.problem(self.one.post(f'{LEASES}/etcd/release', body)[1], 400, 'invalid')
        self.problem(take(self.one, 'workers')[1], 404, 'not_found')

    def test_survives_kill_minus_nine(self):
        """Between any two steps the service dies, and whoever was answered keeps what it has."""
        service = self.world.service
        for _ in range(3):
            self.assertEqual(take(self.one)[0], 200)
            service.kill('server')
            service.wait_ready()
            self.problem(self.again(take, self.two)[1], 409, 'conflict')
            self.assertEqual(self.again(release, self.one)[0], 200)
            service.kill('supervisor', 'server', 'signer')
            service.start()
            self.assertEqual(self.again(take, self.two)[0], 200)
            self.assertEqual(release(self.two)[0], 200)

    def again(self, call, client):
        """Its connection is of the service before."""
        for other in [*self.nodes.values(), self.operator, self.admin]:
            if other.connection:
                other.connection.close()
            other.connection = None
        return call(client)


if __name__ == '__main__':
    unittest.main()
