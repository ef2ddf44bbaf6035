"""A root of its own: this machine's file system as it is, with all that is written kept in memory and then forgotten.
For what installs, removes and configures packages."""
import os
import pathlib
import shutil
import sys
import tempfile

from lib.service import run

# What the environment says about this machine's user, proxies and build is not for programs in there.
ENVIRONMENT = {'PATH': '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', 'HOME': '/root',
               'LC_ALL': 'C.UTF-8', 'DEBIAN_FRONTEND': 'noninteractive'}
NAMESPACES = ['--mount', '--net', '--pid', '--fork', '--kill-child', '--mount-proc']


def own_namespaces(*programs):
    """Goes on, started once more, with mounts, processes and a network of its own: loopback, and no way out. What still
    runs when it ends is killed. Skips the test, and says so, where that cannot be or one of the programs is missing; in
    CI that is a failure."""
    if 'ENSIGN_OWN_NAMESPACES' in os.environ:
        run('ip', 'link', 'set', 'lo', 'up')
        return
    missing = [program for program in programs if not shutil.which(program)]
    if os.geteuid() != 0 or run('unshare', *NAMESPACES, 'true', check=False).returncode != 0:
        missing.append('root that may mount')
    if missing:
        print(f'skipped: no {", no ".join(missing)}')
        sys.exit(1 if os.environ.get('CI') else 77)
    os.execvpe('unshare', ['unshare', *NAMESPACES, sys.executable, *sys.argv],
               dict(os.environ, ENSIGN_OWN_NAMESPACES='yes'))


class Root:
    """After own_namespaces() only, which take the mounts away with them."""

    def __init__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix='ensign-root-'))
        run('mount', '-t', 'tmpfs', 'root', self.folder)
        for name in ('upper', 'work', 'root'):
            (self.folder / name).mkdir()
        self.root = self.folder / 'root'
        run('mount', '-t', 'overlay', '-o', f'lowerdir=/,upperdir={self.folder}/upper,workdir={self.folder}/work',
            'root', self.root)
        run('mount', '-t', 'proc', 'proc', self.path('/proc'))
        run('mount', '--rbind', '/dev', self.path('/dev'))
        for path in ('/run', '/tmp'):
            run('mount', '-t', 'tmpfs', 'root', self.path(path))
        shutil.rmtree(self.path('/etc/dpkg/dpkg.cfg.d'), ignore_errors=True)  # small images leave manual pages out

    def __enter__(self):
        return self

    def __exit__(self, *_):
        run('umount', '--recursive', '--lazy', self.folder)
        self.folder.rmdir()

    def path(self, absolute):
        return self.root / absolute.lstrip('/')

    def run(self, *command, **more):
        return run('chroot', self.root, *command, env=ENVIRONMENT, **more)
