"""The folder of a pair on the host, held by one run at a time."""

from __future__ import annotations

import functools
import json
import os
import re
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from harness.config import paths
from harness.errors import LabError, PairInUse, SettingsError

if TYPE_CHECKING:
    import filelock

_LONGEST_SOCKET_PATH = 100
"""A UNIX socket's path has room for 104 bytes on the BSDs and 108 on Linux (sys/un.h)."""


class PairFolder:
    """state_dir()/pairs/LAB-NAME: everything a running pair needs on the host, and a lock.

    The kernel gives the lock back when the process that holds it dies, whatever killed it; so
    whoever gets the lock knows that what it finds in the folder belongs to nobody.
    """

    def __init__(self, lab: str, pair: str, state_dir: Path | None = None) -> None:
        """Name the pair of one kind of lab; nothing is made yet.

        Each kind of lab has its own, because each can remove only what it made itself.
        """
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,31}", pair):
            raise SettingsError(
                f"{pair!r} is no name for a pair",
                advice="use up to 32 letters, digits, `-` and `_`",
            )
        self.pair = pair
        self.path = (state_dir or paths.state_dir()) / "pairs" / f"{lab}-{pair}"
        self._owner = Path(str(self.path) + ".owner.json")

    @functools.cached_property
    def _lock(self) -> filelock.BaseFileLock:
        """Beside the folder, not in it: the folder is removed while the lock is held."""
        import filelock  # noqa: PLC0415 - whoever only asks a keeper takes no lock

        return filelock.FileLock(str(self.path) + ".lock")

    def check(self) -> None:
        """Raise `SettingsError` when the folder's path is too long for a control socket in it."""
        longest = len(str(self.path / "skunk1" / "console.sock"))
        if longest > _LONGEST_SOCKET_PATH:
            raise SettingsError(
                f"the folder {self.path} is too deep for control sockets",
                advice="point SKUNK_STATE_DIR to a folder with a shorter path",
            )

    def acquire(self) -> None:
        """Take the pair.

        Raises `PairInUse` naming the process that has it, and `LabError` when the folder of all
        pairs cannot be written to.
        """
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._lock.acquire(timeout=0)
            self._owner.write_text(
                json.dumps({"pid": os.getpid(), "since": datetime.now(UTC).isoformat()})
            )
        except TimeoutError:  # filelock.Timeout
            raise PairInUse(
                f"the pair {self.pair!r} is in use by {self._describe_owner()}",
                advice="wait for that run to end, or name another pair with PAIR=...",
            ) from None
        except OSError as error:
            self.release()
            raise LabError(
                f"the folder of all pairs, {self.path.parent}, cannot be used: "
                f"{error.strerror or error}",
                advice="make it writable, or make room there; or point SKUNK_STATE_DIR to another",
            ) from None

    @property
    def is_there(self) -> bool:
        """Whether anything of the pair is left, its lock too."""
        return self.path.exists() or Path(self._lock.lock_file).exists()

    @property
    def held(self) -> bool:
        """Whether this object holds the pair."""
        return self._lock.is_locked

    def release(self) -> None:
        """Give the pair back, and leave nothing of it. Safe to repeat."""
        if self._lock.is_locked:
            self._owner.unlink(missing_ok=True)
            # Whoever waits with the file open sees, once the lock is theirs, that it has no name
            # any more, and takes a new one (filelock looks at st_nlink).
            Path(self._lock.lock_file).unlink(missing_ok=True)
            self._lock.release()

    def remove(self) -> None:
        """Remove the folder and all in it."""
        if self.path.exists():
            shutil.rmtree(self.path)

    def _describe_owner(self) -> str:
        try:
            owner = json.loads(self._owner.read_text())
        except (OSError, ValueError):
            return "another run that has only just begun"
        return f"process {owner['pid']}, since {owner['since'][:19].replace('T', ' ')} UTC"
