"""When a scenario fails: its evidence in one archive, and, if asked, the pair as it is, to look at.

`--shell-on-failure` stops the run at a failure: nothing is healed, restored or collected until the
person presses Enter; a Python prompt has the pair in it. `--keep` ends the run at the first
failure, heals nothing, and stays until Ctrl-C or `skunk down`. In both cases the pair is kept as
`skunk up` keeps one, so `skunk ssh`, `status`, `console`, `cut` and `heal` work on it from another
terminal.
"""

from __future__ import annotations

import contextlib
import shlex
import threading
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Literal

import pytest

from harness.cluster import fault
from harness.errors import HarnessError, KnownBugMet
from harness.operate.keeper import Keeper
from harness.operate.kept import Kept
from harness.operate.prompt import Prompt
from harness.operate.reach import Reached, ssh_command
from harness.pytest_plugin import naming
from harness.pytest_plugin.bundle import pack
from harness.pytest_plugin.terminal.live import LIVE
from harness.record.outgoing import outgoing
from harness.run.audit import Left
from harness.run.evidence import Evidence
from harness.run.session import Session
from harness.waiting import clock

ARCHIVE = "evidence archive"
"""The name of the property, in the JUnit file too, that has the archive's path."""

_FAILED = pytest.StashKey[bool]()
_TERMINAL = Path("/dev/tty")
_MOST_LINES = 25

_PYTHON = "`python` opens a prompt that has the pair and both nodes."
_ENTER = "Enter, or `exit`, goes on with the run."

Mode = Literal["keep", "shell"]


def add_options(group: pytest.OptionGroup) -> None:
    """Add what a person can ask for."""
    group.addoption(
        "--keep", action="store_true", help="end at the first failure and leave the pair as it is"
    )
    group.addoption(
        "--shell-on-failure",
        action="store_true",
        help="stop at a failure and wait while somebody looks at the pair (needs a terminal)",
    )


def configure(config: pytest.Config) -> None:
    """Register the plugin. Raises `pytest.UsageError` for what cannot be done."""
    mode: Mode | None = None
    if config.getoption("--keep"):
        mode = "keep"
    if config.getoption("--shell-on-failure"):
        if mode is not None:
            raise pytest.UsageError("--keep and --shell-on-failure exclude each other")
        mode = "shell"
        if not _has_terminal():
            raise pytest.UsageError(
                "--shell-on-failure waits for somebody at a terminal, and there is none; "
                "--keep leaves the pair up without one"
            )
    if mode is not None:
        name = "--keep" if mode == "keep" else "--shell-on-failure"
        if config.getoption("numprocesses", None):
            raise pytest.UsageError(f"{name} is for one pair: leave -n out")
        if config.getoption("--no-wire"):
            raise pytest.UsageError(f"{name} needs SSH to the nodes: leave --no-wire out")
    plugin = OnFailure(config, mode)
    config.pluginmanager.register(plugin, "skunk-on-failure")
    if mode is not None:
        fault.before_healing(plugin.before_healing)
        config.add_cleanup(lambda: fault.before_healing(None))


def has_failed(item: pytest.Item) -> bool:
    """Whether a test has failed by now, its clean-up aside."""
    return item.stash.get(_FAILED, False)


def hold(config: pytest.Config, session: Session) -> None:
    """At the end of a run with `--keep` that has failed: stay until somebody wants it down."""
    plugin = config.pluginmanager.getplugin("skunk-on-failure")
    if isinstance(plugin, OnFailure):
        plugin.hold(session)


