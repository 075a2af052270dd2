"""`evaluate` as scripts rely on it: the table, the JSON object and the files agree."""

import json
from pathlib import Path

import numpy as np
import pytest

from recengine.data.sources import load_dataset
from tests.cli.conftest import json_of, read, write


def test_evaluate_gives_a_table_or_json_and_writes_the_same_json(run, folder: Path, tmp_path: Path) -> None:
    arguments = ["evaluate", "popularity", "ease", "--dataset", folder, "--split", "leave-last", "--set", "ease.l2=9"]
    result = json_of(run(*arguments, "--out", tmp_path / "table.json", "--negatives", 5, "--json"))
    assert json.loads((tmp_path / "table.json").read_text()) == result
    assert result["results"].keys() == {"popularity", "ease"}
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
    } <= result["results"]["ease"].keys()
    assert result["split"]["positive"] == 4.0
    status, text, _ = run(*arguments)
    assert status == 0
    assert "popularity" in text
    assert "±" in text


@pytest.mark.parametrize("split", ["random", "stratified", "time", "cold-user", "cold-item"])
def test_every_split_can_be_evaluated(run, folder: Path, split: str) -> None:
    more = ["--given", 3] if split == "cold-user" else []
    result = json_of(
        run("evaluate", "ease", "--dataset", folder, "--split", split, *more, "--test-share", 0.2, "-k", 5, "--json")
    )
    assert result["split"]["split"] == split
    assert result["split"]["share"] == 0.2
    assert 0 <= result["results"]["ease"]["ndcg@5"]["value"] <= 1


def test_evaluate_holds_out_each_user_in_turn_and_gives_more_and_more_ratings(run, folder: Path) -> None:
    arguments = ["evaluate", "popularity", "ease", "bias", "--dataset", folder, "--split", "cold-user"]
    arguments += ["--folds", 3, "--given", "1,6", "--targets-after", 8]
    result = json_of(run(*arguments, "--json"))
    assert (result["split"]["folds"], result["split"]["given"], result["split"]["targets_after"]) == (3, [1, 6], 8)
    assert result["users"] + result["left_out"] == 61
    assert result["left_out"] >= 1  # user 61, who likes nothing
    for block, given in zip(result["by_given"], (1, 6), strict=True):
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
    assert "After 1 given: popularity stands in for the users for whom a model has no signal: ease " in text
    assert f"({result['left_out']} left out)" in text


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """Return twelve users whose items have names with spaces, commas and quotes."""
    names = ["red shoe", 'the "best" hat', "socks, three pairs", "4", "Käse & Brot", "a|b", "[x]", "123"]
    rows = [(f"user {u}", names[(u + n) % 8], 5, 100 * u + n) for u in range(12) for n in range(5)]
    return write(tmp_path / "shop.csv", ["user", "item", "rating", "timestamp"], rows)


def test_c47_the_lists_of_users_are_read_back_whatever_the_ids_hold(run, shop: Path, tmp_path: Path) -> None:
    out = tmp_path / "users.csv"
    command = ["evaluate", "popularity", "--dataset", shop, "--split", "leave-last", "--positive", 0, "-k", 3]
    assert run(*command, "--users", out, "--json")[0] == 0
    header, *rows = read(out)
    known = {row[1] for row in read(shop)[1:]}
    assert header[-1] == "list"
    assert len(rows) == 12
    for row in rows:
        ids = json.loads(row[-1])
        assert len(ids) == len(set(ids)) == 3
        assert set(map(str, ids)) <= known


def test_m45_two_users_are_too_few_to_say_who_is_ahead(run, shop: Path) -> None:
    command = ["evaluate", "popularity", "ease", "--dataset", shop, "--split", "leave-last", "--positive", 0, "-k", 3]
    status, text, _ = run(*command)
    assert status == 0
    assert "12 users are too few for an interval or a test; 20 are enough." in text
    assert "chance" not in text
    assert "±" not in text.partition("\n")[2]
    result = json_of(run(*command, "--json"))
    assert result["results"]["ease"]["ndcg@3"]["low"] is None
    assert [paired["p"] for paired in result["behind_leader"].values()] == [None]


def test_m43_a_refused_model_has_a_row_and_the_others_keep_theirs(run, shop: Path) -> None:
    command = ["evaluate", "popularity", "demographic", "--dataset", shop, "--split", "leave-last", "--positive", 0]
    status, text, noted = run(*command, "-k", 3)
    assert status == 0
    assert "demographic refused: model 'demographic' needs age, gender or occupation" in text
    assert "demographic has no results: " in noted
    result = json_of(run(*command, "-k", 3, "--json"))
    assert result["results"].keys() == {"popularity"}
    assert result["refused"].keys() == {"demographic"}
    assert run("evaluate", "demographic", *command[3:], "-k", 3)[0] == 2  # no other has results


def test_more_sampled_items_than_a_user_has_unseen_are_refused_before_anything_is_trained(run, folder: Path) -> None:
    for negatives in (40, 1_000_000_000):
        status, _, noted = run(
            "evaluate", "popularity", "--dataset", folder, "--split", "random", "--negatives", negatives
        )
        assert status == 2
        assert f"--negatives={negatives} are too many to sample; expected at most " in noted


