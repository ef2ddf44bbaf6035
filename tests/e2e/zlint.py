#!/usr/bin/env python3
"""Every profile with every algorithm of issuer and key, through zlint: nothing may be found. Control: a bad certificate."""
import json
import pathlib
import sys

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
CERTIFICATES_MIN, LINTS_MIN = 200, 100


def findings(pem_path):
    """(names of the lints that found something, number of lints that ran)"""
    out = run(ZLINT, '-excludeSources', EXCLUDED, pem_path).stdout
    results = {name: result['result'] for name, result in json.loads(out).items()}
    ran = [name for name, result in results.items() if result not in ('NA', 'NE')]
    return [name for name in ran if results[name] != 'pass' and name not in ACCEPTED], len(results)


def make_keys(folder):
    """algorithm -> PEM request"""
    requests = {}
    for algorithm in ALGORITHMS:
        kind, size = algorithm.split('-')
        how = (['-newkey', 'ec', '-pkeyopt', f'ec_paramgen_curve:P-{size[1:]}'] if kind == 'ecdsa' else
               ['-newkey', f'rsa:{size}'])
        requests[algorithm] = run('openssl', 'req', '-new', *how, '-nodes', '-subj', '/', '-keyout',
                                  folder / f'{algorithm}.key').stdout
    return requests


def wanted(cluster):
    """(path, body) of all that is asked for in one cluster"""
    path = f'/v1/clusters/{cluster}/certificates'
    for node in ('etcdone', 'etcdthree'):
        for profile in ETCD_PROFILES:
            yield path, {'profile': profile, 'node': node}
    yield path, {'profile': 'apiserver-etcd-client', 'node': 'masterone'}
    yield '/v1/identities', {'name': f'operator-of-{cluster}', 'role': 'operator'}


def main():
    if not ZLINT.exists():
        print('SKIP: no zlint; ./setup test fetches it on Debian')
        sys.exit(77)
    count, wrong, lints = 0, [], 0
    with Service() as service:
        service.init().start()
        requests = make_keys(service.folder)
        admin = Client(service, service.context_file)
        pem = service.folder / 'certificate.pem'

        def lint(text, what):
            nonlocal count, lints
            pem.write_text(text)
            found, lints = findings(pem)
            count += 1
            if found:
                wrong.append(f'{what}: {", ".join(found)}')

        for issuer in ALGORITHMS:
            cluster = f'zlint-{issuer}'
            service.create_cluster('vagrant-external-etcd.yaml',
                                   [('name: vagrant', f'name: {cluster}\nkeys: {{authorities: {issuer}}}')])
            for algorithm, csr in requests.items():
                for path, body in wanted(cluster):
                    status, answer, _ = admin.post(path, dict(body, csr=csr))
                    assert status == 201, (path, body, answer)
                    lint(answer['certificate'], f"{issuer} {algorithm} {body.get('profile', 'identity')}")
            _, authorities, _ = admin.get(f'/v1/clusters/{cluster}/authorities')
            for authority in authorities['items']:
                lint(authority['certificate'], f"CA {issuer} {authority['name']}")
        lint(admin.get('/v1/clusters/ensign/authorities/service-ca/bundle')[1].decode(), 'service CA')

        bad = service.folder / 'bad.pem'
        run('openssl', 'req', '-x509', '-newkey', 'rsa:1024', '-nodes', '-days', '9000', '-subj', '/CN=*.bad', '-keyout',
            service.folder / 'bad.key', '-out', bad, '-addext', 'keyUsage=keyEncipherment,keyCertSign')
        control, _ = findings(bad)
    print('\n'.join(sorted(set(wrong))[:40]))
    print(f'{count} certificates, {lints} lints; the bad one: {len(control)} findings')
    ok = not wrong and count >= CERTIFICATES_MIN and lints >= LINTS_MIN and control
    sys.exit(0 if ok else 1)


main()
