#!/usr/bin/env python3
"""herd.py [--nodes N] [--seconds S] [--check]: all nodes of a large cluster renew all that they have, within S seconds.

Each node is an agent (tests/bench/herd.c) that goes by client/agent/schedule.h; what it has lives so long that the
jitter spreads over S seconds. Prints the latency of renewals (connection, inventory, renewal, report) by minute, what the
service used, and when the renewals came, beside a control in which nobody waits a while of his own. --check is for tests:
no control, no latencies, but nothing may fail, and a node that was removed must be found.

    ENSIGN_BUILD=build tests/bench/herd.py
"""
import argparse

from measure import Generator, Herd, disk_bytes

BINS = 60
JITTER = 10  # a tenth of the life: client/agent/schedule.c
CHECK_NODES = 20


def quantile(values, part):
    return sorted(values)[int(len(values) * part)] if values else float('nan')


def histogram(found, seconds):
    """Renewals in each of the BINS that the window has, and in as many behind it as it took."""
    places = [int((at - found['begin']) / seconds * BINS) for at, _ in found['renewals']]
    return [places.count(place) for place in range(max(BINS, max(places) + 1))]


def histogram_print(name, counts, seconds):
    mean = sum(counts) / BINS
    print(f'{name}: renewals per {seconds / BINS:.3g} s: {" ".join(map(str, counts))}\n'
          f'{name}: peak {max(counts)}, mean of the window {mean:.0f}, peak/mean {max(counts) / mean:.2f}', flush=True)


def minutes_print(found, seconds):
    minute = min(60, seconds / 5)
    medians, worst = [], []
    print(f'per {minute:.0f} s   turns  p50 ms  p99 ms  renewals  p50 ms  p99 ms   polls  CPU %  RSS MiB  threads')
    for first in range(int(seconds / minute)):
        begin = found['begin'] + first * minute
        inside = lambda items: [ms for at, ms in items if begin <= at < begin + minute]
        looks = [look for look in found['service'] if begin <= look['at'] < begin + minute]
        turns, renewals = inside(found['turns']), inside(found['renewals'])
        cpu = (looks[-1]['cpu'] - looks[0]['cpu']) / (looks[-1]['at'] - looks[0]['at']) * 100
        medians.append(quantile(turns, .5))
        worst.append(quantile(turns, .99))
        print(f"{first + 1:8} {len(turns):7} {medians[-1]:7.1f} {worst[-1]:7.1f} {len(renewals):9} "
              f"{quantile(renewals, .5):7.1f} {quantile(renewals, .99):7.1f} {len(inside(found['polls'])):7} {cpu:6.1f} "
              f"{max(look['memory'] for look in looks):8.1f} {max(look['threads'] for look in looks):8}", flush=True)
    print(f'last / first: p50 {medians[-1] / medians[0]:.2f}, p99 {worst[-1] / worst[0]:.2f}')


def renew(nodes, window, *more):
    """Until all were due: with jitter within the window, and the time that enrolling took."""
    with Herd(nodes) as herd, Generator(herd, JITTER * window, '--spread', max(1, window // 5), *more) as generator:
        enrolled = generator.enrolled
        print(f"{nodes} nodes enrolled: {enrolled['issued']} certificates, {enrolled['issued'] / enrolled['seconds']:.0f}/s, "
              f"{sum(enrolled['cpu'].values()) / enrolled['issued'] * 1000:.3f} ms CPU each", flush=True)
        found = generator.go()
        found['certificates'] = herd.certificates()
        print(f"{len(found['renewals'])} of {found['certificates']} renewed, {found['not_renewed']} not; "
              f"{found['failed']} failures; {sum(found['cpu'].values()):.1f} s CPU, the signer's "
              f"{found['cpu']['signer']:.1f}; {disk_bytes(herd) / 2**20:.1f} MiB on the disk", flush=True)
        return found


def removed_is_found():
    """The control of --check: a node that the service refuses is a failure, and is not renewed."""
    with Herd(CHECK_NODES) as herd, Generator(herd, JITTER * 6) as generator:
        gone = herd.inventory[-1][0]
        status, answer, _ = herd.admin.request('PUT', f'/v1/clusters/{herd.CLUSTER}', {'cluster': herd.document([gone])})
        assert status == 200, answer
        found = generator.go()
        assert found['failed'] > 0 and found['not_renewed'] >= len(herd.roles['worker']['profiles']), found


def check(found):
    assert found['failed'] == 0, f"{found['failed']} failures"
    assert found['not_renewed'] == 0, f"{found['not_renewed']} not renewed"
    assert len(found['renewals']) == found['certificates'], (len(found['renewals']), found['certificates'])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--nodes', type=int, default=5000)
    parser.add_argument('--seconds', type=int, default=600)
    parser.add_argument('--check', action='store_true')
    arguments = parser.parse_args()
    found = renew(arguments.nodes, arguments.seconds)
    if arguments.check:
        check(found)
        removed_is_found()
        return
    minutes_print(found, arguments.seconds)
    histogram_print('with jitter', histogram(found, arguments.seconds), arguments.seconds)
    check(found)
    control = renew(arguments.nodes, arguments.seconds, '--no-jitter')
    histogram_print('without', histogram(control, arguments.seconds), arguments.seconds)
    print(f"without: p50 {quantile([ms for _, ms in control['turns']], .5):.0f} ms, "
          f"p99 {quantile([ms for _, ms in control['turns']], .99):.0f} ms")


main()
