"""The shape of a delimited text: its separator, whether it has a header, long or wide, and which column is what."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from contextlib import suppress
from itertools import islice
from typing import NamedTuple

from recengine.data.readers.columns import candidates, long_columns, refuse_unread_numbers, stated_columns
from recengine.data.readers.delimited import MOST_COLUMNS, first_line, reader, separator
from recengine.data.reading import SEPARATORS, Interpretation
from recengine.errors import BadInput

SAMPLE_ROWS = 200
_MANY_COLUMNS = 10
_DATA = re.compile(r"[+-]?(?:[0-9]+[.,]?[0-9]*|[.,][0-9]+)(?:[eE][+-]?[0-9]+)?|[0-9]{4}-[0-9]{2}-[0-9]{2}(?![0-9]).*")
"""What no name of a column looks like: a number or a date."""
_BY_POSITION = ("user", "item", "rating", "time")


class Shape(NamedTuple):
    """How the lines of a text are to be split, and what the cells are.

    skip    : lines before the first row of data, the header and all before it
    names   : of the columns; their numbers from 1 where there is no header
    columns : the index of each role; of a wide table only `user`
    """

    mark: str
    header: bool
    skip: int
    names: list[str]
    columns: dict[str, int]
    wide: bool


def shape_of(label: str, head: str, interpretation: Interpretation, *, wide: bool) -> Shape:
    """Return the shape of a text from its first lines, completing the reading.

    wide : a user x item table is welcome too

    Raises BadInput where two readings are plausible, such as a first line that may be data.
    """
    text = io.StringIO(head, newline="")
    first, sep_line = first_line(text)
    if not first:
        raise BadInput(label, None, "a header and one row per line", problem="is empty")
    mark = _mark(first, sep_line, interpretation)
    text.seek(0)
    sample: list[list[str]] = []
    with suppress(csv.Error):  # the reader of rows names the line
        for row in islice((row for row in reader(text, mark) if row), SAMPLE_ROWS):
            sample.append([cell.strip() for cell in row])
    sample = sample[1:] if sep_line else sample
    if not sample:
        sample = [[cell.strip(' "\r\n') for cell in first.split(mark)]]
    names = sample[0]
    if len(names) > MOST_COLUMNS:
        problem = f"has more than {MOST_COLUMNS:,} columns"
        raise BadInput(label, remedy="put one rating on each line instead", problem=problem)
    header = _has_header(label, first, names, interpretation)
    skip = _lines_before(head, first) + header
    if not header:
        names = [str(number) for number in range(1, len(names) + 1)]
        if interpretation.stated.layout != "wide":
            interpretation.infer("", layout="long")
            return Shape(mark, False, skip, names, _columns_by_position(label, sample, names, interpretation), False)
    if _is_wide(label, names, sample[header:], interpretation, allowed=wide):
        return Shape(mark, header, skip, names, {"user": _user_column(label, names, interpretation)}, True)
    interpretation.infer("", layout="long")
    columns = long_columns(label, names, interpretation)

    def is_number(index: int) -> bool:
        cells = [row[index] for row in sample[header:] if len(row) == len(names) and row[index]]
        return bool(cells) and all(_DATA.fullmatch(cell) or cell.lower() in ("true", "false") for cell in cells)

    refuse_unread_numbers(label, names, columns, is_number, interpretation)
    return Shape(mark, header, skip, names, columns, False)


def _mark(first: str, sep_line: str | None, interpretation: Interpretation) -> str:
    """Return the separator: stated, named by Excel's first line, or the one that splits the header best."""
    if stated := interpretation.stated.separator:
        return stated
    mark = sep_line or separator(first)
    called = next((name for name, sign in SEPARATORS.items() if sign == mark), repr(mark))
    by = "as the first line says" if sep_line else ""
    sentence = f"Cells are separated by a {called}{', ' + by if by else ''}."
    interpretation.infer("" if mark in ",\t" and not sep_line else sentence, separator=mark)
    return mark


