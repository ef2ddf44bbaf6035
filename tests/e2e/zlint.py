#!/usr/bin/env python3
"""Every profile with every algorithm of issuer and key that it takes, every CA, and the service's own, through zlint:
nothing may be found. Controls: a bad certificate, and good ones in which one thing is wrong."""
import json
import pathlib
import re
import subprocess
import sys
import tempfile

import yaml

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from lib.service import Client, ROOT, Service, run

ZLINT = ROOT / 'build/tools/zlint/usr/bin/zlint'
# Rules of the web's CAs, of e-mail and of eIDAS do not apply to a cluster's own CAs.
EXCLUDED = 'CABF_BR,CABF_EV,CABF_SMIME_BR,Apple,Mozilla,ETSI_ESI'
# A notice about names that are a public suffix themselves. Single-label names (localhost, a node called etcdone) are what
# etcd and Kubernetes need.
ACCEPTED = {'n_san_iana_pub_suffix_empty'}
ALGORITHMS = ['ecdsa-p256', 'ecdsa-p384', 'rsa-2048', 'rsa-3072', 'rsa-4096']
NODES = {'etcd': 'etcdone', 'control-plane': 'masterone', 'worker': 'workerone', 'load-balancer': 'lb'}
PEOPLE = {'identity': 'an-operator', 'user': 'jane', 'cluster-admin': 'alice'}
GROUPS = ['manager', 'developers']
AUTHORITIES = 3
LINTS_MIN = 130
FILES_AT_ONCE = 200
BAD = {  # what openssl makes, and a lint that must find it
    'a CA with a usage of servers': (['rsa:2048', '-subj', '/CN=ca', '-addext',
                                      'keyUsage=critical,keyEncipherment,keyCertSign'],
                                     'e_rsa_allowed_ku_no_encipherment_ca'),
    'keyEncipherment on ECDSA': (['ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-subj', '/CN=x', '-addext',
                                  'basicConstraints=critical,CA:FALSE', '-addext',
                                  'keyUsage=critical,digitalSignature,keyEncipherment', '-addext',
                                  'extendedKeyUsage=serverAuth', '-addext', 'subjectAltName=DNS:x.example'],
                                 'e_ecdsa_allowed_ku'),
}


def profiles():
    """name -> the shipped document"""
    return {document['name']: document for document in
            (yaml.safe_load(path.read_text()) for path in sorted((ROOT / 'policies/profiles').glob('*.yaml')))}


def make_keys():
    """(whose, algorithm) -> PEM request: a key has one owner"""
    owners = [*NODES.values(), *PEOPLE.values()]
    requests, running = {}, []
    with tempfile.TemporaryDirectory() as folder:
        for algorithm in ALGORITHMS:
            kind, size = algorithm.split('-')
            how = (['ec', '-pkeyopt', f'ec_paramgen_curve:P-{size[1:]}'] if kind == 'ecdsa' else [f'rsa:{size}'])
            for whose in owners:
                command = ['openssl', 'req', '-new', '-newkey', *how, '-nodes', '-subj', '/', '-keyout',
                           f'{folder}/{whose}-{algorithm}.key']
                running.append(((whose, algorithm), subprocess.Popen(command, stdout=subprocess.PIPE,
                                                                     stderr=subprocess.DEVNULL, text=True)))
        for key, process in running:
            requests[key] = process.communicate()[0]
            assert process.returncode == 0, key
    return requests


def wanted(cluster):
    """(whose, profile, path, body) of all that is asked for in one cluster: each profile for a node of each of its roles"""
    path = f'/v1/clusters/{cluster}/certificates'
    for name, document in profiles().items():
        for node in (NODES[role] for role in document['nodeRoles']):
            yield node, document, path, {'profile': name, 'node': node}
        if name == 'identity':
            yield PEOPLE[name], document, '/v1/identities', {'name': PEOPLE[name], 'role': 'operator'}
        elif name in PEOPLE:
            groups = {'groups': GROUPS} if name == 'user' else {}
            yield PEOPLE[name], document, path, {'profile': name, 'user': PEOPLE[name]} | groups


