"""The compiled inner loops of `step`: ranks, gradients and updates, as pure functions over arrays.

Nothing here knows a model. Whoever holds a few rows of the tables in arrays of their own, with the items numbered
anew, learns from an event with `learn` as the whole tables would. `log` is a `recengine.models.streaming.base.Log`.

The first call of a function compiles it, which takes seconds, and keeps the result beside this file, or in the
person's cache folder; where neither can be written it is compiled anew in every process.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Ints = NDArray[np.int32]

OBJECTIVES = ("squared", "logistic", "bpr", "softmax", "linear")
OPTIMIZERS = ("sgd", "adagrad", "adam")
SOURCES = ("known", "any", "oldest")
FIRST, SECOND = 0.9, 0.999
"""Decay of Adam's two moments."""
BLOCK = 64
"""Items that are scored before any of them is compared."""
TRIES = 20
"""Draws for each negative before fewer of them are taken, as where a person has nearly everything."""


class Tables(NamedTuple):
    """What is learned, with M moments of the optimiser.

    users : (U, D), items : (I, D), bias : (I, 1), *_moments : (M, ...) of each; updates : (1,) made so far
    """

    users: Floats
    items: Floats
    bias: Floats
    user_moments: Floats
    item_moments: Floats
    bias_moments: Floats
    updates: NDArray[np.int64]


class Rule(NamedTuple):
    """How a table follows from an example; objective and optimizer are places in OBJECTIVES and OPTIMIZERS."""

    objective: int
    optimizer: int
    learning_rate: float
    regularisation: float
    sigmoid: bool
    learns_users: bool
    learns_items: bool
    learns_bias: bool


class Sampler(NamedTuple):
    """Where negatives come from.

    state : (1,) uint64 of the random numbers; mark : (I,) int64, an item is known where it equals the stamp in force
    stamp : (1,) int64; older, newer : (I + 1,) ring of the items by when they last came: item i at place i + 1, and
    place 0 between its ends
    come : (I,) bool, the items that ever came; came : (I,) these items in that order; n_came : (1,) how many they are
    source : place in SOURCES
    """

    state: NDArray[np.uint64]
    mark: NDArray[np.int64]
    stamp: NDArray[np.int64]
    older: Ints
    newer: Ints
    come: NDArray[np.bool_]
    came: Ints
    n_came: NDArray[np.int64]
    source: int


class Scratch(NamedTuple):
    """Room for one batch of B examples with up to N items each; the two slots hold -1 between calls.

    picked : (B, N), counts : (B,), owners : (B,), weights : (B,), scores, slopes : (N,)
    user_slot : (U,), item_slot : (I,), user_rows : (B,), item_rows : (B * N,), which are in the slots
    user_grad : (B, D), item_grad : (B * N, D), bias_grad : (B * N, 1)
    """

    picked: Ints
    counts: Ints
    owners: Ints
    weights: Floats
    scores: Floats
    slopes: Floats
    user_slot: Ints
    item_slot: Ints
    user_rows: Ints
    item_rows: Ints
    user_grad: Floats
    item_grad: Floats
    bias_grad: Floats

    @classmethod
    def for_batches(cls, n_users: int, n_items: int, dim: int, size: int, negatives: int) -> Scratch:
        width = 1 + negatives
        ints, floats = np.int32, np.float32
        return cls(
            picked=np.zeros((size, width), ints),
            counts=np.zeros(size, ints),
            owners=np.zeros(size, ints),
            weights=np.zeros(size, floats),
            scores=np.zeros(width, floats),
            slopes=np.zeros(width, floats),
            user_slot=np.full(n_users, -1, ints),
            item_slot=np.full(n_items, -1, ints),
            user_rows=np.zeros(size, ints),
            item_rows=np.zeros(size * width, ints),
            user_grad=np.zeros((size, dim), floats),
            item_grad=np.zeros((size * width, dim), floats),
            bias_grad=np.zeros((size * width, 1), floats),
        )


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function compiled, kept on disk if there is a place for it."""
    how: dict[str, Any] = {"nogil": True, "error_model": "numpy", "fastmath": {"reassoc", "contract", "nsz"}}
    try:
        return njit(cache=True, **how)(function)
    except RuntimeError:  # neither the package nor the person's cache can be written
        return njit(**how)(function)


@compiled
def draw(state, below):  # type: ignore[no-untyped-def] # compiled for the types it meets
    """Return the next random number in [0, below) of a splitmix64 sequence (Steele, Lea & Flood, OOPSLA 2014)."""
    state[0] += np.uint64(0x9E3779B97F4A7C15)
    z = state[0]
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.int64((z ^ (z >> np.uint64(31))) % np.uint64(below))


@compiled
def mark_history(log, user, sampler):  # type: ignore[no-untyped-def]
    """Mark the items of a user's events with a new stamp, which is returned."""
    sampler.stamp[0] += 1
    stamp = sampler.stamp[0]
    event = log.last[user]
    while event >= 0:
        sampler.mark[log.item[event]] = stamp
        event = log.previous[event]
    return stamp


