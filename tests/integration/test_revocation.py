"""Revoking: the record, the CRL that lists it, who may, what is not renewed any more, Kubernetes' webhook, and what
happens when the signer is away or all are killed before the CRL is there."""
import base64
import concurrent.futures
import hashlib
import json
import os
import re
import signal
import time
import unittest

import jsonschema

from lib import audit, der
from lib.keys import Key, openssl
from lib.service import ENSIGND, Client, run, wait_for
from lib.world import Case, issue

CRL = '/v1/clusters/{}/authorities/{}/crl'
ROWS_MIN = 2000  # that a CRL must take

# Of authorization.k8s.io/v1, as k8s.io/api has it.
TEXTS = {'type': 'array', 'items': {'type': 'string'}}
REVIEW = {
    'type': 'object', 'required': ['apiVersion', 'kind', 'spec', 'status'], 'additionalProperties': False,
    'properties': {
        'apiVersion': {'const': 'authorization.k8s.io/v1'}, 'kind': {'const': 'SubjectAccessReview'},
        'metadata': {'type': 'object'},
        'spec': {'type': 'object', 'additionalProperties': False, 'properties': {
            'resourceAttributes': {'type': 'object', 'additionalProperties': {'type': 'string'}},
            'nonResourceAttributes': {'type': 'object', 'additionalProperties': {'type': 'string'}},
            'user': {'type': 'string'}, 'groups': TEXTS, 'uid': {'type': 'string'},
            'extra': {'type': 'object', 'additionalProperties': TEXTS}}},
        'status': {'type': 'object', 'required': ['allowed'], 'additionalProperties': False, 'properties': {
            'allowed': {'type': 'boolean'}, 'denied': {'type': 'boolean'}, 'reason': {'type': 'string'},
            'evaluationError': {'type': 'string'}}}}}


def review(*credentials, **spec):
    return {'apiVersion': 'authorization.k8s.io/v1', 'kind': 'SubjectAccessReview', 'metadata': {'creationTimestamp': None},
            'spec': {'resourceAttributes': {'namespace': 'default', 'verb': 'get', 'resource': 'pods'}, 'user': 'jane',
                     'groups': ['manager', 'system:authenticated'],
                     'extra': {'authentication.kubernetes.io/credential-id': list(credentials)}, **spec}}


def credential(pem):
    return 'X509SHA256=' + hashlib.sha256(der.pem_der(pem)).hexdigest()


class Crl:
    """As openssl reads it."""

    def __init__(self, data):
        self.der = data
        text = openssl('crl', '-inform', 'DER', '-noout', '-text', data=data).decode()
        self.number = int(re.search(r'CRL Number: *\n +(\S+)', text).group(1), 0)
        self.serials = {serial.lower().zfill(40) for serial in re.findall(r'Serial Number: ([0-9A-F]+)', text)}
        self.reasons = re.findall(r'Reason Code: *\n +(.*)', text)
        self.text = text


