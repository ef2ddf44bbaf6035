"""Clients that work until stopped, and remember all that they were promised: operators with requests, nodes with join
tokens that ask for everything twice, one that renews what it has over and over, an operator who
revokes, an admin who creates clusters, and
somebody who reads each checkpoint and CRL."""
import hashlib
import http.client
import itertools
import json
import random
import secrets
import threading
import time

from lib import der
from lib.keys import Key
from lib import audit
from lib.service import Client
from lib.world import Token, cluster_document

THINK_SECONDS = 0.004
NODES = ('etcdone', 'etcdtwo', 'etcdthree')
PROFILES = ('etcd-member', 'etcd-healthcheck-client', 'node-identity')
CERTIFICATES = '/v1/clusters/vagrant/certificates'
GONE = (OSError, http.client.HTTPException)
REQUESTS = 2  # of each node, as a key belongs to one
CRL = '/v1/clusters/vagrant/authorities/kubernetes/crl'
RENEWER, RENEWED = 'masterone', 'apiserver-etcd-client'


class Load:
    """operators, nodes: how many threads of each. There is one renewer at most."""

    def __init__(self, service, operators=2, nodes=2, admins=1, watchers=1, renewers=1, revokers=1):
        self.service = service
        self.pin = bytes.fromhex(json.loads(service.context_file.read_text())['pin'].removeprefix('sha256:'))
        self.requests = {node: [der.request(Key()) for _ in range(REQUESTS)] for node in (*NODES, RENEWER)}
        self.acknowledged, self.tokens, self.clusters = {}, {}, {}
        self.successors = {}  # serial -> what its renewer got for it
        self.revoked, self.crl_numbers = {}, []  # serial -> number of the CRL that listed it; as they were seen
        self.checkpoints, self.refused, self.wrong = set(), {}, []
        self.stopping = threading.Event()
        kinds = [self.operate] * operators + [self.enrol] * nodes + [self.administrate] * admins + [self.watch] * watchers
        kinds += [self.renew] * renewers + [self.revoke] * revokers
        self.threads = [threading.Thread(target=kind, daemon=True) for kind in kinds]

    def begin(self):
        client = Client(self.service, self.service.context_file)
        assert client.post('/v1/clusters', {'cluster': cluster_document()})[0] == 201
        for thread in self.threads:
            thread.start()
        return self

    def stop(self):
        self.stopping.set()
        for thread in self.threads:
            thread.join()

    def __enter__(self):
        return self.begin()

    def __exit__(self, *_):
        self.stop()

    def pause(self):
        time.sleep(THINK_SECONDS)

    # ---- asking ----

    def ask(self, client, method, path, body=None):
        """None, {} when the service was killed under our feet."""
        self.pause()
        try:
            status, answer, _ = client.request(method, path, body)
        except GONE:
            return None, {}
        if status >= 400:
            code = answer.get('code') if isinstance(answer, dict) else status
            self.refused[code] = self.refused.get(code, 0) + 1
        return status, answer

    def insist(self, client, method, path, body):
        """Asks again until there is an answer that is not "try again"; None when it is time to stop."""
        while not self.stopping.is_set():
            status, answer = self.ask(client, method, path, body)
            if status is not None and status not in (429, 500, 503):
                return status, answer
        return None, {}

    # ---- who works ----

    def operate(self):
        client = Client(self.service, self.service.context_file)
        while not self.stopping.is_set():
            node = random.choice(NODES)
            body = {'profile': 'etcd-member', 'node': node, 'csr': random.choice(self.requests[node])}
            status, answer = self.ask(client, 'POST', CERTIFICATES, body)
            if status == 201:
                self.acknowledged[answer['serial']] = answer['certificate']

    def enrol(self):
        """A node that gets no answer asks again, as bootstrap steps do: with the same token and the same request."""
        admin = Client(self.service, self.service.context_file)
        while not self.stopping.is_set():
            token, node = Token(self.pin), random.choice(NODES)
            status, _ = self.ask(admin, 'POST', '/v1/clusters/vagrant/tokens', token.body(node))
            if status != 201:
                continue
            client = Client(self.service, token=token.text())
            self.tokens[token.text()] = answers = {}
            for profile in PROFILES:
                body = {'profile': profile, 'csr': random.choice(self.requests[node])}
                status, answer = self.insist(client, 'POST', CERTIFICATES, body)
                if status in (200, 201):
                    answers[profile] = body['csr'], answer['serial'], answer['certificate']
                    self.acknowledged[answer['serial']] = answer['certificate']
                elif status:
                    self.wrong.append(f'a token is refused its certificate: {status} {answer}')

    def identity(self):
        """A client with the renewer's identity, and the certificate that it renews first; None when it is time to stop."""
        admin, token, key = Client(self.service, self.service.context_file), Token(self.pin), Key()
        self.insist(admin, 'POST', '/v1/clusters/vagrant/tokens', token.body(RENEWER))
        client = Client(self.service, token=token.text())
        bodies = [{'profile': 'node-identity', 'csr': der.request(key)},
                  {'profile': RENEWED, 'csr': self.requests[RENEWER][-1]}]
        answers = [self.insist(client, 'POST', CERTIFICATES, body)[1] for body in bodies]
        if not all('serial' in answer for answer in answers):
            return None
        path = self.service.folder / 'renewer.context'
        path.touch(mode=0o600)
        path.write_text(json.dumps({'certificate': answers[0]['certificate'], 'key': key.pem.decode()}))
        return Client(self.service, path), answers[1]

    def renew(self):
        """By the same key until there is an answer. By another one there is none, whatever was lost in between."""
        made = self.identity()
        if not made:
            return
        client, have = made
        for round_number in itertools.count():
            mine, other = self.requests[RENEWER][::1 if round_number % 2 == 0 else -1]
            body = {'profile': RENEWED, 'csr': mine, 'replaces': have['serial']}
            status, answer = self.insist(client, 'POST', CERTIFICATES, body)
            if status not in (200, 201):
                if status:
                    self.wrong.append(f'a renewal is refused: {status} {answer}')
                return
            self.successors[have['serial']] = answer['serial']
            self.acknowledged[answer['serial']] = answer['certificate']
            if round_number % 16 == 0 and self.ask(client, 'POST', CERTIFICATES, {**body, 'csr': other})[0] in (200, 201):
                self.wrong.append(f'{have["serial"]} has a second successor')
            have = answer

    def revoke(self):
        """Users, whom nobody else needs."""
        client, csr = Client(self.service, self.service.context_file), der.request(Key())
        while not self.stopping.wait(0.05):
            status, answer = self.ask(client, 'POST', CERTIFICATES, {'profile': 'user', 'user': 'jonah', 'csr': csr})
            if status != 201:
                continue
            serial, self.acknowledged[answer['serial']] = answer['serial'], answer['certificate']
            status, answer = self.insist(client, 'POST', f'/v1/certificates/{serial}/revocation', {'reason': 'superseded'})
            if status == 200:
                self.revoked[serial] = answer['crl'] and answer['crl']['number']
            elif status:
                self.wrong.append(f'a revocation is refused: {status} {answer}')

    def administrate(self):
        client, number = Client(self.service, self.service.context_file), 0
        while not self.stopping.wait(0.5):
            number += 1
            name = f'cluster-{number}-{secrets.token_hex(3)}'
            body = {'cluster': cluster_document(name, f'10.{number % 250}.1')}
            status, answer = self.insist(client, 'POST', '/v1/clusters', body)
            if status in (200, 201):
                self.clusters[name] = answer['authorities']
            elif status:
                self.wrong.append(f'a cluster is refused: {status} {answer}')

    def watch(self):
        client = Client(self.service)
        while not self.stopping.wait(0.02):
            self.checkpoint(client)
            self.crl(client)

    def crl(self, client):
        status, data = self.ask(client, 'GET', CRL)
        if status == 200:
            self.crl_numbers.append(crl_number(data))

    def checkpoint(self, client):
        status, note = self.ask(client, 'GET', '/v1/audit/checkpoint')
        if status == 200:
            self.checkpoints.add(audit.checkpoint_parse(note)[1:])


