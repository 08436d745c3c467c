"""Ctrl-C: never in the middle of something, soon in every wait, and once for all."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from types import FrameType
from typing import Any

import pytest

from harness.cli import main as cli
from harness.waiting import interrupt
from harness.waiting.clock import Clock
from harness.waiting.interrupt import at_checkpoints, checkpoint, shielded
from harness.waiting.parallel import in_background, on_each
from harness.waiting.wait import wait_until

pytestmark = pytest.mark.usefixtures("own_interrupts")

MUCH_LATER = 30.0
"""Seconds that no busy host needs for what takes a quarter of a second."""


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only a checkpoint ends what runs."""
    monkeypatch.setattr(interrupt, "PATIENCE", 2 * MUCH_LATER)


@pytest.fixture
def press_after() -> Iterator[Callable[[float], None]]:
    """Press Ctrl-C so many seconds from now."""
    timers: list[threading.Timer] = []

    def press(seconds: float) -> None:
        timers.append(threading.Timer(seconds, os.kill, (os.getpid(), signal.SIGINT)))
        timers[-1].start()

    yield press
    for timer in timers:
        timer.join()


def press() -> None:
    signal.raise_signal(signal.SIGINT)


def never(what: str) -> None:
    wait_until(what, lambda: False, 60)


def is_free(condition: threading.Condition) -> bool:
    def try_it() -> bool:
        taken = condition.acquire(timeout=1)
        if taken:
            condition.release()
        return taken

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(try_it).result()


@pytest.mark.parametrize("when", ["__enter__", "__exit__"])
def test_a_lock_is_given_back_whenever_ctrl_c_is_pressed(when: str) -> None:
    """The hang of a run that was interrupted: the clean-up waited for this lock for ever."""
    condition = threading.Condition(threading.RLock())
    code = getattr(threading.Condition, when).__code__
    pressed = False

    def at_call(frame: FrameType, event: str, argument: Any) -> None:
        nonlocal pressed
        if frame.f_code is code and not pressed:
            pressed = True
            press()

    with at_checkpoints():
        tracer = sys.gettrace()
        sys.settrace(at_call)
        try:
            with condition:
                pass
        finally:
            sys.settrace(tracer)
        assert pressed
        assert is_free(condition)
        with pytest.raises(KeyboardInterrupt):
            checkpoint()


def test_a_write_that_the_closed_terminal_ended() -> None:
    """The kernel ends it with EIO, and the signal is seen only after that."""

    def write() -> None:
        signal.raise_signal(signal.SIGHUP)
        raise OSError(errno.EIO, "Input/output error")

    with pytest.raises(KeyboardInterrupt), at_checkpoints():
        write()


def test_a_disk_that_cannot_be_read_is_no_closed_terminal() -> None:
    with pytest.raises(OSError, match="Input/output error"), at_checkpoints():
        raise OSError(errno.EIO, "Input/output error")


@pytest.mark.usefixtures("patient")
def test_it_ends_a_wait_at_once(press_after: Callable[[float], None]) -> None:
    start = time.monotonic()
    with at_checkpoints():
        press_after(0.1)
        with pytest.raises(KeyboardInterrupt):
            never("nothing")
    assert time.monotonic() - start < MUCH_LATER


@pytest.mark.usefixtures("patient")
def test_it_ends_what_is_done_on_each_node(press_after: Callable[[float], None]) -> None:
    start = time.monotonic()
    ended: list[str] = []

    def work(node: str) -> None:
        try:
            on_each([f"{node}a", f"{node}b"], never)
        finally:
            ended.append(node)

    with at_checkpoints():
        press_after(0.1)
        with pytest.raises(KeyboardInterrupt):
            on_each(["skunk1", "skunk2"], work)
        assert sorted(ended) == ["skunk1", "skunk2"]
        assert time.monotonic() - start < MUCH_LATER
        checkpoint()  # it has been taken: the clean-up can wait for things
        on_each(["skunk1", "skunk2"], lambda _: Clock().sleep(0.01))


