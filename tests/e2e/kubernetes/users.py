#!/usr/bin/env python3
"""Kubeconfigs for people against the real API server: `ensign user create` gives a name and groups, to which RBAC gives
rights, and `ensign cluster kubeconfig` an administrator."""
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent.parent))
from lib import kubernetes
from lib.control_plane import PROGRAMS, ControlPlane

DENIED = 3
AUTHENTICATED = 'system:authenticated'
RBAC = 'rbac.authorization.k8s.io'
ROLE = {'apiVersion': f'{RBAC}/v1', 'kind': 'Role', 'metadata': {'name': 'manager', 'namespace': 'default'},
        'rules': [{'apiGroups': ['', 'apps'], 'resources': ['pods', 'deployments'], 'verbs': ['get', 'list', 'create']}]}
BINDING = {'apiVersion': f'{RBAC}/v1', 'kind': 'RoleBinding', 'metadata': {'name': 'manager', 'namespace': 'default'},
           'roleRef': {'apiGroup': RBAC, 'kind': 'Role', 'name': 'manager'},
           'subjects': [{'apiGroup': RBAC, 'kind': 'Group', 'name': 'manager'}]}
# What the role gives, and what it does not.
YES = ['get pods', 'list pods', 'create pods', 'create deployments']
NO = ['delete pods', 'get secrets', 'get pods -n kube-system', 'list nodes', 'create rolebindings', '* *']


class Users(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.plane = ControlPlane()
        cls.addClassCleanup(cls.plane.close)
        cls.plane.start()
        cls.operator = cls.plane.service.folder / 'operator.context'
        cls.plane.service.ensign('identity', 'create', 'op', '--role', 'operator', '--out', cls.operator)

    def kubeconfig(self, name, *command, check=True):
        """Written by that command, of the operator or (for an administrator's) of the admin."""
        path = self.plane.service.folder / f'{name}.kubeconfig'
        context = self.plane.service.context_file if command[0] == 'cluster' else self.operator
        made = self.plane.service.ensign(*command, '--kubeconfig', path, '--context', context, check=check)
        return path if made.returncode == 0 else made

    def user(self, name, *groups, check=True):
        words = [word for group in groups for word in ('--group', group)]
        return self.kubeconfig(name, 'user', 'create', name, '--cluster', 'vagrant', *words, check=check)

    def seen(self, path):
        return self.plane.seen(lambda target: self.plane.kubectl(path, 'get', '--raw', target))

    def can(self, path, rights):
        return [self.plane.kubectl(path, 'auth', 'can-i', *right.split(), check=False).stdout.split()[0] for right in rights]

    def test_a_user_may_what_her_groups_may(self):
        plane = self.plane
        jane = self.user('jane', 'manager')
        self.assertEqual(self.seen(jane), ('jane', ['manager', AUTHENTICATED]))
        self.assertEqual(self.can(jane, YES + NO), ['no'] * len(YES + NO))  # the control: nobody has given her anything
        for document in (ROLE, BINDING):
            plane.create('admin', document)
        self.assertEqual(self.can(jane, YES + NO), ['yes'] * len(YES) + ['no'] * len(NO))
        self.assertEqual(plane.kubectl(jane, 'get', 'pods').returncode, 0)
        refused = plane.kubectl(jane, 'get', 'secrets', check=False)
        self.assertIn('User "jane" cannot list resource "secrets"', refused.stderr)
        other = self.user('piet', 'developers')
        self.assertEqual(self.seen(other), ('piet', ['developers', AUTHENTICATED]))
        self.assertEqual(self.can(other, YES), ['no'] * len(YES))
        both = self.user('ann', 'developers', 'manager')
        self.assertEqual(self.seen(both), ('ann', ['developers', 'manager', AUTHENTICATED]))
        self.assertEqual(self.can(both, YES), ['yes'] * len(YES))
        print(f'can-i: {len(YES) * 4 + len(NO) * 2} answers are as they should be')

    def test_an_administrator(self):
        config = self.kubeconfig('admin', 'cluster', 'kubeconfig', 'vagrant')
        self.assertEqual(self.seen(config), ('kubernetes-admin', sorted(['system:masters', AUTHENTICATED])))
        self.assertEqual(self.can(config, ['* *', 'get secrets']), ['yes', 'yes'])
        own = self.kubeconfig('own', 'cluster', 'kubeconfig', 'vagrant', '--user', 'captain')
        self.assertEqual(self.seen(own)[0], 'captain')
        self.assertEqual(self.can(own, ['* *']), ['yes'])

    def test_nobody_becomes_an_administrator_as_a_user(self):
        refused = self.user('eve', 'system:masters', check=False)
        self.assertEqual(refused.returncode, DENIED, refused.stderr)
        self.assertFalse((self.plane.service.folder / 'eve.kubeconfig').exists())


if __name__ == '__main__':
    kubernetes.needs(*PROGRAMS)
    unittest.main(warnings='ignore')
