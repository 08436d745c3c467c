"""What a run leaves for programs and for later runs: results.json, summary.md, the history."""

import json
import os
import re
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import fastjsonschema
import pytest
from typer.testing import CliRunner

from harness.cli import main as cli
from harness.config import paths
from harness.errors import HarnessError, SettingsError
from harness.report import past_runs, summary
from harness.report.publish import publish
from harness.report.summary import markdown
from harness.results import results_json as model
from harness.results.past.database import HistoryUnusable
from harness.results.past.difference import difference
from harness.results.past.earlier import results_of, run_before
from harness.results.past.history import FILE, Past, VerdictHistory, flakiest
from harness.results.read import read_run
from harness.results.results_json import Difference, Results
from harness.results.run import Verdict
from tests import forked, results_folders
from tests.results_folders import EVIL, case, failure, junit, recorded, simulated

SCHEMA = paths.PROJECT / "docs" / "results-schema.json"
FAILED = failure("assert 1 == 2")
BROKE = failure("harness.errors.LabError: QEMU went away", tag="error")
KNOWN = '<skipped type="pytest.xfail" message="FreeBSD bug 292322: degraded"/>'
TIMES = ("total", "boot", "freebsd", "evidence", "processor")
PROGRAM = [
    {"node": "skunk2", "program": "hastd", "file": "my <hastd>", "sha256": "ab" * 32},
]
MIXED = {"skunk1": "13.2-RELEASE amd64", "skunk2": "15.1-RELEASE amd64"}
SKIPPED = '<skipped type="pytest.skip" message="needs FreeBSD 14"/>'


@pytest.fixture
def results(tmp_path: Path) -> Path:
    return recorded(tmp_path / "results")


def a_run(folder: Path, *cases: str, hours: float = 0, **about: object) -> Path:
    """A results folder without evidence, of a run that started so many hours after the first."""
    folder.mkdir()
    told: dict[str, object] = json.loads((results_folders.RECORDED / "run.json").read_text())
    started = datetime(2026, 11, 22, 12, tzinfo=UTC) + timedelta(hours=hours)
    (folder / "run.json").write_text(json.dumps(told | {"started": started.isoformat()} | about))
    junit(folder, *cases)
    return folder


def results_in(folder: Path) -> Results:
    return Results.of(read_run(folder))


# --- results.json -------------------------------------------------------------------------------


def test_the_published_schema_is_that_of_the_code() -> None:
    assert SCHEMA.read_text() == model.schema_text(), (
        "write it anew: python -c 'from harness.results import model; "
        "print(model.schema_text(), end=str())' > docs/results-schema.json"
    )


def test_results_are_as_the_schema_has_them(results: Path, tmp_path: Path) -> None:
    results_folders.everything(results)
    a_run(tmp_path / "before", case("test_b"), hours=-48, lab="simulated", seed=7)
    validate = fastjsonschema.compile(json.loads(SCHEMA.read_text()))
    told: dict[str, Any] = json.loads(publish(results).results.read_text())
    validate(told)
    assert told["difference"]["compared"] == 1
    told["scenarios"][0]["verdict"] = "perhaps"
    with pytest.raises(fastjsonschema.JsonSchemaException, match="verdict"):
        validate(told)


def test_what_a_program_finds_in_the_results(results: Path) -> None:
    wait = "harness.errors.WaitExpired: waited 30.0 s for peace; last seen: war"
    spent = {"total": "10", "boot": "2", "freebsd": "7", "evidence": "0.9", "processor": "0.1"}
    noted = {"noted: lost": "file-3", **{f"seconds_{name}": value for name, value in spent.items()}}
    junit(
        results,
        case("test_planned_failover", failure(wait), file="test_planned_failover", **noted),
        case("test_b", KNOWN, claim="5"),
    )
    told = model.load(publish(results).results)
    assert (told.run.lab, told.run.simulated) == ("qemu", False)
    assert told.run.release == "13.2-RELEASE amd64"
    assert told.counts == {Verdict.FAILED: 1, Verdict.KNOWN_BUG: 1}
    first, second = told.scenarios
    assert first.id == "test_planned_failover.py::test_planned_failover"
    assert (first.claims, first.verdict) == ((3,), Verdict.FAILED)
    assert [(note.name, note.value) for note in first.notes] == [("lost", "file-3")]
    assert first.spent is not None
    assert (first.spent.freebsd, round(first.spent.harness, 3)) == (7.0, 0.2)
    (why,) = first.failures
    assert (why.awaited, why.within, why.last_seen) == ("peace", 30.0, "war")
    assert [(node.name, node.role) for node in first.nodes] == [
        ("skunk1", "primary"),
        ("skunk2", "secondary"),
    ]
    assert all((results / str(node.console)).is_file() for node in first.nodes)
    assert (second.known_bug, second.spent, second.nodes) == (292322, None, ())
    assert told.claims[4].scenarios == ("test_new.py::test_b",)


