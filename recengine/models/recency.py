"""Recency: where a score comes from a user's history, later events may count more."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Generic, Literal, TypeVar

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from recengine.data.interactions import Interactions
from recengine.training.config import Config, Range, option

if TYPE_CHECKING:
    from recengine.models.base import Recommender

HALF_LIVES = (1.0, 2.0, 3.0, 5.0, 10.0, 20.0)
"""What `auto` tries, apart from no recency at all."""


@dataclass(frozen=True)
class RecencyOptions:
    """Options that every config of a model that scores from a history has, itself no config.

    Recency weighs what a user is scored from, never what is learned of the items.
    """

    recency_half_life: float | Literal["auto"] | None = option(
        None,
        "later events of the same user after which an item's recency bonus halves; empty: no bonus",
        note="auto: chosen on validation",
        low=0,
        high=10_000,
        open_low=True,
        search=(None, *HALF_LIVES),
        primary=2,
    )
    recency_floor: float = option(
        0.15,
        "weight that even the oldest item keeps; the recency bonus of the latest is 1",
        low=0,
        high=10,
        search=Range(0.02, 0.5, log=True),
        primary=2,
    )

    @property
    def weighs(self) -> bool:
        """Return whether later events count more; with `auto` not before validation has chosen."""
        return isinstance(self.recency_half_life, float)

    def recency(self, age: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return floor + 2^(-age / half-life), the weight of an event that `age` later ones of the user follow."""
        if not isinstance(self.recency_half_life, float):
            return np.ones(len(age), np.float32)
        return (self.recency_floor + 0.5 ** (age / self.recency_half_life)).astype(np.float32)


@dataclass(frozen=True)
class HistoryConfig(RecencyOptions, Config):
    """Options of a model that scores from a history."""


@dataclass(frozen=True)
class TwoSidedOptions(RecencyOptions):
    """Options that every config of a model has that hears what a new user dislikes, itself no config."""

    dislike_weight: float = option(
        0.3, "what a new user's dislike takes, where a like gives 1", low=0, high=10, primary=2
    )


@dataclass(frozen=True)
class TwoSidedConfig(TwoSidedOptions, Config):
    """Options of a model that scores from a history and hears what a new user dislikes."""


RecencyT = TypeVar("RecencyT", bound=RecencyOptions)
TwoSidedT = TypeVar("TwoSidedT", bound=TwoSidedOptions)
TwoSidedConfigT = TypeVar("TwoSidedConfigT", bound=TwoSidedConfig)


def recency_weights(histories: Interactions, config: RecencyOptions) -> NDArray[np.float32]:
    """Return the weight of each row (n,), by how many events of the same user came later.

    It is 1 for a user whose events all have one time: their order is not known.
    """
    if not config.weighs:
        return np.ones(len(histories), np.float32)
    order = histories.chronological()
    age = np.empty(len(order), np.int64)
    age[order] = np.cumsum(histories.user_counts)[histories.user_idx[order]] - 1 - np.arange(len(order))
    return np.where(timed_users(histories)[histories.user_idx], config.recency(age), 1).astype(np.float32)


def timed_users(histories: Interactions) -> NDArray[np.bool_]:
    """Return (n_users,) whose events have more than one time, so that an order of them is known."""
    first = np.full(histories.n_users, np.iinfo(np.int64).max)
    last = np.full(histories.n_users, np.iinfo(np.int64).min)
    np.minimum.at(first, histories.user_idx, histories.timestamp)
    np.maximum.at(last, histories.user_idx, histories.timestamp)
    return first < last


class HistoryModel(ABC, Generic[RecencyT]):
    """What models share that score a user from rows which they need not have learned from.

    It stands before `Recommender` or a subclass of it among the bases.
    """

    config: RecencyT
    trains_users: ClassVar[bool] = False
    """Whether users of the data are scored by what they were trained to, as long as recency does not weigh."""

    @property
    def scores_from_history(self) -> bool:
        """Return whether users of the data, too, are scored as new users with the same rows would be."""
        return self.config.weighs or not self.trains_users

    @abstractmethod
    def score_history(self, histories: Interactions) -> Tensor:
        """Return (histories.n_users, n_items) scores of users known only by these rows, weighted by recency."""

    @abstractmethod
    def serve_from(self, rows: Interactions) -> None:
        """Score the users of the data from these rows, weighted by recency, from now on."""


class TwoSidedModel(HistoryModel[TwoSidedT]):
    """What models share that learn from positives and let low ratings of a new user count against what is like them.

    A like is what training holds: ratings from its lowest up. A dislike is lower, and at most half of its highest.
    """

    hears_dislikes = True
    scale: Tensor
    """(2,) float32: the lowest and the highest rating of training."""

    def take_scale(self, train: Interactions) -> None:
        """Note the ratings of training, before it weighs a history."""
        self.scale = rating_scale(train)

    def signed_weights(self, histories: Interactions) -> NDArray[np.float32]:
        """Return (n,) what each row weighs: a like by its recency among the likes, a dislike below 0, all else 0."""
        liked, disliked = likes_and_dislikes(histories.rating, self.scale)
        weights = np.where(disliked, -self.config.dislike_weight, 0).astype(np.float32)
        weights[liked] = recency_weights(histories.select(liked), self.config)
        return weights


def rating_scale(train: Interactions) -> Tensor:
    """Return (2,) the lowest and the highest rating of training."""
    return torch.tensor([train.rating.min(), train.rating.max()] if len(train) else [0.0, 0.0])


def likes_and_dislikes(rating: NDArray[np.float32], scale: Tensor) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return which ratings (n,) are likes and which dislikes, by the `scale` of training, as `TwoSidedModel` says."""
    least, highest = scale.tolist()
    liked = rating >= least
    return liked, ~liked & (rating <= highest / 2)


def training_scorer(model: Recommender, train: Interactions) -> Callable[[ArrayLike], Tensor]:
    """Return what, before `learn` has ended, scores users as `score` will afterwards."""
    if isinstance(model, HistoryModel) and model.config.weighs:
        return lambda users: model.score_history(train.of_users(users))
    return model.score
