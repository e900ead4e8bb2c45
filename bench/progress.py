"""Shows what a benchmark does now."""

import sys


def progress(text):
    """Shows a text on stderr: in one changing line on a terminal, otherwise in a line of its own. An empty text clears it."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)
    elif text:
        print(text, file=sys.stderr, flush=True)
