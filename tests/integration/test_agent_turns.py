"""What an agent asks the service for, and how often: nothing that it knows is sent again, a renewal is one turn, and
nobody makes it go round and round."""
import json
import pathlib
import re
import subprocess
import tempfile
import time
import unittest

from lib.agents import NodeRoot, loopback_network, serial
from lib.man_in_the_middle import Middle
from lib.service import ENSIGN, Service, wait_for

EXAMPLE, CLUSTER, NODE, PROFILE = 'vagrant-external-etcd.yaml', 'vagrant', 'etcdone', 'etcd-healthcheck-client'
INVENTORY = f'/v1/clusters/{CLUSTER}'
KNOWN = {INVENTORY, f'{INVENTORY}/authorities/etcd-ca/bundle', f'{INVENTORY}/authorities/etcd-ca/crl'}
WORK = f'{INVENTORY}/nodes/{NODE}/work'


class Listener(Middle):
    """answers: [(method, path without query, status, bytes)] of what passed."""

    def __init__(self, node):
        self.answers = []
        super().__init__(node, self.note)

    def note(self, method, path, status, body):
        self.answers.append((method, path.partition('?')[0], status, len(body)))

    def count(self, method, path):
        return sum(answer[:2] == (method, path) for answer in self.answers)


class Hasty(Middle):
    """Answers at once when it is asked for work, and says each time that there is room to wait."""

    def __init__(self, node, news):
        self.news, self.times, self.turns = news, [], 0
        super().__init__(node, self.hurry)

    def upstream(self, method, path, body, headers):
        self.turns += path == INVENTORY
        if path.startswith(WORK):
            self.times.append(time.monotonic())
        return super().upstream(method, re.sub(r'wait=\d+', 'wait=0', path), body, headers)

    def hurry(self, method, path, status, body):
        if status != 200 or not path.startswith(WORK):
            return None
        work = json.loads(body)
        if self.news:  # as if there were another bundle each time
            work['revision'] = f'{len(self.times):032x}'
            work['bundles'][0]['etag'] = f'"{len(self.times)}"'
        return status, json.dumps({**work, 'poll_seconds': 0}).encode()


class Turns(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.service = Service().init()
        cls.addClassCleanup(cls.service.__exit__)
        cls.service.start()
        cls.service.create_cluster(EXAMPLE, [('192.168.29.', loopback_network())])

    def setUp(self):
        folder = pathlib.Path(tempfile.mkdtemp(dir=self.service.folder))
        self.node = NodeRoot(self.service, CLUSTER, NODE, folder).enroll()

    def agent(self):
        with open(self.node.root / 'agent.log', 'wb') as log:
            agent = subprocess.Popen([ENSIGN, 'agent', '--root', self.node.root], stderr=log)

        def stop():
            agent.terminate()
            self.assertEqual(agent.wait(timeout=30), 0)
        return stop

    def test_a_renewal_is_one_turn(self):
        with Listener(self.node) as middle:
            stop = self.agent()
            wait_for('it to wait', lambda: any('seen=' in path for _, path, _ in middle.asked))
            first, before = list(middle.answers), self.node.serials()[PROFILE]
            self.assertEqual({answer[1] for answer in first if answer[2] == 200} & KNOWN, KNOWN)
            middle.answers.clear()
            self.service.ensign('rotate', CLUSTER, '--node', NODE, '--profile', PROFILE)
            wait_for('the report', lambda: self.node.deployed()[PROFILE]['serial'] != before)
            # What it renewed is another revision: it asks twice until it waits again.
            wait_for('it to wait again', lambda: middle.count('GET', WORK) == 2 or middle.count('GET', INVENTORY) > 1)
            asked = len(middle.requests('GET', '/work'))
            wait_for('the next question', lambda: len(middle.requests('GET', '/work')) > asked)
            second = list(middle.answers)
            stop()
        self.assertEqual(middle.count('GET', INVENTORY), 1, second)
        self.assertEqual(middle.count('PUT', f'{INVENTORY}/nodes/{NODE}/deployed'), 1)
        self.assertEqual({path: (status, size) for _, path, status, size in second if path in KNOWN},
                         dict.fromkeys(KNOWN, (304, 0)), 'and nothing comes twice')
        self.assertEqual(self.node.deployed()[PROFILE]['serial'], serial(self.node.sets / PROFILE / 'tls.crt'))
        print(f'bytes in answers: {sum(answer[3] for answer in first)} at the start, '
              f'{sum(answer[3] for answer in second)} for a renewal')

    def test_what_is_new_is_sent(self):
        """The control: another inventory, and another CRL."""
        with Listener(self.node) as middle:
            stop = self.agent()
            wait_for('it to wait', lambda: any('seen=' in path for _, path, _ in middle.asked))
            middle.answers.clear()
            revoked = self.node.issued()[-1][1]
            self.service.ensign('certificate', 'revoke', revoked, '--reason', 'superseded', '--yes')
            wait_for('the CRL', lambda: any(answer[1].endswith('/crl') and answer[2] == 200 for answer in middle.answers))
            stop()

    def check_hurry(self, news, turns_max):
        with Hasty(self.node, news) as middle:
            stop = self.agent()
            wait_for('it to ask again and again', lambda: len(middle.times) >= 6)
            stop()
        gaps = [later - earlier for earlier, later in zip(middle.times, middle.times[1:6])]
        print(f'news {news}: {middle.turns} whole turns; asked again after', *(f'{gap:.1f}' for gap in gaps), 's')
        self.assertLessEqual(middle.turns, turns_max)
        for gap, pause in zip(gaps, (0, 0, 1, 2, 4)):
            self.assertGreaterEqual(gap, pause)

    def test_who_never_lets_it_wait(self):
        self.check_hurry(False, 1)

    def test_who_always_has_news(self):
        self.check_hurry(True, 6)


if __name__ == '__main__':
    unittest.main(verbosity=2)
