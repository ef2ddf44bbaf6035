"""A10: the clock is set back or forward, while the service runs and while it does not. The service is ensignd_clock,
whose clock is the real one and what lib.clock adds to it."""
import json
import time
import unittest

from lib import der
from lib.keys import Key
from lib import audit
from lib.clock import Clock, seconds, text
from lib.service import Client, wait_for
from lib.world import Case, Token, World, cluster_document

MINUTE, HOUR, DAY = 60, 3600, 86400
TEN_YEARS = 3653 * DAY


class ClockCase(Case):
    @classmethod
    def setUpClass(cls):
        cls.clock = Clock()
        cls.addClassCleanup(cls.clock.close)
        super().setUpClass()

    def setUp(self):
        self.begin = int(time.time())
        self.addCleanup(self.clock.set, wall_seconds=0, uptime_seconds=0, boot=0, believed=0)

    def good(self):
        """Issues, and the certificate begins when it should: its backdating before now."""
        answer = self.issued(self.admin, der.request(Key()), node='etcdone')
        self.assertTrue(-2 <= self.clock.now() - 300 - seconds(answer['not_before']) <= 303, answer)
        return answer

    def stopped(self, state):
        """Nothing is issued, and reads go on."""
        csr = der.request(Key())
        got, answer, headers = self.admin.post('/v1/clusters/vagrant/certificates',
                                               {'profile': 'etcd-member', 'node': 'etcdone', 'csr': csr})
        self.assertEqual(got, 503, answer)
        self.problem(answer, 503, 'clock_untrusted', headers)
        self.assertIn('ensign clock acknowledge', answer['detail'])
        self.assertGreater(int(headers['Retry-After']), 0)
        self.refused(self.admin, 'POST', '/v1/clusters/vagrant/tokens', 503, 'clock_untrusted',
                     Token(self.world.pin).body('etcdone'))
        self.refused(self.admin, 'POST', '/v1/clusters', 503, 'clock_untrusted',
                     {'cluster': cluster_document('other', '10.8.0')})
        self.refused(self.admin, 'POST', '/v1/identities', 503, 'clock_untrusted',
                     {'name': 'mallory', 'role': 'auditor', 'csr': csr})
        status, lines, _ = self.world.nobody().get('/readyz')
        self.assertEqual(status, 503)
        self.assertIn('[-]clock failed: clock_untrusted', lines.decode())
        self.assertEqual(self.world.nobody().get('/livez')[0], 200)
        for serial in audit.certificates(self.admin):
            self.assertEqual(self.admin.get('/v1/certificates/' + serial)[0], 200)
        status, answer, _ = self.admin.get('/v1/clock')
        self.assertEqual((status, answer['state']), (200, state), answer)
        self.assertFalse(seconds(answer['earliest']) <= seconds(answer['time']) <= seconds(answer['latest']))
        self.assertEqual(json.loads(self.world.service.ensign('clock', 'show', '-o', 'json').stdout)['state'], state)

    def restart(self, kill=False, probe='/livez'):
        service = self.world.service
        if kill:
            service.kill('supervisor', 'signer', 'server')
        else:
            self.assertEqual(service.stop(), 0)
        service.start(probe)
        self.admin.connection = None

    def times(self):
        """Of the leaves, in their order."""
        return [seconds(json.loads(leaf)['time']) for leaf in audit.leaves(self.admin)]


