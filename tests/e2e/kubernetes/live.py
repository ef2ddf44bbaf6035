#!/usr/bin/env python3
"""A live control plane (lib/live.py) under load while agents renew all that it runs on: no request fails, whether the
service is away, all is rotated, or somebody is revoked. By hand also, with ENSIGN_BUILD=build PYTHONPATH=tests:

    tests/e2e/kubernetes/live.py --long     until every certificate of every host was renewed three times, and then
                                            without agents, until that is seen to matter: about 10 minutes
    tests/e2e/kubernetes/live.py --files    where the kubeconfigs of controller manager and scheduler name files, which
                                            they look at every five minutes: until they have: about 6 minutes"""
import os
import pathlib
import re
import subprocess
import sys
import time
import unittest
from datetime import datetime

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent.parent))
from lib import der, kubernetes
from lib.control_plane import ETCD_PKI, PROGRAMS
from lib.keys import Key
from lib.live import CLUSTER, ETCD_SECONDS, HOST, MASTER_SECONDS, MEMBERS, RESTARTED, LivePlane
from lib.load import serial
from lib.service import ENSIGN, Client, run, wait_for
from lib.world import issue

LONG, FILES = (option in sys.argv for option in ('--long', '--files'))
RENEWALS = 3
TRY_SECONDS = 5  # between attempts of an agent at most: a tenth of what is left of the shortest life
LEFT_SECONDS = 15  # to the first expiry, when the service comes back
SHOWN_SECONDS = 150  # the API server has two timers of a minute each
NOTICED_SECONDS = 20  # until an agent has looked, and whoever waits has heard of it
TAKEN, FILES_READ_SECONDS = 'certificate rotation detected', 400  # of client-go: it looks every five minutes
LOST, SIBLING = 'lost', 'sibling'


def seconds(item, member):
    return datetime.fromisoformat(item[member].replace('Z', '+00:00')).timestamp()


