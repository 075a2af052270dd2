"""Jobs while the clock is changed: they keep their order, none is taken for dead, and no time is negative."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from recengine.jobs import process
from recengine.jobs.job import Job, JobKind, JobState
from recengine.jobs.jobs import Jobs


@pytest.fixture
def jobs(tmp_path: Path) -> Iterator[Jobs]:
    """Return jobs that wait for a minute."""
    made = Jobs(tmp_path / "jobs", (sys.executable, "-S", "-c", "import time; time.sleep(60)"))
    yield made
    for job in made.all():
        made.cancel(job.id)


@pytest.mark.parametrize("back", [1, 7_200, 86_400 * 400, 1_790_000_000])
def test_the_latest_job_comes_first_whatever_the_clock_shows(
    jobs: Jobs, monkeypatch: pytest.MonkeyPatch, back: int
) -> None:
    moment = 1_800_000_000
    titles = []
    for number, now in enumerate((moment, moment - back, moment - back + 1)):
        monkeypatch.setattr(time, "time_ns", lambda now=now: now * 10**9)
        titles.insert(0, f"job {number}")
        jobs.start(["x"], kind=JobKind.TRAIN, title=f"job {number}", key="same" if number else "")
        jobs.cancel(jobs.all()[0].id)
        assert [job.title for job in jobs.all()] == titles
    latest = jobs.latest("same")
    assert latest is not None
    assert latest.title == "job 2"


def test_a_job_that_runs_lives_on_when_the_clock_is_set(jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    if not psutil.LINUX:
        pytest.skip("elsewhere the time of a process's start is not computed from the clock")
    id = jobs.start(["x"], kind=JobKind.TRAIN, title="x").id
    end = time.monotonic() + 60
    while (job := jobs.get(id)) is None or job.pid_started is None:
        assert time.monotonic() < end
        time.sleep(0.02)
    boot = psutil.boot_time()
    for shift in (-86_400, -2, 3, 3_600):
        monkeypatch.setattr("psutil._pslinux.boot_time", lambda shift=shift: boot + shift)
        assert process.find(job) is not None
        assert process.find(replace(job, pid_started=job.pid_started - 5)) is None


def test_no_job_has_run_for_a_negative_time() -> None:
    job = Job(
        id="a1", kind=JobKind.TRAIN, title="", command=("x",), state=JobState.RUNNING, started=time.time() + 3_600
    )
    assert job.spent == 0.0
    assert replace(job, ended=time.time()).spent == 0.0
    assert json.loads(json.dumps(job.to_dict()))["id"] == "a1"
