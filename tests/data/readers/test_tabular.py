"""Custom ratings: the tabular layout and single CSVs, by path (fast) and by upload (row by row)."""

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recengine.data.dataset import Dataset
from recengine.data.readers.fast import read_fast
from recengine.data.readers.settle import Columns
from recengine.data.readers.shape import Shape
from recengine.data.readers.tabular import load_single
from recengine.data.reading import Reading
from recengine.data.sources import load_dataset, load_upload
from recengine.errors import BadInput
from tests.support.archives import zipped

LONG = b"userId,movieId,rating,timestamp\n1,10,4.0,964982703\n2,20,3.5,964982704\n1,20,5,7\n"
DATED = (
    LONG.replace(b"964982703", b"2000-07-30T18:45:03")
    .replace(b"964982704", b"2000-07-30T20:45:04+02:00")
    .replace(b"5,7\n", b"5,1970-01-01T00:00:07Z\n")
)
WIDE = b"user;Matrix, The (1999);Heat (1995);1917 (2019)\nann;4,5;-1;\nbob;;3;0.5\n"
MOVIES = 'movieId,title,genres\n10,"Matrix, The (1999)",Action|Sci-Fi\n20,Heat (1995),(no genres listed)\n'


def both_ways(content: bytes, folder: Path) -> tuple[Dataset, Dataset]:
    """Load the same CSV as an upload and by its path."""
    path = folder / "mine.csv"
    path.write_bytes(content)
    return load_upload("mine.csv", content), load_dataset(path)


def complaint(content: bytes, folder: Path) -> str:
    """Return the message of both ways of loading; they must agree on the line."""
    path = folder / "mine.csv"
    path.write_bytes(content)
    with pytest.raises(BadInput) as by_upload:
        load_upload("mine.csv", content)
    with pytest.raises(BadInput) as by_path:
        load_dataset(path)
    assert str(by_path.value).replace(f" in {folder}", "") == str(by_upload.value)
    assert "\n" not in str(by_upload.value)
    return str(by_upload.value)


def rows_of(data: Dataset) -> list[tuple[Any, Any, float, int]]:
    r = data.ratings
    users, items = data.user_ids[r.user_idx].tolist(), data.item_ids[r.item_idx].tolist()
    return list(zip(users, items, r.rating.tolist(), r.timestamp.tolist(), strict=True))


def test_rows_keep_the_order_of_the_file(tmp_path: Path) -> None:
    for data in both_ways(LONG, tmp_path):
        assert rows_of(data) == [(1, 10, 4.0, 964982703), (2, 20, 3.5, 964982704), (1, 20, 5.0, 7)]


@pytest.mark.parametrize(
    "variant",
    [
        LONG.replace(b"\n", b"\r\n"),
        LONG.replace(b"\n", b"\r"),
        LONG.replace(b",", b";"),
        LONG.replace(b",", b"\t"),
        LONG.rstrip(),
        LONG + b"\n\n",
        b"\n" + LONG,
        b"\xef\xbb\xbf" + LONG,
        LONG.decode().encode("utf-16"),
        LONG.replace(b"userId,movieId,rating,timestamp", b"User ID,item_id,Stars,time"),
        LONG.replace(b"2,20,3.5", b'"2","20"," 3.5 "'),
        DATED,
        b"sep=,\n" + LONG,
        b"sep=;\r\n" + LONG.replace(b",", b";"),
        LONG.replace(b",", b";").replace(b"3.5", b"3,5"),
    ],
)
def test_separators_line_ends_encodings_names_and_dates_are_understood(variant: bytes, tmp_path: Path) -> None:
    for data in both_ways(variant, tmp_path):
        assert rows_of(data) == rows_of(load_upload("x.csv", LONG))


def test_columns_may_stand_in_any_order_beside_others(tmp_path: Path) -> None:
    content = b"note,rating,movieId,userId\nfine,4,10,1\n,2,20,1\n"
    for data in both_ways(content, tmp_path):
        assert rows_of(data) == [(1, 10, 4.0, 0), (1, 20, 2.0, 1)]
        assert "Columns not used: note." in data.cleaning.lines()


