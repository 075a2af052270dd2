"""Evaluation by full ranking: every candidate is scored for every test user, in batches."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from recengine.data.interactions import Interactions
from recengine.data.sampling import NegativeSampler
from recengine.data.splits import Split
from recengine.errors import BadInput
from recengine.evaluation.beyond import beyond_accuracy, genre_matrix, gini
from recengine.evaluation.glossary import entry
from recengine.evaluation.intervals import Interval, mean_interval
from recengine.evaluation.policy import EvaluationPolicy
from recengine.metrics import (
    RANKING_METRICS,
    auc,
    coordinates,
    coverage,
    listed_hits,
    pairs,
    top_k,
)
from recengine.models.abilities import SupportsFoldIn
from recengine.models.base import Recommender, check_k, heard, readable
from recengine.training.progress import OnStep, no_step

SCORES_AT_ONCE = 2**25
"""Scores of a batch of users that are held at once."""


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What a model reached on a test set, for each user.

    users    : (n,) indices of the test users
    per_user : metric key -> (n,) values, NaN where a user has none
    lists    : (n, K) recommended item indices, -1 padded; K is the longest of `lengths`
    candidates : (c,) item indices that were ranked
    fallback : (n,) bool, for whom popularity stood in, as the model had no signal
    warm     : (n,) bool, of whom training, or what is given of them, holds a positive; it is the same for all models
    overall  : metric key -> what belongs to no user: coverage, gini
    lengths  : of the lists that the metrics speak of: the first k items of each
    """

    users: NDArray[np.int64]
    per_user: dict[str, NDArray[np.float64]]
    lists: NDArray[np.int64]
    candidates: NDArray[np.int64]
    fallback: NDArray[np.bool_]
    warm: NDArray[np.bool_]
    overall: dict[str, float]
    lengths: Sequence[int]

    def of(self, chosen: NDArray[np.bool_]) -> Evaluation:
        """Return what was reached for some of the users, (n,) bool."""
        lists = self.lists[chosen]
        return Evaluation(
            users=self.users[chosen],
            per_user={key: values[chosen] for key, values in self.per_user.items()},
            lists=lists,
            candidates=self.candidates,
            fallback=self.fallback[chosen],
            warm=self.warm[chosen],
            overall=list_metrics(lists, self.candidates, self.lengths),
            lengths=self.lengths,
        )

    def means(self) -> dict[str, Interval]:
        """Return metric key -> mean over users with a 95 % interval; what belongs to no user has none."""
        means = {key: mean_interval(values, within=entry(key).within) for key, values in self.per_user.items()}
        return means | {key: Interval(value) for key, value in self.overall.items()}


def list_metrics(lists: NDArray[np.int64], candidates: NDArray[np.int64], lengths: Sequence[int]) -> dict[str, float]:
    """Return what belongs to all lists (n, K) together, for each length: what share is listed, and how unevenly."""
    values: dict[str, float] = {}
    for k in lengths:
        values |= {
            f"coverage@{k}": coverage(lists[:, :k], len(candidates)),
            f"gini@{k}": gini(lists[:, :k], candidates),
        }
    return values


def no_fold_in(name: str) -> BadInput:
    """Return the error of a model that is asked for users who are not in its training data."""
    return BadInput(
        "model",
        name,
        remedy="choose one with fold-in, such as 'ease', or 'bias' for ratings",
        problem="cannot serve users who are not in its training data (splits 'cold-user' and 'sitting')",
    )


