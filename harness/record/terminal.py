"""A terminal that knows colours and columns."""

from __future__ import annotations

import sys
from typing import TextIO, cast

from rich.console import Console

from harness.record.marked import MarkedStream


def console_for(mark: str | None, file: TextIO | None = None) -> Console:
    """A console on standard output; with a mark every line begins with it."""
    file = file or sys.stdout
    if mark is None:
        return Console(file=file, highlight=False)
    marked = MarkedStream(file, mark)
    width = Console(file=file).width - marked.width
    return Console(file=cast(TextIO, marked), width=width, highlight=False)
