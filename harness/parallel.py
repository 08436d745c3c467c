"""Doing the same to both halves of a pair at the same time."""

from __future__ import annotations

from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
T = TypeVar("T")


def on_each(items: Collection[Item], work: Callable[[Item], T]) -> list[T]:
    """Do the same to every item side by side and return the results in the items' order.

    All of them end before the first error is raised.
    """
    with ThreadPoolExecutor(len(items)) as pool:
        return list(pool.map(work, items))
