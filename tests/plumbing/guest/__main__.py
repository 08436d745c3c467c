"""`python -m tests.plumbing.guest OUT.qcow2`: build one image."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from harness.errors import HarnessError
from tests.plumbing.guest import build


def main() -> None:
    """Build an image at the path given on the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.plumbing.guest", description=__doc__)
    parser.add_argument("out", type=Path, help="where to write the image")
    parser.add_argument("--vagrant", action="store_true", help="let Vagrant's insecure keys in")
    options = parser.parse_args()
    try:
        build(options.out.absolute(), vagrant=options.vagrant)
    except HarnessError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
