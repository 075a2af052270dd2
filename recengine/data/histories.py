"""The ratings of users who are not in the data, from a file that holds theirs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from recengine.data.dataset import LIKED_STARS, Dataset
from recengine.data.interactions import Interactions
from recengine.data.matching import Matcher
from recengine.data.readers.export_rows import MARKS, RatedTitle
from recengine.data.readers.exports import PLAIN, Export, read_export
from recengine.errors import BadInput
from recengine.export import counted
from recengine.files import read_input


class Histories(NamedTuple):
    """The ratings of users who are not in the data: their ids, their rows, and notes on what is not used.

    A file without a column for users is of one user, `new`. `seen` holds the items that they saw without rating them.
    Rows have times only where a plain file gives one for each of them, else all have the same: the order of a file is
    no order of watching, and other exports have the days of rating.
    """

    user_ids: list[str]
    rows: Interactions
    notes: list[str]
    seen: Interactions


class _Found(NamedTuple):
    """The rows of each user by item, items that were seen, and what is left over."""

    rated: dict[str, dict[int, RatedTitle]]
    seen: set[int]
    missing: list[RatedTitle]
    repeated: int


def check_ratings(ratings: Mapping[Any, float], data: Dataset, field: str) -> None:
    """Raise BadInput for the first of a new user's ratings that lies outside the scale of the data."""
    (low, high), bounded = data.rating_range, data.feedback == "explicit"
    for item, rating in ratings.items():
        if not isfinite(rating) or (bounded and not low <= rating <= high):
            problem = f"is out of range for the item {item!r}"
            raise BadInput(field, rating, f"{low:g} to {high:g}, the scale of the data", problem=problem)


def rows_of_new(rated: Sequence[tuple[int, Any, float]], data: Dataset, n_users: int) -> Interactions:
    """Return (new user, raw item id, rating) as rows without times. Raises BadInput for an unknown item."""
    users, ids, ratings = zip(*rated, strict=True) if rated else ((), (), ())
    known = data.item_index_of
    try:
        items: ArrayLike = [known[str(id)] for id in ids]
    except KeyError:
        items = data.item_index(ids)  # which says what is unknown
    return Interactions.from_pairs(
        users,
        items,
        rating=ratings,
        timestamp=[0] * len(rated),
        n_users=n_users,
        n_items=data.n_items,
    )


def read_ratings(path: Path, dataset: Dataset) -> tuple[Interactions, list[str]]:
    """Return one user's ratings, as `read_histories` reads them, and the notes; BadInput for those of several."""
    histories = read_histories(path, dataset)
    if len(histories.user_ids) > 1:
        problem = f"holds the ratings of {len(histories.user_ids):,} users"
        raise BadInput(path.name, expected="those of one user", problem=problem)
    return histories.rows, histories.notes


def read_histories(path: Path, dataset: Dataset) -> Histories:
    """Return the ratings of one user or, from a plain CSV with a column `user_id`, of each of its users.

    A plain CSV has `item_id` or `title` ("The Matrix", "Matrix, The (1999)", or with a `year` column), and `rating` in
    the data set's range. Of an item that a user rates twice the last rating counts. Of Letterboxd's zip, films liked
    without stars count 4.5 of 5. A user none of whose items is known has an empty history.
    Raises BadInput when the file cannot be read, a rating is out of range, or nothing matches.
    """
    export = read_export(path.name, read_input(path), rating_range=dataset.rating_range)
    matcher, plain = Matcher(dataset), export.source in PLAIN
    matches = _find(export, matcher, plain)
    rows = [(user, item, row) for user, of in enumerate(matches.rated.values()) for item, row in of.items()]
    missing = [row.label for row in matches.missing] + [row.title for row in export.refused if plain]
    if not rows and not matches.seen:
        problem = f"names no film of {dataset.name!r} (looked for {', '.join(missing[:3])[:200]!r})"
        raise BadInput(path.name, expected="its item ids or titles", problem=problem)
    notes = list(export.notes)
    if missing:
        notes.append(f"{counted(len(rows), 'ratings')} matched, {len(missing):,} not: {', '.join(missing[:5])}")
    notes += matcher.ends(matches.missing)
    if export.refused and not plain:
        first = export.refused[0]
        notes.append(
            f"{counted(len(export.refused), 'rows')} cannot be used, the first in line {first.line:,}: {first.reason}."
        )
    if matches.repeated:
        was = "is" if matches.repeated == 1 else "are"
        notes.append(f"{counted(matches.repeated, 'ratings')} {was} replaced by a later one of the same film.")
    seen = matches.seen - {item for _, item, _ in rows}
    if liked := sum(row.mark == "liked" for _, _, row in rows):
        notes.append(f"Of the ratings {liked:,} came as likes without stars, which count as {LIKED_STARS:g} of 5.")
    if seen:
        notes.append(f"Seen, though not rated, and so left out of the list: {counted(len(seen), 'films')}.")
    dated = plain and all(row.ts for _, _, row in rows)
    n_users = max(1, len(matches.rated))
    ratings = Interactions.from_pairs(
        [user for user, _, _ in rows],
        [item for _, item, _ in rows],
        rating=[dataset.in_scale(row.stars) if row.rating is None else row.rating for _, _, row in rows],
        timestamp=[row.ts if dated else 0 for _, _, row in rows],
        n_users=n_users,
        n_items=dataset.n_items,
    )
    hidden = Interactions.from_pairs([0] * len(seen), sorted(seen), n_users=n_users, n_items=dataset.n_items)
    return Histories(list(matches.rated) or ["new"], ratings, notes, hidden)


def _find(export: Export, matcher: Matcher, plain: bool) -> _Found:
    """Return which items the rows mean; of one item a plain file's last row counts, of an export's the latest."""
    matches = _Found({}, set(), [], 0)
    repeated = 0
    for row in export.rows if plain else sorted(export.rows, key=_moment):
        if row.mark == "watchlist":
            continue
        item = matcher.rated(row)
        if row.mark == "seen":
            matches.seen.update([item] if item >= 0 else [])
            continue
        of_user = matches.rated.setdefault(row.user_id or "new", {})
        if item < 0:
            matches.missing.append(row)
            continue
        repeated += of_user.pop(item, None) is not None
        of_user[item] = row
    return matches._replace(repeated=repeated)


def _moment(row: RatedTitle) -> tuple[int, float]:
    """Return where a row stands: what says most of a film last, then by time."""
    return -MARKS.index(row.mark), row.ts or np.inf
