"""The nightly run: its plan, its shards made one, what is new, and the one issue on GitHub."""

import itertools
import json
import os
import shlex
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import filelock
import pytest
from typer.testing import CliRunner

from harness.cli import main as cli
from harness.cli.nightly import FailOn
from harness.cli.nightly import _status as cli_status
from harness.errors import HarnessError, MissingTool, PairInUse, SettingsError
from harness.nightly import issue, night, plan, run, words
from harness.nightly.collect import collect, merge, prune
from harness.nightly.night import Night
from harness.nightly.plan import Lane, Plan
from harness.report.publish import publish
from harness.results import results_json as model
from harness.results.past.history import FILE, VerdictHistory
from harness.results.run import Verdict
from tests import forked
from tests.programs import python_program
from tests.results_folders import BROKE, FAILED, FIRST, HELD, KNOWN, case, failure, part

PLAN = Plan.model_validate(
    {"releases": [{"release": "14.5"}, {"release": "16.0-CURRENT", "may_fail": True}], "shards": 2}
)
LANES = {lane.name: lane for lane in PLAN.lanes()}


def a_night(results: Path, nights: int = 0, why: str = "", /, **verdicts: dict[str, str]) -> Night:
    """One night of several lanes, `nights` after the first: what each scenario of a lane did."""
    started = FIRST + timedelta(days=nights)
    ended: list[tuple[Lane, Path | None, str]] = []
    for name, scenarios in verdicts.items():
        lane = LANES[name.replace("_", "-", 1).replace("_", ".")]
        if not scenarios:
            ended.append((lane, None, why or "no runner left results"))
            continue
        folder = results / f"{started:%Y-%m-%dT%H-%M-%S}-{lane.name}"
        release = "14.5-RELEASE amd64" if lane.release == "14.5" else f"{lane.release} amd64"
        cases = [case(scenario, inside) for scenario, inside in scenarios.items()]
        part(folder, release, *cases, hours=24 * nights)
        publish(folder, remember=True)
        ended.append((lane, folder, why))
    results.mkdir(exist_ok=True)
    return night.write(results, started, ended)


def news_of(results: Path, told: Night) -> night.News:
    return night.news(results, told)


# --- the plan ------------------------------------------------------------------------------------


def test_the_projects_own_plan_has_13_14_15_and_current() -> None:
    planned = plan.load()
    majors = {each.release.partition(".")[0]: each.may_fail for each in planned.releases}
    assert majors == {"13": False, "14": False, "15": False, "CURRENT": True}
    matrix = {name: json.loads(text)["include"] for name, text in planned.matrix().items()}
    assert {job["release"] for job in matrix["images"]} == {
        job["release"] for job in matrix["scenarios"] if job["lab"] == "qemu"
    }
    names = [(job["lane"], job["shard"]) for job in matrix["scenarios"]]
    assert len(set(names)) == len(names) == 1 + planned.shards * len(planned.releases)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("releases: []", "releases"),
        ("releases: [{release: '14.'}]", r"releases\.0\.release"),
        ("releases: [{release: '14.5'}]\nshard: 3", "shard"),
        ("releases: [", "is not YAML"),
    ],
)
def test_a_wrong_plan_is_refused(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "nightly.yaml").write_text(text)
    with pytest.raises(SettingsError, match=says):
        plan.load(tmp_path / "nightly.yaml")


def test_a_lane_knows_its_runs() -> None:
    lane = LANES["qemu-14.5"]
    assert lane.had("qemu", "14.5-RELEASE amd64")
    assert lane.had("qemu", "14.5-RELEASE-p2 amd64")
    assert not lane.had("vagrant", "14.5-RELEASE amd64")
    assert not lane.had("qemu", "14.50-RELEASE amd64")
    assert not lane.had("qemu", "14.5-STABLE amd64")
    assert LANES["qemu-16.0-CURRENT"].had("qemu", "16.0-CURRENT amd64")
    assert LANES["simulated"].had("simulated", "13.2-RELEASE amd64")


