"""The report: what it says of a run, and that any browser shows it to anybody, safely."""

import itertools
import json
import math
import re
import shutil
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from typer.testing import CliRunner

from harness.cli import main as cli
from harness.config import paths
from harness.errors import HarnessError
from harness.record.entry import Entry, Kind
from harness.report.drawing import NARROW, WIDE, draw
from harness.report.publish import publish
from harness.results.junit import read as read_junit
from harness.results.old_wording import in_values
from harness.results.read import read_run
from harness.results.run import Verdict, in_words
from harness.results.timeline import Curve, Span, Split, Timeline, Write, timeline
from harness.waiting.spent import Spent
from tests import results_folders
from tests.results_folders import RECORDED, case, failure, junit, recorded, simulated

MARK = "no evidence about FreeBSD"


@pytest.fixture
def results(tmp_path: Path) -> Path:
    return recorded(tmp_path / "results")


def write_report(folder: Path) -> Path:
    return publish(folder).report


class Page(HTMLParser):
    """The report as a browser takes it apart."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.source = path.read_text(encoding="utf-8")
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.headings: list[tuple[int, str]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(self.source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._open.append(tag)
        if re.fullmatch("h[1-6]", tag):
            self.headings.append((int(tag[1]), ""))

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        if "style" not in self._open:
            self.text += data
        if any(re.fullmatch("h[1-6]", tag) for tag in self._open):
            level, text = self.headings[-1]
            self.headings[-1] = level, text + data

    def values(self, name: str) -> list[str]:
        return [value for _, attributes in self.tags if (value := attributes.get(name))]


# --- what it says -----------------------------------------------------------------------------


def test_a_recorded_run(results: Path) -> None:
    run = read_run(results)
    assert in_words(run.counts) == "5 scenarios held."
    held = {claim.number for claim in run.claims if claim.verdict is Verdict.HELD}
    assert held == {1, 2, 3}
    page = Page(write_report(results))
    first = page.text[page.text.rindex("qemu lab") :].split("\n")[0]
    for part in ("QEMU 7.2", "TCG", "FreeBSD 13.2-RELEASE amd64", "22 November 2026"):
        assert part in first
    assert "Not tested in this run: 4 (Reboot of the secondary" in page.text
    assert MARK not in page.text
    assert "Gaps in the model" not in page.text


def test_a_claim_and_a_docstring_come_from_the_properties(results: Path) -> None:
    junit(
        results,
        case("test_a", claim="4", docstring="The claim.&#10;&#10;    More of it."),
        case("test_b", failure("assert 1 == 2"), claim="4"),
        case("test_c"),
    )
    run = read_run(results)
    assert "What did not hold" in Page(write_report(results)).text
    assert [scenario.case.docstring for scenario in run.claims[3].scenarios] == [
        "The claim.\n\nMore of it.",
        "",
    ]
    assert run.claims[3].verdict is Verdict.FAILED
    assert [scenario.case.name for scenario in run.unclaimed] == ["test_c"]


@pytest.mark.parametrize(
    ("inside", "verdict"),
    [
        ("", Verdict.HELD),
        (failure("assert 1 == 2"), Verdict.FAILED),
        (failure("AssertionError: roles&#10;assert 1 == 2"), Verdict.FAILED),
        (failure("harness.errors.CommandFailed: skunk1: `zpool import` ended"), Verdict.FAILED),
        (failure("harness.errors.NodePanicked: skunk1: the kernel panicked"), Verdict.FAILED),
        (failure("[XPASS(strict)] FreeBSD bug 292322"), Verdict.FAILED),
        (failure("harness.errors.LabError: skunk1: QEMU went away"), Verdict.BROKE),
        (failure("AttributeError: 'NoneType' object has no attribute 'x'"), Verdict.BROKE),
        (
            failure("failed on setup with &quot;harness.errors.LabError: x&quot;", tag="error"),
            Verdict.BROKE,
        ),
        (
            failure(
                "failed on setup with &quot;harness.errors.LabError: x...&#10;[truncated; full",
                tag="error",
            ),
            Verdict.BROKE,
        ),
        (
            failure("failed on setup with &quot;harness.errors.WaitExpired: x&quot;", tag="error"),
            Verdict.FAILED,
        ),
        ('<skipped type="pytest.xfail" message="bug 292322"/>', Verdict.KNOWN_BUG),
        ('<skipped type="pytest.skip" message="needs 14">x</skipped>', Verdict.SKIPPED),
    ],
)
def test_verdicts(tmp_path: Path, inside: str, verdict: Verdict) -> None:
    junit(tmp_path, case("test_a", inside))
    _, (found,) = read_junit(tmp_path / "junit.xml")
    assert found.verdict is verdict


def test_a_clean_up_that_fails_too_is_the_same_scenario(tmp_path: Path) -> None:
    teardown = failure(
        "failed on teardown with &quot;harness.errors.LabError: x&quot;", tag="error"
    )
    junit(tmp_path, case("test_a", failure("assert 0")), case("test_a", teardown))
    _, (found,) = read_junit(tmp_path / "junit.xml")
    assert found.verdict is Verdict.FAILED
    assert [item.error for item in found.failures] == ["AssertionError", "LabError"]


def test_a_wait_that_expired_shows_its_step_and_what_was_seen_last(tmp_path: Path) -> None:
    traceback = """\
    def test_a(pair: Pair) -> None:
