"""Failures with one cause told once, with how many there were; what stands alone comes first."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import TypeVar

Failed = TypeVar("Failed")

_VARIES = re.compile(
    r"\b0x[0-9a-f]+\b|\b[0-9a-f]{8,}\b"  # addresses, checksums
    r"|[0-9]+(?:[.:][0-9]+)*"  # durations, counts, process ids, IP addresses, and skunk1 or skunk2
)
"""What differs between two failures with one cause."""


def cause(error: str, message: str) -> str:
    """What two failures have in common that have one cause: the error, and its words less numbers.

    `message` is the failure in a line, without the last value that a wait saw.
    """
    return f"{error}: {_VARIES.sub('#', message)}"


def by_cause(failed: Iterable[Failed], of: Callable[[Failed], str]) -> list[list[Failed]]:
    """The failed, those of one cause together; the cause that fewest have comes first.

    Of causes with as many each, the one that was met first; of one cause all in their order.
    """
    found: dict[str, list[Failed]] = {}
    for each in failed:
        found.setdefault(of(each), []).append(each)
    return sorted(found.values(), key=len)
