"""Item-item weights of a large catalogue: few for each item, and never a square matrix of all items."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from recengine.data.interactions import Interactions
from recengine.training.progress import OnStep, no_step, within

T = TypeVar("T")
DENSE_BYTES = 2**30
"""Largest matrix of all items by all items that is worked out in full: of 16,384 items. Beyond it, weights are few."""
HEAD = 6_000
"""Items, the most liked, whose weights on each other are those of the full ridge regression over them."""
HEAD_LINKS, TAIL_LINKS = 500, 50
"""Weights that are kept: the largest of each row among the head; and of each item with those outside it."""
PARTS = 16
"""Parts of the items for each thread."""
ROWS_AT_ONCE = 4096
"""Rows that a thread adds up before it takes others; twice as many are divided among threads."""
STATE = ("link_starts", "link_columns", "link_values")
"""Names of the tensors that hold sparse weights."""


def is_large(n_items: int) -> bool:
    """Return whether a square matrix of that many items is too large to be worked out."""
    return 4 * n_items**2 > DENSE_BYTES


@dataclass(frozen=True, eq=False)
class Links:
    """A sparse matrix by rows: row i has `values[starts[i]:starts[i + 1]]` in those `columns`, and zeros elsewhere.

    starts : (n + 1,) int64; columns : (m,) int32; values : (m,) float32
    """

    starts: Tensor
    columns: Tensor
    values: Tensor

    @classmethod
    def of(cls, row: NDArray[np.integer], column: NDArray[np.integer], value: NDArray[np.float32], n: int) -> Links:
        """Build an (n, n) matrix from its cells in any order, of which none is repeated."""
        order = np.lexsort((column, row))
        starts = np.concatenate([[0], np.cumsum(np.bincount(row, minlength=n))]).astype(np.int64)
        columns = column[order].astype(np.int32)
        return cls(torch.from_numpy(starts), torch.from_numpy(columns), torch.from_numpy(value[order]))

    @property
    def n(self) -> int:
        """Return the number of rows, which is that of the columns."""
        return len(self.starts) - 1

    @property
    def row(self) -> Tensor:
        """Return (m,) the row of each value."""
        return torch.repeat_interleave(torch.diff(self.starts))

    @cached_property
    def transposed(self) -> Links:
        """Return the matrix with rows and columns exchanged."""
        return Links.of(self.columns.numpy(), self.row.numpy(), self.values.numpy(), self.n)

    def sums(self, rows: Tensor, starts: Tensor, weight: Tensor) -> Tensor:
        """Return (B, n): for each of B bags the sum of its rows, times their weights, as `embedding_bag` does.

        rows, weight : (m,); starts : (B,) where each bag begins
        """
        from recengine.models.item_item.sparse_kernel import add_rows

        matrix = tuple(tensor.numpy() for tensor in (self.starts, self.columns, self.values))
        bags = np.append(starts.numpy(), len(rows))
        total = np.zeros((len(starts), self.n), np.float32)

        def add(some: NDArray[np.int64]) -> None:
            add_rows(*matrix, rows.numpy(), weight.numpy(), bags, some, total)

        parts = np.array_split(np.arange(len(starts)), max(1, len(rows) // ROWS_AT_ONCE))
        list(in_threads(add, parts)) if len(parts) > 1 else add(parts[0])
        return torch.from_numpy(total)

    def dense(self, rows: Tensor) -> Tensor:
        """Return the given rows in full, (B, n)."""
        return self.sums(rows, torch.arange(len(rows)), torch.ones(len(rows)))

    def state(self) -> dict[str, Tensor]:
        """Return the tensors by name."""
        return dict(zip(STATE, (self.starts, self.columns, self.values), strict=True))

    @classmethod
    def restore(cls, state: dict[str, Tensor]) -> Links:
        """Take the tensors of `state` back."""
        return cls(*(state[name] for name in STATE))


def nearest_by_cosine(train: Interactions, k: int, shrinkage: float, on_step: OnStep = no_step) -> Links:
    """Return the shrunk cosine of each item with its k nearest: row h, column i where h is among those of i."""
    neighbours, values = _nearest(train, k, shrinkage, 0, np.zeros(train.n_items, bool), on_step)
    return _links(neighbours, values, train.n_items)


def approximate_ridge(train: Interactions, l2: float, on_step: OnStep = no_step) -> Links:
    """Return EASE's weights on a head of the catalogue, and a simple tail, with few for each item.

    Among the `HEAD` most liked items the weights are exactly EASE's over these, of which each row keeps the largest.
    A pair with an item outside the head has the weight of a ridge regression of the one on the other alone, less what
    chance would give it: the inverse of X'X + l2 I as if that were diagonal there, which is where a sparse approximate
    inverse begins (Spišák, Bartyzal, Hoskovec, Peska & Tůma, Scalable approximate nonsymmetric autoencoder for
    collaborative filtering, RecSys 2023). Each item keeps its best of these.
    """
    from recengine.models.item_item.linear import ridge_weights

    top = most_liked(train)
    among = ridge_weights(gram_of(train, top, within(on_step, 0, 0.3)), l2, within(on_step, 0.3, 0.5))
    return with_tail(train, l2, top, among, within(on_step, 0.5, 1))


def most_liked(train: Interactions) -> NDArray[np.int64]:
    """Return the items of the head, (n,) in their order: those of the `HEAD` most liked that anybody likes."""
    counts = train.item_counts
    top = np.sort(np.argsort(-counts, kind="stable")[:HEAD])
    return top[counts[top] > 0]


def with_tail(
    train: Interactions, l2: float, top: NDArray[np.int64], among: Tensor, on_step: OnStep, factor: float = 1.0
) -> Links:
    """Return the largest weights of the head on itself, `among` (n, n) of its items `top` (n,), and the tail's.

    factor : what the weights of the tail are multiplied by
    """
    best = among.abs().topk(min(HEAD_LINKS, len(top)), dim=1).indices.sort(dim=1).values
    inner = Links.of(
        np.repeat(top, best.shape[1]), top[best.numpy().ravel()], among.gather(1, best).numpy().ravel(), train.n_items
    )
    head = np.zeros(train.n_items, bool)
    head[top] = True
    neighbours, values = _nearest(train, TAIL_LINKS, l2, train.n_users, head, on_step)
    outer = _links(neighbours, values * np.float32(factor), train.n_items)
    names = ("row", "columns", "values")
    row, column, value = (torch.cat([getattr(inner, name), getattr(outer, name)]).numpy() for name in names)
    return Links.of(row, column, value, train.n_items)


def footprint(n_items: int, n_rows: int, links: int, squares: int = 0) -> int:
    """Return roughly the bytes that sparse weights take while they are worked out.

    links : of each item, on average; squares : matrices of the head by the head that are held at once
    """
    return 4 * squares * min(HEAD, n_items) ** 2 + 60 * n_items * links + 40 * n_rows


def _grouped(train: Interactions) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.int64], NDArray[np.int32]]:
    """Return the users of each item and the items of each user, as the compiled loops read them."""
    by_item = np.argsort(train.item_idx, kind="stable")
    first = np.concatenate([[0], np.cumsum(train.item_counts)]).astype(np.int64)
    by_user, rows = train.by_user
    return first, train.user_idx[by_item], by_user, train.item_idx[rows]


def gram_of(train: Interactions, top: NDArray[np.int64], on_step: OnStep) -> Tensor:
    """Return X'X of these items alone, in their order."""
    from recengine.models.item_item.sparse_kernel import fill_gram

    n = len(top)
    position = np.full(train.n_items, -1)
    position[top] = np.arange(n)
    rows = train.select(position[train.item_idx] >= 0)
    small = Interactions.from_pairs(rows.user_idx, position[rows.item_idx], n_users=train.n_users, n_items=n)
    gram, grouped = np.zeros((n, n), np.float32), _grouped(small)
    _for_all_items(lambda items: fill_gram(*grouped, items, gram), _work(small), on_step)
    return torch.from_numpy(gram)


