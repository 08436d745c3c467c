"""The folders of a run: results/<time>-<lab>, latest, and one for each test's evidence."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import re
from datetime import UTC, datetime
from pathlib import Path

from harness.config import paths
from harness.errors import EvidenceLost

LONGEST = 200
"""Bytes of a folder's name. A file system takes 255, and the archive adds an ending."""

_PLAIN = re.compile(
    r"[A-Za-z0-9_./-]+\.py"
    r"(?:::\w+)+"
    r"(?:\[[A-Za-z0-9_.=](?:[A-Za-z0-9_.=-]*[A-Za-z0-9_.=])?\])?",
    re.ASCII,
)
"""A name that can be read back from its folder's: no two of these have the same folder."""


def folder_name(test: str) -> str:
    """The name of a test's folder: its own, with what a path cannot have replaced.

    Where that could be another test's too, or is too long, a few digits that stand for the whole
    name follow.
    """
    name = re.sub(r"[^A-Za-z0-9_.=-]+", "-", test).strip("-")
    if _PLAIN.fullmatch(test) and len(name) <= LONGEST:
        return name
    return marked(name, test)


def marked(name: str, whole: str) -> str:
    """A name that no other test has: with a few digits that stand for the whole of it."""
    digits = hashlib.sha256(whole.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{name[: LONGEST - 9].strip('-')}-{digits}"


def without_number(nodeid: str) -> str:
    """A test's name without the number that pytest-repeat gives to each of its runs."""
    return re.sub(r"(?:\[|-)\d+-\d+\]$", lambda found: "" if found[0][0] == "[" else "]", nodeid)


ELSEWHERE = "make room, or name another place: SKUNK_RESULTS_DIR=FOLDER"
"""What to do where the results cannot be written."""


def run_folder(lab: str) -> Path:
    """The folder of a run that begins now: results/TIME-LAB. It is not made yet."""
    return paths.results_dir() / f"{datetime.now(UTC):%Y-%m-%dT%H-%M-%S}-{lab}"


def make_latest(folder: Path) -> None:
    """Point results/latest to the folder of a run that has a verdict.

    Raises `EvidenceLost` where that cannot be.
    """
    # In one step: another run may do the same at this moment.
    new = folder.with_name(f".latest-{folder.name[:200]}")
    try:
        new.unlink(missing_ok=True)
        new.symlink_to(folder.name, target_is_directory=True)
        new.replace(folder.parent / "latest")
    except OSError as error:
        with contextlib.suppress(OSError):
            new.unlink(missing_ok=True)
        raise EvidenceLost(
            f"{folder.parent / 'latest'} cannot be pointed to {folder.name}: {error}",
            advice="if it is a folder or a file of yours, move it away",
        ) from error


def new_run_folder(lab: str) -> Path:
    """Make results/TIME-LAB for a new run.

    Of several that begin in the same second, the later ones are called TIME-LAB-2 and so on.
    Raises `EvidenceLost` where no folder can be made, or `latest` beside it is no link.
    """
    first = folder = run_folder(lab)
    latest = first.parent / "latest"
    if latest.exists() and not latest.is_symlink():
        raise EvidenceLost(
            f"{latest} is to be a link to the last run, and is a folder or file of its own",
            advice="move it away",
        )
    try:
        first.parent.mkdir(parents=True, exist_ok=True)
        for number in itertools.count(2):
            with contextlib.suppress(FileExistsError):
                folder.mkdir()
                break
            folder = first.with_name(f"{first.name}-{number}")
    except OSError as error:
        raise no_folder(folder, error) from error
    return folder


def made(folder: Path) -> Path:
    """Make a folder for results where there is none. Raises `EvidenceLost`."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise no_folder(folder, error) from error
    return folder


def no_folder(folder: Path, error: OSError) -> EvidenceLost:
    """The error that a folder for results could not be made, with what to do."""
    return EvidenceLost(
        f"the folder for the results cannot be made: {folder}: {error.strerror or error}",
        advice=ELSEWHERE,
    )
