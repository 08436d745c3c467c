"""A pair that is up, kept by a process of its own, as a person has one."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from harness.cli.main import app
from harness.errors import HarnessError
from harness.operate.kept import Kept
from tests import keepers

Skunk = Callable[..., Result]


@pytest.fixture(scope="module")
def state_dir() -> Iterator[Path]:
    """A short path: it has UNIX sockets in it."""
    with (
        tempfile.TemporaryDirectory(prefix="skunk-", dir="/tmp") as folder,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setenv("SKUNK_STATE_DIR", folder)
        yield Path(folder)


@pytest.fixture(autouse=True)
def no_pair_outlives_its_test(request: pytest.FixtureRequest) -> Iterator[None]:
    """One that a fixture of the module brought up stays: it was up before the test."""
    if "state_dir" not in request.fixturenames:  # then the folder is the user's own
        yield
        return
    request.getfixturevalue("state_dir")
    with keepers.ended():
        yield


@pytest.fixture(scope="module")
def skunk(state_dir: Path) -> Skunk:
    """The command line. What it raises is in the result, and not shown to anybody."""

    def run(*words: str) -> Result:
        return CliRunner().invoke(app, words)

    return run


@pytest.fixture
def up(skunk: Skunk) -> Iterator[Kept]:
    """A simulated pair as claim 1 leaves it."""
    result = skunk("up", "--lab", "simulated")
    assert result.exit_code == 0, result.output
    yield Kept("simulated", "default")
    skunk("down")


def error_of(result: Result) -> HarnessError:
    """What `main` would show a person, who gets the exit status 3 with it."""
    assert isinstance(result.exception, HarnessError), result
    return result.exception