@compiled
def append(log, user, item, weight):  # type: ignore[no-untyped-def]
    """Add an event, for which there must be room."""
    place = log.size[0]
    log.user[place], log.item[place], log.weight[place] = user, item, weight
    log.previous[place] = log.last[user]
    log.last[user] = place
    log.size[0] += 1


@compiled
def welcome(sampler, item):  # type: ignore[no-untyped-def]
    """Note that an item has come, if it is for the first time."""
    if not sampler.come[item]:
        sampler.come[item] = True
        sampler.came[sampler.n_came[0]] = item
        sampler.n_came[0] += 1


@compiled
def renew(sampler, item):  # type: ignore[no-untyped-def]
    """Make an item the one that came latest."""
    older, newer, place = sampler.older, sampler.newer, item + 1
    newer[older[place]], older[newer[place]] = newer[place], older[place]
    latest = older[0]
    older[place], newer[place], newer[latest], older[0] = latest, 0, place, place


@compiled
def pick(sampler, item, negatives, picked):  # type: ignore[no-untyped-def]
    """Fill `picked` with the item and distinct unmarked others; return how many there are in all."""
    n_items, stamp, count = len(sampler.mark), sampler.stamp[0], 1
    picked[0] = item
    if sampler.source == 2:
        place = sampler.newer[0]
        for _ in range(n_items):
            if count > negatives:
                break
            following = sampler.newer[place]
            if sampler.mark[place - 1] != stamp:
                picked[count] = place - 1
                count += 1
                renew(sampler, place - 1)
            place = following
        return count
    known = sampler.source == 0
    below = sampler.n_came[0] if known else n_items
    for _ in range(TRIES * negatives if below > 0 else 0):
        if count > negatives:
            break
        other = draw(sampler.state, below)
        if known:
            other = np.int64(sampler.came[other])
        if sampler.mark[other] != stamp:
            sampler.mark[other] = stamp
            picked[count] = other
            count += 1
    for place in range(1, count):
        sampler.mark[picked[place]] = 0
    return count


@compiled
def differentiate(scores, count, weight, rule, slopes):  # type: ignore[no-untyped-def]
    """Fill `slopes` with the derivative of one example's loss by each score, the first being the positive's.

    Returns the loss. With s the scores, y = 1 for the positive and 0 for the others, p = s or its sigmoid, and means
    over the others: squared ((1 - p_positive)^2 + mean p^2) / 2, logistic -log sigmoid(s_positive) - mean
    log sigmoid(-s), bpr -mean log sigmoid(s_positive - s), softmax -log of the positive's share, linear
    1 - p_positive. As means, they ask for the same step size however many others there are.
    """
    loss, each = 0.0, weight / max(count - 1, 1)
    if rule.objective == 3:
        top = scores[0]
        for j in range(1, count):
            top = max(top, scores[j])
        total = 0.0
        for j in range(count):
            slopes[j] = math.exp(scores[j] - top)
            total += slopes[j]
        for j in range(count):
            slopes[j] = weight * (slopes[j] / total - (1.0 if j == 0 else 0.0))
        return weight * (math.log(total) + top - scores[0])
    slopes[0] = 0.0
    for j in range(count):
        factor = weight if j == 0 else each
        if rule.objective == 2:
            if j > 0:
                gap = scores[0] - scores[j]
                slopes[j] = factor / (1.0 + math.exp(gap))
                slopes[0] -= slopes[j]
                loss += factor * (math.log1p(math.exp(-abs(gap))) + max(-gap, 0.0))
            continue
        target = 1.0 if j == 0 else 0.0
        share = 1.0 / (1.0 + math.exp(-scores[j]))
        if rule.objective == 1:
            slopes[j] = factor * (share - target)
            signed = scores[j] if j == 0 else -scores[j]
            loss += factor * (math.log1p(math.exp(-abs(signed))) + max(-signed, 0.0))
            continue
        value = share if rule.sigmoid else scores[j]
        inner = share * (1.0 - share) if rule.sigmoid else 1.0
        if rule.objective == 0:
            slopes[j] = factor * (value - target) * inner
            loss += factor * 0.5 * (value - target) ** 2
        else:
            slopes[j] = -factor * inner if j == 0 else 0.0
            loss += factor * (1.0 - value) if j == 0 else 0.0
    return loss


