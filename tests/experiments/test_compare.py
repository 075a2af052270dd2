"""Models on one task: folds and seeds put together, differences paired by user, one training for many tasks."""

import json
import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from recengine.data.dataset import Dataset
from recengine.data.interactions import Interactions
from recengine.data.splits import Split, make_folds
from recengine.errors import BadInput
from recengine.evaluation.intervals import SHARE, difference_interval, mean_interval
from recengine.evaluation.ranking import Evaluation, evaluate
from recengine.evaluation.ratings import RatingErrors, rating_errors
from recengine.evaluation.report import EvaluationReport
from recengine.experiments.compare import ComparisonRequest, Observer, compare, summarise
from recengine.experiments.measured import Measured, aggregate
from recengine.export import json_ready
from recengine.models.base import FitContext
from recengine.models.ratings.base import RatingModel
from recengine.models.registry import MODELS
from recengine.training.config import RunConfig


class Echo(RatingModel):
    """Predicts for a new user their last rating, plus the index of the item."""

    name = "echo"
    family = "baseline"
    summary = "A table."
    scale = (1.0, 5.0)

    def learn(self, train: Interactions, context: FitContext) -> None:
        """Learn nothing."""

    def score_pairs(self, user: Tensor, item: Tensor) -> Tensor:
        raise AssertionError("users who are not in training have no index")

    def score(self, user_idx: ArrayLike) -> Tensor:
        raise AssertionError("users who are not in training have no index")

    def score_history(self, histories: Interactions) -> Tensor:
        last = torch.zeros(histories.n_users)
        for user, rating in zip(histories.user_idx.tolist(), histories.rating.tolist(), strict=True):
            last[user] = rating
        return last[:, None] + torch.arange(histories.n_items)

    def state(self) -> dict[str, Tensor]:
        return {}

    def restore(self, state: dict[str, Tensor]) -> None:
        """Restore nothing."""


def rows(*cells: tuple[int, int, float]) -> Interactions:
    user, item, rating = zip(*cells, strict=True)
    return Interactions.from_pairs(user, item, rating=rating, n_users=3, n_items=4)


def test_errors_of_users_who_are_not_in_training_by_hand() -> None:
    """User 0 gave a 2, so items 1 and 3 are predicted as 3 and 5; user 1 a 4, so item 2 is predicted as 6, cut to 5.

    Errors 1, 0 and 3.5: of all rows 4.5 / 3, of users the mean of 0.5 and 3.5.
    """
    given = rows((0, 0, 2), (1, 0, 4))
    split = Split(
        train=rows((2, 0, 3)),
        valid=rows((2, 1, 3)),
        test=rows((0, 1, 4), (1, 2, 1.5), (0, 3, 5)),
        candidates=np.arange(4),
        history=given,
        seen=given,
    )
    result = rating_errors(Echo(), split)
    means = {key: value for key, (value, _, _) in result.means().items()}
    assert result.user_mae.tolist() == [0.5, 3.5]
    assert means == pytest.approx(
        {
            "mae": 1.5,
            "rmse": math.sqrt((1 + 0 + 3.5**2) / 3),
            "within_half": 1 / 3,
            "user_mae": 2.0,
            "user_mse": (0.5 + 3.5**2) / 2,
        }
    )
    assert np.isnan(result.means()["user_mae"][1:]).all()  # two users are too few


def measured(ndcg: list[float], absolute: list[float] | None, lists: list[list[int]], seconds: float = 1.0) -> Measured:
    """Return what a model reached in one fold: `ndcg` of each user, and the error of one rating of each."""
    n = len(ndcg)
    ranking = Evaluation(
        users=np.arange(n),
        per_user={"ndcg@2": np.array(ndcg)},
        lists=np.array(lists),
        candidates=np.arange(4),
        fallback=np.arange(n) == 0,
        warm=np.arange(n) != 0,
        overall={},
        lengths=(2,),
    )
    errors = None
    if absolute is not None:
        errors = RatingErrors(*(np.array(x, float) for x in ([1] * n, np.square(absolute), absolute, [0] * n)))
    return Measured(ranking, errors, [{"train_seconds": seconds}])


def test_folds_are_joined_and_seeds_averaged_user_by_user() -> None:
    first = [measured([0.0, 0.2], [1, 2], [[0, 1], [0, 1]], 1), measured([0.4], [3], [[2, 1]], 3)]
    second = [measured([0.2, 0.2], [2, 2], [[0, 1], [0, 1]], 5), measured([0.0], [1], [[0, 1]], 7)]
    result = aggregate([first, second])
    assert result.ranking.per_user["ndcg@2"].tolist() == pytest.approx([0.1, 0.2, 0.2])
    assert result.ranking.overall["coverage@2"] == pytest.approx((3 / 4 + 2 / 4) / 2)  # of each seed's three lists
    assert result.ranking.fallback.tolist() == [True, False, True]
    assert result.errors is not None
    assert result.errors.user_mae.tolist() == [1.5, 2.0, 2.0]
    assert result.figures()["train_seconds"] == (4.0, 1.0, 7.0)


