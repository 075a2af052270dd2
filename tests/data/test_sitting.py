"""The split `sitting`: whole users held out, known by a few ratings without order; and what it measures."""

import numpy as np
import pytest
import torch

from recengine.data.dataset import Dataset
from recengine.data.splits import make_folds, make_split
from recengine.errors import BadInput
from recengine.evaluation.ranking import evaluate
from recengine.evaluation.report import EvaluationReport
from recengine.experiments.compare import ComparisonRequest, compare
from recengine.metrics import pairs
from recengine.models.registry import model_class
from recengine.training.config import RunConfig


def test_each_user_is_held_out_once_with_a_few_ratings_known_and_the_others_as_targets(tiny: Dataset) -> None:
    folds = make_folds(tiny, "sitting", folds=3, given=4)
    tested = np.concatenate([split.test.user_counts.nonzero()[0] for split in folds])
    assert len(tested) == len(set(tested.tolist()))
    for split in folds:
        assert split.history is not None
        assert split.disliked is not None
        assert split.rest is not None
        users = split.test.user_counts.nonzero()[0]
        assert set(split.history.user_counts[users]) == {4}
        assert not split.history.timestamp.any()
        assert not split.fit.concat(split.rest).user_counts[users].any()
        for user in users.tolist():
            mine = tiny.ratings.select(tiny.ratings.user_idx == user)
            parts = [part.item_idx[part.user_idx == user] for part in (split.history, split.test, split.disliked)]
            known, liked, disliked = (set(part.tolist()) for part in parts)
            assert liked == {*mine.item_idx[mine.rating >= 4].tolist()} - known
            assert disliked == {*mine.item_idx[mine.rating <= 2.5].tolist()} - known


def test_what_is_known_is_drawn_by_the_seed(tiny: Dataset) -> None:
    one, same, other = (make_split(tiny, "sitting", given=4, seed=seed).history for seed in (1, 1, 2))
    assert one is not None
    assert same is not None
    assert other is not None
    assert one.item_idx.tolist() == same.item_idx.tolist() != other.item_idx.tolist()


def test_more_ratings_than_anybody_has_are_bad_input(tiny: Dataset) -> None:
    with pytest.raises(BadInput, match="81 ratings or more; lower given"):
        make_split(tiny, "sitting", given=40)


def test_a_pair_is_right_when_the_liked_item_scores_higher_and_half_when_both_score_the_same() -> None:
    scores = torch.tensor([[3.0, 2.0, 1.0, 2.0], [0.0, 1.0, 2.0, 3.0], [1.0, 1.0, 1.0, 1.0]])
    liked, disliked = ([0, 0, 1, 2], [0, 1, 0, 0]), ([0, 0, 1], [2, 3, 3])
    shares = pairs(scores, *map(torch.tensor, (*liked, *disliked)))
    assert shares[:2].tolist() == [(1 + 1 + 1 + 0.5) / 4, 0.0]
    assert shares[2].isnan()


def test_models_are_compared_in_pairs_too_over_the_users_who_have_any(tiny: Dataset) -> None:
    request = ComparisonRequest({"popularity": {}, "ease": {}}, "sitting", given=(4,), run=RunConfig(device="cpu"))
    report = compare(tiny, request)
    task = report.first
    values = {name: figures["pairs"].value for name, figures in task.metrics.items()}
    assert task.pairs_leader == max(values, key=values.__getitem__)
    (name, paired), *_ = task.pairs_behind.items()
    assert paired.difference == pytest.approx(values[task.pairs_leader] - values[name])
    assert paired.low < paired.difference < paired.high
    assert EvaluationReport.from_dict(report.to_dict()).first.pairs_behind == task.pairs_behind


def test_pairs_are_measured_on_what_was_not_given(tiny: Dataset) -> None:
    split = make_split(tiny, "sitting", given=4)
    assert split.disliked is not None
    assert split.history is not None
    model = model_class("ease")().fit(split.fit)
    result = evaluate(model, split)
    scores = model.score_history(split.history.of_users(result.users))  # type: ignore[attr-defined]
    assert not result.fallback.all()
    for row, user in enumerate(result.users.tolist()):
        if result.fallback[row]:
            continue
        high = scores[row, split.test.item_idx[split.test.user_idx == user].tolist()]
        low = scores[row, split.disliked.item_idx[split.disliked.user_idx == user].tolist()]
        expected = float((high[:, None] > low).float().mean()) if len(low) else float("nan")
        assert result.per_user["pairs"][row] == pytest.approx(expected, nan_ok=True)
    popular = split.fit.item_counts[result.lists].mean(1)
    assert result.per_user["list_popularity@10"] == pytest.approx(popular)
