"""Several models on one task: what each reached, its seeds and folds put together, and how sure a difference is."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from recengine.data.splits import Split
from recengine.evaluation.ranking import Evaluation, evaluate, joined, pooled
from recengine.evaluation.ratings import RatingErrors, joined_errors, pooled_errors, rating_errors
from recengine.evaluation.significance import Paired, against_leader, ahead_of
from recengine.models.base import PredictsRatings, Recommender
from recengine.models.registry import MODELS


@dataclass(frozen=True, eq=False)
class Measured:
    """What one model reached: its ranking, the errors of the ratings that it predicts, if it does, and its costs.

    costs : one mapping for each training
    """

    ranking: Evaluation
    errors: RatingErrors | None
    costs: Sequence[Mapping[str, float]]

    def means(self) -> dict[str, tuple[float, float, float]]:
        """Return metric key -> (mean, low, high); of a cost the mean, the least and the most of the trainings."""
        errors = self.errors.means() if self.errors is not None else {}
        costs = {key: [cost[key] for cost in self.costs] for key in self.costs[0]}
        return {
            **self.ranking.means(),
            **errors,
            **{key: (float(np.mean(v)), float(min(v)), float(max(v))) for key, v in costs.items()},
        }


def measure(
    model: Recommender,
    split: Split,
    *,
    k: int,
    items: pd.DataFrame | None,
    negatives: int,
    seed: int,
    costs: Mapping[str, float],
) -> Measured:
    """Evaluate one trained model on one split; `costs` are those of its training."""
    started = time.perf_counter()
    ranking = evaluate(model, split, k=k, items=items, negatives=negatives, seed=seed)
    per_user = 1e3 * (time.perf_counter() - started) / len(ranking.users)
    errors = rating_errors(model, split) if isinstance(model, PredictsRatings) else None
    return Measured(ranking, errors, [{**costs, "evaluate_ms_per_user": per_user}])


def put_together(runs: Sequence[Sequence[Measured]]) -> Measured:
    """Return the result of several seeds, each of several folds: each user's mean over the seeds."""
    errors = [[fold.errors for fold in folds if fold.errors is not None] for folds in runs]
    return Measured(
        ranking=pooled([joined([fold.ranking for fold in folds]) for folds in runs]),
        errors=pooled_errors([joined_errors(folds) for folds in errors]) if errors[0] else None,
        costs=[cost for folds in runs for fold in folds for cost in fold.costs],
    )


def results(found: Mapping[str, Measured], k: int) -> dict[str, Any]:
    """Return the JSON-ready results of models on the same task, and what the paired tests say of them.

    results       : model -> metric -> value, low, high
    leader        : the model with the highest NDCG@k; behind_leader : how far each other one is behind it
    ahead_of      : reference -> model -> how far it is ahead of that model, where it is among them: in NDCG@k, or in
                    how much less its `user_mae` is where the reference predicts ratings
    popularity_fallback : model -> how many people it could not read, so that popularity stood in (counted only where
                    people are not in training)

    Differences are paired by user, and their p-values adjusted within each of the three comparisons (Holm).
    """
    gain = {name: m.ranking.per_user[f"ndcg@{k}"] for name, m in found.items()}
    loss = {name: -m.errors.user_mae for name, m in found.items() if m.errors is not None}
    leader, behind = against_leader(gain)
    references = [kind for kind in MODELS.values() if kind.is_reference]
    measured = {kind.name: loss if "ratings" in kind.abilities else gain for kind in references}
    baselines = {name: per_user for name, per_user in measured.items() if name in per_user}
    return {
        "results": {
            name: {key: dict(zip(("value", "low", "high"), v, strict=True)) for key, v in m.means().items()}
            for name, m in found.items()
        },
        "leader": leader,
        "behind_leader": _plain(behind),
        "ahead_of": {name: _plain(ahead_of(name, per_user)) for name, per_user in baselines.items()},
        "popularity_fallback": {name: int(m.ranking.fallback.sum()) for name, m in found.items()},
    }


def _plain(paired: Mapping[str, Paired]) -> dict[str, dict[str, float]]:
    return {name: difference._asdict() for name, difference in paired.items()}
