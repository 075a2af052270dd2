"""Online sessions: a copy-on-write view of an incremental model, which learns from one visitor's ratings alone.

A session is an overlay over a shared snapshot of `Step`, which it never changes. The overlay holds a vector for the
visitor, and copies of the item rows that their events touch; it is trained by the functions that train the model.
Its lists are those of a new user with the visitor's ratings, in any order, of a model with these rows.
Its state follows from the snapshot and the events alone, so a replay, or an undo, leads to the same bytes.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from recengine.data.interactions import Interactions
from recengine.errors import BadInput
from recengine.metrics import Ranking, mask_scores, tie_salts, top_k
from recengine.models.abilities import SupportsSession
from recengine.models.base import check_k
from recengine.models.compiled import COMPLETE, kernel_folder
from recengine.models.streaming import step_kernel as kernel
from recengine.models.streaming import step_sampling as sampling
from recengine.models.streaming.base import LinkedEvents
from recengine.models.streaming.step_arrays import Scratch, Tables
from recengine.serving.event_log import Event, rated
from recengine.serving.recommend import PASSED_WEIGHT

log = logging.getLogger(__name__)

FIRST_ROOM = 256
"""Item rows that a new session has room for."""


class OnlineSession:
    """The session of one visitor over one snapshot. Not thread-safe.

    model    : a fitted `Step`, shared by all sessions
    positive : ratings from this up move what is learned of the items; lower ones count as dislikes at most
    in_scale : turns the stars of an event into a rating
    seed     : of the negative samples
    """

    def __init__(
        self,
        model: SupportsSession,
        *,
        positive: float = -math.inf,
        in_scale: Callable[[float], float] = float,
        seed: int = 0,
    ) -> None:
        self.model, self.positive, self.in_scale, self.seed = model, positive, in_scale, seed
        self._base, self._rule, shared, _ = model.arrays()
        n_items = len(self._base.items)
        copies: dict[str, Any] = {"state": np.zeros(1, np.uint64), "stamp": np.zeros(1, np.int64)}
        copies["mark"] = np.zeros(n_items, np.int64)
        if model.config.negatives_from == "oldest":  # the visitor's events move items in the ring
            copies |= {"older": shared.older.copy(), "newer": shared.newer.copy()}
        self._sampler, self._shared = shared._replace(**copies), shared
        self._slots = np.full(n_items, -1, np.int32)  # item -> its row in the overlay
        self._owners, self._size = np.zeros(0, np.int32), np.zeros(1, np.int64)
        self._reserve(FIRST_ROOM)
        self.events: list[Event] = []
        self._start()

    @property
    def n_touched(self) -> int:
        """Return the number of item rows in the overlay."""
        return int(self._size[0])

    def append(self, event: Event) -> None:
        """Learn from one more rating.

        Raises BadInput for an item that the snapshot does not have.
        """
        if not 0 <= event.item_idx < len(self._slots):
            problem, expected = "is out of range", f"0 to {len(self._slots) - 1:,}"
            raise BadInput("item_idx", event.item_idx, expected, problem=problem)
        self.events.append(event)
        self._learn(event)

    def undo(self) -> Event:
        """Remove the last event and return it: the state is exactly what it was before. IndexError without one."""
        last = self.events[-1]
        self.replay(self.events[:-1])
        return last

    def replay(self, events: Sequence[Event]) -> None:
        """Start again from the snapshot, with these events."""
        self._start()
        for event in events:
            self.append(event)

    def follow(self, events: Sequence[Event]) -> None:
        """Move to the state after these events: continue where they extend the current ones, else replay them all."""
        held = len(self.events)
        if list(events[:held]) != self.events:
            self.replay(events)
            return
        for event in events[held:]:
            self.append(event)

    @torch.no_grad()
    def top(
        self, k: int = 10, *, include_seen: bool = False, among: ArrayLike | None = None, passed: Sequence[int] = ()
    ) -> Ranking:
        """Return the visitor's top k, (1, k), only from `among` where given; rated items only with `include_seen`.

        passed : items that the visitor is not interested in, as `scores` takes them
        """
        check_k(k, len(self._slots))
        hidden = None if include_seen else self._history(passed)
        scores = mask_scores(self._scores(passed), [0], seen=hidden, among=among)
        return top_k(scores, k, tie_salts(hidden, [0]))

    def scores(self, *, among: ArrayLike | None = None, passed: Sequence[int] = ()) -> Tensor:
        """Return the visitor's scores, (1, n_items) float32, -inf where `top` leaves an item out.

        passed : items that the visitor is not interested in. They are left out, and speak a little against what is
                 like them, as `recommend_new` says
        """
        return mask_scores(self._scores(passed), [0], seen=self._history(passed), among=among)

    def _scores(self, passed: Sequence[int]) -> Tensor:
        """Return the scores of all items, (1, n_items): those of a new user with the visitor's ratings."""
        changed = self._owners[: self.n_touched], self._overlay
        scores = self.model.score_new(self._history(), changed)
        if not len(passed) or self.in_scale(0.0) >= self.positive:
            return scores
        return scores.lerp(self.model.score_new(self._history(passed), changed), PASSED_WEIGHT)

    def _history(self, passed: Sequence[int] = ()) -> Interactions:
        """Return the visitor's ratings, and the worst rating for what they passed, as those of one user."""
        items = [event.item_idx for event in self.events] + list(passed)
        ratings = [self.in_scale(event.stars or 0.0) for event in self.events] + [self.in_scale(0.0)] * len(passed)
        return Interactions.from_pairs([0] * len(items), items, rating=ratings, n_users=1, n_items=len(self._slots))

    def state(self) -> bytes:
        """Return everything that follows from the visitor's events: equal states, equal bytes."""
        rows, overlay = slice(0, self.n_touched), self._overlay
        visitor = overlay.users, overlay.user_moments, overlay.updates
        items = self._owners[rows], overlay.items[rows], overlay.bias[rows]
        moments = overlay.item_moments[:, rows], overlay.bias_moments[:, rows]
        return b"".join(part.tobytes() for part in (*visitor, *items, *moments, self._sampler.state))

    def _start(self) -> None:
        """Forget all events."""
        self._slots[self._owners[: self._size[0]]] = -1
        self._size[0] = 0
        self._overlay.users[:], self._overlay.user_moments[:] = 0, 0
        self._overlay.updates[:] = self._base.updates
        self._sampler.state[0], self._sampler.mark[:], self._sampler.stamp[0] = self.seed, 0, 0
        if self._sampler.older is not self._shared.older:
            self._sampler.older[:], self._sampler.newer[:] = self._shared.older, self._shared.newer
        self._past = LinkedEvents.empty(1)
        self.events = []

    def _learn(self, event: Event) -> None:
        assert event.stars is not None  # a session holds only ratings
        config, rating = self.model.config, self.in_scale(event.stars)
        passes, replay = (config.passes, config.replay) if rating >= self.positive else (0, 0)
        self._past = self._past.with_room(1, 1)
        needed = self.n_touched + (passes + replay) * (1 + self.model.negatives)
        if needed > len(self._owners):
            self._reserve(max(needed, 2 * len(self._owners)))
        weight = self.model.weigh(np.array([rating], np.float32))[0]
        _learn_one(
            self._overlay, self._base, self._slots, self._owners, self._size, self._rule, self._sampler, self._past,
            self._scratch, event.item_idx, weight, self.model.negatives, passes, replay,
        )  # fmt: skip

    def _reserve(self, rows: int) -> None:
        """Make room for that many item rows, and keep those in the overlay."""
        base, held = self._base, int(self._size[0])
        dim, moments = base.items.shape[1], len(base.item_moments)
        old = getattr(self, "_overlay", None)
        overlay = Tables(
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
                getattr(overlay, name)[:held] = getattr(old, name)[:held]
            for name in ("item_moments", "bias_moments"):
                getattr(overlay, name)[:, :held] = getattr(old, name)[:, :held]
            owners[:held] = self._owners[:held]
        self._overlay, self._owners = overlay, owners
        self._scratch = Scratch.for_batches(1, rows, dim, 1, self.model.negatives)


@sampling.compiled
def _copied(overlay, base, slots, owners, size, item):  # type: ignore[no-untyped-def] # numba infers the types
    """Return the row of an item in the overlay; it is copied from the snapshot at first use."""
    if slots[item] < 0:
        row = size[0]
        slots[item], owners[row] = row, item
        overlay.bias[row, 0] = base.bias[item, 0]
        for d in range(base.items.shape[1]):  # a loop compiles in a tenth of the time of assigning whole rows
            overlay.items[row, d] = base.items[item, d]
        for moment in range(len(base.item_moments)):
            overlay.bias_moments[moment, row, 0] = base.bias_moments[moment, item, 0]
            for d in range(base.items.shape[1]):
                overlay.item_moments[moment, row, d] = base.item_moments[moment, item, d]
        size[0] += 1
    return slots[item]


@sampling.compiled
def _learn_one(  # type: ignore[no-untyped-def]
    overlay, base, slots, owners, size, rule, sampler, past, scratch, item, weight, negatives, passes, replay
):
    """Append an event, then train on it `passes` times and on `replay` earlier ones, sampled evenly."""
    sampling.append_event(past, 0, item, weight)
    stamp = sampling.mark_history(past, 0, sampler)
    last = past.size[0] - 1
    for step in range(passes + (replay if last > 0 else 0)):
        event = last if step < passes else sampling.random_below(sampler.state, last)
        count = sampling.sample_negatives(sampler, past.item[event], negatives, scratch.items[0])
        sampler.mark[past.item[event]] = stamp
        for j in range(count):
            scratch.items[0, j] = _copied(overlay, base, slots, owners, size, scratch.items[0, j])
        scratch.users[0], scratch.counts[0], scratch.weights[0] = 0, count, past.weight[event]
        kernel.train_on_one(overlay, rule, scratch, passes > 0)
    if passes and sampler.source == 2:  # only then is the ring a copy, because negatives come from it
        sampling.move_to_newest(sampler, item)


def compile_loops() -> None:
    """Compile the loops of sessions, streams, SLIM, iALS, MF and pairs of items: no visitor waits for the compiler.

    They are kept on disk, where every process of this installation gets them; see `recengine.models.compiled`.
    """
    from recengine.models.factors.histories import Histories
    from recengine.models.factors.mf import MF
    from recengine.models.item_item.linear import counted_pairs
    from recengine.models.item_item.slim import SLIM
    from recengine.models.item_item.sparse import approximate_ridge
    from recengine.models.streaming.step import Step
    from recengine.training.config import RunConfig
    from recengine.training.progress import no_step

    few = Interactions.from_pairs([0, 0, 1, 1], [0, 1, 1, 2], n_users=2, n_items=3, rating=[5.0] * 4)
    log.info("compiling step")
    model = Step().fit(few, run=RunConfig(epochs=1))
    session = OnlineSession(model)
    session.append(rated("", 5.0)._replace(item_idx=0))
    session.top(1)
    log.info("compiling the streams of step")
    model.test_then_train(few)
    log.info("compiling slim")
    SLIM().fit(few)
    log.info("compiling ials")
    both, eye = Histories(few.user_idx, few.item_idx, few.rating, few.n_users), torch.eye(few.n_items)
    both.solve(eye, eye, torch.ones(few.n_users, 1))
    both.refine(eye, torch.ones(few.n_items), torch.ones(few.n_users, 1), torch.zeros(few.n_users, few.n_items), 1)
    log.info("compiling mf")
    mf = MF().fit(few, run=RunConfig(device="cpu", epochs=1))
    mf.network.requires_grad_(True)
    if steps := mf.compiled_steps(few, mf.optimizers(), torch.Generator()):
        steps(no_step)
    log.info("compiling the pairs of items")
    counted_pairs(few)
    log.info("compiling the sparse weights of large catalogues")
    approximate_ridge(few, 1.0).dense(torch.tensor([0]))
    if folder := kernel_folder():
        (Path(folder) / COMPLETE).touch()
