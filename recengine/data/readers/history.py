"""Small CSVs that speak about a data set: one person's ratings, or pairs of user and item."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recengine.data.dataset import Dataset
from recengine.data.interactions import Interactions
from recengine.data.matching import Matcher
from recengine.data.readers.delimited import Rows, roles
from recengine.data.titles import split_title
from recengine.errors import BadInput


def read_pairs(path: Path, dataset: Dataset) -> tuple[list[str], list[list[str]], NDArray[np.int64], NDArray[np.int64]]:
    """Return (header, rows as text, user indices, item indices) of a CSV with user_id and item_id.

    Raises BadInput for a missing column, an empty file, or an id that the data set does not have.
    """
    rows = Rows(path.name, _content(path))
    found = roles(rows.header)
    for role in ("user_id", "item_id"):
        if role not in found:
            raise BadInput(f"{path.name} has the columns {', '.join(rows.header)[:200]!r}; add the column {role}")
    cells = list(rows)
    if not cells:
        raise BadInput(f"{path.name} has a header but no pairs; expected at least one row of user_id,item_id")
    users = dataset.user_index([row[found["user_id"]].strip() for row in cells])
    items = dataset.item_index([row[found["item_id"]].strip() for row in cells])
    return rows.header, cells, users, items


def read_history(path: Path, dataset: Dataset) -> tuple[Interactions, list[str]]:
    """Return one person's ratings, as user 0, and notes on the rows that match no item of the data set.

    The CSV has `item_id` or `title` ("The Matrix", "Matrix, The (1999)", or with a `year` column), and `rating`.
    Its rows stand in the order of time; of a film that is rated twice the last rating counts.
    Raises BadInput when a column is missing, a rating is no number in the data's range, or nothing matches.
    """
    rows = Rows(path.name, _content(path))
    names = [cell.lower() for cell in rows.header]
    found = roles(rows.header)
    by_title = "title" in names and names.index("title") == found.get("item_id")
    if "item_id" not in found or "rating" not in found:
        raise BadInput(
            f"{path.name} has the columns {', '.join(rows.header)[:200]!r}; expected item_id or title, and rating"
        )
    matcher = Matcher(dataset) if by_title else None
    rated: dict[int, float] = {}
    missing: list[str] = []
    repeated = 0
    low, high = dataset.rating_range
    for row in rows:
        wanted = row[found["item_id"]].strip()
        rating = _rating(row[found["rating"]], rows, low, high)
        year = row[names.index("year")] if "year" in names else ""
        item = _titled(matcher, wanted, year) if matcher else _item(dataset, wanted)
        if item is None:
            missing.append(wanted)
        else:
            repeated += rated.pop(item, None) is not None
            rated[item] = rating
    if not rated:
        raise BadInput(
            f"{path.name} names no film of {dataset.name!r} (looked for {', '.join(missing[:3])[:200]!r}); "
            "expected its item ids or titles"
        )
    notes = [f"{len(rated):,} ratings matched, {len(missing):,} not: {', '.join(missing[:5])}"] if missing else []
    if repeated:
        notes.append(f"{repeated:,} ratings are replaced by a later one of the same film.")
    return Interactions.from_pairs(
        np.zeros(len(rated)), list(rated), rating=list(rated.values()), n_users=1, n_items=dataset.n_items
    ), notes


def _titled(matcher: Matcher, wanted: str, year_text: str) -> int | None:
    name, year, _ = split_title(wanted)
    found = matcher.titled([name], int(year_text) if year_text.strip().isdigit() else year)
    return found[0] if len(found) == 1 else None


def _item(dataset: Dataset, wanted: Any) -> int | None:
    try:
        return int(dataset.item_index([wanted])[0])
    except BadInput:
        return None


def _rating(text: str, rows: Rows, low: float, high: float) -> float:
    try:
        value = float(text.replace(",", "."))
    except ValueError:
        rows.fail(f"has the rating {text!r}; expected a number from {low:g} to {high:g}")
    if not low <= value <= high:
        rows.fail(f"has the rating {text!r}; expected {low:g} to {high:g}, the range of the data set")
    return value


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as fault:
        raise BadInput(f"{path} cannot be read ({fault.strerror}); name a CSV file that is there") from None
