"""Titles: the catalogue's form taken apart, and spellings made comparable."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recengine.data.titles import foreign, normalise, split_title


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("Matrix, The (1999)", ("The Matrix", 1999, "")),
        (
            "City of Lost Children, The (Cité des enfants perdus, La) (1995)",
            ("The City of Lost Children", 1995, "La Cité des enfants perdus"),
        ),
        ("Seven (a.k.a. Se7en) (1995)", ("Seven", 1995, "Se7en")),
        ("Avventura, L' (Adventure, The) (1960)", ("L'Avventura", 1960, "The Adventure")),
        ("Trou, Le (Hole, The) (Night Watch, The) (1960)", ("Le Trou", 1960, "The Hole|The Night Watch")),
        ("Evangelion: 1.0 You Are (Not) Alone (2007)", ("Evangelion: 1.0 You Are (Not) Alone", 2007, "")),
        ("Birdman: Or (The Unexpected Virtue) (2014)", ("Birdman: Or (The Unexpected Virtue)", 2014, "")),
        ("(Untitled) (2009)", ("(Untitled)", 2009, "")),
        ("(500) Days of Summer (2009)", ("(500) Days of Summer", 2009, "")),
        ("Land Before Time III: Great Giving (1995) (V)", ("Land Before Time III: Great Giving", 1995, "")),
        ("Death Note: Desu nôto (2006–2007)", ("Death Note: Desu nôto", 2006, "")),
        ("Justice League: Doom (2012) ", ("Justice League: Doom", 2012, "")),
        ("Mrs. Brown (a.k.a. Her Majesty, Mrs. Brown) (1997)", ("Mrs. Brown", 1997, "Her Majesty, Mrs. Brown")),
        ("Girl, Interrupted (1999)", ("Girl, Interrupted", 1999, "")),
        ("2001: A Space Odyssey (1968)", ("2001: A Space Odyssey", 1968, "")),
        ("Babylon 5", ("Babylon 5", None, "")),
        ("千と千尋の神隠し (2001)", ("千と千尋の神隠し", 2001, "")),
        ("(1999)", ("(1999)", 1999, "")),
        ("", ("", None, "")),
    ],
)
def test_a_catalogue_title_splits_into_natural_title_year_and_other_titles(
    raw: str, expected: tuple[str, int | None, str]
) -> None:
    assert split_title(raw) == expected


@pytest.mark.parametrize(
    "spellings",
    [
        ("The Matrix", "Matrix, The", "matrix", "THE MATRIX!"),
        ("Amélie", "Amelie"),
        ("Mr. & Mrs. Smith", "Mr and Mrs Smith"),
        ("Ocean's Eleven", "Oceans Eleven", "Ocean’s Eleven"),
        ("WALL·E", "WALL-E", "wall e"),
        ("M*A*S*H", "MASH"),
        ("8 ½ Women", "8 1/2 Women"),
        ("Avventura, L'", "L'avventura", "L’Avventura"),
        ("Æon Flux", "Aeon Flux"),
        ("Straße", "strasse"),
    ],
)
def test_spellings_of_one_title_normalise_alike(spellings: tuple[str, ...]) -> None:
    assert len({normalise(s) for s in spellings}) == 1


def test_different_titles_stay_apart() -> None:
    titles = ["Alien", "Aliens", "Alien³", "$", "...", "The", "A", "Die Hard", "Hard", "千と千尋の神隠し"]
    assert len({normalise(t) for t in titles}) == len(titles)


@given(st.text(max_size=60))
def test_any_text_is_split_and_normalised_to_something(raw: str) -> None:
    title, year, _ = split_title(raw)
    assert bool(title) == bool(raw.strip())
    assert year is None or 1800 <= year < 2100
    assert bool(normalise(raw)) == bool(raw.strip())
    assert normalise(f" {raw.strip()} ") == normalise(raw)


ENGLISH = [
    ("Indiana Jones and the Last Crusade", ""),
    ("Raiders of the Lost Ark", "Indiana Jones and the Raiders of the Lost Ark"),
    ("Men in Black", "MIB"),
    ("Twelve Monkeys", "12 Monkeys"),
    ("L.A. Confidential", ""),
    ("Alien", ""),
    ("Monkeys", ""),
    ("Alien³", "Alien 3"),
    ("The Samurai of the West", ""),
]
FOREIGN = [
    ("Amelie", "Le Fabuleux destin d'Amélie Poulain"),
    ("Seven Samurai", "Shichinin no samurai"),
    ("The Celebration", "Festen"),
    ("8 Women", "8 femmes"),
    ("La Strada", ""),
    ("L'Avventura", "The Adventure"),
    ("Les Misérables", ""),
]


def test_original_titles_show_which_films_are_foreign() -> None:
    titles, others = zip(*ENGLISH, *FOREIGN, ("Heat", ""), strict=True)
    expected = [False] * len(ENGLISH) + [True] * len(FOREIGN) + [False]
    assert foreign(titles, others).tolist() == expected


def test_where_no_original_is_written_or_most_titles_look_foreign_none_is() -> None:
    assert not foreign(["La Strada", "Heat", "Alien"], ["", "", ""]).any()
    assert not foreign(["La Strada", "Nights", "Heat"], ["", "Le Notti di Cabiria", ""]).any()
    assert foreign(["La Strada", "Nights", "Heat", "Alien"], ["", "Le Notti di Cabiria", "", ""]).sum() == 2
    assert foreign([], []).tolist() == []
