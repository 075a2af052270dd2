"""Top-k recommendations, with popularity as the labelled fallback for users of whom a model knows nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from recengine.data.dataset import Dataset
from recengine.data.interactions import Interactions
from recengine.errors import BadInput
from recengine.evaluation.policy import EvaluationPolicy, Scored
from recengine.metrics import Ranking, mask_scores, tie_salts, top_k
from recengine.models.abilities import PredictsRatings, SupportsFoldIn, SupportsProfiles
from recengine.models.base import Recommender, as_indices, check_k, heard, readable


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
    policy: EvaluationPolicy = EvaluationPolicy(),  # noqa: B008 - frozen
) -> Listing:
    """Return the top k of users of the data set; what they rated, whatever the rating, is left out unless asked.

    A user of whom the model learned nothing (no positive; no rating, for a model of ratings), or for whom it scores
    all items alike, gets the most popular items, marked as fallback.
    """
    users = as_indices(user_idx)
    check_k(k, dataset.n_items)
    scores = model.score(users).to("cpu", torch.float32, copy=True)  # (B, n_items)
    own_ranking = top_k(mask_scores(scores, users, seen=None), k, tie_salts(None, users)) if unmasked else None
    histories = dataset.ratings.of_users(users)
    scored = _scored(model, dataset, scores, histories, positive, policy, include_seen, among)
    return Listing(top_k(scored.scores, k, scored.salts), scored.fallback, own_ranking)


@torch.inference_mode()
def recommend_new(
    model: Recommender,
    dataset: Dataset,
    histories: Interactions,
    *,
    k: int = 10,
    positive: float = 4.0,
    include_seen: bool = False,
    among: ArrayLike | None = None,
    policy: EvaluationPolicy = EvaluationPolicy(),  # noqa: B008 - frozen
) -> Listing:
    """Return the top k of users who are not in the data, from their ratings alone; nothing is retrained.

    histories : each of its users is one new user. Raises BadInput for a model without fold-in.
    """
    if not isinstance(model, SupportsFoldIn):
        raise BadInput(
            "model",
            model.name,
            "one with fold-in, such as 'ease' or 'item-knn'",
            problem="cannot serve a user who is not in its training data",
        )
    check_k(k, dataset.n_items)
    scores = model.score_history(heard(model, histories, positive)).to("cpu", torch.float32, copy=True)
    scored = _scored(model, dataset, scores, histories, positive, policy, include_seen, among)
    return Listing(top_k(scored.scores, k, scored.salts), scored.fallback)


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

    An item that the model learned nothing of (no positive; no rating) is unknown: the most popular stand in, marked.
    Raises BadInput for a model without item vectors.
    """
    ranking = model.similar_items([item_idx], k=k)
    of_item = dataset.ratings.select(dataset.ratings.item_idx == item_idx)
    unknown = not len(readable(model, of_item, positive))
    if unknown:
        counts = torch.from_numpy(dataset.liked_counts(positive).astype(np.float32))[None]
        counts[0, item_idx] = -torch.inf
        ranking = top_k(counts, k, tie_salts(None, [item_idx]))
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


def _scored(
    model: Recommender,
    dataset: Dataset,
    scores: Tensor,
    histories: Interactions,
    positive: float,
    policy: EvaluationPolicy,
    include_seen: bool,
    among: ArrayLike | None,
) -> Scored:
    """Return the scores of a batch (B, n_items) as they are ranked; `histories` holds all that its users rated."""
    return policy.apply(
        model,
        scores,
        np.arange(histories.n_users),
        known=readable(model, histories, positive).user_counts > 0,
        popularity=torch.from_numpy(dataset.liked_counts(positive).astype(np.float32)),
        hidden=None if include_seen else policy.hides(histories, positive),
        among=among,
    )
