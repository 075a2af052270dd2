"""Votes between two lists: strengths by hand and by an independent fit, and what simulated voters must show."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recengine.evaluation.duel import PRIOR, Standings, Vote, deal, next_pair

NAMES = ("a", "b", "c", "d")


def votes_of(rng: np.random.Generator, strength: dict[str, float], n_voters: int, each: int) -> list[Vote]:
    """Return votes of simulated voters, who prefer the stronger model with the chance of Bradley and Terry."""
    votes = []
    for voter in range(n_voters):
        for _ in range(each):
            one, other = rng.choice(list(strength), 2, replace=False).tolist()
            first = rng.random() < 1 / (1 + math.exp(strength[other] - strength[one]))
            votes.append(Vote(str(voter), *((one, other) if first else (other, one))))
    return votes


def test_two_models_by_hand() -> None:
    standings = Standings([Vote("v", "a", "b")] * 3 + [Vote("v", "b", "a")])
    assert standings.models == ["a", "b"]
    # by symmetry p_b = 1 / p_a; at the maximum the expected wins are the wins: 4 p^2 / (p^2 + 1) + 2 * .5 p / (p + 1)
    p = math.exp(standings.strength[0])
    assert standings.strength.sum() == pytest.approx(0)
    assert 4 * p**2 / (p**2 + 1) + 2 * PRIOR * p / (p + 1) == pytest.approx(3 + PRIOR)


def test_the_fit_is_the_maximum_of_the_likelihood() -> None:
    votes = votes_of(np.random.default_rng(3), {"a": 1.0, "b": 0.0, "c": -0.5}, 10, 6)
    standings = Standings(votes)
    at = dict(zip(standings.models, standings.strength.tolist(), strict=True))

    def likelihood(s: dict[str, float]) -> float:
        data = sum(-math.log1p(math.exp(s[v.loser] - s[v.winner])) for v in votes)
        return data + sum(PRIOR * (x - 2 * math.log1p(math.exp(x))) for x in s.values())

    best = likelihood(at)
    for name in at:
        for change in (-1e-3, 1e-3):
            assert likelihood(at | {name: at[name] + change}) < best


def test_simulated_voters_bring_out_the_truth() -> None:
    truth = {"a": 1.2, "b": 0.4, "c": -0.4, "d": -1.2}
    standings = Standings(votes_of(np.random.default_rng(1), truth, 60, 8))
    assert standings.models == list(NAMES)
    assert standings.by_voter
    for i, one in enumerate(NAMES):
        for other in NAMES[i + 1 :]:
            chance = standings.chance(one, other)
            assert chance.low < 1 / (1 + math.exp(truth[other] - truth[one])) < chance.high
            assert chance.low > 0.5


def test_twins_are_told_apart_in_about_one_of_twenty_votes() -> None:
    rng, alarms, runs = np.random.default_rng(7), 0, 200
    for _ in range(runs):
        standings = Standings(votes_of(rng, {"twin 1": 0.0, "twin 2": 0.0}, 40, 3))
        chance = standings.chance("twin 1", "twin 2")
        alarms += not chance.low <= 0.5 <= chance.high
    assert alarms / runs <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / runs)


def test_few_votes_have_no_interval_and_few_voters_speak_for_themselves() -> None:
    few = Standings([Vote("me", "a", "b")] * 5)
    assert math.isnan(few.chance("a").low)
    alone = Standings([Vote("me", "a", "b")] * 30)
    assert not alone.by_voter
    assert 0.5 < alone.chance("a", "b").low < alone.chance("a", "b").value < 1


@given(st.lists(st.integers(0, 10_000), unique=True, max_size=21), st.integers(0, 99))
def test_twins_share_a_ranking_evenly(ranking: list[int], seed: int) -> None:
    one, other = deal(ranking, np.random.default_rng(seed))
    assert len(one) == len(other) == len(ranking) // 2
    for rank, pair in enumerate(zip(one, other, strict=True)):
        assert set(pair) == set(ranking[2 * rank : 2 * rank + 2])


def test_the_pair_that_met_least_comes_next() -> None:
    votes = [Vote("v", "a", "b"), Vote("v", "c", "a"), Vote("v", "z", "a")]
    rng = np.random.default_rng(0)
    drawn = {next_pair(("a", "b", "c"), votes, rng) for _ in range(40)}
    assert drawn == {("b", "c"), ("c", "b")}
