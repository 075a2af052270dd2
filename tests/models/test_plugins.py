"""Plugins: which load, which are refused and with what message, and the examples end to end."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from recengine.cli import main
from recengine.data.dataset import Dataset
from recengine.data.splits import leave_last
from recengine.errors import BadInput
from recengine.models.base import Recommender
from recengine.models.plugins import find_plugins
from recengine.models.registry import MODELS
from recengine.testing import check

EXAMPLES = Path(__file__).parents[2] / "examples"
Write = Callable[..., Path]

FUNCTION = '''
def recommend(user_id, history, k):
    """The item rated last, then the ids from the smallest up."""
    return [history[-1].item_id, *range(101, 141)][:k] if history else range(101, 141)
'''
CLASS = """
import torch
from recengine.models.base import Recommender

class Mine(Recommender):
    name, family, summary = "mine", "baseline", "All ones."
    def learn(self, train, context): pass
    def score(self, user_idx): return torch.ones(torch.as_tensor(user_idx).numel(), self.n_items)
    def state(self): return {"nothing": torch.zeros(1)}
    def restore(self, state): self.nothing = state["nothing"]
"""


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Return a function that writes files and names them all in RECENGINE_MODELS."""
    paths: list[str] = []

    def write_one(name: str, text: str, listed: str | None = None) -> Path:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        paths.append(str(tmp_path / (listed or name)))
        monkeypatch.setenv("RECENGINE_MODELS", os.pathsep.join(paths))
        return path

    return write_one


def only(taken: tuple[str, ...] = ()) -> type[Recommender]:
    models, errors = find_plugins(taken)
    assert (len(models), errors) == (1, [])
    return models[0]


def test_without_the_variable_there_are_no_plugins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RECENGINE_MODELS", raising=False)
    assert find_plugins(list(MODELS)) == ([], [])


def test_a_function_ranks_by_the_order_of_its_ids(write: Write, tiny: Dataset) -> None:
    write("by_number.py", FUNCTION)
    kind = only()
    assert (kind.name, kind.family, kind.summary) == (
        "by-number",
        "custom",
        "The item rated last, then the ids from the smallest up.",
    )
    model = kind().fit(tiny.ratings, items=tiny.items, users=tiny.user_table)
    history = tiny.ratings.of_users([5])
    last = int(history.item_idx[history.chronological()[-1]])
    assert model.top_k(5, k=3, seen=None).items[0].tolist() == [last, *[i for i in range(4) if i != last][:2]]
    assert [finding for finding in check(kind, tiny) if finding.error] == []


def test_a_function_gets_the_user_and_the_history_in_order(write: Write, tiny: Dataset) -> None:
    write(
        "spy.py",
        "CALLS = []\ndef recommend(user_id, history, k):\n    CALLS.append((user_id, history, k))\n    return [101]",
    )
    kind = only()
    model = kind().fit(tiny.ratings, items=tiny.items, users=tiny.user_table)
    model.score([7])
    model.score_history(tiny.ratings.of_users([7]))  # type: ignore[attr-defined]
    calls = sys.modules[kind.__module__].CALLS
    rows = tiny.ratings.of_users([7])
    rows = rows.select(rows.chronological())
    events = list(zip((rows.item_idx + 101).tolist(), rows.rating.tolist(), rows.timestamp.tolist(), strict=True))
    assert calls == [(8, events, 40), (None, events, 40)]


def test_only_what_a_function_returns_is_recommended(write: Write, tiny: Dataset) -> None:
    """Repeats count once, unknown ids are left out, and the rest of the list stays empty."""
    write("short.py", "def recommend(user_id, history, k): return [140, 140, 999, 'x', 101]")
    model = only()().fit(tiny.ratings, items=tiny.items, users=tiny.user_table)
    assert model.top_k(0, k=4, seen=None).items[0].tolist() == [39, 0, -1, -1]


