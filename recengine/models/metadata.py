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
    """Return (n_items, n_terms), sparse: log(n_items / items with the term) where an item has it.

    Items have few of the tens of thousands of tags that a large data set holds.
    """
    columns = [column for column in TERM_COLUMNS if column in items]
    lists = [_values(items[column].fillna(""), " & " if column == "director" else "|") for column in columns]
    parts = [pd.factorize(values) for values in lists]
    width = np.cumsum([0, *(len(unique) for _, unique in parts)])
    item = np.concatenate([np.empty(0, np.int64), *(values.index.to_numpy(np.int64) for values in lists)])
    code = np.concatenate([np.empty(0, np.int64), *(codes + w for (codes, _), w in zip(parts, width, strict=False))])
    at = torch.from_numpy(np.stack([item, code]))
    rarity = torch.log(len(items) / torch.bincount(at[1], minlength=1).float())
    return sparse_rows(at, rarity[at[1]], (len(items), int(width[-1])))


def sparse_rows(indices: Tensor, values: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Return the matrix that holds the values (m,) at the indices (2, m), and zeros elsewhere."""
    return torch.sparse_coo_tensor(indices, values, shape, check_invariants=True).coalesce()


def dense_rows(matrix: Tensor, rows: Tensor) -> Tensor:
    """Return some rows (B,) of a sparse matrix in full, (B, n), which `index_select` fails to do in inference mode."""
    row, column = matrix.indices()
    start, end = (torch.searchsorted(row, rows, right=right) for right in (False, True))
    length = end - start
    bag = torch.repeat_interleave(length)
    at = torch.arange(len(bag)) + (start - length.cumsum(0) + length)[bag]
    dense = torch.zeros(len(rows), matrix.shape[1])
    dense[bag, column[at]] = matrix.values()[at]
    return dense


def shortened(matrix: Tensor, added: float = 1e-24) -> Tensor:
    """Return a sparse matrix with each row divided by the root of its squared length and what is added to it."""
    row, values = matrix.indices()[0], matrix.values()
    squares = torch.zeros(len(matrix)).index_add_(0, row, values.square())
    return sparse_rows(matrix.indices(), values / (squares + added).sqrt()[row], tuple(matrix.shape))


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
        cells = (items["year"] // 10 * 10).astype("string").fillna("")
    else:
        cells = items[column].fillna("").astype(str).str.replace(" & ", "|", regex=False)
    values = _values(cells, "|")
    codes, unique = pd.factorize(values, sort=True)
    counts = np.bincount(codes, minlength=len(unique))
    kept = np.argsort(-counts, kind="stable")[: min(MOST_VALUES, int((counts >= least).sum()))]
    position = np.full(len(unique), -1)
    position[kept] = np.arange(len(kept))
    table = np.zeros((len(items), len(kept)), np.float32)
    is_kept = position[codes] >= 0
    table[values.index[is_kept], position[codes[is_kept]]] = 1
    return torch.from_numpy(table)


def _values(cells: pd.Series, separator: str) -> pd.Series:
    """Return each value of the items' lists once, under the item's position: no item has an empty one."""
    values = cells.reset_index(drop=True).astype(object).str.split(separator).explode()
    values = values[values.notna() & (values != "")]
    return values[~pd.MultiIndex.from_arrays([values.index, values]).duplicated()]


def _check(field: str, name: str, text: str) -> None:
    if name not in COLUMNS:
        problem = f"names {name!r}, which is not item metadata"
        raise BadInput(field, text, f"some of: {', '.join(COLUMNS)}", problem=problem)
