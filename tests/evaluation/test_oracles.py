"""Our metrics held to those of ranx, RecTools and LensKit on identical lists of MovieLens 100K.

`python -m benchmarks.metric_oracles` wrote their figures, with the hashes of the lists that they belong to.
"""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from benchmarks.metric_oracles import FIGURES, MODELS, SPLITS, Case, K, cases
from recengine.data.interactions import Interactions
from recengine.data.sources import load_dataset
from recengine.evaluation.beyond import beyond_accuracy, genre_matrix
from recengine.evaluation.ranking import Evaluation, evaluate
from recengine.metrics import find_hits
from recengine.models.base import FitContext, Recommender

STORED = json.loads(FIGURES.read_text(encoding="utf-8"))
LIBRARIES = ("ranx", "rectools", "lenskit")
DOCUMENT = Path(__file__).parents[2] / "docs" / "evaluation.md"
NAMES = [f"{split}, {model}" for split in SPLITS for model in MODELS]


class Listed(Recommender):
    """Ranks the items of given lists first, in their order, and all others alike after them."""

    name = "listed"
    family = "baseline"  # nothing stands in for users whom it does not know
    summary = "Lists made elsewhere."

    def __init__(self, case: Case) -> None:
        super().__init__()
        self.n_users, self.n_items = case.data.n_users, case.data.n_items
        self.scores = torch.zeros(self.n_users, self.n_items)
        self.scores[case.users[:, None], case.lists] = torch.arange(K, 0, -1.0).expand(len(case.users), -1)

    def learn(self, train: Interactions, context: FitContext) -> None:
        """Learn nothing."""

    def score(self, user_idx: ArrayLike) -> Tensor:
        return self.scores[np.asarray(user_idx)]

    def state(self) -> dict[str, Tensor]:
        return {"scores": self.scores}

    def restore(self, state: dict[str, Tensor]) -> None:
        self.scores = state["scores"]


@pytest.fixture(scope="module")
def made(mirror: Path) -> dict[str, Case]:
    """Return all lists by the names that their figures have."""
    data = load_dataset("ml-100k")
    return {f"{split}, {model}": case for split in SPLITS for model, case in cases(data, split)}


@pytest.fixture(scope="module")
def evaluated(made: dict[str, Case]) -> dict[str, Evaluation]:
    """Return what our evaluation makes of the lists."""
    return {name: evaluate(Listed(case), case.split, k=K, items=case.data.items) for name, case in made.items()}


def other_definitions(case: Case, ours: Evaluation) -> dict[str, float]:
    """Return, from our values of each user, what the definitions of other libraries make of them."""
    n = case.split.test.user_counts[ours.users]
    reachable = np.minimum(n, K)
    discount = 1 / np.log2(np.arange(2, K + 2))
    from_rank_3 = 1 / np.log2(np.maximum(np.arange(1, K + 1), 2))
    relevant = torch.zeros(len(n), case.data.n_items, dtype=torch.bool)
    position, rows = case.split.test.rows_of(ours.users)
    relevant[position, case.split.test.item_idx[rows]] = True
    hits = find_hits(torch.from_numpy(ours.lists), relevant).numpy()
    per_user = {key.partition("@")[0]: values for key, values in ours.per_user.items()}
    fit = case.split.fit
    known, index = np.unique(fit.user_idx, return_inverse=True)
    only_known = replace(fit, user_idx=index.astype(np.int32), n_users=len(known))
    anyone = np.zeros(len(n), np.int64)  # novelty does not depend on whose lists they are
    values = {
        "map_by_n": per_user["map"] * reachable / n,
        "map_by_k": per_user["map"] * reachable / K,
        "recall_by_min": per_user["recall"] * n / reachable,
        "ndcg_by_full_list": per_user["ndcg"] * discount.cumsum()[reachable - 1] / discount.sum(),
        "ndcg_from_rank_3": hits @ from_rank_3 / from_rank_3.cumsum()[reachable - 1],
        "novelty": beyond_accuracy(ours.lists, anyone, only_known, genre_matrix(case.data.items), K)[f"novelty@{K}"],
    }
    return {f"{name}@{K}": float(value.mean()) for name, value in values.items()}


@pytest.mark.real
@pytest.mark.parametrize("name", NAMES)
def test_the_lists_are_those_that_the_stored_figures_are_of(made: dict[str, Case], name: str) -> None:
    stored = STORED["cases"][name]
    assert stored["users"] == len(made[name].users)
    assert stored["sha256"] == made[name].sha256, "other lists: run python -m benchmarks.metric_oracles"


@pytest.mark.real
@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("name", NAMES)
def test_the_figures_of_a_library_are_ours(made, evaluated, name: str, library: str) -> None:
    """All of a library's figures are checked: those of our definition as they are, the others through theirs."""
    case, ours = made[name], evaluated[name]
    assert (ours.lists == case.lists).all()
    means = {key: value for key, (value, _, _) in ours.means().items()} | other_definitions(case, ours)
    figures = STORED["cases"][name][library]
    assert {key: means[key] for key in figures} == pytest.approx(figures, rel=0, abs=1e-9)


def test_the_documentation_quotes_the_stored_figures() -> None:
    quoted = re.findall(r"^\| `(\w+)` \|.*\| (\.\d{4}) \| (\.\d{4}) \|$", DOCUMENT.read_text(encoding="utf-8"), re.M)
    assert len(quoted) == 8
    for name, *figures in quoted:
        for case, figure in zip(("random, ease", "time, popularity"), figures, strict=True):
            libraries = STORED["cases"][case]
            stored = next(values[f"{name}@{K}"] for values in map(libraries.get, LIBRARIES) if f"{name}@{K}" in values)
            assert f"{stored:.4f}" == f"0{figure}", (name, case)
