"""How `step` scores new users, of whom it knows a few ratings in no order; what each rating adds is exact.

score(i) = mean over likes h of k_h . k_i + vector_weight * t . d_i + bias_weight * b_i
         - dislike_weight * sum over dislikes h of max(cos(k_h, k_i), 0)^4
with k the factors of who likes an item and what it is (`item_vectors`), which events do not move; d the direction of
the vector that they do, t that of the sum of the likes' directions, and b the bias. A dislike takes from what is near
it alone, since a user who dislikes one item of a genre mostly likes others. Recommending by the mean of the likes is
after Rocchio (1971).
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor
from torch.nn.functional import normalize

from recengine.data.interactions import Interactions
from recengine.models.base import as_indices
from recengine.models.item_item.taste import Evidence
from recengine.models.recency import likes_and_dislikes
from recengine.models.sequence.sitting import DISLIKES_AT_ONCE, near

SHRINK_LENGTH = 0.1
"""Added to the length of a vector that gives a direction, so that one which hardly moved from zero counts little."""
LEAST = 1e-9
"""Length below which a vector has no direction."""


class Weights(Protocol):
    """The options that new users are scored by."""

    @property
    def dislike_weight(self) -> float: ...

    @property
    def vector_weight(self) -> float: ...

    @property
    def bias_weight(self) -> float: ...


class Tables(NamedTuple):
    """What is known of the items.

    kinds : (n_items, D) factors, and unit : their directions; directions : (n_items, D) of the vectors that events move
    bias  : (n_items,); scale : (2,) of the ratings of training
    """

    kinds: Tensor
    unit: Tensor
    directions: Tensor
    bias: Tensor
    scale: Tensor

    @classmethod
    def of(cls, kinds: Tensor, vectors: Tensor, bias: Tensor, scale: Tensor) -> Tables:
        """Return the tables for factors and vectors, (n_items, D) each."""
        return cls(kinds, normalize(kinds, dim=1, eps=LEAST), directions(vectors), bias, scale)

    def with_rows(self, item: Tensor, vectors: Tensor, bias: Tensor) -> Tables:
        """Return the tables where some items (n,) have other vectors (n, D) and biases (n,)."""
        moved = self.directions.index_copy(0, item, directions(vectors))
        return self._replace(directions=moved, bias=self.bias.index_copy(0, item, bias))


def directions(vectors: Tensor) -> Tensor:
    """Return the vectors (n, D) divided by their length, and by a little more."""
    return vectors / (vectors.norm(dim=1, keepdim=True) + SHRINK_LENGTH)


def evidence_of(rows: Interactions, scale: Tensor) -> Evidence:
    """Return the likes and dislikes among rows that are sorted by user."""
    like, dislike = (torch.from_numpy(chosen).float() for chosen in likes_and_dislikes(rows.rating, scale))
    starts = torch.from_numpy(np.cumsum(rows.user_counts) - rows.user_counts)
    return Evidence(torch.from_numpy(rows.item_idx.astype(np.int64)), starts, like, dislike)


def score_new_users(histories: Interactions, tables: Tables, weights: Weights) -> Tensor:
    """Return (histories.n_users, n_items) scores; the order of the rows changes not even the last bit."""
    rows = histories.select(np.lexsort((histories.item_idx, histories.user_idx)))
    evidence = evidence_of(rows, tables.scale)
    share = evidence.shares(evidence.like)
    scores = evidence.total(tables.kinds, evidence.item, share) @ tables.kinds.T
    taste = normalize(evidence.total(tables.directions, evidence.item, share), dim=1, eps=LEAST)
    scores += weights.vector_weight * taste @ tables.directions.T + weights.bias_weight * tables.bias
    user = evidence.users()
    for some in evidence.dislike.nonzero()[:, 0].split(DISLIKES_AT_ONCE):
        scores.index_add_(0, user[some], near(tables.unit, evidence.item[some]), alpha=-weights.dislike_weight)
    return scores


def explain_new_user(history: Interactions, item_idx: ArrayLike, tables: Tables, weights: Weights) -> Tensor:
    """Return (n_targets, n_history): what each rating of one user adds to each score; below 0 speaks against."""
    evidence, target = evidence_of(history, tables.scale), torch.as_tensor(as_indices(item_idx))
    share, item = evidence.shares(evidence.like), evidence.item
    length = (share @ tables.directions[item]).norm().clamp(min=LEAST)
    parts = tables.kinds[target] @ tables.kinds[item].T
    parts += weights.vector_weight / length * tables.directions[target] @ tables.directions[item].T
    taken = weights.dislike_weight * evidence.dislike * near(tables.unit, item)[:, target].T
    return parts * share - taken
