"""The model of a benchmark's own resyncs: which of them it is fitted to, and what it tells."""

from __future__ import annotations

import statistics
from dataclasses import dataclass

from harness.measure.evaluation.fit import Estimate, FitError, Model, Point, fit
from harness.measure.result import Bench, Pattern, Resync


def points(bench: Bench) -> list[Point]:
    """The resyncs of one stretch of random data with plain settings, over whatever link."""
    return [_point(resync) for resync in _undisturbed(bench)]


def fitted(bench: Bench) -> Model:
    """Fit the model to a benchmark's resyncs. Raises `FitError` when they do not suffice."""
    return fit(points(bench))


@dataclass(frozen=True)
class HeldOut:
    """What the smaller resyncs of a run tell of its largest ones, and what those took.

    `largest_fitted` and `size` are in bytes, `seconds` is the median of `n` resyncs.
    """

    largest_fitted: int
    size: int
    told: Estimate
    seconds: float
    n: int

    @property
    def off(self) -> float:
        """How far what was told is from what they took, as a share of the latter."""
        return self.told.seconds / self.seconds - 1


def held_out(bench: Bench) -> HeldOut | None:
    """Fit to all but the largest size, and see what that tells of the largest.

    Over the usual link only. None when the smaller sizes do not suffice for a fit.
    """
    usual = [_point(each) for each in _undisturbed(bench) if not each.conditions.link.shaped]
    if not usual:
        return None
    size = max(point.size for point in usual)
    largest = [point for point in usual if point.size == size]
    try:
        model = fit([point for point in usual if point.size < size])
    except FitError:
        return None
    trip, rate = model.usual_link
    seconds = statistics.median(point.seconds for point in largest)
    return HeldOut(model.largest, size, model.predict(size, trip, rate), seconds, len(largest))


def _undisturbed(bench: Bench) -> list[Resync]:
    """The complete, plain ones, without those that many samples slowed down."""
    return [
        resync
        for resync in bench.resyncs
        if resync.complete and is_plain(resync) and not resync.conditions.sampling_named
    ]


def is_plain(resync: Resync) -> bool:
    """Whether it is a resync of random data with plain settings and nothing in its way.

    What has to be sent lies in one stretch: the whole provider or a part, which are sent alike.
    """
    conditions = resync.conditions
    return (
        conditions.pattern is Pattern.SEQUENTIAL
        and conditions.content == "random"
        and conditions.load == "none"
        and conditions.disk.delay_ms is None
        and conditions.disk.rate_mb is None
        and conditions.link.loss is None
        and (conditions.hast.checksum, conditions.hast.compression) == (None, None)
        and conditions.hast.replication == "memsync"
        and not resync.set_name
    )


def _point(resync: Resync) -> Point:
    assert resync.bytes is not None
    assert resync.seconds_s is not None
    link = resync.conditions.link
    shaped_rate = link.rate_bytes_per_s if link.rate_mbit is not None else None
    return Point(resync.bytes, resync.seconds_s, link.round_trip_s or 0.0, shaped_rate)
