"""One failover, timed from the fault to the first acknowledged write on the other node.

All moments are the harness's, over SSH: each is late by a command's round trip, which is measured
just before.
"""

from __future__ import annotations

from statistics import median
from typing import Literal

from harness.cluster.node import Node
from harness.cluster.pair import CONNECT_SECONDS, Pair
from harness.measure.probes.noise import listening
from harness.measure.result import NOTICED, Event, Failover
from harness.waiting import clock
from harness.waiting.wait import wait_until

Kind = Literal["planned", "power cut"]

_BLOCK = 'dd if="$1" of=/dev/null bs=64k count=1'
_WRITE = 'echo written > "$1/after-the-failover" && fsync "$1/after-the-failover"'


_COMMANDS = 5
"""How often the command that does nothing is timed; the first may still have to connect."""


class _Stopwatch:
    """The moments of one failover, in seconds since it was started."""

    def __init__(self) -> None:
        self._start = clock.current().monotonic()
        self.events: list[Event] = []

    def note(self, what: str) -> None:
        """Note that something has just happened."""
        self.events.append(Event(what=what, at_s=clock.current().monotonic() - self._start))


def measure(pair: Pair, kind: Kind, *, wait_to_notice: bool = False) -> Failover:
    """Fail the pool over from skunk1 to skunk2, with a file in it, and time each step.

    `power cut`: skunk1 loses its power and stays off. skunk2 is promoted at once, as by somebody
    who saw it happen, or with `wait_to_notice` once its own hastd has noticed. Raises as the steps
    do: a failover that does not succeed has no figures.
    """
    skunk1, skunk2 = pair.nodes
    file = f"{pair.mountpoint}/before-the-failover"
    skunk1.put(file, b"written before\n" * 4096)
    skunk1.run("fsync", file)
    patience = pair.settings.hast.timeout + CONNECT_SECONDS
    taken = clock.current().utc()
    command_s = _one_command(skunk2)
    with listening() as meter:
        watch = _Stopwatch()
        if kind == "planned":
            pair.export_pool(skunk1)
            watch.note("pool exported")
            pair.demote(skunk1)
            watch.note("role secondary")
        else:
            skunk1.power_cut()
            watch.note("power cut")
            if wait_to_notice:
                wait_until("skunk2 to notice", lambda: pair.info(skunk2).status is None, patience)
                watch.note(NOTICED)
        skunk2.run("hastctl", "role", "primary", pair.resource)
        watch.note("role primary")
        wait_until(f"{pair.device} on {skunk2}", lambda: pair.has_device(skunk2), patience)
        watch.note("device there")
        skunk2.sh(_BLOCK, pair.device, within=patience)
        watch.note("device usable")
        pair.import_pool(skunk2, "-f")
        watch.note("pool imported")
        skunk2.run("cat", file)
        watch.note("first read")
        skunk2.sh(_WRITE, pair.mountpoint, within=patience)
        watch.note("first write acknowledged")
    return Failover(
        kind=kind,
        timeout_s=pair.settings.hast.timeout,
        events=tuple(watch.events),
        command_s=command_s,
        noise=meter.noise,
        taken=taken,
    )


def _one_command(node: Node) -> float:
    """Seconds from a command that does nothing to its answer, the median of some."""
    taken = []
    for _ in range(_COMMANDS):
        begun = clock.current().monotonic()
        node.run("true")
        taken.append(clock.current().monotonic() - begun)
    return median(taken)
