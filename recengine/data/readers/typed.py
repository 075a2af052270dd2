"""Ratings from tables whose columns have types: a pandas frame, parquet, or JSON lines."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import parquet

from recengine.data.readers.archive import Files, Folder, label_of, read, seekable
from recengine.data.readers.columns import DESCRIBING, long_columns, plain, refuse_unread_numbers
from recengine.data.readers.delimited import decoded, raw_ids
from recengine.data.readers.settle import Columns, as_seconds, settle
from recengine.data.readers.text import Table
from recengine.data.reading import Interpretation
from recengine.errors import BadInput

PARQUET = b"PAR1"
MOST_CELLS = 200_000_000
"""Cells of an uploaded parquet file, which may unpack to far more than its size."""
BATCH = 1 << 16
"""Rows of a parquet file that are decoded at once."""
JSON_SUFFIXES = (".jsonl", ".ndjson", ".json")
_JSON = json.JSONDecoder(parse_int=lambda digits: int(digits) if len(digits) < 1_000 else digits)
"""Whole numbers of more digits than Python reads stay text."""
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
_INTEGERS = {
    getattr(pa, f"{sign}int{bits}")(): getattr(pd, f"{sign.upper()}Int{bits}Dtype")()
    for sign in ("", "u")
    for bits in (8, 16, 32, 64)
}
"""Whole numbers stay whole where some are missing."""


def is_typed(member: str, files: Files) -> bool:
    """Tell whether a file is parquet or JSON, by its first bytes or by its name."""
    return _is_parquet(files, member) or member.lower().removesuffix(".gz").endswith(JSON_SUFFIXES)


def _is_parquet(files: Files, member: str) -> bool:
    return next(files.blocks(member), b"").startswith(PARQUET)


def read_typed(files: Files, member: str, interpretation: Interpretation, *, wide: bool = False) -> Table:
    """Return the ratings of a parquet file or of JSON lines, completing the reading.

    wide : a user x item table is welcome too, where the reading states it

    Of a long parquet file only the columns that count are read, one after another and batch by batch, with text as
    codes: it may be larger than memory. Raises BadInput for a file that is damaged, and as `read_frame` does.
    """
    label = label_of(files, member)
    if not _is_parquet(files, member):
        return read_frame(label, json_frame(label, read(files, member)), interpretation, wide=wide)
    with _parquet(files, member) as file:
        names = _names(file)
        if (wide and interpretation.stated.layout == "wide") or len(set(names)) < len(names):
            _refuse_too_many_cells(files, label, file, file.metadata.num_columns)
            frame, at = file.read().to_pandas(types_mapper=_INTEGERS.get), None
        else:
            types = [file.schema_arrow.field(name).type for name in names]
            at = _roles(label, names, lambda index: _is_number(types[index]), interpretation)
            used = sorted({*at.values(), *_described(names).values()})
            _refuse_too_many_cells(files, label, file, len(used))
            frame = pd.DataFrame({names[i]: _column(file, names[i], i != at.get("rating")) for i in used}, copy=False)
            at = {role: used.index(index) for role, index in at.items()}
    if at is None:
        return read_frame(label, frame, interpretation, wide=wide)
    return _table(label, frame, at, interpretation)


def first_rows(files: Files, member: str, n: int) -> pd.DataFrame:
    """Return the first n rows of a parquet file or of JSON lines; BadInput for a file that is damaged."""
    if not _is_parquet(files, member):
        return json_frame(label_of(files, member), read(files, member)).head(n)
    with _parquet(files, member) as file:
        first = next(file.iter_batches(n), None)
        table = file.schema_arrow.empty_table() if first is None else pa.Table.from_batches([first])
        return table.to_pandas(types_mapper=_INTEGERS.get)


@contextmanager
def _parquet(files: Files, member: str) -> Iterator[parquet.ParquetFile]:
    """Open a parquet file; BadInput where it turns out to be damaged, at once or later."""
    try:
        with (
            seekable(files, member) as stream,
            parquet.ParquetFile(stream, buffer_size=1 << 20, pre_buffer=False) as file,
        ):
            yield file
    except BadInput:
        raise
    except (pa.ArrowException, OSError, ValueError) as error:
        problem = f"is not a whole parquet file ({str(error).splitlines()[0][:150]})"
        raise BadInput(label_of(files, member), remedy="write it again", problem=problem) from None


def _names(file: parquet.ParquetFile) -> list[str]:
    """Return the columns of a parquet file, without those in which pandas has kept an index."""
    return [str(name) for name in file.schema_arrow.empty_table().to_pandas()]


def _is_number(kind: pa.DataType) -> bool:
    tests = (pa.types.is_integer, pa.types.is_floating, pa.types.is_boolean, pa.types.is_decimal)
    return any(test(kind) for test in tests)


def _refuse_too_many_cells(files: Files, label: str, file: parquet.ParquetFile, n_columns: int) -> None:
    """Raise BadInput for an upload of more cells than memory may hold; a file of one's own is read as it is."""
    if not isinstance(files, Folder) and file.metadata.num_rows * n_columns > MOST_CELLS:
        problem = f"has {file.metadata.num_rows:,} rows of {n_columns:,} columns"
        remedy = "write only the columns that are needed, or convert it to CSV"
        raise BadInput(label, None, f"up to {MOST_CELLS:,} cells", remedy, problem=problem)


