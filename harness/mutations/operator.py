"""An operator who does something else than the scenario says: in any lab, real FreeBSD too."""

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

_DAMAGED_AT = 150 << 20
"""Bytes of the data: in the smallest data area that a scenario has, and used by nobody else."""


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
            sector = (pair.metadata(secondary).localoff + _DAMAGED_AT) // 512
            secondary.run(
                *("dd", "if=/dev/random", f"of={pair.info(secondary).localpath}"),
                *("bs=512", "count=8", f"seek={sector}", "conv=notrunc"),
            )

        return damage

    around(patch, f"{_PAIR}.wait_until_in_sync", make)


@mutation(
    "nobody waits for the end of a resync: connected is taken for in sync",
    LOST + "|dirty|in sync",
    of_model=False,
)
def nobody_waits_for_the_resync(patch: pytest.MonkeyPatch) -> None:
    """`complete` is all that is looked at."""

    def wait(pair: Pair, primary: Node) -> None:
        pair.wait_until_complete(primary)

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
    r"both primary|Role\.|has_device|to say complete|[Ss]plit-?[Bb]rain",
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
    r"suspended pool|SUSPENDED|cannot import|Health\.|did not end|switch itself off|to answer",
    of_model=False,
)
def pool_is_not_exported(patch: pytest.MonkeyPatch) -> None:
    """It loses its device while it is imported."""
    replace(patch, f"{_PAIR}.export_pool", nothing)


@mutation(
    "the node that came back is left without a role",
    r"to say complete|to be in sync|Role\.|replicas differ|cannot import|unpack",
    of_model=False,
)
def nobody_rejoins(patch: pytest.MonkeyPatch) -> None:
    """`role secondary` and the wait for the resync are forgotten."""
    replace(patch, f"{_PAIR}.rejoin", nothing)
