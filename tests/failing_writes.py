"""Runs in which each write of the results folder fails in turn, and all after it: a full disk.

Run in a process of its own, because it runs pytest: a fork with FOLDER as its argument. It prints
what went otherwise than it should, a line for each write that failed so.
"""

from __future__ import annotations

import builtins
import contextlib
import errno
import io
import os
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

from harness.cli import main as cli

SCENARIO = """\
def test_of_one_command(provisioned_pair):
    provisioned_pair.skunk1.run("true")
    assert False
"""

_WRITERS = ("junitxml.py",)

Site = tuple[str, int, str]


class FullDisk:
    """Lets one place of the code fail when it writes below a folder, and notes all such places."""

    def __init__(self, folder: Path) -> None:
        self._folder = str(folder)
        self.sites: dict[Site, None] = {}
        self.fails_at: Site | None = None
        self.stays_full = True
        self.is_full = False

    def write(self, what: str, path: object) -> None:
        """What every write calls first."""
        if not isinstance(path, (str, os.PathLike)) or not str(path).startswith(self._folder):
            return
        frame = next(
            frame
            for frame in reversed(traceback.extract_stack())
            if "/harness/" in frame.filename or frame.filename.endswith(_WRITERS)
        )
        site = (frame.filename, frame.lineno or 0, what)
        self.sites[site] = None
        self.is_full = self.is_full or (site == self.fails_at and self.stays_full)
        if self.is_full or site == self.fails_at:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    @contextlib.contextmanager
    def patched(self) -> Iterator[None]:
        """Everything that writes goes by `write` while the block runs."""
        real_open = io.open

        def opened(path: Any, mode: str = "r", *args: Any, **kwargs: Any) -> Any:
            if not set(mode) & set("wax+"):
                return real_open(path, mode, *args, **kwargs)
            self.write("open", path)
            return _File(real_open(path, mode, *args, **kwargs), path, self.write)

        def counted(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
            def call(path: Any, *args: Any, **kwargs: Any) -> Any:
                target = args[0] if name in ("replace", "rename", "symlink") else path
                if name != "mkdir" or not Path(target).is_dir():
                    self.write(name, target)
                return real(path, *args, **kwargs)

            return call

        with contextlib.ExitStack() as stack:
            stack.enter_context(mock.patch.object(builtins, "open", opened))
            stack.enter_context(mock.patch.object(io, "open", opened))
            for name in ("mkdir", "replace", "rename", "symlink"):
                stack.enter_context(mock.patch.object(os, name, counted(name, getattr(os, name))))
            yield


class _File:
    """A file whose writes may fail."""

    def __init__(self, file: Any, path: object, write: Callable[[str, object], None]) -> None:
        self._file, self._path, self._write = file, path, write

    def write(self, content: Any) -> Any:
        self._write("write", self._path)
        return self._file.write(content)

    def flush(self) -> None:
        self._write("flush", self._path)
        self._file.flush()

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> _File:
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


def run(place: Path, disk: FullDisk) -> tuple[int, str]:
    """One run of the scenarios with all that follows, and what it printed."""
    said = io.StringIO()
    words = ["run", "--lab", "simulated", "--no-wire", "--pair", "full", "-p", "no:cacheprovider"]
    sys.argv = ["skunk", *words, str(place / "mine" / "test_it.py")]
    status: object = 0
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said), disk.patched():
        try:
            cli.main()
        except SystemExit as end:
            status = end.code
    assert isinstance(status, int)
    return status, said.getvalue()


def faults(place: Path, status: int, said: str) -> Iterator[str]:
    """What is wrong with the end of such a run."""
    if left := [path.name for path in (place / "state" / "pairs").iterdir() if path.is_dir()]:
        yield f"left the pair {left}"
    for word in ("INTERNALERROR", "Traceback (most recent call last)"):
        if word in said:
            yield f"{word}:\n{said}"
    if (times := said.count("No space left on device")) != 1:
        yield f"says {times} times why:\n{said}"
    if status != (1 if "1 failed" in said else 3):
        yield f"ended with {status}:\n{said}"


def main() -> None:
    """Fail at each place in turn."""
    place = Path(sys.argv[1])
    os.environ["SKUNK_STATE_DIR"] = str(place / "state")
    os.environ["SKUNK_RESULTS_DIR"] = str(place / "results")
    (place / "mine").mkdir(parents=True)
    (place / "results").mkdir()
    (place / "mine" / "test_it.py").write_text(SCENARIO)
    disk = FullDisk(place / "results")
    status, said = run(place, disk)
    assert status == 1, said
    sites = list(disk.sites)
    for number, site in enumerate(sites):
        disk.fails_at, disk.is_full = site, False
        disk.stays_full = number % 4 > 0  # else only this one fails, and the run goes on
        status, said = run(place, disk)
        for fault in faults(place, status, said):
            sys.stdout.write(f"{site[2]} at {Path(site[0]).name}:{site[1]}: {fault}\n")
    sys.stdout.write(f"{len(sites)} writes failed\n")
