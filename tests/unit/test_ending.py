"""How a run ends: exit status, gaps, what did not run, and a disk that is full."""

from __future__ import annotations

import json
import re
from pathlib import Path

import fastjsonschema
import pytest

from harness import errors
from harness.pytest_plugin import ending
from harness.pytest_plugin.naming import as_it_may_leave
from harness.record.folders import folder_name
from harness.report.publish import publish
from harness.results import results_json as model
from harness.results.past.history import FILE, VerdictHistory
from harness.results.read import read_run
from harness.results.run import Verdict
from tests import forked, results_folders
from tests.nested import Ran, run_all

HOLDS = "def test_holds(provisioned_pair): ...\n"
FAILS = "def test_fails(provisioned_pair):\n    assert 1 == 2\n"
BROKE = (
    "from harness.errors import LabError\n"
    "def test_lab(provisioned_pair):\n    raise LabError('the hypervisor went away')\n"
)
DEAD = (
    "def test_dead(provisioned_pair):\n"
    "    with provisioned_pair.skunk1.powered_off():\n"
    "        provisioned_pair.skunk1.run('true')\n"
)
ASK = "session.lab.world.note_gap('skunk1', 'lockf -t 0 F true', 'lockf')"
GAPS = f"""\
import pytest

def test_holds(provisioned_pair): ...

def test_wrong_branch(provisioned_pair, session):
    {ASK}

def test_and_fails(provisioned_pair, session):
    {ASK}
    assert 1 == 2

@pytest.mark.xfail(strict=True, reason="FreeBSD bug 292322: degraded")
def test_known_bug(provisioned_pair, session):
    {ASK}
    assert 1 == 2

@pytest.fixture
def in_set_up(provisioned_pair, session):
    {ASK}
    assert 1 == 2

def test_set_up(in_set_up): ...

@pytest.fixture
def in_clean_up(provisioned_pair, session):
    yield
    {ASK}
    assert 1 == 2

def test_clean_up(in_clean_up): ...

def test_clean_up_of_a_failure(in_clean_up):
    assert 1 == 2

def test_without_a_pair(session):
    {ASK}

def test_holds_again(provisioned_pair): ...
"""
INTERRUPTED = """\
import os, signal

def test_first(provisioned_pair): ...

def test_second(provisioned_pair):
    os.kill(os.getpid(), signal.SIGNAL)
    for _ in range(100):
        provisioned_pair.skunk1.run("true")

def test_third(provisioned_pair): ...

def test_fourth(provisioned_pair): ...
"""
IN_THE_CLEAN_UP = """\
import pytest

@pytest.fixture
def interrupted(provisioned_pair):
    yield
    raise KeyboardInterrupt

def test_held_so_far(interrupted): ...

def test_failed_already(interrupted):
    assert 1 == 2
"""
LOST = """\
from harness.errors import LabError, WaitExpired

def test_first(provisioned_pair): ...

def test_second(provisioned_pair, session):
    def gone(*_): raise LabError("the hypervisor went away")
    def dead(*_): raise WaitExpired("skunk1 to answer over SSH", 9, "silence")
    session.lab.restore, session.lab.start = gone, dead

def test_third(provisioned_pair): ...

def test_fourth(provisioned_pair): ...
"""
KEY = "b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAMwAAAAtzc2gtZWQyNTUxOQ"
NAMES = [
    *("a/b", "a b", "a:b", "a-b", "a_b", "a\\b", "a//b", "a::b", "a.b", "a=b", "a+b", "A-B", "a|b"),
    *(".", "..", "../..", "...", "/", "//etc/passwd", "~", "-", "--", "-rf", "con", "NUL", "lab"),
    *("", " ", "\t", "\n", "a\nb", "\r", "\0", "\x1b[31m", "\x7f", "[", "]", "[]", "a[b]", "1-2"),
    *("%", "%s", "%00", "{}", "{x}", "$HOME", "`id`", "'", '"', "<b>", "&amp;", "]]>", "*", "?"),
    *("größe", "grösse", "日本", "\U0001f600", "\u202e", "\ud800", "\udcff", "é", "e\u0301"),
    *("x" * 250, "x" * 250 + "y", "ü" * 250, "a" * 3000, "latest", "run.json", "junit.xml"),
]
"""What pytest takes for a parameter's name, and a folder does not."""