def test_a_function_that_fails_is_bad_input_that_names_the_file(write: Write, tiny: Dataset) -> None:
    path = write("broken.py", "def recommend(user_id, history, k): return 1 / 0")
    kind = only()
    model = kind().fit(tiny.ratings, items=tiny.items, users=tiny.user_table)
    with pytest.raises(BadInput, match=rf"user 8 with 20 ratings: ZeroDivisionError: .*; correct {path}"):
        model.score(7)
    assert next(f.error[:20] for f in check(kind, tiny) if f.error) == "BadInput: model 'bro"


LEARNED = {
    "the most popular": "ratings['item_id'].value_counts().index.tolist()",
    "the best rated": "ratings.groupby('item_id')['rating'].mean().sort_values().index[::-1].tolist()",
    "the latest": "ratings['item_id'].drop_duplicates(keep='last').tolist()[::-1]",
}


@pytest.mark.parametrize("body", LEARNED.values(), ids=LEARNED)
def test_m31_a_function_learns_from_the_training_rows_alone(write: Write, tiny: Dataset, body: str) -> None:
    write(
        "learns.py",
        f"SEEN = []\ndef learn(ratings):\n    SEEN.append(ratings)\n    return {body}\n"
        "def recommend(user_id, history, k, learned): return learned",
    )
    kind = only()
    split = leave_last(tiny.ratings.at_least(4))
    model = kind().fit(split.train, items=tiny.items, users=tiny.user_table)
    (frame,) = sys.modules[kind.__module__].SEEN
    rows = split.train.select(split.train.chronological())
    assert frame["user_id"].tolist() == tiny.user_ids[rows.user_idx].tolist()
    assert frame["item_id"].tolist() == tiny.item_ids[rows.item_idx].tolist()
    assert frame["rating"].tolist() == rows.rating.tolist()
    assert frame["timestamp"].tolist() == rows.timestamp.tolist()
    wanted = eval(body, {"ratings": frame})
    listed = model.top_k(3, k=len(wanted), seen=None).items[0].tolist()
    assert [int(tiny.item_ids[item]) for item in listed] == wanted
    assert [finding for finding in check(kind, tiny) if finding.error] == []  # a loaded model has learned again


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "def recommend(user_id, history): return []",
            r"'recommend' is called as recommend\(user_id, ",
        ),
        ("def recommend(a, b, c, d): return []", "missing a required argument: 'd'"),
        (
            "def learn(r): pass\ndef recommend(a, b, c): return []",
            r"has learn\(ratings\), so it .*k, learned",
        ),
    ],
)
def test_m31_a_function_that_takes_other_arguments_is_refused_when_it_is_loaded(
    write: Write, text: str, message: str
) -> None:
    write("other.py", text)
    models, errors = find_plugins([])
    assert models == []
    assert re.search(message, errors[0])


def test_m31_learning_that_fails_is_bad_input_that_names_the_file(write: Write, tiny: Dataset) -> None:
    path = write("broken.py", "def learn(r): return 1 / 0\ndef recommend(a, b, c, d): return []")
    with pytest.raises(BadInput, match=rf"failed in learn with 1,200 ratings: ZeroDivisionError: .*; correct {path}"):
        only()().fit(tiny.ratings, items=tiny.items, users=tiny.user_table)


