"""The result of `evaluate` as a record: written as JSON by the command line, read by the app."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Self

from recengine.data.splits import SplitSetting
from recengine.evaluation.intervals import Interval as Interval
from recengine.evaluation.policy import EvaluationPolicy
from recengine.evaluation.significance import Paired
from recengine.files import Json, JsonObject


@dataclass(frozen=True)
class EvaluationSettings:
    """The settings of an evaluation: what it takes to repeat it.

    split  : the split's settings
    k      : length of the lists by which models are compared; cutoffs : further lengths of which there are metrics
    seeds  : trainings of each model, with the seeds `seed`, `seed` + 1, ...
    models : model -> settings of its config and its run
    fingerprint : of the data set's content; versions : of the packages that computed the figures
    """

    dataset: str
    split: Mapping[str, SplitSetting]
    k: int
    seeds: int
    cutoffs: Sequence[int] = ()
    policy: EvaluationPolicy = EvaluationPolicy()  # noqa: RUF009 - frozen
    models: Mapping[str, Mapping[str, Json]] = field(default_factory=dict)
    seed: int = 0
    device: str = ""
    fingerprint: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)

    @property
    def positive(self) -> float:
        """Return the rating from which on one is a positive."""
        positive = self.split.get("positive", 0.0)
        return positive if isinstance(positive, int | float) else 0.0


@dataclass(frozen=True)
class TaskResults:
    """The models' results on one task, and those of the paired tests.

    metrics       : model -> metric key -> its figure
    leader        : the model with the highest NDCG@k; behind_leader : the others' distance from it
    pairs_leader  : the model with the highest `pairs`, "" without that metric; pairs_behind : the others' distance
    ahead_of      : reference model -> model -> its lead in NDCG@k, or where the reference predicts ratings, by how much
                    its `user_mae` is lower
    popularity_fallback : model -> number of users for whom popularity stood in, as it had no signal for them
    given         : ratings known of each user, where several numbers were asked for
    warm, cold    : the same of the users of whom a positive is known, and of the others, where there are both

    Differences are paired by user, and their p-values adjusted within each of the comparisons (Holm).
    """

    metrics: Mapping[str, Mapping[str, Interval]]
    leader: str
    behind_leader: Mapping[str, Paired]
    ahead_of: Mapping[str, Mapping[str, Paired]]
    popularity_fallback: Mapping[str, int]
    pairs_leader: str = ""
    pairs_behind: Mapping[str, Paired] = field(default_factory=dict)
    given: int | None = None
    warm: Group | None = None
    cold: Group | None = None

    def to_dict(self) -> dict[str, Json]:
        """Return plain values; JSON has no NaN, so `export.json_ready` makes them null."""
        groups = {"warm": self.warm, "cold": self.cold}
        return {
            **({} if self.given is None else {"given": self.given}),
            "results": {
                name: {key: figure._asdict() for key, figure in figures.items()}
                for name, figures in self.metrics.items()
            },
            "leader": self.leader,
            "behind_leader": {name: paired._asdict() for name, paired in self.behind_leader.items()},
            "pairs_leader": self.pairs_leader,
            "pairs_behind": {name: paired._asdict() for name, paired in self.pairs_behind.items()},
            "ahead_of": {
                base: {name: paired._asdict() for name, paired in others.items()}
                for base, others in self.ahead_of.items()
            },
            "popularity_fallback": dict(self.popularity_fallback),
            **{name: {"users": g.users, **g.results.to_dict()} for name, g in groups.items() if g is not None},
        }

    @classmethod
    def from_dict(cls, row: JsonObject) -> Self:
        """Read what `to_dict` wrote, null for NaN."""
        return cls(
            metrics={
                name: {key: Interval.from_dict(figure) for key, figure in figures.items()}
                for name, figures in row["results"].items()
            },
            leader=row["leader"],
            behind_leader=_pairs(row["behind_leader"]),
            pairs_leader=row.get("pairs_leader", ""),
            pairs_behind=_pairs(row.get("pairs_behind", {})),
            ahead_of={base: _pairs(others) for base, others in row["ahead_of"].items()},
            popularity_fallback=row["popularity_fallback"],
            given=row.get("given"),
            **{name: Group(row[name]["users"], cls.from_dict(row[name])) for name in ("warm", "cold") if name in row},
        )


class Group(NamedTuple):
    """Some of the users of a task: how many they are, and the models' results for them."""

    users: int
    results: TaskResults


@dataclass(frozen=True)
class EvaluationReport:
    """Models evaluated on one task, or on several that differ in how much is known of the users.

    users    : who are tested; left_out : held out but not tested, for want of a target
    items    : candidates that are ranked
    tasks    : one for each number of ratings given, else one
    refused  : model -> a sentence that says why it has no results
    """

    settings: EvaluationSettings
    users: int
    left_out: int
    items: int
    tasks: tuple[TaskResults, ...]
    refused: Mapping[str, str] = field(default_factory=dict)

    @property
    def first(self) -> TaskResults:
        """Return the results of the first task."""
        return self.tasks[0]

    def to_dict(self) -> dict[str, Json]:
        """Return what `evaluate --json` prints; the results of several tasks stand in `by_given`."""
        results = [task.to_dict() for task in self.tasks]
        return {
            "dataset": self.settings.dataset,
            "split": dict(self.settings.split),
            "k": self.settings.k,
            "cutoffs": list(self.settings.cutoffs),
            "users": self.users,
            "left_out": self.left_out,
            "items": self.items,
            "seed": self.settings.seed,
            "seeds": self.settings.seeds,
            "device": self.settings.device,
            "policy": self.settings.policy.to_dict(),
            "settings": {name: dict(values) for name, values in self.settings.models.items()},
            "fingerprint": self.settings.fingerprint,
            "versions": dict(self.settings.versions),
            "refused": dict(self.refused),
            **(results[0] if self.first.given is None else {"by_given": results}),
        }

    @classmethod
    def from_dict(cls, row: JsonObject) -> Self:
        """Read what `to_dict` wrote. Raises KeyError or TypeError for what is not a report."""
        return cls(
            EvaluationSettings(
                **{key: row[key] for key in ("dataset", "split", "k", "seeds")},
                policy=EvaluationPolicy.from_dict(row["policy"]),
                cutoffs=tuple(row.get("cutoffs", ())),
                models=row["settings"],
                **{key: row[key] for key in ("seed", "device", "fingerprint", "versions")},
            ),
            users=row["users"],
            left_out=row["left_out"],
            items=row["items"],
            tasks=tuple(TaskResults.from_dict(task) for task in row.get("by_given", [row])),
            refused=row["refused"],
        )


def _pairs(rows: Mapping[str, JsonObject]) -> dict[str, Paired]:
    return {name: Paired(*_numbers(row, Paired._fields)) for name, row in rows.items()}


def _numbers(row: Mapping[str, float | None], names: Sequence[str]) -> list[float]:
    """Return the numbers of these names, NaN for null."""
    values = (row[name] for name in names)
    return [math.nan if value is None else value for value in values]
