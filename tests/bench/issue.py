#!/usr/bin/env python3
"""issue.py [--seconds S] [--connections 1,16,64,256]: how fast ensignd issues, and what of the machine that takes.

A real ensignd, ECDSA P-256 requests of distinct keys over TLS 1.3 with client certificates, the generator on the same
machine. Prints rate, latency, CPU of each process per certificate, memory, and the ratio to the limits of the machine
measured in the same run: what its cores verify and sign, and its fdatasync.

    ENSIGN_BUILD=build tests/bench/issue.py
"""
import argparse
import os

from measure import Ensign, limits


def row(name, found, ceiling):
    cpu, memory = found['cpu'], found['memory']
    print(f"{name:<20} {found['rate']:9.0f} {found['rate'] / ceiling:9.2f} {found['p50']:7.2f} {found['p99']:7.2f} "
          f"{found['failed']:7} {sum(cpu.values()):10.3f} ({cpu['server']:.3f} + {cpu['signer']:.3f}) "
          f"{memory['server']:10.1f}, {memory['signer']:.1f}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--seconds', type=int, default=4)
    parser.add_argument('--connections', default='1,16,64,256')
    arguments = parser.parse_args()
    with Ensign() as service, Ensign('rsa-2048') as rsa:
        limit = limits(service.folder)
        ceiling = os.cpu_count() / (1 / limit['verify'] + 1 / limit['sign'])
        rsa_ceiling = os.cpu_count() / (1 / limit['verify'] + 1 / limit['rsa_sign'])
        print(f"limits: P-256 {limit['verify']} verify/s and {limit['sign']} sign/s a core, RSA-2048 {limit['rsa_sign']} "
              f"sign/s a core, {limit['fdatasync']} fdatasync/s; {os.cpu_count()} cores could verify and sign "
              f'{ceiling:.0f}/s, with an RSA-2048 CA {rsa_ceiling:.0f}/s')
        print('connections            certs/s  of limit  p50 ms  p99 ms  failed  CPU ms/cert (server + signer)  '
              'RSS MiB (server, signer)')
        for connections in arguments.connections.split(','):
            row(connections, service.load(connections, arguments.seconds), ceiling)
        row('16, a new one each', service.load(16, arguments.seconds, '--reconnect'), ceiling)
        row('64, RSA-2048 CA', rsa.load(64, arguments.seconds), rsa_ceiling)


main()
