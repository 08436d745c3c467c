"""A fault as a value: its name, how it begins, how it is healed, and how one sees it from outside.

Whoever breaks something (a scenario, `skunk cut`, the bench), looks whether something is left (the
audit) or tells of it (the transcript) asks the value. Nobody recognises a fault by its wording.
Imported by the command line before its first line: nothing here needs a pair or SSH.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from harness.errors import HarnessError
from harness.record.entry import Effect, Kind
from harness.waiting.parallel import on_each

LOOK_SECONDS = 20.0
"""What a node may take for one answer when it is asked whether a fault is left."""


class Breakable(Protocol):
    """What a fault can be on: it knows what is broken, and times what is done to it."""

    broken: list[Fault[Any]]

    def timed(
        self, text: str, kind: Kind = ..., *, fault: str = ..., effect: Effect | None = ...
    ) -> contextlib.AbstractContextManager[None]:
        """Write into the transcript what the block does, once it has ended without an error."""


On = TypeVar("On", bound=Breakable)

BeforeHealing = Callable[[BaseException], bool]

_before_healing: BeforeHealing | None = None


def before_healing(hook: BeforeHealing | None) -> None:
    """When the block of a fault fails, ask `hook` whether to heal; None: always.

    For whoever wants to look at the pair as the failure left it.
    """
    global _before_healing  # noqa: PLW0603 - one run at a time
    _before_healing = hook


def not_seen(_: object) -> Iterable[str]:
    """A look for a fault that leaves nothing that could be told from a node without it."""
    return ()


def no_wait(_: object) -> None:
    """A fault after whose healing nobody has to wait."""


@dataclass(frozen=True)
class Fault(Generic[On]):
    """One way to break a node, the same for whoever does it."""

    name: str
    """As `skunk cut`, the transcript and a report know it: one or two words, no two alike."""

    what: str
    """What is broken while it lasts, as the audit, `skunk status` and the report say it."""

    begin: Callable[[On], object]
    """Breaks it. Returns when it is broken."""

    heal: Callable[[On], object]
    """Undoes it, as often as it is called, and also what is half broken."""

    look: Callable[[On], Iterable[str]]
    """What is seen of it now, in words: a line for each trace. Takes seconds, changes nothing.

    Where the machine stands still the hypervisor is asked (`stops_machine`), else the running node.
    """

    begun: str = ""
    """What the transcript says of its begin; `what` if it is empty."""

    healed: str = ""
    """What the transcript says of its end; `what` and ": healed" if it is empty."""

    cut: str = ""
    """What `skunk cut` says that it does; empty: `skunk cut` does not offer it."""

    both_ends: bool = False
    """Whether `skunk cut` without a node breaks it on both."""

    hardware: bool = False
    """Whether it is done to the machine and not to FreeBSD: then also to one that is frozen."""

    effect: Effect | None = None
    """What the report draws while it lasts, beyond its begin and its end."""

    wait_healed: Callable[[On], object] = no_wait
    """Waits after `heal` until the node is of use again."""

    @property
    def stops_machine(self) -> bool:
        """Whether FreeBSD does not run while it lasts, so that nobody can ask it."""
        return self.effect in {Effect.OFF, Effect.SWITCHED_OFF, Effect.PAUSED}

    def seen_on(self, node: On) -> bool:
        """Whether a look finds it."""
        return any(True for _ in self.look(node))

    @contextlib.contextmanager
    def on(self, *nodes: On) -> Iterator[None]:
        """Break these nodes at once, and heal them together on leaving, however the block ends.

        They are healed also when it did not quite begin. When the block fails and healing fails as
        well, the block's error is the one that is raised, with a note of the other.
        """
        try:
            _each(nodes, self.break_on)
            yield
        except BaseException as error:
            if _before_healing is not None and not _before_healing(error):
                raise
            try:
                self._heal_and_wait(nodes)
            except HarnessError as second:
                error.add_note(f"and {self.what} could not be healed: {second}")
            raise
        self._heal_and_wait(nodes)

    def break_on(self, node: On) -> None:
        """Break it, write that down, and let it stand in `node.broken` until it is healed."""
        if self not in node.broken:
            node.broken.append(self)
        with node.timed(self.begun or self.what, Kind.FAULT, fault=self.name, effect=self.effect):
            self.begin(node)

    def heal_on(self, node: On) -> None:
        """Heal it and write that down; a machine that runs again by another hand is left alone."""
        if not self.stops_machine or self.seen_on(node):
            with node.timed(
                self.healed or f"{self.what}: healed",
                Kind.HEAL,
                fault=self.name,
                effect=self.effect,
            ):
                self.heal(node)
        if self in node.broken:  # whoever looked at a failure may have healed it by hand
            node.broken.remove(self)

    def _heal_and_wait(self, nodes: Sequence[On]) -> None:
        _each(nodes, self.heal_on)
        _each(nodes, self.wait_healed)


def _each(nodes: Sequence[On], work: Callable[[On], object]) -> None:
    if len(nodes) == 1:
        work(nodes[0])
    else:
        on_each(nodes, work)


# --- the register ---------------------------------------------------------------------------------

REGISTER: dict[str, Fault[Any]] = {}
"""Every kind of fault by its name. `harness.faults.every` fills it with those of the harness."""


def register(fault: Fault[On]) -> Fault[On]:
    """Let `skunk cut`, the audit and whoever else asks for every fault know this one.

    Where a fault takes a word of its own (which signal, which process), one of the kind is enough.
    Raises `ValueError` for a name that is taken.
    """
    if fault.name in REGISTER:
        raise ValueError(f"there is a fault of the name {fault.name!r} already")
    REGISTER[fault.name] = fault
    return fault