def _lines_before(head: str, first: str) -> int:
    """Return the number of lines before the first one that is read."""
    before = head[: head.index(first)]
    return before.count("\n") + (before.count("\r") - before.count("\r\n"))


def _has_header(label: str, first: str, names: Sequence[str], interpretation: Interpretation) -> bool:
    """Tell whether the first line is a header; BadInput where it looks like data and nothing was stated."""
    stated = interpretation.stated
    if stated.header is not None:
        return stated.header
    named = [name for name in stated.columns.values() if name is not None]
    if named and all(name.isdigit() and name not in names for name in named):
        interpretation.infer("The columns are given by their numbers: there is no header.", header=False)
        return False
    is_data = names[0] != "" and any(_DATA.fullmatch(name) for name in names)
    if is_data and not candidates(names) and not set(named) & set(names) and stated.layout != "wide":
        problem = f"is missing: the first line of {label} holds data ({first.strip()[:60]!r})"
        remedy = "state `header` none, or put such a line above it"
        raise BadInput("header", None, "a first line such as userId,movieId,rating", remedy, problem=problem)
    interpretation.infer("", header=True)
    return True


def _columns_by_position(
    label: str, rows: Sequence[Sequence[str]], names: Sequence[str], interpretation: Interpretation
) -> dict[str, int]:
    """Return the columns of a text without a header: as stated, or user, item, rating, time in this order."""
    stated = stated_columns(label, names, interpretation)
    number_there = all(_DATA.fullmatch(row[2]) for row in rows[:1] if len(row) > 2)
    if stated or not 2 <= len(names) <= len(_BY_POSITION) or not number_there:
        if missing := [role for role in ("user", "item") if role not in stated]:
            problem = f"has {len(names)} columns and no header"
            expected = f"the number of the column of {' and '.join(missing)}"
            raise BadInput(label, None, expected, "state `columns`, such as user=1,item=2", problem=problem)
        return stated
    columns = {role: at for at, role in enumerate(_BY_POSITION[: len(names)])}
    means = ", ".join(f"{role} is column {at + 1}" for role, at in columns.items())
    interpretation.infer(f"Without a header, {means}.", **{role: names[at] for role, at in columns.items()})
    return columns


def _is_wide(
    label: str, names: Sequence[str], rows: Sequence[Sequence[str]], interpretation: Interpretation, *, allowed: bool
) -> bool:
    """Tell whether each row is a user and each column an item; BadInput where it may be one or the other."""
    stated = interpretation.stated
    if stated.layout is not None:
        if stated.layout == "wide" and not allowed:
            raise BadInput("layout", "wide", "one rating in a row", problem=f"cannot be the layout of {label}")
        return stated.layout == "wide"
    known = candidates(names)
    if known.keys() - {"user"} or stated.item or stated.rating or stated.event or not allowed:
        return False
    if known.get("user", [0])[0] != 0:
        return False
    if len(names) < 2:
        raise BadInput(label, None, "at least a user and an item", problem="has a single column")
    cells = [cell for row in rows for cell in row[1:]]
    gaps = len(names) > _MANY_COLUMNS or any(cell in ("", "-1", "-1.0") for cell in cells)
    if any(_DATA.fullmatch(name) for name in names[1:]) or (
        gaps and all(not cell or _DATA.fullmatch(cell) for cell in cells)
    ):
        count = f"{len(names) - 1:,}"
        interpretation.infer(f"Each row is a user, and each of the {count} other columns an item.", layout="wide")
        return True
    problem = f"may be read in several ways: its columns are {', '.join(names)[:200]!r}"
    remedy = "state `columns`, such as user=NAME,item=NAME, or `layout` wide if each column is an item"
    raise BadInput(label, None, "userId,movieId,rating[,timestamp]", remedy, problem=problem)


def _user_column(label: str, names: Sequence[str], interpretation: Interpretation) -> int:
    stated = stated_columns(label, names, interpretation).get("user", 0)
    if stated:
        raise BadInput("columns", f"user={names[stated]}", problem="must be the first column of a wide table")
    interpretation.infer("", user=names[0] or None)
    return 0