# --- shards --------------------------------------------------------------------------------------


def test_shards_become_one_run(tmp_path: Path) -> None:
    one = part(tmp_path / "one", "14.5-RELEASE amd64", case("test_a", FAILED), hours=1)
    two = part(tmp_path / "two", "14.5-RELEASE amd64", case("test_b"), case("test_c"), pairs=2)
    for folder, scenario in ((one, "test_a"), (two, "test_b")):
        (folder / f"test_new.py-{scenario}").mkdir()
        (folder / f"test_new.py-{scenario}" / "transcript.txt").write_text(scenario)
    (one / "lab").mkdir()
    (one / "lab" / "transcript.jsonl").touch()
    for pair in ("default-1", "default-2"):
        (two / "lab" / pair).mkdir(parents=True)
        (two / "lab" / pair / "transcript.jsonl").touch()

    merge([one, two], tmp_path / "merged")
    found = model.load(publish(tmp_path / "merged").results)

    assert [scenario.id.partition("::")[2] for scenario in found.scenarios] == [
        *("test_a", "test_b", "test_c")
    ]
    assert found.counts == {Verdict.FAILED: 1, Verdict.HELD: 2}
    assert found.run.pairs == 3
    assert found.run.started == FIRST, "the earliest"
    assert (tmp_path / "merged" / found.scenarios[1].evidence / "transcript.txt").exists()
    assert sorted(path.name for path in (tmp_path / "merged" / "lab").iterdir()) == [
        *("shard-1", "shard-2-default-1", "shard-2-default-2")
    ]


def test_a_shard_that_is_missing_is_told(tmp_path: Path) -> None:
    parts = tmp_path / "parts"
    part(parts / "results-qemu-14.5-1" / "run", "14.5-RELEASE amd64", case("test_a"))
    killed = part(parts / "results-qemu-14.5-2" / "run", "14.5-RELEASE amd64")
    (killed / "junit.xml").unlink()
    part(parts / "broken", "14.5-RELEASE amd64", case("test_b", FAILED), mutation="no-resync")
    part(parts / "other", "13.5-RELEASE amd64", case("test_b", FAILED))

    told, _ = collect(PLAN, parts, tmp_path / "results")

    assert {turn.lane: turn.why for turn in told.turns} == {
        "simulated": "no runner left results",
        "qemu-14.5": "1 of 2 shards ran",
        "qemu-16.0-CURRENT": "no runner left results",
    }
    (found,) = (lane for lane in news_of(tmp_path / "results", told).lanes if lane.turn.run)
    assert (found.counts[Verdict.HELD], found.bad) == (1, ()), "no mutation, no other release"
    with VerdictHistory(tmp_path / "results" / FILE) as history:
        assert history.kinds() == [("qemu", "14.5-RELEASE amd64", 1)]


@pytest.mark.parametrize("release", ["nothing", "../../x", "14.", ""])
def test_the_image_of_a_mistyped_release_is_a_wrong_command_line(release: str) -> None:
    done = CliRunner().invoke(cli.app, ["nightly", "image", release])
    assert done.exit_code == 2
    assert "is no release of FreeBSD: one is 14.3" in " ".join(done.output.split())


def test_a_mistyped_folder_of_parts_is_no_night(tmp_path: Path) -> None:
    with pytest.raises(HarnessError, match="there is no folder"):
        collect(PLAN, tmp_path / "prats", tmp_path / "results")
    assert not (tmp_path / "results").exists()
    (tmp_path / "parts").mkdir()
    with pytest.raises(HarnessError, match="there is no run of any lane in"):
        collect(PLAN, tmp_path / "parts", tmp_path / "results")
    done = CliRunner().invoke(cli.app, ["nightly", "collect", str(tmp_path / "parts")])
    assert isinstance(done.exception, HarnessError)
    assert not (tmp_path / "results").exists(), "nothing is stored"
    told, warnings = collect(PLAN, tmp_path / "parts", tmp_path / "results", allow_empty=True)
    assert all(turn.why for turn in told.turns), "that no runner left anything is news"
    assert warnings == [f"there is no run of any lane in {tmp_path / 'parts'}"]


