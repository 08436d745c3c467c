"""What pytest is told of a test, without secrets and control characters.

Everything that shows a test's end is made of its report: the terminal, junit.xml, report.html, the
summary, results.json and what a controller of several processes gets. So it is cleaned in this one
place, before any of them sees it. The raw text stays in the transcript.

What says which test a report is of stays as it is: pytest, its plugins and a controller find the
test by it. `harness.pytest_plugin.naming` makes it clean before the first test runs.
"""

from __future__ import annotations

from collections.abc import Generator

import pytest

from harness.record.outgoing import outgoing

_IDENTIFIERS = ("nodeid", "_id", "location", "keywords")
"""What of a report says which test it is of, as one version of pytest or another has it."""


class CleanReports:
    """The plugin."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_makereport(self) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Clean the report of a test's set-up, call or clean-up."""
        report = yield
        self._clean(report, kept=_IDENTIFIERS)
        return report

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_make_collect_report(
        self,
    ) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
        """Clean the report of a file or folder that was read, its name as well: no test has it."""
        report = yield
        self._clean(report, kept=("result",))
        return report

    def _clean(
        self, report: pytest.TestReport | pytest.CollectReport, *, kept: tuple[str, ...]
    ) -> None:
        """Change the report itself: who has got it already tells it."""
        hook = self._config.hook
        told = hook.pytest_report_to_serializable(config=self._config, report=report)
        cleaned = clean(told)
        if cleaned != told:
            made = hook.pytest_report_from_serializable(config=self._config, data=cleaned)
            vars(report).update(
                {name: value for name, value in vars(made).items() if name not in kept}
            )


def clean(value: object) -> object:
    """A value of strings, lists, tuples and dictionaries with each string as it may leave."""
    if isinstance(value, str):
        return outgoing(value)
    if isinstance(value, dict):
        return {key: clean(each) for key, each in value.items()}
    if isinstance(value, list) and value and all(isinstance(each, str) for each in value):
        return outgoing("\n".join(value)).split("\n")  # a traceback's lines: a key may be in many
    if isinstance(value, (list, tuple)):
        return type(value)(clean(each) for each in value)
    return value
