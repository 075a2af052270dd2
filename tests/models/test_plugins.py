"""Models of one's own: what is loaded, what is refused and how it is said, and the two examples end to end."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from recengine import testing as contract
from recengine.data.dataset import Dataset
from recengine.errors import BadInput
from recengine.models.base import Recommender
from recengine.models.plugins import find_plugins
from recengine.models.registry import MODELS

EXAMPLES = Path(__file__).parents[2] / "examples"
Write = Callable[..., Path]

FUNCTION = '''
def recommend(user_id, history, k):
    """The ids from the smallest up, what was rated last first."""
    return [history[-1].item_id, *range(101, 141)][:k] if history else range(101, 141)
'''
CLASS = """
import torch
from recengine.models.base import Recommender

class Mine(Recommender):
    name, family, summary = "mine", "baseline", "All ones."
    def learn(self, train, given): pass
    def score(self, user_idx): return torch.ones(torch.as_tensor(user_idx).numel(), self.n_items)
    def state(self): return {"nothing": torch.zeros(1)}
    def restore(self, state): pass
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
    found, faults = find_plugins(taken)
    assert (len(found), faults) == (1, [])
    return found[0]


def test_without_the_variable_there_is_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RECENGINE_MODELS", raising=False)
    assert find_plugins(list(MODELS)) == ([], [])


def test_a_function_ranks_by_its_answer(write: Write, tiny: Dataset) -> None:
    write("by_number.py", FUNCTION)
    kind = only()
    assert (kind.name, kind.family, kind.summary) == (
        "by-number",
        "custom",
        "The ids from the smallest up, what was rated last first.",
    )
    model = kind().fit(tiny.ratings, items=tiny.items, users=tiny.user_table)
    mine = tiny.ratings.of_users([5])
    last = int(mine.item_idx[mine.chronological()[-1]])
    assert model.top_k(5, k=3, seen=None).items[0].tolist() == [last, *[i for i in range(4) if i != last][:2]]
    assert contract.check(kind, tiny) == [(finding.line, "") for finding in contract.check(kind, tiny)]


def test_a_function_is_told_who_asks_and_what_they_rated_in_order(write: Write, tiny: Dataset) -> None:
    write(
        "spy.py",
        "ASKED = []\ndef recommend(user_id, history, k):\n    ASKED.append((user_id, history, k))\n    return [101]",
    )
    kind = only()
    model = kind().fit(tiny.ratings, items=tiny.items, users=tiny.user_table)
    model.score([7])
    model.score_history(tiny.ratings.of_users([7]))  # type: ignore[attr-defined]
    asked = sys.modules[kind.__module__].ASKED
    mine = tiny.ratings.of_users([7])
    mine = mine.select(mine.chronological())
    events = list(zip((mine.item_idx + 101).tolist(), mine.rating.tolist(), mine.timestamp.tolist(), strict=True))
    assert asked == [(8, events, 40), (None, events, 40)]


def test_what_a_function_does_not_return_is_not_recommended(write: Write, tiny: Dataset) -> None:
    """Repeats count once, ids that the data does not have not at all, and the rest of the list stays empty."""
    write("short.py", "def recommend(user_id, history, k): return [140, 140, 999, 'x', 101]")
    model = only()().fit(tiny.ratings, items=tiny.items, users=tiny.user_table)
    assert model.top_k(0, k=4, seen=None).items[0].tolist() == [39, 0, -1, -1]


def test_a_function_that_fails_is_bad_input_that_names_the_file(write: Write, tiny: Dataset) -> None:
    path = write("broken.py", "def recommend(user_id, history, k): return 1 / 0")
    kind = only()
    model = kind().fit(tiny.ratings, items=tiny.items, users=tiny.user_table)
    with pytest.raises(BadInput, match=rf"user 8 with 20 ratings: ZeroDivisionError: .*; correct {path}"):
        model.score(7)
    assert next(f.error[:20] for f in contract.check(kind, tiny) if f.error) == "BadInput: model 'bro"


