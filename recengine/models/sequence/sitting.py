"""The horizon `sitting`: a user is a few ratings in no order, and any other item that the user likes is predicted.

Order in one sitting or import says nothing, so training draws it anew in each epoch, and serving averages over fixed
orders. Items keep the vectors that they start from, which say who likes an item and what it is; the network learns how
much each like counts, and a dislike takes from what is near it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import normalize

from recengine.data.interactions import Interactions
from recengine.data.sequences import Sequences
from recengine.models.item_item.taste import DISLIKED, LIKED
from recengine.models.metadata import TERM_COLUMNS, shortened, term_matrix
from recengine.models.ratings.stars import quality
from recengine.training.catalogue_softmax import catalogue_softmax_loss

if TYPE_CHECKING:
    from recengine.models.sequence.base import SequenceNetwork

EVENTS = 20
"""Events of a sitting; of a user with more, each order reads that many."""
TARGETS = 16
"""Pairs of an event and another item of the user that are sampled from each user in an epoch."""
ORDERS = 8
"""Orders over which the scores of a user are averaged."""
GENRE_WEIGHT, TERM_WEIGHT = 0.8, 0.5
"""Length of an item's genres and of all its terms, where that of who likes it is 1 on average."""
DAMPING, USER_DAMPING = 0.5, 0.25
"""Powers of an item's likes and of a user's by which a like is divided."""
SHRINK = 5.0
"""Likes that are added to an item's, so that one like does not make it as telling as many."""
DISLIKE_WEIGHT = 1.5
"""What a dislike takes from an item in its own direction, where the mean of the likes gives about 1."""
NEAR = 4
"""Power of the cosine of an item to a dislike: one who dislikes an item mostly likes others of its genre."""
DISLIKES_AT_ONCE = 256
"""Dislikes whose nearness to all items is held at once."""
QUALITY_WEIGHT = 0.2
"""Of the stars that an item gets above the average of those who rated it."""
SHARPNESS = 4.5
"""What scores are multiplied by in the softmax."""
FAME = 0.5
"""Part of an item's log share of all likes that scores keep; the loss adds the other, so it need not be learned."""


class Start(NamedTuple):
    """What the items start from: vectors (n_items, D), biases (n_items,), and (n_items,) what the loss adds to these.

    liked : (n_liked,) the items that anybody likes, among which the softmax chooses
    """

    vectors: Tensor
    bias: Tensor
    offset: Tensor
    liked: Tensor


class Scale(NamedTuple):
    """From which rating on one is a like, and up to which it is a dislike."""

    like: float
    dislike: float

    @classmethod
    def of(cls, train: Interactions) -> Scale:
        """Return the thresholds within the range of the ratings; where all are equal, all are likes."""
        low, high = (float(train.rating.min()), float(train.rating.max())) if len(train) else (0.0, 0.0)
        dislike = low + DISLIKED * (high - low)
        return cls(low + LIKED * (high - low), dislike if high > low else -np.inf)


def start(train: Interactions, items: pd.DataFrame | None, dim: int) -> Start:
    """Return what the items start from: `item_vectors` of the likes, and biases of their stars and their fame."""
    likes = train.at_least(Scale.of(train).like)
    count = torch.from_numpy(likes.item_counts.astype(np.float32))
    share = ((count + 1) / (count + 1).sum()).log()
    span = float(np.ptp(train.rating)) if len(train) else 0.0
    bias = QUALITY_WEIGHT * quality(train, span) + FAME / SHARPNESS * share
    return Start(item_vectors(likes, items, dim), bias, (1 - FAME) * share, count.nonzero()[:, 0])


def item_vectors(likes: Interactions, items: pd.DataFrame | None, dim: int) -> Tensor:
    """Return vectors (n_items, dim) whose products say how many like both items, and what genres and terms they share.

    The rows of the matrix that is factorised are users, genres and terms; what an item has of each is its column. The
    vectors are its right singular vectors times the root of the singular values (Cremonesi et al., RecSys 2010).
    """
    count = torch.from_numpy(likes.item_counts.astype(np.float32))
    rows = _likes(likes)
    parts = [rows / _mean_length(rows, count)]
    columns = [column for column in TERM_COLUMNS if items is not None and column in items]
    for weight, table in ((GENRE_WEIGHT, [c for c in columns if c == "genres"]), (TERM_WEIGHT, columns)):
        if items is not None and table:
            parts.append(weight * shortened(term_matrix(items[table])).T)
    matrix = torch.cat(parts).coalesce()
    rank = min(dim, *matrix.shape)
    _, size, right = torch.svd_lowrank(matrix, rank, niter=3)
    vectors = torch.zeros(likes.n_items, dim)
    vectors[:, :rank] = right * size.sqrt()
    return vectors / _mean_length(vectors.T, count)


def _likes(likes: Interactions) -> Tensor:
    """Return (n_users, n_items), sparse: 1 for each like, damped by how many the item and the user have."""
    per_item, per_user = likes.item_counts[likes.item_idx], likes.user_counts[likes.user_idx]
    damped = (per_item + SHRINK) ** -DAMPING * per_user**-USER_DAMPING
    at = torch.from_numpy(np.stack([likes.user_idx, likes.item_idx]).astype(np.int64))
    values = torch.from_numpy(damped.astype(np.float32))
    return torch.sparse_coo_tensor(at, values, (likes.n_users, likes.n_items), check_invariants=True).coalesce()


