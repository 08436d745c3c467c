"""One step of a build: a program of the host, with a deadline, and an error that says enough."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from harness.errors import HarnessError
from harness.waiting.wait import Deadline

BUILD_TIME = "1700000000"
"""When the file systems say that they were made, so that builds differ as little as may be."""


class GuestError(HarnessError):
    """The plumbing guest cannot be built here."""


def search_path() -> str:
    """PATH, and the folders that an ordinary user's lacks of programs that need no root."""
    return os.environ.get("PATH", os.defpath) + ":/usr/sbin:/sbin"


def run(
    argv: Sequence[str | Path | int],
    deadline: Deadline,
    *,
    cwd: Path | None = None,
    stdin: str = "",
    advice: str | None = None,
) -> bytes:
    """Run a program to its end and return what it printed. Raises `GuestError` when it fails."""
    command = [str(word) for word in argv]
    environment = os.environ | {
        "LC_ALL": "C",
        "PATH": search_path(),
        "SOURCE_DATE_EPOCH": BUILD_TIME,
        "E2FSPROGS_FAKE_TIME": BUILD_TIME,
    }
    try:
        return subprocess.run(
            command,
            cwd=cwd,
            env=environment,
            input=stdin.encode(),
            capture_output=True,
            timeout=max(deadline.remaining, 0.001),
            check=True,
        ).stdout
    except subprocess.TimeoutExpired:
        raise GuestError(
            f"building the plumbing guest took over {deadline.within:.0f} s; "
            f"the step that was running: {' '.join(command[:4])} ..."
        ) from None
    except subprocess.CalledProcessError as error:
        said = error.stderr.decode(errors="replace").strip().splitlines()[-3:]
        raise GuestError(
            f"building the plumbing guest: {' '.join(command[:4])} ... ended with status "
            f"{error.returncode}: " + "\n  ".join(said),
            advice=advice,
        ) from None
