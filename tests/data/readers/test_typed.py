"""Frames, parquet, JSON lines and what is packed with gzip."""

import gzip
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import parquet

from recengine.data.build import build_dataset
from recengine.data.readers import typed
from recengine.data.reading import Reading
from recengine.data.sources import UPLOAD_SUFFIXES, from_frame, load_dataset, load_upload
from recengine.errors import BadInput
from tests.data.readers.forms import refusal, rows, up


def test_m9_m11_parquet_json_lines_tabs_and_gzip_are_read() -> None:
    frame = pd.DataFrame({"user": ["a", "b"], "item": [7, 8], "rating": [3.0, 4.5], "time": [10, 20]})
    packed = io.BytesIO()
    frame.to_parquet(packed)
    text = frame.to_csv(index=False).encode()
    lines = frame.to_json(orient="records", lines=True).encode()
    kinds = {
        "x.parquet": packed.getvalue(),
        "x.jsonl": lines,
        "x.json": frame.to_json(orient="records").encode(),
        "x.csv": text,
        "x.tsv": text.replace(b",", b"\t"),
        "x.csv.gz": gzip.compress(text),
        "x.json.gz": gzip.compress(lines),
        "two.csv.gz": gzip.compress(text[:9]) + gzip.compress(text[9:]),
    }
    loaded = [up(content, name) for name, content in kinds.items()]
    assert len({data.fingerprint for data in loaded}) == 1
    assert {name.rsplit(".", 1)[1] for name in kinds} <= set(UPLOAD_SUFFIXES)
    assert rows(loaded[0]) == [("a", 7, 3.0), ("b", 8, 4.5)]


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("x.parquet", b"PAR1 and no more", "is not a whole parquet file"),
        ("x.jsonl", b'{"user": 1, "item": 2}\n{"user": 1\n', "line 2 of x.jsonl is not JSON"),
        ("x.jsonl", b'{"user": 1, "item": 2}\n[1, 2]\n', "row 2 of x.jsonl is something else; expected a JSON object"),
        ("x.jsonl", b'{"a": 1}\n', "without one for user and item"),
        ("x.jsonl", b'{"user": 1, "item": 2, "rating": "good"}\n', "row 1 of x.jsonl has the rating 'good'"),
        ("x.jsonl", b'{"user": 1, "item": 2}\n{"user": {}, "item": 2}\n', "row 2 of x.jsonl has '{}' in the column"),
        ("x.jsonl", b'{"user": 1, "item": [2]}\n', "has '[2]' in the column 'item'; expected a number or a text there"),
        ("x.json", b'[{"user": 1, "item": 2, "time": %s}]' % (b"9" * 5_000), "row 1 of x.json has the timestamp '999"),
        ("x.json", b"", "is empty"),
        ("x.csv.gz", gzip.compress(b"user,item\na,b\n" * 9, mtime=0)[:-9], "is damaged (it ends early)"),
        ("x.csv.gz", b"\x1f\x8b and no more", "is damaged"),
    ],
)
def test_m9_what_cannot_be_unpacked_is_refused_in_one_sentence(name: str, content: bytes, words: str) -> None:
    assert words in refusal(lambda: up(content, name))


def test_objects_may_lack_names_that_others_have_and_events_may_be_missing() -> None:
    lines = '{"user": "a", "item": 1, "event": "view"}\n\n{"item": 2, "user": "b", "price": 3, "event": null}\n'
    data = up(lines, "x.jsonl")
    assert rows(data) == [("a", 1, 1.0), ("b", 2, 1.0)]
    assert "row 2 of x.jsonl has the event '', which has no weight" in refusal(
        lambda: up(lines, "x.jsonl", weights="view=1")
    )


def test_a_parquet_file_of_too_many_cells_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    content = pd.DataFrame({"user": range(9), "item": range(9), "rating": 3.0}).to_parquet()
    monkeypatch.setattr(typed, "MOST_CELLS", 26)
    assert "has 9 rows of 3 columns; expected up to 26 cells" in refusal(lambda: up(content, "x.parquet"))


def test_a_file_of_ones_own_may_have_any_number_of_cells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pd.DataFrame({"user": range(9), "item": range(9), "rating": 3.0}).to_parquet(tmp_path / "x.parquet")
    monkeypatch.setattr(typed, "MOST_CELLS", 26)
    assert len(load_dataset(tmp_path / "x.parquet").ratings) == 9