def crl_number(data):
    at = data.index(bytes.fromhex('0603551d14')) + 7  # the INTEGER in the extension cRLNumber
    return int.from_bytes(data[at + 2:at + 2 + data[at + 1]], 'big')


# ---- the invariants ----

def violations(service, load):
    """Yields what is wrong, of I1, I2, I3, I5 and I6, once the load has stopped."""
    yield from load.wrong
    admin = Client(service, service.context_file)
    listed = audit.certificates(admin)  # asserts that no serial is there twice: they are unique across CAs (I3)
    yield from lost(admin, load, listed)
    yield from log_violations(admin, load, listed)
    yield from token_violations(service, load, listed)
    yield from cluster_violations(admin, load)
    yield from renewal_violations(admin, load)
    yield from revocation_violations(admin, load)


def lost(admin, load, listed):
    for serial, certificate in load.acknowledged.items():
        status, answer, _ = admin.get(f'/v1/certificates/{serial}')
        if status != 200:
            yield f'{serial} was acknowledged and is lost ({status})'
        elif answer['certificate'] != certificate:
            yield f'{serial} reads back different'
        elif serial not in listed:
            yield f'{serial} is not in the list'
        elif hashlib.sha256(der.pem_der(certificate)).hexdigest() != listed[serial]['sha256']:
            yield f'{serial} has another hash in the list'


