"""Ctrl-C: taken where the harness waits, not in the middle of whatever it does.

Python raises KeyboardInterrupt between any two instructions of the main thread. Raised while a
`threading.Condition` is being left, its lock is never given back (CPython issue 118433), and the
clean-up that follows waits for it for ever, with the pair still running. So while a lab runs,
`SIGNALS` are only noted, and raised at the next `checkpoint`: every wait of the harness looks in
there several times a second. What waits for something else is interrupted after `PATIENCE`. Trio
does the same with restrict_keyboard_interrupt_to_checkpoints.

SIGTERM is how a CI runner cancels a job, SIGHUP how a terminal says that it was closed, SIGQUIT
what Ctrl and a backslash send: each is Ctrl-C by another name.
"""

from __future__ import annotations

import _thread
import contextlib
import errno
import os
import queue
import signal
import sys
import termios
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

PATIENCE = 2.0
"""Seconds after which an interrupt is raised wherever the main thread is."""

INSISTS = 1.0
"""Seconds after which the next Ctrl-C means that somebody does not want to wait any longer."""

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
"""Each means that the run is to end, with all that it has started."""

_OVERDUE = signal.SIGURG
"""What is sent to the main thread then: a signal that nobody uses, and that means nothing."""

AGAIN_AFTER = 0.01
"""Seconds after which an interrupt is raised again that was raised where exceptions are ignored."""

_UNHEARD = signal.SIGIO
"""What is sent to the main thread then."""