class Lint:
    """Certificates by what they are; looked at many at a time."""

    def __init__(self, folder):
        self.folder, self.waiting, self.count, self.wrong, self.lints = folder, [], 0, {}, 0

    def add(self, text, what):
        path = self.folder / f'{len(self.waiting)}.pem'
        path.write_text(text)
        self.waiting.append((path, what))
        if len(self.waiting) == FILES_AT_ONCE:
            self.look()

    def look(self):
        """{what: findings} of those that wait; zlint writes a line of JSON for each, in their order."""
        out = run(ZLINT, '-excludeSources', EXCLUDED, *[path for path, _ in self.waiting]).stdout
        lines = [json.loads(line) for line in out.splitlines()]
        assert len(lines) == len(self.waiting), out[:2000]
        for results, (_, what) in zip(lines, self.waiting):
            self.lints = self.lints or len(results)
            assert len(results) == self.lints >= LINTS_MIN, (what, len(results))
            found = {name for name, result in results.items() if result['result'] not in ('NA', 'NE', 'pass')}
            if found - ACCEPTED:
                self.wrong[what] = found - ACCEPTED
        self.count += len(lines)
        self.waiting = []


def lint_issuer(issuer, requests, lint, made):
    """All that the CAs of one algorithm issue, in a service of their own, so that the keys are nobody's yet."""
    with Service() as service:
        service.init().start()
        admin = Client(service, service.context_file)
        service.create_cluster('vagrant-external-etcd.yaml',
                               [('name: vagrant', f'name: zlint\nkeys: {{authorities: {issuer}}}'),
                                ('apiserverClient: shared', 'apiserverClient: perControlPlane')])
        for algorithm in ALGORITHMS:
            for whose, document, path, body in wanted('zlint'):
                if algorithm not in document['keys']:
                    continue
                status, answer, _ = admin.post(path, dict(body, csr=requests[whose, algorithm]))
                assert status == 201, (path, body, answer)
                made.add((document['name'], algorithm, issuer))
                lint.add(answer['certificate'], f"{issuer} {algorithm} {document['name']} {whose}")
        _, authorities, _ = admin.get('/v1/clusters/zlint/authorities')
        assert len(authorities['items']) == AUTHORITIES
        for authority in authorities['items']:
            lint.add(authority['certificate'], f"CA {issuer} {authority['name']}")
        lint.add(admin.get('/v1/clusters/ensign/authorities/service-ca/bundle')[1].decode(), f'service CA {issuer}')
        lint.add(re.search('-----BEGIN CERTIFICATE.*?END CERTIFICATE-----\n', (service.state / 'tls.pem').read_text(),
                           re.S)[0], f'service {issuer}')
        made.add(('service', None, issuer))


def controls(folder):
    """The names of those bad ones in which zlint does not find what it must."""
    missed, pem = [], folder / 'bad.pem'
    for what, (arguments, name) in BAD.items():
        lint = Lint(folder)
        run('openssl', 'req', '-x509', '-newkey', arguments[0], '-nodes', '-keyout', folder / 'bad.key', '-out', pem,
            *arguments[1:])
        lint.add(pem.read_text(), what)
        lint.look()
        missed += [] if name in lint.wrong.get(what, set()) else [what]
    return missed


def all_of_them():
    """What must have been looked at: (profile, algorithm of its key, of its issuer). The service has one of its own."""
    return {(name, algorithm, issuer) for name, document in profiles().items() for issuer in ALGORITHMS
            for algorithm in (document['keys'] if name != 'service' else [None])}


def main():
    if not ZLINT.exists():
        print('SKIP: no zlint; ./setup test fetches it on Debian')
        sys.exit(77)
    made, expected = set(), all_of_them()
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        missed = controls(folder)
        requests, lint = make_keys(), Lint(folder)
        for issuer in ALGORITHMS:
            lint_issuer(issuer, requests, lint, made)
        lint.look()
    for what, found in sorted(lint.wrong.items())[:40]:
        print(f'{what}: {", ".join(sorted(found))}')
    certificates = len(ALGORITHMS) * (AUTHORITIES + 2 + len(ALGORITHMS) *
                                      sum(1 for _, document, _, _ in wanted('') if document['name'] != 'service'))
    print(f'{lint.count} certificates, {lint.lints} lints each, {lint.count * lint.lints} in all; '
          f'{len(BAD) - len(missed)} of {len(BAD)} bad ones found')
    print(f'{len(profiles())} profiles; missing: {sorted(map(str, expected - made))}')
    ok = not lint.wrong and made == expected and lint.count == certificates and not missed
    sys.exit(0 if ok else 1)


main()
