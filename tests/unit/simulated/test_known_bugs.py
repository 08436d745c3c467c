"""Known bugs: the table, a bug that is met, and what becomes of the scenarios that it breaks."""

from __future__ import annotations

import datetime
from pathlib import Path

import pytest

from harness.cluster import known_bugs
from harness.cluster.known_bugs import KnownBug, Watch
from harness.config import paths
from harness.config.settings import Settings
from harness.errors import KnownBugMet, SettingsError
from harness.lab.simulated.direct import DirectConnect
from harness.lab.simulated.lab import SimulatedLab
from harness.record.sinks import Lines
from harness.run.session import Session
from harness.trials.mutations import table

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
        assert session.watch.expects(292322) is concerned
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
