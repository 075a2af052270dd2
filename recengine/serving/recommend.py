"""Top-k recommendations, with popularity as the labelled fallback for users of whom a model knows nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import reduce
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from recengine.data.dataset import Dataset
from recengine.data.interactions import Interactions
from recengine.errors import BadInput
from recengine.evaluation.policy import EvaluationPolicy, Scored, arranges
from recengine.metrics import Ranking, mask_scores, tie_salts, top_k, top_k_of_row
from recengine.models.abilities import PredictsRatings, SupportsFoldIn, SupportsProfiles
from recengine.models.base import Recommender, as_indices, check_k, heard, readable
from recengine.serving.steering import Steering

PASSED_WEIGHT = 0.3
"""What *not interested* weighs in a model that hears dislikes, where the worst rating weighs 1: much less, since it may
only mean not now."""
BLOCK, ALIKE_AT_ONCE = 2**22, 2**16
"""Scores that are held at once, and users whose lists come from one order of the items."""


class Listing(NamedTuple):
    """A ranking, and which of its rows (B,) bool are popularity because the model knows nothing of the user.

    unmasked : the model's own ranking of the same scores, nothing left out or replaced, where it was asked for
    """

    ranking: Ranking
    fallback: NDArray[np.bool_]
    unmasked: Ranking | None = None


@torch.inference_mode()
def recommend(
    model: Recommender,
    dataset: Dataset,
    user_idx: ArrayLike,
    *,
    k: int = 10,
    positive: float = 4.0,
    include_seen: bool = False,
    among: ArrayLike | None = None,
    unmasked: bool = False,
    steering: Steering | None = None,
    policy: EvaluationPolicy = EvaluationPolicy(),  # noqa: B008 - frozen
) -> Listing:
    """Return the top k of users of the data set; what they rated, whatever the rating, is left out unless asked.

    A user of whom the model learned nothing (no positive; no rating, for a model of ratings), or for whom it scores
    all items alike, gets the most popular items, marked as fallback.

    Any number of users may be asked for: they are scored in blocks, and a model that scores items alike for all of
    them makes no scores but those.
    """
    users = as_indices(user_idx)
    check_k(k, dataset.n_items)

    def of(some: NDArray[np.int64]) -> Listing:
        scores = model.score(some).to("cpu", torch.float32, copy=True)  # (B, n_items)
        own_ranking = top_k(mask_scores(scores, some, seen=None), k, tie_salts(None, some)) if unmasked else None
        histories = dataset.ratings.of_users(some)
        scored = served(model, dataset, scores, histories, positive, policy, include_seen, among)
        return Listing(_ranked(scored, k, histories, positive, steering), scored.fallback, own_ranking)

    def of_alike(some: NDArray[np.int64]) -> Listing:
        histories = dataset.ratings.of_users(some)
        hidden = None if include_seen else policy.hides(histories, positive)
        new = np.arange(len(some))
        salts = tie_salts(hidden, new, policy.tie_seed)
        ranking = top_k_of_row(row, k, salts, users=new, seen=hidden, among=among)
        return Listing(ranking, np.zeros(len(some), bool))

    size = block_size(dataset.n_items)
    if len(users) > size and not (unmasked or steering or arranges(model) or policy.needs_fallback(model)):
        scores = model.score(users[:2])
        if scores.stride(0) == 0:
            row = scores[0].to("cpu", torch.float32)
            return _in_blocks(of_alike, users, ALIKE_AT_ONCE)
    return _in_blocks(of, users, size)


def _of_users(rows: Interactions, users: NDArray[np.int64]) -> Interactions:
    """Return the rows of a block of users, which mostly is all of them."""
    return rows if len(users) == rows.n_users else rows.of_users(users)


def block_size(n_items: int) -> int:
    """Return how many users are scored at once: few enough that their scores stay in the cache."""
    return max(1, BLOCK // n_items)


def _in_blocks(of: Callable[[NDArray[np.int64]], Listing], users: NDArray[np.int64], size: int) -> Listing:
    """Return the lists of users, of `size` of them at a time, copied to where all of them stand.

    Were each block's lists kept as they are, the blocks' scores could not use the same memory.
    """
    first = of(users[:size])
    if len(users) <= size:
        return first
    n = len(users)

    def room(ranking: Ranking) -> Ranking:
        return Ranking(*(part.new_empty(n, part.shape[1]) for part in ranking))

    whole = Listing(room(first.ranking), np.empty(n, bool), None if first.unmasked is None else room(first.unmasked))
    for start in range(0, n, size):
        some = slice(start, start + size)
        part = first if start == 0 else of(users[some])
        whole.fallback[some] = part.fallback
        for to, ranking in ((whole.ranking, part.ranking), (whole.unmasked, part.unmasked)):
            if to is not None and ranking is not None:
                to.items[some], to.scores[some] = ranking.items, ranking.scores
    return whole


def recommend_new(
    model: Recommender,
    dataset: Dataset,
    histories: Interactions,
    *,
    k: int = 10,
    positive: float = 4.0,
    include_seen: bool = False,
    among: ArrayLike | None = None,
    passed: Interactions | None = None,
    seen: Interactions | None = None,
    steering: Steering | None = None,
    policy: EvaluationPolicy = EvaluationPolicy(),  # noqa: B008 - frozen
) -> Listing:
    """Return the top k of users who are not in the data, from their ratings alone; nothing is retrained.

    histories : each of its users is one new user. Rows that have one time may stand in any order
    passed : the items that these users are not interested in. They are left out, and speak a little against what is
             like them, as `score_new` says
    seen   : the items that they saw without rating them, which are left out too

    Raises BadInput for a model without fold-in.
    """
    check_k(k, dataset.n_items)

    def of(users: NDArray[np.int64]) -> Listing:
        mine = _of_users(histories, users)
        scored = scored_new(
            model,
            dataset,
            mine,
            positive=positive,
            include_seen=include_seen,
            among=among,
            passed=None if passed is None else _of_users(passed, users),
            seen=None if seen is None else _of_users(seen, users),
            policy=policy,
        )
        return Listing(_ranked(scored, k, mine, positive, steering), scored.fallback)

    return _in_blocks(of, np.arange(histories.n_users), block_size(dataset.n_items))


@torch.inference_mode()
def scored_new(
    model: Recommender,
    dataset: Dataset,
    histories: Interactions,
    *,
    positive: float = 4.0,
    include_seen: bool = False,
    among: ArrayLike | None = None,
    passed: Interactions | None = None,
    seen: Interactions | None = None,
    policy: EvaluationPolicy = EvaluationPolicy(),  # noqa: B008 - frozen
) -> Scored:
    """Return the scores by which `recommend_new`, whose parameters these are, ranks."""
    scores = score_new(model, dataset, histories, positive, passed)
    aside = [rows for rows in (passed, seen) if rows is not None]
    return served(model, dataset, scores, histories, positive, policy, include_seen, among, aside)


@torch.inference_mode()
def score_new(
    model: Recommender, dataset: Dataset, histories: Interactions, positive: float, passed: Interactions | None
) -> Tensor:
    """Return (histories.n_users, n_items) scores of new users, in memory of their own.

    Where the model hears dislikes they are (1 - w) * score(histories) + w * score(histories with the worst rating for
    each item in `passed`), w = `PASSED_WEIGHT`, so that taking an item back restores them exactly.
    Raises BadInput for a model without fold-in.
    """
    if not isinstance(model, SupportsFoldIn):
        raise BadInput(
            "model",
            model.name,
            "one with fold-in, such as 'ease' or 'item-knn'",
            problem="cannot serve a user who is not in its training data",
        )

    def score(rows: Interactions) -> Tensor:
        rows = rows.select(rows.chronological())  # where times are equal, by item: sums do not depend on the order
        return model.score_history(heard(model, rows, positive)).to("cpu", torch.float32, copy=True)

    scores, worst = score(histories), dataset.rating_range[0]
    if passed is None or not len(passed) or not model.hears_dislikes or worst >= positive:
        return scores
    disliked = replace(passed, rating=np.full(len(passed), worst), timestamp=np.zeros(len(passed), np.int64))
    return scores.lerp_(score(histories.concat(disliked)), PASSED_WEIGHT)


def most_popular(
    dataset: Dataset, histories: Interactions, *, k: int = 10, positive: float = 4.0, among: ArrayLike | None = None
) -> Listing:
    """Return the most liked items that each user of `histories` has not rated, marked as fallback."""
    users = np.arange(histories.n_users)
    scores = torch.from_numpy(dataset.liked_counts(positive).astype(np.float32)).repeat(len(users), 1)
    ranking = top_k(mask_scores(scores, users, seen=histories, among=among), k, tie_salts(histories, users))
    return Listing(ranking, np.ones(len(users), bool))


def recommend_profile(
    model: Recommender, dataset: Dataset, profile: Mapping[str, str], *, k: int = 10, among: ArrayLike | None = None
) -> Listing:
    """Return the top k of a user known only by age, gender or occupation.

    Raises BadInput for a model that knows no profiles, or an attribute or group that the data does not have.
    """
    if not isinstance(model, SupportsProfiles):
        raise BadInput(
            "model", model.name, remedy="choose 'demographic', or give ratings", problem="does not use profiles"
        )
    check_k(k, dataset.n_items)
    scores = mask_scores(model.score_profiles([profile]), np.zeros(1, np.int64), seen=None, among=among)
    return Listing(top_k(scores, k), np.zeros(1, bool))


def similar(model: Recommender, dataset: Dataset, item_idx: int, *, k: int = 10, positive: float = 4.0) -> Listing:
    """Return the k items nearest to one, with the similarities.

    An item that the model learned nothing of (no positive; no rating) is unknown, unless the model reads what items
    are and finds one that is like it: the most popular stand in, marked.
    Raises BadInput for a model without item vectors.
    """
    ranking = model.similar_items([item_idx], k=k)
    reads_all = model.learns_from == "ratings" or positive == 0
    counts = dataset.ratings.item_counts if reads_all else dataset.liked_counts(positive)
    unknown = not counts[item_idx] and not (model.reads() and ranking.scores[0, 0] > 0)
    if unknown:
        popularity = torch.from_numpy(dataset.liked_counts(positive).astype(np.float32))[None]
        popularity[0, item_idx] = -torch.inf
        ranking = top_k(popularity, k, tie_salts(None, [item_idx]))
    return Listing(ranking, np.array([unknown]))


def estimate_rows(model: PredictsRatings, dataset: Dataset, *, batch: int = 1024) -> Iterator[Sequence[Any]]:
    """Yield the estimated ratings matrix, a header `user_id, <item ids>` and a row for each user, to four decimals."""
    yield "user_id", *dataset.item_ids.tolist()
    for start in range(0, dataset.n_users, batch):
        users = np.arange(start, min(start + batch, dataset.n_users))
        with torch.inference_mode():
            ratings = model.estimates(users).tolist()
        for user, row in zip(dataset.user_ids[users].tolist(), ratings, strict=True):
            yield user, *(round(rating, 4) for rating in row)


def _ranked(scored: Scored, k: int, histories: Interactions, positive: float, steering: Steering | None) -> Ranking:
    """Return the top k, steered if asked."""
    scores = scored.scores if steering is None else steering.rerank(scored.scores, histories.at_least(positive))
    return top_k(scores, k, scored.salts)


def served(
    model: Recommender,
    dataset: Dataset,
    scores: Tensor,
    histories: Interactions,
    positive: float,
    policy: EvaluationPolicy,
    include_seen: bool,
    among: ArrayLike | None,
    aside: Sequence[Interactions] = (),
) -> Scored:
    """Return the scores of a batch (B, n_items) as they are ranked.

    `histories` holds all that its users rated, `aside` what else they are not listed.
    """
    hidden = reduce(Interactions.concat, aside, policy.hides(histories, positive))
    return policy.apply(
        model,
        scores,
        np.arange(histories.n_users),
        known=readable(model, histories, positive).user_counts > 0,
        popularity=torch.from_numpy(dataset.liked_counts(positive).astype(np.float32)),
        hidden=None if include_seen else hidden,
        among=among,
    )
