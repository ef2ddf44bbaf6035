"""What should be on the nodes against what was issued, and what expires: the API's catalogue, `ensign cluster
certificates`, `ensign certificate check-expiration`."""
import concurrent.futures
import json
import re
import time
import unittest
import urllib.parse

from lib import der
from lib.keys import Key
from lib.relay import relay
from lib.service import BUILD, ROOT, run, wait_for
from lib.world import Case, cluster_document, issue

MANY = 5000
SHORTEST_SECONDS = 60  # that a certificate may last
PATTERNS = {'TIME': r'\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ', 'SERIAL': r'[0-7][0-9a-f]{39}', 'RESIDUAL': r'\d+[smhdy]'}
DAY = 86400
ROW = {'cluster': 'edge', 'node': 'gate', 'name': 'node-identity', 'profile': 'node-identity', 'kind': 'certificate',
       'path': '/etc/ensign/node/node-identity/tls.crt', 'state': 'ok', 'serial': 'SERIAL', 'authority': 'service-ca',
       'differences': [], 'not_after': 'TIME', 'residual_time': 'RESIDUAL', 'residual_seconds': 'SECONDS',
       'externally_managed': False, 'deployed': None, 'deployed_serial': None, 'served_serial': None,
       'deployed_detail': None, 'seen_at': None}
MISSING = {**ROW, 'state': 'missing', 'serial': None, 'not_after': None, 'residual_time': 'missing',
           'residual_seconds': None}


def masked(value):
    """With words in the place of what differs from run to run."""
    if isinstance(value, list):
        return [masked(item) for item in value]
    if isinstance(value, dict):
        return {name: 'SECONDS' if name == 'residual_seconds' and isinstance(item, int) else masked(item)
                for name, item in value.items()}
    words = [word for word, pattern in PATTERNS.items() if isinstance(value, str) and re.fullmatch(pattern, value)]
    return words[0] if words else value


