"""What must hold all through a scenario, and not only at its end.

Each invariant looks at what passes by: the answers to the scenario's own commands, the length of a
console's log, whether a connection still stands. So it costs nothing between two commands. Only
where that gives a reason are the nodes asked. A scenario that breaks one on purpose lifts it by
name: `@pytest.mark.lifts(Holds.ONE_PRIMARY)`.
"""

from __future__ import annotations

import contextlib
import shlex
import threading
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator

from harness.cluster.node import Node
from harness.cluster.pair import Pair
from harness.errors import ClaimFailed, HarnessError, NodeUnreachable, UnrecognisedOutput
from harness.freebsd.hast import hastctl as hast
from harness.freebsd.hast.hastctl import Role
from harness.lab import console
from harness.lab.base import Power
from harness.record.transcript import Entry, Transcript
from harness.words import Word

_SECONDS = 20.0
"""For each question to a node; it is asked only where there is a reason."""

_GOES_AWAY = ("shutdown", "reboot", "halt", "poweroff", "fastboot", "fasthalt")
"""Commands after which a node may be gone for a while."""


class Holds(Word):
    """What holds all through a scenario; one that breaks it on purpose lifts it by this name."""

    ONE_PRIMARY = "never two primaries"
    """No two nodes are primary of one resource at the same time."""

    NO_PANIC = "no panic"
    """No kernel panics, but where the scenario lets it (`Node.panic`)."""

    NOBODY_SILENT = "nobody silent"
    """A node that has power, and on which nothing is broken on purpose, answers over SSH."""


class Invariant(ABC):
    """One of them, while one scenario runs."""

    def __init__(self, pair: Pair, primary: str | None) -> None:
        """`primary` is the node that is primary when the scenario begins, if that is known."""
        self.pair = pair
        self.primary = primary

    @abstractmethod
    def notice(self, entry: Entry) -> None:
        """Take what a command printed, or what the harness did to a node, from any thread."""

    @abstractmethod
    def look(self) -> None:
        """Raise the `HarnessError` that tells how it is broken, if it is."""


class OnePrimary(Invariant):
    """Knows the role of each node from what scenarios ask and set; asks again before it accuses."""

    def __init__(self, pair: Pair, primary: str | None) -> None:
        super().__init__(pair, primary)
        self._primaries: dict[str, set[str]] = {node.name: set() for node in pair}
        """The resources of which a node was last heard to be primary."""
        if primary is not None:
            self._set(self._primaries[primary], [Role.PRIMARY, "all"])

    def notice(self, entry: Entry) -> None:
        """`hastctl role` sets a role, `list` and `status` tell it."""
        roles = self._primaries.get(entry.node)
        if roles is None or entry.kind != "command" or entry.status != 0:
            return
        command, _, rest = entry.text.partition(" ")
        if command == "hastctl" and rest.startswith("role "):
            self._set(roles, shlex.split(rest)[1:])
        elif command == "hastctl" and rest.startswith(("list", "status")):
            with contextlib.suppress(UnrecognisedOutput):  # the scenario says so itself
                self._heard(roles, entry)

    def _set(self, roles: set[str], words: list[str]) -> None:
        role, *named = [word for word in words if not word.startswith("-")] or [""]
        if "all" in named:
            hast_conf = self.pair.settings.hast
            named = [name for name in (hast_conf.resource, hast_conf.second) if name]
        (roles.update if role == Role.PRIMARY else roles.difference_update)(named)

    def _heard(self, roles: set[str], entry: Entry) -> None:
        listed = entry.text.startswith("hastctl list")
        rows = (
            hast.parse_list(entry.stdout).resources
            if listed
            else hast.parse_status(entry.stdout).rows
        )
        for row in rows:
            (roles.add if row.role is Role.PRIMARY else roles.discard)(row.name)

    def look(self) -> None:
        """Ask both nodes where both were last heard to be primary of one resource."""
        one, other = self.pair.nodes
        both = self._primaries[one.name] & self._primaries[other.name]
        if not both or any(node.machine.power() is not Power.RUNNING for node in self.pair):
            return
        said = [_primary_of(node) for node in self.pair]
        for node, resources in zip(self.pair, said, strict=True):
            self._primaries[node.name] = resources
        if found := said[0] & said[1]:
            raise ClaimFailed(
                f"{one} and {other} each say that they are primary of {', '.join(sorted(found))}"
            )


