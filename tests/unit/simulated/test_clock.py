"""Virtual time: it stands still while anybody works, and jumps when everybody waits."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from harness.errors import WaitExpired
from harness.lab.simulated.clock import VirtualClock
from harness.lab.simulated.kernel.guest import World
from harness.waiting import clock as clocks
from harness.waiting.parallel import in_background, on_each
from harness.waiting.wait import Deadline, wait_until


@pytest.fixture
def clock() -> Iterator[VirtualClock]:
    virtual = VirtualClock(World(seed=1))
    clocks.use(virtual)
    yield virtual
    clocks.use(clocks.Clock())


def test_waiting_takes_no_time_of_the_host(clock: VirtualClock) -> None:
    start = time.monotonic()
    with pytest.raises(WaitExpired, match=r"1500\.0 s"):
        wait_until("a resync", lambda: False, 1500)
    assert clock.monotonic() == pytest.approx(1500)
    assert time.monotonic() - start < 5


@pytest.mark.timeout(20)
def test_a_moment_that_is_almost_here_has_come(clock: VirtualClock) -> None:
    deadline = Deadline(at=clock.monotonic() + 5e-10, within=1.0)
    while not deadline.expired:
        clock.sleep(deadline.remaining)


def test_threads_wake_in_virtual_order_whatever_the_host_does(clock: VirtualClock) -> None:
    woken: list[tuple[float, float]] = []

    def sleep(seconds: float) -> None:
        time.sleep(0.02 / seconds)  # the one that wakes first is the last to begin
        clock.sleep(seconds)
        woken.append((seconds, clock.monotonic()))

    on_each([3.0, 1.0, 2.0], sleep)
    assert woken == [(1.0, 1.0), (2.0, 2.0), (3.0, 3.0)]
    clock.sleep(1)  # the main thread is counted again, and alone
    assert clock.monotonic() == 4.0


def test_what_runs_beside_the_block_shares_its_time(clock: VirtualClock) -> None:
    ticks: list[float] = []

    def tick(ending: threading.Event) -> None:
        while not ending.is_set():
            ticks.append(clock.monotonic())
            clock.sleep(1)

    with in_background(tick):
        wait_until("five seconds", lambda: clock.monotonic() >= 5, 10)
    assert ticks[:6] == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]


def test_an_error_beside_the_block_is_raised(clock: VirtualClock) -> None:
    def fail(_: threading.Event) -> None:
        raise ValueError("beside")

    with pytest.raises(ValueError, match="beside"), in_background(fail):
        clock.sleep(1)


def test_events_happen_in_order_and_at_their_time(clock: VirtualClock) -> None:
    seen: list[tuple[str, float]] = []
    world = clock._world
    for name, delay in (("b", 2.0), ("a", 1.0), ("late", 9.0)):
        world.schedule(None, delay, lambda name=name: seen.append((name, world.now)))
    clock.sleep(5)
    assert seen == [("a", 1.0), ("b", 2.0)]
    assert world.now == 5.0
