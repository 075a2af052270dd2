"""Jobs: real processes that are queued, watched, cancelled, killed, and followed by a restarted app."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import psutil
import pytest

from recengine.jobs import process, records
from recengine.jobs.events import BytesEvent, EpochEvent, StepEvent, TextEvent
from recengine.jobs.job import JOB_DIR, PAUSE_FILE, Job, JobKind, JobState, Task
from recengine.jobs.jobs import Jobs
from recengine.jobs.progress import epochs_of

WORKER = """
import json, os, signal, subprocess, sys, time
from pathlib import Path
def write(**row): print(json.dumps(row), file=sys.stderr, flush=True)
what = sys.argv[1]
if what == "stubborn": signal.signal(signal.SIGTERM, signal.SIG_IGN)
write(event="step", text="working")
sleeper = [sys.executable, "-S", "-c", "import time; time.sleep(60)"]
if what == "parent": print(subprocess.Popen(sleeper).pid, file=sys.stderr, flush=True)
if what == "wait":
    while not Path(sys.argv[2]).exists(): time.sleep(0.01)
if what == "steps":
    for n in range(int(sys.argv[2])):
        while Path(sys.argv[3]).exists(): Path(sys.argv[3] + ".seen").touch(); time.sleep(0.005)
        write(event="bytes", what="x", done=n + 1, total=int(sys.argv[2])); time.sleep(0.01)
if what in ("hang", "stubborn", "parent"): write(event="step", text="hanging"); time.sleep(60)
if what == "fail": write(event="error", text="the loss is nan; lower learning_rate"); sys.exit(2)
if what == "flood":
    for n in range(3_000): write(event="epoch", model="x" * 200, epoch=n, epochs=3_000, loss=1.0, seconds=n / 10)
given = Path(sys.argv[2]).read_text() if what == "read" else None
print(json.dumps({"given": given, "arguments": sys.argv[2:], "threads": os.environ["OMP_NUM_THREADS"]}))
"""


@pytest.fixture
def jobs(tmp_path: Path) -> Iterator[Jobs]:
    made = over(tmp_path / "jobs")
    yield made
    for job in made.all():
        made.cancel(job.id)


def over(root: Path) -> Jobs:
    """Return an app's view of the jobs in a folder; making a second one is what a restart does."""
    return Jobs(root, (sys.executable, "-S", "-c", WORKER))


def start(jobs: Jobs, *command: str, **more: object) -> Job:
    return jobs.start(command, kind=JobKind.TRAIN, title=" ".join(command), **more)  # type: ignore[arg-type]


def wait(condition: Callable[[], object], seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.01)


def state(jobs: Jobs, job: Job) -> str:
    current = jobs.get(job.id)
    assert current is not None
    return current.state


def hanging(jobs: Jobs, job: Job) -> int:
    """Wait until the worker hangs, and return its process id."""
    wait(lambda: StepEvent("hanging") in jobs.events(job.id))
    wait(lambda: state(jobs, job) == "running")
    pid = jobs.get(job.id).pid  # type: ignore[union-attr]
    assert pid is not None
    return pid