def test_results_of_another_format_are_not_guessed_at(results: Path) -> None:
    path = publish(results).results
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format": 2}))
    with pytest.raises(HarnessError, match=r"results\.json cannot be read"):
        model.load(path)


def test_junit_xml_has_claim_and_known_bug_as_properties(tmp_path: Path) -> None:
    """As the plugin puts them there; where the time went is only told where a lab runs."""
    (tmp_path / "test_it.py").write_text(
        "import pytest\n"
        "pytestmark = pytest.mark.claim(5)\n"
        "@pytest.mark.xfail(strict=True, reason='FreeBSD bug 292322: degraded')\n"
        "def test_a():\n    assert False\n"
        "@pytest.mark.xfail(strict=True, reason='no number is known')\n"
        "def test_b():\n    assert False\n"
    )
    said = forked.run("-q", "--junitxml=junit.xml", program="pytest", cwd=tmp_path)
    assert said.returncode == 0, said.stdout + said.stderr
    told = ElementTree.parse(tmp_path / "junit.xml").getroot().iter("testcase")
    properties = [
        {item.get("name"): item.get("value") for item in case.iter("property")} for case in told
    ]
    names = [{key: each.pop(key) for key in ("test", "evidence")} for each in properties]
    assert properties == [{"claim": "5", "known_bug": "292322"}, {"claim": "5"}]
    folder = tmp_path.name
    assert names[0] == {
        "test": f"{folder}/test_it.py::test_a",
        "evidence": f"{folder}-test_it.py-test_a",
    }


@pytest.mark.parametrize("time", ["-5", "nan", "inf", "", "soon", "9" * 400])
def test_a_time_that_none_can_be_is_an_error(tmp_path: Path, time: str) -> None:
    folder = a_run(tmp_path / "run", case("test_a"))
    text = (folder / "junit.xml").read_text()
    (folder / "junit.xml").write_text(text.replace('time="3.5"', f'time="{time}"'))
    with pytest.raises(HarnessError, match=r"junit\.xml cannot be read"):
        publish(folder)
    junit(folder, case("test_a", **{f"seconds_{key}": time for key in TIMES}))
    with pytest.raises(HarnessError, match=r"junit\.xml cannot be read"):
        publish(folder)


def test_entries_that_no_clock_has_told_are_counted_as_unreadable(results: Path) -> None:
    path = next(results.glob("*/transcript.jsonl"))
    entry = json.loads(path.read_text().splitlines()[0])
    odd: list[dict[str, object]] = [
        {"duration": -1},
        {"duration": 1e999},
        {"at": "2026-01-01T00:00:00"},
    ]
    path.write_text("".join(json.dumps(entry | change) + "\n" for change in (*odd, {})))
    told = [one.told for one in read_run(results).scenarios if one.case.folder == path.parent.name]
    assert [(one.unreadable, len(one.transcript)) for one in told] == [(3, 1)]
    publish(results)


# --- the difference to another run --------------------------------------------------------------


def compared(tmp_path: Path, before: list[str], now: list[str]) -> Difference:
    return difference(
        results_in(a_run(tmp_path / "now", *now, hours=1)),
        results_in(a_run(tmp_path / "before", *before)),
    )


def test_verdicts_that_changed(tmp_path: Path) -> None:
    failed_before = [case(f"test_{name}", FAILED) for name in ("b", "c", "same")]
    before = [case("test_a"), *failed_before, case("test_d", KNOWN), case("test_e", SKIPPED)]
    now = [case("test_a", FAILED), case("test_b"), case("test_c", BROKE), case("test_d")]
    now += [case("test_e", BROKE), case("test_same", FAILED), case("test_new")]
    found = compared(tmp_path, [*before, case("test_gone")], now)
    assert [(one.id[-1], one.before, one.now) for one in found.new_failures] == [
        ("a", Verdict.HELD, Verdict.FAILED),
        ("e", Verdict.SKIPPED, Verdict.BROKE),
    ]
    assert found.new_failures[0].reason == "assert 1 == 2"
    assert [one.id[-1] for one in found.fixed] == ["b"]
    assert [(one.id[-1], one.now) for one in found.changed] == [
        ("c", Verdict.BROKE),
        ("d", Verdict.HELD),
    ]
    assert (found.added, found.missing) == (("test_new.py::test_new",), ("test_new.py::test_gone",))
    assert found.compared == 6