def _mean_length(columns: Tensor, count: Tensor) -> Tensor:
    """Return the length of the columns (R, n_items), averaged over likes."""
    squares = torch.sparse.sum(columns**2, 0).to_dense() if columns.is_sparse else columns.square().sum(0)
    return ((squares.sqrt() * count).sum() / count.sum().clamp(min=1)).clamp(min=1e-9)


def batches(
    train: Interactions, scale: Scale, longest: int, batch_size: int, generator: torch.Generator
) -> Iterator[tuple[Tensor, Tensor, Tensor, Tensor]]:
    """Yield one epoch: items and ratings (B, L) in a new order, `at` (T,) of B x L, and the targets (T,).

    Of each user `TARGETS` times an event and a row after it are drawn; rows that are no likes are no targets.
    """
    shuffled = torch.randperm(len(train), generator=generator).numpy()
    rows = Sequences(replace(train, timestamp=shuffled))
    counts, ends = torch.from_numpy(rows.counts), torch.from_numpy(rows.ends)
    lengths = (counts - 1).clamp(max=longest)  # at least one row is left to predict

    def draw(below: Tensor) -> Tensor:
        return (torch.rand(below.shape, generator=generator, dtype=torch.float64) * below).long()

    users = (counts > 1).nonzero()[:, 0]
    for batch in users[torch.randperm(len(users), generator=generator)].split(batch_size):
        first = ends[batch] - counts[batch]
        items, ratings, length = rows.windows((first + lengths[batch]).numpy(), lengths[batch].numpy())
        after = draw(length[:, None].expand(-1, TARGETS))  # (B, TARGETS)
        target = first[:, None] + after + 1 + draw(counts[batch, None] - after - 1)
        liked = rows.ratings[target] >= scale.like
        at = torch.arange(len(batch))[:, None] * items.shape[1] + after
        yield items, ratings, at[liked], rows.items[target[liked]]


def states(network: SequenceNetwork, items: Tensor, ratings: Tensor, scale: Scale) -> Tensor:
    """Return (B, L, D): after each event the mean of the likes' vectors (after Rocchio 1971).

    A like counts 1 + tanh(its item's vector times the network's state after it), from 0 to 2.
    """
    vectors = network.item_embedding(items)
    counts = 1 + torch.tanh((network(items, ratings) * vectors).sum(2, keepdim=True))
    like = ((ratings >= scale.like) & (items < len(network.item_bias)))[:, :, None].float()
    return (like * counts * vectors).cumsum(1) / like.cumsum(1).clamp(min=1)


def near(unit: Tensor, item: Tensor) -> Tensor:
    """Return (n, n_items): how near each item is to some (n,), by directions (n_items, D); 0 where it points away."""
    return (unit[item] @ unit.T).clamp(min=0) ** NEAR


def taken(vectors: Tensor, items: Tensor, ratings: Tensor, scale: Scale) -> Tensor:
    """Return (B, n_items): what the dislikes among the events (B, L), padded at the end, take from each item.

    Only what is near a dislike loses, so nothing of it is learned: what users dislike tells the loss too little.
    """
    unit = normalize(vectors, dim=1, eps=1e-9)
    items, order = items.sort(dim=1)  # sums in any other order could differ in the last bit
    ratings = ratings.gather(1, order)
    result = torch.zeros(len(items), len(unit), device=unit.device)
    user, event = ((ratings <= scale.dislike) & (items < len(unit))).nonzero(as_tuple=True)
    for some in torch.arange(len(user), device=unit.device).split(DISLIKES_AT_ONCE):
        result.index_add_(0, user[some], near(unit, items[user[some], event[some]]), alpha=DISLIKE_WEIGHT)
    return result


def loss(network: SequenceNetwork, start: Start, states: Tensor, targets: Tensor, negatives: int) -> Tensor:
    """Return the mean cross entropy of the targets (T,) among all items that are liked, each from its state (T, D).

    negatives : how many of the others are sampled instead; 0 for all
    """
    position = torch.searchsorted(start.liked, targets)
    bias = SHARPNESS * network.item_bias + start.offset
    sampled = torch.randint(len(start.liked), (negatives,), device=targets.device) if negatives else None
    vectors = network.items()[start.liked]
    return catalogue_softmax_loss(SHARPNESS * states, position, vectors, bias[start.liked], sampled)


def served_orders(sequences: Sequences, users: NDArray[np.int64], longest: int) -> Iterator[tuple[Tensor, ...]]:
    """Yield `ORDERS` times the items, ratings and lengths of `Sequences.windows`, in an order set by items alone.

    The same ratings are thus read alike, whenever and in whatever order they came. Of more than `longest` each order
    reads others.
    """
    items, ratings, lengths = sequences.last(users, int(sequences.counts.max(initial=1)))
    for salt in salts(sequences.padding):
        order = salt[items].argsort(dim=1, stable=True)[:, :longest]
        yield items.gather(1, order), ratings.gather(1, order), lengths.clamp(max=longest)


def salts(n_items: int) -> Iterator[Tensor]:
    """Yield for each of `ORDERS` what events are sorted by, (n_items + 1,): a number of each item, 2 of the padding."""
    generator = torch.Generator().manual_seed(0)
    for _ in range(ORDERS):
        salt = torch.rand(n_items + 1, generator=generator)
        salt[-1] = 2
        yield salt