def test_nights_that_are_not_there_are_not_silently_forgotten(tmp_path: Path) -> None:
    done = forked.run("nightly", "prune", "--results", tmp_path / "nowhere")
    assert done.returncode == 3
    assert f"{tmp_path / 'nowhere'} is no folder of results" in done.stderr


def test_a_night_without_a_folder_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    results = tmp_path / "file" / "nights"
    done = forked.run("nightly", "run", "--only", "simulated", "--results", results)
    assert done.returncode == 3
    assert "cannot be made" in done.stderr
    assert "What to do: " in done.stderr


def test_old_nights_are_forgotten(tmp_path: Path) -> None:
    for number in range(5):
        a_night(tmp_path, number, qemu_14_5={"test_a": HELD})
    folders = sorted(path.parent for path in tmp_path.glob("*/run.json"))
    for folder in folders:
        (folder / "test_new.py-test_a").mkdir()
    prune(tmp_path, keep=3, keep_evidence=1)
    assert sorted(path.parent for path in tmp_path.glob("*/run.json")) == folders[2:]
    assert [folder.name for folder in folders if (folder / "report.html").exists()] == [
        folders[-1].name
    ]
    assert not (folders[-2] / "test_new.py-test_a").exists()
    told = a_night(tmp_path, 5, qemu_14_5={"test_a": FAILED})
    assert news_of(tmp_path, told).changed, "what is left is enough to compare with"


# --- what is new -------------------------------------------------------------------------------


def test_a_night_like_the_one_before_is_no_news(tmp_path: Path) -> None:
    for number in range(2):
        told = a_night(tmp_path, number, qemu_14_5={"test_a": FAILED, "test_b": HELD})
    found = news_of(tmp_path, told)
    assert (found.changed, found.is_bad) == (False, True)
    assert "Nothing: every verdict" in words.changes(found)


@pytest.mark.parametrize(
    ("before", "now", "expected"),
    [
        ({"test_a": HELD}, {"test_a": FAILED}, (True, True, False)),
        ({"test_a": FAILED}, {"test_a": HELD}, (True, False, True)),
        ({"test_a": FAILED}, {"test_a": BROKE}, (True, True, False)),
        ({"test_a": HELD}, {"test_a": KNOWN}, (True, False, False)),
        ({"test_a": HELD}, {"test_a": HELD, "test_b": HELD}, (False, False, True)),
        ({"test_a": HELD}, {"test_a": HELD, "test_b": FAILED}, (True, True, False)),
        ({}, {"test_a": HELD}, (True, False, True)),
        ({"test_a": HELD}, {}, (True, True, False)),
        ({}, {}, (False, True, False)),
    ],
)
def test_what_is_news(
    tmp_path: Path,
    before: dict[str, str],
    now: dict[str, str],
    expected: tuple[bool, bool, bool],
) -> None:
    """Whether something changed, whether something is bad, and whether it only got better."""
    a_night(tmp_path, 0, qemu_14_5=before)
    found = news_of(tmp_path, a_night(tmp_path, 1, qemu_14_5=now))
    assert (found.changed, found.is_bad, found.only_better) == expected


def test_the_first_night_is_news_only_where_something_is_bad(tmp_path: Path) -> None:
    good = news_of(tmp_path / "good", a_night(tmp_path / "good", qemu_14_5={"test_a": HELD}))
    bad = news_of(tmp_path / "bad", a_night(tmp_path / "bad", qemu_14_5={"test_a": FAILED}))
    assert (good.changed, bad.changed) == (False, True)


def test_a_lane_that_may_fail_is_shown_and_decides_nothing(tmp_path: Path) -> None:
    both = {"qemu_14_5": {"test_a": HELD}}
    a_night(tmp_path, 0, **both, **{"qemu_16_0-CURRENT": {"test_a": HELD}})
    told = a_night(tmp_path, 1, **both, **{"qemu_16_0-CURRENT": {"test_a": FAILED}})
    found = news_of(tmp_path, told)
    assert (found.changed, found.is_bad) == (False, False)
    assert "qemu-16.0-CURRENT: `test_new.py::test_a` held before, now **failed**" in words.changes(
        found
    )


