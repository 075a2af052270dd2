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
TERM_COLUMNS = tuple(column for column in COLUMNS if column != "year")
"""Those that describe an item by terms, of which one is more telling than another."""
MOST_VALUES = 500
RIDGE = 100.0
"""Penalty of the regression from what items are to who likes them."""


def metadata_table(items: pd.DataFrame | None, columns: Sequence[str], n_items: int, *, least: int = 2) -> Tensor:
    """Return (n_items, F) float32, 1 where an item has a value that at least `least` items share.

    A column keeps its 500 most frequent values. Items of which nothing is known, and data sets without the columns,
    give rows of zeros; F is at least 1.
    """
    parts = [_one_column(items, column, least) for column in columns if items is not None and column in items]
    return torch.cat([*parts, torch.zeros(n_items, 0 if any(p.shape[1] for p in parts) else 1)], dim=1)


def term_matrix(items: pd.DataFrame) -> Tensor:
    """Return (n_items, n_terms) float32: log(n_items / items with the term) where an item has it, else 0."""
    lists = [items[c].fillna("").str.split(" & " if c == "director" else "|") for c in TERM_COLUMNS if c in items]
    named = [(item, (i, term)) for i, column in enumerate(lists) for item, row in enumerate(column) for term in row]
    pairs = [(item, term) for item, term in named if term[1]]
    item_idx = np.array([item for item, _ in pairs], dtype=np.int64)
    codes, unique = pd.factorize(pd.Series([term for _, term in pairs], dtype=object))
    matrix = torch.zeros(len(items), len(unique))
    matrix[torch.from_numpy(item_idx), torch.from_numpy(codes.astype(np.int64))] = 1.0
    return matrix * torch.log(len(items) / matrix.sum(0).clamp(min=1))


def regressed(features: Tensor, rated: Tensor) -> Tensor:
    """Return (n_items, F) whose products are those of the features in the inverse of their ridge-penalised squares.

    The sum of the products of some liked items with another is what a ridge regression of the likes on the features of
    the `rated` items, (n_items,) bool, expects of that item.
    """
    if not rated.any():
        return torch.zeros_like(features)
    centred = (features - features[rated].mean(0)).double()
    squares = centred[rated].T @ centred[rated]
    squares.diagonal().add_(RIDGE)
    values, vectors = torch.linalg.eigh(squares)
    return (centred @ (vectors * values.rsqrt())).float()


def without_metadata(items: pd.DataFrame | None, columns: Sequence[str], n_items: int) -> NDArray[np.bool_]:
    """Return (n_items,) whether an item is empty in all of the columns."""
    unknown = np.ones(n_items, bool)
    for column in columns:
        if items is not None and column in items:
            unknown &= (items[column].astype("string").fillna("") == "").to_numpy(bool)
    return unknown


def count_unknown(
    model: str, items: pd.DataFrame | None, columns: Sequence[str], n_items: int, *, any_do: bool = False
) -> int:
    """Return the number of items that are empty in all of the columns; all items if there is no table.

    Raises BadInput when the table lacks one of the columns, unless `any_do`, or when they are empty from top to bottom.
    """
    unknown = without_metadata(items, columns, n_items)
    lacking = columns if unknown.all() else [column for column in columns if items is not None and column not in items]
    if items is not None and (unknown.all() if any_do else lacking):
        it = "one of them" if any_do else "it" if len(lacking) == 1 else "them"
        raise BadInput(
            "model",
            model,
            remedy=f"add {it} to movies.csv, or choose another model or other columns",
            problem=f"reads {(' or ' if any_do else ' and ').join(lacking)} of the items, and this data set has none",
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
