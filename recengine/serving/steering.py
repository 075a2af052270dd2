"""Steering: a list moved towards the lesser-known, the surprising, the new or a mood, and back to just what it was."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike
from torch import Tensor
from torch.nn.functional import normalize

from recengine.data.dataset import Dataset
from recengine.data.interactions import Interactions
from recengine.errors import BadInput
from recengine.models.metadata import metadata_table
from recengine.serving.moods import MOODS, mood_features

DEPTH = 100
"""The unit in which items are moved is how far the score of this rank is behind the best."""
STRENGTH, MOOD_STRENGTH = 0.5, 1.0
"""How many units a knob at its end, and a mood, move an item that is wholly of its kind."""

LESSER_KNOWN = 10
"""Likes up to which an item counts as wholly lesser-known."""


@dataclass(frozen=True)
class Knobs:
    """How a list is steered; 0 leaves it alone. Raises BadInput for a value out of range or a mood there is not.

    obscure    : from -1, the well-known, to 1, the lesser-known
    surprising : from -1, the genres that the user likes, to 1, other ones
    new        : from -1, old, to 1, new
    mood       : a key of `MOODS`, or ""
    """

    obscure: float = 0.0
    surprising: float = 0.0
    new: float = 0.0
    mood: str = ""

    def __post_init__(self) -> None:
        for name, value in self.positions().items():
            if not -1 <= value <= 1:
                raise BadInput(name, value, "-1 to 1, and 0 for none", problem="is out of range")
        if self.mood and self.mood not in MOODS:
            raise BadInput("mood", self.mood, f"one of: {', '.join(MOODS)}", problem="is unknown")

    def positions(self) -> dict[str, float]:
        """Return the knobs from -1 to 1."""
        return {field.name: getattr(self, field.name) for field in fields(self) if field.name != "mood"}

    def turned(self, name: str, value: float) -> Knobs:
        """Return these with one of `positions` turned."""
        changed: dict[str, Any] = {name: value}
        return replace(self, **changed)

    @property
    def is_neutral(self) -> bool:
        """Return whether they leave a list alone."""
        return self == Knobs()


class Traits:
    """What steering knows of a data set's items, each trait from -1 to 1, (n_items,) float32.

    obscure : from -1 for the item that most users like to 1 for those that `LESSER_KNOWN` or fewer like, evenly in the
              logarithm of their number: what hardly anyone has seen is no better than what few have
    new     : the share of the items that are older less the share that are newer; 0 where the year is not known
    moods   : the moods that the data carry
    """

    def __init__(self, items: pd.DataFrame, liked_counts: ArrayLike) -> None:
        """Take the item table and how many users like each item, (n_items,)."""
        known = np.log(np.maximum(liked_counts, LESSER_KNOWN) / LESSER_KNOWN)
        self.obscure = torch.from_numpy((1 - 2 * known / max(known.max(initial=0), 1e-9)).astype(np.float32))
        years = items["year"].to_numpy(np.float64, na_value=np.nan)
        dated = np.sort(years[~np.isnan(years)])
        older, not_newer = (np.searchsorted(dated, years, side) for side in ("left", "right"))
        standing = (older + not_newer - len(dated)) / max(len(dated), 1)
        self.new = torch.from_numpy(np.where(np.isnan(years), 0, standing).astype(np.float32))
        self.genres = normalize(metadata_table(items, ["genres"], len(items), least=1), dim=1, eps=1e-12)
        self._items = items

    @classmethod
    def of(cls, dataset: Dataset, positive: float) -> Traits:
        """Return the traits of a data set's items."""
        return cls(dataset.items, dataset.liked_counts(positive))

    @cached_property
    def moods(self) -> Mapping[str, Tensor]:
        """Return mood -> how much of it each item has."""
        return mood_features(self._items)

    def surprising(self, likes: Interactions) -> Tensor:
        """Return (likes.n_users, n_items): 1 - 2 cos(genres of the item, genres of the user's likes) / the largest.

        It is 0 for items without genres, and for users without likes.
        """
        profile = torch.zeros(likes.n_users, self.genres.shape[1])
        profile.index_add_(0, torch.tensor(likes.user_idx), self.genres[torch.tensor(likes.item_idx)])
        shared = normalize(profile, dim=1, eps=1e-12) @ self.genres.T
        largest = shared.amax(1, keepdim=True)
        known = (largest > 0) & (self.genres.amax(1) > 0)
        return torch.where(known, 1 - 2 * shared / largest.clamp(min=1e-9), 0.0)


class Steering(NamedTuple):
    """Knobs, and the traits of the items that they move."""

    knobs: Knobs
    traits: Traits

    def rerank(self, scores: Tensor, likes: Interactions) -> Tensor:
        """Return the scores (B, n_items) by which a steered list is ranked; the very same where all knobs are neutral.

        score'(i) = score(i) + u * (STRENGTH * sum over knobs of knob * trait(i) + MOOD_STRENGTH * mood(i)), with u the
        score of the best item less that of rank DEPTH. Items at -inf stay there. Traits do not depend on the knobs, so
        turning one further never lowers the mean of its trait over the first k. `likes` are the users' liked rows.
        Raises BadInput for a mood that the data set cannot carry.
        """
        knobs, traits = self
        if knobs.is_neutral:
            return scores
        shift = STRENGTH * (knobs.obscure * traits.obscure + knobs.new * traits.new)
        if knobs.mood:
            if knobs.mood not in traits.moods:
                expected = f"one of: {', '.join(traits.moods)}" if traits.moods else ""
                problem = "is not in this data set: too few of its items have the genres, keywords or tags"
                raise BadInput("mood", knobs.mood, expected, problem=problem)
            shift = shift + MOOD_STRENGTH * traits.moods[knobs.mood]
        if knobs.surprising:
            shift = shift + STRENGTH * knobs.surprising * traits.surprising(likes)
        best = scores.topk(min(DEPTH, scores.shape[1]), dim=1).values
        last = torch.where(best > -torch.inf, best, torch.inf).amin(1, keepdim=True)  # fewer may be left
        unit = torch.where(last < torch.inf, best[:, :1] - last, 0.0).clamp(min=1e-6)
        return scores + unit * shift
