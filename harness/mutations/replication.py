"""hastd replicates wrongly: what is sent, stored, counted and resynchronised (the model)."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from harness.mutations.mutation import around, mutation, nothing, replace

if TYPE_CHECKING:
    import pytest

_HASTD = "harness.lab.simulated.hastd"

LOST = (
    r"replicas differ|the files in .* are not those|lost, although|changed, although"
    r"|cannot import|assert 2 == 1|the partitions of /dev/hast|Invalid fstype"
)
"""What a scenario says that misses data on the secondary."""


@mutation(
    "a resync copies nothing, and says that it is complete",
    LOST,
)
def resync_copies_nothing(patch: pytest.MonkeyPatch) -> None:
    """The chunks are counted and not sent."""

    def begin(thread: Any) -> None:
        start, end = thread.range
        thread._synced += end - start
        thread._worker.later(0.001, thread._chunk_done)

    replace(patch, f"{_HASTD}_sync:SyncThread._begin", begin)


@mutation("a resync never ends", r"to be in sync|resync|hooks on|not in sync")
def resync_never_ends(patch: pytest.MonkeyPatch) -> None:
    """It sleeps for an hour before the first chunk."""

    def begin(thread: Any) -> None:
        thread.range = None
        thread._worker.later(3600.0, thread._next)

    replace(patch, f"{_HASTD}_sync:SyncThread._begin", begin)


@mutation("the secondary drops every fifth write that it acknowledges", LOST)
def secondary_drops_writes(patch: pytest.MonkeyPatch) -> None:
    """It reads from the disk instead."""
    from harness.lab.simulated.disk import Op  # noqa: PLC0415 - the model, where it is wanted

    def make(submit: Callable[..., Any]) -> Any:
        def drop(worker: Any, request: Any) -> None:
            worker.mutated = getattr(worker, "mutated", 0) + (request.op is Op.WRITE)
            if request.op is Op.WRITE and worker.mutated % 5 == 0:
                request = dataclasses.replace(request, op=Op.READ)
            submit(worker, request)

        return drop

    around(patch, f"{_HASTD}_secondary:Secondary._submit", make)


@mutation("the secondary stores one wrong block in every seventh write", LOST + "|checksum")
def secondary_stores_wrong_blocks(patch: pytest.MonkeyPatch) -> None:
    """The first block of the request is another one."""
    from harness.lab.simulated.disk import Content, Op  # noqa: PLC0415

    def make(submit: Callable[..., Any]) -> Any:
        def damage(worker: Any, request: Any) -> None:
            if request.op is Op.WRITE and request.blocks:
                worker.mutated = getattr(worker, "mutated", 0) + 1
                if worker.mutated % 7 == 0:
                    first = min(request.blocks)
                    wrong = {**request.blocks, first: Content(f"damaged {first}")}
                    request = dataclasses.replace(request, blocks=wrong)
            submit(worker, request)

        return damage

    around(patch, f"{_HASTD}_secondary:Secondary._submit", make)


@mutation("the secondary acknowledges a write 20 s before it is on its disk", LOST)
def secondary_acknowledges_too_early(patch: pytest.MonkeyPatch) -> None:
    """When its worker ends before, the write is lost."""
    from harness.lab.simulated.disk import Op  # noqa: PLC0415
    from harness.lab.simulated.hast_metadata import DATA  # noqa: PLC0415
    from harness.lab.simulated.hast_wire import Reply  # noqa: PLC0415

    def store(worker: Any, request: Any) -> None:
        blocks = {at + DATA: content for at, content in request.blocks.items()}
        first, count = request.offset // 4096 + DATA, request.length // 4096
        worker.device.disk.write(first, count, blocks)

    def make(submit: Callable[..., Any]) -> Any:
        def acknowledge(worker: Any, request: Any) -> None:
            if request.op is not Op.WRITE:
                submit(worker, request)
                return
            worker.busy -= 1
            worker.outgoing.send(Reply(request.seq))
            worker.later(20.0, worker.store, request)

        return acknowledge

    around(patch, f"{_HASTD}_secondary:Secondary._submit", make)
    from harness.lab.simulated.hastd_secondary import Secondary  # noqa: PLC0415

    patch.setattr(Secondary, "store", store, raising=False)


@mutation("what is written while degraded is not noted as dirty", LOST + "|dirty")
def degraded_writes_are_forgotten(patch: pytest.MonkeyPatch) -> None:
    """The resync does not know of it."""

    def need_sync(*_: object) -> bool:
        return False

    replace(patch, "harness.lab.simulated.hast_activemap:ActiveMap.need_sync", need_sync)


@mutation("the map of dirty extents never reaches the disk", LOST + "|dirty")
def dirty_map_is_not_stored(patch: pytest.MonkeyPatch) -> None:
    """After a crash of the primary nobody knows what was on its way."""
    replace(patch, "harness.lab.simulated.hast_metadata:write_map", nothing)


@mutation("a pair that meets for the first time copies the whole disk", r"virgin|dirty")
def virgin_is_copied(patch: pytest.MonkeyPatch) -> None:
    """As if there were data already."""

    def make(decide: Callable[..., Any]) -> Any:
        def everything(primary: Any, resuid: int, *counters: int) -> Any:
            decision = decide(primary, resuid, *counters)
            return dataclasses.replace(decision, map="all") if resuid == 0 else decision

        return everything

    around(patch, f"{_HASTD}_secondary:decide", make)


@mutation(
    "a secondary that was created anew gets nothing",
    LOST + r"|complete is not in sync|a resync of|to resync|dirty|unpack",
)
def new_secondary_gets_nothing(patch: pytest.MonkeyPatch) -> None:
    """Its empty map is believed."""

    def make(decide: Callable[..., Any]) -> Any:
        def nothing_to_do(primary: Any, resuid: int, *counters: int) -> Any:
            decision = decide(primary, resuid, *counters)
            return dataclasses.replace(decision, map="none") if resuid == 0 else decision

        return nothing_to_do

    around(patch, f"{_HASTD}_secondary:decide", make)


@mutation("every reconnection copies the whole disk", r"dirty|MiB|synchroni[sz]|resync|\d < \d|<<")
def reconnection_copies_everything(patch: pytest.MonkeyPatch) -> None:
    """Not only what is dirty."""

    def make(decide: Callable[..., Any]) -> Any:
        def everything(*arguments: Any) -> Any:
            decision = decide(*arguments)
            wanted = decision.error is None and not decision.virgin
            return dataclasses.replace(decision, map="all") if wanted else decision

        return everything

    around(patch, f"{_HASTD}_secondary:decide", make)


@mutation("a split-brain is not noticed: the primary's data win", r"split-brain|SplitBrain")
def split_brain_goes_unnoticed(patch: pytest.MonkeyPatch) -> None:
    """The counters are not compared."""
    from harness.lab.simulated.hast_decision import SPLIT_BRAIN, Decision  # noqa: PLC0415

    def make(decide: Callable[..., Any]) -> Any:
        def primary_wins(*arguments: Any) -> Any:
            decision = decide(*arguments)
            return Decision() if decision.error == SPLIT_BRAIN else decision

        return primary_wins

    around(patch, f"{_HASTD}_secondary:decide", make)


@mutation(
    "a node that has only fallen behind is called a split-brain",
    r"to say complete|to be in sync|[Ss]plit-?[Bb]rain",
)
def fallen_behind_is_a_split_brain(patch: pytest.MonkeyPatch) -> None:
    """Any difference between the counters is taken for one."""
    from harness.lab.simulated.hast_decision import SPLIT_BRAIN, Decision  # noqa: PLC0415

    def make(decide: Callable[..., Any]) -> Any:
        def suspicious(primary: Any, resuid: int, local: int, remote: int) -> Any:
            known = resuid != 0 and resuid == primary.resuid
            if known and (local > primary.remotecnt or primary.localcnt > remote):
                log = ("error", "Split-brain detected, exiting.")
                return Decision(log=log, error=SPLIT_BRAIN)
            return decide(primary, resuid, local, remote)

        return suspicious

    around(patch, f"{_HASTD}_secondary:decide", make)


@mutation(
    "a primary that has lost its secondary never looks for it again", r"to say |to be refused"
)
def primary_never_reconnects(patch: pytest.MonkeyPatch) -> None:
    """Its guard does nothing."""
    replace(patch, f"{_HASTD}_primary:Primary._guard", nothing)


@mutation(
    "a primary without a secondary goes on saying complete",
    r"to say degraded|DEGRADED|degraded",
)
def degraded_is_called_complete(patch: pytest.MonkeyPatch) -> None:
    """Status says nothing about the connection."""
    replace(patch, f"{_HASTD}_primary:Primary.status", property(lambda _: "complete"))


@mutation(
    "hastd waits for ever for a secondary that does not answer",
    r"to say degraded|did not end within|acknowledged writes|DEGRADED",
)
def timeout_is_never_taken(patch: pytest.MonkeyPatch) -> None:
    """The timeout of a connection has no effect."""
    replace(patch, f"{_HASTD}_primary:Primary._check_receiving", nothing)


@mutation(
    "without a secondary every write hangs",
    r"acknowledged writes|did not end within|to say degraded|stopped answering",
)
def degraded_writes_hang(patch: pytest.MonkeyPatch) -> None:
    """They wait for somebody who is not there."""
    replace(patch, f"{_HASTD}_primary:Primary._not_sent", nothing)


@mutation(
    "FreeBSD's bug is fixed: a write in flight when the link is cut is resynchronised",
    r"XPASS\(strict\)",
)
def write_in_flight_is_resynchronised(patch: pytest.MonkeyPatch) -> None:
    """A strict expected failure has to say so when it passes."""
    from harness.lab.simulated.disk import Op  # noqa: PLC0415

    def make(answered: Callable[..., Any]) -> Any:
        def note(worker: Any, hio: Any) -> None:
            if hio.errors[1] is not None and hio.bio.op is Op.WRITE and not hio.sync:
                worker.amap.need_sync(hio.bio.offset, hio.bio.length)
                worker.flush_map()
            answered(worker, hio)

        return note

    around(patch, f"{_HASTD}_primary:Primary._remote_answered", make)
