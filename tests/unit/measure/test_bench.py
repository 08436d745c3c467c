"""A benchmark from the plan to what it leaves: bench.json, tables, page, history, comparison."""

from __future__ import annotations

import itertools
import json
import re
import sqlite3
import statistics
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from harness.cli import bench as bench_cli
from harness.config import paths
from harness.config import settings as settings_file
from harness.config.settings import HastSettings
from harness.errors import HarnessError, SettingsError
from harness.measure import own_cost, plan, result, run
from harness.measure.evaluation import page, tables
from harness.measure.evaluation.compare import Contestant, Opening, opened
from harness.measure.evaluation.figures import figures
from harness.measure.evaluation.history import History
from harness.measure.evaluation.resync_model import held_out, points
from harness.measure.result import (
    Bench,
    Compared,
    Event,
    Failover,
    HastdSays,
    LinkSetting,
    Noise,
    Outcome,
    Pattern,
    Program,
    Resync,
    ResyncConditions,
    Sample,
    SamplingCost,
    Where,
    WriteCost,
)
from harness.measure.run import Subject
from harness.run.session import Session

MIB = 1 << 20
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
QUIET = Noise(other=0.0, stolen=0.0)
WHERE = Where(
    lab="qemu",
    simulated=False,
    hypervisor="QEMU",
    acceleration="KVM",
    image="FreeBSD-13.2",
    release="13.2-RELEASE",
    host_cpu="a processor",
    host_cores=2,
    host_memory_bytes=1 << 30,
    harness="0.1.0",
    started=NOON,
)


def hastd(seconds: float, mib: int = 64) -> HastdSays:
    rate = round(mib * MIB / seconds)
    return HastdSays(about_bytes=mib * MIB, about_bytes_per_s=rate, seconds_s=seconds)


def resync(seconds: float, mib: int = 64, **more: object) -> Resync:
    """A complete one, sampled once a second, unless `more` says otherwise."""
    conditions = ResyncConditions(size_bytes=mib * MIB, data_bytes=mib * MIB, hast=HastSettings())
    return Resync.model_validate(
        {
            "conditions": conditions,
            "outcome": Outcome.COMPLETE,
            "bytes": mib * MIB,
            "seconds_s": seconds,
            "rate_bytes_per_s": mib * MIB / seconds,
            "samples": tuple(
                Sample(at_s=at, dirty_bytes=int(mib * MIB * (1 - at / seconds)), status="complete")
                for at in range(int(seconds) + 1)
            ),
            "percentile_rates_bytes_per_s": {"10": 1e6, "50": 2e6, "90": 3e6},
            "hastd": hastd(seconds + 0.4, mib),
            "noise": QUIET,
            "taken": NOON,
        }
        | more
    )


def broken(outcome: Outcome) -> Resync:
    conditions = ResyncConditions(size_bytes=MIB, data_bytes=MIB, hast=HastSettings())
    why = "for 61 s nothing was synchronised"
    return Resync(conditions=conditions, outcome=outcome, why=why, noise=QUIET, taken=NOON)


def a_bench() -> Bench:
    return Bench(
        where=WHERE,
        resyncs=tuple(resync(mib / 6.4, mib) for mib in (32, 64, 128) for _ in range(3)),
        failovers=(
            Failover(
                kind="planned",
                timeout_s=20,
                events=(Event(what="pool exported", at_s=1.5), Event(what="first write", at_s=4.0)),
                noise=QUIET,
                taken=NOON,
            ),
        ),
        writes=(
            WriteCost(
                setting="memsync",
                write_bytes=16384,
                latencies_s=(0.001, 0.002, 0.003),
                seconds_s=0.006,
                noise=QUIET,
                taken=NOON,
            ),
        ),
    )


# --- results --------------------------------------------------------------------------------------


def test_the_published_schema_is_that_of_the_results() -> None:
    published = paths.PROJECT / "docs" / "bench-schema.json"
    assert published.read_text(encoding="utf-8") == result.schema_text(), (
        "write it anew: python -c 'from harness.measure import result; "
        'print(result.schema_text(), end="")\' > docs/bench-schema.json'
    )


def test_results_are_read_back_as_they_were(tmp_path: Path) -> None:
    bench = a_bench()
    bench.save(tmp_path)
    assert result.load(tmp_path) == bench


