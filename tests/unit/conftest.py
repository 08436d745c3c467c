"""What holds for every unit test."""

import gc
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator

import pytest

from harness.waiting import interrupt

_own_state: list[str] = []


def pytest_configure(config: pytest.Config) -> None:
    """Have Ctrl-C mean in the tests, and in what they start, what it means at a terminal.

    A job that a shell put into the background starts with SIGINT ignored, and so do its children.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ["TERM"] = "xterm"  # a terminal that a test makes can do what most can
    # A pair of the person who runs the tests, or of another worker, is none of theirs, under the
    # same name. A run that a test starts has the folder of that test.
    if hasattr(config, "workerinput") or "SKUNK_STATE_DIR" not in os.environ:
        os.environ["SKUNK_STATE_DIR"] = tempfile.mkdtemp(prefix="skunk-unit-")
        _own_state.append(os.environ["SKUNK_STATE_DIR"])
    # Nearly a hundred processes load the same modules: without this each compiles them anew.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


def pytest_unconfigure() -> None:
    """Remove what the tests have left of their pairs: nothing, but for the folder."""
    for folder in _own_state:
        shutil.rmtree(folder, ignore_errors=True)


LONGEST = (
    "test_side_by_side.py",
    "test_ending.py",
    "test_docs.py",
    "test_kept_pair.py",
    "test_signals.py",
    "test_nightly.py",
    "test_held_to_freebsd.py",
    "test_on_failure.py",
    "test_shell.py",
    "test_yaml_file.py",
    "test_start_up.py",
)
"""What takes some seconds, longest first: begun last, one of them would run alone at the end."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the longest files. A file's tests stay in their order."""
    place = {name: number for number, name in enumerate(LONGEST)}
    gc.freeze()  # some hundred thousand objects, and none of them is garbage
    gc.set_threshold(50_000, 20, 20)
    items.sort(key=lambda item: place.get(item.path.name, len(LONGEST)))


@pytest.fixture
def own_interrupts(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let a test press Ctrl-C. With `-n` the process that runs it has handlers, which listen once.

    Under nohup(1) it ignores SIGHUP. All that comes back at the end.
    """
    monkeypatch.setattr(interrupt, "_interrupts", interrupt._Interrupts())
    before = {number: signal.getsignal(number) for number in interrupt.SIGNALS}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)
