"""What a model reached in an evaluation, user by user, over its seeds and folds; as arrays, to be kept in a file."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recengine.evaluation.ranking import Evaluation, list_metrics
from recengine.evaluation.ratings import RatingErrors
from recengine.evaluation.report import Interval
from recengine.files import Json, JsonObject

Arrays = dict[str, NDArray[Any]]
_ARRAYS = ("users", "lists", "candidates", "fallback", "warm")
"""Fields of an evaluation that are arrays."""


@dataclass(frozen=True, eq=False)
class Measured:
    """What one model reached: its ranking, the errors of the ratings that it predicts, if it does, and its costs.

    costs : one mapping for each training
    """

    ranking: Evaluation
    errors: RatingErrors | None
    costs: Sequence[Mapping[str, float]]

    def of(self, chosen: NDArray[np.bool_]) -> Measured:
        """Return what was reached for some of the users, (n,) bool."""
        errors = None if self.errors is None else self.errors.of(chosen)
        return Measured(self.ranking.of(chosen), errors, self.costs)

    def figures(self) -> dict[str, Interval]:
        """Return metric key -> figure; of a cost the mean, the least and the most of the trainings."""
        errors = self.errors.means() if self.errors is not None else {}
        costs = {key: [cost[key] for cost in self.costs] for key in self.costs[0]}
        return {
            **{key: Interval(*mean) for key, mean in {**self.ranking.means(), **errors}.items()},
            **{key: Interval(float(np.mean(v)), float(min(v)), float(max(v))) for key, v in costs.items()},
        }


Runs = list[list[Measured]]
"""What one training of a model reached: for each fold, each task."""


def aggregate(runs: Sequence[Sequence[Measured]]) -> Measured:
    """Return the result of several seeds, each of several folds: the folds' users, each one's mean over the seeds.

    An interval then speaks of users, with the luck of the seed averaged out. The folds of a seed test different users
    and rank the same candidates. Lists are those of the first seed; what belongs to all lists is the mean over seeds.
    """

    def over(values_of: Callable[[Measured], NDArray[np.float64]]) -> NDArray[np.float64]:
        return np.mean([np.concatenate([values_of(fold) for fold in folds]) for folds in runs], axis=0)

    first, example = [fold.ranking for fold in runs[0]], runs[0][0]
    lists = [np.concatenate([fold.ranking.lists for fold in folds]) for folds in runs]
    overall = [list_metrics(listed, example.ranking.candidates, example.ranking.lengths) for listed in lists]
    ranking = Evaluation(
        users=np.concatenate([fold.users for fold in first]),
        per_user={key: over(lambda m, key=key: m.ranking.per_user[key]) for key in example.ranking.per_user},  # type: ignore[misc]
        lists=lists[0],
        candidates=example.ranking.candidates,
        fallback=np.concatenate([fold.fallback for fold in first]),
        warm=np.concatenate([fold.warm for fold in first]),
        overall={key: float(np.mean([values[key] for values in overall])) for key in overall[0]},
        lengths=example.ranking.lengths,
    )
    errors = None
    if example.errors is not None:
        parts = [f.name for f in fields(RatingErrors)]
        errors = RatingErrors(**{part: over(lambda m, part=part: getattr(m.errors, part)) for part in parts})  # type: ignore[misc]
    return Measured(ranking, errors, [cost for folds in runs for fold in folds for cost in fold.costs])


def to_arrays(runs: Runs) -> tuple[Arrays, dict[str, Json]]:
    """Return what one training reached as arrays, and what is no array; `from_arrays` reads both."""
    arrays: Arrays = {}
    parts: list[list[Json]] = []
    for f, tasks in enumerate(runs):
        parts.append([])
        for t, measured in enumerate(tasks):
            ranking = measured.ranking
            values: dict[str, NDArray[Any]] = {name: getattr(ranking, name) for name in _ARRAYS}
            values |= {f"per_user.{key}": per_user for key, per_user in ranking.per_user.items()}
            if measured.errors is not None:
                values |= {f"errors.{name}": sums for name, sums in vars(measured.errors).items()}
            arrays |= {f"{f}.{t}.{name}": value for name, value in values.items()}
            costs = [dict(cost) for cost in measured.costs]
            parts[-1].append({"overall": ranking.overall, "lengths": [*ranking.lengths], "costs": costs})
    return arrays, {"folds": parts}


def from_arrays(arrays: Arrays, rest: JsonObject) -> Runs:
    """Read what `to_arrays` gave. Raises KeyError or TypeError for anything else."""
    return [
        [
            _measured({name: arrays[name] for name in arrays if name.startswith(f"{f}.{t}.")}, part)
            for t, part in enumerate(parts)
        ]
        for f, parts in enumerate(rest["folds"])
    ]


def _measured(arrays: Arrays, rest: JsonObject) -> Measured:
    values = {name.split(".", 2)[2]: value for name, value in arrays.items()}

    def of(prefix: str) -> dict[str, NDArray[np.float64]]:
        return {name.removeprefix(prefix): value for name, value in values.items() if name.startswith(prefix)}

    ranking = Evaluation(
        **{name: values[name] for name in _ARRAYS},
        per_user=of("per_user."),
        overall=rest["overall"],
        lengths=tuple(rest["lengths"]),
    )
    errors = of("errors.")
    return Measured(ranking, RatingErrors(**errors) if errors else None, rest["costs"])
