"""What each replication mode promises, and what 13.2 does not keep."""

from __future__ import annotations

import pytest

from harness.lab.simulated.hardware.disk import BLOCK, Op
from tests.unit.simulated.hast_pair import MB, Pair, Request

LATE = 0.4
"""Seconds that a slow disk needs for a request."""


@pytest.mark.parametrize(
    ("replication", "slow", "waits"),
    [
        ("fullsync", "skunk1", True),
        ("fullsync", "skunk2", True),
        ("memsync", "skunk1", True),
        ("memsync", "skunk2", False),
        ("async", "skunk1", True),
        ("async", "skunk2", False),
    ],
)
def test_whose_disk_a_write_waits_for(replication: str, slow: str, waits: bool) -> None:
    pair = Pair(replication=replication)
    pair.connect()
    pair.wait_for(pair.write(pair.one, 0))  # so that the extent is marked already
    pair.world.guests[slow].devices["vtbd1"].latency = LATE  # type: ignore[attr-defined]

    took = pair.wait_for(pair.write(pair.one, 7))

    assert (took >= LATE) == waits


@pytest.mark.parametrize(
    ("replication", "waits"), [("fullsync", True), ("memsync", True), ("async", False)]
)
def test_whether_a_write_waits_for_the_cable(replication: str, waits: bool) -> None:
    pair = Pair(replication=replication)
    pair.connect()
    pair.wait_for(pair.write(pair.one, 0))
    pair.world.link.delay = LATE

    took = pair.wait_for(pair.write(pair.one, 7))

    assert (took >= 2 * LATE) == waits


@pytest.mark.parametrize(("setting", "requests"), [("on", 2), ("off", 1)])
def test_metaflush_flushes_before_the_first_write_to_an_extent(setting: str, requests: int) -> None:
    pair = Pair(extra=f"metaflush {setting}")
    pair.connect()
    pair.one.devices["vtbd1"].latency = LATE  # type: ignore[attr-defined]

    took = pair.wait_for(pair.write(pair.one, 7))

    assert took == pytest.approx(requests * LATE, abs=0.01)


def test_a_flush_makes_both_disks_durable() -> None:
    pair = Pair(replication="fullsync")
    pair.connect()
    write = pair.write(pair.one, 5)
    pair.wait_for(write)
    flush = Request(Op.FLUSH)
    pair.one.devices["hast/mirror"].submit(flush)
    pair.wait_for(flush)

    for guest in (pair.one, pair.two):
        for _ in range(20):
            guest.disks["vtbd1"].lose_power(guest.rng)
        assert pair.data(guest)[5] is write.blocks[5]


def test_without_a_flush_a_power_cut_can_lose_an_acknowledged_write() -> None:
    lost = 0
    for seed in range(12):
        pair = Pair(seed=seed, replication="fullsync")
        pair.connect()
        pair.wait_for(pair.write(pair.one, 5))
        pair.two.power_cut()
        lost += 5 not in pair.data(pair.two)
    assert 0 < lost < 12


def test_a_write_on_its_way_when_the_link_is_cut_is_never_sent_again() -> None:
    """Seen on 13.2: the write is acknowledged after the timeout, the map stays clean."""
    pair = Pair()
    pair.connect()
    pair.two.nics["vtnet1"].plugged = False
    write = pair.write(pair.one, 25600, 16)

    assert pair.wait_for(write) == pytest.approx(20.0, abs=0.1)
    assert write.error is None
    assert "  dirty: 0 (0B)" in pair.out(pair.one, "hastctl list").splitlines()
    assert pair.metadata(pair.one).localcnt == 1
    pair.world.pass_time(5.0)
    pair.two.nics["vtnet1"].plugged = True
    pair.world.pass_time(15.0)

    assert pair.log(pair.one)[-5:] == [
        "[ERROR] [mirror] (primary) Unable to receive reply header: Operation timed out.",
        "[WARNING] [mirror] (primary) Disconnected from 192.168.0.2.",
        "[INFO] [mirror] (primary) Connected to 192.168.0.2.",
        "[INFO] [mirror] (primary) Successfully reconnected to 192.168.0.2.",
        "[INFO] [mirror] (primary) Nodes are in sync.",
    ]
    assert 25600 in pair.data(pair.one)
    assert 25600 not in pair.data(pair.two)


def test_a_write_behind_a_full_buffer_is_sent_again() -> None:
    """Only what hastd has begun to send is lost (remote_send_thread of primary.c, 13.2)."""
    pair = Pair()
    pair.connect()
    pair.two.nics["vtnet1"].plugged = False
    writes = [pair.write(pair.one, at, 16) for at in (25600, 51200)]
    for write in writes:
        pair.wait_for(write)
    pair.two.nics["vtnet1"].plugged = True
    pair.world.pass_time(20.0)

    assert "Synchronization complete. 2.0MB synchronized" in pair.log(pair.one)[-1]
    assert 25600 not in pair.data(pair.two)
    assert 51200 in pair.data(pair.two)


def test_later_writes_are_sent_again() -> None:
    pair = Pair()
    pair.connect()
    pair.one.nics["vtnet1"].plugged = False
    pair.wait_for(pair.write(pair.one, 0))
    for number in range(1, 40):
        pair.wait_for(pair.write(pair.one, number * 512))
    assert "  dirty: 81788928 (78MB)" in pair.out(pair.one, "hastctl list").splitlines()
    pair.one.nics["vtnet1"].plugged = True
    pair.world.pass_time(20.0)

    assert "Synchronization complete. 78MB synchronized" in pair.log(pair.one)[-1]
    missing = pair.data(pair.one).keys() - pair.data(pair.two).keys()
    assert missing == {0}