class Expiry(Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.service = cls.world.service
        cls.cluster('over')
        cls.over = cls.give('over', 'e', 'etcd-member', lifetime_seconds=SHORTEST_SECONDS)
        cls.world.identity_client('auditor', 'briefly', lifetime_seconds=SHORTEST_SECONDS)

    @classmethod
    def cluster(cls, name, nodes=(), **more):
        """With a node for etcd, e, and a control plane, m. nodes: names and roles of more."""
        document = cluster_document(name) | more
        document['nodes'] = [{'name': node, 'addresses': [f'10.{20 + number // 250}.{number % 250}.1'], 'roles': [role]}
                             for number, (node, role) in enumerate([('e', 'etcd'), ('m', 'control-plane'), *nodes])]
        status, answer, _ = cls.admin.post('/v1/clusters', {'cluster': document})
        assert status == 201, answer

    @classmethod
    def catalogue(cls, cluster, limit=100):
        """The items of all pages, and how many pages they were."""
        items, cursor, pages = [], None, 0
        while pages == 0 or cursor:
            query = f'?limit={limit}' + (f'&cursor={urllib.parse.quote(cursor)}' if cursor else '')
            status, page, _ = cls.admin.get(f'/v1/clusters/{cluster}/catalogue{query}')
            assert status == 200 and 0 < len(page['items']) <= limit, page
            items, cursor, pages = items + page['items'], page['next_cursor'], pages + 1
        return items, pages

    @classmethod
    def give(cls, cluster, node, profile, **more):
        status, answer = issue(cls.admin, der.request(Key()), profile, cluster, node=node, **more)
        assert status == 201, answer
        return answer['serial']

    @classmethod
    def give_all(cls, cluster, but=()):
        for item in cls.catalogue(cluster)[0]:
            if item['kind'] in ('certificate', 'kubeconfig') and (item['node'], item['name']) not in but:
                cls.give(cluster, item['node'], item['name'])

    def rows(self, cluster, *options):
        return json.loads(self.service.ensign('cluster', 'certificates', cluster, '-o', 'json', *options).stdout)['items']

    def states(self, cluster, *options):
        """{(node, name): (state, serial)}; an extra's have their state in the name's place too"""
        return {(row['node'], row['name'], *(['extra'] if row['state'] == 'extra' else [])):
                (row['state'], row['serial']) for row in self.rows(cluster, *options)}

    def check(self, *options, code):
        done = self.service.ensign('certificate', 'check-expiration', *options, check=False)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        self.assertEqual('ensign: expiring: ' in done.stderr, code == 5, done.stderr)
        return done.stdout

    # ---- the route ----

    def test_catalogue_is_the_golden_one(self):
        text = (ROOT / 'policies/examples/haproxy-stacked-etcd.yaml').read_text()
        name = re.search(r'^name: (\S+)', text, re.M)[1]
        path = self.service.create_cluster('haproxy-stacked-etcd.yaml', [('kubernetesVersion: "1.30"',
                                                                          'kubernetesVersion: "1.31"')])
        golden = json.loads((ROOT / 'tests/golden/catalogue/haproxy-stacked-etcd-1.31.json').read_text())
        self.assertEqual(golden, json.loads(run(BUILD / 'tests/golden/catalogue', path, '1.31').stdout))
        for limit, more_pages in ((32, True), (500, False)):
            items, pages = self.catalogue(name, limit)
            self.assertEqual(items, golden['items'])
            self.assertEqual(pages > 1, more_pages)
        _, page, _ = self.admin.get(f'/v1/clusters/{name}/catalogue?node=controlplane3&limit=32')
        self.assertEqual(page, {**golden, 'next_cursor': None,
                                'items': [item for item in golden['items'] if item['node'] == 'controlplane3']})

    def test_catalogue_refuses(self):
        for query, status, code in (('limit=31', 400, 'invalid'), ('limit=501', 400, 'invalid'),
                                    ('cursor=!', 400, 'malformed'), ('cursor=eA', 400, 'invalid'),
                                    ('colour=blue', 400, 'invalid'), ('node=nobody', 404, 'not_found')):
            with self.subTest(query):
                self.refused(self.admin, 'GET', f'/v1/clusters/vagrant/catalogue?{query}', status, code)

    # ---- what should be, what is ----

    def test_missing_expiring_extra(self):
        self.cluster('lab', [('w', 'worker')])
        self.assertEqual({state for state, _ in self.states('lab').values()}, {'missing'})
        self.check('--cluster', 'lab', code=5)
        self.give_all('lab', but=[('w', 'kubelet')])
        before = self.states('lab')
        self.assertEqual({key for key, value in before.items() if value[0] != 'ok'}, {('w', 'kubelet.conf')})
        self.assertEqual(len(before), len(self.rows('lab')))  # no key twice
        self.check('--cluster', 'lab', '--threshold', '1s', code=5)
        soon = self.give('lab', 'w', 'kubelet', lifetime_seconds=5400)
        extra = self.give('lab', 'e', 'etcd-server')
        after = self.states('lab')
        self.assertEqual(before['w', 'kubelet.conf'], ('missing', None))
        self.assertEqual(after, before | {('w', 'kubelet.conf'): ('expiring', soon),
                                          ('e', 'etcd-server', 'extra'): ('extra', extra)})
        for state in ('ok', 'expiring', 'expired', 'missing', 'extra', 'retired'):
            self.assertEqual(self.states('lab', '--state', state),
                             {key: value for key, value in after.items() if value[0] == state})
        self.assertEqual(self.states('lab', '--node', 'w'),
                         {key: value for key, value in after.items() if key[0] == 'w'})
        self.assertEqual(self.states('lab', '--threshold', '50m')['w', 'kubelet.conf'], ('ok', soon))
        self.check_until_all_is_well()

    def check_until_all_is_well(self):
        table = self.check('--cluster', 'lab', code=5)
        self.assertRegex(table, r'^NODE +CERTIFICATE +EXPIRES +RESIDUAL TIME +CERTIFICATE AUTHORITY +EXTERNALLY MANAGED\n')
        self.assertRegex(table, r'(?m)^w +kubelet\.conf +\S+Z +1h +kubernetes +no$')
        self.assertRegex(table, r'\n\nCERTIFICATE AUTHORITY +EXPIRES +RESIDUAL TIME +EXTERNALLY MANAGED\n')
        self.assertRegex(table, r'(?m)^front-proxy-ca +\S+Z +(9|10)y +no$')
        self.assertNotIn('etcd-server', table)
        self.check('--cluster', 'lab', '--threshold', '50m', code=0)
        self.give('lab', 'w', 'kubelet')
        self.check('--cluster', 'lab', code=0)
        self.check('--cluster', 'lab', '--threshold', '400d', code=5)
        self.check('--cluster', 'lab', '--threshold', '3660d', code=5)
        self.check('--cluster', 'nowhere', code=1)

    def test_z_expired(self):
        """Last, so that what lasts shortest is over by then."""
        self.give_all('over', but=[('e', 'etcd-member')])
        wait_for('a certificate to expire', lambda: self.states('over')['e', 'etcd-member'] == ('expired', self.over),
                 SHORTEST_SECONDS + 30)
        self.assertRegex(self.check('--cluster', 'over', '--threshold', '1s', code=5), r'(?m)^e +etcd-member .* expired ')
        new = self.give('over', 'e', 'etcd-member')
        self.assertEqual(self.states('over')['e', 'etcd-member'], ('ok', new))
        self.check('--cluster', 'over', code=0)
        wait_for('an identity that nobody misses', lambda: 'identity/briefly' not in self.service.ensign(
            'certificate', 'check-expiration', '--cluster', 'ensign', check=False).stdout)
        self.check('--cluster', 'ensign', '--threshold', '1s', code=0)

    def test_shared(self):
        etcd = {'topology': 'external', 'certificates': 'member', 'apiserverClient': 'shared'}
        self.cluster('shared', [('m2', 'control-plane')], etcd=etcd)
        token = self.service.folder / 'shared.token'
        token.touch(0o600)
        token.write_text(self.service.token('shared', 'm'))
        self.service.ensign('enroll', '--server', f'https://localhost:{self.service.port}', '--token-file', token, '--out',
                            self.service.folder / 'shared-m')
        serial = self.admin.get('/v1/clusters/shared/shared-keys/apiserver-etcd-client')[1]['certificate']['serial']
        for options in ((), ('--node', 'm2')):
            self.assertEqual(self.states('shared', *options)['m2', 'apiserver-etcd-client'], ('ok', serial))
        self.assertEqual(self.states('shared')['m', 'apiserver-etcd-client'], ('ok', serial))
        self.assertEqual(self.states('shared', '--state', 'extra'), {})

    def test_users(self):
        """A user's certificate counts like a node's, from the last third of its life on."""
        def user(profile='user', **more):
            status, answer = issue(self.admin, der.request(Key()), profile, 'people', **{'user': 'jane'} | more)
            self.assertEqual(status, 201, answer)
            return answer['serial']

        self.cluster('people')
        self.give_all('people')
        nodes = self.rows('people')
        user(lifetime_seconds=3600)
        month = user()
        self.check('--cluster', 'people', code=0)  # 30 days, which is no less than the threshold of 30 days
        rows = self.rows('people')
        self.assertEqual(len(rows), len(nodes) + 1)
        self.assertEqual(masked([row for row in rows if row['node'] is None]), [
            {**ROW, 'cluster': 'people', 'node': None, 'name': 'user/jane', 'profile': 'user', 'kind': None, 'path': None,
             'authority': 'kubernetes'}])
        self.assertEqual(self.states('people')[None, 'user/jane'], ('ok', month))
        brief = user(user='bob', lifetime_seconds=SHORTEST_SECONDS)
        admin = user('cluster-admin', user='bob', lifetime_seconds=5400)
        self.assertEqual(self.states('people')[None, 'cluster-admin/bob'], ('ok', admin))
        self.assertNotIn(None, {row['node'] for row in self.rows('people', '--node', 'e')})
        self.assertEqual(self.states('people')[None, 'user/bob'], ('expiring', brief))  # it began 5 minutes ago
        self.assertRegex(self.check('--cluster', 'people', code=5), r'(?m)^- +user/bob +\S+Z +\d+[ms] +kubernetes +no$')
        self.check('--cluster', 'people', '--threshold', '1s', code=0)
        new = user(user='bob', lifetime_seconds=5400)
        self.assertEqual(self.states('people')[None, 'user/bob'], ('ok', new))
        self.check('--cluster', 'people', code=0)

    def test_retired(self):
        """As if the CA "kubernetes" had been replaced since."""
        def replaced(method, path, body):
            answer = json.loads(body)
            if path == '/v1/clusters/old/authorities':
                for authority in answer['items']:
                    if authority['name'] == 'kubernetes':
                        authority['key_identifier'] = 'ab' * 20
            return json.dumps(answer).encode()

        self.cluster('old', [('w', 'worker')])
        for profile in ('node-identity', 'kubelet'):
            self.give('old', 'w', profile)
        environment = {'PATH': '/usr/bin:/bin', 'HOME': str(self.service.folder)}
        for change, expected in ((lambda method, path, body: body, 'ok'), (replaced, 'retired')):
            with relay(self.service, change) as server:
                done = run(BUILD / 'client/ensign', '--server', server, 'cluster', 'certificates', 'old', '--node', 'w',
                           '-o', 'json', env=environment)
                self.assertEqual({row['name']: row['state'] for row in json.loads(done.stdout)['items']},
                                 {'node-identity': 'ok', 'kubelet.conf': expected})

    # ---- golden forms ----

    def test_json(self):
        self.cluster('edge', [('gate', 'load-balancer')])
        self.give_all('edge', but=[('gate', 'node-identity')])
        self.assertEqual(masked(self.rows('edge', '--node', 'gate')), [MISSING])
        self.give('edge', 'gate', 'node-identity')
        rows = self.rows('edge', '--node', 'gate')
        self.assertEqual(masked(rows), [ROW])
        self.assertAlmostEqual(rows[0]['residual_seconds'], 90 * DAY, delta=600)
        whole = json.loads(self.check('--cluster', 'edge', '-o', 'json', code=0))
        for row in whole['authorities']:
            self.assertRegex(row.pop('key_identifier'), '^[0-9a-f]{40}$')
        whole['certificates'] = [row for row in whole['certificates'] if row['node'] == 'gate']
        authority = {'cluster': 'edge', 'name': 'etcd-ca', 'not_after': 'TIME', 'residual_time': 'RESIDUAL',
                     'residual_seconds': 'SECONDS', 'externally_managed': False}
        self.assertEqual(masked(whole), {
            'time': 'TIME', 'threshold_seconds': 30 * DAY, 'certificates': [ROW], 'authorities': [
                {**authority, 'cluster': 'ensign', 'name': 'service-ca'}, authority,
                {**authority, 'name': 'kubernetes'}, {**authority, 'name': 'front-proxy-ca'}]})
        self.assertIn('\n  name: "node-identity"\n', self.check('--cluster', 'edge', '-o', 'yaml', code=0))
        self.assertEqual(self.check('--cluster', 'edge', '-o', 'name', code=0).split()[-5:],
                         ['gate', 'service-ca', 'etcd-ca', 'kubernetes', 'front-proxy-ca'])

    def test_all_clusters_and_the_service(self):
        self.world.identity_client('auditor', 'somebody', lifetime_seconds=3600)
        whole = json.loads(self.check('-o', 'json', code=5))  # nobody has certificates in vagrant
        own = {row['name']: row['state'] for row in whole['certificates'] if row['cluster'] == 'ensign'}
        self.assertEqual(own | {'service': 'ok', 'identity/admin': 'ok', 'identity/somebody': 'expiring'}, own)
        self.assertIn('vagrant', {row['cluster'] for row in whole['certificates']})
        self.assertRegex(self.check(code=5), r'^CLUSTER +NODE +CERTIFICATE ')
        self.world.identity_client('auditor', 'somebody')
        whole = json.loads(self.check('--cluster', 'ensign', '--threshold', '1s', '-o', 'json', code=0))
        self.assertEqual([row['state'] for row in whole['certificates'] if row['name'] == 'identity/somebody'], ['ok'])

    # ---- thousands of nodes ----

    def requests(self):
        _, text, _ = self.admin.get('/metrics')
        lines = [line for line in text.decode().splitlines()
                 if line.startswith('ensign_http_request_duration_seconds_count')]
        return sum(int(line.rsplit(' ', 1)[1]) for line in lines)

    def requests_of(self, *command):
        """How many requests it makes, its output, and how long it takes."""
        before, began = self.requests(), time.monotonic()
        output = self.service.ensign(*command, check=False)
        seconds = time.monotonic() - began
        return self.requests() - before - 1, output, seconds

    def test_thousands_of_nodes(self):
        issued = 260
        self.assertEqual(self.requests_of('whoami')[0], 1)
        self.cluster('many', [(f'w{number}', 'worker') for number in range(MANY - 2)])

        def enroll(number):
            client, request = self.world.root(), der.request(Key())
            for profile in ('node-identity', 'kubelet'):
                status, answer = issue(client, request, profile, 'many', node=f'w{number * 7}')
                assert status == 201, answer

        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            list(pool.map(enroll, range(issued)))
        count, done, seconds = self.requests_of('cluster', 'certificates', 'many', '-o', 'json')
        rows = json.loads(done.stdout)['items']
        self.assertEqual(len({(row['node'], row['name']) for row in rows}), len(rows))
        self.assertGreater(len(rows), 2 * MANY)
        self.assertEqual(sorted(row['node'] for row in rows if row['state'] == 'ok'),
                         sorted(2 * [f'w{number * 7}' for number in range(issued)]))
        print(f'{MANY} nodes: {count} requests, {seconds:.2f} s')
        self.assertLess(count, 50)  # 20,000 items, 520 certificates, 500 a page
        self.assertLess(seconds, 20)
        count, done, _ = self.requests_of('cluster', 'certificates', 'many', '--node', 'w7')
        self.assertEqual((count, len(done.stdout.splitlines())), (6, 3))


if __name__ == '__main__':
    unittest.main(warnings='ignore')
