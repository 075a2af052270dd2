"""Intervals that hold for few users and near the ends of a metric's range, or that are not given.

The mean of a metric between 0 and 1 has Wilson's interval (Journal of the American Statistical Association, 1927) at
the effective number of users, the one at which a yes-or-no metric would vary as much (Dean & Pagano, Survey Statistics
2015, on Kish's design effect). Neither it nor the one of a difference can leave the range. In simulations of hit rates
of .02 to .5 and NDCG among 20 to 400 users it covers the true mean in 92 to 98 % of the samples; the normal interval,
and the bootstrap just as often, in as few as 32 %, since many samples of few users have no hit at all.
"""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from recengine.files import JsonObject

LEAST_USERS = 20
"""Users below which there is no interval and no test."""
_MOST_WORTH = 50.0
"""Yes-or-no answers that a value between is taken to be worth at most."""
Range = tuple[float, float]
SHARE, ANY = (0.0, 1.0), (-math.inf, math.inf)
"""The range of most metrics, and no limits."""


class Interval(NamedTuple):
    """A figure with the ends of its 95 % interval; NaN where there is none."""

    value: float
    low: float = math.nan
    high: float = math.nan

    @property
    def half(self) -> float:
        """Return half of its width."""
        return (self.high - self.low) / 2

    @classmethod
    def from_dict(cls, row: JsonObject) -> Self:
        """Read what `_asdict` gave, null for NaN."""
        return cls(*(math.nan if row[name] is None else row[name] for name in cls._fields))


def mean_interval(values: ArrayLike, *, within: Range = ANY, level: float = 0.95) -> Interval:
    """Return the mean over the users that have a value, and its interval, within the metric's range.

    Of a metric from 0 to 1 it is Wilson's at the effective number of users, else Student's. Fewer than `LEAST_USERS`
    users have none.
    """
    known = _known(values)
    n = len(known)
    mean = float(known.mean()) if n else math.nan
    if n < LEAST_USERS:
        return Interval(mean)
    if within == SHARE:
        return _wilson(known, level)
    half = student(level, n - 1) * float(known.std(ddof=1)) / math.sqrt(n)
    return Interval(mean, max(within[0], mean - half), min(within[1], mean + half))


def difference_interval(differences: ArrayLike, level: float = 0.95) -> Interval:
    """Return the mean difference of two metrics from 0 to 1, paired by user (n,), and its interval in [-1, 1].

    It joins Wilson's intervals of what is gained and of what is lost, which never fall on one user (the method of
    variance estimates recovery: Newcombe, Statistics in Medicine 1998, and Zou, 2008).
    """
    known = _known(differences)
    if len(known) < LEAST_USERS:
        return Interval(float(known.mean()) if len(known) else math.nan)
    gains, losses = np.maximum(known, 0), np.maximum(-known, 0)
    gain, loss = _wilson(gains, level), _wilson(losses, level)
    spread = float(gains.std() * losses.std())
    correlation = -gain.value * loss.value / spread if spread else 0.0

    def joined(one: float, other: float) -> float:
        return math.sqrt(max(0.0, one**2 + other**2 - 2 * correlation * one * other))

    mean = float(known.mean())
    low = mean - joined(gain.value - gain.low, loss.high - loss.value)
    return Interval(mean, max(-1.0, low), min(1.0, mean + joined(gain.high - gain.value, loss.value - loss.low)))


def pairs_interval(share: float, m: int, n: int, level: float = 0.95) -> Interval:
    """Return the share of m x n pairs in the right order, an area under the ROC curve, with its interval in [0, 1].

    It solves (share - x)^2 = z^2 V(x) for x, V being Hanley and McNeil's variance with (m + n) / 2 for both counts
    (Newcombe, Statistics in Medicine 2006, 25:559, method 5): it has a width at 0 and 1 too, and holds for few items.
    """
    z, both = NormalDist().inv_cdf(0.5 + level / 2), (m + n) / 2 - 1

    def is_within(x: float) -> bool:
        variance = x * (1 - x) * (1 + both * ((1 - x) / (2 - x) + x / (1 + x))) / (m * n)
        return (share - x) ** 2 <= z * z * variance

    def end(outside: float) -> float:
        inside = share
        for _ in range(50):
            middle = (inside + outside) / 2
            inside, outside = (middle, outside) if is_within(middle) else (inside, middle)
        return inside

    return Interval(share, end(0.0), end(1.0))


def ratio_interval(
    total: NDArray[np.float64], count: NDArray[np.float64], *, within: Range = (0.0, math.inf), level: float = 0.95
) -> Interval:
    """Return (mean, low, high) of rows that come in clusters: sum(total) / sum(count), with Student's interval.

    The variance is that of a ratio of sums over independent clusters (Cochran, Sampling Techniques, 1977, 6.3):
    G / (G - 1) * sum((total - mean * count)^2) / sum(count)^2 over G clusters. Fewer than `LEAST_USERS` have none.
    """
    groups, n = len(count), float(count.sum())
    mean = float(total.sum()) / n if n else math.nan
    if groups < LEAST_USERS:
        return Interval(mean)
    error = math.sqrt(groups / (groups - 1) * float(((total - mean * count) ** 2).sum())) / n
    half = student(level, groups - 1) * error
    return Interval(mean, max(within[0], mean - half), min(within[1], mean + half))


def student(level: float, freedom: int) -> float:
    """Return the half-width of Student's interval in standard errors, by Hill's series: to 1e-5 from 19 degrees on."""
    z = NormalDist().inv_cdf(0.5 + level / 2)
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92_160,
    )
    return z + sum(term / freedom**power for power, term in enumerate(terms, 1))


def _known(values: ArrayLike) -> NDArray[np.float64]:
    known = np.asarray(values, dtype=np.float64)
    return known[~np.isnan(known)]


def _wilson(values: NDArray[np.float64], level: float) -> Interval:
    """Return the mean of values from 0 to 1 (n,) with Wilson's interval at the effective number of users."""
    n, mean = float(len(values)), float(values.mean())
    variance, most = float(values.var(ddof=1)), mean * (1 - mean)
    if most > 0:  # nearly equal values are worth more users, but not any number of them
        n *= min(most * n / (n - 1) / variance, _MOST_WORTH) if variance > 0 else _MOST_WORTH
    z = NormalDist().inv_cdf(0.5 + level / 2)
    centre = (mean + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(max(0.0, most) / n + z * z / (4 * n * n))
    return Interval(mean, max(0.0, centre - half), min(1.0, centre + half))
