"""The split `sitting`: users who are not in training, known by a few ratings in no order, as in one sitting."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from recengine.data.interactions import Interactions
from recengine.data.split import Rng, Split
from recengine.errors import BadInput


def sitting_split(
    ratings: Interactions,
    *,
    positive: float,
    disliked: float,
    given: int = 12,
    fold: int = 0,
    n_folds: int = 5,
    warm: Callable[[Interactions], Split],
    rng: Rng,
) -> Split:
    """Hold out whole users: known when they are served are `given` ratings, drawn at random and without times.

    Users are dealt into `n_folds`; `fold` says which is held out. Of each held-out user with more than 2 `given`
    ratings, the targets are all other ratings from `positive` up. The other ratings of `disliked` or less are what
    `pairs` compares the targets with. `warm` splits the positives of the other users for training.
    """
    held_out = rng.permutation(ratings.n_users) % n_folds == fold % n_folds
    rows = np.lexsort((rng.random(len(ratings)), ratings.user_idx))
    user, counts, rating = ratings.user_idx[rows], ratings.user_counts, ratings.rating[rows]
    position = np.arange(len(rows)) - (np.cumsum(counts) - counts)[user]
    other = (held_out & (counts > 2 * given))[user] & (position >= given)
    targets = other & (rating >= positive)
    tested = np.bincount(user[targets], minlength=ratings.n_users) > 0
    if not tested.any():
        problem = f"finds no held-out user with a target and {2 * given + 1} ratings or more"
        raise BadInput("split", "sitting", remedy="lower `given`", problem=problem)
    known = ratings.select(rows[tested[user] & (position < given)])
    learned = ratings.select(~held_out[ratings.user_idx])
    parts = warm(learned.at_least(positive))
    return Split(
        train=parts.train,
        valid=parts.valid,
        test=ratings.select(rows[targets]),
        candidates=ratings.item_counts.nonzero()[0],
        seen=Interactions.from_pairs(  # all at the same time
            known.user_idx,
            known.item_idx,
            rating=known.rating,
            timestamp=np.zeros(len(known)),
            n_users=ratings.n_users,
            n_items=ratings.n_items,
        ),
        left_out=int((held_out & ~tested & (counts > 0)).sum()),
        rest=learned.select(learned.rating < positive),
        disliked=ratings.select(rows[other & (rating <= disliked) & (rating < positive)]),
        options={"folds": n_folds, "fold": fold, "targets_after": given},
    ).give(given)