class NoPanic(Invariant):
    """Reads the end of a console's log where it has grown."""

    def __init__(self, pair: Pair, primary: str | None) -> None:
        super().__init__(pair, primary)
        self._read = {node.name: 0 for node in pair}

    def notice(self, entry: Entry) -> None:
        """A panic is on the console, and in no answer."""

    def look(self) -> None:
        """Raise `NodePanicked` with what the kernel says."""
        for node in self.pair:
            size = console.size(node.machine.console)
            if size != self._read[node.name]:
                self._read[node.name] = size
                node.raise_if_panicked()


class NobodySilent(Invariant):
    """Looks whether each SSH connection still stands, and tries a new one where it does not."""

    def __init__(self, pair: Pair, primary: str | None) -> None:
        super().__init__(pair, primary)
        self._gone: set[str] = set()

    def notice(self, entry: Entry) -> None:
        """A node that was told to go down may be silent until it is heard of again."""
        if entry.kind == "command" and entry.text.split(" ", 1)[0] in _GOES_AWAY:
            self._gone.add(entry.node)
        elif entry.kind == "command":
            self._gone.discard(entry.node)

    def look(self) -> None:
        """Raise `NodeUnreachable` where nothing answers."""
        for node in self.pair:
            if (
                node.lost
                and node.name not in self._gone
                and not node.faults
                and node.machine.power() is Power.RUNNING
            ):
                try:
                    node.ask("true", within=_SECONDS)
                except NodeUnreachable as error:
                    self._gone.add(node.name)
                    raise NodeUnreachable(
                        f"it has power, nothing is broken on it, and it is silent: {error.what}",
                        node=node.name,
                    ) from error


INVARIANTS: dict[Holds, type[Invariant]] = {
    Holds.ONE_PRIMARY: OnePrimary,
    Holds.NO_PANIC: NoPanic,
    Holds.NOBODY_SILENT: NobodySilent,
}


@contextlib.contextmanager
def holding(
    pair: Pair, transcript: Transcript, lifted: Collection[Holds], primary: str | None = None
) -> Iterator[None]:
    """Hold all invariants but the lifted ones while the block runs.

    The first breach is raised in the main thread, by the command after which it was seen; or at the
    end of the block, where a thread saw it or the scenario took the error for another one.
    """
    held = {name: kind(pair, primary) for name, kind in INVARIANTS.items() if name not in lifted}
    main = threading.get_ident()
    breach: list[HarnessError] = []
    looking = False

    def look() -> None:
        nonlocal looking
        if looking or breach:
            return
        looking = True
        try:
            for name, invariant in held.items():
                try:
                    invariant.look()
                except HarnessError as error:
                    error.add_note(f"{name}: this has to hold all through a scenario")
                    breach.append(error)
                    raise
        finally:
            looking = False

    def passed_by(entry: Entry) -> None:
        for invariant in held.values():
            invariant.notice(entry)
        if threading.get_ident() == main:
            look()

    with transcript.watched(passed_by):
        try:
            yield
        except Exception as error:
            if Holds.NO_PANIC in held:  # its text says why, whatever failed
                held[Holds.NO_PANIC].look()
            if breach and breach[0] is not error:
                raise breach[0] from error
            raise
        look()
    if breach:
        raise breach[0]


def _primary_of(node: Node) -> set[str]:
    try:
        said = node.ask(*hast.STATUS_COMMAND, within=_SECONDS)
        return hast.parse_status(said.stdout).primary_of if said.ok else set()
    except HarnessError:
        return set()  # nobody can say, and whoever asks it next finds out why
