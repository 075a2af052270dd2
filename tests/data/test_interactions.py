"""`Interactions` and `Dataset`: frozen arrays, sliced without leaving the index space; raw ids at the edges."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recengine.data.build import build_dataset
from recengine.data.dataset import LIKED_STARS, Dataset
from recengine.data.interactions import Interactions
from recengine.data.reading import Interpretation, Reading
from recengine.errors import BadInput


@st.composite
def interactions(draw, max_rows=30):
    n_users, n_items = draw(st.integers(1, 6)), draw(st.integers(1, 8))
    n = draw(st.integers(0, max_rows))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    return Interactions.from_pairs(
        rng.integers(0, n_users, n),
        rng.integers(0, n_items, n),
        rating=rng.integers(1, 6, n),
        timestamp=rng.integers(0, 4, n),
        n_users=n_users,
        n_items=n_items,
    )


def rows(x: Interactions) -> list[tuple]:
    return list(zip(*(getattr(x, c).tolist() for c in ("user_idx", "item_idx", "rating", "timestamp")), strict=True))


def test_an_index_outside_the_space_and_columns_of_unequal_length_are_refused() -> None:
    with pytest.raises(ValueError, match=r"item_idx spans 0\.\.3, expected 0\.\.2"):
        Interactions.from_pairs([0, 0], [0, 3], n_users=1, n_items=3)
    with pytest.raises(ValueError, match="user_idx spans -1"):
        Interactions.from_pairs([-1], [0], n_users=1, n_items=3)
    with pytest.raises(ValueError, match="item_idx has shape"):
        Interactions.from_pairs([0, 0], [0], n_users=1, n_items=3)


def test_the_columns_cannot_be_written_to() -> None:
    x = Interactions.from_pairs([0], [1], n_users=1, n_items=2)
    for column in ("user_idx", "item_idx", "rating", "timestamp"):
        with pytest.raises(ValueError, match="read-only"):
            getattr(x, column)[0] = 0


def test_missing_ratings_are_one_and_missing_timestamps_the_order_of_the_rows() -> None:
    x = Interactions.from_pairs([0, 0], [1, 0], n_users=1, n_items=2)
    assert rows(x) == [(0, 1, 1.0, 0), (0, 0, 1.0, 1)]


@given(interactions(), st.data())
@settings(max_examples=80, deadline=None)
def test_select_takes_a_mask_row_numbers_or_a_slice_alike(x, data) -> None:
    mask = np.array(data.draw(st.lists(st.booleans(), min_size=len(x), max_size=len(x))), dtype=bool)
    chosen = [row for row, kept in zip(rows(x), mask, strict=True) if kept]
    assert rows(x.select(mask)) == rows(x.select(np.flatnonzero(mask))) == chosen
    assert rows(x.select(slice(0, 3))) == rows(x)[:3]
    assert (x.select(mask).n_users, x.select(mask).n_items) == (x.n_users, x.n_items)


@given(interactions(), st.data())
@settings(max_examples=80, deadline=None)
def test_rows_of_users_are_found_in_their_order_for_any_batch(x, data) -> None:
    users = data.draw(st.lists(st.integers(0, x.n_users - 1), max_size=8))
    position, row = x.rows_of(np.array(users, dtype=np.int64))
    expected = [(p, r) for p, user in enumerate(users) for r in range(len(x)) if x.user_idx[r] == user]
    assert list(zip(position.tolist(), row.tolist(), strict=True)) == expected
    moved = x.of_users(np.array(users, dtype=np.int64))
    assert moved.n_users == len(users)
    assert rows(moved) == [(p, *rows(x)[r][1:]) for p, r in expected]


@given(interactions())
@settings(max_examples=50, deadline=None)
def test_chronological_is_by_user_then_time_then_item(x) -> None:
    expected = sorted(range(len(x)), key=lambda r: (x.user_idx[r], x.timestamp[r], x.item_idx[r], r))
    assert x.chronological().tolist() == expected


def test_counts_cover_users_and_items_without_rows() -> None:
    x = Interactions.from_pairs([2, 2], [0, 1], n_users=4, n_items=3)
    assert x.user_counts.tolist() == [0, 0, 2, 0]
    assert x.item_counts.tolist() == [1, 1, 0]


def test_joining_different_index_spaces_is_refused() -> None:
    x = Interactions.from_pairs([0], [0], n_users=1, n_items=2)
    y = Interactions.from_pairs([0], [0], n_users=1, n_items=3)
    with pytest.raises(ValueError, match="index spaces differ"):
        x.concat(y)
    assert rows(x.concat(x)) == rows(x) * 2


# Dataset --------------------------------------------------------------------------------------------------------


def frame(*ratings: tuple) -> pd.DataFrame:
    return pd.DataFrame(ratings, columns=["user_id", "item_id", "rating", "timestamp"][: len(ratings[0])])


def test_a_repeated_pair_keeps_the_latest_row_and_the_last_in_the_file_among_equal_times() -> None:
    data = build_dataset(
        "d", frame((1, 10, 2.0, 50), (1, 11, 3.0, 50), (1, 10, 5.0, 40), (1, 11, 4.0, 50), (2, 10, 1.0, 1))
    )
    assert rows(data.ratings) == [(0, 0, 2.0, 50), (0, 1, 4.0, 50), (1, 0, 1.0, 1)]
    assert data.cleaning.duplicates_replaced == 2
    assert any("2 repeated" in line for line in data.cleaning.lines())


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(1, 5), st.integers(0, 3)), min_size=1))
@settings(max_examples=80, deadline=None)
def test_cleaning_keeps_what_a_plain_loop_keeps(raw) -> None:
    latest: dict[tuple[int, int], tuple[int, int]] = {}
    for position, (user, item, _, stamp) in enumerate(raw):
        if (user, item) not in latest or stamp >= latest[user, item][0]:
            latest[user, item] = (stamp, position)
    kept = sorted(position for _, position in latest.values())
    data = build_dataset("d", frame(*raw))
    result = [(data.user_ids[u], data.item_ids[i], r, t) for u, i, r, t in rows(data.ratings)]
    assert result == [tuple(raw[position]) for position in kept]
    assert data.cleaning.rows_read - data.cleaning.rows_kept == data.cleaning.duplicates_replaced


def test_users_below_the_minimum_are_dropped_after_repeats_and_reported() -> None:
    ratings = frame((1, 10, 2.0, 1), (1, 10, 3.0, 2), (2, 10, 4.0, 1), (2, 11, 4.0, 1))
    data = build_dataset("d", ratings).reduced(min_user=2, positive=0)
    assert data.user_ids.tolist() == [2]
    assert (data.cleaning.users_below_minimum, data.cleaning.rows_below_minimum) == (1, 1)
    assert "0 items and 1 user with too few ratings dropped, with 1 rating." in data.cleaning.lines()


def test_an_empty_table_and_a_rating_that_is_no_number_are_bad_input() -> None:
    with pytest.raises(BadInput, match="has no ratings"):
        build_dataset("d", frame((1, 2, 3.0, 4)).iloc[:0])
    for value in (float("nan"), float("inf")):
        with pytest.raises(BadInput, match="data row 2"):
            build_dataset("d", frame((1, 1, 3.0, 0), (1, 2, value, 0)))


def test_catalogue_items_without_ratings_have_an_index_and_unnamed_items_a_title() -> None:
    items = pd.DataFrame(
        {"item_id": [7, 5], "title": ["Seven", "Five"], "year": [1995, None], "genres": ["Crime", None]}
    )
    data = build_dataset("d", frame((1, 5, 4.0, 0), (1, 6, 4.0, 0)), items)
    assert data.item_ids.tolist() == [5, 6, 7]
    assert data.items["title"].tolist() == ["Five", "Item 6", "Seven"]
    assert data.items["genres"].tolist() == ["", "", "Crime"]
    assert data.cleaning.rows_without_item == 1
    assert data.ratings.item_counts.tolist() == [1, 1, 0]


def test_missing_timestamps_are_said_and_follow_the_rows() -> None:
    data = build_dataset("d", frame((1, 1, 3.0), (1, 2, 3.0)))
    assert data.ratings.timestamp.tolist() == [0, 1]
    assert any("No timestamps" in line for line in data.cleaning.lines())
    assert not data.timed


def test_ids_are_found_both_ways_and_an_unknown_one_is_named(tiny: Dataset) -> None:
    assert tiny.user_ids[tiny.user_index([60, "1"])].tolist() == [60, 1]
    for wanted in ("999", "nobody", "", "99999999999999999999"):
        with pytest.raises(BadInput, match=wanted or "user"):
            tiny.user_index([wanted])
    with pytest.raises(BadInput, match="item '3' is not in 'tiny'"):
        tiny.item_index([3])


def test_text_ids_are_found_and_unknown_ones_named() -> None:
    data = build_dataset("d", frame(("anna", "x", 3.0, 0), ("bob", "y", 3.0, 1)))
    assert data.user_index(["bob", "anna"]).tolist() == [1, 0]
    with pytest.raises(BadInput, match="user 'annabel'"):
        data.user_index(["annabel"])


def test_positives_count_from_the_threshold_up_and_zero_keeps_every_rating(tiny: Dataset) -> None:
    assert tiny.positives(4.0).rating.min() == 4.0
    assert len(tiny.positives(4.0)) == int((tiny.ratings.rating >= 4.0).sum())
    assert len(tiny.positives(0)) == len(tiny.ratings)
    assert tiny.positives(4.0).n_items == tiny.n_items
    for threshold in (5.5, float("nan"), float("inf")):
        with pytest.raises(BadInput, match="positive="):
            tiny.positives(threshold)


def test_m52_rare_items_go_first_then_users_with_little_left_and_from_the_tables_too(tiny: Dataset) -> None:
    liked = tiny.positives(4.0)
    by_item = liked.select(liked.item_counts[liked.item_idx] >= 14)
    expected = by_item.select(by_item.user_counts[by_item.user_idx] >= 5)
    few = tiny.reduced(min_item=14, min_user=5)
    users, items = np.unique(expected.user_idx), np.flatnonzero(liked.item_counts >= 14)
    assert few.user_ids.tolist() == tiny.user_ids[users].tolist()
    assert few.item_ids.tolist() == few.items["item_id"].tolist() == tiny.item_ids[items].tolist()
    assert few.items["title"].tolist() == tiny.items["title"].iloc[items].tolist()
    assert 0 < few.n_items < tiny.n_items
    assert 0 < few.n_users < tiny.n_users
    kept = tiny.ratings.select(np.isin(tiny.ratings.user_idx, users) & np.isin(tiny.ratings.item_idx, items))
    assert by_id(few) == by_id(tiny, kept)  # low ratings of what stays are kept, too
    assert (few.rating_range, few.feedback, few.like_threshold) == (tiny.rating_range, "explicit", tiny.like_threshold)
    dropped = few.cleaning
    assert dropped.rows_kept == len(few.ratings) == len(tiny.ratings) - dropped.rows_below_minimum
    assert few.fingerprint != tiny.fingerprint
    assert tiny.reduced() is tiny
    for least in ({"min_item": 10_000}, {"min_user": 10_000}):
        with pytest.raises(BadInput, match=f"{next(iter(least))}=10000 leaves no rating"):
            tiny.reduced(**least)


def by_id(data: Dataset, rows: Interactions | None = None) -> list[tuple[object, object, float, int]]:
    rows = rows or data.ratings
    users, items = data.user_ids[rows.user_idx].tolist(), data.item_ids[rows.item_idx].tolist()
    return list(zip(users, items, rows.rating.tolist(), rows.timestamp.tolist(), strict=True))


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6), st.sampled_from([1.0, 3.0, 5.0])), min_size=1),
       st.integers(0, 3), st.integers(0, 3))  # fmt: skip
def test_m52_what_is_left_is_what_a_plain_count_leaves(rows, min_user: int, min_item: int) -> None:
    data = build_dataset("d", pd.DataFrame(rows, columns=["user_id", "item_id", "rating"]))
    listed = by_id(data)
    liked = [(user, item) for user, item, rating, _ in listed if rating >= 3]
    items = {i for i in data.item_ids.tolist() if sum(item == i for _, item in liked) >= min_item}
    users = {u for u in data.user_ids.tolist() if sum(user == u for user, item in liked if item in items) >= min_user}
    expected = [row for row in listed if row[0] in users and row[1] in items]
    if not expected or not liked:
        with pytest.raises(BadInput):
            data.reduced(min_user=max(min_user, 1), min_item=min_item, positive=3.0)
        return
    few = data.reduced(min_user=min_user, min_item=min_item, positive=3.0)
    assert by_id(few) == expected
    assert few.user_ids.tolist() == sorted({row[0] for row in expected})
    assert few.item_ids.tolist() == sorted(items)


def test_equal_content_has_an_equal_fingerprint_and_any_change_another() -> None:
    raw = [(1, 10, 2.0, 50), (1, 11, 3.0, 51), (2, 10, 5.0, 52)]
    items = pd.DataFrame({"item_id": [10, 11], "title": ["A", "B"]})
    original = build_dataset("a", frame(*raw), items).fingerprint
    assert build_dataset("another name", frame(*raw), items).fingerprint == original
    changed = [
        build_dataset("a", frame((1, 10, 2.5, 50), *raw[1:]), items),
        build_dataset("a", frame((1, 10, 2.0, 49), *raw[1:]), items),
        build_dataset("a", frame((1, 11, 2.0, 50), (1, 10, 3.0, 51), raw[2]), items),
        build_dataset("a", frame((3, 10, 2.0, 50), *raw[1:]), items),
        build_dataset("a", frame(*raw), items.assign(title=["A", "C"])),
        build_dataset("a", frame(*raw), items, pd.DataFrame({"user_id": [1, 2], "age": [30, 40]})),
    ]
    assert len({original, *(data.fingerprint for data in changed)}) == len(changed) + 1


COUNTS = [1, 1, 1, 2, 3, 8, 500]


@pytest.mark.parametrize(
    ("values", "positive", "like"),
    [
        (COUNTS, 0.0, 2.0),  # not the 500 plays of one user
        (COUNTS, 3.0, 8.0),  # of what counts as liked, so that a like does
        (COUNTS, 900.0, 900.0),
        ([1, 1, 1, 1, 1, 1, 3], 0.0, 1.0),
        ([-1, -1, -1, -1, -1, -1, 2], 0.0, 2.0),  # returned: nothing of a like
        ([0, 0, 0], 0.0, 1.0),
    ],
)
def test_m49_a_like_among_events_weighs_as_one_that_counts(values: list[float], positive: float, like: float) -> None:
    rows = pd.DataFrame({"user_id": range(len(values)), "item_id": "x", "rating": values})
    data = build_dataset("d", rows, interpretation=Interpretation(Reading(feedback="implicit")))
    assert data.in_scale(5.0, positive) == data.in_scale(LIKED_STARS, positive) == like >= positive
    assert data.in_scale(LIKED_STARS / 2, positive) == like / 2


@given(st.lists(st.floats(0.0625, 1e6, width=32), min_size=1, max_size=20), st.floats(0, 100))
def test_m49_a_like_among_events_counts_as_liked_whatever_they_weigh(values: list[float], positive: float) -> None:
    rows = pd.DataFrame({"user_id": range(len(values)), "item_id": "x", "rating": values})
    data = build_dataset("d", rows, interpretation=Interpretation(Reading(feedback="implicit")))
    assert positive <= data.in_scale(LIKED_STARS, positive) <= max(positive, 1.0, *values)