def test_the_words_of_a_night_fit_into_an_issue(tmp_path: Path) -> None:
    evil = failure("&lt;script&gt; @everyone " + "x" * 5000)
    told = a_night(tmp_path, qemu_14_5={f"test_{number}": evil for number in range(100)})
    for text in (words.state(news_of(tmp_path, told)), words.changes(news_of(tmp_path, told))):
        assert len(text) < 65_536
        assert "<script>" not in text
        assert " @everyone" not in text


# --- the issue -----------------------------------------------------------------------------------

GH = """
import json, pathlib, sys
place = pathlib.Path(__file__).parent
with (place / "calls").open("a") as calls:
    calls.write(" ".join(sys.argv[1:3]) + "\\n")
file = place / "issues.json"
issues = json.loads(file.read_text()) if file.exists() else []
words = sys.argv[1:]
option = lambda name: words[words.index(name) + 1]
body = sys.stdin.read() if "--body-file" in words else None
match words[:2]:
    case "issue", "list":
        assert option("--state") == "open"
        print(json.dumps([i for i in issues if i["open"] and option("--label") in i["labels"]]))
    case "issue", "create":
        issues.append(dict(number=len(issues) + 1, title=option("--title"), body=body, open=True,
                           labels=[option("--label")], comments=[]))
        print(f"https://example.invalid/issues/{len(issues)}")
    case "issue", ("edit" | "comment" | "close") as verb:
        issue = issues[int(words[2]) - 1]
        if verb == "edit":
            issue |= dict(title=option("--title"), body=body)
        else:
            issue["comments"].append(body or option("--comment"))
            issue["open"] = verb == "comment"
    case "label", "create":
        assert "--force" in words
    case _:
        sys.exit(f"unknown: {words}")
file.write_text(json.dumps(issues))
"""


