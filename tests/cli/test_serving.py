"""`recommend`, `similar`, `score`, `predict` and `estimates` as scripts rely on them, and the files that they write."""

import csv
import io
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given
from hypothesis.strategies import text
from tqdm import tqdm

from recengine import export
from recengine.cli import serving
from recengine.cli.reporter import SHARE_BAR, Reporter
from recengine.data.dataset import Dataset
from recengine.data.sources import load_dataset
from recengine.experiments.train import TrainingRequest, obtain
from recengine.export import csv_text, write_csv, write_json, write_table
from recengine.serving.recommend import recommend
from recengine.training import progress
from recengine.training.config import RunConfig
from recengine.training.progress import EpochResult, Stage
from tests.cli.conftest import json_of, read, write


def test_recommend_gives_what_the_package_gives(run, folder: Path) -> None:
    data = load_dataset(folder)
    model = obtain(TrainingRequest(data, "ease", run=RunConfig())).model
    result = json_of(run("recommend", "--dataset", folder, "--model", "ease", "--user", 17, "-k", 5, "--json"))
    rows = result["recommendations"]
    expected = recommend(model, data, data.user_index([17]), k=5).ranking
    assert [row["item_id"] for row in rows] == data.item_ids[expected.items[0]].tolist()
    assert [row["rank"] for row in rows] == [1, 2, 3, 4, 5]
    assert [row["score"] for row in rows] == pytest.approx(expected.scores[0].tolist())
    assert {row["user_id"] for row in rows} == {17}
    assert rows[0]["title"] == data.items["title"][int(expected.items[0, 0])]
    assert result["popularity_fallback"] == []


