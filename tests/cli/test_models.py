"""`models check`: each line of the contract as a sentence, and the exit status."""

from collections.abc import Callable
from pathlib import Path

import pytest

from recengine.models import registry
from recengine.testing import ModelContract
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


def test_a_check_without_a_name_is_bad_input(run: Callable[..., Out]) -> None:
    status, _, message = run("models", "check")
    assert status == 2
    assert "is needed to check" in message
