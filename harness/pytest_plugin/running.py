"""Scenarios by pytest, with their evidence in a folder and a report at the end."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Self

import pytest
from _pytest.junitxml import xml_key  # pytest's own name for who writes junit.xml

from harness.config import paths
from harness.errors import HarnessError
from harness.pytest_plugin import ending
from harness.pytest_plugin.terminal import verdict_lines
from harness.record.exit_status import BROKE, FAILED, INTERRUPTED
from harness.record.folders import make_latest, new_run_folder
from harness.record.marked import NOBODY_READS, stop_printing
from harness.report.publish import publish
from harness.waiting import interrupt

_JUNIT = "junit.xml"


def run_tests(
    lab: str, arguments: list[str], say: Callable[[str], None]
) -> tuple[int, tuple[str, ...]]:
    """Run pytest with these arguments, write the report; return the exit status and warnings.

    results/latest is moved to a run that has a verdict. Of a run that was refused, or only listed
    its scenarios, no folder is left; of one whose lab did not start, what that left, and a word
    that there is no report. A report that cannot be written is a warning, and then 3 where nothing
    failed. So is that nobody reads the output any more: the run ends there, and its report is
    written.
    """
    folder = new_run_folder(lab)
    again = f"interrupted before the report was there: `skunk report {as_typed(folder)}`"
    whole = _WholeRun()
    interrupted = False
    unread: tuple[str, ...] = ()
    try:
        status = _run(folder, arguments, whole)
    except BrokenPipeError:
        stop_printing()
        status, unread = BROKE, (NOBODY_READS,)
    except KeyboardInterrupt:  # in what pytest does at its end, or the second one
        status, interrupted = INTERRUPTED, True
    if not any(path.stat().st_size for path in _files(folder) if path.name != _JUNIT):
        shutil.rmtree(folder)
        return status, unread
    say(f"evidence: {as_typed(folder)}")
    for needed, why in (
        ("run.json", "the lab had not started"),
        (_JUNIT, "the run did not come to its end"),
    ):
        if not (folder / needed).exists():
            say(f"report:   none, {why}")
            return status, unread
    if interrupted:
        return status, (again,)
    try:
        published = publish(folder, remember=True)
        say(f"report:   {as_typed(published.report)}")
        if published.ran:
            make_latest(folder)
    except HarnessError as error:
        return (status if status == FAILED else BROKE), whole.untold(str(error))
    except KeyboardInterrupt:
        return (status if status in (FAILED, BROKE) else INTERRUPTED), (again,)
    if unread and published.failed:
        status = FAILED
    return status, whole.untold(*unread, *published.warnings)


def _run(folder: Path, arguments: list[str], whole: _WholeRun) -> int:
    """Run pytest, and return the exit status."""
    with whole:
        status = int(
            pytest.main(
                [
                    *("--rootdir", str(_rootdir(arguments))),
                    *("--config-file", str(paths.PROJECT / "pyproject.toml")),
                    *verdict_lines.ARGUMENTS,
                    *("--results", str(folder), "--junitxml", str(folder / _JUNIT)),
                    *arguments,
                ],
                plugins=[whole],
            )
        )
    if status == pytest.ExitCode.INTERRUPTED:  # before there was a scenario that could be told of
        return INTERRUPTED
    return status


def _rootdir(arguments: list[str]) -> Path:
    """Where pytest counts the names of files from: the checkout, or a folder of somebody's own."""
    words = [Path(word.partition("::")[0]) for word in arguments if not word.startswith("-")]
    named = [path.resolve() for path in words if path.is_dir() or path.suffix == ".py"]
    if all(path.is_relative_to(paths.home()) for path in named):
        return paths.home()
    return Path(os.path.commonpath([path if path.is_dir() else path.parent for path in named]))


class _WholeRun:
    """A plugin that is there from the first moment to the last.

    Until every scenario is read, Ctrl-C is taken between two steps of pytest. Raised while plugins
    are made, it would leave pytest with some of them: their end is then an error of pytest's own,
    with its stack, in place of the word that the run was interrupted.
    """

    def __init__(self) -> None:
        self._told = ""
        self._signals = contextlib.ExitStack()
        self._shield = contextlib.ExitStack()

    def __enter__(self) -> Self:
        self._signals.enter_context(interrupt.at_checkpoints())
        self._shield.enter_context(interrupt.shielded())
        return self

    def __exit__(self, *error: object) -> None:
        self._shield.close()
        self._signals.close()

    @pytest.hookimpl(wrapper=True)
    def pytest_collection(self) -> Generator[None, object, object]:
        """All plugins are made; the reading begins."""
        self._shield.close()
        try:
            interrupt.checkpoint()
            return (yield)
        finally:
            self._signals.close()

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> Generator[None, None, None]:
        """Let pytest not say where junit.xml is: a run without a verdict leaves none."""
        try:
            return (yield)
        finally:
            junit_writer = session.config.stash.get(xml_key, None)
            if junit_writer is not None:
                del session.config.stash[xml_key]
                session.config.pluginmanager.unregister(junit_writer)

    def pytest_unconfigure(self, config: pytest.Config) -> None:
        """Know what a person has been told, where the run came so far that it has an end."""
        if ending.is_in(config):
            self._told = "\n".join(ending.of(config).ended().lines())

    def untold(self, *messages: str) -> tuple[str, ...]:
        """Those of the messages that say more than the end of the run has."""
        return tuple(ending.told_once(messages, self._told))

    def pytest_collectstart(self) -> None:
        """The next file."""
        interrupt.checkpoint()


def _files(folder: Path) -> Iterator[Path]:
    return filter(Path.is_file, folder.rglob("*"))


def as_typed(path: Path) -> str:
    """A path as short as it works from here."""
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)
