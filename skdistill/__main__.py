"""Run the command line: ``python -m skdistill``."""

from __future__ import annotations

import os
import sys


def run() -> None:
    """Run the command line and leave with its status."""
    try:
        from .cli import main  # takes a second, in which there may be an interruption already

        status = main()
        sys.stdout.flush()
    except BrokenPipeError:  # the reader of a pipe, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 1
    except KeyboardInterrupt:
        print("python -m skdistill: interrupted; nothing was written", file=sys.stderr)
        status = 130
    raise SystemExit(status)


if __name__ == "__main__":
    run()
