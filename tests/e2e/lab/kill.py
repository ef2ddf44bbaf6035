#!/usr/bin/env python3
"""`ensign cluster apply` is killed at each of its steps, kubeadm dies in the middle, hosts lose their power: each time
the next run goes on, and the end is what an uninterrupted run makes of the same hosts. One bring-up takes all the
kills."""
import pathlib
import signal
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))

from lib import lab  # noqa: E402
from lib.bringup import Bringup, differences  # noqa: E402
from lib.service import wait_for  # noqa: E402

# In the order of the table in client/bootstrap/step.c, as the plan of these hosts has them.
STEPS = ('host', 'ensign', 'enrol', 'etcd', 'haproxy', 'init', 'control_plane', 'bridge', 'worker', 'agent')
# `apply` has to see that a host is gone: three times 5 s without an answer, and what it had said to the others.
NOTICE_SECONDS = 60


class Kill(lab.Case):
    @classmethod
    def setUpClass(cls):
        cls.lab = cls.enterClassContext(Bringup('external-haproxy'))
        cls.lab.serve(ensign=True)

    def interrupted(self, step):
        """`apply` is killed as soon as the step has begun on some host. Which one"""
        with self.lab.applying() as running:
            host = running.wait_begun(step)
            self.assertIsNotNone(host, f'{step} never began:\n{running.text}')
            running.kill()
        self.assertEqual(-signal.SIGKILL, running.code, running.text)
        print(f'killed {running.seconds:.1f} s after its start, when {step} had begun on {host}', flush=True)
        return host

    def dies(self, step, what):
        """Something happens to the host where the step runs; `apply` says so and ends with 1. Which host"""
        with self.lab.applying() as running:
            name = running.wait_begun(step)
            self.assertIsNotNone(name, f'{step} never began:\n{running.text}')
            what(self.lab.hosts[name])
            began = time.monotonic()
            running.end(NOTICE_SECONDS)
        self.assertEqual(1, running.code, running.text)
        print(f'{step} on {name}: apply ended with 1, {time.monotonic() - began:.1f} s after that', flush=True)
        return name

    def kubeadm_at_work(self, host):
        """In the middle: it has started the kubelet anew, and waits for what that starts."""
        def kubelets():
            return {process for process in host.processes() if process.startswith('kubelet ')}
        before = kubelets()
        wait_for('kubeadm to start the kubelet', lambda: kubelets() - before, 120)

    def kubeadm_killed(self, host):
        self.kubeadm_at_work(host)
        host.run('pkill', '-KILL', '-x', 'kubeadm')

    def power_cut(self, host):
        self.kubeadm_at_work(host)
        host.power_cut()

    def test_1_each_step(self):
        for step in STEPS[:STEPS.index('init')]:
            self.interrupted(step)
        self.dies('init', self.kubeadm_killed)
        self.interrupted('init')
        self.lab.boot(self.dies('init', self.power_cut))
        self.dies('control_plane', self.kubeadm_killed)
        self.interrupted('control_plane')
        self.lab.boot(self.dies('control_plane', self.power_cut))
        for step in STEPS[STEPS.index('bridge'):]:
            self.interrupted(step)
        last = self.lab.apply()
        print(f'the last run: {last.seconds:.1f} s', flush=True)
        self.finished()

    def finished(self):
        self.assertEqual([], self.lab.plan())
        wait_for('all to be well', self.lab.well, 60)
        self.assertEqual([True] * 4, list(self.lab.nodes().values()))
        self.assertEqual(3, len(self.lab.members()))
        self.assertEqual({}, self.lab.marks())
        for host in self.lab.cluster_hosts.values():
            self.assertEqual('', host.states(), host.name)
        self.assertEqual([], self.lab.leaked_authority_keys())

    def test_2_the_same_without_interruption(self):
        interrupted = self.lab.state()
        self.lab.look('reset', '--yes')
        whole = self.lab.apply()
        print(f'without interruption, after a reset of all: {whole.seconds:.1f} s', flush=True)
        self.finished()
        self.assertEqual([], differences(self.lab.state(), interrupted))
        self.lab.hosts['workerone'].run('systemctl', 'stop', 'ensign-agent')
        self.lab.hosts['lb'].sh('echo >> /etc/haproxy/haproxy.cfg')
        self.assertEqual(2, len(differences(self.lab.state(), interrupted)), 'a difference that is there is not seen')


if __name__ == '__main__':
    lab.enter()
    unittest.main(verbosity=2)
