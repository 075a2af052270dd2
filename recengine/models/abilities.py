"""What a model can do beyond ranking: each ability, and the methods that a model with it has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol, Self, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from recengine.data.interactions import Interactions
from recengine.errors import BadInput
from recengine.models.streaming.step_arrays import Rule, Sampler, Scratch, Tables

if TYPE_CHECKING:
    from recengine.models.ratings.stars import Stars


@runtime_checkable
class SupportsSimilar(Protocol):
    """Knows which items are similar, by its `item_similarity`, or by the cosine of its `item_vectors`."""

    def item_similarity(self, item_idx: Tensor) -> Tensor | None:
        """Return (B, n_items) similarities of all items to each given one."""
        ...


@runtime_checkable
class SupportsFoldIn(Protocol):
    """Scores users who are not in the training data from their ratings alone."""

    def score_history(self, histories: Interactions) -> Tensor:
        """Return (histories.n_users, n_items) scores; each user of `histories` is one new user."""
        ...


@runtime_checkable
class SupportsExplain(Protocol):
    """Splits what a user's history adds to a score over that history: exactly so for new users."""

    @property
    def scores_from_history(self) -> bool:
        """Return whether users of the data, too, are scored as new users with the same rows would be."""
        ...

    def explain(self, history: Interactions, item_idx: ArrayLike) -> Tensor:
        """Return (n_targets, n_history): what each row of a history, that of one user, adds to each score.

        What it takes is negative. The sum is the score of a new user with this history less that of one without.
        """
        ...


class Product(NamedTuple):
    """Vectors whose products are scores: score(u, i) = users[u] . items[i] + user_bias[u] + item_bias[i].

    users : (n_users, D), items : (n_items, D)
    user_bias : (n_users,), item_bias : (n_items,), None where there is none
    """

    users: Tensor
    items: Tensor
    user_bias: Tensor | None = None
    item_bias: Tensor | None = None


def no_product(setting: str, value: object, remedy: str = "turn it off") -> BadInput:
    """Return what `ScoresByProduct.product` raises because of a setting."""
    return BadInput(setting, value, remedy=remedy, problem="bends the products of vectors, which then are no scores")


@runtime_checkable
class ScoresByProduct(Protocol):
    """Scores users of the data by products of vectors, which other software can do as well."""

    def product(self) -> Product:
        """Return the vectors and biases whose products are the scores. Raises BadInput where a setting bends these."""
        ...


@runtime_checkable
class NamesStanding(Protocol):
    """Names the parts of what it scores an item for a user without ratings; no ability, but a better explanation."""

    def standing(self) -> Mapping[str, Tensor]:
        """Return what all items get, (n_items,) each, by name; they sum to the scores of a user without ratings."""
        ...


@runtime_checkable
class BlendsLikeness(Protocol):
    """Says how alike items are from 0 to 1 on one scale for all, by users and by content; no ability of its own."""

    def share_by_users(self, item_idx: Tensor) -> Tensor:
        """Return (B,): how much of the likeness to each given item is by users, where content counts the rest."""
        ...

    def likeness_by_users(self, item_idx: Tensor) -> Tensor:
        """Return (B, n_items) from 0 to 1: the part by users alone."""
        ...

    def likeness_by_content(self, item_idx: Tensor) -> Tensor:
        """Return (B, n_items) from 0 to 1: the part by content alone."""
        ...


@runtime_checkable
class SupportsPartialFit(Protocol):
    """Learns from events as they come, without training again."""

    def partial_fit(self, events: Interactions) -> Self:
        """Learn from the events in the order given; users and items that are new to the model are added."""
        ...

    def forget_from(self, n_users: int) -> Self:
        """Forget the users from index `n_users` on and their events; what the items learned from them stays."""
        ...

    def test_then_train(
        self, events: Interactions, *, learns: bool = True, masked: bool = True, limit: int = 0
    ) -> NDArray[np.int32]:
        """Return the rank of each event's item, (n,) from 1, among all items just before the event is learned.

        learns : otherwise the events are only remembered, and so left out of what follows
        masked : leave out what the user had before
        limit  : worse ranks need not be distinguished, and are `limit` + 1; 0 for all ranks
        """
        ...


@runtime_checkable
class PredictsRatings(Protocol):
    """Predicts the rating itself, in the scale of the data."""

    @property
    def scale(self) -> tuple[float, float]:
        """Return the lowest and the highest rating of the data."""
        ...

    def predict(self, user_idx: ArrayLike, item_idx: ArrayLike) -> Tensor:
        """Return (n,) predicted ratings of aligned users and items."""
        ...

    def estimates(self, user_idx: ArrayLike) -> Tensor:
        """Return (B, n_items) predicted ratings of all items for a batch of users."""
        ...


@runtime_checkable
class PredictsStars(PredictsRatings, Protocol):
    """Predicts the ratings of new users, too, and says how sure that is; where it learned from events, none."""

    def stars(self, histories: Interactions) -> Stars:
        """Return the rating of each item by each new user, (histories.n_users, n_items), and its interval."""
        ...


@runtime_checkable
class SupportsProfiles(Protocol):
    """Scores new users known only by age, gender or occupation."""

    def score_profiles(self, profiles: Sequence[Mapping[str, str]]) -> Tensor:
        """Return (len(profiles), n_items) scores."""
        ...


class SessionConfig(Protocol):
    """What an `OnlineSession` asks of the config of its model."""

    @property
    def negatives_from(self) -> str:
        """Return where negative samples are drawn from."""
        ...

    @property
    def passes(self) -> int:
        """Return the number of steps on each event."""
        ...

    @property
    def replay(self) -> int:
        """Return the number of earlier events that are learned again with each."""
        ...


@runtime_checkable
class SupportsSession(Protocol):
    """Lends its tables to an `OnlineSession`, in which one user's events move copies of what they touch."""

    @property
    def config(self) -> SessionConfig:
        """Return the settings of the model."""
        ...

    @property
    def negatives(self) -> int:
        """Return the number of negatives of one event."""
        ...

    def arrays(self) -> tuple[Tables, Rule, Sampler, Scratch]:
        """Return the tables, the update rule, the sampler of negatives and the scratch space, as NumPy arrays."""
        ...

    def weigh(self, rating: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return how much an event of each rating counts."""
        ...

    def score_new(self, histories: Interactions, changed: tuple[NDArray[np.int32], Tables] | None = None) -> Tensor:
        """Return (histories.n_users, n_items) scores; `changed` are some items and what their rows have become."""
        ...


ABILITIES: Mapping[str, type] = {
    "similar": SupportsSimilar,
    "product": ScoresByProduct,
    "fold-in": SupportsFoldIn,
    "explain": SupportsExplain,
    "incremental": SupportsPartialFit,
    "ratings": PredictsRatings,
    "stars": PredictsStars,
    "profiles": SupportsProfiles,
    "session": SupportsSession,
}
"""The abilities that a model may declare, each with the methods that it then has."""
