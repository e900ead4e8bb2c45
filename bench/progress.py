"""Shows what a benchmark does now."""

import sys


def progress(text):
    """Shows a text on stderr: on a terminal in one line that changes and that an empty text clears."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)
    elif text:
        print(text, file=sys.stderr, flush=True)
