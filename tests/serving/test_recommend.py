"""Recommendations, fallbacks and reasons: seen means rated, and substitutes are named."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch

from recengine.data.dataset import Dataset
from recengine.data.interactions import Interactions
from recengine.errors import BadInput
from recengine.metrics import tie_salts
from recengine.models.base import Recommender, heard
from recengine.models.registry import model_class
from recengine.serving.explain import Reason, reasons
from recengine.serving.recommend import PASSED_WEIGHT, most_popular, recommend, recommend_new, score_new, similar
from recengine.training.config import RunConfig
from tests.support.ranking import in_order


@pytest.fixture(scope="module")
def disliker(tiny: Dataset) -> Dataset:
    """Return `tiny` with user 0's ratings all lowered to 1: a user without a positive."""
    r = tiny.ratings
    lowered = np.where(r.user_idx == 0, np.float32(1.0), r.rating)
    return replace(tiny, ratings=replace(r, rating=lowered))


@pytest.fixture(scope="module")
def ease(disliker: Dataset) -> Recommender:
    return model_class("ease")().fit(disliker.positives(4.0))


@pytest.fixture(scope="module")
def mf(disliker: Dataset) -> Recommender:
    return model_class("mf")().fit(disliker.positives(4.0), run=RunConfig(device="cpu", epochs=1))


def rated(data: Dataset, user: int) -> set[int]:
    return set(data.ratings.item_idx[data.ratings.user_idx == user].tolist())


def by_popularity(data: Dataset, seen: Interactions, among: set[int] | None = None) -> list[int]:
    """Return the items by popularity, without those that the one user of `seen` has."""
    free = (set(range(data.n_items)) if among is None else among) - set(seen.item_idx.tolist())
    return in_order(data.positives(4.0).item_counts.tolist(), free, int(tie_salts(seen, [0])[0]))


def test_what_a_user_rated_is_left_out_whatever_the_rating(ease, disliker: Dataset) -> None:
    users = [1, 7, 30]
    listing = recommend(ease, disliker, users, k=20)
    for user, items in zip(users, listing.ranking.items.tolist(), strict=True):
        assert not set(items) & rated(disliker, user)
        assert -1 not in items
    assert listing.fallback.tolist() == [False] * 3
    everything = recommend(ease, disliker, users, k=40, include_seen=True).ranking.items
    assert [sorted(row) for row in everything.tolist()] == [list(range(40))] * 3


def test_a_user_without_positives_gets_popularity_marked_as_fallback(ease, disliker: Dataset) -> None:
    listing = recommend(ease, disliker, [0, 1], k=8)
    assert listing.fallback.tolist() == [True, False]
    assert listing.ranking.items[0].tolist() == by_popularity(disliker, disliker.ratings.of_users([0]))[:8]
    among = np.arange(0, 40, 2)
    fewer = recommend(ease, disliker, [1, 0], k=8, among=among)
    assert fewer.fallback.tolist() == [False, True]
    expected = by_popularity(disliker, disliker.ratings.of_users([0]), set(among.tolist()))[:8]
    assert [i for i in fewer.ranking.items[1].tolist() if i >= 0] == expected
    direct = ease.top_k(1, k=8, seen=disliker.ratings, among=among)
    assert torch.equal(fewer.ranking.items[0], direct.items[0])


def test_the_unmasked_ranking_is_what_the_model_alone_lists(ease, disliker: Dataset) -> None:
    listing = recommend(ease, disliker, [0, 1], k=8, among=np.arange(20), unmasked=True)
    alone = ease.top_k([0, 1], k=8, seen=None)
    assert listing.unmasked is not None
    assert torch.equal(listing.unmasked.items, alone.items)
    assert torch.equal(listing.unmasked.scores, alone.scores)
    assert recommend(ease, disliker, [1]).unmasked is None


def test_a_baseline_needs_no_fallback(disliker: Dataset) -> None:
    popularity = model_class("popularity")().fit(disliker.positives(4.0))
    assert recommend(popularity, disliker, [0]).fallback.tolist() == [False]


def test_the_threshold_decides_who_is_known(ease, disliker: Dataset) -> None:
    of_all = model_class("ease")().fit(disliker.positives(1.0))
    assert recommend(of_all, disliker, [0], positive=1.0).fallback.tolist() == [False]
    assert recommend(ease, disliker, [0], positive=1.0).fallback.tolist() == [True]  # it learned nothing of the user


# New users ------------------------------------------------------------------------------------------------------


def new_user(*ratings: tuple[int, float]) -> Interactions:
    items, values = zip(*ratings, strict=True)
    return Interactions.from_pairs(np.zeros(len(items)), items, rating=values, n_users=1, n_items=40)


def all_liked(items: Sequence[int]) -> Interactions:
    """Return one new user who gave the items five stars, in this order."""
    return Interactions.from_pairs(np.zeros(len(items)), items, rating=[5] * len(items), n_users=1, n_items=40)


