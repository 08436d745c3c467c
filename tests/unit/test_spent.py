"""Where the time of a scenario goes."""

from __future__ import annotations

import contextlib
import threading
import time

import pytest

from harness.waiting import spent
from harness.waiting.spent import Activity, Meter, Spent


def test_an_activity_counts_with_what_is_inside_it(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    monkeypatch.setattr(time, "process_time", lambda: now[0] / 10)
    meter = Meter()
    with meter.on(Activity.BOOT):
        now[0] += 5
        with meter.on(Activity.FREEBSD):
            now[0] += 2
    now[0] += 1
    with contextlib.suppress(ValueError), meter.on(Activity.FREEBSD):
        now[0] += 3
        raise ValueError("an error")
    with meter.on(Activity.EVIDENCE):
        now[0] += 4
    read = meter.read()
    assert read == Spent(total=15, boot=7, freebsd=3, evidence=4, processor=1.5)
    assert read.harness == 1 + 1.5
    assert read.share == pytest.approx(2.5 / 15)


def test_another_thread_counts_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """What runs beside the scenario costs it no time."""
    monkeypatch.setattr(spent, "_meter", None)
    with spent.on(Activity.FREEBSD):  # before the first scenario
        assert spent.read() is None
    spent.start()

    def beside() -> None:
        with spent.on(Activity.FREEBSD):
            time.sleep(0.05)

    thread = threading.Thread(target=beside)
    thread.start()
    thread.join()
    read = spent.read()
    assert read is not None
    assert (read.freebsd, read.boot) == (0, 0)
    assert read.total >= 0.05


def test_the_table_adds_up() -> None:
    first, second = Spent(10, 2, 7, 0.5, 0.1), Spent(20, 10, 9, 0.5, 0.1)
    *_, total = spent.table({"a/test_a.py::test_x": first, "a/test_a.py::test_y": second})
    assert total.split() == ["30.0", "12.0", "16.0", "1.0", "1.20", "4.0%", "all", "of", "them"]
