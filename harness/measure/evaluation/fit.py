"""The model of a resync, fitted to measured ones, and what it says of a size nobody has measured.

hastd's sync thread has one request in flight (sbin/hastd/primary.c, `sync_thread`): it reads a
chunk of at most 1 MiB (MAXPHYS on 64-bit FreeBSD), sends it, waits until the other node has written
it, and only then takes the next. So

    seconds = start + chunks x trips x round trip + max(chunks x work, bytes / link rate)

where `start` is paid once, `work` is what reading, sending, writing and the processors cost for a
chunk, and `trips` how often the link's delay is paid for a chunk. A slow link carries one part of a
chunk while the processors work on the next, so it is the slower of the two that counts: 120 MiB
over 50 Mbit/s took what the link needs and 3 % more, on 13.2. Round trip and link rate are measured
before each resync; the other three are fitted, to resyncs over links whose rate is not limited.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, stats

from harness.measure.evaluation.statistics import ALPHA, CONFIDENCE

CHUNK = 1 << 20
"""Bytes of one request of the sync thread."""

_VARIES = 0.1
"""Round trips have to differ by this share of what a chunk takes for `trips` to be fitted.

With less it is the host's own pace that is fitted: where it is slow, so is a ping.
"""


class FitError(ValueError):
    """The points do not determine the model."""


@dataclass(frozen=True)
class Point:
    """One measured resync: bytes sent, seconds, and the link as it was measured before it.

    `link_rate` is in bytes a second, None where the link is not the limit (not shaped).
    """

    size: int
    seconds: float
    round_trip: float = 0.0
    link_rate: float | None = None

    @property
    def chunks(self) -> float:
        """How many requests it took."""
        return self.size / CHUNK

    @property
    def on_the_wire(self) -> float:
        """Seconds that the bytes need on the link at its rate."""
        return 0.0 if self.link_rate is None else self.size / self.link_rate


@dataclass(frozen=True)
class Estimate:
    """Seconds that a resync will take, with the interval that holds 19 times of 20."""

    seconds: float
    low: float
    high: float


@dataclass(frozen=True)
class Model:
    """A fitted model. Times in seconds.

    `trips` is None when the round trip did not vary enough to tell; it is then part of `work`.
    """

    start: float
    work: float
    trips: float | None
    points: tuple[Point, ...]
    _names: tuple[str, ...]
    _covariance: NDArray[np.float64]
    _freedom: int

    @property
    def rate(self) -> float:
        """Bytes a second of a long resync, over the unshaped link of the points."""
        return CHUNK / (self.work + (self.trips or 0.0) * min(p.round_trip for p in self.points))

    @property
    def error(self) -> float:
        """The largest relative residual of a point."""
        return float(np.max(np.abs(self._residuals)))

    @property
    def largest(self) -> int:
        """The largest size among the points, in bytes."""
        return max(point.size for point in self.points)

    @property
    def usual_link(self) -> tuple[float, float | None]:
        """Round trip and rate of the least shaped link among the points."""
        best = min(self.points, key=lambda point: (point.on_the_wire, point.round_trip))
        return best.round_trip, best.link_rate

    def seconds(self, size: int, round_trip: float = 0.0, link_rate: float | None = None) -> float:
        """How long a resync of `size` bytes takes according to the model."""
        point = Point(size, 0.0, round_trip, link_rate)
        slower = max(point.chunks * self.work, point.on_the_wire)
        return self.start + point.chunks * (self.trips or 0.0) * round_trip + slower

    def predict(
        self, size: int, round_trip: float = 0.0, link_rate: float | None = None
    ) -> Estimate:
        """The same with an interval for a single further resync.

        The interval supposes that the relative error of a resync does not depend on its size.
        """
        seconds = self.seconds(size, round_trip, link_rate)
        row = _row(Point(size, 0.0, round_trip, link_rate), self._names)
        variance = float(row @ self._covariance @ row) + (self._spread * seconds) ** 2
        reach = float(stats.t.ppf(1 - ALPHA / 2, self._freedom)) * variance**0.5
        return Estimate(seconds, max(0.0, seconds - reach), seconds + reach)

    @property
    def _spread(self) -> float:
        """The relative standard deviation of a point around the model."""
        return float(np.sqrt(np.sum(np.square(self._residuals)) / self._freedom))

    @property
    def _residuals(self) -> list[float]:
        return [
            self.seconds(p.size, p.round_trip, p.link_rate) / p.seconds - 1 for p in self.points
        ]


def fit(points: Sequence[Point]) -> Model:
    """Fit by least squares of the relative errors, with nothing negative.

    Points whose link rate is limited are not fitted to, but count for the error. Raises `FitError`
    when there are fewer others than needed, or all of one size.
    """
    free = [point for point in points if point.link_rate is None]
    names = ("start", "work", "trips") if _trips_vary(free) else ("start", "work")
    if len({point.size for point in free}) < 2:
        raise FitError("resyncs of at least two sizes are needed to fit the model")
    if len(free) <= len(names):
        raise FitError(f"{len(free)} resyncs are too few to fit {len(names)} figures and an error")
    seconds = np.array([point.seconds for point in free])
    rows = np.array([_row(point, names) for point in free]) / seconds[:, None]
    goal = np.ones(len(free))
    solution = optimize.lsq_linear(rows, goal, bounds=(0, np.inf)).x
    residuals = rows @ solution - goal
    freedom = len(free) - len(names)
    covariance = np.linalg.pinv(rows.T @ rows) * float(residuals @ residuals) / freedom
    values = dict(zip(names, (float(value) for value in solution), strict=True))
    return Model(
        start=values["start"],
        work=values["work"],
        trips=values.get("trips"),
        points=tuple(points),
        _names=names,
        _covariance=covariance,
        _freedom=freedom,
    )


def _trips_vary(points: Sequence[Point]) -> bool:
    if not points:
        return False
    trips = [point.round_trip for point in points]
    chunk = statistics.median(point.seconds / point.chunks for point in points)
    return max(trips) - min(trips) > _VARIES * chunk


def _row(point: Point, names: tuple[str, ...]) -> NDArray[np.float64]:
    columns = {
        "start": 1.0,
        "work": point.chunks,
        "trips": point.chunks * point.round_trip,
    }
    return np.array([columns[name] for name in names])


__all__ = ["CHUNK", "CONFIDENCE", "Estimate", "FitError", "Model", "Point", "fit"]
