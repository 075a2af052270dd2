"""The lines of `--progress jsonl` as records: the command line writes them, the followers of a job read them.

Each line is one JSON object whose `event` names its kind. Keys that a kind does not know are left alone.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import MISSING, Field, asdict, dataclass, field, fields
from typing import ClassVar, Self

from recengine.evaluation.prequential import StreamProgress
from recengine.experiments.tune import Trial
from recengine.files import Json, JsonObject
from recengine.training.progress import EpochResult

RawId = int | str
"""The id of a user or an item as the data has it."""


@dataclass(frozen=True)
class ProgressEvent:
    """One line of progress."""

    event: ClassVar[str]

    def to_dict(self) -> dict[str, Json]:
        """Return the line as a mapping, JSON-ready; what has its default value is left out."""
        values = ((f, getattr(self, f.name)) for f in fields(self))
        given = {f.name: value for f, value in values if value != _default(f)}
        return {"event": self.event, **given}

    @classmethod
    def from_dict(cls, row: JsonObject) -> Self:
        """Read what `to_dict` wrote. Raises KeyError, TypeError or ValueError for a line that is none."""
        return cls(**{f.name: row[f.name] for f in fields(cls) if f.name in row or _default(f) is MISSING})


def _default(f: Field[object]) -> object:
    return f.default_factory() if f.default_factory is not MISSING else f.default


@dataclass(frozen=True)
class TextEvent(ProgressEvent):
    """A line that is not one of ours, such as a warning of a library."""

    event = "text"
    text: str


@dataclass(frozen=True)
class NoteEvent(ProgressEvent):
    """A sentence: what is fetched, trained, substituted or dropped.

    model, metrics : of a model's results: metric key -> its value on each of the tasks
    """

    event = "note"
    text: str
    model: str = ""
    metrics: Mapping[str, list[float]] = field(default_factory=dict)


@dataclass(frozen=True)
class StepEvent(ProgressEvent):
    """The next step; where steps are counted, the number done and the total."""

    event = "step"
    text: str
    done: int | None = None
    of: int | None = None


@dataclass(frozen=True)
class EpochEvent(ProgressEvent):
    """An epoch of a model's training, its pace (validation included) and the memory of the process."""

    event = "epoch"
    model: str
    result: EpochResult
    examples_per_second: float | None = None
    memory_mb: float | None = None

    def to_dict(self) -> dict[str, Json]:
        """Return one flat mapping: the epoch's keys stand among the others."""
        row = super().to_dict()
        del row["result"]
        return row | self.result.to_dict()

    @classmethod
    def from_dict(cls, row: JsonObject) -> Self:
        """Read what `to_dict` wrote."""
        return cls(row["model"], EpochResult.from_dict(row), row.get("examples_per_second"), row.get("memory_mb"))


@dataclass(frozen=True)
class TrialEvent(ProgressEvent):
    """A finished trial of a search, the number of trials, and the best value so far."""

    event = "trial"
    model: str
    trial: Trial
    trials: int
    best: float | None

    def to_dict(self) -> dict[str, Json]:
        """Return one flat mapping: the trial's keys stand among the others."""
        return {
            "event": self.event,
            "model": self.model,
            **asdict(self.trial),
            "trials": self.trials,
            "best": self.best,
        }

    @classmethod
    def from_dict(cls, row: JsonObject) -> Self:
        """Read what `to_dict` wrote."""
        return cls(row["model"], Trial.from_dict(row), row["trials"], row["best"])


@dataclass(frozen=True)
class StreamedRating:
    """One of the latest events of a stream; `rank` has the item's rank for each model, from 1."""

    user_id: RawId
    item_id: RawId
    title: str
    rating: float
    rank: Mapping[str, int]


@dataclass(frozen=True)
class StreamEvent(ProgressEvent, StreamProgress):
    """The progress of a stream's replay, and the latest of its events."""

    event = "stream"
    last: tuple[StreamedRating, ...]

    def to_dict(self) -> dict[str, Json]:
        """Return the line as a mapping, JSON-ready."""
        return super().to_dict() | {"last": [asdict(rating) for rating in self.last]}

    @classmethod
    def from_dict(cls, row: JsonObject) -> Self:
        """Read what `to_dict` wrote."""
        return super().from_dict({**row, "last": tuple(StreamedRating(**rating) for rating in row["last"])})


@dataclass(frozen=True)
class BytesEvent(ProgressEvent):
    """The progress of a download."""

    event = "bytes"
    what: str
    done: int
    total: int


@dataclass(frozen=True)
class ErrorEvent(ProgressEvent):
    """The last line of a command that could not be carried out: why, in a sentence."""

    event = "error"
    text: str


KINDS: Mapping[str, type[ProgressEvent]] = {
    kind.event: kind for kind in (NoteEvent, StepEvent, EpochEvent, TrialEvent, StreamEvent, BytesEvent, ErrorEvent)
}


def read_event(line: str) -> ProgressEvent:
    """Return the event of a line; one that is not JSON, or not of a known kind, is text."""
    try:
        row = json.loads(line)
        return KINDS[row["event"]].from_dict(row)
    except (ValueError, TypeError, LookupError, AttributeError):
        return TextEvent(line.strip())
