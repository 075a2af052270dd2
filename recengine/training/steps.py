"""Steps: the progress of work that has no epochs, reported to the callback that also gets epochs."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from recengine.training.loop import EpochResult, OnEpoch, Stage

STEP_SECONDS = 0.2
"""Seconds from one report to the next."""
OnStep = Callable[[int, int], None]
"""Called with the number of steps that are done and their total; may raise to stop the work."""


def no_step(done: int, total: int) -> None:
    """Take the steps of what nobody follows."""


def steps_of(on_epoch: OnEpoch | None, *stages: Stage) -> OnStep:
    """Return a callback that reports the share of the steps done, a few times a second, to that of the epochs."""
    if on_epoch is None:
        return no_step
    started, shown, reported = time.perf_counter(), -1.0, -math.inf

    def on_step(done: int, total: int) -> None:
        nonlocal shown, reported
        share, now = done / total, time.perf_counter()
        if share > shown and (now - reported > STEP_SECONDS or share == 1):
            shown, reported = share, now
            on_epoch(EpochResult(done, total, math.nan, now - started, stages=(*stages, Stage.STEPS)))

    return on_step


def within(on_step: OnStep, begin: float, end: float) -> OnStep:
    """Return the callback for the steps of a part of the work, from one share of it to another."""
    return lambda done, total: on_step(round(1000 * (begin + (end - begin) * done / total)), 1000)
