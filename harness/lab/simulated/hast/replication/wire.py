"""What two hastd tell each other: the messages of the HAST protocol, version 2."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field

from harness.lab.simulated.hardware.disk import Blocks, Op

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


def is_compressed(blocks: Blocks, compression: str) -> bool:
    """Whether the data are sent compressed: hole takes zeros alone, lzf what repeats as well.

    Whether data repeat is seen by zlib here.
    """
    if compression == "none" or not blocks:
        return compression != "none"
    if compression == "hole":
        return False
    if any(content.label.startswith("random ") for content in blocks.values()):
        return False
    data = b"".join(content.data for content in blocks.values())
    return len(zlib.compress(data, 1)) < len(data) * 3 // 4


def data_size(length: int, blocks: Blocks, compression: str) -> int:
    """Bytes that a message with these data has on the wire: zeros alone travel as a header."""
    return HEADER if not blocks and compression != "none" else HEADER + length


def data_fields(blocks: Blocks, compression: str, checksum: str) -> bytes:
    """What the message says of how its data are sent: fields of nv.c, each filled up with NUL."""
    fields = b""
    if is_compressed(blocks, compression):
        how = compression if blocks else "hole"  # lzf, too, looks for zeros first
        fields += b"\0compression".ljust(17, b"\0") + how.encode().ljust(8, b"\0")
    if checksum != "none":
        fields += b"\0checksum".ljust(17, b"\0") + checksum.encode().ljust(8, b"\0")
    return fields
