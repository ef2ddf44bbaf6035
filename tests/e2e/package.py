#!/usr/bin/env python3
"""The Debian packages: made twice, the same both times; installed, upgraded, removed and purged in a root of its own,
and installed from an apt repository. The programs of an installed package serve and ask."""
import concurrent.futures
import filecmp
import hashlib
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from lib.repository import Repository
from lib.root import ENVIRONMENT, Root, own_namespaces
from lib.service import ROOT, run, wait_for

NAMES = ('ensign', 'ensignd')
STATE, SECRETS = '/var/lib/ensign', '/etc/ensign'
DROP_IN = '/etc/systemd/system/ensignd.service.d/local.conf'
ENABLED = '/etc/systemd/system/multi-user.target.wants/ensignd.service'
KEYRING = '/etc/apt/keyrings/ensign.gpg'
EXAMPLE = '/usr/share/doc/ensignd/examples/ensignd.yaml'
UNIT = '/lib/systemd/system/ensignd.service'
EXPOSURE_MAX = {'ensignd.service': 15, 'ensign-agent.service': 30, 'ensign-agent-once.service': 30}  # tenths
EXPOSURE = ['systemd-analyze', 'security', '--offline=true', '--no-pager']
APT = ['apt-get', '-q', '-o', 'Acquire::http::Proxy=DIRECT', '-o', 'APT::Sandbox::User=root']
AS_ENSIGN = ['setpriv', '--reuid', 'ensign', '--regid', 'ensign', '--clear-groups']
VERSION = re.search("version : '(.*)'", (ROOT / 'meson.build').read_text()).group(1)
PREVIOUS = '0.0.1'
RECORDER = '#!/bin/sh\necho "$@" >> /run/systemctl.log\n'


def build(folder, more):
    script = f'umask {more.pop("umask")}; exec {ROOT}/server/package/build {folder}'
    run('bash', '-c', script, env=os.environ | more)
    found = {path.name.split('_')[0]: path for path in folder.glob('*.deb')}
    assert sorted(found) == sorted(NAMES), found
    return found


def build_twice(folder):
    """In two folders, under circumstances that differ; the packages by name."""
    with concurrent.futures.ThreadPoolExecutor() as pool:
        first = pool.submit(build, folder / 'first', {'umask': '022', 'TZ': 'UTC', 'LC_ALL': 'C.UTF-8'})
        second = pool.submit(build, folder / 'another-time', {'umask': '077', 'TZ': 'Asia/Tokyo', 'LC_ALL': 'C'})
        first, second = first.result(), second.result()
    for name in NAMES:
        assert filecmp.cmp(first[name], second[name], shallow=False), f'{name} is another one when it is made again'
    return first


def previous(package, folder):
    """The package as if it were of a version before, with another unit file."""
    tree = folder / f'{package.name}.tree'
    run('dpkg-deb', '--raw-extract', package, tree)
    control = tree / 'DEBIAN/control'
    control.write_text(control.read_text().replace(f'\nVersion: {VERSION}\n', f'\nVersion: {PREVIOUS}\n'))
    unit = tree / UNIT.lstrip('/')
    if unit.exists():
        unit.write_text(unit.read_text() + '# previous\n')
    path = folder / package.name.replace(VERSION, PREVIOUS)
    run('dpkg-deb', '--root-owner-group', '--build', tree, path)
    assert not filecmp.cmp(package, path, shallow=False)
    return path


def clean(packages):
    """lintian has no error and no warning; a package without its copyright has."""
    check = ['lintian', '--allow-root', '--fail-on', 'error,warning']
    found = run(*check, *packages.values(), check=False)
    assert (found.returncode, found.stdout) == (0, ''), found
    with tempfile.TemporaryDirectory() as folder:
        tree, path = pathlib.Path(folder, 'tree'), pathlib.Path(folder, 'broken.deb')
        run('dpkg-deb', '--raw-extract', packages['ensign'], tree)
        (tree / 'usr/share/doc/ensign/copyright').unlink()
        run('dpkg-deb', '--build', tree, path)
        assert run(*check, path, check=False).returncode != 0, 'lintian takes what is broken'


