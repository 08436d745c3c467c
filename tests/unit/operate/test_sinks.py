"""A sink of somebody's own gets everything that a run tells, without a change to the harness."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest

from harness.record.sinks import Asking, Event, Lines, Reached, Replaced, Sink, Sinks, Stage
from harness.waiting.wait import Doing, Waiting
from tests import forked

CONFTEST = """
from harness.pytest_plugin.stash import TOLD
from harness.record.sinks import Sink

class Mine(Sink):
    def tell(self, event):
        with open({log!r}, "a") as log:
            log.write(f"{{type(event).__name__}} {{getattr(event, 'word', '')}}\\n")

def pytest_sessionstart(session):
    if not hasattr(session.config, "workerinput"):
        session.config.stash[TOLD].add(Mine())
"""

SCENARIOS = """
import pytest
from harness.lab.choose import Feature
from harness.waiting.wait import wait_until

def test_holds(pair, note):
    values = iter([False, True])
    wait_until("the second look", lambda: next(values), 30)
    with pair.skunk2.link_unplugged():
        pair.skunk1.run("true")
    note("what", "for")

@pytest.mark.needs(Feature.HOST_TIME)
def test_left_out(pair):
    pass

def test_fails(provisioned_pair):
    assert provisioned_pair is None
"""

WORDS = ["FAILED", "PASSED", "SKIPPED"]


def told(folder: Path, *more: str) -> list[tuple[str, str]]:
    """The events that a sink of a conftest.py got, each with its verdict."""
    log = folder / "log"
    (folder / "conftest.py").write_text(CONFTEST.format(log=str(log)))
    (folder / "test_mine.py").write_text(SCENARIOS)
    done = forked.run(
        *("-q", "-p", "no:cacheprovider", "--rootdir", str(folder), str(folder), *more),
        *("--lab", "simulated", "--no-wire", "--results", str(folder / "results")),
        program="pytest",
    )
    assert done.returncode == 1, done.stdout + done.stderr
    lines = (line.partition(" ") for line in log.read_text().splitlines())
    return [(event, word) for event, _, word in lines]


def test_a_sink_of_ones_own_gets_every_kind_of_event(tmp_path: Path) -> None:
    events = told(tmp_path)
    kinds = {*get_args(Event), Asking, Waiting} - {Doing, Replaced}
    assert {event for event, _ in events} == {kind.__name__ for kind in kinds}
    assert sorted(word for _, word in events if word) == WORDS
    names = [event for event, _ in events]
    assert names[-1] == "RunEnded"
    assert names.count("ScenarioBegan") == names.count("ScenarioOver") == 3


def test_with_several_pairs_it_gets_stages_and_verdicts_of_all(tmp_path: Path) -> None:
    events = told(tmp_path, "-n", "1")
    assert [event for event, _ in events if event == "Stage"] == ["Stage"] * 3
    assert sorted(word for _, word in events if word) == WORDS
    assert events[-1] == ("RunEnded", "")


class Mine(Sink):
    def __init__(self) -> None:
        self.got: list[Event] = []

    def tell(self, event: Event) -> None:
        self.got.append(event)


def test_each_is_told_in_its_order_and_only_while_it_is_there() -> None:
    said: list[str] = []
    mine, replaced = Mine(), Replaced("dead", "it is replaced: dead")
    sinks = Sinks(Lines(said.append))
    sinks.add(mine)
    late = Mine()
    with sinks.also(late):
        sinks.tell(Stage(Reached.BOOTING, "it boots"))
    sinks.tell(replaced)
    assert said == ["it boots", "it is replaced: dead"]
    assert mine.got == [*late.got, replaced]
    with pytest.raises(TypeError):
        Sink()  # type: ignore[abstract]