class OnFailure:
    """The plugin."""

    def __init__(self, config: pytest.Config, mode: Mode | None) -> None:
        self._config = config
        self._mode = mode
        self._live = config.stash.get(LIVE, None)
        self._item: pytest.Item | None = None
        self._is_last = False
        self._looked_at: pytest.Item | None = None
        self._kept: tuple[pytest.Item, str] | None = None

    # --- what pytest tells ----------------------------------------------------------------------

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(
        self, item: pytest.Item, nextitem: pytest.Item | None
    ) -> Generator[None, object, object]:
        """Know which test runs."""
        self._item, self._is_last = item, nextitem is None
        return (yield)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Look at a failure before anything is cleaned up; pack its evidence afterwards."""
        report = yield
        if report.failed:
            item.stash[_FAILED] = True
            # The clean-up of the last test includes the lab's: nothing is left to look at.
            if call.when != "teardown" or not self._is_last:
                self._look(item, report.longreprtext)
        if call.when == "teardown" and has_failed(item):
            evidence = getattr(_session(item), "evidence", None)
            if (
                isinstance(evidence, Evidence)
                and (folder := evidence.folder / naming.of(item).folder).is_dir()
            ):
                with evidence.writing():
                    report.user_properties.append((ARCHIVE, str(pack(folder))))
        return report

    # --- looking --------------------------------------------------------------------------------

    def before_healing(self, error: BaseException) -> bool:
        """Whether a fault is to be healed whose block has failed."""
        item = self._item
        if (
            item is None
            or not isinstance(error, Exception)
            or threading.current_thread() is not threading.main_thread()
            or _is_expected(item, error)
        ):
            return True
        self._look(item, f"{type(error).__name__}: {error}")
        return self._mode != "keep"

    def _look(self, item: pytest.Item, failure: str) -> None:
        session = _session(item)
        if self._mode is None or session is None or self._looked_at is item:
            return
        self._looked_at = item
        self._config.hook.pytest_timeout_cancel_timer(item=item)  # a person takes their time
        if self._mode == "keep":
            self._kept = item, failure
            item.session.shouldfail = "--keep: the run ends at its first failure"
            for left in Left:  # what is left is what was asked for
                item.add_marker(pytest.mark.leaves(left))
            return
        with self._keeping(session, item, "press Enter where the run waits", down=False) as keeper:
            self._tell(session, item, failure, keeper, _PYTHON, _ENTER)
            names = {"pair": session.pair, **{node.name: node for node in session.pair}}
            prompt = Prompt(names, keeper.in_the_pairs_time, session.lab.mark)
            self._wait_for_enter(prompt)

    def _wait_for_enter(self, prompt: Prompt) -> None:
        """Wait for the person at the terminal, while virtual time need not wait for them."""
        capture = self._config.pluginmanager.getplugin("capturemanager")
        with _TERMINAL.open() as terminal, clock.current().parked():
            while (line := terminal.readline().strip()) not in ("", "exit", "quit", "q"):
                if line in ("python", "p"):
                    capture.suspend(in_=True)  # standard input, too, as pytest's own pdb has it
                    try:
                        prompt.run()
                    finally:
                        capture.resume()
                    self._write(_ENTER)
                else:
                    self._write(f"no shell of a node ({line!r}): `python`, or another terminal")

    def hold(self, session: Session) -> None:
        """Stay with the pair of a failed run."""
        if self._kept is None:
            return
        item, failure = self._kept
        with (
            contextlib.suppress(KeyboardInterrupt),
            self._keeping(session, item, "`skunk down`, or Ctrl-C in that run") as keeper,
        ):
            self._tell(session, item, failure, keeper, "Ctrl-C here, or `skunk down`, ends it.")
            keeper.wait()

    @contextlib.contextmanager
    def _keeping(
        self, session: Session, item: pytest.Item, released_by: str, *, down: bool = True
    ) -> Iterator[Keeper]:
        kept = Kept(session.lab.name, self._config.getoption("--pair"))
        with (
            contextlib.nullcontext() if self._live is None else self._live.quiet(),
            kept.claimed(),
            Keeper(
                kept,
                session.lab,
                session.pair,
                release=session.system,
                purpose=f"the failure of {item.name}",
                released_by=released_by,
                down=down,
            ) as keeper,
        ):
            yield keeper

    def _tell(
        self, session: Session, item: pytest.Item, failure: str, keeper: Keeper, *end: str
    ) -> None:
        lines = failure.strip().splitlines()
        if len(lines) > _MOST_LINES:
            lines = ["...", *lines[-_MOST_LINES:]]
        self._write("")
        self._write(f"FAILED {item.nodeid}")
        for line in lines:
            self._write(f"    {line}")
        self._write("The pair is as this failure left it:")
        for node in session.pair:
            broken = ", ".join(node.faults)
            said = f"broken on purpose: {broken}" if broken else "nothing broken on purpose"
            self._write(f"    {node}: {node.machine.power()}, {said}")
        self._write("Look at it from another terminal: skunk status -w, skunk heal, and")
        for line in _ways(keeper.kept, session):
            self._write(f"    {line}")
        for line in end:
            self._write(line)

    def _write(self, line: str) -> None:
        terminal = self._config.pluginmanager.getplugin("terminalreporter")
        capture = self._config.pluginmanager.getplugin("capturemanager")
        with capture.global_and_fixture_disabled():
            terminal.write_line(outgoing(line))
            terminal.flush()


def _session(item: pytest.Item) -> Session | None:
    """The run's session, for a scenario that has got as far as its evidence."""
    arguments = getattr(item, "funcargs", {})
    found = arguments.get("session")
    return found if isinstance(found, Session) and "evidence" in arguments else None


def _is_expected(item: pytest.Item, error: Exception) -> bool:
    session = _session(item)
    return (
        isinstance(error, (pytest.skip.Exception, pytest.xfail.Exception))
        or any(item.iter_markers("xfail"))
        or (isinstance(error, KnownBugMet) and session is not None and session.watch.excuses(error))
    )


def _ways(kept: Kept, session: Session) -> Iterator[str]:
    """How to reach both nodes."""
    for node in session.pair:
        # A simulated node has no terminal.
        command = ["hastctl", "list"] if session.lab.mark else []
        try:
            words = ssh_command(kept, Reached.of(node, session.lab.mark), command)
        except HarnessError as error:
            yield f"{node}: {error.what}"
        else:
            yield shlex.join(["skunk", "ssh", node.name, *command])
            yield shlex.join(words)
        yield f"skunk console {node} -f    ({node.machine.console.absolute()})"


def _has_terminal() -> bool:
    try:
        _TERMINAL.open().close()
    except OSError:
        return False
    return True
