"""Online sessions: a visitor's own view of an incremental model, which learns from their ratings alone.

A session is a copy-on-write overlay over a shared, unchanged `Step`: the visitor's own vector, and own copies of the
item rows that their events touch. It learns by the very functions that the model learns by. What it holds follows from
the snapshot and the events alone, so that a replay, or an undo, leads to the same bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from recengine.errors import BadInput
from recengine.metrics import Ranking
from recengine.models.base import check_k
from recengine.models.streaming import step_kernel as kernel
from recengine.models.streaming import step_sampling as sampling
from recengine.models.streaming.base import LinkedEvents
from recengine.models.streaming.step import Step
from recengine.models.streaming.step_arrays import Scratch, Tables

FIRST_ROOM = 256
"""Item rows that there is room for at first."""


class Taken(NamedTuple):
    """One event of a session; `learned` is False for what is only remembered, and so left out of the lists."""

    item_idx: int
    rating: float
    learned: bool


class OnlineSession:
    """One visitor over one snapshot. Not for several threads at once; the snapshot is never written to.

    model : a fitted `Step`, shared by all sessions
    seed  : of the visitor's own negatives
    """

    def __init__(self, model: Step, *, seed: int = 0) -> None:
        self.model, self.seed = model, seed
        self._base, self._rule, shared, _ = model.arrays()
        n_items = len(self._base.items)
        self._negatives = model.negatives
        own: dict[str, Any] = {
            "state": np.zeros(1, np.uint64),
            "mark": np.zeros(n_items, np.int64),
            "stamp": np.zeros(1, np.int64),
        }
        if model.config.negatives_from == "oldest":  # the ring of the items moves with the visitor's events
            own |= {"older": shared.older.copy(), "newer": shared.newer.copy()}
        self._sampler, self._shared = shared._replace(**own), shared
        self._slots = np.full(n_items, -1, np.int32)  # item -> its row in the overlay
        self._owners, self._size = np.zeros(0, np.int32), np.zeros(1, np.int64)
        self._room(FIRST_ROOM)
        self.events: list[Taken] = []
        self._start()

    @property
    def n_touched(self) -> int:
        """Return the number of item rows that are the visitor's own."""
        return int(self._size[0])

    def take(self, item_idx: int, rating: float = 1.0, *, learned: bool = True) -> None:
        """Learn from one event, or only remember it.

        Raises BadInput for an item that the snapshot does not have.
        """
        if not 0 <= item_idx < len(self._slots):
            raise BadInput(f"item_idx={item_idx} is out of range; expected 0 to {len(self._slots) - 1:,}")
        self.events.append(Taken(item_idx, rating, learned))
        self._learn(self.events[-1])

    def undo(self) -> Taken:
        """Take the last event back: the state is exactly what it was before it. Raises IndexError without one."""
        last = self.events[-1]
        self.replay(self.events[:-1])
        return last

    def replay(self, events: Sequence[Taken]) -> None:
        """Start again from the snapshot, and take these events."""
        self._start()
        self.events = list(events)
        for event in self.events:
            self._learn(event)

    def follow(self, events: Sequence[Taken]) -> None:
        """Come to the state after these events: from where the session is if they only go on from there."""
        held = len(self.events)
        if list(events[:held]) != self.events:
            self.replay(events)
            return
        for event in events[held:]:
            self.take(*event[:2], learned=event.learned)

    def top(self, k: int = 10, *, include_seen: bool = False, among: ArrayLike | None = None) -> Ranking:
        """Return the visitor's top k, (1, k): without what they had unless asked, only from `among`."""
        check_k(k, len(self._slots))
        stamp = sampling.mark_history(self._log, 0, self._sampler)
        if include_seen:
            stamp = self._sampler.stamp[0] = stamp + 1
        if among is not None:
            outside = np.ones(len(self._slots), bool)
            outside[np.asarray(among, np.int64)] = False
            self._sampler.mark[outside] = stamp
        items, scores = np.empty(k, np.int32), np.empty(k, np.float32)
        own, rows, vector = self._own, slice(0, self.n_touched), self._own.users[0]
        everything = self._base.items @ vector + self._base.bias[:, 0]  # (n_items,)
        everything[self._owners[rows]] = own.items[rows] @ vector + own.bias[rows, 0]
        kernel.top_unmarked(everything, self._sampler.mark, stamp, items, scores)
        return Ranking(torch.from_numpy(items.astype(np.int64))[None], torch.from_numpy(scores)[None])

    def state(self) -> bytes:
        """Return all that the visitor's events have made: equal states, equal bytes."""
        rows, own = slice(0, self.n_touched), self._own
        parts = (own.users, own.user_moments, own.updates, self._owners[rows], own.items[rows], own.bias[rows])
        moments = own.item_moments[:, rows], own.bias_moments[:, rows]
        return b"".join(part.tobytes() for part in (*parts, *moments, self._sampler.state))

    def _start(self) -> None:
        """Forget all events."""
        self._slots[self._owners[: self._size[0]]] = -1
        self._size[0] = 0
        self._own.users[:], self._own.user_moments[:] = 0, 0
        self._own.updates[:] = self._base.updates
        self._sampler.state[0], self._sampler.mark[:], self._sampler.stamp[0] = self.seed, 0, 0
        if self._sampler.older is not self._shared.older:
            self._sampler.older[:], self._sampler.newer[:] = self._shared.older, self._shared.newer
        self._log = LinkedEvents.empty(1)
        self.events = []

    def _learn(self, event: Taken) -> None:
        config = self.model.config
        self._log = self._log.with_room(1, 1)
        steps = config.passes + config.replay if event.learned else 0
        needed = self.n_touched + steps * (1 + self._negatives)
        if needed > len(self._owners):
            self._room(max(needed, 2 * len(self._owners)))
        weight = self.model.weigh(np.array([event.rating], np.float32))[0]
        passes, replay = (config.passes, config.replay) if event.learned else (0, 0)
        _learn_one(
            self._own, self._base, self._slots, self._owners, self._size, self._rule, self._sampler, self._log,
            self._scratch, event.item_idx, weight, self._negatives, passes, replay,
        )  # fmt: skip

    def _room(self, rows: int) -> None:
        """Make room for so many item rows, and keep those that are held."""
        base, held = self._base, int(self._size[0])
        dim, moments = base.items.shape[1], len(base.item_moments)
        old = getattr(self, "_own", None)
        own = Tables(
            users=np.zeros((1, dim), np.float32) if old is None else old.users,
            items=np.zeros((rows, dim), np.float32),
            bias=np.zeros((rows, 1), np.float32),
            user_moments=np.zeros((moments, 1, dim), np.float32) if old is None else old.user_moments,
            item_moments=np.zeros((moments, rows, dim), np.float32),
            bias_moments=np.zeros((moments, rows, 1), np.float32),
            updates=np.zeros(1, np.int64) if old is None else old.updates,
        )
        owners = np.zeros(rows, np.int32)
        if old is not None:
            for name in ("items", "bias"):
                getattr(own, name)[:held] = getattr(old, name)[:held]
            for name in ("item_moments", "bias_moments"):
                getattr(own, name)[:, :held] = getattr(old, name)[:, :held]
            owners[:held] = self._owners[:held]
        self._own, self._owners = own, owners
        self._scratch = Scratch.for_batches(1, rows, dim, 1, self._negatives)


