"""How long it has still to go: in a log, and where one row takes minutes."""

import io
import re
from collections.abc import Iterator

import pytest
from rich.console import Console
from rich.progress import Progress

from harness.measure import progress as module
from harness.measure.progress import shown


class Time:
    """A clock that a test sets."""

    now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Time:
    made = Time()
    monkeypatch.setattr(module, "time", made)
    return made


def rows(progress: Progress, time: Time, seconds: float, of: int = 10) -> Iterator[int]:
    """Rows of so many seconds each."""
    progress.get_time = time.monotonic
    task = progress.add_task("resyncs", total=of)
    progress.start_task(task)
    for number in range(1, of + 1):
        progress.update(task, description=f"row {number}")
        time.now += seconds
        progress.advance(task)
        yield number


def test_a_log_has_a_line_now_and_then_and_the_last(time: Time) -> None:
    said: list[str] = []
    with shown(said.append, Console(file=io.StringIO())) as progress:
        list(rows(progress, time, 20))
    assert [line[9:] for line in said] == [
        "1/10 row 1",
        "3/10 row 3; left: 0:02:20",
        "5/10 row 5; left: 0:01:40",
        "7/10 row 7; left: 0:01:00",
        "9/10 row 9; left: 0:00:20",
        "10/10 row 10",
    ]
    assert re.fullmatch(r"\d\d:\d\d:\d\d ", said[0][:9])


def test_a_terminal_tells_the_time_left_also_where_a_row_takes_minutes(time: Time) -> None:
    screen = io.StringIO()
    with shown(lambda _: None, Console(file=screen, force_terminal=True, width=80)) as progress:
        for number in rows(progress, time, 120):
            progress.refresh()
            assert ("0:12:00" in screen.getvalue()) == (number >= 4)
            if number >= 4:
                break
