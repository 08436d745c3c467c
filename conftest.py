"""Options and fixtures; what they do is in harness/."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import gc
import inspect
import sys
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import TextIO, cast, get_args

import pytest

from harness.cluster.audit import Left, audit, raise_unannounced
from harness.cluster.pair import Pair
from harness.config import paths
from harness.config import settings as settings_file
from harness.config.settings import HastSettings, Settings
from harness.errors import HarnessError, KnownBugMet
from harness.freebsd.bug_number import number_in
from harness.lab.choose import LabName, open_lab
from harness.lab.ssh import Connect, Connection
from harness.operate.clean_reports import CleanReports
from harness.pytest_plugin import ending, naming, on_failure, side_by_side
from harness.pytest_plugin.failures import Failures
from harness.pytest_plugin.live import FollowedConnect, Live
from harness.record.folders import make_latest, without_number
from harness.record.marked import MarkedStream
from harness.results import junit
from harness.results.run import Verdict
from harness.run.session import Session
from harness.trials.conformance.recording import RecordedConnect, RecordedLab, Recorder
from harness.trials.mutations.mutation import Mutation
from harness.waiting import spent, wait
from harness.waiting.spent import Activity

SESSION = pytest.StashKey[Session]()
MUTATION = pytest.StashKey[Mutation]()
ENDED = pytest.StashKey[bool]()
LIVE = pytest.StashKey[Live]()

SIMULATED_TIMEOUT = 120
"""Seconds of the host's time for a scenario on the simulated lab; the longest takes about 2."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options that choose where the scenarios run."""
    group = parser.getgroup("lab", "where the scenarios run")
    group.addoption("--lab", choices=get_args(LabName), default="vagrant", help="which lab")
    group.addoption("--image", type=Path, help="FreeBSD qcow2 or raw image (qemu lab)")
    group.addoption("--pair", default="default", help="name of the pair of machines to use")
    group.addoption("--settings", type=Path, default=paths.SETTINGS)
    group.addoption("--time-scale", type=float, help="stretch every deadline by this factor")
    group.addoption("--record", type=Path, help="record every command and its answer to this file")
    group.addoption("--seed", type=int, help="the chance of the simulated lab")
    group.addoption(
        "--mutate", metavar="NAME", help="break the world on purpose (docs/mutations.md)"
    )
    group.addoption("--no-wire", action="store_true", help="no SSH to simulated nodes: faster")
    group.addoption(
        "--harness",
        type=Path,
        help="where the harness is: pytest takes conftest.py from a folder that an argument names, "
        "and the scenarios may be in another",
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
        "leaves(*what): what the scenario leaves behind on purpose (harness.cluster.audit.Left)",
    ):
        config.addinivalue_line("markers", marker)
    config.pluginmanager.register(Failures(), "skunk-failures")
    if config.getoption("verbose") > 0:
        config.pluginmanager.register(Story(config))
    if config.getoption("--no-wire") and config.getoption("--lab") != "simulated":
        raise pytest.UsageError("--no-wire is for the simulated lab: real machines need SSH")
    simulated = config.getoption("--lab") == "simulated"
    if simulated:
        # Two worlds and their snapshots are many objects, and none of them is garbage.
        gc.set_threshold(50_000, 20, 20)
        config.add_cleanup(gc.freeze)
    if simulated and not hasattr(config, "workerinput"):
        writer = config.get_terminal_writer()
        marked = MarkedStream(writer._file, "simulated")
        writer._file = cast(TextIO, marked)
        writer.fullwidth -= marked.width
    if (name := config.getoption("--mutate")) is not None:
        _mutate(config, name)
    live: Live | None = None
    if config.getoption("verbose") > 0 and not hasattr(config, "workerinput"):
        live = config.stash[LIVE] = Live(config, "simulated" if simulated else None)
        config.pluginmanager.register(live)
    config.pluginmanager.register(CleanReports(config))  # first, so that the others see it clean
    on_failure.configure(config, live)
    config.pluginmanager.register(EachScenario())
    ending.configure(config)
    side_by_side.configure(config)


