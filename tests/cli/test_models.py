"""`models check`: each line of the contract as a sentence, and the exit status."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest

from recengine.models import registry
from recengine.testing import ModelContract
from recengine.training.config import RunConfig
from tests.cli.conftest import Out, json_of

LINES = (
    "it learns from a few users",
    *(getattr(ModelContract, name).__doc__.rstrip(".") for name in ("test_scores", "test_lists", "test_new_users")),
)


def test_a_model_that_keeps_the_contract_is_listed_line_by_line(run: Callable[..., Out], folder: Path) -> None:
    status, output, _ = run("models", "check", "popularity", "--dataset", folder, "--quiet")
    assert status == 0
    rows = output.splitlines()[2:]
    assert all(row.startswith("ok  ") for row in rows)
    assert {row.removeprefix("ok  ").strip() for row in rows} > set(LINES)
    findings = json_of(run("models", "check", "popularity", "--dataset", folder, "--json"))["findings"]
    assert [finding["line"] for finding in findings] == [row.removeprefix("ok  ").strip() for row in rows]


def test_a_model_that_breaks_the_contract_is_bad_input(
    run: Callable[..., Out], folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "forgetful.py").write_text("def recommend(user_id, history, k): return []")
    monkeypatch.setenv("RECENGINE_MODELS", str(tmp_path / "forgetful.py"))
    monkeypatch.setattr(registry.MODELS, "_loaded", None)
    status, output, message = run("models", "check", "forgetful", "--dataset", folder, "--quiet")
    broken = [row for row in output.splitlines() if row.startswith("no  ")]
    assert status == 2
    assert f"model 'forgetful' breaks {len(broken)} of {len(output.splitlines()) - 2} lines of the contract" in message
    assert any(LINES[1] in row and "at least one user has no finite score" in row for row in broken)


@pytest.mark.parametrize("name", ["mf", "item-knn", "gru-rating", "hybrid", "popularity"])
def test_m32_the_options_of_a_model_are_listed_with_default_range_and_help(run: Callable[..., Out], name: str) -> None:
    kind = registry.model_class(name)
    value = json_of(run("models", name, "--json"))
    listed = {row["option"]: row for row in value["options"]}
    epochs = set() if kind.preset_epochs is None else {"epochs", "patience"}
    assert set(listed) == {f.name for f in dataclasses.fields(kind.Config)} | epochs
    for option, row in listed.items():
        owner = kind.Config if option not in epochs else RunConfig
        assert row["help"] == owner.__dataclass_fields__[option].metadata["help"]
        if row["default"] is not None:  # what stands there can be set
            owner.read(option, row["default"])
    lines = run("models", name)[1].splitlines()
    assert lines[0] == f"{name}: {kind.summary}"
    assert [line.split()[0] for line in lines[3:]] == list(listed)


@pytest.mark.parametrize(
    ("name", "option", "default", "accepts"),
    [
        ("mf", "embedding_dim", 64, "a whole number, at least 1 and at most 4096"),
        ("mf", "recency_half_life", None, "a number, more than 0 and at most 10000; or auto; or empty"),
        ("mf", "schedule", "none", "none, plateau, cosine"),
        ("mf", "bias_optimizer", None, "sgd, adam, adamw, adagrad, rmsprop; or empty"),
        ("mf", "item_bias", True, "true or false"),
        ("mf", "y_range", None, "2 numbers joined by commas; or empty"),
        ("mlp", "layers", [16, 8], "whole numbers joined by commas, at least 1 and at most 65536"),
        (
            "gru",
            "epochs",
            registry.model_class("gru").preset_epochs,
            "a whole number, at least 1 and at most 10000; or empty",
        ),
    ],
)
def test_m32_what_an_option_takes_is_said_in_words(
    run: Callable[..., Out], name: str, option: str, default: object, accepts: str
) -> None:
    rows = json_of(run("models", name, "--json"))["options"]
    (row,) = [row for row in rows if row["option"] == option]
    assert (row["default"], row["accepts"]) == (default, accepts)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["mff"], "model 'mff' is unknown (did you mean 'mf'?)"),
        (["mf", "ease"], "name 'ease' is too much; drop it, or `models check ease`"),
        (["check"], "is needed to check"),
    ],
)
def test_m32_a_name_that_cannot_be_used_is_bad_input(
    run: Callable[..., Out], arguments: list[str], message: str
) -> None:
    status, output, error = run("models", *arguments)
    assert (status, output) == (2, "")
    assert message in error
