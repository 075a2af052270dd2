"""Progress: what trainings and evaluations report, epoch by epoch, or as the share of work that has no epochs."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Self

from recengine.files import Json, JsonObject

STEP_SECONDS, PART_SECONDS = 0.2, 1.0
"""Seconds from one report to the next, of steps, and of the parts of an epoch."""


class Stage(StrEnum):
    """Why an epoch chooses nothing: it trains a model that this one starts from, or the final model on everything.

    STEPS: what is counted is no epoch, but a step of a model without epochs, which has no loss; EVALUATION: of ranking.
    PART: an epoch is under way, and so has no loss either.
    """

    PRETRAINING = "pretraining"
    REFIT = "refit"
    EVALUATION = "evaluation"
    STEPS = "steps"
    PART = "part"


@dataclass(frozen=True)
class EpochResult:
    """The result of one epoch.

    epoch, epochs : its number, 0 for the untrained network, and the most that there will be
    loss     : mean over the epoch's batches
    seconds  : since the training started, validation included
    metrics  : of validation, such as "valid_ndcg@10"; empty without validation
    examples : rows of an epoch, where `Recommender.fit` has set them
    stages   : empty for the epochs that choose; a model's training log holds only those
    part     : share that is done of the epoch after this one, where that is under way
    """

    epoch: int
    epochs: int
    loss: float
    seconds: float
    metrics: Mapping[str, float] = field(default_factory=dict)
    examples: int | None = None
    stages: tuple[Stage, ...] = ()
    part: float = 0.0

    @property
    def done(self) -> float:
        """Return how many epochs are done, with the part of the one that is under way."""
        return self.epoch + self.part

    @property
    def share(self) -> float:
        """Return the share of the epochs that are done, 0 to 1."""
        return self.done / max(self.epochs, 1)

    def to_dict(self) -> dict[str, Json]:
        """Return one flat mapping, JSON-ready; `examples`, `part` and `stages` only where there are any."""
        row: dict[str, Json] = {"epoch": self.epoch, "epochs": self.epochs, "loss": self.loss, **self.metrics}
        row["seconds"] = self.seconds
        if self.examples is not None:
            row["examples"] = self.examples
        if self.part:
            row["part"] = self.part
        return row | ({"stages": list(self.stages)} if self.stages else {})

    @classmethod
    def from_dict(cls, row: JsonObject) -> Self:
        """Read what `to_dict` wrote; other keys are left alone."""
        return cls(
            epoch=int(row["epoch"]),
            epochs=int(row["epochs"]),
            loss=math.nan if row["loss"] is None else row["loss"],
            seconds=row["seconds"],
            metrics={name: value for name, value in row.items() if name.startswith("valid_")},
            examples=row.get("examples"),
            stages=tuple(Stage(stage) for stage in row.get("stages", ())),
            part=row.get("part", 0.0),
        )


OnEpoch = Callable[[EpochResult], None]
"""Called after each epoch, and now and then within a long one; may raise to stop the training."""


def mark_stage(on_epoch: OnEpoch | None, stage: Stage) -> OnEpoch | None:
    """Return the callback with each epoch marked as of that stage, before the stages that it has."""
    if on_epoch is None:
        return None
    return lambda result: on_epoch(replace(result, stages=(stage, *result.stages)))


OnStep = Callable[[int, int], None]
"""Called with the number of steps that are done and their total; may raise to stop the work."""


def no_step(done: int, total: int) -> None:
    """Take the steps of what nobody follows."""


def steps_of(on_epoch: OnEpoch | None, *stages: Stage) -> OnStep:
    """Return a callback that reports the share of the steps done, a few times a second, to that of the epochs."""
    if on_epoch is None:
        return no_step
    started, shown, reported = time.perf_counter(), -1.0, -math.inf

    def on_step(done: int, total: int) -> None:
        nonlocal shown, reported
        share, now = done / total, time.perf_counter()
        if share > shown and (now - reported > STEP_SECONDS or share == 1):
            shown, reported = share, now
            on_epoch(EpochResult(done, total, math.nan, now - started, stages=(*stages, Stage.STEPS)))

    return on_step


def parts_of(on_epoch: OnEpoch | None, epoch: int, epochs: int, before: float) -> OnStep:
    """Return a callback that reports the part done of the epoch after `epoch`, once a second if it takes that long.

    before : seconds that the training took until now
    """
    if on_epoch is None:
        return no_step
    started = reported = time.perf_counter()

    def on_step(done: int, total: int) -> None:
        nonlocal reported
        now = time.perf_counter()
        if now - reported > PART_SECONDS and 0 < done < total:
            reported, seconds = now, before + now - started
            on_epoch(EpochResult(epoch, epochs, math.nan, seconds, stages=(Stage.PART,), part=done / total))

    return on_step


def within(on_step: OnStep, begin: float, end: float) -> OnStep:
    """Return the callback for the steps of a part of the work, from one share of it to another."""
    return lambda done, total: on_step(round(1000 * (begin + (end - begin) * done / total)), 1000)
