#!/usr/bin/env python3
"""issue.py [--seconds S] [--connections 1,16,64,256]: how fast ensignd issues, and what of the machine that takes.

A real ensignd, ECDSA P-256 requests of distinct keys over TLS 1.3 with client certificates, the generator on the same
machine. Prints rate, latency, CPU of each process per certificate, memory, and the ratio to the limits of the machine
measured in the same run: what its cores verify and sign, and its fdatasync.

    ENSIGN_BUILD=build tests/bench/issue.py
"""
import argparse
import json
import os
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from lib.service import BUILD, Service, run

PARTS = ('server', 'signer', 'supervisor')


def cpu_seconds(pid):
    fields = pathlib.Path(f'/proc/{pid}/stat').read_text().rsplit(')', 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')


def resident_mib(pid):
    status = pathlib.Path(f'/proc/{pid}/status').read_text()
    return int(status.split('RssAnon:')[1].split()[0]) / 1024


def measure(service, connections, seconds, *more):
    pids = {part: service.pid(part) for part in PARTS}
    before = {part: cpu_seconds(pid) for part, pid in pids.items()}
    result = json.loads(run(BUILD / 'tests/bench/load', '--port', service.port, '--context', service.context_file,
                            '--cluster', 'vagrant', '--node', 'etcdone', '--profile', 'etcd-member', '--connections',
                            connections, '--seconds', seconds, *more).stdout)
    used = {part: (cpu_seconds(pid) - before[part]) * 1000 / result['count'] for part, pid in pids.items()}
    return dict(result, rate=result['count'] / result['seconds'], cpu=used,
                memory={part: resident_mib(pid) for part, pid in pids.items()})


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--seconds', type=int, default=4)
    parser.add_argument('--connections', default='1,16,64,256')
    arguments = parser.parse_args()
    with Service() as service:
        service.init().start()
        service.create_cluster('vagrant-external-etcd.yaml')
        limits = json.loads(run(BUILD / 'tests/bench/load', '--limits', service.folder).stdout)
        ceiling = os.cpu_count() / (1 / limits['verify'] + 1 / limits['sign'])
        print(f"limits: {limits['verify']} verify/s and {limits['sign']} sign/s a core, {limits['fdatasync']} fdatasync/s; "
              f'{os.cpu_count()} cores could verify and sign {ceiling:.0f}/s')
        print('connections        certs/s  of limit  p50 ms  p99 ms  failed  CPU ms/cert (server+signer)  RSS MiB (server, signer)')
        rounds = [(int(count), ()) for count in arguments.connections.split(',')] + [(16, ('--reconnect',))]
        for connections, more in rounds:
            found = measure(service, connections, arguments.seconds, *more)
            name = f'{connections} new each' if more else str(connections)
            cpu, memory = found['cpu'], found['memory']
            print(f"{name:<16} {found['rate']:9.0f} {found['rate'] / ceiling:9.2f} {found['p50']:7.2f} {found['p99']:7.2f} "
                  f"{found['failed']:7} {sum(cpu.values()):10.3f} ({cpu['server']:.3f} + {cpu['signer']:.3f}) "
                  f"{memory['server']:10.1f}, {memory['signer']:.1f}", flush=True)


main()
