"""A clock that stands still until the code sleeps or a test moves it: it replaces a module's `time`."""

from __future__ import annotations

import time


class Clock:
    """Seconds since the start in `now`; `slept` keeps each sleep, which takes no real time."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []

    def monotonic(self) -> float:
        return self.now

    perf_counter = monotonic

    def time(self) -> float:
        return time.time()

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds
