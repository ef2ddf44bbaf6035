#!/usr/bin/env python3
"""A control plane runs on certificates from Ensign (lib/control_plane.py), and to the API server each identity is who it
should be: users and groups are read from its audit log."""
import json
import pathlib
import sys
import unittest
import uuid

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent.parent))
from lib import kubernetes
from lib.control_plane import MASTER, MEMBERS, PKI, PROGRAMS, ControlPlane, etcd
from lib.keys import Key
from lib.service import free_port, run, wait_for

AUTHENTICATED = 'system:authenticated'

# What the API server takes each for: user and groups, beside the group of all who are known.
IDENTITIES = {
    '/etc/kubernetes/admin.conf': ('kubernetes-admin', ['system:masters']),
    '/etc/kubernetes/kubelet.conf': ('system:node:masterone', ['system:nodes']),
    '/etc/kubernetes/controller-manager.conf': ('system:kube-controller-manager', []),
    '/etc/kubernetes/scheduler.conf': ('system:kube-scheduler', []),
    f'{PKI}apiserver-kubelet-client': ('kube-apiserver-kubelet-client', ['system:masters']),
}
# What they may do; both kinds for each.
ALLOWED = {
    'admin': (['* *', 'delete nodes', 'get secrets', 'escalate clusterroles'], []),
    'kubelet': (['get nodes', 'create nodes', 'list pods', 'create certificatesigningrequests',
                 'create events'],
                ['* *', 'list secrets', 'delete nodes', 'create deployments', 'escalate clusterroles']),
    'controller-manager': (['list pods', 'create serviceaccounts', 'create secrets', 'get configmaps'],
                           ['* *', 'delete nodes', 'create deployments', 'escalate clusterroles']),
    'scheduler': (['list pods', 'create pods --subresource=binding', 'delete pods', 'list nodes'],
                  ['* *', 'get secrets', 'create pods', 'delete nodes', 'escalate clusterroles']),
}
POD = {'metadata': {'labels': {'app': 'ship'}},
       'spec': {'containers': [{'name': 'ship', 'image': 'ship'}], 'tolerations': [{'operator': 'Exists'}]}}
DEPLOYMENT = {'apiVersion': 'apps/v1', 'kind': 'Deployment', 'metadata': {'name': 'ship'},
              'spec': {'replicas': 2, 'selector': {'matchLabels': {'app': 'ship'}}, 'template': POD}}


def node(name):
    return {'apiVersion': 'v1', 'kind': 'Node', 'metadata': {'name': name, 'labels': {'kubernetes.io/hostname': name}},
            'status': {'capacity': {'cpu': '1', 'memory': '1Gi', 'pods': '10'}}}


