"""The real Kubernetes of tests/e2e/kubernetes/build, and hosts for kubeadm: folders that it takes for the whole file
system, so that every path is the one that a node has."""
import base64
import json
import os
import pathlib
import re
import shutil
import sys

from lib.service import BUILD, ROOT, run

VERSION = '1.20.2'
BUILDER = ROOT / 'tests/e2e/kubernetes/build'
BIN = pathlib.Path(run(BUILDER, '--where').stdout.strip())
PENDING = 7
CRI_SOCKET = '/run/containerd/containerd.sock'  # named, because kubeadm would look for Docker


def needs(*programs):
    """Skips the test, and says so, without this Kubernetes or one of the system's programs; in CI that is a failure."""
    missing = [program for program in programs if not shutil.which(program)]
    if run(BUILDER, '--there', check=False).returncode != 0:
        missing.append(f'Kubernetes in {BIN}, where ./setup test builds it on Debian 12')
    if missing:
        print(f'skipped: no {", no ".join(missing)}')
        sys.exit(1 if os.environ.get('CI') else 77)


def own_network(*addresses):
    """Goes on, started once more, in a network of its own: the loopback interface with these addresses, which kubeadm
    takes for a node's, and no way out."""
    if 'ENSIGN_OWN_NETWORK' not in os.environ:
        as_root = [] if os.geteuid() == 0 else ['--map-root-user']
        os.execvpe('unshare', ['unshare', *as_root, '--net', sys.executable, *sys.argv],
                   dict(os.environ, ENSIGN_OWN_NETWORK='yes'))
    run('ip', 'link', 'set', 'lo', 'up')
    for address in addresses:
        run('ip', 'address', 'add', f'{address}/32', 'dev', 'lo')


def example_cluster(service, example, replace=()):
    """Makes the cluster of that file as if it had this version of Kubernetes; returns its document and catalogue."""
    before = re.search('kubernetesVersion: .*', (ROOT / 'policies/examples' / example).read_text()).group()
    path = service.create_cluster(example, [(before, f'kubernetesVersion: "{VERSION}"'), *replace])
    catalogue = json.loads(run(BUILD / 'tests/golden/catalogue', path, VERSION).stdout)
    shown = service.ensign('cluster', 'show', catalogue['cluster'], '-o', 'json').stdout
    return json.loads(shown)['document'], catalogue


def first_control_plane(cluster):
    return next(node for node in cluster['nodes'] if 'control-plane' in node['roles'])


def enrol(service, cluster, node, root, holder=None, more=()):
    """Puts what the node needs below root. holder: the root of a control plane that has what all of them share; more:
    options of enroll"""
    token = service.folder / f'{cluster}-{node}.token'
    token.touch(mode=0o600)
    token.write_text(service.token(cluster, node))
    enroll = ['enroll', '--server', f'https://localhost:{service.port}', '--token-file', token, '--root', root, '--timeout',
              '1s', *more]
    if holder and service.ensign(*enroll, check=False).returncode == PENDING:
        service.ensign('shared-key', 'sync', '--root', holder)
    service.ensign(*enroll)


def external_client(catalogue, node):
    """What kubeadm has to be given for an external etcd: the three paths, by its own names for them."""
    paths = {item['name']: [file['path'] for file in item['files']] for item in catalogue['items'] if item['node'] == node}
    certificate, key = paths['apiserver-etcd-client']
    return {'caFile': paths['etcd-ca'][0], 'certFile': certificate, 'keyFile': key}


def configuration(cluster, catalogue):
    """kubeadm's, for the first control plane. cluster: the cluster file as the service gives it back"""
    node, api = first_control_plane(cluster), catalogue['kubeadm_api']
    etcd = {'local': {}}
    if cluster['etcd']['topology'] == 'external':
        members = [member for member in cluster['nodes'] if 'etcd' in member['roles']]
        endpoints = [f'https://{member["addresses"][0]}:2379' for member in members]
        etcd = {'external': dict(external_client(catalogue, node['name']), endpoints=endpoints)}
    documents = [
        {'apiVersion': api, 'kind': 'InitConfiguration',
         'localAPIEndpoint': {'advertiseAddress': node['addresses'][0], 'bindPort': 6443},
         'nodeRegistration': {'name': node['name'], 'criSocket': CRI_SOCKET}},
        {'apiVersion': api, 'kind': 'ClusterConfiguration', 'kubernetesVersion': f'v{VERSION}', 'etcd': etcd,
         'controlPlaneEndpoint': cluster['controlPlaneEndpoint'], 'networking': cluster.get('networking', {}),
         'apiServer': cluster.get('apiServer', {})},
    ]
    return '\n---\n'.join(map(json.dumps, documents))


class Host:
    """A folder that kubeadm takes for the root of the file system."""

    def __init__(self, folder):
        self.root = pathlib.Path(folder)
        self.root.mkdir()

    def path(self, path):
        """Where the absolute path of the node lies here."""
        return self.root / path.removeprefix('/')

    def configure(self, cluster, catalogue):
        self.path('/kubeadm.yaml').write_text(configuration(cluster, catalogue))

    def kubeadm(self, *arguments, check=True):
        """With this configuration. chroot(2) asks for root, or for being it in a user namespace."""
        as_root = [] if os.geteuid() == 0 else ['unshare', '--map-root-user']
        return run(*as_root, BIN / 'kubeadm', '--rootfs', self.root, *arguments, '--config', '/kubeadm.yaml', check=check)

    def files(self):
        """The node's paths of all files below /etc, and what each is like: mode, time of change, content."""
        paths = [path for path in self.path('/etc').rglob('*') if path.is_file()]
        return {f'/{path.relative_to(self.root)}': (oct(path.stat().st_mode & 0o7777), path.stat().st_mtime_ns,
                                                    path.read_bytes()) for path in paths}


def kubeconfig(path):
    """(server, certificate as PEM) of the kubeconfig's current context, as kubectl reads it."""
    view = json.loads(run(BIN / 'kubectl', 'config', 'view', '--raw', '--minify', '-o', 'json', '--kubeconfig',
                          path).stdout)
    user, cluster = view['users'][0]['user'], view['clusters'][0]['cluster']
    return cluster['server'], base64.b64decode(user['client-certificate-data']).decode()
