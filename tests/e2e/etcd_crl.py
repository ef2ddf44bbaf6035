#!/usr/bin/env python3
"""What a CRL does to a real etcd, which reads its file again at each connection: revoked clients and members are refused
without a restart, others go on, and an empty list, none at all or one that is damaged does what it is known to do."""
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from lib import der
from lib.keys import Key
from lib.service import free_port, run, wait_for
from lib.world import World, issue

NODES = {'etcdone': '127.0.0.61', 'etcdtwo': '127.0.0.62', 'etcdthree': '127.0.0.63'}


class Identity:
    """A certificate with its key, in files."""

    def __init__(self, world, folder, profile, node):
        key = Key()
        status, answer = issue(world.admin, der.request(key), profile, node=node, cluster='sea')
        assert status == 201, answer
        self.serial, self.pem, self.key = answer['serial'], folder / f'{answer["serial"]}.crt', folder / f'{answer["serial"]}.key'
        self.pem.write_text(answer['certificate'])
        self.key.touch(mode=0o600)
        self.key.write_bytes(key.pem)
        self.ca = folder / 'ca.crt'
        self.ca.write_text(answer['bundle'])


class EtcdCrl(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.world = World()
        cls.addClassCleanup(cls.world.close)
        cls.world.create_cluster(name='sea', network='127.0.0')
        cls.folder = pathlib.Path(tempfile.mkdtemp(prefix='ensign-etcd-'))
        cls.addClassCleanup(shutil.rmtree, cls.folder)

    def identity(self, profile='etcd-healthcheck-client', node='etcdone'):
        return Identity(self.world, self.folder, profile, node)

    def crl(self, name):
        """Replaces the file by renaming, as an agent does."""
        path, new = self.folder / name, self.folder / f'{name}.new'
        self.world.service.ensign('ca', 'crl', '--cluster', 'sea', '--authority', 'etcd-ca', '--format', 'der', '--out', new)
        new.rename(path)
        return path

    def revoke(self, identity):
        self.world.service.ensign('certificate', 'revoke', identity.serial, '--reason', 'keyCompromise')

    def start(self, name, peers, member, *more, data=None):
        """One etcd; peers: name -> (client URL, peer URL)"""
        client, peer = peers[name]
        log = open(self.log(name), 'ab')
        process = subprocess.Popen(
            ['etcd', '--name', name, '--data-dir', self.folder / (data or f'{self.id()}.{name}'), '--listen-client-urls',
             client, '--advertise-client-urls', client, '--listen-peer-urls', peer, '--initial-advertise-peer-urls', peer,
             '--initial-cluster', ','.join(f'{one}={urls[1]}' for one, urls in peers.items()), '--client-cert-auth',
             '--trusted-ca-file', member.ca, '--cert-file', member.pem, '--key-file', member.key, '--peer-client-cert-auth',
             '--peer-trusted-ca-file', member.ca, '--peer-cert-file', member.pem, '--peer-key-file', member.key, '--logger',
             'zap', *more], stdout=log, stderr=log)
        self.addCleanup(log.close)
        self.addCleanup(self.stop, process)
        return process

    def log(self, name):
        return self.folder / f'{self.id()}.{name}.log'

    def stop(self, process):
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def urls(self, names):
        return {name: tuple(f'https://{NODES[name]}:{free_port(NODES[name])}' for _ in range(2)) for name in names}

    def answers(self, url, identity):
        """Whether etcd serves this client, over a new connection."""
        return run('curl', '-s', '--max-time', '5', '--cacert', identity.ca, '--cert', identity.pem, '--key', identity.key,
                   f'{url}/health', check=False).stdout.startswith('{"health":"true"')

    def test_clients(self):
        peers = self.urls(['etcdone'])
        url = peers['etcdone'][0]
        file = self.crl('client.crl')
        lost, sibling = self.identity(), self.identity()
        self.start('etcdone', peers, self.identity('etcd-member'), '--client-crl-file', file)
        wait_for('etcd, with an empty CRL', lambda: self.answers(url, lost))
        self.assertTrue(self.answers(url, sibling))
        watch = subprocess.Popen(['etcdctl', '--endpoints', url, '--cacert', lost.ca, '--cert', lost.pem, '--key', lost.key,
                                  'watch', 'ship'], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.addCleanup(watch.stdout.close)
        self.addCleanup(self.stop, watch)
        self.revoke(lost)
        self.assertTrue(self.answers(url, lost), 'the control: the file is the one from before')
        self.crl('client.crl')
        self.assertFalse(self.answers(url, lost))
        self.assertTrue(self.answers(url, sibling))
        # Only new connections are looked at: one that is kept goes on.
        put = lambda: run('etcdctl', '--endpoints', url, '--cacert', sibling.ca, '--cert', sibling.pem, '--key', sibling.key,
                          'put', 'ship', 'ensign')
        put()
        self.assertEqual(watch.stdout.readline(), 'PUT\n')
        # Without a list that it can read, etcd refuses everybody.
        file.write_bytes(b'damaged')
        self.assertFalse(self.answers(url, sibling))
        file.unlink()
        self.assertFalse(self.answers(url, sibling))
        self.crl('client.crl')
        self.assertTrue(self.answers(url, sibling))
        self.assertFalse(self.answers(url, lost))

    def healthy(self, peers, identity, names):
        result = run('etcdctl', '--endpoints', ','.join(peers[name][0] for name in names), '--cacert', identity.ca, '--cert',
                     identity.pem, '--key', identity.key, '--command-timeout', '3s', 'endpoint', 'health', check=False)
        return result.returncode == 0

    def refusals(self):
        """How often etcdone has refused a connection for its CRL."""
        return len(re.findall('certificate serial [0-9a-f]+ revoked', self.log('etcdone').read_text(errors='replace')))

    def test_members(self):
        """Each connection that a revoked member opens is refused. But members open connections to each other, and who
        opens one looks at no CRL: only when it is removed from the cluster is it out."""
        peers, client = self.urls(NODES), self.identity()
        members = {name: self.identity('etcd-member', name) for name in NODES}
        file = self.crl('peer.crl')
        running = {name: self.start(name, peers, member, '--peer-crl-file', file) for name, member in members.items()}
        third = lambda: self.healthy(peers, client, ['etcdthree'])
        def again(member):
            self.stop(running['etcdthree'])
            running['etcdthree'] = self.start('etcdthree', peers, member, '--peer-crl-file', file)
        wait_for('the members', lambda: self.healthy(peers, client, NODES))
        again(members['etcdthree'])
        wait_for('the control: it comes back', third)
        self.assertEqual(self.refusals(), 0)
        self.revoke(members['etcdthree'])
        self.crl('peer.crl')
        again(members['etcdthree'])
        wait_for('etcdone to refuse it', self.refusals)
        wait_for('the others to connect to it', third)
        again(self.identity('etcd-member', 'etcdthree'))
        wait_for('it to come back with another certificate', third)
        before = self.refusals()
        again(members['etcdthree'])
        wait_for('etcdone to refuse it again', lambda: self.refusals() > before)
        etcdctl = lambda *words: run('etcdctl', '--endpoints', peers['etcdone'][0], '--cacert', client.ca, '--cert', client.pem,
                                     '--key', client.key, *words, check=False)
        number = next(line.split(',')[0] for line in etcdctl('member', 'list').stdout.splitlines() if 'etcdthree' in line)
        # Not while etcd takes a member for too young.
        wait_for('its removal', lambda: etcdctl('member', 'remove', number).returncode == 0)
        wait_for('it to be out', lambda: not third())
        self.assertTrue(self.healthy(peers, client, ['etcdone', 'etcdtwo']))


if __name__ == '__main__':
    missing = [program for program in ('etcd', 'etcdctl', 'curl') if not shutil.which(program)]
    if missing:
        print(f'skipped: no {", no ".join(missing)}')
        sys.exit(77)
    print(run('etcd', '--version').stdout.splitlines()[0])
    unittest.main(warnings='ignore')
