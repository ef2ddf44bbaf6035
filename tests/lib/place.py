"""Puts what `ensign enroll` fetches for a node where the catalogue says that it lies."""
import base64
import json

from lib.keys import Key
from lib.service import run

PENDING = 7
KEY_OPTIONS = {'ecdsa-p256': ('EC', 'ec_paramgen_curve:P-256'), 'ecdsa-p384': ('EC', 'ec_paramgen_curve:P-384'),
               'rsa-2048': ('RSA', 'rsa_keygen_bits:2048')}


def write(host, file, content):
    path = host.path(file['path'])
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    path.write_bytes(content)
    path.chmod(int(file['mode'], 8))


def kubeconfig(item, folder):
    data = lambda name: base64.b64encode((folder / name).read_bytes()).decode()
    return json.dumps({
        'apiVersion': 'v1', 'kind': 'Config', 'current-context': 'this',
        'clusters': [{'name': 'this', 'cluster': {'server': item['server'],
                                                  'certificate-authority-data': data('ca.crt')}}],
        'contexts': [{'name': 'this', 'context': {'cluster': 'this', 'user': 'this'}}],
        'users': [{'name': 'this', 'user': {'client-certificate-data': data('tls.crt'),
                                            'client-key-data': data('tls.key')}}],
    }).encode()


def key_pair(item):
    algorithm, option = KEY_OPTIONS[item['key_algorithm']]
    pem = Key(option, algorithm=algorithm).pem
    return [run('openssl', 'pkey', '-pubout', input=pem.decode()).stdout.encode(), pem]


def contents(service, cluster, item, folder):
    """Of the item's files, in their order."""
    if item['kind'] == 'key-pair':
        return key_pair(item)
    if item['kind'] == 'ca-bundle':
        whose = 'ensign' if item['authority'] == 'service-ca' else cluster
        return [service.ensign('ca', 'bundle', '--cluster', whose, '--authority', item['authority']).stdout.encode()]
    if item['kind'] == 'kubeconfig':
        return [kubeconfig(item, folder / item['name'])]
    return [(folder / item['name'] / name).read_bytes() for name in ('tls.crt', 'tls.key')]


def place(service, catalogue, node, host):
    """Enrols the node and fills the host (lib.kubernetes.Host) with all its files."""
    token, folder = host.path('/token'), host.path('/enrolled')
    token.touch(mode=0o600)
    token.write_text(service.token(catalogue['cluster'], node))
    result = service.ensign('enroll', '--server', f'https://localhost:{service.port}', '--token-file', token, '--out',
                            folder, '--timeout', '1s', check=False)
    if result.returncode != PENDING:  # of a later control plane: sa.key is laid out here, not by its holder
        assert result.returncode == 0, result.stderr
    for item in catalogue['items']:
        if item['node'] == node:
            for file, content in zip(item['files'], contents(service, catalogue['cluster'], item, folder), strict=True):
                write(host, file, content)
