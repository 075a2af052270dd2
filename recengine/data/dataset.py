"""`Dataset`: validated ratings, the item and user tables, and the id maps between raw ids and indices."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from recengine.data.interactions import Interactions
from recengine.errors import BadInput

ITEM_COLUMNS = ("item_id", "title", "year", "genres")
"""What every item table has: year is a nullable integer (Int64), genres are joined by `|` ("" = unknown)."""


@dataclass(frozen=True)
class Cleaning:
    """What was read, what was dropped or replaced, and why: reported, never silent."""

    rows_read: int = 0
    rows_kept: int = 0
    duplicates_replaced: int = 0
    rows_without_item: int = 0
    users_below_minimum: int = 0
    rows_below_minimum: int = 0
    notes: tuple[str, ...] = ()

    def lines(self) -> list[str]:
        """Return the report as plain sentences, leaving out what did not happen."""
        lines = [f"{self.rows_read:,} ratings read, {self.rows_kept:,} kept."]
        if self.duplicates_replaced:
            lines.append(f"{self.duplicates_replaced:,} repeated (user, item) ratings replaced by the latest.")
        if self.rows_without_item:
            lines.append(f"{self.rows_without_item:,} ratings are of items that the item table does not name.")
        if self.users_below_minimum:
            lines.append(
                f"{self.users_below_minimum:,} users with too few ratings dropped, "
                f"with {self.rows_below_minimum:,} ratings."
            )
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
        """Return the smallest and the largest rating."""
        r = self.ratings.rating
        return (float(r.min()), float(r.max())) if len(r) else (0.0, 0.0)

    @property
    def like_threshold(self) -> float:
        """Return the rating from which an item counts as liked: 4 of 5 stars, or as high on another scale.

        Where all ratings are equal there is no scale, and having rated an item is the sign: the threshold is 0.
        """
        low, high = self.rating_range
        if low == high:
            return 0.0
        return 4.0 if 4 < high <= 5 else float(np.round(low + 0.75 * (high - low), 2))

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
        """Return how many users rated each item `positive` or higher, (n_items,)."""
        return np.bincount(self.ratings.item_idx[self.ratings.rating >= positive], minlength=self.n_items)

    def in_scale(self, stars: float) -> float:
        """Return stars, from 0.5 to 5, in the scale of the data."""
        low, high = self.rating_range
        return float(np.clip(stars, low, high)) if high <= 5 else low + (stars - 0.5) / 4.5 * (high - low)

    def user_index(self, ids: ArrayLike) -> NDArray[np.int64]:
        """Return the indices of raw user ids; BadInput names the first unknown one."""
        return _lookup(self.user_ids, ids, "user", self.name)

    def item_index(self, ids: ArrayLike) -> NDArray[np.int64]:
        """Return the indices of raw item ids; BadInput names the first unknown one."""
        return _lookup(self.item_ids, ids, "item", self.name)

    def positives(self, threshold: float = 4.0, *, min_user: int = 0, min_item: int = 0) -> Interactions:
        """Return the rows with `rating >= threshold` (0 keeps all) in the same index space.

        `min_item`, then `min_user`, drop what has fewer positives than that; one pass each.
        Raises BadInput when nothing is left.
        """
        low, high = self.rating_range
        kept = self.ratings.at_least(threshold)
        for counts, index, least in (
            ("item_counts", "item_idx", min_item),
            ("user_counts", "user_idx", min_user),
        ):
            if least > 0:
                kept = kept.select(getattr(kept, counts)[getattr(kept, index)] >= least)
        if not len(kept):
            minimums = " or lower `min_item` or `min_user`" if min_item or min_user else ""
            problem = f"leaves no rating of {self.name!r}, whose ratings span {low:g} to {high:g}"
            raise BadInput("positive", threshold, remedy=f"choose a lower threshold{minimums}", problem=problem)
        return kept


def build_dataset(
    name: str,
    ratings: pd.DataFrame,
    items: pd.DataFrame | None = None,
    users: pd.DataFrame | None = None,
    *,
    min_ratings_per_user: int = 0,
    notes: Sequence[str] = (),
    **metadata: Any,
) -> Dataset:
    """Clean the raw tables and make a `Dataset` of them.

    ratings : user_id, item_id, rating[, timestamp]; ids integers or strings, ratings finite numbers
    items   : item_id, title[, year, genres, ...]; missing items get the title "Item <id>"
    users   : user_id and any other columns; users without ratings are left out
    metadata: further fields of the data set, such as its licence

    A (user, item) pair that is repeated keeps the latest row (the last in the file among equal times).
    Raises BadInput when there is no row or a rating is not a finite number.
    """
    if not len(ratings):
        raise BadInput("dataset", name, "at least one row of user, item, rating", problem="has no ratings")
    values = ratings["rating"].to_numpy(np.float32)
    if not np.isfinite(values).all():
        row = int(np.flatnonzero(~np.isfinite(values))[0])
        problem = f"has the rating {ratings['rating'].iloc[row]!r} in data row {row + 1}"
        raise BadInput("dataset", name, "a finite number", "correct or remove that row", problem=problem)
    user_ids, user_idx = _encode(ratings["user_id"])
    known = items["item_id"] if items is not None else None
    item_ids, item_idx = _encode(ratings["item_id"], also=known)
    timed = "timestamp" in ratings
    stamps = ratings["timestamp"].to_numpy(np.int64) if timed else np.arange(len(ratings), dtype=np.int64)

    keep = _latest_of_each_pair(user_idx, item_idx, stamps, len(item_ids))
    n_duplicates = int(len(ratings) - keep.sum()) if keep is not None else 0
    few_users = few_rows = 0
    if min_ratings_per_user > 1:
        counted = user_idx if keep is None else user_idx[keep]
        counts = np.bincount(counted, minlength=len(user_ids))
        enough = counts >= min_ratings_per_user
        few_users, few_rows = int((~enough).sum()), int(counts[~enough].sum())
        if few_users:
            keep = enough[user_idx] if keep is None else keep & enough[user_idx]
            user_ids = user_ids[enough]
            user_idx = (np.cumsum(enough) - 1)[user_idx].astype(np.int32)
    if keep is not None:
        user_idx, item_idx, values, stamps = user_idx[keep], item_idx[keep], values[keep], stamps[keep]
    if not len(user_idx):
        problem = f"has no user with {min_ratings_per_user} ratings"
        raise BadInput("dataset", name, remedy="lower the minimum per user", problem=problem)
    table, n_unnamed = _item_table(item_ids, item_idx, items)
    return Dataset(
        name=name,
        ratings=Interactions(user_idx, item_idx, values, stamps, len(user_ids), len(item_ids)),
        user_ids=user_ids,
        item_ids=item_ids,
        items=table,
        users=None if users is None else _aligned(users, "user_id", user_ids),
        timed=timed,
        cleaning=Cleaning(
            rows_read=len(ratings),
            rows_kept=len(user_idx),
            duplicates_replaced=n_duplicates,
            rows_without_item=n_unnamed,
            users_below_minimum=few_users,
            rows_below_minimum=few_rows,
            notes=tuple(notes) + (() if timed else ("No timestamps: the order of the rows stands for time.",)),
        ),
        **metadata,
    )


def _encode(ids: pd.Series, also: pd.Series | None = None) -> tuple[NDArray[Any], NDArray[np.int32]]:
    """Return (sorted unique ids, (n,) index of each id); mixed or text ids become strings."""
    if not (pd.api.types.is_integer_dtype(ids) and (also is None or pd.api.types.is_integer_dtype(also))):
        ids = ids.astype(str)
        also = None if also is None else also.astype(str)
    codes, unique = pd.factorize(ids)
    rated = np.asarray(unique)
    everything = np.unique(rated if also is None else np.concatenate([rated, np.asarray(also)]))
    index = np.searchsorted(everything, rated).astype(np.int32)
    return everything, index[codes]


def _latest_of_each_pair(
    user_idx: NDArray[np.int32], item_idx: NDArray[np.int32], stamps: NDArray[np.int64], n_items: int
) -> NDArray[np.bool_] | None:
    """Return which rows to keep, or None when no pair repeats (checked by one sort)."""
    pair = user_idx.astype(np.int64) * n_items + item_idx
    ordered = np.sort(pair)
    repeated = ordered[1:][ordered[1:] == ordered[:-1]]
    if not len(repeated):
        return None
    keep = repeated[np.minimum(np.searchsorted(repeated, pair), len(repeated) - 1)] != pair
    rows = np.flatnonzero(~keep)  # only these need a full sort
    rows = rows[np.lexsort((rows, stamps[rows], pair[rows]))]
    keep[rows[np.append(pair[rows][1:] != pair[rows][:-1], True)]] = True
    return keep


def _item_table(
    item_ids: NDArray[Any], item_idx: NDArray[np.int32], items: pd.DataFrame | None
) -> tuple[pd.DataFrame, int]:
    """Return the item table in index order and the number of ratings of items that it did not name."""
    table = pd.DataFrame({"item_id": item_ids}) if items is None else _aligned(items, "item_id", item_ids)
    for column, empty in (("title", None), ("year", pd.NA), ("genres", "")):
        if column not in table:
            table[column] = empty
    unnamed = table["title"].isna().to_numpy()
    table["title"] = table["title"].where(~unnamed, "Item " + table["item_id"].astype(str))
    table["genres"] = table["genres"].fillna("")
    table["year"] = table["year"].astype("Int64")
    n_unnamed = int(unnamed[item_idx].sum()) if items is not None else 0
    others = [column for column in table.columns if column not in ITEM_COLUMNS]
    return table[[*ITEM_COLUMNS, *others]], n_unnamed


def _aligned(frame: pd.DataFrame, key: str, ids: NDArray[Any]) -> pd.DataFrame:
    """Return the frame with one row per id, in the order of `ids`; the last of repeated keys wins."""
    frame = frame.assign(**{key: frame[key].astype(ids.dtype if ids.dtype.kind == "i" else str)})
    return frame.drop_duplicates(key, keep="last").set_index(key).reindex(ids).rename_axis(key).reset_index()


def _lookup(known: NDArray[Any], ids: ArrayLike, kind: str, name: str) -> NDArray[np.int64]:
    wanted = np.atleast_1d(np.asarray(ids))
    if known.dtype.kind == "i" and wanted.dtype.kind != "i":
        try:
            wanted = wanted.astype(np.int64)
        except (ValueError, OverflowError):
            unknown = str(next(id for id in wanted if not _is_int64(id)))
            raise BadInput(kind, unknown, f"a number such as {known[0]}", problem=f"is not in {name!r}") from None
    elif known.dtype.kind != "i":
        wanted = wanted.astype(str)
    index = np.searchsorted(known, wanted)
    is_known = (index < len(known)) & (known[np.minimum(index, len(known) - 1)] == wanted)
    if not is_known.all():
        expected = f"one of its {len(known):,} {kind} ids, such as {known[0]} and {known[-1]}"
        raise BadInput(kind, str(wanted[~is_known][0]), expected, problem=f"is not in {name!r}")
    return index.astype(np.int64)


def _is_int64(value: Any) -> bool:
    try:
        return -(2**63) <= int(value) < 2**63
    except (ValueError, TypeError, OverflowError):
        return False
