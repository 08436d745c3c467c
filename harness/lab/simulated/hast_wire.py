"""What two hastd tell each other: the messages of the HAST protocol, version 2."""

from __future__ import annotations

from dataclasses import dataclass, field

from harness.lab.simulated.disk import Blocks, Op

HEADER = 128
"""Bytes of a message without data, about."""


@dataclass(frozen=True)
class Greeting:
    """The first step: a primary asks for a resource."""

    resource: str


@dataclass(frozen=True)
class Welcome:
    """The answer to the first step: a token that the second connection has to show."""

    token: int


@dataclass(frozen=True)
class Refusal:
    """An error instead of an answer. `wait` asks the other to try again in a second."""

    text: str
    wait: bool = False


@dataclass(frozen=True)
class Accepted:
    """The answer to the second step, with the secondary's counters and its map (or None)."""

    datasize: int
    extentsize: int
    localcnt: int
    remotecnt: int
    source: str
    virgin: bool
    map: int | None


@dataclass(frozen=True)
class Keepalive:
    """Says that the primary is still there."""


@dataclass
class Request:
    """A request of a primary. Block numbers are those of the resource."""

    op: Op
    seq: int
    offset: int
    length: int
    blocks: Blocks = field(default_factory=dict)
    memsync: bool = False
    """Whether an answer is wanted already when the data have been received."""


@dataclass
class Reply:
    """A secondary's answer to a request. `received` is the early one of memsync."""

    seq: int
    received: bool = False
    error: str | None = None
    blocks: Blocks = field(default_factory=dict)


def data_size(length: int, blocks: Blocks, compression: str) -> int:
    """Bytes that a message with these data has on the wire: zeros alone travel as a header."""
    return HEADER if not blocks and compression != "none" else HEADER + length
