#!/usr/bin/env python3
"""embed.py OUTPUT SCRIPT…: scripts for hosts as C texts, shipped_NAME_script for NAME.sh."""
import pathlib
import sys


def literal(text):
    escaped = text.replace('\\', '\\\\').replace('"', '\\"')
    return '\n'.join(f'    "{line}\\n"' for line in escaped.splitlines())


output, scripts = sys.argv[1], [pathlib.Path(path) for path in sys.argv[2:]]
texts = '\n'.join(f'const char shipped_{path.stem}_script[] =\n{literal(path.read_text())};' for path in scripts)
pathlib.Path(output).write_text(f'#include "client/bootstrap/scripts.h"\n\n{texts}\n')
