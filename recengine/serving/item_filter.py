"""Which items may be listed: allowed, denied, or by what the item table says of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recengine.data.dataset import Dataset
from recengine.errors import BadInput


def matching_items(
    dataset: Dataset,
    allow: Sequence[Any] | None = None,
    deny: Sequence[Any] = (),
    where: Mapping[str, Sequence[Any]] | None = None,
) -> NDArray[np.int64] | None:
    """Return the indices of the items that may be listed; None for all.

    allow, deny : raw ids that alone, or never, may be listed
    where : column of the item table -> values of which an item has one, as in `{"genres": ["Comedy"]}`; of a column
            of numbers the lowest and the highest, as in `{"year": [1990, 1999]}`

    Raises BadInput for an unknown id or column, and for a range that is none.
    """
    if allow is None and not deny and not where:
        return None
    keep = np.ones(dataset.n_items, bool)
    if allow is not None:
        keep[:] = False
        keep[dataset.item_index(list(allow))] = True
    if deny:
        keep[dataset.item_index(list(deny))] = False
    for column, values in (where or {}).items():
        if column not in dataset.items or column == "item_id":
            known = ", ".join(str(name) for name in dataset.items if name != "item_id")
            raise BadInput("where", column, f"one of: {known}", problem="is no column of the items")
        keep &= _has(dataset.items[column], column, values)
    return np.flatnonzero(keep)


def _has(cells: pd.Series, column: str, values: Sequence[Any]) -> NDArray[np.bool_]:
    """Return which cells (n_items,) hold one of the values, or lie in the range."""
    if pd.api.types.is_numeric_dtype(cells):
        try:
            low, high = (float(value) for value in values)
        except (ValueError, TypeError):
            problem = "is no range"
            raise BadInput("where", f"{column}: {list(values)}", "[lowest, highest]", problem=problem) from None
        numbers = cells.to_numpy(np.float64, na_value=np.nan)
        return (numbers >= low) & (numbers <= high)
    wanted = {str(value).casefold() for value in values}
    parts = (str(cell).casefold().split("|") for cell in cells)
    return np.fromiter((not wanted.isdisjoint(part) for part in parts), bool, len(cells))
