"""The process of a job: started at a low priority, identified by the time of its start, ended with its children."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import psutil

from recengine import settings
from recengine.jobs.job import JOB_DIR, Job

GRACE = 0.4
"""Seconds that a process has to end by itself before it is killed."""


def launch(program: Sequence[str], job: Job, folder: Path) -> subprocess.Popen[bytes]:
    """Start a job's command; its output goes to `result.json`, its progress to `progress.jsonl`.

    Raises OSError or psutil.Error when it cannot be started.
    """
    arguments = [part.replace(JOB_DIR, str(folder)) for part in job.command]
    with (folder / "result.json").open("wb") as output, (folder / "progress.jsonl").open("ab") as progress:
        child = subprocess.Popen(
            [*program, *arguments, "--json", "--progress", "jsonl"],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=progress,
            env=environment(),
            start_new_session=True,  # it does not end with the app's terminal
        )
    lower_priority(child.pid)
    return child


def environment() -> dict[str, str]:
    """Return the variables for a process that computes in the background and imports this package."""
    threads = str(max(1, (os.cpu_count() or 2) // 2))  # the pages need the other half
    paths = [str(Path(settings.__file__).parent.parent), os.environ.get("PYTHONPATH", "")]
    return os.environ | {
        "PYTHONPATH": os.pathsep.join(filter(None, paths)),
        "PYTHONUTF8": "1",
        "OMP_NUM_THREADS": threads,
        "MKL_NUM_THREADS": threads,
    }


def lower_priority(pid: int) -> None:
    """Let a process have what the pages leave, if it lives still."""
    with suppress(psutil.Error):
        psutil.Process(pid).nice(10 if os.name == "posix" else psutil.BELOW_NORMAL_PRIORITY_CLASS)


def started(process: psutil.Process) -> float:
    """Return when a process started, in seconds: on Linux since the machine did, whatever the clock says since."""
    return process.create_time() - (psutil.boot_time() if psutil.LINUX else 0.0)


def find(job: Job) -> psutil.Process | None:
    """Return the job's process if it lives; another one with its number is not it."""
    if job.pid is None or job.pid_started is None:
        return None
    try:
        process = psutil.Process(job.pid)
        same = abs(started(process) - job.pid_started) < 1
        return process if same and process.status() != psutil.STATUS_ZOMBIE else None
    except psutil.Error:
        return None


def end(process: psutil.Process) -> None:
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
