#!/usr/bin/env python3
"""recorded.py COMMAND…: runs a test with an ensignd that writes down what it answers, to whatever client; then holds each
answer against server/openapi.yaml. Fails when the test fails, when an answer is not as described, and when there is none.
"""
import base64
import http.client
import json
import os
import pathlib
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from lib.openapi import WrongAnswer, description

BUILD = pathlib.Path(os.environ['ENSIGN_BUILD'])
ENSIGND = BUILD / 'tests/recorder/ensignd'
SHOWN = 20


def parsed(line):
    """None for a line that a kill has cut: it does not end as it should."""
    return json.loads(line) if line.endswith(b'}\n') else None


def answers(path):
    """(method, path, status, headers, body) of each."""
    with open(path, 'rb') as lines:
        for line in lines:
            answer = parsed(line)
            if answer is not None:
                headers = http.client.HTTPMessage()
                for name, value in answer['headers'].items():
                    headers[name] = value
                yield answer['method'], answer['path'], answer['status'], headers, base64.b64decode(answer['body'])


def wrong(path):
    """How many answers there are, and what is wrong with them."""
    described, count, found = description(BUILD), 0, []
    for method, target, status, headers, body in answers(path):
        count += 1
        try:
            described.check(method, target, status, headers, b'' if method == 'HEAD' else body)
        except WrongAnswer as error:
            found.append(str(error))
    return count, found


def main():
    command = sys.argv[1:]
    if command[0].endswith('.py'):
        command.insert(0, sys.executable)
    with tempfile.TemporaryDirectory(prefix='ensign-answers-') as folder:
        path = pathlib.Path(folder, 'answers')
        path.touch()
        result = subprocess.run(command, env=dict(os.environ, ENSIGND=str(ENSIGND), ENSIGN_ANSWERS=str(path)))
        if result.returncode == 77:
            sys.exit(77)
        count, found = wrong(path)
    print(*found[:SHOWN], sep='\n')
    print(f'{count} answers, {len(found)} not as described')
    sys.exit(result.returncode or (1 if found or not count else 0))


if __name__ == '__main__':
    main()
