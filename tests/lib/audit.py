"""The audit log, checked independently of the product: RFC 9162 tree, signed note, and log against certificates."""
import base64
import hashlib
import json


def leaf_hash(leaf):
    return hashlib.sha256(b'\0' + leaf).digest()


def tree_root(hashes):
    """RFC 9162 section 2.1.1, recursive, over leaf hashes."""
    if not hashes:
        return hashlib.sha256(b'').digest()
    if len(hashes) == 1:
        return hashes[0]
    split = 1
    while split * 2 < len(hashes):
        split *= 2
    return hashlib.sha256(b'\1' + tree_root(hashes[:split]) + tree_root(hashes[split:])).digest()


def tree_roots(hashes):
    """The root of each size, 0..len(hashes): as tree_root(), extended leaf by leaf."""
    subtrees, roots = [], [tree_root([])]  # subtrees: (leaves, root) of complete ones, the largest first
    for hashed in hashes:
        subtrees.append((1, hashed))
        while len(subtrees) > 1 and subtrees[-1][0] == subtrees[-2][0]:
            (size, right), (_, left) = subtrees.pop(), subtrees.pop()
            subtrees.append((2 * size, hashlib.sha256(b'\1' + left + right).digest()))
        root = subtrees[-1][1]
        for _, left in reversed(subtrees[:-1]):
            root = hashlib.sha256(b'\1' + left + root).digest()
        roots.append(root)
    return roots


def checkpoint_parse(note):
    text = note.decode() if isinstance(note, bytes) else note
    origin, size, root = text.split('\n')[:3]
    return origin, int(size), base64.b64decode(root)


def leaves(client):
    found, start = [], 0
    while start is not None:
        status, page, _ = client.get(f'/v1/audit/entries?start={start}&limit=1000')
        assert status == 200, page
        found += [base64.b64decode(item['leaf']) for item in page['items']]
        start = page['next']
    return found


def certificates(client, query=''):
    """serial -> certificate object, by all pages of the list"""
    found, cursor = {}, ''
    while cursor is not None:
        status, page, _ = client.get(f'/v1/certificates?limit=500{query}' + (f'&cursor={cursor}' if cursor else ''))
        assert status == 200, page
        for item in page['items']:
            assert item['serial'] not in found, 'a serial twice in one list'
            found[item['serial']] = item
        cursor = page['next_cursor']
    return found


def issued(all_leaves):
    """serial -> certificate hash, of the issue leaves"""
    events = [json.loads(leaf) for leaf in all_leaves]
    issues = [event for event in events if event['event'] == 'certificate.issued']
    by_serial = {event['serial']: event['certificate_sha256'] for event in issues}
    assert len(by_serial) == len(issues), 'a serial was issued twice'
    assert [event['sequence'] for event in events] == list(range(len(events))), 'the log has gaps'
    return by_serial
