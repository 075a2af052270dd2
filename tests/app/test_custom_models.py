"""Custom models in the app: in the pickers, checked against the contract, and with their errors shown."""

from pathlib import Path

import pytest

from recengine.data.sample.build import sample_dataset
from recengine.models import registry
from recengine.testing import check
from tests.app.conftest import Open, Worker, cards, markup

EXAMPLES = Path(__file__).parents[2] / "examples"


def bring(monkeypatch: pytest.MonkeyPatch, path: Path) -> None:
    """Make the registry load its plugins again, with this one among them."""
    monkeypatch.setenv("RECENGINE_MODELS", str(path))
    monkeypatch.setattr(registry.MODELS, "_loaded", None)


def test_a_custom_model_recommends_and_keeps_the_contract(
    open_app: Open, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    bring(monkeypatch, EXAMPLES / "custom_function.py")
    app = open_app(model="custom-function")
    assert app.selectbox(key="model").value == "custom-function"
    assert len(cards(app, "top")) == 10
    app.switch_page("train.py")
    app.run()
    app.selectbox(key="train_model").select("custom-function").run()
    findings = check(registry.MODELS["custom-function"], sample_dataset())
    assert any(f"passes all {len(findings)} checks of the contract" in caption.value for caption in app.caption)


def test_failed_checks_of_the_contract_are_shown_literally(
    open_app: Open, worker: Worker, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "bad.py").write_text(
        "def recommend(user_id, history, k): raise ValueError('<script>alert(1)</script>')"
    )
    bring(monkeypatch, tmp_path / "bad.py")
    app = open_app("train.py")
    app.selectbox(key="train_model").select("bad").run()
    assert not app.exception
    findings = check(registry.MODELS["bad"], sample_dataset())
    broken = [finding for finding in findings if finding.error]
    assert 1 < len(broken) < len(findings)
    assert any(f"fails {len(broken)} of {len(findings)} checks" in warning.value for warning in app.warning)
    assert "ValueError: &lt;script&gt;alert(1)&lt;/script&gt;; correct" in markup(app)


def test_every_page_warns_of_a_file_that_cannot_be_loaded(
    open_app: Open, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "bad.py").write_text("import no_such_thing")
    bring(monkeypatch, tmp_path / "bad.py")
    app = open_app()
    assert any("No module named" in warning.value for warning in app.sidebar.warning)
    assert len(cards(app, "top")) == 10