@pytest.hookimpl(optionalhook=True)  # with `-p no:xdist` nobody asks
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int | None:
    """Say what `-n auto` is where each process has a pair; else it is the processors."""
    if not side_by_side.concerns(config):
        return None
    chosen = settings_file.load(config.getoption("--settings"))
    return side_by_side.most_pairs(config.getoption("--lab"), chosen)


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


class Story:
    """After each scenario's verdict, what it claims: so that a run reads as a story."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Write the docstring of a scenario that has ended."""
        terminal = self._config.pluginmanager.getplugin("terminalreporter")
        properties = dict(report.user_properties)
        if (
            report.when != "call"
            or terminal is None
            or not {"claim", "docstring"} <= properties.keys()
            or ending.verdict_of(report) is Verdict.NOT_RUN
        ):
            return
        terminal.ensure_newline()
        paragraphs = str(properties["docstring"]).split("\n\n")
        for line in (line for paragraph in paragraphs for line in paragraph.splitlines()):
            terminal.write_line(f"    claim {properties['claim']}: {line}")


def _claim(item: pytest.Item) -> int:
    """The number of the claim that a scenario tests; 0 for a test of something else."""
    marker = item.get_closest_marker("claim")
    return 0 if marker is None else int(marker.args[0])


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection_modifyitems(
    config: pytest.Config, items: list[pytest.Item]
) -> Generator[None, object, object]:
    """Run scenarios in the claims' order; the JUnit file gets their claim and docstring."""
    items.sort(key=_claim)
    naming.give(items)
    simulated = config.getoption("--lab") == "simulated"
    for item in items:
        if simulated and _claim(item):
            item.add_marker(pytest.mark.timeout(SIMULATED_TIMEOUT))
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


@pytest.fixture(scope="session")
def settings(request: pytest.FixtureRequest) -> Settings:
    """The settings file, checked; its time scale is in force from here on."""
    loaded = settings_file.load(request.config.getoption("--settings"))
    if (seed := request.config.getoption("--seed")) is not None:
        loaded = loaded.with_seed(seed)
    wait.set_time_scale(request.config.getoption("--time-scale") or loaded.time_scale)
    return loaded


@pytest.fixture(scope="session")
def session(request: pytest.FixtureRequest, settings: Settings) -> Iterator[Session]:
    """The run: the lab started, both nodes provisioned; stopped at the end whatever happens."""
    config = request.config
    place = side_by_side.Place(config)
    end = ending.of(config)
    with contextlib.ExitStack() as stack:
        try:
            running = _start(config, place, settings, stack)
        except (HarnessError, OSError) as error:
            place.give_up(f"the lab cannot run: {ending.in_words(error)}")
        yield running
        with end.noting("the lab was not stopped in order"), stack.pop_all():
            on_failure.hold(config, running)


def _start(
    config: pytest.Config,
    place: side_by_side.Place,
    settings: Settings,
    stack: contextlib.ExitStack,
) -> Session:
    """Start the lab; `stack` is to stop it."""
    place.check(settings)
    lab = open_lab(
        config.getoption("--lab"),
        settings,
        image_path=config.getoption("--image"),
        pair=place.pair,
        say=place.say,
    )
    connect: Connect = Connection
    if config.getoption("--no-wire"):
        from harness.lab.simulated.direct import open_direct  # noqa: PLC0415 - rarely

        lab, connect = open_direct(settings, place.pair)
    recorder: Recorder | None = None
    if (path := config.getoption("--record")) is not None:
        recorder = stack.enter_context(Recorder(path, lab.clock))
        lab, connect = RecordedLab(lab, recorder), RecordedConnect(connect, recorder)
    if (live := config.stash.get(LIVE, None)) is not None:
        connect = FollowedConnect(connect, live)
    running = Session(
        settings,
        lab,
        say=place.say,
        results=place.results,
        part=place.part,
        connect=connect,
    )
    if (mutation := config.stash.get(MUTATION, None)) is not None:
        running.evidence.broken_on_purpose = mutation.name
    stack.enter_context(running)
    end = ending.of(config)
    config.stash[SESSION] = end.session = running
    end.results = running.evidence.folder
    if recorder is not None:
        recorder.source(lab.describe(), running.release)
    return running


