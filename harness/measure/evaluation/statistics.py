"""Statistics of repeated measurements: the median of a set, and whether two sets differ.

Resync and failover times are positive and skewed to the right. Two sets are therefore compared by
their ratio (the difference of the mean logarithms), with a permutation test, which assumes no
distribution.
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
"""Level of significance: a difference is seen when its p is below this."""

SMALLEST_PERCENT = 0.1
"""A difference below this many percent is reported as none, even when its p is small."""
_FEWEST = 3
"""With fewer repeats no interval is given."""
_PERMUTATIONS = 9999
"""Random permutations that a test takes where there are too many to try all."""
_SEED = 20111122
"""Of the random permutations: the same values always give the same p."""


@dataclass(frozen=True)
class Summary:
    """The median of repeated measurements and its confidence interval, in the unit of the values.

    From six repeats on, `low` and `high` are the ends of the interval at level `CONFIDENCE`. Three
    to five repeats are too few for that level: `low` and `high` are the smallest and the largest
    value (with three repeats an interval of 75 %). With one or two repeats they are None.
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
        """The value that so many percent of the repeats do not exceed, interpolated."""
        return float(np.percentile(self.values, percent))


def summarise(values: Sequence[float]) -> Summary:
    """The median of the values and its confidence interval, from the quantile test.

    The test assumes no distribution; the interval's ends are values themselves. Raises ValueError
    when there are no values.
    """
    if not values:
        raise ValueError("there is nothing to summarise")
    low: float | None = None
    high: float | None = None
    if len(values) >= _FEWEST:
        found: Any = stats.quantile_test(values, p=0.5).confidence_interval(CONFIDENCE)
        enough = not np.isnan(found.low)
        low, high = map(float, (found.low, found.high) if enough else (min(values), max(values)))
    return Summary(tuple(values), float(np.median(values)), low, high)


@dataclass(frozen=True)
class Delay:
    """By how many seconds one event lengthens a duration, with its confidence interval."""

    seconds: float
    low: float
    high: float


def delay_of_one(a: Sequence[float], b: Sequence[float], counts: Sequence[float]) -> Delay | None:
    """By how many seconds each event lengthens a duration.

    `a` are durations without events, `b` durations with them, and `counts` the number of events
    during each of `b`. The difference of the means is divided by the mean count. The interval is
    Welch's; few repeats make it wide. None when `a` or `b` has fewer than three values.
    """
    if min(len(a), len(b)) < _FEWEST:
        return None
    found = stats.ttest_ind(b, a, equal_var=False).confidence_interval(CONFIDENCE)
    count = float(np.mean(counts))
    difference = float(np.mean(b) - np.mean(a))
    return Delay(difference / count, float(found.low) / count, float(found.high) / count)


@dataclass(frozen=True)
class Comparison:
    """How the durations of set B differ from those of set A."""

    percent: float
    """How much longer B takes; negative when it is faster."""
    p: float
    """Probability of such a difference, or a larger one, by chance; corrected for `figures`."""
    smallest_p: float
    """The smallest p that so few repeats can give, corrected as if no other figure differed.

    At `ALPHA` or above, no difference can be seen at all.
    """
    n: tuple[int, int]
    """Number of repeats of A and of B."""
    paired: bool
    """Whether A and B were measured in turns."""
    figures: int = 1
    """How many figures were compared together."""
    apart: float = 0.0
    """Seconds between the two medians."""
    resolution: float = 0.0
    """Seconds that the measurement itself is uncertain by: medians closer than that are equal."""

    @property
    def seen(self) -> bool:
        """Whether there is a difference: not by chance, measurable, and not negligible."""
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
        """The fewest repeats of each set with which a difference can be seen."""
        return next(
            n
            for n in itertools.count(2)
            if _smallest_p(n, n, paired=self.paired) * self.figures < ALPHA
        )


def _percent(percent: float) -> str:
    size = abs(percent)
    return f"{size:.1f} %" if size < 1000 else f"{size / 100 + 1:.0f} times"


def compare(a: Sequence[float], b: Sequence[float], *, paired: bool = False) -> Comparison:
    """Compare two sets of seconds; `paired` when they were measured in turns (one of A, one of B).

    The test is a two-sided permutation test of the mean logarithm. With few repeats it tries every
    permutation and is exact. Raises ValueError for an empty set, for a value that is not positive,
    and for paired sets of different size.
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
        _smallest_p(len(a), len(b), paired=paired),
        (len(a), len(b)),
        paired,
        apart=abs(float(np.median(b) - np.median(a))),
    )


def compare_all(
    sets: Sequence[tuple[Sequence[float], Sequence[float]]], *, paired: bool = False
) -> list[Comparison]:
    """Compare many figures, each with `compare`, and correct every p for their number.

    Without the correction one figure in twenty would seem to differ by chance. With it (Benjamini
    and Hochberg) at most one in twenty of the differences that are seen is chance, on average.
    `paired` is for the figures that have equally many values in both sets. Raises ValueError as
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


def _smallest_p(a: int, b: int, *, paired: bool) -> float:
    """The smallest p that sets of `a` and `b` values can give: that of sets without overlap."""
    permutations = 2**a if paired else math.comb(a + b, a)
    return min(1.0, 2 / permutations)


def _p_value(logs: tuple[NDArray[np.float64], NDArray[np.float64]], *, paired: bool) -> float:
    """The p of the difference of two means; 1 when a set has a single value."""
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
        n_resamples=_PERMUTATIONS,
        rng=np.random.default_rng(_SEED),
    )
    return float(result.pvalue)
