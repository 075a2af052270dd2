"""Compiled bookkeeping of events, and sampling of negatives, for `step`; `past` is a `base.LinkedEvents`."""

from __future__ import annotations

import numpy as np

from recengine.models.compiled import compiled

TRIES = 20
"""Draws per negative before fewer negatives are accepted, as for a user who has nearly every item."""


@compiled
def random_below(state, below):  # type: ignore[no-untyped-def] # compiled for the types that are passed
    """Return the next random number in [0, below) of a splitmix64 sequence (Steele, Lea & Flood, OOPSLA 2014)."""
    state[0] += np.uint64(0x9E3779B97F4A7C15)
    z = state[0]
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.int64((z ^ (z >> np.uint64(31))) % np.uint64(below))


@compiled
def mark_history(past, user, sampler):  # type: ignore[no-untyped-def]
    """Mark the items of a user's events with a new stamp, which is returned."""
    sampler.stamp[0] += 1
    stamp = sampler.stamp[0]
    event = past.last[user]
    while event >= 0:
        sampler.mark[past.item[event]] = stamp
        event = past.previous[event]
    return stamp


@compiled
def append_event(past, user, item, weight):  # type: ignore[no-untyped-def]
    """Append an event; the arrays must have room for it."""
    index = past.size[0]
    past.user[index], past.item[index], past.weight[index] = user, item, weight
    past.previous[index] = past.last[user]
    past.last[user] = index
    past.size[0] += 1


@compiled
def register_item(sampler, item):  # type: ignore[no-untyped-def]
    """Add an item to the known ones, at its first event."""
    if not sampler.is_known[item]:
        sampler.is_known[item] = True
        sampler.known[sampler.n_known[0]] = item
        sampler.n_known[0] += 1


@compiled
def move_to_newest(sampler, item):  # type: ignore[no-untyped-def]
    """Move an item to the newest end of the ring."""
    older, newer, index = sampler.older, sampler.newer, item + 1
    newer[older[index]], older[newer[index]] = newer[index], older[index]
    latest = older[0]
    older[index], newer[index], newer[latest], older[0] = latest, 0, index, index


@compiled
def sample_negatives(sampler, item, negatives, picked):  # type: ignore[no-untyped-def]
    """Fill `picked` with the item, then distinct unmarked items; return the number of all of them."""
    n_items, stamp, count = len(sampler.mark), sampler.stamp[0], 1
    picked[0] = item
    if sampler.source == 2:
        index = sampler.newer[0]
        for _ in range(n_items):
            if count > negatives:
                break
            following = sampler.newer[index]
            if sampler.mark[index - 1] != stamp:
                picked[count] = index - 1
                count += 1
                move_to_newest(sampler, index - 1)
            index = following
        return count
    known = sampler.source == 0
    below = sampler.n_known[0] if known else n_items
    for _ in range(TRIES * negatives if below > 0 else 0):
        if count > negatives:
            break
        other = random_below(sampler.state, below)
        if known:
            other = np.int64(sampler.known[other])
        if sampler.mark[other] != stamp:
            sampler.mark[other] = stamp
            picked[count] = other
            count += 1
    for index in range(1, count):
        sampler.mark[picked[index]] = 0
    return count