def test_recommend_for_all_users_writes_one_list_each(run, folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "lists.csv"
    result = json_of(
        run("recommend", "--dataset", folder, "--model", "ease", "--all-users", "-k", 3, "--out", out, "--json")
    )
    header, *rows = read(out)
    assert header == ["user_id", "rank", "item_id", "title", "score"]
    assert [row[0] for row in rows] == [str(user) for user in range(1, 62) for _ in range(3)]
    assert result["popularity_fallback"] == [61]  # user 61 likes nothing


def test_a_substitute_is_named(run, folder: Path) -> None:
    status, _, noted = run("recommend", "--dataset", folder, "--model", "ease", "--user", 61)
    assert status == 0
    assert "popularity replaces ease" in noted
    assert json_of(run("recommend", "--dataset", folder, "--model", "ease", "--user", 61, "--json"))[
        "popularity_fallback"
    ] == [61]


@pytest.fixture
def sated(tmp_path: Path) -> Path:
    """Return ratings of 12 films: users 1 and 2 rated them all, user 3 all but one."""
    rows = [(user, item, 3 + item % 3) for user in (1, 2, 3) for item in range(12) if (user, item) != (3, 11)]
    return write(tmp_path / "sated.csv", ["userId", "movieId", "rating"], rows)


@pytest.mark.parametrize(
    ("arguments", "note"),
    [
        (["--user", 1], "User 1 has rated all 12 items, so nothing is left to list; --include-seen lists them."),
        (["--user", 2, "-k", 12], "User 2 has rated all 12 items"),
        (["--all-users"], "2 users have rated all 12 items"),
        (["--ratings", "everything.csv"], "User new has rated all 12 items"),
    ],
)
@pytest.mark.parametrize("model", ["ease", "popularity"])
def test_c23_a_user_who_has_rated_everything_is_named(
    run, sated: Path, arguments: list[Any], note: str, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(sated.parent)
    write(sated.parent / "everything.csv", ["item_id", "rating"], [(item, 5) for item in range(12)])
    status, _, noted = run("recommend", "--dataset", sated, "--model", model, *arguments)
    assert status == 0
    assert note in noted
    assert "rated all" not in run("recommend", "--dataset", sated, "--model", model, *arguments, "--include-seen")[2]


@pytest.mark.parametrize("arguments", [["--user", 3], ["--user", 3, "-k", 12]])
def test_c23_a_user_with_one_film_left_gets_it_without_a_note(run, sated: Path, arguments: list[Any]) -> None:
    status, output, noted = run("recommend", "--dataset", sated, "--model", "ease", *arguments)
    assert (status, "rated all" in noted) == (0, False)
    assert [line.split()[2] for line in output.splitlines()[2:]] == ["11"]


@pytest.mark.parametrize("model", ["ease", "item-knn", "ials"])
def test_c23_one_film_alone_has_no_similar_ones(run, tmp_path: Path, model: str) -> None:
    data = write(tmp_path / "one.csv", ["userId", "movieId", "rating"], [(user, 7, 5) for user in range(4)])
    status, _, error = run("similar", "--dataset", data, "--model", model, "--item", 7)
    assert status == 2
    assert "--item is the only one, and like no other; expected data of two items or more" in error


def test_seen_films_are_listed_only_when_asked(run, folder: Path) -> None:
    data = load_dataset(folder)
    seen = set(data.item_ids[data.ratings.item_idx[data.ratings.user_idx == 3]].tolist())
    lists = [
        json_of(run("recommend", "--dataset", folder, "--model", "ease", "--user", 4, "-k", 41, "--json", *more))
        for more in ([], ["--include-seen"])
    ]
    ids = [{row["item_id"] for row in result["recommendations"]} for result in lists]
    assert ids[0] == set(data.item_ids.tolist()) - seen
    assert ids[1] == set(data.item_ids.tolist())


@pytest.mark.parametrize("key", ["title", "item_id"])
def test_recommend_serves_a_new_user_from_a_file(run, folder: Path, tmp_path: Path, key: str) -> None:
    data = load_dataset(folder)
    ratings = data.ratings.select(data.ratings.user_idx == 6)
    names = data.items["title"].to_numpy()[ratings.item_idx] if key == "title" else data.item_ids[ratings.item_idx]
    mine = write(tmp_path / "mine.csv", [key, "rating"], zip(names, ratings.rating, strict=True))
    result = json_of(run("recommend", "--dataset", folder, "--ratings", mine, "--json"))
    known = json_of(run("recommend", "--dataset", folder, "--user", 7, "--json"))
    pick = [[row["item_id"] for row in f["recommendations"]] for f in (result, known)]
    assert pick[0] == pick[1]
    assert {row["user_id"] for row in result["recommendations"]} == {"new"}


def test_similar_to_a_film_without_likes_reports_that_popularity_stands_in(run, folder: Path) -> None:
    arguments = ["similar", "--dataset", folder, "--model", "ease", "--item", 141, "-k", 3]
    result = json_of(run(*arguments, "--json"))
    assert result["fallback"] == "popularity"
    popular = json_of(
        run("recommend", "--dataset", folder, "--model", "popularity", "--user", 61, "--include-seen", "--json")
    )
    assert [r["similarity"] for r in result["similar"]] == [r["score"] for r in popular["recommendations"]][:3]
    assert "most popular items stand in" in run(*arguments)[2]


def test_similar_leaves_out_the_seed(run, folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "near.csv"
    result = json_of(
        run("similar", "--dataset", folder, "--model", "item-knn", "--item", 105, "-k", 4, "--out", out, "--json")
    )
    assert (result["item_id"], result["title"]) == (105, "Film 4")
    assert 105 not in [row["item_id"] for row in result["similar"]]
    assert [row["rank"] for row in result["similar"]] == [1, 2, 3, 4]
    assert read(out)[0] == ["rank", "item_id", "title", "similarity"]
    assert len(read(out)) == 5


def test_score_adds_a_column_and_keeps_rows_order_and_other_columns(run, folder: Path, tmp_path: Path) -> None:
    data = load_dataset(folder)
    wanted = [("b", 9, 110), ("a", 2, 101), ("b", 9, 110), ("c", 61, 141), ("=1+1", 1, 139)]
    pairs = write(tmp_path / "pairs.csv", ["note", "user_id", "item_id"], wanted)
    result = json_of(
        run("score", "--dataset", folder, "--model", "ease", "--pairs", pairs, "--out", tmp_path / "s.csv", "--json")
    )
    header, *rows = read(tmp_path / "s.csv")
    assert header == ["note", "user_id", "item_id", "score"]
    assert result["rows"] == len(rows) == len(wanted)
    scores = obtain(TrainingRequest(data, "ease")).model.score(np.arange(data.n_users)).numpy()
    for (note, user, item), row in zip(wanted, rows, strict=True):
        assert row[:3] == [note.replace("=", "'="), str(user), str(item)]
        index = data.user_index([user])[0], data.item_index([item])[0]
        assert float(row[3]) == pytest.approx(float(scores[index]), abs=1e-6)


@pytest.mark.parametrize(
    ("name", "columns"), [("deepfm", "genres"), ("content", "genres, year, keywords, tags or director")]
)
def test_items_without_metadata_are_counted_for_the_user(
    run, tiny: Dataset, tmp_path: Path, fresh_home: Path, name: str, columns: str
) -> None:
    r = tiny.ratings
    rows = zip(tiny.user_ids[r.user_idx], tiny.item_ids[r.item_idx], r.rating, strict=True)
    write(tmp_path / "ratings.csv", ["userId", "movieId", "rating"], rows)
    films = zip(
        tiny.items["item_id"], tiny.items["title"], ["", "(no genres listed)", *tiny.items["genres"][2:]], strict=True
    )
    write(tmp_path / "movies.csv", ["movieId", "title", "genres"], films)
    told_so = f"2 of 40 items have no {columns}; {name} treats them as unknown.\n"
    few = ["--set", "epochs=1"]
    for command in (["train", name], ["recommend", "--model", name, "--user", 1]):
        assert run(*command, "--dataset", tmp_path, *few)[2].count(told_so) == 1
    assert json_of(run("train", name, "--dataset", tmp_path, *few, "--json"))["n_unknown"] == 2  # also from the store
    few = ["--set", f"{name}.epochs=1", "--seeds", 2]
    assert run("evaluate", name, "--dataset", tmp_path, "--split", "random", *few)[2].count(told_so) == 1


def test_each_phase_and_each_stage_of_a_training_has_a_bar_that_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    bars: list[tqdm] = []

    def make(self: Reporter, **options: Any) -> tqdm:
        bars.append(tqdm(file=io.StringIO(), **options))
        return bars[-1]

    monkeypatch.setattr(Reporter, "_bar", make)
    on_epoch = Reporter().epochs("hybrid")
    for stages, first, last, epochs in (
        ((Stage.PRETRAINING,), 1, 1, 1),
        ((), 0, 2, 2),  # phase 1 ends
        ((), 3, 3, 9),  # phase 2 stops early
        ((Stage.REFIT, Stage.PRETRAINING), 1, 1, 1),
        ((Stage.REFIT,), 1, 3, 3),
        ((Stage.STEPS,), 0, 4, 4),  # of a model without epochs
        ((Stage.REFIT, Stage.STEPS), 0, 1, 4),
        ((Stage.EVALUATION, Stage.STEPS), 0, 0, 4),
    ):
        for epoch in range(first, last + 1):
            on_epoch(EpochResult(epoch, epochs, loss=0.5, seconds=0.0, stages=stages))
    assert [(bar.desc.removesuffix(": "), bar.n, bar.total) for bar in bars] == [
        ("hybrid, pretraining", 1, 1),
        ("hybrid", 2, 2),
        ("hybrid", 3, 9),
        ("hybrid, refit, pretraining", 1, 1),
        ("hybrid, refit", 3, 3),
        ("hybrid", 100, 100),
        ("hybrid, refit", 25, 100),
        ("hybrid, evaluation", 0, 100),
    ]
    share = tqdm(file=io.StringIO(), total=100, desc="ease", bar_format=SHARE_BAR)
    assert str(share).startswith("ease:   0%|")


def test_the_lists_of_many_users_report_their_steps(run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "AT_ONCE", 800)
    monkeypatch.setattr(progress, "STEP_SECONDS", -1.0)
    command = ("recommend", "--dataset", "sample", "--model", "popularity", "--all-users", "-k", "1", "--json")
    events = [json.loads(line) for line in run(*command, "--progress", "jsonl")[2].splitlines()]
    lists = [row for row in events if row.get("model") == "lists by popularity"]
    assert [(row["epoch"] / row["epochs"], row["stages"]) for row in lists] == [
        (share, ["steps"]) for share in (0, 800 / 2000, 1600 / 2000, 1)
    ]


def test_text_that_a_spreadsheet_would_run_is_prefixed(tmp_path: Path) -> None:
    cells = ["=1", "+1+1", "-1-", "@a", "\tx", "\rx", "plain", "a=b", ""]
    write_csv(tmp_path / "f.csv", ["=head", "n", "item_id"], [(cell, -1.5, cell) for cell in cells])
    header, *rows = read(tmp_path / "f.csv")
    assert header == ["'=head", "n", "item_id"]
    assert [row[0] for row in rows] == ["'=1", "'+1+1", "'-1-", "'@a", "'\tx", "'\rx", "plain", "a=b", ""]
    assert {row[1] for row in rows} == {"-1.5"}  # a number is not text
    assert [row[2] for row in rows] == cells  # an id is read back


@pytest.mark.parametrize("number", ["-0.37", "+1", "-1", "-.5", "+1e-3", "-12."])
def test_c07_plain_numbers_stay_as_they_are(number: str) -> None:
    assert csv_text(["note"], [(number,)]).splitlines() == ["note", number]


@given(text(min_size=1).filter(lambda cell: "\r" not in cell and "\n" not in cell))
@example("-1")
@example("=1+1")
@example("'=1")
def test_c07_ids_of_any_text_come_back(id: str) -> None:
    header, row = csv.reader(io.StringIO(csv_text(["user_id", "title"], [(id, "x")]), newline=""))
    assert (header, row) == (["user_id", "title"], [id, "x"])


@pytest.mark.parametrize("id", ["-1", "-0.37", "+1", "=1+1", "@a", "-30-", "\tx", "00123"])
def test_c7_ids_and_numbers_are_written_as_they_are(tmp_path: Path, id: str) -> None:
    columns = ["user_id", "movieId", "Item ID", "user"]
    write_csv(tmp_path / "f.csv", [*columns, "old_score"], [(id, id, id, id, "-0.37"), ("a", "b", "c", "d", "+1.5e3")])
    assert read(tmp_path / "f.csv")[1:] == [[id, id, id, id, "-0.37"], ["a", "b", "c", "d", "+1.5e3"]]


def test_c7_what_score_writes_can_be_scored_again(run, tmp_path: Path) -> None:
    ratings = [(-user, -item, (user * item) % 5 + 1) for user in range(1, 9) for item in range(1, 9) if user != item]
    data = write(tmp_path / "r.csv", ["userId", "movieId", "rating"], ratings)
    pairs = write(tmp_path / "p.csv", ["userId", "movieId", "old"], [(-1, -1, "-0.37"), (-2, -4, "+1.5")])
    first, again = tmp_path / "first.csv", tmp_path / "again.csv"
    for source, out in ((pairs, first), (first, again)):
        json_of(run("score", "--dataset", data, "--model", "ease", "--pairs", source, "--out", out, "--json"))
    assert [row[:3] for row in read(again)[1:]] == [["-1", "-1", "-0.37"], ["-2", "-4", "+1.5"]]
    assert [row[3] for row in read(again)[1:]] == [row[4] for row in read(again)[1:]]


def test_a_hostile_title_is_prefixed_in_an_export(run, folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "all.csv"
    json_of(
        run("recommend", "--dataset", folder, "--model", "popularity", "--user", 1, "-k", 41, "--out", out, "--json")
    )
    assert "'=1+1" in [row[3] for row in read(out)]


def test_a_file_is_written_atomically(tmp_path: Path) -> None:
    out = tmp_path / "f.csv"
    out.write_text("old")

    def rows():
        yield ("a",)
        raise KeyError("in the middle")

    with pytest.raises(KeyError):
        write_csv(out, ["x"], rows())
    with pytest.raises(TypeError):
        write_json(out, {"x": object()})
    assert out.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["f.csv"]
    write_json(out, {"nan": float("nan"), "n": np.float32(0.5), "title": "Amélie"})
    assert json.loads(out.read_text("utf-8")) == {"nan": None, "n": 0.5, "title": "Amélie"}


def rows_of(path: Path) -> list[dict[str, Any]]:
    """Return the rows of a table in any format that is written."""
    if path.suffix == ".csv":
        return pd.read_csv(path, float_precision="round_trip").to_dict("records")
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return pd.read_parquet(path).to_dict("records")


@pytest.mark.parametrize("ending", [".csv", ".jsonl", ".parquet"])
def test_m25_a_table_is_written_in_the_format_that_the_ending_of_out_names(
    run, folder: Path, tmp_path: Path, ending: str
) -> None:
    recommend = ["recommend", "--dataset", folder, "--model", "popularity", "--all-users", "-k", 3]
    shown = json_of(run(*recommend, "--json"))["recommendations"]
    out = tmp_path / f"lists{ending}"
    assert run(*recommend, "--out", out)[0] == 0
    assert rows_of(out) == shown
    similar = ["similar", "--dataset", folder, "--model", "item-knn", "--item", 105, "-k", 4]
    assert run(*similar, "--out", out)[0] == 0
    assert rows_of(out) == json_of(run(*similar, "--json"))["similar"]
    pairs = write(tmp_path / "pairs.csv", ["user_id", "item_id"], [(1, 101), (2, 105)])
    assert run("score", "--dataset", folder, "--model", "ease", "--pairs", pairs, "--out", out)[0] == 0
    assert [(str(row["user_id"]), str(row["item_id"])) for row in rows_of(out)] == [("1", "101"), ("2", "105")]
    assert all(isinstance(row["score"], float) for row in rows_of(out))
    assert run("estimates", "--dataset", folder, "--model", "bias", "--out", out)[0] == 0
    assert len(rows_of(out)) == 61
    mix = write(tmp_path / "mine.csv", ["item_id", "rating"], [(101, 5), (105, 5), (107, 5)])
    stream = ["stream", "--dataset", folder, "--positive", 4, "--model", "stream-popularity", "--mix", mix]
    assert run(*stream, "--out", out)[0] == 0
    assert {str(row["user_id"]) for row in rows_of(out)} >= {"guest", "17"}
    assert {row["hit"] for row in rows_of(out)} == {0, 1}


@pytest.mark.parametrize("name", ["lists.xlsx", "lists.json", "lists", "lists.csv.gz", "lists.parquet.txt"])
def test_m25_another_ending_is_refused_before_anything_is_done(run, folder: Path, tmp_path: Path, name: str) -> None:
    recommend = ["recommend", "--dataset", "nowhere", "--model", "popularity", "--all-users", "--out", tmp_path / name]
    status, _, noted = run(*recommend)
    assert (status, noted.count("\n")) == (2, 1)
    assert "ends in .csv, .jsonl or .parquet" in noted
    assert not list(tmp_path.iterdir())
    evaluate = ["evaluate", "popularity", "--dataset", folder, "--split", "random"]
    assert run(*evaluate, "--out", tmp_path / "report.csv")[0] == 2
    assert run(*evaluate, "--users", tmp_path / name)[0] == 2


def test_m25_text_that_a_spreadsheet_would_run_is_as_it_is_where_no_spreadsheet_reads(tmp_path: Path) -> None:
    rows = [("=1+1", -0.5), ("-0.37", math.nan), ("Amélie, ‘x’", 2.0)]
    for ending in (".jsonl", ".parquet"):
        write_table(tmp_path / f"t{ending}", ("title", "score"), iter(rows))
        assert [row["title"] for row in rows_of(tmp_path / f"t{ending}")] == [title for title, _ in rows]


def test_m25_parquet_keeps_its_types_over_many_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "CELLS_AT_ONCE", 6)
    rows = [(n, None if n < 4 else n, f"u{n}") for n in range(9)]
    write_table(tmp_path / "t.parquet", ("event", "rank", "user_id"), iter(rows))
    written = pd.read_parquet(tmp_path / "t.parquet")
    assert written["event"].tolist() == list(range(9))
    assert written["rank"].isna().sum() == 4
    assert written["rank"].tolist()[4:] == [4, 5, 6, 7, 8]
    assert written["user_id"].tolist() == [f"u{n}" for n in range(9)]


FORMS = {
    "a list": '[{"item_id": 101, "rating": 5}, {"item_id": 105, "rating": 4.5}, {"item_id": 109, "rating": 1}]',
    "lines": '{"item_id": 101, "rating": 5}\n{"item_id": "105", "rating": "4.5"}\n\n{"item_id": 109, "rating": 1}\n',
    "a mapping": '{"101": 5,\n "105": 4.5,\n "109": 1}',
    "titles": '{"title": "Film 0", "rating": 5}\n{"title": "Film 4", "rating": 4.5}\n{"title": "Film 8", "rating": 1}',
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_m27_json_is_read_as_the_same_csv_is(run, folder: Path, tmp_path: Path, form: str) -> None:
    (tmp_path / "h.json").write_text(form)
    same = write(tmp_path / "h.csv", ["item_id", "rating"], [(101, 5), (105, 4.5), (109, 1)])
    lists = [
        json_of(run("recommend", "--dataset", folder, "--model", "ease", "--ratings", path, "--json"))
        for path in (tmp_path / "h.json", same)
    ]
    assert lists[0] == lists[1]
    assert len(lists[0]["recommendations"]) == 10


@pytest.mark.parametrize("header", ["item_id", "movieId", "title"])
def test_m27_without_a_column_of_ratings_every_row_counts_as_the_best(
    run, folder: Path, tmp_path: Path, header: str
) -> None:
    cells = ["Film 0", "Film 4"] if header == "title" else [101, 105]
    liked = write(tmp_path / "liked.csv", [header], [(cell,) for cell in cells])
    same = write(tmp_path / "same.csv", ["item_id", "rating"], [(101, 5), (105, 5)])
    command = ("recommend", "--dataset", folder, "--model", "ease", "--json", "--ratings")
    assert json_of(run(*command, liked)) == json_of(run(*command, same))
    assert "liked.csv has no column of ratings: every row counts as 5, the best there is." in run(*command, liked)[2]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("h.json", '{"item_id": 101, "rating": 5}\n{"item_id"', "line 2 of h.json is not JSON"),
        ("h.json", '[{"item_id": 101, "rating": 50}]', "rating '50' in line 1 of h.json cannot be used; expected"),
        ("h.json", "[1, 2]", "row 1 of h.json is something else; expected a JSON object"),
        ("other.csv", "Name,Letterboxd URI\nFilm 0,https://boxd.it/x\n", "has the columns 'Name, Letterboxd URI'"),
    ],
)
def test_m27_what_cannot_be_read_is_named(
    run, folder: Path, tmp_path: Path, name: str, content: str, message: str
) -> None:
    (tmp_path / name).write_text(content)
    status, _, error = run("recommend", "--dataset", folder, "--model", "ease", "--ratings", tmp_path / name)
    assert (status, message in error) == (2, True), error


def test_m26_a_file_with_a_column_of_users_gets_a_list_for_each_of_them(run, folder: Path, tmp_path: Path) -> None:
    rated = {"B": [(101, 5), (105, 4)], "A": [(107, 5), (110, 1)], "00123": [(112, 5)], "123": [(101, 5)]}
    rows = [(user, *row) for user, of in rated.items() for row in of]
    rows = [*rows[1::2], *rows[::2]]  # users between each other
    recommend = ["recommend", "--dataset", folder, "--model", "ease", "-k", 4, "--json", "--ratings"]
    together = write(tmp_path / "all.csv", ["user_id", "item_id", "rating"], rows)
    lists = json_of(run(*recommend, together))["recommendations"]
    assert {row["user_id"] for row in lists} == rated.keys()
    for user in rated:
        own = [row[1:] for row in rows if row[0] == user]
        alone = json_of(run(*recommend, write(tmp_path / "one.csv", ["item_id", "rating"], own)))["recommendations"]
        assert [row | {"user_id": "new"} for row in lists if row["user_id"] == user] == alone


def test_m26_a_user_of_unknown_items_is_answered_and_a_row_without_a_user_goes_to_nobody(
    run, folder: Path, tmp_path: Path
) -> None:
    rows = [("A", 101, 5), ("B", 999, 5), ("", 105, 5)]
    path = write(tmp_path / "all.csv", ["user", "item_id", "rating"], rows)
    status, output, noted = run("recommend", "--dataset", folder, "--model", "ease", "--ratings", path, "--json")
    value = json.loads(output)
    assert status == 0
    assert {row["user_id"] for row in value["recommendations"]} == {"A", "B"}
    assert value["popularity_fallback"] == ["B"]
    assert "1 rating matched, 2 not: 999, 105" in noted
    assert 105 in {row["item_id"] for row in value["recommendations"] if row["user_id"] == "A"}


def test_m26_one_user_more_in_a_stream_is_one(run, folder: Path, tmp_path: Path) -> None:
    path = write(tmp_path / "two.csv", ["user_id", "item_id", "rating"], [("A", 101, 5), ("B", 105, 5)])
    status, _, noted = run("stream", "--dataset", folder, "--positive", 4, "--mix", path)
    assert status == 2
    assert "holds the ratings of 2 users; expected those of one user" in noted
