"""The compiled steps of matrix factorisation: sampled softmax, Adagrad, and only the rows that a step touches."""

from __future__ import annotations

import math

import numpy as np

from recengine.models.compiled import compiled
from recengine.models.products import HEIGHT, WIDTH, multiply

EPSILON = np.float32(1e-10)
"""What `torch.optim.Adagrad` adds to its denominators."""
MOST_MARKS = 2**30
"""Bits of the users' marks, 128 MiB. Where those of all items would be more, several items share a bit."""


@compiled
def take_steps(user, item, negative, known, tables, sums, rates, l2, per_step):  # type: ignore[no-untyped-def] # compiled for the types that are passed
    """Take a step for every `per_step` positives and return the sum of the steps' losses, as `pair_loss` has them.

    user, item    : (n,) positives, whole groups of them
    negative      : (n / S, K) negative samples of each group of S positives
    known         : of `mark_known`, the items of each user that are no negative samples
    tables, sums  : users (n_users, D), items (n_items, D) and biases (n_items, 1), and the sums of their squared
                    gradients, all changed in place
    rates         : step sizes of vectors and of biases; with 0 a table and its sums stay as they are
    """
    n, dim, k = len(user), tables[0].shape[1], negative.shape[1]
    share = n // len(negative)
    most = min(n, per_step)
    user_slots, item_slots = np.full(len(tables[0]), -1, np.int32), np.full(len(tables[1]), -1, np.int32)
    some_users, some_items = np.empty(most, np.int32), np.empty(most // share * (share + k), np.int32)
    slots = (user_slots, item_slots)
    gradients = (
        np.zeros((len(some_users), dim), np.float32),
        np.zeros((len(some_items), dim), np.float32),
        np.zeros((len(some_items), 1), np.float32),
    )
    room = make_room(share, k, dim)
    total = 0.0
    for first in range(0, n, per_step):
        last = min(n, first + per_step)
        n_users = number(user[first:last], user_slots, some_users, 0)
        n_items = number(item[first:last], item_slots, some_items, 0)
        loss = 0.0
        for start in range(first, last, share):
            group, end = negative[start // share], start + share
            n_items = number(group, item_slots, some_items, n_items)
            loss += learn_group(user[start:end], item[start:end], group, known, tables, slots, gradients, room, l2)
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
def make_room(share, k, dim):  # type: ignore[no-untyped-def]
    """Return what a group is computed in, the sides of its matrices rounded up to whole tiles with zeros."""
    s, k_up, d = -(-share // WIDTH) * WIDTH, -(-k // HEIGHT) * HEIGHT, -(-dim // WIDTH) * WIDTH
    matrices = (
        np.zeros((s, d), np.float32),  # the users' vectors
        np.zeros((d, s), np.float32),  # their transpose
        np.zeros((k_up, d), np.float32),  # the samples' vectors
        np.zeros((k_up, s), np.float32),  # scores, then shares
        np.zeros((s, d), np.float32),  # gradients of users
        np.zeros((k_up, d), np.float32),  # and of samples
    )
    return matrices, np.empty((3, share), np.float32)


@compiled
def learn_group(user, item, group, known, tables, slots, gradients, room, l2):  # type: ignore[no-untyped-def]
    """Add the gradients of one group's losses to those of its rows, and return the sum of the losses."""
    users, items, biases = tables
    user_slots, item_slots = slots
    (vectors, turned, samples, score, user_gradients, sample_gradients), lines = room
    own, top, others = lines[0], lines[1], lines[2]
    share, dim = len(user), users.shape[1]
    of_sample = l2 * np.float32(share / len(group))
    squares = np.float32(0)
    for j in range(len(group)):
        squares += copy_row(items[group[j]], samples[j])
    loss = of_sample * squares
    squares = np.float32(0)
    for r in range(share):
        squares += copy_row(users[user[r]], vectors[r])
        row, other, product = vectors[r], items[item[r]], biases[item[r], 0]
        for d in range(dim):
            turned[d, r] = row[d]
        for d in range(dim):
            product += row[d] * other[d]
            squares += other[d] * other[d]
        own[r] = product
    loss += l2 * squares
    multiply(samples, turned, score)
    loss += take_shares(user, group, known, biases, score, own, top, others)
    multiply(score.T, samples, user_gradients)
    multiply(score, vectors, sample_gradients)
    for r in range(share):
        up, row, other, gradient = others[r], vectors[r], items[item[r]], user_gradients[r]
        of_user, of_item = gradients[0][user_slots[user[r]]], gradients[1][item_slots[item[r]]]
        gradients[2][item_slots[item[r]], 0] -= up
        for d in range(dim):
            of_user[d] += gradient[d] - up * other[d] + 2 * l2 * row[d]
        for d in range(dim):
            of_item[d] += 2 * l2 * other[d] - up * row[d]
    for j in range(len(group)):
        row, gradient, line, total = samples[j], sample_gradients[j], score[j], np.float32(0)
        for r in range(share):
            total += line[r]
        gradients[2][item_slots[group[j]], 0] += total
        of_item = gradients[1][item_slots[group[j]]]
        for d in range(dim):
            of_item[d] += gradient[d] + 2 * of_sample * row[d]
    return loss


@compiled
def copy_row(row, copy):  # type: ignore[no-untyped-def]
    """Copy a row (D,) and return the sum of its squares."""
    squares = np.float32(0)
    for d in range(len(row)):
        copy[d] = row[d]
        squares += row[d] * row[d]
    return squares


@compiled
def take_shares(user, group, known, biases, score, own, top, others):  # type: ignore[no-untyped-def]
    """Turn products (K, S) into shares, 0 for a known item, and `others` (S,) into their sums; return the losses' sum.

    The shares are exp(score) divided by the sum of these in the column, with the one of the positive's score, in `own`.
    """
    share = len(own)
    for r in range(share):
        top[r] = own[r]
    for j in range(len(group)):
        row, bias = score[j], biases[group[j], 0]
        leave_out(user, group[j], len(biases), known, row)
        for r in range(share):
            row[r] += bias
            top[r] = row[r] if row[r] > top[r] else top[r]
    for r in range(share):
        others[r] = 0
    for j in range(len(group)):
        row = score[j]
        for r in range(share):
            row[r] = exp_below(row[r] - top[r])
            others[r] += row[r]
    loss = 0.0
    for r in range(share):
        whole = others[r] + np.float32(math.exp(own[r] - top[r]))
        loss += math.log(whole) + top[r] - own[r]
        top[r] = np.float32(1) / whole
        others[r] *= top[r]
    for j in range(len(group)):
        row = score[j]
        for r in range(share):
            row[r] *= top[r]
    return loss


@compiled
def mark_known(starts, items, n_items, most=MOST_MARKS):  # type: ignore[no-untyped-def]
    """Return where each user's items start (n_users + 1,), the items (m,), ascending, and the users' marks.

    A user's marks are bits, as many as there are items rounded up to a power of two, or, of many, fewer.
    """
    width = 32
    while width < n_items and 2 * width * (len(starts) - 1) <= most:
        width *= 2
    marks = np.zeros((len(starts) - 1, width // 32), np.uint32)
    for user in range(len(marks)):
        for item in items[starts[user] : starts[user + 1]]:
            bit = np.uint32(item) & np.uint32(width - 1)
            marks[user, bit >> np.uint32(5)] |= np.uint32(1) << (bit & np.uint32(31))
    return starts, items, marks


@compiled
def leave_out(user, item, n_items, known, row):  # type: ignore[no-untyped-def]
    """Set the scores (S,) that users (S,) have for a sample to -inf where they are known to like it."""
    starts, items, marks = known
    width = 32 * marks.shape[1]
    bit = np.uint32(item) & np.uint32(width - 1)
    word, mask = bit >> np.uint32(5), np.uint32(1) << (bit & np.uint32(31))
    for r in range(len(user)):
        each = np.uint32(user[r])
        if marks[each, word] & mask and (width >= n_items or holds(items[starts[each] : starts[each + 1]], item)):
            row[r] = -np.inf


@compiled
def holds(items, item):  # type: ignore[no-untyped-def]
    """Return whether an item is among those (m,) that ascend."""
    low, high = 0, len(items)
    while low < high:
        middle = (low + high) // 2
        if items[middle] < item:
            low = middle + 1
        else:
            high = middle
    return low < len(items) and items[low] == item


@compiled
def exp_below(x):  # type: ignore[no-untyped-def]
    """Return exp(x) for x <= 0, in float32, by what is done for many at once: a series for x / 64, squared six times.

    The relative error is below 1e-5 for x above -10, the absolute one below 1e-6 everywhere.
    """
    y = x * np.float32(1 / 64)
    e = np.float32(1 / 24) + y * np.float32(1 / 120)
    e = np.float32(1 / 6) + y * e
    e = np.float32(0.5) + y * e
    e = np.float32(1) + y * e
    e = np.float32(1) + y * e
    e *= e
    e *= e
    e *= e
    e *= e
    e *= e
    e *= e
    return e if x > np.float32(-80) else np.float32(0)
