"""Runs of two releases side by side: verdicts, times, and what is answered otherwise."""

import json
from pathlib import Path

import pytest

from harness.errors import HarnessError
from harness.report import releases
from harness.results.past.releases import answer, answers, otherwise
from tests import forked
from tests.results_folders import case
from tests.unit.test_results import a_run

KNOWN = '<skipped type="pytest.xfail" message="FreeBSD bug 292322: degraded"/>'


def transcript(folder: Path, *commands: tuple[str, str]) -> None:
    entry = {"node": "skunk1", "kind": "command", "status": 0, "stderr": ""}
    scenario = folder / "test_a.py-test_a"
    scenario.mkdir()
    lines = (json.dumps({**entry, "text": text, "stdout": said}) for text, said in commands)
    (scenario / "transcript.jsonl").write_text("\n".join(lines))


@pytest.fixture
def runs(tmp_path: Path) -> list[Path]:
    old = a_run(
        tmp_path / "old",
        *(case("test_a"), case("test_b"), case("test_only_here")),
        release="13.2-RELEASE amd64",
    )
    new = a_run(
        tmp_path / "new",
        *(case("test_a").replace('time="3.5"', 'time="60"'), case("test_b", KNOWN)),
        release="15.1-RELEASE-p1 amd64",
    )
    transcript(old, ("df", "ufs"), ("status", "init"), ("status", "degraded"), ("old", "x"))
    transcript(new, ("df", "ufs    "), ("status", "degraded"), ("status", "complete"))
    return [old, new]


def test_two_releases_side_by_side(runs: list[Path]) -> None:
    page = releases.compare(runs)
    assert "# FreeBSD 13.2-RELEASE beside 15.1-RELEASE-p1" in page
    assert "Scenarios that end otherwise: 1 of 3" in page
    assert "::test_b` | held | known bug |" in page
    assert "292322" in page
    assert "::test_only_here` | held | - |" in page
    assert "::test_a`: 3.5 s, on 15.1-RELEASE-p1 longer: 60.0 s" in page
    assert "answered otherwise: 1\n" in page
    assert "`df`" in page


def test_one_answer_in_common_is_enough(runs: list[Path]) -> None:
    """What a poll sees on its way depends on the moment of asking."""
    (changed,) = otherwise([answers(folder) for folder in runs])
    assert (changed.command, changed.first.split("\n")[0]) == ("df", "ufs")


def test_what_two_runs_of_one_release_print_otherwise_is_taken_out() -> None:
    digest = "0123456789abcdef" * 4
    assert answer(0, f"{digest} ./x\n", "") == answer(0, f"{digest[::-1]} ./x\n", "")
    assert answer(0, "pid=1", "") == answer(0, "pid=22", "")
    assert answer(0, "", "no") != answer(1, "", "no")


def test_by_the_command_line(runs: list[Path], tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    done = forked.run("compare-releases", *map(str, runs), "--to", str(page))
    assert (done.returncode, done.stdout) == (0, f"{page}\n"), done.stderr
    assert page.read_text().startswith("# FreeBSD 13.2-RELEASE beside")
    assert forked.run("compare-releases", str(runs[0])).returncode == 2
    done = forked.run("compare-releases", str(runs[0]), str(tmp_path / "nothing"))
    assert done.returncode == 3, done.stderr


def test_a_broken_transcript_is_named(runs: list[Path]) -> None:
    (runs[1] / "test_a.py-test_a" / "transcript.jsonl").write_text("{")
    with pytest.raises(HarnessError, match=r"transcript\.jsonl is no transcript"):
        releases.compare(runs)
