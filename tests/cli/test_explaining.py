"""`why`, `why-not` and `how-sure` as scripts rely on them."""

from pathlib import Path

import pytest

from tests.cli.conftest import json_of, write


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    rows = [(101, 5), (105, 4.5), (102, 1), (111, 3)]
    return write(tmp_path / "mine.csv", ["item_id", "rating"], rows)


@pytest.mark.parametrize("whose", ["ratings", "user"])
def test_why_gives_parts_that_sum_to_the_score(run, folder: Path, mine: Path, whose: str) -> None:
    chosen = ["--ratings", mine] if whose == "ratings" else ["--user", 17]
    result = json_of(run("why", 130, "--dataset", folder, *chosen, "--json"))
    total = sum(part["amount"] for part in result["contributions"]) + sum(result["standing"].values())
    assert total == pytest.approx(result["score"], abs=1e-5)
    assert (result["item_id"], result["title"], result["model"]) == (130, "Film 29", "taste")
    assert len(result["contributions"]) == (4 if whose == "ratings" else 20)
    assert {"quality", "fame"} >= set(result["standing"])
    amounts = [part["amount"] for part in result["contributions"]]
    assert amounts == sorted(amounts, reverse=True)
    status, output, _ = run("why", 130, "--dataset", folder, *chosen)
    assert status == 0
    assert "Film 29: score" in output
    assert "rated" in output


def test_why_not_names_ratings_with_which_recommend_lists_the_item(run, folder: Path, mine: Path) -> None:
    options = ("--dataset", folder, "--ratings", mine, "--json")
    listed = json_of(run("recommend", "-k", 37, *options))["recommendations"]
    answers = [json_of(run("why-not", row["item_id"], "-k", 5, *options)) for row in listed[:20:4]]
    assert answers[0]["ratings"] == []
    assert [answer["rank"] for answer in answers] == [1, 5, 9, 13, 17]
    answered = [answer for answer in answers if answer["ratings"]]
    assert answered
    for answer in answered:
        more = mine.read_text() + "".join(f"{row['item_id']},{row['rating']}\n" for row in answer["ratings"])
        (mine.parent / "more.csv").write_text(more)
        then = json_of(run("recommend", "-k", 5, *options[:3], mine.parent / "more.csv", "--json"))["recommendations"]
        assert then[answer["new_rank"] - 1]["item_id"] == answer["item_id"]


def test_how_sure_lists_what_recommend_lists(run, folder: Path, mine: Path) -> None:
    options = ("--dataset", folder, "--ratings", mine, "--json")
    result = json_of(run("how-sure", "-k", 6, *options))
    listed = json_of(run("recommend", "-k", 6, *options))["recommendations"]
    assert [row["item_id"] for row in result["items"]] == [row["item_id"] for row in listed]
    assert all(0 <= row["probability"] <= 1 for row in result["items"])
    assert result == json_of(run("how-sure", "-k", 6, *options))
    status, output, _ = run("how-sure", "-k", 6, *options[:-1])
    assert status == 0
    assert "stays on half of the ratings" in output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["why", 130], "--user is missing; expected exactly one of --ratings and --user"),
        (["why", 130, "--user", 3, "--ratings", "mine.csv"], "--user '3' is a second choice of users"),
        (["why", 999, "--user", 3], "item '999' is not in"),
        (["why-not", 101, "--ratings", "mine.csv"], "item '101' is rated already"),
        (["why", 130, "--user", 3, "--model", "popularity"], "--model 'popularity' cannot split its scores"),
        (
            ["why-not", 130, "--ratings", "mine.csv", "--model", "mlp"],
            "--model 'mlp' cannot serve a user who is not in its",
        ),
    ],
)
def test_what_cannot_be_asked_is_bad_input(
    run, folder: Path, mine: Path, monkeypatch: pytest.MonkeyPatch, arguments: list, message: str
) -> None:
    monkeypatch.chdir(mine.parent)
    status, _, noted = run(*arguments, "--dataset", folder)
    assert status == 2
    assert message in noted
