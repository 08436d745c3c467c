"""Samples of a resync: a small loop on the node, which the node's own clock times.

The loop writes the answer of `hastctl list` into one file a sample, so that a sample costs the node
one program (and a sleep), no connection, and nothing for a time stamp: that is the file's mtime, in
microseconds (`vfs.timestamp_precision`, 2 on 13.2). They are fetched in one go at the end, over the
node's one connection. The loop ends by itself after a while, should nobody be left to end it.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from harness.errors import UnrecognisedOutput
from harness.freebsd import hast
from harness.node import Node
from harness.pair import Pair

_FOLDER = "/var/run/skunk-samples"

_LOOP = r"""
rm -rf "$1"; mkdir -p "$1"; touch "$1/on"
(
    i=100000; last=$((i + $3))
    while [ -e "$1/on" ] && [ "$i" -lt "$last" ]; do
        hastctl list "$4" > "$1/sample-$i"
        i=$((i + 1))
        sleep "$2"
    done
) </dev/null >/dev/null 2>&1 &
"""
"""sh(1): folder, seconds between two samples, most samples, resource."""

_FETCH = r"""
rm -f "$1/on"
cd "$1"
for sample in sample-*; do
    echo "=== $(stat -f %.6Fm "$sample")"
    cat "$sample"
done
"""

_LONGEST = 6 * 3600.0
"""Seconds after which the loop ends by itself."""


@dataclass(frozen=True)
class Look:
    """One sample: the node's own time, in seconds since 1970, and what `hastctl list` said."""

    at: float
    info: hast.ResourceInfo


@dataclass
class Sampler:
    """A loop that runs on a node; `looks` are there once it has ended."""

    node: Node
    every: float
    looks: list[Look] = field(default_factory=list)


@contextlib.contextmanager
def sampling(pair: Pair, node: Node, every: float) -> Iterator[Sampler]:
    """Sample the resource on the node every `every` seconds (and what a sample takes) in the block.

    Raises `UnrecognisedOutput` on leaving when the samples cannot be read.
    """
    sampler = Sampler(node, every)
    most = max(1, round(_LONGEST / every))
    node.ask(
        *("/bin/sh", "-c", _LOOP, "sh", _FOLDER, f"{every:g}", str(most), pair.resource)
    ).check()
    try:
        yield sampler
    finally:
        fetched = node.ask("/bin/sh", "-c", _FETCH, "sh", _FOLDER, within=300).check().stdout
    sampler.looks = parse_samples(fetched, pair.resource)


def parse_samples(text: str, resource: str) -> list[Look]:
    """Read what the loop wrote. A last sample that was being written is left out."""
    parts = re.split(r"^=== ([0-9]+\.[0-9]{6})$\n", text, flags=re.MULTILINE)[1:]
    times, answers = parts[::2], parts[1::2]
    looks = []
    for index, (time, answer) in enumerate(zip(times, answers, strict=True)):
        try:
            looks.append(Look(float(time), hast.parse_list(answer).resource(resource)))
        except UnrecognisedOutput:
            if index < len(times) - 1:
                raise
    return looks
