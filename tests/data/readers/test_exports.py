"""Exports of other sites: read by their form, row by row, and never half understood."""

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from recengine.data.readers import exports
from recengine.data.readers.export_rows import RatedTitle
from recengine.data.readers.exports import Export, read_export
from recengine.errors import BadInput
from tests.support.archives import zipped
from tests.support.letterboxd import letterboxd_zip, table

LETTERBOXD = "Date,Name,Year,Letterboxd URI,Rating\n2024-05-31,The Matrix,1999,https://boxd.it/1,4.5\n"
IMDB = (
    "Const,Your Rating,Date Rated,Title,Original Title,URL,Title Type,IMDb Rating,Runtime (mins),Year,Genres\n"
    'tt0112682,9,2024-05-31,The City of Lost Children,La cité des enfants perdus,u,Movie,7.5,112,1995,"Drama, Sci-Fi"\n'
    "tt0944947,10,2024-05-31,Game of Thrones,Game of Thrones,u,TV Series,9.2,57,2011,Drama\n"
    "tt0096697,8,2024-05-31,The Simpsons,The Simpsons,u,tvSeries,8.7,22,1989,Comedy\n"
)


def read(text: str | bytes, **more: Any) -> Export:
    return read_export("mine.csv", text.encode() if isinstance(text, str) else text, **more)


def stars(text: str | bytes, **more: Any) -> list[float]:
    return [row.stars for row in read(text, **more).rows]


def test_letterboxd_is_out_of_five() -> None:
    export = read(LETTERBOXD)
    assert export.source == "letterboxd"
    assert export.rows == [RatedTitle(2, "The Matrix", ("The Matrix",), 1999, 4.5, "2024-05-31", 1717113600)]
    assert export.refused == export.notes == []


def test_imdb_is_out_of_ten_and_has_series_which_are_left_out() -> None:
    export = read(IMDB)
    (row,) = export.rows
    assert (export.source, row.imdb_id, row.stars, row.year) == ("imdb", 112682, 4.5, 1995)
    assert row.names == ("The City of Lost Children", "La cité des enfants perdus")
    assert [(row.line, row.reason) for row in export.refused] == [
        (3, "it is not a film: its type is TV Series"),
        (4, "it is not a film: its type is tvSeries"),
    ]


def test_imdb_s_export_from_before_2017_is_read() -> None:
    export = read(
        '"position","const","created","Title","Title type","You rated","IMDb Rating","Year"\n'
        '"1","tt0133093","Sat May 1 00:00:00 2010","The Matrix","Feature Film","9","8.7","1999"\n'
        '"2","tt0944947","Sun May 2 00:00:00 2010","Game of Thrones","TV Series","8","9.2","2011"\n'
    )
    assert [(row.title, row.year, row.stars) for row in export.rows] == [("The Matrix", 1999, 4.5)]
    assert [row.reason for row in export.refused] == ["it is not a film: its type is TV Series"]


TMDB = (
    "TMDb ID,IMDb ID,Type,Name,Release Date,Season Number,Episode Number,Rating,Your Rating,Date Rated\n"
    "603,tt0133093,movie,The Matrix,1999-03-31T00:00:00Z,,,8.2,9.0,2024-05-01T10:00:00Z\n"
    "605,,tv,Sabrina the Teenage Witch,1996-09-27T00:00:00Z,,,7.7,9.0,2024-05-01T10:00:00Z\n"
    "78,tt0083658,movie,Blade Runner,1982-06-25T00:00:00Z,,,7.9,,\n"
)


def test_tmdb_is_out_of_ten_and_its_column_rating_is_everybody_s() -> None:
    export = read(TMDB)
    (row,) = export.rows
    assert (export.source, row.tmdb_id, row.imdb_id, row.stars, row.year) == ("tmdb", 603, 133093, 4.5, 1999)
    assert row.ts == 1714557600
    assert [(row.line, row.reason) for row in export.refused] == [
        (3, "it is not a film: its type is tv"),
        (4, "it has no rating"),
    ]