def log_violations(admin, load, listed):
    leaves = audit.leaves(admin)
    issued = audit.issued(leaves)  # asserts that none is there twice, and no gap
    for serial in set(issued) ^ set(listed):
        yield f'{serial} is only in the {"log" if serial in issued else "list"}'
    for serial in set(issued) & set(listed):
        if issued[serial] != listed[serial]['sha256']:
            yield f'{serial}: the log has another hash'
    load.checkpoint(Client(load.service))
    roots = audit.tree_roots([audit.leaf_hash(leaf) for leaf in leaves])
    for size, root in load.checkpoints:
        if size >= len(roots):
            yield f'a checkpoint of size {size} was shown and is lost: the log has {len(leaves)}'
        elif roots[size] != root:
            yield f'the log is not consistent with a checkpoint of size {size}'


def token_violations(service, load, listed):
    for text, answers in load.tokens.items():
        client = Client(service, token=text)
        for profile, (csr, serial, certificate) in answers.items():
            status, answer, _ = client.post(CERTIFICATES, {'profile': profile, 'csr': csr})
            if status != 200 or (answer['serial'], answer['certificate']) != (serial, certificate):
                yield f'a token gets another answer than before: {status} {answer.get("serial")} for {serial}'
        if client.connection:
            client.connection.close()
    pairs = [(item['requested_by'], item['profile']) for item in listed.values()
             if item['requested_by'].startswith('token ')]
    if len(pairs) != len(set(pairs)):
        yield 'a token got a profile twice'


def cluster_violations(admin, load):
    for name, authorities in load.clusters.items():
        status, answer, _ = admin.get(f'/v1/clusters/{name}')
        if status != 200 or answer['authorities'] != authorities:
            yield f'cluster {name} was acknowledged and is lost or different ({status})'


def renewal_violations(admin, load):
    """Each certificate has one successor, which is the one that its renewer got."""
    replaced = [(leaf['replaces'], leaf['serial']) for leaf in map(json.loads, audit.leaves(admin)) if 'replaces' in leaf]
    successors = dict(replaced)
    if len(replaced) != len(successors):
        yield f'{len(replaced) - len(successors)} certificates have a second successor'
    for serial, successor in load.successors.items():
        if successors.get(serial) != successor:
            yield f'{serial} was renewed as {successor}, and the log has {successors.get(serial)}'
    if len(set(successors) - set(load.successors)) > 1:  # one answer may not have come when it was time to stop
        yield 'there are renewals that nobody has asked for'


def revocation_violations(admin, load):
    """What was revoked stays so, was revoked once, and is in the CRL, whose number only rises."""
    leaves = [json.loads(leaf) for leaf in audit.leaves(admin)]
    serials = [serial for leaf in leaves if leaf['event'] == 'certificate.revoked' for serial in leaf['serials']]
    listed = lambda data: all(bytes.fromhex(serial) in data for serial in serials)
    wait = time.monotonic() + 30
    status, _, _ = admin.get(CRL)
    if status != 200:
        yield f'the CRL is lost ({status})'
        return
    while not listed(data := admin.get(CRL)[1]) and time.monotonic() < wait:
        time.sleep(0.1)
    numbers = [*load.crl_numbers, crl_number(data)]
    for serial, number in load.revoked.items():
        if serials.count(serial) != 1:
            yield f'{serial} was revoked {serials.count(serial)} times, as the log has it'
        if bytes.fromhex(serial) not in data:
            yield f'{serial} was revoked and is lost from the CRL'
        if number and number > numbers[-1]:
            yield f'{serial} was in the CRL {number}, and the last one is {numbers[-1]}'
        if admin.get(f'/v1/certificates/{serial}')[1].get('state') != 'revoked':
            yield f'{serial} was revoked and is lost: it is valid again'
    if not listed(data):
        yield 'the CRL does not list all that the log has as revoked'
    if numbers != sorted(numbers):
        yield 'the number of the CRL fell'
    signed = [leaf['number'] for leaf in leaves if leaf['event'] == 'crl.signed' and
              (leaf['cluster'], leaf['authority']) == ('vagrant', 'kubernetes')]
    if signed != sorted(set(signed)):
        yield 'two CRLs have the same number'