@pytest.fixture
def hast(request: pytest.FixtureRequest, settings: Settings) -> HastSettings:
    """What hast.conf has: lab.yaml's, with the changes of the scenario's `hast` marker."""
    changes: dict[str, object] = {}
    for marker in reversed(list(request.node.iter_markers("hast"))):  # the test's own comes last
        changes |= marker.kwargs
    return settings.hast.but(**changes)


@pytest.fixture
def provisioned_pair(session: Session, hast: HastSettings, evidence: None) -> Pair:
    """Both nodes up and provisioned; HAST not yet created."""
    return session.provisioned(hast)


@pytest.fixture
def pair(session: Session, hast: HastSettings, evidence: None) -> Pair:
    """The cluster as claim 1 leaves it: the pool on skunk1, skunk2 secondary and in sync."""
    with _known_bug_expected(session):
        return session.set_up(hast)


@pytest.fixture
def note(request: pytest.FixtureRequest) -> Callable[[str, object], None]:
    """Keep what a scenario found out, by a name: it goes into the JUnit file and the summary."""

    def keep(name: str, value: object) -> None:
        request.node.user_properties.append((f"noted: {name}", str(value)))

    return keep


@pytest.fixture
def evidence(request: pytest.FixtureRequest, session: Session) -> Iterator[None]:
    """A folder for this test, with the transcript while it runs and the nodes' logs at its end.

    At the end both nodes are audited, and what was left without a word fails the test.
    """
    folder = session.evidence.open(naming.of(request.node).folder)
    session.begin()
    _expect_known_bugs(request, session)
    yield
    announced = {
        Left(what) for marker in request.node.iter_markers("leaves") for what in marker.args
    }
    had_pair = session.handed_out
    request.node.stash[ending.GAPS] = session.gaps_met()  # the harness's own questions follow
    session.used()
    end = ending.of(request.config)
    if session.lost is not None:
        end.end("the lab broke", str(session.lost))
    if session.lost is not None or not request.node.stash.get(ENDED, False):
        session.evidence.close(folder, [])  # Ctrl-C: the lab is about to be stopped anyway
        return
    with spent.on(Activity.EVIDENCE):
        findings = audit(session.pair) if had_pair else []
        failed = on_failure.has_failed(request.node) or any(
            finding.left not in announced for finding in findings
        )
        session.evidence.close(folder, session.pair.nodes, findings, failed=failed)
    if (lost := session.evidence.lost) is not None:
        end.end("the host broke", str(lost))
    raise_unannounced(findings, announced)


def _expect_known_bugs(request: pytest.FixtureRequest, session: Session) -> None:
    """Make a scenario that a known bug of this release breaks a strict expected failure.

    One that needs a pair fails in its set-up, by the bug's number; anything else is news.
    """
    needs_pair = "pair" in request.fixturenames
    test = without_number(request.node.nodeid)
    for bug in session.watch.expected():
        if bug.breaks_test(test, needs_pair=needs_pair):
            raises = KnownBugMet if needs_pair else AssertionError
            reason = f"{bug.name} (if this passed, it seems to be fixed on {session.release})"
            request.node.add_marker(pytest.mark.xfail(strict=True, raises=raises, reason=reason))