def test_a_new_user_with_a_users_ratings_gets_that_users_list(ease, disliker: Dataset) -> None:
    own = disliker.positives(4.0).of_users([5])
    listing = recommend_new(ease, disliker, own, include_seen=True)
    assert torch.equal(listing.ranking.items, recommend(ease, disliker, [5], include_seen=True).ranking.items)
    assert listing.fallback.tolist() == [False]


@pytest.mark.parametrize("name", ["ease", "slim", "slist", "item-knn", "content", "ials", "taste", "mf-explicit"])
def test_a_dislike_of_a_new_user_lowers_what_is_like_it(name: str, disliker: Dataset) -> None:
    kind = model_class(name)
    assert kind.hears_dislikes
    model = kind().fit(
        disliker.ratings if kind.learns_from == "ratings" else disliker.positives(), items=disliker.items
    )
    alike, unlike = (np.arange(12 + i, 40, 4) for i in (0, 1))  # items 8 and 0 are of the first kind, 1 of the second
    indifferent = new_user((1, 5.0), (8, 3.0)) if kind.learns_from != "ratings" else new_user((1, 5.0))
    of_both = recommend_new(model, disliker, new_user((1, 5.0), (8, 1.0)), k=38).ranking.items[0]
    assert 8 not in of_both.tolist()
    before, after = (
        model.score_history(heard(model, rows, 4.0))[0].numpy() for rows in (indifferent, new_user((1, 5.0), (8, 1.0)))
    )
    change = after - before
    assert change[alike].mean() < change[unlike].mean()


def history_of_pass(item: int) -> Interactions:
    return Interactions.from_pairs([0], [item], timestamp=[0], n_users=1, n_items=40)


@pytest.mark.parametrize("name", ["ease", "slim", "item-knn", "content", "ials", "taste", "mf-explicit"])
def test_not_interested_lowers_what_is_like_it_a_little_and_less_than_one_star(name: str, disliker: Dataset) -> None:
    kind = model_class(name)
    model = kind().fit(
        disliker.ratings if kind.learns_from == "ratings" else disliker.positives(), items=disliker.items
    )
    liked, alike = new_user((1, 5.0), (5, 4.0)), np.arange(12, 40, 4)
    neutral, passed = (score_new(model, disliker, liked, 4.0, rows)[0] for rows in (None, history_of_pass(8)))
    starred = score_new(model, disliker, new_user((1, 5.0), (5, 4.0), (8, 1.0)), 4.0, None)[0]
    a_little, a_lot = ((neutral - scores)[alike].mean().item() for scores in (passed, starred))
    assert 0 < a_little < a_lot
    assert a_little == pytest.approx(PASSED_WEIGHT * a_lot, rel=1e-3)


def test_not_interested_is_left_out_and_taking_it_back_restores_the_list_exactly(ease, mf, disliker: Dataset) -> None:
    for model in (ease, mf):
        liked = new_user((3, 5.0))
        before = recommend_new(model, disliker, liked, k=38).ranking
        none = history_of_pass(8).select(slice(0, 0))
        again = recommend_new(model, disliker, liked, k=38, passed=none, seen=none).ranking
        assert torch.equal(before.items, again.items)
        assert torch.equal(before.scores, again.scores)
        after = recommend_new(model, disliker, liked, k=38, passed=history_of_pass(8), seen=history_of_pass(9)).ranking
        assert not {8, 9} & set(after.items[0].tolist())
        assert (after.items != before.items).any()


def test_who_only_passes_gets_popularity_without_what_was_passed(ease, disliker: Dataset) -> None:
    none = history_of_pass(8).select(slice(0, 0))
    listing = recommend_new(ease, disliker, none, k=39, passed=history_of_pass(8))
    assert listing.fallback.tolist() == [True]
    assert sorted(listing.ranking.items[0].tolist()) == [i for i in range(40) if i != 8]


def test_a_model_that_hears_no_dislikes_hides_the_film_and_lists_the_others_as_before(disliker: Dataset) -> None:
    model = model_class("cml")().fit(disliker.positives(4.0), run=RunConfig(device="cpu", epochs=1))
    assert not model.hears_dislikes
    liked = recommend_new(model, disliker, new_user((3, 5.0)), k=39).ranking
    with_dislike = recommend_new(model, disliker, new_user((3, 5.0), (8, 1.0)), k=38).ranking
    assert [i for i in liked.items[0].tolist() if i != 8] == with_dislike.items[0].tolist()


def test_a_new_user_who_likes_nothing_gets_popularity_marked_as_fallback(ease, disliker: Dataset) -> None:
    listing = recommend_new(ease, disliker, new_user((3, 1.0)), k=5)
    assert listing.fallback.tolist() == [True]
    assert listing.ranking.items[0].tolist() == by_popularity(disliker, new_user((3, 1.0)))[:5]


def test_c36_the_most_popular_items_are_those_that_stand_in_for_a_model(ease, disliker: Dataset) -> None:
    histories = new_user((3, 1.0))
    popular, stands_in = most_popular(disliker, histories, k=5), recommend_new(ease, disliker, histories, k=5)
    assert popular.fallback.tolist() == stands_in.fallback.tolist() == [True]
    assert torch.equal(popular.ranking.items, stands_in.ranking.items)