class GitHub:
    """The issues of a repository, behind a program called gh."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self.program = folder / "gh"
        python_program(self.program, GH)

    @property
    def issues(self) -> list[dict[str, Any]]:
        path = self.folder / "issues.json"
        return json.loads(path.read_text()) if path.exists() else []

    @property
    def writes(self) -> int:
        calls = (self.folder / "calls").read_text().splitlines()
        return sum(call != "issue list" for call in calls)


@pytest.fixture
def github(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> GitHub:
    found = GitHub(tmp_path / "github")
    monkeypatch.setenv("PATH", f"{found.folder}{os.pathsep}{os.environ['PATH']}")
    return found


def tell(results: Path, nights: int, scenarios: dict[str, str], why: str = "") -> Sequence[str]:
    told = a_night(results, nights, why, qemu_14_5=scenarios)
    return issue.tell(news_of(results, told), "https://example.invalid/run")


def test_the_life_of_an_issue(tmp_path: Path, github: GitHub) -> None:
    results = tmp_path / "results"
    good, one, two = {"test_a": HELD, "test_b": HELD}, {"test_a": FAILED}, {"test_b": FAILED}

    tell(results, 0, good)
    assert github.issues == [], "nothing to tell"

    tell(results, 1, good | one)
    (opened,) = github.issues
    assert opened["title"] == "Nightly: not everything holds on qemu-14.5"
    assert "`test_new.py::test_a` held before, now **failed**" in opened["body"]
    assert "https://example.invalid/run" in opened["body"]

    tell(results, 2, good | one)
    (standing,) = github.issues
    assert standing["comments"] == [], "as bad as the night before: nobody is mailed again"
    assert "since 2026-11-24, 2 nights in a row" in standing["body"]

    tell(results, 3, good | one | two)
    (updated,) = github.issues
    assert updated["open"]
    assert "test_b` **failed**, new tonight" in updated["body"]
    (comment,) = updated["comments"]
    assert "test_b" in comment
    assert "test_a" not in comment, "that is not new"

    tell(results, 4, good)
    (closed,) = github.issues
    assert not closed["open"]
    assert closed["comments"][-1] == "Everything holds again."
    assert "All that ran holds." in closed["body"]

    tell(results, 5, good | two)
    assert [each["open"] for each in github.issues] == [False, True], "a new one, for a new failure"


def test_the_same_night_is_told_once(tmp_path: Path, github: GitHub) -> None:
    results = tmp_path / "results"
    told = a_night(results, 0, qemu_14_5={"test_a": FAILED})
    issue.tell(news_of(results, told))
    writes = github.writes
    assert issue.tell(news_of(results, told)) == ["issue #1 tells of this night already"]
    assert (len(github.issues), github.writes) == (1, writes)


def test_a_lane_that_did_not_run_fixes_nothing(tmp_path: Path, github: GitHub) -> None:
    results = tmp_path / "results"
    tell(results, 0, {"test_a": FAILED})
    tell(results, 1, {})
    (found,) = github.issues
    assert found["open"]
    assert "qemu-14.5 **did not run**" in found["comments"][-1]


def test_a_new_known_bug_is_told_and_then_left(tmp_path: Path, github: GitHub) -> None:
    results = tmp_path / "results"
    tell(results, 0, {"test_a": HELD})
    tell(results, 1, {"test_a": KNOWN})
    assert github.issues[0]["title"] == "Nightly: verdicts changed"
    assert github.issues[0]["open"]
    tell(results, 2, {"test_a": KNOWN})
    assert not github.issues[0]["open"]

    tell(results, 3, {"test_a": FAILED})
    tell(results, 4, {"test_a": KNOWN})
    assert github.issues[1]["open"], "it does not hold, but for another reason"


def test_other_peoples_issues_are_left_alone_and_doubles_closed(
    tmp_path: Path, github: GitHub
) -> None:
    def made(number: int, body: str) -> dict[str, Any]:
        about = {"number": number, "title": "", "open": True, "comments": []}
        return about | {"body": body, "labels": ["nightly"]}

    mark = "<!-- hast-lab nightly: earlier -->"
    others = [made(1, "by hand"), made(2, mark), made(3, mark)]
    (github.folder / "issues.json").write_text(json.dumps(others))
    tell(tmp_path / "results", 0, {"test_a": FAILED})
    assert [each["open"] for each in github.issues] == [True, True, False]
    assert github.issues[0]["comments"] == []
    assert "test_a" in github.issues[1]["body"]


def test_a_dry_run_writes_nothing(tmp_path: Path, github: GitHub) -> None:
    told = a_night(tmp_path / "results", qemu_14_5={"test_a": FAILED})
    (said,) = issue.tell(news_of(tmp_path / "results", told), dry_run=True)
    assert said.startswith("opened an issue")
    assert github.writes == 0


def test_a_gh_that_fails_or_is_missing_is_named(
    tmp_path: Path, github: GitHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    news = news_of(tmp_path / "results", a_night(tmp_path / "results", qemu_14_5={}))
    github.program.write_text("#!/bin/sh\necho 'HTTP 403' >&2; exit 4\n")
    with pytest.raises(HarnessError, match=r"`gh issue list` ended with 4: HTTP 403"):
        issue.tell(news)
    github.program.write_text("#!/bin/sh\necho 'welcome to gh'\n")
    with pytest.raises(HarnessError, match="did not answer with issues"):
        issue.tell(news)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingTool, match="gh"):
        issue.tell(news)


# --- on one host, with cron -------------------------------------------------------------------


@pytest.fixture
def skunk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stand-in for `skunk run`: leaves what the file `next` in the results folder tells."""
    stand_in = tmp_path / "stand_in.py"
    stand_in.write_text(
        "import os, pathlib, sys, time\n"
        f"sys.path.insert(0, {str(Path.cwd())!r})\n"
        "from tests.results_folders import part, case, HELD, FAILED, KNOWN\n"
        "from harness.report.publish import publish\n"
        "results = pathlib.Path(os.environ['SKUNK_RESULTS_DIR'])\n"
        "what, _, hours = (results / 'next').read_text().partition(' ')\n"
        "print('said', *sys.argv[1:])\n"
        "if what == 'hang': time.sleep(60)\n"
        "if what in ('held', 'failed', 'other'):\n"
        "    inside = {'test_a': HELD, 'test_b': HELD, 'test_c': KNOWN}\n"
        "    inside |= {'failed': {'test_a': FAILED}, 'other': {'test_b': FAILED}}.get(what, {})\n"
        "    folder = results / f'run-{hours}'\n"
        "    part(folder, '13.2-RELEASE amd64', *(case(*one) for one in inside.items()),\n"
        "         lab='simulated', hours=float(hours))\n"
        "    publish(folder, remember=True)\n"
        "    (results / 'latest').unlink(missing_ok=True)\n"
        "    (results / 'latest').symlink_to(folder.name)\n"
        "sys.exit({'held': 0, 'failed': 1, 'other': 1}.get(what, 3))\n"
    )
    (tmp_path / "python").write_text(
        f'#!/bin/sh\nshift 3\nexec {shlex.quote(sys.executable)} {stand_in} "$@"\n'
    )
    (tmp_path / "python").chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    return tmp_path / "results"


