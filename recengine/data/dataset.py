"""`Dataset`: validated ratings, the item and user tables, and the id maps between raw ids and indices."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from recengine.data.interactions import Interactions
from recengine.data.reading import Aggregate, Feedback, Inference, Reading, like_from
from recengine.errors import BadInput
from recengine.export import counted, nouns

LIKED_STARS = 4.5
"""What an item counts that is liked without stars."""
ITEM_COLUMNS = ("item_id", "title", "year", "genres")
"""What every item table has: year is a nullable integer (Int64), genres are joined by `|` ("" = unknown)."""


_REPEATED: dict[Aggregate, str] = {
    "latest": "replaced by the latest",
    "max": "merged into the highest",
    "sum": "added up",
    "count": "merged into how many there are",
}


@dataclass(frozen=True)
class Cleaning:
    """What was read, what was dropped or replaced, and why: reported, never silent."""

    rows_read: int = 0
    rows_kept: int = 0
    rows_without_id: int = 0
    rows_without_rating: int = 0
    duplicates_replaced: int = 0
    aggregate: Aggregate = "latest"
    rows_without_item: int = 0
    min_user: int = 0
    min_item: int = 0
    users_below_minimum: int = 0
    items_below_minimum: int = 0
    rows_below_minimum: int = 0
    notes: tuple[str, ...] = ()

    def lines(self, ratings: str = "ratings") -> list[str]:
        """Return the report as plain sentences, leaving out what did not happen; `ratings` is what the rows are."""
        lines = [f"{counted(self.rows_read, ratings)} read, {self.rows_kept:,} kept."]
        for count, lack in ((self.rows_without_id, "a user or an item"), (self.rows_without_rating, "a rating")):
            if count:
                lines.append(f"{counted(count, 'rows')} without {lack} dropped.")
        if count := self.duplicates_replaced:
            lines.append(f"{count:,} repeated (user, item) {nouns(count, ratings)} {_REPEATED[self.aggregate]}.")
        if self.rows_without_item:
            lines.append(f"The item table does not name the items of {counted(self.rows_without_item, ratings)}.")
        if self.min_user or self.min_item:
            dropped = f"{counted(self.items_below_minimum, 'items')} and {counted(self.users_below_minimum, 'users')}"
            rows = counted(self.rows_below_minimum, ratings)
            lines.append(f"{dropped} with too few {ratings} dropped, with {rows}.")
        return [*lines, *self.notes]


@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """Ratings with everything that is needed to present them to a user.

    ratings  : Interactions, in source order (every rating, whatever its value)
    user_ids : (n_users,) sorted raw ids; position = user_idx
    item_ids : (n_items,) sorted raw ids of rated and catalogue items; position = item_idx
    items    : one row per item_idx with ITEM_COLUMNS and what else the source has
               (`keywords`, `tags` joined by `|`; `director`; `imdb_id`, `tmdb_id` as Int64)
    users    : one row per user_idx (`user_id`, and for example `age`, `gender`, `occupation`), or None
    """

    name: str
    ratings: Interactions
    user_ids: NDArray[Any]
    item_ids: NDArray[Any]
    items: pd.DataFrame
    users: pd.DataFrame | None = None
    cleaning: Cleaning = field(default_factory=Cleaning)
    reading: Reading = field(default_factory=Reading)
    """How the source was read, what was inferred included: read like this again, it infers nothing."""
    inferences: tuple[Inference, ...] = ()
    """What was not stated when it was read, with a sentence on each."""
    licence: str = ""
    simulated: bool = False
    timed: bool = True
    """False when the order of the rows stands for time."""
    predefined: Mapping[str, tuple[NDArray[np.int64], NDArray[np.int64]]] = field(default_factory=dict)
    """Splits that the source publishes: name -> (training rows, test rows) of `ratings`."""

    def __repr__(self) -> str:
        r = self.ratings
        return f"Dataset({self.name!r}: {len(r):,} ratings, {r.n_users:,} users, {r.n_items:,} items)"

    @property
    def n_users(self) -> int:
        return len(self.user_ids)

    @property
    def n_items(self) -> int:
        return len(self.item_ids)

    @property
    def user_table(self) -> pd.DataFrame:
        """Return the user table; where the source has none, one of the ids alone."""
        return pd.DataFrame({"user_id": self.user_ids}) if self.users is None else self.users

    @cached_property
    def fingerprint(self) -> str:
        """Return a hash of ids, ratings, timestamps and item metadata: equal content, equal hash."""
        digest = hashlib.blake2b(digest_size=16)
        for ids in (self.user_ids, self.item_ids):
            digest.update(ids.tobytes() if ids.dtype.kind == "i" else "\x1f".join(map(str, ids)).encode())
            digest.update(b"\x1e")
        for column in ("user_idx", "item_idx", "rating", "timestamp"):
            digest.update(memoryview(getattr(self.ratings, column)))
        for frame in (self.items, self.users):
            if frame is not None:
                digest.update(frame.to_csv(index=False).encode())
        return digest.hexdigest()

    @cached_property
    def rating_range(self) -> tuple[float, float]:
        """Return the lowest and the highest rating of the scale, where it is known, else of the data."""
        if self.reading.scale is not None:
            return self.reading.scale
        r = self.ratings.rating
        return (float(r.min()), float(r.max())) if len(r) else (0.0, 0.0)

    @cached_property
    def feedback(self) -> Feedback:
        """Return `explicit` for ratings, of which the high ones are likes, and `implicit` for events.

        Where nothing is stated and all ratings are equal, having rated an item is the sign.
        """
        low, high = self.rating_range
        return self.reading.feedback or ("implicit" if low == high else "explicit")

    @property
    def like_threshold(self) -> float:
        """Return the rating from which an item counts as liked: 4 of 5 stars, or as high on another scale.

        Every event of implicit feedback counts: the threshold is 0.
        """
        return 0.0 if self.feedback == "implicit" else like_from(*self.rating_range)

    @cached_property
    def films(self) -> list[tuple[str, str, int | None, str]]:
        """Return (item_id, title, year or None, genres) of each item: a list answers sooner than a row of a table."""
        numbers = self.items["year"].to_numpy(np.float64, na_value=np.nan)
        years = [None if np.isnan(year) else int(year) for year in numbers]
        ids, titles, genres = (self.items[name].astype(str).tolist() for name in ("item_id", "title", "genres"))
        return list(zip(ids, titles, years, genres, strict=True))

    @cached_property
    def item_index_of(self) -> dict[str, int]:
        """Return the index of each item by its id as text."""
        return {item_id: index for index, (item_id, *_) in enumerate(self.films)}

    def liked_counts(self, positive: float) -> NDArray[np.int64]:
        """Return how many users rated each item `positive` or higher, (n_items,), read-only: every list asks for it."""
        if positive not in self._liked_counts:
            liked = self.ratings.item_idx[self.ratings.rating >= positive]
            self._liked_counts[positive] = counts = np.bincount(liked, minlength=self.n_items)
            counts.flags.writeable = False
        return self._liked_counts[positive]

    @cached_property
    def _liked_counts(self) -> dict[float, NDArray[np.int64]]:
        """Return the counts of likes that are known, by threshold."""
        return {}

    def in_scale(self, stars: float, positive: float = 0.0) -> float:
        """Return stars, from 0.5 to 5, in the scale of the data, where `positive` and more counts as liked.

        Among events the stars of a like, and more, weigh as much as the median of what counts as liked, and fewer stars
        in proportion: the largest count, such as 500 plays, would outweigh all else that a user likes.
        """
        if self.feedback == "implicit":
            return self._like_weight(positive) * min(1.0, stars / LIKED_STARS)
        low, high = self.rating_range
        if low >= 0 and 4 < high <= 5:  # stars; one is low even where nobody gave it
            return float(np.clip(stars, min(low, 1.0), high))
        return low + (stars - 0.5) / 4.5 * (high - low)

    @cached_property
    def _like_weights(self) -> dict[float, float]:
        """Return the weights of a like that are known, by threshold."""
        return {}

    def _like_weight(self, positive: float) -> float:
        """Return the median rating above 0 that is `positive` or more; `positive`, or 1, where there is none."""
        if positive not in self._like_weights:
            counted = self.ratings.rating[(self.ratings.rating > 0) & (self.ratings.rating >= positive)]
            median = float(np.quantile(counted, 0.5, method="higher")) if len(counted) else 1.0
            self._like_weights[positive] = max(median, positive)
        return self._like_weights[positive]

    def user_index(self, ids: ArrayLike) -> NDArray[np.int64]:
        """Return the indices of raw user ids; BadInput names the first unknown one."""
        return _lookup(self.user_ids, ids, "user", self.name)

    def item_index(self, ids: ArrayLike) -> NDArray[np.int64]:
        """Return the indices of raw item ids; BadInput names the first unknown one."""
        return _lookup(self.item_ids, ids, "item", self.name)

    def positives(self, threshold: float = 4.0) -> Interactions:
        """Return the rows with `rating >= threshold` (0 keeps all) in the same index space.

        Raises BadInput when there is none.
        """
        low, high = self.rating_range
        kept = self.ratings.at_least(threshold)
        if not len(kept):
            problem = f"leaves no rating of {self.name!r}, whose ratings span {low:g} to {high:g}"
            raise BadInput("positive", threshold, remedy="choose a lower threshold", problem=problem)
        return kept

    def reduced(self, *, min_user: int = 0, min_item: int = 0, positive: float = 4.0) -> Dataset:
        """Return the data without rare items and then without users of whom little is left, in one pass each.

        An item with fewer than `min_item` positives, and then a user with fewer than `min_user`, goes with all of its
        ratings, from the tables and from the published splits too, so that nothing of it is a candidate and indices
        are dense again. A user without any rating left goes as well. What the scale is and what counts as liked stays.
        Raises BadInput when nothing is left.
        """
        if min_user <= 0 and min_item <= 0:
            return self
        liked = self.positives(positive)
        items = liked.item_counts >= min_item
        users = liked.select(items[liked.item_idx]).user_counts >= min_user
        rows = users[self.ratings.user_idx] & items[self.ratings.item_idx]
        if not rows.any():
            field, least = ("min_item", min_item) if not items.any() else ("min_user", min_user)
            raise BadInput(field, least, remedy="lower it", problem=f"leaves no rating of {self.name!r}")
        users = np.bincount(self.ratings.user_idx[rows], minlength=self.n_users) > 0
        number = np.cumsum(rows) - 1
        return replace(
            self,
            ratings=_renumbered(self.ratings.select(rows), users, items),
            user_ids=self.user_ids[users],
            item_ids=self.item_ids[items],
            items=self.items[items].reset_index(drop=True),
            users=None if self.users is None else self.users[users].reset_index(drop=True),
            cleaning=replace(
                self.cleaning,
                rows_kept=int(rows.sum()),
                min_user=min_user,
                min_item=min_item,
                users_below_minimum=int((~users).sum()),
                items_below_minimum=int((~items).sum()),
                rows_below_minimum=int((~rows).sum()),
            ),
            reading=self._settled_reading(),
            predefined={
                name: (number[train[rows[train]]], number[test[rows[test]]])
                for name, (train, test) in self.predefined.items()
            },
        )

    def _settled_reading(self) -> Reading:
        """Return the reading with the kind of feedback and the scale stated, which fewer rows might hide."""
        low, high = self.rating_range
        scale = (low, high) if self.feedback == "explicit" and low < high else None
        return replace(self.reading, feedback=self.feedback, scale=scale)


def _renumbered(rows: Interactions, users: NDArray[np.bool_], items: NDArray[np.bool_]) -> Interactions:
    """Return rows in the index space of the chosen users (n_users,) and items (n_items,) alone."""
    return replace(
        rows,
        user_idx=(np.cumsum(users) - 1)[rows.user_idx],
        item_idx=(np.cumsum(items) - 1)[rows.item_idx],
        n_users=int(users.sum()),
        n_items=int(items.sum()),
    )


def _lookup(known: NDArray[Any], ids: ArrayLike, kind: str, name: str) -> NDArray[np.int64]:
    """Return the indices of raw ids, which are compared to the byte: 7 is neither 07 nor 7.0."""
    wanted = np.atleast_1d(np.asarray(ids))
    if known.dtype.kind != "i":  # NumPy's own texts would lose a NUL at the end
        wanted = np.array([str(id) for id in np.atleast_1d(np.asarray(ids, dtype=object))], dtype=object)
    elif wanted.dtype.kind not in "iu":
        texts = [str(id) for id in wanted]
        unknown = next((text for text in texts if not _is_plain_number(text)), None)
        if unknown is not None:
            raise BadInput(kind, unknown, f"a number such as {known[0]}", problem=f"is not in {name!r}")
        wanted = np.array([int(text) for text in texts], dtype=np.int64)
    index = np.searchsorted(known, wanted)
    is_known = (index < len(known)) & (known[np.minimum(index, len(known) - 1)] == wanted)
    if not is_known.all():
        expected = f"one of its {len(known):,} {kind} ids, such as {known[0]} and {known[-1]}"
        raise BadInput(kind, str(wanted[~is_known][0]), expected, problem=f"is not in {name!r}")
    return index.astype(np.int64)


def _is_plain_number(text: str) -> bool:
    """Tell whether a text is a whole number of 64 bits in its shortest form."""
    return bool(re.fullmatch("0|-?[1-9][0-9]{0,18}", text)) and -(2**63) <= int(text) < 2**63
