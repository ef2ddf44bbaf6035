"""A real ensignd for tests: made with `ensignd init` in a temporary folder, started, stopped, killed, asked.

Everything is found by its own files: ports are the kernel's choice, processes are those that ensignd names in state/run.
"""
import http.client
import json
import os
import pathlib
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import time

from lib.openapi import description

BUILD = pathlib.Path(os.environ['ENSIGN_BUILD'])
ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
ENSIGND = os.environ.get('ENSIGND', str(BUILD / 'server/ensignd'))
ENSIGN = str(BUILD / 'client/ensign')
DEADLINE_SECONDS = 60


def wait_for(what, condition, seconds=DEADLINE_SECONDS):
    """Polls until the condition yields something true; what it yields is returned."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        result = condition()
        if result:
            return result
        time.sleep(0.01)
    raise AssertionError(f'waited {seconds} s for {what}')


def free_port(address='127.0.0.1', wanted=0):
    """A port that is free now. wanted: this one, or OSError"""
    with socket.socket() as probe:
        probe.bind((address, wanted))
        return probe.getsockname()[1]


def run(*command, check=True, **more):
    result = subprocess.run([str(word) for word in command], capture_output=True, text=True, **more)
    if check and result.returncode != 0:
        raise AssertionError(f'{command} exited {result.returncode}\n{result.stdout}{result.stderr}')
    return result


def is_running(pid):
    try:
        return pathlib.Path(f'/proc/{pid}/stat').read_text().rsplit(')', 1)[1].split()[0] != 'Z'
    except OSError:
        return False


class Service:
    """One ensignd. folder: where to make it (state, seal key); a temporary one when not given."""

    maker = program = ENSIGND  # what makes it, and what runs it

    def __init__(self, folder=None, keep=False):
        self.own_folder = folder is None
        self.folder = pathlib.Path(folder or tempfile.mkdtemp(prefix='ensign-test-'))
        self.state = self.folder / 'state'
        self.context_file = self.state / 'admin.context'
        self.process = None
        self.keep = keep

    def init(self, *more):
        self.port = free_port()
        run(self.maker, 'init', '--state', self.state, '--name', 'localhost', '--name', '127.0.0.1', '--listen',
            f'127.0.0.1:{self.port}', '--seal-key-file', self.folder / 'seal.key', *more)
        return self

    def configure(self, line):
        """One more line of ensignd.yaml, before it is started."""
        with open(self.state / 'ensignd.yaml', 'a') as config:
            config.write(line + '\n')
        return self

    def init_with_passphrase(self, text='correct horse battery staple'):
        self.port = free_port()
        self.folder.chmod(0o700)
        passphrase = self.folder / 'passphrase'
        passphrase.touch(mode=0o600)
        passphrase.write_text(text + '\n')
        run(self.maker, 'init', '--state', self.state, '--name', 'localhost', '--name', '127.0.0.1', '--listen',
            f'127.0.0.1:{self.port}', '--passphrase-file', passphrase)
        return self

    def start(self, probe='/readyz'):
        """probe: what answers 200 when it has started: /livez where it cannot be ready"""
        self.log = open(self.folder / 'ensignd.log', 'ab')
        self.process = subprocess.Popen([self.program, '--config', self.state / 'ensignd.yaml'], stderr=self.log,
                                        stdout=self.log)
        self.wait_ready(probe)
        return self

    def wait_ready(self, probe='/readyz'):
        def ready():
            if self.process.poll() is not None:
                raise AssertionError(f'ensignd ended with {self.process.returncode}:\n{self.log_tail()}')
            try:
                return Client(self).get(probe)[0] == 200
            except (OSError, http.client.HTTPException):
                return False
        wait_for('ensignd to be ready', ready)

    def log_tail(self, lines=15):
        return '\n'.join((self.folder / 'ensignd.log').read_text(errors='replace').splitlines()[-lines:])

    def pid(self, part):
        """part: supervisor, signer, server"""
        return int((self.state / 'run' / f'{part}.pid').read_text())

    def pids(self, *parts):
        found = []
        for part in parts:
            try:
                found.append(self.pid(part))
            except (FileNotFoundError, ValueError):
                pass  # it is being started
        return found

    def kill(self, *parts):
        """SIGKILL, and waits until they are gone."""
        self.kill_pids(self.pids(*parts))

    def kill_pids(self, pids):
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        if self.process.pid in pids:
            self.process.wait()
        wait_for('killed processes to be gone', lambda: not any(is_running(pid) for pid in pids))

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(timeout=DEADLINE_SECONDS)
        return self.process.returncode if self.process else None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()
        if self.own_folder and not self.keep:
            shutil.rmtree(self.folder)

    def ensign(self, *arguments, check=True, **more):
        environment = dict(os.environ, ENSIGN_CONTEXT=str(self.context_file), XDG_STATE_HOME=str(self.folder))
        return run(ENSIGN, *arguments, check=check, env=environment, **more)

    def create_cluster(self, example, replace=()):
        """The example file with texts replaced; returns the path of the file that was used."""
        text = (ROOT / 'policies/examples' / example).read_text()
        for old, new in replace:
            text = text.replace(old, new)
        path = self.folder / example
        path.write_text(text)
        self.ensign('cluster', 'create', '-f', path)
        return path

    def token(self, cluster, node):
        return self.ensign('token', 'create', '--cluster', cluster, '--node', node).stdout.strip()


class Client:
    """HTTPS with keep-alive; as an identity when a context file is given, else as nobody. Each answer must be as
    server/openapi.yaml describes it."""

    timeout_seconds = 30

    def __init__(self, service, context_file=None, token=None):
        self.port, self.token = service.port, token
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self.tls.check_hostname = False
        self.tls.verify_mode = ssl.CERT_NONE  # the pin is the client's own test; here the port is ours
        if context_file:
            self._identity(json.loads(pathlib.Path(context_file).read_text()))
        self.connection = None
        self.raw = b''  # the body of the last answer, as it came

    def _identity(self, context):
        with tempfile.NamedTemporaryFile('w', suffix='.pem') as pem:
            pem.write(context['certificate'] + context['key'])
            pem.flush()
            self.tls.load_cert_chain(pem.name)

    def request(self, method, path, body=None, headers=None):
        headers = dict(headers or {})
        if self.token:
            headers['Authorization'] = 'Bearer ' + self.token
        if body is not None and not isinstance(body, (bytes, str)):
            headers.setdefault('Content-Type', 'application/json')
            body = json.dumps(body)
        if not self.connection:
            self.connection = http.client.HTTPSConnection('127.0.0.1', self.port, context=self.tls,
                                                          timeout=self.timeout_seconds)
        try:
            self.connection.request(method, path, body, headers)
            answer = self.connection.getresponse()
            self.raw = data = answer.read()
        except (OSError, http.client.HTTPException):
            self.connection.close()
            self.connection = None
            raise
        description(BUILD).check(method, path, answer.status, answer.headers, data)
        if 'json' in (answer.getheader('Content-Type') or ''):
            data = json.loads(data)
        return answer.status, data, answer.headers

    def get(self, path):
        return self.request('GET', path)

    def post(self, path, body):
        return self.request('POST', path, body)