def one_night(results: Path, what: str, *options: str) -> tuple[int, str]:
    results.mkdir(exist_ok=True)
    (results / "next").write_text(what)
    done = CliRunner().invoke(
        cli.app,
        ["nightly", "run", "--only", "simulated", "--results", str(results), *options, "-k", "x"],
    )
    return done.exit_code, done.stdout


def test_a_night_that_did_not_run_forgets_no_failure(skunk: Path) -> None:
    assert one_night(skunk, "failed 1", "--fail-on", "change")[0] == 1
    assert "said --lab simulated --pair nightly -k x" in (skunk / run.LOG).read_text()
    status, said = one_night(skunk, "broken")
    assert status == 3, "it says nothing about FreeBSD"
    assert "did not run: the run ended with 3 and left no results (night.log says why)" in said
    assert "2 nights in a row; did not run tonight" in said
    status, said = one_night(skunk, "held 5")
    assert status == 0
    assert "runs again" in said
    assert "failed before, now held" in said
    assert one_night(skunk, "held 6") == (0, "")


def test_only_changes_end_with_one_where_that_is_wanted(tmp_path: Path) -> None:
    good, bad, other = {"test_a": HELD}, {"test_a": FAILED}, {"test_a": BROKE}
    statuses = []
    for number, scenarios in enumerate((good, bad, bad, other, other, {}, good)):
        told = news_of(tmp_path, a_night(tmp_path, number, qemu_14_5=scenarios))
        statuses.append((cli_status(told, FailOn.ANY), cli_status(told, FailOn.CHANGE)))
    assert statuses == [(0, 0), (1, 1), (1, 0), (3, 1), (3, 0), (3, 1), (0, 1)]


FIVE_NIGHTS = ("held 1", "failed 2", "failed 3", "other 4", "held 5")


def test_five_nights(skunk: Path) -> None:
    """Good, bad, bad, bad in another way, good: each mail says how things stand."""
    told = [one_night(skunk, what) for what in FIVE_NIGHTS]
    assert [status for status, _ in told] == [0, 1, 1, 1, 0]
    good, bad, still, other, again = (said for _, said in told)
    assert good == ""
    today = datetime.now(UTC)
    for said in (bad, still, other, again):
        assert not any(sign in said for sign in "*`|#"), "a mail is plain text"
        assert all(len(line) < 140 for line in said.splitlines() if "report.html" not in line)
    head, _, rest = bad.partition("\n\n")
    assert head.startswith("Nightly: not everything holds on simulated. Night of ")
    assert (
        rest
        == f"""\
           held  known bugs  failed  broke  FreeBSD
simulated     1           1       1      0  13.2-RELEASE amd64; a model, nothing about FreeBSD

What does not hold:
- simulated: test_new.py::test_a failed, new tonight
  assert 1 == 2

What is new:
- simulated: test_new.py::test_a held before, now failed
  assert 1 == 2

Reports:
- simulated: {skunk}/run-2/report.html
"""
    )
    assert f"test_a failed, since {today:%Y-%m-%d}, 2 nights in a row" in still
    assert "test_a failed, since" not in other
    assert "test_b failed, new tonight" in other
    assert "test_a failed before, now held" in other
    assert again.startswith("Nightly: everything holds. Night of ")
    assert "All that ran holds." in again
    assert "test_b failed before, now held" in again


