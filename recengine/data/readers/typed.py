"""Ratings from tables whose columns have types: a pandas frame, parquet, or JSON lines."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import parquet

from recengine.data.readers.archive import Files, label_of, read
from recengine.data.readers.columns import DESCRIBING, long_columns, plain, refuse_unread_numbers
from recengine.data.readers.delimited import decoded, raw_ids
from recengine.data.readers.settle import Columns, as_seconds, settle
from recengine.data.readers.text import Table
from recengine.data.reading import Interpretation
from recengine.errors import BadInput

PARQUET = b"PAR1"
MOST_CELLS = 200_000_000
"""Cells of a parquet file, which may unpack to far more than its size."""
JSON_SUFFIXES = (".jsonl", ".ndjson", ".json")
_INTEGERS = {
    getattr(pa, f"{sign}int{bits}")(): getattr(pd, f"{sign.upper()}Int{bits}Dtype")()
    for sign in ("", "u")
    for bits in (8, 16, 32, 64)
}
"""Whole numbers stay whole where some are missing."""


def is_typed(member: str, files: Files) -> bool:
    """Tell whether a file is parquet or JSON, by its first bytes or by its name."""
    first = next(files.blocks(member), b"")[:64]
    return first.startswith(PARQUET) or member.lower().removesuffix(".gz").endswith(JSON_SUFFIXES)


def read_typed(files: Files, member: str, interpretation: Interpretation, *, wide: bool = False) -> Table:
    """Return the ratings of a parquet file or of JSON lines, completing the reading.

    wide : a user x item table is welcome too, where the reading states it

    Raises BadInput for a file that is damaged, and as `read_frame` does.
    """
    return read_frame(label_of(files, member), frame_of(files, member), interpretation, wide=wide)


def frame_of(files: Files, member: str) -> pd.DataFrame:
    """Return a parquet file or JSON lines as a frame; BadInput for a file that is damaged."""
    label = label_of(files, member)
    content = read(files, member)
    if content.startswith(PARQUET):
        try:
            file = parquet.ParquetFile(io.BytesIO(content))
            if file.metadata.num_rows * file.metadata.num_columns > MOST_CELLS:
                problem = f"has {file.metadata.num_rows:,} rows of {file.metadata.num_columns:,} columns"
                remedy = "write only the columns that are needed, or convert it to CSV"
                raise BadInput(label, None, f"up to {MOST_CELLS:,} cells", remedy, problem=problem)
            return file.read().to_pandas(types_mapper=_INTEGERS.get)
        except BadInput:
            raise
        except (pa.ArrowException, OSError, ValueError) as error:
            problem = f"is not a whole parquet file ({str(error).splitlines()[0][:150]})"
            raise BadInput(label, remedy="write it again", problem=problem) from None
    return json_frame(label, content)


def read_frame(label: str, frame: pd.DataFrame, interpretation: Interpretation, *, wide: bool = True) -> Table:
    """Return the ratings of a frame, completing the reading. Numeric ids stay numbers, and text stays as it is.

    Raises BadInput, naming the row, for what cannot be read, and where two readings are plausible.
    """
    frame = frame.rename(columns=str)
    if wide and interpretation.stated.layout == "wide":
        frame = _melted(label, frame, interpretation)
        at = {"user": 0, "item": 1, "rating": 2}
    else:
        interpretation.infer("", layout="long")
        at = long_columns(label, list(frame.columns), interpretation)

        def is_number(index: int) -> bool:
            kind = pd.api.types.infer_dtype(frame.iloc[:, index])
            return kind in ("integer", "floating", "boolean", "decimal", "mixed-integer-float")

        refuse_unread_numbers(label, list(frame.columns), at, is_number, interpretation)

    def where(row: int) -> str:
        return label if row < 0 else f"row {row + 1:,} of {label}"

    users, items = (frame.iloc[:, at[role]] for role in ("user", "item"))
    missing = blank(users) | blank(items)
    kept = np.flatnonzero(~missing)

    def where_kept(row: int) -> str:
        return where(int(kept[row]) if row >= 0 else row)

    columns = Columns(
        users=ids(users.iloc[kept]),
        items=ids(items.iloc[kept]),
        values=_values(frame.iloc[kept, at["rating"]], where_kept) if "rating" in at else None,
        times=_times(frame.iloc[kept, at["time"]], where_kept) if "time" in at else None,
        events=_texts(frame.iloc[kept, at["event"]]) if "event" in at else None,
        where=where_kept,
        without_id=int(missing.sum()),
    )
    described = {plain(str(name)): name for name in frame.columns if plain(str(name)) in DESCRIBING}
    ratings = settle(columns, interpretation)
    if "title" not in described or described["title"] == frame.columns[at["item"]]:
        return Table(ratings, None)
    table = pd.DataFrame({role: _texts(frame[name].iloc[kept]) for role, name in described.items()})
    table.insert(0, "item_id", columns.items.to_numpy())
    first = table.drop_duplicates("item_id").reset_index(drop=True)
    if len(table.drop_duplicates(["item_id", "title"])) > len(first):  # titles of reviews, say, and not of the item
        return Table(ratings, None)
    return Table(ratings, first)


def json_frame(label: str, content: bytes) -> pd.DataFrame:
    """Return JSON lines, or a JSON list of objects, as a frame."""
    text, _ = decoded(label, content)
    columns: dict[str, list[Any]] = {}
    line = count = 0
    try:
        is_list = content.lstrip()[:1] == b"["
        for line, record in enumerate(json.load(text) if is_list else text, 1):  # noqa: B007 - an error names it
            if not is_list and not record.strip():
                continue
            record = record if is_list else json.loads(record)
            if not isinstance(record, dict):
                raise BadInput(f"row {count + 1:,} of {label}", expected="a JSON object", problem="is something else")
            for name in record:
                columns.setdefault(name, [None] * count)
            for name, column in columns.items():
                column.append(record.get(name))
            count += 1
    except (json.JSONDecodeError, RecursionError) as error:
        problem = f"is not JSON ({str(error)[:120]})"
        field = f"line {max(line, 1):,} of {label}"
        raise BadInput(field, None, "one JSON object in each line", problem=problem) from None
    if not count:
        raise BadInput(label, problem="is empty", expected="one JSON object in each line")
    return pd.DataFrame({name: pd.Series(column, dtype=object) for name, column in columns.items()})


def _melted(label: str, frame: pd.DataFrame, interpretation: Interpretation) -> pd.DataFrame:
    """Return a user x item frame as one rating in a row; what is missing is none."""
    user = interpretation.stated.user or str(frame.columns[0])
    if user not in frame.columns:
        raise BadInput("columns", f"user={user}", f"one of {', '.join(frame.columns)[:200]}", problem="is not there")
    interpretation.infer("", user=user)
    others = [name for name in frame.columns if name != user]
    item_of = pd.Series(raw_ids(others), index=others)
    long = frame.rename(columns={user: "user"}).melt(id_vars=["user"], var_name="item", value_name="rating")
    long["item"] = long["item"].map(item_of)
    return long.dropna(subset=["rating"])


def _texts(column: pd.Series) -> pd.Series:
    """Return cells as text, "" where they are missing."""
    return column.astype(object).where(column.notna(), "").astype(str)


def blank(column: pd.Series) -> NDArray[np.bool_]:
    """Tell which cells are missing or hold nothing but spaces, (n,)."""
    missing: NDArray[np.bool_] = column.isna().to_numpy(bool, copy=True)
    if not pd.api.types.is_numeric_dtype(column):
        codes, values = pd.factorize(column)
        empty = [code for code, value in enumerate(values) if isinstance(value, str) and not value.strip()]
        missing |= np.isin(codes, empty)
    return missing


def ids(column: pd.Series) -> pd.Series:
    """Return ids without missing ones: whole numbers as int64 where they fit, anything else as text."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        column = column.astype(column.cat.categories.dtype)
    if column.dtype == object and pd.api.types.infer_dtype(column) in ("integer", "floating"):
        column = pd.Series(np.array(column.tolist()), copy=False)  # int64, uint64, float64, or objects if beyond those
    if pd.api.types.is_float_dtype(column):
        values = column.to_numpy(np.float64)
        if (np.abs(values) < 2**53).all() and (values == np.floor(values)).all():
            column = pd.Series(values.astype(np.int64), copy=False)
    if pd.api.types.is_integer_dtype(column) and (not len(column) or int(column.max()) < 2**63):
        return pd.Series(column.to_numpy(np.int64), copy=False)
    texts = column.to_numpy(object)
    if pd.api.types.infer_dtype(texts) != "string":
        texts = np.array([str(value) for value in texts], dtype=object)
    return pd.Series(texts, dtype=object, copy=False)