def test_a_package_and_a_class_load_too(write: Write, tiny: Dataset) -> None:
    write("pack/helper.py", "NAME = 'mine'", listed="pack")
    write(
        "pack/__init__.py",
        CLASS.replace('"mine"', "NAME").replace("import torch", "import torch\nfrom .helper import NAME"),
        "pack",
    )
    found, faults = find_plugins([])
    assert [kind.name for kind in found] == ["mine"]
    assert len(faults) == 1  # the folder is listed twice here
    assert "name 'mine' is taken" in faults[0]
    assert not [finding for finding in contract.check(found[0], tiny) if finding.error]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("def recommend(:", r"cannot be loaded: SyntaxError in line 1"),
        ("import no_such_module", r"cannot be loaded: ModuleNotFoundError: No module named 'no_such_module'"),
        ("raise SystemExit(3)", r"cannot be loaded: SystemExit: 3"),
        ("x = 1", r"module '\w+' has no model; expected a subclass of Recommender, or recommend\("),
        (CLASS.replace("def score", "def skore"), r"class 'Mine' lacks score"),
        (CLASS.replace('"mine"', "5"), r"class 'Mine' lacks the text 'name'"),
        (CLASS.replace('"mine"', '"../mine"'), r"name '../mine' is no name of a model"),
        (CLASS.replace('"baseline"', '"magic"'), r"family 'magic' of 'mine' is unknown; expected one of: collab"),
        (CLASS.replace('"mine"', '"ease"'), r"name 'ease' is taken"),
    ],
)
def test_a_source_that_cannot_be_used_is_told_and_spoils_no_other(write: Write, text: str, fault: str) -> None:
    write("bad.py", text)
    write("good.py", FUNCTION)
    found, faults = find_plugins(["ease"])
    assert [kind.name for kind in found] == ["good"]
    assert len(faults) == 1
    assert re.search(fault, faults[0])


def test_a_path_that_is_no_source_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("RECENGINE_MODELS", f"{tmp_path}{os.pathsep}{tmp_path / 'none.py'}")
    found, faults = find_plugins([])
    assert found == []
    assert all("is no Python file or package" in fault for fault in faults)
    assert len(faults) == 2


def test_another_text_is_another_version(write: Write) -> None:
    path = write("mine.py", FUNCTION)
    first = only().version
    assert only().version == first
    path.write_text(FUNCTION + "\n# changed")
    assert only().version != first


class _Wrong(MODELS["popularity"]):  # type: ignore[misc, valid-type]
    """A model that breaks one line of the contract, told by `how`."""

    how = ""

    def score(self, user_idx):  # type: ignore[no-untyped-def]
        scores = super().score(user_idx).clone()
        if self.how == "shape":
            return scores[:, :-1]
        if self.how == "numbers":
            scores[0, 0] = torch.nan
        if self.how == "alone":
            scores += len(scores)
        if self.how == "changes":
            self.counts += 1
        if self.how == "luck":
            scores += torch.rand(1)
        return scores.double() if self.how == "double" else scores

    def restore(self, state):  # type: ignore[no-untyped-def]
        super().restore({name: value * (0 if self.how == "kept" else 1) for name, value in state.items()})


@pytest.mark.parametrize(
    ("how", "line", "fault"),
    [
        ("shape", "it scores every item for a batch of users", "the shape of the scores is (3, 39); expected (3, 40)"),
        ("numbers", "it scores every item for a batch of users", "1 scores are not numbers"),
        ("double", "it scores every item for a batch of users", "the scores are torch.float64"),
        ("alone", "a user scores alone as in a batch", "user_idx 59 scores otherwise alone"),
        ("changes", "serving leaves the model as it was", "counts changed"),
        ("luck", "the same seed trains the same model", "a second training scored otherwise"),
        ("kept", "saved and loaded, it scores the same", "the loaded model scores otherwise"),
    ],
)
def test_each_broken_line_of_the_contract_is_found_and_said(tiny: Dataset, how: str, line: str, fault: str) -> None:
    kind = type("Wrong", (_Wrong,), {"how": how})
    found = {finding.line: finding.error for finding in contract.check(kind, tiny)}
    assert found[line].startswith(fault)


def test_training_that_fails_is_the_only_finding(tiny: Dataset) -> None:
    def learn(self: Recommender, *_: object) -> None:
        raise ArithmeticError("no")

    kind = type("Failing", (_Wrong,), {"learn": learn})
    assert contract.check(kind, tiny) == [("it learns from a few users", "ArithmeticError: no")]


def test_the_examples_are_short_and_stand_on_the_leaderboard(recengine_home: Path) -> None:
    """Both, from the command line, as anyone would: checked, compared, and far better than popularity."""
    sources = sorted(EXAMPLES.glob("own_*.py"))
    assert [len(path.read_text().splitlines()) < 40 for path in sources] == [True, True]
    environment = {**os.environ, "RECENGINE_MODELS": os.pathsep.join(map(str, sources))}

    def run(*arguments: str) -> dict:
        command = [sys.executable, "-m", "recengine", *arguments, "--json", "--quiet"]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        return json.loads(done.stdout)

    for name in ("own-function", "co-liked"):
        assert not [f for f in run("models", "check", name)["findings"] if f["error"]]
    found = run("evaluate", "popularity", "own-function", "co-liked", "--dataset", "sample", "--split", "leave-last")
    values = [result["ndcg@10"]["value"] for result in found["results"].values()]
    assert values[0] < np.min(values[1:]) / 2
