"""What holds for every unit test."""

import os
import signal
from collections.abc import Iterator

import pytest

from harness.waiting import interrupt


def pytest_configure() -> None:
    """Have Ctrl-C mean in the tests, and in what they start, what it means at a terminal.

    A job that a shell put into the background starts with SIGINT ignored, and so do its children.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ["TERM"] = "xterm"  # a terminal that a test makes can do what most can


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
