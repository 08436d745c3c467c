"""What the run's last lines say beside pytest's own, and a scenario's claim after its verdict."""

from __future__ import annotations

import datetime
from collections.abc import Iterator

import pytest

from harness.lab.choose import KINDS, Feature
from harness.pytest_plugin import ending
from harness.pytest_plugin.pairs import side_by_side
from harness.pytest_plugin.stash import SESSION
from harness.results import junit
from harness.results.run import Verdict
from harness.waiting import spent


class Story:
    """After each scenario's verdict, what it claims: so that a run reads as a story."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Write the docstring of a scenario that has ended."""
        terminal = self._config.pluginmanager.getplugin("terminalreporter")
        properties = dict(report.user_properties)
        if (
            report.when != "call"
            or terminal is None
            or not {"claim", "docstring"} <= properties.keys()
            or ending.verdict_of(report) is Verdict.NOT_RUN
        ):
            return
        terminal.ensure_newline()
        paragraphs = str(properties["docstring"]).split("\n\n")
        for line in (line for paragraph in paragraphs for line in paragraph.splitlines()):
            terminal.write_line(f"    claim {properties['claim']}: {line}")


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """After the verdicts: bugs to look at, what scenarios noted, and where their time went."""
    several = config.stash.get(side_by_side.CONTROLLER, None)
    end = ending.of(config)
    _tell_missing(terminalreporter, config)
    if lines := list(end.lines()):
        terminalreporter.write_sep("!", lines[0] if end.why else "the host broke")
        for line in "\n".join(lines[1:] if end.why else lines).splitlines():
            terminalreporter.write_line(line)
    for line in overdue(config) if several is None else several.overdue:
        terminalreporter.write_line(line)
    if noted := list(_noted(terminalreporter)):
        terminalreporter.section("noted by the scenarios")
        for line in noted:
            terminalreporter.write_line(line)
    spents = dict(_spents(terminalreporter))
    if spents and Feature.HOST_TIME in KINDS[config.getoption("--lab")].features:
        terminalreporter.section("where the time went, in seconds")
        for line in spent.table(spents):
            terminalreporter.write_line(line)


def _tell_missing(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """What has no verdict: scenarios that met a gap, and those that did not run."""
    for title, key, name in (
        ("gaps in the model: no verdict", "gap", junit.GAP),
        ("did not run", "not run", junit.NOT_RUN),
    ):
        reports = terminalreporter.stats.get(key, [])
        if key == "not run" and not ending.of(config).ran:
            continue  # why nothing ran is one message, below
        if reports:
            terminalreporter.section(title)
        for report in reports:
            properties = dict(report.user_properties)
            whys = [str(value) for key, value in report.user_properties if key == name]
            test = properties.get(junit.TEST, report.nodeid)
            if key == "not run":  # why is one message, below
                running = " (while it ran)" if whys[0].endswith(ending.WHILE_IT_RAN) else ""
                terminalreporter.write_line(f"{test}{running}")
                continue
            for why in whys[:5]:
                terminalreporter.write_line(f"{test}: {why}")
            if len(whys) > 5:
                terminalreporter.write_line(f"{test}: and {len(whys) - 5} more")


def overdue(config: pytest.Config) -> list[str]:
    """What to say of known bugs."""
    session = config.stash.get(SESSION, None)
    today = datetime.datetime.now(datetime.UTC).date()
    return [] if session is None else list(session.watch.overdue(today))


def _spents(terminalreporter: pytest.TerminalReporter) -> Iterator[tuple[str, spent.Spent]]:
    """Where the time of each scenario went, as the report of its end has it."""
    for reports in terminalreporter.stats.values():
        for report in reports:
            if getattr(report, "when", None) != "teardown":
                continue
            seconds = {
                name.removeprefix("seconds_"): float(value)
                for name, value in report.user_properties
                if name.startswith("seconds_")
            }
            if seconds:
                yield report.nodeid, spent.Spent(**seconds)


def _noted(terminalreporter: pytest.TerminalReporter) -> Iterator[str]:
    """What each scenario kept with `note`."""
    for reports in terminalreporter.stats.values():
        for report in reports:
            if getattr(report, "when", None) != "call":
                continue
            for name, value in report.user_properties:
                if name.startswith("noted: "):
                    test = report.nodeid.rpartition("/")[2]
                    yield f"{test}: {name.removeprefix('noted: ')}: {value}"
