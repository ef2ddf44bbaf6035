"""Control planes that share sa.key: a race, custodians killed at each step, sealing keys and envelopes put in the place
of others, recovery, and that nothing in the database or the log opens the key."""
import base64
import concurrent.futures
import os
import shutil
import stat
import time
import unittest

from lib import der
from lib.keys import Key
from lib.service import ENSIGN, Client, Service, run
from lib.sharing import CLAIM_SECONDS, NODES, PENDING, Case, Cluster, decoded, encoded, settle, spki_of

SENDS = (7, 8, 9, 10, 11, 12)  # of a sync that claims: behind its sealing key, …, behind its last request


class SharedKeys(Case):
    def same_key(self, cluster, nodes=NODES):
        keys = {cluster.key_file(node).read_bytes() for node in nodes}
        self.assertEqual(len(keys), 1)
        answer = cluster.show()
        for node in nodes:
            self.assertEqual(spki_of(cluster.key_file(node)), cluster.key_file(node).with_suffix('.pub').read_text())
            self.assertEqual(stat.S_IMODE(cluster.key_file(node).stat().st_mode), 0o600)
        public = der.pem_der(cluster.key_file(nodes[0]).with_suffix('.pub').read_text())
        self.assertEqual(decoded(answer['spki']), public)
        self.assertLessEqual(set(nodes), {item['node'] for item in answer['nodes'] if item['holds']})
        return keys.pop()

    # ---- a race ----

    def test_three_enrol_at_once(self):
        cluster = Cluster(self.service, 'race')
        server = f'https://localhost:{self.service.port}'
        commands = {node: ['enroll', '--server', server, '--token-file', cluster.token(node), '--out', cluster.path(node),
                           '--root', cluster.root(node), '--timeout', '3s'] for node in NODES}
        for _ in range(4):
            with concurrent.futures.ThreadPoolExecutor() as pool:
                results = list(pool.map(lambda node: self.service.ensign(*commands[node], check=False), NODES))
            codes = [result.returncode for result in results]
            self.assertLessEqual(set(codes), {0, PENDING}, [result.stderr for result in results])
            if codes == [0, 0, 0]:
                break
        self.assertEqual(codes, [0, 0, 0])
        self.same_key(cluster)
        self.assertEqual(cluster.show()['generation'], 1)
        self.assertEqual(len([event for event in cluster.events() if event['event'] == 'shared_key.claimed']), 1)
        again = self.service.ensign(*commands['cpone']).stderr
        self.assertIn('sa: unchanged', again)

    def test_a_later_one_waits_for_who_has_it(self):
        cluster = Cluster(self.service, 'later')
        for node in NODES:
            cluster.identity(node)
        cluster.sync('cpone')
        result = cluster.sync('cptwo', False, timeout='1s')
        self.assertEqual(result.returncode, PENDING, result.stderr)
        self.assertIn('ensign shared-key sync', result.stderr)
        self.assertIn('(cpone)', result.stderr)
        self.assertFalse(cluster.key_file('cptwo').exists())
        cluster.sync('cpone')
        cluster.sync('cptwo')
        # Any holder seals: the custodian is gone.
        shutil.rmtree(cluster.path('cpone'))
        self.assertEqual(cluster.sync('cpthree', False, timeout='1s').returncode, PENDING)
        cluster.sync('cptwo')
        cluster.sync('cpthree')
        self.same_key(cluster, ('cptwo', 'cpthree'))

    def test_a_key_in_use_is_the_clusters_and_no_other_is_put_in_its_place(self):
        """Of a cluster that was there before: its first control plane proposes what its API server signs with. The
        second one has the same, and the third another one."""
        cluster = Cluster(self.service, 'inuse')
        in_use = Key().pem
        for node, pem in (('cpone', in_use), ('cptwo', in_use), ('cpthree', Key().pem)):
            cluster.identity(node)
            cluster.key_file(node).parent.mkdir(parents=True)
            os.chmod(cluster.root(node) / 'etc', 0o700)
            cluster.key_file(node).touch(0o600)
            cluster.key_file(node).write_bytes(pem)
        for node in ('cpone', 'cptwo'):
            cluster.sync(node)
        self.assertEqual(self.same_key(cluster, ('cpone', 'cptwo')), in_use)
        self.assertEqual(cluster.sync('cpthree', False, timeout='1s').returncode, PENDING)
        cluster.sync('cptwo')
        result = cluster.sync('cpthree', False)
        self.assertEqual(result.returncode, 6, result.stderr)
        self.assertIn('/etc/kubernetes/pki/sa.key: it was changed, or is from somebody else', result.stderr)
        cluster.service.ensign(*cluster.command('cpthree'), '--force')
        self.assertEqual(self.same_key(cluster), in_use)

    def test_a_key_in_use_is_the_clusters_after_a_custodian_died(self):
        cluster = Cluster(self.service, 'inherited')
        for node in NODES:
            cluster.identity(node)
        in_use = Key().pem
        cluster.key_file('cptwo').parent.mkdir(parents=True)
        os.chmod(cluster.root('cptwo') / 'etc', 0o700)
        cluster.key_file('cptwo').touch(0o600)
        cluster.key_file('cptwo').write_bytes(in_use)
        self.assertEqual(self.claimed(cluster, 'cpone')[0], 200)
        cluster.sync('cptwo', timeout='30s')
        self.assertEqual(self.same_key(cluster, ['cptwo']), in_use)

    # ---- custodians that die ----

    def die_at(self, point):
        """The events before cpone died there, or None when it was done; the others get a key, and cpone the same."""
        call, when = point
        cluster = Cluster(self.service, f'die-{call}-{when}')
        for node in NODES:
            cluster.identity(node)
        for node in NODES[1:]:
            cluster.publish(node)
        code, events = cluster.killed('cpone', call, when)
        if code == 0:
            return None
        settle(cluster, NODES[1:], rounds=8)
        first = self.same_key(cluster, NODES[1:])
        settle(cluster, NODES)
        self.assertEqual(self.same_key(cluster), first)
        return events

    def test_killed_at_each_step(self):
        """Before each request, and before each file is durable."""
        points = [('sendto', when) for when in SENDS] + [('fsync', when) for when in (1, 4, 6, 11)]
        with concurrent.futures.ThreadPoolExecutor(5) as pool:
            found = dict(zip(points, pool.map(self.die_at, points)))
        print('killed after', found)
        steps = {events[-1] for events in found.values() if events}
        self.assertLessEqual({'sealing_key.published', 'shared_key.claimed', 'shared_key.sealed', 'shared_key.held'}, steps)

    def claimed(self, cluster, node, expected=0):
        """As the node that claims and is killed before it seals."""
        key = Key()
        status, answer, _ = cluster.client(node).request(
            'PUT', f'/v1/clusters/{cluster.name}/shared-keys/sa',
            {'expected_generation': expected, 'spki': encoded(key.spki)})
        return status, answer, key

    def test_killed_after_the_claim(self):
        cluster = Cluster(self.service, 'claim')
        for node in NODES:
            cluster.identity(node)
        began = time.monotonic()
        self.assertEqual(self.claimed(cluster, 'cpone')[0], 200)
        status, answer, _ = self.claimed(cluster, 'cptwo')
        self.assertEqual((status, answer['code']), (409, 'conflict'))
        status, answer, _ = self.claimed(cluster, 'cptwo', 1)  # too early
        self.assertEqual((status, answer['code']), (409, 'conflict'))
        cluster.sync('cptwo', timeout='30s')
        self.assertGreater(time.monotonic() - began, CLAIM_SECONDS - 1)
        self.assertEqual(cluster.show()['generation'], 2)
        events = [event for event in cluster.events() if event['event'] == 'shared_key.taken_over']
        self.assertEqual([(event['actor'], event['custodian_before']) for event in events], [('node cptwo', 'cpone')])
        status, answer, _ = self.claimed(cluster, 'cpthree', 2)  # held: nobody takes it over any more
        self.assertEqual((status, answer['code']), (409, 'conflict'))
        settle(cluster)
        self.same_key(cluster)

    # ---- who lies ----

    def test_a_sealing_key_that_the_node_did_not_sign(self):
        cluster = Cluster(self.service, 'lies')
        for node in NODES:
            cluster.identity(node)
        cluster.sync('cptwo')
        self.assertEqual(cluster.sync('cpthree', False, timeout='1s').returncode, PENDING)
        liar = Key()
        pair = os.urandom(32)
        status, _, _ = cluster.client('cpone').request('PUT', '/v1/clusters/lies/sealing-key',
                                                       {'public_key': encoded(pair), 'signature': encoded(liar.sign(pair))})
        self.assertEqual(status, 200)
        result = cluster.sync('cptwo', False)
        self.assertEqual(result.returncode, 1)
        self.assertIn('not signed by "cpone"', result.stderr)
        sealed = {item['node']: item['sealed'] for item in cluster.show()['nodes']}
        self.assertEqual(sealed, {'cpone': False, 'cptwo': False, 'cpthree': True})  # the others get theirs
        self.assertEqual(cluster.sync('cpthree', False).returncode, 1)  # it has the key, and saw the lie, too
        self.assertTrue(cluster.key_file('cpthree').exists())
        cluster.sync('cpone', False, timeout='1s')  # which publishes its own, now signed
        cluster.sync('cptwo')
        cluster.sync('cpone')
        self.same_key(cluster)

    def test_envelopes_that_are_not_what_they_say(self):
        cluster = Cluster(self.service, 'forged')
        for node in NODES:
            cluster.identity(node)
        cluster.sync('cpone')
        self.assertEqual(cluster.sync('cptwo', False, timeout='1s').returncode, PENDING)
        key = {item['node']: item['sealing_key'] for item in cluster.show()['nodes']}['cptwo']
        envelope = {'receiver': 'cptwo', 'sealing_key': key, 'sealed': encoded(os.urandom(400)), 'signature': 'AAAA'}
        path = '/v1/clusters/forged/shared-keys/sa/envelopes'
        for wrong, code in (({'receiver': 'cpthree'}, 400), ({'receiver': 'worker'}, 400), ({'receiver': 'etcd'}, 400),
                            ({'receiver': '@recovery'}, 400), ({'sealing_key': encoded(os.urandom(32))}, 409)):
            status, answer, _ = cluster.client('cpone').post(path, {'generation': 1, 'envelopes': [envelope | wrong]})
            self.assertEqual(status, code, answer)
        for node, generation, code in (('cpthree', 1, 409), ('cptwo', 1, 409), ('cpone', 2, 409), ('cpone', 1, 200)):
            status, answer, _ = cluster.client(node).post(path, {'generation': generation, 'envelopes': [envelope]})
            self.assertEqual(status, code, answer)
        result = cluster.sync('cptwo', False)
        self.assertEqual(result.returncode, 1)
        self.assertIn('not signed by "cpone"', result.stderr)
        self.assertFalse(cluster.key_file('cptwo').exists())

    def test_of_what_is_not_there_nobody_is_a_holder(self):
        cluster = Cluster(self.service, 'held')
        for node in NODES:
            cluster.identity(node)
        cluster.sync('cpone')
        self.assertEqual(cluster.sync('cptwo', False, timeout='1s').returncode, PENDING)
        path = '/v1/clusters/held/shared-keys/sa/acknowledgement'
        self.assertEqual(cluster.client('cpthree').post(path, {'generation': 1})[0], 409)  # has no sealing key
        self.assertEqual(cluster.client('cpone').post(path, {'generation': 2})[0], 409)

    # ---- who may read ----

    def test_envelopes_are_for_their_receivers(self):
        public = run(ENSIGN, 'recovery', 'keygen', self.service.folder / 'readers.key').stdout.strip()
        cluster = Cluster(self.service, 'readers', public)
        for node in NODES:
            cluster.identity(node)
        cluster.sync('cpone')
        self.assertEqual(cluster.sync('cptwo', False, timeout='1s').returncode, PENDING)
        cluster.sync('cpone')
        self.service.ensign('identity', 'create', 'reader', '--role', 'auditor', '--out', self.service.folder / 'reader')
        shown = {'cptwo': True, 'cpthree': False, 'cpone': False}
        for node, has in shown.items():
            self.assertEqual(cluster.show(cluster.client(node))['envelope'] is not None, has, node)
        self.assertIsNone(cluster.show(Client(self.service, self.service.folder / 'reader'))['envelope'])
        self.assertIsNotNone(cluster.show()['envelope'])  # the offline receiver's

    # ---- recovery, and what nobody finds ----

    def test_recovery_opens_and_nothing_else_does(self):
        secret = self.service.folder / 'recovery.key'
        public = run(ENSIGN, 'recovery', 'keygen', secret).stdout.strip()
        self.assertEqual(stat.S_IMODE(secret.stat().st_mode), 0o600)
        cluster = Cluster(self.service, 'recovery', public)
        cluster.identity('cpone')
        cluster.sync('cpone')
        key = cluster.key_file('cpone').read_bytes()
        out = self.service.folder / 'recovered.key'
        arguments = ['recovery', 'open', '--cluster', 'recovery', '--name', 'sa', '--key-file']
        self.service.ensign(*arguments, secret, '--out', out)
        self.assertEqual(out.read_bytes(), key)
        other = self.service.folder / 'other.key'
        run(ENSIGN, 'recovery', 'keygen', other)
        result = self.service.ensign(*arguments, other, '--out', self.service.folder / 'no.key', check=False)
        self.assertEqual(result.returncode, 1)
        self.assertIn('not signed', result.stderr)
        # A recovered key is handed on from a control plane.
        shutil.rmtree(cluster.path('cpone'))
        cluster.identity('cptwo')
        self.assertEqual(cluster.sync('cptwo', False, timeout='1s').returncode, PENDING)
        shutil.copy(out, cluster.path('cptwo') / 'shared/sa.key')
        cluster.sync('cptwo')
        self.assertEqual(cluster.key_file('cptwo').read_bytes(), key)

    def test_the_service_never_sees_the_key(self):
        cluster = Cluster(self.service, 'canary')
        for node in NODES:
            cluster.identity(node)
        settle(cluster)
        canaries = [der.pem_der(self.same_key(cluster).decode())]
        canaries += [decoded((cluster.path(node) / 'sealing.key').read_text().strip()) for node in NODES]
        scalar = canaries[0][7:39]  # of an ECPrivateKey (RFC 5915), which holds the public key, too
        stored = [self.service.state / 'data.mdb', self.service.folder / 'ensignd.log']
        public = cluster.show()['spki']
        self.assertIn(decoded(public), stored[0].read_bytes())  # it would be found
        for path in stored:
            data = path.read_bytes()
            for secret in (scalar, *canaries[1:]):
                for form in (secret, secret.hex().encode(), encoded(secret).encode(), base64.b64encode(secret)):
                    self.assertNotIn(form, data, path)