def _values(column: pd.Series, where: Callable[[int], str]) -> NDArray[np.float32]:
    """Return ratings, NaN where they are missing; BadInput for what is no number."""
    try:
        return column.to_numpy(np.float32, na_value=np.nan)
    except (TypeError, ValueError):
        numbers = pd.to_numeric(column, errors="coerce").to_numpy(np.float32, na_value=np.nan)
    wrong = np.isnan(numbers) & ~blank(column)
    if wrong.any():
        row = int(np.argmax(wrong))
        raise BadInput(where(row), None, "a number", problem=f"has the rating {str(column.iloc[row])[:40]!r}")
    return numbers


def _times(column: pd.Series, where: Callable[[int], str]) -> Any:
    """Return times as numbers, dates or texts; BadInput for one that is missing."""
    missing = blank(column)
    if missing.any():
        remedy = "fill it in, remove the row, or rename the column so that it is not read"
        raise BadInput(where(int(np.argmax(missing))), remedy=remedy, problem="has no time")
    if pd.api.types.is_datetime64_any_dtype(column):
        return column
    if pd.api.types.is_numeric_dtype(column):
        return column.to_numpy(np.float64 if pd.api.types.is_float_dtype(column) else np.int64).astype(np.int64)
    if pd.api.types.infer_dtype(column) in ("datetime", "date", "datetime64"):
        return pd.Series(pd.to_datetime(column))
    return [str(value) for value in column]


def seconds_of(column: pd.Series, interpretation: Interpretation, where: Callable[[int], str]) -> NDArray[np.int64]:
    """Return a column of times of any type as seconds since 1970, (n,)."""
    return as_seconds(_times(column, where), interpretation, where)
