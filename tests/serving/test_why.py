"""Why, why not, how sure: parts that sum to the score, answers that the model confirms, shares of halves."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from recengine.data.dataset import Dataset
from recengine.data.interactions import Interactions
from recengine.errors import BadInput
from recengine.models.base import Recommender
from recengine.models.registry import model_class
from recengine.serving.certainty import how_sure, lists_on_halves
from recengine.serving.explain import why
from recengine.serving.recommend import recommend, recommend_new
from recengine.serving.why_not import LISTED, MOST, why_not
from recengine.training.config import RunConfig

EXPLAIN = ("taste", "ease", "item-knn", "content", "ials", "mf")


def new_user(*ratings: tuple[int, float]) -> Interactions:
    items, values = zip(*ratings, strict=True) if ratings else ((), ())
    return Interactions.from_pairs([0] * len(ratings), items, rating=values, n_users=1, n_items=40)


@pytest.fixture(scope="module")
def series(tiny: Dataset) -> Dataset:
    """Return the small data set with a series: films 4, 8 and 12, of one genre."""
    titles = [f"Rocky {'I' * (i // 4)} (1999)" if i in (4, 8, 12) else f"{chr(97 + i % 26) * 5} {i}" for i in range(40)]
    return Dataset(**{**vars_of(tiny), "items": tiny.items.assign(title=titles)})


def vars_of(data: Dataset) -> dict[str, Any]:
    return {name: getattr(data, name) for name in ("name", "ratings", "user_ids", "item_ids", "items", "users")}


@pytest.fixture(scope="module")
def models(series: Dataset) -> dict[str, Recommender]:
    def fitted(name: str) -> Recommender:
        kind = model_class(name)
        rows = series.ratings if kind.learns_from == "ratings" else series.positives(4.0)
        return kind().fit(
            rows, items=series.items, run=RunConfig(device="cpu", epochs=3 if kind.preset_epochs else None)
        )

    return {name: fitted(name) for name in EXPLAIN}


rated = st.dictionaries(st.integers(0, 39), st.sampled_from([1.0, 2.5, 3.0, 4.0, 5.0]), min_size=1, max_size=12)


@given(
    name=st.sampled_from(EXPLAIN),
    ratings=rated,
    passed=st.none() | st.sets(st.integers(0, 39), max_size=3),
    target=st.integers(0, 39),
)
@settings(max_examples=120)
def test_the_parts_sum_to_the_score_that_ranks_the_item(models, series, name, ratings, passed, target) -> None:
    model, rows = models[name], new_user(*ratings.items())
    passed = None if passed is None else new_user(*((item, 0.0) for item in passed - {target, *ratings}))
    result = why(model, series, rows, target, passed=passed)
    listing = recommend_new(model, series, rows, k=40, passed=passed)
    assert result.fallback == bool(listing.fallback[0])
    total = sum(part.amount for part in result.contributions) + sum(result.standing.values())
    assert total == pytest.approx(result.score, abs=1e-5)
    listed = listing.ranking.items[0].tolist()
    assert result.rank == (listed.index(target) + 1 if target in listed else None)
    assert (result.rank is None) == (target in ratings)
    if result.rank is not None:
        assert result.score == pytest.approx(float(listing.ranking.scores[0, result.rank - 1]), abs=1e-6)


def test_a_user_of_the_data_is_explained_as_served(models, series: Dataset) -> None:
    for name in ("taste", "ease"):
        result = why(models[name], series, series.ratings.of_users([7]), 30, user_idx=7)
        total = sum(part.amount for part in result.contributions) + sum(result.standing.values())
        assert total == pytest.approx(result.score, abs=1e-5)
        listed = recommend(models[name], series, [7], k=40).ranking.items[0].tolist()
        assert result.rank == (listed.index(30) + 1 if 30 in listed else None)
    with pytest.raises(BadInput, match="model 'mf' cannot split its scores"):
        why(models["mf"], series, series.ratings.of_users([7]), 30, user_idx=7)


def test_quality_fame_and_the_series_cap_are_parts_of_their_own(models, series: Dataset) -> None:
    taste: Any = models["taste"]
    rows = new_user((0, 5.0), (16, 5.0), (20, 5.0))
    results = [why(taste, series, rows, item) for item in (4, 8, 12)]
    assert sorted("arrangement" in result.standing for result in results) == [False, False, True]
    for result in results:
        assert result.standing["quality"] == pytest.approx(
            taste.config.quality_weight * float(taste.quality[result.item_idx])
        )
        assert result.standing.get("arrangement", -1.0) == pytest.approx(-1.0, abs=1e-6)


def test_without_ratings_popularity_is_all_there_is(models, series: Dataset) -> None:
    result = why(models["ease"], series, new_user((3, 1.0)), 5)
    assert result.fallback
    assert (result.contributions, result.standing) == ([], {"fallback": series.liked_counts(4.0)[5]})


def test_a_model_that_cannot_split_its_scores_says_so(series: Dataset) -> None:
    with pytest.raises(BadInput, match="expected a model with the ability 'explain'"):
        why(model_class("popularity")().fit(series.positives(4.0)), series, new_user((0, 5.0)), 3)


@pytest.mark.parametrize("name", ["taste", "ease", "mf", "bias"])
def test_an_answer_to_why_not_is_what_the_model_then_lists(models, series: Dataset, name: str) -> None:
    model = models.get(name) or model_class("bias")().fit(series.ratings)
    mine = {0: 5.0, 4: 5.0, 1: 1.0}
    rows = new_user(*mine.items())
    listed = recommend_new(model, series, rows, k=40).ranking.items[0].tolist()[:37]
    answered = 0
    for target in listed[:2] + listed[5:20]:
        result = why_not(model, series, rows, target, k=5)
        assert result.rank == listed.index(target) + 1
        if result.rank <= 5:
            assert (result.ratings, result.new_rank) == ((), result.rank)
        elif result.ratings is not None:
            answered += 1
            assert 1 <= len({given.item_idx for given in result.ratings}) == len(result.ratings) <= MOST
            assert all(
                given.rating in (1.0, 5.0) and given.rating != mine.get(given.item_idx) for given in result.ratings
            )
            then = recommend_new(model, series, new_user(*(mine | dict(result.ratings)).items()), k=5)
            assert then.ranking.items[0].tolist().index(target) + 1 == result.new_rank
    assert answered or name == "bias"


def test_the_smallest_answer_is_found_where_all_single_ratings_are_tried(models, series: Dataset) -> None:
    model, mine = models["ease"], {0: 5.0, 1: 5.0}
    for target in range(2, 12):
        listed = recommend_new(model, series, new_user(*mine.items()), k=LISTED).ranking.items[0].tolist()
        changes = [{item: 5.0} for item in range(2, 40) if item != target] + [{0: 1.0}, {1: 1.0}]
        changes += [{item: 1.0} for item in listed if item != target]
        lists = [recommend_new(model, series, new_user(*(mine | change).items()), k=5) for change in changes]
        one_is_enough = any(target in one.ranking.items[0] for one in lists)
        result = why_not(model, series, new_user(*mine.items()), target, k=5)
        if result.rank > 5:
            assert one_is_enough == (result.ratings is not None and len(result.ratings) == 1)


def test_a_search_tells_how_far_it_is_and_ends_when_that_is_refused(models, series: Dataset) -> None:
    history, shares = new_user((0, 5.0), (1, 5.0)), list[float]()
    ranked = recommend_new(models["ease"], series, history, k=40).ranking.items[0]
    last = int(ranked[ranked >= 0][-1])
    why_not(models["ease"], series, history, last, k=5, progress=shares.append)
    assert shares == sorted(shares)
    assert 0 < shares[0] <= shares[-1] <= 1

    def stop(share: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        why_not(models["ease"], series, history, last, k=5, progress=stop)


def test_why_not_of_a_rated_item_is_bad_input(models, series: Dataset) -> None:
    with pytest.raises(BadInput, match="item '104' is rated already"):
        why_not(models["ease"], series, new_user((3, 5.0)), 3)


def test_how_sure_is_the_share_of_all_halves_in_which_an_item_is_listed(models, series: Dataset) -> None:
    """With two ratings there are two halves, each drawn half of the time."""
    rows = new_user((0, 5.0), (1, 5.0))
    one, other = (
        set(
            recommend_new(models["ease"], series, new_user((i, 5.0)), k=4, among=np.arange(2, 40))
            .ranking.items[0]
            .tolist()
        )
        for i in (0, 1)
    )
    for sure in how_sure(models["ease"], series, rows, k=4):
        expected = ((sure.item_idx in one) + (sure.item_idx in other)) / 2
        assert sure.probability == pytest.approx(expected, abs=0.12)  # 3.4 standard errors
        assert sure.probability in (0, 1) or expected == 0.5


def test_halves_are_drawn_without_replacement_and_hide_all_that_is_rated(models, series: Dataset) -> None:
    rows = series.ratings.of_users([7])
    heard: list[Interactions] = []

    class Listening(type(models["taste"])):  # type: ignore[misc]
        def score_history(self, histories: Interactions) -> torch.Tensor:
            heard.append(histories)
            return super().score_history(histories)

    model = Listening()
    model.__dict__.update(models["taste"].__dict__)
    lists = lists_on_halves(model, series, rows, 30, k=6)
    assert lists.shape == (30, 6)
    assert not np.isin(lists.numpy(), rows.item_idx).any()
    (halves,) = heard
    assert halves.user_counts.tolist() == [10] * 30
    given = dict(zip(rows.item_idx.tolist(), rows.rating.tolist(), strict=True))
    for user in range(30):
        half = halves.of_users([user])
        assert len(set(half.item_idx.tolist())) == 10
        assert all(given[i] == r for i, r in zip(half.item_idx.tolist(), half.rating.tolist(), strict=True))
    assert np.bincount(halves.item_idx, minlength=40)[rows.item_idx].std() > 0


def test_one_rating_cannot_be_halved(models, series: Dataset) -> None:
    with pytest.raises(BadInput, match="ratings=1 cannot be halved; expected two or more"):
        how_sure(models["ease"], series, new_user((3, 5.0)))
