"""One policy in evaluation and in use: what is hidden, who stands in, and that no name decides."""

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import ArrayLike
from torch import Tensor

from recengine.data.build import build_dataset
from recengine.data.dataset import Dataset
from recengine.data.interactions import Interactions
from recengine.data.splits import make_split
from recengine.errors import BadInput
from recengine.evaluation.policy import EvaluationPolicy
from recengine.evaluation.ranking import evaluate
from recengine.models.base import FitContext, Recommender
from recengine.models.registry import model_class
from recengine.serving.recommend import recommend, recommend_new
from recengine.testing import small_dataset


class Flat(Recommender):
    """Learned nothing: every item gets the same score."""

    name = "flat"
    family = "baseline"
    summary = "Nothing."

    def learn(self, train: Interactions, context: FitContext) -> None:
        """Learn nothing."""

    def score(self, user_idx: ArrayLike) -> Tensor:
        return torch.zeros(1, self.n_items).expand(len(np.atleast_1d(np.asarray(user_idx))), -1)

    def state(self) -> dict[str, Tensor]:
        return {}

    def restore(self, state: dict[str, Tensor]) -> None:
        """Restore nothing."""


class Unsure(Flat):
    """As flat, but of a family that has to know a user."""

    name = "unsure"
    family = "collaborative"


def test_an_unknown_choice_is_bad_input_and_names_the_known_ones() -> None:
    with pytest.raises(BadInput, match="mask 'all' is unknown; expected one of: seen, positives"):
        EvaluationPolicy(mask="all")
    with pytest.raises(BadInput, match="fallback 'mean' is unknown; expected one of: popularity, none"):
        EvaluationPolicy(fallback="mean")
    policy = EvaluationPolicy("positives", "none", 3)
    assert EvaluationPolicy.from_dict(policy.to_dict()) == policy


# What is hidden -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["leave-last", "random", "stratified", "time"])
@pytest.mark.parametrize("model_name", ["popularity", "item-knn", "ease", "bias"])
def test_c34_the_lists_that_are_tested_are_the_lists_that_are_served(tiny: Dataset, name: str, model_name: str) -> None:
    """A data set that ends where the test begins is served just as the split is evaluated."""
    split = make_split(tiny, name)
    before = replace(tiny, ratings=split.rated)
    model = model_class(model_name)()
    model.fit(split.rated if model.learns_from == "ratings" else split.fit)
    for policy in (EvaluationPolicy(), EvaluationPolicy("positives"), EvaluationPolicy(fallback="none")):
        tested = evaluate(model, split, policy=policy)
        served = recommend(model, before, tested.users, among=split.candidates, policy=policy)
        assert tested.lists.tolist() == served.ranking.items.tolist()
        assert tested.fallback.tolist() == served.fallback.tolist()


def test_c34_nothing_that_was_rated_is_listed_unless_only_positives_are_hidden(tiny: Dataset) -> None:
    split = make_split(tiny, "leave-last")
    assert split.rest is not None
    disliked = set(zip(split.rest.user_idx.tolist(), split.rest.item_idx.tolist(), strict=True))
    model = model_class("popularity")().fit(split.fit)
    listed = {}
    for mask in ("seen", "positives"):
        result = evaluate(model, split, policy=EvaluationPolicy(mask))
        pairs = zip(np.repeat(result.users, 10).tolist(), result.lists.ravel().tolist(), strict=True)
        listed[mask] = len(disliked & set(pairs))
    assert listed["seen"] == 0
    assert listed["positives"] > 100


# Who stands in --------------------------------------------------------------------------------------------------


def eleven() -> Dataset:
    """Return eight users of old and three whose only row is the latest."""
    rng = np.random.default_rng(1)
    rows = [(f"old{u}", f"i{i}", 5.0, 100 * u + n) for u in range(8) for n, i in enumerate(rng.permutation(12)[:6])]
    rows += [(f"new{u}", f"i{u}", 5.0, 10_000 + u) for u in range(3)]
    return build_dataset("eleven", pd.DataFrame(rows, columns=["user_id", "item_id", "rating", "timestamp"]))


@pytest.mark.parametrize("model_name", ["ease", "ials", "item-knn", "mf"])
def test_c33_users_unknown_to_a_model_get_popularity_and_are_counted(model_name: str) -> None:
    data = eleven()
    split = make_split(data, "time", share=0.06, positive=0)
    assert len(split.test) == 3
    result = evaluate(model_class(model_name)().fit(split.fit), split, k=4)
    popular = evaluate(model_class("popularity")().fit(split.fit), split, k=4)
    assert result.fallback.tolist() == [True] * 3
    assert not popular.fallback.any()
    assert result.lists.tolist() == popular.lists.tolist()
    assert not result.warm.any()
    assert result.of(~result.warm).means()["ndcg@4"] == result.means()["ndcg@4"]
    assert math.isnan(result.of(result.warm).means()["ndcg@4"].value)


@pytest.mark.parametrize("model_name", ["ease", "item-knn"])
def test_c36_a_user_for_whom_all_items_score_alike_gets_popularity_marked(model_name: str) -> None:
    rows = ["am", "an", "bm", "bn", "cm", "cz", "dq"]
    table = pd.DataFrame({"user_id": [r[0] for r in rows], "item_id": [r[1] for r in rows], "rating": 5.0})
    data = build_dataset("four", table)
    model = model_class(model_name)().fit(data.ratings)
    loner = int(data.user_index(["d"])[0])
    known = recommend(model, data, [loner, 0], k=2)
    assert known.fallback.tolist() == [True, False]
    assert data.item_ids[known.ranking.items[0, 0]] == "m"  # which three like
    new = recommend_new(model, data, data.ratings.of_users([loner]), k=2)
    assert new.fallback.tolist() == [True]
    assert new.ranking.items[0].tolist() == known.ranking.items[0].tolist()
    plain = recommend(model, data, [loner], k=2, policy=EvaluationPolicy(fallback="none"))
    assert plain.fallback.tolist() == [False]
    # What all users have is hidden from them, and of two items left that score alike none is chosen by its name.
    assert recommend(model, data, [loner], k=2, among=data.item_index(["q", "z"])).fallback.tolist() == [False]