def test_both_sides_are_equal_after_random_writes_and_a_resync() -> None:
    pair = Pair()
    pair.connect()
    rng = pair.world.rng
    for number in range(150):
        if number == 50:
            pair.out(pair.two, "hastctl role init mirror")
            pair.world.pass_time(21.0)
        if number == 100:
            pair.out(pair.two, "hastctl role secondary mirror")
        first, count = rng.randrange(130000), rng.randrange(1, 600)
        pair.write(pair.one, first, min(count, 131070 - first), f"{number}/")
        pair.world.pass_time(rng.choice((0.0, 0.001, 0.1, 1.1)))
    pair.world.pass_time(120.0)

    assert "  dirty: 0 (0B)" in pair.out(pair.one, "hastctl list").splitlines()
    assert pair.data(pair.one) == pair.data(pair.two)


@pytest.mark.parametrize("seed", range(4))
def test_writes_during_a_resync_are_not_overwritten_by_it(seed: int) -> None:
    pair = Pair(seed=seed, size=16 * MB)
    pair.connect()
    pair.fill(pair.one, 15, "old/")
    pair.out(pair.two, "hastctl role init mirror; hastctl create mirror")
    pair.out(pair.two, "hastctl role secondary mirror")
    pair.one.devices["vtbd1"].latency = 0.02  # type: ignore[attr-defined]
    while not any("started. 16MB" in line for line in pair.log(pair.one)):
        pair.world.step()
    rng = pair.world.rng
    for number in range(120):
        pair.write(pair.one, rng.randrange(3800), rng.randrange(1, 9), f"{number}/")
        pair.world.pass_time(rng.uniform(0.0, 0.02))
    pair.world.pass_time(60.0)

    assert any("complete." in line for line in pair.log(pair.one))
    assert pair.data(pair.one) == pair.data(pair.two)


def test_after_an_orderly_restart_128_megabytes_are_sent_again() -> None:
    pair = Pair()
    pair.connect()
    pair.fill(pair.one, 300)
    pair.out(pair.one, "hastctl role init mirror")
    pair.out(pair.one, "hastctl role primary mirror")
    pair.world.pass_time(1.0)

    assert pair.log(pair.one)[-1] == (
        "[INFO] [mirror] (primary) Synchronization started. 128MB to go."
    )


def test_reads_come_from_the_secondary_while_it_has_the_newer_data() -> None:
    pair = Pair()
    pair.connect()
    pair.fill(pair.one, 40, "old/")
    pair.out(pair.two, "hastctl role init mirror")
    pair.out(pair.one, "hastctl role init mirror")
    pair.out(pair.two, "hastctl role primary mirror")
    pair.world.pass_time(1.0)
    pair.fill(pair.two, 40, "new/")
    pair.out(pair.two, "hastctl role secondary mirror")
    pair.world.link.delay = 0.05  # a slow resync
    pair.out(pair.one, "hastctl role primary mirror")
    pair.world.pass_time(1.0)
    read = Request(Op.READ, 39 * MB, 4 * BLOCK)
    pair.one.devices["hast/mirror"].submit(read)
    pair.wait_for(read)

    assert {content.label for content in read.blocks.values()} == {
        f"new/{39 * 256 + number}" for number in range(4)
    }
    pair.world.pass_time(30.0)
    assert pair.data(pair.one) == pair.data(pair.two)
    assert all(content.label.startswith("new/") for content in pair.data(pair.one).values())


def test_without_an_id_nothing_is_counted_and_a_split_brain_goes_unnoticed() -> None:
    pair = Pair()
    pair.out(pair.one, "hastctl create mirror")
    pair.out(pair.two, "hastctl create mirror")
    pair.start()
    pair.out(pair.one, "hastctl role primary mirror")
    pair.world.pass_time(1.0)
    pair.fill(pair.one, 20, "one/")
    dump = pair.metadata(pair.one)
    assert (dump.resuid, dump.localcnt, dump.remotecnt) == (0, 0, 0)
    pair.out(pair.two, "hastctl role secondary mirror")
    pair.world.pass_time(20.0)
    assert pair.data(pair.one) == pair.data(pair.two)

    pair.out(pair.two, "hastctl role init mirror; hastctl create mirror")
    pair.one.nics["vtnet1"].plugged = False
    pair.out(pair.two, "hastctl role primary mirror")
    pair.world.pass_time(25.0)
    pair.fill(pair.two, 3, "two/")
    pair.out(pair.two, "hastctl role secondary mirror")
    pair.one.nics["vtnet1"].plugged = True
    pair.world.pass_time(60.0)

    assert any("512MB synchronized" in line for line in pair.log(pair.one))
    assert not any("plit-brain" in line for line in pair.log(pair.one) + pair.log(pair.two))
    assert pair.data(pair.one) == pair.data(pair.two)


def test_requests_of_a_forced_removal_end_with_enxio() -> None:
    pair = Pair()
    pair.connect()
    device = pair.one.devices["hast/mirror"]
    pair.two.nics["vtnet1"].plugged = False
    write = pair.write(pair.one, 0)
    pair.out(pair.one, "hastctl role init mirror")
    pair.world.pass_time(0.1)

    assert write.error == "ENXIO"
    assert "hast/mirror" not in pair.one.devices
    later = Request(Op.READ, 0, BLOCK)
    device.submit(later)
    pair.wait_for(later)
    assert later.error == "ENXIO"
