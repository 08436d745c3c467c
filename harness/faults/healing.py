"""The one way in which a fault begins and ends."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Protocol

from harness.errors import HarnessError


class Breakable(Protocol):
    """What a fault can be on."""

    faults: list[str]


@contextlib.contextmanager
def fault(
    node: Breakable, what: str, begin: Callable[[], object], heal: Callable[[], object]
) -> Iterator[None]:
    """Break with `begin`, and `heal` on leaving, however the block ends and if `begin` fails too.

    When the block fails and healing fails as well, the block's error is the one that is raised,
    with a note of the other.
    """
    node.faults.append(what)
    try:
        begin()
        yield
    except BaseException as error:
        try:
            heal()
            node.faults.remove(what)
        except HarnessError as second:
            error.add_note(f"and {what} could not be healed: {second}")
        raise
    heal()
    node.faults.remove(what)
