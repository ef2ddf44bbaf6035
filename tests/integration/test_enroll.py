"""What `ensign enroll` puts below --root: exactly what the catalogue has for the node, fit for what it is for; again, it
changes nothing; killed at any call, it is completed; what is not its own it leaves alone."""
import base64
import hashlib
import json
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import unittest

import yaml

from lib.keys import Key
from lib.service import BUILD, ENSIGN, Service, run

CATALOGUE = BUILD / 'tests/golden/catalogue'
KILLED = BUILD / 'tests/fault/ensign_killed'
EXAMPLE, VERSION = 'vagrant-external-etcd.yaml', '1.35'
SETS = 'etc/ensign/node'
CONFLICT, FAILED, PENDING = 6, 1, 7
CRL = '/etc/etcd/pki/crl.der'  # on members of etcd; the agent keeps it new
SHARED = {f'/etc/kubernetes/pki/{name}' for name in ('sa.key', 'sa.pub', 'apiserver-etcd-client.key', 'apiserver-etcd-client.crt')}
# on one control plane at first
KILLS_MAX = 400  # a run that ends before is not killed any more


def files(root, under=''):
    """{path below root: path} of all that is no folder."""
    return {'/' + str(path.relative_to(root)): path for path in sorted((root / under).rglob('*'))
            if path.is_symlink() or not path.is_dir()}


def stamps(root):
    def stamp(path):
        status = path.lstat()
        return status.st_ino, status.st_mtime_ns, status.st_ctime_ns, status.st_mode
    return {path: stamp(path) for path in [root, *sorted(root.rglob('*'))]}


def contents(root):
    return {name: path.read_bytes() for name, path in files(root).items() if SETS not in name}


def spki_of_certificate(pem):
    return run('openssl', 'x509', '-noout', '-pubkey', input=pem).stdout


def spki_of_key(pem):
    return run('openssl', 'pkey', '-pubout', input=pem).stdout


def pem_keys(path):
    """The private keys in a file, those in a kubeconfig too."""
    text = path.read_text(errors='replace')
    if text.startswith('apiVersion: v1'):
        text = ''.join(base64.b64decode(user['user']['client-key-data']).decode()
                       for user in yaml.safe_load(text)['users'])
    return [text] if 'PRIVATE KEY' in text else []


class Nodes(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.service = Service().init()
        cls.addClassCleanup(cls.service.__exit__)
        cls.service.start()
        path = cls.service.create_cluster(EXAMPLE)
        cls.catalogue = json.loads(run(CATALOGUE, path, VERSION).stdout)
        cls.cluster = cls.catalogue['cluster']
        cls.nodes = sorted({item['node'] for item in cls.catalogue['items']})

    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(dir=self.service.folder))

    def items(self, node):
        return [item for item in self.catalogue['items'] if item['node'] == node and not item['shared']]

    def token(self, node):
        path = pathlib.Path(tempfile.mkstemp(dir=self.folder)[1])
        path.write_text(self.service.token(self.cluster, node))
        return path

    def enroll(self, root, token, *more, program=ENSIGN, exit_code=0, at=None):
        environment = dict(os.environ, **({'ENSIGN_KILLED_AT': str(at)} if at else {}))
        result = run(program, 'enroll', '--server', f'https://localhost:{self.service.port}', '--token-file', token,
                     '--root', root, '--timeout', '1s', *more, check=False, env=environment)
        if exit_code == 0 and result.returncode == PENDING:  # all is there but what other control planes have
            self.assertIn('ensign shared-key sync', result.stderr)
        elif exit_code is not None:
            self.assertEqual(result.returncode, exit_code, result.stderr)
        return result

    def enrolled(self, node):
        root, token = self.folder / node, self.token(node)
        self.enroll(root, token)
        return root, token


