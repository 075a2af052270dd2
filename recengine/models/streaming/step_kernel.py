"""The compiled inner loops of `step`: gradients and updates, as pure functions over arrays.

Nothing here knows a model: a session, which holds a few rows of the tables renumbered, trains with
`train_on_batch` as the whole model does. `past` is a `recengine.models.streaming.base.LinkedEvents`.
"""

from __future__ import annotations

import math

import numpy as np

from recengine.models.compiled import compiled
from recengine.models.streaming.step_ranking import LOWEST, rank_by_scores, rank_item, score_item
from recengine.models.streaming.step_sampling import (
    append_event,
    mark_history,
    move_to_newest,
    random_below,
    register_item,
    sample_negatives,
)

BETA1, BETA2 = 0.9, 0.999
"""Decay of Adam's two moments."""


@compiled
def loss_gradient(scores, count, weight, rule, dscores):  # type: ignore[no-untyped-def]
    """Return one example's loss, and fill `dscores` with its derivative by each score; the positive comes first.

    With s the scores, p = s or its sigmoid, + the positive, and means over the negatives:
    squared ((1 - p+)^2 + mean p^2) / 2, logistic -log sigmoid(s+) - mean log sigmoid(-s), bpr -mean log
    sigmoid(s+ - s), softmax -log of the positive's share, linear 1 - p+.
    As means, they need the same learning rate however many negatives there are.
    """
    loss, each = 0.0, weight / max(count - 1, 1)
    if rule.loss == 3:
        top = scores[0]
        for j in range(1, count):
            top = max(top, scores[j])
        total = 0.0
        for j in range(count):
            dscores[j] = math.exp(scores[j] - top)
            total += dscores[j]
        for j in range(count):
            dscores[j] = weight * (dscores[j] / total - (1.0 if j == 0 else 0.0))
        return weight * (math.log(total) + top - scores[0])
    dscores[0] = 0.0
    for j in range(count):
        factor = weight if j == 0 else each
        if rule.loss == 2:
            if j > 0:
                gap = scores[0] - scores[j]
                dscores[j] = factor / (1.0 + math.exp(gap))
                dscores[0] -= dscores[j]
                loss += factor * (math.log1p(math.exp(-abs(gap))) + max(-gap, 0.0))
            continue
        target = 1.0 if j == 0 else 0.0
        share = 1.0 / (1.0 + math.exp(-scores[j]))
        if rule.loss == 1:
            dscores[j] = factor * (share - target)
            signed = scores[j] if j == 0 else -scores[j]
            loss += factor * (math.log1p(math.exp(-abs(signed))) + max(-signed, 0.0))
            continue
        value = share if rule.sigmoid else scores[j]
        inner = share * (1.0 - share) if rule.sigmoid else 1.0
        if rule.loss == 0:
            dscores[j] = factor * (value - target) * inner
            loss += factor * 0.5 * (value - target) ** 2
        else:
            dscores[j] = -factor * inner if j == 0 else 0.0
            loss += factor * (1.0 - value) if j == 0 else 0.0
    return loss


@compiled
def update_row(row, gradient, moments, index, updates, rule):  # type: ignore[no-untyped-def]
    """Update a row (D,) of a table by its gradient; Adam is sparse: it touches only rows that have a gradient."""
    rate = np.float32(rule.learning_rate)
    if rule.optimizer == 0:
        for d in range(len(row)):
            row[d] -= rate * gradient[d]
    elif rule.optimizer == 1:
        sums = moments[0, index]
        for d in range(len(row)):
            sums[d] += gradient[d] * gradient[d]
            row[d] -= rate * gradient[d] / (math.sqrt(sums[d]) + np.float32(1e-10))
    else:
        mean, square = moments[0, index], moments[1, index]
        unbias = math.sqrt(1.0 - BETA2**updates)
        rate = np.float32(rule.learning_rate * unbias / (1.0 - BETA1**updates))
        for d in range(len(row)):
            mean[d] += np.float32(1.0 - BETA1) * (gradient[d] - mean[d])
            square[d] += np.float32(1.0 - BETA2) * (gradient[d] * gradient[d] - square[d])
            row[d] -= rate * mean[d] / (math.sqrt(square[d]) + np.float32(1e-8))


