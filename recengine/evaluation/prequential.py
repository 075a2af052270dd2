"""Prequential evaluation: every event of a stream first tests the models, then teaches them (Gama et al., 2013)."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recengine.data.interactions import Interactions
from recengine.errors import BadInput
from recengine.models.base import Recommender, SupportsPartialFit, check_k

WINDOW = 5000
"""Tested events that a moving average is over, as usual for these streams."""
LINES = 300
"""Reports of progress over a whole stream, at most."""
RESAMPLES = 1000
"""Draws of the people that an interval is over."""
FROZEN = "-frozen"
"""Ends the name of a model that stays as the bootstrap left it."""

Interval = tuple[float, float, float]
"""A value with the ends of its 95 % interval."""

OnStream = Callable[[Mapping[str, Any]], None]
"""Called as a stream goes on, with a row as `Replay.progress` returns; may raise to stop."""


@dataclass(frozen=True, eq=False)
class Stream:
    """Events in the order of time: a first share to start the models from, the rest to replay.

    known : (n,) bool for each event of `rest`, whether its user had an event before; these are evaluated
    known_item : (n,) bool, whether its item had one
    """

    bootstrap: Interactions
    rest: Interactions
    known: NDArray[np.bool_]
    known_item: NDArray[np.bool_]


class Throttle:
    """Slows a replay down for those who watch: to so many events a second, and to none for as long as a file is there.

    Neither changes what is ranked and learned.
    """

    def __init__(self, pace: float | None = None, hold: Path | None = None) -> None:
        if pace is not None and not 0 < pace < math.inf:
            raise BadInput(f"pace={pace:g} is out of range; expected events a second, more than 0")
        self.pace, self.hold = pace, hold

    def wait(self, events: int, seconds: float) -> float:
        """Wait after so many events, which took so many seconds; return the seconds for which the file was there."""
        if self.pace is not None:
            time.sleep(max(0.0, events / self.pace - seconds))
        began = time.perf_counter()
        while self.hold is not None and self.hold.exists():
            time.sleep(0.05)
        return time.perf_counter() - began


def make_stream(
    events: Interactions, *, bootstrap: float = 0.2, most: int | None = None, guest: Interactions | None = None
) -> Stream:
    """Sort the events by time, ties in the order of the source, and cut off the first share.

    most  : replay no more events than this
    guest : events of one person more, the last user of the stream, spread evenly among those replayed, in their order
    Raises BadInput unless both parts hold an event.
    """
    if not 0 < bootstrap < 1:
        raise BadInput(f"bootstrap={bootstrap:g} is out of range; expected a share between 0 and 1, such as 0.2")
    rows = events.select(np.argsort(events.timestamp, kind="stable"))
    start = int(bootstrap * len(rows))
    if not 0 < start < len(rows):
        raise BadInput(
            f"{len(rows):,} positives are too few to start from a share of {bootstrap:g} of them and replay the rest; "
            "lower --positive or choose a larger data set"
        )
    order = np.arange(len(rows) if most is None else min(len(rows), start + most))
    if guest is not None:
        rows, n = replace(rows, n_users=rows.n_users + 1), len(rows)
        among = np.linspace(start, len(order), len(guest) + 2)[1:-1].round().astype(int)
        order = np.insert(order, among, n + np.arange(len(guest)))
        joined = replace(guest, user_idx=guest.user_idx + np.int32(rows.n_users - 1), n_users=rows.n_users)
        rows = rows.concat(joined).select(order)
    rest = rows.select(slice(start, len(order)))
    places = np.arange(start, len(order))
    return Stream(
        rows.select(slice(0, start)),
        rest,
        known=_first_place(rows.user_idx, rows.n_users)[rest.user_idx] < places,
        known_item=_first_place(rows.item_idx, rows.n_items)[rest.item_idx] < places,
    )


def _first_place(index: NDArray[np.int32], size: int) -> NDArray[np.int64]:
    first = np.full(size, len(index))
    np.minimum.at(first, index, np.arange(len(index)))
    return first


@dataclass(frozen=True, eq=False)
class Replay:
    """How far models have come on a stream.

    ranks   : model -> (done,) rank of each event's item just before the event was learned, from 1
    seconds : model -> that its testing and learning took so far
    """

    stream: Stream
    k: int
    ranks: Mapping[str, NDArray[np.int32]]
    seconds: Mapping[str, float]

    @property
    def done(self) -> int:
        return len(next(iter(self.ranks.values())))

    @cached_property
    def evaluated(self) -> NDArray[np.bool_]:
        """Return which of the events so far are of people who had an event before, (done,)."""
        return self.stream.known[: self.done]

    def hits(self, model: str) -> NDArray[np.bool_]:
        """Return which of the events so far stood among the first k, (done,)."""
        return self.ranks[model] <= self.k

    def moving(self, model: str, window: int = WINDOW) -> NDArray[np.float64]:
        """Return the recall over the last `window` evaluated events, for each of them, (evaluated,)."""
        total = np.cumsum(self.hits(model)[self.evaluated], dtype=np.float64)
        before = np.concatenate([np.zeros(min(window, len(total))), total[:-window]])
        return (total - before) / np.minimum(np.arange(1, len(total) + 1), window)

    def groups(self, model: str) -> dict[str, dict[str, float]]:
        """Return the recall apart by who and what was known: people and films with an event before, or without."""
        known_item = self.stream.known_item[: self.done]
        hits = self.hits(model)
        found = {}
        for user, users in (("known_user", self.evaluated), ("new_user", ~self.evaluated)):
            for item, items in (("known_item", known_item), ("new_item", ~known_item)):
                rows = users & items
                value = float(hits[rows].mean()) if rows.any() else math.nan
                found[f"{user}_{item}"] = {"events": int(rows.sum()), "recall": value}
        return found

    def intervals(self, since: int = 0) -> tuple[dict[str, Interval], dict[str, Interval]]:
        """Return each model's recall@k, and how far the first model is ahead of each other one, as (value, low, high).

        since : count only the events from this place of the replay on
        95 % by the bootstrap over people, whose events are drawn together, the same people for all models: events of
        one person follow each other, so that drawing events would make the intervals too narrow.
        """
        counted = self.evaluated & (np.arange(self.done) >= since)
        users = self.stream.rest.user_idx[: self.done][counted]
        people, place = np.unique(users, return_inverse=True)
        events = np.bincount(place, minlength=len(people)).astype(np.float64)
        names = list(self.ranks)
        hits = np.stack([np.bincount(place, self.hits(n)[counted], len(people)) for n in names])  # (M, people)
        if not len(people):
            nothing = (math.nan, math.nan, math.nan)
            return dict.fromkeys(names, nothing), dict.fromkeys(names[1:], nothing)
        rng = np.random.default_rng(0)
        drawn = []
        for _ in range(RESAMPLES):
            times = np.bincount(rng.integers(0, len(people), len(people)), minlength=len(people))
            drawn.append(hits @ times / (events @ times))
        recalls, values = np.array(drawn).T, hits.sum(1) / events.sum()  # (M, RESAMPLES), (M,)

        def interval(value: float, draws: NDArray[np.float64]) -> Interval:
            low, high = np.percentile(draws, [2.5, 97.5])
            return float(value), float(low), float(high)

        ahead = {
            name: interval(values[0] - values[m], recalls[0] - recalls[m]) for m, name in enumerate(names) if m > 0
        }
        return {name: interval(values[m], recalls[m]) for m, name in enumerate(names)}, ahead

    def progress(self, since: int, seconds: float) -> dict[str, Any]:
        """Return what can be shown now: of the events from `since` on, and of all so far.

        done, of, evaluated, seconds, seconds_left, events_per_second (the slowest model's own)
        recall, moving, raw : model -> recall@k so far, over the last WINDOW, and since the report before; None if open
        last                : the latest events: user and item index, rating, and rank by model
        """
        of, tested = len(self.stream.rest), self.evaluated
        recall, moving, raw = {}, {}, {}
        for name in self.ranks:
            hits = self.hits(name)
            recall[name] = _mean(hits[tested])
            moving[name] = _mean(hits[tested][-WINDOW:])
            raw[name] = _mean(hits[since:][tested[since:]])
        rest = self.stream.rest
        last = [
            {
                "user_idx": int(rest.user_idx[e]),
                "item_idx": int(rest.item_idx[e]),
                "rating": float(rest.rating[e]),
                "rank": {name: int(ranks[e]) for name, ranks in self.ranks.items()},
            }
            for e in range(max(since, self.done - 3), self.done)
        ]
        return {
            "done": self.done,
            "of": of,
            "evaluated": int(tested.sum()),
            "seconds": round(seconds, 3),
            "seconds_left": round(seconds / self.done * (of - self.done), 1) if self.done else None,
            "events_per_second": round(self.done / max(*self.seconds.values(), 1e-9)),
            "recall": recall,
            "moving": moving,
            "raw": raw,
            "last": last,
        }


def _mean(hits: NDArray[np.bool_]) -> float | None:
    return round(float(hits.mean()), 5) if len(hits) else None


def bootstrapped(models: Mapping[str, Recommender], frozen: Sequence[str]) -> dict[str, Recommender]:
    """Return the models, which have learned the bootstrap, followed by copies of some that will learn nothing more."""
    for name, model in models.items():
        if not isinstance(model, SupportsPartialFit):
            raise BadInput(f"model {name!r} does not learn from single events; choose one such as 'step'")
    return {**models, **{name + FROZEN: copy.deepcopy(models[name]) for name in frozen}}


def prequential(
    models: Mapping[str, Recommender],
    stream: Stream,
    *,
    k: int = 10,
    masked: bool = True,
    on_progress: OnStream | None = None,
    throttle: Throttle | None = None,
) -> Replay:
    """Replay a stream before models that have learned its bootstrap; they learn on, in place.

    Each event is ranked among the whole catalogue, then learned; those whose name ends with FROZEN only remember it.
    masked : leave out of the ranking what a person had in the stream before
    throttle : waits between one report and the next; what it holds back on a file is not counted as time spent
    """
    check_k(k, stream.rest.n_items)
    replay = Replay(stream, k, {n: np.zeros(0, np.int32) for n in models}, dict.fromkeys(models, 0.0))
    began = time.perf_counter()
    step = max(1, math.ceil(len(stream.rest) / LINES))
    if throttle is not None and throttle.pace is not None:
        step = min(step, math.ceil(throttle.pace))  # a report a second at least
    reported = time.perf_counter()
    while replay.done < len(stream.rest):
        since = replay.done
        chunk = stream.rest.select(slice(since, since + step))
        ranks, seconds = {}, {}
        for name, model in models.items():
            started = time.perf_counter()
            assert isinstance(model, SupportsPartialFit)  # as `bootstrapped` saw to
            found_ranks = model.test_then_train(chunk, learns=not name.endswith(FROZEN), masked=masked)
            seconds[name] = replay.seconds[name] + time.perf_counter() - started
            ranks[name] = np.concatenate([replay.ranks[name], found_ranks])
        replay = replace(replay, ranks=ranks, seconds=seconds)
        now = time.perf_counter() - began
        if on_progress is not None:
            on_progress(replay.progress(since, now))
        if throttle is not None:
            began += throttle.wait(replay.done - since, time.perf_counter() - reported)
            reported = time.perf_counter()
    return replay
