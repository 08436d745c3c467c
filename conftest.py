"""Options and fixtures; what they do is in harness/."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from harness import paths, wait
from harness import settings as settings_file
from harness.errors import HarnessError
from harness.evidence import new_run_folder
from harness.lab.choose import open_lab
from harness.pair import Pair
from harness.session import Session
from harness.settings import Settings

SESSION = pytest.StashKey[Session]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options that choose where the scenarios run."""
    group = parser.getgroup("lab", "where the scenarios run")
    group.addoption("--lab", choices=["vagrant", "qemu"], default="vagrant", help="which lab")
    group.addoption("--image", type=Path, help="FreeBSD qcow2 or raw image (qemu lab)")
    group.addoption("--pair", default="default", help="name of the pair of machines to use")
    group.addoption("--settings", type=Path, default=paths.SETTINGS)
    group.addoption("--time-scale", type=float, help="stretch every deadline by this factor")
    group.addoption("--results", type=Path, help="folder for evidence (a new one in results/)")


@pytest.fixture(scope="session")
def settings(request: pytest.FixtureRequest) -> Settings:
    """The settings file, checked; its time scale is in force from here on."""
    loaded = settings_file.load(request.config.getoption("--settings"))
    wait.set_time_scale(request.config.getoption("--time-scale") or loaded.time_scale)
    return loaded


@pytest.fixture(scope="session")
def session(request: pytest.FixtureRequest, settings: Settings) -> Iterator[Session]:
    """The run: the lab started, both nodes provisioned; stopped at the end whatever happens."""
    config = request.config
    capture = config.pluginmanager.getplugin("capturemanager")
    terminal = config.pluginmanager.getplugin("terminalreporter")

    def say(text: str) -> None:
        with capture.global_and_fixture_disabled():
            terminal.write_line(text)

    try:
        lab = open_lab(
            config.getoption("--lab"),
            settings,
            image_path=config.getoption("--image"),
            pair=config.getoption("--pair"),
            say=say,
        )
        results = config.getoption("--results") or new_run_folder(lab.name)
        running = Session(settings, lab, say=say, results=results)
        with running:
            config.stash[SESSION] = running
            yield running
    except HarnessError as error:
        pytest.exit(f"the lab cannot run: {error}", returncode=3)


@pytest.fixture
def provisioned_pair(session: Session, evidence: None) -> Pair:
    """Both nodes up and provisioned; HAST not yet created."""
    return session.provisioned()


@pytest.fixture
def pair(session: Session, evidence: None) -> Pair:
    """The cluster as claim 1 leaves it: the pool on skunk1, skunk2 secondary and in sync."""
    return session.set_up()


@pytest.fixture
def evidence(request: pytest.FixtureRequest, session: Session) -> Iterator[None]:
    """A folder for this test, with the transcript while it runs and the nodes' logs at its end."""
    folder = session.evidence.open(request.node.nodeid)
    yield
    session.evidence.close(folder, session.pair.nodes)
    session.used()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """Fail the test that was running when a kernel panicked, with the panic's text."""
    try:
        return (yield)
    finally:
        session = item.config.stash.get(SESSION, None)
        if session is not None:
            for node in session.pair:
                node.raise_if_panicked()
