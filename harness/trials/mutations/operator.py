"""An operator who does something else than the scenario says: mostly in any lab."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.cluster.node import Node
from harness.cluster.pair import Pair
from harness.lab.simulated.hast.replication.sync import SyncThread
from harness.trials.mutations.mutation import mutation, nothing
from harness.trials.mutations.replication import LOST

if TYPE_CHECKING:
    import pytest

_DAMAGED_AT = 5 / 8
"""Of the data area: where no scenario writes by itself."""


@mutation(
    "one block of the secondary's own disk is overwritten, behind hastd, whenever it is in sync",
    r"replicas differ",
    of_model=False,
)
def one_block_is_corrupted(patch: pytest.MonkeyPatch) -> None:
    """With dd(1), on the provider itself."""
    wait = Pair.wait_until_in_sync

    def damage(pair: Pair, primary: Node) -> None:
        wait(pair, primary)
        secondary = pair.peer(primary)
        metadata = pair.metadata(secondary)
        sector = (metadata.localoff >> 9) + int(metadata.datasize * _DAMAGED_AT) // 4096 * 8
        secondary.run(
            *("dd", "if=/dev/random", f"of={pair.info(secondary).localpath}"),
            *("bs=512", "count=8", f"seek={sector}", "conv=notrunc"),
        )

    patch.setattr(Pair, "wait_until_in_sync", damage)


@mutation(
    "a resync takes a second for each MiB, and nobody waits for its end: connected is enough",
    LOST + "|dirty|in sync",
)
def nobody_waits_for_the_resync(patch: pytest.MonkeyPatch) -> None:
    """`complete` is all that is looked at. As fast as the model is, that would be soon enough."""
    begin = SyncThread._begin

    def begin_late(thread: SyncThread) -> None:
        thread._worker.later(1.0, begin, thread)

    patch.setattr(SyncThread, "_begin", begin_late)
    patch.setattr(Pair, "wait_until_in_sync", Pair.wait_until_complete)


@mutation(
    "the node with the good data is created anew, and not the one that is to lose",
    LOST + r"|to say complete|to be in sync|assert",
    of_model=False,
)
def the_winner_is_discarded(patch: pytest.MonkeyPatch) -> None:
    """The wrong recovery from a split-brain."""
    discard = Pair.discard

    def discard_other(pair: Pair, node: Node) -> None:
        discard(pair, pair.peer(node))

    patch.setattr(Pair, "discard", discard_other)


@mutation(
    "the old primary is not demoted: both are primary",
    r"both primary|and not \w+|has_device|to say complete|[Ss]plit-?[Bb]rain",
    of_model=False,
)
def both_are_primary(patch: pytest.MonkeyPatch) -> None:
    """`hastctl role secondary` is forgotten where the node is primary."""
    demote = Pair.demote

    def forget(pair: Pair, node: Node) -> None:
        if not pair.has_device(node):
            demote(pair, node)

    patch.setattr(Pair, "demote", forget)


@mutation(
    "the pool is not exported before its node is demoted",
    r"suspended pool|SUSPENDED|cannot import|and not \w+|did not end|switch itself off|to answer",
    of_model=False,
)
def pool_is_not_exported(patch: pytest.MonkeyPatch) -> None:
    """It loses its device while it is imported."""
    patch.setattr(Pair, "export_pool", nothing)


@mutation(
    "the node that came back is left without a role",
    r"to say complete|to be in sync|and not \w+|replicas differ|cannot import|unpack",
    of_model=False,
)
def nobody_rejoins(patch: pytest.MonkeyPatch) -> None:
    """`role secondary` and the wait for the resync are forgotten."""
    patch.setattr(Pair, "rejoin", nothing)
