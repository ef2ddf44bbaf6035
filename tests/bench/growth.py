#!/usr/bin/env python3
"""growth.py [--sizes 10000,100000,1000000]: what changes as certificates become many.

One ensignd is filled; at each size: the rate with 64 connections, the slowest first page of the list by any filter,
what a certificate takes on the disk, memory of the server, and the time from start to ready. Prints a Markdown table.

    ENSIGN_BUILD=build tests/bench/growth.py
"""
import argparse
import time

from measure import Client, Ensign, disk_bytes, resident_mib

RATE_SECONDS = 5
LIST_ROUNDS = 20
FILTERS = ('', 'cluster=vagrant', 'cluster=vagrant&node=etcdone', 'cluster=vagrant&node=etcdtwo', 'profile=etcd-member',
           'profile=node-identity', 'state=valid', 'state=expired', 'state=revoked', 'expiring_within=24h',
           'cluster=vagrant&state=expired', 'cluster=vagrant&profile=apiserver-etcd-client')


def count(client):
    """Of the log's entries: a certificate each, but for a few."""
    return int(client.get('/v1/audit/checkpoint')[1].decode().splitlines()[1])


def slowest_list(client):
    """Milliseconds: the worst filter's median. The client's own checks of the answer are left out."""
    def once(query):
        begin = time.monotonic()
        client.connection.request('GET', f'/v1/certificates?limit=100&{query}')
        answer = client.connection.getresponse()
        answer.read()
        assert answer.status == 200, (query, answer.status)
        return (time.monotonic() - begin) * 1000
    medians = {query: sorted(once(query) for _ in range(LIST_ROUNDS))[LIST_ROUNDS // 2] for query in FILTERS}
    worst = max(medians, key=medians.get)
    return medians[worst], worst or 'none'


def start_seconds(service):
    service.stop()
    begin = time.monotonic()
    service.start()
    return time.monotonic() - begin


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--sizes', default='10000,100000,1000000')
    arguments = parser.parse_args()
    with Ensign() as service:
        print('| Certificates | Rate, 64 connections | CPU each | List, first page | Disk each | Server RSS | Start |\n'
              '|---|---|---|---|---|---|---|')
        for size in map(int, arguments.sizes.split(',')):
            client = Client(service, service.context_file)
            while (missing := size - count(client)) > 0:
                service.load(64, 1 + min(missing // 20000, 9))
            reached = count(client)
            found = service.load(64, RATE_SECONDS)
            milliseconds, query = slowest_list(client)
            memory = resident_mib(service.pid('server'))
            print(f"| {reached:,} | {found['rate']:,.0f}/s | {sum(found['cpu'].values()):.2f} ms | "
                  f'{milliseconds:.1f} ms ({query}) | {disk_bytes(service) / count(client):,.0f} B | {memory:.0f} MiB | '
                  f'{start_seconds(service):.2f} s |', flush=True)


main()
