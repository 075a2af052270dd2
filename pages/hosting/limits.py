"""How much one visitor may ask for: token buckets, for a demo that is open to strangers."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import NamedTuple

from recengine.errors import BadInput


class Limit(NamedTuple):
    """A bucket that holds `burst` tokens and gets one back every `seconds`."""

    burst: int
    seconds: float
    what: str


LIMITS = {
    "rating": Limit(60, 2.0, "ratings"),
    "upload": Limit(3, 1200.0, "uploads"),
    "job": Limit(2, 1800.0, "trainings and comparisons"),
}
"""Of each visitor; an address, behind which there may be many, has `SHARED` times as much."""
SHARED = 5
_KEPT = 20_000
"""Buckets that are remembered, the latest used."""


class Buckets:
    """Counts what visitors have asked for; for all sessions of a process."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._tokens: OrderedDict[tuple[str, str], tuple[float, float]] = OrderedDict()
        self._lock = threading.Lock()

    def take(self, kind: str, visitor: str, address: str = "", *, count: int = 1) -> None:
        """Take tokens for `count` acts of a kind; all or none.

        Raises BadInput, which says when to come back, if the visitor or the address has not enough left.
        """
        limit = LIMITS[kind]
        asked = [(f"{kind} v", visitor, limit.burst, limit.seconds)]
        if address:
            asked.append((f"{kind} a", address, limit.burst * SHARED, limit.seconds / SHARED))
        with self._lock:
            now = self._clock()
            left = [self._left((name, who), burst, seconds, now) - count for name, who, burst, seconds in asked]
            wait = max(-tokens * seconds for tokens, (_, _, _, seconds) in zip(left, asked, strict=True))
            if wait > 0:
                raise BadInput(
                    f"that is more than {limit.burst} {limit.what} at once from one visitor of this demo; "
                    f"come back in {_said(wait)}, or run the app on a machine of your own"
                )
            for (name, who, _, _), tokens in zip(asked, left, strict=True):
                self._tokens[name, who] = (tokens, now)
                self._tokens.move_to_end((name, who))
            while len(self._tokens) > _KEPT:
                self._tokens.popitem(last=False)

    def _left(self, key: tuple[str, str], burst: int, seconds: float, now: float) -> float:
        tokens, then = self._tokens.get(key, (float(burst), now))
        return min(float(burst), tokens + (now - then) / seconds)


def _said(seconds: float) -> str:
    steps: Sequence[tuple[float, str]] = ((3600, "hours"), (60, "minutes"))
    for size, unit in steps:
        if seconds >= 2 * size:
            return f"{-(-seconds // size):.0f} {unit}"
    return f"{max(1, -(-seconds // 1)):.0f} seconds"
