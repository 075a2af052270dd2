"""Delimited text, row by row: ratings in long or wide form, with the line named when something is wrong."""

from __future__ import annotations

import csv
import io
import re
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any, NoReturn

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recengine.errors import BadInput

ALIASES = {
    "user_id": ("userid", "user", "uid"),
    "item_id": ("movieid", "itemid", "movie", "item", "filmid", "film", "title"),
    "rating": ("rating", "score", "stars"),
    "timestamp": ("timestamp", "time", "unixtimestamp", "date", "ratedat"),
}
RATING_RANGE = (0.0, 10.0)
MOST_COLUMNS = 200_000
_NAMED_COLUMNS = 1_000
"""Columns up to which their names are looked at; a wider table is one of users and items."""
_HEADER_LIMIT = 1 << 22
_WHOLE = re.compile(r"[+-]?[0-9]{1,19}(\.0*)?")


class Rows:
    """The rows of a delimited text below its header, each as long as the header.

    `header` holds the stripped cells; `notes` tell what had to be guessed; `line` is the line last read.
    Raises BadInput, naming the line, for an uneven row, a stray quote, a NUL or an unreadable encoding.
    """

    def __init__(self, label: str, content: bytes) -> None:
        self.label = label
        text, self.notes = _decoded(label, content)
        first = text.readline(_HEADER_LIMIT)
        while first and not first.strip():
            first = text.readline(_HEADER_LIMIT)
        if not first:
            raise BadInput(label, None, "a header and one row per line", problem="is empty")
        self.delimiter = separator(first)
        if first.count(self.delimiter) >= MOST_COLUMNS:
            problem = f"has more than {MOST_COLUMNS:,} columns"
            raise BadInput(label, remedy="put one rating on each line instead", problem=problem)
        text.seek(0)
        self._reader = csv.reader(text, delimiter=self.delimiter, strict=True)
        self.header = [cell.strip() for cell in next(self.lines(), [])]

    @property
    def line(self) -> int:
        return self._reader.line_num

    def fail(self, problem: str, expected: str = "", remedy: str = "") -> NoReturn:
        """Raise BadInput about the line last read."""
        raise BadInput(f"line {self.line:,} of {self.label}", None, expected, remedy, problem=problem)

    def __iter__(self) -> Iterator[list[str]]:
        expected = len(self.header)
        for row in self.lines():
            if len(row) != expected:
                remedy = "correct that line (put quotes round a field that holds the separator)"
                self.fail(f"has {len(row)} fields where the header has {expected}", remedy=remedy)
            yield row

    def lines(self) -> Iterator[list[str]]:
        """Yield the rows as they are, even or not."""
        try:
            for row in self._reader:
                if row:
                    yield row
        except csv.Error as error:
            self.fail(f"is not well-formed CSV ({error})", remedy="correct its quotes")


def separator(header: str) -> str:
    """Return which of comma, semicolon and tab splits a header line into most roles, or else most cells."""

    def worth(mark: str) -> tuple[int, int]:
        cells = header.split(mark, _NAMED_COLUMNS)
        return len(roles([cell.strip(' "\r\n') for cell in cells])), header.count(mark)

    return max(",;\t", key=worth)


def roles(header: Iterable[str]) -> dict[str, int]:
    """Return the index of each column of ratings that a header names, by its common aliases."""
    cells = list(header)
    plain = [re.sub(r"[\W_]+", "", cell.lower()) for cell in cells] if len(cells) <= _NAMED_COLUMNS else []
    columns = {}
    for role, names in ALIASES.items():
        index = next((plain.index(name) for name in names if name in plain), None)
        if index is not None:
            columns[role] = index
    return columns


def _decoded(label: str, content: bytes) -> tuple[io.TextIOWrapper, list[str]]:
    """Return the text, and notes: UTF-8 with or without its mark, UTF-16 by its mark, else cp1252."""
    encoding, notes = "utf-8-sig", []
    try:
        if content.startswith((b"\xff\xfe", b"\xfe\xff")):
            content = content.decode("utf-16").encode()
        content.decode(encoding)
    except UnicodeDecodeError:
        encoding, content = "cp1252", content.removeprefix(b"\xef\xbb\xbf")
        notes.append(f"{label} is not UTF-8 and was read as Windows text (cp1252): check the accents in titles.")
        try:
            content.decode(encoding)
        except UnicodeDecodeError as error:
            problem = f"is not text (byte {error.start:,})"
            raise BadInput(label, remedy="save it as CSV in UTF-8", problem=problem) from error
    if b"\0" in content:
        line = content[: content.index(b"\0")].count(b"\n") + 1
        remedy = "save the file as plain CSV in UTF-8"
        raise BadInput(f"line {line:,} of {label}", remedy=remedy, problem="holds a NUL byte")
    return io.TextIOWrapper(io.BytesIO(content), encoding=encoding, newline=""), notes


