"""What the shells complete: in real ones, with the scripts that `ensign completion` prints, and a real service."""
import os
import pty
import re
import select
import shlex
import subprocess
import time
import unittest

from lib.service import BUILD, ENSIGN, run
from lib.world import Case

FORMATS = ['json', 'name', 'table', 'wide', 'yaml']
SERVICE = ['--context', '--help', '--output', '--server', '--timeout', '--token-file']
FIRST = ['agent', 'audit', 'ca', 'certificate', 'clock', 'cluster', 'completion', 'enroll', 'etcd', 'help', 'identity', 'recovery',
         'restore', 'rotate', 'shared-key', 'token', 'user', 'version', 'whoami']

# line, candidates
LINES = [
    ('ensign ', FIRST),
    ('ensign c', ['ca', 'certificate', 'clock', 'cluster', 'completion']),
    ('ensign cluster ', ['adopt', 'apply', 'certificates', 'check', 'create', 'kubeconfig', 'list', 'plan', 'release', 'remove', 'reset', 'show', 'status',
                         'update', 'upgrade']),
    ('ensign cluster l', ['list']),
    ('ensign cluster list ', []),
    ('ensign cluster list --', SERVICE),
    ('ensign cluster list --o', ['--output']),
    ('ensign cluster list -o ', FORMATS),
    ('ensign cluster list --output ', FORMATS),
    ('ensign cluster list --output=', FORMATS),
    ('ensign cluster list --output=j', ['json']),
    ('ensign cluster list -o json --t', ['--timeout', '--token-file']),
    ('ensign --context x cluster ', ['adopt', 'apply', 'certificates', 'check', 'create', 'kubeconfig', 'list', 'plan', 'release', 'remove', 'reset', 'show', 'status',
                         'update', 'upgrade']),
    ('ensign --server https://ca:8443 -o json token r', ['revoke']),
    ('ensign -', SERVICE),
    ('ensign certificate list --state ', ['expired', 'revoked', 'valid']),
    ('ensign certificate list --state v', ['valid']),
    ('ensign cluster certificates --state ', ['differs', 'expired', 'expiring', 'extra', 'missing', 'ok',
                                                'retired']),
    ('ensign certificate list --node ', []),
    ('ensign identity create alice --role ', ['admin', 'auditor', 'operator']),
    ('ensign enroll --profile etcd-', ['etcd-healthcheck-client', 'etcd-member', 'etcd-peer', 'etcd-server']),
    ('ensign ca bundle --authority ', ['etcd-ca', 'front-proxy-ca', 'kubernetes', 'service-ca']),
    ('ensign certificate request --key-algorithm rsa', ['rsa-2048', 'rsa-3072', 'rsa-4096']),
    ('ensign user create jane --g', ['--group']),
    ('ensign user create jane --group ', []),
    ('ensign completion ', ['bash', 'zsh']),
    ('ensign completion bash ', []),
    ('ensign help ', FIRST),
    ('ensign help token ', ['create', 'list', 'revoke']),
    ('ensign help token create ', []),
    ('ensign e', ['enroll', 'etcd']),
    ('ensign etcd ', ['snapshot']),
    ('ensign etcd snapshot ', ['restore', 'save']),
    ('ensign etcd snapshot s', ['save']),
    ('ensign etcd snapshot save a-', ['a-file']),
    ('ensign etcd snapshot save --f', ['--file', '--force']),
    ('ensign etcd snapshot restore a.db --y', ['--yes']),
    ('ensign help etcd ', ['snapshot']),
    ('ensign help etcd snapshot ', ['restore', 'save']),
    ('ensign frobnicate ', []),
    ('ensign frobnicate --', []),
    ('ensign whoami ', []),
    ('ensign whoami x --t', ['--timeout', '--token-file']),
]


