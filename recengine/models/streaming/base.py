"""What all incremental models share: the events that they have taken, and ranking each before learning from it."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import NamedTuple, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from recengine.data.interactions import Interactions
from recengine.models.base import Recommender

Ranks = NDArray[np.int32]


class Log(NamedTuple):
    """Events in order, each with the place of the same user's event before it, -1 for none.

    user, item, weight, previous : (capacity,), last : (n_users,) each user's latest event; size : (1,) events held
    """

    user: NDArray[np.int32]
    item: NDArray[np.int32]
    weight: NDArray[np.float32]
    previous: NDArray[np.int32]
    last: NDArray[np.int32]
    size: NDArray[np.int64]

    @classmethod
    def empty(cls, n_users: int) -> Log:
        none = np.zeros(0, np.int32)
        return cls(none, none, none.astype(np.float32), none, np.full(n_users, -1, np.int32), np.zeros(1, np.int64))

    @classmethod
    def of(cls, user: ArrayLike, item: ArrayLike, weight: ArrayLike, n_users: int) -> Log:
        """Return the log of events that are given in order."""
        users = np.asarray(user, np.int32)
        order = np.argsort(users, kind="stable")
        same = users[order][1:] == users[order][:-1]
        previous, last = np.full(len(users), -1, np.int32), np.full(n_users, -1, np.int32)
        previous[order[1:][same]] = order[:-1][same]
        last[users[order]] = order  # of repeated places the last is kept
        return cls(
            users.copy(),
            np.array(item, np.int32),
            np.array(weight, np.float32),
            previous,
            last,
            np.array([len(users)]),
        )

    def with_room(self, events: int, n_users: int) -> Log:
        """Return a log that can take so many more events of so many users, this one if it can."""
        needed = int(self.size[0]) + events
        more = 0 if needed <= len(self.user) else max(needed, 2 * len(self.user)) - len(self.user)
        wider = n_users - len(self.last)
        if not more and not wider:
            return self
        user, item, weight, previous = (np.concatenate([part, np.zeros(more, part.dtype)]) for part in self[:4])
        return Log(user, item, weight, previous, np.concatenate([self.last, np.full(wider, -1, np.int32)]), self.size)

    def append(self, user: int, item: int, weight: float) -> None:
        """Add an event, for which there must be room."""
        place = self.size[0]
        self.user[place], self.item[place], self.weight[place] = user, item, weight
        self.previous[place], self.last[user] = self.last[user], place
        self.size[0] += 1

    def items_of(self, user: int) -> NDArray[np.int64]:
        """Return the items of a user's events, the latest first."""
        found = []
        event = self.last[user]
        while event >= 0:
            found.append(self.item[event])
            event = self.previous[event]
        return np.array(found, np.int64)

    def state(self) -> dict[str, Tensor]:
        """Return the events, from which `of` makes the log again."""
        parts = {"user": self.user, "item": self.item, "weight": self.weight}
        return {f"log_{name}": torch.from_numpy(part[: self.size[0]].copy()) for name, part in parts.items()}

    @classmethod
    def from_state(cls, state: Mapping[str, Tensor], n_users: int) -> Log:
        user, item, weight = (state[f"log_{name}"].numpy() for name in ("user", "item", "weight"))
        return cls.of(user, item, weight, n_users)


class Incremental(Recommender):
    """Base of models that learn from one event at a time; `learn` takes the training rows in the order of time.

    Subclasses fill `grow`, `take` and `scores_of`; one with a compiled loop has an `advance` of its own.
    """

    family = "collaborative"
    ordered = True
    log: Log

    def partial_fit(self, events: Interactions) -> Self:
        """Learn from the events in the order given; users and items that are new to the model are added."""
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
        """Grow to the users and items of the events, and reserve room for them in the log."""
        users, items = max(self.n_users, events.n_users), max(self.n_items, events.n_items)
        if (users, items) != (self.n_users, self.n_items):
            self.grow(users, items)
            self.n_users, self.n_items = users, items
        self.log = self.log.with_room(len(events), self.n_users)

    def forget_from(self, n_users: int) -> Self:
        """Forget the users from `n_users` on, and their events; what the items learned from them stays."""
        held = slice(0, int(self.log.size[0]))
        kept = self.log.user[held] < n_users
        user, item, weight = (part[held][kept] for part in (self.log.user, self.log.item, self.log.weight))
        self.log, self.n_users = Log.of(user, item, weight, n_users), n_users
        return self

    @abstractmethod
    def grow(self, n_users: int, n_items: int) -> None:
        """Add what is needed for so many users and items, which are not fewer than before."""

    def advance(
        self, events: Interactions, *, ranked: bool, learns: bool = True, masked: bool = True, limit: int = 0
    ) -> Ranks:
        """Take the events in order, for which there is room; return their ranks as `test_then_train`, or none."""
        ranks = np.zeros(len(events) if ranked else 0, np.int32)
        rows = zip(events.user_idx.tolist(), events.item_idx.tolist(), events.rating.tolist(), strict=True)
        for e, (user, item, rating) in enumerate(rows):
            if ranked:
                ranks[e] = rank_of(item, self.scores_of(user), self.log.items_of(user) if masked else None)
            (self.take if learns else self.remember)(user, item, rating)
        return np.minimum(ranks, limit + 1) if limit else ranks

    @abstractmethod
    def take(self, user: int, item: int, rating: float) -> None:
        """Learn from one event, for which there is room, and put it into the log."""

    def remember(self, user: int, item: int, rating: float) -> None:
        """Put one event into the log."""
        self.log.append(user, item, 1.0)

    @abstractmethod
    def scores_of(self, user: int) -> NDArray[np.float32]:
        """Return the scores (n_items,) of one user."""

    @torch.inference_mode()
    def score(self, user_idx: ArrayLike) -> Tensor:
        users = np.atleast_1d(np.asarray(user_idx, dtype=np.int64))
        return torch.from_numpy(np.stack([self.scores_of(user) for user in users.tolist()]).astype(np.float32))


def rank_of(item: int, scores: NDArray[np.float32], known: NDArray[np.int64] | None) -> int:
    """Return the rank of an item, from 1, by score, ties by place; of the items in `known` only itself counts."""
    own = scores[item]
    better = scores > own
    better[:item] |= scores[:item] == own
    return 1 + int(np.count_nonzero(better)) - (0 if known is None else int(np.count_nonzero(better[known])))
