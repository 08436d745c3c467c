"""fsck_ffs(8) with -p, as rc(8) runs it at boot: what it found and what it did.

The words are those of FreeBSD 13.2's fsck_ffs (sbin/fsck_ffs/main.c and suj.c).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from harness.freebsd.output import Output
from harness.words import Word

COMMAND = ("fsck_ffs", "-p")
"""The device follows. A file system that needs a decision ends it with status 8."""

_MARKED_CLEAN = "***** FILE SYSTEM MARKED CLEAN *****"
_RECOVERING = "** SU+J Recovering "
_PREFIX = re.compile(r"^/dev/[^:]+: ")
_SKIPPED = "FILE SYSTEM CLEAN; SKIPPING CHECKS"
_TOTALS = re.compile(r"(\d+) files, (\d+) used, (\d+) free \(.*\)")
_FREE = re.compile(r"clean, (\d+) free \(.*\)")
_MENDED = re.compile(r"(.*) \([A-Z]+\)")
"""Ends each thing that was mended, on the line of the problem or on one of its own."""
_JOURNAL = re.compile(r"\*\* Reading (\d+) byte journal from inode \d+\.")
_RECORDS = re.compile(r"\*\* (\d+) journal records in (\d+) bytes for [\d.]+% utilization")
_FREED = re.compile(r"\*\* Freed (\d+) inodes \((\d+) dirs\) \d+ blocks, and \d+ frags\.")


class Way(Word):
    """How fsck came to its verdict."""

    SKIPPED = "skipped: it was clean"
    JOURNAL = "from the journal"
    FULL = "a full check"


@dataclass(frozen=True)
class Journal:
    """What fsck read of a journal. `size` is all of it in bytes; the rest is of its use.

    `records` and `freed_inodes` are 0 when nothing was in it.
    """

    size: int
    records: int = 0
    freed_inodes: int = 0


@dataclass(frozen=True)
class Check:
    """One file system, checked. Every one of them is clean afterwards.

    `files` counts inodes in use, directories too; only a full check knows it. `repairs` are what
    was mended without asking, such as `FREE BLK COUNT(S) WRONG IN SUPERBLK`.
    """

    way: Way
    files: int | None = None
    repairs: tuple[str, ...] = ()
    journal: Journal | None = None


def parse(text: str) -> Check:
    """Read what `fsck_ffs -p` printed about one device before it ended with status 0.

    Raises `UnrecognisedOutput` when it does not say that the file system is clean now.
    """
    output = Output(" ".join(COMMAND), text)
    lines = [line for line in output.lines() if line]
    if lines and lines[0].startswith(_RECOVERING) and lines[-1] == _MARKED_CLEAN:
        return Check(Way.JOURNAL, journal=_journal(output, lines))
    said = [_PREFIX.sub("", line) for line in lines]
    if len(said) > 1 and said[-2] == _SKIPPED and _FREE.fullmatch(said[-1]):
        return Check(Way.SKIPPED)
    totals = next((match for line in said if (match := _TOTALS.fullmatch(line))), None)
    if totals is None:
        raise output.unrecognised("it does not say how many files there are, nor that it is clean")
    return Check(Way.FULL, files=int(totals[1]), repairs=tuple(_repairs(said)))


def _repairs(said: list[str]) -> Iterator[str]:
    """The first line of each problem that was mended."""
    problem = ""
    for line in said:
        mended = _MENDED.fullmatch(line)
        problem = problem or (mended[1] if mended else line)
        if mended:
            yield problem
            problem = ""


def _journal(output: Output, lines: list[str]) -> Journal:
    found = {
        pattern: match
        for pattern in (_JOURNAL, _RECORDS, _FREED)
        for line in lines
        if (match := pattern.fullmatch(line))
    }
    if _JOURNAL not in found:
        raise output.unrecognised("it does not say how long the journal is")
    return Journal(
        size=int(found[_JOURNAL][1]),
        records=int(found[_RECORDS][1]) if _RECORDS in found else 0,
        freed_inodes=int(found[_FREED][1]) if _FREED in found else 0,
    )
