"""Taste: a list for someone of whom only a few likes and dislikes are known, in any order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor
from torch.nn.functional import embedding_bag

from recengine.data.interactions import Interactions
from recengine.models.base import FitContext, Recommender, as_indices
from recengine.models.item_item import linear
from recengine.models.item_item.likeness import Traits, likeness_by_users, trust
from recengine.models.item_item.nearness import LEAST_STRENGTH, Nearness
from recengine.models.metadata import COLUMNS, without_metadata
from recengine.models.ratings.stars import STATE, PredictsStarsToo, StarPredictor, quality
from recengine.models.recency import TwoSidedConfig
from recengine.training.config import Config, Range, option, preset
from recengine.training.progress import within

LIKED, DISLIKED = 0.75, 0.45
"""Parts of the rating scale from which on a rating is a like, and up to which it is a dislike: 4 and 2.5 of 5 stars."""
LIKES_OF_L2, GROWTH, MOST = 80_000, 1.3, 150.0
"""Likes in training up to which the penalty is as set, the power by which it then grows, and how many times at most."""
SERIES_STEP = 1.0
"""What an item beyond the cap of its series loses: as much as the best item's collaborative score."""
FOCUS = 2.0
"""Power of how much the likes are of one genre, or from abroad, by which that counts."""
LEAST_SHARED = 3e-3
"""What the content of ratings has in common counts in full down to this part of the most that one rating gives: where
likes and dislikes cancel out, all that is left are errors of rounding."""


@dataclass(frozen=True)
class TasteConfig(Config):
    """Options of `taste`. Weights are relative to the best item's collaborative score, which is 1."""

    l2: float = preset(linear.EASEConfig, "l2", 1000.0)
    damping: float = option(
        0.02,
        "power of an item's popularity that its collaborative score is divided by; larger lists lesser-known items",
        low=0,
        high=2,
        search=Range(0, 0.4),
        primary=1,
    )
    dislike_weight: float = preset(
        TwoSidedConfig, "dislike_weight", 0.7, note="from the item that is most like it", search=Range(0.1, 1)
    )
    genre_weight: float = option(
        1.5,
        "weight of the genres shared with the likes, where these are all of one genre",
        low=0,
        high=10,
        search=Range(0, 4),
        primary=1,
    )
    abroad_weight: float = option(
        5.0, "weight of coming from abroad, where all likes do, and of the genres there", low=0, high=100
    )
    content_weight: float = option(
        0.1,
        "weight of what genres, years, keywords, tags and directors of the likes say of an item",
        low=0,
        high=10,
        search=Range(0, 0.5),
        primary=1,
    )
    shared_dislike: float = option(
        0.4, "weight of what is shared with the dislikes, where the likes' is 1", low=0, high=10, search=Range(0, 1)
    )
    quality_weight: float = option(
        0.25,
        "weight of the stars that an item gets above the average of those who rated it",
        low=0,
        high=10,
        search=Range(0, 0.3),
        primary=1,
    )
    fame_weight: float = option(
        0.06, "weight of an item's popularity, whatever the user likes", low=0, high=10, search=Range(0, 0.5)
    )
    series_cap: int = option(2, "items of one series that are listed at full score; 0: all", low=0, high=100)


class Evidence(NamedTuple):
    """What rows of ratings say: of each row, by user, one weight at least is 0.

    item : (n,); starts : (n_users,) where each user's rows begin; like, dislike : (n,) float32
    """

    item: Tensor
    starts: Tensor
    like: Tensor
    dislike: Tensor

    def total(self, table: Tensor, row: Tensor, weight: Tensor) -> Tensor:
        """Return (n_users, table.shape[1]): each user's sum of the table's rows (n,), times their weights (n,)."""
        if not table.shape[1]:  # of an empty table PyTorch now and then says that an index is out of range
            return table.new_zeros(len(self.starts), 0)
        return embedding_bag(row, table, self.starts, mode="sum", per_sample_weights=weight)

    def shares(self, weight: Tensor) -> Tensor:
        """Return the weights (n,) divided by the sum of their user's, so that a mean is a sum."""
        user = self.users()
        return weight / torch.zeros(len(self.starts)).index_add_(0, user, weight).clamp(min=1)[user]

    def users(self) -> Tensor:
        """Return (n,) the user of each row."""
        counts = torch.diff(self.starts, append=torch.tensor([len(self.item)]))
        return torch.repeat_interleave(torch.arange(len(counts)), counts)


