"""Who is told what happens in a run: one interface, and all events that there are.

Whoever has something to tell tells it once, to `Sinks`. How it is worded and where it is written is
a sink's: the transcript, the live line, a line for each verdict, what holds all through a scenario.
"""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from harness.record.entry import Entry
from harness.waiting.spent import Spent
from harness.waiting.wait import Doing, Over, Waited
from harness.words import Word

# --- what the pair does ---------------------------------------------------------------------------


class Reached(Word):
    """How far the lab has come."""

    PREPARING = "preparing"
    BOOTING = "booting"
    ANSWERS = "answers"
    PROVISIONED = "provisioned"
    SET_UP = "set-up"


@dataclass(frozen=True)
class Stage:
    """The lab has come so far; `text` says it to a person who waits, with the pair's name."""

    reached: Reached
    text: str


@dataclass(frozen=True)
class Replaced:
    """The pair could not be brought back: its power was cut, and another one boots."""

    why: str
    text: str
    """The same for a person who waits, with the pair's name."""


@dataclass(frozen=True)
class PrimaryKnown:
    """A scenario begins, and by the pair's known state this node is primary of all resources."""

    node: str


@dataclass(eq=False)
class Asking(Doing):
    """A command that runs on a node. What it did is an `Entry`, if the scenario asked."""

    node: str
    argv: Sequence[str]


# --- what the scenarios do ------------------------------------------------------------------------


@dataclass(frozen=True)
class RunBegan:
    """All scenarios are read, and so many are to run."""

    scenarios: int


@dataclass(frozen=True)
class ScenarioBegan:
    """A scenario has begun; with several pairs another one may run beside it."""

    nodeid: str


@dataclass(frozen=True)
class PartBegan:
    """Its set-up, itself or its clean-up begins, in the process that has the pair."""

    nodeid: str
    part: str


@dataclass(frozen=True)
class PartOver:
    """That part is over."""

    nodeid: str


@dataclass(frozen=True)
class Reported:
    """pytest's report of a set-up, a call or a teardown: each scenario has three."""

    nodeid: str
    when: str
    test: str
    """What the scenario is called in every run."""
    category: str
    """Under which pytest counts it."""
    word: str
    """Its verdict, as a person reads it; "" where there is nothing to say."""
    colour: Mapping[str, bool]
    seconds: float
    """From the scenario's beginning, on the host's clock."""
    reason: str
    """Why it was left out, did not run, met a gap or is expected to fail."""
    claim: int | None = None
    docstring: str = ""
    gaps: tuple[str, ...] = ()
    not_run: str | None = None
    noted: tuple[tuple[str, str], ...] = ()
    spent: Spent | None = None
    archive: str | None = None
    """Its evidence, packed."""


@dataclass(frozen=True)
class ScenarioOver:
    """All of a scenario is over."""

    nodeid: str


@dataclass(frozen=True)
class RunEnded:
    """The run is over: what ended it early, and what broke besides."""

    why: str
    """ "" where nothing ended it early; else "interrupted", "the lab broke" and so on."""
    message: str
    troubles: tuple[str, ...]
    ran: int
    selected: int
    known_bugs: tuple[str, ...] = field(default=())
    """What to say of entries that have to be looked at again."""

    def lines(self) -> Iterator[str]:
        """What a person has to know of the end, after the verdicts."""
        if self.why:
            ran = f"{self.ran} of {self.selected}" if self.selected else "nothing"
            yield f"{self.why}: {ran} ran"
            if self.message:
                yield self.message
        yield from self.troubles


Event = (
    Stage
    | Replaced
    | PrimaryKnown
    | Doing
    | Over
    | Waited
    | Entry
    | RunBegan
    | ScenarioBegan
    | PartBegan
    | PartOver
    | Reported
    | ScenarioOver
    | RunEnded
)


class Sink(ABC):
    """One way of telling what happens in a run."""

    @abstractmethod
    def tell(self, event: Event) -> None:
        """Take an event, from any thread, and pass over what it does not tell.

        What it raises ends what told it: a sink that cannot write keeps that to itself.
        """


class Sinks(Sink):
    """All that are told, in their order."""

    def __init__(self, *sinks: Sink) -> None:
        self._sinks = sinks

    def add(self, sink: Sink) -> None:
        """Tell this one too, from now on, after the others."""
        self._sinks = (*self._sinks, sink)

    @contextlib.contextmanager
    def also(self, sink: Sink) -> Iterator[None]:
        """Tell this one too while the block runs."""
        self.add(sink)
        try:
            yield
        finally:
            self._sinks = tuple(each for each in self._sinks if each is not sink)

    def tell(self, event: Event) -> None:
        """Tell each of them."""
        for sink in self._sinks:
            sink.tell(event)


class Lines(Sink):
    """Tells how far the lab has come, a line each."""

    def __init__(self, say: Callable[[str], None]) -> None:
        """`say` gets each line."""
        self._say = say

    def tell(self, event: Event) -> None:
        """Say the stages."""
        match event:
            case Stage(text=text) | Replaced(text=text):
                self._say(text)
