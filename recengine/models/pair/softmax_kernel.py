"""The compiled steps of matrix factorisation: sampled softmax, Adagrad, and only the rows that a step touches."""

from __future__ import annotations

import math

import numpy as np

from recengine.models.compiled import compiled

EPSILON = np.float32(1e-10)
"""What `torch.optim.Adagrad` adds to its denominators."""
SCANNED = 4
"""Up to this many known items for each negative sample all are looked through; of more, each sample is searched."""


@compiled
def take_steps(user, item, negative, starts, known, tables, sums, rates, l2, per_step):  # type: ignore[no-untyped-def] # compiled for the types that are passed
    """Take a step for every `per_step` positives and return the sum of the steps' losses, as `pair_loss` has them.

    user, item    : (n,) positives, whole groups of them
    negative      : (n / S, K) negative samples of each group of S positives
    starts, known : (n_users + 1,) and (m,), the items of each user, ascending, which are no negative samples
    tables, sums  : users (n_users, D), items (n_items, D) and biases (n_items, 1), and the sums of their squared
                    gradients, all changed in place
    rates         : step sizes of vectors and of biases; with 0 a table and its sums stay as they are
    """
    n, dim, k = len(user), tables[0].shape[1], negative.shape[1]
    share = n // len(negative)
    most = min(n, per_step)
    user_slots, item_slots = np.full(len(tables[0]), -1, np.int32), np.full(len(tables[1]), -1, np.int32)
    some_users, some_items = np.empty(most, np.int32), np.empty(most // share * (share + k), np.int32)
    slots = (user_slots, item_slots, np.full(len(tables[1]), -1, np.int32))
    gradients = (
        np.zeros((len(some_users), dim), np.float32),
        np.zeros((len(some_items), dim), np.float32),
        np.zeros((len(some_items), 1), np.float32),
    )
    room = (np.empty((dim, k), np.float32), np.empty((dim, k), np.float32), np.empty((3, k), np.float32))
    following = np.empty(k, np.int32)
    total = 0.0
    for first in range(0, n, per_step):
        last = min(n, first + per_step)
        n_users = number(user[first:last], user_slots, some_users, 0)
        n_items = number(item[first:last], item_slots, some_items, 0)
        loss = 0.0
        for start in range(first, last, share):
            group, end = negative[start // share], start + share
            n_items = number(group, item_slots, some_items, n_items)
            loss += learn_group(
                user[start:end], item[start:end], group, starts, known, tables, slots, gradients, room, following, l2
            )
        total += loss / (last - first)
        size = np.float32(1 / (last - first))
        descend(tables[0], gradients[0], sums[0], some_users[:n_users], rates[0], size)
        descend(tables[1], gradients[1], sums[1], some_items[:n_items], rates[0], size)
        descend(tables[2], gradients[2], sums[2], some_items[:n_items], rates[1], size)
        user_slots[some_users[:n_users]] = -1
        item_slots[some_items[:n_items]] = -1
    return total


@compiled
def number(rows, slots, listed, count):  # type: ignore[no-untyped-def]
    """Give each row without a slot the next one, list it there, and return how many there are then."""
    for row in rows:
        if slots[row] < 0:
            slots[row] = count
            listed[count] = row
            count += 1
    return count


@compiled
def descend(table, gradients, sums, rows, rate, size):  # type: ignore[no-untyped-def]
    """Take a step of Adagrad in the listed rows of a table (n, D), and clear the gradients, which are times `size`.

    A row whose gradient is zero would stay as it is, so that leaving it out changes nothing.
    """
    for slot in range(len(rows)):
        row, gradient, total = table[rows[slot]], gradients[slot], sums[rows[slot]]
        if rate > 0:
            for d in range(len(row)):
                g = size * gradient[d]
                total[d] += g * g
                row[d] -= rate * g / (math.sqrt(total[d]) + EPSILON)
        gradient[:] = 0


@compiled
def learn_group(user, item, group, starts, known, tables, slots, gradients, room, following, l2):  # type: ignore[no-untyped-def]
    """Add the gradients of one group's losses to those of its rows, and return the sum of the losses.

    room : (D, K) the samples' vectors, (D, K) their gradients, (3, K) their biases, these one's gradients, the scores
    """
    users, items, biases = tables
    user_slots, item_slots, first_at = slots
    vectors, vector_gradients = room[0], room[1]
    bias, bias_gradient, score = room[2][0], room[2][1], room[2][2]
    dim, k = vectors.shape
    of_sample = l2 * np.float32(len(user) / k)
    loss, squares = 0.0, np.float32(0)
    for j in range(k):
        row = items[group[j]]
        for d in range(dim):
            vectors[d, j] = row[d]
            squares += row[d] * row[d]
        bias[j] = biases[group[j], 0]
        following[j] = first_at[group[j]]  # the position before this one that holds the same item
        first_at[group[j]] = j
    loss += of_sample * squares
    vector_gradients[:] = 0
    bias_gradient[:] = 0
    for r in range(len(user)):
        u, v = users[user[r]], items[item[r]]
        score[:] = bias
        positive, squares = biases[item[r], 0], np.float32(0)
        for d in range(dim):
            line, x = vectors[d], u[d]
            positive += x * v[d]
            squares += x * x + v[d] * v[d]
            for j in range(k):
                score[j] += x * line[j]
        leave_out(known[starts[user[r]] : starts[user[r] + 1]], group, first_at, following, score)
        others, own, top = shares(score, positive)
        loss += math.log(others + own) + top - positive + l2 * squares
        up, whole = np.float32(-others / (others + own)), others + own
        of_user, of_item = gradients[0][user_slots[user[r]]], gradients[1][item_slots[item[r]]]
        gradients[2][item_slots[item[r]], 0] += up
        for j in range(k):
            score[j] /= whole
            bias_gradient[j] += score[j]
        for d in range(dim):
            line, line_gradient, x, s = vectors[d], vector_gradients[d], u[d], np.float32(0)
            for j in range(k):
                s += score[j] * line[j]
                line_gradient[j] += x * score[j]
            of_user[d] += s + up * v[d] + 2 * l2 * x
            of_item[d] += up * x + 2 * l2 * v[d]
    for j in range(k):
        first_at[group[j]] = -1
        of_item = gradients[1][item_slots[group[j]]]
        gradients[2][item_slots[group[j]], 0] += bias_gradient[j]
        for d in range(dim):
            of_item[d] += vector_gradients[d, j] + 2 * of_sample * vectors[d, j]
    return loss


@compiled
def leave_out(known, group, first_at, following, score):  # type: ignore[no-untyped-def]
    """Set the scores (K,) of the samples that are among the known items (m,), which ascend, to -inf."""
    if len(known) <= SCANNED * len(group):
        for each in known:
            at = first_at[each]
            while at >= 0:
                score[at] = -np.inf
                at = following[at]
        return
    for j in range(len(group)):
        low, high = 0, len(known)
        while low < high:
            middle = (low + high) // 2
            if known[middle] < group[j]:
                low = middle + 1
            else:
                high = middle
        if low < len(known) and known[low] == group[j]:
            score[j] = -np.inf


@compiled
def shares(score, positive):  # type: ignore[no-untyped-def]
    """Turn scores s (K,) into exp(s - top); return their sum, the positive's own, and the top of all."""
    top = positive
    for j in range(len(score)):
        top = max(top, score[j])
    others = np.float32(0)
    for j in range(len(score)):
        score[j] = math.exp(score[j] - top)
        others += score[j]
    return others, np.float32(math.exp(positive - top)), top