def gone(pid: int) -> bool:
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def test_a_job_runs_at_a_low_priority_and_leaves_its_result_and_its_lines(jobs: Jobs) -> None:
    job = start(jobs, "quick", "a", task=Task(("mf",), {"epochs": "3"}))
    wait(lambda: state(jobs, job) == "done")
    result = jobs.result(job.id, dict)
    assert result is not None
    assert result["arguments"] == ["a", "--json", "--progress", "jsonl"]
    assert result["threads"] == str(max(1, (os.cpu_count() or 2) // 2))
    assert jobs.events(job.id) == [StepEvent("working")]
    current = jobs.get(job.id)
    assert current is not None
    assert (current.returncode, current.last_line, current.task) == (0, "working", Task(("mf",), {"epochs": "3"}))
    assert current.created <= current.started <= current.ended  # type: ignore[operator]


def test_the_process_is_nice_to_the_pages(jobs: Jobs) -> None:
    pid = hanging(jobs, start(jobs, "hang"))
    assert psutil.Process(pid).nice() == min(19, psutil.Process().nice() + 10)
    assert os.getsid(pid) == pid  # a separate session: it outlives the app's terminal


def test_one_runs_at_a_time_and_the_others_wait_in_their_order(jobs: Jobs, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    queued = [start(jobs, "wait", str(gate)), start(jobs, "quick", "2"), start(jobs, "quick", "3")]
    wait(lambda: state(jobs, queued[0]) == "running")
    assert [state(jobs, job) for job in queued] == ["running", "queued", "queued"]
    assert [jobs.ahead(job) for job in queued[1:]] == [1, 2]
    gate.touch()
    wait(lambda: state(jobs, queued[2]) == "done")
    ended = [jobs.get(job.id) for job in queued]
    assert all(a.ended <= b.started for a, b in pairwise(ended))  # type: ignore[union-attr,operator]
    assert [job.id for job in jobs.all(JobKind.TRAIN)] == [job.id for job in reversed(queued)]


def test_many_threads_starting_the_same_work_get_one_job(jobs: Jobs) -> None:
    ids: list[str] = []
    threads = [threading.Thread(target=lambda: ids.append(start(jobs, "hang", key="k").id)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(ids) == 8
    assert len(set(ids)) == 1
    jobs.cancel(ids[0])
    assert start(jobs, "quick", key="k").id != ids[0]


def test_a_process_is_given_less_than_a_second_to_end() -> None:
    assert process.GRACE * 1.5 < 1, "the grace to end, and half of it to be killed"


@pytest.mark.parametrize("kind", ["hang", "stubborn", "parent"])
def test_cancelling_ends_process_and_children_and_lets_the_next_one_run(jobs: Jobs, kind: str) -> None:
    job, after = start(jobs, kind), start(jobs, "quick")
    pids = [hanging(jobs, job), *(int(event.text) for event in jobs.events(job.id) if isinstance(event, TextEvent))]
    jobs.cancel(job.id)
    wait(lambda: all(gone(pid) for pid in pids))
    assert state(jobs, job) == "cancelled"
    wait(lambda: state(jobs, after) == "done")
    assert state(jobs, job) == "cancelled"


def test_a_queued_job_is_cancelled_without_ever_running(jobs: Jobs) -> None:
    first, second = start(jobs, "hang"), start(jobs, "quick")
    jobs.cancel(second.id)
    jobs.cancel(first.id)
    jobs.poll()
    current = jobs.get(second.id)
    assert current is not None
    assert (current.state, current.started, jobs.result(second.id, dict)) == ("cancelled", None, None)


def stepping(jobs: Jobs, steps: int) -> Job:
    """Start a job that can be paused, and wait until it has made a step."""
    job = start(jobs, "steps", str(steps), f"{JOB_DIR}/{PAUSE_FILE}")
    wait(lambda: jobs.events(job.id)[1:])
    wait(lambda: state(jobs, job) == "running")
    return job


def test_a_paused_job_lets_the_next_one_run_and_resumes_where_it_was(jobs: Jobs, tmp_path: Path) -> None:
    job = stepping(jobs, 60)
    pid = jobs.get(job.id).pid  # type: ignore[union-attr]
    jobs.pause(job.id)
    wait(lambda: (jobs.folder(job.id) / f"{PAUSE_FILE}.seen").exists())
    stood = len(jobs.events(job.id))
    gate = tmp_path / "gate"
    other = start(jobs, "wait", str(gate))
    assert jobs.ahead(other) == 0
    wait(lambda: state(jobs, other) == "running")
    jobs.resume(job.id)
    wait(lambda: state(jobs, job) == "queued")
    jobs.poll()
    assert state(jobs, job) == "queued", "it does not run alongside another one"
    assert len(jobs.events(job.id)) == stood < 61
    gate.touch()
    wait(lambda: state(jobs, job) == "done")
    assert [e.done for e in jobs.events(job.id) if isinstance(e, BytesEvent)] == list(range(1, 61))
    assert jobs.get(job.id).pid == pid  # type: ignore[union-attr]


@pytest.mark.parametrize("goes_on", [False, True])
def test_a_paused_job_whose_process_is_killed_has_failed(jobs: Jobs, goes_on: bool) -> None:
    job = stepping(jobs, 10_000)
    jobs.pause(job.id)
    os.kill(jobs.get(job.id).pid, signal.SIGKILL)  # type: ignore[union-attr,arg-type]
    if goes_on:
        jobs.resume(job.id)
    wait(lambda: state(jobs, job) == "failed")


def test_a_restarted_app_can_cancel_a_paused_job(jobs: Jobs) -> None:
    job = stepping(jobs, 10_000)
    jobs.pause(job.id)
    again = over(jobs.root)
    assert state(again, job) == "paused"
    pid = again.get(job.id).pid  # type: ignore[union-attr]
    again.cancel(job.id)
    assert state(jobs, job) == "cancelled"
    wait(lambda: not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)


def test_a_job_that_does_not_look_for_the_file_cannot_be_paused(jobs: Jobs) -> None:
    job = start(jobs, "hang")
    hanging(jobs, job)
    jobs.pause(job.id)
    assert state(jobs, job) == "running"
    jobs.resume(job.id)
    assert state(jobs, job) == "running"


def test_a_process_killed_from_outside_has_failed_with_its_last_line(jobs: Jobs) -> None:
    job = start(jobs, "hang")
    os.kill(hanging(jobs, job), signal.SIGKILL)
    wait(lambda: state(jobs, job) != "running")
    current = jobs.get(job.id)
    assert current is not None
    assert (current.state, current.returncode, current.last_line) == ("failed", -signal.SIGKILL, "hanging")


def test_a_failed_job_keeps_the_error_that_its_command_wrote(jobs: Jobs) -> None:
    job = start(jobs, "fail")
    wait(lambda: state(jobs, job) == "failed")
    current = jobs.get(job.id)
    assert current is not None
    assert (current.returncode, current.error) == (2, "the loss is nan; lower learning_rate")


def test_a_restarted_app_follows_what_still_runs(jobs: Jobs, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    # The process of an app that has ended, so no parent here could ask for its status.
    job = start(jobs, "wait", str(gate))
    wait(lambda: state(jobs, job) == "running")
    del jobs._children[job.id]
    later = over(jobs.root)
    waiting = start(later, "quick")
    later.poll()
    assert (state(later, job), state(later, waiting)) == ("running", "queued")
    gate.touch()
    wait(lambda: state(later, waiting) == "done")
    current = later.get(job.id)
    assert current is not None
    assert (current.state, current.returncode) == ("done", None)  # known from its complete result


def test_a_restarted_app_reports_what_died_meanwhile_and_continues_the_queue(tmp_path: Path) -> None:
    root = tmp_path / "jobs"
    dead = subprocess.Popen([sys.executable, "-S", "-c", ""])
    dead.wait()
    write(
        root,
        Job(
            id="a1",
            kind=JobKind.TRAIN,
            title="",
            command=("quick",),
            state=JobState.RUNNING,
            pid=dead.pid,
            pid_started=1.0,
        ),
    )
    (root / "a1" / "progress.jsonl").write_text(
        '{"event": "epoch", "model": "mf", "epoch": 3, "epochs": 9, "loss": 1, "seconds": 1}\n{"half'
    )
    (root / "a1" / "result.json").write_text('{"folder": ')
    write(root, Job(id="a2", kind=JobKind.TRAIN, title="", command=("quick",)))
    later = over(root)
    wait(lambda: later.get("a2").state == "done")  # type: ignore[union-attr]
    current = later.get("a1")
    assert current is not None
    assert (current.state, current.last_line) == ("failed", "epoch 3 of at most 9")
    assert later.result("a1", dict) is None


def test_a_recycled_process_id_is_neither_followed_nor_killed(tmp_path: Path) -> None:
    root = tmp_path / "jobs"
    bystander = subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(60)"])
    try:
        began = process.started(psutil.Process(bystander.pid))
        job = Job(id="a1", kind=JobKind.TRAIN, title="", command=("quick",), state=JobState.RUNNING, pid=bystander.pid)
        write(root, replace(job, pid_started=began - 500))
        later = over(root)
        later.cancel("a1")
        wait(lambda: not later.get("a1").active)  # type: ignore[union-attr]
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


def test_files_are_there_for_the_command_and_gone_afterwards(jobs: Jobs) -> None:
    job = start(jobs, "read", "{job}/ratings.csv", files={"ratings.csv": b"userId"})
    wait(lambda: state(jobs, job) == "done")
    result = jobs.result(job.id, dict)
    assert result is not None
    assert result["given"] == "userId"
    assert sorted(path.name for path in (jobs.root / job.id).iterdir()) == [
        "progress.jsonl",
        "record.json",
        "result.json",
    ]


def test_old_jobs_and_long_logs_are_bounded(jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "KEPT", 2)
    monkeypatch.setattr(records, "LOG_LIMIT", 200_000)
    made = [start(jobs, "quick", str(n)) for n in range(4)]
    wait(lambda: state(jobs, made[-1]) == "done")
    wait(lambda: [job.id for job in jobs.all()] == [made[3].id, made[2].id])
    flood = start(jobs, "flood")
    wait(lambda: state(jobs, flood) == "done")
    path = jobs.root / flood.id / "progress.jsonl"
    records.bound(path)
    assert path.stat().st_size <= 200_000
    epochs = [event.result.epoch for event in jobs.events(flood.id) if isinstance(event, EpochEvent)]
    assert epochs == list(range(3_000 - len(epochs), 3_000))
    assert epochs


def test_a_job_is_renamed_and_deleted_and_unknown_ids_have_no_effect(jobs: Jobs) -> None:
    job = start(jobs, "hang")
    pid = hanging(jobs, job)
    jobs.rename(job.id, "my <b>")
    assert jobs.get(job.id).title == "my <b>"  # type: ignore[union-attr]
    jobs.delete(job.id)
    assert gone(pid)
    assert jobs.all() == []
    for odd in (job.id, "", "..", "../x", "a/b", "\0", "x" * 5000):
        assert jobs.get(odd) is None
        assert jobs.events(odd) == []
        assert jobs.result(odd, dict) is None
        jobs.cancel(odd)
        jobs.delete(odd)
    assert jobs.root.is_dir()


@pytest.mark.slow
def test_a_real_training_is_cancelled_and_leaves_nothing_half_made(fresh_home: Path, tmp_path: Path) -> None:
    (tmp_path / "ratings.csv").write_text(
        "userId,movieId,rating\n" + "".join(f"{u},{i},5\n" for u in range(200) for i in range(u % 7, 60, 3))
    )
    real = Jobs(tmp_path / "jobs")
    job = start(real, "train", "mf", "--dataset", str(tmp_path / "ratings.csv"), "--set", "epochs=9000")
    wait(lambda: epochs_of(real.events(job.id)), 120)
    pid = real.get(job.id).pid  # type: ignore[union-attr]
    real.cancel(job.id)
    wait(lambda: gone(pid or 0))
    assert not [path for path in (fresh_home / "models").iterdir() if path.suffix != ".lock"]
    assert real.result(job.id, dict) is None


def write(root: Path, job: Job) -> None:
    (root / job.id).mkdir(parents=True)
    (root / job.id / "record.json").write_text(json.dumps(job.to_dict()))
