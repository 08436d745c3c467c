"""Output of which every line says that it is simulated."""

from __future__ import annotations

import os
import re
import sys
import threading
from typing import TextIO

_PIECES = re.compile(r"(?<=\n)|(?=\r(?!\n))")
"""Where a line ends, or is written over."""


def prefix(mark: str | None) -> str:
    """What a line begins with in a lab of that mark: nothing where it has none."""
    return f"[{mark}] " if mark else ""


NOBODY_READS = "nobody reads what this prints any more, and so it ended there"
"""What a person has to know of a pipe that was closed before the end, by `head` or a pager."""


def stop_printing() -> None:
    """Let go of a standard output that nobody reads: what is still printed goes nowhere.

    Without it Python meets the same error again at its end, and makes an exit status of its own.
    """
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.__stdout__.fileno() if sys.__stdout__ else 1)
    os.close(nowhere)


class MarkedStream:
    """A text stream that begins every line with a mark, once. Else it is the given one.

    Threads may write side by side: what one writes at a time stays together.
    """

    def __init__(self, stream: TextIO, mark: str) -> None:
        self.unmarked = stream
        """The stream itself, for what is not a line: the movements of a terminal's cursor."""
        self._mark = prefix(mark)
        self._at_start = True
        self._lock = threading.Lock()

    @property
    def width(self) -> int:
        """Columns that the mark takes."""
        return len(self._mark)

    def write(self, text: str) -> int:
        """Write text; a line that has the mark already does not get it again."""
        with self._lock:
            for line in filter(None, _PIECES.split(text)):
                self._write(line)
        return len(text)

    def _write(self, line: str) -> None:
        if line.startswith("\r") and line != "\r\n":  # the line is written over from its start
            self.unmarked.write("\r")
            line, self._at_start = line[1:], True
        if self._at_start and not line.startswith(self._mark):
            self.unmarked.write(self._mark)
        self.unmarked.write(line)
        self._at_start = line.endswith("\n")

    def __getattr__(self, name: str) -> object:
        return getattr(self.unmarked, name)
