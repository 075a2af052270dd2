"""The evaluation policy: what is hidden from a list, who stands in for a model without a signal, how ties are broken.

The same object serves and evaluates, so that a figure is about the lists that users get.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import NamedTuple, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from recengine.data.interactions import Interactions
from recengine.errors import BadInput
from recengine.files import Json, JsonObject
from recengine.metrics import cell_salts, coordinates, mask_cells, mask_scores
from recengine.models.base import NEED_NO_RATINGS, Recommender

MASKS = {
    "seen": "all that the user had rated, high or low, as lists are served",
    "positives": "the positives that the user had in training and validation, as published tables of protocol P1 do",
}
"""What is hidden from a user's list, in words."""
FALLBACKS = {
    "popularity": "the most popular items stand in, and these users are counted",
    "none": "the model's own order is taken, whatever it is worth",
}
"""What a user gets of whom the model knows nothing, in words."""


@dataclass(frozen=True)
class EvaluationPolicy:
    """How lists are made, in an evaluation as in use. Raises BadInput for a choice that there is not.

    mask     : what is hidden from a user's list: a key of `MASKS`
    fallback : what a user gets of whom a model knows nothing, or whose items it all scores alike: a key of `FALLBACKS`
    tie_seed : sets the order of equal scores, which depends on neither ids nor popularity
    """

    mask: str = "seen"
    fallback: str = "popularity"
    tie_seed: int = 0

    def __post_init__(self) -> None:
        for field, known in (("mask", MASKS), ("fallback", FALLBACKS)):
            if getattr(self, field) not in known:
                raise BadInput(field, getattr(self, field), f"one of: {', '.join(known)}", problem="is unknown")

    def to_dict(self) -> dict[str, Json]:
        """Return plain values, JSON-ready."""
        return asdict(self)

    @classmethod
    def from_dict(cls, row: JsonObject) -> Self:
        """Read what `to_dict` wrote."""
        return cls(**row)

    def hides(self, rated: Interactions, positive: float) -> Interactions:
        """Return the rows whose items are not ranked, of all that users had rated."""
        return rated if self.mask == "seen" else rated.at_least(positive)

    def needs_fallback(self, model: Recommender) -> bool:
        """Tell whether something stands in for the model where it has no signal."""
        return self.fallback != "none" and model.family not in NEED_NO_RATINGS

    def apply(
        self,
        model: Recommender,
        scores: Tensor,
        users: ArrayLike,
        *,
        known: NDArray[np.bool_],
        popularity: Tensor,
        hidden: Interactions | None,
        among: ArrayLike | None = None,
    ) -> Scored:
        """Hide what is not to be ranked, and let popularity stand in where the model has no signal; in place.

        scores     : (B, n_items) of the model, in memory of their own
        users      : (B,) their indices in `hidden`, whose items are not ranked
        known      : (B,) of whom the model learned or was given anything
        popularity : (n_items,) scores that stand in
        among      : the only items that are ranked

        A user has no signal whom the model does not know, of whom it returns no item, or whose items that can be
        ranked all get the same score. Models that need no ratings speak for everyone.
        """
        needs_fallback = self.needs_fallback(model)
        fallback = ~known if needs_fallback else np.zeros(len(known), bool)
        if fallback.any():
            scores[torch.from_numpy(fallback)] = popularity
        lowest = scores.amin(1)  # NaN where a score is NaN
        blank = (scores == -torch.inf).any(1) if lowest.isnan().any() else lowest == -torch.inf
        cells = None if hidden is None else coordinates(hidden, users)
        mask_cells(scores, cells, among)
        if needs_fallback:
            unmoved = _is_flat(scores, blank).numpy() & known
            if unmoved.any():
                position = np.flatnonzero(unmoved)
                stands_in = popularity.expand(len(position), -1).clone()
                some = np.atleast_1d(np.asarray(users))[position]
                stands_in = mask_scores(stands_in, some, seen=hidden, among=among)
                unmoved[position] = (
                    (stands_in > -torch.inf).any(1).numpy()
                )  # nothing is left to list: nothing stands in
                scores[torch.from_numpy(position)] = stands_in
                fallback = fallback | unmoved
        if not fallback.any():
            scores = model.arrange(scores)
        elif arranges(model) and not fallback.all():
            own = torch.from_numpy(~fallback)
            scores[own] = model.arrange(scores[own])
        return Scored(scores, fallback, cell_salts(len(scores), cells, self.tie_seed))


def arranges(model: Recommender) -> bool:
    """Tell whether a model's lists may stand in another order than that of its scores."""
    return type(model).arrange is not Recommender.arrange


class Scored(NamedTuple):
    """Scores of a batch as they are ranked.

    scores   : (B, n_items), -inf where an item is not ranked
    fallback : (B,) bool, whose scores are popularity because the model has no signal for them
    salts    : (B,) int64, the order of equal scores
    """

    scores: Tensor
    fallback: NDArray[np.bool_]
    salts: Tensor


def _is_flat(scores: Tensor, blank: Tensor) -> Tensor:
    """Return (B,) bool: have all items that can be ranked one score, more than one of them, or is there none at all?

    blank : (B,) whether the model itself left items out: it says something by that, and equal scores are an answer
    """
    some = scores[:, :: scores.shape[1] // 64 + 1]  # two scores among these that differ settle it for most users
    flat = some.amax(1) <= torch.where(some > -torch.inf, some, torch.inf).amin(1)
    if not flat.any():
        return flat
    rest = scores[flat]
    best = rest.amax(1, keepdim=True)
    ranked = rest > -torch.inf
    level = ((rest == best) | ~ranked).all(1) & (ranked.sum(1) > 1) & ~blank[flat]
    flat[flat.clone()] = level | (best[:, 0] == -torch.inf)
    return flat
