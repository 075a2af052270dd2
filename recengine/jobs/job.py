"""One job: its task and its state."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from enum import StrEnum
from typing import Self

from recengine.files import Json, JsonObject

JOB_DIR = "{job}"
"""Stands for the job's folder in a command."""
PAUSE_FILE = "hold"
"""A file in the job's folder: a command that is given "{job}/hold" pauses while it exists."""


class JobState(StrEnum):
    """The state of a job."""

    QUEUED = "queued"
    RUNNING = "running"
    PAUSED = "paused"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


class JobKind(StrEnum):
    """The command that a job carries out."""

    TRAIN = "train"
    TUNE = "tune"
    EVALUATE = "evaluate"
    STREAM = "stream"
    FETCH = "fetch"
    STEERING = "steering"
    MAP = "map"


ACTIVE = (JobState.QUEUED, JobState.RUNNING, JobState.PAUSED)


@dataclass(frozen=True)
class Task:
    """The task of a job, as far as it is searched for later.

    models      : names; a training or a search has one
    settings    : those that were set, as texts
    data        : the data set's name; fingerprint : of its content
    trials      : of a search
    options     : what else was chosen, by the name of its option, as texts
    """

    models: tuple[str, ...] = ()
    settings: Mapping[str, str] = field(default_factory=dict)
    seed: int = 0
    device: str = "auto"
    data: str = ""
    fingerprint: str = ""
    trials: int = 0
    options: Mapping[str, str] = field(default_factory=dict)

    @property
    def model(self) -> str:
        """Return the model, or the first of several."""
        return self.models[0]

    @classmethod
    def from_dict(cls, row: JsonObject) -> Self:
        """Read what `dataclasses.asdict` gave; other keys are left alone."""
        known = {f.name: row[f.name] for f in fields(cls) if f.name in row}
        return cls(**{**known, "models": tuple(row.get("models", ()))})


@dataclass(frozen=True)
class Job:
    """What is known of one job; times are seconds since 1970.

    command : the arguments of `python -m recengine`
    key     : the same work has the same key, and runs once at a time
    owner   : the visitor whom it concerns alone, or ""
    pid_started : distinguishes the process from a later one with the same number
    returncode  : of the process; None when another run of the app had started it
    last_line   : of its progress, in words
    error   : why the command could not be carried out, if it gave a reason
    """

    id: str
    kind: JobKind
    title: str
    command: tuple[str, ...]
    key: str = ""
    owner: str = ""
    task: Task = field(default_factory=Task)
    state: JobState = JobState.QUEUED
    created: float = 0.0
    started: float | None = None
    ended: float | None = None
    pid: int | None = None
    pid_started: float | None = None
    returncode: int | None = None
    last_line: str = ""
    error: str = ""

    @property
    def active(self) -> bool:
        return self.state in ACTIVE

    @property
    def can_pause(self) -> bool:
        """Tell whether its command looks for the file that makes it pause."""
        return f"{JOB_DIR}/{PAUSE_FILE}" in self.command

    @property
    def spent(self) -> float:
        """Return the seconds that it has run."""
        return 0.0 if self.started is None else max(0.0, (self.ended or time.time()) - self.started)

    def to_dict(self) -> dict[str, Json]:
        """Return the record, JSON-ready."""
        return asdict(self)

    @classmethod
    def from_dict(cls, row: JsonObject) -> Self:
        """Read what `to_dict` wrote. Raises KeyError, TypeError or ValueError for what is not a job."""
        read = {
            "command": tuple(row["command"]),
            "kind": JobKind(row["kind"]),
            "state": JobState(row["state"]),
            "task": Task.from_dict(row["task"]),
        }
        return cls(**{**row, **read})