def long_ratings(rows: Rows, index_of: dict[str, int]) -> pd.DataFrame:
    """Return user_id, item_id, rating[, timestamp] of a rating per row; `index_of` is what `roles` returns."""
    user_at, item_at, rating_at, time_at = (index_of.get(role, -1) for role in ALIASES)
    users: dict[str, int] = {}
    items: dict[str, int] = {}
    user_codes, item_codes = array("i"), array("i")
    values, stamps = array("d"), array("q")
    for row in rows:
        user, item = row[user_at].strip(), row[item_at].strip()
        if not user or not item:
            rows.fail(f"has no {'user' if not user else 'item'} id", remedy="fill it in or remove the line")
        user_codes.append(users.setdefault(user, len(users)))
        item_codes.append(items.setdefault(item, len(items)))
        values.append(_rating(row[rating_at], rows))
        if time_at >= 0:
            stamps.append(_seconds(row[time_at], rows))
    columns: dict[str, Any] = {
        "user_id": raw_ids(users)[np.frombuffer(user_codes, np.int32)],
        "item_id": raw_ids(items)[np.frombuffer(item_codes, np.int32)],
        "rating": np.frombuffer(values, np.float64).astype(np.float32),
    }
    if time_at >= 0:
        columns["timestamp"] = np.frombuffer(stamps, np.int64)
    return pd.DataFrame(columns, copy=False)


def wide_ratings(rows: Rows) -> pd.DataFrame:
    """Return user_id, item_id, rating of a user per row and an item per column, blank or -1 for none."""
    names = rows.header[1:]
    name, times = Counter(names).most_common(1)[0] if names else ("", 0)
    if times != 1 or "" in names:
        problem = f"names the column {name[:80]!r} {times} times" if times > 1 and name else "has a blank column"
        raise BadInput(
            f"the header of {rows.label}",
            expected="userId,movieId,rating[,timestamp], or a user id and then one column per item",
            problem=problem if names else "has a single column",
        )
    users: list[str] = []
    user_codes, item_codes, values = array("i"), array("i"), array("d")
    for row in rows:
        if not row[0].strip():
            rows.fail("has no user id", remedy="fill it in or remove the line")
        for index, cell in enumerate(row[1:]):
            if cell and (cell := cell.strip()) and cell not in ("-1", "-1.0"):
                user_codes.append(len(users))
                item_codes.append(index)
                values.append(_rating(cell, rows, names[index]))
        users.append(row[0].strip())
    zeros = values.count(0.0)
    if zeros:
        rows.notes.append(f"{zeros:,} cells are 0 and count as ratings of 0; leave a cell blank where there is none.")
    return pd.DataFrame(
        {
            "user_id": raw_ids(users)[np.frombuffer(user_codes, np.int32)],
            "item_id": raw_ids(names)[np.frombuffer(item_codes, np.int32)],
            "rating": np.frombuffer(values, np.float64).astype(np.float32),
        }
    )


def _rating(cell: str, rows: Rows, column: str = "") -> float:
    low, high = RATING_RANGE
    try:
        value = float(cell)
    except ValueError:
        try:
            value = float(cell.replace(",", "."))  # a decimal comma
        except ValueError:
            value = float("nan")
    if not low <= value <= high:
        expected = f"a number from {low:g} to {high:g}"
        if column:
            expected += ", blank or -1, or one rating per row under userId,movieId,rating"
            rows.fail(f"has {cell[:40]!r} in the column {column[:80]!r}", expected)
        rows.fail(f"has the rating {cell[:40]!r}", expected)
    return value


def _seconds(cell: str, rows: Rows) -> int:
    moment = seconds(cell)
    if moment is None:
        rows.fail(f"has the timestamp {cell[:40]!r}", "seconds since 1970 or a date such as 2024-05-31")
    return moment


def seconds(cell: str) -> int | None:
    """Return seconds since 1970 from seconds or an ISO date (UTC unless it has an offset); None from neither."""
    try:
        return _int64(int(cell))
    except ValueError:
        pass
    try:
        moment = datetime.fromisoformat(cell.strip())
        return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())
    except (ValueError, OverflowError):
        pass
    try:
        return _int64(int(float(cell)))
    except (ValueError, OverflowError):
        return None


def _int64(value: int) -> int:
    if not -(2**63) <= value < 2**63:
        raise ValueError("beyond 64 bits")
    return value


def raw_ids(cells: Iterable[str]) -> NDArray[Any]:
    """Return ids as int64 when all are whole numbers ("7", "007" and "7.0" are one), else as text objects."""
    texts = [raw_id(cell) for cell in cells]
    try:
        return np.array([int(text) for text in texts], dtype=np.int64)
    except (ValueError, OverflowError):  # 19 digits may be beyond 64 bits: then they are text
        return np.array(texts, dtype=object)


def raw_id(cell: str) -> str:
    """Return an id as text in its shortest form."""
    cell = cell.strip()
    return str(int(cell.split(".")[0])) if _WHOLE.fullmatch(cell) else cell