class Catalogue(Nodes):
    def check_files(self, root, node):
        wanted = {file['path']: file['mode'] for item in self.items(node) for file in item['files']}
        found = files(root)
        crl = {CRL} if node.startswith('etcd') else set()
        self.assertEqual({name for name in found if SETS not in name and name not in SHARED},
                         {name for name in wanted if SETS not in name} | crl)
        for name, mode in wanted.items():
            status = found[name].lstat()
            self.assertEqual((f'{status.st_mode & 0o7777:04o}', status.st_uid), (mode, os.geteuid()), name)
        for folder in root.rglob('*/'):
            self.assertEqual(folder.stat().st_mode & 0o022, 0, folder)
        return len(wanted)

    def check_chain(self, certificate, bundle, usages):
        with tempfile.NamedTemporaryFile('w', dir=self.folder) as leaf, \
                tempfile.NamedTemporaryFile('w', dir=self.folder) as authority:
            leaf.write(certificate)
            authority.write(bundle)
            leaf.flush()
            authority.flush()
            for usage, purpose in (('serverAuth', 'sslserver'), ('clientAuth', 'sslclient')):
                if usage in usages:
                    run('openssl', 'verify', '-purpose', purpose, '-CAfile', authority.name, leaf.name)

    def check_certificate(self, root, node, item):
        at = {file['path'].rsplit('.', 1)[1]: root / file['path'][1:] for file in item['files']}
        bundles = [other['files'][0]['path'] for other in self.items(node)
                   if other['kind'] == 'ca-bundle' and other['authority'] == item['authority']]
        certificate = at['crt'].read_text()
        self.assertEqual(certificate.count('BEGIN'), 1, 'the leaf alone, as kubeadm has it')
        self.assertEqual(spki_of_certificate(certificate), spki_of_key(at['key'].read_text()))
        self.check_chain(certificate, (root / bundles[0][1:]).read_text(), item['certificate']['extended_key_usage'])

    def check_kubeconfig(self, root, item):
        config = yaml.safe_load((root / item['files'][0]['path'][1:]).read_text())
        cluster, user = config['clusters'][0]['cluster'], config['users'][0]
        bundle, certificate, key = (base64.b64decode(text).decode() for text in (
            cluster['certificate-authority-data'], user['user']['client-certificate-data'],
            user['user']['client-key-data']))
        name = item['certificate']['subject']['common_name']
        self.assertEqual(cluster['server'], item['server'])
        self.assertEqual(user['name'], name)
        self.assertEqual(config['current-context'], f'{name}@{self.cluster}')
        self.assertEqual(bundle, (root / 'etc/kubernetes/pki/ca.crt').read_text())
        self.assertEqual(certificate.count('BEGIN'), 1)
        self.assertEqual(spki_of_certificate(certificate), spki_of_key(key))
        self.assertIn(f'CN={name}', run('openssl', 'x509', '-noout', '-subject', '-nameopt', 'RFC2253',
                                        input=certificate).stdout)
        self.check_chain(certificate, bundle, ['clientAuth'])

    def check_again(self, root, token):
        before = stamps(root)
        result = self.enroll(root, token)
        self.assertEqual(stamps(root), before)
        self.assertNotIn(': issued', result.stderr)
        self.assertNotIn('installed /', result.stderr)

    def check_node(self, node):
        root, token = self.enrolled(node)
        count = self.check_files(root, node)
        for item in self.items(node):
            if item['kind'] == 'certificate':
                self.check_certificate(root, node, item)
            elif item['kind'] == 'kubeconfig':
                self.check_kubeconfig(root, item)
        self.check_again(root, token)
        return root, count

    def authority_spkis(self):
        clusters = [(self.cluster, name) for name in ('etcd-ca', 'kubernetes', 'front-proxy-ca')]
        return {spki_of_certificate(self.service.ensign('ca', 'bundle', '--cluster', cluster, '--authority', name).stdout)
                for cluster, name in clusters + [('ensign', 'service-ca')]}

    def authority_keys(self, roots, authorities):
        """Files that hold a CA's key, and how many keys there are."""
        keys = [(path, spki_of_key(key)) for root in roots for path in files(root).values() for key in pem_keys(path)]
        return [path for path, spki in keys if spki in authorities], len(keys)

    def test_all_nodes_have_what_the_catalogue_lists(self):
        self.assertEqual(len(self.nodes), 8)
        made = [self.check_node(node) for node in self.nodes]
        roots, count = [root for root, _ in made], sum(count for _, count in made)
        authorities = self.authority_spkis()
        self.assertEqual(len(authorities), 4)
        found, keys = self.authority_keys(roots, authorities)
        self.assertEqual(found, [])
        planted = Key()  # the control: as if this one were a CA's
        for name in ('ca.key', 'ca.conf'):
            path = roots[0] / 'etc' / name
            path.write_bytes(planted.pem)
            self.assertEqual(self.authority_keys(roots, authorities | {spki_of_key(planted.pem.decode())})[0], [path])
            path.unlink()
        print(f'{count} files of {len(roots)} nodes are as the catalogue has them; none of {keys} keys is a CA\'s')
        self.assertGreater(count, 75)

    def test_paths_that_the_cluster_file_has(self):
        path = self.service.create_cluster('nginx-keepalived-external-etcd.yaml')
        node, token = 'k8smaster1.isociel.com', self.folder / 'token'
        token.touch(0o600)
        token.write_text(self.service.token('k8s-cluster1', node))
        self.enroll(self.folder / node, token)
        wanted = {file['path'] for item in json.loads(run(CATALOGUE, path, '1.28.2').stdout)['items']
                  if item['node'] == node and not item['shared'] for file in item['files']}
        self.assertEqual({name for name in files(self.folder / node) if SETS not in name and name not in SHARED},
                         {name for name in wanted if SETS not in name})
        self.assertIn('/etc/kubernetes/pki/etcd/apiserver-etcd-client.key', wanted)

    def test_kubeconfigs_that_name_their_files(self):
        path = self.service.create_cluster('haproxy-stacked-etcd.yaml', [('\netcd:\n', '\nkubeconfigs: files\netcd:\n'),
                                                                         ('name: haproxy-stacked', 'name: by-file')])
        items = [item for item in json.loads(run(CATALOGUE, path, '1.31').stdout)['items']
                 if item['node'] == 'controlplane1']
        token, root = self.folder / 'token', self.folder / 'root'
        token.touch(0o600)
        token.write_text(self.service.token('by-file', 'controlplane1'))
        self.enroll(root, token)
        self.assertLessEqual({file['path'] for item in items for file in item['files']}, set(files(root)))
        self.check_again(root, token)
        found = {}
        for item in items:
            if item['kind'] != 'kubeconfig':
                continue
            config = yaml.safe_load((root / item['files'][0]['path'][1:]).read_text())
            cluster, user = config['clusters'][0]['cluster'], config['users'][0]['user']
            found[item['name']] = 'client-certificate' in user
            if 'client-certificate' in user:
                self.assertEqual([user['client-certificate'], user['client-key']], [file['path'] for file in item['files'][1:]])
                self.assertEqual(cluster['certificate-authority'], '/etc/kubernetes/pki/ca.crt')
                self.assertNotIn('PRIVATE', (root / item['files'][0]['path'][1:]).read_text())
                certificate, key = ((root / file['path'][1:]).read_text() for file in item['files'][1:])
                self.assertEqual(spki_of_certificate(certificate), spki_of_key(key))
        self.assertEqual(found, {'admin': False, 'super-admin': False, 'kubelet': True, 'controller-manager': True,
                                 'scheduler': True})

    def test_keys_are_there_before_their_certificates(self):
        root, token = self.folder / 'root', self.token('masterone')
        lines = self.enroll(root, token).stderr.splitlines()
        self.assertLess(lines.index('installed /etc/kubernetes/pki/apiserver.key'),
                        lines.index('installed /etc/kubernetes/pki/apiserver.crt'))

    def test_control_planes_share_the_service_accounts_key(self):
        path = self.service.create_cluster('haproxy-stacked-etcd.yaml')
        cluster = json.loads(run(CATALOGUE, path, '1.31').stdout)
        nodes = [item['node'] for item in cluster['items'] if item['name'] == 'sa']
        self.assertEqual(len(nodes), 3)
        for node in nodes:
            token = self.folder / f'{node}.token'
            token.touch(0o600)
            token.write_text(self.service.token(cluster['cluster'], node))
            result = self.enroll(self.folder / node, token, exit_code=None)
            self.assertEqual(result.returncode, PENDING if node != nodes[0] else 0, result.stderr)
            for holder in (nodes[0], node):
                self.service.ensign('shared-key', 'sync', '--root', self.folder / holder)
        keys = {(self.folder / node / 'etc/kubernetes/pki/sa.key').read_text() for node in nodes}
        self.assertEqual([len(keys), len(pem_keys(self.folder / nodes[2] / 'etc/kubernetes/pki/sa.key'))], [1, 1])
        for node in nodes:
            before = stamps(self.folder / node)
            self.service.ensign('shared-key', 'sync', '--root', self.folder / node)
            self.assertEqual(stamps(self.folder / node), before)

    def test_profiles_that_are_chosen_and_sets_elsewhere(self):
        root, sets = self.folder / 'root', self.folder / 'sets'
        self.enroll(root, self.token('etcdone'), '--profile', 'etcd-member', '--out', sets)
        self.assertEqual(set(files(root)), {CRL} | {f'/etc/etcd/pki/{name}' for name in ('ca.crt', 'member.crt', 'member.key')})
        self.assertEqual({path.name for path in sets.iterdir()}, {'etcd-member', 'installed'})