def test_the_policy_is_chosen_and_printed(run, folder: Path) -> None:
    command = ["evaluate", "popularity", "--dataset", folder, "--split", "leave-last"]
    served, published = (json_of(run(*command, *more, "--json")) for more in ([], ["--mask", "positives"]))
    assert served["policy"] == {"mask": "seen", "fallback": "popularity", "tie_seed": 0}
    assert published["policy"]["mask"] == "positives"
    assert served["results"]["popularity"]["ndcg@10"] != published["results"]["popularity"]["ndcg@10"]
    _, text, _ = run(*command, "--mask", "positives", "--fallback", "none")
    assert "(mask positives); without a signal, the model's own order is taken" in text
    assert run(*command, "--mask", "all")[0] == 2


def test_several_lengths_and_several_data_sets_go_in_one_command(run, folder: Path, shop: Path, tmp_path: Path) -> None:
    command = ["evaluate", "popularity", "demographic", "--split", "leave-last", "--positive", 0]
    users = tmp_path / "users.csv"
    both = json_of(run(*command, "--dataset", folder, "--dataset", shop, "-k", "2,1,4", "--users", users, "--json"))
    assert both.keys() == {"datasets", "refused"}
    for path, result in zip((folder, shop), both["datasets"], strict=True):
        alone = json_of(run(*command, "--dataset", path, "-k", 4, "--json"))
        assert (result["dataset"], result["k"], result["cutoffs"]) == (alone["dataset"], 2, [1, 4])
        figures = result["results"]["popularity"]
        assert {f"ndcg@{k}" for k in (1, 2, 4)} | {f"coverage@{k}" for k in (1, 2, 4)} <= figures.keys()
        assert figures["ndcg@4"] == alone["results"]["popularity"]["ndcg@4"]
        assert figures["recall@1"]["value"] <= figures["recall@2"]["value"] <= figures["recall@4"]["value"]
        assert result["refused"].keys() == {"demographic"}
    header, *rows = read(users)
    assert [name for name in header if name.startswith("ndcg")] == ["ndcg@2", "ndcg@1", "ndcg@4"]
    assert {row[header.index("dataset")] for row in rows} == {folder.name, shop.stem}
    _, text, _ = run(*command, "--dataset", folder, "--dataset", shop, "-k", "2,1,4")
    assert text.count("positives >= 0") == 2
    assert run(*command, "--dataset", folder, "--dataset", "nowhere", "-k", 2)[0] == 2  # before anything is trained


def test_a_data_set_that_cannot_be_split_leaves_the_others_their_results(run, folder: Path, tmp_path: Path) -> None:
    few = write(tmp_path / "few.csv", ["user", "item", "rating", "timestamp"], [("a", "x", 5, 1), ("b", "y", 5, 2)])
    command = ["evaluate", "popularity", "--split", "leave-last", "-k", 1]
    result = json_of(run(*command, "--dataset", few, "--dataset", folder, "--json"))
    assert [each["dataset"] for each in result["datasets"]] == [folder.name]
    assert result["refused"].keys() == {str(few)}
    assert "to test on" in result["refused"][str(few)]
    assert run(*command, "--dataset", few, "--dataset", few)[0] == 2


def test_m52_what_is_dropped_is_nowhere_and_a_command_finds_what_another_trained(
    run, folder: Path, fresh_home: Path
) -> None:
    shape = ["--dataset", folder, "--min-item", 14, "--min-user", 6]
    few = load_dataset(folder).reduced(min_item=14, min_user=6)
    ids = {str(id) for id in few.item_ids}
    result = json_of(run("evaluate", "popularity", "--split", "leave-last", *shape, "--json"))
    assert (result["items"], result["fingerprint"]) == (few.n_items, few.fingerprint)
    assert (result["split"]["min_item"], result["split"]["min_user"]) == (14, 6)
    trained = json_of(run("train", "ease", *shape, "--json"))
    model = json.loads((Path(trained["folder"]) / "model.json").read_text())
    assert (model["n_users"], model["n_items"]) == (few.n_users, few.n_items)
    assert few.n_items < 41
    status, text, noted = run(
        "recommend", "--model", "ease", "--all-users", "--include-seen", *shape, "-k", few.n_items
    )
    assert status == 0
    assert "Trained" not in noted
    assert "items and" in noted
    assert {line.split()[2] for line in text.splitlines()[2:]} == ids
    whole = json_of(run("train", "ease", "--dataset", folder, "--json"))
    assert whole["fresh"]
    assert whole["folder"] != trained["folder"]
    assert run("similar", "--model", "ease", "--item", 141, *shape)[0] == 2  # it has no rating


@pytest.mark.parametrize(("option", "least"), [("--min-item", 3), ("--min-item", 12), ("--min-user", 18)])
def test_m52_the_split_sitting_counts_all_ratings(run, folder: Path, option: str, least: int) -> None:
    command = ["evaluate", "popularity", "--dataset", folder, "--split", "sitting", "--given", 3, "--json"]
    result = json_of(run(*command, option, least))
    name = option.removeprefix("--").replace("-", "_")
    few = load_dataset(folder).reduced(**{name: least}, positive=0)
    assert result["items"] == np.count_nonzero(few.ratings.item_counts)
    assert result["fingerprint"] == few.fingerprint
