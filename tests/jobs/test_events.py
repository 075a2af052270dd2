"""Progress lines: events are read back as written, and any other line is text."""

from __future__ import annotations

import json

import pytest

from recengine.experiments.tune import Trial
from recengine.jobs.events import (
    BytesEvent,
    EpochEvent,
    ErrorEvent,
    NoteEvent,
    ProgressEvent,
    StepEvent,
    StreamedRating,
    StreamEvent,
    TextEvent,
    TrialEvent,
    read_event,
)
from recengine.training.progress import EpochResult, Stage

RESULT = EpochResult(3, 9, loss=0.5, seconds=1.5, metrics={"valid_ndcg@10": 0.1}, examples=7, stages=(Stage.REFIT,))
EVENTS = [
    NoteEvent("Fetching."),
    NoteEvent("mf: NDCG@10 0.1000", "mf", {"ndcg@10": [0.1]}),
    StepEvent("reading"),
    StepEvent("mf, seed 0", 0, 3),
    EpochEvent("mf", RESULT, 1_000.0, 120.5),
    EpochEvent("mf", EpochResult(0, 9, loss=0.7, seconds=0.1)),
    TrialEvent("mf", Trial(0, {"l2": 0.1}, None, 2.0, "failed", "out of range"), trials=5, best=None),
    StreamEvent(
        done=10,
        of=20,
        evaluated=8,
        seconds=0.5,
        seconds_left=None,
        events_per_second=20,
        recall={"step": 0.1},
        moving={"step": None},
        raw={"step": 0.2},
        last=(StreamedRating(7, 12, "Alien (1979)", 5.0, {"step": 3}),),
    ),
    BytesEvent("sample", 0, 10),
    ErrorEvent("k=0 is out of range"),
]


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.event)
def test_an_event_is_read_back_as_it_was_written(event: ProgressEvent) -> None:
    assert read_event(json.dumps(event.to_dict())) == event


def test_the_fields_of_an_event_are_keys_of_its_line() -> None:
    assert StepEvent("reading").to_dict() == {"event": "step", "text": "reading"}
    assert StepEvent("mf", 0, 3).to_dict() == {"event": "step", "text": "mf", "done": 0, "of": 3}
    assert set(EVENTS[4].to_dict()) == {
        *("event", "model", "epoch", "epochs", "loss", "seconds", "valid_ndcg@10", "examples", "stages"),
        *("examples_per_second", "memory_mb"),
    }
    assert set(EVENTS[6].to_dict()) == {
        *("event", "model", "number", "settings", "value", "seconds", "state", "reason", "trials", "best")
    }
    assert EVENTS[7].to_dict()["last"][0]["title"] == "Alien (1979)"
    assert EVENTS[7].to_dict()["seconds_left"] is None


@pytest.mark.parametrize("line", ["Warning: slow", "{", "[]", "3", '{"event": "epoch"}', '{"event": [1]}', '{"a": 1}'])
def test_a_line_that_is_not_an_event_is_text(line: str) -> None:
    assert read_event(f"  {line} ") == TextEvent(line)
