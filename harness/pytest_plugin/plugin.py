"""Joins pytest and the harness: the entry point `skunk` of pytest's plugins (pyproject.toml).

pytest loads it wherever this package is installed, so scenarios may be in any repository.
"""

from __future__ import annotations

import argparse
import functools
import gc
import inspect
import math
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Any, TextIO, cast, get_args

import pytest

from harness.config import paths
from harness.config import settings as settings_file
from harness.errors import HarnessError
from harness.lab.choose import KINDS, LabKind, LabName, is_model, mark_of
from harness.operate.clean_reports import CleanReports
from harness.pytest_plugin import (
    each_scenario,
    ending,
    fixtures,
    markers,
    naming,
    on_failure,
    telling,
)
from harness.pytest_plugin.pairs import room, side_by_side
from harness.pytest_plugin.stash import MUTATION
from harness.pytest_plugin.terminal.failures import Failures
from harness.record.folders import make_latest
from harness.record.marked import MarkedStream
from harness.results import junit

SIMULATED_TIMEOUT = 120
"""Seconds of the host's time for a scenario on the simulated lab; the longest takes about 2."""


def _factor(text: str) -> float:
    """A number by which deadlines can be stretched."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is no number above 0")
    return value


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options that choose where the scenarios run."""
    group = parser.getgroup("lab", "where the scenarios run")
    group.addoption("--lab", choices=get_args(LabName), default="vagrant", help="which lab")
    group.addoption("--image", type=Path, help="FreeBSD qcow2 or raw image (qemu lab)")
    own: dict[str, Any] = {"action": "append", "default": [], "metavar": "[NODE=]FILE"}
    group.addoption("--hastd", **own, help="a hastd of your own in the place of the image's")
    group.addoption("--hastctl", **own, help="a hastctl of your own in the place of the image's")
    group.addoption("--pair", default="default", help="name of the pair of machines to use")
    group.addoption("--settings", type=Path, default=paths.SETTINGS)
    group.addoption("--time-scale", type=_factor, help="stretch every deadline by this factor")
    group.addoption("--record", type=Path, help="record every command and its answer to this file")
    group.addoption("--seed", type=int, help="the chance of the simulated lab")
    group.addoption(
        "--mutate", metavar="NAME", help="break the world on purpose (docs/mutations.md)"
    )
    group.addoption("--no-wire", action="store_true", help="no SSH to simulated nodes: faster")
    group.addoption(
        "--verdict-lines", action="store_true", help="a line for each verdict, not pytest's own"
    )
    group.addoption("--results", type=Path, help="folder for evidence (a new one in results/)")
    on_failure.add_options(group)


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    """Make the claim marker known; on the simulated lab let every line of output say so."""
    for marker in (
        "claim(number): the claim of the field notes under test",
        "hast(**settings): another hast.conf than lab.yaml's",
        "smoke: what CI runs on real FreeBSD at every change, in a few minutes",
        "state(name): the known state that `pair` is in, another than `set-up`",
        "lifts(*holds): what it breaks on purpose on its way (harness.cluster.invariants.Holds)",
        "needs(*features): what the lab has to be able to do (harness.lab.choose.Feature)",
        "leaves(*what): what the scenario leaves behind on purpose (harness.run.audit.Left)",
    ):
        config.addinivalue_line("markers", marker)
    config.pluginmanager.register(Failures(), "skunk-failures")
    if config.getoption("--no-wire") and not is_model(config.getoption("--lab")):
        raise pytest.UsageError("--no-wire is for the simulated lab: real machines need SSH")
    mark = mark_of(config.getoption("--lab"))
    if mark is not None:
        # Two worlds and their snapshots are many objects, and none of them is garbage.
        gc.set_threshold(50_000, 20, 20)
        config.add_cleanup(gc.freeze)
    if mark is not None and not hasattr(config, "workerinput"):
        writer = config.get_terminal_writer()
        marked = MarkedStream(writer._file, mark)
        writer._file = cast(TextIO, marked)
        writer.fullwidth -= marked.width
    if (name := config.getoption("--mutate")) is not None:
        _mutate(config, name)
    telling.configure(config)
    config.pluginmanager.register(CleanReports(config))  # first, so that the others see it clean
    on_failure.configure(config)
    config.pluginmanager.register(fixtures, "skunk-fixtures")
    config.pluginmanager.register(each_scenario.EachScenario())
    ending.configure(config)
    side_by_side.configure(config)


