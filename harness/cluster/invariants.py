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
from abc import abstractmethod
from collections.abc import Collection, Iterator, Mapping

from harness.cluster.node import Node
from harness.cluster.pair import Pair
from harness.errors import ClaimFailed, HarnessError, NodeUnreachable, UnrecognisedOutput
from harness.freebsd.hast import hastctl as hast
from harness.freebsd.hast.hastctl import Role
from harness.lab import console
from harness.lab.base import Power
from harness.record.entry import Entry, Kind
from harness.record.sinks import Event, PrimaryKnown, Sink, Sinks
from harness.waiting.wait import Waited
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


class Invariant(Sink):
    """One of them, while one scenario runs: a sink, and a look at the pair."""

    def __init__(self, pair: Pair) -> None:
        self.pair = pair

    def tell(self, event: Event) -> None:
        """Take what a command printed, or what the harness did to a node, from any thread."""

    @abstractmethod
    def look(self) -> None:
        """Raise the `HarnessError` that tells how it is broken, if it is."""


class OnePrimary(Invariant):
    """Knows the role of each node from what scenarios ask and set; asks again before it accuses."""

    def __init__(self, pair: Pair) -> None:
        super().__init__(pair)
        self._primaries: dict[str, set[str]] = {node.name: set() for node in pair}
        """The resources of which a node was last heard to be primary."""

    def tell(self, event: Event) -> None:
        """A known state has a primary, `hastctl role` sets a role, `list` and `status` tell it."""
        match event:
            case PrimaryKnown(node):
                self._set(self._primaries[node], [Role.PRIMARY, "all"])
            case Entry(kind=Kind.COMMAND, status=0) if event.node in self._primaries:
                self._answered(self._primaries[event.node], event)

    def _answered(self, roles: set[str], entry: Entry) -> None:
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

    def __init__(self, pair: Pair) -> None:
        super().__init__(pair)
        self._read = {node.name: 0 for node in pair}

    def look(self) -> None:
        """Raise `NodePanicked` with what the kernel says."""
        for node in self.pair:
            size = console.size(node.machine.console)
            if size != self._read[node.name]:
                self._read[node.name] = size
                node.raise_if_panicked()


class NobodySilent(Invariant):
    """Looks whether each SSH connection still stands, and tries a new one where it does not."""

    def __init__(self, pair: Pair) -> None:
        super().__init__(pair)
        self._gone: set[str] = set()

    def tell(self, event: Event) -> None:
        """A node that was told to go down may be silent until it is heard of again."""
        if isinstance(event, Entry) and event.kind is Kind.COMMAND:
            goes = event.text.split(" ", 1)[0] in _GOES_AWAY
            (self._gone.add if goes else self._gone.discard)(event.node)

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


class _Watch(Sinks):
    """Tells all of them, and has them look after what is done in the scenario's own thread."""

    def __init__(self, held: Mapping[Holds, Invariant]) -> None:
        super().__init__(*held.values())
        self._held = held
        self._main = threading.get_ident()
        self._looking = False
        self.breach: HarnessError | None = None
        """The first one."""

    def tell(self, event: Event) -> None:
        """Tell them, and look. Raises the breach that is seen now."""
        super().tell(event)
        if isinstance(event, Entry | Waited) and threading.get_ident() == self._main:
            self.look()

    def look(self) -> None:
        """Raise the breach that is seen now; after the first one nobody looks."""
        if self._looking or self.breach is not None:
            return
        self._looking = True
        try:
            for name, invariant in self._held.items():
                try:
                    invariant.look()
                except HarnessError as error:
                    error.add_note(f"{name}: this has to hold all through a scenario")
                    self.breach = error
                    raise
        finally:
            self._looking = False


@contextlib.contextmanager
def holding(
    pair: Pair, told: Sinks, lifted: Collection[Holds], primary: str | None = None
) -> Iterator[None]:
    """Hold all invariants but the lifted ones while the block runs.

    `primary` is the node that is primary when it begins, if that is known. The first breach is
    raised in the main thread, by the command after which it was seen; or at the end of the block,
    where a thread saw it or the scenario took the error for another one.
    """
    held = {name: kind(pair) for name, kind in INVARIANTS.items() if name not in lifted}
    watch = _Watch(held)
    with told.also(watch):
        if primary is not None:
            told.tell(PrimaryKnown(primary))
        try:
            yield
        except Exception as error:
            if Holds.NO_PANIC in held:  # its text says why, whatever failed
                held[Holds.NO_PANIC].look()
            if watch.breach not in (None, error):
                raise watch.breach from error
            raise
        watch.look()
    if watch.breach is not None:
        raise watch.breach


def _primary_of(node: Node) -> set[str]:
    try:
        said = node.ask(*hast.STATUS_COMMAND, within=_SECONDS)
        return hast.parse_status(said.stdout).primary_of if said.ok else set()
    except HarnessError:
        return set()  # nobody can say, and whoever asks it next finds out why
