"""`recommend`, `similar` and `score` as scripts rely on them, the bars of a training, and users from a file."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tqdm import tqdm

from recengine.cli import serving
from recengine.cli.reporter import SHARE_BAR, Reporter
from recengine.data.dataset import Dataset
from recengine.data.sources import load_dataset
from recengine.experiments.train import TrainingRequest, obtain
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
