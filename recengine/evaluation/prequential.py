"""Prequential evaluation: every event of a stream first tests the models, then teaches them (Gama et al., 2013)."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from recengine.data.interactions import Interactions
from recengine.errors import BadInput
from recengine.evaluation.intervals import LEAST_USERS, Interval
from recengine.files import JsonObject
from recengine.models.abilities import SupportsPartialFit
from recengine.models.base import Recommender, check_k

WINDOW = 5000
"""Evaluated events in a moving average, as is usual for these streams."""
LINES = 300
"""Most progress reports over a whole stream."""
RESAMPLES = 1000
"""Bootstrap resamples of the users for an interval."""
FROZEN = "-frozen"
"""Suffix of the name of a model that learns nothing after the bootstrap."""


@dataclass(frozen=True)
class RankedEvent:
    """One event of a replay, and its rank by model just before it was learned."""

    user_idx: int
    item_idx: int
    rating: float
    rank: Mapping[str, int]


@dataclass(frozen=True)
class StreamProgress:
    """The progress of a replay.

    done, of, evaluated : numbers of events; seconds_left : None while there is no telling
    events_per_second   : of the slowest model alone
    recall, moving, raw : model -> recall@k so far, over the last WINDOW, and since the report before; None if open
    """

    done: int
    of: int
    evaluated: int
    seconds: float
    seconds_left: float | None
    events_per_second: float
    recall: Mapping[str, float | None]
    moving: Mapping[str, float | None]
    raw: Mapping[str, float | None]


OnStream = Callable[[StreamProgress, Sequence[RankedEvent]], None]
"""Called as a replay goes on, with the latest events; may raise to stop it."""


@dataclass(frozen=True, eq=False)
class Stream:
    """Events in time order: a first share that the models are fitted on, and the rest to replay.

    known      : (n,) bool for each event of `rest`, whether its user had an earlier event; these are evaluated
    known_item : (n,) bool, whether its item had one
    """

    bootstrap: Interactions
    rest: Interactions
    known: NDArray[np.bool_]
    known_item: NDArray[np.bool_]


class Group(NamedTuple):
    """Some of the events of a replay: their number and recall@k, NaN where there is none."""

    events: int
    recall: float

    @classmethod
    def from_dict(cls, row: JsonObject) -> Self:
        """Read what `_asdict` gave, null for NaN."""
        return cls(row["events"], math.nan if row["recall"] is None else row["recall"])


class Throttle:
    """Paces a replay to `pace` events a second, and pauses it while the file `hold` exists.

    Neither changes what is ranked and learned.
    """

    def __init__(self, pace: float | None = None, hold: Path | None = None) -> None:
        if pace is not None and not 0 < pace < math.inf:
            raise BadInput("pace", f"{pace:g}", "events a second, more than 0", problem="is out of range")
        self.pace, self.hold = pace, hold

    def wait(self, events: int, seconds: float) -> float:
        """Wait after `events` events that took `seconds`; return the seconds of the pause."""
        if self.pace is not None:
            time.sleep(max(0.0, events / self.pace - seconds))
        began = time.perf_counter()
        while self.hold is not None and self.hold.exists():
            time.sleep(0.05)
        return time.perf_counter() - began


def make_stream(
    events: Interactions, *, bootstrap: float = 0.2, most: int | None = None, extra: Interactions | None = None
) -> Stream:
    """Sort the events by time, ties in the order of the source, and cut off the first share.

    most  : replay no more events than this
    extra : events of one additional user, who becomes the last of the stream, spread evenly among those replayed
    Raises BadInput unless both parts hold an event.
    """
    if not 0 < bootstrap < 1:
        raise BadInput("bootstrap", bootstrap, "a share between 0 and 1, such as 0.2", problem="is out of range")
    rows = events.select(np.argsort(events.timestamp, kind="stable"))
    start = int(bootstrap * len(rows))
    if not 0 < start < len(rows):
        raise BadInput(
            "bootstrap",
            bootstrap,
            remedy="lower `positive` or choose a larger data set",
            problem=f"cannot divide {len(rows):,} positives into a part to start from and a rest to replay",
        )
    order = np.arange(len(rows) if most is None else min(len(rows), start + most))
    if extra is not None:
        rows, n = replace(rows, n_users=rows.n_users + 1), len(rows)
        among = np.linspace(start, len(order), len(extra) + 2)[1:-1].round().astype(int)
        order = np.insert(order, among, n + np.arange(len(extra)))
        joined = replace(extra, user_idx=extra.user_idx + np.int32(rows.n_users - 1), n_users=rows.n_users)
        rows = rows.concat(joined).select(order)
    rest = rows.select(slice(start, len(order)))
    positions = np.arange(start, len(order))
    return Stream(
        rows.select(slice(0, start)),
        rest,
        known=_first_position(rows.user_idx, rows.n_users)[rest.user_idx] < positions,
        known_item=_first_position(rows.item_idx, rows.n_items)[rest.item_idx] < positions,
    )


def _first_position(index: NDArray[np.int32], size: int) -> NDArray[np.int64]:
    first = np.full(size, len(index))
    np.minimum.at(first, index, np.arange(len(index)))
    return first


@dataclass(frozen=True, eq=False)
class Replay:
    """The ranks that models have given to the events of a stream so far.

    ranks   : model -> (done,) rank of each event's item just before the event was learned, from 1
    seconds : model -> time that its testing and learning took so far
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
        """Return which of the events so far are of users with an earlier event, (done,)."""
        return self.stream.known[: self.done]

    def hits(self, model: str) -> NDArray[np.bool_]:
        """Return which of the events so far ranked among the first k, (done,)."""
        return self.ranks[model] <= self.k

    def moving(self, model: str, window: int = WINDOW) -> NDArray[np.float64]:
        """Return the recall over the last `window` evaluated events, for each of them, (evaluated,)."""
        total = np.cumsum(self.hits(model)[self.evaluated], dtype=np.float64)
        before = np.concatenate([np.zeros(min(window, len(total))), total[:-window]])
        return (total - before) / np.minimum(np.arange(1, len(total) + 1), window)

    def groups(self, model: str) -> dict[str, Group]:
        """Return the recall for users and items with and without an earlier event."""
        known_item = self.stream.known_item[: self.done]
        hits = self.hits(model)
        recall = {}
        for user, users in (("known_user", self.evaluated), ("new_user", ~self.evaluated)):
            for item, items in (("known_item", known_item), ("new_item", ~known_item)):
                rows = users & items
                value = float(hits[rows].mean()) if rows.any() else math.nan
                recall[f"{user}_{item}"] = Group(int(rows.sum()), value)
        return recall

    def intervals(self, since: int = 0) -> tuple[dict[str, Interval], dict[str, Interval]]:
        """Return each model's recall@k, and the difference between the first model and each other one.

        since : count only the events from this index of the replay on
        The bootstrap resamples users, the same ones for all models, with all of their events: events of one user
        depend on each other, so that resampling events would make the intervals too narrow. Fewer than `LEAST_USERS`
        have none.
        """
        counted = self.evaluated & (np.arange(self.done) >= since)
        users = self.stream.rest.user_idx[: self.done][counted]
        unique, position = np.unique(users, return_inverse=True)
        events = np.bincount(position, minlength=len(unique)).astype(np.float64)
        names = list(self.ranks)
        hits = np.stack([np.bincount(position, self.hits(n)[counted], len(unique)) for n in names])  # (M, users)
        values = hits.sum(1) / events.sum() if len(unique) else np.full(len(names), math.nan)  # (M,)
        if len(unique) < LEAST_USERS:
            means = {name: Interval(float(value)) for name, value in zip(names, values, strict=True)}
            return means, {name: Interval(means[names[0]].value - means[name].value) for name in names[1:]}
        rng = np.random.default_rng(0)
        resampled = []
        for _ in range(RESAMPLES):
            times = np.bincount(rng.integers(0, len(unique), len(unique)), minlength=len(unique))
            resampled.append(hits @ times / (events @ times))
        recalls = np.array(resampled).T  # (M, RESAMPLES)

        def interval(value: float, samples: NDArray[np.float64]) -> Interval:
            low, high = np.percentile(samples, [2.5, 97.5])
            return Interval(float(value), float(low), float(high))

        ahead = {
            name: interval(values[0] - values[m], recalls[0] - recalls[m]) for m, name in enumerate(names) if m > 0
        }
        return {name: interval(values[m], recalls[m]) for m, name in enumerate(names)}, ahead

    def progress(self, since: int, seconds: float) -> StreamProgress:
        """Return what can be shown now: of the events from `since` on, and of all so far."""
        of, evaluated = len(self.stream.rest), self.evaluated
        recall, moving, raw = {}, {}, {}
        for name in self.ranks:
            hits = self.hits(name)
            recall[name] = _mean(hits[evaluated])
            moving[name] = _mean(hits[evaluated][-WINDOW:])
            raw[name] = _mean(hits[since:][evaluated[since:]])
        return StreamProgress(
            self.done,
            of,
            int(evaluated.sum()),
            round(seconds, 3),
            round(seconds / self.done * (of - self.done), 1) if self.done else None,
            round(self.done / max(*self.seconds.values(), 1e-9)),
            recall,
            moving,
            raw,
        )

    def latest(self, since: int) -> list[RankedEvent]:
        """Return the last events, at most three, of those from `since` on."""
        rest = self.stream.rest
        return [
            RankedEvent(
                int(rest.user_idx[e]),
                int(rest.item_idx[e]),
                float(rest.rating[e]),
                {name: int(ranks[e]) for name, ranks in self.ranks.items()},
            )
            for e in range(max(since, self.done - 3), self.done)
        ]