@contextlib.contextmanager
def _known_bug_expected(session: Session | None) -> Iterator[None]:
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
        """Fail the test that was running when a kernel panicked, with the panic's text."""
        session = item.config.stash.get(SESSION, None)
        try:
            with _known_bug_expected(session):
                return (yield)
        finally:
            if session is not None:
                for node in session.pair:
                    node.raise_if_panicked()

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
                (f"seconds_{name}", f"{value:.3f}")
                for name, value in dataclasses.asdict(seconds).items()
            ]
        report = yield
        expected = isinstance(report, pytest.TestReport) and report.skipped
        number = number_in(getattr(report, "wasxfail", "")) if expected else None
        if number is not None:
            item.user_properties.append(("known_bug", number))
        return report


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """After the verdicts: bugs to look at, what scenarios noted, and where their time went."""
    several = config.stash.get(side_by_side.CONTROLLER, None)
    end = ending.of(config)
    _tell_missing(terminalreporter, config)
    if lines := list(end.lines()):
        terminalreporter.write_sep("!", lines[0] if end.why else "the host broke")
        for line in "\n".join(lines[1:] if end.why else lines).splitlines():
            terminalreporter.write_line(line)
    for line in _overdue(config) if several is None else several.overdue:
        terminalreporter.write_line(line)
    if noted := list(_noted(terminalreporter)):
        terminalreporter.section("noted by the scenarios")
        for line in noted:
            terminalreporter.write_line(line)
    spents = dict(_spents(terminalreporter))
    if spents and config.getoption("--lab") != "simulated":  # its nodes have a time of their own
        terminalreporter.section("where the time went, in seconds")
        for line in spent.table(spents):
            terminalreporter.write_line(line)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> Generator[None, object, object]:
    """Leave what the process that prints the summary cannot know; end with the run's own status."""
    end = ending.of(session.config)
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["overdue"] = _overdue(session.config)
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


def _tell_missing(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """What has no verdict: scenarios that met a gap, and those that did not run."""
    for title, key, name in (
        ("gaps in the model: no verdict", "gap", junit.GAP),
        ("did not run", "not run", junit.NOT_RUN),
    ):
        reports = terminalreporter.stats.get(key, [])
        if key == "not run" and not ending.of(config).ran:
            continue  # why nothing ran is one message, below
        if reports:
            terminalreporter.section(title)
        for report in reports:
            properties = dict(report.user_properties)
            whys = [str(value) for key, value in report.user_properties if key == name]
            test = properties.get(junit.TEST, report.nodeid)
            if key == "not run":  # why is one message, below
                running = " (while it ran)" if whys[0].endswith(ending.WHILE_IT_RAN) else ""
                terminalreporter.write_line(f"{test}{running}")
                continue
            for why in whys[:5]:
                terminalreporter.write_line(f"{test}: {why}")
            if len(whys) > 5:
                terminalreporter.write_line(f"{test}: and {len(whys) - 5} more")


def _overdue(config: pytest.Config) -> list[str]:
    """What to say of known bugs."""
    session = config.stash.get(SESSION, None)
    today = datetime.datetime.now(datetime.UTC).date()
    return [] if session is None else list(session.watch.overdue(today))


def _spents(terminalreporter: pytest.TerminalReporter) -> Iterator[tuple[str, spent.Spent]]:
    """Where the time of each scenario went, as the report of its end has it."""
    for reports in terminalreporter.stats.values():
        for report in reports:
            if getattr(report, "when", None) != "teardown":
                continue
            seconds = {
                name.removeprefix("seconds_"): float(value)
                for name, value in report.user_properties
                if name.startswith("seconds_")
            }
            if seconds:
                yield report.nodeid, spent.Spent(**seconds)


def _noted(terminalreporter: pytest.TerminalReporter) -> Iterator[str]:
    """What each scenario kept with `note`."""
    for reports in terminalreporter.stats.values():
        for report in reports:
            if getattr(report, "when", None) != "call":
                continue
            for name, value in report.user_properties:
                if name.startswith("noted: "):
                    test = report.nodeid.rpartition("/")[2]
                    yield f"{test}: {name.removeprefix('noted: ')}: {value}"
