"""Names that libzfs takes for a pool (zpool_name_valid in libzfs_pool.c, pool_namecheck, 13.2)."""

from __future__ import annotations

import re

_NEVER = frozenset({"mirror", "raidz", "draid"})
_NOT_FOR_A_NEW_ONE = ("mirror", "raidz", "draid", "spare")
"""Beginnings of a name that were reserved later: pools that had one before can still be opened."""

_LONGEST = 239
"""Bytes: room is left for `/$ORIGIN@$ORIGIN` in a dataset's name of 256."""

_ODD = re.compile(r"[^A-Za-z0-9_.: -]")


def wrong_name(name: str, *, new: bool) -> str | None:
    """What is wrong with the name of a pool that is to be opened, or of a `new` one; else None."""
    if len(name.encode(errors="surrogateescape")) > _LONGEST:
        return "name is too long"
    if (odd := _ODD.search(name)) is not None:
        return f"invalid character '{odd[0]}' in pool name"
    if not name[:1].isalpha():
        return "name must begin with a letter"
    if name in _NEVER or (new and (name == "log" or name.startswith(_NOT_FOR_A_NEW_ONE))):
        return "name is reserved"
    return None