TRAKT = (
    "rated_at,type,title,year,trakt_rating,trakt_id,imdb_id,tmdb_id,tvdb_id,url,released,season_number,"
    "episode_number,episode_title,episode_released,episode_trakt_rating,episode_trakt_id,episode_imdb_id,"
    "episode_tmdb_id,episode_tvdb_id,genres,rating\n"
    '2024-05-01T10:00:00.000Z,movie,The Matrix,1999,8.7,481,tt0133093,603,,u,1999-03-31,,,,,,,,,,"action,drama",7\n'
    "2024-05-01T10:00:00.000Z,episode,A Series,2008,8.1,41,tt0000045,41,83,u,2008-01-20,7,7,A Part,,,,,,,drama,9\n"
    "2024-05-01T10:00:00.000Z,show,A Series,2008,8.1,41,tt0000045,41,83,u,2008-01-20,,,,,,,,,,drama,9\n"
)


def test_trakt_is_out_of_ten_and_has_episodes_which_are_left_out() -> None:
    export = read(TRAKT)
    (row,) = export.rows
    assert (export.source, row.tmdb_id, row.imdb_id, row.stars, row.year) == ("trakt", 603, 133093, 3.5, 1999)
    assert [row.reason for row in export.refused] == [
        "it is not a film: its type is episode",
        "it is not a film: its type is show",
    ]


def test_for_a_data_set_a_plain_rating_is_kept_as_it_is_and_one_out_of_range_is_an_error() -> None:
    text = "title,rating\nHeat,3.7\nAlien,0\n"
    assert [row.rating for row in read(text, rating_range=(0.0, 10.0)).rows] == [3.7, 0.0]
    with pytest.raises(BadInput, match=r"rating '0' in line 3 .* cannot be used; expected a number from 1 to"):
        read(text, rating_range=(1.0, 5.0))
    assert [row.rating for row in read(LETTERBOXD, rating_range=(1.0, 5.0)).rows] == [None]


def test_movielens_goes_by_number_with_or_without_titles() -> None:
    export = read("userId,movieId,rating,timestamp\n7,2571,4.5,1717113600\n7,50,3,1717113601\n")
    assert export.source == "movielens"
    assert [(row.movielens_id, row.names, row.ts) for row in export.rows] == [
        ("2571", (), 1717113600),
        ("50", (), 1717113601),
    ]
    site = 'movie_id,imdb_id,tmdb_id,rating,average_rating,title\n2571,0133093,603,4.5,4.2,"Matrix, The (1999)"\n'
    (row,) = read(site).rows
    assert (row.movielens_id, row.imdb_id, row.tmdb_id, row.stars) == ("2571", 133093, 603, 4.5)
    assert (row.names, row.year) == (("Matrix, The (1999)", "The Matrix"), 1999)


def test_the_ratings_of_several_users_are_refused() -> None:
    with pytest.raises(BadInput, match=r"several users \(line 3\)"):
        read("userId,movieId,rating\n7,1,4\n8,1,4\n")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("title,rating\nHeat,★★★½\nHeat,★★★★★\nHeat,½\n", [3.5, 5.0, 0.5]),
        ("title;rating\nHeat;3,5\n", [3.5]),
        ("title\trating\nHeat\t3.5\n", [3.5]),
        ("Title,Rating10\nHeat,7\nHeat,10\n", [3.5, 5.0]),
        ("Title,Rating,Rating10\nHeat,2,\nHeat,,8\n", [2.0, 4.0]),
        ("title,rating\nHeat,3.7\nHeat,0.1\n", [3.5, 0.5]),
    ],
)
def test_a_plain_csv_may_write_its_ratings_in_many_ways(text: str, expected: list[float]) -> None:
    assert stars(text) == expected


