"""The result of `stream` as a record: written as JSON by the command line, read by the app."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from recengine.evaluation.prequential import FROZEN, WINDOW, Group, Replay
from recengine.evaluation.report import Interval
from recengine.files import Json, JsonObject
from recengine.training.config import Settings

CHOSEN_ON = 5
"""The presets were chosen on the bootstrap and on one such part of the replay; recall is given for the rest, too."""
POINTS = 200
"""Of each moving average that is kept."""


@dataclass(frozen=True)
class StreamFigures:
    """The figures of one model.

    recall   : recall@k; rest : the same over what follows the first fifth of the replay
    events_per_second : of this model alone
    groups   : recall by who and what had an earlier event
    moving   : (number of an event, recall over the last WINDOW events)
    settings : of the model's config
    """

    recall: Interval
    rest: Interval
    events_per_second: float
    groups: Mapping[str, Group]
    moving: Sequence[tuple[int, float]]
    settings: Settings

    def precision(self, k: int) -> Interval:
        """Return precision@k: one of k items can be a hit."""
        return Interval(*(part / k for part in self.recall))

    def to_dict(self, k: int) -> dict[str, Json]:
        """Return plain values; JSON has no NaN, so `export.json_ready` makes them null."""
        return {
            f"recall@{k}": self.recall._asdict(),
            f"precision@{k}": self.precision(k)._asdict(),
            f"recall@{k}_rest": self.rest._asdict(),
            "events_per_second": self.events_per_second,
            "groups": {name: group._asdict() for name, group in self.groups.items()},
            "moving": [list(point) for point in self.moving],
            "settings": self.settings,
        }

    @classmethod
    def from_dict(cls, row: JsonObject, k: int) -> Self:
        """Read what `to_dict` wrote, null for NaN."""
        return cls(
            recall=Interval.from_dict(row[f"recall@{k}"]),
            rest=Interval.from_dict(row[f"recall@{k}_rest"]),
            events_per_second=row["events_per_second"],
            groups={name: Group.from_dict(group) for name, group in row["groups"].items()},
            moving=[(event, value) for event, value in row["moving"]],
            settings=row["settings"],
        )


@dataclass(frozen=True)
class StreamReport:
    """Models replayed on one stream.

    bootstrap : events to start from; events : replayed; evaluated : those of users with an earlier event
    masked    : whether a user's earlier items were left out of the ranking
    models    : model -> its figures; ahead_of : rival -> the first model's lead in recall@k
    """

    dataset: str
    positive: float
    bootstrap: int
    events: int
    evaluated: int
    k: int
    masked: bool
    models: Mapping[str, StreamFigures]
    ahead_of: Mapping[str, Interval]

    @classmethod
    def of(
        cls, replay: Replay, *, dataset: str, positive: float, masked: bool, settings: Mapping[str, Settings]
    ) -> Self:
        """Return the report of a replay that is over; `settings` are those of each model, which its copies share."""
        recall, ahead = replay.intervals()
        rest, _ = replay.intervals(since=replay.done // CHOSEN_ON)
        tested = np.flatnonzero(replay.evaluated)
        models = {}
        for name in replay.ranks:
            moving = replay.moving(name)
            kept = np.unique(np.linspace(0, len(moving) - 1, min(POINTS, len(moving))).astype(int))
            models[name] = StreamFigures(
                recall[name],
                rest[name],
                replay.done / max(replay.seconds[name], 1e-9),
                replay.groups(name),
                [(int(tested[p]) + 1, round(float(moving[p]), 5)) for p in kept],
                settings.get(name.removesuffix(FROZEN), {}),
            )
        return cls(
            dataset,
            positive,
            bootstrap=len(replay.stream.bootstrap),
            events=replay.done,
            evaluated=int(replay.evaluated.sum()),
            k=replay.k,
            masked=masked,
            models=models,
            ahead_of=ahead,
        )

    @property
    def first(self) -> str:
        """Return the model that the others are compared with."""
        return next(iter(self.models))

    def to_dict(self) -> dict[str, Json]:
        """Return what `stream --json` prints: the first model's figures, each one's recall by its name, and all."""
        k, first = self.k, self.models[self.first]
        return {
            "dataset": self.dataset,
            "positive": self.positive,
            "bootstrap": self.bootstrap,
            "events": self.events,
            "evaluated": self.evaluated,
            "events_per_second": first.events_per_second,
            "k": k,
            "seen": "masked" if self.masked else "kept",
            "window": WINDOW,
            f"recall@{k}": first.recall._asdict(),
            f"precision@{k}": first.precision(k)._asdict(),
            **{name: figures.recall._asdict() for name, figures in self.models.items()},
            "ahead_of": {name: lead._asdict() for name, lead in self.ahead_of.items()},
            "results": {name: figures.to_dict(k) for name, figures in self.models.items()},
        }

    @classmethod
    def from_dict(cls, row: JsonObject) -> Self:
        """Read what `to_dict` wrote. Raises KeyError or TypeError for what is not a report."""
        return cls(
            row["dataset"],
            row["positive"],
            bootstrap=row["bootstrap"],
            events=row["events"],
            evaluated=row["evaluated"],
            k=row["k"],
            masked=row["seen"] == "masked",
            models={name: StreamFigures.from_dict(figures, row["k"]) for name, figures in row["results"].items()},
            ahead_of={name: Interval.from_dict(lead) for name, lead in row["ahead_of"].items()},
        )