class Live(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        began = time.monotonic()
        cls.plane = LivePlane(FILES)
        cls.addClassCleanup(cls.plane.close)
        cls.plane.start()
        print(f'started in {time.monotonic() - began:.0f} s; lifetimes: etcd {ETCD_SECONDS} s, {HOST} '
              f'{cls.plane.master_seconds} s', flush=True)

    def test_live(self):
        began, self.extra = time.monotonic(), set()
        self.copy = self.kept_aside()
        self.load = self.plane.load().start()
        self.addCleanup(self.load.stop)
        rotation = self.rotate()
        self.service_away()
        self.revoke_client()
        self.finish(rotation)
        self.until_renewed()
        self.aside_expires()
        self.say()
        self.revoke_member()
        print(f'took {time.monotonic() - began:.0f} s')
        self.load.stop()
        print(self.load.figures())
        self.assertEqual(self.load.failed(), [])
        if LONG:
            self.without_agents()

    # ---- renewals ----

    def etcd_certificates(self):
        """The newest of each place on the hosts of etcd."""
        return [items[-1] for (node, _), items in self.issued().items() if node in MEMBERS]

    def issued(self):
        issued = self.plane.issued()
        return {place: [item for item in items if item['serial'] not in self.extra] for place, items in issued.items()}

    def renewals(self):
        return {place: len(items) - 1 for place, items in self.issued().items()}

    def needed(self, node):
        return RENEWALS if LONG or node in MEMBERS else 1

    def until_renewed(self):
        wait_for('renewals', lambda: all(count >= self.needed(node) for (node, _), count in self.renewals().items()), 900)

    def say(self):
        for (node, profile), count in sorted(self.renewals().items()):
            print(f'renewals: {node}/{profile} {count}')
        for name in MEMBERS:
            self.on_the_wire(name, 'etcd-member', self.plane.member(name))
        self.on_the_wire(HOST, 'apiserver', self.plane.api)
        mixed = sum(target.pair.mixed for lane in self.load.lanes for target in lane.targets)
        print(f'{mixed} mixed pairs were read by the load, and read again')
        self.programs_are_well()

    def on_the_wire(self, node, profile, address):
        """All that was issued while the load ran is seen: of the API server, which looks once a minute, the last."""
        issued = lambda: [item['serial'] for item in self.issued()[node, profile]]
        last = issued()[-1]
        wait_for(f'the last {profile} of {node} on the wire', lambda: last in self.load.seen(address), SHOWN_SECONDS)
        seen, items = list(self.load.seen(address)), issued()
        self.assertLessEqual(set(seen), set(items))
        if node in MEMBERS:
            first = items.index(seen[0])
            self.assertEqual(seen, items[first:first + len(seen)])
        print(f'on the wire: {node}/{profile} {" ".join(number[:12] for number in seen)}')

    def programs_are_well(self):
        restarts = self.plane.kubelet.restarts
        for name in RESTARTED:
            log = self.log(name)
            print(f'{name}: {restarts[name]} restarts, {log.count("Unauthorized")} times unauthorized')
            if not FILES:
                self.assertGreater(restarts[name], 0)
                continue
            wait_for(f'{name} to take its other certificate', lambda: TAKEN in self.log(name), FILES_READ_SECONDS)
            self.assertEqual((restarts[name], self.log(name).count('Unauthorized')), (0, 0))
            print(f'{name}: took its other certificate {time.time() - self.rotation_began:.0f} s after the rotation began')
        print('webhook, by status:', self.plane.reviews())
        self.assertEqual(set(self.plane.reviews()), {'200'})
        for name in self.plane.hosts:
            self.assertNotIn('not valid', self.log(f'agent-{name}'))

    # ---- the service is away ----

    def service_away(self):
        """For longer than from one renewal to the next, until shortly before what etcd runs on expires."""
        wait_for('the rotation to begin everywhere', lambda: min(self.renewals().values()) > 0)
        before = self.etcd_certificates()
        self.plane.service.stop()
        stopped, tries = time.time(), self.logged()
        end = min(seconds(item, 'not_after') for item in before) - LEFT_SECONDS
        wait_for('the time to come back', lambda: time.time() > end, ETCD_SECONDS)
        overdue = [item for item in before if time.time() > seconds(item, 'not_after') - ETCD_SECONDS / 3]
        self.assertGreater(len(overdue), 0)
        tries = [after - before for before, after in zip(tries, self.logged())]
        self.plane.service.start()
        back, old = time.time(), {item['serial'] for item in overdue}
        wait_for('renewals to catch up', lambda: not old & {item['serial'] for item in self.etcd_certificates()}, LEFT_SECONDS)
        print(f'service away for {back - stopped:.0f} s: {len(overdue)} certificates of etcd were overdue, all renewed '
              f'{time.time() - back:.1f} s after it came back; the agents had tried {tries} times')
        self.assertGreaterEqual(min(tries), (back - stopped) / TRY_SECONDS - 1)

    def logged(self):
        """How many lines each agent of etcd has logged: one for each time that it asked in vain."""
        return [len(self.log(f'agent-{name}').splitlines()) for name in MEMBERS]

    def log(self, name):
        return (self.plane.service.folder / f'{name}.log').read_text(errors='replace')

    # ---- rotation ----

    def rotate(self):
        self.rotation_began = time.time()
        environment = dict(os.environ, ENSIGN_CONTEXT=str(self.plane.service.context_file))
        return subprocess.Popen([ENSIGN, 'rotate', CLUSTER, '--wait', '--timeout', '5m'], env=environment, text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def finish(self, rotation):
        output = rotation.communicate()[0]
        self.assertEqual(rotation.returncode, 0, output)
        done, shown = time.time(), list(self.load.seen(self.plane.api).values())[-1]
        served = [line for line in output.splitlines() if ' apiserver ' in line or 'apiserver:' in line][-1]
        print(f'rotation: all places done after {done - self.rotation_began:.0f} s, {done - shown:.0f} s after the API '
              f'server showed its new certificate: {" ".join(served.split())}')
        self.assertLess(done - shown, NOTICED_SECONDS)

    # ---- revocation ----

    def client(self, name):
        """A client of etcd's, which the admin has issued."""
        admin, key = Client(self.plane.service, self.plane.service.context_file), Key()
        status, answer = issue(admin, der.request(key), 'etcd-healthcheck-client', CLUSTER, node='etcdone')
        self.assertEqual(status, 201, answer)
        stem = self.plane.service.folder / name
        stem.with_suffix('.crt').write_text(answer['certificate'])
        stem.with_suffix('.key').touch(mode=0o600)
        stem.with_suffix('.key').write_bytes(key.pem)
        self.extra.add(answer['serial'])
        return stem, answer['serial']

    def answers(self, stem, name='etcdone'):
        """Whether this member of etcd serves the client, over a new connection."""
        return run('curl', '-s', '--max-time', '5', '--cacert', self.plane.hosts[name].path(f'{ETCD_PKI}ca.crt'), '--cert',
                   f'{stem}.crt', '--key', f'{stem}.key', self.plane.etcd_url(name) + '/health',
                   check=False).stdout.startswith('{"health":"true"')

    def revoke_client(self):
        (lost, number), (sibling, _) = self.client(LOST), self.client(SIBLING)
        self.assertTrue(all(self.answers(stem, name) for stem in (lost, sibling) for name in MEMBERS))
        began, took = time.monotonic(), {}
        self.plane.service.ensign('certificate', 'revoke', number, '--reason', 'keyCompromise')
        for name in MEMBERS:
            wait_for(f'{name} to refuse it', lambda: not self.answers(lost, name))
            took[name] = time.monotonic() - began
        self.assertTrue(all(self.answers(sibling, name) for name in MEMBERS))
        print('revoked client: refused after', ', '.join(f'{took[name]:.1f} s by {name}' for name in MEMBERS),
              'without a restart; its sibling is served')

    def refusals(self, name, number):
        return len(re.findall('certificate serial 0*' + number.lstrip('0') + ' revoked', self.log(name)))

    def revoke_member(self):
        """Its peers refuse each connection that it opens; the others go on. That they connect to it is etcd's way."""
        third, others = 'etcdthree', ('etcdone', 'etcdtwo')
        for lane in self.load.lanes:
            lane.targets = [target for target in lane.targets if target.address != self.plane.member(third)]
        number = self.issued()[third, 'etcd-member'][-1]['serial']
        self.assertEqual(number, serial(self.plane.hosts[third].path(f'{ETCD_PKI}member.crt')))
        began = time.monotonic()
        self.plane.service.ensign('certificate', 'revoke', number, '--reason', 'keyCompromise')
        self.plane.restart_member(third)
        wait_for('both peers to refuse it', lambda: all(self.refusals(name, number) for name in others))
        print(f'revoked member: refused by both peers after {time.monotonic() - began:.1f} s')
        own = self.plane.hosts['etcdone'].path(f'{ETCD_PKI}healthcheck-client')
        self.assertTrue(all(self.answers(own, name) for name in others))

    # ---- what would be without agents ----

    def kept_aside(self):
        """A copy of a client's pair, which nobody renews."""
        stem = self.plane.service.folder / 'aside'
        for suffix in ('crt', 'key'):
            target = stem.with_suffix(f'.{suffix}')
            target.touch(mode=0o600)
            target.write_bytes(self.plane.hosts['etcdone'].path(f'{ETCD_PKI}healthcheck-client.{suffix}').read_bytes())
        self.assertTrue(self.answers(stem))
        return stem

    def aside_expires(self):
        wait_for('a copy that nobody renews to be refused', lambda: not self.answers(self.copy), ETCD_SECONDS)
        print('control: a copy of a client that is not renewed is refused')

    def without_agents(self):
        load = self.plane.load().start()
        self.addCleanup(load.stop)
        self.plane.stop_agents()
        for name in ('etcd-new', 'api-new', 'api-kept'):
            lane = next(lane for lane in load.lanes if lane.name == name)
            wait_for(f'{name} to fail', lambda: lane.failed, MASTER_SECONDS + 60)
        print('control: without agents', load.figures())


if __name__ == '__main__':
    kubernetes.needs(*PROGRAMS)
    unittest.main(argv=sys.argv[:1], warnings='ignore')
