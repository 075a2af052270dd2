"""The command line as scripts rely on it: JSON alone on standard output, exit codes, one line for bad input."""

import csv
import io
import json
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tqdm import tqdm

from recengine.cli import main
from recengine.cli.reporter import Reporter
from recengine.data.dataset import Dataset
from recengine.data.sources import load_dataset
from recengine.experiments.train import TrainingRequest, obtain
from recengine.export import write_csv, write_json
from recengine.models.registry import MODELS
from recengine.serving.recommend import recommend
from recengine.training.config import RunConfig
from recengine.training.loop import EpochResult, Stage

Out = tuple[int, str, str]


@pytest.fixture(scope="module")
def folder(tiny: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return `tiny` as ratings.csv and movies.csv; film 141 has no rating, person 61 likes nothing."""
    place = tmp_path_factory.mktemp("tiny")
    r = tiny.ratings
    rows = zip(tiny.user_ids[r.user_idx], tiny.item_ids[r.item_idx], r.rating, r.timestamp, strict=True)
    write(place / "ratings.csv", ["userId", "movieId", "rating", "timestamp"], [*rows, (61, 101, 1.0, 5)])
    films = zip(tiny.items["item_id"], tiny.items["title"] + " (1999)", tiny.items["genres"], strict=True)
    write(place / "movies.csv", ["movieId", "title", "genres"], [*films, (141, "=1+1 (2000)", "Comedy")])
    return place


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., Out]:
    """Return a function that runs a command and gives (exit status, standard output, standard error)."""

    def run_command(*arguments: Any) -> Out:
        capsys.readouterr()
        status = main([str(a) for a in arguments])
        return status, *capsys.readouterr()

    return run_command


def write(path: Path, header: Iterable[Any], rows: Iterable[Iterable[Any]]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])
    return path


def read(path: Path) -> list[list[str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.reader(file))


def told(out: Out) -> dict[str, Any]:
    """Return the JSON object, which must be all of standard output and on one line."""
    status, said, _ = out
    assert status == 0, out[2]
    assert said.count("\n") == 1
    assert said.endswith("\n")
    found = json.loads(said, parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))
    assert isinstance(found, dict)
    return found


# Each command ---------------------------------------------------------------------------------------------------


def test_datasets_lists_what_is_registered(run) -> None:
    found = told(run("datasets", "--json"))["datasets"]
    names = [row["name"] for row in found]
    assert names[0] == "sample"
    assert {"ml-latest-small", "ml-100k", "ml-1m", "ml-10m", "ml-20m", "ml-25m", "ml-32m"} <= set(names)
    assert all(row["licence"] and isinstance(row["present"], bool) and "size" in row for row in found)
    status, text, _ = run("datasets")
    assert status == 0
    assert len(text.splitlines()) == len(found) + 2
    assert told(run("datasets", "fetch", "sample", "--json"))["dataset"] == "sample"


def test_models_lists_the_registry(run) -> None:
    found = told(run("models", "--json"))["models"]
    assert [row["name"] for row in found] == list(MODELS)
    assert all({"name", "family", "abilities", "summary"} <= row.keys() for row in found)
    assert "ease" in run("models")[1]


def test_train_trains_once_and_prints_the_folder(run, folder: Path, fresh_home: Path) -> None:
    first = told(run("train", "ease", "--dataset", folder, "--json"))
    assert first["fresh"]
    assert (Path(first["folder"]) / "manifest.json").is_file()
    assert Path(first["folder"]).is_relative_to(fresh_home)
    status, said, noted = run("train", "ease", "--dataset", folder)
    assert (status, said.strip()) == (0, first["folder"])
    assert "Trained" not in noted
    assert "Trained ease" in run("train", "ease", "--dataset", folder, "--force")[2]
    other = told(run("train", "ease", "--dataset", folder, "--set", "l2=7", "--json"))
    assert other["fresh"]
    assert other["folder"] != first["folder"]


def test_the_trainings_of_an_evaluation_and_the_trials_of_a_search_are_counted(run, folder: Path, fresh_home) -> None:
    how = ("--dataset", folder, "--split", "leave-last", "--progress", "jsonl", "--json")

    def steps(*command: object) -> list[tuple[str, int, int]]:
        status, _, noted = run(*command, *how)
        assert status == 0
        rows = [json.loads(line) for line in noted.splitlines()]
        return [(row["text"], row["done"], row["of"]) for row in rows if row["event"] == "step" and "of" in row]

    assert steps("evaluate", "random", "popularity", "--seeds", "2") == [
        ("random, seed 0", 0, 4),
        ("random, seed 1", 1, 4),
        ("popularity, seed 0", 2, 4),
        ("popularity, seed 1", 3, 4),
    ]
    assert steps("tune", "ease", "--trials", "2") == [("presets", 0, 2)]


def test_progress_as_lines_of_json_is_all_that_stands_on_standard_error(run, folder: Path, fresh_home: Path) -> None:
    status, said, noted = run(
        "train",
        "mf",
        "--dataset",
        folder,
        "--set",
        "epochs=3",
        "--set",
        "embedding_dim=4",
        "--progress",
        "jsonl",
        "--json",
    )
    assert status == 0
    assert json.loads(said)["model"] == "mf"
    rows = [json.loads(line) for line in noted.splitlines()]
    epochs = [row for row in rows if row["event"] == "epoch"]
    assert [row["epoch"] for row in epochs if not row.get("stages")] == [0, 1, 2, 3]
    assert all({"model", "epochs", "loss", "seconds"} <= row.keys() for row in epochs)
    assert all(row["memory_mb"] > 10 for row in epochs)
    assert [row["text"] for row in rows if row["event"] == "step"] == [f"reading {folder}", "training mf"]
    whole = [row for row in epochs if row.get("stages") == ["refit"]]
    for row, since in ((epochs[1], epochs[0]["seconds"]), (whole[0], 0.0)):  # the refit's clock starts again
        assert row["examples_per_second"] == pytest.approx(row["examples"] / (row["seconds"] - since), rel=1e-3)
    assert "examples_per_second" not in epochs[0]
    assert whole[0]["examples"] > epochs[0]["examples"]  # validation is learned from too
    assert any(row["event"] == "note" and "Trained mf" in row["text"] for row in rows)


def test_quiet_says_nothing_on_standard_error(run, folder: Path, fresh_home: Path) -> None:
    for how in ([], ["--progress", "jsonl"]):
        status, said, noted = run("train", "mf", "--dataset", folder, "--set", "epochs=1", "--quiet", "--force", *how)
        assert (status, noted) == (0, "")
        assert Path(said.strip()).is_dir()


def test_evaluate_gives_a_table_or_json_and_writes_the_same_json(run, folder: Path, tmp_path: Path) -> None:
    arguments = ["evaluate", "popularity", "ease", "--dataset", folder, "--split", "leave-last", "--set", "ease.l2=9"]
    found = told(run(*arguments, "--out", tmp_path / "table.json", "--negatives", 5, "--json"))
    assert json.loads((tmp_path / "table.json").read_text()) == found
    assert found["results"].keys() == {"popularity", "ease"}
    assert {
        "ndcg@10",
        "recall@10",
        "mrr@10",
        "map@10",
        "hr@10",
        "precision@10",
        "auc",
        "coverage@10",
        "hr@10_sampled5",
    } <= found["results"]["ease"].keys()
    assert found["split"]["positive"] == 4.0
    status, text, _ = run(*arguments)
    assert status == 0
    assert "popularity" in text
    assert "±" in text


def test_tune_prints_settings_that_train_and_evaluate_take(run, folder: Path, tmp_path: Path, fresh_home: Path) -> None:
    arguments = ["tune", "ease", "--dataset", folder, "--trials", 5, "--search", "l2=1:50:log", "--set"]
    arguments += ["recency_floor=0.3", "--split", "stratified", "--min-item", 2]
    found = told(run(*arguments, "--out", tmp_path / "trials.json", "--json"))
    written = json.loads((tmp_path / "trials.json").read_text())
    assert (
        written.keys()
        == found.keys()
        == {*("dataset", "split", "model", "criterion", "seeds", "trials", "best", "preset", "set")}
    )
    assert (found["model"], found["criterion"], found["split"]["split"]) == ("ease", "valid_ndcg@10", "stratified")
    assert found["split"]["min_item"] == 2
    for number, trial in enumerate(found["trials"]):
        assert trial.keys() == {"number", "settings", "value", "seconds", "state", "reason"}
        assert trial["settings"].keys() == {"l2", "recency_floor", "recency_half_life"}
        assert (trial["number"], trial["state"], trial["settings"]["recency_floor"]) == (number, "complete", 0.3)
        assert number == 0 or 1 <= trial["settings"]["l2"] <= 50
    assert found["trials"][0]["settings"]["l2"] == 100.0
    assert found["preset"] == found["trials"][0]["value"]
    assert found["best"]["value"] == max(trial["value"] for trial in found["trials"])
    assert {"number", "settings", "value"} == found["best"].keys()
    status, said, _ = run(*arguments)
    lines = said.splitlines()
    assert (status, lines[lines.index("for train:") + 1]) == (0, found["set"])
    for_evaluate = shlex.split(lines[lines.index("for evaluate:") + 1])
    assert run("train", "ease", "--dataset", folder, *shlex.split(found["set"]))[0] == 0
    assert run("evaluate", "ease", "--dataset", folder, "--split", "stratified", *for_evaluate)[0] == 0


def test_tune_tells_each_trial_and_its_epochs_as_lines_of_json(run, folder: Path) -> None:
    few = ["--set", "epochs=2", "--set", "embedding_dim=4", "--trials", 2]
    status, _, noted = run("tune", "mf", "--dataset", folder, *few, "--progress", "jsonl", "--json")
    assert status == 0
    rows = [json.loads(line) for line in noted.splitlines()]
    trials = [row for row in rows if row["event"] == "trial"]
    assert [(row["model"], row["number"], row["trials"]) for row in trials] == [("mf", 0, 2), ("mf", 1, 2)]
    assert all({"settings", "value", "seconds", "state", "best"} <= row.keys() for row in trials)
    assert [row["epoch"] for row in rows[: rows.index(trials[0])] if row["event"] == "epoch"] == [0, 1, 2]


def test_tune_says_what_to_install_before_it_loads_anything(run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recengine.cli.common.load_dataset", lambda *a, **k: pytest.fail("it loads the data first"))
    monkeypatch.setitem(sys.modules, "optuna", None)
    status, said, noted = run("tune", "ease")
    assert (status, said) == (2, "")
    assert noted == "recengine: tune needs optuna, which is not installed; run `pip install optuna==5.0.0`\n"


def test_an_interrupted_search_prints_the_best_so_far(run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fits = iter(range(9))

    def fit(self: Any, *about: Any) -> Any:
        if next(fits) == 3:
            raise KeyboardInterrupt
        return torch.eye(41)

    monkeypatch.setattr(MODELS["ease"], "weights", fit)
    status, said, noted = run("tune", "ease", "--dataset", folder, "--trials", 9, "--json")
    assert status == 0
    assert len(json.loads(said)["trials"]) == 3
    assert "Stopped after 3 of 9 trials." in noted


@pytest.mark.parametrize("split", ["random", "stratified", "time", "cold-user"])
def test_every_split_can_be_evaluated(run, folder: Path, split: str) -> None:
    more = ["--given", 3] if split == "cold-user" else []
    found = told(run("evaluate", "ease", "--dataset", folder, "--split", split, *more, "--test-share", 0.2, "--json"))
    assert found["split"]["split"] == split
    assert found["split"]["share"] == 0.2
    assert 0 <= found["results"]["ease"]["ndcg@10"]["value"] <= 1


def test_evaluate_follows_people_who_are_held_out_in_turns_as_more_is_given_of_them(run, folder: Path) -> None:
    arguments = ["evaluate", "popularity", "ease", "bias", "--dataset", folder, "--split", "cold-user"]
    arguments += ["--folds", 3, "--given", "1,6", "--targets-after", 8]
    found = told(run(*arguments, "--json"))
    assert (found["split"]["folds"], found["split"]["given"], found["split"]["targets_after"]) == (3, [1, 6], 8)
    assert found["users"] + found["left_out"] == 61
    assert found["left_out"] >= 1  # person 61, who likes nothing
    for block, given in zip(found["by_given"], (1, 6), strict=True):
        assert block["given"] == given
        cell = block["results"]["ease"]["ndcg@10"]
        ahead = block["ahead_of"]["popularity"]["ease"]
        popularity = block["results"]["popularity"]["ndcg@10"]["value"]
        assert ahead["difference"] == pytest.approx(cell["value"] - popularity)
        assert {"difference", "low", "high", "p"} == ahead.keys()
        assert "user_mae" in block["results"]["bias"]
        assert "user_mae" not in block["results"]["ease"]
    status, text, _ = run(*arguments)
    assert status == 0
    head, _, *rows = text.splitlines()[1:]
    assert head.split()[:2] == ["model", "given"]
    assert "NDCG@10 ahead of popularity" in head
    assert [row.split()[:2] for row in rows[:6]] == [[m, n] for n in "16" for m in ("popularity", "ease", "bias")]
    assert "After 1 given: popularity stands in for the users of whom a model can read nothing: ease " in text
    assert f"({found['left_out']} left out)" in text


def test_recommend_gives_what_the_package_gives(run, folder: Path) -> None:
    data = load_dataset(folder)
    model = obtain(TrainingRequest(data, "ease", run=RunConfig())).model
    found = told(run("recommend", "--dataset", folder, "--model", "ease", "--user", 17, "-k", 5, "--json"))
    rows = found["recommendations"]
    expected = recommend(model, data, data.user_index([17]), k=5).ranking
    assert [row["item_id"] for row in rows] == data.item_ids[expected.items[0]].tolist()
    assert [row["rank"] for row in rows] == [1, 2, 3, 4, 5]
    assert [row["score"] for row in rows] == pytest.approx(expected.scores[0].tolist())
    assert {row["user_id"] for row in rows} == {17}
    assert rows[0]["title"] == data.items["title"][int(expected.items[0, 0])]
    assert found["popularity_fallback"] == []


def test_recommend_for_all_users_writes_one_list_each(run, folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "lists.csv"
    found = told(
        run("recommend", "--dataset", folder, "--model", "ease", "--all-users", "-k", 3, "--out", out, "--json")
    )
    header, *rows = read(out)
    assert header == ["user_id", "rank", "item_id", "title", "score"]
    assert [row[0] for row in rows] == [str(user) for user in range(1, 62) for _ in range(3)]
    assert found["popularity_fallback"] == [61]  # person 61 likes nothing


def test_a_substitute_is_named(run, folder: Path) -> None:
    status, _, noted = run("recommend", "--dataset", folder, "--model", "ease", "--user", 61)
    assert status == 0
    assert "popularity replaces ease" in noted
    assert told(run("recommend", "--dataset", folder, "--model", "ease", "--user", 61, "--json"))[
        "popularity_fallback"
    ] == [61]


def test_seen_films_are_listed_only_when_asked(run, folder: Path) -> None:
    data = load_dataset(folder)
    seen = set(data.item_ids[data.ratings.item_idx[data.ratings.user_idx == 3]].tolist())
    lists = [
        told(run("recommend", "--dataset", folder, "--model", "ease", "--user", 4, "-k", 41, "--json", *more))
        for more in ([], ["--include-seen"])
    ]
    ids = [{row["item_id"] for row in found["recommendations"]} for found in lists]
    assert ids[0] == set(data.item_ids.tolist()) - seen
    assert ids[1] == set(data.item_ids.tolist())


@pytest.mark.parametrize("key", ["title", "item_id"])
def test_recommend_serves_a_person_of_ones_own(run, folder: Path, tmp_path: Path, key: str) -> None:
    data = load_dataset(folder)
    own = data.ratings.select(data.ratings.user_idx == 6)
    names = data.items["title"].to_numpy()[own.item_idx] if key == "title" else data.item_ids[own.item_idx]
    mine = write(tmp_path / "mine.csv", [key, "rating"], zip(names, own.rating, strict=True))
    found = told(run("recommend", "--dataset", folder, "--model", "ease", "--ratings", mine, "--json"))
    known = told(run("recommend", "--dataset", folder, "--model", "ease", "--user", 7, "--json"))
    pick = [[row["item_id"] for row in f["recommendations"]] for f in (found, known)]
    assert pick[0] == pick[1]
    assert {row["user_id"] for row in found["recommendations"]} == {"new"}


def test_similar_to_a_film_nobody_liked_says_that_popularity_stands_in(run, folder: Path) -> None:
    arguments = ["similar", "--dataset", folder, "--model", "ease", "--item", 141, "-k", 3]
    found = told(run(*arguments, "--json"))
    assert found["fallback"] == "popularity"
    popular = told(
        run("recommend", "--dataset", folder, "--model", "popularity", "--user", 61, "--include-seen", "--json")
    )
    assert [r["item_id"] for r in found["similar"]] == [r["item_id"] for r in popular["recommendations"]][:3]
    assert "most popular items stand in" in run(*arguments)[2]


def test_similar_leaves_out_the_seed(run, folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "near.csv"
    found = told(
        run("similar", "--dataset", folder, "--model", "item-knn", "--item", 105, "-k", 4, "--out", out, "--json")
    )
    assert (found["item_id"], found["title"]) == (105, "Film 4")
    assert 105 not in [row["item_id"] for row in found["similar"]]
    assert [row["rank"] for row in found["similar"]] == [1, 2, 3, 4]
    assert read(out)[0] == ["rank", "item_id", "title", "similarity"]
    assert len(read(out)) == 5


def test_score_adds_a_column_and_keeps_rows_order_and_other_columns(run, folder: Path, tmp_path: Path) -> None:
    data = load_dataset(folder)
    wanted = [("b", 9, 110), ("a", 2, 101), ("b", 9, 110), ("c", 61, 141), ("=1+1", 1, 139)]
    pairs = write(tmp_path / "pairs.csv", ["note", "user_id", "item_id"], wanted)
    found = told(
        run("score", "--dataset", folder, "--model", "ease", "--pairs", pairs, "--out", tmp_path / "s.csv", "--json")
    )
    header, *rows = read(tmp_path / "s.csv")
    assert header == ["note", "user_id", "item_id", "score"]
    assert found["rows"] == len(rows) == len(wanted)
    scores = obtain(TrainingRequest(data, "ease")).model.score(np.arange(data.n_users)).numpy()
    for (note, user, item), row in zip(wanted, rows, strict=True):
        assert row[:3] == [note.replace("=", "'="), str(user), str(item)]
        index = data.user_index([user])[0], data.item_index([item])[0]
        assert float(row[3]) == pytest.approx(float(scores[index]), abs=1e-6)


@pytest.mark.parametrize(("name", "columns"), [("deepfm", "genres"), ("content", "genres, keywords, tags or director")])
def test_items_without_metadata_are_counted_for_the_person(
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
    assert told(run("train", name, "--dataset", tmp_path, *few, "--json"))["n_unknown"] == 2  # also from the store
    few = ["--set", f"{name}.epochs=1", "--seeds", 2]
    assert run("evaluate", name, "--dataset", tmp_path, "--split", "random", *few)[2].count(told_so) == 1


# Progress -------------------------------------------------------------------------------------------------------


def test_each_phase_and_each_stage_of_a_training_has_a_bar_that_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    bars: list[tqdm] = []

    def make(self: Reporter, **about: Any) -> tqdm:
        bars.append(tqdm(file=io.StringIO(), **about))
        return bars[-1]

    monkeypatch.setattr(Reporter, "_bar", make)
    on_epoch = Reporter().epochs("hybrid")
    for stages, first, last, epochs in (
        ((Stage.PRETRAINING,), 1, 1, 1),
        ((), 0, 2, 2),  # phase 1 ends
        ((), 3, 3, 9),  # phase 2 stops early
        ((Stage.REFIT, Stage.PRETRAINING), 1, 1, 1),
        ((Stage.REFIT,), 1, 3, 3),
    ):
        for epoch in range(first, last + 1):
            on_epoch(EpochResult(epoch, epochs, loss=0.5, seconds=0.0, stages=stages))
    assert [(bar.desc.removesuffix(": "), bar.n, bar.total) for bar in bars] == [
        ("hybrid, pretraining", 1, 1),
        ("hybrid", 2, 2),
        ("hybrid", 3, 9),
        ("hybrid, refit, pretraining", 1, 1),
        ("hybrid, refit", 3, 3),
    ]


# Files that are written -----------------------------------------------------------------------------------------


def test_text_that_a_spreadsheet_would_run_is_prefixed(tmp_path: Path) -> None:
    cells = ["=1", "+1", "-1", "@a", "\tx", "\rx", "plain", "a=b", ""]
    write_csv(tmp_path / "f.csv", ["=head", "n"], [(cell, -1.5) for cell in cells])
    header, *rows = read(tmp_path / "f.csv")
    assert header == ["'=head", "n"]
    assert [row[0] for row in rows] == ["'=1", "'+1", "'-1", "'@a", "'\tx", "'\rx", "plain", "a=b", ""]
    assert {row[1] for row in rows} == {"-1.5"}  # a number is not text


def test_a_hostile_title_is_prefixed_in_an_export(run, folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "all.csv"
    told(run("recommend", "--dataset", folder, "--model", "popularity", "--user", 1, "-k", 41, "--out", out, "--json"))
    assert "'=1+1" in [row[3] for row in read(out)]


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
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


# Bad input ------------------------------------------------------------------------------------------------------


EASE = ["--model", "ease"]
COLD, LAST = ["--split", "cold-user"], ["--split", "leave-last"]
BAD = {
    "an unknown command": (["recomend"], "recomend"),
    "no command": ([], "COMMAND"),
    "an unknown option": (["models", "--jsn"], "--jsn"),
    "an unknown data set": (["train", "ease", "--dataset", "ml-1000k"], "ml-1000k"),
    "an unknown data set to fetch": (["datasets", "fetch", "ml-1000k"], "ml-1000k"),
    "nothing to fetch": (["datasets", "fetch"], "is needed to fetch"),
    "a path that is not there": (["train", "ease", "--dataset", "none/at/all"], "none/at/all"),
    "an unknown model": (["train", "eaze", "--dataset", "D"], "did you mean 'ease'"),
    "an unknown model to evaluate": (["evaluate", "eaze", "--dataset", "D", "--split", "random"], "eaze"),
    "an unknown user": (["recommend", "--dataset", "D", *EASE, "--user", "999"], "user 999"),
    "a user that is no number": (["recommend", "--dataset", "D", *EASE, "--user", "x\ny"], "whose user ids"),
    "an endless user": (["recommend", "--dataset", "D", *EASE, "--user", "9" * 30], "9" * 30),
    "an unknown item": (["similar", "--dataset", "D", *EASE, "--item", "999"], "item 999"),
    "no user": (["recommend", "--dataset", "D", *EASE], "--user"),
    "profile without =": (["recommend", "--dataset", "D", *EASE, "--profile", "F"], "KEY=VALUE"),
    "profile for ease": (["recommend", "--dataset", "D", *EASE, "--profile", "gender=F"], "'ease'"),
    "two users": (["recommend", "--dataset", "D", *EASE, "--user", "1", "--all-users"], "exactly one"),
    "k of 0": (["recommend", "--dataset", "D", *EASE, "--user", "1", "-k", "0"], "k=0"),
    "k below 0": (["recommend", "--dataset", "D", *EASE, "--user", "1", "-k", "-3"], "k=-3"),
    "k beyond the catalogue": (["recommend", "--dataset", "D", *EASE, "--user", "1", "-k", "42"], "k=42"),
    "k beyond the similar": (["similar", "--dataset", "D", *EASE, "--item", "101", "-k", "41"], "k=41"),
    "k beyond the candidates": (["evaluate", "ease", "--dataset", "D", "--split", "random", "-k", "999"], "k=999"),
    "k that is no number": (["recommend", "--dataset", "D", *EASE, "--user", "1", "-k", "ten"], "ten"),
    "no similarity": (["similar", "--dataset", "D", "--model", "popularity", "--item", "101"], "popularity"),
    "no fold-in": (["recommend", "--dataset", "D", "--model", "random", "--ratings", "GOOD"], "random"),
    "a setting out of range": (["train", "ease", "--dataset", "D", "--set", "l2=-1"], "l2=-1"),
    "a setting of nan": (["train", "ease", "--dataset", "D", "--set", "l2=nan"], "l2=nan"),
    "a huge setting": (["train", "mf", "--dataset", "D", "--set", f"epochs={'9' * 400}"], "epochs=999"),
    "an unknown setting": (["train", "ease", "--dataset", "D", "--set", "l3=1"], "'l3'"),
    "a setting without a value": (["train", "ease", "--dataset", "D", "--set", "l2"], "'l2'"),
    "a setting of no model": (["evaluate", "ease", "--dataset", "D", "--split", "random", "--set", "l2=1"], "l2"),
    "an unknown model to tune": (["tune", "eaze", "--dataset", "D"], "did you mean 'ease'"),
    "nothing to tune": (["tune", "popularity", "--dataset", "D"], "nothing left to search"),
    "no trials": (["tune", "ease", "--dataset", "D", "--trials", "0"], "'0'"),
    "no time to tune": (["tune", "ease", "--dataset", "D", "--timeout", "0"], "'0'"),
    "a search without a value": (["tune", "ease", "--dataset", "D", "--search", "l2"], "--search 'l2'"),
    "a search upside down": (["tune", "ease", "--dataset", "D", "--search", "l2=9:1"], "l2=9:1"),
    "a search of no setting": (["tune", "ease", "--dataset", "D", "--search", "l3=1:9"], "l3"),
    "a search out of range": (["tune", "ease", "--dataset", "D", "--search", "l2=-1:9"], "l2=-1"),
    "a search of what is set": (["tune", "ease", "--dataset", "D", "--search", "l2=1:9", "--set", "l2=3"], "l2"),
    "a bad setting to tune": (["tune", "ease", "--dataset", "D", "--set", "l2=-1"], "l2=-1"),
    "an unknown split": (["evaluate", "ease", "--dataset", "D", "--split", "lastone"], "lastone"),
    "an unpublished split": (["evaluate", "ease", "--dataset", "D", "--split", "u1"], "u1"),
    "no seeds": (["evaluate", "ease", "--dataset", "D", "--split", "random", "--seeds", "0"], "0"),
    "negative negatives": (["evaluate", "ease", "--dataset", "D", "--split", "random", "--negatives", "-1"], "-1"),
    "a share of 0": (["evaluate", "ease", "--dataset", "D", "--split", "random", "--test-share", "0"], "share 0"),
    "a share of 1": (["evaluate", "ease", "--dataset", "D", "--split", "random", "--test-share", "1"], "share 1"),
    "a seed below 0": (["evaluate", "ease", "--dataset", "D", "--split", "random", "--seed", "-1"], "-1"),
    "a training seed below 0": (["train", "ease", "--dataset", "D", "--seed", "-1"], "seed=-1"),
    "a threshold above all": (["train", "ease", "--dataset", "D", "--positive", "9"], "positive=9"),
    "a threshold of nan": (["train", "ease", "--dataset", "D", "--positive", "nan"], "positive=nan"),
    "an unknown device": (["train", "ease", "--dataset", "D", "--device", "gpu"], "gpu"),
    "a cold user and no fold-in": (["evaluate", "random", "--dataset", "D", "--split", "cold-user"], "random"),
    "numbers given that are none": (["evaluate", "ease", "--dataset", "D", *COLD, "--given", "1,x"], "'x'"),
    "numbers given to no cold user": (["evaluate", "ease", "--dataset", "D", *LAST, "--given", "1,2"], "--given '1,2'"),
    "targets that are given": (
        ["evaluate", "ease", "--dataset", "D", *COLD, "--given", "5", "--targets-after", "3"],
        "given=5",
    ),
    "targets of no cold user": (["evaluate", "ease", "--dataset", "D", *LAST, "--targets-after", "3"], "after=3"),
    "folds of no cold user": (["evaluate", "ease", "--dataset", "D", *LAST, "--folds", "3"], "folds=3"),
    "too few folds": (["evaluate", "ease", "--dataset", "D", *COLD, "--folds", "2"], "'2'"),
    "folds and a share": (
        ["evaluate", "ease", "--dataset", "D", *COLD, "--folds", "3", "--test-share", "0.2"],
        "folds=3",
    ),
    "pairs that are not there": (["score", "--dataset", "D", *EASE, "--pairs", "no.csv", "--out", "o.csv"], "no.csv"),
    "ratings that are not there": (["recommend", "--dataset", "D", *EASE, "--ratings", "no.csv"], "no.csv"),
    "ratings out of range": (["recommend", "--dataset", "D", *EASE, "--ratings", "HIGH"], "'11'"),
    "a folder without ratings": (["train", "ease", "--dataset", "EMPTY"], "ratings.csv"),
    "a ragged file": (["train", "ease", "--dataset", "RAGGED"], "line 3"),
    "a rating of nan": (["train", "ease", "--dataset", "NAN"], "nan"),
    "a rating out of range": (["train", "ease", "--dataset", "RANGE"], "11"),
    "an empty file": (["train", "ease", "--dataset", "BLANK"], "empty"),
    "no zip": (["train", "ease", "--dataset", "NOZIP"], "zip"),
}


@pytest.fixture(scope="module")
def places(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return the files that `BAD` names in capitals."""
    place = tmp_path_factory.mktemp("bad")
    (place / "empty").mkdir()
    head = "userId,movieId,rating\n1,2,3\n"
    texts = {
        "GOOD": "item_id,rating\n101,5\n",
        "HIGH": "item_id,rating\n101,11\n",
        "RAGGED": head + "1,3,4,5\n",
        "NAN": head + "1,3,nan\n",
        "RANGE": head + "1,3,11\n",
        "BLANK": "",
    }
    for name, text in texts.items():
        (place / f"{name.lower()}.csv").write_text(text)
    (place / "some.zip").write_text("this is no zip")
    return {
        "D": folder,
        "EMPTY": place / "empty",
        "NOZIP": place / "some.zip",
        **{name: place / f"{name.lower()}.csv" for name in texts},
    }


@pytest.mark.parametrize("case", BAD, ids=[name.replace(" ", "-") for name in BAD])
def test_bad_input_is_one_line_that_names_it_and_exit_2(run, places, tmp_path: Path, monkeypatch, case: str) -> None:
    monkeypatch.chdir(tmp_path)
    arguments, words = BAD[case]
    status, said, noted = run(*(places.get(a, a) for a in arguments), *(["--quiet", "--json"] if arguments else []))
    assert (status, said) == (2, ""), noted
    assert noted.count("\n") == 1
    assert noted.startswith("recengine: ")
    assert words in noted
    assert "Traceback" not in noted
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "command",
    [
        ["evaluate", "ease", "--split", "random"],
        ["tune", "ease"],
        ["recommend", *EASE, "--all-users"],
        ["similar", *EASE, "--item", "101"],
        ["score", *EASE, "--pairs", "p.csv"],
        ["predict", "--model", "bias", "--pairs", "p.csv"],
        ["estimates", "--model", "bias"],
    ],
    ids=lambda command: command[0],
)
def test_an_out_that_cannot_be_written_is_noticed_before_any_work(
    run, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    monkeypatch.setattr("recengine.cli.common.load_dataset", lambda *a, **k: pytest.fail("it loads the data first"))
    for out, words in ((tmp_path / "none" / "f.csv", "the folder"), (tmp_path, "name a file in it")):
        status, said, noted = run(*command, "--dataset", folder, "--out", out)
        assert (status, said) == (2, "")
        assert noted.startswith(f"recengine: --out '{out}'")
        assert words in noted
        assert noted.count("\n") == 1


def test_a_fault_of_ours_is_one_line_and_exit_1(run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recengine.cli.common.load_dataset", lambda *a, **k: 1 / 0)
    status, said, noted = run("train", "ease", "--dataset", folder)
    assert (status, said) == (1, "")
    assert noted == "recengine: failed: ZeroDivisionError: division by zero\n"
    monkeypatch.setattr("recengine.cli.common.load_dataset", lambda *a, **k: (_ for _ in ()).throw(KeyboardInterrupt))
    assert run("train", "ease", "--dataset", folder)[0] == 1


def test_the_module_runs_as_a_program_and_stands_a_reader_that_leaves() -> None:
    done = subprocess.run(
        f"{sys.executable} -m recengine models | head -n 1; {sys.executable} -m recengine bogus",
        shell=True,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert done.stdout.startswith("name")
    assert "Traceback" not in done.stderr
    assert done.stderr.count("\n") == 1
