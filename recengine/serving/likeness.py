"""What a likeness of items rests on, and how strong it is, in words."""

from __future__ import annotations

import torch

from recengine.models.abilities import BlendsLikeness
from recengine.models.base import Recommender

STRONG, FAIR = 0.5, 0.3
"""Likeness, on the scale from 0 to 1 that is one for all items, from which on it is called strong, and fair."""
FEW = 0.25
"""Part of a likeness by users up to which it is said to be by content."""


def basis(model: Recommender, item_idx: int) -> str | None:
    """Return what the likeness to an item rests on, `content` or `users and content`; None where a model has one."""
    if not isinstance(model, BlendsLikeness):
        return None
    by_users = float(model.share_by_users(torch.tensor([item_idx]))[0])
    return "content" if by_users <= FEW else "users and content"


def strength(model: Recommender, similarity: float, strongest: float) -> str:
    """Return a similarity in words: on the model's scale if all items share it, else relative to the strongest."""
    relative = not isinstance(model, BlendsLikeness)
    share = similarity if not relative else similarity / strongest if strongest > 0 else 0.0
    strong, fair = (2 / 3, 1 / 3) if relative else (STRONG, FAIR)
    return "strong" if share >= strong else "fair" if share >= fair else "weak"