def test_differences_are_paired_by_user_and_say_which_is_better() -> None:
    n = 24
    base = np.tile([0.1, 0.2, 0.3, 0.4], n // 4)
    gain = np.tile([0.1, 0.2, 0.0, 0.3], n // 4)
    error = base + 0.5
    lists = [[0, 1]] * n
    result = {
        "popularity": measured(base.tolist(), None, lists),
        "bias": measured(base.tolist(), error.tolist(), lists),
        "other": measured((base + gain).tolist(), (error - gain).tolist(), lists),
    }
    task = summarise(result, 2, references=["popularity", "bias"])
    assert task.leader == "other"
    assert task.ahead_of["popularity"].keys() == {"bias", "other"}
    assert task.ahead_of["bias"].keys() == {"other"}  # popularity predicts no ratings
    assert task.ahead_of["popularity"]["other"][:3] == pytest.approx(tuple(difference_interval(gain)))
    assert task.ahead_of["popularity"]["bias"][:3] == pytest.approx(tuple(difference_interval(0 * gain)))
    assert task.ahead_of["bias"]["other"][:3] == pytest.approx(
        tuple(mean_interval(gain))
    )  # the error is that much smaller
    assert task.ahead_of["popularity"]["bias"].p == 1.0
    assert task.behind_leader["popularity"].difference == task.ahead_of["popularity"]["other"].difference
    assert task.popularity_fallback == {"popularity": 1, "bias": 1, "other": 1}


def test_c33_warm_and_cold_users_are_the_same_for_all_models_and_apart_from_each_other() -> None:
    ndcg = np.linspace(0.0, 0.9, 30)
    lists = [[2, 3], *[[0, 1]] * 29]
    result = {"popularity": measured(ndcg.tolist(), None, lists), "other": measured((ndcg / 2).tolist(), None, lists)}
    task = summarise(result, 2)
    assert task.warm is not None
    assert task.cold is not None
    assert (task.warm.users, task.cold.users) == (29, 1)  # the first is new
    assert task.warm.results.metrics["popularity"]["ndcg@2"].value == pytest.approx(ndcg[1:].mean())
    assert task.warm.results.behind_leader["other"].difference == pytest.approx(ndcg[1:].mean() / 2)
    assert task.warm.results.popularity_fallback == {"popularity": 0, "other": 0}
    cold = task.cold.results
    assert cold.metrics["other"]["ndcg@2"].value == 0.0
    assert cold.metrics["other"]["coverage@2"].value == 0.5
    assert math.isnan(cold.behind_leader["other"].p)  # one user is too few for a test
    everyone = {name: Measured(replace(m.ranking, warm=np.ones(30, bool)), None, m.costs) for name, m in result.items()}
    assert summarise(everyone, 2).warm is None


# End to end -----------------------------------------------------------------------------------------------------

MODELS_OF_TASK: Mapping[str, Mapping[str, Any]] = {"popularity": {}, "ease": {"l2": 9}, "bias": {}}
TASK = ComparisonRequest(MODELS_OF_TASK, "cold-user", given=(1, 2, 6), folds=3, run=RunConfig(device="cpu"))


def test_one_training_in_each_fold_serves_every_number_given(tiny: Dataset, fresh_home: Path) -> None:
    report = compare(tiny, TASK)
    assert len(list((fresh_home / "models").glob("*/manifest.json"))) == 3 * len(MODELS_OF_TASK)
    split = report.settings.split
    assert [task.given for task in report.tasks] == split["given"] == [1, 2, 6]
    assert (split["targets_after"], split["folds"]) == (6, 3)
    assert report.users + report.left_out == tiny.n_users
    values = [[task.metrics[name]["ndcg@10"].value for task in report.tasks] for name in MODELS_OF_TASK]
    assert len(set(values[0])) == 1  # popularity, the same whatever is given
    assert len(set(values[1])) == 3
    fallback = [task.popularity_fallback["ease"] for task in report.tasks]
    assert fallback == sorted(fallback, reverse=True)
    assert fallback[0] > fallback[-1]
    assert all(task.popularity_fallback["bias"] == 0 for task in report.tasks)
    one = compare(tiny, replace(TASK, given=(2,), targets_after=6)).first
    same = report.tasks[1]
    for name in MODELS_OF_TASK:
        for key, figure in one.metrics[name].items():
            if key != "evaluate_ms_per_user":
                assert figure == pytest.approx(same.metrics[name][key], nan_ok=True), (name, key)
    assert one.ahead_of == same.ahead_of


def test_every_user_of_the_folds_counts_once(tiny: Dataset, fresh_home: Path) -> None:
    metrics = compare(tiny, replace(TASK, given=(3,))).first.metrics
    everyone, errors = [], []
    for split in make_folds(tiny, "cold-user", folds=3, given=3):
        everyone.append(evaluate(MODELS["ease"](MODELS["ease"].Config(l2=9)).fit(split.fit), split))
        bias = MODELS["bias"]().fit(split.fit.concat(split.rest)) if split.rest is not None else None
        assert bias is not None
        errors.append(rating_errors(bias, split).user_mae)
    ndcg = mean_interval(np.concatenate([fold.per_user["ndcg@10"] for fold in everyone]), within=SHARE)
    assert tuple(metrics["ease"]["ndcg@10"]) == pytest.approx(tuple(ndcg))
    mae = mean_interval(np.concatenate(errors))
    assert tuple(metrics["bias"]["user_mae"]) == pytest.approx(tuple(mae), rel=1e-5)
    assert "user_mae" not in metrics["ease"]


def test_a_model_that_cannot_serve_new_users_is_refused_before_it_is_trained(tiny: Dataset, fresh_home: Path) -> None:
    with pytest.raises(BadInput, match="'recommender-net' cannot serve users"):
        compare(tiny, ComparisonRequest({"recommender-net": {}}, "cold-user"))
    assert not (fresh_home / "models").exists()
    report = compare(tiny, ComparisonRequest({"recommender-net": {}, "ease": {}}, "cold-user"))
    assert report.first.metrics.keys() == {"ease"}
    assert report.refused.keys() == {"recommender-net"}
    assert [folder.name.rsplit("-", 1)[0] for folder in (fresh_home / "models").glob("[a-z]*-*")] == ["ease"]
    with pytest.raises(BadInput, match="given '1,2' has no meaning for split 'random'"):
        compare(tiny, ComparisonRequest({"ease": {}}, "random", given=(1, 2)))


class Broken(Echo):
    """Fails in training, as a plugin may."""

    name = "broken"

    def learn(self, train: Interactions, context: FitContext) -> None:
        raise KeyError("loss")


def test_m43_a_model_that_refuses_or_fails_leaves_the_others_their_results(
    tiny: Dataset, fresh_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(MODELS.built_in, "broken", Broken)
    bare = replace(tiny, users=None)
    models: dict[str, Mapping[str, Any]] = {"broken": {}, "popularity": {}, "demographic": {}}
    refused: list[str] = []

    class Recording(Observer):
        def refused(self, name: str, error: Exception) -> None:
            refused.append(name)

    report = compare(bare, ComparisonRequest(models, "leave-last"), Recording())
    assert report.first.metrics.keys() == {"popularity"}
    assert refused == ["broken", "demographic"]
    assert report.refused["broken"] == "failed: KeyError: 'loss'"
    assert report.refused["demographic"].startswith("model 'demographic' needs age, gender or occupation")
    assert EvaluationReport.from_dict(json_ready(report.to_dict())).refused == report.refused
    with pytest.raises(KeyError):
        compare(bare, ComparisonRequest({"broken": {}}, "leave-last"))


def test_m44_a_report_records_all_that_it_takes_to_repeat_it(tiny: Dataset, fresh_home: Path) -> None:
    request = replace(TASK, models={"ease": {"l2": "9"}}, run=RunConfig(device="cpu", seed=3), seeds=2)
    row = compare(tiny, request).to_dict()
    assert row["settings"]["ease"]["l2"] == 9.0
    assert row["settings"]["ease"].keys() >= {"recency_half_life", "epochs", "patience"}
    assert (row["seed"], row["seeds"], row["device"]) == (3, 2, "cpu")
    assert row["fingerprint"] == tiny.fingerprint
    assert row["policy"] == {"mask": "seen", "fallback": "popularity", "tie_seed": 0}
    assert row["versions"].keys() == {"recengine", "python", "torch", "numpy"}


@pytest.mark.parametrize("given", [(1, 2), (2,)])
def test_a_report_is_read_back_as_it_was_written(tiny: Dataset, fresh_home: Path, given: tuple[int, ...]) -> None:
    report = compare(tiny, replace(TASK, models={"popularity": {}, "bias": {}}, given=given))
    written = json.dumps(json_ready(report.to_dict()))
    assert json.dumps(json_ready(EvaluationReport.from_dict(json.loads(written)).to_dict())) == written
    assert ("by_given" in report.to_dict()) == (len(given) > 1)
