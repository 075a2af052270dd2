"""Why not: the fewest further ratings that would bring an item into a user's list, tried on the model itself."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from recengine.data.dataset import Dataset
from recengine.data.interactions import Interactions
from recengine.errors import BadInput
from recengine.evaluation.policy import Scored
from recengine.metrics import top_k
from recengine.models.abilities import SupportsExplain
from recengine.models.base import Recommender, heard
from recengine.serving.recommend import scored_new

KNOWN = 300
"""Most rated items, which a user may well have seen: the ratings of an answer are of these."""
MOST = 3
"""Ratings in the largest answer that is looked for."""
LIKELY, BEAM = 64, 12
"""Items that are tried alone, and the sets of each size that are tried with one more."""
ROWS_AT_ONCE = 2**15
"""Ratings that are scored at once."""

Items = tuple[int, ...]


@dataclass(frozen=True)
class WhyNot:
    """What would bring an item into the list.

    rank     : where it stands now, from 1
    ratings  : the items that the best rating would have to be given to; () where it is listed already, None where
               no set of `MOST` or fewer was found
    new_rank : where it would stand then, as the model's own list says
    """

    item_idx: int
    rank: int
    ratings: Items | None
    new_rank: int | None


@torch.inference_mode()
def why_not(
    model: Recommender,
    dataset: Dataset,
    history: Interactions,
    target: int,
    *,
    k: int = 10,
    positive: float = 4.0,
    passed: Interactions | None = None,
    seen: Interactions | None = None,
) -> WhyNot:
    """Return the smallest set of further best ratings that brings an item into the first k of a new user's list.

    history      : all that the user rated
    passed, seen : what else the user is not listed, as `recommend_new` takes it

    The items tried are the `KNOWN` most rated ones that the user has not rated and that speak for the target by
    themselves. Sets grow from the best of those one smaller (beam search), so a smaller answer or any answer can be
    missed; every answer was run as `recommend_new` serves it.
    Raises BadInput for an item that is rated already, and for a model without fold-in.
    """
    search = _Search(model, dataset, history, target, k, positive, passed, seen)
    for rows, what in ((history, "rated"), (passed, "passed"), (seen, "seen")):
        if rows is not None and target in rows.item_idx:
            raise BadInput("item", str(dataset.item_ids[target]), "an item that is not", problem=f"is {what} already")
    rank = search.rank(())
    if rank <= k:
        return WhyNot(target, rank, (), rank)
    likely = search.likely()
    sets: Sequence[Items] = [()]
    for _ in range(MOST):
        tried = sorted({tuple(sorted((*one, item))) for one in sets for item in likely if item not in one})
        order = sorted(zip(search.leads(tried), tried, strict=True), key=lambda pair: -pair[0])
        for lead, one in order:
            if lead < 0:
                break
            if (new_rank := search.rank(one)) <= k:
                return WhyNot(target, rank, one, new_rank)
        if sets == [()]:
            likely = [item for _, (item,) in order[: 2 * BEAM]]
        sets = [one for _, one in order[:BEAM]]
    return WhyNot(target, rank, None, None)


class _Search:
    """What the search asks of the model, for one user and one item."""

    def __init__(
        self,
        model: Recommender,
        dataset: Dataset,
        history: Interactions,
        target: int,
        k: int,
        positive: float,
        passed: Interactions | None,
        seen: Interactions | None,
    ) -> None:
        self.model, self.dataset, self.history = model, dataset, history
        self.target, self.k, self.positive = target, k, positive
        self.passed, self.seen = passed, seen
        self.best = dataset.rating_range[1]

    def likely(self) -> list[int]:
        """Return the items to try, at most `LIKELY`: those that add most to the target's score."""
        counts = self.dataset.ratings.item_counts.copy()
        counts[[*self.history.item_idx, self.target]] = -1
        known = np.argsort(-counts, kind="stable")[:KNOWN]
        known = known[counts[known] > 0]
        if isinstance(self.model, SupportsExplain):
            rows = heard(self.model, self.with_ratings([known.tolist()]), self.positive)
            added = self.model.explain(rows, [self.target])[0].cpu().numpy()
            amount = np.zeros(self.dataset.n_items)
            amount[rows.item_idx] = added
            known = known[amount[known] > 0]
            known = known[np.argsort(-amount[known], kind="stable")]
        return known[:LIKELY].tolist()

    def rank(self, ratings: Items) -> int:
        """Return the target's rank after some best ratings, in the whole list that is served."""
        scored = self._scored([ratings])
        listed = top_k(scored.scores, self.dataset.n_items, scored.salts).items[0]
        return int((listed == self.target).nonzero()[0]) + 1

    def leads(self, sets: Sequence[Items]) -> list[float]:
        """Return how far the target stands above the k-th best other item, for each set of best ratings."""
        size = max(1, ROWS_AT_ONCE // (len(self.history) + MOST))
        return [
            lead for start in range(0, len(sets), size) for lead in self._leads(sets[start : start + size]).tolist()
        ]

    def _leads(self, sets: Sequence[Items]) -> Tensor:
        scores = self._scored(sets).scores
        own = scores[:, self.target].clone()
        scores[:, self.target] = -torch.inf
        return own - scores.topk(self.k, dim=1).values[:, -1]

    def _scored(self, sets: Sequence[Items]) -> Scored:
        everyone = np.zeros(len(sets), np.int64)
        passed, seen = (None if rows is None else rows.of_users(everyone) for rows in (self.passed, self.seen))
        return scored_new(
            self.model, self.dataset, self.with_ratings(sets), positive=self.positive, passed=passed, seen=seen
        )

    def with_ratings(self, sets: Sequence[Iterable[int]]) -> Interactions:
        """Return one new user for each set, whose items get the best rating after all else."""
        added = [(user, item) for user, one in enumerate(sets) for item in one]
        user, item = zip(*added, strict=True) if added else ((), ())
        past = self.history.of_users(np.zeros(len(sets), np.int64))
        latest = int(past.timestamp.max(initial=0))
        more = Interactions.from_pairs(
            user,
            item,
            rating=np.full(len(added), self.best),
            timestamp=np.full(len(added), latest + 1),
            n_users=len(sets),
            n_items=past.n_items,
        )
        return past.concat(more)
