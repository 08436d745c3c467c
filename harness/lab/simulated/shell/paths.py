"""What is at a path of a guest."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.lab.simulated.kernel.files import Entry, FileError

if TYPE_CHECKING:
    from harness.lab.simulated.kernel.guest import Guest


def entry_or_none(guest: Guest, path: str) -> Entry | None:
    """What is at an absolute path; nothing either where symbolic links go in circles."""
    try:
        return guest.tree.entry(path)
    except FileError:
        return None


def entry_at(guest: Guest, path: str, *, follow: bool = True) -> Entry | None:
    """What is at an absolute path, the programs of the base system among it, or None.

    Raises `FileError` ELOOP.
    """
    return guest.tree.entry(path, follow=follow)
