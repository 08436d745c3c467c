"""How far the lab has come: a line each, at once, also while pytest keeps what a test prints."""

from __future__ import annotations

import contextlib
import threading

import pytest

from harness.record.sinks import Lines, Sink


def sink(config: pytest.Config) -> Sink:
    """The sink of a run."""

    def say(text: str) -> None:
        capture = config.pluginmanager.getplugin("capturemanager")
        terminal = config.pluginmanager.getplugin("terminalreporter")
        # The lines of several pairs come from a thread, in a process that runs no test.
        here = threading.current_thread() is threading.main_thread()
        with capture.global_and_fixture_disabled() if here else contextlib.nullcontext():
            terminal.write_line(text)

    return Lines(say)
