"""Reasons: the liked item that speaks most for a recommendation."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike

from recengine.models.abilities import SupportsExplain
from recengine.models.base import Recommender


class Reason(NamedTuple):
    """Why an item is listed.

    kind  : `contribution`: `item_idx` adds `share` of the score, exactly; `neighbour`: it is the most similar liked
            item, which the score does not show; `popular`: the list is everyone's; `alike`: users of the same group
            like it; `moment`: it is watched at such a time; `none`: no liked item speaks for it
    share : in (0, 1], only for a contribution
    """

    kind: Literal["contribution", "neighbour", "popular", "alike", "moment", "none"]
    item_idx: int = -1
    share: float | None = None


@torch.inference_mode()
def reasons(model: Recommender, liked: ArrayLike, targets: ArrayLike, *, new_user: bool = False) -> list[Reason]:
    """Return one reason for each target item, from the items that a user liked (both item indices).

    liked    : oldest first; the history that the model scores a new user from
    new_user : whether the user is not in the data. Some models score the users of the data by trained vectors, which
               cannot be split into contributions: these users get neighbours

    A share is of the sum of the positive contributions.
    """
    past = np.asarray(liked, dtype=np.int64)
    wanted = np.asarray(targets, dtype=np.int64)
    if model.reason is not None:
        return [Reason(model.reason) for _ in wanted]
    if not len(past) or not len(wanted):
        return [Reason("none") for _ in wanted]
    if isinstance(model, SupportsExplain) and (new_user or model.scores_from_history):
        strength = model.explain(past, wanted).clamp(min=0)  # (n_targets, n_history)
        total = strength.sum(1, keepdim=True)
        best, position = (strength / total.clamp(min=1e-12)).max(1)
        return [
            Reason("contribution", int(past[p]), float(s)) if s > 0 else Reason("none")
            for s, p in zip(best, position, strict=True)
        ]
    similarity = model.item_similarity(torch.from_numpy(wanted))
    if similarity is None:
        return [Reason("none") for _ in wanted]
    similarity = similarity[:, torch.from_numpy(past)].cpu()  # (n_targets, n_history)
    similarity[torch.from_numpy(wanted[:, None] == past)] = -torch.inf  # an item is not its own reason
    best, position = similarity.max(1)
    return [
        Reason("neighbour", int(past[p])) if s > -torch.inf else Reason("none")
        for s, p in zip(best, position, strict=True)
    ]
