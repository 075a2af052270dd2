"""Splits: disjoint, complete, without a leak, seeded."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recengine.data.dataset import Dataset
from recengine.data.interactions import Interactions
from recengine.data.sources import load_dataset
from recengine.data.splits import (
    SPLITS,
    Split,
    cold_user_split,
    leave_last,
    make_folds,
    make_split,
    random_split,
    stratified_split,
    time_split,
)
from recengine.errors import BadInput

FAST = settings(max_examples=60, deadline=None)


@st.composite
def interactions(draw, min_rows=8, distinct_times=False):
    """Return rows of distinct (user, item) pairs in a random order, often with tied times."""
    n_users, n_items = draw(st.integers(2, 8)), draw(st.integers(4, 10))
    min_rows = min(min_rows, n_users * n_items)
    n = draw(st.integers(min_rows, n_users * n_items))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    pair = rng.permutation(n_users * n_items)[:n]
    stamp = rng.permutation(n) if distinct_times else rng.integers(0, draw(st.integers(1, n)), n)
    return Interactions.from_pairs(pair // n_items, pair % n_items, timestamp=stamp, n_users=n_users, n_items=n_items)


def pairs(x: Interactions) -> set[tuple[int, int]]:
    pairs = list(zip(x.user_idx.tolist(), x.item_idx.tolist(), strict=True))
    assert len(set(pairs)) == len(pairs)
    return set(pairs)


def assert_partition(split: Split, whole: Interactions) -> None:
    parts = [pairs(split.train), pairs(split.valid), pairs(split.test)]
    assert set.union(*parts) == pairs(whole)
    assert sum(map(len, parts)) == len(whole)


def same(a: Split, b: Split) -> bool:
    return all(pairs(getattr(a, part)) == pairs(getattr(b, part)) for part in ("train", "valid", "test"))


# leave-last (P1) ------------------------------------------------------------------------------------------------


@given(interactions())
@FAST
def test_leave_last_tests_each_users_last_row_in_time_ties_by_the_larger_item(x) -> None:
    split = leave_last(x)
    assert_partition(split, x)
    for user in range(x.n_users):
        rated = sorted(
            (int(t), int(i)) for u, i, t in zip(x.user_idx, x.item_idx, x.timestamp, strict=True) if u == user
        )
        test = split.test.item_idx[split.test.user_idx == user].tolist()
        valid = split.valid.item_idx[split.valid.user_idx == user].tolist()
        if len(rated) >= 3:
            assert (test, valid) == ([rated[-1][1]], [rated[-2][1]])
        else:
            assert (test, valid) == ([], [])


@given(interactions())
@FAST
def test_leave_last_with_random_ties_still_never_trains_on_anything_later_than_the_test_row(x) -> None:
    split = leave_last(x, ties="random", rng=np.random.default_rng(3))
    assert_partition(split, x)
    for user in split.test.user_idx:
        train, valid, test = (part.timestamp[part.user_idx == user] for part in (split.train, split.valid, split.test))
        assert len(valid) == len(test) == 1
        assert train.max() <= valid[0] <= test[0]


def test_random_ties_are_seeded() -> None:
    x = Interactions.from_pairs(
        np.repeat(np.arange(20), 6), np.tile(np.arange(6), 20), timestamp=np.zeros(120), n_users=20, n_items=6
    )
    once, again, other = (leave_last(x, ties="random", rng=np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert same(once, again)
    assert not same(once, other)
    assert len(set(once.test.item_idx.tolist())) > 1  # not always the larger id
    with pytest.raises(ValueError, match="rng"):
        leave_last(x, ties="random")


# The other splits -----------------------------------------------------------------------------------------------


@given(interactions(), st.sampled_from([0.1, 0.2, 0.33, 0.49]))
@FAST
def test_random_split_holds_out_the_share_it_says(x, share) -> None:
    split = random_split(x, share=share, rng=np.random.default_rng(0))
    assert_partition(split, x)
    assert len(split.test) == len(split.valid) == round(share * len(x))


@given(interactions(), st.sampled_from([0.1, 0.25, 0.49]), st.integers(0, 5))
@FAST
def test_stratified_gives_every_tested_user_a_row_in_every_part(x, share, seed) -> None:
    split = stratified_split(x, share=share, rng=np.random.default_rng(seed))
    assert_partition(split, x)
    enough = set(np.flatnonzero(x.user_counts >= 3).tolist())
    assert set(split.test.user_idx.tolist()) == set(split.valid.user_idx.tolist()) == enough
    assert enough <= set(split.train.user_idx.tolist())
    assert (split.test.user_counts == split.valid.user_counts).all()
    generous = x.user_counts >= 20
    assert np.allclose(split.test.user_counts[generous], share * x.user_counts[generous], atol=1)


def test_stratified_picks_at_random_not_the_latest() -> None:
    x = Interactions.from_pairs(np.repeat(np.arange(200), 10), np.tile(np.arange(10), 200), n_users=200, n_items=10)
    split = stratified_split(x, rng=np.random.default_rng(0))
    assert np.bincount(split.test.item_idx, minlength=10).min() >= 5  # each position about 20 of 200 times


@given(interactions(distinct_times=True), st.sampled_from([0.1, 0.2, 0.4]))
@FAST
def test_time_split_trains_on_nothing_as_late_as_what_it_tests(x, share) -> None:
    split = time_split(x, share=share)
    assert_partition(split, x)
    assert split.train.timestamp.max() < split.test.timestamp.min()
    if len(split.valid):
        assert split.train.timestamp.max() < split.valid.timestamp.min()
        assert split.valid.timestamp.max() < split.test.timestamp.min()
    assert len(split.test) == max(1, round(share * len(x)))


@given(interactions(), st.sampled_from([0.1, 0.3]))
@FAST
def test_time_split_never_cuts_through_rows_of_the_same_second(x, share) -> None:
    ordered = sorted(x.timestamp.tolist())
    first_test = ordered[len(x) - round(share * len(x))]
    first_valid = ordered[max(0, len(x) - 2 * round(share * len(x)))]
    if first_valid == ordered[0]:  # nothing is earlier, so nothing is left to train on
        with pytest.raises(BadInput, match="too few different timestamps"):
            time_split(x, share=share)
        return
    split = time_split(x, share=share)
    assert_partition(split, x)
    assert split.test.timestamp.min() == first_test
    assert split.train.timestamp.max() < first_valid
    stamps = [set(part.timestamp.tolist()) for part in (split.train, split.valid, split.test)]
    assert sum(map(len, stamps)) == len(set.union(*stamps))


@given(interactions(min_rows=20), st.integers(0, 9), st.integers(0, 3))
@FAST
def test_cold_users_are_in_no_training_or_validation_row(x, seed, n_given) -> None:
    try:
        split = cold_user_split(x, share=0.4, given=n_given, rng=np.random.default_rng(seed))
    except BadInput as error:
        assert "no held-out user" in str(error)  # noqa: PT017 - where every user has enough rows, it is the wrong outcome
        present = x.user_counts[x.user_counts > 0]
        assert present.min() <= n_given or len(present) < 4
        return
    cold = set(split.test.user_idx.tolist())
    assert split.history is not None
    assert not cold & set(split.fit.user_idx.tolist())
    assert set(split.history.user_idx.tolist()) == (cold if n_given else set())
    assert not pairs(split.history) & pairs(split.test)
    for user in cold:
        known = split.history.timestamp[split.history.user_idx == user]
        later = split.test.timestamp[split.test.user_idx == user]
        assert len(known) == n_given
        assert len(known) + len(later) == x.user_counts[user]
        if len(known):
            assert known.max() <= later.min()


def test_cold_users_face_the_same_targets_however_much_is_given(tiny: Dataset) -> None:
    made = [cold_user_split(tiny.ratings, given=n, targets_after=5, rng=np.random.default_rng(1)) for n in (1, 2, 5)]
    assert pairs(made[0].test) == pairs(made[1].test) == pairs(made[2].test)
    assert [len(split.history or ()) // len(set(split.test.user_idx.tolist())) for split in made] == [1, 2, 5]


def test_a_held_out_persons_events_are_all_ratings_and_their_targets_the_later_positives() -> None:
    """Ten users alike: films 0..5 in the order of time, rated 2 5 1 5 2 5."""
    user, item = np.divmod(np.arange(60), 6)
    ratings = Interactions.from_pairs(user, item, n_users=10, n_items=6, rating=np.tile([2, 5, 1, 5, 2, 5], 10))
    liked = ratings.at_least(4)
    split = cold_user_split(liked, ratings=ratings, given=2, targets_after=3, rng=np.random.default_rng(0))
    cold = set(split.test.user_idx.tolist())
    assert len(cold) == 2
    assert split.history is not None
    assert split.seen is not None
    assert pairs(split.history) == {(u, i) for u in cold for i in (0, 1)}
    assert pairs(split.seen) == {(u, i) for u in cold for i in (0, 1, 2)}
    assert pairs(split.test) == {(u, i) for u in cold for i in (3, 5)}
    assert pairs(split.fit) == {(u, i) for u in set(range(10)) - cold for i in (1, 3, 5)}
    late = cold_user_split(liked, ratings=ratings, given=0, targets_after=5, rng=np.random.default_rng(0))
    assert pairs(late.test) == {(u, 5) for u in cold}
    with pytest.raises(BadInput, match="more than 6 ratings"):
        cold_user_split(liked, ratings=ratings, given=6, rng=np.random.default_rng(0))


@given(interactions(min_rows=20), st.integers(0, 9), st.integers(1, 4), st.integers(3, 4))
@FAST
def test_over_the_folds_everybody_is_held_out_once_and_faces_the_same_targets(x, seed, after, n_folds) -> None:
    rating = np.where(np.random.default_rng(seed).random(len(x)) < 0.6, 4, 2)
    x = replace(x, rating=rating)
    rated = {u: x.select(x.chronological()).of_users([u]).item_idx.tolist() for u in range(x.n_users)}
    liked = pairs(x.at_least(4))
    tested: dict[int, set[int]] = {}
    left_out: list[int] = []
    for fold in range(n_folds):
        try:
            split = cold_user_split(
                x.at_least(4),
                ratings=x,
                share=1 / n_folds,
                given=after,
                fold=fold,
                rng=np.random.default_rng(seed),
            )
        except BadInput:  # nobody in this fold has a target
            continue
        users = sorted(set(split.test.user_idx.tolist()))
        assert not set(users) & (set(split.fit.user_idx.tolist()) | set(tested))
        tested |= {u: {i for v, i in pairs(split.test) if v == u} for u in users}
        left_out.append(split.left_out)
        for n in range(after + 1):
            less = split.give(n)
            assert same(less, split)
            assert less.learned_from == split.learned_from
            assert less.seen is split.seen
            assert less.history is not None
            assert {u: less.history.of_users([u]).item_idx.tolist() for u in users} == {u: rated[u][:n] for u in users}
    targets = {u: {i for i in rated[u][after:] if (u, i) in liked} for u in rated}
    assert tested == {u: items for u, items in targets.items() if items}
    if len(left_out) == n_folds:
        assert sum(left_out) == sum(bool(rated[u]) and not targets[u] for u in rated)


def test_folds_are_those_of_one_dealing_out_and_of_cold_users_only(tiny: Dataset) -> None:
    folds = make_folds(tiny, "cold-user", folds=4, given=3, targets_after=6)
    users = [set(split.test.user_idx.tolist()) for split in folds]
    assert sum(map(len, users)) == len(set.union(*users))
    assert sum(split.left_out for split in folds) == tiny.n_users - len(set.union(*users))
    assert len({str(split.learned_from) for split in folds}) == 4
    assert len(make_folds(tiny, "leave-last")) == 1
    for name, options in (("leave-last", {"folds": 4}), ("cold-user", {"folds": 4, "share": 0.2})):
        with pytest.raises(BadInput, match="folds=4"):
            make_folds(tiny, name, **options)


def test_what_is_given_never_reaches_into_the_targets(tiny: Dataset) -> None:
    split = make_split(tiny, "cold-user", given=2, targets_after=5)
    for n in (-1, 6):
        with pytest.raises(BadInput, match=f"given={n} .* expected 0 to 5"):
            split.give(n)
    with pytest.raises(BadInput, match="choose the split 'cold-user'"):
        make_split(tiny, "leave-last").give(1)


# make_split -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def published(tiny: Dataset) -> Dataset:
    """Return `tiny` with a published split: each third row is a test row."""
    rows = np.arange(len(tiny.ratings))
    return replace(tiny, predefined={"u1": (rows[rows % 3 > 0], rows[rows % 3 == 0])})


@pytest.mark.parametrize("name", [*SPLITS, "u1", "predefined:u1"])
def test_the_same_seed_makes_the_same_split_and_no_part_overlaps_another(published: Dataset, name: str) -> None:
    few = {"given": 3} if name == "sitting" else {}  # its preset asks for more than these users rated
    once, again, other = (make_split(published, name, seed=seed, **few) for seed in (5, 5, 6))
    assert same(once, again)
    assert once.options == again.options
    if name not in ("leave-last", "time"):
        assert not same(once, other)
        assert once.options != other.options
    parts = [pairs(once.train), pairs(once.valid), pairs(once.test)]
    assert sum(map(len, parts)) == len(set.union(*parts))
    assert set(once.test.item_idx.tolist()) <= set(once.candidates.tolist())
    assert (once.fit.rating >= 4).all()
    assert (once.test.rating >= 4).all()


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("random", {"share": 0.2}),
        ("stratified", {"share": 0.2}),
        ("time", {"share": 0.2}),
        ("cold-user", {"share": 0.3}),
        ("cold-user", {"given": 3}),
        ("cold-user", {"targets_after": 12}),
        ("cold-user", {"fold": 1}),
        ("predefined", {"share": 0.2}),
        ("leave-last", {"ties": "random"}),
        ("leave-last", {"positive": 3.0}),
    ],
)
def test_whatever_changes_a_split_changes_what_it_says_of_itself(published: Dataset, name: str, change: dict) -> None:
    """`about` is part of the key under which models are stored."""
    assert make_split(published, name).options != make_split(published, name, **change).options


def test_a_published_split_is_taken_as_published(published: Dataset) -> None:
    split = make_split(published, "u1", positive=0)
    train, test = published.predefined["u1"]
    assert pairs(split.test) == pairs(published.ratings.select(test))
    assert pairs(split.fit) == pairs(published.ratings.select(train))


def test_candidates_are_the_rated_items_and_items_that_were_dropped_are_none(tiny: Dataset) -> None:
    assert make_split(tiny, "leave-last").candidates.tolist() == tiny.ratings.item_counts.nonzero()[0].tolist()
    counts = tiny.positives(4).item_counts
    few = make_split(tiny.reduced(min_item=14), "leave-last")
    assert len(few.candidates) == few.train.n_items == (counts >= 14).sum() < tiny.n_items
    assert (few.options["min_item"], make_split(tiny, "leave-last").options["min_item"]) == (14, 0)


def test_published_splits_keep_to_what_is_left(published: Dataset) -> None:
    few = published.reduced(min_user=6, min_item=12)
    whole = pairs_by_id(published, make_split(published, "u1", positive=0).test)
    left = pairs_by_id(few, make_split(few, "u1", positive=0).test)
    users, items = set(few.user_ids.tolist()), set(few.item_ids.tolist())
    assert left == {(user, item) for user, item in whole if user in users and item in items}
    assert 0 < len(left) < len(whole)


def pairs_by_id(data: Dataset, rows: Interactions) -> set[tuple[object, object]]:
    users, items = data.user_ids[rows.user_idx].tolist(), data.item_ids[rows.item_idx].tolist()
    return set(zip(users, items, strict=True))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("leave-lst",), "did you mean 'leave-last'"),
        (("leave-last:later",), "is unknown"),
        (("u7",), "unknown"),
        (("predefined",), "not published"),
        (("random", {"share": 0.5}), "share=0.5"),
        (("random", {"share": 0.0}), "share=0"),
        (("stratified", {"share": -0.1}), "share=-0.1"),
        (("random", {"share": float("nan")}), "share=nan"),
        (("cold-user", {"given": 500}), "more than 500 ratings"),
        (("cold-user", {"given": -1}), "given"),
        (("cold-user", {"given": 5, "targets_after": 3}), "given=5 .* expected 0 to 3"),
        (("random", {"targets_after": 3}), "targets_after=3 has no meaning"),
        (("leave-last", {"positive": 9.0}), "positive=9"),
        (("leave-last", {"seed": -1}), "seed"),
    ],
)
def test_a_split_that_cannot_be_made_is_bad_input_that_names_the_value(tiny: Dataset, arguments, words) -> None:
    name, options = (*arguments, {})[:2]
    with pytest.raises(BadInput, match=words):
        make_split(tiny, name, **options)


def test_a_split_that_leaves_nothing_to_test_is_bad_input(tiny: Dataset) -> None:
    few = replace(tiny, ratings=tiny.ratings.select(np.arange(0, 40, 20)))  # one row each of two users
    with pytest.raises(BadInput, match="0 to test on"):
        make_split(few, "leave-last", positive=0)


@pytest.mark.real
def test_ml_100k_ua_holds_ten_published_test_rows_of_each_user(mirror) -> None:
    data = load_dataset("ml-100k")
    split = make_split(data, "ua", positive=0)
    assert split.test.user_counts.tolist() == [10] * 943
    assert len(split.test) + len(split.train) + len(split.valid) == 100_000
    liked = make_split(data, "ua", positive=4)
    assert pairs(liked.test) == pairs(split.test.select(split.test.rating >= 4))


@pytest.mark.real
def test_leave_last_of_ml_100k_tests_942_people(mirror) -> None:
    assert len(make_split(load_dataset("ml-100k"), "leave-last").test) == 942


def test_equal_times_of_held_out_people_are_ordered_by_item_or_drawn() -> None:
    user, item = np.repeat(np.arange(10), 8), np.tile(np.arange(8), 10)
    x = Interactions.from_pairs(user, item, timestamp=np.zeros(80, np.int64), n_users=10, n_items=8)

    def known(ties: str, seed: int) -> list[list[int]]:
        split = cold_user_split(x, share=0.4, given=4, ties=ties, rng=np.random.default_rng(seed))
        assert split.history is not None
        assert len(split.test) == len(split.history) == 20
        return [sorted(split.history.select(split.history.user_idx == u).item_idx.tolist()) for u in range(10)]

    assert all(items in ([], [0, 1, 2, 3]) for items in known("item", 0))
    assert known("random", 0) == known("random", 0) != known("item", 0)
