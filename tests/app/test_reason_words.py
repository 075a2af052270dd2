"""Reasons in words: two films, what they share, and hostile titles as plain text."""

from __future__ import annotations

import pandas as pd
import pytest

from pages.ui.reason_words import because, because_html, listed, traits
from recengine.data.build import build_dataset
from recengine.data.dataset import Dataset
from recengine.serving.explain import Reason


@pytest.fixture(scope="module")
def films() -> Dataset:
    ratings = pd.DataFrame({"user_id": ["u"] * 4, "item_id": [*"1234"], "rating": [5.0, 4.0] * 2, "timestamp": 0})
    items = pd.DataFrame(
        {
            "item_id": [*"1234"],
            "title": ["Alien", "The Thing", "Halloween", "<img src=x>\u202e **"],
            "year": [1979, 1982, 1978, 1980],
            "genres": ["Sci-Fi|Horror", "Horror|Sci-Fi", "Horror", ""],
            "keywords": ["space|monster|slow-burn", "monster|ice|slow-burn", "slow-burn|mask", None],
            "director": ["Ridley Scott", "John Carpenter", "John Carpenter", None],
        }
    )
    return build_dataset("films", ratings, items=items)


def test_two_films_and_what_all_three_share(films: Dataset) -> None:
    reason = Reason("contribution", 0, 0.4, also=1)
    assert because(films, reason, 2) == ("Because you loved", "Alien and The Thing", "· slow-burn, horror")
    assert because(films, reason._replace(also=-1), 1, "they") == (
        "Because they loved",
        "Alien",
        "· monster, slow-burn",
    )
    assert because(films, Reason("neighbour", 1), 2) == (
        "Most similar to",
        "The Thing",
        "· by John Carpenter, slow-burn",
    )


def test_reasons_without_films_and_films_that_share_nothing(films: Dataset) -> None:
    assert because(films, Reason("popular"), 2) == ("Popular with everyone", "", "")
    assert because(films, Reason("none"), 2) == ("No single film explains it", "", "")
    assert traits(films, [0, 3]) == []
    assert because(films, Reason("contribution", 0, 1.0), 3) == ("Because you loved", "Alien", "")


def test_a_hostile_title_is_text(films: Dataset) -> None:
    page = because_html(films, Reason("contribution", 3, 1.0), 0)
    assert page == "Because you loved <b>&lt;img src=x&gt; **</b>"


def test_a_list_in_words() -> None:
    assert [listed("abc"[:n]) for n in range(4)] == ["", "a", "a and b", "a, b and c"]
