"""Doing things side by side: the same to both halves of a pair, or one beside the scenario."""

from __future__ import annotations

import concurrent.futures
import contextlib
import threading
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from harness.waiting import clock, interrupt, spent
from harness.waiting.spent import Activity

Item = TypeVar("Item")
T = TypeVar("T")


def on_each(items: Collection[Item], work: Callable[[Item], T]) -> list[T]:
    """Do the same to every item side by side and return the results in the items' order.

    All of them end before the first error is raised. Ctrl-C ends all of them at their next wait.
    """
    begin = interrupt.for_threads()
    try:
        with (
            spent.on(Activity.FREEBSD),
            clock.current().workers(len(items)) as workers,
            ThreadPoolExecutor(len(items)) as pool,
        ):

            def do(item: Item) -> T:
                begin()
                try:
                    return work(item)
                finally:
                    workers.done()

            return list(pool.map(do, items))
    except KeyboardInterrupt:
        interrupt.taken()
        raise


@contextlib.contextmanager
def in_background(work: Callable[[threading.Event], None]) -> Iterator[threading.Event]:
    """Do `work` beside the block, and wait for its end on leaving.

    `work` gets an event, set when the block is left, at which it is to end soon. An error of it is
    raised on leaving, unless the block itself raised one.
    """
    ending = threading.Event()
    begin = interrupt.for_threads()
    with (
        clock.current().workers(2) as workers,
        ThreadPoolExecutor(1) as pool,
    ):

        def do() -> None:
            begin()
            try:
                work(ending)
            finally:
                workers.done()

        done = pool.submit(do)
        try:
            yield ending
        finally:
            ending.set()
            with spent.on(Activity.FREEBSD), clock.current().parked():
                concurrent.futures.wait([done])
        done.result()