@compiled
def train_on_batch(tables, rule, scratch, n, update):  # type: ignore[no-untyped-def]
    """Take one optimiser step on the mean loss of the first n examples of `scratch`; return that loss.

    An example's loss is that of `loss_gradient` plus l2 / 2 * the squares of the vectors it uses; biases have no
    penalty. All gradients are computed before any row is updated; with `update` = False none is.
    """
    users, items, bias = tables.users, tables.items, tables.bias
    dim, total, n_users, n_items = users.shape[1], 0.0, 0, 0
    share, decay = np.float32(1.0 / n), np.float32(rule.l2 / n)
    for b in range(n):
        user, count, picked = users[scratch.users[b]], scratch.counts[b], scratch.items[b]
        for j in range(count):
            item, score = items[picked[j]], bias[picked[j], 0]
            for d in range(dim):
                score += user[d] * item[d]
            scratch.scores[j] = score
        total += loss_gradient(scratch.scores, count, scratch.weights[b], rule, scratch.dscores)
        if not update:
            continue
        slot = scratch.user_slot[scratch.users[b]]
        if slot < 0:
            slot = n_users
            scratch.user_slot[scratch.users[b]] = slot
            scratch.user_rows[slot] = scratch.users[b]
            for d in range(dim):
                scratch.user_grad[slot, d] = 0.0
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
                for d in range(dim):
                    scratch.item_grad[slot, d] = 0.0
                scratch.bias_grad[slot, 0] = 0.0
                n_items += 1
            dscore, item, item_grad = share * scratch.dscores[j], items[picked[j]], scratch.item_grad[slot]
            for d in range(dim):
                user_grad[d] += dscore * item[d]
                item_grad[d] += dscore * user[d] + decay * item[d]
            scratch.bias_grad[slot, 0] += dscore
    if update:
        tables.updates[0] += 1
    for slot in range(n_users):
        row = scratch.user_rows[slot]
        scratch.user_slot[row] = -1
        if rule.learns_users:
            update_row(users[row], scratch.user_grad[slot], tables.user_moments, row, tables.updates[0], rule)
    for slot in range(n_items):
        row = scratch.item_rows[slot]
        scratch.item_slot[row] = -1
        if rule.learns_items:
            update_row(items[row], scratch.item_grad[slot], tables.item_moments, row, tables.updates[0], rule)
        if rule.learns_bias:
            update_row(bias[row], scratch.bias_grad[slot], tables.bias_moments, row, tables.updates[0], rule)
    return total / n


@compiled
def train_on_one(tables, rule, scratch, update):  # type: ignore[no-untyped-def]
    """Do what `train_on_batch` does of one example, whose items are distinct: no row has more than one gradient."""
    users, items, bias, moments = tables.users, tables.items, tables.bias, tables.item_moments
    index, count, picked, dim = scratch.users[0], scratch.counts[0], scratch.items[0], tables.users.shape[1]
    user = users[index]
    for j in range(count):
        item, score = items[picked[j]], bias[picked[j], 0]
        for d in range(dim):
            score += user[d] * item[d]
        scratch.scores[j] = score
    loss = loss_gradient(scratch.scores, count, scratch.weights[0], rule, scratch.dscores)
    if not update:
        return loss
    tables.updates[0] += 1
    user_grad, item_grad, decay = scratch.user_grad[0], scratch.item_grad[0], np.float32(rule.l2)
    for d in range(dim):
        user_grad[d] = decay * user[d]
    rate, tiny = np.float32(rule.learning_rate), np.float32(1e-10)
    for j in range(count):
        dscore, item = scratch.dscores[j], items[picked[j]]
        if rule.learns_items and rule.optimizer == 1:  # all in one loop, as the preset deserves
            sums = moments[0, picked[j]]
            for d in range(dim):
                gradient = dscore * user[d] + decay * item[d]
                user_grad[d] += dscore * item[d]
                sums[d] += gradient * gradient
                item[d] -= rate * gradient / (math.sqrt(sums[d]) + tiny)
        else:
            for d in range(dim):
                user_grad[d] += dscore * item[d]
            if rule.learns_items:
                for d in range(dim):
                    item_grad[d] = dscore * user[d] + decay * item[d]
                update_row(item, item_grad, moments, picked[j], tables.updates[0], rule)
        if rule.learns_bias:
            scratch.bias_grad[0, 0] = dscore
            update_row(bias[picked[j]], scratch.bias_grad[0], tables.bias_moments, picked[j], tables.updates[0], rule)
    if rule.learns_users:
        update_row(user, user_grad, tables.user_moments, index, tables.updates[0], rule)
    return loss


@compiled
def train_on_event(tables, rule, sampler, past, scratch, event, negatives, update):  # type: ignore[no-untyped-def]
    """Take one step on one past event, whose user's history must be marked; without `update` only return the loss."""
    scratch.users[0], scratch.weights[0] = past.user[event], past.weight[event]
    scratch.counts[0] = sample_negatives(sampler, past.item[event], negatives, scratch.items[0])
    return train_on_one(tables, rule, scratch, update)


