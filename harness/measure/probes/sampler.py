"""Samples of a resync: a small loop on each node, which the node's own clock times.

A loop writes each answer into a file of its own, so that a sample costs a node the programs that it
asks (and a sleep), no connection, and nothing for a time stamp: that is the file's mtime, in
microseconds (`vfs.timestamp_precision`, 2 on 13.2). They are fetched in one go at the end, over the
node's one connection. A loop ends when its folder is gone, which it sees after its sleep: the next
one may have begun by then, so each has a folder of its own. It ends by itself after a while, should
nobody be left to end it.

The primary's asks `hastctl list` each time, and every tenth time for the counters of processor,
disk and link; the secondary's asks for its counters at those times only.
"""

from __future__ import annotations

import contextlib
import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field

from harness.cluster.node import Node
from harness.cluster.pair import Pair
from harness.errors import ClaimFailed, CommandTimedOut, NodeUnreachable, UnrecognisedOutput
from harness.freebsd.hast import hastctl as hast
from harness.measure.probes import counters
from harness.measure.probes.counters import Counters
from harness.waiting.parallel import on_each

_FOLDER = "/var/run/skunk-samples-{}"

COUNTERS_EVERY = 10
"""Looks at dirty bytes for one at the counters, which costs three times as much."""

_COUNTERS = counters.COUNTERS.format(disk="$6", nic="$7")

_LOOP = rf"""
mkdir "$1" || exit
(
    i=100000; last=$((i + $3))
    while [ -d "$1" ] && [ "$i" -lt "$last" ]; do
        if [ -n "$4" ]; then hastctl list "$4" > "$1/sample-$i"; fi
        if [ $((i % $5)) -eq 0 ]; then
            {{ {_COUNTERS}; }} > "$1/use-$i"
        fi
        i=$((i + 1))
        sleep "$2"
    done
) </dev/null >/dev/null 2>&1 &
"""
"""sh(1): folder, seconds between two samples, most samples, resource (empty: only counters), how
many samples for one of the counters, data disk, NIC."""

_FETCH = r"""
mv "$1" "$1-ended" && cd "$1-ended" || exit
for sample in sample-* use-*; do
    [ -e "$sample" ] || continue
    echo "=== ${sample%-*} $(stat -f %.6Fm "$sample")"
    cat "$sample"
done
cd / && rm -rf "$1-ended"
"""

_LONGEST = 6 * 3600.0
"""Seconds after which a loop ends by itself."""


@dataclass(frozen=True)
class Look:
    """One sample: the node's own time, in seconds since 1970, and what `hastctl list` said."""

    at: float
    info: hast.ResourceInfo


@dataclass(frozen=True)
class Use:
    """A node's counters at one moment of its own time."""

    at: float
    counters: Counters


@dataclass(frozen=True)
class Watched:
    """What is counted on a node: its data disk and its private NIC, without /dev/."""

    disk: str
    nic: str


@dataclass
class Sampler:
    """Loops that run on both nodes; what they saw is here once they have ended.

    `looks` are the primary's, `uses` those of skunk1 and of skunk2.
    """

    looks: list[Look] = field(default_factory=list)
    uses: tuple[list[Use], list[Use]] = field(default_factory=lambda: ([], []))


@contextlib.contextmanager
def sampling(
    pair: Pair, primary: Node, every: float, watched: tuple[Watched, Watched]
) -> Iterator[Sampler]:
    """Sample the resource on the primary every `every` seconds (and what a sample takes).

    `watched` is what to count on skunk1 and skunk2. Raises `UnrecognisedOutput` on leaving when the
    samples cannot be read.
    """
    sampler = Sampler()
    most = max(1, round(_LONGEST / every))
    both = list(zip(pair.nodes, watched, strict=True))
    folder = _FOLDER.format(secrets.token_hex(4))

    def start(node_and_watched: tuple[Node, Watched]) -> None:
        node, what = node_and_watched
        first = node is primary
        arguments = (
            f"{every if first else every * COUNTERS_EVERY:g}",
            str(most),
            pair.resource if first else "",
            str(COUNTERS_EVERY if first else 1),
            what.disk,
            what.nic,
        )
        node.ask("/bin/sh", "-c", _LOOP, "sh", folder, *arguments).check()

    def fetch(node_and_watched: tuple[Node, Watched]) -> tuple[list[Look], list[Use]]:
        node, what = node_and_watched
        try:
            said = node.ask("/bin/sh", "-c", _FETCH, "sh", folder, within=120).check().stdout
        except (NodeUnreachable, CommandTimedOut):
            return [], []  # the node died in the block, which its result will say
        return parse_samples(said, pair.resource, what)

    on_each(both, start)
    try:
        yield sampler
    finally:
        (looks1, uses1), (looks2, uses2) = on_each(both, fetch)
    sampler.looks = looks1 or looks2
    sampler.uses = uses1, uses2


def parse_samples(text: str, resource: str, watched: Watched) -> tuple[list[Look], list[Use]]:
    """Read what a loop wrote. The last of each kind that was being written is left out."""
    parts = re.split(r"^=== (sample|use) ([0-9]+\.[0-9]{6})$\n", text, flags=re.MULTILINE)[1:]
    looks: list[Look] = []
    uses: list[Use] = []
    answers = list(zip(parts[::3], parts[1::3], parts[2::3], strict=True))
    for index, (kind, time, answer) in enumerate(answers):
        last = index == len(answers) - 1 or answers[index + 1][0] != kind
        with contextlib.ExitStack() as stack:
            if last:
                stack.enter_context(contextlib.suppress(UnrecognisedOutput, ClaimFailed))
            if kind == "sample":
                looks.append(Look(float(time), hast.parse_list(answer).resource(resource)))
            else:
                uses.append(Use(float(time), counters.parse(answer, watched.disk, watched.nic)))
    return looks, uses
