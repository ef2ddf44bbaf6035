"""Another inventory for a cluster that exists: what it changes, who is refused then, and who wins of several."""
import concurrent.futures
import copy
import hashlib
import json
import re
import threading
import unittest

from lib import audit, der
from lib.keys import Key
from lib.relay import relay
from lib.service import Client
from lib.world import Case, cluster_document, issue

USAGE, EXPIRING, CONFLICT = 2, 5, 6  # exit codes
UPDATES, ISSUERS = 12, 4


def compact(document):
    return json.dumps(document, separators=(',', ':'), sort_keys=True)


class Updates(Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.service = cls.world.service

    def cluster(self, name, network):
        """A new one; what stands in its file."""
        return copy.deepcopy(self.world.create_cluster(name=name, network=network))

    def file(self, document):
        path = self.service.folder / f"{document['name']}.json"
        path.write_text(json.dumps(document))
        return path

    def update(self, document, *more, code=0, **options):
        result = self.service.ensign('cluster', 'update', '-f', self.file(document), *more, check=False, **options)
        self.assertEqual(result.returncode, code, result.stderr)
        return result

    def put(self, document, client=None, headers=None, **more):
        return (client or self.admin).request('PUT', f"/v1/clusters/{document['name']}", {'cluster': document, **more},
                                              headers)

    def stored(self, name):
        status, answer, headers = self.admin.get(f'/v1/clusters/{name}')
        self.assertEqual(status, 200)
        return answer['document'], headers['ETag']

    def events(self, cluster):
        return [event for event in map(json.loads, audit.leaves(self.admin))
                if event['event'] == 'cluster.updated' and event['cluster'] == cluster]

    # ---- what it changes ----

    def test_dry_run_then_update_then_the_same_again(self):
        before = self.cluster('plain', '10.20.0')
        after = copy.deepcopy(before)
        after['kubernetesVersion'] = '1.32'
        after['nodes'][0]['addresses'] = ['10.20.0.66', '10.20.0.61']
        after['nodes'][3]['hostnames'] = ['masterone.example.com']
        after['nodes'].append({'name': 'workerone', 'addresses': ['10.20.0.91'], 'roles': ['worker']})
        table = [('CHANGE', 'BEFORE', 'AFTER'), ('/kubernetesVersion', '1.31', '1.32'),
                 ('/nodes/etcdone/addresses', '10.20.0.61', '10.20.0.66,10.20.0.61'),
                 ('/nodes/masterone/hostnames', '-', 'masterone.example.com'),
                 ('/nodes/workerone', '-', '10.20.0.91 worker')]
        shown = self.update(after, '--dry-run')
        self.assertEqual([' '.join(line.split()) for line in shown.stdout.splitlines()],
                         [' '.join(row) for row in table])
        self.assertIn('cluster plain is as it was', shown.stderr)
        self.assertEqual(self.stored('plain')[0], before)
        self.assertEqual(self.events('plain'), [])

        self.assertEqual(self.update(after).stdout, shown.stdout)
        self.assertEqual(self.stored('plain')[0], after)
        event, = self.events('plain')
        self.assertEqual(event['actor'], 'admin admin')
        self.assertEqual(event['before_sha256'], hashlib.sha256(compact(before).encode()).hexdigest())
        self.assertEqual(event['document_sha256'], hashlib.sha256(compact(after).encode()).hexdigest())
        self.assertEqual([(change['path'], change['before'], change['after']) for change in event['changes']], [
            ('/kubernetesVersion', '1.31', '1.32'),
            ('/nodes/etcdone/addresses', ['10.20.0.61'], ['10.20.0.66', '10.20.0.61']),
            ('/nodes/masterone/hostnames', None, ['masterone.example.com']),
            ('/nodes/workerone', None, after['nodes'][-1])])

        again = self.update(after)
        self.assertEqual(again.stdout, '')
        self.assertIn('has this file already', again.stderr)
        self.assertEqual(len(self.events('plain')), 1)
        answer = json.loads(self.update(before, '-o', 'json').stdout)
        self.assertEqual((answer['name'], answer['updated'], len(answer['changes'])), ('plain', True, 4))
        self.assertTrue(any('takes no version back' in warning for warning in answer['warnings']), answer)
        self.assertTrue(any('nodes that are removed (1)' in warning for warning in answer['warnings']), answer)

    def test_order_of_nodes_is_kept_although_it_is_no_change(self):
        document = self.cluster('order', '10.21.0')
        document['nodes'].reverse()
        status, answer, _ = self.put(document)
        self.assertEqual((status, answer['updated'], answer['changes']), (200, True, []))
        self.assertEqual(self.stored('order')[0], document)

    def test_more_than_a_leaf_holds_is_counted(self):
        document = self.cluster('large', '10.22.0')
        document['nodes'] += [{'name': f'w{i:04}', 'addresses': [f'10.23.{i // 250}.{i % 250}'], 'roles': ['worker']}
                              for i in range(2000)]
        status, answer, _ = self.put(document)
        self.assertEqual((status, len(answer['changes'])), (200, 2000))
        event, = self.events('large')
        self.assertGreater(event['changes_omitted'], 0)
        self.assertEqual(len(event['changes']) + event['changes_omitted'], 2000)
        self.assertEqual(event['document_sha256'], hashlib.sha256(compact(document).encode()).hexdigest())

    # ---- what is refused ----

    def test_what_stays(self):
        document = self.cluster('stay', '10.24.0')
        other = document | {'name': 'elsewhere'}
        _, answer, _ = self.admin.request('PUT', '/v1/clusters/stay', {'cluster': other})
        self.problem(answer, 400, 'invalid')
        self.assertEqual(self.pointers(answer), {'/cluster/name'})
        keys = document | {'keys': {'authorities': 'rsa-2048'}}
        answer = self.put(keys)[1]
        self.problem(answer, 400, 'invalid')
        self.assertEqual(self.pointers(answer), {'/cluster/keys/authorities'})
        self.assertIn('have keys of the kind ecdsa-p256', self.update(keys, code=1).stderr)
        stacked = copy.deepcopy(document)
        stacked['etcd'] = {'topology': 'stacked'}
        for node in stacked['nodes']:
            node['roles'] = ['etcd', 'control-plane']
        answer = self.put(stacked)[1]
        self.assertEqual(self.pointers(answer), {'/cluster/etcd/topology'})
        wrong = document | {'kubernetesVersion': 'new'}
        answer = self.put(wrong)[1]
        self.problem(answer, 400, 'invalid')
        self.assertEqual(self.pointers(answer), {'/cluster/kubernetesVersion'})
        self.assertIn('stay.json', self.update(wrong, code=1).stderr)
        self.update(other, code=1)  # no such cluster
        self.assertEqual(self.stored('stay')[0], document)
        self.assertEqual(self.events('stay'), [])

    # ---- nodes that come and go ----

    def test_node_that_is_removed_is_refused_until_it_is_back(self):
        document = self.cluster('gone', '10.25.0')
        identity = self.world.node_client('etcdtwo', 'gone')
        token = self.world.token_client('etcdtwo', 'gone')
        neighbour = self.world.node_client('etcdone', 'gone')
        certificate = self.issued(self.world.token_client('etcdtwo', 'gone'), der.request(Key()), cluster='gone')
        without = copy.deepcopy(document)
        del without['nodes'][1]
        self.assertEqual(self.put(without)[0], 200)
        for client in (identity, token):
            for method, path, body in (('GET', '/v1/whoami', None), ('GET', '/v1/clusters/gone', None),
                                       ('POST', '/v1/clusters/gone/certificates',
                                        {'profile': 'etcd-member', 'csr': der.request(Key())})):
                answer = self.refused(client, method, path, 403, 'policy_denied', body)
                self.assertIn('node "etcdtwo" was removed from the inventory of cluster "gone"', answer['detail'])
        self.assertEqual({(event['what'], event['code']) for event in self.denials() if 'etcdtwo' in event['reason']},
                         {('GET /v1/whoami', 'policy_denied'), ('GET /v1/clusters/{cluster}', 'policy_denied'),
                          ('POST /v1/clusters/{cluster}/certificates', 'policy_denied')})
        self.assertEqual(neighbour.get('/v1/whoami')[0], 200)
        self.assertIn(certificate['serial'], audit.certificates(self.admin, '&cluster=gone&node=etcdtwo'))
        self.not_issued(self.admin, der.request(Key()), 403, 'policy_denied', cluster='gone', node='etcdtwo')
        status, _, _ = self.admin.post('/v1/clusters/gone/tokens', self.new_token_body('etcdtwo'))
        self.assertEqual(status, 400)
        self.assertEqual(self.put(document)[0], 200)
        self.assertEqual(identity.get('/v1/whoami')[0], 200)
        self.issued(token, der.request(Key()), cluster='gone')

    def new_token_body(self, node):
        return {'id': '1' * 32, 'secret_sha256': '2' * 64, 'node': node, 'ttl_seconds': 60}

    def test_certificates_show_what_no_longer_fits(self):
        document = self.cluster('fits', '10.26.0')
        for node in ('etcdone', 'etcdtwo'):
            self.issued(self.admin, der.request(Key()), cluster='fits', node=node)
        self.assertEqual(self.states('fits'),
                         {'etcdone': ('ok', []), 'etcdtwo': ('ok', []), 'etcdthree': ('missing', [])})
        after = copy.deepcopy(document)
        after['nodes'][0] |= {'addresses': ['10.26.0.66'], 'hostnames': ['etcdone.example.com']}
        del after['nodes'][1:3]
        self.assertEqual(self.put(after)[0], 200)
        differences = ['lacks etcdone.example.com', 'lacks 10.26.0.66', 'has 10.26.0.61']
        self.assertEqual(self.states('fits'), {'etcdone': ('differs', differences), 'etcdtwo': ('extra', [])})
        table = self.service.ensign('cluster', 'certificates', 'fits', '--state', 'differs').stdout
        self.assertRegex(table, r'^NODE +CERTIFICATE +STATE +.*DIFFERENCES\netcdone +etcd-member +differs .*'
                                + ','.join(differences))
        whole = self.service.ensign('certificate', 'check-expiration', '--cluster', 'fits', '-o', 'json', check=False)
        self.assertEqual(whole.returncode, EXPIRING)
        due = [row for row in json.loads(whole.stdout)['certificates'] if row['state'] != 'ok']
        self.assertIn(f'{len(due)} expire within', whole.stderr)
        self.issued(self.admin, der.request(Key()), cluster='fits', node='etcdone')
        self.assertEqual(self.states('fits')['etcdone'], ('ok', []))

    def states(self, cluster):
        rows = json.loads(self.service.ensign('cluster', 'certificates', cluster, '-o', 'json').stdout)['items']
        return {row['node']: (row['state'], row['differences']) for row in rows if row['profile'] == 'etcd-member'}

    def test_other_version_is_another_subject(self):
        document = self.cluster('newer', '10.27.0')
        document['kubernetesVersion'] = '1.36'
        self.assertEqual(self.put(document)[0], 200)
        self.issued(self.admin, der.request(Key()), 'apiserver-kubelet-client', cluster='newer', node='masterone')
        document['kubernetesVersion'] = '1.37'
        self.assertEqual(self.put(document)[0], 200)
        rows = json.loads(self.service.ensign('cluster', 'certificates', 'newer', '-o', 'json').stdout)['items']
        row, = [row for row in rows if row['state'] == 'differs']
        self.assertEqual((row['name'], row['differences']),
                         ('apiserver-kubelet-client',
                          ['subject is O=kubeadm:cluster-admins, CN=kube-apiserver-kubelet-client']))

    # ---- at the same time ----

    def test_of_several_updates_one_wins(self):
        document = self.cluster('race', '10.28.0')
        for turn in range(5):
            _, etag = self.stored('race')
            wishes = [document | {'controlPlaneEndpoint': f'10.28.{turn + 1}.{number + 1}:6443'} for number in range(8)]
            start = threading.Barrier(len(wishes))

            def wish(document):
                client = Client(self.service, self.service.context_file)
                client.get('/v1/whoami')
                start.wait()
                answer = self.put(document, client, {'If-Match': etag})
                client.connection.close()
                return answer

            with concurrent.futures.ThreadPoolExecutor(len(wishes)) as pool:
                answers = list(pool.map(wish, wishes))
            self.assertEqual(sorted(status for status, _, _ in answers), [200] + [409] * (len(wishes) - 1))
            for status, answer, headers in answers:
                if status == 409:
                    self.problem(answer, 409, 'conflict', headers)
            winner = wishes[[status for status, _, _ in answers].index(200)]
            self.assertEqual(self.stored('race')[0], winner)
            self.assertEqual(len(self.events('race')), turn + 1)
            self.assertEqual(self.put(wishes[0], headers={'If-Match': etag})[0], 409)
        self.assertEqual(self.put(document, headers={'If-Match': f'"0", {self.stored("race")[1]}'})[0], 200)
        self.assertEqual(self.put(document, headers={'If-Match': '*'})[0], 200)

    def test_what_another_changed_meanwhile_is_not_lost(self):
        """Between the command's own read and its write, and since a dry run."""
        document = self.cluster('meanwhile', '10.33.0')
        wish = lambda number: document | {'controlPlaneEndpoint': f'10.33.0.{number}:6443'}
        socket = f"unix://{self.service.state / 'run' / 'ensignd.sock'}"

        def other_first(method, path, body):
            if method == 'GET':  # which was answered
                self.assertEqual(self.put(wish(90))[0], 200)
            return body

        with relay(self.service, other_first) as server:
            said = self.update(wish(91), '--server', server, code=CONFLICT).stderr
        self.assertIn('look at it again', said)
        self.assertEqual(self.stored('meanwhile')[0], wish(90))
        said = self.update(wish(92), '--dry-run', '--server', socket).stderr
        tag = re.search(r'--if-match (\w+)\n', said).group(1)
        self.update(wish(92), '--if-match', tag)
        self.assertEqual(self.stored('meanwhile')[0], wish(92))
        self.update(wish(93), '--if-match', tag, code=CONFLICT)
        self.update(wish(93), '--if-match', '*', code=USAGE)
        self.assertEqual(self.stored('meanwhile')[0], wish(92))
        self.update(wish(93))
        self.assertEqual(self.stored('meanwhile')[0], wish(93))

    def test_nothing_is_issued_by_the_inventory_before(self):
        """The log has each update and each certificate in their order: those behind an update are as it says."""
        document = self.cluster('order2', '10.29.0')
        stop, failed = threading.Event(), []

        def issuer(_):
            client = Client(self.service, self.service.context_file)
            denied = 0
            while not stop.is_set():
                status, answer = issue(client, der.request(Key()), cluster='order2', node='etcdone')
                denied += status == 403
                if status not in (201, 403):
                    failed.append(answer)
            client.connection.close()
            return denied

        with concurrent.futures.ThreadPoolExecutor(ISSUERS) as pool:
            counts = [pool.submit(issuer, number) for number in range(ISSUERS)]
            try:
                for turn in range(UPDATES):
                    self.turn(document, turn)
            finally:
                stop.set()
            denied = sum(count.result() for count in counts)
        self.assertEqual(failed, [])
        self.assertGreater(denied, 0)
        seen = self.check_order('order2')
        self.assertGreater(len([count for count in seen if count > 0]), UPDATES // 2, seen)

    def turn(self, document, turn):
        """Another address for etcdone; in each third turn it is removed."""
        wanted = copy.deepcopy(document)
        wanted['nodes'][0]['addresses'] = [f'10.29.1.{turn + 1}']
        if turn % 3 == 2:
            del wanted['nodes'][0]
        self.assertEqual(self.put(wanted)[0], 200)
        # The answer is there: what is asked for now is by this inventory.
        status, answer = issue(self.admin, der.request(Key()), cluster='order2', node='etcdone')
        self.assertEqual((status, answer.get('addresses')),
                         (403, None) if turn % 3 == 2 else (201, [f'10.29.1.{turn + 1}', '127.0.0.1', '::1']))

    def check_order(self, cluster):
        """Reads log and list; returns how many certificates there are between one update and the next."""
        listed = audit.certificates(self.admin, f'&cluster={cluster}')
        present, counts = '10.29.0.61', [0]
        for event in map(json.loads, audit.leaves(self.admin)):
            if event.get('cluster') != cluster:
                continue
            if event['event'] == 'cluster.updated':
                change, = [change for change in event['changes'] if change['path'].startswith('/nodes/etcdone')]
                after = change['after']
                present = after['addresses'][0] if isinstance(after, dict) else after[0] if after else None
                counts.append(0)
            elif event['event'] == 'certificate.issued':
                self.assertEqual(listed[event['serial']]['addresses'][0], present, event)
                counts[-1] += 1
        return counts

    def test_all_of_it_is_there_after_a_restart(self):
        document = self.cluster('again', '10.30.0')
        document['nodes'][0]['addresses'] = ['10.30.0.66']
        self.assertEqual(self.put(document)[0], 200)
        self.service.stop()
        self.service.start()
        self.admin.connection.close()
        self.admin.connection = None
        self.assertEqual(self.stored('again')[0], document)
        answer = self.issued(self.admin, der.request(Key()), cluster='again', node='etcdone')
        self.assertEqual(answer['addresses'][0], '10.30.0.66')
        document['nodes'][0]['addresses'] = ['10.30.0.67']
        self.assertEqual(self.put(document)[0], 200)
        answer = self.issued(self.admin, der.request(Key()), cluster='again', node='etcdone')
        self.assertEqual(answer['addresses'][0], '10.30.0.67')


if __name__ == '__main__':
    unittest.main()
