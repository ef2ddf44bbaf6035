"""The cluster that `demo --keep` leaves running, and a shell in which a person works with it."""
import contextlib
import os
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile

from lib.service import BUILD, ENSIGND, ROOT, wait_for


class Shell:
    """One shell for all commands, as a person has it; what it prints goes on to our output."""

    def __init__(self, environment):
        self.process = subprocess.Popen(['bash'], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT, text=True)

    def run(self, command):
        """(exit code, output)"""
        self.process.stdin.write(f'{command}\necho "== $?"\n')
        self.process.stdin.flush()
        lines = []
        for line in self.process.stdout:
            done = re.fullmatch(r'(?s)(.*)== (\d+)\n', line)
            lines.append(done[1] if done else line)
            if done:
                print(f'$ {command}\n{"".join(lines)}', end='', flush=True)
                return int(done[2]), ''.join(lines)
        raise AssertionError(f'the shell ended in {command}')


def gone(pid):
    try:
        return pathlib.Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()[0] == 'Z'
    except FileNotFoundError:
        return True


def stop(folder):
    for path in (folder / 'pids').iterdir():
        try:
            os.kill(int(path.read_text()), signal.SIGTERM)
        except ProcessLookupError:
            pass
    wait_for('all to end', lambda: all(gone(path.read_text().strip()) for path in (folder / 'pids').iterdir()))
    shutil.rmtree(folder)


@contextlib.contextmanager
def running():
    """A Shell with the demo's environment; what its folder's pids name is ended behind it."""
    with tempfile.TemporaryFile('w+') as output:  # a pipe would stay open as long as what is left running
        demo = subprocess.run([ROOT / 'tests/e2e/demo', '--keep'], stdout=output, stderr=output,
                              env=dict(os.environ, ENSIGN_BUILD=str(BUILD), ENSIGND=str(ENSIGND)))
        output.seek(0)
        printed = output.read()
    left = re.search(r'^Work with it: +\. (\S+)/environment$', printed, re.M)
    assert demo.returncode == 0 and left, printed
    folder = pathlib.Path(left[1])
    try:
        shell = Shell(dict(os.environ))
        assert shell.run(f'. {folder}/environment')[0] == 0
        yield shell
    finally:
        stop(folder)
