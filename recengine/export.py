"""Results as text and files: plain tables, CSV and JSON."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TextIO

import numpy as np

from recengine.errors import BadInput
from recengine.files import Json, atomic_text_file

Cell = str | int | float | None


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


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[Cell]]) -> None:
    """Write a CSV atomically; text that a spreadsheet would run as a formula is prefixed with '."""
    with _out(path) as file:
        _write_rows(file, header, rows)


def csv_text(header: Sequence[str], rows: Iterable[Sequence[Cell]]) -> str:
    """Return what `write_csv` writes."""
    file = io.StringIO(newline="")
    _write_rows(file, header, rows)
    return file.getvalue()


def _write_rows(file: TextIO, header: Sequence[str], rows: Iterable[Sequence[Cell]]) -> None:
    writer = csv.writer(file)
    writer.writerow([_harmless(cell) for cell in header])
    writer.writerows([_harmless(cell) for cell in row] for row in rows)


def write_json(path: Path, value: Mapping[str, Json]) -> None:
    """Write one JSON object atomically."""
    with _out(path) as file:
        json.dump(json_ready(value), file, indent=1, ensure_ascii=False)


def check_out(path: Path, option: str = "out") -> None:
    """Raise BadInput unless an option names a file in a folder that exists."""
    if not path.parent.is_dir():
        raise BadInput(
            option,
            str(path),
            remedy="create it or choose another",
            problem=f"is in the folder {path.parent}, which does not exist",
        )
    if path.is_dir():
        raise BadInput(option, str(path), remedy="name a file in it", problem="is a folder")


def _out(path: Path) -> AbstractContextManager[TextIO]:
    check_out(path)
    return atomic_text_file(path)


def _harmless(cell: Cell) -> Cell:
    return f"'{cell}" if isinstance(cell, str) and cell[:1] in ("=", "+", "-", "@", "\t", "\r") else cell


def _cell(value: Cell) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "-"
    return f"{value:.4f}" if isinstance(value, float) else str(value)


def _is_number(text: str) -> bool:
    return text.replace(",", "").replace(".", "").replace("-", "").isdigit() or text == "-"
