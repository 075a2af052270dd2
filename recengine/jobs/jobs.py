"""Jobs: commands that run in separate processes, one at a time, and outlive a page, a browser and the app.

    jobs = Jobs()                                   # over RECENGINE_HOME/jobs; one object per app
    job = jobs.start(["evaluate", "ease", "mf", "--split", "leave-last"], kind=JobKind.EVALUATE, title="EASE, MF")
    jobs.get(job.id).state                          # a JobState: queued, running, paused, done, failed, cancelled
    progress_of(jobs.events(job.id), job.spent)     # share, words, seconds left (recengine.jobs.progress)
    jobs.result(job.id, EvaluationReport.from_dict) # the result that the command printed, or None
    jobs.cancel(job.id)                             # gone within a second

After a restart of the app a process that still runs is followed; one that is gone is done, or failed with its last
line.
"""

from __future__ import annotations

import logging
import re
import shutil
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import psutil
from filelock import FileLock

from recengine.jobs import process
from recengine.jobs.events import ErrorEvent
from recengine.jobs.job import PAUSE_FILE, Job, JobKind, JobState, Task
from recengine.jobs.progress import in_words
from recengine.jobs.records import JobRecords, bound

_ID = re.compile(r"[0-9a-f]{17}")
"""An id: microseconds since 1970, and four random digits."""

TICK = 0.2
"""Seconds between two looks at the running process."""
log = logging.getLogger("recengine.jobs")