@pytest.mark.parametrize(
    ("text", "words"), [("", "no benchmark"), ('{"version": 2}', "version"), (None, "No such file")]
)
def test_a_file_that_is_none_is_refused(tmp_path: Path, text: str | None, words: str) -> None:
    if text is not None:
        (tmp_path / result.FILE).write_text(text)
    with pytest.raises(SettingsError, match=words):
        result.load(tmp_path)


@pytest.mark.parametrize("outcome", [Outcome.STALLED, Outcome.INTERRUPTED, Outcome.NEVER_STARTED])
def test_what_did_not_complete_is_told_and_never_a_figure(outcome: Outcome) -> None:
    bench = a_bench().model_copy(update={"resyncs": (broken(outcome),)})
    assert not [figure for figure in figures(bench) if figure.what.startswith("resync")]
    text = "\n".join(table.markdown() for table in tables.tables(bench, ["40 GB"]))
    assert f"| {outcome} | for 61 s nothing was synchronised |" in text
    assert "Resyncs" not in text
    assert "40 GB" not in text


def test_the_time_for_a_size_follows_the_model() -> None:
    told = next(t for t in tables.tables(a_bench(), ["40 GB"]) if "will take" in t.title)
    assert told.rows[0][:2] == ("40 GB (37.3 GiB)", f"{40e9 / (6.4 * MIB) / 60:.0f} min")


@pytest.mark.parametrize(
    ("text", "size", "words"),
    [
        ("40 GB", 40 * 10**9, "40 GB (37.3 GiB)"),
        ("4TB", 4 * 10**12, "4TB (3.64 TiB)"),
        ("4TiB", 4 << 40, "4TiB (4.4 TB)"),
        ("4T", 4 << 40, "4T (4.4 TB)"),
        ("1.5g", 3 << 29, "1.5g (1.61 GB)"),
        ("512 mib", 512 << 20, "512 mib (537 MB)"),
        ("900", 900, "900 bytes"),
        ("2PB", 2 * 10**15, "2PB (1.78 PiB)"),
    ],
)
def test_sizes_are_what_disks_and_zpool_mean_by_them(text: str, size: int, words: str) -> None:
    assert plan.parse_size(text) == size
    assert plan.size_in_words(text) == words


@pytest.mark.parametrize(
    "text", ["", "forty", "GB", "-1 GB", "4 iB", "0", "9999999P", "1e3", "4 XB"]
)
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no size"):
        plan.parse_size(text)


