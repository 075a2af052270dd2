"""The progress of a command, read from its lines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from recengine.jobs.events import (
    BytesEvent,
    EpochEvent,
    ErrorEvent,
    NoteEvent,
    ProgressEvent,
    StepEvent,
    StreamEvent,
    TextEvent,
    TrialEvent,
)
from recengine.training.progress import EpochResult, Stage

STAGES: Mapping[Stage, str] = {
    Stage.REFIT: "refit on everything",
    Stage.PRETRAINING: "pretraining",
    Stage.EVALUATION: "evaluation",
}
"""The stages of epochs that choose nothing, in words; steps and parts are given as a share."""
CHOOSING = 0.9
"""Share of a training that chooses the epoch; the rest is the refit on everything, or the evaluation."""


class Progress(NamedTuple):
    """The progress of a running command.

    share : of the work, 0 to 1; text : the same in words
    seconds_left : at most, of the phase that runs, or None while there is no telling
    """

    share: float
    text: str
    seconds_left: float | None


def progress_of(events: Sequence[ProgressEvent], spent: float = 0.0) -> Progress:
    """Return the progress of a command, from its lines so far and the seconds since it started."""
    mark = next((i for i in reversed(range(len(events))) if isinstance(events[i], StepEvent | TrialEvent)), None)
    head = TextEvent("starting") if mark is None else events[mark]
    since = events if mark is None else events[mark + 1 :]
    latest = next((e for e in reversed(since) if isinstance(e, EpochEvent | BytesEvent | StreamEvent)), None)
    share = _share(latest)
    done, of = _counted(head)
    if not of:
        text = in_words(latest or head)
        if isinstance(latest, EpochEvent):
            return Progress(share, text, _epochs_left(since))
        if isinstance(latest, StreamEvent):
            return Progress(share, text, latest.seconds_left)
        return Progress(share, text, _time_left(share, spent))
    share = min(1.0, (done + share) / of)
    number = f"{min(done + 1, of)} of {of}"
    counted = f"trial {number}" if isinstance(head, TrialEvent) else f"{in_words(head)} ({number})"
    text = " · ".join([counted, *([in_words(latest)] if latest else [])])
    return Progress(share, text, _time_left(share, spent))


def _time_left(share: float, spent: float) -> float | None:
    """Return the seconds left if the rest goes as fast as what is done; None while that is too little."""
    return spent * (1 - share) / share if share > 0.02 else None


def _counted(head: ProgressEvent) -> tuple[int, int]:
    """Return the steps or trials done when this line is written, and their total; (0, 0) if that is open."""
    if isinstance(head, TrialEvent):
        return head.trial.number + 1, head.trials
    return (head.done or 0, head.of or 0) if isinstance(head, StepEvent) else (0, 0)


def in_words(event: ProgressEvent) -> str:
    """Return a line as readable text."""
    match event:
        case EpochEvent(result=result):
            stages = [STAGES[stage] for stage in result.stages if stage in STAGES]
            if Stage.STEPS in result.stages:
                return ", ".join([*stages, f"{result.share:.0%}"])
            most = "" if stages else "at most "
            part = [f"{result.part:.0%} of the next"] if result.part else []
            return ", ".join([*stages, f"epoch {result.epoch} of {most}{result.epochs}", *part])
        case BytesEvent():
            return f"{event.done / 1e6:.1f} of {event.total / 1e6:.1f} MB"
        case StreamEvent():
            return f"event {event.done:,} of {event.of:,}"
        case TrialEvent():
            return f"trial {event.trial.number + 1} of {event.trials}"
        case TextEvent() | NoteEvent() | StepEvent() | ErrorEvent():
            return event.text
    return ""


def epochs_of(events: Sequence[ProgressEvent]) -> list[EpochResult]:
    """Return the epochs of the last training that the lines tell of, those alone that choose the best one."""
    epochs = [event.result for event in events if isinstance(event, EpochEvent) and not event.result.stages]
    starts = [i for i in range(1, len(epochs)) if epochs[i].epoch <= epochs[i - 1].epoch]
    return epochs[starts[-1] :] if starts else epochs


def _epochs_left(events: Sequence[ProgressEvent]) -> float | None:
    """Return the seconds that the epochs left would take, each like the latest five."""
    epochs = [event.result for event in events if isinstance(event, EpochEvent)]
    first = last = epochs[-1]
    for result in reversed(epochs):
        if _phase(result) == _phase(last):
            if not last.done - 5 <= result.done <= first.done:
                break
            first = result
    took, passed = last.seconds - first.seconds, last.done - first.done
    if passed <= 0:  # the first epoch of its training
        took, passed = last.seconds, last.done
    return took / passed * (last.epochs - last.done) if passed > 0 else None


def _phase(result: EpochResult) -> set[Stage]:
    """Return the stages of a result, whether or not its epoch is under way."""
    return {*result.stages} - {Stage.PART}


def _share(event: EpochEvent | BytesEvent | StreamEvent | None) -> float:
    """Return the share of its work that is done at the latest line, 0 to 1."""
    match event:
        case EpochEvent(result=result):
            share = 0.0 if Stage.PRETRAINING in result.stages else result.share
            is_last = {Stage.REFIT, Stage.EVALUATION} & {*result.stages}
            return CHOOSING + (1 - CHOOSING) * share if is_last else CHOOSING * share
        case BytesEvent():
            return event.done / event.total if event.total else 0.0
        case StreamEvent():
            return event.done / event.of
    return 0.0
