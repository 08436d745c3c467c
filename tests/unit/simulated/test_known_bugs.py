"""Known bugs: the table, a bug that is met, and what becomes of the scenarios that it breaks."""

from __future__ import annotations

import datetime
from pathlib import Path

import pytest

from harness.cluster import known_bugs
from harness.cluster.known_bugs import KnownBug, Standing, Watch
from harness.config import paths
from harness.config.settings import Settings
from harness.errors import HarnessError, KnownBugMet, SettingsError
from harness.lab.simulated.direct import DirectConnect
from harness.lab.simulated.lab import SimulatedLab
from harness.record.sinks import Lines
from harness.run.session import Session
from harness.trials.mutations import table
from tests.nested import Ran, run_all

RELEASES = {
    "13.2-RELEASE amd64": False,
    "14.3-RELEASE-p5": False,
    "15.0-RELEASE-p2 amd64": True,
    "15.1-STABLE": True,
    "16.0-CURRENT": True,
    "17.0-CURRENT": False,
}


def bug() -> KnownBug:
    (found,) = (each for each in known_bugs.load() if each.number == 292322)
    return found


def test_which_releases_it_concerns() -> None:
    assert {release: bug().concerns(release) for release in RELEASES} == RELEASES


def test_which_scenarios_it_breaks() -> None:
    test = "tests/scenarios/test_set_up.py::test_set_up"
    assert bug().breaks_test(test, needs_pair=False)
    assert bug().breaks_test("tests/scenarios/test_x.py::test_y[1]", needs_pair=True)
    assert not bug().breaks_test("tests/scenarios/test_x.py::test_y[1]", needs_pair=False)


def test_when_its_entry_has_to_be_looked_at() -> None:
    day = datetime.date.fromisoformat
    assert list(bug().overdue("15.0-RELEASE", day("2026-09-30"))) == []
    (ended,) = bug().overdue("15.0-RELEASE", day("2026-10-01"))
    assert "FreeBSD 15.0 has not been supported since 2026-09-30" in ended
    assert list(bug().overdue("13.2-RELEASE", day("2026-10-01"))) == []
    (review,) = bug().overdue("13.2-RELEASE", day("2027-04-01"))
    assert "was to be looked at again by 2027-03-31" in review


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (">=15.0,<17", "15 and later", "no version specifier"),
        ("never_says:", "sometimes_says:", "sometimes_says"),
        ("program: hastd", "program: hasttd", "program"),
        ("review: 2027-03-31", "review: soon", "review"),
        ("number: 292322", "number: [", "is not YAML"),
    ],
)
def test_a_wrong_table_is_refused(tmp_path: Path, old: str, new: str, said: str) -> None:
    path = tmp_path / "known-bugs.yaml"
    text = paths.KNOWN_BUGS.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    with pytest.raises(SettingsError, match=said):
        known_bugs.load(path)


@pytest.mark.parametrize("timeout", [20, 5])
@pytest.mark.parametrize("mutation", ["nothing-replicates", "bug-292322-on-15-0"])
def test_it_is_recognised_within_a_minute_and_met_once(
    settings: Settings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    mutation: str,
    timeout: int,
) -> None:
    table.find(mutation).apply(monkeypatch)
    hast = settings.hast.but(timeout=timeout)
    lab = SimulatedLab(settings, "bug", state_dir=tmp_path, over_ssh=False)
    with Session(
        settings, lab, told=Lines(print), results=tmp_path / "results", connect=DirectConnect(lab)
    ) as session:
        start = lab.clock.monotonic()
        with pytest.raises(KnownBugMet, match="FreeBSD bug 292322") as met:
            session.set_up(hast)
        assert lab.clock.monotonic() - start < 60
        assert "to say complete" in str(met.value)
        concerned = mutation == "bug-292322-on-15-0"
        assert session.watch.excuses(met.value) is concerned
        assert ("does not have for" in str(met.value)) is not concerned
        session.used()
        start = lab.clock.monotonic()
        with pytest.raises(KnownBugMet, match="FreeBSD bug 292322"):
            session.set_up(hast)
        assert (lab.clock.monotonic() - start < 1) is concerned


def test_a_pair_that_has_replicated_has_another_trouble(session: Session) -> None:
    """The line in the secondary's log alone proves nothing."""
    pair = session.set_up()
    skunk1, skunk2 = pair.nodes
    for node in pair:
        node.sh('logger -t hastd "[ERROR] Unable to receive header from x: Operation timed out."')
    pair.disconnect_role(skunk2)
    skunk1.run("touch", f"{pair.mountpoint}/x")
    pair.wait_until_degraded(skunk1)
    watch = Watch()
    assert watch.recognise(skunk1, skunk2) is None
    session.used()


# --- another program in the place of the one that has the bug, and another release on one node ----

OLD, NEW = "13.2-RELEASE amd64", "15.1-RELEASE amd64"


@pytest.mark.parametrize(
    ("skunk1", "skunk2", "replaced", "standing", "excused"),
    [
        (NEW, NEW, [], Standing.EXPECTED, ["skunk1", "skunk2"]),
        (NEW, NEW, ["hastctl"], Standing.EXPECTED, ["skunk1", "skunk2"]),
        (NEW, NEW, ["hastd"], Standing.REPLACED, []),
        (NEW, OLD, [], Standing.MIXED, ["skunk1"]),
        (OLD, NEW, [], Standing.MIXED, ["skunk2"]),
        (OLD, NEW, ["hastd"], Standing.REPLACED, []),
        (OLD, OLD, [], None, []),
        (OLD, OLD, ["hastd"], None, []),
    ],
)
def test_what_a_bug_is_to_a_run(
    skunk1: str, skunk2: str, replaced: list[str], standing: Standing | None, excused: list[str]
) -> None:
    watch = Watch()
    watch.know({"skunk1": skunk1, "skunk2": skunk2}, replaced)
    assert watch.standing(bug()) is standing
    met = [KnownBugMet("x", 292322, node=node) for node in ("skunk1", "skunk2")]
    assert [each.node for each in met if watch.excuses(each)] == excused
    assert not watch.excuses(KnownBugMet("x", 1, node="skunk1"))