class Interrupted(Nodes):
    """What is killed at each of its calls in turn."""

    def kill_everywhere(self, prepared, token, old):
        """prepared: a root with complete sets; old: what may still be there. How often it was killed, and what is there
        in the end."""
        whole = self.folder / 'whole'
        shutil.copytree(prepared, whole)
        self.enroll(whole, token, program=KILLED)
        new = contents(whole)
        for at in range(1, KILLS_MAX):
            root = self.folder / f'at-{at}'
            shutil.copytree(prepared, root)
            result = self.enroll(root, token, program=KILLED, exit_code=None, at=at)
            for name, content in contents(root).items():
                if '/.new-' not in name:
                    self.assertIn(content, (new[name], old.get(name)), f'{name} after a kill at {at}')
            if result.returncode == 0:
                break
            self.assertEqual(result.returncode, -signal.SIGKILL, result.stderr)
            self.enroll(root, token)
            self.assertEqual(contents(root), new)
            shutil.rmtree(root)
        return at - 1, new

    def sets_remove(self, root):
        for name in ('etcd-member', 'etcd-healthcheck-client', 'kubelet'):
            shutil.rmtree(root / SETS / name, ignore_errors=True)

    def renewed(self, node):
        """A root on which the node's certificates were installed, and others were fetched into its sets since then; the
        token of these, and what is installed."""
        root, _ = self.enrolled(node)
        old = contents(root)
        self.sets_remove(root)
        token = self.token(node)
        names = [item['name'] for item in self.items(node) if 'certificate' in item]
        more = [word for name in names for word in ('--profile', name)]
        run(ENSIGN, 'enroll', '--server', f'https://localhost:{self.service.port}', '--token-file', token, '--out',
            root / SETS, *more)
        return root, token, old

    def test_first_installation(self):
        root, token = self.enrolled('etcdone')
        for folder in ('etc/etcd', 'etc/kubernetes'):
            shutil.rmtree(root / folder, ignore_errors=True)
        (root / SETS / 'installed').unlink()
        kills, new = self.kill_everywhere(root, token, {})
        self.assertGreater(kills, 4 * len(new))
        print(f'killed at each of {kills} calls of a first installation')

    def test_replacement(self):
        root, token, old = self.renewed('workerone')
        kills, new = self.kill_everywhere(root, token, old)
        self.assertNotEqual(old['/etc/kubernetes/kubelet.conf'], new['/etc/kubernetes/kubelet.conf'])
        self.assertGreater(kills, 4)
        print(f'killed at each of {kills} calls of a replacement')

    def test_certificates_that_are_others_again_after_a_kill(self):
        """What was half done is ours, although it is neither what was there before nor what comes now."""
        prepared, token, _ = self.renewed('etcdthree')
        for at in range(1, KILLS_MAX, 5):
            root = self.folder / f'at-{at}'
            shutil.copytree(prepared, root)
            if self.enroll(root, token, program=KILLED, exit_code=None, at=at).returncode == 0:
                break
            self.sets_remove(root)
            self.enroll(root, self.token('etcdthree'))
        self.assertGreater(at, 25)

    def test_without_the_record_only_what_the_cas_issued_is_replaced(self):
        """The control: it is the record by which a file of ours is known that is not what its CA issued."""
        for edited in (False, True):
            root, token, _ = self.renewed('etcdtwo')
            (root / SETS / 'installed').unlink()
            if edited:
                (root / 'etc/etcd/pki/member.key').write_bytes(Key().pem)
            self.enroll(root, token, exit_code=CONFLICT if edited else 0)
            shutil.rmtree(root)

    def test_record_is_what_sha256sum_reads(self):
        root, _ = self.enrolled('workerone')
        for line in (root / SETS / 'installed').read_text().splitlines():
            digest, path = line.split('  ')
            self.assertEqual(digest, hashlib.sha256((root / path[1:]).read_bytes()).hexdigest())


