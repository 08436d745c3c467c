"""Several pairs on one host: `-n 2`, a pair to each worker process of pytest-xdist.

The pairs share nothing. Each has a name, and with it a folder, machines, ports and keys of its own
(`harness.lab.pairs`). The evidence of a test goes where it goes with one pair; what belongs to a
pair (run.json, gaps.json, the transcript of its start) goes to lab/PAIR and is gathered at the end.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import shutil
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from harness.config import paths
from harness.config.settings import Settings
from harness.errors import LabError, WaitExpired
from harness.lab.choose import LabName
from harness.pytest_plugin import ending
from harness.pytest_plugin.pairs.gather import gather
from harness.pytest_plugin.pairs.room import check_room, free_memory_mib
from harness.pytest_plugin.stash import TOLD
from harness.record.folders import new_run_folder, run_folder
from harness.record.sinks import Event, Replaced, Sink, Stage
from harness.waiting import interrupt
from harness.waiting.wait import wait_until

if TYPE_CHECKING:
    from xdist.scheduler import Scheduling
    from xdist.workermanage import WorkerController

CONTROLLER = pytest.StashKey["Controller"]()


STOP_SECONDS = 60.0
"""In which the other pairs of a run that is stopped have to be put away."""


def pair_name(pair: str, number: int) -> str:
    """The name of the pair of one worker, counted from 1: default-1."""
    return f"{pair}-{number}"


# --- one process --------------------------------------------------------------------------------


class Place:
    """Where this process runs its scenarios: on which pair, and with which folder for evidence."""

    def __init__(self, config: pytest.Config) -> None:
        """Find out whether this is one of several."""
        given: dict[str, Any] | None = getattr(config, "workerinput", None)
        self._config = config
        self._given = given
        self.pair: str = config.getoption("--pair") if given is None else given["pair"]
        self.part = None if given is None else self.pair
        """The pair's own part of the run's folder; None for the only pair."""
        self._lab: LabName = config.getoption("--lab")

    def check(self, settings: Settings) -> None:
        """Raise the `HarnessError` that tells why so many pairs cannot run side by side."""
        if self._given is None:
            return
        paths.state_dir().mkdir(parents=True, exist_ok=True)
        check_room(
            self._lab,
            settings,
            self._given["workercount"],
            free_memory_mib=self._given["free_memory_mib"],
            free_disk_mib=shutil.disk_usage(paths.state_dir()).free >> 20,
        )

    @property
    def results(self) -> Path:
        """The run's folder, made when it is asked for."""
        if self._given is not None:
            return Path(self._given["results"])
        given: Path | None = self._config.getoption("--results")
        return given or new_run_folder(self._lab)


def concerns(config: pytest.Config) -> bool:
    """Whether `-n` means pairs: not for tests that have none, of which any process runs any."""
    unit = paths.PROJECT / "tests" / "unit"
    here = config.invocation_params.dir
    named = [here / argument.partition("::")[0] for argument in config.args]
    return not all(path.resolve().is_relative_to(unit) for path in named)


def configure(config: pytest.Config) -> None:
    """Prepare this process for its part. Raises `pytest.UsageError` for what excludes `-n`."""
    if not concerns(config):
        return
    if hasattr(config, "workerinput"):
        # Ctrl-C reaches all processes of the terminal, and then `Controller` stops them all again.
        interrupts = contextlib.ExitStack()
        interrupts.enter_context(interrupt.at_checkpoints(once=True))
        config.add_cleanup(interrupts.close)
        selected: Any = config.workerinput["selected"]
        ending.of(config).on_selected = selected.send
    elif config.getoption("dist", "no") != "no":
        if config.getoption("--record") is not None:
            raise pytest.UsageError("--record is of one pair: leave -n out")
        controller = config.stash[CONTROLLER] = Controller(config)
        config.pluginmanager.register(controller)


class Sent(Sink):
    """The sink of a process with a pair: it sends on how far the lab has come."""

    def __init__(self, channel: Any) -> None:
        self._channel = channel

    def tell(self, event: Event) -> None:
        """Send it to the process that prints."""
        if isinstance(event, Stage | Replaced):
            self._channel.send(pickle.dumps(event))


# --- the process that the others report to ------------------------------------------------------