class Revocation(Case):
    def crl(self, authority='etcd-ca', cluster='vagrant', client=None):
        status, data, _ = (client or self.world.nobody()).get(CRL.format(cluster, authority))
        self.assertEqual(status, 200, data)
        return Crl(data)

    def revoke(self, serial, reason='keyCompromise', client=None, status=200):
        got, answer, _ = (client or self.admin).post(f'/v1/certificates/{serial}/revocation', {'reason': reason})
        self.assertEqual(got, status, answer)
        return answer

    def member(self, node='etcdone', profile='etcd-member', key=None):
        return self.issued(self.admin, der.request(key or Key()), profile, node=node)

    def events(self, name):
        return [event for event in map(json.loads, audit.leaves(self.admin)) if event['event'] == name]

    def state(self, serial):
        return self.admin.get(f'/v1/certificates/{serial}')[1]['state']

    # ---- one ----

    def test_there_is_a_crl_from_the_beginning(self):
        before = len(self.events('crl.signed'))
        self.world.create_cluster(name='young', network='10.7.0')
        self.crl('service-ca', 'ensign')
        for authority in ('etcd-ca', 'kubernetes', 'front-proxy-ca'):
            crl = self.crl(authority, 'young')
            self.assertEqual((crl.serials, 'Version 2' in crl.text), (set(), True))
            self.assertGreater(crl.number, 1_700_000_000)
        self.assertEqual(len(self.events('crl.signed')), before)

    def test_one(self):
        one, sibling = self.member()['serial'], self.member('etcdtwo')['serial']
        before = self.crl()
        answer = self.revoke(one)
        crl = self.crl()
        self.assertEqual((answer['serial'], answer['reason'], answer['crl_problem']), (one, 'keyCompromise', None))
        self.assertEqual(answer['crl']['number'], crl.number)
        self.assertGreater(crl.number, before.number)
        self.assertIn(one, crl.serials)
        self.assertNotIn(sibling, crl.serials)
        self.assertIn('Key Compromise', crl.reasons)
        self.assertEqual((self.state(one), self.state(sibling)), ('revoked', 'valid'))
        leaves = len(audit.leaves(self.admin))
        self.assertEqual(self.revoke(one, 'superseded'), answer)
        self.assertEqual(len(audit.leaves(self.admin)), leaves)
        self.assertIn(one, audit.certificates(self.admin, '&state=revoked'))
        self.assertEqual([event['serials'] for event in self.events('certificate.revoked')].count([one]), 1)

    def test_openssl_takes_it(self):
        good, bad = self.member(), self.member()
        self.revoke(bad['serial'])
        folder = self.world.service.folder
        files = {name: folder / name for name in ('bundle.pem', 'crl.pem', 'good.pem', 'bad.pem')}
        files['bundle.pem'].write_text(good['bundle'])
        status, pem, headers = self.world.nobody().get(CRL.format('vagrant', 'etcd-ca') + '?format=pem')
        self.assertEqual((status, headers['Content-Type']), (200, 'application/x-pem-file'))
        files['crl.pem'].write_bytes(pem)
        files['good.pem'].write_text(good['certificate'])
        files['bad.pem'].write_text(bad['certificate'])
        self.assertIn('verify OK', run('openssl', 'crl', '-in', files['crl.pem'], '-verify', '-noout', '-CAfile',
                                       files['bundle.pem']).stderr)
        other = folder / 'other.pem'
        other.write_bytes(self.world.nobody().get('/v1/clusters/vagrant/authorities/kubernetes/bundle')[1])
        self.assertNotIn('verify OK', run('openssl', 'crl', '-in', files['crl.pem'], '-verify', '-noout', '-CAfile', other,
                                          check=False).stderr)
        verify = lambda name: run('openssl', 'verify', '-x509_strict', '-crl_check', '-CRLfile', files['crl.pem'], '-CAfile',
                                  files['bundle.pem'], files[name], check=False)
        self.assertEqual(verify('good.pem').returncode, 0, verify('good.pem').stderr)
        self.assertIn('certificate revoked', verify('bad.pem').stderr)

    def test_agents_are_told(self):
        node = self.world.node_client('etcdthree')
        path = '/v1/clusters/vagrant/nodes/etcdthree/work?wait='
        before = node.get(path + '0')[1]
        numbers = lambda work: {crl['authority']: crl['number'] for crl in work['crls']}
        self.assertEqual(set(numbers(before)), {'etcd-ca', 'kubernetes', 'front-proxy-ca'})
        with concurrent.futures.ThreadPoolExecutor() as pool:
            waiting = pool.submit(node.get, f'{path}20&seen={before["revision"]}')
            self.revoke(self.member()['serial'])
            work = waiting.result()[1]
        self.assertGreater(numbers(work)['etcd-ca'], numbers(before)['etcd-ca'])

    def test_etag_and_formats(self):
        client = self.world.nobody()
        _, data, headers = client.get(CRL.format('vagrant', 'kubernetes'))
        self.assertEqual(headers['Content-Type'], 'application/pkix-crl')
        self.assertEqual(headers['ETag'], f'"{hashlib.sha256(data).hexdigest()}"')
        status, body, _ = client.request('GET', CRL.format('vagrant', 'kubernetes'), headers={'If-None-Match': headers['ETag']})
        self.assertEqual((status, body), (304, b''))
        self.refused(client, 'GET', CRL.format('vagrant', 'kubernetes') + '?format=txt', 400, 'invalid')
        self.refused(client, 'GET', CRL.format('none', 'kubernetes'), 404, 'not_found')

    def test_what_is_refused(self):
        serial = self.member()['serial']
        path = f'/v1/certificates/{serial}/revocation'
        for body in ({}, {'reason': 'certificateHold'}, {'reason': 1}, {'reason': 'superseded', 'more': 1}):
            with self.subTest(body):
                self.refused(self.admin, 'POST', path, 400, 'invalid', body)
        self.refused(self.admin, 'POST', f'/v1/certificates/{"0" * 40}/revocation', 404, 'not_found',
                     {'reason': 'superseded'})
        self.assertEqual(self.state(serial), 'valid')

    # ---- identities ----

    def test_identities_are_refused_at_once(self):
        operator = self.world.identity_client('operator', 'short-lived')
        node, other = self.world.node_client(), self.world.node_client('etcdtwo')
        for client in (operator, node, other):
            self.assertEqual(client.get('/v1/whoami')[0], 200)
        items = audit.certificates(self.admin)
        newest = lambda **what: max((item for item in items.values() if what.items() <= item.items()),
                                    key=lambda item: item['log_sequence'])['serial']
        who = self.world.identity_client('operator', 'who-revokes')
        mine = newest(identity='short-lived')
        self.assertEqual(self.revoke(mine, client=who, status=403)['code'], 'policy_denied')
        self.assertEqual(self.denials()[-1]['actor'], 'operator who-revokes')
        self.revoke(mine)
        self.revoke(newest(node='etcdone', profile='node-identity'), client=who)
        for client in (operator, node):
            answer = self.refused(client, 'GET', '/v1/whoami', 401, 'unauthenticated')  # on the connection that it had
            self.assertIn('revoked', answer['detail'])
        self.assertEqual(other.get('/v1/whoami')[0], 200)
        self.assertEqual(self.crl('service-ca', 'ensign').serials >= {mine}, True)

    def test_what_is_revoked_is_not_renewed(self):
        token, key = self.world.token_client('etcdthree'), Key()
        identity = self.issued(token, der.request(key), 'node-identity')
        node = self.world.certificate_client(identity['certificate'], key)
        have = self.issued(token, der.request(Key()))
        renewed = self.issued(node, der.request(Key()), replaces=have['serial'])
        self.revoke(renewed['serial'])
        for replaces in (renewed['serial'], have['serial']):
            self.not_issued(node, der.request(Key()), 403, 'policy_denied', replaces=replaces)
        fresh = self.issued(self.world.token_client('etcdthree'), der.request(Key()))
        self.issued(node, der.request(Key()), replaces=fresh['serial'])

    # ---- what was issued before, and its key ----

    def remedy(self, client, csr, pointer, **more):
        answer = self.not_issued(client, csr, 403, 'policy_denied', **more)
        self.assertEqual(self.pointers(answer), {pointer} if pointer else set(), answer)
        return answer['detail'] + ' '.join(error['detail'] for error in answer.get('errors', []))

    def test_a_token_hands_out_no_revoked_certificate(self):
        token, key = self.world.token_client('etcdthree'), Key()
        got = self.issued(token, der.request(key))
        self.assertEqual(self.issued(token, der.request(key), status=200)['serial'], got['serial'])  # the control
        self.revoke(got['serial'], 'superseded')
        self.assertIn('have a new token made', self.remedy(token, der.request(key), None))
        self.not_issued(token, der.request(Key()), 409, 'key_conflict')
        self.assertNotEqual(self.issued(self.world.token_client('etcdthree'), der.request(key))['serial'], got['serial'])

    def test_a_key_that_others_know_gets_nothing(self):
        """From nobody, for nothing; a sibling of the same node, by another key, goes on."""
        token, key, operator = self.world.token_client('etcdthree'), Key(), self.world.identity_client('operator', 'o-keys')
        got = self.issued(token, der.request(key))
        renewer, other = Key(), self.issued(token, der.request(Key()), 'etcd-healthcheck-client')
        identity = self.issued(token, der.request(renewer), 'node-identity')
        node = self.world.certificate_client(identity['certificate'], renewer)
        self.revoke(got['serial'])
        fresh = self.world.token_client('etcdthree')
        count, denials = len(self.events('certificate.issued')), len(self.denials())
        for client, more in ((token, {}), (fresh, {}), (fresh, {'profile': 'node-identity'}), (operator, {'node': 'etcdthree'}),
                             (self.admin, {'node': 'etcdthree', 'profile': 'etcd-healthcheck-client'}),
                             (node, {'replaces': other['serial'], 'profile': 'etcd-healthcheck-client'})):
            with self.subTest(more):
                self.assertIn(f'{got["serial"]} was revoked for keyCompromise): make a new key',
                              self.remedy(client, der.request(key), '/csr/publicKey', **more))
        self.assertEqual((len(self.events('certificate.issued')), len(self.denials())), (count, denials + 6))
        status, answer = issue(self.admin, der.request(key), node='etcdthree', dry_run=True)
        self.assertEqual((status, self.pointers(answer)), (403, {'/csr/publicKey'}))
        status, answer, _ = self.admin.post('/v1/identities', {'name': 'mole', 'role': 'admin', 'csr': der.request(key)})
        self.assertEqual((status, '/csr/publicKey' in self.pointers(answer)), (403, True))
        self.issued(fresh, der.request(Key()))
        self.issued(node, der.request(Key()), 'etcd-healthcheck-client', replaces=other['serial'])

    def test_who_finds_out_later_that_others_know_the_key(self):
        key = Key()
        serial = self.member(key=key)['serial']
        first, before = self.revoke(serial, 'superseded'), self.crl()
        self.member(key=key)
        answer, crl = self.revoke(serial), self.crl()
        self.assertEqual((answer['revoked_at'], answer['reason']), (first['revoked_at'], 'keyCompromise'))
        self.assertEqual((answer['crl']['number'], crl.reasons.count('Key Compromise')),
                         (crl.number, before.reasons.count('Key Compromise') + 1))
        self.assertGreater(crl.number, before.number)
        self.remedy(self.admin, der.request(key), '/csr/publicKey', node='etcdone')
        leaves = len(audit.leaves(self.admin))
        for reason in ('keyCompromise', 'superseded'):
            self.assertEqual(self.revoke(serial, reason), answer)
        self.assertEqual((len(audit.leaves(self.admin)), self.crl().number), (leaves, crl.number))

    def test_issued_and_revoked_at_once(self):
        """Whoever comes first: in the end no certificate of the key is valid that was issued after the revocation."""
        for _ in range(5):
            key = Key()
            csr, first = der.request(key), self.member(key=key)
            clients = [Client(self.world.service, self.world.service.context_file) for _ in range(8)]
            with concurrent.futures.ThreadPoolExecutor(9) as pool:
                asked = [pool.submit(issue, client, csr, node='etcdone') for client in clients]
                pool.submit(self.revoke, first['serial'], client=Client(self.world.service, self.world.service.context_file)).result()
                self.assertLessEqual({job.result()[0] for job in asked}, {201, 403})
            revoked = next(event['sequence'] for event in self.numbered() if first['serial'] in event.get('serials', []))
            late = [event for event in self.numbered() if event['sequence'] > revoked
                    and event.get('spki_sha256') == hashlib.sha256(key.spki).hexdigest()]
            self.assertEqual(late, [])

    def numbered(self):
        return [dict(event, sequence=i) for i, event in enumerate(map(json.loads, audit.leaves(self.admin)))]

    def test_a_kept_answer_is_not_given_once_it_is_revoked(self):
        body = {'profile': 'user', 'user': 'bosun', 'csr': der.request(Key())}
        send = lambda: self.admin.request('POST', '/v1/clusters/vagrant/certificates', body, {'Idempotency-Key': 'bosun'})[:2]
        first = send()
        self.assertEqual((first[0], send()), (201, first))
        self.revoke(first[1]['serial'], 'superseded')
        status, answer = send()
        self.assertEqual((status, answer['code'], self.pointers(answer)), (403, 'policy_denied', {'/csr/publicKey'}))

    # ---- many ----

    def revoke_all(self, status=200, **body):
        got, answer, _ = self.admin.post('/v1/clusters/vagrant/revocations', {'reason': 'cessationOfOperation', **body})
        self.assertEqual(got, status, answer)
        return answer

    def test_a_node(self):
        """With its identity and its tokens; more than go into one commit. Others stay."""
        node, token = self.world.node_client('masterone'), self.world.new_token('masterone')
        held = [self.member('masterone', 'apiserver-etcd-client')['serial'] for _ in range(15)]
        other = self.member('etcdtwo')['serial']
        before = len(self.events('certificate.revoked'))
        answer = self.revoke_all(node='masterone')
        serials = {item['serial'] for item in answer['items']}
        self.assertLessEqual(set(held), serials)
        self.assertEqual({item['node'] for item in answer['items']}, {'masterone'})
        self.assertIn('node-identity', {item['profile'] for item in answer['items']})
        self.assertGreaterEqual(answer['tokens'], 1)
        self.assertEqual({crl['authority'] for crl in answer['crls']}, {'etcd-ca', 'service-ca'})
        self.assertLessEqual(set(held), self.crl().serials)
        self.assertEqual(self.state(other), 'valid')
        leaves = self.events('certificate.revoked')[before:]
        self.assertEqual(sorted(serial for leaf in leaves for serial in leaf['serials']), sorted(serials))
        self.refused(node, 'GET', '/v1/whoami', 401, 'unauthenticated')
        self.refused(Client(self.world.service, token=token.text()), 'GET', '/v1/whoami', 401, 'unauthenticated')
        self.assertEqual(self.revoke_all(node='masterone'), {'items': [], 'tokens': 0, 'more': False, 'crls': []})

    def test_a_user_and_a_profile(self):
        user = lambda name: self.issued(self.admin, der.request(Key()), 'user', user=name)['serial']
        jane, eve = [user('jane'), user('jane')], user('eve')
        self.assertEqual({item['serial'] for item in self.revoke_all(user='jane')['items']}, set(jane))
        self.assertEqual(self.state(eve), 'valid')
        self.assertEqual([item['user'] for item in self.revoke_all(profile='user')['items']], ['eve'])
        self.assertEqual(self.revoke_all(400)['code'], 'invalid')

    def test_at_once_they_share_a_crl(self):
        serials = [self.member()['serial'] for _ in range(12)]
        numbers = set()
        before = len(self.events('crl.signed'))
        def work(serial):
            status, answer, _ = Client(self.world.service, self.world.service.context_file).post(
                f'/v1/certificates/{serial}/revocation', {'reason': 'superseded'})
            self.assertEqual(status, 200, answer)
            listed = self.crl()
            numbers.add(answer['crl']['number'])
            return serial in listed.serials and listed.number >= answer['crl']['number']
        with concurrent.futures.ThreadPoolExecutor(12) as pool:
            self.assertTrue(all(pool.map(work, serials)))
        signed = self.events('crl.signed')[before:]
        own = [event['number'] for event in signed if event['authority'] == 'etcd-ca']
        self.assertEqual(own, sorted(set(own)))
        self.assertLessEqual(len(own), 12)
        print(f'{len(own)} CRLs for 12 revocations at once')

    # ---- Kubernetes ----

    def test_the_webhook(self):
        node = self.world.node_client('masterone')
        self.addCleanup(self.revoke_all, node='masterone')
        bad, good = (self.issued(self.admin, der.request(Key()), 'user', user='sailor') for _ in range(2))
        self.revoke(bad['serial'])
        path = '/v1/clusters/vagrant/subjectaccessreview'
        leaves = len(audit.leaves(self.admin))
        revoked, unknown = {'allowed': False, 'denied': True}, {'allowed': False}
        cases = [(review(credential(bad['certificate'])), revoked), (review(credential(good['certificate'])), unknown),
                 (review('something', credential(bad['certificate'])), revoked), (review(), unknown),
                 (review('X509SHA256=' + 'zz' * 32), unknown), (review(uid='1', extra={'other': ['a']}), unknown),
                 ({'apiVersion': 'authorization.k8s.io/v1', 'kind': 'SubjectAccessReview',
                   'spec': {'nonResourceAttributes': {'path': '/healthz', 'verb': 'get'}, 'user': 'a'}}, unknown)]
        for body, expected in cases:
            with self.subTest(body):
                status, answer, _ = node.post(path, body)
                self.assertEqual(status, 200, answer)
                jsonschema.validate(answer, REVIEW)
                self.assertEqual({**answer['status'], **expected}, answer['status'])
                self.assertEqual('denied' in answer['status'], 'denied' in expected)
                self.assertEqual(answer['spec'], body['spec'])
        for wrong in ({}, {**review(), 'kind': 'TokenReview'}, {**review(), 'apiVersion': 'v1'}, review(extra=[]),
                      review(1), {**review(), 'spec': None}):
            with self.subTest(wrong):
                self.refused(node, 'POST', path, 400, 'invalid', wrong)
        self.assertEqual(len(audit.leaves(self.admin)), leaves)
        self.refused(self.world.node_client('etcdone'), 'POST', path, 403, 'policy_denied', review())

    def test_fingerprints(self):
        path = '/v1/clusters/vagrant/revoked-fingerprints'
        made = [self.issued(self.admin, der.request(Key()), 'user', user='mate') for _ in range(3)]
        for one in made[:2]:
            self.revoke(one['serial'])
        self.revoke(self.member()['serial'])  # of another CA
        status, text, headers = self.admin.get(path)
        lines = text.decode().splitlines()
        self.assertEqual((status, headers['Content-Type']), (200, 'text/plain; charset=utf-8'))
        self.assertEqual(lines, sorted(lines))
        revoked = {item['sha256'] for item in audit.certificates(self.admin, '&cluster=vagrant&state=revoked').values()
                   if item['authority'] == 'kubernetes'}
        self.assertEqual(set(lines), {f'X509SHA256={sha256}' for sha256 in revoked})
        self.assertLessEqual({credential(one['certificate']) for one in made[:2]}, set(lines))
        self.assertEqual(self.admin.request('GET', path, headers={'If-None-Match': headers['ETag']})[0], 304)

    # ---- the client ----

    def ensign(self, *words, code=0):
        done = self.world.service.ensign(*words, check=False)
        self.assertEqual(done.returncode, code, done.stderr)
        return done

    def test_the_client(self):
        serials = [self.member('etcdtwo')['serial'] for _ in range(3)]
        shown = self.ensign('certificate', 'revoke', serials[0], '--reason', 'superseded')
        self.assertIn(serials[0], shown.stdout)
        self.assertIn('superseded', shown.stdout)
        which = ('certificate', 'revoke', '--cluster', 'vagrant', '--node', 'etcdtwo', '--profile', 'etcd-member', '--reason',
                 'cessationOfOperation')
        self.assertIn('--yes', self.ensign(*which, code=2).stderr)
        self.assertEqual(self.state(serials[1]), 'valid')
        listed = self.ensign(*which, '--yes', '-o', 'name').stdout.split()
        self.assertLessEqual(set(serials[1:]), set(listed))
        for wrong in ((serials[0], '--node', 'a', '--cluster', 'vagrant'), (), ('--node', 'a', '--yes')):
            self.ensign('certificate', 'revoke', *wrong, '--reason', 'superseded', code=2)
        self.ensign('certificate', 'revoke', serials[0], '--reason', 'certificateHold', code=2)
        out = self.world.service.folder / 'fetched.crl'
        where = ('ca', 'crl', '--cluster', 'vagrant', '--authority', 'etcd-ca')
        self.ensign(*where, '--format', 'der', '--out', out)
        self.assertLessEqual(set(serials), Crl(out.read_bytes()).serials)
        self.assertEqual(openssl('crl', '-outform', 'DER', data=self.ensign(*where).stdout.encode()), out.read_bytes())

    # ---- what goes wrong ----

    def test_without_the_signer_the_revocation_stands(self):
        serial, before = self.member()['serial'], self.crl().number
        supervisor = self.world.service.pid('supervisor')
        os.kill(supervisor, signal.SIGSTOP)  # it would start another at once
        try:
            self.world.service.kill('signer')
            answer = self.revoke(serial)
            self.assertIsNone(answer['crl'])
            self.assertIn('signer', answer['crl_problem'])
            self.assertEqual((self.state(serial), self.crl().number), ('revoked', before))
        finally:
            os.kill(supervisor, signal.SIGCONT)
        wait_for('the CRL', lambda: serial in self.crl().serials, 30)

    def test_killed_before_the_crl(self):
        """The supervisor is stopped and the signer dead: what is revoked is in no CRL when all are killed."""
        serial = self.member()['serial']
        supervisor = self.world.service.pid('supervisor')
        os.kill(supervisor, signal.SIGSTOP)
        self.world.service.kill('signer')
        self.assertIsNone(self.revoke(serial)['crl'])
        self.world.service.kill('supervisor', 'server')
        self.world.service.start()
        self.admin.connection = None
        wait_for('the CRL', lambda: serial in self.crl().serials, 30)
        self.assertEqual(self.state(serial), 'revoked')

    def test_again_after_a_restart(self):
        """What is held in memory is read again, and the database agrees with itself."""
        user = self.issued(self.admin, der.request(Key()), 'user', user='cook')
        self.revoke(user['serial'])
        before = self.crl('kubernetes')
        self.assertEqual(self.world.service.stop(), 0)
        run(ENSIGND, 'verify', '--config', self.world.service.state / 'ensignd.yaml')
        self.world.service.start()
        self.admin.connection = None
        self.assertEqual(self.crl('kubernetes').der, before.der)
        lines = self.admin.get('/v1/clusters/vagrant/revoked-fingerprints')[1].decode().split()
        self.assertIn(credential(user['certificate']), lines)

    def test_metrics(self):
        self.revoke(self.member()['serial'])
        text = self.admin.get('/metrics')[1].decode()
        gauges = {name: float(value) for name, value in
                  re.findall(r'^(ensign_crl_\w+)\{cluster="vagrant",authority="etcd-ca"\} (\S+)$', text, re.M)}
        self.assertEqual(gauges['ensign_crl_revoked'], len(self.crl().serials))
        self.assertAlmostEqual(gauges['ensign_crl_next_update_seconds'], 7 * 86400, delta=3600)