NAMED = f"""\
import pytest

@pytest.mark.parametrize("number", range({len(NAMES)}), ids={NAMES!a})
def test_named(evidence, session, number):
    session.pair.skunk1.run("echo", f"this is {{number}}")

def broken(evidence, session):
    session.pair.skunk1.run("echo", "this fails")
    assert 1 == 2

globals()["test " + "long/" * 80 + " name"] = broken
"""
SECRETS = f"""\
import pytest

KEY = "-----BEGIN OPENSSH PRIVATE KEY-----\\n{KEY}\\n-----END OPENSSH PRIVATE KEY-----"
IDS = ["password=secret", "vhid 1 pass mekmitas", "vhid 1 pass sesame", "ftp://me:hunter@host/"]
IDS += [KEY, "-----BEGIN", "\\x1b[31m", "\\0", "vhid 1 pass (left out)-2"]

@pytest.mark.parametrize("what", IDS, ids=IDS)
def test_secret(evidence, session, what):
    session.pair.skunk1.run("echo", "this is", what.strip("\\0"))
    assert "sesame" not in what
"""
UNREADABLE = f"""\
KEY = "{KEY}"
raise ValueError("\\x1b[31m" + KEY)
"""
LEAVES = """\
def test_leaves_something(provisioned_pair):
    provisioned_pair.skunk1.machine.unplug_link()
"""
BROKE_AND_LEFT = """\
from harness.errors import LabError
def test_breaks_and_leaves_something(provisioned_pair):
    provisioned_pair.skunk1.machine.unplug_link()
    raise LabError("the hypervisor went away")
"""
RUNS = {
    "holds": (HOLDS, 0),
    "fails": (HOLDS + FAILS, 1),
    "broke": (HOLDS + BROKE, 3),
    "dead": (DEAD, 3),
    "both": (FAILS + BROKE, 1),
    "syntax": ("def test_broken(:\n", 3),
    "gaps": (GAPS, 6),
    "gap_and_failure": (GAPS + FAILS, 1),
    "gap_and_broken_lab": (GAPS + BROKE, 3),
    "sigint": (INTERRUPTED.replace("SIGNAL", "SIGINT"), 130),
    "sigterm": (INTERRUPTED.replace("SIGNAL", "SIGTERM"), 130),
    "clean_up": (IN_THE_CLEAN_UP, 130),
    "lost": (LOST, 3),
    "early": (FAILS + HOLDS, 1),
    "nothing": ("", 5),
    "named": (NAMED, 1),
    "secrets": (SECRETS, 1),
    "secrets_side_by_side": (SECRETS, 1),
    "secrets_listed": (SECRETS, 0),
    "unreadable": (UNREADABLE, 3),
    "leaves": (LEAVES, 1),
    "broke_and_left": (BROKE_AND_LEFT, 3),
}
ARGUMENTS = {
    "early": ["-x"],
    "clean_up": ["-k", "held"],
    "secrets_side_by_side": ["-n", "1"],
    "secrets_listed": ["--collect-only", "-k", "sesame or mekmitas"],
}


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Ran]:
    place = tmp_path_factory.mktemp("ending")
    return run_all(
        place, {name: (text, ARGUMENTS.get(name, [])) for name, (text, _) in RUNS.items()}
    )


