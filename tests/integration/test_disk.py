"""F3: the disk of the state folder is full. Nothing is signed, reads go on, and it mends itself."""
import json
import os
import subprocess
import unittest

from lib import der
from lib.keys import Key
from lib import audit
from lib.service import Client, Service, wait_for
from lib.world import PROBLEM_MEMBERS, cluster_document, issue


class FullDisk(unittest.TestCase):
    def setUp(self):
        self.service = Service()
        self.addCleanup(self.service.__exit__)
        self.service.state.mkdir(mode=0o700)
        mount = subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=16m,mode=0700', 'none', self.service.state],
                               capture_output=True, check=False)
        if mount.returncode != 0:
            self.skipTest('mounting is not permitted here')
        self.addCleanup(subprocess.run, ['umount', '-l', self.service.state], check=True)
        self.addCleanup(self.service.stop)
        self.service.init().start()
        self.admin = Client(self.service, self.service.context_file)
        self.ballast = self.service.state / 'ballast'

    def fill(self):
        with open(self.ballast, 'wb', buffering=0) as file:
            try:
                while True:
                    file.write(bytes(4096))
            except OSError:
                pass

    def issue(self):
        return issue(self.admin, der.request(Key()), node='etcdone')

    def test_full_and_freed(self):
        self.assertEqual(self.admin.post('/v1/clusters', {'cluster': cluster_document()})[0], 201)
        self.fill()
        serials, refused = [], None
        while not refused:  # what was allocated beforehand is used up first
            status, answer = self.issue()
            if status == 201:
                serials.append(answer['serial'])
            else:
                refused = answer
        self.assertEqual((status, refused['code']), (503, 'read_only'), refused)
        self.assertEqual(set(refused), PROBLEM_MEMBERS)
        size = audit.checkpoint_parse(self.admin.get('/v1/audit/checkpoint')[1])[1]
        for _ in range(20):
            self.assertEqual(self.issue()[0], 503)
        self.assertEqual(audit.checkpoint_parse(self.admin.get('/v1/audit/checkpoint')[1])[1], size)
        status, text, _ = self.admin.get('/readyz')
        self.assertEqual(status, 503)
        self.assertIn('read_only', text.decode())
        self.assertEqual(self.admin.get('/livez')[0], 200)
        self.assertLessEqual(set(serials), set(audit.certificates(self.admin)))
        self.ballast.unlink()
        status, answer = self.issue()
        self.assertEqual(status, 201, answer)
        wait_for('readiness', lambda: self.admin.get('/readyz')[0] == 200)
        self.assertEqual({json.loads(leaf)['serial'] for leaf in audit.leaves(self.admin)
                          if json.loads(leaf)['event'] == 'certificate.issued' and json.loads(leaf)['node']},
                         set(serials) | {answer['serial']})

    def test_restart_on_a_full_disk(self):
        self.fill()
        pid = self.service.pid('server')
        self.service.kill('server')
        self.admin.connection = None
        wait_for('the server to be back', self.answers)
        self.assertNotEqual(self.service.pids('server'), [pid])
        self.assertTrue(os.path.exists(self.ballast))
        self.ballast.unlink()
        self.assertEqual(self.admin.post('/v1/clusters', {'cluster': cluster_document()})[0], 201)

    def answers(self):
        try:
            return Client(self.service).get('/livez')[0] == 200
        except OSError:
            return False


if __name__ == '__main__':
    unittest.main(warnings='ignore')
