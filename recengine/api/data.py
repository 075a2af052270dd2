"""Data in: a name, a path, a frame or a sparse matrix as a `Dataset`, and its split."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from recengine.api.errors import in_words, own_words
from recengine.data.dataset import Dataset
from recengine.data.reading import ROLES, Aggregate, Feedback, Reading
from recengine.data.sources import SOURCES, from_frame, is_present, load_dataset
from recengine.data.splits import Split, make_split
from recengine.errors import BadInput

Scale: TypeAlias = tuple[float, float]
log = logging.getLogger("recengine")


class Coordinates(Protocol):
    """A matrix as (row, column, value), as SciPy's `coo_matrix` and `coo_array` hold it."""

    row: NDArray[np.integer]
    col: NDArray[np.integer]
    data: NDArray[np.number]


class Sparse(Protocol):
    """A sparse matrix of SciPy, of any format."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Return (n_users, n_items)."""
        ...

    def tocoo(self) -> Coordinates:
        """Return it as coordinates."""
        ...


@own_words
def load(
    source: str | Path | pd.DataFrame | Sparse | Dataset,
    *,
    columns: Mapping[str, str] | None = None,
    scale: Scale | None = None,
    feedback: Feedback | None = None,
    aggregate: Aggregate | None = None,
) -> Dataset:
    """Load data: by a registered name ("ml-100k"), by path, or from a frame or a sparse matrix.

    A registered data set is fetched when it is not here. A path is a CSV, parquet, JSON lines, a folder or a zip.
    columns   : role -> column, for `user`, `item`, `rating`, `time` and `event`
    scale     : lowest and highest rating that can be given, such as (1, 5)
    feedback  : "explicit" for ratings, of which the high ones are likes, or "implicit" for events, which all count
    aggregate : what counts of a repeated pair of user and item: "latest", "max", "sum" or "count"

    What is not stated is inferred, and logged in a sentence each by the logger `recengine`. Raises BadInput for what
    cannot be read, or may be read in several ways.
    """
    named: dict[str, Any] = dict(columns or {})
    if unknown := sorted(named.keys() - set(ROLES)):
        raise BadInput("columns", unknown[0], f"one of: {', '.join(ROLES)}", problem="is not what a column may be")
    reading = replace(Reading(scale=_pair(scale), feedback=feedback, aggregate=aggregate), **named)
    if isinstance(source, Dataset):
        return source
    if isinstance(source, pd.DataFrame):
        return _logged(from_frame(source, reading=reading))
    if isinstance(source, str | Path):
        if source in SOURCES and not is_present(str(source)):
            log.warning("%s is not here yet; fetching %.1f MB", source, SOURCES[str(source)].size / 1e6)
        return _logged(load_dataset(source, reading=reading))
    if hasattr(source, "tocoo"):
        return _of_sparse(source, None, None, None, reading)
    expected = "a name, a path, a pandas frame or a sparse matrix of SciPy"
    raise BadInput("data", type(source).__name__, expected, problem="is no data that can be loaded")


@own_words
def from_pandas(
    frame: pd.DataFrame,
    *,
    user: str | None = None,
    item: str | None = None,
    rating: str | None = None,
    time: str | None = None,
    event: str | None = None,
    items: pd.DataFrame | None = None,
    users: pd.DataFrame | None = None,
    name: str = "frame",
    scale: Scale | None = None,
    feedback: Feedback | None = None,
    aggregate: Aggregate | None = None,
    weights: Mapping[str, float] | None = None,
    time_unit: str | None = None,
) -> Dataset:
    """Make a data set of a frame with a rating or an event per row.

    user, item, rating, time, event : its columns; without a rating every row is an event that counts as 1, or as
                what `weights` has for its `event`
    items, users : what else is known of them, by `item_id` (`title`, `year`, `genres` and more) and by `user_id`
    name      : what reports call the data
    time_unit : "s", "ms", "us", "ns", "iso", or a pattern such as "%d/%m/%Y"
    The others are those of `load`. Ids are kept to the byte: numbers stay numbers, and text stays text.
    """
    reading = Reading(
        user=user,
        item=item,
        rating=rating,
        time=time,
        event=event,
        scale=_pair(scale),
        feedback=feedback,
        aggregate=aggregate,
        weights=tuple((event, float(weight)) for event, weight in (weights or {}).items()),
        time_unit=time_unit,
    )
    return _logged(from_frame(frame, name=name, items=items, users=users, reading=reading))