def test_the_scale_of_a_plain_csv_is_given_and_never_guessed() -> None:
    text = "title,rating\nHeat,5\nAlien,8\nBrazil,100\n"
    assert (stars(text), len(read(text).refused)) == ([5.0], 2)
    assert (stars(text, out_of=10), len(read(text, out_of=10).refused)) == ([2.5, 4.0], 1)
    assert stars(text, out_of=100) == [0.5, 0.5, 5.0]
    assert stars(LETTERBOXD, out_of=10) == [4.5]  # a known form has its own


def test_a_row_that_cannot_be_used_is_refused_by_itself_with_its_line() -> None:
    export = read(
        'title,year,rating\nHeat,1995,4\n"One, Two",1995,\nTwo,1995,seven\nThree,1995,6\nFour,1995,nan\n'
        f"Five,1995\nSix,1995,1e400\nSeven,1995,0\n,1995,4\n{'x' * 600},1995,4\nEight,1995,-1\nNine,1995,4,4\n"
    )
    assert [row.title for row in export.rows] == ["Heat"]
    assert [(row.line, row.reason) for row in export.refused] == [
        (3, "it has no rating"),
        (4, "its rating 'seven' is not a number"),
        (5, "its rating 6 is outside the scale, which goes up to 5"),
        (6, "its rating 'nan' is not a number"),
        (7, "it has 2 fields where the header has 3"),
        (8, "its rating '1e400' is not a number"),
        (9, "its rating 0 is outside the scale, which goes up to 5"),
        (10, "it names no film"),
        (11, "its title has 600 letters"),
        (12, "its rating '-1' is not a number"),
        (13, "it has 4 fields where the header has 3"),
    ]


def test_an_id_of_more_digits_than_python_reads_is_none() -> None:
    (film,) = read(f"title,year,rating,tmdb_id,imdb_id\nHeat,1995,4,{'0' * 5_000}1,tt{'9' * 5_000}\n").rows
    assert (film.title, film.tmdb_id, film.imdb_id) == ("Heat", 0, 0)


def test_a_title_na_is_a_title() -> None:
    assert [row.title for row in read("title,rating\nNA,4\nnull,4\nNaN,4\n").rows] == ["NA", "null", "NaN"]


def test_what_was_guessed_is_noted() -> None:
    assert any("rounded" in note for note in read("title,rating\nHeat,3.7\n").notes)
    export = read("title,rating,date\nHeat,4,yesterday\nAlien,4,99999999999999\n")
    assert [row.ts for row in export.rows] == [0, 0]
    assert export.notes == ["2 rows have no date that can be read; they count as rated now."]
    assert any("cp1252" in note for note in read("title,rating\nAmélie,4\n".encode("cp1252")).notes)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_every_usual_encoding_is_read(encoding: str) -> None:
    (row,) = read("title,year,rating\nAmélie,2001,4\n".encode(encoding)).rows
    assert (row.title, row.year, row.stars) == ("Amélie", 2001, 4.0)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b"title,year\nHeat,1995\n", "has the columns"),
        (b"title,rating\n", "has a header but no ratings"),
        (b"title,rating\nHe\0at,4\n", "line 2 of mine.csv holds a NUL byte"),
        (b'title,rating\n"Heat,4\n' + b"x" * (3 << 20), "line .* is not well-formed CSV"),
        (b"title,rating\n" + b"x" * (3 << 20) + b",4\n", "line .* is not well-formed CSV"),
        (b"title,rating\n" + b"Heat,4\n" * 700_000, r"holds 4,900,013 bytes; .* up to 4,194,304 bytes"),
        (b'title,rating\n"He"at,4\n', "line 2 .* is not well-formed CSV"),
        (b"PK\x03\x04 and no more", "is not a whole zip file"),
    ],
)
def test_a_file_that_cannot_be_read_is_one_sentence(content: bytes, words: str) -> None:
    with pytest.raises(BadInput, match=words) as error:
        read(content)
    assert "\n" not in str(error.value)


def test_more_rows_than_a_user_rates_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exports, "MOST_ROWS", 3)
    assert len(read("title,rating\n" + "Heat,4\n" * 3).rows) == 3
    with pytest.raises(BadInput, match="more than 3 rows"):
        read("title,rating\n" + "Heat,4\n" * 4)


