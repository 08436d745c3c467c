"""The model of a benchmark's own resyncs: which of them it is fitted to, and what it tells."""

from __future__ import annotations

from harness.measure.fit import Model, Point, fit
from harness.measure.result import Bench, Resync


def points(bench: Bench) -> list[Point]:
    """The full resyncs of random data with plain settings, over whatever link, as points."""
    plain = [resync for resync in bench.resyncs if resync.complete and is_plain(resync)]
    return [_point(resync) for resync in plain]


def fitted(bench: Bench) -> Model:
    """Fit the model to a benchmark's resyncs. Raises `FitError` when they do not suffice."""
    return fit(points(bench))


def is_plain(resync: Resync) -> bool:
    """Whether it is a full resync of random data with plain settings and nothing in its way."""
    conditions = resync.conditions
    return (
        conditions.kind == "full"
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
