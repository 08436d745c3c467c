"""Claim 6 of the field notes: both nodes were primary and both wrote."""

import pytest

from harness.freebsd.hastd_log import SplitBrain
from harness.node import Node
from harness.pair import Pair
from harness.wait import wait_until
from harness.workload.files import Files

pytestmark = pytest.mark.claim(6)


def wait_for_split_brain(pair: Pair, node: Node) -> None:
    """hastd tries to connect every 10 s and says so each time."""
    wait_until(f"hastd on {node} to say split-brain", lambda: pair.said(node, SplitBrain), 60)


def test_split_brain(pair: Pair) -> None:
    """Cut off from each other both write as primary; connected again, both report a split-brain.

    `hastctl create` on the node that is to lose, and `role secondary`: all it wrote is gone.
    """
    skunk1, skunk2 = pair.nodes
    before = Files.write(skunk1, pair.mountpoint, seed=1)
    with skunk1.link_unplugged():
        pair.wait_until_degraded(skunk1)
        winner = Files.write(skunk1, pair.mountpoint, seed=2)
        pair.promote(skunk2)
        pair.import_pool(skunk2, "-f")
        before.check(skunk2)
        loser = Files.write(skunk2, pair.mountpoint, seed=3)
        (before | loser).check(skunk2)
        pair.export_pool(skunk2)
    pair.demote(skunk2)
    for node in pair:
        wait_for_split_brain(pair, node)
    (before | winner).check(skunk1)
    pair.discard(skunk2)
    pair.wait_until_in_sync(skunk1)
    pair.fail_over(skunk1, skunk2)
    (before | winner).check(skunk2)
