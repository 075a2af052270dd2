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

    Only events up to then count, each half as much after every half-life. The result is multiplied by the lift of that
    part of the day and week: its share of the item's events, shrunk towards that of all events (time as context:
    Campos, Díez & Cantador, UMUAI 2014).
    """

    name = "contextual"
    abilities = ("fold-in",)
    is_personalised = False
    reason = "moment"
    family = "contextual"
    summary = "What is popular now, at this time of day and week. It knows the clock, not the viewer."
    reference = "Campos, Díez & Cantador, Time-aware recommender systems, UMUAI 2014"
    version = 2
    is_order_sensitive = True
    Config = ContextualConfig

    def learn(self, train: Interactions, context: FitContext) -> None:
        stamps = np.sort(train.timestamp)
        cuts = np.linspace(0, len(stamps), self.config.time_slices + 1)[1:-1].astype(int)
        self.edges = torch.from_numpy(np.unique(stamps[cuts]) if len(stamps) else np.empty(0, np.int64))
        moment = self._moment(train.timestamp)
        n = len(self.edges) + 1
        counts = np.zeros((n, self.n_items), np.float32)
        np.add.at(counts, (moment, train.item_idx), 1.0)
        keep = 0.5 ** (1 / self.config.slice_half_life)
        recent = np.zeros_like(counts)
        for i in range(n):  # one step a moment, at most 4,096
            recent[i] = counts[i] + (keep * recent[i - 1] if i else 0)
        self.recent = torch.from_numpy(recent)  # (moments, n_items)

        part = daypart(train.timestamp)
        by_part = np.zeros((DAYPARTS, self.n_items))
        np.add.at(by_part, (part, train.item_idx), 1.0)
        overall = (train.item_counts + 0.5) / (len(train) + 0.5 * self.n_items)
        prior = self.config.prior_strength
        shrunk = (by_part + prior * overall) / (by_part.sum(1, keepdims=True) + prior + 1e-9)
        self.lift = torch.from_numpy(np.where(shrunk > 0, shrunk / overall, 1.0).astype(np.float32))
        last = np.full(self.n_users, np.iinfo(np.int64).min)
        np.maximum.at(last, train.user_idx, train.timestamp)
        last[last == np.iinfo(np.int64).min] = stamps[-1] if len(stamps) else 0
        self.last = torch.from_numpy(last)
        self.span = torch.tensor([stamps[0], stamps[-1]] if len(stamps) else [0, 0])

    def _moment(self, stamps: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.searchsorted(self.edges.numpy(), stamps, side="right")

    def score_at(self, stamps: ArrayLike) -> Tensor:
        """Return (B, n_items) scores at the given times (B,), in seconds since 1970."""
        times = as_indices(stamps)
        recent = self.recent[torch.from_numpy(self._moment(times))]
        return (recent + 1e-3) * self.lift[torch.from_numpy(daypart(times))]

    def score(self, user_idx: ArrayLike) -> Tensor:
        return self.score_at(self.last.numpy()[as_indices(user_idx)])

    def score_history(self, histories: Interactions) -> Tensor:
        """Return (histories.n_users, n_items) at each new user's latest event, or the data's end if it has no time."""
        last = np.full(histories.n_users, int(self.span[1]))
        known = histories.timestamp >= int(self.span[0])
        users = histories.user_idx[known]
        last[users] = int(self.span[0])
        np.maximum.at(last, users, histories.timestamp[known])
        return self.score_at(last)

    def state(self) -> dict[str, Tensor]:
        return {"edges": self.edges, "recent": self.recent, "lift": self.lift, "last": self.last, "span": self.span}

    def restore(self, state: dict[str, Tensor]) -> None:
        self.edges, self.recent = state["edges"], state["recent"]
        self.lift, self.last, self.span = state["lift"], state["last"], state["span"]


def daypart(stamps: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return 0..7: the quarter of the day, plus 4 on a Saturday or Sunday (UTC; 1 January 1970 was a Thursday)."""
    day = stamps // 86_400
    return (stamps % 86_400) // 21_600 + 4 * ((day + 3) % 7 >= 5)
