"""Agents of control planes that share apiserver-etcd-client: who renews it, who reports it, and when a rotation of it is
done."""
import collections
import json
import pathlib
import subprocess
import tempfile
import time
import unittest

from lib.agents import NodeRoot, serial
from lib.service import ENSIGN, wait_for
from lib.sharing import NODES, Case, Cluster

NAME = 'apiserver-etcd-client'
PAIR = f'etc/kubernetes/pki/{NAME}'
PENDING = 7
LIFETIME_SECONDS = 60 * 86400  # of agent.yaml; the profile's is a year


class SharedAgents(Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        Cluster(cls.service, 'shared', shared=True)
        cls.folder = pathlib.Path(tempfile.mkdtemp(dir=cls.service.folder))
        cls.nodes, cls.agents = {}, {}
        cls.addClassCleanup(lambda: [cls.stop(name) for name in NODES])
        for name in NODES:
            root = cls.folder / name
            root.mkdir(mode=0o700)
            cls.nodes[name] = NodeRoot(cls.service, 'shared', name, root).enroll()
            cls.settings(name)
            cls.start(name)
        for name in NODES:
            wait_for(f'the pair of {name}', lambda name=name: NAME in cls.nodes[name].deployed())

    @classmethod
    def settings(cls, name):
        programs = ('kubelet', 'scheduler', 'controller-manager')
        cls.nodes[name].settings(lifetime=f'{LIFETIME_SECONDS}s', health={'apiserver': 'none'},
                                 check={'apiserver': 'none'}, hooks={**dict.fromkeys(programs, 'none'), NAME: {
                                     'command': ['sh', '-c', 'echo run >> "$1"', 'hook', str(cls.ran(name))]}})

    @classmethod
    def ran(cls, name):
        return cls.folder / f'{name}.ran'

    @classmethod
    def start(cls, name):
        with open(cls.folder / f'{name}.log', 'ab') as log:
            cls.agents[name] = subprocess.Popen([ENSIGN, 'agent', '--root', cls.nodes[name].root], stderr=log)

    @classmethod
    def stop(cls, name):
        agent = cls.agents.pop(name, None)
        if agent:
            agent.terminate()
            assert agent.wait(timeout=30) == 0

    def issued(self):
        answer = self.nodes['cpone'].get('/v1/certificates?cluster=shared&limit=500')
        return [item for item in answer['items'] if item['profile'] == NAME]

    def shown(self):
        """node -> (state, DEPLOYED, serial)"""
        result = self.service.ensign('cluster', 'certificates', 'shared', '-o', 'json', check=False)
        return {row['node']: (row['state'], row['deployed'], row['serial'])
                for row in json.loads(result.stdout)['items'] if row['profile'] == NAME and row['node'] in NODES}

    def installed(self):
        return {serial(self.nodes[name].root / f'{PAIR}.crt') for name in NODES}

    def rotate(self, *more, **options):
        return self.service.ensign('rotate', 'shared', *more, '--wait', **options)

    def hooks(self):
        return {name: self.ran(name).read_text().count('run') if self.ran(name).exists() else 0 for name in NODES}

    def test_a_rotation_of_the_cluster_ends(self):
        before, ran = self.issued(), self.hooks()
        begun = time.monotonic()
        self.rotate('--timeout', '2m')
        print(f'all of the cluster in {time.monotonic() - begun:.1f} s')
        after = self.issued()
        self.assertEqual(len(after), len(before) + 1, 'one of them renews')
        newest = after[-1]['serial']
        self.assertEqual(self.shown(), dict.fromkeys(NODES, ('ok', 'installed', newest)))
        self.assertEqual(self.installed(), {newest})
        for name in NODES:
            entry = self.nodes[name].deployed()[NAME]
            self.assertEqual((entry['serial'], entry['state'], entry['not_after']),
                             (newest, 'installed', after[-1]['not_after']))
        self.assertEqual(self.hooks(), {name: count + 1 for name, count in ran.items()}, 'whoever reads it')
        seconds = subprocess.run(['openssl', 'x509', '-noout', '-checkend', str(LIFETIME_SECONDS + 60), '-in',
                                  self.nodes['cptwo'].root / f'{PAIR}.crt'], capture_output=True).returncode
        self.assertEqual(seconds, 1, 'it lives as long as agent.yaml says, not for a year')

    def test_it_is_done_when_the_last_has_it(self):
        self.stop('cpthree')
        result = self.rotate('--profile', NAME, '--timeout', '5s', check=False)
        self.assertEqual(result.returncode, PENDING, result.stderr)
        rotation = self.nodes['cpone'].get('/v1/clusters/shared/rotations')['items'][0]
        place = lambda: self.nodes['cpone'].get(f'/v1/clusters/shared/rotations/{rotation["id"]}')['items'][0]
        self.assertEqual((place()['state'], place()['detail']), ('renewed', 'cpthree: it has not reported it'))
        shown = self.shown()
        self.assertEqual({name: row[1] for name, row in shown.items()},
                         {'cpone': 'installed', 'cptwo': 'installed', 'cpthree': 'other'})
        self.start('cpthree')
        wait_for('the last one', lambda: place()['state'] == 'installed')
        self.assertEqual({row[1] for row in self.shown().values()}, {'installed'})
        self.assertEqual(len(self.installed()), 1)

    def test_nothing_to_do_is_only_looked_at(self):
        """Once all have it, nobody fetches the cluster file or seals anything again."""
        log = lambda: collections.Counter(
            (json.loads(line).get('method'), json.loads(line).get('route')) for line in
            (self.service.folder / 'ensignd.log').read_text().splitlines() if '"answered"' in line)
        looks = lambda: log()['GET', '/v1/clusters/{cluster}/shared-keys/{name}']
        before, many = log(), looks() + 6
        wait_for('some looks at the keys', lambda: looks() >= many)
        new = log() - before
        print(dict(new))
        self.assertLessEqual(new['GET', '/v1/clusters/{cluster}'], 3, 'a whole turn, if it was due just now')
        self.assertEqual(new['POST', '/v1/clusters/{cluster}/shared-keys/{name}/envelopes'], 0)


if __name__ == '__main__':
    unittest.main(verbosity=2)