def test_each_table_of_letterboxd_s_zip_says_something_else_of_a_film() -> None:
    content = letterboxd_zip(
        {("The Matrix", 1999): 4.5},
        liked=[("The Matrix", 1999), ("Alien", 1979)],
        seen=[("Jaws", 1975), ("The Matrix", 2021)],
        watchlist=[("Jaws", 1975), ("Psycho", 1960)],
    )
    export = read_export("letterboxd.zip", content)
    assert [(row.file, row.line, row.title, row.mark, row.stars) for row in export.rows] == [
        ("ratings.csv", 2, "The Matrix", "rated", 4.5),
        ("likes/films.csv", 3, "Alien", "liked", 4.5),
        ("watched.csv", 4, "Jaws", "seen", 0.0),
        ("watched.csv", 5, "The Matrix", "seen", 0.0),
        ("watchlist.csv", 3, "Psycho", "watchlist", 0.0),
    ]
    assert [(table.rows, table.repeated) for table in export.tables] == [(1, 0), (2, 1), (4, 2), (2, 1)]
    only_seen = read_export("letterboxd.zip", zipped({"x/watched.csv": table([("Jaws", 1975)])}))
    assert [row.mark for row in only_seen.rows] == ["seen"]
    with pytest.raises(BadInput, match=r"holds no ratings.csv"):
        read_export("letterboxd.zip", zipped({"profile.csv": "a,b\n1,2\n"}))
    with pytest.raises(BadInput, match=r"has a header but no ratings"):
        read_export("letterboxd.zip", letterboxd_zip({}))


@pytest.mark.parametrize(
    ("name", "mark"),
    [
        ("watched.csv", "seen"),
        ("watchlist.csv", "watchlist"),
        ("watchlist-ann-2024.csv", "watchlist"),
        ("films.csv", "liked"),
    ],
)
def test_a_table_of_the_zip_may_come_alone_and_goes_by_its_name(name: str, mark: str) -> None:
    (row,) = read_export(name, table([("Jaws", 1975)]).encode()).rows
    assert (row.title, row.mark) == ("Jaws", mark)
    assert read_export(name, LETTERBOXD.encode()).rows[0].mark == "rated"
    with pytest.raises(BadInput, match="has the columns"):
        read_export("mine.csv", table([("Jaws", 1975)]).encode())


def test_a_zip_that_swells_is_refused() -> None:
    with pytest.raises(BadInput, match="beyond what is allowed"):
        read_export("bomb.zip", zipped({"ratings.csv": "title,rating\n" + "\n" * (66 << 20)}))


CELLS = st.sampled_from(["title", "rating", "movieId", "Const", "Your Rating", "Heat", "4", "★★", '"', "'", "=1+1", ""])
TEXTS = st.lists(st.lists(CELLS | st.text(max_size=8), max_size=5).map(",".join), max_size=6).map("\n".join)


@example(b"Const,rating\nnothing,4\ntt0,4\n")
@given(st.binary(max_size=200) | TEXTS.map(str.encode) | TEXTS.map(lambda text: f"title,rating\n{text}".encode()))
def test_any_bytes_are_an_export_or_one_sentence(content: bytes) -> None:
    with suppress(BadInput):
        export = read(content)
        assert all(0.5 <= row.stars <= 5 and (2 * row.stars).is_integer() for row in export.rows)
        assert all(row.names or row.item_id or row.movielens_id or row.imdb_id or row.tmdb_id for row in export.rows)


@given(st.integers(0, 200), st.integers(0, 255))
def test_a_damaged_zip_is_an_export_or_one_sentence(position: int, byte: int) -> None:
    content = bytearray(zipped({"ratings.csv": LETTERBOXD}))
    content[position % len(content)] = byte
    with suppress(BadInput):
        assert read_export("damaged.zip", bytes(content)).source == "letterboxd"