@torch.inference_mode()
def evaluate(
    model: Recommender,
    split: Split,
    *,
    k: int = 10,
    cutoffs: Sequence[int] = (),
    policy: EvaluationPolicy = EvaluationPolicy(),  # noqa: B008 - frozen
    items: pd.DataFrame | None = None,
    negatives: int = 0,
    seed: int = 0,
    batch: int = 1024,
    on_step: OnStep = no_step,
) -> Evaluation:
    """Rank all candidates for each test user, as `policy` says: by default just as users are served.

    Users who are not in training are served as `recommend_new` serves them, from the ratings given. Lists have k items;
    the metrics of other lengths, `cutoffs`, are those of the same lists cut off there, or of longer ones.
    `items`, the item table, adds the metrics beyond accuracy. `negatives` > 0 adds those of a list of each test item
    among that many sampled unseen items, marked `_sampled<n>`: they rank models wrongly (Krichene & Rendle, KDD 2020),
    so they are reported only along with the full ones. `on_step` is called with the users done and their number.
    Raises BadInput when k exceeds the candidates, or `negatives` a user's unseen ones, or when the split tests users
    who are not in training and the model cannot serve them.
    """
    lengths = tuple(dict.fromkeys((k, *cutoffs)))
    for length in lengths:
        check_k(length, len(split.candidates))
    if negatives:
        check_negatives(split, negatives, policy)
    users = split.test.user_counts.nonzero()[0]
    score, learned = _scorer(model, split)
    hidden = policy.hides(split.rated, split.positive)
    popularity = torch.from_numpy(split.fit.item_counts.astype(np.float32))
    draw = _negative_draws(hidden.concat(split.test), split.candidates, negatives, seed) if negatives else None
    parts: dict[str, list[Tensor]] = {}
    lists, fallback = [], []
    at_once = min(batch, SCORES_AT_ONCE // max(1, split.test.n_items)) or 1
    for start in range(0, len(users), at_once):
        on_step(start, len(users))
        some_users = users[start : start + at_once]
        scored = policy.apply(
            model,
            score(some_users).to("cpu", torch.float32, copy=True),  # (B, n_items)
            some_users,
            known=learned.user_counts[some_users] > 0,
            popularity=popularity,
            hidden=hidden,
            among=split.candidates,
        )
        position, item = coordinates(split.test, some_users)
        lists.append(top_k(scored.scores, max(lengths), scored.salts).items)
        metrics = {"auc": auc(scored.scores, position, item)}
        fallback.append(scored.fallback)
        if split.disliked is not None:
            metrics["pairs"] = pairs(scored.scores, position, item, *coordinates(split.disliked, some_users))
        if draw is not None:
            metrics |= sampled_metrics(scored.scores, position, item, draw(some_users[position.numpy()]), lengths)
        for key, values in metrics.items():
            parts.setdefault(key, []).append(values)
    on_step(1, 1)
    top = torch.cat(lists).numpy()
    of_scores = {key: torch.cat(values).double().numpy() for key, values in parts.items()}
    return Evaluation(
        users=users,
        per_user=metrics_of_lists(top, users, split, lengths, items, of_scores),
        lists=top,
        candidates=split.candidates,
        fallback=np.concatenate(fallback),
        warm=_warm(split, users),
        overall=list_metrics(top, split.candidates, lengths),
        lengths=lengths,
    )


def metrics_of_lists(
    lists: NDArray[np.int64],
    users: NDArray[np.int64],
    split: Split,
    lengths: Sequence[int],
    items: pd.DataFrame | None = None,
    others: Mapping[str, NDArray[np.float64]] | None = None,
) -> dict[str, NDArray[np.float64]]:
    """Return all metrics that lists (n, K) of users (n,) are enough for, cut off at each length: one value per user.

    `others`, metrics of the scores, stand between those of hits and those of what lists are like.
    """
    position, item = coordinates(split.test, users)
    hits = listed_hits(torch.from_numpy(lists), position, item, split.test.n_items)
    n_relevant = torch.bincount(position, minlength=len(users))
    values = {
        f"{name}@{k}": metric(hits[:, :k], n_relevant).double().numpy()
        for k in lengths
        for name, metric in RANKING_METRICS.items()
    }
    values |= others or {}
    for k in lengths:
        values |= _of_lists(lists[:, :k], users, split, items)
    return values


def _scorer(model: Recommender, split: Split) -> tuple[Callable[[NDArray[np.int64]], Tensor], Interactions]:
    """Return what scores a batch of test users, and the rows that the model learned or is given of them."""
    if split.history is None:
        learns_all = model.learns_from == "ratings" and split.rest is not None
        return model.score, split.rated if learns_all else split.fit
    if not isinstance(model, SupportsFoldIn):
        raise no_fold_in(model.name)
    known, given = (rows_of(model, split.history, split.positive) for rows_of in (readable, heard))
    return lambda users: model.score_history(given.of_users(users)), known


def _of_lists(
    lists: NDArray[np.int64], users: NDArray[np.int64], split: Split, items: pd.DataFrame | None
) -> dict[str, NDArray[np.float64]]:
    """Return what lists (n, k) of users (n,) are like, whether or not they hit."""
    k, values = lists.shape[1], {}
    if split.disliked is not None:
        values[f"list_popularity@{k}"] = _popularity(lists, split.fit)
    if items is not None:
        chosen = split.fit if split.seen is None else split.fit.concat(split.seen.at_least(split.positive))
        values |= beyond_accuracy(lists, users, chosen, genre_matrix(items), k)
    return values


def _popularity(lists: NDArray[np.int64], positives: Interactions) -> NDArray[np.float64]:
    """Return (n,) how many users chose the items of a list, on average; NaN where it is empty."""
    listed = lists >= 0
    total = (positives.item_counts[np.maximum(lists, 0)] * listed).sum(1)
    return np.where(listed.any(1), total / np.maximum(listed.sum(1), 1), np.nan)


def _warm(split: Split, users: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return (n,) of which users training, or what is given of them, holds a positive."""
    known = split.fit if split.history is None else split.history.at_least(split.positive)
    return known.user_counts[users] > 0


def check_negatives(split: Split, negatives: int, policy: EvaluationPolicy) -> None:
    """Raise BadInput unless every test user has that many unseen candidates, which are drawn without repeats."""
    users = split.test.user_counts.nonzero()[0]
    seen = policy.hides(split.rated, split.positive).concat(split.test)
    counted = seen.select(np.isin(seen.item_idx, split.candidates))
    pairs = np.unique(counted.user_idx.astype(np.int64) * counted.n_items + counted.item_idx) // counted.n_items
    most = len(split.candidates) - int(np.bincount(pairs, minlength=split.test.n_users)[users].max())
    if negatives > most:
        expected = f"at most {most:,}, the unseen items of the user who has fewest"
        raise BadInput("negatives", negatives, expected, problem="are too many to sample")


def _negative_draws(
    known: Interactions, candidates: NDArray[np.int64], n: int, seed: int
) -> Callable[[NDArray[np.int64]], NDArray[np.int64]]:
    """Return a function that draws n unseen candidates for each of some users: (B,) -> (B, n), -1 = none left."""
    position = np.full(known.n_items, -1)
    position[candidates] = np.arange(len(candidates))
    among = position[known.item_idx]
    inside = known.select(among >= 0)
    sampler = NegativeSampler(replace(inside, item_idx=among[among >= 0], n_items=len(candidates)))
    rng = np.random.default_rng(seed)

    def draw(users: NDArray[np.int64]) -> NDArray[np.int64]:
        positions = sampler.draw(users, n, rng)
        return np.where(positions >= 0, candidates[positions], -1)

    return draw


def sampled_metrics(
    scores: Tensor, position: Tensor, item: Tensor, negative: NDArray[np.int64], lengths: Sequence[int]
) -> dict[str, Tensor]:
    """Return hit rate and NDCG of each test item among its sampled negatives (m, N), averaged for each user.

    The rank counts the negatives that score higher, and half of those that score the same.
    """
    n = negative.shape[1]
    items = torch.from_numpy(negative)
    others = scores[position[:, None], items.clamp(min=0)].masked_fill(items < 0, -torch.inf)  # (m, N)
    target = scores[position, item][:, None]
    rank = 1 + (others > target).sum(1) + (others == target).sum(1) / 2
    counts = torch.bincount(position, minlength=len(scores)).double()
    metrics: dict[str, Tensor] = {}
    for k in lengths:
        listed = rank <= k
        for name, gain in (("hr", listed.double()), ("ndcg", listed / torch.log2(rank.double() + 1))):
            total = torch.zeros(len(scores), dtype=torch.float64).index_add_(0, position, gain)
            metrics[f"{name}@{k}_sampled{n}"] = total / counts
    return metrics
