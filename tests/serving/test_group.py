"""Lists for groups: hand values, and what each strategy promises for any lists."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from recengine.errors import BadInput
from recengine.serving.group import SHORTLIST, Strategy, debts, recommend_group, worth_of

STRATEGIES: tuple[Strategy, ...] = ("average", "misery", "turns")


def lists(*rows: list[int]) -> torch.Tensor:
    return torch.tensor(rows)


@st.composite
def orders(draw: st.DrawFn) -> NDArray[np.int64]:
    """Return (M, n): orders of the same items by two to five users."""
    n = draw(st.integers(1, 30))
    return np.array([draw(st.permutations(range(n))) for _ in range(draw(st.integers(2, 5)))], np.int64)


def test_worth_is_that_of_dcg() -> None:
    assert worth_of([1, 3, 7]).tolist() == [1.0, 0.5, pytest.approx(1 / 3)]


def test_average_and_misery_by_hand() -> None:
    # item 0 is first to one and last to the other; item 1 is second to both; item 2 the other way round
    both = lists([0, 1, 3, 2], [2, 1, 3, 0])
    average, misery = recommend_group(both, k=4), recommend_group(both, strategy="misery", k=4)
    assert (1 + 1 / math.log2(5)) / 2 > 1 / math.log2(3), "one loves it, the other ranks it last: the mean is larger"
    assert average.items.tolist() == [0, 2, 1, 3]
    assert misery.items.tolist() == [1, 3, 0, 2]
    assert misery.ranks.tolist() == [[2, 2], [3, 3], [1, 4], [4, 1]]
    assert misery.chosen_for.tolist() == [-1] * 4


def test_a_debt_weighs() -> None:
    both = lists([0, 1, 2, 3], [3, 2, 1, 0])
    assert recommend_group(both, k=1, owed=[0, 1]).items.tolist() == [3]
    assert recommend_group(both, k=1, owed=[1, 0]).items.tolist() == [0]
    assert recommend_group(both, strategy="turns", k=1, owed=[0, 1]).chosen_for.tolist() == [1]


def test_turns_alternate_between_opposite_tastes_and_mind_the_others() -> None:
    n = 3 * SHORTLIST
    mine, yours = list(range(n)), list(range(n - 1, -1, -1))
    listing = recommend_group(lists(mine, yours), strategy="turns", k=4)
    assert listing.chosen_for.tolist() == [0, 1, 0, 1]
    assert listing.items[0] == SHORTLIST - 1, "of my first twenty the one that you mind least"
    assert listing.ranks[0].tolist() == [SHORTLIST, n - SHORTLIST + 1]


def test_turns_alternate_where_what_one_gets_suits_the_other_more() -> None:
    n = 3 * SHORTLIST
    mine, yours = list(range(n)), [*range(SHORTLIST - 1, -1, -1), *range(SHORTLIST, n)]
    listing = recommend_group(lists(mine, yours), strategy="turns", k=4)
    assert listing.chosen_for.tolist() == [0, 1, 0, 1], "a turn with nothing owed afterwards is a turn all the same"


def test_debts_by_hand() -> None:
    owed = debts([0, 0, 0], [1, 3, 7])
    assert owed.tolist() == [0, 0.5, pytest.approx(2 / 3)]
    assert debts(owed, [7, 1, 1]).tolist() == [pytest.approx(1 / 6), 0, pytest.approx(1 / 6)], "the first gave way"


def test_what_one_has_seen_is_not_listed() -> None:
    listing = recommend_group(lists([0, 1, 2, -1], [3, 2, 0, -1]), k=10)
    assert sorted(listing.items.tolist()) == [0, 2]


@given(orders(), st.sampled_from(STRATEGIES), st.integers(1, 12))
def test_a_list_holds_each_item_once_and_as_many_as_there_are(
    rankings: NDArray[np.int64], strategy: Strategy, k: int
) -> None:
    listing = recommend_group(torch.from_numpy(rankings), strategy=strategy, k=k)
    assert len(listing.items) == len(set(listing.items.tolist())) == min(k, rankings.shape[1])
    for user, ranking in enumerate(rankings):
        assert (ranking[listing.ranks[:, user] - 1] == listing.items).all()


@given(orders())
def test_nothing_is_worth_more_to_the_least_pleased_than_what_misery_lists_first(rankings: NDArray[np.int64]) -> None:
    first = recommend_group(torch.from_numpy(rankings), strategy="misery", k=1)
    worst = rankings.argsort(1).max(0) + 1
    assert first.ranks[0].max() == worst.min()


@given(orders(), st.sampled_from(STRATEGIES), st.integers(0, 99))
def test_names_of_items_do_not_matter(rankings: NDArray[np.int64], strategy: Strategy, seed: int) -> None:
    renamed = np.random.default_rng(seed).permutation(rankings.shape[1])
    before = recommend_group(torch.from_numpy(rankings), strategy=strategy)
    after = recommend_group(torch.from_numpy(renamed[rankings]), strategy=strategy)
    assert renamed[before.items].tolist() == after.items.tolist()


@given(st.permutations(range(25)), st.sampled_from(STRATEGIES[:2]))
def test_alone_it_is_one_s_own_list(ranking: list[int], strategy: Strategy) -> None:
    assert recommend_group(lists(ranking), strategy=strategy).items.tolist() == ranking[:10]


def test_bad_input_is_one_sentence() -> None:
    both = lists([0, 1], [1, 0])
    with pytest.raises(BadInput, match="average, misery, turns"):
        recommend_group(both, strategy="vote")  # type: ignore[arg-type]
    with pytest.raises(BadInput, match="at least 1"):
        recommend_group(both, k=0)
    for owed in ([1.0], [-1.0, 0.0], [np.nan, 0.0]):
        with pytest.raises(BadInput, match="2 numbers"):
            recommend_group(both, owed=owed)