class _Interrupts:
    """What has been asked for, and what has been done about it.

    The signal handler runs in the main thread between any two instructions, also while a lock is
    held: so nothing here takes one.
    """

    def __init__(self) -> None:
        self.asked = 0
        self.asked_at = 0.0
        self.number = 0
        self.taken = 0
        self.shields = 0
        self.users = 0
        self.insisted = False
        self.first_at: float | None = None
        self.only_until: int | None = None
        self.before: dict[signal.Signals, Any] = {}
        self.news: queue.SimpleQueue[int | None] = queue.SimpleQueue()  # its `put` is reentrant

    @property
    def pending(self) -> bool:
        return self.asked > self.taken

    def take(self) -> None:
        self.taken = self.asked

    def arrived(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002 - as signal(3)
        """The handler of Ctrl-C."""
        leave_closed_terminal()
        self.number = number
        if self.asked == self.only_until:
            return
        if not self.pending:
            self.asked += 1
            self.asked_at = time.monotonic()
            self.news.put(self.asked)
        elif time.monotonic() - self.asked_at >= INSISTS:
            self.take()
            self.insisted = True
            _raise_here()

    def overdue(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002 - as signal(3)
        """The handler of `_OVERDUE`, which may come when it no longer is."""
        if self.pending and not self.shields:
            self.take()
            _raise_here()

    def watch(self, main: int) -> None:
        """Let what nobody has taken at a checkpoint be raised where the main thread is."""
        while (number := self.news.get()) is not None:
            while self.pending and self.asked == number:
                time.sleep(PATIENCE / 20)
                late = time.monotonic() - self.asked_at >= PATIENCE
                if late and self.users:
                    signal.pthread_kill(main, _OVERDUE)


def insisted() -> bool:
    """Whether a second Ctrl-C came while the first was being obeyed, in the clean-up."""
    return _interrupts.insisted


def everywhere() -> None:
    """Let all of `SIGNALS` raise KeyboardInterrupt wherever the main thread is.

    For as long as no lab runs, and so nothing is to be stopped. One that is ignored stays so.
    """
    for number in SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _raise)


def _raise(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - as signal(3)
    leave_closed_terminal()
    _interrupts.number = number
    now = time.monotonic()
    if _interrupts.first_at is None:
        _interrupts.first_at = now
    elif now - _interrupts.first_at >= INSISTS:
        _interrupts.insisted = True
    _raise_here()


def _raise_here() -> NoReturn:
    """Raise KeyboardInterrupt where the main thread is, and again where nobody hears of it.

    What is raised in a finaliser, or in a callback of a weak reference, is only reported to
    sys.unraisablehook (Python's data model, `object.__del__`), and the run would go on.
    """
    report = sys.unraisablehook
    if not isinstance(report, _Unheard):
        sys.unraisablehook = _Unheard(report, threading.get_ident())
        signal.signal(_UNHEARD, lambda _number, _frame: _raise_here())
    raise KeyboardInterrupt


class _Unheard:
    """A sys.unraisablehook that raises an interrupt again a moment later, and reports the rest."""

    def __init__(self, report: Callable[[sys.UnraisableHookArgs], Any], main: int) -> None:
        self.report = report
        self.main = main

    def __call__(self, unraisable: sys.UnraisableHookArgs) -> None:
        lost = issubclass(unraisable.exc_type, KeyboardInterrupt)
        if lost and threading.get_ident() == self.main:
            # Not by `threading`, whose locks may be held by what was interrupted.
            _thread.start_new_thread(self._again, ())
        else:
            self.report(unraisable)

    def _again(self) -> None:
        time.sleep(AGAIN_AFTER)
        signal.pthread_kill(self.main, _UNHEARD)


def leave_closed_terminal() -> None:
    """Point every file descriptor of a terminal that was closed to /dev/null.

    Else whatever the clean-up has to say is an OSError (EIO), which ends the clean-up.
    """
    for path in Path("/dev/fd").iterdir():
        number = int(path.name)
        try:
            termios.tcgetattr(number)
        except termios.error as error:
            if error.args[0] == errno.EIO:
                nowhere = os.open(os.devnull, os.O_RDWR)
                os.dup2(nowhere, number, inheritable=os.get_inheritable(number))
                os.close(nowhere)


def is_hang_up(error: BaseException) -> bool:
    """Whether an error is what a write to a terminal met that was closed before SIGHUP was taken.

    The kernel ends the write with EIO and sends the signal; Python sees the one before the other.
    """
    return (
        isinstance(error, OSError)
        and error.errno == errno.EIO
        and _interrupts.number == signal.SIGHUP
    )


_interrupts = _Interrupts()
_here = threading.local()


@contextlib.contextmanager
def at_checkpoints(*, once: bool = False) -> Iterator[None]:
    """While the block runs, `SIGNALS` raise KeyboardInterrupt at a checkpoint only.

    With `once` the first one counts and no other. What is still pending at the end of the outermost
    block is raised there. Does nothing in a thread that is not the main one.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    if not _interrupts.users:
        _begin(once=once)
    _interrupts.users += 1
    try:
        yield
    except OSError as error:
        if is_hang_up(error):
            raise KeyboardInterrupt from error
        raise
    finally:
        _interrupts.users -= 1
        pending = False if _interrupts.users else _end()
    if pending:
        raise KeyboardInterrupt


def _begin(*, once: bool) -> None:
    _interrupts.only_until = _interrupts.asked + 1 if once else None
    main = threading.get_ident()
    threading.Thread(target=_interrupts.watch, args=(main,), daemon=True).start()
    for number in SIGNALS:
        before = signal.getsignal(number)
        # A job in the background of a shell is not to hear of the terminal's Ctrl-C, and what
        # nohup(1) runs not of the terminal's end.
        if before is not signal.SIG_IGN or once:
            _interrupts.before[number] = signal.signal(number, _interrupts.arrived)
    _interrupts.before[_OVERDUE] = signal.signal(_OVERDUE, _interrupts.overdue)


def _end() -> bool:
    for number, before in _interrupts.before.items():
        signal.signal(number, signal.SIG_DFL if before is None else before)
    _interrupts.before.clear()
    _interrupts.news.put(None)
    pending = _interrupts.pending and _interrupts.only_until is None
    _interrupts.take()
    return pending


@contextlib.contextmanager
def shielded() -> Iterator[None]:
    """While the main thread is in the block, only who insists interrupts it: it cleans up."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    _interrupts.shields += 1
    try:
        yield
    finally:
        _interrupts.shields -= 1


def checkpoint() -> None:
    """Raise KeyboardInterrupt if the run is to end, in the main thread and in those it started."""
    if threading.current_thread() is threading.main_thread():
        if _interrupts.pending and not _interrupts.shields:
            _interrupts.take()
            raise KeyboardInterrupt
    elif (since := getattr(_here, "since", None)) is not None and _interrupts.asked > since:
        raise KeyboardInterrupt


@contextlib.contextmanager
def at_once() -> Iterator[None]:
    """While the block waits for what a person types, Ctrl-C is raised in the middle of it."""
    before = signal.signal(signal.SIGINT, _at_the_prompt)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _at_the_prompt(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - as signal(3)
    _interrupts.number = number
    _raise_here()


def by_hand() -> bool:
    """Whether the last interrupt was Ctrl-C and not another of `SIGNALS`."""
    return _interrupts.number == signal.SIGINT


def taken() -> None:
    """Note in the main thread that it has got an interrupt from a thread that it waited for."""
    if threading.current_thread() is threading.main_thread():
        _interrupts.take()


def for_threads() -> Callable[[], None]:
    """What a thread calls first which the calling one starts: then its checkpoints count too.

    It ends with what interrupts the calling thread from now on, and that one may take it meanwhile.
    """
    since: int | None = getattr(_here, "since", None)
    if threading.current_thread() is threading.main_thread():
        since = None if _interrupts.shields else _interrupts.taken

    def begin() -> None:
        _here.since = since

    return begin
