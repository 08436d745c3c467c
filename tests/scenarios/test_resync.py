"""Claim 7 of the field notes: what a full resync costs."""

import pytest

from harness.cluster.pair import Pair
from harness.freebsd.hast.log import SyncComplete, SyncStarted
from harness.waiting.wait import wait_until
from harness.workload.files import Files

pytestmark = [pytest.mark.claim(7), pytest.mark.hast(timeout=5, media_mib=192)]

ONE_PERCENT = 0.01


@pytest.mark.smoke
def test_full_resync(pair: Pair) -> None:
    """A secondary created anew gets the whole provider, and hastd says how much and how fast.

    `complete` comes at once, long before it is in sync: what is left is `dirty`.
    """
    skunk1, skunk2 = pair.nodes
    files = Files.write(skunk1, pair.mountpoint)
    size = pair.metadata(skunk1).datasize
    resyncs = len(pair.said(skunk1, SyncComplete))
    pair.discard(skunk2)
    pair.wait_until_complete(skunk1)
    left = pair.info(skunk1).dirty
    assert 0 < left <= size, "complete is not in sync"
    wait_until(
        f"a resync of {size >> 20} MiB",
        lambda: len(pair.said(skunk1, SyncComplete)) > resyncs,
        pair.longest_resync,
        every=2.0,
    )
    assert pair.info(skunk1).dirty == 0
    complete = pair.said(skunk1, SyncComplete)[-1]
    for said in (complete, pair.said(skunk1, SyncStarted)[-1]):
        assert said.about_bytes == pytest.approx(size, rel=ONE_PERCENT)
    pair.fail_over(skunk1, skunk2)
    files.check(skunk2)