@pytest.mark.parametrize("name", RUNS)
def test_the_status_says_what_the_run_says_of_freebsd(ran: dict[str, Ran], name: str) -> None:
    """1 is that FreeBSD broke a claim and nothing else: 3 a lab, 6 a model, 130 a person."""
    assert ran[name].status == RUNS[name][1], ran[name].said
    assert "INTERNALERROR" not in ran[name].said
    assert "outcomes.Exit" not in ran[name].said


def test_a_gap_is_no_verdict_whatever_the_scenario_said(ran: dict[str, Ran]) -> None:
    one = ran["gaps"]
    met = [
        "test_wrong_branch",
        "test_and_fails",
        "test_known_bug",
        "test_set_up",
        "test_clean_up",
        "test_clean_up_of_a_failure",
        "test_without_a_pair",
    ]
    told = "skunk1: lockf in `lockf -t 0 F true`"
    assert one.verdicts == {
        "test_holds": "held",
        **dict.fromkeys(met, "gap"),
        "test_holds_again": "held",
    }
    for name in met:
        case = one.cases[name]
        assert case.gaps == (told,)
        assert case.reason == f"gap in the model: {told}"
        assert case.bug is None
        assert not case.failures
        assert f"::{name}: {told}" in one.said
    assert "2 passed, 7 gap" in one.said


def test_a_gap_is_in_summary_results_and_history(ran: dict[str, Ran]) -> None:
    published = publish(ran["gap_and_failure"].folder, remember=True)
    summary = published.summary.read_text()
    assert summary.startswith("## Simulated: 2 scenarios held, 1 failed, 7 met a gap in the model.")
    assert "### Gaps in the model: no verdict" in summary
    assert "skunk1: lockf in \\`lockf -t 0 F true\\`" in summary
    told = model.load(published.results)
    assert told.counts == {Verdict.FAILED: 1, Verdict.GAP: 7, Verdict.HELD: 2}
    assert {one.verdict for one in told.scenarios if one.gaps} == {Verdict.GAP}
    fastjsonschema.validate(model.schema(), json.loads(published.results.read_text()))
    assert "7 met a gap in the model" in published.report.read_text()
    with VerdictHistory(published.report.parent.parent / FILE) as history:
        pasts = history.pasts(told.run.lab, told.run.release)
    past = pasts["gap_and_failure/test_gap_and_failure.py::test_and_fails"]
    assert (past.verdicts, past.bad, past.flake_rate) == ((Verdict.GAP,), 0, None)


@pytest.mark.parametrize("name", ["sigint", "sigterm"])
def test_an_interrupted_run_is_no_pass(ran: dict[str, Ran], name: str) -> None:
    one = ran[name]
    assert one.verdicts == {
        "test_first": "held",
        "test_second": "not run",
        "test_third": "not run",
        "test_fourth": "not run",
    }
    assert one.cases["test_second"].reason == "interrupted: while it ran"
    assert "!! interrupted: 1 of 4 ran !!" in one.said
    assert f"{name}/test_{name}.py::test_second (while it ran)\n" in one.said
    assert f"{name}/test_{name}.py::test_third\n" in one.said
    published = publish(one.folder, remember=True)
    assert published.summary.read_text().startswith(
        "## Simulated: Interrupted: 1 of 4 ran. 1 scenario held, 3 did not run.\n"
    )
    told = model.load(published.results)
    assert told.run.ended_early == "interrupted: 1 of 4 ran"
    assert told.counts == {Verdict.HELD: 1, Verdict.NOT_RUN: 3}
    assert "Interrupted: 1 of 4 ran" in published.report.read_text()
    with VerdictHistory(one.folder.parent / FILE) as history:
        pasts = history.pasts(told.run.lab, told.run.release)
    assert not [scenario for scenario in pasts if scenario.startswith(f"{name}/")]


def test_what_was_not_audited_has_not_held(ran: dict[str, Ran]) -> None:
    assert ran["clean_up"].verdicts == {"test_held_so_far": "not run"}


