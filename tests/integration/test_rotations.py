"""Rotations and work: what agents are told, when they are woken, and who may not ask. The agents are played here: real
nodes at the API, which renew and report."""
import concurrent.futures
import json
import os
import pathlib
import re
import signal
import subprocess
import threading
import time
import unittest

from lib import audit, der
from lib.keys import Key
from lib.service import ENSIGN, Client, wait_for
from lib.world import Case, cluster_document, issue

ROTATIONS = '/v1/clusters/vagrant/rotations'
MEMBERS = ('etcdone', 'etcdtwo', 'etcdthree')
PROFILES = ('etcd-healthcheck-client', 'etcd-member', 'node-identity')
AT_ONCE_SECONDS = 5  # less than any wait here


class Node:
    """What an agent does, at the API."""

    def __init__(self, world, name, cluster='vagrant'):
        self.world, self.name, self.cluster, self.serials = world, name, cluster, {}
        token = world.token_client(name, cluster)
        for profile in PROFILES:
            key = Key()
            status, answer = issue(token, der.request(key), profile, cluster)
            assert status == 201, answer
            self.serials[profile] = answer['serial']
            if profile == 'node-identity':
                self.certificate, self.key = answer['certificate'], key
        self.client = self.new_client()

    def new_client(self):
        return self.world.certificate_client(self.certificate, self.key)

    def work(self, client=None, **query):
        query = '&'.join(f'{name}={value}' for name, value in query.items())
        status, answer, _ = (client or self.client).get(f'/v1/clusters/{self.cluster}/nodes/{self.name}/work?{query}')
        assert status == 200, answer
        return answer

    def renewals(self):
        """profile -> why, of what is to be renewed"""
        return {entry['profile']: entry['renew'] for entry in self.work()['certificates'] if entry['renew']}

    def renew(self, profile):
        key = Key()
        status, answer = issue(self.client, der.request(key), profile, self.cluster, replaces=self.serials[profile])
        assert status == 201, answer
        self.serials[profile] = answer['serial']
        if profile == 'node-identity':
            self.certificate, self.key = answer['certificate'], key
            self.client = self.new_client()

    def report(self, state='installed', detail='', profiles=PROFILES):
        entries = [{'profile': profile, 'serial': self.serials[profile], 'state': state} for profile in profiles]
        for entry in entries if detail else ():
            entry['detail'] = detail
        status, answer, _ = self.client.request('PUT', f'/v1/clusters/{self.cluster}/nodes/{self.name}/deployed',
                                                {'agent': {'version': '1'}, 'certificates': entries})
        assert status == 200, answer


