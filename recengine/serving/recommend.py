"""Recommendations for people: top-k lists, with popularity stepping in, visibly, where a model knows nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike

from recengine.data.dataset import Dataset
from recengine.data.interactions import Interactions
from recengine.errors import BadInput
from recengine.metrics import Ranking, mask_scores, top_k
from recengine.models.base import NEED_NO_RATINGS, PredictsRatings, Recommender, SupportsFoldIn, check_k, readable
from recengine.models.simple.demographic import Demographic


class Listing(NamedTuple):
    """A ranking, and which of its rows (B,) bool are popularity because the model knows nothing of the person."""

    ranking: Ranking
    fallback: np.ndarray


def recommend(
    model: Recommender,
    dataset: Dataset,
    user_idx: ArrayLike,
    *,
    k: int = 10,
    positive: float = 4.0,
    include_seen: bool = False,
    among: ArrayLike | None = None,
) -> Listing:
    """Return the top k of users of the data set; what they rated, whatever the rating, is left out unless asked.

    A user of whom the model learned nothing (no positive; no rating, for a model of ratings) gets the most popular
    items, marked as fallback.
    """
    users = np.atleast_1d(np.asarray(user_idx, dtype=np.int64))
    seen = None if include_seen else dataset.ratings
    ranking = model.top_k(users, k=k, seen=seen, among=among)
    learned = readable(model, dataset.ratings, positive)
    return _with_fallback(ranking, model, dataset, positive, learned.user_counts[users] == 0, users, seen, among)


def recommend_newcomers(
    model: Recommender,
    dataset: Dataset,
    histories: Interactions,
    *,
    k: int = 10,
    positive: float = 4.0,
    include_seen: bool = False,
    among: ArrayLike | None = None,
) -> Listing:
    """Return the top k of people who are not in the data, from their ratings alone; nothing is retrained.

    histories : each of its users is one person. Raises BadInput for a model without fold-in.
    """
    if not isinstance(model, SupportsFoldIn):
        raise BadInput(
            f"model {model.name!r} cannot serve a person who is not in its training data; "
            "choose one with fold-in, such as 'ease' or 'item-knn'"
        )
    check_k(k, dataset.n_items)
    people = np.arange(histories.n_users)
    own = readable(model, histories, positive)
    seen = None if include_seen else histories
    with torch.inference_mode():
        scores = model.score_history(own).to("cpu", torch.float32, copy=True)
        ranking = top_k(mask_scores(scores, people, seen=seen, among=among), k)
    return _with_fallback(ranking, model, dataset, positive, own.user_counts == 0, people, seen, among)


def recommend_profile(
    model: Recommender, dataset: Dataset, profile: Mapping[str, str], *, k: int = 10, among: ArrayLike | None = None
) -> Listing:
    """Return the top k of a person known only by age, gender or occupation.

    Raises BadInput for a model that knows no profiles, or an attribute or group that the data does not have.
    """
    if not isinstance(model, Demographic):
        raise BadInput(f"model {model.name!r} does not use profiles; choose 'demographic', or give ratings")
    check_k(k, dataset.n_items)
    scores = mask_scores(model.score_profiles([profile]), np.zeros(1, np.int64), seen=None, among=among)
    return Listing(top_k(scores, k), np.zeros(1, bool))


def similar(model: Recommender, dataset: Dataset, item_idx: int, *, k: int = 10, positive: float = 4.0) -> Listing:
    """Return the k items nearest to one, with the similarities.

    An item that the model learned nothing of (no positive; no rating) is unknown: the most popular stand in, marked.
    Raises BadInput for a model without item vectors.
    """
    ranking = model.similar_items([item_idx], k=k)
    unknown = np.array([readable(model, dataset.ratings, positive).item_counts[item_idx] == 0])
    if unknown[0]:
        counts = torch.from_numpy(dataset.liked_counts(positive).astype(np.float32))[None]
        counts[0, item_idx] = -torch.inf
        ranking = top_k(counts, k)
    return Listing(ranking, unknown)


def estimate_rows(model: PredictsRatings, dataset: Dataset, *, batch: int = 1024) -> Iterator[Sequence[Any]]:
    """Yield the estimated ratings matrix, a header `user_id, <item ids>` and a row for each user, to four decimals."""
    yield "user_id", *dataset.item_ids.tolist()
    for start in range(0, dataset.n_users, batch):
        some = np.arange(start, min(start + batch, dataset.n_users))
        with torch.inference_mode():
            ratings = model.estimates(some).tolist()
        for user, own in zip(dataset.user_ids[some].tolist(), ratings, strict=True):
            yield user, *(round(rating, 4) for rating in own)


def _with_fallback(
    ranking: Ranking,
    model: Recommender,
    dataset: Dataset,
    positive: float,
    unknown: np.ndarray,
    users: np.ndarray,
    seen: Interactions | None,
    among: ArrayLike | None,
) -> Listing:
    """Replace the rows of unknown people by popularity."""
    unknown = unknown & (model.family not in NEED_NO_RATINGS)
    if unknown.any():
        rows = torch.from_numpy(unknown.nonzero()[0])
        counts = torch.from_numpy(dataset.liked_counts(positive).astype(np.float32)).repeat(len(rows), 1)
        popular = top_k(mask_scores(counts, users[unknown], seen=seen, among=among), ranking.items.shape[1])
        ranking = Ranking(ranking.items.clone(), ranking.scores.clone())
        ranking.items[rows], ranking.scores[rows] = popular.items, popular.scores
    return Listing(ranking, unknown)