class Taste(PredictsStarsToo, Recommender[TasteConfig]):
    """EASE from the likes, less what resembles the dislikes, with content, quality, and a cap on series.

    score(u, i) = sum over likes h of B[h, i] / (count_i + 1)^damping, divided by the largest value for any item
                - dislike_weight * sum over dislikes h of (max(B[h, i], 0) / max_j B[h, j])^2, or 1 for its series
                + genre_weight * s^2 * (mean over likes of cos(h, i) - shared_dislike * mean over dislikes of it)
                  of genres, with s its largest size for any item: genres count where the likes are of one kind
                + abroad_weight * s^2 * (the same of items from abroad and of their genres)
                + content_weight * (the same mean of f_h A f_i), divided by its largest size, if that is not next to 0
                + quality_weight * the stars of i above its raters' own means + fame_weight * fame of i
    with B of EASE (Steck, WWW 2019), and A the inverse of F'F + l2 I of the items' traits F: f_h A f_i is what a
    regression of the likes on traits says of i, and stands in for B[h, i] where nobody has rated i. All are sums over a
    set of ratings, so their order does not matter, and what each rating adds or takes is exact. Lists hold at most
    `series_cap` items of a series at their full score.
    """

    name = "taste"
    family = "hybrid"
    abilities = ("similar", "fold-in", "explain", "ratings", "stars")
    summary = "Weighs your likes against your dislikes, in any order, and reads what films are about."
    reference = "Steck, Embarrassingly shallow autoencoders for sparse data, WWW 2019"
    version = 12
    learns_from = "ratings"
    hears_dislikes = True
    scores_from_history = True
    Config = TasteConfig

    def reads(self) -> Sequence[str]:
        return COLUMNS

    def footprint(self, n_users: int, n_items: int, n_rows: int) -> dict[str, int]:
        return linear.EASE().footprint(n_users, n_items, n_rows)

    def learn(self, train: Interactions, context: FitContext) -> None:
        self.past = train
        low, high = (float(train.rating.min()), float(train.rating.max())) if len(train) else (0.0, 0.0)
        limits = [-np.inf] * 2 if train.implicit else [low + x * (high - low) for x in (LIKED, DISLIKED)]
        self.limits = torch.tensor(limits)
        rated = train.select(slice(0)) if train.implicit else train  # the weight of an event is no judgement
        self.star_predictor = StarPredictor().fit(rated, seed=context.run.seed, on_step=within(context.on_step, 0, 0.3))
        liked = train.select(train.rating >= self.limits[0].item())
        self.counts = torch.from_numpy(liked.item_counts.astype(np.float32))
        self.linked = self.counts.nonzero()[:, 0]  # an item that nobody likes has no weights
        small = replace(liked, item_idx=self._position().numpy()[liked.item_idx], n_items=len(self.linked))
        l2 = self.config.l2 * min(MOST, max(1.0, len(liked) / LIKES_OF_L2) ** GROWTH)
        self.weights = linear.ridge_or_links(small, l2, context.run.torch_device(), within(context.on_step, 0.3, 1))
        self.quality = quality(rated, high - low)
        self.n_unknown = int(without_metadata(context.items, COLUMNS, self.n_items).sum())
        self.traits = Traits.of(context.items, self.n_items, ~self._is_fresh())
        self.least_shared = LEAST_SHARED * self.traits.content.square().sum(1).amax().clamp(min=1e-6)
        self.nearness = Nearness(self.weights, self.traits.series[self.linked])

    def _position(self) -> Tensor:
        """Return (n_items,) where each item stands in the weights, -1 where it does not."""
        return torch.full((self.n_items,), -1).index_copy_(0, self.linked, torch.arange(len(self.linked)))

    def evidence(self, rows: Interactions) -> Evidence:
        """Return the likes and dislikes among the rows, which must be sorted by user."""
        rating = torch.from_numpy(rows.rating.copy())
        like = rating >= self.limits[0]
        dislike = ~like & (rating <= self.limits[1])
        return Evidence(
            item=torch.from_numpy(rows.item_idx.astype(np.int64)),
            starts=torch.from_numpy(np.cumsum(rows.user_counts) - rows.user_counts),
            like=like.float(),
            dislike=dislike.float(),
        )

    def score(self, user_idx: ArrayLike) -> Tensor:
        return self.score_history(self.past.of_users(as_indices(user_idx)))

    def score_history(self, histories: Interactions) -> Tensor:
        """Return (histories.n_users, n_items) scores of users known only by these ratings."""
        evidence = self.evidence(histories.select(np.argsort(histories.user_idx, kind="stable")))
        scores = sum(self.standing().values(), torch.zeros(self.n_items)).repeat(histories.n_users, 1)
        liked, largest = self._liked(evidence)
        scores += liked.div_(largest)
        if evidence.dislike.any():
            row, _, dislike = self._links(evidence)
            scores -= self._spread(self.nearness.sums(row, evidence.starts, dislike))
        for table, weight, power, least in self._tables():
            shared, size = self._shared(evidence, table, least)
            scores += shared.mul_(weight).mul_(size**power)
        return scores

    def standing(self) -> dict[str, Tensor]:
        """Return (n_items,) by name: what an item gets whoever asks."""
        return {"quality": self.config.quality_weight * self.quality, "fame": self.config.fame_weight * self._fame()}

    def _fame(self) -> Tensor:
        """Return (n_items,) from 0 to 1: the logarithm of how many like an item."""
        return torch.log1p(self.counts) / torch.log1p(self.counts.max()).clamp(min=1e-12)

    def _tables(self) -> tuple[tuple[Tensor, float, float, float], ...]:
        """Return vectors that are compared, their weight, the power of the largest size by which they count, and what
        that size is taken for at least.
        """
        traits, config = self.traits, self.config
        tables = (
            (traits.genres, config.genre_weight, FOCUS, 0.0),
            (traits.abroad, config.abroad_weight, FOCUS, 0.0),
            (traits.content, config.content_weight, -1.0, self.least_shared.item()),
        )
        return tuple(each for each in tables if each[0].shape[1] > 2 or each[0].any())  # without metadata all are 0

    def _links(self, evidence: Evidence) -> tuple[Tensor, Tensor, Tensor]:
        """Return each row's position in the weights, and what its like and its dislike weigh there, (n,) each."""
        position = self._position()[evidence.item]
        known = (position >= 0).float()
        return position.clamp(min=0), evidence.like * known, self.config.dislike_weight * evidence.dislike * known

    def _damped(self) -> Tensor:
        return (self.counts[self.linked] + 1) ** -self.config.damping

    def _liked(self, evidence: Evidence) -> tuple[Tensor, Tensor]:
        """Return (n_users, n_items) what the likes give, and their largest for a liked item (n_users, 1).

        An item that nobody has rated gets what a regression on its traits expects.
        """
        if not len(self.linked):
            n_users = len(evidence.starts)
            return torch.zeros(n_users, self.n_items), torch.full((n_users, 1), LEAST_STRENGTH)
        content, fresh, (row, like, _) = self.traits.content, self._is_fresh(), self._links(evidence)
        known = linear.weighted_sums(self.weights, row, evidence.starts, like).mul_(self._damped())
        largest = known.amax(1, keepdim=True).clamp(min=LEAST_STRENGTH)
        liked = self._spread(known)
        if fresh.any():
            liked[:, fresh] = evidence.total(content, evidence.item, evidence.like) @ content[fresh].T
        return liked, largest

    def _spread(self, known: Tensor) -> Tensor:
        """Return (B, n_items) of values for the items with weights (B, n_linked), 0 for the others."""
        if len(self.linked) == self.n_items:
            return known
        spread = torch.zeros(len(known), self.n_items)
        spread[:, self.linked] = known
        return spread

    def _is_fresh(self) -> Tensor:
        """Return (n_items,) bool: which items nobody has rated."""
        return torch.from_numpy(self.past.item_counts == 0)

    def _shared(self, evidence: Evidence, table: Tensor, least: float) -> tuple[Tensor, Tensor]:
        """Return (n_users, n_items) what is shared with likes less dislikes, and its largest size (n_users, 1)."""
        shared = evidence.total(table, evidence.item, self._signed(evidence)) @ table.T
        return shared, torch.maximum(shared.amax(1), -shared.amin(1))[:, None].clamp(min=least)

    def _signed(self, evidence: Evidence) -> Tensor:
        disliked = self.config.shared_dislike * evidence.shares(evidence.dislike)
        return evidence.shares(evidence.like) - disliked

    def explain(self, history: Interactions, item_idx: ArrayLike) -> Tensor:
        """Return (n_targets, n_history): what each rating of one user adds to each score; below 0 speaks against."""
        evidence, target = self.evidence(history), torch.as_tensor(as_indices(item_idx))
        content, column = self.traits.content, self._position()[target]
        given = (content[target] @ content[evidence.item].T) * evidence.like * self._is_fresh()[target][:, None]
        taken = torch.zeros_like(given)
        known = column >= 0
        if known.any():
            (row, like, dislike), at = self._links(evidence), column[known]
            given[known] = linear.rows_of(self.weights, row)[:, at].T * like * self._damped()[at][:, None]
            taken[known] = self.nearness.rows(row)[:, at].T * dislike
        parts = given / self._liked(evidence)[1] - taken
        for table, weight, power, least in self._tables():
            size = self._shared(evidence, table, least)[1]
            parts += (table[target] @ table[evidence.item].T) * self._signed(evidence) * (weight * size**power)
        return parts

    def arrange(self, scores: Tensor) -> Tensor:
        """Lower, in place, the scores (B, n_items) of all but the best `series_cap` items of each series."""
        series, cap = self.traits.series, self.config.series_cap
        sizes = torch.bincount(series + 1)[1:]
        sizes[sizes <= cap] = 0
        if not cap or not sizes.any():
            return scores
        member = ((series >= 0) & (sizes[series] > 0)).nonzero()[:, 0]
        order = scores[:, member].argsort(dim=1, descending=True, stable=True)
        order = order.gather(1, series[member][order].argsort(dim=1, stable=True))  # by series, best first
        rank = torch.arange(len(member)) - (sizes.cumsum(0) - sizes).repeat_interleave(sizes)
        excess = (rank >= cap).nonzero()[:, 0]
        lowered = member[order[:, excess]]
        return scores.scatter_add_(1, lowered, torch.full(lowered.shape, -SERIES_STEP))

    def item_similarity(self, item_idx: Tensor) -> Tensor:
        """Return (B, n_items) from 0 to 1: by who rated and who liked both, as far as enough users rated the item
        given, and by what both are.
        """
        by_users = self.share_by_users(item_idx)[:, None]
        return by_users * self.likeness_by_users(item_idx) + (1 - by_users) * self.likeness_by_content(item_idx)

    def likeness_by_users(self, item_idx: Tensor) -> Tensor:
        """Return (B, n_items) from 0 to 1, by who rated and who liked both."""
        return likeness_by_users(self.past, self.limits[0].item(), self.counts, item_idx)

    def likeness_by_content(self, item_idx: Tensor) -> Tensor:
        """Return (B, n_items) from 0 to 1, by what both are."""
        return self.traits.likeness(item_idx)

    def share_by_users(self, item_idx: Tensor) -> Tensor:
        """Return (B,): how much of the likeness to each given item is by users, where what it is counts the rest."""
        return trust(torch.from_numpy(self.past.item_counts.astype(np.float32))[item_idx])

    def state(self) -> dict[str, Tensor]:
        return {
            **linear.state_of("weights", self.weights),
            **{name: getattr(self, name) for name in _LEARNED},
            **{f"past_{name}": torch.from_numpy(getattr(self.past, name).copy()) for name in _PAST},
            **{f"trait_{name}": tensor for name, tensor in self.traits.state().items()},
            **{f"stars_{name}": tensor for name, tensor in self.star_predictor.state().items()},
        }

    def restore(self, state: dict[str, Tensor]) -> None:
        self.weights = linear.restored("weights", state)
        for name in _LEARNED:
            setattr(self, name, state[name])
        self.traits = Traits.restore(
            {name.removeprefix("trait_"): state[name] for name in state if name.startswith("trait_")}
        )
        self.nearness = Nearness(self.weights, self.traits.series[self.linked])
        self.star_predictor = StarPredictor()
        self.star_predictor.restore({name: state[f"stars_{name}"] for name in STATE})
        past = {name: state[f"past_{name}"].numpy() for name in _PAST}
        self.past = Interactions.from_pairs(**past, n_users=self.n_users, n_items=self.n_items)


_LEARNED = ("linked", "counts", "quality", "limits", "least_shared")
_PAST = ("user_idx", "item_idx", "rating")