def test_windows_text_is_read_and_noted() -> None:
    data = load_upload("w.csv", "user,item,rating\nann,Amélie,4\n".encode("cp1252"))
    assert data.items["title"].tolist() == ["Amélie"]
    assert any("cp1252" in line for line in data.cleaning.lines())


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (LONG + b"3,10,4.0,5,6\n", "line 5 of mine.csv has 5 fields where the header has 4"),
        (LONG + b"3,10,4.0\n", "line 5 of mine.csv has 3 fields"),
        (b"userId,movieId,rating,timestamp\n1,2,3\n4,5,3,6,7\n", "line 2 of mine.csv has 3 fields"),  # 8 in all
        (LONG.replace(b"3.5", b"11"), "line 3 of mine.csv has the rating '11'; expected a number from 0 to 10"),
        (LONG.replace(b"3.5", b"-0.5"), "line 3 of mine.csv has the rating '-0.5'"),
        (LONG.replace(b"3.5", b"nan"), "line 3 of mine.csv has the rating 'nan'; expected a number"),
        (LONG.replace(b"3.5", b"NA"), "line 3 of mine.csv has the rating 'NA'"),
        (LONG.replace(b"3.5", b"1e400"), "line 3 of mine.csv has the rating '1e400'"),
        (LONG.replace(b"3.5", b"True"), "line 3 of mine.csv has the rating 'True'"),
        (LONG.replace(b"964982704", b"soon"), "line 3 of mine.csv has the timestamp 'soon'"),
        (LONG.replace(b"964982704", b"9" * 30), "line 3 of mine.csv has the timestamp '999"),
        (LONG.replace(b"2,20", b'"2"x,20'), "line 3 of mine.csv is not well-formed CSV"),
        (LONG.replace(b"3.5", b"3.5\0"), "line 3 of mine.csv holds a NUL byte"),
        (b"userId,movieId,rating\n", "mine.csv holds no ratings"),
        (b"\n\n \n", "mine.csv is empty"),
        (b"userId,rating\n1,4\n", "without one for item"),
        (b"\x89PNG\r\n\x1a\n\x81\x8d", "mine.csv is not text"),
        (b"justone\n1\n", "mine.csv has a single column"),
        (b"user,10,10\n1,4,4\n", "names the column '10' 2 times"),
        (b"user,10,\n1,4,4\n", "has a blank column"),
        (b"user,10,20\n1,4,31\n", "the column '20' in line 2 of mine.csv has the rating '31'"),
        (b"user,10,20\n1,4,good\n", "line 2 of mine.csv has 'good' in the column '20'"),
        (b"user,10,20\n,4,3\n", "mine.csv has no row with a user, an item and a rating"),
        (b"user,10,20\n1,,\n", "mine.csv holds no ratings"),
    ],
)
def test_bad_input_is_one_sentence_with_the_line_and_the_value(content: bytes, words: str, tmp_path: Path) -> None:
    assert words in complaint(content, tmp_path)


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "none.csv").write_bytes(b"")
    for load in (lambda: load_upload("none.csv", b""), lambda: load_dataset(tmp_path / "none.csv")):
        with pytest.raises(BadInput, match=r"none\.csv.* is empty"):
            load()


def fast(*blocks: bytes) -> Columns | None:
    shape = Shape(",", True, 1, ["u", "i", "r"], {"user": 0, "item": 1, "rating": 2}, False)
    return read_fast(lambda: iter(blocks), shape, str)


def test_the_fast_parser_declines_what_it_would_read_wrongly() -> None:
    header = b"userId,movieId,rating\n"
    plain = fast(header + b"1,2,3.5\n")
    quoted = fast(header + b'"1","2","3.5"\n')
    assert plain is not None
    assert quoted is not None
    assert (quoted.users.tolist(), quoted.items.tolist()) == (plain.users.tolist(), plain.items.tolist()) == ([1], [2])
    for row in (
        b"1,2,3,4\n",
        b"1,2\n1,2,3,4\n",
        b"1,2,True\n",
        b'"1"x,2,3\n',
        b'1"x",2,3\n',
        b'"a,b",2,3\n',
        b'"a""b",2,3\n',
        b'"a\nb",2,3\n',
        b'",2,3\n',
        b",2,3\n",
        b" ,2,3\n",
        *(b"1,2,%s\n" % rating for rating in (b"0x1F", b"inf", b"")),
    ):
        assert fast(header + b"1,2,3.5\n" + row) is None, row


def test_blocks_may_be_cut_anywhere() -> None:
    for content in (LONG, LONG.replace(b"2,20", b"x y,20")):
        cuts = [load_single("x", Cut(content, size), "x.csv") for size in (1000, 1, 2, 3, 7, 40)]
        assert len({data.fingerprint for data in cuts}) == 1


