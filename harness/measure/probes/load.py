"""A foreground load: somebody who writes to the primary while something else is measured."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

from harness.cluster.node import Node
from harness.cluster.pair import Pair
from harness.waiting import clock

_FOLDER = "/var/run/skunk-load"
_BLOCK = 64 << 10

_WRITER = r"""
rm -rf "$1"; mkdir -p "$1"; touch "$1/on"; echo 0 > "$1/written"
dd if=/dev/random of="$1/data" bs=64k count=8 2>/dev/null
(
    i=0
    while [ -e "$1/on" ] && [ "$i" -lt 1000000 ]; do
        dd if="$1/data" of="$2" bs=64k count=8 seek=$((i * 40 % $3)) 2>/dev/null || exit
        i=$((i + 1))
        echo "$i" > "$1/written"
    done
) </dev/null >/dev/null 2>&1 &
"""
"""sh(1): folder, device, its size in blocks of 64 KiB.

512 KiB at a time, 2.5 MiB apart: nearly each of them in an extent of its own.
"""

_AT_A_TIME = 8 * _BLOCK


@dataclass
class Load:
    """Writes that go on; `bytes_per_s` is what was written since they began."""

    node: Node
    since: float

    def bytes_per_s(self) -> float:
        """The mean rate so far."""
        times = int(self.node.run("cat", f"{_FOLDER}/written").stdout)
        return times * _AT_A_TIME / (clock.current().monotonic() - self.since)


@contextlib.contextmanager
def writing(pair: Pair) -> Iterator[Load]:
    """Write random data all over the primary's device while the block runs, write after write."""
    primary = pair.skunk1
    blocks = pair.metadata(primary).datasize // _BLOCK - 8
    primary.ask(
        "/bin/sh", "-c", _WRITER, "sh", _FOLDER, pair.device, str(blocks), within=30
    ).check()
    try:
        yield Load(primary, clock.current().monotonic())
    finally:
        primary.ask("rm", "-f", f"{_FOLDER}/on")
