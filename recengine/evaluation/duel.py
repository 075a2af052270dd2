"""Models ranked by votes between two of their lists at a time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from recengine.evaluation.intervals import LEAST_USERS, SHARE, Interval, mean_interval

PRIOR = 0.5
"""Won and lost votes against an average model that each model starts with, so that nobody's strength is infinite."""
STEPS = 50
"""Newton steps at most; some ten are enough."""
NORMAL = 1.96
"""Standard errors to each side of a 95 % interval."""

LEFT, RIGHT = "left list", "right list"
"""What a vote names in place of models where both lists were one model's, dealt into two."""


class Vote(NamedTuple):
    """One decision: who voted, which model's list was preferred and which was not."""

    voter: str
    winner: str
    loser: str


class Standings:
    """The Bradley-Terry strengths of models (Biometrika, 1952): i wins against j with 1 / (1 + exp(s_j - s_i)).

    The fit is the maximum of the likelihood with `PRIOR`, by Newton's method. Votes of one voter are alike, so an
    interval takes the larger of two variances: the likelihood's, and one robust to voters (Liang & Zeger, Biometrika,
    1986). Below `LEAST_USERS` voters it speaks of these voters alone; below that many votes there is none.

    models : the names in the order of their strength, strongest first
    strength : (M,) s, aligned with `models`; an average model has 0
    by_voter : whether the intervals hold for other voters too
    """

    def __init__(self, votes: Sequence[Vote]) -> None:
        names = sorted({name for vote in votes for name in (vote.winner, vote.loser)})
        voters = {vote.voter: None for vote in votes}
        index, voter_at = ({name: i for i, name in enumerate(each)} for each in (names, voters))
        winner, loser = (np.array([index[name] for name in side]) for side in zip(*[v[1:] for v in votes], strict=True))
        wins = np.zeros((len(names), len(names)))
        np.add.at(wins, (winner, loser), 1)
        strength, curvature = _fit(wins)
        self.by_voter = len(voters) >= LEAST_USERS
        self._variances = [np.linalg.inv(curvature)] if len(votes) >= LEAST_USERS else []
        if self.by_voter:
            surprise = 1 - _logistic(strength[winner] - strength[loser])
            slope = np.zeros((len(voters), len(names)))
            who = np.array([voter_at[vote.voter] for vote in votes])
            np.add.at(slope, (who, winner), surprise)
            np.add.at(slope, (who, loser), -surprise)
            robust = len(voters) / (len(voters) - 1) * slope.T @ slope
            self._variances.append(self._variances[0] @ robust @ self._variances[0])
        self._order = np.argsort(-strength, kind="stable")
        self.models, self.strength = [names[i] for i in self._order], strength[self._order]

    def chance(self, model: str, against: str | None = None) -> Interval:
        """Return the chance that a list of `model` is preferred to one of `against`, or of an average model."""
        contrast = np.zeros(len(self.models))
        contrast[self.models.index(model)] = 1
        if against is not None:
            contrast[self.models.index(against)] -= 1
        lead = float(contrast @ self.strength)
        by_name = np.zeros_like(contrast)
        by_name[self._order] = contrast
        if not self._variances:
            return Interval(float(_logistic(lead)))
        error = math.sqrt(max(float(by_name @ variance @ by_name) for variance in self._variances))
        ends = lead + np.array([0, -1, 1]) * NORMAL * error
        return Interval(*_logistic(ends).tolist())


def _fit(wins: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return (M,) strengths for a table of wins (M, M), row over column, and (M, M) the curvature there."""
    met, won = wins + wins.T, wins.sum(1) + PRIOR
    strength = np.zeros(len(wins))
    for _ in range(STEPS):
        chance, alone = _logistic(strength[:, None] - strength), _logistic(strength)
        slope = won - (met * chance).sum(1) - 2 * PRIOR * alone
        weight = met * chance * (1 - chance)
        curvature = np.diag(weight.sum(1) + 2 * PRIOR * alone * (1 - alone)) - weight
        step = np.linalg.solve(curvature, slope)
        strength = strength + np.clip(step, -1, 1)
        if np.abs(step).max() < 1e-12:
            break
    return strength, curvature


def _logistic(x: ArrayLike) -> NDArray[np.float64]:
    return 1 / (1 + np.exp(-np.asarray(x, dtype=np.float64)))


def split_control(votes: Sequence[Vote]) -> tuple[list[Vote], list[Vote]]:
    """Return the votes between models, and those between the halves of one list."""
    between = [vote for vote in votes if vote.winner not in (LEFT, RIGHT)]
    return between, [vote for vote in votes if vote.winner in (LEFT, RIGHT)]


def control(votes: Sequence[Vote]) -> Interval:
    """Return the share of votes for the left half of one list: a half, but for chance and habit."""
    return mean_interval([float(vote.winner == LEFT) for vote in votes], within=SHARE)


def deal(ranking: Sequence[int], rng: np.random.Generator) -> tuple[list[int], list[int]]:
    """Return a ranking dealt into two lists by a coin for each pair of ranks: twins, neither better than the other."""
    one: list[int] = []
    other: list[int] = []
    for first, second in zip(ranking[::2], ranking[1::2], strict=False):
        heads = rng.random() < 0.5
        one.append(first if heads else second)
        other.append(second if heads else first)
    return one, other


def next_pair(models: Sequence[str], votes: Sequence[Vote], rng: np.random.Generator) -> tuple[str, str]:
    """Return the two models that have met least often, by chance among equals, in random order (left, right)."""
    met = {frozenset(pair): 0 for i, one in enumerate(models) for pair in ((one, other) for other in models[i + 1 :])}
    for vote in votes:
        pair = frozenset((vote.winner, vote.loser))
        met[pair] = met.get(pair, 0) + 1
    known = [pair for pair in met if pair <= set(models)]
    fewest = min(met[pair] for pair in known)
    rarest = sorted(sorted(pair) for pair in known if met[pair] == fewest)
    one, other = rarest[rng.integers(len(rarest))]
    return (one, other) if rng.random() < 0.5 else (other, one)
