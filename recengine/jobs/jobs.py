"""Jobs: commands that run in processes of their own, one at a time, and outlive a page, a browser and the app.

    jobs = Jobs()                                   # over RECENGINE_HOME/jobs; one object per app
    job = jobs.start(["evaluate", "ease", "mf", "--split", "leave-last"], kind="evaluate", title="EASE against MF")
    jobs.get(job.id).state                          # queued, running, paused, done, failed or cancelled
    progress_of(jobs.rows(job.id), job.spent)       # share, words, seconds left (recengine.jobs.progress)
    jobs.result(job.id)                             # the JSON object that the command printed, or None
    jobs.cancel(job.id)                             # gone within a second

A job is a folder: `record.json`, `progress.jsonl` (the process's standard error) and `result.json` (its standard
output). Whoever looks reads these files, so that a page change, another browser or a restart of the app loses
nothing: a process that still runs is followed, one that is gone is done or failed with its last line.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import psutil
from filelock import FileLock

from recengine import settings
from recengine.files import whole_text_file
from recengine.jobs.progress import line_said

KEPT = 50
"""Jobs that are over and still kept, the latest ones."""
LOG_LIMIT = 4 * 2**20
"""Bytes of a progress file beyond which its older half is dropped."""
GRACE = 0.4
"""Seconds that a process has to end by itself before it is killed."""
TICK = 0.2
"""Seconds between two looks at the running process."""
HERE = "{job}"
"""Stands for the job's own folder in a command."""
HOLD = "hold"
"""A file in the job's folder: a command that is given "{job}/hold" stands still while it is there."""
ACTIVE = ("queued", "running", "paused")
_KEPT_FILES = ("record.json", "progress.jsonl", "result.json", "people.csv", "events.csv")
"""Files of a job that stay when it is over; what it was given to read goes."""
log = logging.getLogger("recengine.jobs")


@dataclass(frozen=True)
class Job:
    """What is known of one job; times are seconds since 1970.

    command : the arguments of `python -m recengine`
    key     : the same work has the same key, and runs once at a time
    owner   : the visitor whom it concerns alone, or ""
    about   : what the asker wants to find again
    pid_started : tells the process from a later one that got the same number
    returncode  : of the process; None when another run of the app had started it
    """

    id: str
    kind: str
    title: str
    command: tuple[str, ...]
    key: str = ""
    owner: str = ""
    about: Mapping[str, Any] = field(default_factory=dict)
    state: str = "queued"
    created: float = 0.0
    started: float | None = None
    ended: float | None = None
    pid: int | None = None
    pid_started: float | None = None
    returncode: int | None = None
    last_line: str = ""

    @property
    def active(self) -> bool:
        return self.state in ACTIVE

    @property
    def can_pause(self) -> bool:
        """Tell whether its command looks for the file that makes it stand still."""
        return f"{HERE}/{HOLD}" in self.command

    @property
    def spent(self) -> float:
        """Return the seconds that it has run."""
        return 0.0 if self.started is None else (self.ended or time.time()) - self.started


