"""The compiled loops over pairs of items that users have in common: none holds more than one item's row at a time."""

from __future__ import annotations

import numpy as np

from recengine.models.compiled import compiled


@compiled
def count_common(first, user, by_user, item, i, common, touched):  # type: ignore[no-untyped-def] # compiled for the types that are passed
    """Count in `common` (n_items,), zeros before, the users that each item shares with i; return how many are touched.

    first, user   : (n_items + 1,), (n,) the users of item i are user[first[i]:first[i + 1]]
    by_user, item : (n_users + 1,), (n,) the items of user u are item[by_user[u]:by_user[u + 1]]
    touched       : filled with the items whose count is not 0
    """
    n = 0
    for at in range(first[i], first[i + 1]):
        u = user[at]
        for other in range(by_user[u], by_user[u + 1]):
            j = item[other]
            if common[j] == 0:
                touched[n] = j
                n += 1
            common[j] += 1
    return n


@compiled
def fill_gram(first, user, by_user, item, items, gram):  # type: ignore[no-untyped-def]
    """Write the rows of X'X of some items into `gram` (n_items, n_items) float32, zeros before."""
    for i in items:
        for at in range(first[i], first[i + 1]):
            u = user[at]
            for other in range(by_user[u], by_user[u + 1]):
                gram[i, item[other]] += np.float32(1.0)


@compiled
def nearest(first, user, by_user, item, items, k, shrinkage, n_users, head, neighbours, values):  # type: ignore[no-untyped-def]
    """Find the k best predictors of each of some items, as `neighbours` (n_items, k), -1 padded, and their `values`.

    With c the users that two items share, and a, b those of the item and of the other:
    n_users = 0 : the cosine c / (sqrt(a b) + shrinkage)
    otherwise   : (c - a b / n_users) / (b + shrinkage), a ridge regression on the other item alone, less what chance
                  would give it; pairs of two items of the `head` (n_items,) bool are left out
    """
    n_items = len(first) - 1
    common, touched = np.zeros(n_items, np.int32), np.empty(n_items, np.int32)
    for i in items:
        n = count_common(first, user, by_user, item, i, common, touched)
        kept, a = 0, np.float32(first[i + 1] - first[i])
        ids, best = neighbours[i], values[i]
        for at in range(n):
            j = touched[at]
            c, b = np.float32(common[j]), np.float32(first[j + 1] - first[j])
            common[j] = 0
            if j == i or (n_users > 0 and head[i] and head[j]):
                continue
            if n_users == 0:
                value = c / (np.sqrt(a) * np.sqrt(b) + shrinkage)
            else:
                value = (c - a * b / np.float32(n_users)) / (b + shrinkage)
                if value <= 0:
                    continue
            if kept < k:
                position = kept
                kept += 1
                while position > 0 and best[(position - 1) // 2] > value:  # a heap, the least on top
                    ids[position], best[position] = ids[(position - 1) // 2], best[(position - 1) // 2]
                    position = (position - 1) // 2
                ids[position], best[position] = j, value
            elif value > best[0]:
                position = 0
                while True:
                    child = 2 * position + 1
                    if child >= k:
                        break
                    if child + 1 < k and best[child + 1] < best[child]:
                        child += 1
                    if best[child] >= value:
                        break
                    ids[position], best[position] = ids[child], best[child]
                    position = child
                ids[position], best[position] = j, value


@compiled
def add_rows(starts, columns, values, rows, weight, bags, some, total):  # type: ignore[no-untyped-def]
    """Add to `total` (B, n), for some of B bags, their rows of a sparse matrix, times their weights.

    starts, columns, values : the matrix, row i of which has values[starts[i]:starts[i + 1]] in those columns
    rows, weight : (m,); bags : (B + 1,) bag b has rows[bags[b]:bags[b + 1]]
    """
    for bag in some:
        for at in range(bags[bag], bags[bag + 1]):
            if weight[at] == 0:
                continue
            for cell in range(starts[rows[at]], starts[rows[at] + 1]):
                total[bag, columns[cell]] += values[cell] * weight[at]


@compiled
def count_pairs(starts, items, counts):  # type: ignore[no-untyped-def]
    """Add to `counts` (n_items, n_items) for each pair of items, the smaller first, how many users have both.

    starts : (n_users + 1,) where each user's items begin in `items`, which ascend and are distinct
    """
    for user in range(len(starts) - 1):
        for a in range(starts[user], starts[user + 1]):
            row = counts[items[a]]
            for b in range(a, starts[user + 1]):
                row[items[b]] += np.float32(1.0)


@compiled
def mirror(table):  # type: ignore[no-untyped-def]
    """Copy the upper triangle of a square table into the lower, square by square, which the cache holds."""
    n, side = len(table), 64
    for top in range(0, n, side):
        for left in range(top, n, side):
            for i in range(top, min(top + side, n)):
                for j in range(max(left, i + 1), min(left + side, n)):
                    table[j, i] = table[i, j]