>       catch_up(pair)

tests/scenarios/test_new.py:31:
_ _ _ _
tests/scenarios/test_new.py:12: in catch_up
    pair.wait_until_in_sync(skunk2)
harness/cluster/pair.py:158: in wait_until_in_sync
    wait_until(

>           raise WaitExpired(what, deadline.within, last) from None
E           harness.errors.WaitExpired: waited

/somewhere/harness/waiting/wait.py:118: WaitExpired"""
    message = (
        "harness.errors.WaitExpired: waited 30.0 s for skunk2 to be in sync;"
        " last seen: Info(&#10; dirty=8720256)"
    )
    junit(tmp_path, case("test_a", failure(message, traceback.replace(">", "&gt;"))))
    _, (found,) = read_junit(tmp_path / "junit.xml")
    (why,) = found.failures
    assert (why.step, why.place) == ("pair.wait_until_in_sync(skunk2)", "test_new.py:12")
    assert (why.awaited, why.within) == ("skunk2 to be in sync", 30.0)
    assert why.last == "Info(\n dirty=8720256)"


def test_known_bugs_and_skips_say_why(results: Path) -> None:
    junit(
        results,
        case("test_a", '<skipped type="pytest.xfail" message="FreeBSD bug 292322: degraded"/>'),
        case("test_b", '<skipped type="pytest.skip" message="needs FreeBSD 14"/>'),
    )
    page = Page(write_report(results))
    assert "1 scenario met a known bug, 1 skipped." in page.text
    assert "https://bugs.freebsd.org/bugzilla/show_bug.cgi?id=292322" in page.values("href")
    assert "Skipped: needs FreeBSD 14" in page.text


def test_what_a_scenario_noted_stands_beside_its_verdict(results: Path) -> None:
    junit(results, case("test_a", **{"noted: thrown away": "file-3"}))
    (found,) = read_junit(results / "junit.xml")[1]
    assert found.noted == (("thrown away", "file-3"),)
    page = write_report(results).read_text(encoding="utf-8")
    assert "<dt>thrown away</dt><dd>file-3</dd>" in page


def test_the_bug_that_was_met_and_where_the_time_went(results: Path) -> None:
    spent = {"total": "10", "boot": "2", "freebsd": "7", "evidence": "0.9", "processor": "0.1"}
    seconds = {f"seconds_{name}": value for name, value in spent.items()}
    reason = "FreeBSD bug 292322: degraded"
    junit(
        results,
        case("test_a", f'<skipped type="pytest.xfail" message="{reason}"/>', **seconds),
        case("test_b", **seconds),
    )
    run = read_run(results)
    assert [scenario.case.bug for scenario in run.scenarios] == [292322, None]
    assert run.spent == Spent(20, 4, 14, 1.8, 0.2)
    text = Page(write_report(results)).text
    assert text.count("known bug 292322") == 2
    assert text.count("the day they hold, the run fails") == 1
    assert "14.0 s waiting for FreeBSD" in text
    assert "0.4 s the harness itself (2.0%)" in text
    simulated(results, [])
    assert "the harness itself" not in Page(write_report(results)).text


def test_pairs_side_by_side_have_each_its_start(results: Path) -> None:
    path = results / "run.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"pairs": 2}))
    files = list((results / "lab").iterdir())
    for pair in ("default-1", "default-2"):
        (results / "lab" / pair).mkdir()
        for file in files:
            shutil.copy(file, results / "lab" / pair)
    for file in files:
        file.unlink()
    page = Page(write_report(results))
    assert "2 pairs side by side" in page.text
    assert [text for _, text in page.headings[-3:]] == [
        "Start of the lab",
        "Pair default-1",
        "Pair default-2",
    ]
    assert "lab/default-2/transcript.txt" in page.values("href")


def test_a_world_that_was_broken_on_purpose_says_so_first(results: Path) -> None:
    path = results / "run.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"mutation": "pool-imports-empty"}))
    page = Page(write_report(results))
    assert "BROKEN ON PURPOSE: pool-imports-empty" in page.text
    assert page.text.strip().startswith("Broken on purpose: ")


def test_a_model_says_so_once_in_the_first_line_and_shows_its_gaps(results: Path) -> None:
    simulated(results, [{"node": "skunk1", "command": "zpool scrub x", "what": "zpool scrub"}])
    page = Page(write_report(results))
    assert "seed 7" in page.text
    assert page.text.count(MARK) == 1
    assert page.text.strip().startswith("Simulated: "), "the title"
    body = page.source[page.source.index("<body") :]
    assert body.index('<p class="lead">') < body.index(MARK) < body.index("simulated lab")
    assert body.index("simulated lab") < body.index("<h1>")
    sections = [text for level, text in page.headings if level <= 4]
    assert len(sections) == 1 + 4 + 3 + 5  # title, sections, claims, scenarios
    assert "zpool scrub x" in page.text


def test_failures_with_one_cause_are_one_row_and_what_stands_alone_comes_first(
    results: Path,
) -> None:
    common = "harness.errors.CommandFailed: skunk{}: hastctl role primary ended with {}"
    junit(
        results,
        *(case(f"test_many{n}", failure(common.format(n % 2 + 1, 70 + n))) for n in range(39)),
        *(case(f"test_held{n}") for n in range(3)),
        case("test_alone", failure("AssertionError: three files are gone")),
        case("test_no_lab", failure(common.format(1, 70).replace("Command", "Lab"), tag="error")),
    )
    page = Page(write_report(results))
    table = page.source[page.source.index('id="troubles"') : page.source.index('id="claims"')]
    told = [table.index(each) for each in ("Alone", "No lab", "39 scenarios", "Many0", "Many38")]
    assert told == sorted(told)
    assert table.count("hastctl role primary ended with") == 2
    opened = re.findall(r'<details open>\n<summary><h4 id="test-new-py-test-(.*?)-h"', page.source)
    assert sorted(opened) == ["alone", "many0", "no-lab"], "one of each cause is unfolded"


def test_the_outcomes_can_be_filtered(results: Path) -> None:
    css = (paths.PROJECT / "harness" / "report" / "report.css").read_text()
    known = set(re.findall(r"#show-([a-z-]+):checked\) article", css))
    assert known == {each.replace(" ", "-") for each in Verdict} - {"not-tested"}
    page = Page(write_report(results_folders.everything(results)))
    shown = {each.removeprefix("show-") for each in page.values("id") if each.startswith("show-")}
    assert shown == {"all", "held", "failed", "broke", "known-bug", "skipped"}


def test_a_claim_has_a_row_only_if_a_scenario_tests_it(results: Path) -> None:
    junit(results, case("test_planned_failover", claim="3", file="test_planned_failover"))
    page = Page(write_report(results))
    table = page.source[page.source.index('id="claims"') : page.source.index('id="scenarios"')]
    assert table.count("<tr>") == 2, "the head, and claim 3"
    assert table.count("✓") == 2, "of the claim, and beside its only scenario"
    assert "Not tested in this run: 1 (Set-up" in table
    assert "Tested by no scenario yet: 8 (CARP" in table


def test_what_did_not_run_and_what_met_a_gap_is_told(results: Path) -> None:
    simulated(results, [{"node": "skunk1", "command": "lockf x", "what": "lockf"}])
    gap = '<property name="gap" value="skunk1: lockf in `lockf x`"/>'
    missing = '<property name="not run" value="interrupted"/>'
    junit(
        results,
        case("test_held"),
        case("test_gap", '<skipped message="gap"/>').replace(
            "</properties>", f"{gap}</properties>"
        ),
        case("test_late", '<skipped message="interrupted: never begun"/>').replace(
            "</properties>", f"{missing}</properties>"
        ),
    )
    page = Page(write_report(results))
    sections = [text for level, text in page.headings if level <= 2]
    assert sections[:3] == [sections[0], "What did not run", "Gaps in the model"]
    assert sections[0].startswith("Interrupted: 2 of 3 ran.")
    assert page.text.count("skunk1: lockf in `lockf x`") == 2


@pytest.mark.parametrize(("gaps", "said"), [([], "None: the model knew"), (None, "left no gaps")])
def test_no_gaps_are_told_too(results: Path, gaps: list[dict[str, str]] | None, said: str) -> None:
    simulated(results, gaps)
    assert said in Page(write_report(results)).text


# --- the timeline -----------------------------------------------------------------------------

START = datetime(2026, 11, 22, 12, tzinfo=UTC)


def entry(  # noqa: PLR0917 - a story reads as a table
    at: float, node: str, text: str, took: float = 0.0, kind: str = "action", stdout: str = ""
) -> Entry:
    """What the harness did is told as it was before it had values, and looked up in the table."""
    status = 0 if kind == "command" else None
    when = START + timedelta(seconds=at)
    return in_values(Entry(when, node, Kind(kind), text, took, status, stdout))


def listed(at: float, node: str, role: str, status: str, dirty: int) -> Entry:
    return entry(
        at,
        node,
        "hastctl list mirror",
        kind="command",
        stdout=f"mirror:\n  role: {role}\n  provname: mirror\n  localpath: /dev/vtbd1\n"
        f"  extentsize: 2097152 (2.0MB)\n  keepdirty: 64\n  remoteaddr: 192.168.0.2\n"
        f"  replication: memsync\n  status: {status}\n  dirty: {dirty} (0B)\n",
    )


def power_cut() -> Timeline:
    return timeline(
        [
            entry(2, "pair", "restored to 'set-up'", 2),
            listed(3, "skunk1", "primary", "complete", 0),
            entry(5, "skunk1", "power cut", 0.5),
            entry(6, "skunk2", "hastctl role primary mirror", 0.5, "command"),
            entry(7, "skunk2", "zpool import", 0.5, "command"),
            entry(8, "skunk2", "zpool import -f -d /dev/hast failover", 20, "command"),
            listed(29, "skunk2", "primary", "degraded", 4096),
            entry(30, "skunk1", "power on"),
            entry(31, "skunk1", "SSH answers", 19),
            listed(52, "skunk1", "init", "complete", 0),
            entry(53, "skunk1", "hastctl role secondary mirror", 1, "command"),
            listed(55, "skunk2", "primary", "complete", 4096),
            listed(58, "skunk2", "primary", "complete", 0),
            entry(60, "skunk2", "hastctl list mirror: the same answer 3 more times", 0, "repeats"),
        ]
    )


def states(spans: tuple[Span, ...]) -> list[tuple[float, float, str]]:
    return [(span.start, span.end, span.state) for span in spans]


def test_a_power_cut_on_the_axis() -> None:
    story = power_cut()
    skunk1, skunk2 = story.tracks
    assert states(skunk1.roles) == [
        (2, 5, "primary"),
        (5, 30, "off"),
        (30, 50, "booting"),
        (50, 54, "init"),  # nobody had asked yet, but nothing has changed since the boot either
        (54, 60, "secondary"),
    ]
    assert states(skunk1.pools) == [(2, 5, "imported")]
    assert states(skunk2.roles) == [(2, 6.5, "secondary"), (6.5, 60, "primary")]
    assert states(skunk2.pools) == [(28, 60, "imported")]
    assert states(story.replication) == [
        (2, 5, "in sync"),
        (6.5, 54, "degraded"),
        (54, 58, "resync"),
        (58, 60, "in sync"),
    ]
    assert story.curves == (
        Curve("skunk1", ((3, 0),)),
        Curve("skunk2", ((29, 4096),)),
        Curve("skunk2", ((55, 4096), (58, 0), (60, 0))),
    )
    assert [(mark.at, mark.kind) for mark in story.marks][1:3] == [(5, "fault"), (6, "role")]
    assert (skunk2.last.role, skunk2.last.status, skunk2.last.dirty) == ("primary", "complete", 0)
    assert (skunk1.last.role, skunk1.last.status, skunk1.last.dirty) == ("secondary", "", None)


@pytest.mark.parametrize(
    ("text", "took", "state"),
    [
        ("panic", 7.0, "panicked"),
        ("reboot -nq", 7.0, "booting"),
        ("reset", 7.0, "booting"),
        ("power cut", 7.0, "off"),
        ("ACPI shutdown", 7.0, "going down"),
    ],
)
def test_a_dead_node_has_no_role(text: str, took: float, state: str) -> None:
    """From the moment that it dies, though the harness may know only at the end that it did."""
    story = timeline(
        [
            entry(1, "pair", "restored to 'set-up'"),
            entry(9, "skunk1", "hastctl role primary mirror", 2, "command"),
            entry(10, "skunk1", text, took),
            entry(11, "skunk2", "hastctl role primary mirror", 1, "command"),
            listed(30, "skunk2", "primary", "degraded", 0),
        ]
    )
    skunk1, skunk2 = story.tracks
    assert states(skunk1.roles)[:2] == [(0, 9, "primary"), (9, 16 if "ACPI" in text else 29, state)]
    assert states(skunk1.pools) == [(0, 9, "imported")]
    assert (11, 29, "primary") in states(skunk2.roles)


def test_a_panic_that_a_command_makes_ends_the_role_too() -> None:
    story = timeline(
        [
            entry(0, "pair", "restored to 'set-up'"),
            entry(5, "skunk1", "/bin/sh -c 'sysctl debug.kdb.panic=1 &'", 5, "command"),
            listed(20, "skunk2", "secondary", "complete", 0),
        ]
    )
    assert states(story.tracks[0].roles) == [(0, 5, "primary"), (5, 20, "panicked")]


def test_the_stall_of_a_write_is_on_the_axis() -> None:
    """As a block from when it was issued to when it was acknowledged; others are small strokes."""
    ledger = "0.000 s: acknowledged after 0.012 s\n0.112 s: acknowledged after 20.100 s\n"
    story = timeline(
        [
            entry(0, "pair", "restored to 'set-up'"),
            entry(5, "skunk1", "2 writes", 30, "writes", f"{ledger}20.300 s: never acknowledged\n"),
            entry(36, "skunk2", "zpool list", 4, "command"),
        ]
    )
    assert story.writes == (Write(5, 0.012), Write(5.112, 20.1), Write(25.3, None))
    drawn = draw(story, WIDE)
    assert [(each.x, each.width, each.label) for each in drawn.stalls] == [
        (12.78, 50.25, "20.1 s"),
        (63.25, 36.75, "never"),
    ]
    said = "writes: 2 acknowledged, half within 10.1 s, the slowest after 20.1 s, 1 never"
    assert said in [each.text for each in drawn.headings]
    assert drawn.issued.count("M") == 3


def test_a_single_write_is_drawn_where_it_stalled() -> None:
    write = "dd if=/dev/random of=/dev/hast/mirror bs=64k count=1"
    for took, count in (0.01, 0), (21.1, 1):
        assert len(timeline([entry(0, "skunk1", write, took, "command")]).writes) == count


def test_where_the_time_went() -> None:
    assert power_cut().split == Split(restore=2 + 19, waiting=5, rest=60 - 2 - 19 - 5)


def test_waits_are_those_that_the_transcript_tells() -> None:
    """Then nothing is guessed; what a restore waits for is part of the restore."""
    story = timeline(
        [
            entry(0.5, "pair", "skunk1 to answer over SSH", 1, "wait"),
            entry(2, "pair", "restored to 'set-up'", 2),
            listed(3, "skunk1", "primary", "complete", 0),
            listed(5, "skunk1", "primary", "degraded", 0),
            entry(3, "pair", "skunk1 to say degraded", 2.5, "wait"),
            entry(5, "skunk2", "date", 0.1, "command"),  # of another thread
            entry(6, "skunk1", "touch /failover/x", 4, "command"),
        ]
    )
    assert [(wait.start, wait.end, wait.label) for wait in story.waits] == [
        (3, 5.5, "skunk1 to say degraded")
    ]
    assert story.split == Split(restore=2, waiting=2.5, rest=10 - 2 - 2.5)
    assert len(story.tracks) == 2


def test_a_reboot_on_the_axis() -> None:
    story = timeline(
        [
            entry(0, "pair", "restored to 'provisioned'"),
            entry(1, "skunk1", "shutdown -r now", 1, "command"),
            entry(9, "skunk1", "SSH answers", 11),
            listed(21, "skunk1", "init", "complete", 0),
        ]
    )
    assert states(story.tracks[0].roles) == [
        (0, 2, "no hastd"),
        (2, 9, "going down"),
        (9, 20, "booting"),
        (20, 21, "init"),
    ]


def test_numbers_on_a_phone_do_not_cover_each_other() -> None:
    marks = [entry(at / 4, "skunk1", "hastctl role init mirror", 0, "command") for at in range(4)]
    drawn = draw(timeline([*marks, entry(20, "skunk2", "power on")]), NARROW)
    places = [(dot.x * NARROW / 100, dot.y) for dot in drawn.dots]
    for one, other in itertools.combinations(places, 2):
        assert math.dist(one, other) > 15, "pixels: the width of a number's circle"


def test_a_resync_is_a_curve_that_is_flat_where_the_answer_was_the_same() -> None:
    story = timeline(
        [
            entry(0, "pair", "restored to 'set-up'"),
            listed(1, "skunk1", "primary", "complete", 8_000_000),
            entry(6, "skunk1", "hastctl list mirror: the same answer 9 more times", 0, "repeats"),
            replace(listed(5, "skunk1", "primary", "complete", 2_000_000), duration=1),
            entry(7, "skunk1", "reset"),
            listed(20, "skunk1", "primary", "degraded", 4_000_000),
            listed(25, "skunk2", "secondary", "complete", 0),
        ]
    )
    curve, after = story.curves
    assert curve.points == ((1, 8_000_000), (5, 8_000_000), (6, 2_000_000))
    assert after.points == ((20, 4_000_000),)
    line, dot = draw(story, NARROW).lines
    assert (len(line.dots), dot.dots, dot.area) == (3, ((80.0, line.dots[1][1] + 19.6),), "")
    assert (line.x, line.width) == (4, 20), "percent of 25 s"
    assert line.path == "M0,2.0 800,2.0 1000,75.5"


def test_a_pause_and_a_cable_on_the_axis() -> None:
    story = timeline(
        [
            entry(0, "pair", "restored to 'set-up'"),
            entry(1, "skunk1", "private link unplugged"),
            entry(2, "skunk1", "paused"),
            listed(3, "skunk2", "primary", "degraded", 0),
            entry(4, "skunk1", "resumed"),
            entry(6, "skunk1", "private link plugged"),
            listed(8, "skunk2", "primary", "degraded", 0),
        ]
    )
    assert states(story.tracks[0].roles) == [
        (0, 2, "primary"),
        (2, 4, "paused"),
        (4, 8, "primary"),
    ]
    assert states(story.replication)[:1] == [(1, 6, "unplugged")]


def test_the_recorded_failover_on_the_axis() -> None:
    run = read_run(RECORDED)
    told = next(s.told for s in run.scenarios if s.case.name == "test_planned_failover")
    assert told.timeline is not None
    skunk1, skunk2 = [[span.state for span in track.roles] for track in told.timeline.tracks]
    assert skunk1 == ["no hastd", "init", "primary", "secondary", "primary"]
    assert skunk2 == ["no hastd", "init", "secondary", "primary", "secondary"]


@pytest.mark.parametrize(
    ("folder", "name", "said", "replication", "restore"),
    [
        (
            "2026-11-22-qemu-13.2-link-cut",
            "test_write_while_degraded",
            ["private link unplugged", "private link plugged"],
            ["in sync", "unplugged", "in sync"],
            1.3,
        ),
        (
            "2026-11-22-qemu-13.2-claims-1-to-7",
            "test_power_cut_of_primary",
            ["power cut", "power on"],
            ["resync", "in sync"],
            33.5,
        ),
    ],
)
def test_a_transcript_from_before_faults_had_values_tells_the_same(
    folder: str, name: str, said: list[str], replication: list[str], restore: float
) -> None:
    run = read_run(RECORDED.parent / folder)
    told = next(s.told for s in run.scenarios if s.case.name == name)
    assert not any(entry.kind is Kind.ACTION and entry.did is None for entry in told.transcript)
    story = told.timeline
    assert story is not None
    marks = [(mark.kind, mark.text) for mark in story.marks if mark.kind in {"fault", "heal"}]
    assert marks == list(zip(["fault", "heal"], said, strict=True))
    assert [span.state for span in story.replication] == replication
    assert story.split.restore == pytest.approx(restore, abs=0.05), "restores, saves and boots"
    assert [mark.text for mark in story.marks if mark.kind == "harness"] in (
        ["saved as 'set-up'"],
        ["restored to 'set-up'"],
    )


# --- whose fault a broken folder is -----------------------------------------------------------


@pytest.mark.parametrize(
    ("file", "content", "said"),
    [
        ("run.json", None, "is not the results folder of a run"),
        ("run.json", '{"lab": "qemu"}', "hypervisor: Field required"),
        ("junit.xml", None, "there is no junit.xml"),
        ("junit.xml", "<testsuites><testsu", "cannot be read"),
        ("gaps.json", "[{]", "cannot be read"),
    ],
)
def test_what_is_wrong_with_a_folder_is_told(
    results: Path, file: str, content: str | None, said: str
) -> None:
    if content is None:
        (results / file).unlink()
    else:
        (results / file).write_text(content)
    with pytest.raises(HarnessError, match=said) as caught:
        write_report(results)
    assert caught.value.advice


def test_a_transcript_that_was_cut_off_loses_one_line(results: Path) -> None:
    with (results / "test_set_up.py-test_set_up" / "transcript.jsonl").open("a") as file:
        file.write('{"at": "2026-11-2')
    assert "1 line of the transcript could not be read" in Page(write_report(results)).text


def test_the_command_line_takes_the_latest_run(
    results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (results.parent / "latest").symlink_to(results.name)
    monkeypatch.setenv("SKUNK_RESULTS_DIR", str(results.parent))
    said = CliRunner().invoke(cli.app, ["report"])
    assert said.exit_code == 0
    assert (results / "report.html").is_file()


# --- in a browser -----------------------------------------------------------------------------


@pytest.fixture
def everything(results: Path) -> Path:
    return results_folders.everything(results)


def test_what_a_node_prints_stays_text(everything: Path) -> None:
    page = Page(write_report(everything))
    names = {tag for tag, _ in page.tags}
    assert not names & {"script", "img", "b>"}
    assert not [name for _, attributes in page.tags for name in attributes if name[:2] == "on"]
    assert page.text.count("alert('x')") >= 12
    assert "␛[1m␀" in page.text
    assert not re.search(r"[\x00-\x08\x0b-\x1f]", page.source)


def test_it_needs_nothing_but_itself_and_its_links_lead_somewhere(everything: Path) -> None:
    page = Page(write_report(everything))
    assert not page.values("src")
    assert not [tag for tag, _ in page.tags if tag in ("link", "iframe", "object", "embed")]
    assert "@import" not in page.source
    assert not re.findall(r"url\((?!#)", page.source)
    ids = page.values("id")
    assert len(ids) == len(set(ids))
    for link in page.values("href"):
        if link.startswith("#"):
            assert link[1:] in ids
        elif not link.startswith("https://bugs.freebsd.org/"):
            assert (everything / unquote(urlsplit(link).path)).is_file(), link


def test_a_screen_reader_finds_its_way(everything: Path) -> None:
    page = Page(write_report(everything))
    assert [tag for tag, _ in page.tags].count("main") == 1
    levels = [level for level, _ in page.headings]
    assert levels[0] == 1
    assert all(below - above <= 1 for above, below in itertools.pairwise(levels))
    ids = set(page.values("id"))
    assert set(" ".join(page.values("aria-labelledby")).split()) <= ids
    drawings = [attributes for tag, attributes in page.tags if attributes.get("role") == "img"]
    assert drawings
    assert all(len((drawing["aria-labelledby"] or "").split()) == 2 for drawing in drawings)
    assert "The timeline as a table" in page.text


def luminance(colour: str) -> float:
    """Relative luminance as WCAG 2 defines it; `colour` is rgb or rrggbb in hexadecimal."""
    digits = colour if len(colour) == 6 else "".join(digit * 2 for digit in colour)
    parts = [part / 255 for part in bytes.fromhex(digits)]
    red, green, blue = [
        part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    ]
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
def test_every_text_has_the_contrast_of_wcag_aa(theme: int) -> None:
    css = (paths.PROJECT / "harness" / "report" / "report.css").read_text()
    blocks = re.findall(r":root \{(.*?)\}", css, re.DOTALL)
    colours = dict(re.findall(r"--([\w-]+): #(\w+);", blocks[theme]))
    papers = [("paper", text) for text in ("ink", "soft", "link", "good", "bad", "odd", "idle")]
    papers += [("sheet", text) for text in ("ink", "soft", "bad")]
    papers += [("bad-paper", text) for text in ("ink", "soft", "link", "bad")]
    papers += [("odd-paper", text) for text in ("ink", "odd", "link")]
    papers += [("wait", "ink"), ("bad", "paper")]
    papers += [
        (name, f"on-{name}") for name in ("primary", "secondary", "init", "dark", "pool", "write")
    ]
    for paper, text in papers:
        one, other = sorted((luminance(colours[paper]), luminance(colours[text])))
        assert (other + 0.05) / (one + 0.05) >= 4.5, f"{text} on {paper}"


@pytest.fixture
def fifty(results: Path) -> Path:
    return results_folders.fifty(results)


def test_fifty_scenarios_make_a_small_report_soon(fifty: Path) -> None:
    clock = time.process_time()  # of this process, however busy the host is
    path = write_report(fifty)
    assert time.process_time() - clock < 5
    assert 500_000 < path.stat().st_size < 5_000_000
    assert len(read_run(fifty).scenarios) == 50
