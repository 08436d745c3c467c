"""Resyncs of the simulated pair: their figures beside hastd's, and those that have none."""

from __future__ import annotations

import contextlib
import itertools
import threading
from collections.abc import Callable, Iterator

import pytest

from harness.cluster.pair import Pair
from harness.freebsd.hast.log import SyncStarted
from harness.measure.probes import resync
from harness.measure.result import Outcome, Pattern, ResyncConditions
from harness.run.session import Session
from harness.waiting import clock
from harness.waiting.parallel import in_background

MIB = 1 << 20
SIZE = 64


@pytest.fixture
def ready(session: Session) -> tuple[Pair, resync.Hardware]:
    pair = session.provisioned(session.settings.hast.but(media_mib=SIZE))
    session.used()
    return pair, resync.prepare(pair, "random")


def full(pair: Pair, **more: object) -> ResyncConditions:
    data = pair.metadata(pair.skunk1).datasize
    return ResyncConditions.model_validate(
        {"size_bytes": data, "data_bytes": data, "hast": pair.settings.hast} | more
    )


@contextlib.contextmanager
def in_the_middle(pair: Pair, do: Callable[[], None]) -> Iterator[None]:
    """Do something when the resync in the block has begun."""
    before = len(pair.said(pair.skunk1, SyncStarted))

    def work(stop: threading.Event) -> None:
        login = Pair(pair.skunk1.second_login(), pair.skunk2.second_login(), pair.settings)
        while not stop.is_set() and len(login.said(login.skunk1, SyncStarted)) == before:
            clock.current().sleep(0.2)
        clock.current().sleep(2)
        do()

    with in_background(work):
        yield


def test_our_figures_are_hastds_within_a_sample(ready: tuple[Pair, resync.Hardware]) -> None:
    pair, hardware = ready
    found = resync.measure(pair, full(pair), hardware)
    assert found.outcome is Outcome.COMPLETE
    assert found.hastd is not None
    assert len(found.samples) > 8
    assert abs(found.samples[-1].at_s - found.hastd.seconds_s) <= 1.1
    assert found.by_hastd, "its lines are finer than samples a second apart"
    assert found.seconds_s == found.hastd.seconds_s
    assert found.samples[0].dirty_bytes > found.samples[1].dirty_bytes
    assert found.samples[-1].dirty_bytes == 0
    assert found.bytes is not None
    assert found.bytes <= found.hastd.about_bytes
    # What went over the link and onto the other disk is what was to be sent, and little more.
    assert found.primary is not None
    assert found.secondary is not None
    assert found.secondary.disk_written_bytes == pytest.approx(found.hastd.about_bytes, rel=0.05)


def test_samples_closer_than_one_percent_are_the_figure(
    ready: tuple[Pair, resync.Hardware],
) -> None:
    pair, hardware = ready
    found = resync.measure(pair, full(pair, sampling_s=0.05), hardware)
    assert not found.by_hastd
    assert found.hastd is not None
    assert found.seconds_s == pytest.approx(found.samples[-1].at_s)
    assert found.seconds_s == pytest.approx(found.hastd.seconds_s, rel=0.01)
    assert found.bytes == found.samples[0].dirty_bytes


def test_the_samples_of_the_resync_before_have_ended(
    ready: tuple[Pair, resync.Hardware],
) -> None:
    """Its loop still sleeps when the next resync is sampled, and may not go on with that one."""
    pair, hardware = ready
    for _ in range(3):
        found = resync.measure(pair, full(pair, sampling_s=7.0), hardware)
        times = [sample.at_s for sample in found.samples]
        gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
        assert all(6.9 < gap < 8 for gap in gaps), times


def test_both_nodes_counters_are_sampled(ready: tuple[Pair, resync.Hardware]) -> None:
    pair, hardware = ready
    found = resync.measure(pair, full(pair, sampling_s=0.2), hardware)
    assert found.complete
    for uses in (found.primary_uses, found.secondary_uses):
        assert len(uses) >= 3
        assert [use.at_s for use in uses] == sorted(use.at_s for use in uses)
    written = [use.use.disk_written_bytes for use in found.secondary_uses]
    assert written == sorted(written)
    assert written[-1] > 0


def test_only_the_dirty_extents_are_sent(ready: tuple[Pair, resync.Hardware]) -> None:
    pair, hardware = ready
    resync.measure(pair, full(pair, sampling_s=None), hardware)
    dirty = full(
        pair, kind="incremental", size_bytes=12 * MIB, pattern=Pattern.RANDOM, sampling_s=None
    )
    found = resync.measure(pair, dirty, hardware)
    assert found.complete
    assert found.by_hastd, "without samples there are only hastd's words"
    assert found.bytes == 12 * MIB


def test_a_load_writes_meanwhile(ready: tuple[Pair, resync.Hardware]) -> None:
    pair, hardware = ready
    found = resync.measure(pair, full(pair, load="writes"), hardware)
    assert found.complete
    assert found.by_hastd
    assert found.load_bytes_per_s is not None
    assert found.load_bytes_per_s > 1000


def test_an_interrupted_resync_has_no_figure(ready: tuple[Pair, resync.Hardware]) -> None:
    pair, hardware = ready
    with in_the_middle(pair, pair.skunk2.machine.power_cut):
        found = resync.measure(pair, full(pair, sampling_s=None), hardware)
    assert found.outcome is Outcome.INTERRUPTED
    assert (found.bytes, found.seconds_s, found.rate_bytes_per_s) == (None, None, None)
    assert found.why


def test_a_stalled_resync_has_no_figure(
    ready: tuple[Pair, resync.Hardware], monkeypatch: pytest.MonkeyPatch
) -> None:
    pair, hardware = ready
    monkeypatch.setattr(resync, "STALLED_SECONDS", 8.0)
    with in_the_middle(pair, pair.skunk2.machine.pause):
        found = resync.measure(pair, full(pair, sampling_s=None), hardware)
    pair.skunk2.machine.resume()
    assert found.outcome is Outcome.STALLED
    assert "nothing was synchronised" in found.why
    assert (found.bytes, found.seconds_s) == (None, None)


def test_a_resync_that_never_starts_has_no_figure(
    ready: tuple[Pair, resync.Hardware],
) -> None:
    pair, hardware = ready
    with pair.skunk2.link_unplugged():
        found = resync.measure(pair, full(pair, sampling_s=None), hardware)
    assert found.outcome is Outcome.NEVER_STARTED
    assert (found.bytes, found.seconds_s) == (None, None)
