"""Ids through load, train, recommend and score, and back: the same to the byte, whatever they are."""

import csv
import json
import tempfile
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recengine.data.dataset import Dataset
from recengine.data.histories import read_histories
from recengine.data.readers.pairs import read_pairs
from recengine.data.reading import Reading
from recengine.data.sources import load_dataset
from recengine.export import TABLES, write_table
from tests.cli.conftest import json_of, read, write

ids = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=6)
tricky = st.sampled_from(["007", "7", "7.0", "+7", "1_1", "-0.37", "=1+1", "@x", "a, b", "🎬", str(2**63), " 7", "-"])
id_lists = st.lists(st.one_of(ids.filter(str.strip), tricky), min_size=3, max_size=6, unique=True)


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(users=id_lists, items=id_lists)
def test_ids_come_back_to_the_byte(run, fresh_home: Path, users: list[str], items: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "events.csv"
        write(path, ["user", "item"], [(user, item) for user in users for item in items])
        out = Path(folder) / "lists.csv"
        command = ["recommend", "--dataset", path, "--model", "popularity", "--include-seen", "-k", len(items)]
        json_of(run(*command, "--all-users", "--out", out, "--json"))
        header, *lists = read(out)
        user_at, item_at = header.index("user_id"), header.index("item_id")
        wanted = {(user, item) for user in users for item in items}
        assert {(row[user_at], row[item_at]) for row in lists} == wanted
        data = load_dataset(path, reading=Reading())
        _, cells, user_idx, item_idx = read_pairs(out, data)
        assert len(cells) == len(wanted)
        assert [str(id) for id in data.user_ids[user_idx]] == [row[user_at] for row in lists]
        assert [str(id) for id in data.item_ids[item_idx]] == [row[item_at] for row in lists]


@pytest.mark.parametrize("user", ["007", "=1+1", "-0.37", " 7", "a, b"])
def test_a_user_is_named_on_the_command_line_as_in_the_file(run, fresh_home: Path, tmp_path: Path, user: str) -> None:
    path = tmp_path / "events.csv"
    rows = [(user, "x"), ("7", "y"), ("8", "z"), ("8", "x")]
    write(path, ["user", "item"], rows)
    assert list(csv.reader(path.open(encoding="utf-8")))[1] == [user, "x"]
    answer = json_of(run("recommend", "--dataset", path, "--model", "popularity", f"--user={user}", "-k", 2, "--json"))
    assert {row["item_id"] for row in answer["recommendations"]} == {"y", "z"}
    assert {row["user_id"] for row in answer["recommendations"]} == {user}


def triples(data: Dataset) -> set[tuple[str, str, float]]:
    rows = data.ratings
    users, items = data.user_ids[rows.user_idx].tolist(), data.item_ids[rows.item_idx].tolist()
    return {
        (str(user), str(item), rating) for user, item, rating in zip(users, items, rows.rating.tolist(), strict=True)
    }


@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    users=id_lists,
    items=id_lists,
    stars=st.lists(st.integers(1, 10).map(lambda half: half / 2), min_size=9, max_size=36).filter(
        lambda s: len({*s}) > 1
    ),
)
@pytest.mark.parametrize("ending", TABLES)
def test_ids_and_ratings_come_back_from_an_export_in_every_format(
    run, fresh_home: Path, users: list[str], items: list[str], stars: list[float], ending: str
) -> None:
    """From a file to a model that learns from ratings, to its lists, to the ratings as an export, and back in."""
    pairs = [(user, item) for user in users for item in items]
    rows = [(*pair, stars[n % len(stars)]) for n, pair in enumerate(pairs)]
    header = ["user_id", "item_id", "rating"]
    scale = ["--scale", "0.5,5"]
    with tempfile.TemporaryDirectory() as folder:
        path, out, back = (Path(folder) / name for name in ("ratings.csv", f"lists{ending}", f"export{ending}"))
        write(path, header, rows)
        reading = Reading(scale=(0.5, 5.0))
        data = load_dataset(path, reading=reading)
        assert triples(data) == set(rows)
        train = ["--dataset", path, *scale, "--model", "bias"]
        json_of(run("recommend", *train, "--all-users", "--include-seen", "-k", len(items), "--out", out, "--json"))
        lists = frame_of(out)
        assert set(zip(lists["user_id"], lists["item_id"], strict=True)) == set(pairs)
        write_table(back, header, rows)
        again = load_dataset(back, reading=reading)
        assert triples(again) == set(rows)
        assert again.fingerprint == data.fingerprint
        write_table(back.with_suffix(".csv"), header, rows)
        histories = read_histories(back.with_suffix(".csv"), data)
        known = histories.rows
        assert {
            (histories.user_ids[user], str(data.item_ids[item]), rating)
            for user, item, rating in zip(known.user_idx, known.item_idx, known.rating.tolist(), strict=True)
        } == set(rows)


def frame_of(path: Path) -> pd.DataFrame:
    """Return a written table with all ids as text."""
    if path.suffix == ".parquet":
        return pd.read_parquet(path)
    if path.suffix == ".jsonl":
        return pd.DataFrame([json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line])
    header, *rows = read(path)
    return pd.DataFrame(rows, columns=header)