def test_it_is_met_with_the_primary_that_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """The other node of a mixed pair may yet be primary, and nothing is to be waited for less."""

    class Named:
        def __init__(self, name: str) -> None:
            self.name = name

    skunk1, skunk2 = Named("skunk1"), Named("skunk2")
    watch = Watch()
    watch.know({"skunk1": NEW, "skunk2": OLD})
    monkeypatch.setattr(watch, "recognise", lambda *_: bug())
    error = HarnessError("in vain")
    met = watch.explain(skunk1, skunk2, error)  # type: ignore[arg-type]
    assert str(met).startswith("skunk1: FreeBSD bug 292322: a primary never replicates")
    assert (watch.met_by("skunk1"), watch.met_by("skunk2")) == (bug(), None)
    assert (watch.met_in_set_up(None), watch.met_in_set_up("skunk2")) == (bug(), None)
    other = watch.explain(skunk2, skunk1, error)  # type: ignore[arg-type]
    assert "which known-bugs.yaml does not have for 13.2-RELEASE amd64: in vain" in str(other)
    assert watch.met_by("skunk2") is None


RUNS = """\
from harness.cluster.known_bugs import KnownBug, Watch
from harness.waiting.wait import wait_until

know = getattr(Watch, "as_it_was", Watch.know)
Watch.as_it_was = know
Watch.know = lambda watch, releases, replaced: know(watch, {RELEASES}, {REPLACED})

KnownBug.breaks_test = lambda bug, test, needs_pair: needs_pair or "own_words" in test

def test_pair(pair): ...

def test_pair_again(pair): ...

def test_no_pair(provisioned_pair): ...

def test_own_words(provisioned_pair):
    pair = provisioned_pair
    pair.create_resource()
    pair.start_hastd()
    pair.skunk2.run("hastctl", "role", "secondary", pair.resource)
    pair.skunk1.run("hastctl", "role", "primary", pair.resource)
    wait_until(
        "an end",
        lambda: str(pair.info(pair.skunk1).status) == "complete"
        or any("Unable to receive header" in line.text for line in pair.hastd_log(pair.skunk2)),
        60,
    )
    assert str(pair.info(pair.skunk1).status) == "complete"

def test_fails(pair):
    assert 1 == 2
"""
BROKEN = ["--mutate", "bug-292322-on-15-0", "-k", "not fails"]
WORKS = ["--mutate", "bug-292322-is-fixed", "-k", "not fails"]
MENDED = ["--mutate", "bug-292322-is-fixed"]


def _run(skunk1: str, skunk2: str, *replaced: str) -> str:
    releases = {"skunk1": skunk1, "skunk2": skunk2}
    return RUNS.replace("{RELEASES}", str(releases)).replace("{REPLACED}", str([*replaced]))


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Ran]:
    runs = {
        "fixed": (_run(NEW, NEW, "hastd"), WORKS),
        "fixed_and_failed": (_run(NEW, NEW, "hastd"), MENDED),
        "not_fixed": (_run(NEW, NEW, "hastd"), BROKEN),
        "mixed_works": (_run(OLD, NEW), WORKS),
        "mixed": (_run(NEW, OLD), BROKEN),
    }
    return run_all(tmp_path_factory.mktemp("bugs"), runs)


def test_what_holds_with_the_replaced_program_is_fixed_here(ran: dict[str, Ran]) -> None:
    one = ran["fixed"]
    assert one.status == 0, one.said
    fixed = ["test_pair", "test_pair_again", "test_own_words"]
    assert one.verdicts == dict.fromkeys(fixed, "fixed here") | {"test_no_pair": "held"}
    assert one.cases["test_pair"].bug == 292322
    assert "3 fixed here" in one.said
    both = ran["fixed_and_failed"]
    assert both.status == 1, both.said
    assert both.verdicts["test_fails"] == "failed"
    assert both.cases["test_fails"].bug is None, "it does not show the bug's symptoms"


def test_what_the_replaced_program_does_not_mend_fails_by_the_bugs_number(
    ran: dict[str, Ran],
) -> None:
    one = ran["not_fixed"]
    assert one.status == 1, one.said
    wrong = ["test_pair", "test_pair_again", "test_own_words"]
    assert one.verdicts == dict.fromkeys(wrong, "failed") | {"test_no_pair": "held"}
    for name in wrong:
        assert one.cases[name].bug == 292322, name
        assert "not mended by the hastd that was put in its place" in str(
            one.cases[name].failures[0].message
        )
    assert "met before in this run" in one.cases["test_pair_again"].failures[0].message


def test_in_a_mixed_pair_nothing_is_a_strict_expected_failure(ran: dict[str, Ran]) -> None:
    works, one = ran["mixed_works"], ran["mixed"]
    assert (works.status, set(works.verdicts.values())) == (0, {"held"}), works.said
    assert one.status == 0, one.said
    met = dict.fromkeys(["test_pair", "test_pair_again", "test_own_words"], "known bug")
    assert one.verdicts == met | {"test_no_pair": "held"}
    assert {one.cases[name].bug for name in met} == {292322}