def _nearest(
    train: Interactions, k: int, shrinkage: float, n_users: int, head: NDArray[np.bool_], on_step: OnStep
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    from recengine.models.item_item.sparse_kernel import nearest

    k = min(k, train.n_items)
    neighbours, values = np.full((train.n_items, k), -1, np.int32), np.zeros((train.n_items, k), np.float32)
    grouped, shrunk = _grouped(train), np.float32(shrinkage)

    def fill(items: NDArray[np.int64]) -> None:
        nearest(*grouped, items, k, shrunk, n_users, head, neighbours, values)

    _for_all_items(fill, _work(train), on_step)
    return neighbours, values


def _work(train: Interactions) -> NDArray[np.int64]:
    """Return (n_items,) what the row of each item costs: the histories of its users."""
    return np.bincount(train.item_idx, train.user_counts[train.user_idx], minlength=train.n_items).astype(np.int64)


def _for_all_items(task: Callable[[NDArray[np.int64]], Any], work: NDArray[np.int64], on_step: OnStep) -> None:
    """Run a task on all items that have any work, dealt out in turn so that all parts take as long."""
    items = np.argsort(-work, kind="stable")[: int((work > 0).sum())]
    n = PARTS * torch.get_num_threads()
    list(in_threads(task, [items[start::n].copy() for start in range(n)], on_step))  # one layout, compiled once


def in_threads(
    task: Callable[[NDArray[np.int64]], T], parts: Sequence[NDArray[np.int64]], on_step: OnStep = no_step
) -> Iterator[T]:
    """Yield what a task makes of each part, in their order, by as many threads as torch uses.

    What `on_step` raises ends the work once the parts that run are done.
    """
    with ThreadPoolExecutor(torch.get_num_threads()) as pool:
        try:
            for n, result in enumerate(pool.map(task, parts), 1):
                on_step(n, len(parts))
                yield result
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _links(neighbours: NDArray[np.int32], values: NDArray[np.float32], n_items: int) -> Links:
    """Return the matrix whose column i holds the neighbours of i."""
    column, position = (neighbours >= 0).nonzero()
    return Links.of(neighbours[column, position], column, values[column, position], n_items)
