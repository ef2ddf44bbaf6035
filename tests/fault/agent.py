#!/usr/bin/env python3
"""`ensign agent` dies while it renews all that a node has, before any of its calls that change something: killed
(--kills N, --every-kill N for each call of the first N nodes; there are four), or with the power of its disk cut at the same moment
(--power-cuts N: the node is on an ext4 file system that stops writing, journal included). Nodes of etcd, workers, and
control planes whose kubeconfigs embed their PEMs or name them.

Whatever is there then is whole; the next run goes on with the keys that were begun; each certificate has at most one
successor, and the report says what is installed. --unsynced N is the control: an agent that makes nothing durable must be
found out when the power is cut. --naive N is that of the reader of pairs: whoever writes files one after the other is
found out.
"""
import json
import os
import pathlib
import random

import faults
from disk import Disk
from lib import audit
from lib.agents import KILLED, NodeRoot, PairReader, key_of_certificate, loopback_network, pair_matches
from lib.service import ROOT, Client
from outcome import Outcome, main

VAGRANT = 'policies/examples/vagrant-external-etcd.yaml'
FILES = 'tests/golden/kubeconfig-files.yaml'
NODES = [('vagrant', 'etcdone'), ('vagrant', 'masterone'), ('kubeconfig-files', 'controlplane1'), ('vagrant', 'workerone')]
LIFETIME, DONE, PENDING = '1h', 0, 7  # PENDING: what control planes share is not there yet
SHARED = 'apiserver-etcd-client'  # which nobody renews here
ETCD = NODES[:1]


def clusters_make(service):
    for file, old in ((VAGRANT, '192.168.29.'), (FILES, '192.0.2.')):
        path = service.folder / pathlib.Path(file).name
        path.write_text((ROOT / file).read_text().replace(old, loopback_network()))
        service.ensign('cluster', 'create', '-f', path)


def node_make(service, cluster, name, root):
    node = NodeRoot(service, cluster, name, root).enroll('--lifetime', LIFETIME)
    programs = ('kubelet', 'scheduler', 'controller-manager')
    node.settings(lifetime=LIFETIME, health={'apiserver': 'none'}, hooks=dict.fromkeys(programs, 'none'))
    code, said = node.once(ahead=None)
    assert code in (DONE, PENDING), said
    return node


def calls(node):
    """How many of them a renewal of everything has."""
    code, said = node.once(program=KILLED, ENSIGN_KILLED_AT='count')
    assert code in (DONE, PENDING), said
    return int(said.rsplit('calls: ', 1)[1])


# ---- what has to hold ----

def halves(pairs, what):
    """Yields those that are not whole: neither part is there by half."""
    for name, pair in pairs.items():
        if not all(part.rstrip().endswith(b'-----') and b'-----BEGIN' in part for part in pair):
            yield f'{what}: {name} is there by half'


def mixed(pairs):
    return [name for name, pair in pairs.items() if not pair_matches(*pair)]


class Begun:
    """What was begun when the agent died: the certificates that the node never heard of, and the keys of the others."""

    def __init__(self, node):
        newest, have = {}, node.serials()
        for profile, number in node.issued():
            newest[profile] = number
        self.unheard = {profile: number for profile, number in newest.items()
                        if profile in have and have[profile] != number}
        keys = {profile: key_of_certificate(pair[0]) for profile, pair in node.set_pairs().items()}
        self.keys = {profile: key for profile, key in node.pending().items() if keys.get(profile) != key}

    def lost(self, node, what):
        """Yields what the next run did not go on with."""
        have = node.serials()
        for profile, number in self.unheard.items():
            if have[profile] != number:
                yield f'{what}: {profile} is lost: {number} was issued, and {have[profile]} is there'
        for profile, key in self.keys.items():
            if key_of_certificate(node.set_pairs()[profile][0]) != key:
                yield f'{what}: the key of {profile} is lost, with which its renewal was begun'


def at_rest(node, what):
    """Yields what is wrong once a run has ended well."""
    installed, sets, have = node.installed_pairs(), node.set_pairs(), node.serials()
    yield from (f'{what}: {name} is mixed in the end' for name in mixed(installed) + mixed(sets))
    known = {pair[0].strip() for pair in sets.values()}
    yield from (f'{what}: {name} is not what is in a set' for name, pair in installed.items()
                if pair[0].strip() not in known and SHARED not in name)
    deployed = {profile: entry['serial'] for profile, entry in node.deployed().items()}
    yield from (f'{what}: {profile} {number} is there, and {deployed.get(profile)} reported'
                for profile, number in have.items() if profile != SHARED and deployed.get(profile) != number)
    yield from (f'{what}: {path.name} was left behind' for path in node.root.rglob('.new-*'))
    if node.pending():
        yield f'{what}: a renewal is open: {list(node.pending())}'


