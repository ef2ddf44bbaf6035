"""Users of clusters: kubeconfigs that `ensign user create` and `ensign cluster kubeconfig` write, and what they refuse."""
import base64
import datetime
import json
import os
import re
import signal
import subprocess
import tempfile
import unittest

import yaml

from lib import audit, der
from lib.keys import Key, openssl
from lib.relay import relay
from lib.service import ENSIGN, run, wait_for
from lib.world import Case, cluster_document

DENIED, CONFLICT = 3, 6
SUBJECT = 'subject=O = manager, O = developers, CN = jane'


class Kubeconfig:
    """One that was written, with what its certificate says."""

    def __init__(self, path):
        self.text = path.read_text()
        document = yaml.safe_load(self.text)
        self.cluster, self.user, context = document['clusters'][0], document['users'][0], document['contexts'][0]
        assert len(document['clusters']) == len(document['users']) == len(document['contexts']) == 1
        assert context['context'] == {'cluster': self.cluster['name'], 'user': self.user['name']}
        assert document['current-context'] == context['name'] == f"{self.user['name']}@{self.cluster['name']}"
        assert (document['apiVersion'], document['kind']) == ('v1', 'Config')
        self.server = self.cluster['cluster']['server']
        self.bundle = base64.b64decode(self.cluster['cluster']['certificate-authority-data'])
        self.certificate = base64.b64decode(self.user['user']['client-certificate-data'])
        self.key = base64.b64decode(self.user['user']['client-key-data'])

    def subject(self):
        return openssl('x509', '-noout', '-subject', data=self.certificate).decode().strip()

    def serial(self):
        return openssl('x509', '-noout', '-serial', data=self.certificate).decode().strip()[7:].lower()

    def scalar(self):
        """The private key itself."""
        private = openssl('ec', '-outform', 'DER', data=self.key)
        return private[private.index(b'\x04\x20') + 2:][:32]

    def check(self):
        """Key and certificate are a pair, and the certificate is one for clients that the bundle's CA issued."""
        assert openssl('pkey', '-pubout', data=self.key) == openssl('x509', '-noout', '-pubkey', data=self.certificate)
        with tempfile.NamedTemporaryFile() as bundle, tempfile.NamedTemporaryFile() as leaf:
            bundle.write(self.bundle)
            leaf.write(self.certificate)
            bundle.flush()
            leaf.flush()
            openssl('verify', '-CAfile', bundle.name, '-purpose', 'sslclient', leaf.name)
            server = subprocess.run(['openssl', 'verify', '-CAfile', bundle.name, '-purpose', 'sslserver', leaf.name],
                                    capture_output=True)
            assert server.returncode != 0


