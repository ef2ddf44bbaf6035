"""A1-A4, A7: each of the hostile requests of hostile.py gets its answer and nothing else: no certificate, and a leaf in
the audit log where policy refused. Good requests in between prove that the service is not just refusing everything."""
import unittest

from lib import der
import hostile
from lib.keys import Key
from lib import audit
from lib.world import Case, cluster_document, issue

ROWS_MIN, CONTROL_EVERY = 150, 8


class Hostile(Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        document = cluster_document('long', '10.7.0')
        document['nodes'].append(hostile.LONG_NODE)
        status, answer, _ = cls.admin.post('/v1/clusters', {'cluster': document})
        assert status == 201, answer
        cls.callers = {'admin': cls.admin, 'token': cls.world.token_client('etcdone')}
        for node, cluster in (('etcdone', 'vagrant'), ('masterone', 'vagrant'), ('etcdlong', 'long')):
            cls.callers[f'token {node}'] = cls.world.token_client(node, cluster)

    def ask(self, row):
        path = {'certificates': '/v1/clusters/vagrant/certificates', 'long': '/v1/clusters/long/certificates',
                'identities': '/v1/identities'}[row.route]
        body = dict(row.body, csr=row.csr)
        if row.caller == 'admin' and row.body.get('profile') in hostile.NODE_PROFILES:
            body.setdefault('node', 'etcdone')
        status, answer, headers = self.callers[row.caller].post(path, body)
        self.assertEqual(status, row.status, (answer.get('code'), answer.get('detail'), answer.get('errors')))
        self.problem(answer, status, row.code or answer['code'], headers)
        text = answer['detail'] + ''.join(error['detail'] for error in answer.get('errors', []))
        self.assertIn(row.fragment, text)
        if row.caller == 'token etcdlong':  # of a long list with one bad name only that one is complained about
            self.assertEqual(len(answer['errors']), 1)

    def control(self):
        """Serials of good requests: with nothing in them, and with a long list of names that are all its own."""
        names = [der.alternative_names(*hostile.long_list())]
        return {self.issued(self.admin, der.request(Key()), node='etcdone')['serial'],
                self.issued(self.admin, der.request(Key(), extensions=names), node='etcdlong', cluster='long')['serial']}

    def test_A1_A2_A3_A4_A7_hostile_requests_get_their_answer_and_nothing_else(self):
        rows = list(hostile.rows())
        listed, denials = set(audit.certificates(self.admin)), len(self.denials())
        controls, denied = set(), []
        for number, row in enumerate(rows):
            if number % CONTROL_EVERY == 0:
                controls |= self.control()
            with self.subTest(row.what):
                self.ask(row)
            denied += [row] if row.status == 403 else []
        leaves = self.denials()[denials:]
        print(f'{len(rows)} hostile requests, {len(denied)} of them refused by policy, {len(controls)} good ones between')
        self.assertGreaterEqual(len(rows), ROWS_MIN)
        self.assertEqual(len({row.what for row in rows}), len(rows))
        self.assertEqual(set(audit.certificates(self.admin)) - listed, controls)
        self.assertEqual(len(leaves), len(denied))
        for row, leaf in zip(denied, leaves):
            with self.subTest(row.what):
                self.assertEqual(leaf['code'], row.code)
                self.assertIn(row.fragment, leaf['reason'])

    def test_after_all_this_the_tokens_are_good_still(self):
        for caller, cluster in (('token etcdone', 'vagrant'), ('token etcdlong', 'long')):
            self.assertEqual(issue(self.callers[caller], der.request(Key()), cluster=cluster)[0], 201)


if __name__ == '__main__':
    unittest.main(warnings='ignore')