class Revoked(Nodes):
    """What was revoked is replaced, with new keys; nothing else is touched."""

    def serial(self, root, profile):
        return run('openssl', 'x509', '-in', root / SETS / profile / 'tls.crt', '-noout', '-serial').stdout.strip()[7:].lower()

    def revoke(self, *what, reason='keyCompromise'):
        self.service.ensign('certificate', 'revoke', *what, '--reason', reason)

    def keys(self, root):
        """{SPKI: the files that hold the key}"""
        found = {}
        for path in files(root).values():
            for key in pem_keys(path):
                found.setdefault(spki_of_key(key), set()).add('/' + str(path.relative_to(root)))
        return found

    def reenrolled(self, root, node, revoked, token=None):
        """Enrols again: new keys and certificates for the revoked profiles, the same inodes and times for all else."""
        installed = {name: {file['path'] for item in self.items(node) for file in item['files'] if item['name'] == name}
                     for name in revoked}
        mine = set().union(*installed.values(), *({f'/{SETS}/{name}/{file}' for file in ('tls.key', 'tls.crt', 'chain.crt', 'ca.crt')}
                                                  for name in revoked)) - {'/etc/kubernetes/pki/ca.crt', '/etc/etcd/pki/ca.crt'}
        before, old = stamps(root), {spki for spki, paths in self.keys(root).items() if paths & mine}
        others = [path for path in files(root).values()
                  if '/' + str(path.relative_to(root)) not in mine | {f'/{SETS}/installed', CRL}
                  and '.pending' not in path.parts]
        serials = {name: self.serial(root, name) for name in revoked}
        result = self.enroll(root, token or self.token(node))
        after = stamps(root)
        for name, serial in serials.items():
            self.assertNotEqual(self.serial(root, name), serial)
            self.assertIn(f'{name}: asking for another one, because {serial} was revoked', result.stderr)
        self.assertEqual({path: after[path] for path in others}, {path: before[path] for path in others})
        self.assertFalse(set(self.keys(root)) & old, 'a key of before is still there')
        self.assertFalse((root / SETS / '.pending').exists())
        for item in self.items(node):
            if item['name'] not in revoked and 'certificate' in item:
                self.assertIn(f'{item["name"]}: unchanged', result.stderr)
        return result

    def test_one_is_replaced(self):
        root, token = self.enrolled('etcdone')
        self.revoke(self.serial(root, 'etcd-healthcheck-client'))
        self.reenrolled(root, 'etcdone', ['etcd-healthcheck-client'])
        self.assertNotIn('asking', self.enroll(root, self.token('etcdone')).stderr)
        self.revoke(self.serial(root, 'etcd-member'), reason='superseded')
        self.enroll(root, token, exit_code=6)  # its one for this profile was for the key that is gone
        self.reenrolled(root, 'etcdone', ['etcd-member'])

    def test_a_whole_node(self):
        """With its identity and what is in kubeconfigs; the token of before is revoked with it."""
        root, token = self.enrolled('workerone')
        self.revoke('--cluster', self.cluster, '--node', 'workerone', '--yes')
        self.enroll(root, token, exit_code=3)
        self.reenrolled(root, 'workerone', [item['name'] for item in self.items('workerone') if 'certificate' in item])
        self.service.ensign('certificate', 'list', '--context', root / SETS / 'context')  # the identity that is there counts

    def test_a_key_that_waits_is_not_asked_for_again(self):
        """Killed at each call of a first enrolment; what the service has issued is revoked; a new token then does it."""
        asked = 0
        for at in range(1, KILLS_MAX, 7):
            root, token = self.folder / f'at-{at}', self.token('etcdtwo')
            more = ('--profile', 'etcd-member')
            ended = self.enroll(root, token, *more, program=KILLED, exit_code=None, at=at).returncode == 0
            self.revoke('--cluster', self.cluster, '--profile', 'etcd-member', '--yes')
            result = self.enroll(root, self.token('etcdtwo'), *more)
            asked += 'the service refuses the key of an earlier run' in result.stderr
            serial = self.serial(root, 'etcd-member')
            self.assertIn('valid', self.service.ensign('certificate', 'show', serial).stdout)
            shutil.rmtree(root)
            if ended:
                break
        print(f'killed at {at // 7 + 1} calls; {asked} times the key that waited was known to others')
        self.assertGreater(asked, 0)

    def test_replacement_of_what_is_revoked_is_killed(self):
        root, _ = self.enrolled('etcdthree')
        serial = self.serial(root, 'etcd-member')
        self.revoke(serial)
        for at in range(1, KILLS_MAX, 5):
            token, copy = self.token('etcdthree'), self.folder / f'at-{at}'
            shutil.copytree(root, copy)
            ended = self.enroll(copy, token, program=KILLED, exit_code=None, at=at).returncode == 0
            self.enroll(copy, token)
            self.assertNotEqual(self.serial(copy, 'etcd-member'), serial)
            self.assertEqual((copy / SETS / 'etcd-member/tls.crt').read_bytes(), (copy / 'etc/etcd/pki/member.crt').read_bytes())
            shutil.rmtree(copy)
            if ended:
                break
        self.assertGreater(at, 25)

    def test_a_service_that_cannot_say_replaces_nothing(self):
        root, token = self.enrolled('etcdone')
        before = stamps(root)
        for path in (root / SETS).glob('*/tls.crt'):
            self.assertEqual(path.read_text().count('BEGIN'), 1)
        self.service.kill('supervisor', 'server')
        try:
            self.enroll(root, token, exit_code=4)
        finally:
            self.service.start()
        self.assertEqual(stamps(root), before)


