#!/usr/bin/env python3
"""The lab's other clusters, brought up by `ensign cluster apply`: etcd on the control planes, and two nginx with an address
that keepalived moves. Nodes are Ready about as soon as by plain kubeadm, another apply changes nothing, and the address is
elsewhere soon after its holder was cut off."""
import pathlib
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))

from lib import lab  # noqa: E402
from lib.bringup import Bringup, kubeadm_seconds  # noqa: E402
from lib.service import wait_for  # noqa: E402

VIRTUAL, BALANCERS, MOVE_SECONDS = '192.168.13.70', ('k8svrrp1', 'k8svrrp2'), 5
LIVES = f'curl -ks --connect-timeout 1 --max-time 2 https://{VIRTUAL}:6443/livez'


class Topologies(lab.Case):
    def brought_up(self, topology, nodes):
        by_kubeadm = kubeadm_seconds(topology)
        self.lab = self.enterContext(Bringup(topology))
        self.lab.serve(ensign=True)
        self.lab.apply_beside(by_kubeadm)
        self.assertEqual([True] * nodes, list(self.lab.nodes().values()))
        before, issued = self.lab.snapshot(), self.lab.issued()
        self.lab.apply()
        self.assertEqual([], self.lab.changes(before))
        self.assertEqual(issued, self.lab.issued())
        wait_for('all to be well', self.lab.well, 60)
        self.assertEqual([], self.lab.leaked_authority_keys())

    def test_stacked_etcd(self):
        self.brought_up('stacked-haproxy', 5)
        pods = self.lab.kubectl('-n', 'kube-system', 'get', 'pods', '-l', 'component=etcd', '-o', 'name').stdout
        self.assertEqual(3, len(pods.split()), pods)

    def holder(self):
        return [name for name in BALANCERS if f' {VIRTUAL}/' in self.lab.hosts[name].run('ip', '-o', 'address').stdout]

    def lives(self):
        return self.lab.bastion.sh(LIVES, check=False).stdout == 'ok'

    def test_an_address_that_moves(self):
        self.brought_up('external-keepalived', 6)
        holder = wait_for('one to hold the address', lambda: len(self.holder()) == 1 and self.holder(), 20)[0]
        self.assertTrue(self.lives())
        self.lab.hosts[holder].cut()
        began = time.monotonic()
        wait_for('the API to answer again', self.lives, 30)
        seconds = time.monotonic() - began
        print(f'{VIRTUAL} answers again {seconds:.1f} s after {holder} was cut off', flush=True)
        self.assertLess(seconds, MOVE_SECONDS)
        self.lab.hosts[holder].heal()
        wait_for('all to be well', self.lab.well, 60)


if __name__ == '__main__':
    lab.enter()
    unittest.main(verbosity=2)
