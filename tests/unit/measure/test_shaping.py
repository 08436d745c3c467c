"""A plan with one row of each kind, on the simulated lab: each has a figure, and what is made slow
is slower than the plain row."""

from __future__ import annotations

import statistics
from collections.abc import Iterator

import pytest

from harness.config import settings as settings_file
from harness.errors import CommandFailed
from harness.lab.simulated.lab import SimulatedLab
from harness.measure import plan, run
from harness.measure.probes.shaping import shaped_disk
from harness.measure.result import Bench, DiskSetting, Resync
from harness.measure.run import Subject
from harness.run.session import Session
from tests.simulated_session import simulated_session

PLAN = plan.Plan(
    repeats=1,
    warm_up=0,
    resync=plan.ResyncPlan(
        base_mib=16,
        patterns=[],
        link_delay_ms=[50],
        link_rate_mbit=[50],
        link_loss=[0.2],
        disk_delay_ms=[30],
        disk_rate_mb=[10],
        load=["writes"],
    ),
    failover=plan.FailoverPlan(timeouts_s=[5], kinds=["planned"]),
    writes=plan.WritesPlan(
        settings=["no HAST", "no peer", "memsync", "fullsync", "async"], write_bytes=16384, count=20
    ),
    sampling_s=1.0,
)

SLOWER = ["50 ms link delay", "50 Mbit/s", "20 % loss", "30 ms disk delay", "10 MB/s disk"]


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    """A pair with disks as fast as usual."""
    settings = settings_file.load()
    folder = tmp_path_factory.mktemp("bench")
    with simulated_session(settings, folder) as running:
        yield running


@pytest.fixture(scope="module")
def bench(session: Session, tmp_path_factory: pytest.TempPathFactory) -> Bench:
    said: list[str] = []
    folder = tmp_path_factory.mktemp("shaping")
    running = run.run([Subject(session)], PLAN, folder, said.append)
    assert not running.bench.not_measured, said
    assert isinstance(session.lab, SimulatedLab)
    assert not session.lab.world.gaps
    return running.bench


def row(bench: Bench, words: str) -> Resync:
    """The one row that differs from the plain one by these words alone."""
    return next(each for each in bench.resyncs if each.conditions.label.endswith(f", {words}"))


def seconds(measured: Resync) -> float:
    assert measured.hastd is not None
    return measured.hastd.seconds_s


def test_each_row_has_a_figure(bench: Bench) -> None:
    assert len(bench.resyncs) == 8
    assert all(each.complete and each.rate_bytes_per_s for each in bench.resyncs)
    assert [each.events[-1].what for each in bench.failovers] == ["first write acknowledged"]
    assert [len(each.latencies_s) for each in bench.writes] == [20] * 5


@pytest.mark.parametrize("words", SLOWER)
def test_what_is_made_slow_is_slow(bench: Bench, words: str) -> None:
    plain = row(bench, "16 MiB")
    assert seconds(row(bench, words)) > 1.15 * seconds(plain)


def test_what_was_measured_of_the_link_and_the_disk_stands_beside(bench: Bench) -> None:
    delayed, limited = row(bench, "50 ms link delay"), row(bench, "50 Mbit/s")
    assert delayed.conditions.link.round_trip_s == pytest.approx(0.03, abs=0.011)
    assert limited.conditions.link.rate_bytes_per_s == pytest.approx(6.25e6, rel=0.2)
    slow, few = row(bench, "30 ms disk delay"), row(bench, "10 MB/s disk")
    assert slow.conditions.disk.request_s == pytest.approx(0.03, abs=0.001)
    assert few.conditions.disk.read_bytes_per_s == pytest.approx(10e6, rel=0.1)


def test_a_resync_and_a_load_share_the_link(bench: Bench) -> None:
    loaded, plain = row(bench, "load: writes"), row(bench, "16 MiB")
    assert loaded.primary is not None
    assert loaded.load_bytes_per_s is not None
    assert seconds(loaded) > seconds(plain)


def test_what_went_over_the_link_is_counted_on_both_nodes(bench: Bench) -> None:
    for each in bench.resyncs:
        assert each.primary is not None
        assert each.secondary is not None
        sent = each.primary.link_sent_bytes
        assert sent == each.secondary.link_received_bytes
        if each.conditions.load == "none":
            assert sent == pytest.approx(1.05 * (16 << 20), rel=0.04)


def test_a_write_costs_what_its_acknowledgement_waits_for(bench: Bench) -> None:
    cost = {each.setting: statistics.median(each.latencies_s) for each in bench.writes}
    assert cost["no HAST"] == pytest.approx(cost["no peer"], rel=0.1)
    assert cost["async"] == pytest.approx(cost["no peer"], rel=0.1)
    assert cost["async"] <= cost["memsync"] < cost["fullsync"]


def test_the_disk_is_as_fast_as_before_at_the_end(session: Session) -> None:
    pair = session.provisioned(session.settings.hast.but(local="gnop"))
    session.used()
    pair.start_hastd(pair.skunk2)
    with shaped_disk(pair, pair.skunk2, DiskSetting(delay_ms=100)) as slow:
        pass
    with shaped_disk(pair, pair.skunk2, DiskSetting()) as fast:
        pass
    assert slow.request_s is not None
    assert fast.request_s is not None
    assert fast.request_s < slow.request_s / 3
    with (
        pytest.raises(CommandFailed, match="Invalid value for 'd'"),
        shaped_disk(pair, pair.skunk2, DiskSetting(delay_ms=2.5)),
    ):
        pass