def _column(file: parquet.ParquetFile, name: str, coded: bool) -> pd.Series:
    """Return a column (n,) read batch by batch; text is categorical where it is to be coded, each text held once."""
    kind = file.schema_arrow.field(name).type
    value = kind.value_type if pa.types.is_dictionary(kind) else kind
    coded = coded and (pa.types.is_string(value) or pa.types.is_large_string(value) or pa.types.is_string_view(value))
    code_of: dict[str | None, int] = {None: -1}
    pieces: list[Any] = []
    for batch in file.iter_batches(BATCH, columns=[name]):
        array = batch.column(name)
        if not coded:
            array = array.cast(value) if value is not kind else array
            pieces.append(array.to_pandas(types_mapper=_INTEGERS.get))
            continue
        array = array if value is not kind else array.dictionary_encode()
        known = [code_of.setdefault(text, len(code_of) - 1) for text in (*array.dictionary.to_pylist(), None)]
        pieces.append(np.array(known, np.int32)[array.indices.fill_null(-1).to_numpy()])
    if not coded:
        return pd.concat(pieces, ignore_index=True) if pieces else pd.Series(dtype=object)
    codes = np.concatenate(pieces) if pieces else np.zeros(0, np.int32)
    del code_of[None]
    return pd.Series(pd.Categorical.from_codes(codes, pd.Index([*code_of], dtype=object)), copy=False)


def _roles(
    label: str, names: Sequence[str], is_number: Callable[[int], bool], interpretation: Interpretation
) -> dict[str, int]:
    """Return the column of each role in a table with one rating in a row, as `long_columns` does."""
    interpretation.infer("", layout="long")
    at = long_columns(label, names, interpretation)
    refuse_unread_numbers(label, names, at, is_number, interpretation)
    return at


def _described(names: Sequence[str]) -> dict[str, int]:
    """Return the columns that describe the item, the last of several."""
    return {plain(name): index for index, name in enumerate(names) if plain(name) in DESCRIBING}


def read_frame(label: str, frame: pd.DataFrame, interpretation: Interpretation, *, wide: bool = True) -> Table:
    """Return the ratings of a frame, completing the reading. Numeric ids stay numbers, and text stays as it is.

    Raises BadInput, naming the row, for what cannot be read, and where two readings are plausible.
    """
    frame = frame.rename(columns=str)
    if wide and interpretation.stated.layout == "wide":
        return _table(label, _melted(label, frame, interpretation), {"user": 0, "item": 1, "rating": 2}, interpretation)

    def is_number(index: int) -> bool:
        kind = pd.api.types.infer_dtype(frame.iloc[:, index])
        return kind in ("integer", "floating", "boolean", "decimal", "mixed-integer-float")

    return _table(label, frame, _roles(label, list(frame.columns), is_number, interpretation), interpretation)


