"""Jobs: one of a key at a time, progress, cancelling, and errors that reach whoever asks."""

import threading
import time

import pytest

from pages.ui.jobs import Cancelled, Job, Jobs


def test_a_key_runs_once_at_a_time_and_again_afterwards() -> None:
    gate, runs = threading.Event(), []

    def work(report: object) -> int:
        runs.append(1)
        gate.wait(5)
        return len(runs)

    registry = Jobs()
    first = registry.start("k", "t", work)
    assert registry.start("k", "t", work) is first
    gate.set()
    assert first.wait(5)
    assert first.result == 1
    second = registry.start("k", "t", work)
    assert second.wait(5)
    assert second.result == 2


def test_cancelling_stops_at_the_next_report() -> None:
    def work(report) -> None:  # type: ignore[no-untyped-def]
        while True:
            report(0.5, "half")
            time.sleep(0.005)

    job = Job("k", "t", work)
    job.cancel()
    assert job.wait(2)
    assert isinstance(job.error, Cancelled)


def test_progress_stays_within_bounds_and_gives_the_time_left() -> None:
    step = threading.Event()

    def work(report) -> None:  # type: ignore[no-untyped-def]
        report(7.0, "too much")
        step.wait(5)

    job = Job("k", "t", work)
    time.sleep(0.6)
    assert job.share == 1.0
    assert job.eta == pytest.approx(0.0)
    step.set()
    assert job.wait(5)


def test_an_error_is_kept_for_whoever_asks() -> None:
    def work(report: object) -> None:
        raise ValueError("broken")

    job = Job("k", "t", work)
    assert job.wait(5)
    assert str(job.error) == "broken"