@pytest.mark.parametrize(
    ("before", "now", "told"),
    [(10, 14, True), (14, 10, True), (10, 11, False), (0.1, 1.5, False), (100, 120, False)],
)
def test_a_time_that_changed_is_far_off_in_share_and_in_seconds(
    tmp_path: Path, before: float, now: float, told: bool
) -> None:
    def taking(seconds: float) -> list[str]:
        return [case("test_a").replace('time="3.5"', f'time="{seconds}"')]

    times = compared(tmp_path, taking(before), taking(now)).times
    assert [(one.before, one.now) for one in times] == ([(before, now)] if told else [])


def test_times_of_pairs_side_by_side_say_nothing_about_those_of_one(tmp_path: Path) -> None:
    slow, fast = case("test_a").replace('time="3.5"', 'time="30"'), case("test_a")
    before = results_in(a_run(tmp_path / "before", slow, hours=-1))
    alike = results_in(a_run(tmp_path / "alike", fast))
    crowded = results_in(a_run(tmp_path / "crowded", fast, pairs=2))
    assert len(difference(alike, before).times) == 1
    assert difference(crowded, before).times == ()
    assert difference(crowded, before).compared == 1


def test_the_last_run_is_the_newest_like_it(tmp_path: Path) -> None:
    tests = [case("test_a"), case("test_b"), case("test_c")]
    now = a_run(tmp_path / "now", *tests)
    assert run_before(now, results_in(now)) is None
    older = a_run(tmp_path / "older", *tests, hours=-9)
    a_run(tmp_path / "other-lab", *tests, hours=-1, lab="vagrant")
    a_run(tmp_path / "other-release", *tests, hours=-1, release="14.3-RELEASE amd64")
    a_run(tmp_path / "broken-on-purpose", *tests, hours=-1, mutation="pool-imports-empty")
    a_run(tmp_path / "replaced", *tests, hours=-1, replaced=PROGRAM)
    a_run(tmp_path / "mixed", *tests, hours=-1, releases=MIXED)
    a_run(tmp_path / "later", *tests, hours=1)
    (a_run(tmp_path / "killed", *tests, hours=-1) / "junit.xml").unlink()
    (a_run(tmp_path / "cut-off", *tests, hours=-1) / "junit.xml").write_text("<testsu")
    (tmp_path / "latest").symlink_to("now")
    one = a_run(tmp_path / "one-of-them", tests[0], hours=-1)
    assert run_before(now, results_in(now)) == older
    (older / "junit.xml").unlink()
    assert run_before(now, results_in(now)) == one


def test_a_run_with_a_program_of_ones_own_is_none_of_the_plain_release(tmp_path: Path) -> None:
    """Neither beside a run nor in the history, and its reports name the program first of all."""
    tests = [case("test_a"), case("test_b", **{"fixed here": "FreeBSD bug 292322: degraded"})]
    other = [{**PROGRAM[0], "sha256": "cd" * 32}]
    a_run(tmp_path / "plain", *tests, hours=-1)
    a_run(tmp_path / "other", *tests, hours=-2, replaced=other)
    older = a_run(tmp_path / "older", *tests, hours=-3, replaced=PROGRAM)
    now = a_run(tmp_path / "now", *tests, replaced=PROGRAM)
    told = results_in(now)
    assert run_before(now, told) == older
    assert told.counts == {Verdict.FIXED_HERE: 1, Verdict.HELD: 1}
    assert [(one.known_bug, one.reason) for one in told.scenarios] == [
        (None, ""),
        (292322, "FreeBSD bug 292322: degraded"),
    ]
    for folder in ("plain", "other", "now"):
        publish(tmp_path / folder, remember=True)
    with VerdictHistory(tmp_path / FILE) as history:
        assert sorted(release for _, release, _ in history.kinds()) == [
            "13.2-RELEASE amd64",
            "13.2-RELEASE amd64 with hastd abababababab on skunk2",
            "13.2-RELEASE amd64 with hastd cdcdcdcdcdcd on skunk2",
        ]
    named = f"hastd of skunk2 is my &lt;hastd&gt;, SHA-256 {'ab' * 32}"
    page = (now / "report.html").read_text()
    assert named in page[page.index('class="lead"') : page.index("<h1>")]
    assert 'id="fixed"' in page
    assert f"SHA-256 {'ab' * 32}" in (now / "summary.md").read_text().splitlines()[2]
    fastjsonschema.validate(model.schema(), json.loads((now / "results.json").read_text()))


