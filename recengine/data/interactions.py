"""`Interactions`: who rated what, how and when, as aligned arrays of dense indices."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

if TYPE_CHECKING:
    from recengine.data.split import Labels

IntArray = NDArray[np.integer]


@dataclass(frozen=True, eq=False, repr=False)
class Interactions:
    """A frozen table of (user, item, rating, timestamp) rows, in the order of their source.

    user_idx, item_idx : (n,) int32 in [0, n_users) and [0, n_items)
    rating             : (n,) float32, in the source's own scale
    timestamp          : (n,) int64, seconds since 1970 or any other number that grows with time
    implicit           : whether a rating is the weight of an event rather than a judgement: no low one is a dislike
    labels             : what the indices stand for, where that is known: rows of a labelled split carry it

    Raises ValueError when the arrays differ in length or an index is out of range.
    """

    user_idx: NDArray[np.int32]
    item_idx: NDArray[np.int32]
    rating: NDArray[np.float32]
    timestamp: NDArray[np.int64]
    n_users: int
    n_items: int
    implicit: bool = False
    labels: Labels | None = None

    def __post_init__(self) -> None:
        dtypes = {"user_idx": np.int32, "item_idx": np.int32, "rating": np.float32, "timestamp": np.int64}
        for name, dtype in dtypes.items():
            array = np.ascontiguousarray(getattr(self, name), dtype=dtype)
            if array.ndim != 1 or len(array) != len(self.user_idx):
                raise ValueError(f"{name} has shape {array.shape}, expected ({len(self.user_idx)},)")
            array = array.view()
            array.flags.writeable = False
            object.__setattr__(self, name, array)
        for name, size in (("user_idx", self.n_users), ("item_idx", self.n_items)):
            array = getattr(self, name)
            if len(array) and (array.min() < 0 or array.max() >= size):
                raise ValueError(f"{name} spans {array.min()}..{array.max()}, expected 0..{size - 1}")

    @classmethod
    def from_pairs(
        cls,
        user_idx: ArrayLike,
        item_idx: ArrayLike,
        *,
        n_users: int,
        n_items: int,
        rating: ArrayLike | None = None,
        timestamp: ArrayLike | None = None,
    ) -> Interactions:
        """Build from array-likes; a missing rating is 1, a missing timestamp the row's position."""
        users = np.asarray(user_idx, dtype=np.int32)
        return cls(
            user_idx=users,
            item_idx=np.asarray(item_idx, dtype=np.int32),
            rating=np.ones(len(users), np.float32) if rating is None else np.asarray(rating, np.float32),
            timestamp=np.arange(len(users)) if timestamp is None else np.asarray(timestamp, np.int64),
            n_users=n_users,
            n_items=n_items,
        )

    def __len__(self) -> int:
        return len(self.user_idx)

    def __repr__(self) -> str:
        return f"Interactions({len(self):,} rows, {self.n_users:,} users x {self.n_items:,} items)"

    def select(self, rows: ArrayLike | slice) -> Interactions:
        """Return the rows named by a boolean mask, row numbers or a slice; the index space stays."""
        pick = rows if isinstance(rows, slice) else np.asarray(rows)
        return self._with(
            user_idx=self.user_idx[pick],
            item_idx=self.item_idx[pick],
            rating=self.rating[pick],
            timestamp=self.timestamp[pick],
        )

    def _with(self, **changed: Any) -> Interactions:
        """Return a copy with fields replaced by what needs no check: a request makes several."""
        other = object.__new__(type(self))
        kept = {name: getattr(self, name) for name in self.__dataclass_fields__}
        for array in changed.values():
            if isinstance(array, np.ndarray):
                array.flags.writeable = False
        other.__dict__.update(kept | changed)
        return other

    def at_least(self, threshold: float) -> Interactions:
        """Return the rows rated `threshold` or higher; 0 keeps all."""
        return self if threshold == 0 else self.select(self.rating >= threshold)

    def of_users(self, users: ArrayLike) -> Interactions:
        """Return the rows of a batch of users, who become users 0, 1, ... of the result."""
        position, rows = self.rows_of(users)
        n_users = len(np.atleast_1d(users))
        return self.select(rows)._with(user_idx=position.astype(np.int32), n_users=n_users, labels=None)

    def concat(self, other: Interactions) -> Interactions:
        """Return these rows followed by the other's, which must live in the same index space."""
        if (self.n_users, self.n_items) != (other.n_users, other.n_items):
            raise ValueError(f"cannot join {self!r} and {other!r}: their index spaces differ")
        return replace(
            self,
            user_idx=np.concatenate([self.user_idx, other.user_idx]),
            item_idx=np.concatenate([self.item_idx, other.item_idx]),
            rating=np.concatenate([self.rating, other.rating]),
            timestamp=np.concatenate([self.timestamp, other.timestamp]),
        )

    @cached_property
    def by_user(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return (indptr (n_users + 1,), rows (n,)): `rows[indptr[u]:indptr[u + 1]]` are u's rows in order."""
        counts = np.bincount(self.user_idx, minlength=self.n_users)
        indptr = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        return indptr, np.argsort(self.user_idx, kind="stable").astype(np.int64)

    @property
    def pairs(self) -> NDArray[np.int64]:
        """Return (n,) one number for each row's user and item."""
        return self.user_idx.astype(np.int64) * self.n_items + self.item_idx

    @cached_property
    def user_counts(self) -> NDArray[np.int64]:
        """Return the number of rows of each user, (n_users,)."""
        return np.bincount(self.user_idx, minlength=self.n_users)

    @cached_property
    def item_counts(self) -> NDArray[np.int64]:
        """Return the number of rows of each item, (n_items,)."""
        return np.bincount(self.item_idx, minlength=self.n_items)

    def rows_of(self, users: ArrayLike) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return (position, row) for every row of a batch of users; `position` is that of the user in the batch."""
        users = np.atleast_1d(np.asarray(users, dtype=np.int64))
        indptr, rows = self.by_user
        start, length = indptr[users], indptr[users + 1] - indptr[users]
        position = np.repeat(np.arange(len(users)), length)
        within = np.arange(len(position)) - np.repeat(np.cumsum(length) - length, length)
        return position, rows[np.repeat(start, length) + within]

    def chronological(self, tie_order: NDArray[np.integer] | None = None) -> NDArray[np.int64]:
        """Return the rows sorted by user, then time; ties by `tie_order`, which defaults to the item index."""
        ties = self.item_idx if tie_order is None else tie_order
        return np.lexsort((ties, self.timestamp, self.user_idx))
