"""The link between the nodes is cut while the primary writes: what the secondary has afterwards."""

import pytest

from harness.node import Node
from harness.pair import Pair

NEVER_RESYNCHRONISED = (
    "hastd of 13.2 never resynchronises a write that was in flight when the link was cut "
    "(docs/findings.md; no FreeBSD bug number known)"
)

FAR_INTO_THE_DISK = 400 << 20
"""Bytes. No other write is near, so nothing else makes this part dirty."""


SOMEWHERE_ELSE = 300 << 20


def replicas(pair: Pair) -> set[str]:
    """The SHA-256 of that part on each node's own disk: one value if they are equal."""

    def replica(node: Node) -> str:
        return pair.replica(node, FAR_INTO_THE_DISK)

    return {replica(node) for node in pair}


def test_write_while_degraded(pair: Pair) -> None:
    """What the primary writes once it has noticed the cut is on the secondary after the resync."""
    skunk1 = pair.skunk1
    pair.export_pool(skunk1)
    with skunk1.link_unplugged():
        pair.write_device(skunk1, SOMEWHERE_ELSE)  # an idle primary would not notice the cut
        pair.wait_until_degraded(skunk1)
        pair.write_device(skunk1, FAR_INTO_THE_DISK)
        assert len(replicas(pair)) == 2
    pair.wait_until_in_sync(skunk1)
    assert len(replicas(pair)) == 1


@pytest.mark.xfail(strict=True, raises=AssertionError, reason=NEVER_RESYNCHRONISED)
def test_write_in_flight(pair: Pair) -> None:
    """A write that is under way when the link is cut is acknowledged after HAST's timeout.

    Once both nodes say that they are in sync again, it is on the secondary too.
    """
    skunk1 = pair.skunk1
    pair.export_pool(skunk1)
    with skunk1.link_unplugged():
        pair.write_device(skunk1, FAR_INTO_THE_DISK)
        pair.wait_until_degraded(skunk1)
    pair.wait_until_in_sync(skunk1)
    assert len(replicas(pair)) == 1