def test_a_report_tells_what_is_new(results: Path, tmp_path: Path) -> None:
    names = [path.name.partition(".py-") for path in results.glob("test_*")]
    tests = [case(name, file=file) for file, _, name in names]
    a_run(tmp_path / "before", *tests[1:], hours=-24)
    file, _, name = names[1]
    junit(results, tests[0], case(name, FAILED, file=file), *tests[2:])
    page = publish(results).report.read_text()
    section = page[page.index('id="difference"') : page.index('id="claims"')]
    assert "New failures" in section
    assert "before</code>, FreeBSD 13.2-RELEASE amd64" in section
    assert re.search(r"1 new</summary>\s*<ul class=\"changes\"><li><a", section)
    assert "Fixed" not in section


def test_against_is_the_folder_that_was_named(results: Path, tmp_path: Path) -> None:
    a_run(tmp_path / "near", case("test_a"), hours=-1)
    (tmp_path / "elsewhere").mkdir()
    far = a_run(tmp_path / "elsewhere" / "far", case("test_a"), hours=-100, lab="vagrant")
    said = CliRunner().invoke(cli.app, ["report", str(results), "--against", str(far)])
    assert said.exit_code == 0, said.output
    told = model.load(results / "results.json").difference
    assert told is not None
    assert told.name == "far"
    with pytest.raises(HarnessError, match="not the results folder of a run"):
        publish(results, against=tmp_path)


def test_results_that_are_older_than_the_verdicts_are_not_believed(results: Path) -> None:
    path = publish(results).results
    junit(results, case("test_a", FAILED))
    os.utime(results / "junit.xml", (0, path.stat().st_mtime - 10))
    assert len(results_of(results).scenarios) == 5
    os.utime(results / "junit.xml", (0, path.stat().st_mtime + 10))
    assert [one.id for one in results_of(results).scenarios] == ["test_new.py::test_a"]


# --- the history --------------------------------------------------------------------------------


@pytest.fixture
def history(tmp_path: Path) -> Iterator[VerdictHistory]:
    with VerdictHistory(tmp_path / FILE) as opened:
        yield opened


def remember(tmp_path: Path, history: VerdictHistory, *ends: str, **about: object) -> None:
    """One run for each, in which test_a ended so."""
    (so_far,) = history._database.execute("SELECT COUNT(*) FROM runs").fetchone()
    for hours, end in enumerate(ends, so_far):
        folder = a_run(tmp_path / f"run{hours}", case("test_a", end), hours=hours, **about)
        history.add(results_in(folder))


def test_the_history_of_a_lab_and_a_release(tmp_path: Path, history: VerdictHistory) -> None:
    remember(tmp_path, history, "", FAILED, "", KNOWN)
    remember(tmp_path, history, BROKE, lab="vagrant")
    remember(tmp_path, history, FAILED, release="14.3-RELEASE amd64")
    past = history.pasts("qemu", "13.2-RELEASE amd64")["test_new.py::test_a"]
    assert past.verdicts == (Verdict.HELD, Verdict.FAILED, Verdict.HELD, Verdict.KNOWN_BUG)
    assert (past.bad, past.flips, past.count(Verdict.HELD)) == (1, 2, 2)
    assert past.flake_rate == pytest.approx(2 / 3)
    last = history.pasts("qemu", "13.2-RELEASE amd64", last=2)["test_new.py::test_a"]
    assert last.verdicts == (Verdict.HELD, Verdict.KNOWN_BUG)
    assert history.kinds()[0] == ("qemu", "14.3-RELEASE amd64", 1)


def test_a_run_is_in_the_history_once(tmp_path: Path, history: VerdictHistory) -> None:
    remember(tmp_path, history, "")
    junit(tmp_path / "run0", case("test_a", FAILED))
    history.add(results_in(tmp_path / "run0"))
    past = history.pasts("qemu", "13.2-RELEASE amd64")["test_new.py::test_a"]
    assert past.verdicts == (Verdict.FAILED,)


