"""Which sinks a run has, and what pytest does, told to them.

A new way of telling people (TAP, a dashboard) is a file with a `Sink` and a line in `WAYS`. JUnit
is pytest's own. With several pairs the process that has no pair hears of the scenarios, and of
what each pair's process sends it (harness/pytest_plugin/pairs).
"""

from __future__ import annotations

import datetime
from collections import defaultdict
from collections.abc import Callable, Generator
from typing import Any

import pytest

from harness.pytest_plugin import ending, on_failure
from harness.pytest_plugin.pairs import side_by_side
from harness.pytest_plugin.stash import SESSION, TOLD
from harness.pytest_plugin.terminal import claims, live, stages, summary, verdict_lines
from harness.record.sinks import (
    PartBegan,
    PartOver,
    Reported,
    RunBegan,
    ScenarioBegan,
    ScenarioOver,
    Sink,
    Sinks,
)
from harness.results import junit
from harness.waiting import wait
from harness.waiting.spent import Spent

WAYS: tuple[Callable[[pytest.Config], Sink | None], ...] = (
    live.sink,
    stages.sink,
    verdict_lines.sink,
    claims.sink,
    summary.sink,
)
"""Every way of telling people; each says for itself whether this run has it."""

SET_UP, SCENARIO, EVIDENCE = live.SET_UP, "scenario", "evidence"
"""The parts of a scenario."""


def configure(config: pytest.Config) -> None:
    """Make the sinks of this process, and register the plugin that tells them."""
    told = config.stash[TOLD] = Sinks()
    if not hasattr(config, "workerinput"):
        for sink in filter(None, (way(config) for way in WAYS)):
            told.add(sink)
    elif side_by_side.concerns(config):
        told.add(side_by_side.Sent(config.workerinput["told"]))
    config.pluginmanager.register(Telling(config), "skunk-telling")


class Telling:
    """The plugin."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._told = config.stash[TOLD]
        self._seconds: dict[str, float] = defaultdict(float)

    def pytest_sessionstart(self) -> None:
        """Tell of every wait, also of those before the lab starts and after it has stopped."""
        wait.tell(self._told.tell)

    def pytest_unconfigure(self) -> None:
        """Tell of no more."""
        wait.tell()

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Tell how many there are."""
        self._told.tell(RunBegan(len(session.items)))

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """Tell what begins, here or in a worker."""
        self._told.tell(ScenarioBegan(nodeid))

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        """Tell what is over."""
        self._told.tell(ScenarioOver(nodeid))

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> Generator[None, None, None]:
        """The set-up runs."""
        yield from self._part(item, SET_UP)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, None, None]:
        """The scenario itself runs."""
        yield from self._part(item, SCENARIO)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_teardown(self, item: pytest.Item) -> Generator[None, None, None]:
        """The evidence is collected."""
        yield from self._part(item, EVIDENCE)

    def _part(self, item: pytest.Item, part: str) -> Generator[None, None, None]:
        self._told.tell(PartBegan(item.nodeid, part))
        try:
            yield
        finally:
            self._told.tell(PartOver(item.nodeid))

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> Generator[None, None, None]:
        """Tell what pytest reports, once pytest has printed its own."""
        yield
        self._seconds[report.nodeid] += report.duration
        hook = self._config.hook
        status = hook.pytest_report_teststatus(report=report, config=self._config)
        self._told.tell(reported(report, self._seconds[report.nodeid], *(status or ("", "", ""))))

    def pytest_terminal_summary(self) -> None:
        """Tell how the run ended, after the verdicts."""
        several = self._config.stash.get(side_by_side.CONTROLLER, None)
        bugs = overdue(self._config) if several is None else several.overdue
        self._told.tell(ending.of(self._config).ended(bugs))


def overdue(config: pytest.Config) -> list[str]:
    """What to say of known bugs."""
    session = config.stash.get(SESSION, None)
    today = datetime.datetime.now(datetime.UTC).date()
    return [] if session is None else list(session.watch.overdue(today))


def reported(
    report: pytest.TestReport,
    seconds: float,
    category: str = "",
    letter: str = "",  # noqa: ARG001 - as pytest has them
    word: str | tuple[str, dict[str, bool]] = "",
) -> Reported:
    """The event of a report, which pytest counts under this category, with this word for it."""
    said: dict[str, Any] = dict(report.user_properties)
    word, colour = word if isinstance(word, tuple) else (word, _colour(report))
    spents = junit.starting(report.user_properties, junit.SECONDS)
    return Reported(
        report.nodeid,
        report.when or "",
        test=str(said.get(junit.TEST, report.nodeid)),
        category=category,
        word=word,
        colour=colour,
        seconds=seconds,
        reason=_reason(report),
        claim=said.get("claim"),
        docstring=str(said.get("docstring", "")),
        gaps=tuple(str(gap) for name, gap in report.user_properties if name == junit.GAP),
        not_run=said.get(junit.NOT_RUN),
        noted=tuple(junit.starting(report.user_properties, junit.NOTED)),
        spent=Spent(**{name: float(value) for name, value in spents})
        if spents and report.when == "teardown"
        else None,
        archive=said.get(on_failure.ARCHIVE),
    )


def _reason(report: pytest.TestReport) -> str:
    """Why a scenario was skipped, or was expected to fail."""
    if (expected := getattr(report, "wasxfail", None)) is not None:
        return str(expected).removeprefix("reason: ")
    fixed = dict(report.user_properties).get(junit.FIXED_HERE)
    if report.when == "call" and report.passed and fixed is not None:
        return f"fixed here: {fixed}"
    if report.skipped and isinstance(report.longrepr, tuple):
        return report.longrepr[2].removeprefix("Skipped: ")
    return ""


def _colour(report: pytest.TestReport) -> dict[str, bool]:
    """As pytest has it."""
    if hasattr(report, "wasxfail") or report.skipped:
        return {"yellow": True}
    return {"green": True} if report.passed else {"red": True}
