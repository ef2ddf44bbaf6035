#!/usr/bin/env python3
"""embed.py OUTPUT DOCUMENT…: the shipped profiles as a C table, so that they are part of the program."""
import pathlib
import sys


def literal(text):
    escaped = text.replace('\\', '\\\\').replace('"', '\\"')
    return '\n'.join(f'     "{line}\\n"' for line in escaped.splitlines())


output, documents = sys.argv[1], [pathlib.Path(path) for path in sys.argv[2:]]
rows = '\n'.join(f'    {{"{path.name}",\n{literal(path.read_text())}}},' for path in documents)
pathlib.Path(output).write_text(f'''#include "policies/shipped.h"

const struct shipped_document shipped_profiles[] = {{
{rows}
    {{0, 0}},
}};
''')
