#!/usr/bin/env python3
"""kill.py: ensignd under load is killed (--rounds N: kill -9 of server, signer, and all, N times each) or cut off from
power (--power-cuts N: its state is on an ext4 file system that stops writing, journal included).

Clients issue certificates all the time and record each answer in a file that they fsync. Between two kills at least one
certificate is acknowledged. Afterwards nothing that was acknowledged may be missing or different (I1, I2), serials are
unique (I3), every checkpoint that was ever shown is a prefix of the log, and the log's issue leaves are exactly the
certificates (I5).

--expect-loss is for the control: an ensignd whose commits are not durable must be found out by a power cut.
"""
import argparse
import ctypes
import fcntl
import hashlib
import http.client
import os
import pathlib
import random
import struct
import subprocess
import sys
import threading

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from lib import audit
from lib.service import Client, Service, run, wait_for

CLIENTS = 4
EXT4_IOC_SHUTDOWN, NO_LOG_FLUSH = 0x8004587d, 2
CLONE_NEWNS = 0x00020000
ALL = ('supervisor', 'signer', 'server')


class Disk:
    """A small ext4 file system in a file, mounted in a mount namespace of our own, so that it never outlives us."""

    def __init__(self, folder):
        if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNS) != 0:
            raise PermissionError('this needs root')
        run('mount', '--make-rprivate', '/', check=False)  # fails in a chroot, where nothing is shared anyway
        self.image, self.folder = folder / 'disk.img', folder / 'disk'
        self.folder.mkdir()
        with open(self.image, 'wb') as image:
            image.truncate(256 << 20)
        run('mkfs.ext4', '-q', self.image)
        self.mount()

    def mount(self):
        run('mount', '-o', 'loop', self.image, self.folder)

    def unmount(self):
        """A child that the supervisor started in its last moment may need another one to die."""
        wait_for('the file system to be free', lambda: run('umount', self.folder, check=False).returncode == 0)

    def cut_power(self):
        fd = os.open(self.folder, os.O_RDONLY)
        fcntl.ioctl(fd, EXT4_IOC_SHUTDOWN, struct.pack('I', NO_LOG_FLUSH))
        os.close(fd)


class Load:
    """Clients that issue until stopped."""

    def __init__(self, service, record_path, csr):
        self.service, self.csr = service, csr
        self.record = open(record_path, 'a', buffering=1)
        self.lock = threading.Lock()
        self.acknowledged, self.refused, self.stopping = {}, {}, False
        self.checkpoints = []
        self.threads = [threading.Thread(target=self.work) for _ in range(CLIENTS)]
        for thread in self.threads:
            thread.start()

    def keep(self, certificate):
        with self.lock:
            digest = hashlib.sha256(certificate['certificate'].encode()).hexdigest()
            self.record.write(f"{certificate['serial']} {digest}\n")
            self.record.flush()
            os.fsync(self.record.fileno())
            self.acknowledged[certificate['serial']] = certificate['certificate']

    def work(self):
        client = Client(self.service, self.service.context_file)
        body = {'profile': 'etcd-member', 'node': 'etcdone', 'csr': self.csr}
        while not self.stopping:
            try:
                status, answer, _ = client.post('/v1/clusters/vagrant/certificates', body)
            except (OSError, http.client.HTTPException):
                continue  # killed under our feet
            if status == 201:
                self.keep(answer)
            else:
                code = answer.get('code') if isinstance(answer, dict) else status
                self.refused[code] = self.refused.get(code, 0) + 1

    def checkpoint(self):
        try:
            status, note, _ = Client(self.service).get('/v1/audit/checkpoint')
        except (OSError, http.client.HTTPException):
            return
        if status == 200:
            self.checkpoints.append(audit.checkpoint_parse(note))

    def stop(self):
        self.stopping = True
        for thread in self.threads:
            thread.join()


def kill_rounds(service, load, parts, rounds):
    counted = 0
    for _ in range(rounds):
        before = len(load.acknowledged)
        wait_for('an acknowledgement between kills', lambda: len(load.acknowledged) > before)
        load.checkpoint()
        threading.Event().wait(random.uniform(0.001, 0.05))  # the moment of the kill is what is random
        service.kill(*parts)
        counted += 1
        if 'supervisor' in parts:
            service.start()
    before = len(load.acknowledged)
    wait_for('an acknowledgement after the last kill', lambda: len(load.acknowledged) > before)
    return counted