class OldCopy(Case):
    def restart(self, path, data=None):
        """Returns the database as it was."""
        self.assertEqual(self.world.service.stop(), 0)
        before = path.read_bytes()
        if data:
            path.write_bytes(data)
        self.world.service.start('/livez')
        self.admin.connection = None
        return before

    def test_an_old_copy_keeps_nobody_from_revoking(self):
        """And the number of the CRL rises over it."""
        database = self.world.service.state / 'data.mdb'
        *lost, other = (self.issued(self.admin, der.request(Key()), node='etcdone')['serial'] for _ in range(30))
        revoke = lambda serial: self.admin.post(f'/v1/certificates/{serial}/revocation', {'reason': 'superseded'})[1]['crl']
        crl = lambda: Crl(self.world.nobody().get(CRL.format('vagrant', 'etcd-ca'))[1])
        old = self.restart(database)
        for serial in lost:  # many in a second
            revoke(serial)
        before, note = crl(), self.world.nobody().get('/v1/audit/checkpoint')[1].decode()
        self.restart(database, old)
        self.assertEqual(crl().serials, set())
        self.assertEqual(self.admin.post('/v1/audit/witness', {'checkpoint': note})[1], {'state': 'not_in_log'})
        self.not_issued(self.admin, der.request(Key()), 503, 'restored', node='etcdone')
        self.assertGreater(revoke(other)['number'], before.number)
        self.assertEqual(crl().serials, {other})


class Many(Case):
    def test_two_thousand(self):
        """In as many requests as it takes, and one CRL lists them all."""
        csr = der.request(Key())
        def work(_):
            client = Client(self.world.service, self.world.service.context_file)
            for _ in range(ROWS_MIN // 20):
                self.issued(client, csr, node='etcdone')
        with concurrent.futures.ThreadPoolExecutor(20) as pool:
            list(pool.map(work, range(20)))
        count, rounds, more, begun = 0, 0, True, time.monotonic()
        while more:
            status, answer, _ = self.admin.post('/v1/clusters/vagrant/revocations',
                                                {'profile': 'etcd-member', 'reason': 'superseded'})
            self.assertEqual(status, 200, answer)
            count, rounds, more = count + len(answer['items']), rounds + 1, answer['more']
        crl = Crl(self.world.nobody().get(CRL.format('vagrant', 'etcd-ca'))[1])
        self.assertEqual((count, len(crl.serials)), (ROWS_MIN, ROWS_MIN))
        print(f'{count} revoked in {rounds} requests and {time.monotonic() - begun:.1f} s; the CRL has {len(crl.der)} bytes')


if __name__ == '__main__':
    unittest.main(warnings='ignore')