@pytest.hookimpl(optionalhook=True)  # with `-p no:xdist` nobody asks
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int | None:
    """Say what `-n auto` is where each process has a pair; else it is the processors."""
    if not side_by_side.concerns(config):
        return None
    chosen = settings_file.load(config.getoption("--settings"))
    return room.most_pairs(config.getoption("--lab"), chosen)


def _mutate(config: pytest.Config, name: str) -> None:
    """Break the world as the option asks for, until the run ends."""
    from harness.trials.mutations import table  # noqa: PLC0415 - it imports the model

    try:
        mutation = table.find(name)
        mutation.check(config.getoption("--lab"))
    except HarnessError as error:
        raise pytest.UsageError(str(error)) from None
    patch = pytest.MonkeyPatch()
    mutation.apply(patch)
    config.add_cleanup(patch.undo)
    config.stash[MUTATION] = mutation


@pytest.hookimpl(trylast=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """Say in the first lines that the world is broken on purpose, if it is."""
    mutation = session.config.stash.get(MUTATION, None)
    terminal = session.config.pluginmanager.getplugin("terminalreporter")
    if mutation is not None and terminal is not None:
        terminal.write_line(f"BROKEN ON PURPOSE: {mutation.name}: {mutation.breaks}")


def _claim(item: pytest.Item) -> int:
    """The number of the claim that a scenario tests; 0 for a test of something else."""
    marker = item.get_closest_marker("claim")
    return 0 if marker is None else int(marker.args[0])


def _leave_out(item: pytest.Item, lab: LabKind) -> None:
    """Skip a scenario that needs what the lab cannot do, by the name of that."""
    needed = {feature for marker in item.iter_markers("needs") for feature in marker.args}
    if lacking := sorted(needed - lab.features):
        why = f"the {lab.name} lab does not have what it needs: {', '.join(lacking)}"
        item.add_marker(pytest.mark.skip(reason=why))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection_modifyitems(
    config: pytest.Config, items: list[pytest.Item]
) -> Generator[None, object, object]:
    """Run scenarios in the claims' order; the JUnit file gets their claim and docstring."""
    chosen = functools.cache(lambda: settings_file.load(config.getoption("--settings")))
    for item in items:
        markers.check(item, chosen)
    items.sort(key=_claim)
    naming.give(items)
    simulated = is_model(config.getoption("--lab"))
    for item in items:
        if simulated and _claim(item):
            item.add_marker(pytest.mark.timeout(SIMULATED_TIMEOUT))
        _leave_out(item, KINDS[config.getoption("--lab")])
        name = naming.of(item)
        item.user_properties += [(junit.TEST, name.id), (junit.EVIDENCE, name.folder)]
        if _claim(item):
            item.user_properties.append(("claim", _claim(item)))
        docstring = inspect.getdoc(getattr(item, "function", None))
        if docstring:
            item.user_properties.append(("docstring", docstring))
    result = yield
    naming.show(items)
    return result


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> Generator[None, object, object]:
    """Leave what the process that prints the summary cannot know; end with the run's own status."""
    end = ending.of(session.config)
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["overdue"] = telling.overdue(session.config)
        session.config.workeroutput["troubles"] = end.troubles
        return (yield)
    result = yield
    if session.config.getoption("--results") is None and end.has_verdict and end.results:
        try:
            make_latest(end.results)
        except HarnessError as error:
            end.note(str(error))
            sys.stderr.write(f"{error}\n")
    session.exitstatus = end.status(session.exitstatus)
    return result
