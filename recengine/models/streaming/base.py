"""What all incremental models share: the events so far, and ranking each event before learning from it."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import NamedTuple, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from recengine.data.interactions import Interactions
from recengine.metrics import hashed
from recengine.models.base import ConfigT, Recommender, as_indices

Ranks = NDArray[np.int32]


class LinkedEvents(NamedTuple):
    """Events in order, each linked to the same user's previous event, -1 for none.

    user, item, weight, previous : (capacity,), last : (n_users,) each user's latest event; size : (1,) events so far
    """

    user: NDArray[np.int32]
    item: NDArray[np.int32]
    weight: NDArray[np.float32]
    previous: NDArray[np.int32]
    last: NDArray[np.int32]
    size: NDArray[np.int64]

    @classmethod
    def empty(cls, n_users: int) -> LinkedEvents:
        none = np.zeros(0, np.int32)
        return cls(none, none, none.astype(np.float32), none, np.full(n_users, -1, np.int32), np.zeros(1, np.int64))

    @classmethod
    def of(cls, user: ArrayLike, item: ArrayLike, weight: ArrayLike, n_users: int) -> LinkedEvents:
        """Link events that are given in order."""
        users = np.asarray(user, np.int32)
        order = np.argsort(users, kind="stable")
        same = users[order][1:] == users[order][:-1]
        previous, last = np.full(len(users), -1, np.int32), np.full(n_users, -1, np.int32)
        previous[order[1:][same]] = order[:-1][same]
        last[users[order]] = order  # of several writes to one user the last one stays
        return cls(
            users.copy(),
            np.array(item, np.int32),
            np.array(weight, np.float32),
            previous,
            last,
            np.array([len(users)]),
        )

    def with_room(self, events: int, n_users: int) -> LinkedEvents:
        """Return these events with room for that many more, of up to `n_users` users; self where there is room."""
        needed = int(self.size[0]) + events
        more = 0 if needed <= len(self.user) else max(needed, 2 * len(self.user)) - len(self.user)
        wider = n_users - len(self.last)
        if not more and not wider:
            return self
        user, item, weight, previous = (np.concatenate([part, np.zeros(more, part.dtype)]) for part in self[:4])
        last = np.concatenate([self.last, np.full(wider, -1, np.int32)])
        return LinkedEvents(user, item, weight, previous, last, self.size)

    def append(self, user: int, item: int, weight: float) -> None:
        """Append an event; there must be room for it."""
        index = self.size[0]
        self.user[index], self.item[index], self.weight[index] = user, item, weight
        self.previous[index], self.last[user] = self.last[user], index
        self.size[0] += 1

    def items_of(self, user: int) -> NDArray[np.int64]:
        """Return the items of a user's events, the latest first."""
        items = []
        event = self.last[user]
        while event >= 0:
            items.append(self.item[event])
            event = self.previous[event]
        return np.array(items, np.int64)

    def state(self) -> dict[str, Tensor]:
        """Return tensors from which `from_state` links the events again."""
        parts = {"user": self.user, "item": self.item, "weight": self.weight}
        return {f"event_{name}": torch.from_numpy(part[: self.size[0]].copy()) for name, part in parts.items()}

    @classmethod
    def from_state(cls, state: Mapping[str, Tensor], n_users: int) -> LinkedEvents:
        user, item, weight = (state[f"event_{name}"].numpy() for name in ("user", "item", "weight"))
        return cls.of(user, item, weight, n_users)


class Incremental(Recommender[ConfigT]):
    """Base of models that learn from one event at a time; `learn` goes through the training rows in time order.

    Subclasses fill in `grow`, `train_on_event` and `score_user`; one with a compiled loop overrides `advance`.
    `past` holds the events so far.
    """

    family = "collaborative"
    is_order_sensitive = True
    past: LinkedEvents

    def partial_fit(self, events: Interactions) -> Self:
        """Learn from the events in the order given; new users and items are added."""
        self.make_room(events)
        self.advance(events, ranked=False)
        return self

    def test_then_train(
        self, events: Interactions, *, learns: bool = True, masked: bool = True, limit: int = 0
    ) -> Ranks:
        """Return the rank of each event's item before the event is learned; see `SupportsPartialFit`."""
        self.make_room(events)
        return self.advance(events, ranked=True, learns=learns, masked=masked, limit=limit)

    def make_room(self, events: Interactions) -> None:
        """Grow to the users and items of the events, and reserve room for the events."""
        users, items = max(self.n_users, events.n_users), max(self.n_items, events.n_items)
        if (users, items) != (self.n_users, self.n_items):
            self.grow(users, items)
            self.n_users, self.n_items = users, items
        self.past = self.past.with_room(len(events), self.n_users)

    def forget_from(self, n_users: int) -> Self:
        """Forget the users from index `n_users` on and their events; what the items learned from them stays."""
        size = int(self.past.size[0])
        kept = self.past.user[:size] < n_users
        user, item, weight = (part[:size][kept] for part in self.past[:3])
        self.past, self.n_users = LinkedEvents.of(user, item, weight, n_users), n_users
        return self

    @abstractmethod
    def grow(self, n_users: int, n_items: int) -> None:
        """Add parameters for new users and items; neither number shrinks."""

    def advance(
        self, events: Interactions, *, ranked: bool, learns: bool = True, masked: bool = True, limit: int = 0
    ) -> Ranks:
        """Go through the events, for which there is room; return their ranks as `test_then_train` does, or none."""
        ranks = np.zeros(len(events) if ranked else 0, np.int32)
        draws = self.draws(len(events)).tolist()
        rows = zip(events.user_idx.tolist(), events.item_idx.tolist(), events.rating.tolist(), strict=True)
        for e, (user, item, rating) in enumerate(rows):
            if ranked:
                ranks[e] = rank_of(item, self.score_user(user), self.past.items_of(user) if masked else None, draws[e])
            (self.train_on_event if learns else self.record_event)(user, item, rating)
        return np.minimum(ranks, limit + 1) if limit else ranks

    def draws(self, n: int) -> NDArray[np.float64]:
        """Return (n,) numbers in [0, 1), hashed from the numbers of the next events, that order equal scores."""
        first = int(self.past.size[0])
        return hashed(torch.arange(first, first + n)).double().numpy() / 2.0**62

    @abstractmethod
    def train_on_event(self, user: int, item: int, rating: float) -> None:
        """Learn from one event, for which there is room, and record it."""

    def record_event(self, user: int, item: int, rating: float) -> None:
        """Record one event without learning from it."""
        self.past.append(user, item, 1.0)

    @abstractmethod
    def score_user(self, user: int) -> NDArray[np.float32]:
        """Return the scores (n_items,) of one user."""

    @torch.inference_mode()
    def score(self, user_idx: ArrayLike) -> Tensor:
        users = as_indices(user_idx)
        return torch.from_numpy(np.stack([self.score_user(user) for user in users.tolist()]).astype(np.float32))


def rank_of(item: int, scores: NDArray[np.float32], known: NDArray[np.int64] | None, draw: float) -> int:
    """Return the rank of an item, from 1, by score, without the other items in `known`.

    draw : in [0, 1), says where the item stands among those with an equal score, which neither its index nor its
           popularity does
    """
    better, tied = scores > scores[item], scores == scores[item]
    tied[item] = False
    if known is not None:
        better[known] = tied[known] = False
    return 1 + int(np.count_nonzero(better)) + int(draw * (np.count_nonzero(tied) + 1))
