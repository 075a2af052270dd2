"""Ids come back to the byte, and a row without one is nobody's."""

import csv
import io
import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recengine.data.build import build_dataset
from recengine.data.dataset import Dataset
from recengine.data.reading import Reading
from recengine.data.sources import from_frame, load_upload
from recengine.errors import BadInput
from tests.support.archives import zipped

PAIRS = Reading(layout="long", feedback="implicit")
TRICKY = ["00123", "123", "7.0", "7", "+1", "1", "1_1", "11", "-0.37", "-0", "0", " 7", "1e3", "Käse & Brot", "a,b",
          "🎬", "9223372036854775808", "-9223372036854775808", "0x1F", "=1+1", "nan", "None", "NaN", '"q"']  # fmt: skip


def csv_of(rows: list[tuple[str, ...]], mark: str = ",") -> bytes:
    out = io.StringIO(newline="")
    csv.writer(out, delimiter=mark).writerows([("user", "item", "rating"), *rows])
    return out.getvalue().encode()


def pairs_of(data: Dataset) -> list[tuple[str, str]]:
    users, items = data.user_ids[data.ratings.user_idx], data.item_ids[data.ratings.item_idx]
    return [(str(user), str(item)) for user, item in zip(users.tolist(), items.tolist(), strict=True)]


ids = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=8)
plain_ids = st.integers(-(2**63), 2**63 - 1).map(str)
id_lists = st.lists(st.one_of(ids, st.sampled_from(TRICKY), plain_ids).filter(str.strip), min_size=1, max_size=7)


@settings(max_examples=150, deadline=None)
@given(users=id_lists, items=id_lists, mark=st.sampled_from(",;\t"))
def test_m2_any_text_is_an_id_and_comes_back_to_the_byte(users: list[str], items: list[str], mark: str) -> None:
    wanted = list(dict.fromkeys((user, item) for user in users for item in items))
    data = load_upload("x.csv", csv_of([(*pair, "4") for pair in wanted], mark), reading=PAIRS)
    assert pairs_of(data) == wanted
    assert (data.n_users, data.n_items) == (len(set(users)), len(set(items)))
    assert data.user_index(users).tolist() == [data.user_ids.astype(str).tolist().index(user) for user in users]
    lines = "\n".join(json.dumps({"user": user, "item": item}) for user, item in wanted).encode()
    assert pairs_of(load_upload("x.jsonl", lines, reading=PAIRS)) == wanted
    packed = io.BytesIO()
    pd.DataFrame(wanted, columns=["user", "item"]).to_parquet(packed)
    assert pairs_of(load_upload("x.parquet", packed.getvalue(), reading=PAIRS)) == wanted


@pytest.mark.parametrize(
    ("one", "other"),
    [("00123", "123"), ("7.0", "7"), ("+49151", "49151"), ("1_1", "11"), ("0106668935", "106668935"), (" 7", "7"),
     ("-0", "0"), ("1e3", "1000")],
)  # fmt: skip
def test_m2_two_texts_are_two_users_and_two_items(one: str, other: str) -> None:
    content = csv_of([(one, "a", "5"), (other, "b", "4"), ("x", one, "5"), ("x", other, "1")])
    data = load_upload("x.csv", content)
    assert pairs_of(data) == [(one, "a"), (other, "b"), ("x", one), ("x", other)]
    assert data.cleaning.duplicates_replaced == 0
    assert data.user_index([one]) != data.user_index([other])


@pytest.mark.parametrize("unknown", ["1_0", "010", "10.0", "+10", " 10", "1e1", "١٠"])
def test_c3_no_other_spelling_of_a_number_is_that_user(unknown: str) -> None:
    data = load_upload("x.csv", b"userId,movieId,rating\n10,1,5\n11,2,3\n")
    assert data.user_index(["10", "11"]).tolist() == data.user_index(np.array([10, 11])).tolist() == [0, 1]
    with pytest.raises(BadInput, match="is not in 'x'") as refused:
        data.user_index([unknown])
    assert refused.value.value == unknown


def test_c3_underscores_do_not_make_one_user_of_two() -> None:
    content = b"userId,movieId,rating,timestamp\n1_11,10,5,1\n11_1,10,1,4\n2_22,10,4,7\n111,20,4,9\n"
    assert pairs_of(load_upload("x.csv", content)) == [("1_11", "10"), ("11_1", "10"), ("2_22", "10"), ("111", "20")]


def test_c7_negative_numbers_and_numbers_beyond_64_bits_are_ids() -> None:
    data = load_upload("x.csv", b"userId,movieId,rating\n-1,-2,2\n-2,-1,3\n")
    assert data.user_ids.tolist() == data.item_ids.tolist() == [-2, -1]
    large = ["9223372036854775807", "9223372036854775808", "18446744073709551616"]
    data = load_upload("x.csv", csv_of([(user, "1", "4") for user in large]))
    assert pairs_of(data) == [(user, "1") for user in large]


