"""A line for each scenario that has ended: its verdict, how long it took, its name.

pytest's own begins with the whole path of a test's file, which fits into no terminal of 80 columns,
and ends with a percentage. Here the verdict comes first, a long name goes on in the next line, and
why something was skipped or is expected to fail stands below it. The words are pytest's and those
of other plugins; what pytest would print for each test is left out.
"""

from __future__ import annotations

import textwrap
from collections import defaultdict
from collections.abc import Generator, Iterator

import pytest

from harness.results import junit

ARGUMENTS = (
    *("--verbose", "--no-header", "-rfE"),
    *("-o", "verbosity_test_cases=-1", "-o", "console_output_style=classic"),
    *("-p", "no:hypothesispytest"),
)
"""What pytest is told so that it leaves the lines of the scenarios to this plugin.

And that it loads nothing of a library of the unit tests, which takes a quarter of a second.
"""

_WORD = 7
"""Columns for the verdict: SKIPPED is the longest of pytest's."""

_Status = tuple[str, str, str | tuple[str, dict[str, bool]]]


class VerdictLines:
    """The plugin. Not for the workers of pytest-xdist: the controller gets their reports."""

    def __init__(self) -> None:
        self._config: pytest.Config | None = None
        self._seconds: dict[str, float] = defaultdict(float)
        self._status: _Status | None = None
        self._taken = False

    @pytest.hookimpl(tryfirst=True)
    def pytest_configure(self, config: pytest.Config) -> None:
        """Know what runs."""
        self._config = config

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_report_teststatus(self) -> Generator[None, _Status | None, _Status | None]:
        """Let pytest count the scenario and print nothing of it."""
        self._status = yield
        return (self._status[0], "", "") if self._taken and self._status else self._status

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> Generator[None, None, None]:
        """Write the line when a scenario's verdict is there, and when its clean-up fails."""
        self._write(report)
        self._taken = True
        try:
            yield
        finally:
            self._taken = False

    def _write(self, report: pytest.TestReport) -> None:
        assert self._config is not None
        self._seconds[report.nodeid] += report.duration
        self._config.hook.pytest_report_teststatus(report=report, config=self._config)
        _, _, word = self._status or ("", "", "")
        markup = _colour(report)
        if isinstance(word, tuple):
            word, markup = word
        terminal = self._config.pluginmanager.getplugin("terminalreporter")
        if not word or terminal is None:
            return
        terminal.ensure_newline()
        width = self._config.get_terminal_writer().fullwidth
        start = f"{word:{_WORD}} {self._seconds[report.nodeid]:5.1f} s  "
        first, *rest = lines(report, start, width)
        terminal.write(first[: len(word)], **markup)
        terminal.write_line(first[len(word) :])
        for line in rest:
            terminal.write_line(line)


def short_name(nodeid: str) -> str:
    """File and test, without what all of them have; once where both have the same name."""
    path, _, test = nodeid.partition(".py::")
    file = path.rpartition("/")[2].removeprefix("test_")
    test = test.removeprefix("test_")
    return test if test.startswith(file) else f"{file}: {test}"


def lines(report: pytest.TestReport, start: str, width: int) -> Iterator[str]:
    """What is written of a scenario, no line longer than `width` where its words allow it."""
    indent = " " * len(start)
    test = str(dict(report.user_properties).get(junit.TEST, report.nodeid))
    for text in filter(None, (short_name(test), _reason(report))):
        yield from textwrap.wrap(
            text,
            width,
            initial_indent=start,
            subsequent_indent=indent + "  ",
            break_long_words=False,
            break_on_hyphens=False,
        )
        start = indent


def _reason(report: pytest.TestReport) -> str:
    """Why a scenario was skipped, or was expected to fail."""
    if (expected := getattr(report, "wasxfail", None)) is not None:
        return str(expected).removeprefix("reason: ")
    if report.skipped and isinstance(report.longrepr, tuple):
        return report.longrepr[2].removeprefix("Skipped: ")
    return ""


def _colour(report: pytest.TestReport) -> dict[str, bool]:
    """As pytest has it."""
    if hasattr(report, "wasxfail") or report.skipped:
        return {"yellow": True}
    return {"green": True} if report.passed else {"red": True}
