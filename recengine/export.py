"""Results as text and files: plain tables, CSV, JSON and Parquet."""

from __future__ import annotations

import csv
import io
import json
import math
import os
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import numpy as np

from recengine.errors import BadInput
from recengine.files import Json, atomic_file, atomic_text_file, open_descriptor

if TYPE_CHECKING:
    import pyarrow as pa

Cell = str | int | float | None
_ID = re.compile(r"(?:user|item|movie|film)(?:[ _-]?id)?", re.IGNORECASE)
"""Columns of ids, where a table does not say which they are."""
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
TABLES = (".csv", ".jsonl", ".parquet")
"""Endings of the files that a table can be written to."""
CELLS_AT_ONCE = 2**21
"""Cells of a table that are held while it is written as Parquet."""


def nouns(count: int, plural: str) -> str:
    """Return the noun that goes with a count: the plural, which ends in s, or the singular."""
    return plural.removesuffix("s") if count == 1 else plural


def counted(count: int, plural: str) -> str:
    """Return a count with its noun: `1 rating`, `2,000 ratings`."""
    return f"{count:,} {nouns(count, plural)}"


def json_ready(value: Json) -> Json:
    """Return the value with NaN and infinities as null, so that every JSON reader takes it."""
    if isinstance(value, Mapping):
        return {str(k): json_ready(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [json_ready(v) for v in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value


def table(header: Sequence[str], rows: Iterable[Sequence[Cell]]) -> list[str]:
    """Return the lines of a plain table: text to the left, numbers to the right."""
    shown = [[_cell(value) for value in row] for row in rows]
    widths = [max(len(r[i]) for r in [list(header), *shown]) for i in range(len(header))]
    right = [bool(shown) and all(_is_number(r[i]) for r in shown) for i in range(len(header))]

    def line(cells: Sequence[str]) -> str:
        return "  ".join(c.rjust(w) if r else c.ljust(w) for c, w, r in zip(cells, widths, right, strict=True)).rstrip()

    return [line(header), line(["-" * w for w in widths]), *map(line, shown)]


def write_csv(
    path: Path, header: Sequence[str], rows: Iterable[Sequence[Cell]], ids: Collection[str] | None = None
) -> None:
    """Write a CSV atomically; text that a spreadsheet would run as a formula is prefixed with '.

    Numbers stay as they are, as do the columns `ids`, known by their names if not given: ids can be read back.
    """
    with _out(path) as file:
        _write_rows(file, header, rows, ids)


def write_table(
    path: Path, header: Sequence[str], rows: Iterable[Sequence[Cell]], ids: Collection[str] | None = None
) -> None:
    """Write a table atomically in the format that the file's ending names; one without an ending is CSV.

    Only CSV, which a spreadsheet opens, has text prefixed that would be a formula; see `write_csv`.
    """
    match path.suffix.lower():
        case ".jsonl":
            with _out(path) as file:
                for row in rows:
                    file.write(_json_line(dict(zip(header, row, strict=True))) + "\n")
        case ".parquet":
            _write_parquet(path, header, rows)
        case _:
            write_csv(path, header, rows, ids)


def _json_line(row: dict[str, Cell]) -> str:
    """Return a row as one line of JSON; what JSON has not is sought only where there is any."""
    try:
        return json.dumps(row, ensure_ascii=False, allow_nan=False)
    except (ValueError, TypeError):
        return json.dumps(json_ready(row), ensure_ascii=False)


def _write_parquet(path: Path, header: Sequence[str], rows: Iterable[Sequence[Cell]]) -> None:
    """Write some rows at a time; the first ones decide the types: numbers, or text where any cell is text."""
    from pyarrow import parquet  # a tenth of a second that no other format needs

    check_out(path)
    remaining, at_once = iter(rows), max(1, CELLS_AT_ONCE // len(header))
    first = _arrow(header, list(islice(remaining, at_once)), None)
    with atomic_file(path) as file, parquet.ParquetWriter(file, first.schema) as writer:
        writer.write_table(first)
        while part := list(islice(remaining, at_once)):
            writer.write_table(_arrow(header, part, first.schema))


def _arrow(header: Sequence[str], rows: Sequence[Sequence[Cell]], schema: pa.Schema | None) -> pa.Table:
    import pyarrow as pa

    arrays = []
    for number in range(len(header)):
        cells = [row[number] for row in rows]
        if any(isinstance(cell, str) for cell in cells) or (schema and schema.types[number] == pa.string()):
            cells = [cell if cell is None else str(cell) for cell in cells]
        array = pa.array(cells, schema.types[number] if schema else None)
        arrays.append(array.cast(pa.float64()) if array.type == pa.null() else array)
    return pa.Table.from_arrays(arrays, names=[str(name) for name in header])


def csv_text(header: Sequence[str], rows: Iterable[Sequence[Cell]], ids: Collection[str] | None = None) -> str:
    """Return what `write_csv` writes."""
    file = io.StringIO(newline="")
    _write_rows(file, header, rows, ids)
    return file.getvalue()


def _write_rows(
    file: TextIO, header: Sequence[str], rows: Iterable[Sequence[Cell]], ids: Collection[str] | None
) -> None:
    writer = csv.writer(file)
    known = None if ids is None else frozenset(map(str, ids))
    is_id = [bool(_ID.fullmatch(name)) if known is None else name in known for name in map(str, header)]
    for row in chain([header], rows):
        writer.writerow([cell if kept else harmless(cell) for cell, kept in zip(row, is_id, strict=True)])


def write_json(path: Path, value: Mapping[str, Json]) -> None:
    """Write one JSON object atomically."""
    with _out(path) as file:
        json.dump(json_ready(value), file, indent=1, ensure_ascii=False)


def check_out(path: Path, option: str = "out", endings: Sequence[str] = ()) -> None:
    """Raise BadInput unless an option names what can be written: a file, old or new, with one of these endings.

    What is there and is not a file, such as a pipe, a device or an open file, needs no ending.
    """

    def refused(problem: str, remedy: str) -> BadInput:
        return BadInput(option, str(path), remedy=remedy, problem=problem)

    try:
        if (descriptor := open_descriptor(path)) is not None:
            os.fstat(descriptor)
            return
        target = path.resolve()
    except (OSError, RuntimeError):  # RuntimeError: links in a circle
        raise refused("is not open, or a link to itself", "name a file") from None
    if not target.parent.is_dir():
        raise refused(f"is in the folder {target.parent}, which does not exist", "create it or choose another")
    if target.is_dir():
        raise refused("is a folder", "name a file in it")
    if not os.access(target if target.exists() else target.parent, os.W_OK):
        raise refused("cannot be written", "choose another, or allow it")
    if endings and path.suffix.lower() not in endings and (target.is_file() or not target.exists()):
        *most, last = endings
        expected = " or ".join(filter(None, (", ".join(most), last)))
        raise BadInput(option, str(path), f"a name that ends in {expected}", problem="names no format that is written")


def _out(path: Path) -> AbstractContextManager[TextIO]:
    check_out(path)
    return atomic_text_file(path)


def harmless(cell: Cell) -> Cell:
    """Return text that a spreadsheet would run with ' in front; a number that is text is none."""
    runs = isinstance(cell, str) and cell[:1] in ("=", "+", "-", "@", "\t", "\r") and not _NUMBER.fullmatch(cell)
    return f"'{cell}" if runs else cell


def _cell(value: Cell) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "-"
    return f"{value:.4f}" if isinstance(value, float) else str(value)


def _is_number(text: str) -> bool:
    return text.replace(",", "").replace(".", "").replace("-", "").isdigit() or text == "-"