def test_show_with_a_size_is_one_answer_and_writes_nothing(tmp_path: Path) -> None:
    a_bench().save(tmp_path)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    done = CliRunner().invoke(bench_cli.app, ["show", str(tmp_path), "--size", "40 GB"])
    assert done.exit_code == 0
    which, first, times, where = done.output.splitlines()
    assert which == str(tmp_path)
    assert first.startswith(f"40 GB (37.3 GiB): {40e9 / (6.4 * MIB) / 60:.0f} min for a full")
    assert times == "That is 298 times the largest that was measured."
    assert where.startswith("FreeBSD 13.2")
    assert {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == before
    CliRunner().invoke(bench_cli.app, ["show", str(tmp_path)])
    assert {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == before
    CliRunner().invoke(bench_cli.app, ["show", str(tmp_path), "--write"])
    assert (tmp_path / page.PAGE).is_file()


def test_too_little_measured_for_an_answer_is_said() -> None:
    with pytest.raises(SettingsError, match="this benchmark cannot tell"):
        tables.answer(a_bench().model_copy(update={"resyncs": ()}), "40 GB")


def compared(**sets: Sequence[Resync | WriteCost]) -> Bench:
    taken = [each.model_copy(update={"set_name": name}) for name in sets for each in sets[name]]
    return Bench(
        where=WHERE,
        resyncs=tuple(each for each in taken if isinstance(each, Resync)),
        writes=tuple(each for each in taken if isinstance(each, WriteCost)),
        compared={
            "A": Compared(description="A", where=WHERE),
            "B": Compared(description="B", where=WHERE),
        },
    )


def test_a_comparison_without_common_figures_says_why() -> None:
    nothing_of_b = compared(A=[resync(10)], B=[broken(Outcome.STALLED)])
    apart = compared(A=[resync(10)], B=[resync(10, 32)])
    for bench, why in (
        (nothing_of_b, "nothing of B has a figure: see `Without a figure`"),
        (apart, "A and B have no figure of the same conditions"),
    ):
        assert tables.tables(bench)[0].rows == (("nothing to compare", "", "", why),)


def test_latencies_are_told_in_ms_and_the_rest_in_s() -> None:
    each: list[Resync | WriteCost] = [*a_bench().writes, resync(10)]
    rows = {row[0]: row[1] for row in tables.tables(compared(A=each, B=each))[0].rows}
    assert rows["resync: full, 64 MiB"] == "10 s"
    assert rows["write latency, 50th percentile: memsync, 16384 bytes"] == "2 ms"


def test_the_largest_size_is_told_from_the_smaller_ones_and_held_against_what_it_took() -> None:
    def bench(largest: float) -> Bench:
        sizes = {30: 3.0, 60: 6.0, 120: 12.0, 480: largest}
        taken = [resync(s, mib, hastd=hastd(s)) for mib, s in sizes.items() for _ in range(3)]
        slow = LinkSetting(rate_mbit=8, rate_bytes_per_s=1e6, round_trip_s=0.001)
        over_it = resync(10).conditions.model_copy(update={"link": slow, "size_bytes": 960 * MIB})
        taken.append(resync(960, 960, conditions=over_it))
        return Bench(where=WHERE, resyncs=tuple(taken))

    found = held_out(bench(48.0))
    assert found is not None
    assert (found.largest_fitted, found.size, found.n) == (120 * MIB, 480 * MIB, 3)
    assert abs(found.off) < 0.001
    found = held_out(bench(60.0))
    assert found is not None
    assert found.off == pytest.approx(-0.2)
    text = "\n".join(table.note for table in tables.tables(bench(60.0), ["40 GB"]))
    assert "for 480 MiB; those took 60.0 s (median of 3), so that is off by -20.0%" in text
    assert held_out(a_bench().model_copy(update={"resyncs": a_bench().resyncs[:6]})) is None


def test_our_seconds_stand_beside_hastds() -> None:
    table = next(t for t in tables.tables(a_bench()) if "hastd" in t.title)
    assert table.rows[0][:4] == ("9", "9", "0.40 s", "9")
    far = resync(10, hastd=hastd(14.0))
    bench = a_bench().model_copy(update={"resyncs": (far,)})
    table = next(t for t in tables.tables(bench) if "hastd" in t.title)
    assert table.rows[0] == ("1", "0", "4.00 s", "0", "40.00%, 40.00% at most")


def test_what_samples_cost_is_told_by_the_delay_of_one() -> None:
    def row(seconds: float, **more: object) -> Resync:
        conditions = resync(10).conditions.model_copy(update=more)
        return resync(10, conditions=conditions, hastd=hastd(seconds))

    noise = (-0.02, 0.0, 0.02)
    plain = [row(10.0 + each, sampling_s=None) for each in noise]
    usual = [row(10.01 + each, sampling_s=5.0) for each in noise]
    dense = [row(10.55 + each, sampling_s=1.0, sampling_named=True) for each in noise]
    bench = Bench(
        where=WHERE,
        sampling=SamplingCost(look_s=0.03, counters_s=0.09, every_s=5.0),
        resyncs=(*plain, *usual, *dense),
    )
    table = next(t for t in tables.tables(bench) if "samples cost" in t.title)
    of_dense = next(row for row in table.rows if row[0] == "1 s")
    assert of_dense[1:3] == ("3, 3", "10, 10.6")
    # 0.55 s for 11 samples: 50 ms each, and 1 % with one every 5 s.
    assert of_dense[3].startswith("50 (")
    assert of_dense[4].startswith("1 (")
    assert len(table.rows) == 2


def test_resyncs_under_many_samples_are_not_what_the_model_is_fitted_to() -> None:
    slow = [
        each.model_copy(
            update={"conditions": each.conditions.model_copy(update={"sampling_named": True})}
        )
        for each in a_bench().resyncs
    ]
    bench = a_bench().model_copy(update={"resyncs": (*a_bench().resyncs, *slow)})
    assert len(points(bench)) == len(slow)


def test_the_model_is_fitted_to_what_lies_in_one_stretch() -> None:
    """All of the provider or a part of it; scattered extents are another matter."""
    for kind in ("full", "incremental"):
        for pattern, fitted in ((Pattern.SEQUENTIAL, 1), (Pattern.RANDOM, 0)):
            changes = {"kind": kind, "pattern": pattern}
            conditions = resync(10).conditions.model_copy(update=changes)
            bench = Bench(where=WHERE, resyncs=(resync(10, conditions=conditions),))
            assert len(points(bench)) == fitted, changes


def test_a_host_that_its_neighbours_slowed_down_is_told() -> None:
    paces = [QUIET.model_copy(update={"pace_s": seconds}) for seconds in (0.010, 0.013, 0.010)]
    bench = Bench(where=WHERE, resyncs=tuple(resync(10, noise=noise) for noise in paces))
    assert "its own pace varied by 30%" in tables.what_ran(bench)
    assert "pace" not in tables.what_ran(a_bench())


def test_the_page_says_where_the_figures_are_from_and_needs_no_network(tmp_path: Path) -> None:
    simulated = a_bench().model_copy(update={"where": WHERE.model_copy(update={"simulated": True})})
    files = page.write_all(simulated, ["40 GB"], tmp_path)
    text = files[-1].read_text(encoding="utf-8")
    assert "SIMULATED" in text
    assert text.count("<svg") == len([file for file in files if file.suffix == ".svg"]) >= 4
    assert not re.findall(r'(?:src|href)="https?:', text)
    assert (tmp_path / "figures.csv").read_text().startswith("what,conditions,unit,value")


# --- history --------------------------------------------------------------------------------------


def test_history_shows_what_became_slower(tmp_path: Path) -> None:
    def bench(factor: float, day: int) -> Bench:
        where = WHERE.model_copy(update={"started": NOON + timedelta(days=day)})
        resyncs = tuple(resync((10 + step / 10) * factor) for step in range(6))
        return Bench(where=where, resyncs=resyncs)

    with History(tmp_path / "history.sqlite") as history:
        first = history.add(bench(1.0, 0), tmp_path / "one")
        second = history.add(bench(1.2, 1), tmp_path / "two")
        assert history.add(bench(1.2, 1), tmp_path / "two") != first
        assert len(history.runs()) == 2
        change = history.changes(first, history.runs()[-1][0])[0]
        assert str(change.comparison).startswith("slower by 20.0 %")
        assert str(history.changes(first, first)[0].comparison).startswith("no difference")
        with pytest.raises(SettingsError, match="no run 99"):
            history.figures(99)
    assert second


def test_a_history_that_cannot_be_used_says_what_to_do(tmp_path: Path) -> None:
    """It comes after hours of measuring: whoever adds to it goes on when it is refused."""
    path = tmp_path / "history.sqlite"
    path.write_text("no database " * 100)
    with pytest.raises(HarnessError, match=r"history\.sqlite cannot be used") as refused:
        History(path)
    assert "move it away" in str(refused.value)


def test_a_history_of_before_the_versions_is_taken_over(tmp_path: Path) -> None:
    path = tmp_path / "history.sqlite"
    with History(path) as history:
        history.add(Bench(where=WHERE, resyncs=(resync(10),)), tmp_path / "one")
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA user_version = 0")
    with History(path) as history:
        assert len(history.runs()) == 1


def test_releases_are_compared_by_their_runs_on_like_machines(tmp_path: Path) -> None:
    def add(release: str, day: int, factor: float, cores: int = 2, own: bool = False) -> None:
        update = {"started": NOON + timedelta(days=day), "release": release, "host_cores": cores}
        program = Program(node="skunk1", program="hastd", file="mine", sha256="ab" * 32)
        update |= {"replaced": (program,)} if own else {}
        resyncs = tuple(resync((10 + step / 10 + day / 50) * factor) for step in range(3))
        bench = Bench(where=WHERE.model_copy(update=update), resyncs=resyncs)
        history.add(bench, tmp_path / f"{release} {day} {own}")

    with History(tmp_path / "history.sqlite") as history:
        add("13.2", 0, 5.0, cores=64)  # another machine, and as if it were slower
        for day in range(1, 6):
            add("13.2", day, 1.0)
            add("14.0 amd64", day, 1.2)
            add("14.0 amd64", day, 7.0, own=True)  # no run of the release
        (change,) = history.changes_of_releases("13.2", "14.0")
        assert str(change.comparison).startswith("slower by 20.0 % (p = 0.0079, n = 5 and 5)")
        with pytest.raises(SettingsError, match=r"no run of 15\.0"):
            history.changes_of_releases("13.2", "15.0")
        add("15.0", 9, 1.0, cores=8)
        with pytest.raises(SettingsError, match=r"no run of 13\.2 on the qemu lab, KVM, 8 cores"):
            history.changes_of_releases("13.2", "15.0")


# --- the plan -------------------------------------------------------------------------------------


def test_the_projects_plans_are_plans() -> None:
    settings = settings_file.load()
    for file in (paths.BENCH_PLAN, paths.COMPARE_PLAN):
        plan.check(plan.load(file), settings)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("repeats: 0", "repeats"),
        ("resync: {link_loss: [0.7]}", "link_loss"),
        ("resyncs: {}", "resyncs"),
        ("sizes_to_tell: [forty]", "forty"),
        ("a: [", "not YAML"),
    ],
)
def test_a_wrong_plan_is_refused_by_its_key(tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / "bench.yaml"
    file.write_text(text)
    with pytest.raises(SettingsError, match=words):
        plan.load(file)


def test_rows_of_one_hast_conf_stay_together_and_each_comes_as_often() -> None:
    wanted = plan.ResyncPlan(base_mib=128, sizes_mib=[32, 64], unsampled=True, contents=["zeros"])
    rows = plan.resync_rows(wanted, settings_file.load(), 1.0)
    order = plan.shuffled(rows, repeats=5, chance=1, at_once=2)
    assert {row.label: order.count(row) for row in order} == {row.label: 5 for row in rows}
    visits = [label for label, _ in itertools.groupby(order, lambda row: (row.hast, row.content))]
    assert len(visits) <= 3 * 4
    assert plan.shuffled(rows, 5, chance=2, at_once=2) != order


def test_a_plan_too_large_for_the_disks_is_refused_before_anything() -> None:
    wanted = plan.Plan(resync=plan.ResyncPlan(base_mib=10**6))
    with pytest.raises(SettingsError, match="does not fit"):
        plan.check(wanted, settings_file.load())


def test_the_harness_itself_is_not_measured_in_virtual_time() -> None:
    with pytest.raises(SettingsError, match="its time is virtual"):
        own_cost.main("simulated", settings_file.load(), None, 1, print)


# --- running --------------------------------------------------------------------------------------


TINY = plan.Plan(
    repeats=2,
    resync=plan.ResyncPlan(base_mib=24, patterns=[]),
    failover=plan.FailoverPlan(timeouts_s=[5], kinds=["planned"]),
    sampling_s=0.3,
)


def test_a_run_leaves_each_row_and_says_what_failed(
    session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_link(*_: object) -> None:
        raise SettingsError("there is no dummynet here", advice="load it")

    monkeypatch.setattr(run, "shaped_disk", no_link)
    resyncs = plan.ResyncPlan(base_mib=24, patterns=[], disk_rate_mb=[3])
    wanted = TINY.model_copy(update={"resync": resyncs, "repeats": 1})
    said: list[str] = []
    running = run.run([Subject(session)], wanted, tmp_path, said.append)
    bench = result.load(tmp_path)
    assert bench == running.bench
    assert bench.where.simulated
    assert [each.complete for each in bench.resyncs] == [True]
    assert [each.kind for each in bench.failovers] == ["planned"]
    assert [each.why for each in bench.not_measured] == ["there is no dummynet here"]
    assert bench.sampling is not None
    assert bench.sampling.every_s == 0.3


def test_a_run_that_was_interrupted_is_unfinished(
    session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ctrl_c(*_: object) -> None:
        raise KeyboardInterrupt

    wanted = TINY.model_copy(update={"repeats": 1})
    said: list[str] = []
    with monkeypatch.context() as patch:
        patch.setattr(run, "_failovers", ctrl_c)
        with pytest.raises(KeyboardInterrupt):
            run.run([Subject(session)], wanted, tmp_path, said.append)
    cut_off = result.load(tmp_path)
    assert (len(cut_off.resyncs), cut_off.unfinished) == (1, True)
    wanted = wanted.model_copy(update={"resync": None})
    assert not run.run([Subject(session)], wanted, tmp_path, said.append).bench.unfinished
    assert not result.load(tmp_path).unfinished


def test_the_newest_benchmark_is_the_newest_whole_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SKUNK_RESULTS_DIR", str(tmp_path))
    cut_off = a_bench().model_copy(update={"unfinished": True})
    for name, bench in (("1", cut_off), ("2", a_bench()), ("3", cut_off)):
        (tmp_path / name).mkdir()
        bench.save(tmp_path / name)
    assert bench_cli.newest() == tmp_path / "2"
    done = CliRunner().invoke(bench_cli.app, ["show", str(tmp_path / "3"), "--size", "40 GB"])
    assert f"{tmp_path / '3'}: unfinished, not all of its plan was measured" in done.output
    done = CliRunner().invoke(bench_cli.app, ["show", str(tmp_path / "3")])
    assert "UNFINISHED, not all of the plan was measured: FreeBSD" in " ".join(done.output.split())
    assert "unfinished" not in CliRunner().invoke(bench_cli.app, ["show"]).output.lower()
    (tmp_path / "2" / "bench.json").unlink()
    assert bench_cli.newest() == tmp_path / "3", "there is no whole one"


def test_two_hast_confs_are_compared_in_turns(session: Session, tmp_path: Path) -> None:
    subjects = [
        Subject(session, "A", "memsync", {"replication": "memsync"}),
        Subject(session, "B", "sha256", {"checksum": "sha256"}),
    ]
    bench = run.run(subjects, TINY, tmp_path, lambda _: None).bench
    assert [each.set_name for each in bench.resyncs] == ["A", "B", "B", "A"]
    checksums = {each.set_name: each.conditions.hast.checksum for each in bench.resyncs}
    assert checksums == {"A": None, "B": "sha256"}
    table = tables.tables(bench)[0]
    assert table.title == "A: memsync; B: sha256"
    assert [row[0] for row in table.rows][:2] == [
        "resync: full, 24 MiB",
        "failover: planned, timeout 5 s",
    ]
    assert all("too few repeats" in row[3] for row in table.rows)
    assert "booted once" not in table.note, "both had the same machines"
    each = {
        name: of.model_copy(update={"own_machines": True}) for name, of in bench.compared.items()
    }
    table = tables.tables(bench.model_copy(update={"compared": each}))[0]
    assert "Each was booted once" in table.note
    assert all(f.command_s is not None and 0 < f.command_s < 1 for f in bench.failovers)
    assert "failover: one command: planned, timeout 5 s" in [row[0] for row in table.rows]
    json.loads((tmp_path / result.FILE).read_text())


def test_what_is_compared_is_not_what_the_plan_has_for_both(
    session: Session, tmp_path: Path
) -> None:
    """The timeout of a failover and the replication of writes are those of A and of B."""
    subjects = [
        Subject(session, "A", "A", {"timeout": 7, "replication": "async"}),
        Subject(session, "B", "B", {"replication": "fullsync"}),
    ]
    usual = session.settings.hast.timeout
    wanted = plan.Plan(
        repeats=1,
        failover=TINY.failover,
        writes=plan.WritesPlan(settings=["as configured"], count=10),
    )
    bench = run.run(subjects, wanted, tmp_path, lambda _: None).bench
    assert {each.set_name: each.timeout_s for each in bench.failovers} == {"A": 7, "B": usual}
    latency = {each.set_name: statistics.median(each.latencies_s) for each in bench.writes}
    assert latency["A"] < 0.95 * latency["B"]
    rows = [row[0] for row in tables.tables(bench)[0].rows]
    assert "failover: planned" in rows
    assert "write latency, 50th percentile: as configured, 16384 bytes" in rows


def test_what_is_compared_is_understood_or_refused(tmp_path: Path) -> None:
    read = Contestant.read
    base = paths.SETTINGS
    both = read("checksum=sha256,timeout=5", base, None)
    assert both.changes == {"checksum": "sha256", "timeout": 5}
    assert read(str(base), base, None).description == "lab.yaml"
    image = tmp_path / "FreeBSD-14.qcow2"
    image.touch()
    assert not read(str(image), base, None).shares_pair(both)
    for text, words in (
        ("checksum=md5", "checksum"),
        ("colour=blue", "no setting of hast.conf"),
        ("FreeBSD-15.qcow2", "neither a file nor a setting"),
    ):
        with pytest.raises(SettingsError, match=words):
            read(text, base, None)
    opening = Opening("simulated", "test", tmp_path, lambda _: None)
    with pytest.raises(SettingsError, match="the same"), opened(both, both, opening):
        pass
    with (
        pytest.raises(SettingsError, match="one virtual time"),
        opened(both, read(str(image), base, None), opening),
    ):
        pass