def successors(service):
    """Yields the certificates with more than one, as the log has it."""
    client, seen = Client(service, service.context_file), set()
    for leaf in map(json.loads, audit.leaves(client)):
        replaced = leaf.get('replaces')
        if replaced in seen:
            yield f'{replaced} was replaced twice'
        seen |= {replaced} - {None}
    client.connection.close()


# ---- one death ----

def death(outcome, node, at, program=KILLED, disk=None):
    what = f'{node.name} at {at}'
    before = len(outcome.wrong)
    code, _ = node.once(program=program, ENSIGN_KILLED_AT=str(at))
    outcome.notes['deaths'] += code < 0
    if disk:
        disk.cut_power()
        disk.unmount()
        disk.mount()
    outcome.wrong += halves(node.set_pairs(), what)
    outcome.wrong += halves(node.installed_pairs(), what)
    outcome.wrong += [f'{what}: the set of {name} is mixed' for name in mixed(node.set_pairs())]
    if len(outcome.wrong) > before:
        return  # there is nothing to go on with
    outcome.notes['pairs mixed until the next run'] += len(mixed(node.installed_pairs()))
    begun = Begun(node)
    outcome.notes['answers unheard'] += len(begun.unheard)
    outcome.notes['keys begun'] += len(begun.keys)
    code, said = node.once()
    if code not in (DONE, PENDING):
        outcome.wrong.append(f'{what}: the next run ended with {code}: {said[-300:]}')
    outcome.wrong += begun.lost(node, what)
    outcome.wrong += at_rest(node, what)
    outcome.rounds += 1


def deaths(fault, share, nodes=NODES, program=KILLED, with_disk=False):
    """share(node, calls): at which calls"""
    outcome = Outcome(fault, notes={'deaths': 0, 'pairs mixed until the next run': 0, 'answers unheard': 0,
                                    'keys begun': 0})
    with faults.service() as service:
        service.init().configure('limits: {renewalsPerHour: 0}').start()  # by its clock nothing is due
        clusters_make(service)
        disk = Disk(service.folder) if with_disk else None
        for cluster, name in nodes:
            node = node_make(service, cluster, name, (disk.folder if disk else service.folder) / name)
            if disk:
                disk.settle()
            total = calls(node)
            points = share(total)
            print(f'{name}: {total} calls, {len(points)} deaths: {points if len(points) < 30 else "all"}', flush=True)
            for at in points:
                death(outcome, node, at, program, disk)
                if outcome.wrong and disk:
                    break
            outcome.acknowledged += len(node.issued())
        outcome.wrong += successors(service)
        service.keep = bool(outcome.wrong) and service.keep_evidence
        if disk:
            disk.unmount()
    return outcome


def sample(rounds, nodes=NODES):
    seed = int(os.environ.get('ENSIGN_SEED', random.randrange(1 << 32)))
    print(f'ENSIGN_SEED={seed}', flush=True)
    chance = random.Random(seed)
    each = max(1, rounds // len(nodes))
    return lambda total: sorted(chance.sample(range(1, total + 1), min(each, total)))


def kills(rounds):
    return deaths('F10', sample(rounds))


def every_kill(rounds):
    """Of the first `rounds` nodes."""
    return deaths('F10', lambda total: list(range(1, total + 1)), NODES[:rounds])


def power_cuts(rounds):
    return deaths('F9', sample(rounds), with_disk=True)


def unsynced(rounds):
    """Where the answer was given and not yet installed."""
    return deaths('F9', sample(rounds, ETCD), ETCD, KILLED.with_name('ensign_killed_nosync'), with_disk=True)


# ---- the reader's control ----

def file_write(path, content):
    fresh = path.with_name('.new')
    with open(fresh, 'wb') as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    fresh.rename(path)


def naive(rounds):
    """Each file is replaced in one step, and the second one is written between: the reader must see most of it."""
    outcome = Outcome('F10', rounds=rounds)
    with faults.service() as service:
        service.init().configure('limits: {renewalsPerHour: 0}').start()  # by its clock nothing is due
        clusters_make(service)
        node = node_make(service, *NODES[0], service.folder / 'naive')
        before = node.set_pairs()['etcd-member']
        node.once()
        pairs = [before, node.set_pairs()['etcd-member']]
        stem = service.folder / 'pair'
        for suffix, content in zip(('.crt', '.key'), pairs[1]):
            stem.with_suffix(suffix).write_bytes(content)
        reader = PairReader(stem)
        for number in range(rounds):
            for suffix, content in zip(('.crt', '.key'), pairs[number % 2]):
                file_write(stem.with_suffix(suffix), content)
        loads, seen = reader.stop()
        print(f'{loads} loads, {len(seen)} mixed ones in {rounds} switches, the longest for {1e3 * max(seen, default=0):.1f} ms')
        if len(seen) < rounds / 4:
            outcome.wrong.append('the reader does not see what is mixed')
    return outcome


if __name__ == '__main__':
    main(__doc__, {'kills': kills, 'every-kill': every_kill, 'power-cuts': power_cuts, 'unsynced': unsynced, 'naive': naive})
