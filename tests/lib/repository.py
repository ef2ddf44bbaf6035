"""An apt repository of some .deb files, signed by a key that is thrown away: its files (Archive), and they at a port of
127.0.0.1 (Repository)."""
import functools
import http.server
import shutil
import threading

from lib.service import run


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


class Archive:
    """folder: an empty one. A flat repository: its source is one line without a suite, its index one file."""

    def __init__(self, folder, packages):
        self.files, self.keys = folder / 'files', folder / 'keys'
        self.keyring = folder / 'keyring.gpg'
        self.keys.mkdir(mode=0o700)
        self.files.mkdir()
        for package in packages:
            shutil.copy(package, self.files)
        self._gpg('--quick-generate-key', 'A repository for a test', 'ed25519', 'sign', '1d')
        self._gpg('--output', self.keyring, '--export')
        self.index()

    def _gpg(self, *arguments):
        return run('gpg', '--homedir', self.keys, '--batch', '--yes', '--quiet', '--pinentry-mode', 'loopback',
                   '--passphrase', '', *arguments)

    def armoured(self):
        """The key, as text."""
        return self._gpg('--armor', '--export').stdout

    def index(self):
        """Packages, Release and its signature, of the files as they are now."""
        (self.files / 'Packages').write_text(run('apt-ftparchive', 'packages', '.', cwd=self.files).stdout)
        release = run('apt-ftparchive', '-o', 'APT::FTPArchive::Release::Origin=Ensign', 'release', '.', cwd=self.files)
        (self.files / 'Release').write_text(release.stdout)
        self._gpg('--clearsign', '--output', self.files / 'InRelease', self.files / 'Release')


class Repository(Archive):
    """From its beginning to its end it is served."""

    def __init__(self, folder, packages):
        super().__init__(folder, packages)
        handler = functools.partial(Quiet, directory=self.files)
        self.server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), handler)

    def source(self, keyring):
        """The line of sources.list. keyring: where the system has ours"""
        return f'deb [signed-by={keyring}] http://127.0.0.1:{self.server.server_port} ./\n'

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()
        run('gpgconf', '--homedir', self.keys, '--kill', 'all', check=False)
