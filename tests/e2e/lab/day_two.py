#!/usr/bin/env python3
"""What comes after the first day, while somebody writes through the API: a cluster grows from one of each to three, nodes
leave it, also the one that it began with, and hosts that are lost for good are replaced under their names. After each,
another apply changes nothing. Prints how many writes failed."""
import json
import pathlib
import re
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))

from lib import lab  # noqa: E402
from lib.bringup import Bringup  # noqa: E402
from lib.service import wait_for  # noqa: E402

BACK_SECONDS = 180


class DayTwo(lab.Case):
    """Of a topology: where it begins, and all of its nodes."""
    __test__ = False

    @classmethod
    def setUpClass(cls):
        if not cls.topology:
            raise unittest.SkipTest('of what all topologies share')
        cls.lab = cls.enterClassContext(Bringup(cls.topology))
        cls.lab.serve(ensign=True, nodes=cls.begin)
        print(f'{len(cls.begin)} hosts: {cls.lab.apply().seconds:.1f} s', flush=True)

    topology = None

    # ---- what is done ----

    def give(self, nodes):
        """The cluster file has these, and so the cluster"""
        self.lab.write(ensign=True, nodes=nodes)
        print(f'{len(nodes)} hosts: apply took {self.lab.apply().seconds:.1f} s', flush=True)

    def remove(self, node, *more):
        shown = self.lab.look('remove', node, *more, check=False)
        self.assertEqual(2, shown.returncode, shown.stderr)
        self.assertIn('say --yes', shown.stderr)
        self.lab.look('remove', node, *more, '--yes')

    # ---- what is seen ----

    def members(self, host):
        """name -> voter, of etcd"""
        text = self.lab.hosts[host].sh(self.etcd_list).stdout
        found = re.findall(r'"name":"([^"]+)"[^{]*?"clientURLs":\[[^]]*\]([^{]*)', text)
        return {name: 'isLearner' not in rest for name, rest in found}

    def check(self, nodes, host):
        """All that is to be there is there and well, and another apply changes nothing."""
        wait_for('all to be well', self.lab.well, BACK_SECONDS)
        kubelets = {name for name in nodes if not name.startswith(('etcd', 'lb'))}
        self.assertEqual(dict.fromkeys(kubelets, True), self.lab.nodes())
        self.assertEqual(dict.fromkeys([name for name in nodes if name.startswith(self.etcd_hosts)], True), self.members(host))
        before, issued = self.lab.snapshot(), self.lab.issued()
        again = self.lab.apply()
        self.assertIn('nothing was to be done', again.text)
        self.assertEqual([], self.lab.changes(before))
        self.assertEqual(issued, self.lab.issued())

    def valid(self, node):
        """Serials of what is its own; what was issued through it for all control planes is not"""
        listed = self.lab.ensign('certificate', 'list', '--cluster', self.lab.cluster, '--node', node, '--state', 'valid',
                                 '-o', 'json').stdout
        shared = {'apiserver-etcd-client'} if self.topology == 'external-haproxy' else set()
        return {item['serial'] for item in json.loads(listed)['items'] if item['profile'] not in shared}

    def lose(self, node, survivor):
        """The host is gone; another one with an empty disk takes its place under its name."""
        before = self.valid(node)
        self.assertTrue(before)
        self.lab.hosts[node].power_cut()
        refused = self.lab.look('remove', node, '--yes', check=False)
        self.assertEqual(1, refused.returncode)
        self.assertIn('--lost', refused.stderr)
        self.remove(node, '--lost')
        self.assertEqual(set(), self.valid(node) & before)
        self.assertNotIn(node, self.members(survivor))
        self.assertNotIn(node, self.lab.nodes())
        self.lab.hosts[node].wipe()
        print(f'{node} again: apply took {self.lab.apply().seconds:.1f} s', flush=True)
        self.assertTrue(self.valid(node))


class External(DayTwo):
    topology, begin = 'external-haproxy', ['etcdone', 'masterone', 'lb']
    whole = ['etcdone', 'etcdtwo', 'etcdthree', 'masterone', 'mastertwo', 'masterthree', 'lb', 'workerone']
    etcd_hosts = ('etcd',)
    etcd_list = ('cd /etc/etcd/pki; ETCDCTL_API=3 etcdctl --cacert ca.crt --cert healthcheck-client.crt --key '
                 'healthcheck-client.key --endpoints https://127.0.0.1:2379 member list -w json')

    def test_1_grows(self):
        with self.lab.writing('from one of each to three'):
            self.give(self.whole)
        self.check(self.whole, 'etcdone')

    def test_2_a_worker_leaves(self):
        others = [name for name in self.whole if name != 'workerone']
        with self.lab.writing('a worker less'):
            self.remove('workerone')
            self.give(others)
        self.check(others, 'etcdone')
        self.give(self.whole)

    def test_3_the_first_of_each_leaves(self):
        others = [name for name in self.whole if name not in ('etcdone', 'masterone')]
        self.lab.first = 'mastertwo'
        with self.lab.writing('the first control plane and the first member less'):
            self.remove('masterone')
            self.remove('etcdone')
            self.assertEqual(set(), self.valid('masterone') | self.valid('etcdone'))
            self.lab.write(ensign=True, nodes=others)
            self.lab.apply('--force')
        self.lab.first = 'mastertwo'
        self.assertEqual({'etcdtwo': True, 'etcdthree': True}, self.members('etcdtwo'))
        with self.lab.writing('both again'):
            self.give(self.whole)
        self.check(self.whole, 'etcdtwo')

    def test_4_lost_hosts_are_replaced(self):
        for node, survivor in (('masterone', 'etcdone'), ('etcdthree', 'etcdone')):
            with self.subTest(node), self.lab.writing(f'{node} is lost and replaced'):
                self.lab.first = 'mastertwo'
                self.lose(node, survivor)
        self.check(self.whole, 'etcdone')


class Stacked(DayTwo):
    topology, begin = 'stacked-haproxy', ['cp1', 'lb', 'worker1']
    whole = ['cp1', 'cp2', 'cp3', 'lb', 'worker1']
    etcd_hosts = ('cp',)
    etcd_list = ('cd /etc/kubernetes/pki/etcd; curl -sS --cacert ca.crt --cert healthcheck-client.crt --key '
                 'healthcheck-client.key -d "{}" https://127.0.0.1:2379/v3/cluster/member/list')

    def test_1_from_one_over_two_to_three(self):
        two = ['cp1', 'cp2', 'lb', 'worker1']
        # kubeadm before 1.27 adds a member as a voter: until its pod runs, two are no majority of what there is.
        with self.lab.writing('from one to two, to three', failed_max=400, gap_max_seconds=60):
            self.lab.write(ensign=True, nodes=two)
            refused = self.lab.apply(check=False)
            self.assertEqual(1, refused.code, refused.text)
            self.assertRegex(refused.text, 'quorum')
            self.lab.apply('--force')
            self.give(self.whole)
        self.check(self.whole, 'cp1')

    def test_2_the_first_leaves_and_one_is_lost(self):
        self.lab.first = 'cp3'
        with self.lab.writing('the first control plane leaves and comes back'):
            self.remove('cp1')
            self.assertEqual({'cp2': True, 'cp3': True}, self.members('cp2'))
            self.lab.apply()
        self.check(self.whole, 'cp3')
        with self.lab.writing('cp2 is lost and replaced'):
            self.lose('cp2', 'cp3')
        self.check(self.whole, 'cp3')


if __name__ == '__main__':
    lab.enter()
    unittest.main(verbosity=2)
