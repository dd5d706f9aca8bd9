"""The program `dbrun`, which `python -m dbrun` is, too."""

from __future__ import annotations

import os
import sys


def entry() -> None:
    """Run the command line. Never returns."""
    try:
        from .cli.main import entry as run
    except KeyboardInterrupt:  # what is said here, `cli.trouble` says once it is there
        sys.stderr.write("dbrun: interrupted by Ctrl-C\n")
        sys.stderr.flush()
        os._exit(130)
    run()


if __name__ == "__main__":
    entry()
