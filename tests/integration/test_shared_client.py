"""Control planes that share apiserver-etcd-client: one key and one certificate on all, whoever dies; its renewal; who may
not have it; and keys that an admin has made anew."""
import concurrent.futures
import shutil
import stat
import time
import unittest

from lib import der
from lib.keys import Key
from lib.service import Client, run
from lib.sharing import NODES, PENDING, Case, Cluster, encoded, settle, spki_of
from lib.world import issue

NAME = 'apiserver-etcd-client'
PKI = 'etc/kubernetes/pki'
USAGE, DENIED, CONFLICT = 2, 3, 6
STEPS = {'shared_key.claimed', 'certificate.issued', 'shared_key.sealed', 'shared_key.held'}
RENEWAL_STEPS = {'shared_key.renewed', 'certificate.issued', 'shared_key.sealed', 'shared_key.held'}
# Of a first sync behind its sealing key, and of a renewal: requests before which they are killed; found by counting.
SENDS = range(10, 16)
RENEWAL_SENDS = range(9, 15)


class SharedClient(Case):
    def cluster(self, name, **more):
        cluster = Cluster(self.service, name, shared=True, **more)
        for node in NODES:
            cluster.identity(node)
        return cluster

    def holding(self, name, **more):
        cluster = self.cluster(name, **more)
        settle(cluster, NODES[:1])
        for node in NODES[1:]:
            cluster.publish(node)
        settle(cluster)
        return cluster

    def pair(self, cluster, node):
        folder = cluster.root(node) / PKI
        return (folder / f'{NAME}.key').read_text(), (folder / f'{NAME}.crt').read_text()

    def matched(self, cluster, node):
        """What is installed there, which must be the key of the certificate, of the cluster's CA for etcd."""
        key, certificate = self.pair(cluster, node)
        folder = cluster.root(node) / PKI
        self.assertEqual(run('openssl', 'x509', '-noout', '-pubkey', input=certificate).stdout, spki_of(folder / f'{NAME}.key'))
        bundle = cluster.folder / 'etcd-ca.crt'
        self.service.ensign('ca', 'bundle', '--cluster', cluster.name, '--authority', 'etcd-ca', '--out', bundle)
        run('openssl', 'verify', '-purpose', 'sslclient', '-CAfile', bundle, folder / f'{NAME}.crt')
        self.assertEqual([stat.S_IMODE((folder / f'{NAME}.{kind}').stat().st_mode) for kind in ('key', 'crt')], [0o600, 0o644])
        return key, certificate

    def same_pair(self, cluster, nodes=NODES):
        pairs = {self.matched(cluster, node) for node in nodes}
        self.assertEqual(len(pairs), 1)
        self.assertIn(pairs.copy().pop()[1], cluster.show(name=NAME)['certificate']['chain'])
        return pairs.pop()

    def issued(self, cluster):
        return [event for event in cluster.events() if event['event'] == 'certificate.issued' and event['profile'] == NAME]

    # ---- enrolment alone ----

    def test_three_enrol_at_once(self):
        cluster = Cluster(self.service, 'race', shared=True)
        codes = []
        for _ in range(4):
            with concurrent.futures.ThreadPoolExecutor() as pool:
                results = list(pool.map(lambda node: cluster.enroll(node, check=False), NODES))
            codes = [result.returncode for result in results]
            self.assertLessEqual(set(codes), {0, PENDING}, [result.stderr for result in results])
            if codes == [0, 0, 0]:
                break
        self.assertEqual(codes, [0, 0, 0])
        self.same_pair(cluster)
        self.assertEqual(len(self.issued(cluster)), 1)
        shown = self.service.ensign('cluster', 'certificates', cluster.name).stdout.splitlines()
        lines = [line.split() for line in shown if NAME in line]
        self.assertEqual([(line[0], line[2]) for line in lines], [(node, 'ok') for node in NODES])
        self.assertEqual(len({line[4] for line in lines}), 1)
        self.assertNotIn('extra', ' '.join(shown))

    def test_a_later_one_waits_until_it_is_sealed(self):
        cluster = Cluster(self.service, 'later', shared=True)
        cluster.enroll('cpone')
        result = cluster.enroll('cptwo', timeout='1s', check=False)
        self.assertEqual(result.returncode, PENDING)
        self.assertIn('run `ensign shared-key sync` on one that has it (cpone)', result.stderr)
        files = lambda: {path.name for path in (cluster.root('cptwo') / PKI).iterdir() if path.is_file()}
        shared = {f'{NAME}.key', f'{NAME}.crt', 'sa.key', 'sa.pub'}
        self.assertLessEqual({'apiserver.crt', 'ca.crt', 'front-proxy-client.key'}, files())
        self.assertFalse(files() & shared)
        with concurrent.futures.ThreadPoolExecutor() as pool:
            waiting = pool.submit(cluster.enroll, 'cptwo', '60s')
            began = time.monotonic()
            cluster.sync('cpone')
            self.assertEqual(waiting.result().returncode, 0)
        self.assertLess(time.monotonic() - began, 30)
        self.assertLessEqual(shared, files())
        self.same_pair(cluster, NODES[:2])
        self.assertIn(f'{NAME}: unchanged', cluster.enroll('cptwo').stderr)

    def test_a_pair_that_is_not_ours_is_left_alone(self):
        cluster = self.cluster('foreign')
        folder = cluster.root('cpone') / PKI
        folder.mkdir(parents=True)
        (cluster.root('cpone') / 'etc').chmod(0o755)
        (folder / f'{NAME}.key').write_bytes(Key().pem)
        result = cluster.sync('cpone', False)
        self.assertEqual(result.returncode, CONFLICT, result.stderr)
        self.assertIn(f'/{PKI}/{NAME}.key: it was changed, or is from somebody else', result.stderr)
        self.assertEqual(cluster.show(name=NAME)['generation'], 0)
        self.assertTrue((folder / 'sa.key').exists())  # which it keeps nothing from
        (folder / f'{NAME}.key').unlink()
        cluster.sync('cpone')
        pair = self.same_pair(cluster, NODES[:1])
        (folder / f'{NAME}.crt').write_text(f'edited {pair[1][7:]}')
        result = self.service.ensign(*cluster.command('cpone', what=('renew', NAME)), check=False)
        self.assertEqual(result.returncode, CONFLICT, result.stderr)
        self.assertEqual(cluster.show(name=NAME)['generation'], 1)

    # ---- custodians that die ----

    def die_at(self, when):
        cluster = self.cluster(f'die-{when}')
        for node in NODES[1:]:
            cluster.publish(node)
        code, events = cluster.killed('cpone', 'sendto', when)
        settle(cluster, NODES[1:], rounds=10)
        first = self.same_pair(cluster, NODES[1:])
        settle(cluster)
        self.assertEqual(self.same_pair(cluster), first)
        serials = {event['serial'] for event in self.issued(cluster)}
        self.assertIn(cluster.show(name=NAME)['certificate']['serial'], serials)
        self.assertEqual(len(serials), cluster.show(name=NAME)['generation'] if 'certificate.issued' in events else 1)
        return code, events

    def test_killed_before_each_request(self):
        with concurrent.futures.ThreadPoolExecutor(5) as pool:
            found = dict(zip(SENDS, pool.map(self.die_at, SENDS)))
        print('killed after', {when: events[-1:] for when, (_, events) in found.items()})
        self.assertLessEqual(STEPS, {events[-1] for _, events in found.values() if events})

    def renewal_dies_at(self, when):
        """What is installed is a pair at each moment but one; in the end all have the same."""
        cluster = self.holding(f'renew-{when}')
        old = self.same_pair(cluster)
        code, events = cluster.killed('cpone', 'sendto', when, what=('renew', NAME))
        for node in NODES[1:]:
            self.assertEqual(self.pair(cluster, node), old)
        settle(cluster, NODES[1:], rounds=10)
        settle(cluster, rounds=10)
        new = self.same_pair(cluster)
        self.assertEqual(new != old, 'shared_key.renewed' in events)
        if new != old:
            self.assertNotEqual(new[0], old[0])
        return code, events

    def test_renewals_killed_before_each_request(self):
        with concurrent.futures.ThreadPoolExecutor(5) as pool:
            found = dict(zip(RENEWAL_SENDS, pool.map(self.renewal_dies_at, RENEWAL_SENDS)))
        print('killed after', {when: events[-1:] for when, (_, events) in found.items()})
        self.assertLessEqual(RENEWAL_STEPS, {events[-1] for _, events in found.values() if events})

    # ---- renewal ----

    def test_a_holder_renews_for_all(self):
        cluster = self.holding('renewal')
        old = self.same_pair(cluster)
        sa = cluster.key_file('cpone').read_bytes()
        with concurrent.futures.ThreadPoolExecutor() as pool:  # two at once
            results = list(pool.map(lambda node: self.service.ensign(*cluster.command(node, what=('renew', NAME)), check=False),
                                    NODES[:2]))
        self.assertLessEqual({result.returncode for result in results}, {0, PENDING}, [r.stderr for r in results])
        settle(cluster)
        new = self.same_pair(cluster)
        self.assertNotEqual(new[0], old[0])
        self.assertEqual(cluster.key_file('cpthree').read_bytes(), sa)
        self.assertEqual(len(self.issued(cluster)), cluster.show(name=NAME)['generation'])
        # A node that is new gets the newest.
        shutil.rmtree(cluster.path('cpthree'))
        shutil.rmtree(cluster.root('cpthree'))
        (cluster.folder / 'cpthree.token').unlink()
        cluster.identity('cpthree')
        settle(cluster)
        self.assertEqual(self.same_pair(cluster), new)
        result = self.service.ensign(*cluster.command('cpone', what=('renew', 'sa')), check=False)
        self.assertEqual(result.returncode, USAGE)
        self.assertIn('no certificate', result.stderr)

    # ---- who may not ----

    def put(self, cluster, node, expected, key, name=NAME):
        return cluster.client(node).request('PUT', f'/v1/clusters/{cluster.name}/shared-keys/{name}',
                                            {'expected_generation': expected, 'spki': encoded(key.spki)})[:2]

    def certify(self, cluster, node, key, name=NAME):
        return cluster.client(node).post(f'/v1/clusters/{cluster.name}/shared-keys/{name}/certificate',
                                         {'csr': der.request(key)})[:2]

    def test_others_than_control_planes_get_nothing(self):
        cluster = self.holding('strangers')
        for node in ('etcd', 'worker'):
            cluster.identity(node)
            client = cluster.client(node)
            path = f'/v1/clusters/{cluster.name}/shared-keys/{NAME}'
            self.assertEqual(client.get(path)[0], 403)
            self.assertEqual(self.put(cluster, node, 1, Key())[0], 403)
            self.assertEqual(self.certify(cluster, node, Key())[0], 403)
            for tail, body in (('/acknowledgement', {'generation': 1}), ('/reset', {'generation': 1})):
                self.assertEqual(client.post(path + tail, body)[0], 403)
        self.assertEqual(cluster.client('cpone').post(path + '/reset', {'generation': 1})[0], 403)

    def test_a_second_certificate_is_refused(self):
        cluster = self.cluster('second')
        custodian, other = Key(), Key()
        ask = lambda key, node: issue(cluster.admin, der.request(key), NAME, 'second', node=node)
        status, answer = ask(other, 'cptwo')
        self.assertEqual(status, 403)
        self.assertIn('none has claimed its key yet', answer['errors'][0]['detail'])
        self.assertEqual(self.certify(cluster, 'cpone', custodian)[0], 403)
        self.assertEqual(self.put(cluster, 'cpone', 0, custodian)[0], 200)
        for status, answer in (self.certify(cluster, 'cptwo', other), self.certify(cluster, 'cptwo', custodian),
                               ask(other, 'cptwo')):
            self.assertEqual((status, answer['code']), (403, 'policy_denied'))
            self.assertIn('"cpone" is its custodian', ' '.join(error['detail'] for error in answer['errors']))
        self.assertEqual(self.certify(cluster, 'cpone', other)[0], 403)
        self.assertEqual(ask(other, 'cpone')[0], 403)
        status, answer = self.certify(cluster, 'cpone', custodian)
        self.assertEqual(status, 200, answer)
        self.assertEqual(self.certify(cluster, 'cpone', custodian)[1]['certificate'], answer['certificate'])
        self.assertEqual(len(self.issued(cluster)), 1)
        # The key is cpone's: for nothing else can another node have it.
        status, answer = issue(cluster.admin, der.request(custodian), 'front-proxy-client', 'second', node='cptwo')
        self.assertEqual((status, answer['code']), (403, 'policy_denied'))
        self.assertEqual(cluster.client('cpone').post('/v1/clusters/second/shared-keys/sa/certificate',
                                                      {'csr': der.request(Key())})[0], 404)

    def test_a_key_of_another_is_not_certified(self):
        cluster = self.cluster('stolen')
        theirs = Key(pem=(cluster.path('cptwo') / 'node-identity/tls.key').read_bytes())
        self.assertEqual(self.put(cluster, 'cpone', 0, theirs)[0], 200)
        status, answer = self.certify(cluster, 'cpone', theirs)
        self.assertEqual((status, answer['code']), (403, 'policy_denied'))
        self.assertIn('belongs to another node', answer['errors'][0]['detail'])

    def test_generations_are_for_holders_and_certificates(self):
        cluster = self.cluster('generations')
        cluster.sync('cpone')
        self.assertEqual(self.put(cluster, 'cptwo', 1, Key())[0], 409)  # which holds nothing
        self.assertEqual(self.put(cluster, 'cpone', 1, Key(), 'sa')[0], 409)  # every token is signed with it
        self.assertEqual(self.put(cluster, 'cpone', 0, Key())[0], 409)
        same = Key(pem=(cluster.path('cpone') / f'shared/{NAME}.key').read_bytes())
        self.assertEqual(self.put(cluster, 'cpone', 1, same)[0], 409)
        self.assertEqual(self.put(cluster, 'cpone', 1, Key())[0], 200)
        self.assertEqual(self.put(cluster, 'cpone', 1, Key())[0], 409)
        answer = cluster.show(name=NAME)
        self.assertEqual((answer['generation'], answer['held'], answer['certificate']), (2, False, None))
        path = f'/v1/clusters/generations/shared-keys/{NAME}'
        self.assertEqual(cluster.client('cpone').post(path + '/acknowledgement', {'generation': 2})[0], 409)  # no certificate
        settle(cluster, rounds=10)
        self.same_pair(cluster)

    # ---- revoked ----

    def test_what_is_revoked_is_made_anew_by_a_reset_alone(self):
        """No holder renews it, and the node that is new does not install it; then all have another."""
        cluster = self.holding('revoked')
        pair = self.same_pair(cluster)
        shown = cluster.show(name=NAME)
        serial, custodian = shown['certificate']['serial'], shown['custodian']
        key = Key(pem=(cluster.path(custodian) / f'shared/{NAME}.key').read_bytes())
        path, remedy = f'/v1/certificates/{serial}/revocation', f'ensign shared-key reset {NAME} --cluster revoked'
        self.assertEqual(self.certify(cluster, custodian, key)[0], 200)  # the control
        self.assertEqual(cluster.admin.post(path, {'reason': 'superseded'})[0], 200)
        status, answer = self.certify(cluster, custodian, key)
        self.assertEqual((status, answer['code'], 'ensign shared-key reset' in answer['detail']), (403, 'policy_denied', True))
        for node in NODES:
            status, answer = self.put(cluster, node, 1, Key())
            self.assertEqual((status, remedy in answer['detail']), (409, True), answer)
            for result in (self.service.ensign(*cluster.command(node, what=('renew', NAME)), check=False),
                           cluster.sync(node, False)):
                self.assertEqual(result.returncode, PENDING, result.stderr)
                self.assertIn(remedy, result.stderr)
        shutil.rmtree(cluster.path('cpthree') / NAME)
        for kind in ('key', 'crt'):
            (cluster.root('cpthree') / PKI / f'{NAME}.{kind}').unlink()
        self.assertEqual(cluster.enroll('cpthree', check=False).returncode, PENDING)
        self.assertFalse((cluster.root('cpthree') / PKI / f'{NAME}.crt').exists())
        lines = [line.split() for line in self.service.ensign('cluster', 'certificates', 'revoked').stdout.splitlines()
                 if NAME in line]
        self.assertEqual([line[2] for line in lines], ['missing'] * 3)
        self.reset(cluster, NAME, '--yes')
        settle(cluster)
        new = self.same_pair(cluster)
        self.assertNotIn(new[0], pair)
        self.assertEqual(cluster.show(name=NAME)['certificate']['state'], 'valid')
        self.service.ensign(*cluster.command('cptwo', what=('renew', NAME)))  # as before
        settle(cluster)
        self.assertNotEqual(self.same_pair(cluster), new)

    def test_a_node_that_goes_takes_nothing_from_the_others(self):
        """All of the node that the pair was issued through is revoked, and the pair is not; by its profile it is."""
        cluster = self.holding('leaving')
        custodian, revocations = cluster.show(name=NAME)['custodian'], '/v1/clusters/leaving/revocations'
        self.assertEqual(custodian, self.issued(cluster)[0]['node'])
        gone = cluster.admin.post(revocations, {'reason': 'cessationOfOperation', 'node': custodian})[1]['items']
        self.assertIn('node-identity', {item['profile'] for item in gone})
        self.assertNotIn(NAME, {item['profile'] for item in gone})
        self.assertEqual(cluster.show(name=NAME)['certificate']['state'], 'valid')
        left = [node for node in NODES if node != custodian]
        self.service.ensign(*cluster.command(left[0], what=('renew', NAME)))
        settle(cluster, left)
        self.same_pair(cluster, left)
        by_profile = {'reason': 'cessationOfOperation', 'node': left[0], 'profile': NAME}
        self.assertEqual(len(cluster.admin.post(revocations, by_profile)[1]['items']), 1)

    def test_nothing_is_sealed_for_a_node_whose_identity_was_revoked(self):
        cluster = self.holding('sealed')
        listed = lambda: {node['node'] for node in cluster.show(name=NAME)['nodes']}
        self.assertEqual(listed(), set(NODES))
        serial = run('openssl', 'x509', '-noout', '-serial', '-in', cluster.path('cpthree') / 'node-identity/tls.crt').stdout
        path = f'/v1/certificates/{serial.strip()[7:].lower()}/revocation'
        self.assertEqual(cluster.admin.post(path, {'reason': 'keyCompromise'})[0], 200)
        self.assertEqual(listed(), set(NODES[:2]))
        self.service.ensign(*cluster.command('cpone', what=('renew', NAME)))
        settle(cluster, NODES[:2])
        self.same_pair(cluster, NODES[:2])
        (cluster.folder / 'cpthree.token').unlink()
        self.assertIn('was revoked', cluster.enroll('cpthree', check=False).stderr)
        settle(cluster)
        self.same_pair(cluster)

    # ---- reset ----

    def reset(self, cluster, name, *more, check=True, **options):
        return self.service.ensign('shared-key', 'reset', name, '--cluster', cluster.name, *more, check=check, **options)

    def test_an_admin_has_a_lost_key_made_anew(self):
        cluster = self.holding('lost')
        old, pair = cluster.key_file('cpone').read_bytes(), self.same_pair(cluster)
        self.assertEqual(self.reset(cluster, 'sa', check=False, input='no\n').returncode, USAGE)
        self.assertEqual(cluster.show()['generation'], 1)
        self.assertTrue(cluster.show()['held'])
        self.assertIn('token of a service account', self.reset(cluster, 'sa', input='sa\n').stderr)
        answer = cluster.show()
        self.assertEqual((answer['generation'], answer['held'], answer['custodian']), (1, False, None))
        self.reset(cluster, 'sa', '--yes')  # again: nothing
        path = '/v1/clusters/lost/shared-keys/sa'
        self.assertEqual(cluster.client('cptwo').post(path + '/acknowledgement', {'generation': 1})[0], 409)
        known = Key(pem=(cluster.path('cptwo') / 'shared/sa.key').read_bytes())
        self.assertEqual(self.put(cluster, 'cptwo', 1, known, 'sa')[0], 409)
        settle(cluster)
        keys = {cluster.key_file(node).read_bytes() for node in NODES}
        self.assertEqual((len(keys), old in keys, cluster.show()['generation']), (1, False, 2))
        self.assertEqual(self.same_pair(cluster), pair)
        events = [event for event in cluster.events() if event['event'] == 'shared_key.reset']
        self.assertEqual([(event['key'], event['generation'], event['custodian_before']) for event in events],
                         [('sa', 1, 'cpone')])
        self.reset(cluster, NAME, '--yes')
        settle(cluster)
        self.assertNotEqual(self.same_pair(cluster), pair)
        self.assertEqual(cluster.admin.post(path + '/reset', {'generation': 1})[0], 409)

    def test_nothing_is_lost_before_it_is_made(self):
        cluster = Cluster(self.service, 'unmade')
        self.assertEqual(self.reset(cluster, 'sa', '--yes', check=False).returncode, CONFLICT)
        self.assertEqual(self.reset(cluster, NAME, '--yes', check=False).returncode, 1)  # which it does not share
        self.assertEqual(cluster.admin.get(f'/v1/clusters/unmade/shared-keys/{NAME}')[0], 404)


if __name__ == '__main__':
    unittest.main(warnings='ignore')
