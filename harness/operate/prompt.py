"""A Python prompt with the pair in it, while a run waits at a failure."""

from __future__ import annotations

import code
import contextlib
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from types import CodeType
from typing import TextIO, cast

from harness.errors import HarnessError
from harness.record.marked import MarkedStream, prefix
from harness.record.outgoing import outgoing
from harness.waiting import interrupt

Turn = Callable[[], AbstractContextManager[None]]
"""What a statement runs in: the time of the pair passes while it uses a node."""


class Prompt:
    """One person's prompt: the names that it has stay until the run goes on."""

    def __init__(self, names: Mapping[str, object], turn: Turn, mark: str | None) -> None:
        """`names` are what a statement finds; each statement runs in `turn()`."""
        leave = _Leave()
        self._names = ", ".join(names)
        self._console = _Console({**names, "exit": leave, "quit": leave})
        self._turn = turn
        self._mark = mark

    def run(self) -> None:
        """Read and run statements until Ctrl-D, `exit` or `quit`.

        Ctrl-C leaves a statement, be it half typed or running, and not the prompt. What else ends a
        run (`interrupt.SIGNALS`) raises KeyboardInterrupt.
        """
        with _marked(self._mark) as output, _completing(self._console.locals):
            output.write(f"Python with {self._names}; Ctrl-D goes back\n")
            more = False
            while True:
                try:
                    line = self._read(more=more)
                    with self._turn():
                        more = self._console.push(line)
                except (EOFError, SystemExit):
                    output.write("\n")
                    return
                except KeyboardInterrupt:
                    if not interrupt.by_hand():
                        raise
                    self._console.resetbuffer()
                    more = False
                    output.write("\nKeyboardInterrupt\n")

    def _read(self, *, more: bool) -> str:
        text = f"{prefix(self._mark)}{'...' if more else '>>>'} "
        marked = sys.stdout
        sys.stdout = sys.__stdout__ or marked  # else `input` would do without readline
        try:
            with interrupt.at_once():
                return input(text)
        finally:
            sys.stdout = marked


class _Console(code.InteractiveConsole):
    """Python's own, but an error of the harness is its message, and Ctrl-C gets out."""

    def runcode(self, code: CodeType) -> None:
        """Run a statement."""
        try:
            exec(code, self.locals)  # noqa: S102 - what a prompt is for
        except HarnessError as error:
            self.write(outgoing(f"{type(error).__name__}: {error}\n"))
        except Exception:
            self.showtraceback()

    def write(self, data: str) -> None:
        """Show an error."""
        sys.stdout.write(data)


class _Leave:
    """`exit` and `quit`, called or not. Python's own would close standard input as well."""

    def __repr__(self) -> str:
        raise SystemExit

    def __call__(self) -> None:
        raise SystemExit


@contextlib.contextmanager
def _marked(mark: str | None) -> Iterator[TextIO]:
    """Let every line that is printed begin with the lab's mark."""
    before = sys.stdout
    if mark is not None:
        sys.stdout = cast(TextIO, MarkedStream(before, mark))
    try:
        yield sys.stdout
    finally:
        sys.stdout = before


@contextlib.contextmanager
def _completing(names: Mapping[str, object]) -> Iterator[None]:
    """Line editing with a history, and Tab for names; on a system without readline neither."""
    try:
        import readline  # noqa: PLC0415 - it changes what `input` does
        import rlcompleter  # noqa: PLC0415
    except ImportError:
        yield
        return
    before = readline.get_completer()
    readline.set_completer(rlcompleter.Completer(dict(names)).complete)
    readline.parse_and_bind("tab: complete")
    try:
        yield
    finally:
        readline.set_completer(before)
