"""What the run's last lines say beside pytest's own.

What has no verdict, how the run ended, bugs to look at, what scenarios noted, where their time
went, and where the evidence of the failures is.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterable, Iterator

import pytest

from harness.lab.choose import KINDS, Feature
from harness.pytest_plugin.ending import WHILE_IT_RAN
from harness.record.sinks import Event, Reported, RunEnded, Sink
from harness.waiting import spent

_MOST_GAPS = 5
"""Of one scenario."""


def sink(config: pytest.Config) -> Sink:
    """The sink of a run."""
    return Summary(config)


class Summary(Sink):
    """Keeps what is told of the scenarios until the run has ended."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._reported: dict[str, list[Reported]] = defaultdict(list)

    def tell(self, event: Event) -> None:
        """Keep it, or write all of it."""
        match event:
            case Reported():
                self._reported[event.category].append(event)
            case RunEnded():
                self._write(event)

    def _write(self, end: RunEnded) -> None:
        terminal = self._config.pluginmanager.getplugin("terminalreporter")
        every = list(itertools.chain(*self._reported.values()))
        self._section("gaps in the model: no verdict", self._gaps())
        if end.ran:  # else why nothing ran is one message, below
            self._section("did not run", self._not_run())
        if lines := list(end.lines()):
            terminal.write_sep("!", lines[0] if end.why else "the host broke")
            for line in "\n".join(lines[1:] if end.why else lines).splitlines():
                terminal.write_line(line)
        for line in end.known_bugs:
            terminal.write_line(line)
        self._section("noted by the scenarios", _noted(every))
        spents = {each.nodeid: each.spent for each in every if each.spent is not None}
        if spents and Feature.HOST_TIME in KINDS[self._config.getoption("--lab")].features:
            self._section("where the time went, in seconds", spent.table(spents))
        archives = (each.archive for each in every if each.archive is not None)
        self._section("evidence of the failures", dict.fromkeys(archives))

    def _section(self, title: str, lines: Iterable[str]) -> None:
        terminal = self._config.pluginmanager.getplugin("terminalreporter")
        for number, line in enumerate(lines):
            if not number:
                terminal.section(title)
            terminal.write_line(line)

    def _gaps(self) -> Iterator[str]:
        for each in self._reported["gap"]:
            for gap in each.gaps[:_MOST_GAPS]:
                yield f"{each.test}: {gap}"
            if (more := len(each.gaps) - _MOST_GAPS) > 0:
                yield f"{each.test}: and {more} more"

    def _not_run(self) -> Iterator[str]:
        for each in self._reported["not run"]:
            running = " (while it ran)" if str(each.not_run).endswith(WHILE_IT_RAN) else ""
            yield f"{each.test}{running}"


def _noted(every: Iterable[Reported]) -> Iterator[str]:
    """What each scenario kept with `note`."""
    for each in every:
        for name, value in each.noted if each.when == "call" else ():
            yield f"{each.nodeid.rpartition('/')[2]}: {name}: {value}"