@sampling.compiled
def _borrow(own, base, slots, owners, size, item):  # type: ignore[no-untyped-def] # compiled for the types it meets
    """Return the row of an item in the overlay, copied from the snapshot when it is asked for first."""
    if slots[item] < 0:
        row = size[0]
        slots[item], owners[row] = row, item
        own.items[row], own.bias[row] = base.items[item], base.bias[item]
        for moment in range(len(base.item_moments)):
            own.item_moments[moment, row] = base.item_moments[moment, item]
            own.bias_moments[moment, row] = base.bias_moments[moment, item]
        size[0] += 1
    return slots[item]


@sampling.compiled
def _learn_one(  # type: ignore[no-untyped-def]
    own, base, slots, owners, size, rule, sampler, log, scratch, item, weight, negatives, passes, replay
):
    """Add an event to the visitor's log and learn from it, then from as many of their earlier ones, drawn evenly."""
    sampling.append_event(log, 0, item, weight)
    stamp = sampling.mark_history(log, 0, sampler)
    last = log.size[0] - 1
    for step in range(passes + (replay if last > 0 else 0)):
        event = last if step < passes else sampling.random_below(sampler.state, last)
        count = sampling.sample_negatives(sampler, log.item[event], negatives, scratch.items[0])
        sampler.mark[log.item[event]] = stamp
        for j in range(count):
            scratch.items[0, j] = _borrow(own, base, slots, owners, size, scratch.items[0, j])
        scratch.users[0], scratch.counts[0], scratch.weights[0] = 0, count, log.weight[event]
        kernel.train_on_batch(own, rule, scratch, 1)
    if passes and sampler.source == 2:  # the ring is the visitor's own only where negatives come from it
        sampling.move_to_newest(sampler, item)


def as_items(events: Sequence[Taken]) -> NDArray[np.int64]:
    """Return the items that were learned from, oldest first."""
    return np.array([event.item_idx for event in events if event.learned], np.int64)
