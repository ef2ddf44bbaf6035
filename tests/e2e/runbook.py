#!/usr/bin/env python3
"""Runs the commands of README.md's runbook, in its order, in one shell, on the cluster that `demo --keep` leaves running,
and looks after each section whether what the text promises is so."""
import pathlib
import re
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from lib.demo import running
from lib.service import ROOT

SECTIONS = ('A node was off for too long', 'A certificate leaked', 'Everything expires next week',
            "A load balancer's address changes", 'An agent is silent')
EXITS = re.compile(r' +# exits with (\d)$')

# By section, what is asked from the outside after its commands, and what must be in the answer ("!": must not).
CHECKS = {
    'A node was off for too long': [
        ('ensign cluster certificates vagrant --node workerone --state expired', '!kubelet'),
        ('openssl x509 -in workerone/etc/ensign/node/node-identity/tls.crt -noout -checkend 3600', 'will not expire')],
    'A certificate leaked': [
        ('ETCDCTL_CERT=stolen.crt ETCDCTL_KEY=stolen.key etcdctl --command-timeout=3s get ship', '!ensign'),
        ('ETCDCTL_CERT=etcdtwo/etc/etcd/pki/healthcheck-client.crt '
         'ETCDCTL_KEY=etcdtwo/etc/etcd/pki/healthcheck-client.key etcdctl get ship', 'ensign'),
        ('ETCDCTL_CERT=etcdone/etc/etcd/pki/healthcheck-client.crt '
         'ETCDCTL_KEY=etcdone/etc/etcd/pki/healthcheck-client.key etcdctl get ship', 'ensign'),
        ('cmp stolen.key etcdone/etc/etcd/pki/healthcheck-client.key', 'differ')],
    'Everything expires next week': [
        *((f'openssl x509 -in {file}.crt -noout -checkend $((360 * 86400))', 'will not expire') for file in (
            'etcdone/etc/etcd/pki/member', 'etcdthree/etc/etcd/pki/healthcheck-client',
            'masterone/etc/kubernetes/pki/apiserver', 'masterthree/etc/kubernetes/pki/front-proxy-client',
            'mastertwo/etc/kubernetes/pki/apiserver-etcd-client')),
        ('etcdctl endpoint health --cluster', '!unhealthy')],
    "A load balancer's address changes": [
        ('openssl x509 -in mastertwo/etc/kubernetes/pki/apiserver.crt -noout -ext subjectAltName', '127.0.0.82'),
        ('openssl x509 -in mastertwo/etc/kubernetes/pki/apiserver.crt -noout -ext subjectAltName', '!127.0.0.81'),
        ('ensign cluster certificates vagrant --state differs', '!apiserver')],
    'An agent is silent': [
        ('grep -h "is not valid" */agent.log', '!valid'),
        ('ensign cluster certificates vagrant --node etcdthree -o wide', 'served'),
        ('ensign cluster certificates vagrant --node etcdthree -o wide', '!other')],
}


def sections():
    """[(title, [command])]"""
    text = (ROOT / 'README.md').read_text()
    book = text[text.index('\n## When something happens'):]
    book = book[:book.index('\n## ', 1)]
    parts = re.split(r'^### (.*)$', book, flags=re.M)[1:]
    return [(title, re.findall(r'^\$ (.*)$', body, re.M)) for title, body in zip(parts[::2], parts[1::2])]


def check(shell, title):
    for command, wanted in CHECKS[title]:
        _, output = shell.run(command)
        absent = wanted.startswith('!')
        found = re.search(wanted.removeprefix('!'), output)
        assert bool(found) != absent, f'{title}: {command}: {"found" if absent else "no"} "{wanted}"'


def follow(shell):
    for title, commands in sections():
        print(f'\n== {title}')
        for command in commands:
            exits = EXITS.search(command)
            code, _ = shell.run(EXITS.sub('', command))
            assert code == (int(exits[1]) if exits else 0), f'{title}: {command}: {code}'
        check(shell, title)


def main():
    assert [title for title, _ in sections()] == list(SECTIONS), 'the README has other sections'
    with running() as shell:
        follow(shell)


main()
