"""What passes with time: kept answers go after a day, what has expired leaves the CRL, who renewed too often may again. The service is ensignd_clock, whose time lib.clock lets pass."""
import os
import signal
import time
import unittest

from lib import audit, der
from lib.clock import Clock
from lib.keys import Key
from lib.service import ENSIGND, run, wait_for
from lib.world import Case, issue

HOUR = 3600
RENEWALS_PER_HOUR = 30  # RENEWALS_PER_HOUR_DEFAULT of server/config.c
PROFILE = 'etcd-member'


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

    # ---- CRLs ----

    def crl(self):
        return self.world.nobody().get('/v1/clusters/vagrant/authorities/kubernetes/crl')[1]

    def log(self):
        return (self.world.service.folder / 'ensignd.log').read_text()

    def state(self, serial):
        return self.admin.get(f'/v1/certificates/{serial}')[1]['state']

    def look(self):
        os.kill(self.world.service.pid('server'), signal.SIGHUP)  # now rather than in an hour

    def next_crl(self, before):
        self.look()
        return wait_for('another CRL', lambda: self.crl() if self.crl() != before else None)

    def revoke(self, serial):
        return self.admin.post(f'/v1/certificates/{serial}/revocation', {'reason': 'superseded'})

    def user(self, days):
        return self.issued(self.admin, der.request(Key()), 'user', user='guest', lifetime_seconds=24 * HOUR * days)['serial']

    def test_the_crl_is_renewed_and_forgets(self):
        """Half of its life is three days and a half. What expires is in one more CRL (RFC 5280 section 3.3)."""
        short, long, never = self.user(2), self.user(30), self.user(1)
        fingerprints = lambda: len(self.admin.get('/v1/clusters/vagrant/revoked-fingerprints')[1].splitlines())
        listed = lambda crl: [bytes.fromhex(serial) in crl for serial in (short, long)]
        others = fingerprints()
        for serial in (short, long):
            self.assertEqual(self.revoke(serial)[0], 200)
        first = self.crl()
        self.assertEqual((listed(first), fingerprints()), ([True, True], others + 2))
        self.clock.pass_time(3 * 24 * HOUR)
        self.look()
        self.assertEqual((self.crl(), fingerprints()), (first, others + 1))
        self.assertEqual(self.revoke(never)[0], 409)
        self.clock.pass_time(13 * HOUR)
        second = self.next_crl(first)
        self.assertEqual(listed(second), [True, True])
        self.clock.pass_time(4 * 24 * HOUR)
        self.assertEqual(listed(self.next_crl(second)), [False, True])

    def test_rows_of_what_expired_long_ago_go(self):
        """In the CRL after its end first; 30 days later no clock that is believed makes it valid again."""
        short, long = self.user(2), self.issued(self.admin, der.request(Key()), 'kubelet', node='masterone')['serial']
        for serial in (short, long):
            self.assertEqual(self.revoke(serial)[0], 200)
        self.clock.pass_time(3 * 24 * HOUR)
        crl = self.crl()
        self.assertEqual(self.revoke(self.user(1))[0], 200)
        self.assertNotEqual(self.crl(), crl)
        self.assertEqual(self.revoke(short)[0], 200)  # the row is there
        logged = len(self.log())
        self.look()
        self.clock.pass_time(31 * 24 * HOUR)
        self.look()
        wait_for('rows to go', lambda: 'revocations of expired certificates' in self.log()[logged:])
        self.assertEqual([self.revoke(serial)[0] for serial in (short, long)], [409, 200])
        self.assertEqual([self.state(serial) for serial in (short, long)], ['revoked', 'revoked'])
        self.assertEqual(self.world.service.stop(), 0)
        run(ENSIGND, 'verify', '--config', self.world.service.state / 'ensignd.yaml')
        self.world.service.start()
        self.admin.connection = None
        self.assertIn(bytes.fromhex(long), self.crl())

    def start_of_the_machine(self, **values):
        self.assertEqual(self.world.service.stop(), 0)
        self.clock.set(**values, boot=self.clock.values['boot'] + 1)
        self.world.service.start('/livez')
        self.admin.connection = None

    def test_a_clock_that_was_ahead_takes_nothing_from_the_crl(self):
        """It is believed at a start, when nothing says better. What is valid again when it is right is listed again."""
        serial = self.user(2)
        self.assertEqual(self.revoke(serial)[0], 200)
        right = {name: self.clock.values[name] for name in ('wall_seconds', 'uptime_seconds')}
        self.start_of_the_machine(wall_seconds=right['wall_seconds'] + 6 * 24 * HOUR, uptime_seconds=0)
        listed = lambda: bytes.fromhex(serial) in self.crl()
        for _ in range(2):
            self.assertEqual(self.revoke(self.user(20))[0], 200)
        self.assertFalse(listed())
        self.start_of_the_machine(**right)
        wait_for('the CRL', lambda: self.look() or listed())
        now = time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime(self.clock.now()))
        self.assertEqual(self.world.root().post('/v1/clock/acknowledgement', {'time': now})[0], 200)
        self.assertEqual(self.revoke(self.user(20))[0], 200)
        self.assertTrue(listed())

    def test_a_clock_that_is_not_trusted_keeps_nobody_from_revoking(self):
        serial = self.user(30)
        self.clock.set(wall_seconds=self.clock.values['wall_seconds'] + HOUR)
        self.addCleanup(self.clock.set, wall_seconds=self.clock.values['wall_seconds'] - HOUR)
        self.not_issued(self.admin, der.request(Key()), 503, 'clock_untrusted', node='etcdone')
        status, answer, _ = self.revoke(serial)
        self.assertEqual((status, answer['crl_problem']), (200, None))
        self.assertIn(bytes.fromhex(serial), self.crl())