def test_repetitions_are_runs_of_one_scenario(results: Path, tmp_path: Path) -> None:
    a_run(tmp_path / "before", case("test_a"), case("test_b[x]"), hours=-48)
    repeated = [case(f"test_a[{number}-3]", end) for number, end in enumerate(["", FAILED, ""], 1)]
    junit(results, *repeated, case("test_b[x-1-2]"), case("test_b[x-2-2]"))
    told = model.load(publish(results, remember=True).results)
    assert [one.scenario for one in told.scenarios][2:] == [
        "test_new.py::test_a",
        *["test_new.py::test_b[x]"] * 2,
    ]
    assert told.difference is not None
    assert [one.id for one in told.difference.verdicts] == ["test_new.py::test_a"]
    assert (told.difference.compared, told.difference.added) == (2, ())
    with VerdictHistory(tmp_path / FILE) as history:
        past = history.pasts("qemu", "13.2-RELEASE amd64")["test_new.py::test_a"]
    assert past.verdicts == (Verdict.HELD, Verdict.FAILED, Verdict.HELD)
    assert "Last 3 runs" in (results / "report.html").read_text()


def test_what_is_flaky_and_what_is_only_broken() -> None:
    good, bad, skip = Verdict.HELD, Verdict.FAILED, Verdict.SKIPPED
    broken = Past("broken", (good, good, bad, bad))
    flaky = Past("flaky", (good, bad, skip, Verdict.KNOWN_BUG, Verdict.BROKE))
    assert (broken.flips, broken.flake_rate) == (1, 0.0)
    assert (flaky.flips, flaky.flake_rate) == (3, 1.0)
    assert Past("new", (bad,)).flake_rate is None
    assert flakiest([broken, flaky]) == [flaky]


def test_the_page_shows_a_scenario_that_went_bad_in_its_first_run_beside_others(
    tmp_path: Path,
) -> None:
    """It has no flake rate yet, and theirs are numbers."""
    publish(a_run(tmp_path / "before", case("test_a", FAILED)), remember=True)
    run = a_run(tmp_path / "run", case("test_a"), case("test_b", FAILED), hours=1)
    assert "History" in publish(run, remember=True).report.read_text()


def test_a_run_adds_itself_and_shows_the_past(results: Path, tmp_path: Path) -> None:
    for hours, end in enumerate(["", FAILED, ""]):
        publish(
            a_run(tmp_path / f"run{hours}", case("test_a", end), hours=hours - 9), remember=True
        )
    junit(results, case("test_a"))
    page = publish(results).report.read_text()
    assert "Last 3 runs" in page, "skunk report only looks"
    page = publish(results, remember=True).report.read_text()
    assert 'aria-label="oldest first: held, failed, held, held"' in page
    assert "1 bad, flake rate 67%" in page
    assert "flake rate" in (results / "summary.md").read_text()
    path = results / "run.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"mutation": "pool-imports-empty"}))
    junit(results, case("test_a", FAILED))
    publish(results, remember=True)
    with VerdictHistory(tmp_path / FILE) as history:
        past = history.pasts("qemu", "13.2-RELEASE amd64")["test_new.py::test_a"]
    assert past.verdicts[-1] is Verdict.HELD, "what is broken on purpose is not remembered"


@pytest.mark.parametrize("damage", ["no database", "cut off", "of a later harness", "a folder"])
def test_a_damaged_history_is_a_warning(results: Path, tmp_path: Path, damage: str) -> None:
    path = tmp_path / FILE
    if damage == "no database":
        path.write_text("no database " * 100)
    elif damage == "a folder":
        path.mkdir()
    else:
        publish(results, remember=True)
        if damage == "cut off":
            path.write_bytes(path.read_bytes()[:5000])
        else:
            with sqlite3.connect(path) as database:
                database.execute("PRAGMA user_version = 99")
    published = publish(results, remember=True)
    (warning,) = published.warnings
    assert str(path) in warning
    assert "What to do" in warning
    assert str(path) in published.report.read_text()
    assert "5 scenarios held." in published.summary.read_text()


def test_a_locked_history_is_given_up_soon(tmp_path: Path, history: VerdictHistory) -> None:
    holder = sqlite3.connect(history.path)
    holder.execute("BEGIN EXCLUSIVE")
    try:
        with pytest.raises(HistoryUnusable, match="locked"):
            VerdictHistory(history.path, locked_seconds=0.1)
    finally:
        holder.close()