def test_a_model_that_cannot_fold_in_is_refused_by_name(disliker: Dataset) -> None:
    chance = model_class("random")().fit(disliker.ratings)
    with pytest.raises(BadInput, match=r"'random' cannot serve a user .* 'ease'"):
        recommend_new(chance, disliker, new_user((3, 5.0)))


@pytest.mark.parametrize("k", [0, 41])
def test_k_outside_the_catalogue_is_bad_input(ease, disliker: Dataset, k: int) -> None:
    for call in (
        lambda: recommend(ease, disliker, [1], k=k),
        lambda: recommend_new(ease, disliker, new_user((3, 5.0)), k=k),
    ):
        with pytest.raises(BadInput, match=f"k={k} is out of range; expected 1 to 40"):
            call()


def test_serving_changes_nothing_of_the_model(ease, disliker: Dataset) -> None:
    before = ease.item_weights.clone()
    recommend(ease, disliker, [0, 1])
    recommend_new(ease, disliker, new_user((3, 5.0)))
    reasons(ease, all_liked([1, 2]), [3, 4])
    assert torch.equal(ease.item_weights, before)


# Reasons --------------------------------------------------------------------------------------------------------


def test_a_contribution_is_the_largest_positive_part_and_its_share_of_them(ease) -> None:
    past, targets = [1, 5, 9, 13], [17, 21, 2]
    weights = ease.item_weights.numpy()
    for target, reason in zip(targets, reasons(ease, all_liked(past), targets), strict=True):
        parts = np.maximum(weights[past, target], 0)
        assert reason.kind == "contribution"
        assert reason.item_idx == past[int(parts.argmax())]
        assert reason.share == pytest.approx(parts.max() / parts.sum(), rel=1e-5)
        second = int(parts.argsort()[-2])
        assert reason.also == (past[second] if parts[second] >= parts.max() / 2 else -1)


def test_a_film_without_a_positive_part_has_no_reason(ease) -> None:
    model = model_class("ease")()
    model.n_users, model.n_items, model.item_weights = 1, 3, -torch.ones(3, 3)
    model.scale = torch.tensor([4.0, 5.0])
    assert reasons(model, all_liked([0]), [1]) == [Reason("none")]


def test_a_model_with_vectors_names_the_nearest_liked_film_and_claims_no_share(mf) -> None:
    similarity = mf.item_similarity(torch.tensor([20]))[0]
    past = [2, 11, 30]
    (reason,) = reasons(mf, all_liked(past), [20])
    assert reason[:2] == ("neighbour", past[int(similarity[past].argmax())])
    assert reason.share is None


def test_a_second_film_is_named_where_it_says_half_as_much_as_the_first() -> None:
    model = model_class("ease")()
    model.n_users, model.n_items = 1, 5
    model.scale = torch.tensor([4.0, 5.0])
    model.item_weights = torch.zeros(5, 5)
    model.item_weights[:3, 3:] = torch.tensor([[0.2, 0.4], [0.4, 0.1], [-1.0, 0.1]])
    first, second = reasons(model, all_liked([0, 1, 2]), [3, 4])
    assert (first.item_idx, first.also) == (1, 0)
    assert (second.item_idx, second.also) == (0, -1)


def test_no_film_is_its_own_reason(mf, ease) -> None:
    """With seen films listed too, a liked one can stand among the targets."""
    assert all(r.item_idx != t for t, r in zip([2, 11], reasons(mf, all_liked([2, 11, 30]), [2, 11]), strict=True))
    assert all(r.item_idx != t for t, r in zip([2, 11], reasons(ease, all_liked([2, 11, 30]), [2, 11]), strict=True))
    assert reasons(mf, all_liked([2]), [2]) == [Reason("none")]


def test_popularity_and_random_have_reasons_of_their_own(disliker: Dataset) -> None:
    liked = disliker.positives(4.0)
    assert reasons(model_class("popularity")().fit(liked), all_liked([1]), [2, 3]) == [Reason("popular")] * 2
    assert reasons(model_class("random")().fit(liked), all_liked([1]), [2]) == [Reason("none")]


def test_without_a_history_or_a_target_there_is_no_reason(ease) -> None:
    assert reasons(ease, all_liked([]), [2, 3]) == [Reason("none")] * 2
    assert reasons(ease, all_liked([1]), []) == []


# Similar films --------------------------------------------------------------------------------------------------


def test_similar_gives_the_models_neighbours_and_popularity_for_a_film_that_no_user_liked(
    mf, disliker: Dataset
) -> None:
    known = similar(mf, disliker, 4, k=6)
    assert torch.equal(known.ranking.items, mf.similar_items([4], k=6).items)
    assert known.fallback.tolist() == [False]
    r = disliker.ratings
    unloved = replace(disliker, ratings=r.select((r.item_idx != 4) | (r.rating < 4)))
    listing = similar(mf, unloved, 4, k=6)
    assert listing.fallback.tolist() == [True]
    counts = unloved.positives(4.0).item_counts.tolist()
    assert listing.ranking.items[0].tolist() == in_order(counts, set(range(40)) - {4}, int(tie_salts(None, [0])[0]))[:6]