class Controller:
    """Gives each worker its pair, prints what it says, and makes one run of all at the end."""

    def __init__(self, config: pytest.Config) -> None:
        """Register it as a plugin where `-n` was given."""
        self._config = config
        self._folder: Path = config.getoption("--results") or run_folder(config.getoption("--lab"))
        ending.of(config).results = self._folder
        self._free_memory_mib = free_memory_mib()
        self._pairs: dict[WorkerController, int] = {}
        self._ready: set[WorkerController] = set()
        self.overdue: list[str] = []
        """What the workers want to have said of known bugs at the end."""

    def pytest_configure_node(self, node: WorkerController) -> None:
        """Give a worker its pair; the worker in a dead one's place takes its pair over."""
        number = next(n for n in range(1, 1000) if n not in self._pairs.values())
        self._pairs[node] = number
        told = node.gateway.newchannel()
        told.setcallback(self._heard)
        selected = node.gateway.newchannel()
        selected.setcallback(ending.of(self._config).select)
        node.workerinput |= {
            "pair": pair_name(self._config.getoption("--pair"), number),
            "results": str(self._folder.absolute()),
            "free_memory_mib": self._free_memory_mib,
            "told": told,
            "selected": selected,
        }

    def _heard(self, event: bytes) -> None:
        self._config.stash[TOLD].tell(pickle.loads(event))  # noqa: S301 - from a process of ours

    def pytest_testnodeready(self, node: WorkerController) -> None:
        """Know which workers may have something to run."""
        self._ready.add(node)

    def pytest_testnodedown(self, node: WorkerController, error: object | None) -> None:  # noqa: ARG002
        """Take what a worker leaves; without its lab the whole run ends."""
        self._pairs.pop(node, None)
        output: dict[str, Any] = getattr(node, "workeroutput", {})
        for trouble in output.get("troubles", ()):
            ending.of(self._config).note(trouble)
        self.overdue += [line for line in output.get("overdue", ()) if line not in self.overdue]
        if (ended := output.get("ended")) is not None:
            ending.of(self._config).end(*ended)
            ending.of(self._config).give_up(ended[1])

    def pytest_handlecrashitem(self, report: pytest.TestReport) -> None:
        """Let a scenario whose process was killed say nothing about FreeBSD."""
        report.longrepr = f"{LabError.__qualname__}: {report.longrepr}"

    def pytest_xdist_make_scheduler(self, config: pytest.Config, log: Any) -> Scheduling | None:
        """Halve the scenarios in their order, and let who is done first take from the others.

        Neighbours have the same hast.conf, which a pair is set up with only once.
        """
        if config.getoption("dist") != "load":
            return None
        from xdist.scheduler import WorkStealingScheduling  # noqa: PLC0415 - only here

        return WorkStealingScheduling(config, log)

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self) -> None:
        """Stop every pair that still runs, as Ctrl-C would, before its process is ended.

        Then make one run of the parts.
        """
        busy = [node for node in self._pairs if node in self._ready and _has_pair(node)]
        for node in self._pairs:
            # One that is not ready has nothing to run, and so no pair. It could miss Ctrl-C: Python
            # ignores one that it raises in a `__del__`, and prints a traceback instead.
            with contextlib.suppress(OSError):
                number = signal.SIGINT if node in self._ready else signal.SIGKILL
                os.kill(node.gateway._rinfo().pid, number)
        if busy:
            terminal = self._config.pluginmanager.getplugin("terminalreporter")
            terminal.write_line(f"stopping {' and '.join(self._name_of(node) for node in busy)}")
        with contextlib.suppress(WaitExpired):
            wait_until(
                "the other pairs to be put away",
                lambda: not any(_has_pair(node) for node in busy),
                STOP_SECONDS,
            )
        if self._folder.exists():
            with ending.of(self._config).noting("the parts of the run were not made one"):
                gather(self._folder)

    def _name_of(self, node: WorkerController) -> str:
        return pair_name(self._config.getoption("--pair"), self._pairs[node])


def _has_pair(node: WorkerController) -> bool:
    """Whether a worker may still have a pair.

    One that was interrupted before it had any may be dead, or may never have been told what to do:
    then nobody is left to say that it is done.
    """
    channel = getattr(node, "channel", None)
    if channel is None or hasattr(node, "workeroutput"):
        return False
    try:
        channel.waitclose(0)
    except channel.TimeoutError:
        return True
    except (EOFError, channel.RemoteError):
        return False
    return False
