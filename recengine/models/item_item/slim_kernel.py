"""The compiled solver of `slim`: coordinate descent on one column of the weights after another."""

from __future__ import annotations

import numpy as np

from recengine.models.compiled import compiled

PRECISION = 1e-5
"""A column is solved when no weight moves by more than this."""


@compiled
def fit_columns(first, user, by_user, item, l2, l1, columns, ends, rows, values):  # type: ignore[no-untyped-def]
    """Fit the weights of the columns, one after another.

    first, user   : (n_items + 1,), (n,) int32: the users of item i are user[first[i]:first[i + 1]]
    by_user, item : (n_users + 1,), (n,) int32: the items of user u are item[by_user[u]:by_user[u + 1]]
    ends          : (len(columns),) filled with where each column's non-zero weights end
    rows, values  : int32 and float32, filled with the row and the weight; n_items for each column are always enough

    min |x_j - Xw|^2 / 2 + l2 |w|^2 / 2 + l1 sum w over w >= 0 with w_j = 0. Each step solves for one weight, from the
    residual x_j - Xw. An item that has at most `l1` users in common with j has no weight, since the weights of others
    only push it down. Sweeps over the items with a weight go on until none moves by more than PRECISION; then one over
    all candidates says whether that was the minimum.
    """
    n_items, n_users, size = len(first) - 1, len(by_user) - 1, 0
    residual, weight = np.zeros(n_users), np.zeros(n_items)
    common = np.zeros(n_items, np.int32)
    candidates, held = np.empty(n_items, np.int32), np.empty(n_items, np.int32)
    for c in range(len(columns)):
        n = find_candidates(first, user, by_user, item, l1, columns[c], common, candidates)
        for at in range(first[columns[c]], first[columns[c] + 1]):
            residual[user[at]] = 1.0
        while descend(first, user, residual, weight, candidates, n, l2, l1) > PRECISION:
            n_held = 0
            for at in range(n):
                if weight[candidates[at]] > 0:
                    held[n_held] = candidates[at]
                    n_held += 1
            while descend(first, user, residual, weight, held, n_held, l2, l1) > PRECISION:
                pass
        for at in range(n):
            i = candidates[at]
            if weight[i] > 0:
                rows[size], values[size] = i, weight[i]
                size += 1
            weight[i] = 0.0
        ends[c] = size
        residual[:] = 0.0


@compiled
def find_candidates(first, user, by_user, item, l1, j, common, candidates):  # type: ignore[no-untyped-def]
    """Fill `candidates` with the other items that have more than `l1` users in common with j; return their number.

    common : (n_items,) zeros, before and after
    """
    n = kept = 0
    for at in range(first[j], first[j + 1]):
        for one in range(by_user[user[at]], by_user[user[at] + 1]):
            i = item[one]
            if common[i] == 0:
                candidates[n] = i
                n += 1
            common[i] += 1
    for at in range(n):
        i = candidates[at]
        if i != j and common[i] > l1:
            candidates[kept] = i
            kept += 1
        common[i] = 0
    return kept


@compiled
def descend(first, user, residual, weight, items, n, l2, l1):  # type: ignore[no-untyped-def]
    """Solve for the weight of each of the first n items in turn; return the largest move."""
    most = 0.0
    for at in range(n):
        i = items[at]
        start, end, old = first[i], first[i + 1], weight[i]
        gradient = -l1 + old * (end - start)
        for one in range(start, end):
            gradient += residual[user[one]]
        new = max(gradient / (end - start + l2), 0.0)
        if new != old:
            weight[i] = new
            for one in range(start, end):
                residual[user[one]] -= new - old
            most = max(most, abs(new - old))
    return most
