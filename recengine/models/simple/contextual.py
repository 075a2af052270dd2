"""Contextual: what is popular at the time of asking."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from recengine.data.interactions import Interactions
from recengine.models.base import FitContext, Recommender, as_indices
from recengine.models.options import shared
from recengine.training.config import Config, Range, option

DAYPARTS = 8
"""Four parts of a day (UTC), on weekdays and at weekends."""


@dataclass(frozen=True)
class ContextualConfig(Config):
    """Settings of `contextual`."""

    time_slices: int = option(
        64,
        "slices of equally many events that time is cut into",
        low=1,
        high=4096,
        search=Range(8, 512, log=True),
        primary=1,
    )
    slice_half_life: float = option(
        2.0,
        "slices of time after which an event counts half",
        low=0,
        high=4096,
        open_low=True,
        search=Range(0.5, 16, log=True),
        primary=1,
    )
    prior_strength: float = shared(
        "prior_strength",
        500.0,
        note="a group is a quarter of the day, on weekdays or at weekends",
        search=Range(10, 10000, log=True),
    )


class Contextual(Recommender[ContextualConfig]):
    """Score an item by its popularity at the time of the user's latest event, and at that time of day and week.

    Only events up to then count, to the second; each counts half as much after every half-life in slices of time. The
    result is multiplied by the lift of that part of the day and week: its share of the item's events, shrunk towards
    that of all events (time as context: Campos, Díez & Cantador, UMUAI 2014).
    """

    name = "contextual"
    abilities = ("fold-in",)
    is_personalised = False
    reason = "moment"
    family = "contextual"
    summary = "What is popular now, at this time of day and week. It knows the clock, not the viewer."
    reference = "Campos, Díez & Cantador, Time-aware recommender systems, UMUAI 2014"
    version = 3
    is_order_sensitive = True
    Config = ContextualConfig

    def learn(self, train: Interactions, context: FitContext) -> None:
        order = np.argsort(train.timestamp, kind="stable")
        stamps, items = train.timestamp[order], train.item_idx[order]
        cuts = np.linspace(0, len(stamps), self.config.time_slices + 1)[1:-1].astype(int)
        edges = np.unique(stamps[cuts]) if len(stamps) else np.empty(0, np.int64)
        n = len(edges) + 1
        counts = np.zeros((n, self.n_items), np.float32)
        np.add.at(counts, (np.searchsorted(edges, stamps, side="right"), items), 1.0)
        keep = 0.5 ** (1 / self.config.slice_half_life)
        earlier = np.zeros_like(counts)  # of the events before each slice
        for i in range(1, n):  # one step a slice, at most 4,096
            earlier[i] = keep * (counts[i - 1] + earlier[i - 1])
        last = np.full(self.n_users, np.iinfo(np.int64).min)
        np.maximum.at(last, train.user_idx, train.timestamp)
        last[last == np.iinfo(np.int64).min] = stamps[-1] if len(stamps) else 0
        arrays = {"edges": edges, "earlier": earlier, "stamps": stamps, "items": items, "last": last}
        self.restore({name: torch.from_numpy(array) for name, array in arrays.items()})

    def score_at(self, stamps: ArrayLike) -> Tensor:
        """Return (B, n_items) scores at the given times (B,), in seconds since 1970, from the events up to each."""
        times = as_indices(stamps)
        events, items, edges = self.stamps.numpy(), self.items.numpy(), self.edges.numpy()
        parts, part, prior = daypart(events), daypart(times), self.config.prior_strength
        until = np.searchsorted(events, times, side="right")
        slices = np.searchsorted(edges, times, side="right")
        begin = np.concatenate([[0], np.searchsorted(events, edges)])  # the first event of each slice
        by_part, counts = np.zeros((DAYPARTS, self.n_items)), np.zeros(self.n_items)
        scores = np.empty((len(times), self.n_items), np.float32)
        done = 0
        for row in np.argsort(times, kind="stable"):
            new = slice(done, until[row])
            np.add.at(by_part, (parts[new], items[new]), 1.0)
            np.add.at(counts, items[new], 1.0)
            done = until[row]
            overall = (counts + 0.5) / (done + 0.5 * self.n_items)
            here = by_part[part[row]]
            shrunk = (here + prior * overall) / (here.sum() + prior + 1e-9)
            lift = np.where(shrunk > 0, shrunk / overall, 1.0)
            own = np.bincount(items[begin[slices[row]] : done], minlength=self.n_items)
            scores[row] = (own + self.earlier[slices[row]].numpy() + 1e-3) * lift
        return torch.from_numpy(scores)

    def score(self, user_idx: ArrayLike) -> Tensor:
        return self.score_at(self.last.numpy()[as_indices(user_idx)])

    def score_history(self, histories: Interactions) -> Tensor:
        """Return (histories.n_users, n_items) at each new user's latest event, or the data's end if it has no time."""
        first, end = (int(self.stamps[0]), int(self.stamps[-1])) if len(self.stamps) else (0, 0)
        last = np.full(histories.n_users, end)
        known = histories.timestamp >= first
        users = histories.user_idx[known]
        last[users] = first
        np.maximum.at(last, users, histories.timestamp[known])
        return self.score_at(last)

    def state(self) -> dict[str, Tensor]:
        names = ("edges", "earlier", "stamps", "items", "last")
        return {name: getattr(self, name) for name in names}

    def restore(self, state: dict[str, Tensor]) -> None:
        self.edges, self.earlier, self.last = state["edges"], state["earlier"], state["last"]
        self.stamps, self.items = state["stamps"], state["items"]


def daypart(stamps: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return 0..7: the quarter of the day, plus 4 on a Saturday or Sunday (UTC; 1 January 1970 was a Thursday)."""
    day = stamps // 86_400
    return (stamps % 86_400) // 21_600 + 4 * ((day + 3) % 7 >= 5)
