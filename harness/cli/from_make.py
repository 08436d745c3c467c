"""The command line as the Makefile calls it: the words of ARGS, which `make` exports, come last.

They are split as sh(1) splits words, quotes included, and nothing in them is ever run or expanded:
`make test ARGS="-k 'failover or set_up' -x"`.
"""

from __future__ import annotations

import os
import shlex
import sys

from harness.cli import main as cli

USAGE = 2
"""Exit status of a command line that is wrong."""


def main() -> None:
    """Run the command line with the words given and those of ARGS."""
    given = os.environ.pop("ARGS", "")
    try:
        sys.argv += shlex.split(given)
    except ValueError as error:
        sys.stderr.write(f"error: ARGS cannot be split into words: {error}: {given}\n")
        sys.exit(USAGE)
    cli.main()


if __name__ == "__main__":
    main()
