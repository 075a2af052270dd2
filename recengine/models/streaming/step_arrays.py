"""The arrays that the compiled loops of `step` work on, over the memory of the model's tensors."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Ints = NDArray[np.int32]

LOSSES = ("squared", "logistic", "bpr", "softmax", "linear")
OPTIMIZERS = ("sgd", "adagrad", "adam")
SOURCES = ("known", "any", "oldest")


class Tables(NamedTuple):
    """What is learned, with the M moments of the optimiser.

    users : (U, D), items : (I, D), bias : (I, 1), *_moments : (M, ...) of each; updates : (1,) number so far
    """

    users: Floats
    items: Floats
    bias: Floats
    user_moments: Floats
    item_moments: Floats
    bias_moments: Floats
    updates: NDArray[np.int64]


class Rule(NamedTuple):
    """How the tables are updated; `loss` and `optimizer` are indices into LOSSES and OPTIMIZERS."""

    loss: int
    optimizer: int
    learning_rate: float
    l2: float
    sigmoid: bool
    learns_users: bool
    learns_items: bool
    learns_bias: bool


class Sampler(NamedTuple):
    """Where negatives come from.

    state : (1,) uint64 of the random numbers
    mark : (I,) int64, an item is in the user's history where it equals the current stamp; stamp : (1,) int64
    older, newer : (I + 1,) ring of the items by their last event: item i at index i + 1, index 0 between the ends
    is_known : (I,) bool, items with an event; known : (I,) these items in order of their first event; n_known : (1,)
    source : index into SOURCES
    """

    state: NDArray[np.uint64]
    mark: NDArray[np.int64]
    stamp: NDArray[np.int64]
    older: Ints
    newer: Ints
    is_known: NDArray[np.bool_]
    known: Ints
    n_known: NDArray[np.int64]
    source: int


class Scratch(NamedTuple):
    """Room for a batch of B examples with up to N items each, the positive first; both slots hold -1 between calls.

    users : (B,), items : (B, N), counts : (B,) of its items, weights : (B,), scores, dscores : (N,)
    user_slot : (U,), item_slot : (I,), user_rows : (B,), item_rows : (B * N,), the rows in the slots
    user_grad : (B, D), item_grad : (B * N, D), bias_grad : (B * N, 1)
    """

    users: Ints
    items: Ints
    counts: Ints
    weights: Floats
    scores: Floats
    dscores: Floats
    user_slot: Ints
    item_slot: Ints
    user_rows: Ints
    item_rows: Ints
    user_grad: Floats
    item_grad: Floats
    bias_grad: Floats

    @classmethod
    def for_batches(cls, n_users: int, n_items: int, dim: int, size: int, negatives: int) -> Scratch:
        """Return scratch for batches of `size` examples with `negatives` each."""
        width = 1 + negatives
        ints, floats = np.int32, np.float32
        return cls(
            users=np.zeros(size, ints),
            items=np.zeros((size, width), ints),
            counts=np.zeros(size, ints),
            weights=np.zeros(size, floats),
            scores=np.zeros(width, floats),
            dscores=np.zeros(width, floats),
            user_slot=np.full(n_users, -1, ints),
            item_slot=np.full(n_items, -1, ints),
            user_rows=np.zeros(size, ints),
            item_rows=np.zeros(size * width, ints),
            user_grad=np.zeros((size, dim), floats),
            item_grad=np.zeros((size * width, dim), floats),
            bias_grad=np.zeros((size * width, 1), floats),
        )
