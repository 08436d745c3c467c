"""One resync, measured: how much was sent, how long it took, and the curve.

The samples give a duration of the harness's own, hastd's two log lines another: the finer of the
two is the figure, and both are kept to be held against each other. A resync that did not complete
gets a result that says so, and no figure.
"""

from __future__ import annotations

import contextlib
import itertools
import random
from collections.abc import Sequence
from datetime import datetime
from typing import cast

import numpy as np

from harness.cluster.node import Node
from harness.cluster.pair import CONNECT_SECONDS, SLOWEST_RESYNC, Pair
from harness.cluster.private_link import private_nic
from harness.errors import ClaimFailed, HarnessError, WaitExpired
from harness.freebsd.hast.hastctl import Status
from harness.freebsd.hast.log import (
    InSync,
    LogLine,
    SyncComplete,
    SyncInterrupted,
    SyncStarted,
)
from harness.measure.probes import counters, shaping
from harness.measure.probes.load import writing
from harness.measure.probes.noise import listening
from harness.measure.probes.sampler import Look, Sampler, Use, Watched, sampling
from harness.measure.result import (
    HastdSays,
    Outcome,
    Pattern,
    Resync,
    ResyncConditions,
    Sample,
    UseSample,
)
from harness.waiting import clock
from harness.waiting.parallel import on_each
from harness.waiting.wait import wait_until

STALLED_SECONDS = 60.0
"""Without a single extent synchronised: hastd's own timeout is 20 s, and it would say so."""

_LOOK_EVERY = 3.0
_FINE_ENOUGH = 0.01
"""Two samples further apart than this share of the resync tell less than hastd's own two lines."""

_EXTENT = 2 << 20
"""Bytes of an extent unless `hastctl create -e` says otherwise (hastctl(8))."""

_DIRTY = r"""
device=$1; shift
for extent; do
    dd if=/dev/random of="$device" bs=64k count=1 seek="$extent" 2>/dev/null || exit
done
"""

_FILL = 'dd if="$1" of="$2" bs=1m count="$3" 2>/dev/null; true'


Hardware = tuple[Watched, Watched]
"""What is counted on skunk1 and on skunk2."""


def find_hardware(pair: Pair) -> Hardware:
    """Ask both nodes: the disk under the resource's provider, and the NIC on the private link."""

    def find(node: Node) -> Watched:
        provider = pair.info(node).localpath
        disk = provider.removeprefix("/dev/").removesuffix(shaping.NOP)
        return Watched(disk, private_nic(node, pair.settings))

    first, second = on_each(pair.nodes, find)
    return first, second


def fill(pair: Pair, node: Node, content: str, size: int) -> None:
    """Fill the start of a node's local provider, past hastd: what a resync will have to send.

    `content` is random or zeros, `size` in bytes. HAST's metadata are lost: create them afterwards.
    """
    source = {"random": "/dev/random", "zeros": "/dev/zero"}[content]
    provider = pair.info(node).localpath
    mib = -(-size >> 20)
    node.sh(_FILL, source, provider, str(mib + 1), within=60 + size / SLOWEST_RESYNC)


def prepare(pair: Pair, content: str) -> Hardware:
    """From a provisioned pair to a primary with content and a secondary that is connected.

    The content is on the primary's disk only: HAST takes two new resources to be equal.
    """
    pair.start_hastd()
    size = (pair.settings.hast.media_mib or pair.settings.machine.data_disk_mib) << 20
    fill(pair, pair.skunk1, content, size)
    pair.create_resource()
    pair.demote(pair.skunk2)
    pair.promote(pair.skunk1)
    pair.wait_until_in_sync(pair.skunk1)
    return find_hardware(pair)


