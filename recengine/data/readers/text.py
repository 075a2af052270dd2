"""Ratings from delimited text: through pyarrow where it is plain, else row by row, with the line named."""

from __future__ import annotations

import re
from array import array
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recengine.data.readers.archive import Files, label_of, read
from recengine.data.readers.columns import DESCRIBING, plain
from recengine.data.readers.delimited import HEADER_LIMIT, Rows, decoded, raw_ids, text_ids
from recengine.data.readers.fast import read_fast
from recengine.data.readers.settle import Columns, settle
from recengine.data.readers.shape import Shape, shape_of
from recengine.data.reading import Interpretation
from recengine.errors import BadInput

_NUMBER = re.compile(r"[+-]?(?:[0-9]+[.,]?[0-9]*|[.,][0-9]+)(?:[eE][+-]?[0-9]+)?")


class Table(NamedTuple):
    """What a table of ratings holds.

    ratings : user_id, item_id, rating[, timestamp] in the order of the file
    items   : item_id and what else the table has of `DESCRIBING`, once for each item; or None
    """

    ratings: pd.DataFrame
    items: pd.DataFrame | None


def read_text(files: Files, member: str, interpretation: Interpretation, *, wide: bool = False) -> Table:
    """Return the ratings of a delimited text, completing the reading.

    wide : a user x item table is welcome too

    Raises BadInput, naming the line, for what cannot be read, and where two readings are plausible.
    """
    label = label_of(files, member)
    shape = None
    if (head := _head(files.blocks(member))) is not None:
        trial = interpretation.copy()
        shape = shape_of(label, head, trial, wide=wide)
        if not _describing(shape):
            columns = read_fast(lambda: files.blocks(member), shape, lambda row: label if row < 0 else f"row {row + 1}")
            if columns is not None and (table := _settled(columns, shape, trial)) is not None:
                interpretation.adopt(trial)
                return Table(table, None)
    content = read(files, member)
    text, notes = decoded(label, content)
    interpretation.notes += notes
    shape = shape_of(label, text.read(HEADER_LIMIT), interpretation, wide=wide)
    rows = Rows(label, content, mark=shape.mark, header=shape.header)
    columns, items = _wide(rows, shape, interpretation) if shape.wide else _long(rows, shape)
    ratings = settle(columns, interpretation)
    _note_unused(shape, items, interpretation)
    return Table(ratings, items)


def _settled(columns: Columns, shape: Shape, trial: Interpretation) -> pd.DataFrame | None:
    """Return the ratings, or None where something is wrong: the careful reader names the line."""
    try:
        frame = settle(columns, trial)
    except BadInput:
        return None
    _note_unused(shape, None, trial)
    return frame


def _head(blocks: Iterator[bytes]) -> str | None:
    """Return the first lines of UTF-8 text, or None where it is in another encoding."""
    first = b""
    for block in blocks:
        first += block
        if len(first) > HEADER_LIMIT:
            break
    part = first[:HEADER_LIMIT]
    if len(part) < len(first):
        part = part[: part.rfind(b"\n") + 1] or part
    if b"\0" in part:
        return None
    try:
        return part.decode("utf-8-sig") or None
    except UnicodeDecodeError:
        return None


def _describing(shape: Shape) -> dict[str, int]:
    """Return the columns that describe the item and are not its id."""
    if shape.wide or not shape.header:
        return {}
    names = [plain(name) for name in shape.names]
    known = {name: names.index(name) for name in DESCRIBING if name in names}
    return {name: at for name, at in known.items() if at not in shape.columns.values()} if "title" in known else {}


def _note_unused(shape: Shape, items: pd.DataFrame | None, interpretation: Interpretation) -> None:
    used = {*shape.columns.values(), *(_describing(shape).values() if items is not None else ())}
    unused = [name for index, name in enumerate(shape.names) if index not in used and name]
    if unused and not shape.wide:
        interpretation.notes.append(f"Columns not used: {', '.join(unused)[:200]}.")


