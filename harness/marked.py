"""Output of which every line says that it is simulated."""

from __future__ import annotations

from typing import TextIO


class MarkedStream:
    """A text stream that begins every line with a mark, once. Else it is the given one."""

    def __init__(self, stream: TextIO, mark: str) -> None:
        self._stream = stream
        self._mark = f"[{mark}] "
        self._at_start = True

    @property
    def width(self) -> int:
        """Columns that the mark takes."""
        return len(self._mark)

    def write(self, text: str) -> int:
        """Write text; a line that has the mark already does not get it again."""
        for line in text.splitlines(keepends=True):
            if self._at_start and not line.startswith(self._mark):
                self._stream.write(self._mark)
            self._stream.write(line)
            self._at_start = line.endswith("\n")
        return len(text)

    def __getattr__(self, name: str) -> object:
        return getattr(self._stream, name)
