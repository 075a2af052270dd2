"""A user's taste compared with all users', against figures worked out by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from recengine.data.dataset import Dataset
from recengine.data.interactions import Interactions
from recengine.serving.own_taste import Labels, Usual, compare, labels_of, usual_of


def test_labels_are_split_and_an_item_has_each_once(tiny: Dataset) -> None:
    n = tiny.n_items
    genres = ["Horror|Comedy|Horror", "", *["Comedy"] * (n - 2)]
    years = pd.array([1979, None, *[1984] * (n - 2)], dtype="Int64")
    data = replace(tiny, items=tiny.items.assign(genres=genres, year=years))
    labels = labels_of(data, "genres")
    assert labels.names == ["Comedy", "Horror"]
    assert [(item, labels.names[label]) for item, label in zip(labels.item_idx, labels.label, strict=True)][:3] == [
        (0, "Horror"),
        (0, "Comedy"),
        (2, "Comedy"),
    ]
    decades = labels_of(data, "decade")
    assert decades.names == ["1970s", "1980s"]
    assert 1 not in decades.item_idx
    assert labels_of(replace(data, items=data.items.drop(columns="director", errors="ignore")), "director").names == []


def test_a_group_holds_what_the_user_and_all_users_do() -> None:
    labels = Labels(["crime", "war"], np.array([0, 1, 2, 2, 3]), np.array([0, 0, 0, 1, 1]))
    usual = Usual(np.array([6, 2, 1, 1]), np.array([4.0, 3.0, 2.5, np.nan]))
    crime, war = compare(labels, usual, np.array([0, 1, 3]), np.array([5.0, 1.0, 4.0]), positive=4.0, negative=2.75)
    assert crime._asdict() == {
        "name": "crime",
        "items": 2,
        "liked": 1,
        "disliked": 1,
        "share": 0.5,  # one of two likes
        "usual_share": 0.9,  # (6 + 2 + 1) / 10
        "mean": 3.0,
        "usual_mean": 3.5,
    }
    assert (war.items, war.liked, war.disliked, war.share, war.usual_share, war.mean) == (1, 1, 0, 0.5, 0.2, 4.0)
    assert np.isnan(war.usual_mean)  # nobody rated item 3


def test_what_the_user_never_rates_is_compared_where_it_is_common() -> None:
    labels = Labels(["a", "b", "rare"], np.array([0, 1, 2]), np.array([0, 1, 2]))
    usual = Usual(np.array([600, 395, 5]), np.array([3.0, 3.0, 3.0]))
    groups = compare(labels, usual, np.array([1]), np.array([5.0]), positive=4.0, negative=2.0)
    assert [(group.name, group.items, group.share, group.usual_share) for group in groups] == [
        ("a", 0, 0.0, 0.6),
        ("b", 1, 1.0, 0.395),
    ]
    assert np.isnan(groups[0].mean)


def test_without_a_like_there_is_no_share() -> None:
    labels = Labels(["a", "b"], np.array([0, 1]), np.array([0, 1]))
    usual = Usual(np.array([0, 0]), np.array([3.0, 3.0]))
    (only,) = compare(labels, usual, np.array([1]), np.array([2.0]), positive=4.0, negative=2.0)
    assert (only.name, only.share, only.usual_share, only.disliked) == ("b", 0.0, 0.0, 0)


def test_what_all_users_do_is_counted_by_item(tiny: Dataset) -> None:
    rows = Interactions.from_pairs(
        [0, 1, 0], [0, 0, 1], rating=[5.0, 2.0, 4.0], n_users=tiny.n_users, n_items=tiny.n_items
    )
    usual = usual_of(replace(tiny, ratings=rows), 4.0)
    assert usual.likes.tolist()[:3] == [1, 1, 0]
    assert usual.means[:2].tolist() == pytest.approx([3.5, 4.0])
    assert np.isnan(usual.means[2])
