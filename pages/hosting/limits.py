"""Limits on the requests of one visitor: token buckets, for a demo that is open to everyone."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import NamedTuple

from recengine.data.readers.archive import UPLOAD_LIMIT
from recengine.errors import BadInput
from recengine.settings import hosted


def unpacked_limit() -> int:
    """Return the bytes that an upload may unpack to; a hosted app takes uploads of 10 MB at most."""
    return 20 << 20 if hosted() else UPLOAD_LIMIT


class Limit(NamedTuple):
    """A bucket that holds `burst` tokens and gets one back every `seconds`."""

    burst: int
    seconds: float
    what: str


LIMITS = {
    "rating": Limit(60, 2.0, "ratings"),
    "upload": Limit(3, 1200.0, "uploads"),
    "link": Limit(10, 360.0, "links"),
    "trial": Limit(5, 120.0, "comparisons of models"),
    "job": Limit(2, 1800.0, "trainings and comparisons"),
}
"""Per visitor; an address, which many visitors may share, has `SHARED` times as much."""
SHARED = 5
_MAX_BUCKETS = 20_000
"""The number of buckets that are kept, the most recently used."""


class Buckets:
    """The requests of visitors, counted across all sessions of a process."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._tokens: OrderedDict[tuple[str, str], tuple[float, float]] = OrderedDict()
        self._lock = threading.Lock()

    def take(self, kind: str, visitor: str, address: str = "", *, count: int = 1) -> None:
        """Take `count` tokens of a kind, all or none.

        Raises BadInput with the time to come back if the visitor or the address has too few left.
        """
        limit = LIMITS[kind]
        requests = [(f"{kind} v", visitor, limit.burst, limit.seconds)]
        if address:
            requests.append((f"{kind} a", address, limit.burst * SHARED, limit.seconds / SHARED))
        with self._lock:
            now = self._clock()
            left = [self._left((name, who), burst, seconds, now) - count for name, who, burst, seconds in requests]
            wait = max(-tokens * seconds for tokens, (_, _, _, seconds) in zip(left, requests, strict=True))
            if wait > 0:
                raise BadInput(
                    "that",
                    problem=f"is more than {limit.burst} {limit.what} at once from one visitor of this demo",
                    remedy=f"come back in {_duration(wait)}, or run the app on your machine",
                )
            for (name, who, _, _), tokens in zip(requests, left, strict=True):
                self._tokens[name, who] = (tokens, now)
                self._tokens.move_to_end((name, who))
            while len(self._tokens) > _MAX_BUCKETS:
                self._tokens.popitem(last=False)

    def _left(self, key: tuple[str, str], burst: int, seconds: float, now: float) -> float:
        tokens, then = self._tokens.get(key, (float(burst), now))
        return min(float(burst), tokens + (now - then) / seconds)


def _duration(seconds: float) -> str:
    steps: Sequence[tuple[float, str]] = ((3600, "hours"), (60, "minutes"))
    for size, unit in steps:
        if seconds >= 2 * size:
            return f"{-(-seconds // size):.0f} {unit}"
    return f"{max(1, -(-seconds // 1)):.0f} seconds"
