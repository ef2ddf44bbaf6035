"""A10 for those who renew: the service's clock is set back or forward while agents want to renew, and an agent's own clock is
wrong, for long and back and forth. Nothing is issued that should not be, nothing is thrown away, nobody asks and asks, and
once the clock is right all goes on. The service is ensignd_clock."""
import pathlib
import subprocess
import tempfile
import time
import unittest

from lib.agents import NodeRoot, clock, loopback_network
from lib.clock import Clock
from lib.man_in_the_middle import Middle
from lib.service import ENSIGN, Service, wait_for

EXAMPLE, CLUSTER, NODE = 'vagrant-external-etcd.yaml', 'vagrant', 'etcdone'
PROFILES = {'node-identity', 'etcd-member', 'etcd-healthcheck-client'}
MINUTE = 60
WATCHED_SECONDS = 4  # in which an agent without patience would ask several times
RECOVERY_SECONDS = 90


class Clocks(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.clock = Clock()
        cls.addClassCleanup(cls.clock.close)
        cls.service = Service().init()
        cls.addClassCleanup(cls.service.__exit__)
        cls.service.start()
        cls.service.create_cluster(EXAMPLE, [('192.168.29.', loopback_network())])

    def setUp(self):
        self.addCleanup(self.clock.set, wall_seconds=0)
        folder = pathlib.Path(tempfile.mkdtemp(dir=self.service.folder))
        self.node = NodeRoot(self.service, CLUSTER, NODE, folder).enroll('--lifetime', '1h')
        self.node.settings(lifetime='1h')
        self.assertEqual(self.node.once(ahead=None)[0], 0)

    def start(self, environment):
        """An agent that stays."""
        self.log = open(self.node.root / 'agent.log', 'wb')
        agent = subprocess.Popen([ENSIGN, 'agent', '--root', self.node.root], env=environment, stderr=self.log)

        def end():
            agent.terminate()
            agent.wait(timeout=30)
            self.log.close()
        self.addCleanup(end)
        return agent

    def said(self):
        return (self.node.root / 'agent.log').read_text()

    def watch(self, seconds=WATCHED_SECONDS):
        """Lets that time pass: what is counted is what happens in it."""
        end = time.monotonic() + seconds
        wait_for('the time to pass', lambda: time.monotonic() > end, seconds + 1)

    def renewed_once(self, before):
        now = self.node.serials()
        return all(now[profile] != before[profile] for profile in PROFILES)

    # ---- the service's ----

    def check_service(self, jump):
        before, count = self.node.serials(), len(self.node.issued())
        self.clock.set(wall_seconds=jump)
        with Middle(self.node) as middle:
            self.start(clock('+45m'))
            wait_for('each to be tried', lambda: len(middle.requests('POST', '/certificates')) >= len(PROFILES))
            self.watch()
            self.assertIn("the service's clock is", self.said())
            asked = len(middle.requests('POST', '/certificates'))
            self.assertEqual((self.node.serials(), len(self.node.issued())), (before, count), 'nothing is issued')
            self.assertLess(asked, 8 * len(PROFILES), 'it backs off')
            self.assertGreater(len(middle.requests('GET', '/work')), 0, 'reads go on')
            self.clock.set(wall_seconds=0)
            wait_for('the renewals', lambda: self.renewed_once(before), RECOVERY_SECONDS)
            wait_for('the report', lambda: {name: entry['serial'] for name, entry in self.node.deployed().items()}
                     == self.node.serials(), RECOVERY_SECONDS)
            self.watch()
            # Its clock is ahead: all that it was given looks old to it, and is not asked for again.
            self.assertEqual(len(self.node.issued()), count + len(PROFILES))
            print(f'{jump:+} s: {asked} requests that were refused, {len(PROFILES)} renewals, and none after them')
        code, said = self.node.once()  # the control: to an agent that does not know of them they are due
        self.assertEqual(said.count('issued'), len(PROFILES), (code, said))

    def test_A10_the_services_is_set_back(self):
        self.check_service(-6 * MINUTE)

    def test_A10_the_services_is_set_forward(self):
        self.check_service(24 * 60 * MINUTE)

    # ---- the agent's ----

    def test_A10_the_agents_own(self):
        """An hour and a year, to and fro. Those that live for an hour are renewed once where they look due."""
        fake = self.node.root / 'clock'
        fake.write_text('+0\n')
        environment = clock('+0', FAKETIME_TIMESTAMP_FILE=str(fake), FAKETIME_NO_CACHE='1', FAKETIME_DONT_FAKE_MONOTONIC='1')
        environment.pop('FAKETIME')
        before, count = self.node.serials(), len(self.node.issued())
        with Middle(self.node) as middle:
            agent = self.start(environment)
            wait_for('the first turn', lambda: middle.requests('PUT', '/deployed') or middle.requests('GET', '/work'))
            for ahead in ('+50m', '+0', '+1h', '-1h', '+1y', '+50m', '-1y', '+0'):
                fake.write_text(ahead + '\n')
                asked, pairs = len(middle.asked), self.node.set_pairs()
                self.watch()
                print(f'{ahead}: {len(middle.asked) - asked} requests, {len(self.node.issued()) - count} renewals so far')
                self.assertLess(len(middle.asked) - asked, 10 * WATCHED_SECONDS)
                self.assertLessEqual(len(self.node.issued()) - count, len(PROFILES), self.said()[-600:])
                self.assertEqual(set(self.node.set_pairs()), set(pairs), 'nothing is thrown away')
            self.assertIsNone(agent.poll())
            held = self.node.serials()
            self.service.ensign('rotate', CLUSTER, '--node', NODE, '--profile', 'etcd-member')
            wait_for('what the service asks for, the clock being right', lambda:
                     self.node.serials()['etcd-member'] != held['etcd-member'], RECOVERY_SECONDS)
            wait_for('a good report', lambda: {entry['state'] for entry in self.node.deployed().values()} <= {'installed'},
                     RECOVERY_SECONDS)
        self.assertNotEqual(held, before, 'the control: it did see the other time')


if __name__ == '__main__':
    unittest.main(verbosity=2)