@compiled
def move(row, gradient, moments, place, updates, rule):  # type: ignore[no-untyped-def]
    """Change a row (D,) of a table by its gradient; of the rows, Adam moves those alone that have one."""
    rate = np.float32(rule.learning_rate)
    if rule.optimizer == 0:
        for d in range(len(row)):
            row[d] -= rate * gradient[d]
    elif rule.optimizer == 1:
        sums = moments[0, place]
        for d in range(len(row)):
            sums[d] += gradient[d] * gradient[d]
            row[d] -= rate * gradient[d] / (math.sqrt(sums[d]) + np.float32(1e-10))
    else:
        mean, square = moments[0, place], moments[1, place]
        unbias = math.sqrt(1.0 - SECOND**updates)
        rate = np.float32(rule.learning_rate * unbias / (1.0 - FIRST**updates))
        for d in range(len(row)):
            mean[d] += np.float32(1.0 - FIRST) * (gradient[d] - mean[d])
            square[d] += np.float32(1.0 - SECOND) * (gradient[d] * gradient[d] - square[d])
            row[d] -= rate * mean[d] / (math.sqrt(square[d]) + np.float32(1e-8))


@compiled
def learn(tables, rule, scratch, n, moving=True):  # type: ignore[no-untyped-def]
    """Take one step of the optimiser on the mean loss of the first n examples of `scratch`; return that loss.

    The loss of an example is `differentiate`'s plus regularisation / 2 * the squares of the vectors that it uses;
    biases are free. All gradients are taken before anything moves. `moving` = False only computes the loss.
    """
    users, items, bias = tables.users, tables.items, tables.bias
    dim, total, n_users, n_items = users.shape[1], 0.0, 0, 0
    share, decay = np.float32(1.0 / n), np.float32(rule.regularisation / n)
    for b in range(n):
        user, count, picked = users[scratch.owners[b]], scratch.counts[b], scratch.picked[b]
        for j in range(count):
            item, score = items[picked[j]], bias[picked[j], 0]
            for d in range(dim):
                score += user[d] * item[d]
            scratch.scores[j] = score
        total += differentiate(scratch.scores, count, scratch.weights[b], rule, scratch.slopes)
        if not moving:
            continue
        slot = scratch.user_slot[scratch.owners[b]]
        if slot < 0:
            slot = n_users
            scratch.user_slot[scratch.owners[b]] = slot
            scratch.user_rows[slot] = scratch.owners[b]
            scratch.user_grad[slot] = 0.0
            n_users += 1
        user_grad = scratch.user_grad[slot]
        for d in range(dim):
            user_grad[d] += decay * user[d]
        for j in range(count):
            slot = scratch.item_slot[picked[j]]
            if slot < 0:
                slot = n_items
                scratch.item_slot[picked[j]] = slot
                scratch.item_rows[slot] = picked[j]
                scratch.item_grad[slot] = 0.0
                scratch.bias_grad[slot, 0] = 0.0
                n_items += 1
            slope, item, item_grad = share * scratch.slopes[j], items[picked[j]], scratch.item_grad[slot]
            for d in range(dim):
                user_grad[d] += slope * item[d]
                item_grad[d] += slope * user[d] + decay * item[d]
            scratch.bias_grad[slot, 0] += slope
    if moving:
        tables.updates[0] += 1
    for slot in range(n_users):
        row = scratch.user_rows[slot]
        scratch.user_slot[row] = -1
        if rule.learns_users:
            move(users[row], scratch.user_grad[slot], tables.user_moments, row, tables.updates[0], rule)
    for slot in range(n_items):
        row = scratch.item_rows[slot]
        scratch.item_slot[row] = -1
        if rule.learns_items:
            move(items[row], scratch.item_grad[slot], tables.item_moments, row, tables.updates[0], rule)
        if rule.learns_bias:
            move(bias[row], scratch.bias_grad[slot], tables.bias_moments, row, tables.updates[0], rule)
    return total / n