def test_whole_numbers_of_a_typed_source_stay_numbers() -> None:
    frame = pd.DataFrame({"user": [2**60 + 1, 7, 7], "item": [1.0, 2.0, 3.0], "rating": [1, 5, 3]})
    data = from_frame(frame)
    assert data.user_ids.tolist() == [7, 2**60 + 1]
    assert data.item_ids.tolist() == [1, 2, 3]
    text = from_frame(frame.astype({"user": str}))
    assert text.user_ids.tolist() == sorted(["7", str(2**60 + 1)])
    unsigned = pd.DataFrame({"user": np.array([2**63, 2**64 - 1], np.uint64), "item": ["a", "b"]})
    assert from_frame(unsigned).user_ids.tolist() == [str(2**64 - 1), str(2**63)]


@pytest.mark.parametrize("nothing", [None, float("nan"), pd.NA, "", "  "])
def test_m1_a_row_without_a_user_or_an_item_is_dropped_and_counted(nothing: object) -> None:
    frame = pd.DataFrame(
        {"user": ["a", "a", "b", nothing], "item": ["x", nothing, "y", "z"], "rating": [5.0, 4.0, 3.0, 2.0]}
    )
    renamed = frame.rename(columns={"user": "user_id", "item": "item_id"})
    for data in (from_frame(frame), build_dataset("x", renamed)):
        assert pairs_of(data) == [("a", "x"), ("b", "y")]
        assert data.ratings.rating.tolist() == [5.0, 3.0]
        assert data.cleaning.lines()[:2] == [
            "4 ratings read, 2 kept.",
            "2 rows without a user or an item dropped.",
        ]


def test_m1_numbers_stay_whole_where_one_is_missing() -> None:
    frame = pd.DataFrame({"user_id": [10, np.nan, 20, 30], "item_id": [1, 2, 3, 4], "rating": [5.0, 4.0, 3.0, 2.0]})
    assert build_dataset("x", frame).user_ids.tolist() == [10, 20, 30]
    for dtype in ("Int64", "object"):
        typed = frame.assign(user_id=pd.Series([2**53 + 1, None, 20, 30], dtype=dtype))
        assert build_dataset("x", typed).user_ids.tolist() == [20, 30, 2**53 + 1]


@pytest.mark.parametrize("lacking", [b",x,4", b"c,,4", b" ,x,4", b'"",x,4'])
def test_m1_a_line_without_an_id_is_dropped_and_counted(lacking: bytes) -> None:
    data = load_upload("x.csv", b"user,item,rating\na,x,5\n" + lacking + b"\nb,y,3\n")
    assert pairs_of(data) == [("a", "x"), ("b", "y")]
    assert data.cleaning.rows_without_id == 1


def test_a_table_in_which_no_row_has_both_ids_is_refused() -> None:
    for load in (
        lambda: load_upload("x.csv", b"user,item,rating\n,x,5\na,,3\n"),
        lambda: from_frame(pd.DataFrame({"user": [None, "a"], "item": ["x", None], "rating": [5, 3]})),
        lambda: build_dataset("x", pd.DataFrame({"user_id": [None, "a"], "item_id": ["x", None], "rating": [5, 3]})),
    ):
        with pytest.raises(BadInput, match="no row with"):
            load()


def test_c34_ids_that_look_the_same_stay_apart_and_are_pointed_out() -> None:
    composed, combining = "Am\u00e9lie", "Ame\u0301lie"
    data = load_upload("x.csv", csv_of([("a", composed, "5"), ("a", combining, "4"), ("b", "Heat", "3")]))
    assert data.n_items == 3
    assert any("2 item ids" in line and "stay apart" in line for line in data.cleaning.lines())
    spaced = load_upload("x.csv", csv_of([("a ", "x", "5"), ("a", "x", "4")]))
    assert any("1 user ids, such as 'a '" in line for line in spaced.cleaning.lines())
    apart = load_upload("x.csv", csv_of([("ä", "x", "5"), ("ö", "x", "4")]))
    assert not any("stay apart" in line for line in apart.cleaning.lines())


def test_ids_of_films_and_ratings_are_joined_to_the_byte() -> None:
    files: dict[str, str | bytes] = {
        "ratings.csv": "userId,movieId,rating\n1,007,4\n1,7,3\n2,7.0,5\n",
        "movies.csv": "movieId,title,genres\n7,Seven (1995),Crime\n007,Dr. No (1962),Action\n",
        "links.csv": "movieId,imdbId,tmdbId\n007,0055928,646\n7,0114369,807\n",
        "tags.csv": "userId,movieId,tag\n1,007,spy\n1,7,dark\n",
        "users.csv": "userId,mood\n1,good\n01,bad\n",
    }
    data = load_upload("a.zip", zipped(files))
    titles = dict(zip(data.item_ids.tolist(), data.items["title"].tolist(), strict=True))
    assert titles == {"007": "Dr. No", "7": "Seven", "7.0": "Item 7.0"}
    assert data.items.set_index("item_id").loc[["007", "7"], "tmdb_id"].tolist() == [646, 807]
    assert data.items.set_index("item_id").loc[["007", "7"], "tags"].tolist() == ["spy", "dark"]
    assert data.users is not None
    assert data.users.set_index("user_id").loc[1, "mood"] == "good"