class Jobs(JobRecords):
    """The queue over one folder of jobs. Safe for many threads, and for several apps over the same folder."""

    def __init__(self, root: Path | None = None, program: Sequence[str] = (sys.executable, "-m", "recengine")) -> None:
        super().__init__(root)
        self.program = program
        self._lock = FileLock(self.root / ".lock")
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._wake = threading.Event()
        self._wake.set()  # jobs of an earlier run may be waiting
        threading.Thread(target=self._follow, name="jobs", daemon=True).start()

    def start(
        self,
        command: Sequence[str],
        *,
        kind: JobKind,
        title: str,
        key: str = "",
        owner: str = "",
        task: Task = Task(),  # noqa: B008 - frozen
        files: Mapping[str, bytes] | None = None,
    ) -> Job:
        """Queue a command and return its job; the active one, if there is one of the same `key`.

        files : name -> content, written next to the record for `command` to read as "{job}/name", removed at the end
        """
        with self._lock:
            running = self.latest(key) if key else None
            if running and running.active:
                return running
            id = self._new_id()
            job = Job(id, kind, title, tuple(command), key=key, owner=owner, task=task, created=time.time())
            self.folder(job.id).mkdir(mode=0o700)
            for name, content in (files or {}).items():
                (self.folder(job.id) / name).write_bytes(content)
            self.write(job)
        self._wake.set()
        return job

    def _new_id(self) -> str:
        """Return an id later than all others, whatever the clock says: jobs are in the order of their ids."""
        latest = max((path.name for path in self.root.iterdir() if _ID.fullmatch(path.name)), default="0" * 17)
        return f"{max(time.time_ns() // 1000, int(latest[:13], 16) + 1):013x}{uuid.uuid4().hex[:4]}"

    def ahead(self, job: Job) -> int:
        """Return the number of jobs that are to end before this one starts."""
        turns = (JobState.QUEUED, JobState.RUNNING)
        before = [other for other in self.all() if other.state in turns and other.id < job.id]
        return len(before) if job.state is JobState.QUEUED else 0

    def cancel(self, id: str) -> None:
        """End a job, process and children, within a second; no matter if it is over."""
        with self._lock:
            job = self.get(id)
            if job is None or not job.active:
                return
            running = process.find(job)
            self._settle(job, JobState.CANCELLED, None)
        if running is not None:
            process.end(running)
        self._wake.set()

    def pause(self, id: str) -> None:
        """Let a running job that can pause do so; another one has its turn meanwhile."""
        with self._lock:
            job = self.get(id)
            if job is not None and job.state is JobState.RUNNING and job.can_pause:
                (self.folder(id) / PAUSE_FILE).touch()
                self.write(replace(job, state=JobState.PAUSED))
        self._wake.set()

    def resume(self, id: str) -> None:
        """Let a paused job go on, when it is its turn."""
        with self._lock:
            job = self.get(id)
            if job is not None and job.state is JobState.PAUSED:
                self.write(replace(job, state=JobState.QUEUED))
        self._wake.set()

    def rename(self, id: str, title: str) -> None:
        """Give a job another title."""
        with self._lock:
            job = self.get(id)
            if job is not None:
                self.write(replace(job, title=title))

    def delete(self, id: str) -> None:
        """Cancel a job if it is not over, and forget it."""
        self.cancel(id)
        with self._lock:
            shutil.rmtree(self.folder(id), ignore_errors=True)

    def move(self, owner: str, to: str, paths: Mapping[str, str]) -> None:
        """Give all jobs of a visitor to another one; `paths` maps folders that their commands name to new ones."""

        def moved(part: str) -> str:
            for old, new in paths.items():
                part = part.replace(old, new)
            return part

        with self._lock:
            for job in self.all():
                if owner and job.owner == owner:
                    command = tuple(map(moved, job.command))
                    self.write(replace(job, owner=to, key=job.key.replace(owner, to), command=command))

    def erase(self, owner: str) -> None:
        """Cancel and forget all jobs of a visitor."""
        for job in self.all():
            if owner and job.owner == owner:
                self.delete(job.id)

    def poll(self) -> bool:
        """Settle what has ended, start what is next, and return whether anything is left to do."""
        with self._lock:
            active = [job for job in reversed(self.all()) if job.active]
            begun = [job for job in active if job.pid is not None and not self._ended(job)]
            running = [job for job in begun if job.state is JobState.RUNNING]
            waiting = [job for job in active if job.state is JobState.QUEUED and (job.pid is None or job in begun)]
            if waiting and not running:
                self._launch(waiting[0])
            for job in running:
                bound(self.folder(job.id) / "progress.jsonl")
            for id in self._children.keys() - {job.id for job in active}:
                if self._children[id].poll() is not None:
                    del self._children[id]
        return bool(begun or waiting)

    def _follow(self) -> None:
        """Keep the queue going, whether or not a page is open."""
        while True:
            self._wake.wait()
            self._wake.clear()
            try:
                while self.poll():
                    time.sleep(TICK)
            except Exception:  # such as a full disk; the queue goes on when there is room
                log.exception("the queue of jobs met an error")
                time.sleep(5)
                self._wake.set()

    def _launch(self, job: Job) -> None:
        """Start a job's process, or let the one that is paused go on."""
        if job.pid is not None:
            (self.folder(job.id) / PAUSE_FILE).unlink(missing_ok=True)
            self.write(replace(job, state=JobState.RUNNING))
            return
        try:
            child = process.launch(self.program, job, self.folder(job.id))
            pid_started = process.started(psutil.Process(child.pid))
        except (OSError, psutil.Error) as error:
            self._settle(replace(job, last_line=f"the process could not be started: {error}"), JobState.FAILED, None)
            return
        self._children[job.id] = child
        log.info(f"a job began: {job.kind}")
        begun = replace(job, state=JobState.RUNNING, started=time.time(), pid=child.pid, pid_started=pid_started)
        self.write(begun)

    def _ended(self, job: Job) -> bool:
        """Tell whether the process of a job that has begun is gone, and if so record its end."""
        child = self._children.get(job.id)
        code = child.poll() if child else None
        if code is None and (child or process.find(job)):
            return False
        done = code in (0, None) and self.result(job.id, dict) is not None
        self._settle(job, JobState.DONE if done else JobState.FAILED, code)
        return True

    def _settle(self, job: Job, state: JobState, returncode: int | None) -> None:
        """Record the end of a job, and remove what is no longer needed."""
        events = self.events(job.id)
        last_line = in_words(events[-1]) if events else job.last_line
        error = events[-1].text if events and isinstance(events[-1], ErrorEvent) else ""
        self.close(
            replace(job, state=state, ended=time.time(), returncode=returncode, last_line=last_line, error=error)
        )
        log.info(f"a job is {state}: {job.kind}", extra={"counts": {"seconds": round(job.spent, 1)}})