WORDS = ["b", None, "a", " ", "", "b", "ü", "7", "a"]
NUMBERS = [2**53 + 1, 7, None, 7, 8, 9, 8, 7, -3]
RATINGS = [4.5, 3.0, np.nan, 2.0, 1.0, 5.0, 0.5, 4.0, 3.0]
DAYS = pd.date_range("2024-05-30", periods=9, tz="Europe/Berlin")
TABLES = {
    "text": {"user": WORDS, "item": NUMBERS[::-1], "rating": RATINGS},
    "categories": {"user": pd.Categorical(WORDS), "item": pd.Categorical([1, 2, 3] * 3), "rating": RATINGS},
    "whole": {"user": pd.array(NUMBERS, "Int64"), "item": [1.0, 2.0, 3.0] * 3, "rating": range(9), "time": DAYS},
    "fractions": {"user": [1.5, 2.0, np.nan] * 3, "item": [True, False, None] * 3, "time": DAYS.date},
    "events": {"user": list("abcabcabc"), "item": range(9), "event": ["view", "buy", "view"] * 3, "price": 2.0},
    "titles": {"user": range(9), "item": list("abcabcabc"), "title": ["A", "B", None] * 3, "rating": RATINGS},
    "reviews": {"user": range(9), "item": list("abcabcabc"), "title": list("ABCDEFGHI"), "rating": RATINGS},
    "times": {"user": range(9), "item": 1, "rating": RATINGS, "date": [f"2024-05-0{n}" for n in range(1, 10)]},
    "bad rating": {"user": range(9), "item": 1, "rating": [*"345", "good", *"34545"]},
    "bad time": {"user": range(9), "item": 1, "rating": 3.0, "time": [*map(str, range(7)), "soon", "8"]},
    "unread": {"user": range(9), "item": 1, "mood": range(9)},
    "index": pd.DataFrame({"user": range(9), "item": 1, "rating": 3.0}).set_index("user"),
    "empty": {"user": [], "item": [], "rating": []},
}


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
@pytest.mark.parametrize("batch", [1, 2, 100])
def test_parquet_is_read_batch_by_batch_as_a_whole_frame_is(
    table: Any, batch: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame = table if isinstance(table, pd.DataFrame) else pd.DataFrame(table)
    frame.to_parquet(tmp_path / "x.parquet", row_group_size=4)
    monkeypatch.setattr(typed, "BATCH", batch)
    content = (tmp_path / "x.parquet").read_bytes()
    try:
        whole = from_frame(frame, name="x.parquet", reading=Reading(layout="long"))
    except BadInput as error:
        refused = str(error)
    else:
        refused = ""
    if refused:
        assert refusal(lambda: up(content, "x.parquet")) == refused
        return
    read = up(content, "x.parquet")
    assert load_dataset(tmp_path / "x.parquet").fingerprint == read.fingerprint == whole.fingerprint
    assert read.cleaning == whole.cleaning
    for ids, expected in ((read.user_ids, whole.user_ids), (read.item_ids, whole.item_ids)):
        assert (ids.dtype, ids.tolist()) == (expected.dtype, expected.tolist())
    pd.testing.assert_frame_equal(read.items, whole.items)
    assert [i.sentence for i in read.inferences] == [i.sentence for i in whole.inferences]


def test_parquet_that_is_read_takes_the_memory_of_a_batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    n = 40_000
    users, items = ([f"{name} {row % 99}, {'so ' * 30}" for row in range(n)] for name in ("user", "item"))
    frame = pd.DataFrame(
        {"user": users, "item": items, "rating": 3.0, "review": [f"{row} {'so ' * 60}" for row in range(n)]}
    )
    frame.to_parquet(tmp_path / "x.parquet", row_group_size=1_000)
    assert pa.Table.from_pandas(frame).nbytes > 15_000_000
    columns, held, before = set[str](), [0], pa.total_allocated_bytes()
    iterate = parquet.ParquetFile.iter_batches

    def watched(self: Any, batch_size: int, **options: Any) -> Iterator[Any]:
        columns.update(options["columns"])
        for batch in iterate(self, batch_size, **options):
            held.append(pa.total_allocated_bytes() - before)
            yield batch

    monkeypatch.setattr(parquet.ParquetFile, "iter_batches", watched)
    monkeypatch.setattr(typed, "BATCH", 1_000)
    data = load_dataset(tmp_path / "x.parquet")
    assert (data.n_users, data.n_items, columns) == (99, 99, {"user", "item", "rating"})
    assert max(held) < 2_000_000


def test_a_gzip_bomb_is_stopped() -> None:
    with pytest.raises(BadInput, match="beyond what is allowed"):
        load_upload("x.csv.gz", gzip.compress(b"0" * (1 << 22)), unpacked_limit=1 << 20)


def test_m15_a_frame_by_other_names_or_without_ratings_is_one_sentence() -> None:
    for frame, words in (
        ({"user": [1], "item": [2]}, "without user_id and item_id and rating"),
        ({"user_id": [1], "item_id": [2]}, "without rating"),
        ({"user_id": [1], "item_id": [2], "rating": [3], "timestamp": ["soon"]}, "has the timestamp 'soon'"),
    ):
        assert words in refusal(lambda frame=frame: build_dataset("x", pd.DataFrame(frame)))  # type: ignore[misc]
    assert rows(from_frame(pd.DataFrame({"user": [1], "item": [2]}))) == [(1, 2, 1.0)]


def test_a_frame_with_a_column_per_item_is_read_when_that_is_stated() -> None:
    frame = pd.DataFrame({"who": ["a", "b"], 10: [4.0, np.nan], 20: [np.nan, 2.0]})
    data = from_frame(frame, reading=Reading(layout="wide"))
    assert sorted(rows(data)) == [("a", 10, 4.0), ("b", 20, 2.0)]
    assert "without one for user and item" in refusal(lambda: from_frame(frame))