class Renewals(Case):
    """How often a node gets another certificate of a profile: each of them is stored and in the log for ever."""

    @classmethod
    def setUpClass(cls):
        cls.clock = Clock()
        cls.addClassCleanup(cls.clock.close)
        super().setUpClass()

    def enrol(self, node):
        self.node, self.serials, token, key = node, {}, self.world.token_client(node), Key()
        for profile in ('node-identity', PROFILE):
            status, answer = issue(token, der.request(key), profile)
            self.assertEqual(status, 201, answer)
            self.serials[profile] = answer['serial']
            if profile == 'node-identity':
                self.client, key = self.world.certificate_client(answer['certificate'], key), Key()

    def renew(self, profile=PROFILE, key=None, **more):
        status, answer, headers = self.client.post('/v1/clusters/vagrant/certificates', {
            'profile': profile, 'csr': der.request(key or Key()), 'replaces': self.serials[profile], **more})
        if status == 201:
            self.serials[profile] = answer['serial']
        return status, answer, headers

    def renew_all(self, **last):
        """As often as it may; it was enrolled as well."""
        for turn in range(RENEWALS_PER_HOUR - 1):
            more = last if turn == RENEWALS_PER_HOUR - 2 else {}
            self.assertEqual(self.renew(**more)[0], 201, turn)

    def refused(self):
        status, answer, headers = self.renew()
        self.assertEqual(status, 429, answer)
        self.problem(answer, 429, 'rate_limited')
        self.assertIn(f'got {RENEWALS_PER_HOUR} certificates of profile "{PROFILE}" in an hour', answer['detail'])
        return int(headers['Retry-After'])

    def test_what_nothing_asks_for(self):
        self.enrol('etcdone')
        self.renew_all()
        size = len(audit.leaves(self.admin))
        wait = self.refused()
        self.assertLessEqual(wait, HOUR)
        self.assertGreater(wait, HOUR - 60)
        self.assertEqual(len(audit.leaves(self.admin)), size, 'that leaves no trace that would fill the disk')
        self.assertEqual(self.renew('node-identity')[0], 201, 'nor keeps it from another certificate')
        self.clock.pass_time(wait - 30)
        self.refused()
        self.clock.pass_time(31)
        self.assertEqual(self.renew()[0], 201)

    def test_what_is_asked_for(self):
        self.enrol('etcdtwo')
        self.renew_all()
        self.refused()
        self.assertEqual(self.admin.post('/v1/clusters/vagrant/rotations', {'node': 'etcdtwo', 'profile': PROFILE})[0], 201)
        self.assertEqual(self.renew()[0], 201, 'it is marked')
        status, answer, _ = self.renew()
        self.assertEqual(status, 429, answer)
        document = self.admin.get('/v1/clusters/vagrant')[1]['document']
        document['nodes'] = [{**node, 'addresses': ['10.9.0.162']} if node['name'] == 'etcdtwo' else node
                             for node in document['nodes']]
        self.assertEqual(self.admin.request('PUT', '/v1/clusters/vagrant', {'cluster': document})[0], 200)
        self.assertEqual(self.renew()[0], 201, 'its addresses are others')
        self.assertEqual(self.renew()[0], 429)

    def test_what_is_due(self):
        self.enrol('etcdthree')
        self.renew_all(lifetime_seconds=600)
        self.refused()
        self.clock.pass_time(280)
        self.refused()
        self.clock.pass_time(30)
        for turn in range(3):
            self.assertEqual(self.renew(lifetime_seconds=600)[0], 201, turn)
            self.clock.pass_time(301)


if __name__ == '__main__':
    unittest.main(warnings='ignore')
