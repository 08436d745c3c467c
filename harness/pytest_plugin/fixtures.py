"""What a scenario asks for by name: the settings, the run, the pair in a known state."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import pytest

from harness.cluster.known_bugs import Standing
from harness.cluster.pair import Pair
from harness.config import settings as settings_file
from harness.config.settings import NODES, HastSettings, Settings
from harness.errors import HarnessError, KnownBugMet
from harness.lab.choose import open_lab
from harness.lab.ssh import Connect, Connection
from harness.pytest_plugin import ending, naming, on_failure
from harness.pytest_plugin.each_scenario import known_bug_expected
from harness.pytest_plugin.pairs import side_by_side
from harness.pytest_plugin.stash import ENDED, MENDED, MUTATION, NAMES_BUG, SESSION, TOLD
from harness.record.folders import without_number
from harness.record.sinks import Reached, Stage
from harness.results import junit
from harness.run import known_states
from harness.run.audit import Left, audit, raise_unannounced
from harness.run.session import Session
from harness.trials.conformance.recording import RecordedConnect, RecordedLab, Recorder
from harness.waiting import spent, wait
from harness.waiting.spent import Activity


@pytest.fixture(scope="session")
def settings(request: pytest.FixtureRequest) -> Settings:
    """The settings file, checked; its time scale is in force from here on."""
    option = request.config.getoption
    loaded = settings_file.load(option("--settings")).with_programs(
        option("--hastd"), option("--hastctl")
    )
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
            end.give_up(f"the lab cannot run: {ending.in_words(error)}")
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
    told = config.stash[TOLD]
    lab = open_lab(
        config.getoption("--lab"),
        settings,
        image_path=config.getoption("--image"),
        pair=place.pair,
        say=lambda text: told.tell(Stage(Reached.PREPARING, text)),
    )
    connect: Connect = Connection
    if config.getoption("--no-wire"):
        from harness.lab.simulated.direct import open_direct  # noqa: PLC0415 - rarely

        lab, connect = open_direct(settings, place.pair)
    recorder: Recorder | None = None
    if (path := config.getoption("--record")) is not None:
        recorder = stack.enter_context(Recorder(path, lab.clock))
        lab, connect = RecordedLab(lab, recorder), RecordedConnect(connect, recorder)
    running = Session(
        settings,
        lab,
        told=told,
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
        recorder.source(lab.describe(), running.system)
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
def pair(
    request: pytest.FixtureRequest, session: Session, hast: HastSettings, evidence: None
) -> Pair:
    """The cluster as claim 1 leaves it: the pool on skunk1, skunk2 secondary and in sync.

    Or in the known state that the scenario's `state` marker names.
    """
    marker = request.node.get_closest_marker("state")
    state = known_states.SET_UP if marker is None else known_states.find(*marker.args)
    with known_bug_expected(session):
        return session.in_state(state, hast)


@pytest.fixture
def note(request: pytest.FixtureRequest) -> Callable[[str, object], None]:
    """Keep what a scenario found out, by a name: it goes into the JUnit file and the summary."""

    def keep(name: str, value: object) -> None:
        request.node.user_properties.append((f"{junit.NOTED}{name}", str(value)))

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
    if not ending.has_broken(request.node):  # what is left then is no doing of FreeBSD's
        raise_unannounced(findings, announced)


def _expect_known_bugs(request: pytest.FixtureRequest, session: Session) -> None:
    """Make a scenario that a known bug of this release breaks a strict expected failure.

    One that needs a pair fails in its set-up, by the bug's number; anything else is news. Where the
    program was replaced, or only one node has the bug, nothing is expected: see `Watch`.
    """
    needs_pair = "pair" in request.fixturenames
    test = without_number(request.node.nodeid)
    watch = session.watch
    for bug in watch.having(Standing.REPLACED, Standing.MIXED):
        if not bug.breaks_test(test, needs_pair=needs_pair):
            continue
        # Scenarios set up with skunk1 as the primary.
        if watch.standing(bug) is Standing.REPLACED and watch.concerns(bug, NODES[0]):
            request.node.stash[MENDED] = bug.name
        request.node.stash[NAMES_BUG] = bug.breaks_test(test, needs_pair=False)
    for bug in watch.having(Standing.EXPECTED):
        if bug.breaks_test(test, needs_pair=needs_pair):
            raises = KnownBugMet if needs_pair else AssertionError
            reason = f"{bug.name} (if this passed, it seems to be fixed on {session.release})"
            request.node.add_marker(pytest.mark.xfail(strict=True, raises=raises, reason=reason))
