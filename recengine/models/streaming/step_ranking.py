"""The compiled ranking of `step`: where an item stands before an event, and the best items."""

from __future__ import annotations

from functools import partial

import numpy as np

from recengine.models.compiled import ARITHMETIC, compiled

BLOCK = 64
"""Items that are scored before any of them is compared."""
LOWEST, NONE, ONE = np.float32(-np.inf), np.float32(0.0), np.float32(1.0)


@compiled
def score_item(vector, item, bias):  # type: ignore[no-untyped-def]
    """Return the score of one item from the vectors (D,); NaN counts as -inf."""
    score = np.float32(0.0)
    for d in range(len(vector)):
        score += item[d] * vector[d]
    score += bias
    return score if score == score else LOWEST


@compiled
def insert_into_top(top_items, top_scores, item, score):  # type: ignore[no-untyped-def]
    """Insert an item that beats the last one into a list (k,) of the best, after all with an equal score."""
    at = len(top_items) - 1
    while at > 0 and score > top_scores[at - 1]:
        top_items[at], top_scores[at] = top_items[at - 1], top_scores[at - 1]
        at -= 1
    top_items[at], top_scores[at] = item, score


@compiled
def rank_item(vector, items, bias, mark, stamp, target, draw, limit, top_items, top_scores):  # type: ignore[no-untyped-def]
    """Return the rank of an item, from 1, among those not marked by `stamp`, by score.

    draw   : in [0, 1), says where the item stands among those with an equal score
    vector : (D,); limit : stop once this many items are better (the rank is then limit + 1), 0 for never
    top_items, top_scores : (k,) filled with the best items, -1 and -inf where there are too few; k = 0 for no list
    NaN counts as -inf. The target itself is ranked whether marked or not.
    """
    k, better, tied = len(top_items), 0, 0
    for position in range(k):
        top_items[position], top_scores[position] = -1, LOWEST
    target_score = score_item(vector, items[target], bias[target, 0])
    scores = np.empty(BLOCK, np.float32)
    for start in range(0, len(items), BLOCK):
        size, listable = min(BLOCK, len(items) - start), 0
        for b in range(size):
            scores[b] = score_item(vector, items[start + b], bias[start + b, 0])
        last = top_scores[k - 1] if k > 0 else np.float32(np.inf)
        for b in range(size):  # branch-free, since half of the branches would be mispredicted
            counts = (mark[start + b] != stamp) & (start + b != target)
            better += (scores[b] > target_score) & counts
            tied += (scores[b] == target_score) & counts
            listable += scores[b] > last
        if 0 < limit <= better:
            return limit + 1
        for b in range(size if listable > 0 else 0):
            if scores[b] > top_scores[k - 1] and mark[start + b] != stamp:
                insert_into_top(top_items, top_scores, start + b, scores[b])
    rank = better + 1 + int(draw * (tied + 1))
    return min(rank, limit + 1) if limit > 0 else rank


@partial(compiled, arithmetic=ARITHMETIC | {"nnan"})
def largest(scores, start, end):  # type: ignore[no-untyped-def]
    """Return the largest of scores[start:end], none of which may be NaN."""
    most = LOWEST
    for i in range(start, end):
        most = max(most, scores[i])
    return most


@compiled
def rank_by_scores(  # type: ignore[no-untyped-def]
    scores, slack, vector, items, bias, mark, stamp, target, draw, top_items, top_scores
):
    """Return what `rank_item` does without a limit, with the same list, from scores (I,) that may be off by `slack`.

    Only items whose scores are too close to tell are scored again. Those of marked items are LOWEST; the target's is
    changed.
    """
    target_score = score_item(vector, items[target], bias[target, 0])
    low, high = np.float32(target_score - slack), np.float32(target_score + slack)
    if not (-np.inf < low and high < np.inf):  # then no bound holds
        return rank_item(vector, items, bias, mark, stamp, target, draw, np.int64(0), top_items, top_scores)
    k, better, tied = len(top_items), 0, 0
    scores[target] = LOWEST
    for start in range(0, len(items), BLOCK):
        end, certain, near = min(start + BLOCK, len(items)), np.float32(0.0), np.float32(0.0)
        for i in range(start, end):  # counted in the type that is compared, which vector instructions do at once
            certain += ONE if scores[i] > high else NONE
            near += ONE if scores[i] >= low else NONE
        better += int(certain)
        for i in range(start, end if near > certain else start):
            if low <= scores[i] <= high:
                score = score_item(vector, items[i], bias[i, 0])
                better += score > target_score
                tied += score == target_score
    scores[target] = LOWEST if mark[target] == stamp else target_score
    n_blocks = -(-len(items) // BLOCK) if k > 0 else 0
    best, floor = np.empty(n_blocks, np.float32), LOWEST
    for position in range(k):
        top_items[position], top_scores[position] = -1, LOWEST
    for block in range(n_blocks):
        best[block] = largest(scores, block * BLOCK, min((block + 1) * BLOCK, len(items)))
        if best[block] > top_scores[k - 1]:
            insert_into_top(top_items, top_scores, np.int64(-1), best[block])
    if k > 0:  # the best of k blocks are k items, so the last of the list is no worse than the least of them
        floor = top_scores[k - 1] - 2 * slack
    for position in range(k):
        top_scores[position] = LOWEST
    for block in range(n_blocks):
        if best[block] < floor:
            continue
        for i in range(block * BLOCK, min((block + 1) * BLOCK, len(items))):
            if scores[i] >= floor and scores[i] > top_scores[k - 1] - slack:
                score = score_item(vector, items[i], bias[i, 0])
                if score > top_scores[k - 1]:
                    insert_into_top(top_items, top_scores, i, score)
    return better + 1 + int(draw * (tied + 1))