def power_cuts(service, load, disk, rounds):
    for _ in range(rounds):
        before = len(load.acknowledged)
        wait_for('an acknowledgement between cuts', lambda: len(load.acknowledged) > before)
        load.checkpoint()
        threading.Event().wait(random.uniform(0.05, 0.3))
        pids = service.pids(*ALL)
        disk.cut_power()
        service.kill_pids(pids)
        disk.unmount()
        disk.mount()
        service.start()


def verify(service, load):
    """Yields what is wrong."""
    admin = Client(service, service.context_file)
    listed = audit.certificates(admin)
    recorded = dict(line.split() for line in (service.folder / 'acknowledged').read_text().splitlines())
    if set(recorded) != set(load.acknowledged):
        yield 'the record on disk is not what the clients saw'
    for serial, digest in recorded.items():
        status, answer, _ = admin.get(f'/v1/certificates/{serial}')
        if status != 200:
            yield f'{serial} was acknowledged and is lost ({status})'
        elif hashlib.sha256(answer['certificate'].encode()).hexdigest() != digest:
            yield f'{serial} reads back different'
        if serial not in listed:
            yield f'{serial} is not in the list'
    leaves = audit.leaves(admin)
    hashes = [audit.leaf_hash(leaf) for leaf in leaves]
    issued = audit.issued(leaves)
    if set(issued) != set(listed):
        yield f'the log names {len(issued)} certificates, the list {len(listed)}'
    for serial, item in listed.items():
        if issued.get(serial) != item['sha256']:
            yield f'{serial}: the log has another hash'
    load.checkpoint()
    roots = {}
    for _, size, root in load.checkpoints:
        if size > len(hashes):
            yield f'a checkpoint of size {size} was shown, the log has {len(hashes)}'
        elif roots.setdefault(size, audit.tree_root(hashes[:size])) != root:
            yield f'the log is not consistent with a checkpoint of size {size}'
    print(f'{len(recorded)} acknowledged, {len(listed)} listed, {len(leaves)} leaves, '
          f'{len(load.checkpoints)} checkpoints, refused meanwhile: {load.refused}')


def make_csr(folder):
    key = folder / 'load.key'
    return subprocess.run(['openssl', 'req', '-new', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes',
                           '-keyout', key, '-subj', '/'], capture_output=True, text=True, check=True).stdout


def endure(arguments, service, disk):
    """What was found wrong, after all rounds."""
    service.create_cluster('vagrant-external-etcd.yaml')
    load = Load(service, service.folder / 'acknowledged', make_csr(service.folder))
    try:
        if disk:
            power_cuts(service, load, disk, arguments.power_cuts)
            print(f'power cut: {arguments.power_cuts} times', flush=True)
        for parts in [] if disk else (['server'], ['signer'], ALL):
            print(f"kill -9 of {'+'.join(parts)}: {kill_rounds(service, load, parts, arguments.rounds)} times",
                  flush=True)
    finally:
        load.stop()
    return list(verify(service, load))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--rounds', type=int, default=100)
    parser.add_argument('--power-cuts', type=int, default=0)
    parser.add_argument('--expect-loss', action='store_true')
    arguments = parser.parse_args()
    if arguments.power_cuts and os.geteuid() != 0:
        print('SKIP: only root may mount a file system')
        sys.exit(77)
    with Service() as service:
        disk = Disk(service.folder) if arguments.power_cuts else None
        if disk:
            service.state = disk.folder / 'state'
            service.context_file = service.state / 'admin.context'
        service.init()
        if disk:
            os.sync()
        try:
            wrong = endure(arguments, service.start(), disk)
        except AssertionError as error:
            wrong = [str(error)]
        service.stop()
        if disk:
            disk.unmount()
    print('\n'.join(wrong[:20]))
    good = any('is lost' in line for line in wrong) if arguments.expect_loss else not wrong
    print(f'{int(good)} passed, {int(not good)} failed')
    sys.exit(0 if good else 1)


if __name__ == '__main__':
    main()
