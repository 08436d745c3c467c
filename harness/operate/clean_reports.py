"""What pytest is told of a test, without secrets and control characters.

Everything that shows a test's end is made of its report: the terminal, junit.xml, report.html, the
summary, results.json and what a controller of several processes gets. So it is cleaned in this one
place, before any of them sees it. The raw text stays in the transcript.
"""

from __future__ import annotations

from collections.abc import Generator

import pytest

from harness.outgoing import outgoing


class CleanReports:
    """The plugin."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_makereport(self) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Clean the report of a test's set-up, call or clean-up."""
        report = yield
        hook = self._config.hook
        told = hook.pytest_report_to_serializable(config=self._config, report=report)
        cleaned = clean(told)
        if cleaned == told:
            return report
        made = hook.pytest_report_from_serializable(config=self._config, data=cleaned)
        assert isinstance(made, pytest.TestReport)
        return made


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
