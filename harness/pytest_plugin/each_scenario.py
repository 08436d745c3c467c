"""What is done around each scenario: panics and known bugs are looked for, its time is counted."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Generator, Iterator

import pytest

from harness.errors import ClaimFailed, KnownBugMet
from harness.freebsd.bug_number import number_in
from harness.pytest_plugin.stash import ENDED, MENDED, NAMES_BUG, SESSION
from harness.results import junit
from harness.run.session import Session
from harness.waiting import spent


@contextlib.contextmanager
def known_bug_expected(session: Session | None) -> Iterator[None]:
    """Let what meets a known bug of this release be an expected failure, wherever it is met."""
    try:
        yield
    except KnownBugMet as met:
        if session is not None and session.watch.excuses(met):
            pytest.xfail(met.what.partition("; last seen: ")[0])
        raise


@contextlib.contextmanager
def known_bug_named(session: Session | None) -> Iterator[None]:
    """Let a failure be by a known bug's number, if the two nodes show its symptoms."""
    try:
        yield
    except KnownBugMet:
        raise
    except AssertionError as error:
        if session is None:
            raise
        what = error.what if isinstance(error, ClaimFailed) else str(error).partition("\n")[0]
        failed = ClaimFailed(what or type(error).__name__)
        for primary in session.pair:
            explained = session.watch.explain(primary, session.pair.peer(primary), failed)
            if explained is not failed:
                raise explained from error
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
            if item.stash.get(NAMES_BUG, False):
                stack.enter_context(known_bug_named(session))
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

        And the number of the known bug that it met, or the one that is fixed there. Ctrl-C makes no
        report.
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
        mended = item.stash.get(MENDED, None)
        if mended is not None and call.when == "call" and report_passed(report):
            entry = (junit.FIXED_HERE, mended)
            item.user_properties.append(entry)
            report.user_properties.append(entry)  # type: ignore[attr-defined]
        return report


def report_passed(report: object) -> bool:
    """Whether a scenario's own part has held."""
    return isinstance(report, pytest.TestReport) and report.passed
