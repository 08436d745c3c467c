"""The states that scenarios start from, as data: what each rests on, and how it is made.

A known state is a snapshot of the running pair. `Session.in_state` makes it once, when the first
scenario wants it, and brings it back for each later one. A folder of scenarios declares more of
them in its conftest.py.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from harness.cluster.pair import Pair
from harness.config.settings import NODES
from harness.errors import SettingsError
from harness.record import entry

_NAME = re.compile(r"[a-z][a-z0-9-]*")
"""What every hypervisor takes as the name of a snapshot; a dot begins what hast.conf adds."""


def _as_booted(pair: Pair) -> None:
    """Nothing is to be done: the session boots and provisions both nodes itself."""


@dataclass(frozen=True)
class KnownState:
    """`name` tells it apart; `make` leads to it from the state `rests_on`, in virtual minutes even.

    `replicates` says that it is reached only where replication works, so that a known bug of the
    release which breaks that is an expected failure, and is waited for once.
    """

    name: str
    rests_on: str | None
    make: Callable[[Pair], object]
    replicates: bool = True
    primary: str | None = None
    """The node that is primary in it, where one is: so it is known before anybody asks."""


PROVISIONED = KnownState(entry.PROVISIONED, None, _as_booted, replicates=False)
SET_UP = KnownState(entry.SET_UP, PROVISIONED.name, Pair.set_up, primary="skunk1")

_declared: dict[str, KnownState] = {state.name: state for state in (PROVISIONED, SET_UP)}


def declare(state: KnownState) -> KnownState:
    """Make a state known for `@pytest.mark.state(NAME)`, and return it.

    Raises `SettingsError` for a name that is none or that another state has, and for one that
    rests on nothing known: so no state can rest on itself.
    """
    if not isinstance(state.name, str) or not _NAME.fullmatch(state.name):
        raise SettingsError(
            f"a known state cannot be called {state.name!r}",
            advice="take lower-case letters, digits and hyphens, a letter first",
        )
    if not callable(state.make):
        raise SettingsError(f"the known state {state.name!r} cannot be made by {state.make!r}")
    if state.primary not in (None, *NODES):
        raise SettingsError(
            f"no node of the known state {state.name!r} is called {state.primary!r}",
            advice=f"its primary is one of {', '.join(NODES)}, or None where there is none",
        )
    if _declared.get(state.name, state) != state:
        raise SettingsError(f"there are two known states called {state.name!r}")
    if state.rests_on is None:
        raise SettingsError(
            f"the known state {state.name!r} rests on nothing",
            advice=f"name the state that it is made from: {', '.join(_declared)}",
        )
    find(state.rests_on)
    _declared[state.name] = state
    return state


def find(name: str) -> KnownState:
    """The state of that name. Raises `SettingsError` when nobody has declared it."""
    if name not in _declared:
        raise SettingsError(
            f"there is no known state {name!r}",
            advice=f"there are {', '.join(_declared)}; a conftest.py may declare more "
            "(harness.run.known_states.declare)",
        )
    return _declared[name]
