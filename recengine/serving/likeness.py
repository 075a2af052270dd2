"""Similar items: to one or to several, away from others, by users or by content, and how strong that is in words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from recengine.data.dataset import Dataset
from recengine.metrics import Ranking, top_k
from recengine.models.abilities import BlendsLikeness
from recengine.models.base import Recommender
from recengine.models.item_item.likeness import SHARES, Traits

Source = Literal["both", "users", "content"]
"""What a likeness rests on: who likes both items, what both are, or both as the model blends them."""
STRONG, FAIR = 0.5, 0.3
"""Likeness, on the scale from 0 to 1 that is one for all items, from which on it is called strong, and fair."""
FEW = 0.25
"""Part of a likeness by users up to which it is said to be by content."""
FEW_RATINGS = 20
"""Ratings of an item below which its users are too few to compare it by."""
MOST_ITEMS = 10_000
"""Items up to which content is compared for models that know none: a matrix of all their terms is held."""
LEAST = 0.05
"""Added to each likeness before several are multiplied, so that one that is 0 does not outweigh all others."""
AWAY = 0.5
"""What the likeness to an item to steer away from takes, where that to the seeds is 1."""


def has_content(dataset: Dataset) -> bool:
    """Return whether the item table says anything that items are compared by, besides their years."""
    return any((dataset.items[column].fillna("") != "").any() for column in SHARES if column in dataset.items)


def traits_of(dataset: Dataset) -> Traits:
    """Return what items are compared by for models that read no content, of at most `MOST_ITEMS` items."""
    return Traits.of(dataset.items, dataset.n_items, torch.zeros(dataset.n_items, dtype=torch.bool))


def sources(model: Recommender, dataset: Dataset, seeds: Sequence[int]) -> list[Source]:
    """Return what the likeness to some items can rest on, the default first.

    It is content alone where a seed has fewer than `FEW_RATINGS`, or the model compares no items.
    """
    blends = isinstance(model, BlendsLikeness)
    by_content = has_content(dataset) and (blends or dataset.n_items <= MOST_ITEMS)
    enough = min(int(dataset.ratings.item_counts[seed]) for seed in seeds) >= FEW_RATINGS
    if "similar" not in model.abilities or (not enough and by_content):
        return ["content"] if by_content else []
    if not by_content:
        return ["users"]
    return ["both", "users", "content"] if blends else ["users", "content"]


@torch.inference_mode()
def likenesses(model: Recommender, traits: Traits | None, seeds: Sequence[int], source: Source) -> Tensor:
    """Return (len(seeds), n_items): how like each seed every item is, by one of `sources`.

    traits : those of the data set, for `content` of a model that does not blend
    """
    wanted = torch.tensor(seeds, dtype=torch.int64)
    if isinstance(model, BlendsLikeness):
        parts = {"users": model.likeness_by_users, "content": model.likeness_by_content}
        alike = parts.get(source, model.item_similarity)(wanted)
    else:
        alike = traits.likeness(wanted) if traits is not None and source == "content" else model.item_similarity(wanted)
    assert alike is not None
    return alike.to("cpu", torch.float32, copy=True)


def combined(alike: Tensor, unlike: Tensor | None = None) -> Tensor:
    """Return (n_items,) of likenesses to one or several seeds (B, n_items) and to what to steer away from.

    Of one seed they stay as they are; of several it is their geometric mean, which is high only where all are. The
    likeness to the nearest of the items to steer away from is taken off, times `AWAY`.
    """
    score = alike[0] if len(alike) == 1 else (alike.clamp(min=0) + LEAST).log().mean(0).exp() - LEAST
    return score if unlike is None or not len(unlike) else score - AWAY * unlike.clamp(min=0).amax(0)


@torch.inference_mode()
def similar_to(
    model: Recommender,
    traits: Traits | None,
    seeds: Sequence[int],
    away: Sequence[int] = (),
    *,
    source: Source,
    k: int = 10,
) -> Ranking:
    """Return the k items, as one row, that are most like all seeds and unlike those in `away`; neither are listed.

    Likenesses that are not from 0 to 1 are divided by the largest of their seed, where there are several of them.
    """
    rows = likenesses(model, traits, [*seeds, *away], source)
    rows[:, [*seeds, *away]] = -torch.inf
    if len(rows) > 1 and not on_one_scale(model, source):
        rows /= rows.amax(1, keepdim=True).clamp(min=1e-12)
    score = combined(rows[: len(seeds)], rows[len(seeds) :])
    score[[*seeds, *away]] = -torch.inf
    return top_k(score[None], min(k, len(score) - len(seeds) - len(away)))


def on_one_scale(model: Recommender, source: Source) -> bool:
    """Return whether likenesses are from 0 to 1 and mean the same for every item."""
    return source == "content" or isinstance(model, BlendsLikeness)


def share_by_users(model: Recommender, seeds: Sequence[int]) -> float:
    """Return how much of the likeness to some items is by users, on average, where content counts the rest."""
    if not isinstance(model, BlendsLikeness):
        return 1.0
    return float(model.share_by_users(torch.tensor(seeds, dtype=torch.int64)).mean())


def basis(model: Recommender, item_idx: int) -> str | None:
    """Return what the likeness to an item rests on, `content` or `users and content`; None where a model has one."""
    if not isinstance(model, BlendsLikeness):
        return None
    return "content" if share_by_users(model, [item_idx]) <= FEW else "users and content"


def strength(similarity: float, strongest: float | None) -> str:
    """Return a similarity in words: relative to the strongest, or on the one scale where that is None."""
    share = similarity if strongest is None else similarity / strongest if strongest > 0 else 0.0
    strong, fair = (STRONG, FAIR) if strongest is None else (2 / 3, 1 / 3)
    return "strong" if share >= strong else "fair" if share >= fair else "weak"
