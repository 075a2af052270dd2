"""Reasons: the rated item that speaks most for a recommendation, and what every rating adds or takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from recengine.data.dataset import Dataset
from recengine.data.interactions import Interactions
from recengine.errors import BadInput
from recengine.evaluation.policy import EvaluationPolicy
from recengine.metrics import top_k
from recengine.models.abilities import NamesStanding, SupportsExplain, SupportsFoldIn
from recengine.models.base import Recommender, as_indices, heard, readable
from recengine.serving.recommend import score_new, served

SECOND = 0.5
"""What a second reason has at least, where the first has 1."""


class Reason(NamedTuple):
    """Why an item is listed.

    kind  : `contribution`: `item_idx` adds `share` of the score, exactly; `neighbour`: it is the most similar liked
            item, which the score does not show; `popular`: the list is everyone's; `alike`: users of the same group
            like it; `moment`: it is watched at such a time; `none`: no liked item speaks for it
    share : in (0, 1], only for a contribution
    also  : the second of that kind, where it says at least `SECOND` as much; -1 where there is none
    """

    kind: Literal["contribution", "neighbour", "popular", "alike", "moment", "none"]
    item_idx: int = -1
    share: float | None = None
    also: int = -1


@torch.inference_mode()
def reasons(
    model: Recommender,
    history: Interactions,
    targets: ArrayLike,
    *,
    positive: float = 4.0,
    new_user: bool = False,
) -> list[Reason]:
    """Return one reason for each target item (item indices), from what a user rated.

    history  : all ratings of one user; a neighbour is one of those from `positive` up
    new_user : whether the user is not in the data. Some models score the users of the data by trained vectors, which
               cannot be split into contributions: these users get neighbours

    A share is of the sum of the positive contributions.
    """
    wanted = as_indices(targets)
    if model.reason is not None:
        return [Reason(model.reason) for _ in wanted]
    liked = history.at_least(positive)
    if isinstance(model, SupportsExplain) and (new_user or model.scores_from_history):
        rows = _scored_from(model, history, positive, new_user)
        if not len(rows) or not len(wanted):
            return [Reason("none") for _ in wanted]
        past = rows.item_idx
        strength = model.explain(rows, wanted).clamp(min=0)  # (n_targets, n_history)
        strength[:, torch.from_numpy(rows.rating < positive)] = 0  # a dislike is no reason for an item
        total = strength.sum(1, keepdim=True)
        return [
            Reason("contribution", first, share, also) if share > 0 else Reason("none")
            for first, share, also in _two_best(strength / total.clamp(min=1e-12), past)
        ]
    past = liked.item_idx
    similarity = model.item_similarity(torch.from_numpy(wanted)) if len(past) and len(wanted) else None
    if similarity is None:
        return [Reason("none") for _ in wanted]
    similarity = similarity[:, torch.from_numpy(past.astype("int64"))].cpu()  # (n_targets, n_history)
    similarity[torch.from_numpy(wanted[:, None] == past)] = -torch.inf  # an item is not its own reason
    return [
        Reason("neighbour", first, also=also) if nearness > -torch.inf else Reason("none")
        for first, nearness, also in _two_best(similarity, past)
    ]


def _two_best(strength: Tensor, past: NDArray[np.integer]) -> list[tuple[int, float, int]]:
    """Return the best item of each row (n_targets, n_history), its strength, and the second or -1."""
    best, position = strength.topk(min(2, strength.shape[1]), dim=1)
    return [
        (int(past[p[0]]), s[0], int(past[p[1]]) if len(s) > 1 and s[1] > 0 and s[1] >= SECOND * s[0] else -1)
        for s, p in zip(best.tolist(), position.tolist(), strict=True)
    ]


class Contribution(NamedTuple):
    """What one rating adds to an item's score: below 0 it speaks against the item."""

    item_idx: int
    rating: float
    amount: float


@dataclass(frozen=True)
class Why:
    """What an item's score is made of: `contributions` and `standing` sum to `score`.

    rank          : where the item stands in the user's list, from 1; None where it is rated and so not listed
    contributions : of each rating, what adds most first and what takes most last
    standing      : what no single rating causes, by name: `average` (what a user without ratings would get) or the
                    parts of it that the model names; `passed` (what the items take that the user is not interested
                    in); `arrangement` (what the list takes for the items above, such as those of its series);
                    `fallback`, alone, where popularity stands in for a model without a signal
    """

    item_idx: int
    score: float
    rank: int | None
    contributions: Sequence[Contribution]
    standing: Mapping[str, float]

    @property
    def fallback(self) -> bool:
        """Return whether popularity stands in, so that the score says nothing of the user's ratings."""
        return "fallback" in self.standing


@torch.inference_mode()
def why(
    model: Recommender,
    dataset: Dataset,
    history: Interactions,
    target: int,
    *,
    positive: float = 4.0,
    user_idx: int | None = None,
    passed: Interactions | None = None,
    seen: Interactions | None = None,
) -> Why:
    """Return what makes the score of an item, whether it is listed or not.

    history      : all ratings of one user
    user_idx     : the user's index where it is one of the data, None for a new user
    passed, seen : what else a new user is not listed, as `recommend_new` takes it

    Raises BadInput for a model that cannot split its scores.
    """
    new_user = user_idx is None
    parts = contributions(model, history, target, positive=positive, new_user=new_user)
    assert isinstance(model, SupportsFoldIn)  # as all that explain are
    rows = _scored_from(model, history, positive, new_user)
    if user_idx is None:
        scores = score_new(model, dataset, history, positive, passed)
    else:
        scores = model.score([user_idx]).to("cpu", torch.float32, copy=True)
    plain = float(scores[0, target])
    aside = [rows for rows in (passed, seen) if rows is not None]
    scored = served(model, dataset, scores, history, positive, EvaluationPolicy(), False, None, aside)
    position = (top_k(scored.scores, dataset.n_items, scored.salts).items[0] == target).nonzero()
    rank = int(position[0]) + 1 if len(position) else None
    score = plain if rank is None else float(scored.scores[0, target])
    if scored.fallback[0]:
        return Why(target, score, rank, [], {"fallback": score})
    if isinstance(model, NamesStanding):
        standing = {name: float(amounts[target]) for name, amounts in model.standing().items()}
    else:
        standing = {"average": float(model.score_history(rows.select(slice(0)))[0, target])}
    if passed is not None:
        standing["passed"] = plain - float(score_new(model, dataset, history, positive, None)[0, target])
    standing["arrangement"] = score - plain
    return Why(target, score, rank, parts, {name: amount for name, amount in standing.items() if amount})


@torch.inference_mode()
def contributions(
    model: Recommender, history: Interactions, target: int, *, positive: float = 4.0, new_user: bool = False
) -> list[Contribution]:
    """Return what each rating of one user adds to the score of an item, the most first and what takes most last.

    They sum to the score less that of a user without ratings. Raises BadInput for a model that cannot tell.
    """
    if not isinstance(model, SupportsExplain) or not (new_user or model.scores_from_history):
        raise BadInput("model", model.name, "a model with the ability 'explain'", problem="cannot split its scores")
    rows = _scored_from(model, history, positive, new_user)
    parts = model.explain(rows, [target])[0].tolist() if len(rows) else []
    amounts = map(Contribution, rows.item_idx.tolist(), rows.rating.tolist(), parts)
    return sorted(amounts, key=lambda part: -part.amount)


def _scored_from(model: Recommender, history: Interactions, positive: float, new_user: bool) -> Interactions:
    """Return the rows of a user that the model's score comes from: of users of the data, those that it learned."""
    return (heard if new_user else readable)(model, history, positive)