@compiled
def advance(  # type: ignore[no-untyped-def]
    tables, rule, sampler, past, scratch, events, negatives, passes, replay, learns, masked, limit, ranks, lists, block
):
    """Go through events in order: rank each one's item, then train on the event.

    events : user, item, weight and draw among equal scores, each (n,); ranks : (n,) filled, or (0,) to train only
    lists  : (n, k) filled with the best items before each event, or (0, 0) for none
    learns : False only records the events; masked : leave the user's earlier items out of the ranking
    passes : steps on each event, with fresh negatives; replay : steps on as many earlier events, sampled evenly
    block  : scores (P, I) of users before the first event, which are patched as items change; how far each row may be
             off (P,); each event's row (n,), -1 for none; and (1,) the length of the longest item vector, or more
    """
    (user, item, weight, draw), (before, slack, row_of, longest) = events, block
    scores, unlisted = np.empty(lists.shape[1], np.float32), np.empty(0, np.int32)
    changed = np.empty(len(sampler.mark) if len(before) else 0, np.int32)
    item_changed, user_changed = np.zeros(len(changed), np.bool_), np.zeros(len(past.last), np.bool_)
    n_changed = 0
    for e in range(len(user)):
        stamp = mark_history(past, user[e], sampler)
        if len(ranks):
            listed = lists[e] if len(lists) else unlisted
            vector, known, row = tables.users[user[e]], stamp if masked else np.int64(-1), row_of[e]
            if row >= 0 and not user_changed[user[e]]:
                for c in range(n_changed):
                    before[row, changed[c]] = score_item(vector, tables.items[changed[c]], tables.bias[changed[c], 0])
                earlier = past.last[user[e]] if masked else np.int32(-1)
                while earlier >= 0:
                    before[row, past.item[earlier]] = LOWEST
                    earlier = past.previous[earlier]
                ranks[e] = rank_by_scores(
                    before[row], slack[row], vector, tables.items, tables.bias, sampler.mark, known, item[e], draw[e],
                    listed, scores,
                )  # fmt: skip
            else:
                ranks[e] = rank_item(
                    vector, tables.items, tables.bias, sampler.mark, known, item[e], draw[e], limit, listed, scores
                )
        append_event(past, user[e], item[e], weight[e])
        register_item(sampler, item[e])
        if not learns:
            continue
        sampler.mark[item[e]] = stamp
        event = past.size[0] - 1
        for step in range(passes + (replay if event > 0 else 0)):
            learned = event
            if step >= passes:
                learned = random_below(sampler.state, event)
                mark_history(past, past.user[learned], sampler)
            train_on_event(tables, rule, sampler, past, scratch, learned, negatives, learns)
            if len(changed):
                user_changed[past.user[learned]] = True
                for j in range(scratch.counts[0]):
                    i = scratch.items[0, j]
                    if not item_changed[i]:
                        item_changed[i] = True
                        changed[n_changed] = i
                        n_changed += 1
                    length = np.float32(0.0)
                    for d in range(tables.items.shape[1]):
                        length += tables.items[i, d] * tables.items[i, d]
                    longest[0] = max(longest[0], math.sqrt(length) * np.float32(1.0 + 1e-5))
        move_to_newest(sampler, item[e])


@compiled
def train_in_order(tables, rule, sampler, past, scratch, negatives, update, first, last):  # type: ignore[no-untyped-def]
    """Train on the past events from first to last in order, one in a step; return the sum of their losses."""
    total = 0.0
    for event in range(first, last):
        fill_example(sampler, past, scratch, event, 0, negatives, update)
        total += train_on_one(tables, rule, scratch, update)
    return total


@compiled
def train_in_batches(  # type: ignore[no-untyped-def]
    tables, rule, sampler, past, scratch, negatives, update, first, last, batch_size
):
    """Train as `train_in_order` does, `batch_size` events in a step; apart, so that a step on one compiles sooner."""
    total = 0.0
    for start in range(first, last, batch_size):
        size = min(batch_size, last - start)
        for b in range(size):
            fill_example(sampler, past, scratch, start + b, b, negatives, update)
        total += size * train_on_batch(tables, rule, scratch, size, update)
    return total


@compiled
def fill_example(sampler, past, scratch, event, b, negatives, update):  # type: ignore[no-untyped-def]
    """Fill example b of the scratch with a past event and fresh negatives."""
    mark_history(past, past.user[event], sampler)
    scratch.users[b], scratch.weights[b] = past.user[event], past.weight[event]
    scratch.counts[b] = sample_negatives(sampler, past.item[event], negatives, scratch.items[b])
    if update:
        move_to_newest(sampler, past.item[event])
