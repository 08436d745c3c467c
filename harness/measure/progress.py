"""How far a benchmark is and how long it has still to go, in a terminal or as lines of a log."""

from __future__ import annotations

import datetime
import math
import time
from collections.abc import Callable

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

_APART = 30.0
"""Seconds between two lines of a log at least."""

_ALL_OF_IT = math.inf
"""The time left is told by the pace of the whole run: one row can take minutes."""


def shown(say: Callable[[str], None], console: Console | None = None) -> Progress:
    """A bar, for a `with`; where there is no terminal, lines by `say` instead."""
    console = console or Console(stderr=True)
    if not console.is_terminal:
        return _Lines(say)
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left:"),
        TimeRemainingColumn(),
        console=console,
        speed_estimate_period=_ALL_OF_IT,
    )


class _Lines(Progress):
    """Every half minute a line that says what has ended, how much that makes, and what is left."""

    def __init__(self, say: Callable[[str], None]) -> None:
        super().__init__(disable=True, speed_estimate_period=_ALL_OF_IT)
        self._say = say
        self._said = -math.inf

    def advance(self, task_id: TaskID, advance: float = 1) -> None:
        """Count what has ended, and say so if the last line is old enough."""
        super().advance(task_id, advance)
        task = next(each for each in self.tasks if each.id == task_id)
        if time.monotonic() - self._said < _APART and not task.finished:
            return
        self._said = time.monotonic()
        line = f"{datetime.datetime.now():%H:%M:%S} {task.completed:.0f}/{task.total:.0f}"
        line += f" {task.description}"
        if not task.finished and task.time_remaining is not None:
            line += f"; left: {datetime.timedelta(seconds=math.ceil(task.time_remaining))}"
        self._say(line)
