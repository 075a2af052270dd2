"""A data set as one zip, which is read again as it is: ratings, items and users with raw ids, as CSV or Parquet."""

from __future__ import annotations

import io
import zipfile

import pandas as pd

from recengine.data.dataset import Dataset
from recengine.errors import BadInput
from recengine.export import csv_text

KINDS = ("csv", "parquet")
"""What the tables in the zip can be."""
NAMES = {"user_id": "userId", "item_id": "movieId"}
"""Columns that MovieLens calls otherwise, and so what reads its files does."""
FILES = {"items": "movies"}
"""Tables that MovieLens calls otherwise."""


def dataset_zip(dataset: Dataset, kind: str) -> bytes:
    """Return the tables of a data set and its terms of use, as a zip. Raises BadInput for an unknown `kind`.

    CSV has the names of MovieLens's files and columns, so that RecEngine reads the zip like any other. There, text that
    a spreadsheet would run as a formula has ' in front; Parquet holds everything as it is.
    """
    if kind not in KINDS:
        raise BadInput("kind", kind, f"one of: {', '.join(KINDS)}", problem="is unknown")
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED, compresslevel=4) as archive:
        for name, table in _tables(dataset).items():
            if kind == "parquet":
                archive.writestr(f"{name}.parquet", table.to_parquet(index=False, compression="zstd"))
            else:
                archive.writestr(f"{FILES.get(name, name)}.csv", _csv(table.rename(columns=NAMES)))
        archive.writestr("README.txt", _about(dataset))
    return packed.getvalue()


def _tables(dataset: Dataset) -> dict[str, pd.DataFrame]:
    rows = dataset.ratings
    ratings = pd.DataFrame(
        {
            "user_id": dataset.user_ids[rows.user_idx],
            "item_id": dataset.item_ids[rows.item_idx],
            "rating": rows.rating,
        }
    )
    if dataset.timed:
        ratings["timestamp"] = rows.timestamp
    tables = {"ratings": ratings, "items": dataset.items}
    return tables if dataset.users is None else tables | {"users": dataset.users}


def _csv(table: pd.DataFrame) -> str:
    """Return a table as CSV: numbers by pandas, which is fast, and text where it can do no harm."""
    if all(table[name].dtype.kind in "if" for name in table):
        return table.to_csv(index=False)
    cells = table.astype(object).where(table.notna(), None)
    return csv_text([str(name) for name in table.columns], cells.itertuples(index=False), ids=NAMES.values())


def _about(dataset: Dataset) -> str:
    counts = f"{len(dataset.ratings):,} ratings, {dataset.n_users:,} users, {dataset.n_items:,} items"
    simulated = "The users and their ratings are simulated.\n" if dataset.simulated else ""
    return f"{dataset.name}: {counts}\n{simulated}{dataset.licence}\n"