@compiled
def rank(vector, items, bias, mark, stamp, target, limit, top_items, top_scores):  # type: ignore[no-untyped-def]
    """Return the rank of an item, from 1, among those not marked by `stamp`, by score, ties by place.

    vector : (D,); limit : stop when as many items are better (the rank is then limit + 1), 0 for never
    top_items, top_scores : (k,) filled with the best items, -1 and -inf where there are too few; k = 0 for no list
    NaN counts as -inf. The target itself is ranked whether or not it is marked.
    """
    k, better, lowest = len(top_items), 0, -np.float32(np.inf)
    top_items[:], top_scores[:] = -1, lowest
    own = bias[target, 0]
    for d in range(len(vector)):
        own += vector[d] * items[target, d]
    own = own if own == own else lowest
    scores = np.empty(BLOCK, np.float32)
    for start in range(0, len(items), BLOCK):
        size = min(BLOCK, len(items) - start)
        for b in range(size):
            row, score = items[start + b], np.float32(0.0)
            for d in range(len(vector)):
                score += row[d] * vector[d]
            score += bias[start + b, 0]
            scores[b] = score if score == score else lowest
        for b in range(size):  # without a branch, since half of them would be guessed wrong
            ahead = (scores[b] > own) | ((scores[b] == own) & (start + b < target))
            better += ahead & (mark[start + b] != stamp) & (start + b != target)
        if 0 < limit <= better:
            return limit + 1
        for b in range(size if k > 0 else 0):
            if scores[b] > top_scores[k - 1] and mark[start + b] != stamp:
                at = k - 1
                while at > 0 and scores[b] > top_scores[at - 1]:
                    top_items[at], top_scores[at] = top_items[at - 1], top_scores[at - 1]
                    at -= 1
                top_items[at], top_scores[at] = start + b, scores[b]
    return better + 1


@compiled
def study(tables, rule, sampler, log, scratch, event, negatives):  # type: ignore[no-untyped-def]
    """Learn from one event of the log once, its user's history being marked."""
    scratch.owners[0], scratch.weights[0] = log.user[event], log.weight[event]
    scratch.counts[0] = pick(sampler, log.item[event], negatives, scratch.picked[0])
    return learn(tables, rule, scratch, 1)


@compiled
def advance(  # type: ignore[no-untyped-def]
    tables, rule, sampler, log, scratch, events, negatives, passes, replay, learns, masked, limit, ranks, lists
):
    """Take events in order: rank each one's item, then learn from it.

    events : their user, item and weight, each (n,); ranks : (n,) filled, or (0,) to learn alone
    lists  : (n, k) filled with the best before each event, or (0, 0) for none
    learns : or only remember the events; masked : leave out of the ranking what the user had before
    passes : steps on each event, with fresh negatives; replay : steps on as many events of the past, drawn evenly
    """
    user, item, weight = events
    nothing = np.int64(-1)
    scores = np.empty(lists.shape[1], np.float32)
    unlisted = np.empty(0, np.int32)
    for e in range(len(user)):
        stamp = mark_history(log, user[e], sampler)
        if len(ranks):
            listed = lists[e] if len(lists) else unlisted
            vector, known = tables.users[user[e]], stamp if masked else nothing
            ranks[e] = rank(vector, tables.items, tables.bias, sampler.mark, known, item[e], limit, listed, scores)
        append(log, user[e], item[e], weight[e])
        welcome(sampler, item[e])
        if not learns:
            continue
        sampler.mark[item[e]] = stamp
        event = log.size[0] - 1
        for _ in range(passes):
            study(tables, rule, sampler, log, scratch, event, negatives)
        for _ in range(replay if event > 0 else 0):
            past = draw(sampler.state, event)
            mark_history(log, log.user[past], sampler)
            study(tables, rule, sampler, log, scratch, past, negatives)
        renew(sampler, item[e])


@compiled
def pass_over(tables, rule, sampler, log, scratch, negatives, batch_size, moving):  # type: ignore[no-untyped-def]
    """Learn from all events of the log in their order, `batch_size` in a step; return the mean loss."""
    n, total = log.size[0], 0.0
    for start in range(0, n, batch_size):
        size = min(batch_size, n - start)
        for b in range(size):
            event = start + b
            mark_history(log, log.user[event], sampler)
            scratch.owners[b], scratch.weights[b] = log.user[event], log.weight[event]
            scratch.counts[b] = pick(sampler, log.item[event], negatives, scratch.picked[b])
            if moving:
                renew(sampler, log.item[event])
        total += size * learn(tables, rule, scratch, size, moving)
    return total / max(n, 1)


@compiled
def fold_in(tables, rule, sampler, log, scratch, negatives, rounds, seed):  # type: ignore[no-untyped-def]
    """Learn each user's row from their own events alone, along their links, `rounds` times over.

    Everybody's negatives come from the same `seed`, so that nobody's row depends on who else is there.
    """
    for user in range(len(log.last)):
        sampler.state[0] = seed
        tables.updates[0] = 0
        mark_history(log, user, sampler)
        for _ in range(rounds):
            event = log.last[user]
            while event >= 0:
                study(tables, rule, sampler, log, scratch, event, negatives)
                event = log.previous[event]