def _long(rows: Rows, shape: Shape) -> tuple[Columns, pd.DataFrame | None]:
    """Return the columns of a rating per row, and the items where the table describes them."""
    at = {role: shape.columns.get(role, -1) for role in ("user", "item", "rating", "time", "event")}
    user_at, item_at, rating_at, time_at, event_at = at.values()
    users: dict[str, int] = {}
    items: dict[str, int] = {}
    user_codes, item_codes, values, lines = array("i"), array("i"), array("f"), array("q")
    times: list[str] = []
    events: list[str] = []
    without_id = 0
    described: dict[int, list[str]] = {}
    describing = _describing(shape)
    for row in rows:
        user, item = row[user_at], row[item_at]
        if not user.strip() or not item.strip():
            without_id += 1
            continue
        user_codes.append(users.setdefault(user, len(users)))
        item_codes.append(code := items.setdefault(item, len(items)))
        lines.append(rows.line)
        if rating_at >= 0:
            values.append(_rating(row[rating_at], rows))
        if time_at >= 0:
            times.append(row[time_at])
        if event_at >= 0:
            events.append(row[event_at].strip())
        if describing:
            cells = [row[index].strip() for index in describing.values()]
            if described.setdefault(code, cells)[0] != cells[0]:
                describing = {}  # the titles are of reviews, say, and not of the items
    columns = Columns(
        users=_ids(users, user_codes),
        items=_ids(items, item_codes),
        values=np.frombuffer(values, np.float32) if rating_at >= 0 else None,
        times=times if time_at >= 0 else None,
        events=events if event_at >= 0 else None,
        where=_named(rows, lines),
        without_id=without_id,
    )
    if not describing:
        return columns, None
    names = list(items)
    table = pd.DataFrame(described.values(), columns=list(describing))
    table.insert(0, "item_id", raw_ids([names[code] for code in described]))
    return columns, table


def _wide(rows: Rows, shape: Shape, interpretation: Interpretation) -> tuple[Columns, None]:
    """Return the columns of a user per row and an item per column, blank or -1 for none."""
    names = shape.names[1:]
    counts = pd.Series(names).value_counts()
    name = counts.index[0]
    if counts.iloc[0] > 1 or "" in names:
        repeated = f"names the column {name[:80]!r} {counts.iloc[0]} times"
        problem = "has a blank column" if "" in names else repeated
        expected = "userId,movieId,rating[,timestamp], or a user id and then one column per item"
        raise BadInput(f"the header of {rows.label}", expected=expected, problem=problem)
    users: dict[str, int] = {}
    user_codes, item_codes, values, lines = array("i"), array("i"), array("f"), array("q")
    scale = interpretation.stated.scale
    blank = () if scale is not None and scale[0] <= -1 else ("-1", "-1.0")
    without_id = 0
    for row in rows:
        if not row[0].strip():
            without_id += sum(1 for cell in row[1:] if cell.strip())
            continue
        code = users.setdefault(row[0], len(users))
        for index, cell in enumerate(row[1:]):
            if cell and (cell := cell.strip()) and cell not in blank:
                user_codes.append(code)
                item_codes.append(index)
                values.append(_rating(cell, rows, names[index]))
                lines.append(rows.line)
    return Columns(
        users=_ids(users, user_codes),
        items=_ids(names, item_codes),
        values=np.frombuffer(values, np.float32),
        times=None,
        events=None,
        where=_named(rows, lines, [names[index] for index in item_codes]),
        without_id=without_id,
    ), None


def _ids(names: Any, codes: array[int]) -> pd.Series:
    codes_array: NDArray[np.int32] = np.frombuffer(codes, np.int32)
    return pd.Series(text_ids(codes_array, names), copy=False)


def _named(rows: Rows, lines: array[int], columns: list[str] | None = None) -> Callable[[int], str]:
    """Return what messages call a row: its line, and in a wide table its column."""

    def where(row: int) -> str:
        if row < 0:
            return rows.label
        column = f"the column {columns[row][:80]!r} in " if columns else ""
        return f"{column}line {lines[row]:,} of {rows.label}"

    return where


def _rating(cell: str, rows: Rows, column: str = "") -> float:
    """Return the number in a cell, which may have a decimal comma; NaN of a blank one."""
    cell = cell.strip()
    if not cell:
        return float("nan")
    if _NUMBER.fullmatch(cell):
        value = float(cell.replace(",", "."))
        if abs(value) < 1e30:
            return value
    if column:
        rows.fail(f"has {cell[:40]!r} in the column {column[:80]!r}", "a number, blank or -1")
    rows.fail(f"has the rating {cell[:40]!r}", "a number")
