"""One list for several users: what suits all of them, or each in turn."""

from __future__ import annotations

from typing import Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from recengine.errors import BadInput

Strategy = Literal["average", "misery", "turns"]
SHORTLIST = 20
"""Items at the top of a user's own list from which the one that suits the others best is taken, in `turns`."""


class GroupListing(NamedTuple):
    """A list for a group of M users, best first.

    items : (k,) int64
    ranks : (k, M) the rank of each item in each user's own list, from 1
    chosen_for : (k,) whose turn it was, -1 where the strategy takes no turns
    """

    items: NDArray[np.int64]
    ranks: NDArray[np.int64]
    chosen_for: NDArray[np.int64]


def recommend_group(
    rankings: Tensor, *, strategy: Strategy = "average", k: int = 10, owed: ArrayLike | None = None
) -> GroupListing:
    """Return the top k for a group (Masthoff, Group recommender systems, Recommender Systems Handbook, 2011).

    Only the order of each user's list counts, so that scores of different size are comparable: an item at rank r is
    worth 1 / log2(1 + r) to a user, as in DCG. What is worth the same comes in the order of the first user's list.
    Fewer than k come back if fewer items stand in everyone's list.

    rankings : (M, n) int64, each user's own list, best first, padded with -1; what is missing in one is not listed
    strategy : `average`: the largest mean worth; `misery`: the largest worth to whom it is worth least; `turns`: the
        user with the largest debt, of equals the one with the fewest turns, gets that item of the first 20 of their own
        list which is worth most to the others
    owed : (M,) at least 0: how often each user gave way before (see `debts`); 1 + owed is the user's weight

    Raises BadInput for an unknown strategy, for k below 1, and for debts that do not fit.
    """
    if strategy not in get_args(Strategy):
        raise BadInput("strategy", strategy, ", ".join(get_args(Strategy)))
    if k < 1:
        raise BadInput("k", k, "at least 1")
    n_users = len(rankings)
    debt = np.zeros(n_users) if owed is None else np.asarray(owed, dtype=np.float64)
    if debt.shape != (n_users,) or not (debt >= 0).all():
        raise BadInput("owed", owed, f"{n_users} numbers of at least 0")
    items, ranks = _common(rankings.numpy())
    worth = worth_of(ranks)
    if strategy == "turns":
        chosen, turns = _in_turns(ranks, worth, debt, k)
    else:
        weight = 1 + debt
        mean = worth @ weight / weight.sum()
        first = ranks[:, 0]  # no two items have the same
        order = np.lexsort((first, -mean) if strategy == "average" else (first, -mean, -(worth / weight).min(1)))
        chosen, turns = order[:k], np.full(min(k, len(order)), -1)
    return GroupListing(items[chosen], ranks[chosen], turns)


def worth_of(rank: ArrayLike) -> NDArray[np.float64]:
    """Return what an item at a rank, from 1, is worth to a user: 1 for the first, less further down."""
    return 1 / np.log2(1 + np.asarray(rank, dtype=np.float64))


def debts(owed: ArrayLike, ranks: ArrayLike) -> NDArray[np.float64]:
    """Return what a group owes its users (M,) after it has chosen an item with these ranks (M,) in their own lists.

    A user is owed what the item is worth less to them than to the one whom it suits best; whoever is owed least
    starts again at 0.
    """
    worth = worth_of(ranks)
    after = np.asarray(owed, dtype=np.float64) + worth.max() - worth
    return after - after.min()


def _common(rankings: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the items (n,) that stand in every list, and their ranks there (n, M)."""
    size = int(rankings.max(initial=-1)) + 1
    ranks = np.zeros((size, len(rankings)), dtype=np.int64)
    for user, ranking in enumerate(rankings):
        listed = ranking[ranking >= 0]
        ranks[listed, user] = np.arange(1, len(listed) + 1)
    items = np.flatnonzero((ranks > 0).all(1))
    return items, ranks[items]


def _in_turns(
    ranks: NDArray[np.int64], worth: NDArray[np.float64], debt: NDArray[np.float64], k: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the positions of the items taken in turns, and whose turn each was."""
    left = np.ones(len(ranks), bool)
    chosen: list[int] = []
    turns: list[int] = []
    while len(chosen) < k and left.any():
        had = np.bincount(np.array(turns, np.int64), minlength=len(debt))
        user = int(np.lexsort((had, -debt))[0])
        open_items = np.flatnonzero(left)
        shortlist = open_items[np.argsort(ranks[open_items, user], kind="stable")[:SHORTLIST]]
        best = int(shortlist[np.delete(worth[shortlist], user, axis=1).sum(1).argmax()])
        left[best] = False
        chosen.append(best)
        turns.append(user)
        debt = debts(debt, ranks[best])
        debt[user] = 0.0
    return np.array(chosen, np.int64), np.array(turns, np.int64)