def files(root, *folders):
    """path -> owner, mode, content of all that is there"""
    found = {}
    for folder in folders:
        for path in [root.path(folder), *root.path(folder).rglob('*')]:
            status = path.lstat()
            content = hashlib.sha256(path.read_bytes()).digest() if path.is_file() else None
            found[path] = (status.st_uid, status.st_gid, status.st_mode, content)
    return found


def fresh(root):
    """Neither of the two is there, and systemd seems to run: what it is told is written down."""
    root.run('dpkg', '--purge', '--force-all', *NAMES, check=False)
    for path in (STATE, SECRETS):
        shutil.rmtree(root.path(path), ignore_errors=True)
    assert root.run('sh', '-c', 'command -v ensign ensignd', check=False).stdout == ''
    root.path('/run/systemd/system').mkdir(parents=True)
    recorder = root.path('/usr/local/sbin/systemctl')
    recorder.write_text(RECORDER)
    recorder.chmod(0o755)
    root.path('/usr/sbin/policy-rc.d').unlink(missing_ok=True)  # of images in which nothing may start


def told(root):
    """What systemd was told since, but for questions."""
    log = root.path('/run/systemctl.log')
    lines = log.read_text().splitlines() if log.exists() else []
    log.write_text('')
    words = [[word for word in line.split() if not word.startswith('-')] for line in lines]
    return {(line[0], unit) for line in words for unit in line[1:] or ['']
            if line[0] not in ('is-enabled', 'is-active', 'show')}


def dpkg(root, *arguments):
    """Packages are outside of the root, and lie in its /tmp for the time being."""
    words = []
    for word in arguments:
        if isinstance(word, pathlib.Path):
            shutil.copy(word, root.path('/tmp'))
            word = f'/tmp/{word.name}'
        words.append(word)
    return root.run('dpkg', *words).stdout


def check_installed(root):
    for name in NAMES:
        assert root.run(name, '--version').stdout.strip() == f'{name} {VERSION}', name
    for page in ('1 ensign', '8 ensignd'):
        found = root.run('man', '--where', *page.split()).stdout
        assert found.startswith('/usr/share/man/man'), found
    zsh = root.run('zsh', '-fc', 'autoload -U compinit; compinit -u -D; print $_comps[ensign]').stdout
    assert zsh == '_ensign\n', zsh
    bash = root.run('bash', '-c', '. /usr/share/bash-completion/bash_completion; _completion_loader ensign; '
                    'complete -p ensign').stdout
    assert bash.rstrip().endswith(' ensign'), bash
    for path in ('/usr/share/ensign/ensign.rules.yaml', '/usr/share/doc/ensign/examples/vagrant-external-etcd.yaml',
                 '/usr/share/doc/ensignd/copyright'):
        assert root.path(path).is_file(), path
    assert root.run('id', '--user', '--name', 'ensign').stdout == 'ensign\n'
    for path in (STATE, SECRETS):
        status = root.path(path).stat()
        assert (status.st_mode & 0o777, root.run('stat', '-c', '%U', path).stdout) == (0o700, 'ensign\n'), path


def check_units(root):
    """As they are installed: systemd understands each, finds its program and its manual page, and what it forbids."""
    units = re.findall(r'^\S+/systemd/system/(\S+\.(?:service|timer))$', root.run('dpkg', '-L', *NAMES).stdout, re.M)
    services = [unit for unit in units if unit.endswith('.service')]
    assert 'ensignd.service' in services and set(services) <= set(EXPOSURE_MAX), units
    for unit in units:
        said = root.run('systemd-analyze', 'verify', unit)
        assert said.stdout + said.stderr == '', said
    for unit in services:
        root.run(*EXPOSURE, f'--threshold={EXPOSURE_MAX[unit]}', unit)
        assert root.run(*EXPOSURE, '--threshold=1', unit, check=False).returncode != 0


def init(root):
    """A service made as README.md says, and then set up by its administrator."""
    root.run(*AS_ENSIGN, 'ensignd', 'init', '--state', STATE, '--name', 'localhost', '--listen', '127.0.0.1:8443',
             '--seal-key-file', f'{SECRETS}/seal.key')
    config = root.path(f'{STATE}/ensignd.yaml')
    config.write_text(config.read_text() + '# mine\n')
    drop_in = root.path(DROP_IN)
    drop_in.parent.mkdir(parents=True)
    drop_in.write_text('[Service]\nNice=1\n')
    enabled = root.path(ENABLED)
    enabled.parent.mkdir(parents=True, exist_ok=True)
    enabled.symlink_to(UNIT)


