"""The name of the folder that has a test's evidence."""

from __future__ import annotations

import hashlib
import re

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
