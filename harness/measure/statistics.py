"""Figures from repeats: a median with its interval, and whether two sets of them differ.

Resync and failover times are positive and skewed to the right, so sets are compared by their ratio
(the difference of logarithms) and by permutation, which supposes no distribution.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

CONFIDENCE = 0.95
ALPHA = 1 - CONFIDENCE

SMALLEST_PERCENT = 0.1
"""A smaller difference is none to anybody, however often it was seen."""
_RESAMPLES = 9999
_TELLING = 3
"""Fewer repeats say nothing about their spread."""
_CHANCE = 20111122
"""Seed of the permutations that are too many to try all: the same figures give the same p."""


@dataclass(frozen=True)
class Summary:
    """Repeats of one figure, in the figure's unit, with the interval that holds the true median.

    Of fewer than six repeats `low` and `high` are the least and the greatest, which hold it less
    often than `CONFIDENCE` (of three: 3 times of 4); of fewer than three they are None.
    """

    values: tuple[float, ...]
    median: float
    low: float | None
    high: float | None

    @property
    def n(self) -> int:
        """How many repeats."""
        return len(self.values)

    def percentile(self, percent: float) -> float:
        """The value that `percent` of the repeats do not exceed."""
        return float(np.percentile(self.values, percent))


def summarise(values: Sequence[float]) -> Summary:
    """The median with its interval, which supposes no distribution: it is between two repeats.

    Raises ValueError without any value.
    """
    if not values:
        raise ValueError("there is nothing to summarise")
    low: float | None = None
    high: float | None = None
    if len(values) >= _TELLING:
        found: Any = stats.quantile_test(values, p=0.5).confidence_interval(CONFIDENCE)
        enough = not np.isnan(found.low)
        low, high = map(float, (found.low, found.high) if enough else (min(values), max(values)))
    return Summary(tuple(values), float(np.median(values)), low, high)


@dataclass(frozen=True)
class Delay:
    """What one of something adds to a duration, in seconds, with its interval."""

    seconds: float
    low: float
    high: float


def delay_of_one(a: Sequence[float], b: Sequence[float], counts: Sequence[float]) -> Delay | None:
    """How much longer the mean of `b` is than that of `a`, by the mean of what `counts` has for b.

    The interval is Welch's, which few repeats make wide. None with fewer than three.
    """
    if min(len(a), len(b)) < _TELLING:
        return None
    found = stats.ttest_ind(b, a, equal_var=False).confidence_interval(CONFIDENCE)
    count = float(np.mean(counts))
    difference = float(np.mean(b) - np.mean(a))
    return Delay(difference / count, float(found.low) / count, float(found.high) / count)


@dataclass(frozen=True)
class Comparison:
    """How set B differs from set A in a figure where more is slower (seconds).

    `percent` is how much longer B takes, negative when it is faster. `smallest_p` is the p that the
    clearest difference would give with so few repeats, were it the only one. Both are corrected for
    the `figures` that were compared together. A difference of the medians (`apart`, in seconds)
    that is shorter than the `resolution` of what measured them is none, however often it was seen;
    nor is one below `SMALLEST_PERCENT`.
    """

    percent: float
    p: float
    smallest_p: float
    n: tuple[int, int]
    paired: bool
    figures: int = 1
    apart: float = 0.0
    resolution: float = 0.0

    @property
    def seen(self) -> bool:
        """Whether there is a difference that neither chance nor the measuring explains."""
        return (
            self.p < ALPHA
            and self.apart >= self.resolution
            and abs(self.percent) >= SMALLEST_PERCENT
        )

    def __str__(self) -> str:
        n = f"n = {self.n[0]}" if self.paired else f"n = {self.n[0]} and {self.n[1]}"
        if self.seen:
            word = "slower" if self.percent > 0 else "faster"
            return f"{word} by {_percent(self.percent)} (p = {self.p:.2g}, {n})"
        if self.p < ALPHA and abs(self.percent) < SMALLEST_PERCENT:
            return f"the same to {SMALLEST_PERCENT} % ({n})"
        if self.p < ALPHA:
            return (
                f"no difference that can be measured: {self.apart * 1e3:.0f} ms, and one command "
                f"takes {self.resolution * 1e3:.0f} ms ({n})"
            )
        if self.smallest_p >= ALPHA:
            return f"too few repeats to tell (p = {self.p:.2g}, {n}; it takes {self._enough})"
        return f"no difference seen (p = {self.p:.2g}, {n})"

    @property
    def _enough(self) -> int:
        """Repeats of each set with which a clear difference, were it the only one, is seen."""
        return next(
            n
            for n in itertools.count(2)
            if _clearest(n, n, paired=self.paired) * self.figures < ALPHA
        )


def _percent(percent: float) -> str:
    size = abs(percent)
    return f"{size:.1f} %" if size < 1000 else f"{size / 100 + 1:.0f} times"


def compare(a: Sequence[float], b: Sequence[float], *, paired: bool = False) -> Comparison:
    """Compare seconds of two sets, `paired` when they were taken in turns (one of A, one of B).

    A two-sided permutation test of the mean logarithm, exact for few repeats. Raises ValueError for
    an empty set, a value that is not positive, and pairs of unequal number.
    """
    if not a or not b or min(*a, *b) <= 0:
        raise ValueError("both sets need values, and all of them have to be positive")
    if paired and len(a) != len(b):
        raise ValueError(f"{len(a)} values cannot be paired with {len(b)}")
    logs = np.log(np.asarray(a, dtype=float)), np.log(np.asarray(b, dtype=float))
    percent = float(np.expm1(logs[1].mean() - logs[0].mean()) * 100)
    return Comparison(
        percent,
        _p_value(logs, paired=paired),
        _clearest(len(a), len(b), paired=paired),
        (len(a), len(b)),
        paired,
        apart=abs(float(np.median(b) - np.median(a))),
    )


def compare_all(
    sets: Sequence[tuple[Sequence[float], Sequence[float]]], *, paired: bool = False
) -> list[Comparison]:
    """Compare many figures, each with `compare`, so that not one in twenty differs by chance alone.

    Of the differences that it sees, one in twenty is chance at most, on average (Benjamini and
    Hochberg). `paired` holds for those that have as many values of both. Raises ValueError as
    `compare` does.
    """
    found = [compare(a, b, paired=paired and len(a) == len(b)) for a, b in sets]
    if not found:
        return []
    corrected = stats.false_discovery_control([each.p for each in found])
    return [
        replace(
            each,
            p=float(p),
            smallest_p=min(1.0, each.smallest_p * len(found)),
            figures=len(found),
        )
        for each, p in zip(found, corrected, strict=True)
    ]


def _clearest(a: int, b: int, *, paired: bool) -> float:
    """The p of sets that do not overlap at all, with `a` and `b` values."""
    permutations = 2**a if paired else math.comb(a + b, a)
    return min(1.0, 2 / permutations)


def _p_value(logs: tuple[NDArray[np.float64], NDArray[np.float64]], *, paired: bool) -> float:
    if min(map(len, logs)) < 2:
        return 1.0

    def difference(
        x: NDArray[np.float64], y: NDArray[np.float64], axis: int
    ) -> NDArray[np.float64]:
        return np.asarray(np.mean(y, axis=axis) - np.mean(x, axis=axis))

    result = stats.permutation_test(
        logs,
        difference,
        permutation_type="samples" if paired else "independent",
        vectorized=True,
        n_resamples=_RESAMPLES,
        rng=np.random.default_rng(_CHANCE),
    )
    return float(result.pvalue)
