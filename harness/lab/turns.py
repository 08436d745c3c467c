"""Taking turns: what only one run of this user may do at a time, whichever pair it has."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path

import filelock

from harness.errors import LabError
from harness.waiting.wait import Deadline, followed


def turn(
    lock: Path, what: str, deadline: Deadline, late: LabError
) -> AbstractContextManager[object]:
    """Wait for `what`, until no other run holds the file `lock`; hold it while the block runs.

    Raises `late` when that has not come by the deadline.
    """
    try:
        with followed(what, deadline):
            return filelock.FileLock(lock).acquire(timeout=deadline.within)
    except filelock.Timeout:
        raise late from None