class ControlPlaneRuns(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.plane = ControlPlane()
        cls.addClassCleanup(cls.plane.close)
        cls.plane.start()
        cls.plane.create('kubelet', node('masterone'))

    def test_each_identity_is_what_it_is_for(self):
        for path, (user, groups) in IDENTITIES.items():
            with self.subTest(path):
                if path.endswith('.conf'):
                    ask = lambda target: self.plane.kubectl(self.plane.master.path(path), 'get', '--raw', target)
                else:
                    ask = lambda target: self.plane.curl(target, client=path)
                self.assertEqual(self.plane.seen(ask), (user, sorted([*groups, AUTHENTICATED])))
        self.assertEqual(self.plane.seen(self.plane.curl), ('system:anonymous', ['system:unauthenticated']))

    def test_the_front_proxy_speaks_for_others_and_nobody_else_does(self):
        sailor = ['-H', 'X-Remote-User: sailor', '-H', 'X-Remote-Group: crew']
        ask = lambda client: lambda target: self.plane.curl(target, *sailor, client=client)
        self.assertEqual(self.plane.seen(ask(f'{PKI}front-proxy-client')), ('sailor', ['crew', AUTHENTICATED]))
        self.assertEqual(self.plane.seen(ask(f'{PKI}apiserver-kubelet-client'))[0], 'kube-apiserver-kubelet-client')
        self.assertEqual(self.plane.seen(ask(None))[0], 'system:anonymous')

    def test_a_certificate_of_another_authority_is_nobody(self):
        status, body = self.plane.curl('/version', client=f'{PKI}apiserver-etcd-client')
        self.assertEqual((status, json.loads(body)['reason']), (401, 'Unauthorized'))

    def test_each_identity_may_do_its_work_and_no_more(self):
        asked = 0
        for who, answers in ALLOWED.items():
            for answer, rights in zip(('yes', 'no'), answers):
                for right in rights:
                    with self.subTest(who, right=right):
                        result = self.plane.kubectl(who, 'auth', 'can-i', *right.split(), '-A', check=False)
                        self.assertEqual(result.stdout.strip().split(' ')[0], answer, result.stderr)
                        asked += 1
        print(f'can-i: {asked} answers are as they should be')

    def test_the_webhook_is_asked_and_the_others_decide(self):
        """This API server does not say yet which certificate it was; from 1.32 on it does."""
        before = int(self.plane.reviews().get('200', 0))
        for who, answer in (('controller-manager', 'yes'), ('kubelet', 'no')):
            namespace = uuid.uuid4().hex  # which nobody has asked about: answers are kept
            said = self.plane.kubectl(who, 'auth', 'can-i', 'watch', 'replicasets.apps', '-n', namespace, check=False).stdout
            self.assertEqual(said.strip().split(' ')[0], answer)
        self.assertGreaterEqual(int(self.plane.reviews()['200']), before + 2)
        self.assertEqual(set(self.plane.reviews()), {'200'})

    def test_nodes_deployments_and_service_accounts_work(self):
        plane = self.plane
        refused = plane.create('kubelet', node('mastertwo'), check=False)
        self.assertIn('is not allowed to modify node "mastertwo"', refused.stderr)
        wait_for('the default service account', lambda: plane.kubectl('admin', 'get', 'serviceaccount', 'default', '-o',
                                                                      'jsonpath={.secrets[0].name}', check=False).stdout)
        plane.create('admin', DEPLOYMENT)
        scheduled = lambda: plane.kubectl('admin', 'get', 'pods', '-l', 'app=ship', '-o',
                                          'jsonpath={.items[*].spec.nodeName}').stdout == 'masterone masterone'
        plane.programs.wait('two pods on masterone', scheduled)

    def test_the_tokens_of_service_accounts_are_good(self):
        plane = self.plane
        secret = wait_for('the secret of a service account', lambda: plane.kubectl(
            'admin', '-n', 'kube-system', 'get', 'serviceaccount', 'default', '-o', 'jsonpath={.secrets[0].name}',
            check=False).stdout)
        token = plane.kubectl('admin', '-n', 'kube-system', 'get', 'secret', secret, '-o',
                              'go-template={{.data.token|base64decode}}').stdout
        header = plane.service.folder / 'header'
        header.touch(mode=0o600)
        header.write_text(f'Authorization: Bearer {token}')
        user, groups = plane.seen(lambda target: plane.curl(target, '-H', f'@{header}'))
        self.assertEqual(user, 'system:serviceaccount:kube-system:default')
        self.assertIn('system:serviceaccounts', groups)
        header.write_text(f'Authorization: Bearer {token[:-8]}AAAAAAAA')
        self.assertEqual(plane.curl('/version', '-H', f'@{header}')[0], 401)

    def test_a_second_control_plane_joins(self):
        """kubeadm looks at what all control planes must have the same of, and takes every file as it is. This host has
        no container runtime, so that is as far as it gets. The control: a key that this kubeadm does not take."""
        plane, looked = self.plane, 'Running pre-flight checks before initializing the new control plane instance'
        plane.publish()
        host = plane.place('mastertwo')
        for path in (f'{PKI}sa.key', f'{PKI}sa.pub', f'{PKI}apiserver-etcd-client.key', f'{PKI}apiserver-etcd-client.crt'):
            self.assertEqual(host.path(path).read_bytes(), plane.master.path(path).read_bytes())
        plane.configure_join(host, 'mastertwo')
        before = host.files()
        preflight = lambda: host.kubeadm('join', 'phase', 'preflight', '--ignore-preflight-errors', 'all', check=False)
        self.assertIn(looked, preflight().stdout)
        self.assertIn('Using the existing "sa" key', host.kubeadm('join', 'phase', 'control-plane-prepare', 'certs').stdout)
        self.assertEqual(host.files(), before)
        host.path(f'{PKI}sa.key').write_bytes(Key().pem)
        refused = preflight()
        self.assertNotIn(looked, refused.stdout)
        self.assertIn("sa.key isn't in RSA format", refused.stderr)

    def gateway(self, url, client, ca):
        body = json.dumps({'key': 'c2hpcA=='})
        return run('curl', '-sS', '--cacert', self.plane.master.path(ca), '--cert', self.plane.master.path(f'{client}.crt'),
                   '--key', self.plane.master.path(f'{client}.key'), '-o', '/dev/null', '-w', '%{http_code}', '-d', body,
                   f'{url}/v3/kv/range').stdout

    def test_a_member_of_etcd_must_be_a_client_too(self):
        """Its gateway calls itself with its own certificate. The control: one with a certificate for servers only."""
        for name in MEMBERS:
            self.assertEqual(self.gateway(self.plane.etcd_url(name), f'{PKI}apiserver-etcd-client', f'{PKI}etcd/ca.crt'), '200')
        address = self.plane.address(MASTER)
        url, peer = (f'https://{address}:{free_port(address)}' for _ in range(2))
        ca, client = f'{PKI}ca.crt', f'{PKI}apiserver-kubelet-client'
        self.plane.programs.start('server-only', *etcd('server-only', url, {'server-only': peer},
                                                       self.plane.service.folder / 'server-only.data',
                                                       self.plane.master.path(f'{PKI}apiserver.crt'),
                                                       self.plane.master.path(ca)))
        self.addCleanup(self.plane.programs.stop, 'server-only')
        self.plane.programs.wait('etcd to be healthy', lambda: self.plane.etcd_healthy(url, client=client, ca=ca))
        self.assertEqual(self.gateway(url, client, ca), '503')


if __name__ == '__main__':
    kubernetes.needs(*PROGRAMS)
    unittest.main(warnings='ignore')
