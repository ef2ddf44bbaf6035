#!/usr/bin/env python3
"""Runs README.md's whole cluster in eight folders on what `demo --keep` leaves running: a control plane on the
certificates that `ensign enroll` put there, and a user of it."""
import pathlib
import re
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent.parent))
from lib import kubernetes
from lib.demo import running
from lib.service import ROOT


def blocks():
    found = re.findall(r'^<!-- whole cluster -->\n```\n(.*?)^```$', (ROOT / 'README.md').read_text(), re.M | re.S)
    assert len(found) == 2, 'the README has other blocks'
    return found


def main():
    kubernetes.needs('haproxy', 'etcd', 'etcdctl')
    cluster, user = blocks()
    with running() as shell:
        shell.run(f'KUBERNETES={kubernetes.BIN}')
        code, output = shell.run(cluster)
        assert code == 0 and 'readyz check passed' in output and 'kube-controller-manager' in output, output
        code, output = shell.run(user)
        assert code == 0 and output.endswith('yes\nyes\nno\n'), output
        code, output = shell.run('$KUBERNETES/kubectl --kubeconfig jane.conf get secrets -A')
        assert code != 0 and 'forbidden' in output, output
        code, output = shell.run('grep -c . masterone/etc/kubernetes/pki/ca.key etcdone/etc/etcd/pki/ca.key')
        assert code == 2, output


main()