class Jobs:
    """The jobs under one folder. Safe for many threads, and for several apps over the same folder."""

    def __init__(self, root: Path | None = None, program: Sequence[str] = (sys.executable, "-m", "recengine")) -> None:
        self.root = root or settings.home() / "jobs"
        self.root.mkdir(parents=True, exist_ok=True)
        self.program = program
        self._lock = FileLock(self.root / ".lock")
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._read: dict[str, tuple[int, list[dict[str, Any]]]] = {}
        self._reading = threading.Lock()
        self._wake = threading.Event()
        self._wake.set()  # jobs of an earlier run may be waiting
        threading.Thread(target=self._follow, name="jobs", daemon=True).start()

    def start(
        self,
        command: Sequence[str],
        *,
        kind: str,
        title: str,
        key: str = "",
        owner: str = "",
        about: Mapping[str, Any] | None = None,
        files: Mapping[str, bytes] | None = None,
    ) -> Job:
        """Queue a command and return its job; the active one, if there is one of the same `key`.

        files : name -> content, written beside the record for `command` to read as "{job}/name", removed at the end
        """
        with self._lock:
            running = self.latest(key) if key else None
            if running and running.active:
                return running
            now = time.time()
            job = Job(
                id=f"{time.time_ns() // 1000:x}{uuid.uuid4().hex[:4]}",
                kind=kind,
                title=title,
                command=tuple(command),
                key=key,
                owner=owner,
                about=about or {},
                created=now,
            )
            self._folder(job.id).mkdir(mode=0o700)
            for name, content in (files or {}).items():
                (self._folder(job.id) / name).write_bytes(content)
            self._write(job)
        self._wake.set()
        return job

    def all(self, *kinds: str) -> list[Job]:
        """Return the jobs, or those of some kinds, the latest first."""
        names = sorted((path.name for path in self.root.iterdir() if path.is_dir()), reverse=True)
        found = [job for job in map(self.get, names) if job is not None]
        return [job for job in found if not kinds or job.kind in kinds]

    def get(self, id: str) -> Job | None:
        """Return the job as it stands, or None."""
        try:
            record = json.loads((self._folder(id) / "record.json").read_text(encoding="utf-8"))
            return Job(**{**record, "command": tuple(record["command"])})
        except (OSError, ValueError, TypeError, KeyError):  # being made or removed, or not ours
            return None

    def latest(self, key: str) -> Job | None:
        """Return the last job of that key."""
        return next((job for job in self.all() if job.key == key), None)

    def ahead(self, job: Job) -> int:
        """Return how many jobs are to end before this one starts."""
        before = [other for other in self.all() if other.state in ("queued", "running") and other.id < job.id]
        return len(before) if job.state == "queued" else 0

    def rows(self, id: str) -> list[dict[str, Any]]:
        """Return the lines of progress so far; one that is no JSON has `event` = text."""
        with self._reading:
            done, rows = self._read.get(id, (0, []))
            try:
                with (self._folder(id) / "progress.jsonl").open("rb") as file:
                    if os.fstat(file.fileno()).st_size < done:  # its older half was dropped
                        done, rows = 0, []
                    file.seek(done)
                    fresh = file.read()
            except OSError:
                return []
            whole = fresh[: fresh.rfind(b"\n") + 1]
            if whole:  # a new list: whoever holds the old one keeps it as it was
                rows = rows + [_parsed(line) for line in whole.decode("utf-8", "replace").splitlines() if line.strip()]
            self._read.pop(id, None)
            self._read[id] = (done + len(whole), rows)
            while len(self._read) > KEPT:
                del self._read[next(iter(self._read))]
            return rows

    def text(self, id: str, name: str) -> str | None:
        """Return what the command wrote into a file beside its job, or None where there is none."""
        try:
            return (self._folder(id) / Path(name).name).read_text(encoding="utf-8")
        except (OSError, ValueError):
            return None

    def result(self, id: str) -> dict[str, Any] | None:
        """Return the JSON object that the command printed, or None while or where there is none."""
        try:
            value = json.loads((self._folder(id) / "result.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return value if isinstance(value, dict) else None

    def cancel(self, id: str) -> None:
        """End a job, process and children, within a second; no matter if it is over."""
        with self._lock:
            job = self.get(id)
            if job is None or not job.active:
                return
            process = _process(job)
            self._settle(job, "cancelled", None)
        if process is not None:
            _end(process)
        self._wake.set()

    def pause(self, id: str) -> None:
        """Let a running job that can stand still do so; another one has its turn meanwhile."""
        with self._lock:
            job = self.get(id)
            if job is not None and job.state == "running" and job.can_pause:
                (self._folder(id) / HOLD).touch()
                self._write(replace(job, state="paused"))
        self._wake.set()

    def resume(self, id: str) -> None:
        """Let a paused job go on, when it is its turn."""
        with self._lock:
            job = self.get(id)
            if job is not None and job.state == "paused":
                self._write(replace(job, state="queued"))
        self._wake.set()

    def rename(self, id: str, title: str) -> None:
        """Give a job another title."""
        with self._lock:
            job = self.get(id)
            if job is not None:
                self._write(replace(job, title=title))

    def delete(self, id: str) -> None:
        """Cancel a job if it is not over, and forget it."""
        self.cancel(id)
        with self._lock:
            shutil.rmtree(self._folder(id), ignore_errors=True)

    def poll(self) -> bool:
        """Settle what has ended, start what is next, and return whether anything is left to do."""
        with self._lock:
            active = [job for job in reversed(self.all()) if job.active]
            begun = [job for job in active if job.pid is not None and not self._ended(job)]
            running = [job for job in begun if job.state == "running"]
            waiting = [job for job in active if job.state == "queued" and (job.pid is None or job in begun)]
            if waiting and not running:
                self._launch(waiting[0])
            for job in running:
                _bound(self._folder(job.id) / "progress.jsonl")
            for id in self._children.keys() - {job.id for job in active}:
                if self._children[id].poll() is not None:
                    del self._children[id]
        return bool(begun or waiting)

    def _follow(self) -> None:
        """Keep the queue going, whoever looks."""
        while True:
            self._wake.wait()
            self._wake.clear()
            try:
                while self.poll():
                    time.sleep(TICK)
            except Exception:  # such as a full disk; the queue goes on when there is room
                log.exception("the queue of jobs met a fault")
                time.sleep(5)
                self._wake.set()

    def _launch(self, job: Job) -> None:
        """Start a job's process, or let go on the one that stands still."""
        folder = self._folder(job.id)
        if job.pid is not None:
            (folder / HOLD).unlink(missing_ok=True)
            self._write(replace(job, state="running"))
            return
        arguments = [part.replace(HERE, str(folder)) for part in job.command]
        threads = str(max(1, (os.cpu_count() or 2) // 2))  # the pages need the other half
        paths = [str(Path(settings.__file__).parent.parent), os.environ.get("PYTHONPATH", "")]
        environment = os.environ | {
            "PYTHONPATH": os.pathsep.join(filter(None, paths)),
            "PYTHONUTF8": "1",
            "OMP_NUM_THREADS": threads,
            "MKL_NUM_THREADS": threads,
        }
        try:
            with (folder / "result.json").open("wb") as said, (folder / "progress.jsonl").open("ab") as noted:
                child = subprocess.Popen(
                    [*self.program, *arguments, "--json", "--progress", "jsonl"],
                    stdin=subprocess.DEVNULL,
                    stdout=said,
                    stderr=noted,
                    env=environment,
                    start_new_session=True,  # it does not end with the app's terminal
                )
            process = psutil.Process(child.pid)
            pid_started = process.create_time()
            with suppress(psutil.Error):
                process.nice(10 if os.name == "posix" else psutil.BELOW_NORMAL_PRIORITY_CLASS)
        except (OSError, psutil.Error) as fault:
            self._settle(replace(job, last_line=f"the process could not be started: {fault}"), "failed", None)
            return
        self._children[job.id] = child
        log.info(f"a job began: {job.kind}")
        self._write(replace(job, state="running", started=time.time(), pid=child.pid, pid_started=pid_started))

    def _ended(self, job: Job) -> bool:
        """Tell whether the process of a job that has begun is gone, and if so write down how it went."""
        child = self._children.get(job.id)
        code = child.poll() if child else None
        if code is None and (child or _process(job)):
            return False
        done = code in (0, None) and self.result(job.id) is not None
        self._settle(job, "done" if done else "failed", code)
        return True

    def _settle(self, job: Job, state: str, returncode: int | None) -> None:
        """Write down how a job ended, remove what it was given to read, and jobs beyond those kept."""
        rows = self.rows(job.id)
        said = line_said(rows[-1]) if rows else job.last_line
        for path in self._folder(job.id).iterdir():
            if path.name not in _KEPT_FILES:
                path.unlink(missing_ok=True)
        self._write(replace(job, state=state, ended=time.time(), returncode=returncode, last_line=said))
        log.info(f"a job is {state}: {job.kind}", extra={"counts": {"seconds": round(job.spent, 1)}})
        for old in [other for other in self.all() if not other.active][KEPT:]:
            shutil.rmtree(self._folder(old.id), ignore_errors=True)

    def _folder(self, id: str) -> Path:
        return self.root / (id if id.isalnum() else "none")  # an id may come from an address

    def _write(self, job: Job) -> None:
        with whole_text_file(self._folder(job.id) / "record.json") as file:
            json.dump(asdict(job), file, indent=1)


def _process(job: Job) -> psutil.Process | None:
    """Return the job's process if it lives; another one with its number is not it."""
    if job.pid is None or job.pid_started is None:
        return None
    try:
        process = psutil.Process(job.pid)
        same = abs(process.create_time() - job.pid_started) < 1
        return process if same and process.status() != psutil.STATUS_ZOMBIE else None
    except psutil.Error:
        return None


def _end(process: psutil.Process) -> None:
    """Ask a process and its children to end; kill what is left when it has ended or the grace is over."""
    with suppress(psutil.Error):
        family = [process, *process.children(recursive=True)]
        for member in family:
            with suppress(psutil.Error):
                member.terminate()
        psutil.wait_procs([process], timeout=GRACE)
        for member in family:  # each checks that its number still means the same process
            with suppress(psutil.Error):
                member.kill()
        psutil.wait_procs([process], timeout=GRACE / 2)


def _bound(path: Path) -> None:
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


def _parsed(line: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except ValueError:
        row = None
    return row if isinstance(row, dict) and "event" in row else {"event": "text", "text": line.strip()}
