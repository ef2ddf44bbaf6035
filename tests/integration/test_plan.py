"""`ensign cluster plan`, `apply`, `status` and `reset` as far as they change nothing: what is planned for bare hosts, and all
that is refused before anything is begun. What they do to hosts is tested in tests/e2e/lab."""
import json
import os
import sys
import unittest
import unittest.mock

import test_hosts
from lib import hosts as lib
from lib.service import Service

MARKS = '/var/lib/ensign-apply'


class Plan(test_hosts.Fleet):
    def setUp(self):
        super().setUp()
        self.service = Service().init().start()
        self.addCleanup(self.service.__exit__)
        self.add_all()
        self.hosts.configure()
        self.addCleanup(lambda: self.assertFalse(os.path.exists(MARKS)))  # nothing was begun on any host

    def create(self):
        self.service.ensign('cluster', 'create', '-f', self.file())

    def run_it(self, command, *more):
        service = () if command == 'reset' else ('--context', self.service.context_file)
        return self.hosts.ensign('cluster', command, '-f', self.file(), *service, *more, check=False, timeout=100)

    def rows(self, *more):
        result = self.run_it('plan', '-o', 'json', *more)
        self.assertEqual(0, result.returncode, result.stderr)
        return [(row['stage'], row['node'], row['why']) for row in json.loads(result.stdout)['items']]

    def refused(self, code, text, command, *more):
        result = self.run_it(command, *more)
        self.assertEqual(code, result.returncode, result.stderr)
        self.assertIn(text, result.stderr)

    def test_plan(self):
        self.create()
        rows = self.rows()
        for node, path in (('etcdone', '/etc/ensign/node'), ('masterone', '/etc/ensign/node')):
            self.assertTrue([row for row in rows if row[:2] == ('enrol', node) and path in row[2]], rows)
        stages = [row[0] for row in rows]
        self.assertEqual(stages.index('enrol'), min(i for i, row in enumerate(rows) if 'there is no /etc/ensign' in row[2]))
        self.assertLess(stages.index('etcd'), stages.index('init'))
        self.assertLess(stages.index('init'), stages.index('workers'))
        self.assertEqual({'etcd'}, {row[0] for row in self.rows('--only', 'etcd')})
        self.assertEqual({'workerone'}, {row[1] for row in self.rows('--only', 'workerone')})
        dry = self.run_it('apply', '--dry-run', '-o', 'json')
        self.assertEqual(rows, [(row['stage'], row['node'], row['why']) for row in json.loads(dry.stdout)['items']])

    def test_refused(self):
        self.refused(1, 'cluster create', 'apply')
        self.create()
        self.refused(2, '--only takes', 'plan', '--only', 'nowhere')
        self.refused(2, 'https', 'apply', '--server', f'unix://{self.service.state}/run/ensignd.sock')
        self.refused(2, '--yes', 'reset')
        self.refused(2, 'no node', 'reset', '--host', 'nobody', '--yes')
        self.bootstrap = {'cni': {'bridge': True}}
        self.refused(6, 'cluster update', 'apply')
        self.refused(6, 'cluster update', 'upgrade', '--to', '1.31.4')

    def test_upgrade_refused(self):
        """Where the file differs in nothing but versions from the service's, for other reasons."""
        self.create()
        self.refused(2, '--to', 'upgrade')
        self.refused(2, 'with its patch', 'upgrade', '--to', '1.32')
        self.bootstrap = {'packages': {'kubernetes': {'source': 'distribution', 'version': '1.32.1-1.1'}}}
        self.version = '1.32'
        result = self.run_it('upgrade', '--to', '1.32.4', '--dry-run')
        self.assertEqual(1, result.returncode, result.stderr)
        for why in ('nothing was changed', 'masterone: it is no node of the cluster yet', 'workerone: its kubelet does not',
                    '"1.32.1-1.1" is no package of 1.32.4'):
            self.assertIn(why, result.stderr)
        self.version = '1.30'
        self.refused(1, 'the cluster file has 1.30', 'upgrade', '--to', '1.32.4')

    def test_unfit(self):
        """All hosts at once, and nothing is begun on the others."""
        self.create()
        self.hosts.hosts['etcdone'].stop()
        (self.hosts.hosts['workerone'].etc / 'kubernetes').mkdir()
        (self.hosts.hosts['workerone'].etc / 'kubernetes/kubelet.conf').write_text('x')
        result = self.run_it('apply', '-o', 'json')
        self.assertEqual(1, result.returncode)
        self.assertEqual([('etcdone', 'unreachable'), ('workerone', 'cluster')], self.errors(json.loads(result.stdout)))

    def test_even_number_of_etcd_members(self):
        """Is refused, by the file alone, unless somebody insists."""
        arithmetic = '2 etcd members have a quorum of 2: they survive the failure of 0, as 1 does; 3 survive that of 1'
        with unittest.mock.patch.dict(test_hosts.ROLES, workerone='etcd'):
            created = self.service.ensign('cluster', 'create', '-f', self.file())
            self.assertIn('warning: ' + arithmetic, created.stderr)
            for command, *more in (('check',), ('plan',), ('apply',), ('apply', '--only', 'masterone')):
                result = self.run_it(command, '-o', 'json', *more)
                self.assertEqual(1, result.returncode, result.stderr)
                finding = json.loads(result.stdout)['items'][0]
                self.assertEqual((None, 'error', arithmetic), (finding['node'], finding['level'], finding['seen']))
                self.assertIn('--force', finding['remedy'])
            self.assertRegex(self.run_it('check').stdout, r'(?m)^-\s+error\s+cluster file\s')
            forced = self.run_it('check', '--force', '-o', 'json')
            self.assertEqual((0, 'warning'), (forced.returncode, json.loads(forced.stdout)['items'][0]['level']))
            for command in (('plan',), ('apply', '--dry-run')):
                forced = self.run_it(*command, '--force', '-o', 'json')
                self.assertEqual(0, forced.returncode, forced.stderr)
                self.assertIn('warning: ' + arithmetic, forced.stderr)
                self.assertTrue(json.loads(forced.stdout)['items'])

    def test_status(self):
        self.create()
        self.hosts.hosts['etcdone'].stop()
        result = self.run_it('status', '-o', 'json')
        rows = {row['node']: row for row in json.loads(result.stdout)['items']}
        self.assertEqual(1, result.returncode, result.stderr)
        self.assertIn('nothing listens there', rows['etcdone']['health'])
        self.assertEqual('', rows['etcdone']['to_do'])
        self.assertIn('kubelet to be healthy', rows['workerone']['health'])
        self.assertIn('missing', rows['masterone']['certificates'])
        self.assertTrue(rows['masterone']['to_do'])
        self.refused(1, 'nothing was changed', 'reset', '--yes')


if __name__ == '__main__':
    if lib.missing():
        print(f'skipped: {lib.missing()}')
        sys.exit(77)
    lib.own_machine(*test_hosts.NAMES.values())
    unittest.main(verbosity=2)
