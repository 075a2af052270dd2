"""`stream-blend`: item-item counts and `step`, as one incremental model."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from recengine.data.interactions import Interactions
from recengine.models.base import ConfigT, FitContext, Recommender
from recengine.models.recency import likes_and_dislikes
from recengine.models.streaming.base import Incremental
from recengine.models.streaming.counts import StreamItemKNN, StreamItemKNNConfig
from recengine.models.streaming.step import Step, StepConfig
from recengine.training.config import Range, option


@dataclass(frozen=True)
class StreamBlendConfig(StepConfig, StreamItemKNNConfig):
    """Parameters of `stream-blend`: those of both parts, and their balance."""

    step_weight: float = option(
        0.6, "weight of `step`, where `stream-item-knn` has 1", low=0, high=1000, search=Range(0.2, 5, log=True)
    )


class StreamBlend(Incremental[StreamBlendConfig]):
    """score(u, i) = z(item-knn) + step_weight * z(step), z standardising each part's scores of user u.

    The neighbours know what follows what, the factors who likes what. Both learn from every event, independently.
    """

    name = "stream-blend"
    family = "hybrid"
    abilities = ("similar", "fold-in", "incremental")
    hears_dislikes = True
    summary = "Stream-item-KNN and Step in one score: which films go together, and who likes what."
    Config = StreamBlendConfig
    version = 4

    def __init__(self, config: StreamBlendConfig | None = None) -> None:
        super().__init__(config)
        self.step, self.neighbours = Step(self._part(StepConfig)), StreamItemKNN(self._part(StreamItemKNNConfig))

    def _part(self, kind: type[ConfigT]) -> ConfigT:
        return kind(**{field.name: getattr(self.config, field.name) for field in dataclasses.fields(kind)})

    def reads(self) -> Sequence[str]:
        return self.step.reads()

    def learn(self, train: Interactions, context: FitContext) -> None:
        self.step.fit(train, items=context.items, run=context.run)
        self.neighbours.fit(train, run=context.run)
        self.past, self.n_unknown = self.neighbours.past, self.step.n_unknown

    def footprint(self, n_users: int, n_items: int, n_rows: int) -> dict[str, int]:
        return self.step.footprint(n_users, n_items, n_rows) | self.neighbours.footprint(n_users, n_items, n_rows)

    def grow(self, n_users: int, n_items: int) -> None:
        pass  # each part grows in its `make_room`

    def make_room(self, events: Interactions) -> None:
        self.step.make_room(events)
        self.neighbours.make_room(events)
        self.n_users, self.n_items, self.past = self.step.n_users, self.step.n_items, self.neighbours.past

    def forget_from(self, n_users: int) -> Self:
        for part in (self.step, self.neighbours):
            part.forget_from(n_users)
        self.n_users, self.past = n_users, self.neighbours.past
        return self

    def train_on_event(self, user: int, item: int, rating: float) -> None:
        self.step.train_on_event(user, item, rating)
        self.neighbours.train_on_event(user, item, rating)

    def record_event(self, user: int, item: int, rating: float) -> None:
        self.step.record_event(user, item, rating)
        self.neighbours.record_event(user, item, rating)

    def score_user(self, user: int) -> NDArray[np.float32]:
        return self._blend(self.neighbours.score_user(user), self.step.score_user(user))

    def score_history(self, histories: Interactions) -> Tensor:
        """Return (histories.n_users, n_items) scores of users known only by these rows; `step` hears the dislikes.

        The likes alone set mean and deviation: what a dislike takes from an item must not lift all the others.
        """
        likes = histories.select(likes_and_dislikes(histories.rating, self.step.scale)[0])
        liked = self.step.score_history(likes).numpy()
        scores = self._blend(self.neighbours.score_history(likes).numpy(), liked)
        if len(likes) < len(histories):
            taken = self.step.score_history(histories).numpy() - liked
            scores += self.config.step_weight * taken / np.maximum(liked.std(-1, keepdims=True), 1e-9)
        return torch.from_numpy(scores)

    def _blend(self, neighbours: NDArray[np.float32], factors: NDArray[np.float32]) -> NDArray[np.float32]:
        return (standardised(neighbours) + self.config.step_weight * standardised(factors)).astype(np.float32)

    def item_similarity(self, item_idx: Tensor) -> Tensor | None:
        return self.neighbours.item_similarity(item_idx)

    def state(self) -> dict[str, Tensor]:
        parts: dict[str, Recommender] = {"step": self.step, "neighbours": self.neighbours}
        return {f"{part}.{name}": tensor for part, model in parts.items() for name, tensor in model.state().items()}

    def restore(self, state: dict[str, Tensor]) -> None:
        for part, model in (("step.", self.step), ("neighbours.", self.neighbours)):
            model.n_users, model.n_items = self.n_users, self.n_items
            model.restore({name.removeprefix(part): t for name, t in state.items() if name.startswith(part)})
        self.past = self.neighbours.past


def standardised(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return scores (..., n_items) with mean 0 and standard deviation 1 per row; a row of equal scores becomes 0."""
    centred = scores - scores.mean(-1, keepdims=True)
    return centred / np.maximum(centred.std(-1, keepdims=True), 1e-9)
