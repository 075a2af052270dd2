"""Paired comparison of models on the same users: is a difference more than chance?"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from recengine.metrics import mean_interval


class Paired(NamedTuple):
    """A mean difference over users with its 95 % interval, and Holm's adjusted p-value."""

    difference: float
    low: float
    high: float
    p: float


def against_leader(per_user: Mapping[str, NDArray[np.float64]]) -> tuple[str, dict[str, Paired]]:
    """Return the model with the highest mean, and its lead over each other one.

    per_user : model -> (n,) one metric on the same users.
    """
    leader = max(per_user, key=lambda name: float(np.nanmean(per_user[name])))
    return leader, paired({n: per_user[leader] - values for n, values in per_user.items() if n != leader})


def ahead_of(base: str, per_user: Mapping[str, NDArray[np.float64]]) -> dict[str, Paired]:
    """Return each other model's lead over `base` in a metric of which more is better."""
    return paired({n: values - per_user[base] for n, values in per_user.items() if n != base})


def paired(differences: Mapping[str, NDArray[np.float64]]) -> dict[str, Paired]:
    """Return the two-sided paired z-test of differences (n,) over users, each against 0.

    p-values are adjusted for their number by Holm's step-down procedure (Scandinavian Journal of Statistics, 1979).
    """
    intervals = {name: mean_interval(values) for name, values in differences.items()}
    adjusted = holm([_p_value(*interval) for interval in intervals.values()])
    return {name: Paired(*v, p) for (name, v), p in zip(intervals.items(), adjusted, strict=True)}


def _p_value(mean: float, low: float, high: float) -> float:
    """Return the two-sided p-value of a mean whose 95 % interval is given; 1 where there is no difference at all."""
    error = (high - low) / 2 / NormalDist().inv_cdf(0.975)
    if not error > 0 or math.isnan(error):
        return 1.0 if mean == 0 or math.isnan(mean) else 0.0
    return math.erfc(abs(mean) / error / math.sqrt(2))


def holm(p_values: Sequence[float]) -> list[float]:
    """Return Holm's adjusted p-values, in the order given."""
    order = np.argsort(p_values)
    adjusted = [0.0] * len(p_values)
    worst = 0.0
    for rank, index in enumerate(order):
        worst = max(worst, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = worst
    return adjusted