class OldCopy(unittest.TestCase):
    def test_no_key_is_made_from_an_old_copy(self):
        """A20, F11: the copy does not know that there is a key: nobody makes a second one before an admin knows."""
        with Service().init().start() as service:
            service.folder.chmod(0o700)
            cluster, data = Cluster(service, 'lab'), service.state / 'data.mdb'
            for node in ('cpone', 'cptwo'):
                cluster.identity(node)
                cluster.publish(node)
            service.stop()
            old = data.read_bytes()
            service.start()
            cluster.sync('cpone')
            newest = Client(service).get('/v1/audit/checkpoint')[1].decode()
            service.stop()
            data.write_bytes(old)
            service.start('/livez')
            admin, two = Client(service, service.context_file), cluster.client('cptwo')
            path = '/v1/clusters/lab/shared-keys/sa'
            claim = {'expected_generation': 0, 'spki': encoded(Key().spki)}
            status, answer, _ = admin.post('/v1/audit/witness', {'checkpoint': newest})
            self.assertEqual((status, answer['state']), (200, 'not_in_log'))
            status, answer, headers = two.request('PUT', path, claim)
            self.assertEqual((status, answer.get('code')), (503, 'restored'), answer)
            self.assertGreater(int(headers['Retry-After']), 0)
            self.assertEqual(cluster.show(admin)['generation'], 0)
            entries = admin.get('/v1/restore')[1]['entries']
            self.assertEqual(admin.post('/v1/restore/acknowledgement', {'entries': entries})[0], 200)
            status, answer, _ = two.request('PUT', path, claim)  # the control
            self.assertEqual((status, cluster.show(admin)['generation']), (200, 1), answer)


if __name__ == '__main__':
    unittest.main(warnings='ignore')