def measure(
    pair: Pair, conditions: ResyncConditions, hardware: Hardware, *, chance: int = 1
) -> Resync:
    """Let the secondary be away, as the conditions have it, bring it back, and measure its resync.

    The pair has skunk1 as primary and no pool imported. `chance` seeds the choice of random
    extents. Raises nothing of what a resync can do; a lab that breaks raises as always.
    """
    primary, secondary = pair.nodes
    _take_away(pair, conditions, chance)
    before = pair.hastd_log(primary)
    taken = clock.current().utc()
    why, failed = "", False
    sampler = Sampler()
    written: float | None = None
    with listening() as meter:
        uses = _look_at_counters(pair, hardware)
        with contextlib.ExitStack() as stack:
            if conditions.sampling_s is not None:
                sampler = stack.enter_context(
                    sampling(pair, primary, conditions.sampling_s, hardware)
                )
            load = stack.enter_context(writing(pair)) if conditions.load == "writes" else None
            try:
                pair.demote(secondary)
                _wait(pair, conditions, len(before))
            except (ClaimFailed, WaitExpired) as error:
                why, failed = error.what, True
            if load is not None:
                written = load.bytes_per_s()
    said = pair.hastd_log(primary)[len(before) :]
    outcome = _outcome(said, failed=failed)
    result = Resync(
        conditions=conditions,
        outcome=outcome,
        why=why or _last_words(said) if outcome is not Outcome.COMPLETE else "",
        noise=meter.noise,
        taken=taken,
    )
    if outcome is not Outcome.COMPLETE:
        return result
    later = _look_at_counters(pair, hardware)
    figures = _figures(said, sampler.looks, by_hastd=conditions.load != "none")
    return result.model_copy(
        update={
            **figures,
            "load_bytes_per_s": written,
            "primary_uses": _uses(sampler.uses[0]),
            "secondary_uses": _uses(sampler.uses[1]),
            "primary": uses[0].until(later[0]),
            "secondary": uses[1].until(later[1]),
        }
    )


def _look_at_counters(pair: Pair, hardware: Hardware) -> list[counters.Counters]:
    both = list(zip(pair.nodes, hardware, strict=True))
    return on_each(both, lambda one: counters.read(one[0], one[1].disk, one[1].nic))


def _uses(seen: Sequence[Use]) -> tuple[UseSample, ...]:
    """What a node had done at each look, since the first one."""
    return tuple(
        UseSample(at_s=round(use.at - seen[0].at, 6), use=seen[0].counters.until(use.counters))
        for use in seen[1:]
    )


def _take_away(pair: Pair, conditions: ResyncConditions, chance: int) -> None:
    """The secondary leaves, and what it will need grows: everything, or the dirty extents."""
    primary, secondary = pair.nodes
    pair.disconnect_role(secondary)
    if conditions.kind == "full":
        pair.create_resource(secondary)
        return
    # The first write finds out that the secondary is gone, and is not sent again
    # (docs/findings.md): the extent that it is in becomes dirty only after that.
    pair.write_device(primary, 0)
    pair.wait_until_degraded(primary)
    extent = (pair.settings.hast.extent_kib or _EXTENT >> 10) << 10
    extents = choose_extents(conditions, extent, chance)
    blocks = [str(number * extent >> 16) for number in extents]
    for start in range(0, len(blocks), 500):
        chunk = blocks[start : start + 500]
        primary.sh(_DIRTY, pair.device, *chunk, within=60 + len(chunk))


def choose_extents(conditions: ResyncConditions, extent: int, chance: int) -> list[int]:
    """The numbers of the extents to make dirty, ascending: a run of them, or any by chance."""
    count = max(1, round(conditions.size_bytes / extent))
    there = conditions.data_bytes // extent
    if count > there:
        raise HarnessError(
            f"{count} dirty extents do not fit into {there}",
            advice="measure less, or give the pair larger data disks (lab.yaml)",
        )
    if conditions.pattern is Pattern.SEQUENTIAL:
        return list(range(count))
    return sorted(random.Random(chance).sample(range(there), count))  # noqa: S311 - no secret