@own_words
def from_sparse(
    matrix: Sparse,
    *,
    user_ids: ArrayLike | None = None,
    item_ids: ArrayLike | None = None,
    items: pd.DataFrame | None = None,
    name: str = "matrix",
    scale: Scale | None = None,
    feedback: Feedback | None = None,
) -> Dataset:
    """Make a data set of a users x items matrix of SciPy, whose stored values are the ratings or weights.

    user_ids, item_ids : raw ids of its rows and columns; by default their numbers from 0
    items : what else is known of the items, by `item_id`. Every column is an item, whether or not it is rated
    """
    reading = Reading(scale=_pair(scale), feedback=feedback)
    return _of_sparse(matrix, user_ids, item_ids, items, reading, name)


def _of_sparse(
    matrix: Sparse,
    user_ids: ArrayLike | None,
    item_ids: ArrayLike | None,
    items: pd.DataFrame | None,
    reading: Reading,
    name: str = "matrix",
) -> Dataset:
    cells = matrix.tocoo()
    ids = []
    for field, given, size in zip(("user_ids", "item_ids"), (user_ids, item_ids), matrix.shape, strict=True):
        values = np.arange(size) if given is None else np.asarray(given)
        if len(values) != size or len(pd.unique(values)) != size:
            problem = f"has {len(values):,} ids, of which {len(pd.unique(values)):,} differ"
            raise BadInput(field, expected=f"{size:,} different ones, one for each in the matrix", problem=problem)
        ids.append(values)
    frame = pd.DataFrame({"user_id": ids[0][cells.row], "item_id": ids[1][cells.col], "rating": cells.data})
    named = pd.DataFrame({"item_id": ids[1]})
    if items is None:  # text ids are titles, too, as everywhere
        table = named if named["item_id"].dtype.kind in "iu" else named.assign(title=named["item_id"].astype(str))
    else:
        table = named.merge(items, on="item_id", how="left")
    stated = Reading(user="user_id", item="item_id", rating="rating", scale=reading.scale, feedback=reading.feedback)
    return _logged(from_frame(frame, name=name, items=table, reading=stated))


def _pair(scale: Scale | None) -> Scale | None:
    return None if scale is None else (float(scale[0]), float(scale[1]))


def _logged(data: Dataset) -> Dataset:
    """Return the data; what was inferred in reading it, and what was dropped, is logged."""
    for sentence in (*(in_words(inference.sentence) for inference in data.inferences), *data.cleaning.lines()[1:]):
        log.warning("%s: %s", data.name, sentence)
    return data


@own_words
def split(
    data: Dataset,
    name: str = "leave-last",
    *,
    positive: float | None = None,
    share: float | None = None,
    ties: str = "item",
    given: int | None = None,
    targets_after: int | None = None,
    fold: int = 0,
    min_user: int = 0,
    min_item: int = 0,
    seed: int = 0,
) -> Split:
    """Hold out what tests a model: `.train` is learned from, `.valid` chooses settings and epochs, `.test` tests once.

    name     : "leave-last", "random", "stratified", "time", "cold-user", "sitting", "cold-item", or a split that the
               data set publishes, such as "u1" of ml-100k
    positive : the rating from which on an item counts as liked, and so is learned and tested; by default 4 of 5 stars
               or as high on another scale. 0: every rating
    share    : the part held out: of the rows a tenth, of the users of "cold-user" and "sitting" a fifth
    ties     : the order of equal times: "item", or "random", which no id can sway
    given    : ratings known of each held-out user; targets_after : test what comes after that many (cold-user)
    min_user, min_item : items, and then users, with fewer positives are dropped from the data first

    Its rows carry what their indices stand for, so that a model fitted on `.train` speaks raw ids.
    """
    threshold = data.like_threshold if positive is None else float(positive)
    counted = 0.0 if name == "sitting" else threshold
    data = data.reduced(min_user=min_user, min_item=min_item, positive=counted)
    made = make_split(
        data,
        name,
        positive=threshold,
        share=share,
        ties=ties,
        given=given,
        targets_after=targets_after,
        fold=fold,
        seed=seed,
    )
    return made.labelled(data)
