"""A node renews what it has, and reports what it has installed."""
import json
import threading
import unittest

from lib import der
from lib.keys import Key, openssl
from lib import audit
from lib.certificates import said
from lib.service import wait_for
from lib.world import Case, issue

PATH = '/v1/clusters/vagrant/certificates'
REVIEW = {'apiVersion': 'authorization.k8s.io/v1', 'kind': 'SubjectAccessReview', 'spec': {}}


class Node:
    """A node with its identity and what else it has fetched: profile -> (answer, key)"""

    def __init__(self, case, name, cluster='vagrant', profiles=('etcd-member',)):
        self.case, self.name, self.cluster, self.have = case, name, cluster, {}
        self.enrol('node-identity', *profiles)

    def enrol(self, *profiles):
        token = self.case.world.token_client(self.name, self.cluster)
        for profile in profiles:
            key = Key()
            status, answer = issue(token, der.request(key), profile, self.cluster)
            self.case.assertEqual(status, 201, answer)
            self.have[profile] = answer, key
        self.client = self.client_of('node-identity')

    def client_of(self, profile):
        answer, key = self.have[profile]
        return self.case.world.certificate_client(answer['certificate'], key)

    def serial(self, profile='etcd-member'):
        return self.have[profile][0]['serial']

    def renew(self, key, profile='etcd-member', replaces=None, client=None, **more):
        """status and answer"""
        return issue(client or self.client, der.request(key), profile, self.cluster,
                     replaces=replaces or self.serial(profile), **more)

    def renewed(self, profile='etcd-member'):
        key = Key()
        status, answer = self.renew(key, profile)
        self.case.assertEqual(status, 201, answer)
        self.have[profile] = answer, key
        return answer

    def report(self, *certificates, client=None, version='1.0', **more):
        """certificates: (profile, state) of what it has, or whole objects"""
        items = [item if isinstance(item, dict) else
                 {'profile': item[0], 'serial': self.serial(item[0]), 'state': item[1]} for item in certificates]
        body = {'agent': {'version': version}, 'certificates': items, **more}
        return (client or self.client).request('PUT', f'/v1/clusters/{self.cluster}/nodes/{self.name}/deployed', body)[:2]

    def reported(self, *certificates, **more):
        status, answer = self.report(*certificates, **more)
        self.case.assertEqual((status, answer), (200, {}), answer)


class RenewalCase(Case):
    def reasons(self, answer, pointer='/replaces'):
        return [error['detail'] for error in answer.get('errors', []) if error['pointer'] == pointer]

    def denied(self, got, text, pointer='/replaces'):
        status, answer = got
        self.assertEqual(status, 403, answer)
        self.problem(answer, 403, 'policy_denied')
        self.assertTrue([reason for reason in self.reasons(answer, pointer) if text in reason], answer)
        return answer

    def leaves(self, event):
        return [leaf for leaf in map(json.loads, audit.leaves(self.admin)) if leaf['event'] == event]