@pytest.mark.usefixtures("patient")
def test_it_ends_what_is_done_in_the_background(press_after: Callable[[float], None]) -> None:
    start = time.monotonic()
    press_after(0.1)
    with (
        at_checkpoints(),
        pytest.raises(KeyboardInterrupt),
        in_background(lambda _: never("anything")),
    ):
        never("nothing")
    assert time.monotonic() - start < MUCH_LATER


def test_what_never_waits_is_interrupted_all_the_same(
    press_after: Callable[[float], None],
) -> None:
    start = time.monotonic()
    with at_checkpoints():
        press_after(0.1)
        with pytest.raises(KeyboardInterrupt):
            time.sleep(60)
    assert interrupt.PATIENCE <= time.monotonic() - start < MUCH_LATER


def test_a_thread_of_somebody_else_is_left_alone() -> None:
    with at_checkpoints():
        press()
        with ThreadPoolExecutor(1) as pool:
            pool.submit(checkpoint).result()
        with pytest.raises(KeyboardInterrupt):
            checkpoint()


class Finaliser:
    """Has Ctrl-C pressed where Python ignores exceptions."""

    def __del__(self) -> None:
        press()


def wait_after_finaliser() -> None:
    Finaliser()
    threading.Event().wait(MUCH_LATER)


@pytest.mark.parametrize("listening", [contextlib.nullcontext, interrupt.at_once])
def test_one_that_python_ignores_is_raised_again(
    monkeypatch: pytest.MonkeyPatch, listening: Callable[[], AbstractContextManager[None]]
) -> None:
    unheard: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", unheard.append)
    interrupt.everywhere()
    with listening(), pytest.raises(KeyboardInterrupt):
        wait_after_finaliser()
    assert unheard == []


def test_what_cleans_up_is_not_interrupted() -> None:
    """Not by one Ctrl-C, which is raised at the end of the run, and not in its threads."""
    done = False

    def run() -> None:
        nonlocal done
        with at_checkpoints(), shielded():
            press()
            Clock().sleep(interrupt.PATIENCE + 0.5)
            on_each([1, 2], lambda _: checkpoint())
            done = True

    with pytest.raises(KeyboardInterrupt):
        run()
    assert done


def test_who_insists_interrupts_the_clean_up(
    press_after: Callable[[float], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(interrupt, "INSISTS", 2.0)
    start = time.monotonic()
    with at_checkpoints(), shielded():
        press()
        press()  # a hand that trembles
        press_after(2.1)
        with pytest.raises(KeyboardInterrupt):
            time.sleep(60)
    assert interrupt.INSISTS <= time.monotonic() - start < MUCH_LATER


def test_the_second_of_two_counts_after_the_first_was_taken() -> None:
    with at_checkpoints():
        for _ in range(2):
            press()
            with pytest.raises(KeyboardInterrupt):
                checkpoint()


def test_a_process_of_several_hears_of_it_once() -> None:
    with at_checkpoints(once=True):
        press()
        with pytest.raises(KeyboardInterrupt):
            checkpoint()
        with at_checkpoints():
            press()
            checkpoint()


def test_the_handlers_come_back() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with at_checkpoints():
        with at_checkpoints():
            assert signal.getsignal(signal.SIGTERM) is not before
        assert signal.getsignal(signal.SIGINT) is not signal.default_int_handler
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_job_in_the_background_of_a_shell_hears_only_sigterm() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with at_checkpoints():
        press()
        checkpoint()
        signal.raise_signal(signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt):
            checkpoint()


@pytest.mark.parametrize(("later", "twice"), [(0.0, False), (1.5, True)])
def test_a_second_ctrl_c_is_not_told_as_a_clean_end(
    later: float, twice: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What a second one interrupts is the clean-up: then not everything has been stopped."""
    monkeypatch.setattr(interrupt, "_interrupts", interrupt._Interrupts())
    with pytest.raises(KeyboardInterrupt):
        interrupt._raise(signal.SIGINT, None)
    assert interrupt._interrupts.first_at is not None
    interrupt._interrupts.first_at -= later
    with pytest.raises(KeyboardInterrupt):
        interrupt._raise(signal.SIGINT, None)
    with pytest.raises(SystemExit) as end:
        cli._interrupted()
    assert end.value.code == 130
    assert ("the clean-up was left where it was" in capsys.readouterr().err) is twice
