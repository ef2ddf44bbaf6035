"""Refusals of callers whom nobody knows are summed up in one leaf; blocked keys get nothing."""
import hashlib
import json
import unittest

from lib import der
from lib.keys import Key
from lib import audit
from lib.service import Client
from lib.world import Case

REFUSALS = 7


class Strangers(Case):
    def restart(self):
        self.assertEqual(self.world.service.stop(), 0)
        self.world.service.start()

    def test_refusals_are_one_leaf(self):
        before = len(audit.leaves(self.admin))
        stranger = Client(self.world.service, token='ensign1.' + 'A' * 107)
        for _ in range(REFUSALS):
            self.refused(stranger, 'GET', '/v1/enrolment', 401, 'unauthenticated')
        self.assertEqual(len(audit.leaves(self.admin)), before)
        self.restart()
        self.world.admin.connection = None
        added = [json.loads(leaf) for leaf in audit.leaves(self.admin)][before:]
        self.assertEqual([(event['event'], event['refusals']) for event in added], [('denied.unknown', REFUSALS)])

    def test_blocked_key(self):
        blocked, other = Key(), Key()
        configuration = self.world.service.state / 'ensignd.yaml'
        configuration.write_text(configuration.read_text() + 'blockedKeys: blocked\n')
        (self.world.service.state / 'blocked').write_text(f'# stolen\n{hashlib.sha256(blocked.spki).hexdigest()}\n')
        self.restart()
        self.world.admin.connection = None
        client = self.world.token_client()
        self.not_issued(client, der.request(blocked), 400, 'weak_key')
        self.issued(client, der.request(other))


if __name__ == '__main__':
    unittest.main(warnings='ignore')