class Renewal(RenewalCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.world.create_cluster(name='other', network='10.8.0')

    def test_a_successor(self):
        node, key = Node(self, 'etcdone'), Key()
        first = node.have['etcd-member'][0]
        status, second = node.renew(key)
        self.assertEqual(status, 201, second)
        self.assertNotEqual(second['serial'], first['serial'])
        for same in ('cluster', 'node', 'profile', 'authority'):
            self.assertEqual(second[same], first[same])
        self.assertEqual(said(second['certificate']), said(first['certificate']))
        self.assertEqual(second['requested_by'], 'node etcdone')
        leaf = self.leaves('certificate.issued')[-1]
        self.assertEqual((leaf['serial'], leaf['replaces'], leaf['actor']),
                         (second['serial'], first['serial'], 'node etcdone'))
        # The first answer was lost: the same key gets it again, and leaves no trace.
        size = len(audit.leaves(self.admin))
        for _ in range(2):
            status, again = node.renew(key)
            self.assertEqual((status, again), (200, second))
        self.assertEqual(len(audit.leaves(self.admin)), size)
        self.denied(node.renew(Key()), f'superseded by {second["serial"]}')
        node.have['etcd-member'] = second, key
        node.reported(('etcd-member', 'served'))
        self.denied(node.renew(key, replaces=first['serial']), f'superseded by {second["serial"]}, which is installed')
        third = node.renewed()
        self.denied(node.renew(Key(), replaces=first['serial']), f'superseded by {third["serial"]}')

    def test_what_is_not_its_to_renew(self):
        node, sibling = Node(self, 'etcdone'), Node(self, 'etcdtwo')
        namesake = Node(self, 'etcdone', 'other')
        never = '0' + node.serial()[1:-4] + '0000'
        not_there = 'no certificate with this serial was issued to node "etcdone"'
        for replaces in (sibling.serial(), namesake.serial(), never, '0' * 40):
            with self.subTest(replaces):
                answer = self.denied(node.renew(Key(), replaces=replaces), not_there)
                self.assertEqual(len(answer['errors']), 1)  # what is another's looks like what is not there
        self.denied(node.renew(Key(), replaces=node.serial('node-identity')), 'is of profile "node-identity"')
        self.denied(node.renew(node.have['etcd-member'][1]), 'make a new key', '/csr/publicKey')
        self.denied(node.renew(sibling.have['etcd-member'][1]), 'make a new key', '/csr/publicKey')
        self.denied(node.renew(Key(), 'apiserver-etcd-client', node.serial()), 'is for nodes with the role control-plane', '/node')
        self.denied(node.renew(Key(), node='etcdtwo'), 'for node "etcdone" only', '/node')
        self.denied(node.renew(Key(), user='jane'), '', '/user')
        # All that is wrong, at once.
        csr = der.request(Key(), extensions=[der.alternative_names((der.DNS_NAME, b'mallory'))])
        _, answer = issue(node.client, csr, replaces=sibling.serial())
        self.assertEqual(self.pointers(answer), {'/replaces', '/csr/subjectAltName'}, answer)
        self.assertEqual(node.renew(Key())[0], 201)  # and nothing of this has moved it

    def test_who_says_what_it_replaces(self):
        node = Node(self, 'etcdone')
        path = '/v1/clusters/vagrant/certificates'
        body = {'profile': 'etcd-member', 'csr': der.request(Key())}
        self.assertEqual(self.pointers(self.refused(node.client, 'POST', path, 400, 'invalid', body)), {'/replaces'})
        for wrong in ('', 'x' * 40, '00', 7, None, node.serial() + '00'):
            with self.subTest(wrong):
                answer = self.refused(node.client, 'POST', path, 400, 'invalid', {**body, 'replaces': wrong})
                self.assertEqual(self.pointers(answer), {'/replaces'})
        renewal = {**body, 'replaces': node.serial(), 'node': 'etcdone'}
        for client in (self.admin, self.world.identity_client('operator'), self.world.token_client('etcdone')):
            self.assertEqual(self.pointers(self.refused(client, 'POST', path, 400, 'invalid', renewal)), {'/replaces'})

    def test_a_trial_moves_nothing(self):
        node = Node(self, 'etcdone')
        status, answer = node.renew(Key(), dry_run=True)
        self.assertEqual((status, answer['decision']['profile']), (200, 'etcd-member'), answer)
        denials = len(self.denials())
        self.denied(node.renew(Key(), replaces='0' * 40, dry_run=True), 'no certificate with this serial')
        self.assertEqual(len(self.denials()), denials)
        self.assertEqual(node.renew(Key(), lifetime_seconds=3600)[0], 201)

    def test_a_token_begins_anew(self):
        node = Node(self, 'etcdone')
        before = node.serial()
        node.enrol('node-identity', 'etcd-member')
        self.denied(node.renew(Key(), replaces=before), 'superseded by ' + node.serial())
        node.renewed()

    def test_a_race(self):
        """Many ask at once, over connections of their own: one successor."""
        node, racers, results = Node(self, 'etcdone'), 12, []
        keys = [Key() for _ in range(racers // 2)]
        clients = [node.client_of('node-identity') for _ in range(racers)]
        for client in clients:
            client.get('/v1/whoami')
        gate = threading.Barrier(racers)

        def race(number):
            gate.wait()
            results.append((number % len(keys), *node.renew(keys[number % len(keys)], client=clients[number])))
        threads = [threading.Thread(target=race, args=[number]) for number in range(racers)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        good = [(key, status, answer['serial']) for key, status, answer in results if status in (200, 201)]
        self.assertEqual(sorted(status for _, status, _ in good), [200, 201])
        self.assertEqual((len({key for key, _, _ in good}), len({serial for *_, serial in good})), (1, 1))
        for _, status, answer in results:
            if status not in (200, 201):
                self.denied((status, answer), 'superseded by ' + good[0][2])

    def test_the_answer_of_a_key(self):
        """An Idempotency-Key is the other way to the same answer."""
        node = Node(self, 'etcdone')
        body = {'profile': 'etcd-member', 'csr': der.request(Key()), 'replaces': node.serial()}
        answers = [node.client.request('POST', PATH, body, {'Idempotency-Key': 'x'})[:2] for _ in range(2)]
        self.assertEqual(answers[0][0], 201)
        self.assertEqual(answers[0], answers[1])


class Identity(RenewalCase):
    def whoami(self, client):
        return client.get('/v1/whoami')[0]

    def test_the_older_counts_until_the_new_one_is_installed(self):
        node = Node(self, 'etcdone')
        old = node.client
        answer = node.renewed('node-identity')
        new = node.client_of('node-identity')
        self.assertEqual((self.whoami(old), self.whoami(new)), (200, 200))
        node.reported(('node-identity', 'failed'), client=old)
        self.assertEqual((self.whoami(old), self.whoami(new)), (200, 200))
        node.reported(('node-identity', 'installed'), client=old)  # by the older one: it may be the last that it does
        refusal = self.refused(old, 'GET', '/v1/whoami', 401, 'unauthenticated')  # on the connection that it had
        self.assertIn(f'superseded by {answer["serial"]}', refusal['detail'])
        # Of the webhook it is heard further on: API servers read files again every five minutes.
        self.refused(old, 'POST', f'/v1/clusters/{node.cluster}/subjectaccessreview', 403, 'policy_denied', REVIEW)
        node.client = new
        node.renewed('node-identity')
        self.assertEqual(self.whoami(new), 200)

    def test_a_token_for_a_node_that_was_made_anew(self):
        node = Node(self, 'etcdtwo')
        old = node.client
        node.enrol('node-identity')
        self.assertEqual((self.whoami(old), self.whoami(node.client)), (200, 200))
        node.reported(('node-identity', 'installed'))
        self.refused(old, 'GET', '/v1/whoami', 401, 'unauthenticated')
        self.assertEqual(self.whoami(node.client), 200)

    def test_one_that_an_operator_had_made_later(self):
        node, key = Node(self, 'etcdthree'), Key()
        node.reported(('node-identity', 'installed'))
        answer = self.issued(self.admin, der.request(key), 'node-identity', node='etcdthree')
        other = self.world.certificate_client(answer['certificate'], key)
        self.assertEqual((self.whoami(node.client), self.whoami(other)), (200, 200))


class Deployed(RenewalCase):
    def deployed(self, query='', client=None):
        status, answer, _ = (client or self.admin).get('/v1/clusters/vagrant/deployed' + query)
        self.assertEqual(status, 200, answer)
        return answer

    def counts(self):
        _, text, _ = self.admin.get('/metrics')
        lines = [line.split() for line in text.decode().splitlines() if '{cluster="vagrant"}' in line]
        return {name.split('{')[0].removeprefix('ensign_'): int(value) for name, value in lines}

    def test_only_what_is_new_is_written(self):
        node = Node(self, 'etcdone')
        node.reported(('etcd-member', 'waiting-restart'), ('node-identity', 'installed'))
        size = len(audit.leaves(self.admin))
        item = self.deployed('?node=etcdone')['items'][0]
        wait_for('a second to pass', lambda: self.heard(node) > item['seen_at'])
        again = self.deployed('?node=etcdone')['items'][0]
        self.assertEqual({**again, 'seen_at': None}, {**item, 'seen_at': None})
        self.assertEqual(len(audit.leaves(self.admin)), size)
        node.reported(('node-identity', 'installed'), ('etcd-member', 'waiting-restart'))  # in another order
        self.assertEqual(len(audit.leaves(self.admin)), size)
        node.reported(('etcd-member', 'served'), ('node-identity', 'installed'),
                      crls=[{'authority': 'etcd-ca', 'number': 1795234567}])
        leaf = self.leaves('certificate.deployed')[-1]
        self.assertEqual(leaf['certificates'],
                         [{'profile': 'etcd-member', 'serial': node.serial(), 'state': 'served'}])
        self.assertEqual((leaf['cluster'], leaf['node'], leaf['actor'], leaf['crls']),
                         ('vagrant', 'etcdone', 'node etcdone', [{'authority': 'etcd-ca', 'number': 1795234567}]))
        self.assertEqual(len(audit.leaves(self.admin)), size + 1)

    def heard(self, node):
        node.reported(('etcd-member', 'waiting-restart'), ('node-identity', 'installed'))
        return self.deployed('?node=etcdone')['items'][0]['seen_at']

    def test_what_is_shown(self):
        node = Node(self, 'etcdtwo')
        before = node.serial()
        node.renewed()
        node.reported({'profile': 'etcd-member', 'serial': node.serial(), 'state': 'not-served', 'served_serial': before,
                       'not_after': '2027-11-21T05:53:02Z', 'detail': 'port 2379 \u00e4 ' + 'ensign1.' + 'Ab9_' * 20})
        item = self.deployed('?node=etcdtwo', node.client)['items'][0]
        self.assertIs(item['silent'], False)
        self.assertEqual(item['certificates'],
                         [{'profile': 'etcd-member', 'serial': node.serial(), 'state': 'not-served',
                           'served_serial': before, 'not_after': '2027-11-21T05:53:02Z',
                           'detail': item['certificates'][0]['detail']}])
        self.assertTrue(item['certificates'][0]['detail'].startswith('port 2379 ??'), item)
        self.assertNotIn('Ab9_', item['certificates'][0]['detail'])
        self.assertEqual((item['agent'], item['crls']), ({'version': '1.0'}, []))
        self.assertEqual(self.deployed('', node.client)['items'], [item])  # its own is all that it sees
        node.reported({'profile': 'etcd-member', 'serial': before, 'state': 'served'})  # the one before

    def test_what_is_no_report(self):
        node, sibling = Node(self, 'etcdone'), Node(self, 'etcdtwo')
        good = {'profile': 'etcd-member', 'serial': node.serial(), 'state': 'installed'}
        for pointer, items in (('/certificates', [{**good, 'serial': sibling.serial()}]),
                               ('/certificates', [{**good, 'serial': node.serial('node-identity')}]),
                               ('/certificates', [{**good, 'profile': 'apiserver'}]),
                               ('/certificates', [{**good, 'profile': 'none'}]),
                               ('/certificates', [good, good]),
                               ('/certificates', [good] * 33),
                               ('/certificates/0/state', [{**good, 'state': 'fine'}]),
                               ('/certificates/0/not_after', [{**good, 'not_after': 'tomorrow'}]),
                               ('/certificates/0/detail', [{**good, 'detail': 'x' * 256}]),
                               ('/certificates/0/served_serial', [{**good, 'served_serial': 'x'}])):
            with self.subTest(items[0]):
                status, answer = node.report(*items)
                self.assertEqual((status, self.pointers(answer)), (400, {pointer}), answer)
        self.assertEqual(node.report(good, version='')[0], 400)
        self.assertEqual(node.report(good, crls=[{'authority': 'etcd-ca', 'number': -1}])[0], 400)
        self.assertNotIn(node.serial(), json.dumps(self.leaves('certificate.deployed')))
        node.reported(good)  # the control

    def test_pages(self):
        for name in ('etcdone', 'etcdtwo', 'etcdthree'):
            Node(self, name).reported()
        found, cursor, pages = [], '', 0
        while cursor is not None:
            page = self.deployed('?limit=1' + cursor)
            found += [item['node'] for item in page['items']]
            cursor = page['next_cursor'] and '&cursor=' + page['next_cursor']
            pages += 1
        self.assertEqual((found, pages), (['etcdone', 'etcdthree', 'etcdtwo'], 3))
        self.assertEqual(self.deployed('?node=masterone')['items'], [])

    def test_what_is_counted(self):
        node = Node(self, 'etcdone')
        node.reported(('etcd-member', 'served'), ('node-identity', 'installed'))
        base = self.counts()
        self.assertGreaterEqual(base['agents'], 1)
        self.assertEqual(base['agents_silent'], 0)
        node.renewed()
        self.assertEqual(self.counts()['certificates_not_deployed'], base['certificates_not_deployed'] + 1)
        node.reported(('etcd-member', 'waiting-restart'), ('node-identity', 'installed'))
        self.assertEqual(self.counts(), {**base, 'certificates_waiting_restart': base['certificates_waiting_restart'] + 1})
        node.reported(('etcd-member', 'not-served'), ('node-identity', 'installed'))
        self.assertEqual(self.counts(), {**base, 'certificates_not_deployed': base['certificates_not_deployed'] + 1})
        node.reported(('etcd-member', 'served'), ('node-identity', 'installed'))
        self.assertEqual(self.counts(), base)
        newest = self.crl_number()
        for number, outdated in ((newest, 0), (newest - 1, 1)):
            node.reported(('etcd-member', 'served'), ('node-identity', 'installed'),
                          crls=[{'authority': 'etcd-ca', 'number': number}])
            self.assertEqual(self.counts(), {**base, 'crls_outdated': base['crls_outdated'] + outdated})
            self.assertEqual(self.deployed('?node=etcdone')['items'][0]['crls'],
                             [{'authority': 'etcd-ca', 'number': number, 'newest': newest}])
            crl, = [row for row in self.inventory('etcdone') if row['kind'] == 'crl']
            self.assertEqual((crl['state'], crl['deployed']),
                             (('ok', 'installed'), ('differs', 'outdated'))[outdated])
        rows = {row['name']: row['deployed'] for row in self.inventory('etcdone')}
        self.assertEqual((rows['etcd-member'], rows['node-identity']), ('served', 'installed'))
        node.renewed()
        rows = {row['name']: row['deployed'] for row in self.inventory('etcdone')}
        self.assertEqual((rows['etcd-member'], rows['node-identity']), ('other', 'installed'))
        self.assertIn('not in use', self.world.service.ensign('certificate', 'check-expiration', '--cluster', 'vagrant',
                                                              check=False).stderr)

    def inventory(self, node):
        return json.loads(self.world.service.ensign('cluster', 'certificates', 'vagrant', '--node', node, '-o',
                                                    'json').stdout)['items']

    def crl_number(self):
        _, crl, _ = self.admin.get('/v1/clusters/vagrant/authorities/etcd-ca/crl')
        text = openssl('crl', '-inform', 'DER', '-noout', '-crlnumber', data=crl)
        return int(text.decode().split('=')[1], 16)

    def test_it_lasts(self):
        node = Node(self, 'etcdone')
        old = node.client
        node.renewed('node-identity')
        node.client = node.client_of('node-identity')
        node.reported(('etcd-member', 'served'), ('node-identity', 'installed'))
        item = self.deployed('?node=etcdone')['items'][0]
        self.world.service.kill('supervisor', 'signer', 'server')
        self.world.service.start()
        self.admin.connection = old.connection = None
        self.assertEqual(self.deployed('?node=etcdone')['items'][0]['certificates'], item['certificates'])
        self.refused(old, 'GET', '/v1/whoami', 401, 'unauthenticated')


if __name__ == '__main__':
    unittest.main(warnings='ignore')
