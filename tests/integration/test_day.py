"""What passes with time: kept answers go after a day. The service is ensignd_clock, whose time lib.clock lets pass."""
import os
import signal
import unittest

from lib import der
from lib.clock import Clock
from lib.keys import Key
from lib.service import wait_for
from lib.world import Case

HOUR = 3600


class Day(Case):
    @classmethod
    def setUpClass(cls):
        cls.clock = Clock()
        cls.addClassCleanup(cls.clock.close)
        super().setUpClass()

    def send(self, body):
        return self.admin.request('POST', '/v1/clusters/vagrant/certificates', body, {'Idempotency-Key': 'key'})[:2]

    def test_answers_are_kept_for_a_day(self):
        body = {'profile': 'etcd-member', 'node': 'etcdone', 'csr': der.request(Key())}
        first = self.send(body)
        self.clock.pass_time(23 * HOUR)
        self.assertEqual(self.send(body), first)
        self.clock.pass_time(2 * HOUR)
        second = self.send(body)
        self.assertEqual(second[0], 201)
        self.assertNotEqual(second[1]['serial'], first[1]['serial'])
        self.assertEqual(self.send(body), second)
        self.clock.pass_time(49 * HOUR)
        service = self.world.service
        os.kill(service.pid('server'), signal.SIGHUP)  # looks now rather than in an hour
        removed = 'answers that were kept for a day'
        wait_for('the removal', lambda: removed in service.log_tail(50))
        self.assertNotIn(self.send(body)[1]['serial'], (first[1]['serial'], second[1]['serial']))


if __name__ == '__main__':
    unittest.main(warnings='ignore')