def test_a_package_and_a_class_load_too(write: Write, tiny: Dataset) -> None:
    write("pack/helper.py", "NAME = 'mine'", listed="pack")
    write(
        "pack/__init__.py",
        CLASS.replace('"mine"', "NAME").replace("import torch", "import torch\nfrom .helper import NAME"),
        "pack",
    )
    models, errors = find_plugins([])
    assert [kind.name for kind in models] == ["mine"]
    assert len(errors) == 1  # the folder is listed twice here
    assert "name 'mine' is taken" in errors[0]
    assert [finding for finding in check(models[0], tiny) if finding.error] == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def recommend(:", r"cannot be loaded: SyntaxError in line 1"),
        ("import no_such_module", r"cannot be loaded: ModuleNotFoundError: No module named 'no_such_module'"),
        ("raise SystemExit(3)", r"cannot be loaded: SystemExit: 3"),
        ("x = 1", r"module '\w+' has no model; expected a subclass of Recommender, or recommend\("),
        (CLASS.replace("def score", "def skore"), r"class 'Mine' lacks score"),
        (CLASS.replace('"mine"', "5"), r"class 'Mine' lacks the text 'name'"),
        (CLASS.replace('"mine"', '"../mine"'), r"name '../mine' is not a name for a model"),
        (CLASS.replace('"baseline"', '"magic"'), r"family 'magic' of 'mine' is unknown; expected one of: collab"),
        (CLASS.replace('"mine"', '"ease"'), r"name 'ease' is taken"),
    ],
)
def test_a_source_that_cannot_be_used_is_reported_and_affects_no_other(write: Write, text: str, message: str) -> None:
    write("bad.py", text)
    write("good.py", FUNCTION)
    models, errors = find_plugins(["ease"])
    assert [kind.name for kind in models] == ["good"]
    assert len(errors) == 1
    assert re.search(message, errors[0])


def test_a_path_that_is_not_a_source_is_reported(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("RECENGINE_MODELS", f"{tmp_path}{os.pathsep}{tmp_path / 'none.py'}")
    models, errors = find_plugins([])
    assert models == []
    assert ["is not a Python file or package" in error for error in errors] == [True, True]


def test_a_changed_source_is_another_version(write: Write) -> None:
    path = write("mine.py", FUNCTION)
    first = only().version
    assert only().version == first
    path.write_text(FUNCTION + "\n# changed")
    assert only().version != first


@pytest.mark.slow
def test_the_example_is_tested_as_its_author_would(tmp_path: Path) -> None:
    """In a separate folder, pytest collects the whole contract from two lines; a broken copy fails two checks."""
    source, test = ((EXAMPLES / name).read_text() for name in ("custom_model.py", "test_custom_model.py"))
    broken = source.replace("clamp(min=1).sqrt()", "sqrt()")  # 0 / 0 for an item that no user liked
    for name, text in {"custom_model.py": source, "broken.py": broken, "test_custom_model.py": test}.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "test_broken.py").write_text(test.replace("from custom_model", "from broken"))
    command = [sys.executable, "-m", "pytest", "-q", "-rA", "--tb=no", "-p", "no:cacheprovider", str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": str(EXAMPLES.parent)}
    report = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False).stdout
    outcomes = re.findall(r"^(PASSED|FAILED) (\w+)\.py::TestCoLiked::(\w+)", report, re.MULTILINE)
    assert [outcome for outcome, file, _ in outcomes if file == "test_custom_model"] == ["PASSED"] * 19
    failed = {name for outcome, file, name in outcomes if (outcome, file) == ("FAILED", "test_broken")}
    assert failed == {"test_missing_rows", "test_similar_missing_rows"}


@pytest.mark.slow
def test_the_examples_are_short_and_far_ahead_of_popularity(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Check and compare both by commands, as any user would."""
    sources = sorted(EXAMPLES.glob("custom_*.py"))
    assert [len(path.read_text().splitlines()) < 40 for path in sources] == [True, True]
    monkeypatch.setenv("RECENGINE_MODELS", os.pathsep.join(map(str, sources)))
    monkeypatch.setattr(MODELS, "_loaded", None)

    def run(*arguments: str) -> dict:
        assert main([*arguments, "--json", "--quiet"]) == 0
        return json.loads(capsys.readouterr().out)

    for name in ("custom-function", "co-liked"):
        assert not [f for f in run("models", "check", name)["findings"] if f["error"]]
    report = run(
        "evaluate", "popularity", "custom-function", "co-liked", "--dataset", "sample", "--split", "leave-last"
    )
    values = [result["ndcg@10"]["value"] for result in report["results"].values()]
    assert values[0] < np.min(values[1:]) / 2