class Strangers(Nodes):
    """What is there and not ours."""

    def refused(self, root, token, says, exit_code):
        (root / SETS).mkdir(mode=0o700, parents=True, exist_ok=True)
        before = stamps(root)
        result = self.enroll(root, token, exit_code=exit_code)
        self.assertIn(says, result.stderr)
        after = stamps(root)
        self.assertEqual({path: stamp for path, stamp in after.items() if SETS not in str(path)},
                         {path: stamp for path, stamp in before.items() if SETS not in str(path)})
        return result.stderr

    def test_file_that_was_edited(self):
        root, token = self.enrolled('workerone')
        config, bundle = root / 'etc/kubernetes/kubelet.conf', root / 'etc/kubernetes/pki/ca.crt'
        text = config.read_text()
        config.write_text(text.replace('6443', '6444'))
        bundle.unlink()  # and what is missing is not written either
        self.assertIn('--force', self.refused(root, token, '/etc/kubernetes/kubelet.conf: it was changed', CONFLICT))
        self.assertFalse(bundle.exists())
        self.enroll(root, token, '--force')
        self.assertEqual(config.read_text(), text)
        self.assertTrue(bundle.exists())

    def test_mode_that_was_changed(self):
        root, token = self.enrolled('etcdone')
        key = root / 'etc/etcd/pki/member.key'
        key.chmod(0o640)
        self.refused(root, token, '/etc/etcd/pki/member.key: it has the mode 0640 instead of 0600', CONFLICT)
        self.enroll(root, token, '--force')
        self.assertEqual(key.stat().st_mode & 0o7777, 0o600)

    @unittest.skipIf(os.geteuid() != 0, 'only root gives files away')
    def test_owner_that_was_changed(self):
        root, token = self.enrolled('etcdone')
        os.chown(root / 'etc/etcd/pki/member.key', 12345, -1)
        self.refused(root, token, '/etc/etcd/pki/member.key: it belongs to the user 12345', CONFLICT)

    def test_file_of_another_program_before_anything_is_asked_for(self):
        root, token = self.folder / 'root', self.token('masterone')
        pki = root / 'etc/kubernetes/pki'
        pki.mkdir(parents=True, mode=0o755)
        (pki / 'front-proxy-client.key').write_text('from kubeadm')
        (pki / 'apiserver.crt').write_text('from kubeadm')
        said = self.refused(root, token, '/etc/kubernetes/pki/front-proxy-client.key: ', CONFLICT)
        self.assertIn('/etc/kubernetes/pki/apiserver.crt: ', said)
        self.assertEqual(list((root / SETS).iterdir()), [])
        for path in list(pki.iterdir()):
            path.rename(root / path.name)
        self.enroll(root, token)

    def test_links(self):
        for link, target in (('etc/kubernetes', 'elsewhere'), ('etc/kubernetes/pki/ca.crt', 'victim')):
            with self.subTest(link=link):
                root, token = self.folder / target, self.token('workerone')
                (root / link).parent.mkdir(parents=True)
                (root / 'elsewhere').mkdir()
                (root / 'victim').write_text('precious')
                (root / link).symlink_to(root / target)
                self.refused(root, token, f'{root}/{link}"', FAILED)
                self.enroll(root, token, '--force', exit_code=FAILED)
                self.assertEqual((root / 'victim').read_text(), 'precious')
                self.assertEqual(list((root / 'elsewhere').iterdir()), [])

    def test_folders_that_others_write_to(self):
        for name in ('etc', 'etc/kubernetes', 'etc/kubernetes/pki'):
            with self.subTest(folder=name):
                root, token = self.folder / name.replace('/', '-'), self.token('workerone')
                folder = root / name
                (root / 'etc/kubernetes/pki').mkdir(parents=True)
                folder.chmod(0o775)
                self.refused(root, token, 'is writable by others', FAILED)
                folder.chmod(0o755)
                self.enroll(root, token)


if __name__ == '__main__':
    unittest.main(warnings='ignore')
