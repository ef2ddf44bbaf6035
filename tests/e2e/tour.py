#!/usr/bin/env python3
"""Runs the commands of README.md's tour, in its order, in one shell. A line that ends in "# refused" must fail."""
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from lib.service import BUILD, ENSIGND, ROOT, free_port

COMMANDS_MIN = 20


def commands():
    text = (ROOT / 'README.md').read_text()
    tour = text[text.index('## Five minutes by hand'):]
    tour = tour[:tour.index('\n## ')]
    return re.findall(r'^\$ (.*)$', tour, re.M)


def main():
    found = commands()
    lines = ['set -e', f'cd "{ROOT}"']
    for command in found:
        if command.startswith('export PATH='):
            command = command.replace('$PWD/build/server', str(pathlib.Path(ENSIGND).parent))
            command = command.replace('$PWD/build', str(BUILD))
        if command.startswith('mkdir'):
            command = 'cd "$TOUR"'
        refused = command.endswith('# refused')
        lines.append(f'! {command.removesuffix("# refused")}' if refused else command)
    script = '\n'.join(lines).replace('8443', str(free_port()))
    with tempfile.TemporaryDirectory(prefix='ensign-tour-') as tour:
        environment = dict(os.environ, TOUR=tour, XDG_STATE_HOME=tour)
        result = subprocess.run(['bash', '-v'], input=script, env=environment, capture_output=True, text=True)
        left_running = pathlib.Path(tour, 'state/run/supervisor.pid')
        if result.returncode != 0 and left_running.exists():
            os.kill(int(left_running.read_text()), signal.SIGTERM)
    print(result.stdout + result.stderr)
    for wanted in ('readyz check passed', 'etcd-member: unchanged', 'tls.crt: OK', '"code":"policy_denied"', 'CONSISTENT'):
        assert wanted in result.stdout + result.stderr, f'the tour did not print "{wanted}"'
    sys.exit(0 if result.returncode == 0 and len(found) >= COMMANDS_MIN else 1)


main()
