#!/usr/bin/env python3
"""What fails when a machine does: with one control plane, with two, with three. Each row that is printed has what is often
told of such clusters, and what was seen of a real one; what is asserted is what was seen."""
import pathlib
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))

from lib import lab  # noqa: E402
from lib.bringup import Bringup  # noqa: E402
from lib.service import wait_for  # noqa: E402

ONE = ['cp1', 'lb', 'worker1', 'worker2']
TWO, THREE = ['cp1', 'cp2', *ONE[1:]], ['cp1', 'cp2', 'cp3', *ONE[1:]]
IMAGE, REPLICAS = 'k8s.gcr.io/pause:3.2', 4
EVICTION_SECONDS = 480  # node-monitor-grace-period 40 s, tolerationSeconds 300 of each pod, and some
BACK_SECONDS = 180


def tell(scenario, told, seen):
    print(f'{scenario}\n    told: {told}\n    seen: {seen}', flush=True)


class Failures(lab.Case):
    @classmethod
    def setUpClass(cls):
        cls.lab = cls.enterClassContext(Bringup('stacked-haproxy', THREE))
        cls.lab.serve(ensign=True, nodes=ONE)
        cls.lab.apply()
        cls.lab.kubectl('create', 'deployment', 'web', '--image', IMAGE, '--replicas', str(REPLICAS))
        wait_for('its pods', lambda: sum(cls.pods().values()) == REPLICAS, 60)

    # ---- what there is ----

    @classmethod
    def pods(cls):
        """worker -> how many pods are Ready there, of those that are not to end"""
        template = ('{range .items[*]}{.spec.nodeName} {.metadata.deletionTimestamp} '
                    '{.status.conditions[?(@.type=="Ready")].status}{"\\n"}{end}')
        lines = cls.lab.kubectl('get', 'pods', '-l', 'app=web', '-o', f'jsonpath={template}').stdout.splitlines()
        rows = [line.split(' ') for line in lines if line]
        return {name: sum(row == [name, '', 'True'] for row in rows) for name in ('worker1', 'worker2')}

    def containers(self, name):
        return int(self.lab.hosts[name].run('pgrep', '-c', '-x', 'pause', check=False).stdout)

    def answers(self):
        return self.lab.kubectl('--request-timeout', '5s', 'get', 'nodes', check=False).returncode == 0

    def writes(self):
        made = self.lab.kubectl('--request-timeout', '5s', 'create', 'configmap', f'c{time.monotonic_ns()}', check=False)
        return made.returncode == 0

    def seconds(self, what, condition, limit):
        began = time.monotonic()
        wait_for(what, condition, limit)
        return time.monotonic() - began

    def give(self, nodes, *more):
        self.lab.write(ensign=True, nodes=nodes)
        self.lab.apply(*more)
        wait_for('all to be well', self.lab.well, BACK_SECONDS)

    def lose_worker(self, scenario, told_down, told_moved, moved):
        self.lab.hosts['worker2'].power_cut()
        down = self.seconds('NotReady', lambda: not self.lab.nodes()['worker2'], 120)
        tell(scenario, f'NotReady after {told_down}', f'NotReady after {down:.0f} s')
        self.assertGreater(down, 15)
        if moved:
            seconds = down + self.seconds('its pods elsewhere', lambda: self.pods()['worker1'] == REPLICAS, EVICTION_SECONDS)
            tell(scenario, f'its pods run elsewhere after {told_moved}',
                 f'after {seconds:.0f} s, for each pod tolerates the loss of its node for 300 s')
            self.assertGreater(seconds, 300)
        self.lab.boot('worker2')
        wait_for('all to be well', self.lab.well, BACK_SECONDS)

    # ---- one control plane ----

    def test_1_the_only_control_plane_fails(self):
        said = self.lab.ensign('cluster', 'check', '-f', self.lab.file, check=False)
        self.assertRegex(said.stdout + said.stderr, '(?i)control plane.*nobody|single control plane|one control plane')
        before = {name: self.containers(name) for name in ('worker1', 'worker2')}
        self.lab.hosts['cp1'].power_cut()
        worker = self.lab.hosts['worker1']
        self.assertFalse(self.lab.bastion.sh('curl -sk --max-time 3 https://192.168.40.10:6443/livez', check=False).stdout == 'ok')
        self.assertEqual(before, {name: self.containers(name) for name in before})
        tell('one control plane, which fails', 'running pods continue; kubectl fails', 'so it is')
        worker.run('pkill', '-KILL', '-n', '-x', 'pause')
        back = self.seconds('the kubelet to start it again', lambda: self.containers('worker1') == before['worker1'], 120)
        tell('one control plane, which fails', 'a container that crashes is not started again',
             f'its kubelet started it again after {back:.0f} s; what needs another node waits for the control plane')
        self.lab.boot('cp1')
        seconds = self.seconds('all to be well', self.lab.well, BACK_SECONDS)
        self.assertEqual(REPLICAS, sum(self.pods().values()))
        tell('one control plane, which comes back', 'its state is lost', f'all is as it was {seconds:.0f} s after its boot')

    def test_2_a_worker_fails(self):
        self.lose_worker('one control plane, a worker fails', '40 s', '80 s', True)

    # ---- two ----

    def test_3_one_of_two_fails(self):
        self.give(TWO, '--force')
        self.assertTrue(self.writes())
        self.lab.hosts['cp2'].power_cut()
        seconds = self.seconds('writes to fail', lambda: not self.writes(), 30)
        tell('one of two control planes fails', 'no quorum, nothing can be written',
             f'so it is, {seconds:.0f} s later: 1 of 2 members is no majority')
        self.lab.boot('cp2')
        wait_for('all to be well', self.lab.well, BACK_SECONDS)
        self.assertTrue(self.writes())
        self.give(THREE)

    # ---- three ----

    def test_4_one_of_three_fails(self):
        """Another than that whose kubeconfig is used, which is the first."""
        with self.lab.writing('one of three control planes fails') as writer:
            self.lab.hosts['cp3'].power_cut()
            count = len(writer.acknowledged)
            wait_for('writes after it', lambda: len(writer.acknowledged) > count + 200, 90)
            self.assertTrue(self.writes())
        tell('one of three control planes fails', 'no disruption, 0 s; others take over after 10 s',
             f'{len(writer.failed)} of {writer.number} writes failed, longest gap {writer.longest_gap():.1f} s')
        self.lab.boot('cp3')
        wait_for('all to be well', self.lab.well, BACK_SECONDS)

    def test_5_a_worker_fails(self):
        self.lose_worker('three control planes, a worker fails', '15 s, for three watch it', '35 s', False)


if __name__ == '__main__':
    lab.enter()
    unittest.main(verbosity=2)