def _wait(pair: Pair, conditions: ResyncConditions, lines: int) -> None:
    """Wait for the resync's end. Raises `WaitExpired` or `ClaimFailed` if there is none."""
    primary = pair.skunk1

    def said() -> tuple[LogLine, ...]:
        return pair.hastd_log(primary)[lines:]

    wait_until(
        "the resync to start",
        said,
        CONNECT_SECONDS,
        accept=lambda lines: _has(lines, SyncStarted, InSync),
    )
    moved = clock.current().monotonic()
    least = conditions.size_bytes + 1
    deadline = 60 + 2 * conditions.size_bytes / SLOWEST_RESYNC

    def ended() -> bool:
        nonlocal moved, least
        if _has(said(), SyncComplete, SyncInterrupted, InSync):
            return True
        info = pair.info(primary)
        if info.dirty < least:
            least, moved = info.dirty, clock.current().monotonic()
        standing = clock.current().monotonic() - moved
        if standing > STALLED_SECONDS:
            raise ClaimFailed(
                f"for {standing:.0f} s nothing was synchronised: {info.dirty} bytes dirty, "
                f"status {info.status}",
                node=primary.name,
            )
        return False

    wait_until("the resync to end", ended, deadline, every=_LOOK_EVERY)


def _has(lines: Sequence[LogLine], *kinds: type) -> bool:
    return any(isinstance(line.event, kinds) for line in lines)


def _outcome(said: Sequence[LogLine], *, failed: bool) -> Outcome:
    if _has(said, SyncInterrupted):
        return Outcome.INTERRUPTED
    if not _has(said, SyncStarted):
        return Outcome.NEVER_STARTED
    if failed or not _has(said, SyncComplete):
        return Outcome.STALLED
    return Outcome.COMPLETE


def _last_words(said: Sequence[LogLine]) -> str:
    return said[-1].message if said else "hastd said nothing"


def _figures(
    said: Sequence[LogLine], looks: Sequence[Look], *, by_hastd: bool
) -> dict[str, object]:
    """The figures of a complete resync, as fields of `Resync`."""
    started = next(line for line in said if isinstance(line.event, SyncStarted))
    complete = next(line for line in said if isinstance(line.event, SyncComplete))
    words = cast(SyncComplete, complete.event)
    hastd = HastdSays(
        about_bytes=words.about_bytes,
        about_bytes_per_s=words.about_rate,
        seconds_s=_stamp(complete) - _stamp(started),
    )
    busy = busy_looks(looks) or []
    by_hastd = by_hastd or not _are_fine(busy)
    if by_hastd:
        seconds, size = hastd.seconds_s, words.about_bytes
    else:
        seconds, size = busy[-1].at - busy[0].at, busy[0].info.dirty
    return {
        "bytes": size,
        "seconds_s": seconds,
        "rate_bytes_per_s": size / seconds if seconds else None,
        "by_hastd": by_hastd,
        "percentile_rates_bytes_per_s": percentile_rates(busy),
        "samples": tuple(
            Sample(
                at_s=round(look.at - busy[0].at, 6),
                dirty_bytes=look.info.dirty,
                status=str(look.info.status),
            )
            for look in busy
        ),
        "hastd": hastd,
    }


def busy_looks(looks: Sequence[Look]) -> list[Look] | None:
    """The looks from the first with something left to send to the first with nothing left.

    None when there are fewer than two, which say nothing.
    """
    connected = [
        index
        for index, look in enumerate(looks)
        if look.info.dirty and look.info.status is Status.COMPLETE
    ]
    if not connected:
        return None
    after = connected[-1] + 1
    busy = list(looks[connected[0] : after + 1])
    return busy if len(busy) >= 2 else None


def _are_fine(busy: Sequence[Look]) -> bool:
    """Whether the samples are close enough together to time the resync by them."""
    gaps = [other.at - one.at for one, other in itertools.pairwise(busy)]
    return bool(gaps) and max(gaps) <= _FINE_ENOUGH * sum(gaps)


def percentile_rates(busy: Sequence[Look]) -> dict[str, float]:
    """The 10th, 50th and 90th percentile of the rates between two looks, in bytes a second."""
    rates = [
        (one.info.dirty - other.info.dirty) / (other.at - one.at)
        for one, other in itertools.pairwise(busy)
        if other.at > one.at
    ]
    if not rates:
        return {}
    return {str(percent): float(np.percentile(rates, percent)) for percent in (10, 50, 90)}


def _stamp(line: LogLine) -> float:
    assert line.stamp is not None, "syslogd stamps every line (provision/provision-node.sh)"
    return datetime.fromisoformat(line.stamp).timestamp()
