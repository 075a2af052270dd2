"""`evaluate` as scripts rely on it: the table, the JSON object and the files agree."""

import json
from pathlib import Path

import pytest

from tests.cli.conftest import json_of


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


@pytest.mark.parametrize("split", ["random", "stratified", "time", "cold-user"])
def test_every_split_can_be_evaluated(run, folder: Path, split: str) -> None:
    more = ["--given", 3] if split == "cold-user" else []
    result = json_of(
        run("evaluate", "ease", "--dataset", folder, "--split", split, *more, "--test-share", 0.2, "--json")
    )
    assert result["split"]["split"] == split
    assert result["split"]["share"] == 0.2
    assert 0 <= result["results"]["ease"]["ndcg@10"]["value"] <= 1


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
