"""A CSV of pairs of user and item, to be scored."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from recengine.data.dataset import Dataset
from recengine.data.readers.columns import roles
from recengine.data.readers.delimited import Rows
from recengine.errors import BadInput
from recengine.files import read_input


def read_pairs(path: Path, dataset: Dataset) -> tuple[list[str], list[list[str]], NDArray[np.int64], NDArray[np.int64]]:
    """Return (header, rows as text, user indices, item indices) of a CSV with user_id and item_id.

    Raises BadInput for a missing column, an empty file, or an id that the data set does not have.
    """
    rows = Rows(path.name, read_input(path))
    columns = roles(rows.header)
    for role in ("user", "item"):
        if role not in columns:
            problem = f"has the columns {', '.join(rows.header)[:200]!r}"
            raise BadInput(path.name, remedy=f"add the column {role}_id", problem=problem)
    cells = list(rows)
    if not cells:
        expected = "at least one row of user_id,item_id"
        raise BadInput(path.name, expected=expected, problem="has a header but no pairs")
    users = dataset.user_index([row[columns["user"]] for row in cells])
    items = dataset.item_index([row[columns["item"]] for row in cells])
    return rows.header, cells, users, items
