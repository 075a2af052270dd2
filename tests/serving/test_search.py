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


@pytest.fixture(scope="module")
def sample() -> TitleSearch:
    return TitleSearch.of(load_dataset("sample"))


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
    assert catalogue[index.find(query).films[0]] == wanted


def test_a_year_picks_among_films_of_one_title(index: TitleSearch, years: list[int]) -> None:
    for year in (1933, 2005):
        assert years[index.find(f"King Kong {year}").films[0]] == year
        assert years[index.find(f"king kong ({year})").films[0]] == year


def test_a_number_that_is_the_title_is_not_taken_for_a_year(index: TitleSearch, catalogue: list[str]) -> None:
    assert catalogue[index.find("2001").films[0]] == "2001: A Space Odyssey"


def test_order_is_same_then_begins_then_words_then_contains_then_fame() -> None:
    titles = ["Scarecrow", "Crow Road", "The Crow", "Black Crow", "Crow Bar"]
    index = search_in(titles, weights=[9, 1, 0, 5, 3])
    assert [titles[i] for i in index.find("crow").films] == [
        "The Crow",
        "Crow Bar",
        "Crow Road",
        "Black Crow",
        "Scarecrow",
    ]


def test_other_titles_lead_to_the_film_once() -> None:
    index = search_in(["Spirited Away", "Seven"], others=["Sen to Chihiro no kamikakushi|Spirited Away (US)", ""])
    assert index.find("chihiro").films == [0]
    assert index.find("spirited").films == [0]


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ("Cidade de Deus", "City of God"),
        ("sen to chihiro no kamikakushi", "Spirited Away"),
        ("千と千尋", "Spirited Away"),
        ("Les quatre cents coups", "The 400 Blows"),
        ("sorcerer's stone", "Harry Potter and the Philosopher's Stone"),
        ("Star Wars: Episode V", "The Empire Strikes Back"),
        ("jeanne dielman, 23 quai du commerce", "Jeanne Dielman"),
    ],
)
def test_the_sample_knows_titles_that_many_use(sample: TitleSearch, query: str, wanted: str) -> None:
    matches = sample.find(query)
    assert not matches.nearest
    assert load_dataset("sample").films[matches.films[0]][1] == wanted


def test_misspellings_are_looked_for_only_when_nothing_matches(index: TitleSearch, catalogue: list[str]) -> None:
    assert [catalogue[i] for i in index.find("shawshank").films] == ["The Shawshank Redemption"]
    assert index.find("zzzzqqqq") == ([], 0, True)


@pytest.mark.parametrize("query", ["Cidade de Deus", "Cars", "Tenet", "L'Avventura", "Rocky 17", "fast and furious 9"])
def test_a_title_that_is_not_there_is_never_taken_for_another(index: TitleSearch, query: str) -> None:
    matches = index.find(query)
    assert matches.nearest
    assert len(matches.films) <= 3


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ("lotr", "The Lord of the Rings: The Fellowship of the Ring"),
        ("tdk", "The Dark Knight"),
        ("hitchcock", "Psycho"),
        ("hitchcock 1954", "Rear Window"),
        ("nolan batman", "The Dark Knight"),
        ("1999", "The Matrix"),
        ("western 1966", "The Good, the Bad and the Ugly"),
        ("7 samurai", "Seven Samurai"),
        ("seven", "Se7en"),
        ("spiderman", "Spider-Man"),
        ("starwars", "Star Wars"),
        ("cleo from 5 to 7", "Cleo from 5 to 7"),
    ],
)
def test_films_are_found_by_director_year_genre_initials_and_other_spellings(
    sample: TitleSearch, catalogue: list[str], query: str, wanted: str
) -> None:
    matches = sample.find(query)
    assert wanted in [catalogue[i] for i in matches.films]
    assert not matches.nearest


def test_a_number_at_the_end_is_a_whole_number() -> None:
    titles = ["Star Wars: Episode IV", "Star Wars: Episode V", "Star Wars: Episode VI"]
    index = search_in(titles, weights=[9, 1, 9])
    assert [titles[i] for i in index.find("star wars episode 5").films] == ["Star Wars: Episode V"]
    assert titles[index.find("star wars episode v").films[0]] == "Star Wars: Episode V"


def test_how_many_match_is_known_beyond_those_shown(sample: TitleSearch) -> None:
    matches = sample.find("horror", limit=3)
    assert len(matches.films) == 3
    assert matches.total > 50
    assert sample.find("horror", limit=matches.total).films[:3] == matches.films


@given(st.text(max_size=200), st.integers(1, 5))
def test_any_query_gives_at_most_that_many_different_films(query: str, limit: int) -> None:
    index = search_in(["Jaws", "8½", "$", "", "千と千尋の神隠し", "A" * 5_000], years=[1975, None, 1971, 0, 2001, 1])
    hits, total, _ = index.find(query, limit=limit)
    assert len(hits) == len(set(hits)) <= min(limit, total)
    assert all(0 <= position < 6 for position in hits)


def test_an_empty_query_finds_nothing(index: TitleSearch) -> None:
    assert index.find("") == index.find("   ") == ([], 0, False)


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


@pytest.mark.parametrize(
    ("query", "wrong"),
    [("star wars episode v", "Star Wars: Episode I - The Phantom Menace"), ("kes", "Shakespeare in Love")],
)
def test_a_numeral_is_no_beginning_of_a_word_and_a_short_query_no_part_of_one(query: str, wrong: str) -> None:
    index = TitleIndex([wrong, "Kestrel"], years=[1999, 2001], weights=[9, 1])
    result = TitleSearch(index, ["villain space", "bird"]).find(query)
    assert result.nearest or result.films == [1]
    assert not TitleSearch(TitleIndex(["Rocky IV"])).find("rocky 4").nearest
