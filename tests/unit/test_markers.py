"""What a scenario's markers may say, and that a wrong one is refused before anything starts."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from harness.cluster.invariants import Holds
from harness.config import settings
from harness.errors import SettingsError
from harness.lab.choose import Feature
from harness.pytest_plugin import markers
from harness.run.audit import Left
from tests import forked


class Marked:
    """A collected scenario with these markers."""

    nodeid = "test_it.py::test_it"

    def __init__(self, *marks: pytest.MarkDecorator) -> None:
        self._marks = [each.mark for each in marks]

    def iter_markers(self, name: str) -> Iterator[pytest.Mark]:
        return (mark for mark in self._marks if mark.name == name)


def check(*marks: pytest.MarkDecorator) -> None:
    markers.check(cast(pytest.Item, Marked(*marks)), settings.load)


mark: Any = pytest.mark


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (mark.needs("powr"), "'powr' is none of Feature.POWER"),
        (mark.needs(Left.PANIC), "is none of Feature.POWER"),
        (mark.needs(), "at least one of Feature.POWER"),
        (mark.lifts("never two primries"), "is none of Holds.ONE_PRIMARY"),
        (mark.lifts(Holds.NO_PANIC, why=1), "at least one of Holds"),
        (mark.leaves("both primry"), "is none of Left.BOTH_PRIMARY"),
        (mark.claim("six"), "the number of a claim"),
        (mark.claim(), "the number of a claim"),
        (mark.claim(0), "the number of a claim"),
        (mark.state(), "the name of one known state"),
        (mark.state("set-up", "provisioned"), "the name of one known state"),
        (mark.state(name="set-up"), "the name of one known state"),
        (mark.state("set-pu"), "there is no known state 'set-pu'"),
        (mark.hast(5), "settings by their names"),
        (mark.hast(timout=5), "timout: unknown key; did you mean timeout?"),
        (mark.hast(timeout=-1), "timeout"),
        (mark.hast(replication="memsink"), "replication"),
    ],
    ids=lambda value: str(getattr(value, "mark", "")),
)
def test_a_wrong_marker_is_refused(wrong: pytest.MarkDecorator, says: str) -> None:
    with pytest.raises(SettingsError) as error:
        check(wrong)
    assert says in str(error.value)
    assert f"the marker {wrong.name}(" in str(error.value)
    assert "of test_it.py::test_it is wrong" in str(error.value)


def test_right_ones_are_taken_by_value_and_by_word() -> None:
    check(
        mark.needs(Feature.POWER, "link"),
        mark.lifts("never two primaries"),
        mark.leaves("both primary", Left.PANIC),
        mark.claim(6),
        mark.state("provisioned"),
        mark.hast(timeout=5, replication="async"),
    )


def test_of_two_hast_markers_the_scenarios_own_comes_last() -> None:
    """A second resource needs partitions: one of the two markers says so, whichever is the own."""
    check(mark.hast(second="other"), mark.hast(local="partition"))


@pytest.mark.parametrize("pairs", [[], ["-n", "2"]], ids=["one pair", "two"])
def test_a_run_is_refused_in_one_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pairs: list[str]
) -> None:
    for name in ("STATE", "RESULTS"):
        monkeypatch.setenv(f"SKUNK_{name}_DIR", str(tmp_path / name.lower()))
    monkeypatch.setenv("COLUMNS", "300")
    (tmp_path / "test_it.py").write_text(
        "import pytest\n@pytest.mark.needs('powr')\ndef test_it(pair):\n    pass\n"
    )
    words = ["run", "--lab", "simulated", *pairs, str(tmp_path / "test_it.py")]
    done = forked.run(
        *words,
        stderr=subprocess.STDOUT,
        env=dict(os.environ),
    )
    assert len(re.findall(r"the marker needs\('powr'\) of \S*test_it is wrong", done.stdout)) == 1
    assert done.stdout.count("! a scenario's file broke: nothing ran !") == 1
    assert "the lab broke" not in done.stdout
    assert "Traceback" not in done.stdout
    assert "INTERNALERROR" not in done.stdout
    assert "booting" not in done.stdout
    assert done.returncode == 3


@pytest.mark.parametrize("factor", ["-1", "0", "inf", "nan", "soon"])
def test_a_factor_of_time_that_is_none_is_refused_in_one_message(factor: str) -> None:
    done = forked.run("run", "--lab", "simulated", f"--time-scale={factor}", "-k", "test_set_up")
    assert f"'{factor}' is no number above 0" in done.stderr
    assert done.returncode == 4