def _mean(hits: NDArray[np.bool_]) -> float | None:
    return round(float(hits.mean()), 5) if len(hits) else None


def bootstrapped(models: Mapping[str, Recommender], frozen: Sequence[str]) -> dict[str, Recommender]:
    """Return fitted models, followed by copies of some of them that will learn nothing more."""
    for name, model in models.items():
        if not isinstance(model, SupportsPartialFit):
            raise BadInput(
                "model", name, problem="does not learn from single events", remedy="choose one such as 'step'"
            )
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
    """Replay a stream to models fitted on its bootstrap: rank each event's item, then learn the event, in place.

    Items are ranked among the whole catalogue, and equal scores in an order that is drawn anew for each event: no id
    and no popularity decides. Models whose name ends with FROZEN only record the events.
    masked   : leave a user's earlier items out of the ranking
    throttle : waits between one report and the next; a pause is not counted as time spent
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
            assert isinstance(model, SupportsPartialFit)  # as `bootstrapped` has checked
            new_ranks = model.test_then_train(chunk, learns=not name.endswith(FROZEN), masked=masked)
            seconds[name] = replay.seconds[name] + time.perf_counter() - started
            ranks[name] = np.concatenate([replay.ranks[name], new_ranks])
        replay = replace(replay, ranks=ranks, seconds=seconds)
        now = time.perf_counter() - began
        if on_progress is not None:
            on_progress(replay.progress(since, now), replay.latest(since))
        if throttle is not None:
            began += throttle.wait(replay.done - since, time.perf_counter() - reported)
            reported = time.perf_counter()
    return replay
