"""Every figure of a benchmark in one flat table: for CSV, for the history, for comparisons."""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass, fields, replace
from pathlib import Path

import numpy as np

from harness.measure.evaluation.statistics import Comparison, compare_all
from harness.measure.result import Bench, Failover, Resync, WriteCost

CSV_FILE = "figures.csv"

_PARTS = ("failover: ", "write latency, 95th", "write latency, 99th")
"""Figures that are a part of another: the steps of a failover, the tail of latencies."""

_ONE_COMMAND = "failover: one command"
"""What every moment of a failover is late by, in the same conditions."""


Key = tuple[str, str, str]
"""What repeats of a figure have in common: what, its conditions and its unit."""

Groups = dict[Key, list[float]]
"""The repeats of each figure."""


@dataclass(frozen=True)
class Figure:
    """One value, in the `unit` s or B/s. `set_name` is A or B in a comparison, else empty."""

    what: str
    conditions: str
    unit: str
    value: float
    set_name: str = ""

    @property
    def key(self) -> Key:
        """What repeats of the same figure have in common."""
        return self.what, self.conditions, self.unit


def figures(bench: Bench) -> Iterator[Figure]:
    """All of them, in the order in which they were taken within each kind."""
    for resync in bench.resyncs:
        yield from _of_resync(resync)
    for failover in bench.failovers:
        yield from _of_failover(failover)
    for cost in bench.writes:
        yield from _of_writes(cost)


def grouped(values: Sequence[Figure], set_name: str = "") -> Groups:
    """The repeats of each figure of one set, by what they have in common."""
    groups: Groups = defaultdict(list)
    for figure in values:
        if figure.set_name == set_name:
            groups[figure.key].append(figure.value)
    return dict(groups)


def differences(a: Groups, b: Groups, *, paired: bool = False) -> dict[Key, Comparison]:
    """How the figures in seconds that both sets have differ, by what repeats have in common.

    Figures are judged together, and parts of others apart from them: there are many, and the more
    are judged together the clearer each has to be. Moments of a failover are those at which a
    command was back: no step is told to differ by less than one command takes.
    """
    common = [key for key in a if key[2] == "s" and b.get(key) and min(*a[key], *b[key]) > 0]
    found: dict[Key, Comparison] = {}
    for parts in (False, True):
        keys = [key for key in common if key[0].startswith(_PARTS) == parts]
        sets = [(a[key], b[key]) for key in keys]
        found |= zip(keys, compare_all(sets, paired=paired), strict=True)
    return {key: replace(found[key], resolution=_resolution(key, a, b)) for key in common}


def _resolution(key: Key, *sets: Groups) -> float:
    what, conditions, unit = key
    if not what.startswith("failover") or what == _ONE_COMMAND:
        return 0.0
    commands = [values.get((_ONE_COMMAND, conditions, unit)) for values in sets]
    return max((float(np.median(each)) for each in commands if each), default=0.0)


def write_csv(bench: Bench, folder: Path) -> Path:
    """Write figures.csv into a folder: a head line, then one line a figure."""
    path = folder / CSV_FILE
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([field.name for field in fields(Figure)])
        writer.writerows(astuple(figure) for figure in figures(bench))
    return path


def _of_resync(resync: Resync) -> Iterator[Figure]:
    if not resync.complete:
        return  # no figure of a resync that did not complete, ever
    label = resync.label
    assert resync.seconds_s is not None
    yield Figure("resync", label, "s", resync.seconds_s, resync.set_name)
    if resync.rate_bytes_per_s is not None:
        yield Figure("resync rate", label, "B/s", resync.rate_bytes_per_s, resync.set_name)


def _of_failover(failover: Failover) -> Iterator[Figure]:
    label = failover.label
    yield Figure("failover", label, "s", failover.seconds_s, failover.set_name)
    if failover.command_s is not None:
        yield Figure(_ONE_COMMAND, label, "s", failover.command_s, failover.set_name)
    before = 0.0
    for event in failover.events:
        yield Figure(f"failover: {event.what}", label, "s", event.at_s - before, failover.set_name)
        before = event.at_s


def _of_writes(cost: WriteCost) -> Iterator[Figure]:
    label = f"{cost.setting}, {cost.write_bytes} bytes"
    for percent in (50, 95, 99):
        yield Figure(
            f"write latency, {percent}th percentile",
            label,
            "s",
            float(np.percentile(cost.latencies_s, percent)),
            cost.set_name,
        )
    yield Figure("write throughput", label, "B/s", cost.bytes_per_s, cost.set_name)
