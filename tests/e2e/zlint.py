#!/usr/bin/env python3
"""Every profile with every algorithm of issuer and key, through zlint: nothing may be found. Control: a bad certificate."""
import json
import pathlib
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from lib.service import Client, ROOT, Service, run

ZLINT = ROOT / 'build/tools/zlint/usr/bin/zlint'
# Rules of the web's CAs, of e-mail and of eIDAS do not apply to a cluster's own CAs.
EXCLUDED = 'CABF_BR,CABF_EV,CABF_SMIME_BR,Apple,Mozilla,ETSI_ESI'
# A notice about names that are a public suffix themselves. Single-label names (localhost, a node called etcdone) are what
# etcd and Kubernetes need.
ACCEPTED = {'n_san_iana_pub_suffix_empty'}
ALGORITHMS = ['ecdsa-p256', 'ecdsa-p384', 'rsa-2048', 'rsa-3072', 'rsa-4096']
ETCD_PROFILES = ['etcd-member', 'etcd-server', 'etcd-peer', 'etcd-healthcheck-client', 'node-identity']
CONTROL_PLANE_PROFILES = ['apiserver-etcd-client', 'apiserver', 'apiserver-kubelet-client', 'front-proxy-client', 'admin',
                          'super-admin', 'kubelet', 'controller-manager', 'scheduler']
OWNERS = ['etcdone', 'etcdthree', 'masterone', 'an-operator']
CERTIFICATES_MIN, LINTS_MIN = 400, 100


def findings(pem_path):
    """(names of the lints that found something, number of lints that ran)"""
    out = run(ZLINT, '-excludeSources', EXCLUDED, pem_path).stdout
    results = {name: result['result'] for name, result in json.loads(out).items()}
    ran = [name for name, result in results.items() if result not in ('NA', 'NE')]
    return [name for name in ran if results[name] != 'pass' and name not in ACCEPTED], len(results)


def make_keys(folder):
    """(whose, algorithm) -> PEM request: a key has one owner"""
    requests = {}
    for algorithm in ALGORITHMS:
        kind, size = algorithm.split('-')
        how = (['-newkey', 'ec', '-pkeyopt', f'ec_paramgen_curve:P-{size[1:]}'] if kind == 'ecdsa' else
               ['-newkey', f'rsa:{size}'])
        for whose in OWNERS:
            requests[whose, algorithm] = run('openssl', 'req', '-new', *how, '-nodes', '-subj', '/', '-keyout',
                                             folder / 'key').stdout
    return requests


def wanted(cluster):
    """(whose, path, body) of all that is asked for in one cluster"""
    path = f'/v1/clusters/{cluster}/certificates'
    for node in ('etcdone', 'etcdthree'):
        for profile in ETCD_PROFILES:
            yield node, path, {'profile': profile, 'node': node}
    for profile in CONTROL_PLANE_PROFILES:
        yield 'masterone', path, {'profile': profile, 'node': 'masterone'}
    yield 'an-operator', '/v1/identities', {'name': 'an-operator', 'role': 'operator'}


class Lint:
    def __init__(self, folder):
        self.pem, self.count, self.wrong, self.lints = folder / 'certificate.pem', 0, [], 0

    def look(self, text, what):
        self.pem.write_text(text)
        found, self.lints = findings(self.pem)
        self.count += 1
        if found:
            self.wrong.append(f'{what}: {", ".join(found)}')


def lint_issuer(issuer, requests, lint):
    """All that the CAs of one algorithm issue, in a service of their own, so that the keys are nobody's yet."""
    with Service() as service:
        service.init().start()
        admin = Client(service, service.context_file)
        service.create_cluster('vagrant-external-etcd.yaml',
                               [('name: vagrant', f'name: zlint\nkeys: {{authorities: {issuer}}}')])
        for algorithm in ALGORITHMS:
            for whose, path, body in wanted('zlint'):
                status, answer, _ = admin.post(path, dict(body, csr=requests[whose, algorithm]))
                assert status == 201, (path, body, answer)
                lint.look(answer['certificate'], f"{issuer} {algorithm} {body.get('profile', 'identity')}")
        _, authorities, _ = admin.get('/v1/clusters/zlint/authorities')
        for authority in authorities['items']:
            lint.look(authority['certificate'], f"CA {issuer} {authority['name']}")
        lint.look(admin.get('/v1/clusters/ensign/authorities/service-ca/bundle')[1].decode(), 'service CA')


def main():
    if not ZLINT.exists():
        print('SKIP: no zlint; ./setup test fetches it on Debian')
        sys.exit(77)
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        requests, lint = make_keys(folder), Lint(folder)
        for issuer in ALGORITHMS:
            lint_issuer(issuer, requests, lint)
        bad = folder / 'bad.pem'
        run('openssl', 'req', '-x509', '-newkey', 'rsa:1024', '-nodes', '-days', '9000', '-subj', '/CN=*.bad', '-keyout',
            folder / 'bad.key', '-out', bad, '-addext', 'keyUsage=keyEncipherment,keyCertSign')
        control, _ = findings(bad)
    print('\n'.join(sorted(set(lint.wrong))[:40]))
    print(f'{lint.count} certificates, {lint.lints} lints; the bad one: {len(control)} findings')
    ok = not lint.wrong and lint.count >= CERTIFICATES_MIN and lint.lints >= LINTS_MIN and control
    sys.exit(0 if ok else 1)


main()
