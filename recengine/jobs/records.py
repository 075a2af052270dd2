"""The records of jobs: a folder for each, which outlives a page, a browser and the app.

A job's folder holds `record.json`, `progress.jsonl` (the process's standard error) and `result.json` (its standard
output). Whoever looks reads these files, so nothing is lost by a page change, another browser or a restart.
"""

from __future__ import annotations

import json
import os
import shutil
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from recengine import settings
from recengine.files import JsonObject, atomic_text_file
from recengine.jobs.events import ProgressEvent, read_event
from recengine.jobs.job import Job, JobKind

KEPT = 50
"""Jobs that are over and still kept, the latest ones."""
LOG_LIMIT = 4 * 2**20
"""Bytes of a progress file beyond which its older half is dropped."""
KEPT_FILES = ("record.json", "progress.jsonl", "result.json", "users.csv", "events.csv")
"""Files of a job that stay when it is over; what it was given to read goes."""

Result = TypeVar("Result")


class JobRecords:
    """The jobs under one folder, to read and to write. Safe for many threads."""

    def __init__(self, root: Path | None = None) -> None:
        self.root = root or settings.home() / "jobs"
        self.root.mkdir(parents=True, exist_ok=True)
        self._read: dict[str, tuple[int, list[ProgressEvent]]] = {}
        self._reading = threading.Lock()

    def folder(self, id: str) -> Path:
        """Return where a job's files lie."""
        return self.root / (id if id.isalnum() else "none")  # an id may come from an address

    def all(self, *kinds: JobKind) -> list[Job]:
        """Return the jobs, or those of some kinds, the latest first."""
        names = sorted((path.name for path in self.root.iterdir() if path.is_dir()), reverse=True)
        jobs = [job for job in map(self.get, names) if job is not None]
        return [job for job in jobs if not kinds or job.kind in kinds]

    def get(self, id: str) -> Job | None:
        """Return the job as it stands, or None."""
        try:
            return Job.from_dict(json.loads((self.folder(id) / "record.json").read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError, KeyError):  # being made or removed, or not ours
            return None

    def latest(self, key: str) -> Job | None:
        """Return the last job of that key."""
        return next((job for job in self.all() if job.key == key), None)

    def events(self, id: str) -> list[ProgressEvent]:
        """Return the lines of progress so far."""
        with self._reading:
            done, events = self._read.get(id, (0, []))
            try:
                with (self.folder(id) / "progress.jsonl").open("rb") as file:
                    if os.fstat(file.fileno()).st_size < done:  # its older half was dropped
                        done, events = 0, []
                    file.seek(done)
                    fresh = file.read()
            except OSError:
                return []
            whole = fresh[: fresh.rfind(b"\n") + 1]
            if whole:  # a new list, since a reader may still hold the old one
                lines = whole.decode("utf-8", "replace").splitlines()
                events = events + [read_event(line) for line in lines if line.strip()]
            self._read.pop(id, None)
            self._read[id] = (done + len(whole), events)
            while len(self._read) > KEPT:
                del self._read[next(iter(self._read))]
            return events

    def text(self, id: str, name: str) -> str | None:
        """Return what the command wrote into a file of its job's folder, or None where there is none."""
        try:
            return (self.folder(id) / Path(name).name).read_text(encoding="utf-8")
        except (OSError, ValueError):
            return None

    def result(self, id: str, read: Callable[[JsonObject], Result]) -> Result | None:
        """Return the JSON object that the command printed, as `read` reads it, such as `EvaluationReport.from_dict`.

        None while or where there is none, and for one of a version whose results `read` does not know.
        """
        try:
            return read(json.loads((self.folder(id) / "result.json").read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError, LookupError, AttributeError):
            return None

    def write(self, job: Job) -> None:
        """Replace a job's record."""
        with atomic_text_file(self.folder(job.id) / "record.json") as file:
            json.dump(job.to_dict(), file, indent=1)

    def close(self, job: Job) -> None:
        """Write the record of a job that is over; remove what it was given to read, and jobs beyond those kept."""
        for path in self.folder(job.id).iterdir():
            if path.name not in KEPT_FILES:
                path.unlink(missing_ok=True)
        self.write(job)
        for old in [other for other in self.all() if not other.active][KEPT:]:
            shutil.rmtree(self.folder(old.id), ignore_errors=True)


def bound(path: Path) -> None:
    """Drop the older half of a progress file that has grown too large; its process goes on appending."""
    with suppress(OSError):
        if path.stat().st_size > LOG_LIMIT:
            with path.open("r+b") as file:
                file.seek(-LOG_LIMIT // 2, os.SEEK_END)
                file.readline()
                kept = file.read()
                file.seek(0)
                file.write(kept)
                file.truncate()
