"""A client of a cluster that writes all the time, from one of the lab's hosts: each write is a new object over a new
connection, begun when it is due, however long earlier ones take. What was acknowledged must be there in the end."""
import base64
import concurrent.futures
import ctypes
import http.client
import json
import os
import re
import ssl
import threading
import time

PER_SECOND, TIMEOUT_SECONDS, AT_ONCE = 10, 10, 120
CLONE_NEWNET = 0x40000000
NAMESPACE = 'writer'


def kubeconfig_files(text, folder):
    """(CA, certificate and key) as files, of a kubeconfig that embeds them"""
    parts = {name: base64.b64decode(re.search(f'{name}: (\\S+)', text)[1]) for name in
             ('certificate-authority-data', 'client-certificate-data', 'client-key-data')}
    for name, content in parts.items():
        descriptor = os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with open(descriptor, 'wb') as file:
            file.write(content)
    return [folder / name for name in parts]


class Writer(threading.Thread):
    """host: whose network it uses; address: (host, port) of the API"""

    def __init__(self, host, address, kubeconfig, folder):
        super().__init__(daemon=True)
        self.network, self.address, self.over = f'/proc/{host.leader}/ns/net', address, threading.Event()
        authority, *pair = kubeconfig_files(kubeconfig, folder)
        self.context = ssl.create_default_context(cafile=authority)
        self.context.check_hostname = False  # it goes to an address, and the certificate may have but a name for it
        self.context.load_cert_chain(*pair)
        self.acknowledged, self.failed, self.number = [], [], 0
        self.path = f'/api/v1/namespaces/{NAMESPACE}/configmaps'

    def enter_network(self):
        libc = ctypes.CDLL(None, use_errno=True)
        with open(self.network, 'rb') as network:
            if libc.setns(network.fileno(), CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), 'setns')

    def ask(self, method, path, body=None):
        connection = http.client.HTTPSConnection(*self.address, context=self.context, timeout=TIMEOUT_SECONDS)
        try:
            connection.request(method, path, json.dumps(body) if body else None, {'Content-Type': 'application/json'})
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()

    def write(self, number):
        began = time.monotonic()
        try:
            status, answer = self.ask('POST', self.path, {'metadata': {'name': f'w{number}'}})
            if status == 201:
                self.acknowledged.append((number, time.monotonic()))
                return
            why = f'status {status}: {answer.get("message")}'
        except (OSError, http.client.HTTPException, ValueError) as error:
            why = repr(error)
        self.failed.append((time.monotonic(), f'{why} after {time.monotonic() - began:.1f} s'))

    def run(self):
        with concurrent.futures.ThreadPoolExecutor(AT_ONCE, initializer=self.enter_network) as pool:
            self.began = due = time.monotonic()
            while not self.over.wait(max(0, due - time.monotonic())):
                pool.submit(self.write, self.number)
                self.number += 1
                due += 1 / PER_SECOND

    def stop(self):
        self.over.set()
        self.join()
        self.seconds = time.monotonic() - self.began

    def in_network(self, what, *arguments):
        with concurrent.futures.ThreadPoolExecutor(1, initializer=self.enter_network) as pool:
            return pool.submit(what, *arguments).result()

    def there(self):
        """The numbers of all objects that are there"""
        status, answer = self.in_network(self.ask, 'GET', self.path)
        assert status == 200, answer
        names = [item['metadata']['name'] for item in answer['items']]
        return {int(name[1:]) for name in names if re.match(r'w\d', name)}

    def longest_gap(self, since=0):
        """Seconds in which nothing was acknowledged"""
        times = sorted(at for _, at in self.acknowledged if at >= since)
        return max((later - earlier for earlier, later in zip(times, times[1:])), default=float('inf'))
