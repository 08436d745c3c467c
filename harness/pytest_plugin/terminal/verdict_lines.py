"""A line for each scenario that has ended: its verdict, how long it took, its name.

pytest's own begins with the whole path of a test's file, which fits into no terminal of 80 columns,
and ends with a percentage. Here the verdict comes first, a long name goes on in the next line, and
why something was skipped or is expected to fail stands below it. The words are pytest's and those
of other plugins; what pytest would print for each test is left out.
"""

from __future__ import annotations

import textwrap
from collections.abc import Generator, Iterator

import pytest

from harness.record.sinks import Event, Reported, Sink

ARGUMENTS = (
    "--verdict-lines",
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


def sink(config: pytest.Config) -> Sink | None:
    """The sink of `skunk run`, for which pytest's own lines are left out."""
    if not config.getoption("--verdict-lines"):
        return None
    lines = VerdictLines(config)
    config.pluginmanager.register(lines)
    return lines


class VerdictLines(Sink):
    """The sink, and a plugin that has pytest print nothing of a scenario."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._hushed = False

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_logreport(self) -> Generator[None, None, None]:
        """Know when pytest is about to print."""
        self._hushed = True
        try:
            yield
        finally:
            self._hushed = False

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_report_teststatus(self) -> Generator[None, _Status | None, _Status | None]:
        """Let pytest count the scenario and print nothing of it."""
        status = yield
        return (status[0], "", "") if self._hushed and status else status

    def tell(self, event: Event) -> None:
        """Write the line when a scenario's verdict is there, and when its clean-up fails."""
        terminal = self._config.pluginmanager.getplugin("terminalreporter")
        if not isinstance(event, Reported) or not event.word or terminal is None:
            return
        terminal.ensure_newline()
        width = self._config.get_terminal_writer().fullwidth
        start = f"{event.word:{_WORD}} {event.seconds:5.1f} s  "
        first, *rest = lines(event, start, width)
        terminal.write(first[: len(event.word)], **event.colour)
        terminal.write_line(first[len(event.word) :])
        for line in rest:
            terminal.write_line(line)


def short_name(nodeid: str) -> str:
    """File and test, without what all of them have; once where both have the same name."""
    path, _, test = nodeid.partition(".py::")
    file = path.rpartition("/")[2].removeprefix("test_")
    test = test.removeprefix("test_")
    return test if test.startswith(file) else f"{file}: {test}"


def lines(reported: Reported, start: str, width: int) -> Iterator[str]:
    """What is written of a scenario, no line longer than `width` where its words allow it."""
    indent = " " * len(start)
    for text in filter(None, (short_name(reported.test), reported.reason)):
        yield from textwrap.wrap(
            text,
            width,
            initial_indent=start,
            subsequent_indent=indent + "  ",
            break_long_words=False,
            break_on_hyphens=False,
        )
        start = indent
