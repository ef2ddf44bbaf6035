"""The audit log, recomputed: tree, signature, and what it must hold."""
import base64
import hashlib
import json
import tempfile
import unittest

from lib import der
from lib.keys import Key, openssl
from lib import audit
from lib.world import Case, issue

ED25519_PREFIX = bytes.fromhex('302a300506032b6570032100')  # SubjectPublicKeyInfo, RFC 8410


def note_verifies(note, verifier):
    """C2SP signed note, with openssl."""
    name, key_id, key = verifier.split('+', 2)
    key = base64.b64decode(key)
    text, signatures = note.rsplit(b'\n\n', 1)
    text += b'\n'
    dash, signer, signature = signatures.decode().split()
    signature = base64.b64decode(signature)
    expected_id = hashlib.sha256(name.encode() + b'\n' + key).digest()[:4]
    if (dash, signer, key[0], key_id) != ('\u2014', name, 1, expected_id.hex()) or signature[:4] != expected_id:
        return False
    with tempfile.NamedTemporaryFile() as public, tempfile.NamedTemporaryFile() as signed, \
            tempfile.NamedTemporaryFile() as data:
        for file, content in ((public, der.pem('PUBLIC KEY', ED25519_PREFIX + key[1:]).encode()),
                              (signed, signature[4:]), (data, text)):
            file.write(content)
            file.flush()
        try:
            openssl('pkeyutl', '-verify', '-pubin', '-inkey', public.name, '-rawin', '-in', data.name, '-sigfile',
                    signed.name)
        except Exception:
            return False
    return True


class Log(Case):
    def setUp(self):
        for _ in range(3):
            self.issued(self.admin, der.request(Key()), node='etcdone')

    def checkpoint(self):
        status, note, headers = self.world.nobody().get('/v1/audit/checkpoint')
        self.assertEqual(status, 200, note)
        self.assertIn('text/plain', headers['Content-Type'])
        return note

    def test_root(self):
        origin, size, root = audit.checkpoint_parse(self.checkpoint())
        leaves = audit.leaves(self.admin)[:size]
        self.assertEqual(len(leaves), size)
        hashes = [audit.leaf_hash(leaf) for leaf in leaves]
        self.assertEqual(audit.tree_root(hashes), root)
        edited = hashes[:1] + [audit.leaf_hash(leaves[1] + b' ')] + hashes[2:]
        self.assertNotEqual(audit.tree_root(edited), root)
        self.assertEqual(origin, self.admin.get('/v1/audit/key')[1]['verifier'].split('+')[0])

    def test_signature(self):
        note = self.checkpoint()
        verifier = self.world.nobody().get('/v1/audit/key')[1]['verifier']
        self.assertTrue(note_verifies(note, verifier))
        size = note.split(b'\n')[1]
        self.assertFalse(note_verifies(note.replace(b'\n' + size + b'\n', b'\n' + size + b'0\n'), verifier))

    def test_earlier_checkpoints_are_prefixes(self):
        shown = []
        for _ in range(5):
            shown.append(audit.checkpoint_parse(self.checkpoint()))
            self.issued(self.admin, der.request(Key()), node='etcdone')
        hashes = [audit.leaf_hash(leaf) for leaf in audit.leaves(self.admin)]
        for _, size, root in shown:
            self.assertEqual(audit.tree_root(hashes[:size]), root)

    def test_issue_leaves_are_the_certificates(self):
        listed = audit.certificates(self.admin)
        issued = audit.issued(audit.leaves(self.admin))
        self.assertEqual({serial: item['sha256'] for serial, item in listed.items()}, issued)

    def test_sequence_of_a_certificate(self):
        answer = self.issued(self.admin, der.request(Key()), node='etcdone')
        _, page, _ = self.admin.get(f"/v1/audit/entries?start={answer['log_sequence']}&limit=1")
        leaf = json.loads(base64.b64decode(page['items'][0]['leaf']))
        self.assertEqual((leaf['sequence'], leaf['serial'], leaf['certificate_sha256'], leaf['actor']),
                         (answer['log_sequence'], answer['serial'], answer['sha256'], 'admin admin'))

    def test_pages(self):
        whole = audit.leaves(self.admin)
        size = len(whole)
        places = [(0, 1), (0, size - 1), (1, 3), (size - 1, 1), (size - 1, 1000), (size, 1), (size + 100, 1), (0, 1000)]
        for start, limit in places:
            with self.subTest(start=start, limit=limit):
                status, page, _ = self.admin.get(f'/v1/audit/entries?start={start}&limit={limit}')
                self.assertEqual(status, 200)
                self.assertEqual([item['sequence'] for item in page['items']],
                                 list(range(start, min(start + limit, size))))
                self.assertEqual([base64.b64decode(item['leaf']) for item in page['items']],
                                 whole[start:start + limit])
                self.assertEqual(page['next'], start + limit if start + limit < size else None)

    def test_wrong_pages(self):
        for query in ('start=-1', 'limit=0', 'limit=1001', 'start=x', 'start=99999999999999999999'):
            self.refused(self.admin, 'GET', '/v1/audit/entries?' + query, 400, 'invalid')

    def test_every_change_is_an_event(self):
        token = self.world.new_token()
        self.admin.request('DELETE', f'/v1/tokens/{token.id.hex()}')
        self.world.create_cluster(name='logged', network='10.3.0')
        issue(self.admin, der.request(Key()), 'etcd-member', node='masterone')
        events = [json.loads(leaf) for leaf in audit.leaves(self.admin)]
        self.assertEqual([event['event'] for event in events[-4:]],
                         ['token.created', 'token.revoked', 'cluster.created', 'denied'])
        for event in events:
            self.assertEqual((event['v'], bool(event['time']), bool(event['actor'])), (1, True, True))

    def test_no_secret_in_the_log(self):
        token = self.world.new_token()
        self.issued(self.world.token_client(), der.request(Key()))
        whole = b'\n'.join(audit.leaves(self.admin))
        self.assertIn(token.id.hex().encode(), whole)
        for form in (token.secret.hex().encode(), token.text()[30:70].encode()):
            self.assertNotIn(form, whole)


if __name__ == '__main__':
    unittest.main(warnings='ignore')
