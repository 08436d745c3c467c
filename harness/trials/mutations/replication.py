"""hastd replicates wrongly: what is sent, stored, counted and resynchronised (the model)."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from harness.lab.simulated.hardware.disk import Content, Op
from harness.lab.simulated.hast.replication import metadata as hast_metadata
from harness.lab.simulated.hast.replication import secondary as hastd_secondary
from harness.lab.simulated.hast.replication.activemap import ActiveMap
from harness.lab.simulated.hast.replication.decision import SPLIT_BRAIN, Decision, Hello, decide
from harness.lab.simulated.hast.replication.metadata import DATA, disk_of
from harness.lab.simulated.hast.replication.primary import Primary
from harness.lab.simulated.hast.replication.primary_state import Hio
from harness.lab.simulated.hast.replication.secondary import Secondary
from harness.lab.simulated.hast.replication.sync import SyncThread
from harness.lab.simulated.hast.replication.wire import Reply, Request
from harness.trials.mutations.mutation import mutation, nothing

if TYPE_CHECKING:
    import pytest

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

    def begin(thread: SyncThread) -> None:
        assert thread.range is not None
        start, end = thread.range
        thread._synced += end - start
        thread._worker.later(0.001, thread._chunk_done)

    patch.setattr(SyncThread, "_begin", begin)


@mutation("a resync never ends", r"to be in sync|resync|hooks on|not in sync")
def resync_never_ends(patch: pytest.MonkeyPatch) -> None:
    """It sleeps for an hour before the first chunk."""

    def begin(thread: SyncThread) -> None:
        thread.range = None
        thread._worker.later(3600.0, thread._next)

    patch.setattr(SyncThread, "_begin", begin)


@mutation("the secondary drops every fifth write that it acknowledges", LOST)
def secondary_drops_writes(patch: pytest.MonkeyPatch) -> None:
    """It reads from the disk instead."""
    submit = Secondary._submit

    def drop(worker: Any, request: Request) -> None:
        worker.mutated = getattr(worker, "mutated", 0) + (request.op is Op.WRITE)
        if request.op is Op.WRITE and worker.mutated % 5 == 0:
            request = dataclasses.replace(request, op=Op.READ)
        submit(worker, request)

    patch.setattr(Secondary, "_submit", drop)


@mutation("the secondary stores one wrong block in every seventh write", LOST + "|checksum")
def secondary_stores_wrong_blocks(patch: pytest.MonkeyPatch) -> None:
    """The first block of the request is another one."""
    submit = Secondary._submit

    def damage(worker: Any, request: Request) -> None:
        if request.op is Op.WRITE and request.blocks:
            worker.mutated = getattr(worker, "mutated", 0) + 1
            if worker.mutated % 7 == 0:
                first = min(request.blocks)
                wrong = {**request.blocks, first: Content(f"damaged {first}")}
                request = dataclasses.replace(request, blocks=wrong)
        submit(worker, request)

    patch.setattr(Secondary, "_submit", damage)


@mutation("the secondary acknowledges a write 20 s before it is on its disk", LOST)
def secondary_acknowledges_too_early(patch: pytest.MonkeyPatch) -> None:
    """When its worker ends before, the write is lost."""
    submit = Secondary._submit

    def store(worker: Secondary, request: Request) -> None:
        blocks = {at + DATA: content for at, content in request.blocks.items()}
        first, count = request.offset // 4096 + DATA, request.length // 4096
        assert worker.device is not None
        disk_of(worker.device).write(first, count, blocks)

    def acknowledge(worker: Secondary, request: Request) -> None:
        if request.op is not Op.WRITE:
            submit(worker, request)
            return
        worker.busy -= 1
        worker.outgoing.send(Reply(request.seq))
        worker.later(20.0, store, worker, request)

    patch.setattr(Secondary, "_submit", acknowledge)


@mutation("what is written while degraded is not noted as dirty", LOST + "|dirty")
def degraded_writes_are_forgotten(patch: pytest.MonkeyPatch) -> None:
    """The resync does not know of it."""

    def need_sync(*_: object) -> bool:
        return False

    patch.setattr(ActiveMap, "need_sync", need_sync)


@mutation("the map of dirty extents never reaches the disk", LOST + "|dirty")
def dirty_map_is_not_stored(patch: pytest.MonkeyPatch) -> None:
    """After a crash of the primary nobody knows what was on its way."""
    patch.setattr(hast_metadata, "write_map", nothing)


@mutation("a pair that meets for the first time copies the whole disk", r"virgin|dirty")
def virgin_is_copied(patch: pytest.MonkeyPatch) -> None:
    """As if there were data already."""

    def everything(primary: Hello, resuid: int, localcnt: int, remotecnt: int) -> Decision:
        decision = decide(primary, resuid, localcnt, remotecnt)
        return dataclasses.replace(decision, map="all") if resuid == 0 else decision

    patch.setattr(hastd_secondary, "decide", everything)


@mutation(
    "a secondary that was created anew gets nothing",
    LOST + r"|complete is not in sync|a resync of|to resync|dirty|unpack",
)
def new_secondary_gets_nothing(patch: pytest.MonkeyPatch) -> None:
    """Its empty map is believed."""

    def nothing_to_do(primary: Hello, resuid: int, localcnt: int, remotecnt: int) -> Decision:
        decision = decide(primary, resuid, localcnt, remotecnt)
        return dataclasses.replace(decision, map="none") if resuid == 0 else decision

    patch.setattr(hastd_secondary, "decide", nothing_to_do)


@mutation("every reconnection copies the whole disk", r"dirty|MiB|synchroni[sz]|resync|\d < \d|<<")
def reconnection_copies_everything(patch: pytest.MonkeyPatch) -> None:
    """Not only what is dirty."""

    def everything(primary: Hello, resuid: int, localcnt: int, remotecnt: int) -> Decision:
        decision = decide(primary, resuid, localcnt, remotecnt)
        wanted = decision.error is None and not decision.virgin
        return dataclasses.replace(decision, map="all") if wanted else decision

    patch.setattr(hastd_secondary, "decide", everything)


@mutation("a split-brain is not noticed: the primary's data win", r"split-brain|SplitBrain")
def split_brain_goes_unnoticed(patch: pytest.MonkeyPatch) -> None:
    """The counters are not compared."""

    def primary_wins(primary: Hello, resuid: int, localcnt: int, remotecnt: int) -> Decision:
        decision = decide(primary, resuid, localcnt, remotecnt)
        return Decision() if decision.error == SPLIT_BRAIN else decision

    patch.setattr(hastd_secondary, "decide", primary_wins)


@mutation(
    "a node that has only fallen behind is called a split-brain",
    r"to say complete|to be in sync|[Ss]plit-?[Bb]rain",
)
def fallen_behind_is_a_split_brain(patch: pytest.MonkeyPatch) -> None:
    """Any difference between the counters is taken for one."""

    def suspicious(primary: Hello, resuid: int, localcnt: int, remotecnt: int) -> Decision:
        known = resuid != 0 and resuid == primary.resuid
        if known and (localcnt > primary.remotecnt or primary.localcnt > remotecnt):
            log = ("error", "Split-brain detected, exiting.")
            return Decision(log=log, error=SPLIT_BRAIN)
        return decide(primary, resuid, localcnt, remotecnt)

    patch.setattr(hastd_secondary, "decide", suspicious)


@mutation(
    "a primary that has lost its secondary never looks for it again", r"to say |to be refused"
)
def primary_never_reconnects(patch: pytest.MonkeyPatch) -> None:
    """Its guard does nothing."""
    patch.setattr(Primary, "_guard", nothing)


@mutation(
    "a primary without a secondary goes on saying complete",
    r"to say degraded|DEGRADED|degraded",
)
def degraded_is_called_complete(patch: pytest.MonkeyPatch) -> None:
    """Status says nothing about the connection."""
    patch.setattr(Primary, "status", property(lambda _: "complete"))


@mutation(
    "hastd waits for ever for a secondary that does not answer",
    r"to say degraded|did not end within|acknowledged writes|DEGRADED",
)
def timeout_is_never_taken(patch: pytest.MonkeyPatch) -> None:
    """The timeout of a connection has no effect."""
    patch.setattr(Primary, "_check_receiving", nothing)


@mutation(
    "without a secondary every write hangs",
    r"acknowledged writes|did not end within|to say degraded|stopped answering",
)
def degraded_writes_hang(patch: pytest.MonkeyPatch) -> None:
    """They wait for somebody who is not there."""
    patch.setattr(Primary, "_not_sent", nothing)


@mutation(
    "FreeBSD's bug is fixed: a write in flight when the link is cut is resynchronised",
    r"XPASS\(strict\)",
)
def write_in_flight_is_resynchronised(patch: pytest.MonkeyPatch) -> None:
    """A strict expected failure has to say so when it passes."""
    answered = Primary._remote_answered

    def note(worker: Primary, hio: Hio) -> None:
        if hio.errors[1] is not None and hio.bio.op is Op.WRITE and not hio.sync:
            worker.amap.need_sync(hio.bio.offset, hio.bio.length)
            worker.flush_map()
        answered(worker, hio)

    patch.setattr(Primary, "_remote_answered", note)
