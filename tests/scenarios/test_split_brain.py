"""Claim 6 of the field notes: both nodes were primary and both wrote."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from harness.cluster.invariants import Holds
from harness.cluster.node import Node
from harness.cluster.pair import Pair
from harness.freebsd.hast.hastctl import Role, Status
from harness.freebsd.hast.log import SplitBrain, StartingAnyway
from harness.lab.choose import Feature
from harness.waiting.wait import wait_until
from harness.workload.files import Files

pytestmark = [pytest.mark.claim(6), pytest.mark.hast(timeout=5, media_mib=192)]


@dataclass(frozen=True)
class Torn:
    """Both nodes wrote alone after what they have in `common`.

    `keeper` is primary with the pool imported and has `kept` besides; `loser` is secondary again
    and has `lost`.
    """

    keeper: Node
    loser: Node
    common: Files
    kept: Files
    lost: Files


def partition(pair: Pair) -> Torn:
    """The link is cut, and skunk2 is promoted while skunk1 goes on."""
    skunk1, skunk2 = pair.nodes
    common = Files.write(skunk1, pair.mountpoint, seed=1)
    with skunk1.link_unplugged():
        kept = Files.write(skunk1, pair.mountpoint, seed=2)
        pair.promote(skunk2)
        pair.import_pool(skunk2, "-f")
        common.check(skunk2)
        lost = Files.write(skunk2, pair.mountpoint, seed=3)
        pair.export_pool(skunk2)
    pair.demote(skunk2)
    return Torn(skunk1, skunk2, common, kept, lost)


def frozen_primary(pair: Pair) -> Torn:
    """skunk1 freezes, skunk2 takes over; skunk1 wakes up, is still primary, and writes."""
    skunk1, skunk2 = pair.nodes
    common = Files.write(skunk1, pair.mountpoint, seed=1)
    with skunk1.paused():
        pair.promote(skunk2)
        pair.import_pool(skunk2, "-f")
        assert not pair.said(skunk2, StartingAnyway), "a frozen primary does not answer"
        kept = Files.write(skunk2, pair.mountpoint, seed=2)
    assert (pair.role(skunk1), pair.role(skunk2)) == (Role.PRIMARY, Role.PRIMARY)
    lost = Files.write(skunk1, pair.mountpoint, seed=3)
    pair.export_pool(skunk1)
    pair.demote(skunk1)
    return Torn(skunk2, skunk1, common, kept, lost)


def careless_operator(pair: Pair) -> Torn:
    """Without any fault: skunk2 is primary alone, and then skunk1 is.

    `role init` is what a reboot, or hastd started anew, leaves on each.
    """
    skunk1, skunk2 = pair.nodes
    common = Files.write(skunk1, pair.mountpoint, seed=1)
    pair.export_pool(skunk1)
    pair.disconnect_role(skunk1)
    pair.promote(skunk2)
    pair.import_pool(skunk2)
    lost = Files.write(skunk2, pair.mountpoint, seed=3)
    pair.export_pool(skunk2)
    pair.disconnect_role(skunk2)
    pair.promote(skunk1)
    pair.import_pool(skunk1)
    kept = Files.write(skunk1, pair.mountpoint, seed=2)
    pair.demote(skunk2)
    return Torn(skunk1, skunk2, common, kept, lost)


def wait_for_split_brain(pair: Pair) -> None:
    """The primary tries to connect every 10 s, and each time both nodes say so."""
    for node in pair:
        wait_until(
            f"hastd on {node} to say split-brain",
            lambda node=node: pair.said(node, SplitBrain),  # type: ignore[misc]
            60,
        )


@pytest.mark.lifts(Holds.ONE_PRIMARY)
@pytest.mark.needs(Feature.LINK, Feature.PAUSE)
@pytest.mark.parametrize("tear", [partition, frozen_primary, careless_operator])
def test_split_brain(
    pair: Pair, tear: Callable[[Pair], Torn], note: Callable[[str, object], None]
) -> None:
    """Connected again, both nodes report a split-brain, and nothing is synchronised.

    `hastctl create` on the node that is to lose, and `role secondary`: just what it wrote is gone.
    """
    torn = tear(pair)
    keeper, loser = torn.keeper, torn.loser
    wait_for_split_brain(pair)
    assert pair.status(keeper).status is Status.DEGRADED
    (torn.common | torn.kept).check(keeper)

    pair.recover_from_split_brain(loser)

    pair.export_pool(keeper)
    pair.check_replicas_equal()
    pair.demote(keeper)
    pair.promote(loser)
    pair.import_pool(loser)
    (torn.common | torn.kept).check(loser)
    thrown_away = (torn.common | torn.lost).missing(loser)
    note("thrown away", ", ".join(thrown_away))
    assert thrown_away == sorted(torn.lost.sha256)


def test_create_on_the_wrong_node(pair: Pair) -> None:
    """The same commands on the other node throw away what was to be kept, on both nodes."""
    torn = careless_operator(pair)
    keeper, loser = torn.keeper, torn.loser
    wait_for_split_brain(pair)
    pair.export_pool(keeper)

    pair.discard(keeper)
    pair.promote(loser)
    pair.wait_until_in_sync(loser)

    pair.import_pool(loser)
    (torn.common | torn.lost).check(loser)
    pair.fail_over(loser, keeper)
    assert (torn.common | torn.kept).missing(keeper) == sorted(torn.kept.sha256)


@pytest.mark.lifts(Holds.ONE_PRIMARY)
@pytest.mark.needs(Feature.LINK)
@pytest.mark.parametrize("writer", ["skunk1", "skunk2"])
def test_only_one_side_wrote(pair: Pair, writer: str) -> None:
    """Both were primary and apart, but one wrote: that is no split-brain, whoever it was.

    The other catches up by itself, also as primary: it gets the newer data from its secondary.
    """
    skunk1, skunk2 = pair.nodes
    node = skunk1 if writer == "skunk1" else skunk2
    pair.export_pool(skunk1)
    with skunk1.link_unplugged():
        # A primary that has not noticed the cut would lose its first write: docs/findings.md.
        pair.disconnect_role(skunk1)
        pair.promote(skunk1)
        pair.promote(skunk2)
        pair.import_pool(node)
        files = Files.write(node, pair.mountpoint)
        pair.export_pool(node)
    pair.demote(skunk2)
    pair.wait_until_in_sync(skunk1)
    pair.check_replicas_equal()
    pair.import_pool(skunk1)
    files.check(skunk1)
    assert not any(pair.said(each, SplitBrain) for each in pair)
