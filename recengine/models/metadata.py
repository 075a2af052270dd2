"""Item metadata as a table of zeros and ones."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from recengine.errors import BadInput

COLUMNS = ("genres", "year", "keywords", "tags", "director")
"""Columns of the item table that networks read: lists joined by `|` (director: by " & "); a year is its decade."""
MOST_VALUES = 500


def metadata_table(items: pd.DataFrame | None, columns: Sequence[str], n_items: int, *, least: int = 2) -> Tensor:
    """Return (n_items, F) float32, 1 where an item has a value that at least `least` items share.

    A column keeps its 500 most frequent values. Items of which nothing is known, and data sets without the columns,
    give rows of zeros; F is at least 1.
    """
    parts = [_one_column(items, column, least) for column in columns if items is not None and column in items]
    return torch.cat([*parts, torch.zeros(n_items, 0 if any(p.shape[1] for p in parts) else 1)], dim=1)


def without_metadata(items: pd.DataFrame | None, columns: Sequence[str], n_items: int) -> NDArray[np.bool_]:
    """Return (n_items,) whether an item is empty in all of the columns."""
    unknown = np.ones(n_items, bool)
    for column in columns:
        if items is not None and column in items:
            unknown &= (items[column].astype("string").fillna("") == "").to_numpy(bool)
    return unknown


def count_unknown(model: str, items: pd.DataFrame | None, columns: Sequence[str], n_items: int) -> int:
    """Return the number of items that are empty in all of the columns; all items if there is no table.

    Raises BadInput when the table lacks one of the columns, or when they are empty from top to bottom.
    """
    unknown = without_metadata(items, columns, n_items)
    lacking = columns if unknown.all() else [column for column in columns if items is not None and column not in items]
    if items is not None and lacking:
        it = "it" if len(lacking) == 1 else "them"
        raise BadInput(
            "model",
            model,
            remedy=f"add {it} to movies.csv, or choose another model or other columns",
            problem=f"reads {' and '.join(lacking)} of the items, and this data set has none",
        )
    return int(unknown.sum())


def parse_columns(text: str) -> tuple[str, ...]:
    """Return the columns of "genres,year"; BadInput names one that networks do not read."""
    names = tuple(part.strip() for part in text.split(",") if part.strip())
    for name in names:
        _check("metadata", name, text)
    return names


def parse_credit(text: str) -> dict[str, float]:
    """Return {column: weight} of "genres:0.4,director:0.2"; BadInput unless each weight is from 0 to 1."""
    credit: dict[str, float] = {}
    for part in filter(None, text.split(",")):
        name, _, weight = (piece.strip() for piece in part.partition(":"))
        _check("partial_credit", name, text)
        try:
            credit[name] = float(weight)
        except ValueError:
            credit[name] = -1.0
        if not 0 <= credit[name] <= 1:
            expected = "a weight from 0 to 1, as in genres:0.4"
            raise BadInput("partial_credit", text, expected, problem="cannot be read")
    return credit


def credit_table(items: pd.DataFrame | None, weights: dict[str, float], n_items: int) -> Tensor:
    """Return (n_items, F) whose rows' products are the credit: the sum of weights of what two items share."""
    return torch.cat([weight**0.5 * metadata_table(items, [name], n_items) for name, weight in weights.items()], dim=1)


def _one_column(items: pd.DataFrame, column: str, least: int) -> Tensor:
    if column == "year":
        decade = (items["year"] // 10 * 10).astype("string")
        rows = pd.get_dummies(decade)
    else:
        joined = items[column].fillna("").astype(str)
        rows = joined.str.replace(" & ", "|", regex=False).str.get_dummies("|")
    counts = rows.drop(columns="", errors="ignore").sum()
    kept = counts[counts >= least].sort_values(ascending=False, kind="stable").index[:MOST_VALUES]
    return torch.from_numpy(rows[kept].to_numpy(dtype="float32", copy=True))


def _check(field: str, name: str, text: str) -> None:
    if name not in COLUMNS:
        problem = f"names {name!r}, which is not item metadata"
        raise BadInput(field, text, f"some of: {', '.join(COLUMNS)}", problem=problem)