class Cut:
    """A file that comes in small blocks."""

    label = "x.csv"

    def __init__(self, content: bytes, size: int) -> None:
        self.content, self.size = content, size

    def __contains__(self, member: str) -> bool:
        return True

    def blocks(self, member: str) -> Iterator[bytes]:
        return (self.content[i : i + self.size] for i in range(0, len(self.content), self.size))


def test_a_wide_table_has_titles_or_ids_in_its_header(tmp_path: Path) -> None:
    for data in both_ways(WIDE, tmp_path):
        assert data.user_ids.tolist() == ["ann", "bob"]
        assert [(u, i, r) for u, i, r, _ in rows_of(data)] == [
            ("ann", "Matrix, The (1999)", 4.5),
            ("bob", "Heat (1995)", 3.0),
            ("bob", "1917 (2019)", 0.5),
        ]
        films = data.items.set_index("item_id")
        assert films.loc["Matrix, The (1999)", "title"] == "The Matrix"
        assert films.loc["1917 (2019)", "year"] == 2019
    for data in both_ways(b"user,10,20\n7,-1,4\n8,2,-1.0\n", tmp_path):
        assert rows_of(data) == [(7, 20, 4.0, 0), (8, 10, 2.0, 1)]


def test_zeros_of_a_wide_table_are_ratings_and_are_pointed_out() -> None:
    data = load_upload("w.csv", b"user,10,20,30\n1,0,4,3\n2,3,1,2\n")
    assert data.ratings.rating.tolist() == [0.0, 4.0, 3.0, 3.0, 1.0, 2.0]
    assert any("1 ratings are 0 and count as the lowest" in inference.sentence for inference in data.inferences)


def layout() -> dict[str, str | bytes]:
    return {
        "mine/ratings.csv": LONG,
        "mine/movies.csv": MOVIES + "30,Unrated (2001),Children's|Comedy\n",
        "mine/links.csv": "movieId,imdbId,tmdbId\n10,0133093,603\n20,tt0113277,\n",
        "mine/tags.csv": "userId,movieId,tag,timestamp\n1,10,Fun,1\n2,10,fun,1\n1,10,art,1\n1,10,zen|a,1\n",
        "mine/users.csv": "userId,gender,age,occupation,zip\n1,F,1,10,48067\n2,M,56,16,70072\n99,M,25,1,1\n",
        "mine/notes.txt": "not read",
    }


def test_all_files_of_the_layout_are_used(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    for name, content in layout().items():
        (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    (tmp_path / "mine.zip").write_bytes(zipped(layout()))
    loaded = [
        load_dataset(folder),
        load_dataset(str(tmp_path / "mine.zip")),
        load_upload("mine.zip", zipped(layout())),
    ]
    assert len({data.fingerprint for data in loaded}) == 1
    data = loaded[0]
    assert (data.name, data.n_items, len(data.ratings)) == ("mine", 3, 3)
    assert data.items.fillna(-1).to_dict("list") == {
        "item_id": [10, 20, 30],
        "title": ["The Matrix", "Heat", "Unrated"],
        "year": [1999, 1995, 2001],
        "genres": ["Action|Sci-Fi", "", "Children|Comedy"],
        "imdb_id": [133093, 113277, -1],
        "tmdb_id": [603, -1, -1],
        "tags": ["fun|art|zen/a", "", ""],
    }
    assert data.users is not None
    assert data.users.to_dict("list") == {
        "user_id": [1, 2],
        "gender": ["F", "M"],
        "age": ["under 18", "56+"],
        "occupation": ["K-12 student", "self-employed"],
    }


def test_true_ages_are_not_taken_for_codes() -> None:
    files = {"ratings.csv": LONG, "users.csv": "userId,age,occupation\n1,25,artist\n2,31,2\n"}
    users = load_upload("a.zip", zipped(files)).users  # type: ignore[arg-type]
    assert users is not None
    assert users["age"].tolist() == [25, 31]
    assert users["occupation"].tolist() == ["artist", "2"]


def test_text_ids_in_one_table_and_numbers_in_another_are_joined_as_text() -> None:
    files = {
        "ratings.csv": "userId,movieId,rating\nann,10,4\nbob,x7,3\n",
        "movies.csv": MOVIES + "x7,Heat,Crime\n",
        "users.csv": "userId,mood\nann,good\n3,bad\n",
    }
    data = load_upload("a.zip", zipped(files))  # type: ignore[arg-type]
    assert data.item_ids.tolist() == ["10", "20", "x7"]
    assert data.users is not None
    assert data.users["mood"].fillna("").tolist() == ["good", ""]


def test_ratings_without_a_film_table_are_called_by_their_ids() -> None:
    data = load_upload("a.zip", zipped({"ratings.csv": LONG}))
    assert data.items["title"].tolist() == ["Item 10", "Item 20"]
    assert any("No movies.csv" in line for line in data.cleaning.lines())


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"movies.csv": MOVIES}, "holds no ratings.csv"),
        (
            {"ratings.csv": LONG, "movies.csv": MOVIES + "30,Good, Bad (2000),x\n"},
            "line 4 of movies.csv has 4 fields",
        ),
        ({"ratings.csv": LONG, "movies.csv": "movieId,name\n1,x\n"}, "without one for title"),
        ({"ratings.csv": LONG, "movies.csv": MOVIES + ",No id,x\n"}, "line 4 of movies.csv has no id"),
        ({"ratings.csv": LONG, "movies.csv": ""}, "movies.csv is empty"),
        ({"ratings.csv": LONG, "movies.csv": MOVIES, "tags.csv": "movieId,word\n"}, "expected userId,movieId,tag"),
        ({"ratings.csv": LONG, "users.csv": "name\nx\n"}, "without one for user_id"),
        ({"ratings.csv": LONG, "movies.csv": MOVIES, "links.csv": "a,b\n"}, "without one for item_id"),
        ({"ratings.csv": LONG + b"3,1\n"}, "line 5 of ratings.csv in a.zip has 2 fields"),
    ],
)
def test_a_layout_with_an_error_is_refused_by_file_and_line(files: dict[str, str | bytes], words: str) -> None:
    with pytest.raises(BadInput) as refused:
        load_upload("a.zip", zipped(files))
    assert words in str(refused.value)