def _table(label: str, frame: pd.DataFrame, at: dict[str, int], interpretation: Interpretation) -> Table:
    """Return the ratings of a frame with one rating in a row, whose column of each role is known."""
    for index in at.values():
        _refuse_nested(label, frame.iloc[:, index])
    users, items = (frame.iloc[:, at[role]] for role in ("user", "item"))
    missing = blank(users) | blank(items)
    kept = np.flatnonzero(~missing) if missing.any() else None

    def where(row: int) -> str:
        return label if row < 0 else f"row {(row if kept is None else int(kept[row])) + 1:,} of {label}"

    def rows(column: pd.Series) -> pd.Series:
        return column if kept is None else column.iloc[kept]

    columns = Columns(
        users=ids(rows(users)),
        items=ids(rows(items)),
        values=_values(rows(frame.iloc[:, at["rating"]]), where) if "rating" in at else None,
        times=_times(rows(frame.iloc[:, at["time"]]), where) if "time" in at else None,
        events=_texts(rows(frame.iloc[:, at["event"]])) if "event" in at else None,
        where=where,
        without_id=int(missing.sum()),
    )
    described = _described(list(frame.columns))
    ratings = settle(columns, interpretation)
    if "title" not in described or described["title"] == at["item"]:
        return Table(ratings, None)
    table = pd.DataFrame({role: _texts(rows(frame.iloc[:, index])) for role, index in described.items()})
    table.insert(0, "item_id", columns.items.array)
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
        for line, record in enumerate(_loaded(text.read()) if is_list else text, 1):  # noqa: B007 - an error names it
            if not is_list and not record.strip():
                continue
            record = record if is_list else _loaded(record)
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


def _loaded(text: str) -> Any:
    """Return what a text of JSON says; half of a letter of UTF-16, which no other encoding has, becomes "?"."""
    value = _JSON.decode(text)
    if _SURROGATE.search(text):
        value = json.loads(json.dumps(value, ensure_ascii=False).encode(errors="replace"))
    return value


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


def _refuse_nested(label: str, column: pd.Series) -> None:
    """Raise BadInput for a column of ids, ratings, times or events in which a list or an object stands."""
    if not pd.api.types.infer_dtype(column).startswith("mixed"):
        return
    for row, value in enumerate(column):
        if isinstance(value, Mapping | list | np.ndarray):
            problem = f"has {str(value)[:40]!r} in the column {column.name!r}"
            raise BadInput(f"row {row + 1:,} of {label}", None, "a number or a text there", problem=problem)


def _texts(column: pd.Series) -> pd.Series:
    """Return cells as text, "" where they are missing; categories stay what they are, each text one of them."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        renamed, texts = pd.factorize(np.array([*map(str, column.cat.categories), ""], dtype=object))
        codes = renamed.astype(np.int32)[column.cat.codes.to_numpy()]  # a missing one has -1, the last
        return pd.Series(pd.Categorical.from_codes(codes, pd.Index(texts, dtype=object)), copy=False)
    return column.astype(object).where(column.notna(), "").astype(str)


def blank(column: pd.Series) -> NDArray[np.bool_]:
    """Tell which cells are missing or hold nothing but spaces, (n,)."""
    missing: NDArray[np.bool_] = column.isna().to_numpy(bool, copy=True)
    if isinstance(column.dtype, pd.CategoricalDtype):
        is_blank = [isinstance(value, str) and not value.strip() for value in column.cat.categories]
        if any(is_blank):
            missing |= np.array([*is_blank, False])[column.cat.codes.to_numpy()]
    elif not pd.api.types.is_numeric_dtype(column):
        codes, values = pd.factorize(column)
        empty = [code for code, value in enumerate(values) if isinstance(value, str) and not value.strip()]
        missing |= np.isin(codes, empty)
    return missing


def ids(column: pd.Series) -> pd.Series:
    """Return ids without missing ones: whole numbers as int64 where they fit, anything else as text.

    Categories that are text stay categories.
    """
    if isinstance(column.dtype, pd.CategoricalDtype):
        if pd.api.types.infer_dtype(column.cat.categories) == "string":
            return column.reset_index(drop=True)
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