def test_the_command_tells_the_history(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SKUNK_RESULTS_DIR", str(tmp_path))
    with pytest.raises(SettingsError, match="no history"):
        past_runs.of(tmp_path)
    with VerdictHistory(tmp_path / FILE) as history:
        remember(tmp_path, history, "", FAILED, "")
    said = CliRunner().invoke(cli.app, ["history"])
    assert said.exit_code == 0, said.output
    assert "qemu lab, FreeBSD 13.2-RELEASE amd64: 3 runs" in said.stdout
    assert re.search(r"test_new\.py::test_a +3 +2 +1 +100%", said.stdout)
    (told,) = json.loads(CliRunner().invoke(cli.app, ["history", "--json"]).stdout)
    assert told["scenarios"][0]["flake_rate"] == 1.0
    with pytest.raises(SettingsError, match="no run of lab vagrant"):
        past_runs.of(tmp_path, lab="vagrant")


# --- the summary of a CI job --------------------------------------------------------------------


def test_a_summary_has_the_failures_first(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SERVER_URL", "REPOSITORY", "RUN_ID"):
        monkeypatch.delenv(f"GITHUB_{name}", raising=False)
    wait = "harness.errors.WaitExpired: waited 30.0 s for peace; last seen: `war`&#10;```"
    junit(
        results,
        case("test_a", claim="4"),
        case("test_b", failure(wait), claim="4"),
        case("test_c", KNOWN, **{"noted: lost": "file-3"}),
    )
    text = publish(results).summary.read_text()
    assert text.startswith("## 1 scenario held, 1 failed, 1 met a known bug.\n")
    assert text.index("What did not hold") < text.index("### Claims") < text.index("Known bugs")
    assert "waited 30.0 s for peace; last seen:\n  ````text\n  `war`\n  ```\n  ````" in text
    row = "| 4 | Reboot of the secondary while the primary writes |"
    assert f"{row} ❌ failed | 1 failed, 1 held |" in text
    assert "[292322](https://bugs.freebsd.org/bugzilla/show_bug.cgi?id=292322)" in text
    assert "| lost | file-3 |" in text
    assert "qemu lab" in text.splitlines()[2]
    assert "artifacts" not in text
    monkeypatch.setenv("GITHUB_SERVER_URL", "https://github.com")
    monkeypatch.setenv("GITHUB_REPOSITORY", "a/b")
    monkeypatch.setenv("GITHUB_RUN_ID", "7")
    assert "https://github.com/a/b/actions/runs/7#artifacts" in publish(results).summary.read_text()


def test_a_summary_hides_no_failure_behind_many_of_one_cause(results: Path) -> None:
    many = "harness.errors.CommandFailed: skunk{}: hastctl role primary ended with {}"
    junit(
        results,
        *(case(f"test_many{n}", failure(many.format(n % 2 + 1, n))) for n in range(80)),
        *(case(f"test_alone_{n}", failure(f"AssertionError: {n}")) for n in "abcdefgh"),
    )
    text = publish(results).summary.read_text()
    table = text[: text.index("### Claims")]
    assert all(f"test_alone_{n}`" in table for n in "abcdefgh")
    assert table.count("hastctl role primary ended") == 1
    assert "and **79 more** with the same words: `test_new.py::test_many1`" in table
    assert table.index("test_alone_h") < table.index("test_many0")


def test_a_summary_of_a_model_says_so(results: Path) -> None:
    simulated(results, [])
    text = publish(results).summary.read_text()
    assert text.startswith("## Simulated: ")
    assert "nothing here is evidence about FreeBSD" in text


def test_what_a_node_printed_stays_text_in_a_summary(results: Path) -> None:
    results_folders.everything(results)
    outside = re.sub(r"(?s)```+text.*?```+|`[^`\n]*`", "", publish(results).summary.read_text())
    assert not re.search(r"(?<!\\)<(script|img)", outside)
    assert EVIL not in outside


def test_a_summary_fits_on_the_page_of_a_job(
    results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = [failure(chr(0x4E00 + n) + "é" * 20_000, "x" * 20_000) for n in range(400)]
    junit(results, *(case(f"test_{n}", each, claim="5") for n, each in enumerate(long)))
    read = results_in(results)
    assert 100_000 < len(markdown(read, {}).encode()) < summary.LARGEST
    monkeypatch.setattr(summary, "LARGEST", 20_000)
    text = markdown(read, {})
    assert 15_000 < len(text.encode()) <= 20_100
    assert text.endswith("the report has it all.\n")
