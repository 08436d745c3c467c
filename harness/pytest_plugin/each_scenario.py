"""What is done around each scenario: panics and known bugs are looked for, its time is counted."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Generator, Iterator

import pytest

from harness.errors import KnownBugMet
from harness.freebsd.bug_number import number_in
from harness.pytest_plugin.stash import ENDED, SESSION
from harness.results import junit
from harness.run.session import Session
from harness.waiting import spent


@contextlib.contextmanager
def known_bug_expected(session: Session | None) -> Iterator[None]:
    """Let what meets a known bug of this release be an expected failure, wherever it is met."""
    try:
        yield
    except KnownBugMet as met:
        if session is not None and session.watch.expects(met.number):
            pytest.xfail(met.what.partition("; last seen: ")[0])
        raise


class EachScenario:
    """What is done around each scenario.

    A plugin, because pytest calls no hook of a conftest.py for a test in another folder, and
    scenarios may be in a repository of their own.
    """

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Iterator[None]:
        """Fail the test that was running when something broke that holds all through a scenario."""
        session = item.config.stash.get(SESSION, None)
        with contextlib.ExitStack() as stack:
            if session is not None and session.handed_out:
                lifted = {each for mark in item.iter_markers("lifts") for each in mark.args}
                stack.enter_context(session.holding(lifted))
            stack.enter_context(known_bug_expected(session))
            return (yield)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self) -> Generator[None, object, object]:
        """Count where the time of each test goes, from its set-up on."""
        spent.start()
        return (yield)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, object, object]:
        """Give the report of a test's end, and with it the JUnit file, where its time went.

        And the number of the known bug that it met. Ctrl-C makes no report.
        """
        item.stash[ENDED] = call.when == "call" or call.excinfo is not None
        seconds = spent.read()
        if call.when == "teardown" and seconds is not None and SESSION in item.config.stash:
            item.user_properties += [
                (f"{junit.SECONDS}{name}", f"{value:.3f}")
                for name, value in dataclasses.asdict(seconds).items()
            ]
        report = yield
        expected = isinstance(report, pytest.TestReport) and report.skipped
        number = number_in(getattr(report, "wasxfail", "")) if expected else None
        if number is not None:
            item.user_properties.append(("known_bug", number))
        return report
