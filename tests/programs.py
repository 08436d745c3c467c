"""Programs that a test writes, to stand in for others."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path


def python_program(path: Path, code: str) -> None:
    """Write a program in Python, run by the Python of the tests.

    The kernel takes no blank in the path after `#!`, and a checkout may have one in its name; so
    sh(1) starts Python, which reads the same file and takes that line for a string.
    """
    start = f"'''exec' {shlex.quote(sys.executable)} \"$0\" \"$@\"\n' '''"
    path.write_text(f"#!/bin/sh\n{start}\n{code}")
    path.chmod(0o755)