def serve(root, config):
    """The installed ensignd with that configuration answers the installed ensign, as root at the Unix socket."""
    program = subprocess.Popen(['chroot', root.root, *AS_ENSIGN, 'ensignd', '--config', config], env=ENVIRONMENT,
                               stderr=subprocess.PIPE, text=True)
    server = f'unix://{STATE}/run/ensignd.sock'
    try:
        def answered():
            assert program.poll() is None, program.stderr.read()
            return root.run('ensign', '--server', server, 'whoami', check=False).stdout
        assert 'admin' in wait_for('whoami', answered)
    finally:
        program.terminate()
        assert program.wait() == 0


def check_life(packages, folder):
    """Installed, upgraded, removed, purged: what an administrator has made is kept all the time."""
    older = {name: previous(package, folder) for name, package in packages.items()}
    with Root() as root:
        fresh(root)
        dpkg(root, '--install', *older.values())
        assert told(root) == {('daemon-reload', '')}
        assert '# previous' in root.path(UNIT).read_text()
        assert not root.path(ENABLED).is_symlink()
        init(root)
        kept = files(root, STATE, SECRETS, DROP_IN)
        assert len(kept) > 8, kept

        dpkg(root, '--install', *packages.values())
        restarted = {unit for what, unit in told(root) if what == 'try-restart'}
        assert 'ensignd.service' in restarted, restarted
        assert '# previous' not in root.path(UNIT).read_text()
        assert files(root, STATE, SECRETS, DROP_IN) == kept
        assert root.path(ENABLED).is_symlink()
        check_installed(root)
        check_units(root)
        serve(root, f'{STATE}/ensignd.yaml')
        serve(root, EXAMPLE)

        kept = files(root, STATE, SECRETS, DROP_IN)
        dpkg(root, '--remove', *NAMES)
        assert ('stop', 'ensignd.service') in told(root)
        assert not root.path('/usr/sbin/ensignd').exists()
        assert files(root, STATE, SECRETS, DROP_IN) == kept
        said = dpkg(root, '--purge', *NAMES)
        assert f'{STATE} is kept' in said and f'{SECRETS} is kept' in said, said
        assert files(root, STATE, SECRETS, DROP_IN) == kept


def check_repository(packages, folder):
    folder.mkdir()
    with Root() as root, Repository(folder, packages.values()) as repository:
        fresh(root)
        shutil.rmtree(root.path('/etc/apt/sources.list.d'), ignore_errors=True)
        root.path('/etc/apt/sources.list').write_text(repository.source(KEYRING))
        assert root.run(*APT, 'update', '--error-on=any', check=False).returncode != 0, 'apt takes what nobody signed'
        root.path(KEYRING).parent.mkdir(exist_ok=True)
        shutil.copy(repository.keyring, root.path(KEYRING))
        root.run(*APT, 'update', '--error-on=any')

        served = repository.files / packages['ensignd'].name
        whole = served.read_bytes()
        served.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
        refused = root.run(*APT, 'install', '-y', *NAMES, check=False)
        assert refused.returncode != 0 and 'Hash Sum mismatch' in refused.stdout + refused.stderr, refused
        served.write_bytes(whole)
        root.run(*APT, 'install', '-y', '--no-install-recommends', *NAMES)
        check_installed(root)
        root.run(*APT, 'purge', '-y', *NAMES)
        for path in (STATE, SECRETS):
            assert not root.path(path).exists(), f'{path} was empty'


def main():
    own_namespaces('dh', 'lintian', 'apt-ftparchive', 'gpg', 'zsh', 'man')
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        packages = build_twice(folder)
        clean(packages)
        check_life(packages, folder)
        check_repository(packages, folder / 'repository')
        sizes = ', '.join(f'{path.name} {path.stat().st_size >> 10} KiB' for path in packages.values())
        print(f'packages, the same twice: {sizes}')


main()