class Users(Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        for name, network, changes in (('rbac', '10.11.0', {'users': {'groups': ['manager', 'developers']}}),
                                       ('old', '10.12.0', {'kubernetesVersion': '1.28'})):
            document = cluster_document(name, network) | changes
            if name == 'old':
                del document['controlPlaneEndpoint']
            status, answer, _ = cls.admin.post('/v1/clusters', {'cluster': document})
            assert status == 201, answer
        cls.service = cls.world.service
        cls.operator = cls.context('operator')

    @classmethod
    def context(cls, role):
        path = cls.service.folder / f'{role}.context'
        cls.service.ensign('identity', 'create', f'the-{role}', '--role', role, '--out', path)
        return path

    def setUp(self):
        temporary = tempfile.TemporaryDirectory(dir=self.service.folder)
        self.addCleanup(temporary.cleanup)
        self.folder = self.service.folder / temporary.name
        self.file = self.folder / 'config'

    def user(self, *more, name='jane', cluster='rbac', file=None, context=None, server=None, code=0):
        """Runs `ensign user create`; returns what it said."""
        words = ('user', 'create', name, '--cluster', cluster, '--kubeconfig', file or self.file, *more)
        if server:
            done = run(ENSIGN, '--server', server, *words, check=False, env={'HOME': str(self.service.folder)})
        else:
            done = self.service.ensign(*words, '--context', context or self.operator, check=False)
        self.assertEqual((done.returncode, done.stdout), (code, ''), done.stderr)
        return done.stderr

    def kubeconfig(self, cluster, *more, context=None, code=0):
        done = self.service.ensign('cluster', 'kubeconfig', cluster, '--kubeconfig', self.file, '--context',
                                   context or self.service.context_file, *more, check=False)
        self.assertEqual((done.returncode, done.stdout), (code, ''), done.stderr)
        return done.stderr

    def files(self):
        return sorted(path.name for path in self.folder.iterdir())

    def pending(self, user='jane', cluster='rbac'):
        return self.folder / f'config.{user}@{cluster}.pending'

    def pending_key(self):
        """The key is before the request."""
        return self.pending().read_bytes().partition(b'-----BEGIN CERTIFICATE REQUEST')[0]

    def serials(self, user, cluster='rbac'):
        return {serial for serial, item in audit.certificates(self.admin).items()
                if (item['identity'], item['cluster']) == (user, cluster)}

    # ---- what is written ----

    def test_user(self):
        said = self.user('--group', 'manager', '--group', 'developers')
        self.assertRegex(said, r'config: issued [0-9a-f]{40} to jane \(valid until ')
        self.assertEqual(self.file.stat().st_mode & 0o7777, 0o600)
        self.assertEqual(self.files(), ['config'])
        written = Kubeconfig(self.file)
        written.check()
        self.assertEqual(written.subject(), SUBJECT)
        self.assertEqual((written.server, written.cluster['name']), ('https://10.11.0.81:6443', 'rbac'))
        status, bundle, _ = self.admin.get('/v1/clusters/rbac/authorities/kubernetes/bundle')
        self.assertEqual((status, bundle), (200, written.bundle))
        record = self.admin.get('/v1/certificates/' + written.serial())[1]
        self.assertEqual([record[member] for member in ('cluster', 'authority', 'node', 'profile', 'identity', 'role')],
                         ['rbac', 'kubernetes', None, 'user', 'jane', None])
        self.assertEqual(record['requested_by'], 'operator the-operator')
        start, end = (datetime.datetime.fromisoformat(record[member]) for member in ('issued_at', 'not_after'))
        self.assertEqual(end - start, datetime.timedelta(hours=720))

    def test_leaf_has_user_and_groups(self):
        self.user('--group', 'manager', name='lea')
        serial = Kubeconfig(self.file).serial()
        leaves = [event for event in map(json.loads, audit.leaves(self.admin)) if event.get('serial') == serial]
        self.assertEqual([(leaf['event'], leaf['cluster'], leaf['identity'], leaf['groups']) for leaf in leaves],
                         [('certificate.issued', 'rbac', 'lea', ['manager'])])
        self.service.ensign('audit', 'verify')

    def test_lifetime_and_no_group(self):
        self.user('--lifetime', '2h', name='bob@example.com')
        written = Kubeconfig(self.file)
        self.assertEqual(written.subject(), 'subject=CN = bob@example.com')
        openssl('x509', '-noout', '-checkend', '7000', data=written.certificate)
        with self.assertRaises(subprocess.CalledProcessError):
            openssl('x509', '-noout', '-checkend', '7300', data=written.certificate)

    def test_request_of_a_user_with_a_key_of_its_own(self):
        """Who keeps the key elsewhere sends the request."""
        request = self.folder / 'jane.csr'
        subject = der.name(der.attribute(der.COMMON_NAME, b'jane'), der.attribute(der.ORGANIZATION, b'manager'))
        request.write_text(der.request(Key(), subject))
        words = ('certificate', 'request', '--cluster', 'rbac', '--profile', 'user', '--user', 'jane', '--csr', request)
        dry = json.loads(self.service.ensign(*words, '--group', 'manager', '--dry-run', '-o', 'json').stdout)['decision']
        self.assertEqual((dry['subject'], dry['identity'], dry['cluster']), ('O=manager, CN=jane', 'jane', 'rbac'))
        issued = self.service.ensign(*words, '--group', 'manager').stdout
        self.assertIn('O = manager, CN = jane', openssl('x509', '-noout', '-subject', data=issued.encode()).decode())
        self.assertEqual(self.service.ensign(*words, check=False).returncode, DENIED)  # the request has more

    def test_administrator(self):
        """The group is the one of the cluster's version; without an endpoint it is the first control plane."""
        rows = [('rbac', (), 'subject=O = kubeadm:cluster-admins, CN = kubernetes-admin', 'https://10.11.0.81:6443'),
                ('old', ('--user', 'alice'), 'subject=O = system:masters, CN = alice', 'https://10.12.0.71:6443')]
        for cluster, more, subject, server in rows:
            with self.subTest(cluster):
                self.kubeconfig(cluster, *more)
                written = Kubeconfig(self.file)
                written.check()
                self.assertEqual((written.subject(), written.server), (subject, server))
                self.assertEqual(self.file.stat().st_mode & 0o7777, 0o600)
                self.assertIn('unchanged', self.kubeconfig(cluster, *more))
                self.assertEqual(Kubeconfig(self.file).text, written.text)
                self.file.unlink()

    # ---- again ----

    def test_again_changes_nothing(self):
        self.user('--group', 'manager')
        before = self.file.stat()
        listed = set(audit.certificates(self.admin))
        self.assertRegex(self.user('--group', 'manager'), r'config: unchanged \(valid until ')
        after = self.file.stat()
        self.assertEqual((before.st_ino, before.st_mtime_ns), (after.st_ino, after.st_mtime_ns))
        self.assertEqual(set(audit.certificates(self.admin)), listed)

    def test_other_groups_and_late_life_ask_again(self):
        self.user('--group', 'manager', '--lifetime', '60s')
        short = Kubeconfig(self.file)
        self.assertIn('less than a third of its life is left', self.user('--group', 'manager'))
        self.assertNotEqual(Kubeconfig(self.file).serial(), short.serial())
        self.assertIn('because', self.user('--group', 'developers'))
        changed = Kubeconfig(self.file)
        changed.check()
        self.assertEqual(changed.subject(), 'subject=O = developers, CN = jane')

    def test_interrupted_run_goes_on_with_its_key(self):
        """Killed while the signer is still, which is between key and certificate; what it may have asked for by then is
        issued all the same, and the next run gets that."""
        before = self.serials('jane')
        signer = self.service.pid('signer')
        os.kill(signer, signal.SIGSTOP)
        try:
            command = [ENSIGN, 'user', 'create', 'jane', '--cluster', 'rbac', '--kubeconfig', self.file, '--context',
                       self.operator]
            running = subprocess.Popen(command, stderr=subprocess.DEVNULL)
            wait_for('the key', self.pending().exists)
            running.kill()
            running.wait()
        finally:
            os.kill(signer, signal.SIGCONT)
        self.assertEqual(self.files(), [self.pending().name])
        self.assertEqual(self.pending().stat().st_mode & 0o7777, 0o600)
        key = self.pending().read_bytes()
        kept = self.pending_key()
        self.user()
        written = Kubeconfig(self.file)
        written.check()
        self.assertEqual(written.key, kept)
        self.assertEqual(self.serials('jane') - before, {written.serial()})
        self.assertEqual(self.files(), ['config'])
        self.pending().touch(mode=0o600)  # as if it was killed before the last step
        self.pending().write_bytes(key)
        self.assertIn('unchanged', self.user())
        self.assertEqual(self.files(), ['config'])

    def test_lost_answer_issues_nothing_twice(self):
        """The service has issued, and the connection ends before anybody here knows."""
        def lose(method, path, body):
            return None if method == 'POST' else body

        for lost in (True, False):  # the control: without what it left, the next run makes another one
            with self.subTest('with what it left' if lost else 'without'):
                before = self.serials('jane')
                with relay(self.service, lose) as server:
                    self.assertIn('unreachable', self.user('--group', 'manager', server=server, code=4))
                first = self.serials('jane') - before
                self.assertEqual((len(first), self.files()), (1, [self.pending().name]))
                if not lost:
                    self.pending().unlink()
                socket = f"unix://{self.service.state / 'run' / 'ensignd.sock'}"
                self.user('--group', 'manager', server=socket)
                written = Kubeconfig(self.file)
                written.check()
                self.assertEqual({written.serial()} == first, lost)
                self.assertEqual(len(self.serials('jane') - before), 1 if lost else 2)
                self.file.unlink()

    def revoke(self, serial, reason='keyCompromise'):
        self.service.ensign('certificate', 'revoke', serial, '--reason', reason)

    def test_what_was_revoked_is_replaced(self):
        self.user()
        first = Kubeconfig(self.file)
        self.revoke(first.serial(), 'superseded')
        self.assertIn(f'because {first.serial()} was revoked', self.user())
        second = Kubeconfig(self.file)
        second.check()
        self.assertNotIn(first.key, second.key)
        self.assertNotEqual(second.serial(), first.serial())
        self.assertIn('unchanged', self.user())

    def test_what_was_revoked_after_a_lost_answer_is_not_taken(self):
        """Neither the certificate nor, when others know it, its key."""
        for reason in ('superseded', 'keyCompromise'):
            for group in ('manager', 'developers'):  # the same request again, and another one by the same key
                with self.subTest(reason=reason, group=group):
                    before = self.serials('jane')
                    with relay(self.service, lambda method, path, body: None if method == 'POST' else body) as server:
                        self.user('--group', 'manager', server=server, code=4)
                    lost, = self.serials('jane') - before
                    kept = self.pending_key()
                    self.revoke(lost, reason)
                    said = self.user('--group', group, server=f"unix://{self.service.state / 'run' / 'ensignd.sock'}")
                    written = Kubeconfig(self.file)
                    written.check()
                    self.assertNotEqual(written.serial(), lost)
                    anew = reason == 'keyCompromise' or group == 'manager'
                    self.assertEqual((written.key != kept, 'refuses the key of an earlier run' in said), (anew, anew))
                    self.assertEqual(self.files(), ['config'])
                    self.file.unlink()

    def test_another_wish_after_a_lost_answer(self):
        """The same key, for what is asked for now."""
        with relay(self.service, lambda method, path, body: None if method == 'POST' else body) as server:
            self.user('--group', 'manager', server=server, code=4)
        kept = self.pending_key()
        self.user('--group', 'developers')
        written = Kubeconfig(self.file)
        self.assertEqual((written.subject(), written.key), ('subject=O = developers, CN = jane', kept))

    def test_what_is_no_use_does_not_stay(self):
        """An answer that was kept for the request, and has expired since: the next run does not get it again."""
        def other(method, path, body):
            return body if method == 'GET' else json.dumps(json.loads(body) | {'certificate': foreign}).encode()

        foreign = self.issued(self.admin, der.request(Key()), 'user', cluster='rbac', user='jane')['certificate']
        with relay(self.service, other) as server:
            self.assertIn('untrusted', self.user(server=server, code=1))
        self.assertEqual(self.files(), [])
        self.pending().touch(mode=0o600)
        self.assertIn('not what an interrupted run leaves', self.user(code=1))
        self.assertEqual(self.files(), [self.pending().name])

    def test_file_of_somebody_else_is_kept(self):
        self.user('--group', 'manager', name='bob')
        bobs = self.file.read_bytes()
        rows = [('another user', bobs, 'is the kubeconfig of bob@rbac'),
                ('another cluster', bobs.replace(b'rbac', b'lab').replace(b'bob', b'jane'), 'is the kubeconfig of jane@lab'),
                ('two users', b'users:\n- name: a\n  user: {}\n- name: b\n  user: {}\n', 'not a kubeconfig of one user'),
                ('no kubeconfig', b'precious\n', 'not a kubeconfig of one user'),
                ('nothing', b'', 'not a kubeconfig of one user')]
        for what, content, says in rows:
            with self.subTest(what):
                self.file.write_bytes(content)
                listed = set(audit.certificates(self.admin))
                self.assertIn(says, self.user(code=CONFLICT))
                self.assertEqual(self.file.read_bytes(), content)
                self.assertEqual(self.files(), ['config'])
                self.assertEqual(set(audit.certificates(self.admin)), listed)

    def test_file_of_another_CA_is_kept(self):
        """A cluster of the same name elsewhere: the certificate in the file is none of this cluster's CA."""
        self.user(cluster='vagrant')
        theirs = self.file.read_bytes().replace(b'vagrant', b'rbac')
        self.file.write_bytes(theirs)
        self.assertIn('of another CA', self.user(code=CONFLICT))
        self.assertEqual(self.file.read_bytes(), theirs)

    def test_place_must_be_private(self):
        self.folder.chmod(0o777)
        self.assertIn('writable', self.user(code=1))
        self.assertEqual(self.files(), [])
        self.folder.chmod(0o700)
        self.user()
        self.file.chmod(0o644)
        self.assertIn('chmod 600', self.user(code=1))
        self.assertIn('find the folder', self.user(file=self.folder / 'absent/config', code=1))

    def test_links_are_not_followed(self):
        """At the place of the kubeconfig and of what waits: what they lead to is neither read nor written."""
        self.user()
        kubeconfig, other = self.file.read_bytes(), self.folder / 'other'
        other.touch(mode=0o600)
        for place in (self.file, self.pending()):
            for content in (kubeconfig, b'precious'):
                with self.subTest(place.name, content=content[:8]):
                    self.file.unlink()
                    other.write_bytes(content)
                    place.symlink_to(other)
                    listed = self.serials('jane')
                    self.user(code=1)
                    self.assertEqual((other.read_bytes(), place.is_symlink()), (content, True))
                    self.assertEqual(self.serials('jane'), listed)
                    place.unlink()
                    self.user()  # the control
        self.assertEqual(self.files(), ['config', 'other'])

    def test_waiting_key_must_be_private(self):
        with relay(self.service, lambda method, path, body: None if method == 'POST' else body) as server:
            self.user(server=server, code=4)
        self.pending().chmod(0o640)
        self.assertIn('chmod 600', self.user(code=1))
        self.assertEqual(self.files(), [self.pending().name])
        self.pending().chmod(0o600)
        self.user()
        self.assertEqual(self.files(), ['config'])

    # ---- what is refused ----

    def test_refusals(self):
        rows = [(['--group', 'admins'], 'jane', 'rbac', '/groups/0: "admins" is none of the groups that users.groups in '
                 'the file of cluster "rbac" lists: manager, developers'),
                (['--group', 'manager', '--group', 'system:masters'], 'jane', 'rbac', "/groups/1: \"system:masters\" is one "
                 "of Kubernetes' own groups"),
                (['--group', 'kubeadm:cluster-admins'], 'jane', 'rbac', "Kubernetes' own groups"),
                (['--group', 'manager'], 'jane', 'old', 'users: {groups: [...]}'),
                ([], 'system:admin', 'rbac', "/user: \"system:admin\" is a name of Kubernetes' own components"),
                ([], 'kube-apiserver-kubelet-client', 'rbac', '/user: '),
                ([], 'jane doe', 'rbac', '/user: a user\'s name has letters, digits and . - _ @'),
                ([], '../jane', 'rbac', '/user: '),
                (['--lifetime', '9000h'], 'jane', 'rbac', '/lifetime_seconds: profile "user" gives between 60s and 365d')]
        for more, name, cluster, says in rows:
            with self.subTest(says):
                said = self.user(*more, name=name, cluster=cluster, code=DENIED)
                self.assertIn('policy_denied', said)
                self.assertIn(says, said)
                self.assertEqual(self.files(), [])

    def test_refusals_of_the_api(self):
        """The same of whoever leaves the client aside; all reasons at once, and in the log."""
        before = len(self.denials())
        body = {'cluster': 'rbac', 'user': 'system:admin', 'groups': ['system:masters', 'admins'], 'node': 'etcdone'}
        answer = self.not_issued(self.admin, der.request(Key()), 403, 'policy_denied', 'user', **body)
        self.assertEqual(self.pointers(answer), {'/user', '/groups/0', '/groups/1', '/node'})
        leaf = self.denials()[before]
        self.assertEqual(leaf['what'], 'certificate rbac user system:admin')
        self.assertIn('system:masters', leaf['reason'])
        answer = self.not_issued(self.admin, der.request(Key()), 403, 'policy_denied', 'admin', cluster='rbac',
                                 node='masterone', user='jane', groups=['manager'])
        self.assertEqual(self.pointers(answer), {'/user', '/groups'})
        subject = der.name(der.attribute(der.ORGANIZATION, b'system:masters'), der.attribute(der.COMMON_NAME, b'jane'))
        answer = self.not_issued(self.admin, der.request(Key(), subject), 403, 'policy_denied', 'user', cluster='rbac',
                                 user='jane', groups=['manager'])
        self.assertEqual(self.pointers(answer), {'/csr/subject'})
        for wrong in ({'groups': 'manager'}, {'groups': [1]}, {'groups': ['manager'] * 9}, {'user': 7}, {'users': 'jane'}):
            self.not_issued(self.admin, der.request(Key()), 400, 'invalid', 'user',
                            **{'cluster': 'rbac', 'user': 'jane'} | wrong)

    def test_who_may_ask(self):
        auditor = self.context('auditor')
        self.user(context=auditor, code=DENIED)
        self.assertIn('is for admin to ask for', self.kubeconfig('rbac', context=self.operator, code=DENIED))
        self.kubeconfig('rbac', context=auditor, code=DENIED)
        token = self.world.token_client('masterone')
        for profile in ('user', 'cluster-admin'):
            self.not_issued(token, der.request(Key()), 403, 'policy_denied', profile, user='jane')
        self.assertEqual(self.files(), [])
        self.kubeconfig('rbac')  # the control
        self.assertEqual(self.files(), ['config'])

    def test_key_has_one_owner(self):
        key = Key()
        jane = {'profile': 'user', 'cluster': 'rbac', 'user': 'jane'}
        self.issued(self.admin, der.request(key), **jane)
        self.issued(self.admin, der.request(key), **jane, groups=['manager'])  # the same owner
        for other in (jane | {'user': 'bob'}, jane | {'cluster': 'vagrant'},
                      {'profile': 'etcd-member', 'cluster': 'vagrant', 'node': 'etcdone'}):
            answer = self.not_issued(self.admin, der.request(key), 403, 'policy_denied', **other)
            self.assertEqual(self.pointers(answer), {'/csr/publicKey'})
        answer = self.refused(self.admin, 'POST', '/v1/identities', 403, 'policy_denied',
                              {'name': 'jane', 'role': 'auditor', 'csr': der.request(key)})
        self.assertEqual(self.pointers(answer), {'/csr/publicKey'})

    def test_user_is_nobody_at_this_service(self):
        key = Key()
        answer = self.issued(self.admin, der.request(key), 'cluster-admin', cluster='rbac', user='the-operator')
        client = self.world.certificate_client(answer['certificate'], key)
        self.refused(client, 'GET', '/v1/whoami', 401, 'unauthenticated')

    def test_wrong_cluster_files(self):
        document = cluster_document('wrong', '10.13.0') | {'users': {'groups': ['ok', 'system:masters', 'a,b', 'a\tb',
                                                                                'kubeadm:cluster-admins', 'ok']}}
        answer = self.refused(self.admin, 'POST', '/v1/clusters', 400, 'invalid', {'cluster': document})
        self.assertEqual(self.pointers(answer), {f'/cluster/users/groups/{i}' for i in range(1, 6)})

    def test_key_stays_here(self):
        """Nowhere in what the service stored and logged, and in nothing that was said; the certificate is there."""
        said = self.user('--group', 'manager', '-o', 'json', code=2) + self.user('--group', 'manager')
        written = Kubeconfig(self.file)
        marks = [written.scalar(), written.scalar().hex().encode(), base64.b64encode(written.key)[40:90],
                 written.key.splitlines()[1]]
        certificate = openssl('x509', '-outform', 'DER', data=written.certificate)
        found = set()
        for path in [*self.service.state.rglob('*'), self.service.folder / 'ensignd.log']:
            if path.is_file():
                content = path.read_bytes()
                self.assertFalse([mark for mark in marks if mark in content], path)
                found |= {path.name} if certificate[-64:] in content else set()
        self.assertIn('data.mdb', found)
        self.assertTrue(any(mark in written.text.encode() for mark in marks))
        self.assertFalse(re.search(r'PRIVATE|LS0tLS1', said), said)

    def test_key_is_in_no_argument(self):
        """What others see of a running `ensign`: its words, none of which is the key's."""
        signer = self.service.pid('signer')
        os.kill(signer, signal.SIGSTOP)
        try:
            running = subprocess.Popen([ENSIGN, 'user', 'create', 'jane', '--cluster', 'rbac', '--kubeconfig', self.file,
                                        '--context', self.operator], stderr=subprocess.DEVNULL)
            wait_for('the key', self.pending().exists)
            words = open(f'/proc/{running.pid}/cmdline', 'rb').read()
        finally:
            os.kill(signer, signal.SIGCONT)
        running.wait()
        self.assertIn(b'jane', words)
        self.assertNotIn(Kubeconfig(self.file).key.splitlines()[1], words)


if __name__ == '__main__':
    unittest.main(warnings='ignore')