def test_a_lab_that_is_lost_ends_the_run(ran: dict[str, Ran]) -> None:
    one = ran["lost"]
    assert list(one.verdicts.values()) == ["held", "held", "broke", "not run"]
    assert "the lab broke: 3 of 4 ran" in one.said
    assert "the pair cannot be brought back (the hypervisor went away)" in one.said
    assert one.cases["test_fourth"].reason.startswith("the lab broke: the pair cannot be brought")


def test_stopped_at_the_first_failure(ran: dict[str, Ran]) -> None:
    assert ran["early"].verdicts == {"test_fails": "failed", "test_holds": "not run"}
    assert "stopped early: 1 of 2 ran" in ran["early"].said
    assert publish(ran["early"].folder).ran


def test_whatever_a_scenario_is_called_its_evidence_is_its_own(ran: dict[str, Ran]) -> None:
    one = ran["named"]
    told = read_run(one.folder)
    assert len(told.scenarios) == len(NAMES) + 1
    assert len({scenario.case.folder.lower() for scenario in told.scenarios}) == len(NAMES) + 1
    for scenario in told.scenarios:
        folder = one.folder / scenario.case.folder
        assert folder.parent == one.folder
        assert len(f"{folder.name}.tar.gz".encode()) <= 255
        (command,) = [e.text for e in scenario.told.transcript if e.kind == "command"]
        if scenario.case.verdict is Verdict.HELD:
            number = [case.name for case in one.cases.values()].index(scenario.case.name)
            assert command == f"echo 'this is {number}'"
    failed = next(s for s in told.scenarios if s.case.verdict is Verdict.FAILED)
    assert failed.case.folder.startswith("named-test_named.py-test-long-long-")
    assert (one.folder / f"{failed.case.folder}.tar.gz").is_file()
    published = publish(one.folder)
    model.load(published.results)


@pytest.mark.parametrize("name", ["secrets", "secrets_side_by_side"])
def test_a_secret_in_a_name_stays_there(ran: dict[str, Ran], name: str) -> None:
    """Nobody is shown it, and pytest and its workers still know which test is meant."""
    one = ran[name]
    publish(one.folder)
    test = "test_secret[{}]".format
    assert one.verdicts == {
        test("password=secret"): "held",
        test("vhid 1 pass (left out)"): "held",
        test("vhid 1 pass (left out)-3"): "failed",
        test("vhid 1 pass (left out)-2"): "held",
        test("ftp://me:(left out)@host/"): "held",
        test("(a private key, left out)"): "held",
        test("-----BEGIN"): "held",
        test("\\x1b[31m"): "held",
        test("\\x00"): "held",
    }
    assert "::test_secret[vhid 1 pass (left out)-3] - " in one.said
    files = [path for path in one.folder.rglob("*") if path.is_file()]
    for secret in ("mekmitas", "sesame", "hunter", KEY[:40]):
        # The scenario's own source has the word that it compares with.
        shown = one.said.replace("'sesame'", "").replace('"sesame"', "")
        assert secret not in shown
        assert [path for path in files if secret in path.name] == []
    for path in (one.folder / "junit.xml", one.folder / "results.json"):
        assert not re.search("mekmitas|hunter|pass sesame|b3Blbn", path.read_text())
    folders = {case.folder for case in one.cases.values()}
    assert len(folders) == 9
    assert all((one.folder / folder / "transcript.jsonl").is_file() for folder in folders)


def test_a_secret_in_the_name_of_a_folder_or_a_file() -> None:
    name = "mine/vhid 1 pass sesame/test_\x1b[31m.py::test_it[ftp://me:hunter@host/]"
    shown = "mine/vhid 1 pass (left out)/test_\u241b[31m.py::test_it[ftp://me:(left out)@host/]"
    assert as_it_may_leave(name) == shown
    assert as_it_may_leave(shown) == shown


