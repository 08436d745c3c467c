"""The one way in which a fault begins and ends."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Protocol

from harness.errors import HarnessError


class Breakable(Protocol):
    """What a fault can be on."""

    faults: list[str]


BeforeHealing = Callable[[BaseException], bool]

_before_healing: BeforeHealing | None = None


def before_healing(hook: BeforeHealing | None) -> None:
    """When the block of a fault fails, ask `hook` whether to heal; None: always.

    For whoever wants to look at the pair as the failure left it.
    """
    global _before_healing  # noqa: PLW0603 - one run at a time
    _before_healing = hook


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
        if _before_healing is not None and not _before_healing(error):
            raise
        try:
            heal()
            _forget(node, what)
        except HarnessError as second:
            error.add_note(f"and {what} could not be healed: {second}")
        raise
    heal()
    _forget(node, what)


def _forget(node: Breakable, what: str) -> None:
    if what in node.faults:  # whoever looked at a failure may have healed it by hand
        node.faults.remove(what)
