"""An operator who does something else than the scenario says: mostly in any lab."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from harness.mutations.mutation import around, mutation, nothing, replace
from harness.mutations.replication import LOST

if TYPE_CHECKING:
    import pytest

    from harness.node import Node
    from harness.pair import Pair

_PAIR = "harness.pair:Pair"

_DAMAGED_AT = 5 / 8
"""Of the data area: where no scenario writes by itself."""


@mutation(
    "one block of the secondary's own disk is overwritten, behind hastd, whenever it is in sync",
    r"replicas differ",
    of_model=False,
)
def one_block_is_corrupted(patch: pytest.MonkeyPatch) -> None:
    """With dd(1), on the provider itself."""

    def make(wait: Callable[..., None]) -> Any:
        def damage(pair: Pair, primary: Node) -> None:
            wait(pair, primary)
            secondary = pair.peer(primary)
            metadata = pair.metadata(secondary)
            sector = (metadata.localoff >> 9) + int(metadata.datasize * _DAMAGED_AT) // 4096 * 8
            secondary.run(
                *("dd", "if=/dev/random", f"of={pair.info(secondary).localpath}"),
                *("bs=512", "count=8", f"seek={sector}", "conv=notrunc"),
            )

        return damage

    around(patch, f"{_PAIR}.wait_until_in_sync", make)


@mutation(
    "a resync takes a second for each MiB, and nobody waits for its end: connected is enough",
    LOST + "|dirty|in sync",
)
def nobody_waits_for_the_resync(patch: pytest.MonkeyPatch) -> None:
    """`complete` is all that is looked at. As fast as the model is, that would be soon enough."""
    from harness.lab.simulated.hastd_sync import SyncThread  # noqa: PLC0415 - the model

    def wait(pair: Pair, primary: Node) -> None:
        pair.wait_until_complete(primary)

    def make(begin: Callable[..., None]) -> Any:
        patch.setattr(SyncThread, "begin_late", begin, raising=False)

        def late(thread: Any) -> None:
            thread._worker.later(1.0, thread.begin_late)

        return late

    around(patch, "harness.lab.simulated.hastd_sync:SyncThread._begin", make)
    replace(patch, f"{_PAIR}.wait_until_in_sync", wait)


@mutation(
    "the node with the good data is created anew, and not the one that is to lose",
    LOST + r"|to say complete|to be in sync|assert",
    of_model=False,
)
def the_winner_is_discarded(patch: pytest.MonkeyPatch) -> None:
    """The wrong recovery from a split-brain."""

    def make(discard: Callable[..., None]) -> Any:
        def discard_other(pair: Pair, node: Node) -> None:
            discard(pair, pair.peer(node))

        return discard_other

    around(patch, f"{_PAIR}.discard", make)


@mutation(
    "the old primary is not demoted: both are primary",
    r"both primary|and not \w+|has_device|to say complete|[Ss]plit-?[Bb]rain",
    of_model=False,
)
def both_are_primary(patch: pytest.MonkeyPatch) -> None:
    """`hastctl role secondary` is forgotten where the node is primary."""

    def make(demote: Callable[..., None]) -> Any:
        def forget(pair: Pair, node: Node) -> None:
            if not pair.has_device(node):
                demote(pair, node)

        return forget

    around(patch, f"{_PAIR}.demote", make)


@mutation(
    "the pool is not exported before its node is demoted",
    r"suspended pool|SUSPENDED|cannot import|and not \w+|did not end|switch itself off|to answer",
    of_model=False,
)
def pool_is_not_exported(patch: pytest.MonkeyPatch) -> None:
    """It loses its device while it is imported."""
    replace(patch, f"{_PAIR}.export_pool", nothing)


@mutation(
    "the node that came back is left without a role",
    r"to say complete|to be in sync|and not \w+|replicas differ|cannot import|unpack",
    of_model=False,
)
def nobody_rejoins(patch: pytest.MonkeyPatch) -> None:
    """`role secondary` and the wait for the resync are forgotten."""
    replace(patch, f"{_PAIR}.rejoin", nothing)