def test_a_secret_is_not_listed_and_not_in_what_cannot_be_read(ran: dict[str, Ran]) -> None:
    assert ran["secrets_listed"].said.count("<Function test_secret[vhid 1 pass (left out)]>") == 2
    assert "(a private key, left out)" in ran["unreadable"].said
    assert KEY not in ran["unreadable"].said
    assert "\x1b" not in ran["unreadable"].said


def test_a_scenario_of_another_folder_is_audited_and_its_nodes_are_asked(
    ran: dict[str, Ran],
) -> None:
    """pytest calls no hook of a conftest.py for a test elsewhere; ours are of an entry point."""
    case = ran["leaves"].cases["test_leaves_something"]
    assert case.verdict is Verdict.FAILED
    assert "skunk1: fault: the private link" in case.failures[0].message
    assert case.spent is not None
    folder = ran["leaves"].folder / case.folder
    assert (folder / "skunk2" / "hastctl-status.txt").is_file()
    assert (folder / "audit.txt").is_file()


def test_what_is_left_by_a_scenario_that_broke_is_no_doing_of_freebsds(
    ran: dict[str, Ran],
) -> None:
    """It is in the evidence all the same."""
    run = ran["broke_and_left"]
    assert run.verdicts == {"test_breaks_and_leaves_something": "broke"}
    folder = run.folder / run.cases["test_breaks_and_leaves_something"].folder
    assert "the private link" in (folder / "audit.txt").read_text()


def test_plain_names_are_as_they_have_always_been() -> None:
    assert folder_name("test_set_up.py::test_set_up") == "test_set_up.py-test_set_up"
    assert folder_name("test_x.py::TestA::test_b[async]") == "test_x.py-TestA-test_b-async"
    assert folder_name("test_x.py::test_b[a/b]") != folder_name("test_x.py::test_b[a b]")


def test_a_claim_that_nobody_tests_has_no_verdict_from_a_scenario_of_something_else(
    tmp_path: Path,
) -> None:
    """Also where a scenario says that it tests it; and half of claim 9 says what is missing."""
    folder = results_folders.part(
        tmp_path / "run",
        "13.2-RELEASE amd64",
        *(results_folders.case(f"test_{number}", claim=str(number)) for number in (8, 9, 10)),
    )
    claims = {claim.number: claim for claim in read_run(folder).claims}
    assert claims[8].verdict is claims[10].verdict is Verdict.NOT_TESTED
    assert claims[9].verdict is Verdict.HELD
    assert "ucarp" in claims[9].untested
    summary = publish(folder).summary.read_text()
    assert "no scenario tests this claim: CARP" in summary
    assert "no scenario tests ucarp: what is said here is of UFS" in summary


@pytest.mark.parametrize(
    ("error", "about"),
    [
        (AssertionError("1 == 2"), True),
        (errors.WaitExpired("peace", 3, "war"), True),
        (errors.NodePanicked("panic: x", node="skunk1"), True),
        (pytest.fail.Exception("I say so"), True),
        (pytest.fail.Exception("Timeout (>1200.0s) from pytest-timeout."), False),
        (errors.NodeUnreachable("no answer", node="skunk1"), False),
        (errors.LabError("gone"), False),
        (OSError(28, "No space left on device"), False),
        (NameError("x"), False),
        (ExceptionGroup("two", [NameError("x"), AssertionError("y")]), True),
        (ExceptionGroup("two", [NameError("x"), OSError("y")]), False),
    ],
)
def test_what_says_something_about_freebsd(error: Exception, about: bool) -> None:
    assert ending.is_about_freebsd(error) is about


def test_whatever_write_fails_the_pair_is_stopped_and_one_message_says_why(tmp_path: Path) -> None:
    done = forked.run(tmp_path, program="tests.failing_writes", timeout=900)
    said = done.stdout.strip().splitlines()
    assert done.returncode == 0, done.stderr
    assert len(said) == 1, done.stdout
    number = int(said[0].removesuffix(" writes failed"))
    assert number >= 30