class Running(ClockCase):
    def test_back(self):
        before = self.good()
        self.clock.set(wall_seconds=-6 * MINUTE)
        self.stopped('behind')
        wait_for('the log to say so', lambda: '"message":"the clock is not trusted"' in self.world.service.log_tail(99))
        self.assertEqual(self.admin.get('/v1/certificates/' + before['serial'])[1], before)
        self.clock.set(wall_seconds=0)
        self.assertGreaterEqual(seconds(self.good()['not_before']), seconds(before['not_before']))
        wait_for('the log to say so', lambda: '"message":"the clock is trusted again"' in self.world.service.log_tail(99))

    def test_expiry_goes_by_the_expected_time(self):
        """A clock that jumped does not tell people that everything has expired."""
        check = ('certificate', 'check-expiration', '--cluster', 'ensign')
        warning = 'warning: the service does not trust its clock'
        for jump in (0, TEN_YEARS):
            self.clock.set(wall_seconds=jump)
            done = self.world.service.ensign(*check, check=False)
            self.assertEqual((done.returncode, warning in done.stderr), (0, jump > 0), done.stdout + done.stderr)

    def test_small_steps_back_do_not_show(self):
        answers = [self.good()]
        for step in (-60, -290, -120, -1, 0):
            self.clock.set(wall_seconds=step)
            answers.append(self.issued(self.admin, der.request(Key()), node='etcdone'))
        begins = [seconds(answer['not_before']) for answer in answers]
        self.assertEqual(begins, sorted(begins))
        self.assertEqual([answer['serial'][:8] for answer in answers], sorted(answer['serial'][:8] for answer in answers))
        self.assertEqual(self.times(), sorted(self.times()))
        self.assertLessEqual(self.times()[-1], self.clock.now())

    def test_forward_and_back_again(self):
        for jump in (6 * MINUTE, HOUR, TEN_YEARS):
            with self.subTest(jump):
                self.clock.set(wall_seconds=jump)
                self.stopped('ahead')
                self.clock.set(wall_seconds=0)
                self.good()

    def test_forward_then_killed(self):
        """Neither does a start make the jumped time good, nor does it stay bad."""
        pem = (self.world.service.state / 'tls.pem').read_text()
        self.clock.set(wall_seconds=TEN_YEARS)
        self.stopped('ahead')
        self.restart(kill=True)
        self.stopped('ahead')
        self.restart()
        self.stopped('ahead')
        self.clock.set(wall_seconds=0)
        self.good()
        self.restart(probe='/readyz')
        self.good()
        self.assertEqual((self.world.service.state / 'tls.pem').read_text(), pem)

    def test_back_then_killed(self):
        for kill in (True, False):
            with self.subTest(kill=kill):
                self.good()
                self.clock.set(wall_seconds=-HOUR)
                self.restart(kill)
                self.stopped('behind')
                self.clock.set(wall_seconds=0)
                self.good()

    def test_tokens_are_revoked_all_the_same(self):
        token = self.world.new_token()
        self.clock.set(wall_seconds=TEN_YEARS)
        self.assertEqual(self.admin.request('DELETE', f'/v1/tokens/{token.id.hex()}')[0], 204)
        self.clock.set(wall_seconds=0)
        self.refused(Client(self.world.service, token=token.text()), 'GET', '/v1/enrolment', 401, 'unauthenticated')
        self.assertLessEqual(self.times()[-1], self.clock.now())

    def test_a_token_gets_again_what_it_got(self):
        client, csr = self.world.token_client(), der.request(Key())
        first = self.issued(client, csr)
        self.clock.set(wall_seconds=-HOUR)
        self.assertEqual(self.issued(client, csr, status=200), first)
        self.not_issued(client, der.request(Key()), 503, 'clock_untrusted', profile='node-identity')

    def test_the_control_issues_with_a_wrong_time(self):
        """Without the rule each of these jumps ends in a certificate."""
        root = self.world.root()
        try:
            for jump in (-6 * MINUTE, HOUR):
                self.clock.set(wall_seconds=jump, believed=1)
                answer = self.issued(root, der.request(Key()), node='etcdone')
                self.assertLess(abs(seconds(answer['not_before']) + 300 - jump - time.time()), 10)
        finally:
            self.clock.set(wall_seconds=0)
            root.get('/readyz')
            self.clock.set(believed=0)
        self.good()


class Expired(ClockCase):
    def test_setting_back_revives_nothing(self):
        token = Client(self.world.service, token=self.world.new_token(ttl_seconds=600).text())
        person = self.world.identity_client('auditor', lifetime_seconds=900)
        self.assertEqual(token.get('/v1/enrolment')[0], 200)
        self.assertEqual(person.get('/v1/whoami')[0], 200)
        self.clock.set(wall_seconds=HOUR)  # a jump expires nothing either
        self.assertEqual(token.get('/v1/enrolment')[0], 200)
        self.assertEqual(person.get('/v1/whoami')[0], 200)
        self.clock.set(wall_seconds=0)
        self.clock.pass_time(HOUR)
        self.good()
        past = self.clock.values['wall_seconds']
        for step in (0, -200, -HOUR, -DAY, -TEN_YEARS):
            with self.subTest(step):
                self.clock.set(wall_seconds=past + step)
                self.refused(token, 'GET', '/v1/enrolment', 401, 'unauthenticated')
                self.refused(person, 'GET', '/v1/whoami', 401, 'unauthenticated')
        self.restart(kill=True)
        token.connection = person.connection = None
        self.refused(token, 'GET', '/v1/enrolment', 401, 'unauthenticated')
        self.refused(person, 'GET', '/v1/whoami', 401, 'unauthenticated')
        self.clock.set(wall_seconds=past)
        self.good()


