"""Typeahead: accents, articles, typos, years and fame; and any nonsense."""

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recengine.data.sources import load_dataset
from recengine.data.title_index import TitleIndex
from recengine.serving.search import TitleSearch, UserIndex


def search_in(titles: Sequence[str], **details: Any) -> TitleSearch:
    return TitleSearch(TitleIndex(titles, **details))


@pytest.fixture(scope="module")
def years() -> list[int]:
    return load_dataset("sample").items["year"].tolist()


@pytest.fixture(scope="module")
def catalogue() -> list[str]:
    return load_dataset("sample").items["title"].tolist()


@pytest.fixture(scope="module")
def index(catalogue: list[str], years: list[int]) -> TitleSearch:
    return search_in(catalogue, years=years)


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ("Matrix, The", "The Matrix"),
        ("matrix", "The Matrix"),
        ("amelie", "Amélie"),
        ("AMÉLIE", "Amélie"),
        ("godfahter", "The Godfather"),
        ("shawshenk redemtion", "The Shawshank Redemption"),
        ("psyco", "Psycho"),
        ("inglorious bastards", "Inglourious Basterds"),
        ("lord rings", "The Lord of the Rings: The Fellowship of the Ring"),
        ("wall e", "WALL·E"),
        ("M", "M"),
    ],
)
def test_the_intended_film_comes_first(index: TitleSearch, catalogue: list[str], query: str, wanted: str) -> None:
    assert catalogue[index.find(query)[0]] == wanted


def test_a_year_picks_among_films_of_one_title(index: TitleSearch, years: list[int]) -> None:
    for year in (1933, 2005):
        assert years[index.find(f"King Kong {year}")[0]] == year
        assert years[index.find(f"king kong ({year})")[0]] == year


def test_a_number_that_is_the_title_is_not_taken_for_a_year(index: TitleSearch, catalogue: list[str]) -> None:
    assert catalogue[index.find("2001")[0]] == "2001: A Space Odyssey"


def test_order_is_same_then_begins_then_words_then_contains_then_fame() -> None:
    titles = ["Scarecrow", "Crow Road", "The Crow", "Black Crow", "Crow Bar"]
    index = search_in(titles, weights=[9, 1, 0, 5, 3])
    assert [titles[i] for i in index.find("crow")] == ["The Crow", "Crow Bar", "Crow Road", "Black Crow", "Scarecrow"]


def test_other_titles_lead_to_the_film_once() -> None:
    index = search_in(["Spirited Away", "Seven"], others=["Sen to Chihiro no kamikakushi|Spirited Away (US)", ""])
    assert index.find("chihiro") == [0]
    assert index.find("spirited") == [0]


def test_misspellings_are_looked_for_only_when_nothing_matches(index: TitleSearch, catalogue: list[str]) -> None:
    assert [catalogue[i] for i in index.find("shawshank")] == ["The Shawshank Redemption"]
    assert index.find("zzzzqqqq") == []


@given(st.text(max_size=200), st.integers(1, 5))
def test_any_query_gives_at_most_that_many_different_films(query: str, limit: int) -> None:
    index = search_in(["Jaws", "8½", "$", "", "千と千尋の神隠し", "A" * 5_000], years=[1975, None, 1971, 0, 2001, 1])
    hits = index.find(query, limit=limit)
    assert len(hits) == len(set(hits)) <= limit
    assert all(0 <= position < 6 for position in hits)


def test_an_empty_query_finds_nothing(index: TitleSearch) -> None:
    assert index.find("") == index.find("   ") == []


def test_users_by_id_come_shortest_first_then_by_profile() -> None:
    users = UserIndex([1, 12, 112, 2, 120], ["18-24 artist", "engineer", "artist", "18-24 engineer", "artist"])
    assert users.find("12") == [1, 4, 2]
    assert users.find("#2", limit=4) == [3, 1, 2, 4]
    assert users.find("eng") == [1, 3]
    assert users.find("18 eng") == [3]
    assert users.find("astronaut") == users.find("") == []


@given(st.text(max_size=50))
def test_any_query_for_users_is_answered(query: str) -> None:
    hits = UserIndex(["a", "B", "ü"]).find(query, limit=2)
    assert len(hits) <= 2