def test_a_scenario_with_a_gap_is_told_until_it_has_a_verdict(tmp_path: Path) -> None:
    for number in range(2):
        started = FIRST + timedelta(days=number)
        folder = part(
            tmp_path / f"run-{number}",
            "13.2-RELEASE amd64",
            case("test_a", gap="skunk1: lockf: not modelled"),
            case("test_b"),
            lab="simulated",
            hours=24 * number,
        )
        publish(folder, remember=True)
        told = night.write(tmp_path, started, [(LANES["simulated"], folder, "")])
    found = news_of(tmp_path, told)
    assert "test_a gap, since 2026-11-23, 2 nights in a row" in words.mail(found)
    assert "; 1 gap" in words.mail(found)
    assert cli_status(found, FailOn.ANY) == 3, "it has no verdict, and says nothing of FreeBSD"


def test_the_first_night_tells_what_does_not_hold(skunk: Path) -> None:
    status, said = one_night(skunk, "failed 1")
    assert status == 1
    assert "test_a failed, new tonight" in said


def test_damaged_results_are_a_lane_that_did_not_run(tmp_path: Path) -> None:
    folder = part(tmp_path / "run", "14.5-RELEASE amd64", case("test_a", FAILED))
    publish(folder)
    (folder / model.NAME).write_text("{")
    told = night.write(tmp_path, FIRST, [(LANES["qemu-14.5"], folder, "")])
    (lane,) = news_of(tmp_path, told).lanes
    assert lane.is_bad
    assert "its results cannot be read" in words.mail(news_of(tmp_path, told))


def test_a_run_that_hangs_is_stopped(skunk: Path) -> None:
    skunk.mkdir()
    (skunk / "next").write_text("hang")
    short = PLAN.model_copy(update={"hours": 1 / 3600})
    told = run.run_night(short, skunk, lanes=["simulated"], say=lambda _: None)
    assert "left no results" in told.turns[0].why
    assert "took longer" in (skunk / run.LOG).read_text()


def test_two_nights_do_not_overlap(tmp_path: Path) -> None:
    with (
        filelock.FileLock(tmp_path / ".night.lock"),
        pytest.raises(PairInUse, match="another nightly run"),
    ):
        run.run_night(PLAN, tmp_path, say=lambda _: None)


def test_an_unknown_lane_is_refused_with_those_that_there_are() -> None:
    done = CliRunner().invoke(cli.app, ["nightly", "run", "--only", "qemu-9.9"])
    assert done.exit_code == 2
    assert "qemu-9.9" in done.output


def test_pytest_split_keeps_neighbours_together_and_loses_none(tmp_path: Path) -> None:
    """Neighbours have the same hast.conf, which a pair is set up with only once."""
    names = "".join(f"def test_{number}():\n    pass\n" for number in range(10))
    (tmp_path / "test_it.py").write_text(names)
    found = []
    for group in (1, 2, 3):
        done = forked.run(
            *("-p", "no:cacheprovider", "--collect-only", "-q"),
            *("--splits", "3", "--group", str(group), tmp_path / "test_it.py"),
            program="pytest",
            cwd=tmp_path,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        said = done.stdout
        found.append([line for line in said.splitlines() if "::" in line])
    assert [*itertools.chain(*found)] == [f"test_it.py::test_{number}" for number in range(10)]
    assert max(map(len, found)) - min(map(len, found)) <= 2