class RotationCase(Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.nodes = {name: Node(cls.world, name) for name in MEMBERS}
        cls.one, cls.two, cls.three = cls.nodes.values()
        cls.operator = cls.world.identity_client('operator')

    def reconnect(self):
        """Their connections are of the service before."""
        for client in (self.admin, self.operator, *(node.client for node in self.nodes.values())):
            if client.connection:
                client.connection.close()
                client.connection = None

    def rotate(self, **selector):
        status, answer, headers = self.operator.post(ROTATIONS, selector)
        self.assertEqual(status, 201, answer)
        self.assertEqual(headers['Location'], f'{ROTATIONS}/{answer["id"]}')
        return answer

    def places(self, rotation):
        """(node, profile) -> place"""
        status, answer, _ = self.operator.get(f'{ROTATIONS}/{rotation["id"]}')
        self.assertEqual(status, 200, answer)
        return {(place['node'], place['profile']): place for place in answer['items']}

    def states(self, rotation):
        return {place: found['state'] for place, found in self.places(rotation).items()}

    def finish(self, *nodes):
        """Whatever is marked is renewed and installed."""
        for node in nodes:
            for profile in node.renewals():
                node.renew(profile)
            node.report()
            self.assertEqual(node.renewals(), {})


class Rotations(RotationCase):
    def tearDown(self):
        self.finish(*self.nodes.values())

    def test_nothing_is_to_be_done_at_first(self):
        work = self.one.work()
        self.assertEqual({entry['profile']: entry['serial'] for entry in work['certificates']}, self.one.serials)
        self.assertEqual(self.one.renewals(), {})
        self.assertEqual({bundle['authority'] for bundle in work['bundles']}, {'etcd-ca', 'service-ca'})
        for bundle in work['bundles']:
            cluster = 'ensign' if bundle['authority'] == 'service-ca' else 'vagrant'
            headers = self.admin.get(f'/v1/clusters/{cluster}/authorities/{bundle["authority"]}/bundle')[2]
            self.assertEqual(headers['ETag'], bundle['etag'])
        self.assertEqual(self.one.work()['revision'], work['revision'])

    def test_from_mark_to_installed(self):
        rotation = self.rotate(node='etcdone', profile='etcd-member', reason='a drill')
        place, before = ('etcdone', 'etcd-member'), self.one.serials['etcd-member']
        self.assertEqual(rotation['places'], 1)
        self.assertEqual(self.one.renewals(), {'etcd-member': {'reason': 'rotation', 'detail': 'a drill',
                                                               'rotation': rotation['id']}})
        self.assertEqual(self.two.renewals(), {})
        self.assertEqual(self.places(rotation)[place]['state'], 'marked')
        self.one.renew('etcd-member')
        found = self.places(rotation)[place]
        self.assertEqual((found['state'], found['serial'], found['new_serial']),
                         ('renewed', before, self.one.serials['etcd-member']))
        self.assertEqual(self.one.renewals(), {})
        for state, expected in (('failed', 'failed'), ('waiting-restart', 'waiting-restart'),
                                ('not-served', 'waiting-restart'), ('installed', 'installed'), ('served', 'served')):
            self.one.report(state, f'why {state}')
            found = self.places(rotation)[place]
            self.assertEqual((found['state'], found['detail']), (expected, f'why {state}'))
        event = [event for event in map(json.loads, audit.leaves(self.admin)) if event['event'] == 'rotation.created'][-1]
        self.assertEqual((event['actor'], event['rotation'], event['places'], event['reason']),
                         ('operator the-operator', rotation['id'], 1, 'a drill'))

    def test_marked_twice_is_renewed_once(self):
        first, second = self.rotate(node='etcdone'), self.rotate(profile='etcd-member')
        self.assertEqual((first['places'], second['places']), (3, 3))
        place = ('etcdone', 'etcd-member')
        self.assertEqual(self.one.renewals()['etcd-member']['rotation'], second['id'])
        self.one.renew('etcd-member')
        self.one.report()
        self.assertNotIn('etcd-member', self.one.renewals())
        self.assertEqual({self.states(rotation)[place] for rotation in (first, second)}, {'installed'})

    def test_selectors(self):
        for selector, places in (({}, 9), ({'node': 'etcdone'}, 3), ({'profile': 'etcd-member'}, 3),
                                 ({'node': 'etcdone', 'profile': 'node-identity'}, 1),
                                 ({'serial': self.two.serials['etcd-member']}, 1),
                                 ({'expiring_within': '100d'}, 3),  # identities alone live that short
                                 ({'expiring_within': '400d'}, 9)):
            with self.subTest(selector):
                self.assertEqual(self.rotate(**selector)['places'], places)
        for selector in ({'changed': True}, {'expiring_within': '1h'}, {'node': 'masterone'},
                         {'node': 'etcdone', 'profile': 'apiserver'}):
            with self.subTest(selector):
                status, answer, _ = self.operator.post(ROTATIONS, selector)
                self.assertEqual((status, answer['id'], answer['places']), (200, None, 0))
        for selector, pointer in (({'node': 'nobody'}, '/node'), ({'profile': 'none'}, '/profile'),
                                  ({'serial': '0' * 40}, '/serial'), ({'serial': 'x'}, '/serial'),
                                  ({'expiring_within': 'soon'}, '/expiring_within'), ({'all': True}, '/all'),
                                  ({'reason': 'x' * 256}, '/reason')):
            with self.subTest(selector):
                answer = self.refused(self.operator, 'POST', ROTATIONS, 400, 'invalid', selector)
                self.assertIn(pointer, [error['pointer'] for error in answer['errors']])

    def test_the_same_request_again(self):
        key = {'Idempotency-Key': 'once'}
        first = self.operator.request('POST', ROTATIONS, {'node': 'etcdtwo'}, key)
        again = self.operator.request('POST', ROTATIONS, {'node': 'etcdtwo'}, key)
        self.assertEqual((first[0], first[1]), (again[0], again[1]))
        self.assertEqual(first[0], 201)

    def test_lists_the_newest_first_in_pages(self):
        made = [self.rotate(node='etcdthree', reason=str(i))['id'] for i in range(5)]
        found, cursor = [], ''
        while cursor is not None:
            page = self.operator.get(f'{ROTATIONS}?limit=2' + (f'&cursor={cursor}' if cursor else ''))[1]
            found += [item['id'] for item in page['items']]
            cursor = page['next_cursor']
        self.assertEqual(found[:5], made[::-1])
        self.assertEqual(len(found), len(set(found)))
        whole = self.rotate()
        places, cursor = [], ''
        while cursor is not None:
            page = self.operator.get(f'{ROTATIONS}/{whole["id"]}?limit=2' + (f'&cursor={cursor}' if cursor else ''))[1]
            self.assertLessEqual(len(page['items']), 2)
            places += [(item['node'], item['profile']) for item in page['items']]
            cursor = page['next_cursor']
        self.assertEqual(sorted(places), sorted((node, profile) for node in MEMBERS for profile in PROFILES))

    def test_survives_a_restart(self):
        rotation = self.rotate(node='etcdtwo')
        service = self.world.service
        service.kill('server')
        service.wait_ready()
        self.reconnect()
        self.assertEqual({why['rotation'] for why in self.two.renewals().values()}, {rotation['id']})
        self.assertEqual(set(self.states(rotation).values()), {'marked'})

    def test_failures_say_why(self):
        rotation = self.rotate(node='etcdthree', profile='etcd-member')
        self.three.report('failed', 'the disk is full', ['etcd-member'])
        found = self.places(rotation)['etcdthree', 'etcd-member']
        self.assertEqual((found['state'], found['detail'], found['new_serial']), ('failed', 'the disk is full', None))


class Command(RotationCase):
    """`ensign rotate`, beside agents that go on."""

    def tearDown(self):
        self.finish(*self.nodes.values())

    def ensign(self, *words, **more):
        return self.world.service.ensign('rotate', *words, **more)

    def test_without_waiting(self):
        made = json.loads(self.ensign('vagrant', '--node', 'etcdone', '-o', 'json').stdout)
        self.assertEqual(made['places'], 3)
        self.assertIn(made['id'], self.ensign('status', '--cluster', 'vagrant').stdout)
        shown = self.ensign('status', made['id']).stdout  # there is one cluster
        self.assertEqual(shown.count('marked'), 3)
        self.assertEqual(self.ensign('--changed').stderr, 'nothing to rotate\n')

    def test_waits_until_all_is_done(self):
        program = self.start('vagrant', '--profile', 'etcd-member', '--wait', '-o', 'json')
        wait_for('the marks', lambda: self.three.renewals())
        for node in self.nodes.values():
            node.renew('etcd-member')
            node.report('served' if node is self.one else 'installed')
        out, lines = program.communicate(timeout=60)
        self.assertEqual(program.returncode, 0, lines)
        self.assertEqual({place['state'] for place in json.loads(out)['items']}, {'installed', 'served'})
        for node in MEMBERS:
            self.assertRegex(lines, f'(?m)^{node} etcd-member: (installed|served) [0-9a-f]{{40}}$')
        self.assertNotIn('\r', lines)  # nobody looks on at a terminal

    def test_fails_when_a_node_does(self):
        program = self.start('vagrant', '--node', 'etcdone', '--profile', 'etcd-member', '--wait')
        wait_for('the mark', lambda: self.one.renewals())
        self.one.renew('etcd-member')
        self.one.report('failed', 'etcd does not start', ['etcd-member'])
        out, lines = program.communicate(timeout=60)
        self.assertEqual(program.returncode, 1, lines)
        self.assertIn('etcdone etcd-member: failed', lines)
        self.assertIn('etcd does not start', out)

    def test_is_pending_when_the_time_is_over_and_goes_on(self):
        result = self.ensign('vagrant', '--node', 'etcdtwo', '--profile', 'etcd-member', '--wait', '--timeout', '2s',
                             check=False)
        self.assertEqual(result.returncode, 7, result.stderr)
        again = re.search(r'ensign (rotate status \w+ --cluster vagrant --wait)', result.stderr).group(1).split()
        program = self.start(*again[1:])
        program.send_signal(signal.SIGINT)  # and a third time
        program.communicate(timeout=60)
        self.assertEqual(program.returncode, -signal.SIGINT)
        program = self.start(*again[1:])
        self.two.renew('etcd-member')
        self.two.report()
        _, lines = program.communicate(timeout=60)
        self.assertEqual(program.returncode, 0, lines)

    def start(self, *words):
        service = self.world.service
        environment = dict(os.environ, ENSIGN_CONTEXT=str(service.context_file), XDG_STATE_HOME=str(service.folder))
        return subprocess.Popen([ENSIGN, 'rotate', *words], env=environment, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, text=True)


class Waiting(RotationCase):
    """Long polls."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        service = cls.world.service
        service.stop()
        path = service.state / 'ensignd.yaml'
        path.write_text(path.read_text() + 'limits: {connections: 600, connectionsPerAddress: 600, agentsWaiting: 3}\n')
        service.start()

    def setUp(self):
        self.reconnect()
        self.addCleanup(lambda: self.finish(*self.nodes.values()))

    def waiting(self, node, seconds=20, seen=None):
        """A call that waits, on a connection of its own: (thread, its answers, when it was answered)"""
        seen = seen or node.work()['revision']
        answers, times = [], []
        client = node.new_client()

        def ask():
            answers.append(node.work(client, wait=seconds, seen=seen))
            times.append(time.monotonic())
            client.connection.close()
        thread = threading.Thread(target=ask)
        thread.start()
        return thread, answers, times

    def all_wait(self, count):
        wait_for(f'{count} to wait', lambda: f'ensign_agents_waiting {count}\n' in self.admin.get('/metrics')[1].decode())

    def woken_by(self, change, *others):
        calls = [self.waiting(self.one), self.waiting(self.two)]
        self.all_wait(2)
        begin = time.monotonic()
        change()
        calls[0][0].join(AT_ONCE_SECONDS)
        self.assertTrue(calls[0][1], 'not woken')
        self.assertLess(calls[0][2][0] - begin, AT_ONCE_SECONDS)
        self.assertEqual(calls[0][1][0]['poll_seconds'], 0)
        return calls

    def test_answers_at_once_when_it_is_new(self):
        begin = time.monotonic()
        self.one.work(wait=20)
        self.one.work(wait=20, seen='another')
        self.one.work(wait=0, seen=self.one.work()['revision'])
        self.assertLess(time.monotonic() - begin, AT_ONCE_SECONDS)

    def test_waits_when_it_is_not(self):
        revision, begin = self.one.work()['revision'], time.monotonic()
        answer = self.one.work(wait=2, seen=revision)
        self.assertGreaterEqual(time.monotonic() - begin, 2)
        self.assertEqual((answer['revision'], answer['poll_seconds']), (revision, 0))

    def test_a_rotation_wakes_its_nodes_alone(self):
        calls = self.woken_by(lambda: self.rotate(node='etcdone'))
        self.assertEqual(len([entry for entry in calls[0][1][0]['certificates'] if entry['renew']]), 3)
        self.assertEqual(calls[1][1], [])  # the other one goes on waiting
        self.rotate(node='etcdtwo')
        calls[1][0].join(AT_ONCE_SECONDS)
        self.assertTrue(calls[1][1])

    def test_a_lineage_wakes_its_node(self):
        calls = self.woken_by(lambda: self.one.renew('etcd-member'))
        self.assertEqual(calls[1][1], [])
        self.two.renew('etcd-member')
        calls[1][0].join()

    def test_another_inventory_wakes_whom_it_concerns(self):
        """etcdone gets another address: what has the old one is renewed, and the same file again changes nothing."""
        document = cluster_document()
        document['nodes'][0]['addresses'] = ['10.9.0.161']
        calls = self.woken_by(lambda: self.update(document))
        renew = {entry['profile']: entry['renew'] for entry in calls[0][1][0]['certificates'] if entry['renew']}
        self.assertEqual(renew, {'etcd-member': {'reason': 'names', 'rotation': None,
                                                 'detail': 'without 10.9.0.161; with 10.9.0.61'}})
        self.assertEqual(calls[1][1], [])
        changed = self.rotate(changed=True)
        self.assertEqual(list(self.places(changed)), [('etcdone', 'etcd-member')])
        self.finish(self.one)
        self.update(cluster_document())
        self.assertEqual(list(self.one.renewals()), ['etcd-member'])  # back again
        self.rotate(node='etcdtwo')
        calls[1][0].join(AT_ONCE_SECONDS)

    def update(self, document):
        status, answer, _ = self.admin.request('PUT', '/v1/clusters/vagrant', {'cluster': document})
        self.assertEqual(status, 200, answer)

    def test_a_node_has_one_call_that_waits(self):
        first = self.waiting(self.one)
        self.all_wait(1)
        second = self.waiting(self.one)
        first[0].join(AT_ONCE_SECONDS)
        self.assertTrue(first[1])
        self.assertGreater(first[1][0]['poll_seconds'], 0)
        self.assertEqual(second[1], [])
        self.one.renew('etcd-member')
        second[0].join()

    def test_too_many_are_answered_at_once(self):
        """Three may wait here; the fourth is told how long to stay away."""
        fourth = Node(self.world, 'etcdone', self.other_cluster())
        calls = [self.waiting(node) for node in self.nodes.values()]
        self.all_wait(3)
        begin = time.monotonic()
        answer = fourth.work(wait=20, seen=fourth.work()['revision'])
        self.assertLess(time.monotonic() - begin, AT_ONCE_SECONDS)
        self.assertIn(answer['poll_seconds'], (1, 2))  # few nodes
        self.rotate()
        for thread, answers, _ in calls:
            thread.join(AT_ONCE_SECONDS)
            self.assertTrue(answers)

    def other_cluster(self):
        self.world.create_cluster(name='crowd', network='10.6.0')
        return 'crowd'

    def test_a_hostile_node_holds_nobody_up(self):
        """It asks as often as it can and hangs up; the others' calls go on waiting and are woken."""
        other = self.waiting(self.two)
        self.all_wait(1)
        revision = self.one.work()['revision']
        path = f'/v1/clusters/vagrant/nodes/etcdone/work?wait=20&seen={revision}'

        def flood(_):
            client = self.one.new_client()
            client.timeout_seconds = 0.3
            try:
                client.get(path)
            except OSError:
                pass
        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            list(pool.map(flood, range(300)))
        self.assertEqual(other[1], [])
        third = self.waiting(self.three)
        self.all_wait(3)  # the last one of the flood is one of them
        self.rotate()
        for thread, answers, _ in (other, third):
            thread.join(AT_ONCE_SECONDS)
            self.assertTrue(answers)

    def test_of_others_nothing_is_told(self):
        for cluster, node in (('vagrant', 'etcdtwo'), ('vagrant', 'nobody'), ('none', 'etcdone')):
            self.refused(self.one.client, 'GET', f'/v1/clusters/{cluster}/nodes/{node}/work', 404, 'not_found')
        for query in ('wait=26', 'wait=-1', 'wait=x', 'for=ever'):
            self.refused(self.one.client, 'GET', f'/v1/clusters/vagrant/nodes/etcdone/work?{query}', 400, 'invalid')
        for path in (ROTATIONS, f'{ROTATIONS}/{"0" * 32}'):
            self.refused(self.one.client, 'GET', path, 403, 'forbidden')
        self.refused(self.one.client, 'POST', ROTATIONS, 403, 'forbidden', {})

    def test_stopping_waits_for_nobody(self):
        calls = [self.waiting(self.one), self.waiting(self.two)]
        self.all_wait(2)
        begin = time.monotonic()
        self.assertEqual(self.world.service.stop(), 0)
        self.assertLess(time.monotonic() - begin, AT_ONCE_SECONDS)
        for thread, answers, _ in calls:
            thread.join()
            self.assertGreater(answers[0]['poll_seconds'], 0)  # not at once again, of a service that stops
        self.world.service.start()
        self.reconnect()


if __name__ == '__main__':
    unittest.main()