def test_repeated_pairs_and_small_users_are_dropped_and_reported(tmp_path: Path) -> None:
    path = tmp_path / "r.csv"
    path.write_text("userId,movieId,rating,timestamp\n1,10,2,5\n1,10,4,9\n1,10,3,9\n1,20,1,1\n2,10,5,1\n")
    data = load_dataset(path).reduced(min_user=2, positive=0)
    assert rows_of(data) == [(1, 10, 3.0, 9), (1, 20, 1.0, 1)]
    assert data.cleaning.lines()[:3] == [
        "5 ratings read, 2 kept.",
        "2 repeated (user, item) ratings replaced by the latest.",
        "0 items and 1 user with too few ratings dropped, with 1 rating.",
    ]


ids = st.one_of(
    st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=6, unique=True),
    st.lists(
        st.text("abcxyz, ;\"'é|\t", min_size=1, max_size=8).filter(lambda s: s == s.strip()),
        min_size=1,
        max_size=6,
        unique=True,
    ),
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(users=ids, items=ids, seed=st.integers(0, 10**6), mark=st.sampled_from(",;\t"), timed=st.booleans())
def test_a_data_set_written_in_the_layout_and_loaded_is_equal(
    users: list[Any], items: list[Any], seed: int, mark: str, timed: bool, tmp_path: Path
) -> None:
    rng = np.random.default_rng(seed)
    pairs = [(u, i) for u in users for i in items]
    pairs = [pairs[row] for row in rng.permutation(len(pairs))[: max(1, len(pairs) // 2)]]
    ratings = np.round(rng.uniform(0, 10, len(pairs)), 2).astype(np.float32)
    stamps = rng.integers(-(2**36), 2**36, len(pairs)) if timed else np.arange(len(pairs))
    with (tmp_path / "ratings.csv").open("w", newline="", encoding="utf-8") as out:
        writer = csv.writer(out, delimiter=mark)
        writer.writerow(["userId", "movieId", "rating", *(["timestamp"] if timed else [])])
        for (user, item), rating, stamp in zip(pairs, ratings, stamps, strict=True):
            writer.writerow([user, item, f"{rating:.2f}", *([stamp] if timed else [])])
    with (tmp_path / "movies.csv").open("w", newline="", encoding="utf-8") as out:
        writer = csv.writer(out, delimiter=mark)
        writer.writerows([["movieId", "title", "genres"], *([item, f"Film {item!r}.", "Drama"] for item in items)])
    data = load_dataset(tmp_path, reading=Reading(scale=(0, 10)))
    expected = [(u, i, float(r), int(t)) for (u, i), r, t in zip(pairs, ratings, stamps, strict=True)]
    assert rows_of(data) == expected
    assert data.item_ids.tolist() == sorted(items)
    assert data.items["title"].tolist() == [f"Film {item!r}." for item in sorted(items)]