class Renewal(ClockCase):
    def renewal(self, replaces):
        return {'profile': 'etcd-member', 'csr': der.request(Key()), 'replaces': replaces['serial']}

    def test_it_waits_for_the_right_time(self):
        """Neither is anything renewed by a wrong time, nor after its own."""
        node, token = self.world.node_client(), self.world.token_client()
        have = self.issued(token, der.request(Key()), lifetime_seconds=1800)
        path, report = '/v1/clusters/vagrant/certificates', '/v1/clusters/vagrant/nodes/etcdone/deployed'
        for jump in (HOUR, TEN_YEARS, -HOUR):
            with self.subTest(jump):
                self.clock.set(wall_seconds=jump)
                self.refused(node, 'POST', path, 503, 'clock_untrusted', self.renewal(have))
                body = {'agent': {'version': '1'},
                        'certificates': [{'profile': 'etcd-member', 'serial': have['serial'], 'state': 'served'}]}
                self.assertEqual(node.request('PUT', report, body)[0], 200)  # what is, is told all the same
        self.clock.set(wall_seconds=0)
        body = self.renewal(have)
        status, successor, _ = node.post(path, {**body, 'lifetime_seconds': 1800})
        self.assertEqual(status, 201, successor)
        self.assertGreaterEqual(seconds(successor['not_before']), seconds(have['not_before']))
        self.clock.pass_time(HOUR)
        answer = self.refused(node, 'POST', path, 403, 'policy_denied', self.renewal(successor))
        self.assertIn('is expired; have a new token made: `ensign token create --cluster vagrant --node etcdone`',
                      answer['errors'][0]['detail'])
        self.assertEqual(node.post(path, body)[1]['serial'], successor['serial'])  # an answer that was given stays given
        begun = self.issued(self.world.token_client(), der.request(Key()))
        self.assertEqual(node.post(path, self.renewal(begun))[0], 201)


class Offline(ClockCase):
    """The machine was off: nothing but the mark says what time it is."""

    def boot(self, **values):
        self.assertEqual(self.world.service.stop(), 0)
        self.clock.set(boot=self.clock.values['boot'] + 1, uptime_seconds=self.clock.values['uptime_seconds'] - 1,
                       **values)
        self.world.service.start('/livez')
        self.admin.connection = None

    def acknowledge(self, when, client=None):
        return (client or self.admin).post('/v1/clock/acknowledgement', {'time': text(when)})

    def test_offline(self):
        root, operator = self.world.root(), self.world.identity_client('operator')
        self.boot(wall_seconds=-HOUR)
        self.stopped('behind')
        self.boot(wall_seconds=10 * DAY)
        self.good()
        self.boot(wall_seconds=TEN_YEARS)  # also with certificates that seem to have expired it starts, and lets root in
        self.refused(self.admin, 'GET', '/v1/whoami', 401, 'unauthenticated')
        self.assertEqual(root.get('/v1/clock')[1]['state'], 'ahead')
        root.connection = None
        self.boot(wall_seconds=50 * DAY)
        self.stopped('ahead')
        # Who says so must be an admin, and must see the time that the service sees.
        self.refused(operator, 'POST', '/v1/clock/acknowledgement', 403, 'forbidden', {'time': text(self.clock.now())})
        for wrong in (time.time(), self.clock.now() - 6 * MINUTE, self.clock.now() + 6 * MINUTE):
            status, answer, headers = self.acknowledge(wrong, root)
            self.assertEqual(status, 400)
            self.problem(answer, 400, 'invalid', headers)
            self.assertEqual(self.pointers(answer), {'/time'})
        for body in ({}, {'time': 'now'}, {'time': 5}, {'time': text(self.clock.now()), 'more': 1}):
            self.refused(root, 'POST', '/v1/clock/acknowledgement', 400, 'invalid', body)
        self.stopped('ahead')
        self.assertEqual(self.acknowledge(self.clock.now(), root)[1]['state'], 'trusted')
        leaf = json.loads(audit.leaves(self.admin)[-1])
        self.assertEqual((leaf['event'], leaf['actor']), ('clock.acknowledged', 'admin root'))
        self.assertLess(abs(seconds(leaf['clock']) - self.clock.now()), 10)
        self.good()
        self.assertEqual(self.acknowledge(self.clock.now())[0], 200)  # again: nothing to say
        self.assertNotEqual(json.loads(audit.leaves(self.admin)[-1])['event'], 'clock.acknowledged')
        # It was wrong all the same: back to the real time.
        root.connection = None
        self.boot(wall_seconds=0)
        self.stopped('behind')
        self.refused(self.world.nobody(), 'POST', '/v1/clock/acknowledgement', 401, 'unauthenticated', {'time': 'x'})
        result = self.world.service.ensign('clock', 'acknowledge', text(self.clock.now() - HOUR), check=False)
        self.assertEqual(result.returncode, 1, result.stderr)
        result = self.world.service.ensign('clock', 'acknowledge', text(self.clock.now()))
        self.assertIn('trusted', result.stdout)
        self.restart(kill=True, probe='/readyz')
        self.good()


if __name__ == '__main__':
    unittest.main(warnings='ignore')
