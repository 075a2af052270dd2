"""Paired comparison of models on the same users: is a difference more than chance?"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from recengine.evaluation.intervals import LEAST_USERS, difference_interval, mean_interval

FLIPS, ENOUGH = 9_999, 50
"""Random signs of a test, and differing users from which the normal distribution stands in for them."""


class Paired(NamedTuple):
    """A mean difference over users with its 95 % interval, and Holm's adjusted p-value.

    All but the difference is NaN where the users are too few to tell.
    """

    difference: float
    low: float
    high: float
    p: float

    @property
    def is_known(self) -> bool:
        """Return whether there were users enough for an interval and a test."""
        return not math.isnan(self.p)


def against_leader(per_user: Mapping[str, NDArray[np.float64]]) -> tuple[str, dict[str, Paired]]:
    """Return the model with the highest mean, and its lead over each other one.

    per_user : model -> (n,) one metric from 0 to 1 on the same users.
    """
    leader = max(per_user, key=lambda name: float(np.nanmean(per_user[name])))
    return leader, paired({n: per_user[leader] - values for n, values in per_user.items() if n != leader})


def ahead_of(base: str, per_user: Mapping[str, NDArray[np.float64]], *, share: bool = True) -> dict[str, Paired]:
    """Return each other model's lead over `base` in a metric of which more is better; `share`: it is from 0 to 1."""
    return paired({n: values - per_user[base] for n, values in per_user.items() if n != base}, share=share)


def paired(differences: Mapping[str, NDArray[np.float64]], *, share: bool = True) -> dict[str, Paired]:
    """Return the two-sided paired test of differences (n,) over users, each against 0.

    p-values are adjusted for their number by Holm's step-down procedure (Scandinavian Journal of Statistics, 1979).
    """
    interval = difference_interval if share else mean_interval
    adjusted = holm([_p_value(values) for values in differences.values()])
    return {name: Paired(*interval(v), p) for (name, v), p in zip(differences.items(), adjusted, strict=True)}


def _p_value(differences: NDArray[np.float64]) -> float:
    """Return the two-sided p-value of a mean difference of 0; NaN for too few users.

    Where few users differ, it is the share of random signs of their differences with a mean as far from 0 (Fisher, The
    Design of Experiments, 1935), the same signs each time; else that of the normal distribution.
    """
    known = differences[~np.isnan(differences)]
    apart = known[known != 0]
    if len(known) < LEAST_USERS:
        return math.nan
    if len(apart) < ENOUGH:
        signs = np.random.default_rng(0).integers(0, 2, (FLIPS, len(apart))) * 2 - 1
        as_far = np.abs(signs @ apart) >= abs(apart.sum()) - 1e-12 * np.abs(apart).sum()
        return float((1 + as_far.sum()) / (1 + FLIPS))
    error = float(known.std(ddof=1)) / math.sqrt(len(known))
    return math.erfc(abs(float(known.mean())) / error / math.sqrt(2)) if error > 0 else 0.0


def holm(p_values: Sequence[float]) -> list[float]:
    """Return Holm's adjusted p-values, in the order given; NaN is no test and stays."""
    tested = [index for index in np.argsort(p_values) if not math.isnan(p_values[index])]
    adjusted = [math.nan] * len(p_values)
    worst = 0.0
    for rank, index in enumerate(tested):
        worst = max(worst, min(1.0, (len(tested) - rank) * p_values[index]))
        adjusted[index] = worst
    return adjusted