class Completion(Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.folder = cls.world.service.folder / 'completion'
        cls.folder.mkdir()
        (cls.folder / 'a-file').touch()
        for shell, name in (('bash', 'ensign.bash'), ('zsh', '_ensign')):
            (cls.folder / name).write_text(run(ENSIGN, 'completion', shell).stdout)
        cls.environment = {'HOME': str(cls.folder), 'TERM': 'dumb', 'LC_ALL': 'C.UTF-8',
                           'PATH': f'{BUILD}/client:{os.environ["PATH"]}'}

    def bash(self, line, **environment):
        """The candidates of bash, which calls the function as it does at a press of Tab."""
        words = re.findall(r'[^ =:]+|[=:]', line) + ([''] if line.endswith(' ') else [])
        script = f'''source ensign.bash
            COMP_LINE={shlex.quote(line)} COMP_POINT={len(line)} COMP_CWORD={len(words) - 1}
            COMP_WORDS=({' '.join(map(shlex.quote, words))})
            _ensign ensign "" "" && [ ${{#COMPREPLY[@]}} = 0 ] || printf '%s\\n' "${{COMPREPLY[@]}}"'''
        done = subprocess.run(['bash', '--norc', '-c', script], cwd=self.folder, capture_output=True, text=True,
                              env=self.environment | environment)
        self.assertEqual(done.stderr, '')
        return sorted(done.stdout.split())

    def zsh(self, line, **environment):
        """The candidates of zsh: the completion system is replaced by what it is given."""
        words = line.split() + ([''] if line.endswith(' ') else [])
        script = f'''
            _describe() {{ local all=(${{(P)@[-1]}}); print -l -- ${{all%%:*}} }}
            _files() {{ print -l -- *(N) }}
            compadd() {{ local all=(${{(P)2}}); print -l -- $all }}
            compset() {{ PREFIX=${{PREFIX#*=}} }}
            compdef() {{ : }}
            source ./_ensign
            words=({' '.join(map(shlex.quote, words))}) CURRENT=$#words PREFIX=$words[-1]
            _ensign | while read -r word; do [[ $word == $PREFIX* || $PREFIX == *=* ]] && print -r -- $word; done; true'''
        done = subprocess.run(['zsh', '-f', '-c', script], cwd=self.folder, capture_output=True, text=True,
                              env=self.environment | environment)
        self.assertEqual(done.stderr, '')
        typed = words[-1].split('=', 1)[-1]
        return sorted(word for word in done.stdout.split() if word.startswith(typed))

    def test_tables(self):
        for line, expected in LINES:
            with self.subTest(line, shell='bash'):
                self.assertEqual(self.bash(line), expected)
            with self.subTest(line, shell='zsh'):
                self.assertEqual(self.zsh(line), expected)

    def test_every_command_and_option(self):
        """What help lists is what the shells offer."""
        commands = re.findall(r'^  ensign ([a-z]+(?: [a-z-]+){0,2}) ', run(ENSIGN, 'help').stdout, re.M)
        self.assertGreater(len(commands), 15)
        for name in commands:
            options = re.findall(r'^  (?:-\w,|   ) (--[a-z-]+)', run(ENSIGN, 'help', *name.split()).stdout.split('Options:')[1], re.M)
            self.assertIn('--help', options)
            for shell in (self.bash, self.zsh):
                with self.subTest(name, shell=shell.__name__):
                    self.assertEqual(shell(f'ensign {name} --'), sorted(options))
                    before, _, word = name.rpartition(' ')
                    self.assertIn(word, shell(f'ensign {before} ' if before else 'ensign '))

    def test_files(self):
        for shell in (self.bash, self.zsh):
            self.assertEqual(shell('ensign cluster create -f a-'), ['a-file'])
            self.assertEqual(shell('ensign cluster create --file=a-'), ['a-file'])

    def test_clusters(self):
        context = str(self.world.service.context_file)
        for shell in (self.bash, self.zsh):
            for line in ('ensign cluster show ', 'ensign cluster show va', 'ensign token list --cluster ',
                         'ensign token list --cluster=va'):
                with self.subTest(line, shell=shell.__name__):
                    self.assertEqual(shell(line, ENSIGN_CONTEXT=context), ['vagrant'])
                    self.assertEqual(shell(line), [])  # no service is known, and nothing is said
            self.assertEqual(shell(f'ensign --context {context} cluster show '), ['vagrant'])
            self.assertEqual(shell(f'ensign --context={context} cluster show '), ['vagrant'])
            self.assertEqual(shell('ensign cluster show vagrant ', ENSIGN_CONTEXT=context), [])

    def test_a_service_that_is_away_takes_little_time(self):
        began = time.monotonic()
        self.assertEqual(self.bash('ensign cluster show ', ENSIGN_SERVER='https://127.0.0.1:1',
                                   ENSIGN_CONTEXT=str(self.world.service.context_file)), [])
        self.assertLess(time.monotonic() - began, 10)

    def typed(self, command, start, keys, expected):
        """What a shell in a terminal shows after these keys, until it shows what is expected."""
        pid, terminal = pty.fork()
        if pid == 0:
            os.chdir(self.folder)
            os.execvpe(command[0], command, self.environment)
        try:
            shown = b''
            os.write(terminal, start)
            for wait, then in ((b'READY', keys), (expected, b'')):
                end = time.monotonic() + 20
                while wait not in shown:
                    self.assertTrue(select.select([terminal], [], [], max(0, end - time.monotonic()))[0],
                                    f'{command[0]} does not show {wait}: {shown}')
                    shown += os.read(terminal, 4096)
                os.write(terminal, then)
        finally:
            os.close(terminal)  # hangs up
            os.waitpid(pid, 0)

    def test_at_the_keyboard(self):
        bash = b'source ensign.bash; echo REA""DY\n'
        zsh = b'fpath=($PWD $fpath); autoload -Uz compinit; compinit -u -D; echo REA""DY\n'
        self.typed(['bash', '--norc', '-i'], bash, b'ensign certificate req\t', b'request')
        self.typed(['zsh', '-f', '-i'], zsh, b'ensign certificate req\t', b'request')
        self.typed(['zsh', '-f', '-i'], zsh, b'ensign whoami -o \t\t', b'table')

    def test_syntax(self):
        for shell, name in (('bash', 'ensign.bash'), ('zsh', '_ensign')):
            run(shell, '-n', self.folder / name)
        refused = run(ENSIGN, 'completion', 'fish', check=False)
        self.assertEqual((refused.returncode, refused.stdout), (2, ''))


if __name__ == '__main__':
    unittest.main(warnings='ignore')
