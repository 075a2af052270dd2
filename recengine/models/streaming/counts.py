"""Models that count, event by event: how often items occur, and which occur together in users' histories."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from recengine.data.interactions import Interactions
from recengine.models.base import ConfigT, FitContext
from recengine.models.item_item.linear import check_square
from recengine.models.options import shared
from recengine.models.recency import RecencyOptions, timed_users
from recengine.models.streaming.base import Incremental, LinkedEvents
from recengine.training.config import Config as BaseConfig
from recengine.training.config import Range, option, preset

LARGEST = 2.0**40
"""Once the next event weighs more than this, all counts are rescaled so that it weighs 1."""


class Counting(Incremental[ConfigT]):
    """Base of models that only keep counts, `tables` by name, which may decay with a half-life.

    Instead of decaying every count at every event, each event weighs more than the one before.
    """

    abilities: ClassVar[tuple[str, ...]] = ("fold-in", "incremental")

    half_life: float | None = None
    """Number of events after which a count is worth half; None for no decay."""
    tables: dict[str, NDArray[np.float32]]

    def learn(self, train: Interactions, context: FitContext) -> None:
        self.past, self.tables, self.next_weight = LinkedEvents.empty(self.n_users), self.no_counts(0), 1.0
        self.grow(self.n_users, self.n_items)
        self.partial_fit(train.select(np.argsort(train.timestamp, kind="stable")))

    def no_counts(self, n_items: int) -> dict[str, NDArray[np.float32]]:
        """Return the tables before the first event."""
        return {"counts": np.zeros(n_items, np.float32)}

    def grow(self, n_users: int, n_items: int) -> None:
        wider = self.no_counts(n_items)
        for name, table in self.tables.items():
            wider[name][tuple(slice(size) for size in table.shape)] = table
        self.tables = wider

    def train_on_event(self, user: int, item: int, rating: float) -> None:
        self.count(user, item, self.next_weight)
        self.record_event(user, item, rating)
        if self.half_life is not None:
            self.next_weight *= 2 ** (1 / self.half_life)
            if self.next_weight > LARGEST:
                for table in self.tables.values():
                    table /= self.next_weight
                self.next_weight = 1.0

    def count(self, user: int, item: int, weight: float) -> None:
        """Count one event that is not recorded yet."""
        self.tables["counts"][item] += weight

    def score_user(self, user: int) -> NDArray[np.float32]:
        return self.tables["counts"]

    def score_history(self, histories: Interactions) -> Tensor:
        """Return (histories.n_users, n_items) scores of users known only by these rows."""
        rows = histories.select(histories.chronological())
        ends = np.cumsum(rows.user_counts)
        latest_first = [rows.item_idx[end - n : end][::-1] for end, n in zip(ends, rows.user_counts, strict=True)]
        scores = map(self.score_items, latest_first, timed_users(histories).tolist())
        return torch.from_numpy(np.stack(list(scores)).astype(np.float32))

    def score_items(self, items: NDArray[Any], timed: bool = True) -> NDArray[np.float32]:
        """Return the scores (n_items,) of a user with these items, the latest first if they are `timed`."""
        return self.tables["counts"]

    def state(self) -> dict[str, Tensor]:
        counts = {name: torch.from_numpy(table.copy()) for name, table in self.tables.items()}
        weight = torch.tensor([self.next_weight], dtype=torch.float64)
        return {**counts, "next_weight": weight, **self.past.state()}

    def restore(self, state: dict[str, Tensor]) -> None:
        self.tables = {name: state[name].numpy().copy() for name in self.no_counts(0)}
        self.next_weight = float(state["next_weight"])
        self.past = LinkedEvents.from_state(state, self.n_users)


class StreamPopularity(Counting[BaseConfig]):
    """Scores an item by how many events it has had so far, the same for every user."""

    name = "stream-popularity"
    is_personalised = False
    family = "baseline"
    summary = "Counts ratings as they arrive: the most-rated films so far, the same list for everyone."


@dataclass(frozen=True)
class RecentPopularityConfig(BaseConfig):
    """Parameters of `recent-popularity`."""

    popularity_half_life: float | None = shared("popularity_half_life", 5000.0, search=Range(200, 50_000, log=True))


class RecentPopularity(Counting[RecentPopularityConfig]):
    """Scores an item by its recent events: a count that halves every `popularity_half_life` events."""

    name = "recent-popularity"
    is_personalised = False
    family = "baseline"
    summary = "Counts ratings as they arrive and lets old ones fade: what is popular now, the same for everyone."
    Config = RecentPopularityConfig

    def __init__(self, config: RecentPopularityConfig | None = None) -> None:
        super().__init__(config)
        self.half_life = self.config.popularity_half_life


@dataclass(frozen=True)
class StreamItemKNNConfig(BaseConfig):
    """Parameters of `stream-item-knn`."""

    norm_shrinkage: float = option(
        3.0,
        "added to an item's norm, so that rare items count less",
        low=0,
        high=10_000,
        search=Range(0.5, 30, log=True),
        primary=1,
    )
    recency_half_life: float | None = preset(
        RecencyOptions, "recency_half_life", 2.0, search=(None, 1.0, 2.0, 3.0, 4.0, 6.0, 10.0), note=""
    )
    count_half_life: float | None = option(
        4.0,
        "events of the user between two items after which their co-occurrence counts half; empty: all count the same",
        low=0,
        high=10_000,
        open_low=True,
        search=(None, 2.0, 4.0, 8.0, 16.0),
    )
    recency_floor: float = preset(RecencyOptions, "recency_floor", 0.05, search=Range(0.01, 0.3))
    popularity_half_life: float | None = shared("popularity_half_life", None)
    share_weight: float = option(0.0, "weight of an item's share of all events in its score", low=0, high=1e6)


class StreamItemKNN(Counting[StreamItemKNNConfig]):
    """Cosine of items by how closely they follow each other in users' histories, updated event by event.

    An event of item i adds floor + 2^(-age / count_half_life) to the count c of i with each item h that the user had
    `age` events ago. score(i) = sum over h of (floor + 2^(-age / recency_half_life)) c(h, i) / sqrt(n(h)) /
    (sqrt(n(i)) + norm_shrinkage), where n counts events (incremental cosine as in Miranda & Jorge, Incremental
    collaborative filtering for binary ratings, WI 2008, with recency).
    """

    name = "stream-item-knn"
    title = "Stream-item-KNN"
    abilities = ("similar", "fold-in", "incremental")
    summary = "Counts which films are rated close together, and learns from every rating as it arrives."
    reference = "Miranda & Jorge, Incremental collaborative filtering for binary ratings, WI 2008"
    Config = StreamItemKNNConfig
    version = 2

    def __init__(self, config: StreamItemKNNConfig | None = None) -> None:
        super().__init__(config)
        self.half_life = self.config.popularity_half_life

    def learn(self, train: Interactions, context: FitContext) -> None:
        check_square(self.name, train, ("step", RecentPopularity.name))
        super().learn(train, context)

    def footprint(self, n_users: int, n_items: int, n_rows: int) -> dict[str, int]:
        return {"": 4 * 2 * n_items**2}

    def no_counts(self, n_items: int) -> dict[str, NDArray[np.float32]]:
        return {**super().no_counts(n_items), "together": np.zeros((n_items, n_items), np.float32)}

    def count(self, user: int, item: int, weight: float) -> None:
        past = self.past.items_of(user)
        if len(past):
            added = weight * self._recency(len(past), self.config.count_half_life)
            together = self.tables["together"]
            np.add.at(together[:, item], past, added)  # a repeated item is in the past twice
            np.add.at(together[item], past, added)
        super().count(user, item, weight)

    def score_user(self, user: int) -> NDArray[np.float32]:
        return self.score_items(self.past.items_of(user))

    def score_items(self, items: NDArray[Any], timed: bool = True) -> NDArray[np.float32]:
        counts = self.tables["counts"] / np.float32(self.next_weight)
        total = np.float32(self.config.share_weight / max(counts.sum(), 1.0))
        if not len(items):
            return counts * (total or np.float32(1.0))  # without a history popularity is all there is
        weights = self._recency(len(items), self.config.recency_half_life if timed else None)
        weights /= np.float32(self.next_weight) * np.sqrt(np.maximum(counts[items], 1e-6))
        score = weights @ self.tables["together"][items]
        score /= np.sqrt(counts) + np.float32(max(self.config.norm_shrinkage, 1e-6))
        return score + total * counts if total else score

    def item_similarity(self, item_idx: Tensor) -> Tensor:
        """Return the shrunk cosine of each seed with all items."""
        seeds, counts = item_idx.numpy(), self.tables["counts"] / np.float32(self.next_weight)
        norms = np.sqrt(np.maximum(counts[seeds], 1e-6))[:, None] * (
            np.sqrt(counts) + max(self.config.norm_shrinkage, 1e-6)
        )
        return torch.from_numpy((self.tables["together"][seeds] / self.next_weight / norms).astype(np.float32))

    def _recency(self, n: int, half_life: float | None) -> NDArray[np.float32]:
        if half_life is None:
            return np.ones(n, np.float32)
        return (self.config.recency_floor + 0.5 ** (np.arange(n) / half_life)).astype(np.float32)
