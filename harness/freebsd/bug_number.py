"""How a text names a bug of FreeBSD's Bugzilla."""

from __future__ import annotations

import re

NUMBER = re.compile(r"\bbug (\d{4,7})\b")
"""How a bug's number stands in a text."""


def number_in(reason: str) -> int | None:
    """FreeBSD's number of the bug that the reason of an expected failure names, if it does."""
    found = NUMBER.search(reason)
    return int(found[1]) if found else None
