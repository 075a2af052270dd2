"""Why not: the fewest ratings that would bring an item into a user's list, tried on the model itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from recengine.data.dataset import Dataset
from recengine.data.interactions import Interactions
from recengine.errors import BadInput
from recengine.evaluation.policy import Scored
from recengine.metrics import top_k
from recengine.models.abilities import SupportsExplain
from recengine.models.base import Recommender, heard
from recengine.serving.recommend import scored_new

KNOWN, RELATIVES = 2000, 200
"""Most rated items, and those most like the item, which a user may well have seen: an answer's new ratings are of these
and of the items listed."""
MOST = 5
"""Ratings in the largest answer that is looked for."""
LIKELY, OWN, LISTED = 200, 16, 20
"""New ratings of known items that are tried alone, changes of ratings that the user gave, and items of the list that
are tried with either end of the scale: a rated one leaves it."""
WIDTH, REJECTED, BEAM = 50, 25, 8
"""New likes and other ratings that larger sets are made of, and the sets of each size that one more is added to."""
SWAPPED, SWAPS = 2, 3
"""Sets of the largest size of which one rating is swapped for another, and how often, as long as that gains."""
ROWS_AT_ONCE = 2**15
"""Ratings that are scored at once."""


class Given(NamedTuple):
    """A rating that a user might give."""

    item_idx: int
    rating: float


Set = tuple[Given, ...]


@dataclass(frozen=True)
class WhyNot:
    """What would bring an item into the list.

    rank     : where it stands now, from 1
    ratings  : what the user would have to rate, or to rate otherwise; () where the item is listed already, None where
               no set of `MOST` or fewer was found
    new_rank : where it would stand then, as the model's own list says
    """

    item_idx: int
    rank: int
    ratings: Set | None
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
    progress: Callable[[float], object] = lambda share: None,
) -> WhyNot:
    """Return the smallest set of ratings that brings an item into the first k of a new user's list.

    history      : all that the user rated
    passed, seen : what else the user is not listed, as `recommend_new` takes it
    progress     : is called with the share of all tries that has been made, again and again; what it raises ends it

    Tried are the best rating for the `KNOWN` most rated items that the user has not rated and for those most like the
    target, both ends of the scale for what is listed, and the other end for what the user has rated; of the known and
    the user's own the likeliest, by what they add to the target and to the list. Sets grow from the best of those one
    smaller (beam search), and of the best of the largest ratings are swapped; so a smaller answer, or any, can be
    missed. Every answer was run as `recommend_new` serves it; of equally large ones, that with most new likes and then
    the clearest is returned.

    Raises BadInput for an item that is rated or left out already, and for a model without fold-in.
    """
    for rows, what in ((history, "rated"), (passed, "passed"), (seen, "seen")):
        if rows is not None and target in rows.item_idx:
            raise BadInput("item", str(dataset.item_ids[target]), "an item that is not", problem=f"is {what} already")
    search = _Search(model, dataset, history, target, k, positive, passed, seen)
    rank = search.rank(())
    if rank <= k:
        return WhyNot(target, rank, (), rank)
    likely, sets = search.likely(), list[Set]([()])
    leads: dict[Set, float] = {}
    for turn in range(MOST + SWAPS):
        if turn < MOST:
            tried, leads = _grown(sets, likely), {}
        else:
            tried = _swapped(sets[:SWAPPED], likely) - leads.keys()
        for some, lead in search.leads(sorted(tried)):
            leads |= zip(some, lead, strict=True)
            progress((turn + len(tried & leads.keys()) / len(tried)) / (MOST + SWAPS))
        answers = [one for one in tried if leads[one] >= 0]
        for one in sorted(answers, key=lambda one: (search.unlikely(one), -leads[one], one)):
            if (new_rank := search.rank(one)) <= k:
                return WhyNot(target, rank, one, new_rank)
        sets = sorted(leads, key=lambda one: (-leads[one], one))
        if turn == 0:
            likely = search.chosen([given for (given,) in sets])
        sets = sets[:BEAM]
    return WhyNot(target, rank, None, None)


def _grown(sets: Sequence[Set], ratings: Sequence[Given]) -> set[Set]:
    """Return all sets with one more of the ratings, of an item that the set does not hold."""
    return {
        tuple(sorted([*one, given]))
        for one in sets
        for given in ratings
        if all(given.item_idx != other.item_idx for other in one)
    }


def _swapped(sets: Sequence[Set], ratings: Sequence[Given]) -> set[Set]:
    """Return all sets with one of the ratings in place of one that they hold."""
    smaller = [tuple(given for given in one if given != left) for one in sets for left in one]
    return _grown(smaller, ratings)


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
        self.worst, self.best = dataset.rating_range
        self.rated = dict(zip(history.item_idx.tolist(), history.rating.tolist(), strict=True))

    def likely(self) -> list[Given]:
        """Return the ratings to try: those for which the target gains most on the items listed now, as far as told."""
        counts = self.dataset.ratings.item_counts.copy()
        counts[[*self.rated, self.target]] = -1
        known = np.argsort(-counts, kind="stable")[:KNOWN]
        known = known[counts[known] > 0]
        own = np.array(list(self.rated), dtype=np.int64)
        if isinstance(self.model, SupportsExplain):
            gain = self._gain(self.with_ratings([[Given(item, self.best) for item in known.tolist()]]))
            known = known[np.argsort(-gain[known], kind="stable")]
            gain = self._gain(self.history)
            own = own[np.argsort(-np.abs(gain[own]), kind="stable")]
        ends = [Given(i, self.worst if self.rated[i] >= self.positive else self.best) for i in own[:OWN].tolist()]
        listed = self._listed(LISTED)
        liked = [*known[:LIKELY].tolist(), *self._relatives(), *listed]
        rejected = [Given(item, self.worst) for item in listed if self.worst < self.best]
        return [*dict.fromkeys(Given(item, self.best) for item in liked), *rejected, *ends]

    def _listed(self, k: int) -> list[int]:
        """Return the first k items listed now, but for the target."""
        scored = self._scored([()])
        first = top_k(scored.scores, min(k, self.dataset.n_items), scored.salts).items[0].tolist()
        return [item for item in first if item >= 0 and item != self.target]

    def _relatives(self) -> list[int]:
        """Return the items most like the target that somebody has rated, and the user has not."""
        if "similar" not in self.model.abilities:
            return []
        near = self.model.similar_items([self.target], k=min(RELATIVES, self.dataset.n_items - 1)).items[0].tolist()
        counts = self.dataset.ratings.item_counts
        return [item for item in near if item >= 0 and counts[item] and item not in self.rated]

    def chosen(self, ratings: Sequence[Given]) -> list[Given]:
        """Return the first new likes and the first of the other ratings, best first, which larger sets are made of."""
        likes = [one for one in ratings if not self.unlikely((one,))]
        return likes[:WIDTH] + [one for one in ratings if self.unlikely((one,))][:REJECTED]

    def _gain(self, history: Interactions) -> NDArray[np.float64]:
        """Return (n_items,) what the rating of each adds to the target's score less what it adds to those listed."""
        assert isinstance(self.model, SupportsExplain)
        rows = heard(self.model, history, self.positive)
        parts = self.model.explain(rows, [self.target, *self._listed(self.k)]).double().cpu()
        gain = np.zeros(self.dataset.n_items)
        gain[rows.item_idx] = parts[0] - parts[1:].mean(0)
        return gain

    def unlikely(self, ratings: Set) -> int:
        """Return how many of some ratings are low, or of items that the user has rated otherwise."""
        return sum(given.rating < self.best or given.item_idx in self.rated for given in ratings)

    def rank(self, ratings: Set) -> int:
        """Return the target's rank after some ratings, in the whole list that is served."""
        scored = self._scored([ratings])
        listed = top_k(scored.scores, self.dataset.n_items, scored.salts).items[0]
        return int((listed == self.target).nonzero()[0]) + 1

    def leads(self, sets: Sequence[Set]) -> Iterator[tuple[Sequence[Set], list[float]]]:
        """Yield some sets of ratings, and how far the target stands above the k-th best other item for each."""
        size = max(1, ROWS_AT_ONCE // (len(self.history) + MOST))
        for start in range(0, len(sets), size):
            some = sets[start : start + size]
            yield some, self._leads(some).tolist()

    def _leads(self, sets: Sequence[Set]) -> Tensor:
        scores = self._scored(sets).scores
        own = scores[:, self.target].clone()
        scores[:, self.target] = -torch.inf
        return own - scores.topk(self.k, dim=1).values[:, -1]

    def _scored(self, sets: Sequence[Set]) -> Scored:
        everyone = np.zeros(len(sets), np.int64)
        passed, seen = (None if rows is None else rows.of_users(everyone) for rows in (self.passed, self.seen))
        return scored_new(
            self.model, self.dataset, self.with_ratings(sets), positive=self.positive, passed=passed, seen=seen
        )

    def with_ratings(self, sets: Sequence[Sequence[Given]]) -> Interactions:
        """Return one new user for each set: its ratings come after all else, or replace what the user gave."""
        past = self.history.of_users(np.zeros(len(sets), np.int64))
        added = [(user, *given) for user, one in enumerate(sets) for given in one]
        user, item, rating = zip(*added, strict=True) if added else ((), (), ())
        row_of = {own: row for row, own in enumerate(self.history.item_idx.tolist())}
        kept = np.ones(len(past), bool)
        for one, other in zip(user, item, strict=True):
            if other in row_of:
                kept[one * len(self.history) + row_of[other]] = False
        more = Interactions.from_pairs(
            user,
            item,
            rating=rating,
            timestamp=np.full(len(added), int(past.timestamp.max(initial=0)) + 1),
            n_users=len(sets),
            n_items=past.n_items,
        )
        return past.select(kept).concat(more)
