"""Building a `Dataset`: rows without an id dropped, repeated pairs aggregated, ids mapped to indices."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recengine.data.dataset import ITEM_COLUMNS, Cleaning, Dataset
from recengine.data.interactions import Interactions
from recengine.data.readers import typed
from recengine.data.reading import Aggregate, Interpretation, Reading
from recengine.errors import BadInput


def build_dataset(
    name: str,
    ratings: pd.DataFrame,
    items: pd.DataFrame | None = None,
    users: pd.DataFrame | None = None,
    *,
    interpretation: Interpretation | None = None,
    notes: Sequence[str] = (),
    **metadata: Any,
) -> Dataset:
    """Clean the raw tables and make a `Dataset` of them.

    ratings : user_id, item_id, rating[, timestamp]; ids integers or strings, ratings finite numbers, times seconds
    items   : item_id, title[, year, genres, ...]; missing items get the title "Item <id>"
    users   : user_id and any other columns; users without ratings are left out
    interpretation : how a reader came to the ratings; without it they are as stated above, but for rows that lack a
              user or an item, which are dropped and counted, and times, which may be dates
    metadata: further fields of the data set, such as its licence

    Of a (user, item) pair that is repeated the latest row is kept (the last in the file among equal times), with the
    rating that the reading's `aggregate` makes of all; where that is open, `sum` for events and `latest` for ratings.
    Raises BadInput when there is no row or a rating is not a finite number.
    """
    if not len(ratings):
        raise BadInput("dataset", name, "at least one row of user, item, rating", problem="has no ratings")
    if interpretation is None:
        interpretation = Interpretation(Reading(aggregate="latest"))
        ratings = _with_ids(name, ratings, interpretation)
    user_ids, user_idx = _encode(ratings["user_id"])
    item_ids, item_idx = _encode(ratings["item_id"], also=None if items is None else items["item_id"])
    timed = "timestamp" in ratings
    stamps = ratings["timestamp"].to_numpy(np.int64) if timed else np.arange(len(ratings), dtype=np.int64)
    rows = Interactions(user_idx, item_idx, _finite(name, ratings["rating"]), stamps, len(user_ids), len(item_ids))
    kept = _merged(rows, interpretation)
    table, n_unnamed = _item_table(item_ids, kept.item_idx, items)
    more = [*notes, *interpretation.notes, *_lookalikes("user", user_ids), *_lookalikes("item", item_ids)]
    if not timed:
        more.append("No timestamps: the order of the rows stands for time.")
    return Dataset(
        name=name,
        ratings=replace(kept, implicit=interpretation.reading.feedback == "implicit"),
        user_ids=user_ids,
        item_ids=item_ids,
        items=table,
        users=None if users is None else _aligned(users, "user_id", user_ids),
        timed=timed,
        cleaning=Cleaning(
            rows_read=len(ratings) + interpretation.without_id + interpretation.without_rating,
            rows_kept=len(kept),
            rows_without_id=interpretation.without_id,
            rows_without_rating=interpretation.without_rating,
            duplicates_replaced=len(rows) - len(kept),
            aggregate=interpretation.reading.aggregate or "latest",
            rows_without_item=n_unnamed,
            notes=tuple(more),
        ),
        reading=interpretation.reading,
        inferences=tuple(interpretation.inferences),
        **metadata,
    )


def _finite(name: str, ratings: pd.Series) -> NDArray[np.float32]:
    """Return the ratings (n,); BadInput names the first row whose rating is not a finite number."""
    values = ratings.to_numpy(np.float32)
    if not np.isfinite(values).all():
        row = int(np.flatnonzero(~np.isfinite(values))[0])
        problem = f"has the rating {ratings.iloc[row]!r} in data row {row + 1}"
        raise BadInput("dataset", name, "a finite number", "correct or remove that row", problem=problem)
    return values


def _merged(rows: Interactions, interpretation: Interpretation) -> Interactions:
    """Return the latest row of each pair of user and item, with the rating that the reading makes of all of them."""
    keep = _latest_of_each_pair(rows)
    if keep is not None:
        _infer_aggregate(interpretation)
    aggregate = interpretation.reading.aggregate or "latest"
    if aggregate != "latest" and (keep is not None or aggregate == "count"):
        rows = replace(rows, rating=_aggregated(rows.rating, rows.pairs, keep, aggregate))
    return rows if keep is None else rows.select(keep)


def _with_ids(name: str, ratings: pd.DataFrame, interpretation: Interpretation) -> pd.DataFrame:
    """Return the rows that have both ids, with whole numbers or text as ids and times in seconds."""
    if missing := [column for column in ("user_id", "item_id", "rating") if column not in ratings]:
        problem = f"has the columns {', '.join(map(str, ratings.columns))[:200]!r}, without {' and '.join(missing)}"
        raise BadInput("dataset", name, "user_id, item_id, rating[, timestamp]", "rename them", problem=problem)
    if all(ratings[column].dtype.kind == "i" for column in ratings if column in ("user_id", "item_id", "timestamp")):
        return ratings
    missing_ids = typed.blank(ratings["user_id"]) | typed.blank(ratings["item_id"])
    interpretation.without_id = int(missing_ids.sum())
    kept = ratings[~missing_ids].reset_index(drop=True)
    if not len(kept):
        raise BadInput("dataset", name, "at least one row of user, item, rating", problem="has no row with both ids")
    columns: dict[str, Any] = {column: typed.ids(kept[column]) for column in ("user_id", "item_id")}
    if "timestamp" in kept:
        columns["timestamp"] = typed.seconds_of(kept["timestamp"], interpretation, lambda row: f"data row {row + 1:,}")
    return kept.assign(**columns)


def _infer_aggregate(interpretation: Interpretation) -> None:
    implicit = interpretation.reading.feedback == "implicit"
    does = "are added up" if implicit else "count with their latest rating"
    sentence = f"Repeated pairs of user and item {does}; state `aggregate` for another way."
    interpretation.infer(sentence, aggregate="sum" if implicit else "latest")


def _aggregated(
    values: NDArray[np.float32], pairs: NDArray[np.int64], keep: NDArray[np.bool_] | None, aggregate: Aggregate
) -> NDArray[np.float32]:
    """Return the ratings, those of the kept rows of repeated pairs replaced by what all rows of the pair give."""
    if aggregate == "count":
        values = np.ones_like(values)
    if keep is None:
        return values
    repeated = np.isin(pairs, pairs[~keep])
    _, group = np.unique(pairs[repeated], return_inverse=True)
    if aggregate == "max":
        merged = np.full(group.max() + 1, -np.inf, np.float32)
        np.maximum.at(merged, group, values[repeated])
    else:
        merged = np.bincount(group, weights=values[repeated]).astype(np.float32)
    values = values.copy()
    values[repeated] = merged[group]
    return values


def _lookalikes(kind: str, ids: NDArray[Any]) -> list[str]:
    """Return a note where text ids look the same but differ in spaces or in how accents are encoded."""
    if ids.dtype.kind == "i":
        return []
    odd = [id for id in ids.tolist() if not id.isascii() or id != id.strip()]
    plain = [unicodedata.normalize("NFC", id).strip() for id in odd]
    if not odd:
        return []
    others = Counter(plain)
    others.update(set(ids.tolist()) - set(odd))
    alike = [id for id, key in zip(odd, plain, strict=True) if others[key] > 1]
    if not alike:
        return []
    which = f"{len(alike):,} {kind} ids, such as {alike[0][:40]!r}, look like another one"
    return [f"{which} but differ in spaces or in how accents are encoded: they stay apart."]


def _encode(ids: pd.Series, also: pd.Series | None = None) -> tuple[NDArray[Any], NDArray[np.int32]]:
    """Return (sorted unique ids, (n,) index of each id); where not all are integers, all become text."""
    integers = pd.api.types.is_integer_dtype(ids) and (also is None or pd.api.types.is_integer_dtype(also))
    codes, unique = pd.factorize(ids)
    rated = np.asarray(unique)
    named = None if also is None else np.asarray(also)
    if not integers:
        rated = np.array([str(id) for id in rated], dtype=object)
        named = None if named is None else np.array([str(id) for id in named], dtype=object)
    everything = np.unique(rated if named is None else np.concatenate([rated, named]))
    index = np.searchsorted(everything, rated).astype(np.int32)
    return everything, index[codes]


def _latest_of_each_pair(rows: Interactions) -> NDArray[np.bool_] | None:
    """Return which rows to keep, (n,), or None when no pair repeats (checked by one sort)."""
    pair = rows.pairs
    ordered = np.sort(pair)
    repeated = ordered[1:][ordered[1:] == ordered[:-1]]
    if not len(repeated):
        return None
    keep = repeated[np.minimum(np.searchsorted(repeated, pair), len(repeated) - 1)] != pair
    again = np.flatnonzero(~keep)  # only these need a full sort
    again = again[np.lexsort((again, rows.timestamp[again], pair[again]))]
    keep[again[np.append(pair[again][1:] != pair[again][:-1], True)]] = True
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