def test_a_model_that_leaves_items_out_has_said_something_by_that(tiny: Dataset) -> None:
    """Two items of equal score are an answer where the others are not scored at all; an empty answer is none."""
    policy, model = EvaluationPolicy(), model_class("ease")().fit(tiny.ratings)
    scores = torch.full((2, 40), -torch.inf)
    scores[0, [3, 5]] = 1.0
    popularity = torch.arange(40.0)
    known = np.array([True, True])
    scored = policy.apply(model, scores, [0, 1], known=known, popularity=popularity, hidden=None)
    assert scored.fallback.tolist() == [False, True]
    assert torch.equal(scored.scores[1], popularity)
    everything = Interactions.from_pairs(np.repeat([0, 1], 40), np.tile(np.arange(40), 2), n_users=2, n_items=40)
    scored = policy.apply(model, torch.rand(2, 40), [0, 1], known=known, popularity=popularity, hidden=everything)
    assert scored.fallback.tolist() == [False, False]  # nothing is left to list
    assert bool((scored.scores == -torch.inf).all())


# Ties -----------------------------------------------------------------------------------------------------------


def famous_first(users: int = 400, items: int = 150) -> Dataset:
    """Return data in which the lower an item's id, the more often it is liked, last likes included."""
    rng = np.random.default_rng(3)
    chance = 1 / np.arange(1, items + 1) ** 0.9
    rows = [
        (user, int(item) + 1, 5.0, 100 * user + n)
        for user in range(users)
        for n, item in enumerate(rng.choice(items, 8, replace=False, p=chance / chance.sum()))
    ]
    return build_dataset("famous", pd.DataFrame(rows, columns=["user_id", "item_id", "rating", "timestamp"]))


def test_m35_a_model_that_has_learned_nothing_reaches_what_chance_reaches() -> None:
    """By id it would list the most liked items, and by a hash of the items alone the same ten for everyone."""
    data = famous_first()
    split = make_split(data, "leave-last", positive=0)
    flat, popular = (evaluate(model.fit(split.fit), split) for model in (Flat(), model_class("popularity")()))
    chance = np.mean([10 / (len(split.candidates) - 7)])
    for seed in range(3):
        hits = evaluate(Flat().fit(split.fit), split, policy=EvaluationPolicy(tie_seed=seed)).per_user["hr@10"]
        assert hits.mean() == pytest.approx(chance, abs=4 * math.sqrt(chance * (1 - chance) / len(hits)))
    assert popular.means()["hr@10"].value > 4 * chance
    assert flat.overall["coverage@10"] > 0.9
    stands_in = evaluate(Unsure().fit(split.fit), split)  # a model of users that knows none gets popularity, marked
    assert stands_in.fallback.all()
    assert stands_in.lists.tolist() == popular.lists.tolist()


def renamed(data: Dataset, names: list[int]) -> Dataset:
    """Return the data with other item ids, words that sort in the order of `names`; all else is as it was."""
    words = np.array([f"item {name:03d}" for name in names])
    r = data.ratings
    table = pd.DataFrame({"user_id": data.user_ids[r.user_idx], "item_id": words[r.item_idx], "rating": r.rating})
    return build_dataset("renamed", table.assign(timestamp=r.timestamp))


@given(st.permutations(range(40)))
@settings(max_examples=15)
def test_m35_no_name_of_an_item_decides_which_row_is_tested_nor_what_a_model_reaches(names: list[int]) -> None:
    tiny = small_dataset()
    tied = replace(tiny, ratings=replace(tiny.ratings, timestamp=tiny.ratings.timestamp // 7))  # many equal times
    first, other = renamed(tied, list(range(40))), renamed(tied, names)
    splits = [make_split(data, "leave-last") for data in (first, other)]
    position = np.argsort(np.argsort(names))  # the index of each of the first data set's items in the other
    assert position[splits[0].test.item_idx].tolist() == splits[1].test.item_idx.tolist()
    for model_name in ("ease", "bias"):  # scores without ties
        figures = []
        for split in splits:
            model = model_class(model_name)()
            model.fit(split.rated if model.learns_from == "ratings" else split.fit)
            figures.append(evaluate(model, split).per_user["ndcg@10"])
        assert np.mean(np.abs(figures[0] - figures[1]) > 1e-6) < 0.05  # sums in another order, in the last digit


@pytest.mark.parametrize("ties", ["item", "random"])
def test_numbers_decide_equal_times_where_all_ids_are_plain_numbers(ties: str) -> None:
    def last(ids: list[str], order: str = ties) -> str:
        table = pd.DataFrame({"user_id": "u", "item_id": ids, "rating": 5.0, "timestamp": 1})
        data = build_dataset("one", table)
        return str(data.item_ids[make_split(data, "leave-last", ties=order).test.item_idx[0]])

    if ties == "item":
        assert last(["9", "10", "100", "2"]) == "100"  # not the larger as text
        assert last(["9", "010", "10", "2"]) == "2"  # 010 is no number: the later row
        assert last(["c", "a", "d", "b"]) == "b"
    else:
        orders = [[f"{prefix}{i}" for i in range(4)] for prefix in "abcdefghij"]
        assert {last(ids)[1] for ids in orders} == {last(orders[0])[1]}  # the seed decides, no name
