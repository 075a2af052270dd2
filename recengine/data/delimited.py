"""Ratings as delimited text, long or wide: a careful parser that names the line, a fast one for plain files."""

from __future__ import annotations

import csv
import io
import re
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from typing import Any, NoReturn

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recengine.data.archive import Files, read
from recengine.errors import BadInput

ALIASES = {
    "user_id": ("userid", "user", "uid"),
    "item_id": ("movieid", "itemid", "movie", "item", "filmid", "film", "title"),
    "rating": ("rating", "score", "stars"),
    "timestamp": ("timestamp", "time", "unixtimestamp", "date", "ratedat"),
}
RATING_RANGE = (0.0, 10.0)
_HEADER_LIMIT = 1 << 22


class Rows:
    """The rows of a delimited text below its header, each as long as the header.

    `header` holds the stripped cells; `notes` says what had to be guessed; `line` is the line last read.
    Raises BadInput, naming the line, for an uneven row, a stray quote, a NUL or an unreadable encoding.
    """

    def __init__(self, label: str, content: bytes) -> None:
        self.label = label
        text, self.notes = _decoded(label, content)
        first = text.readline(_HEADER_LIMIT)
        while first and not first.strip():
            first = text.readline(_HEADER_LIMIT)
        if not first:
            raise BadInput(f"{label} is empty; expected a header and one row per line")
        self.delimiter = separator(first)
        text.seek(0)
        self._reader = csv.reader(text, delimiter=self.delimiter, strict=True)
        self.header = [cell.strip() for cell in next(self._lines(), [])]

    @property
    def line(self) -> int:
        return self._reader.line_num

    def fail(self, problem: str) -> NoReturn:
        """Raise BadInput about the line last read."""
        raise BadInput(f"line {self.line:,} of {self.label} {problem}")

    def __iter__(self) -> Iterator[list[str]]:
        expected = len(self.header)
        for row in self._lines():
            if len(row) != expected:
                self.fail(
                    f"has {len(row)} fields where the header has {expected}; "
                    "correct that line (put quotes round a field that holds the separator)"
                )
            yield row

    def _lines(self) -> Iterator[list[str]]:
        try:
            for row in self._reader:
                if row:
                    yield row
        except csv.Error as fault:
            self.fail(f"is not well-formed CSV ({fault}); correct its quotes")


def separator(header: str) -> str:
    """Return which of comma, semicolon and tab splits a header line into most roles, or else most cells."""

    def worth(mark: str) -> tuple[int, int]:
        cells = [cell.strip(' "\r\n') for cell in header.split(mark)]
        return len(roles(cells)), len(cells)

    return max(",;\t", key=worth)


def roles(header: Iterable[str]) -> dict[str, int]:
    """Return the place of each column of ratings that a header names, by its common aliases."""
    plain = [re.sub(r"[\W_]+", "", cell.lower()) for cell in header]
    found = {}
    for role, names in ALIASES.items():
        place = next((plain.index(name) for name in names if name in plain), None)
        if place is not None:
            found[role] = place
    return found


def read_ratings(files: Files, member: str, *, fast: bool, wide: bool = False) -> tuple[pd.DataFrame, list[str]]:
    """Return (user_id, item_id, rating[, timestamp]) rows in file order, and notes on what was guessed.

    fast : try pandas' C parser first, which reads only what is plain; anything else goes row by row
    wide : a user x item table is welcome too; its `item_id` is the column's header
    """
    label = member if member in files.label else f"{member} in {files.label}"
    if fast and (frame := fast_long(lambda: files.blocks(member))) is not None:
        _check_rows(len(frame), label)
        return frame, []
    rows = Rows(label, read(files, member))
    found = roles(rows.header)
    missing = [role for role in ("user_id", "item_id", "rating") if role not in found]
    if not missing:
        frame = _long(rows, found)
        unused = [cell for place, cell in enumerate(rows.header) if place not in found.values()]
        if unused:
            rows.notes.append(f"Columns not used: {', '.join(unused)[:200]}.")
    elif wide and "rating" not in found:
        frame = _wide(rows)
    else:
        raise BadInput(
            f"{label} has the columns {', '.join(rows.header)[:200]!r}, "
            f"without one for {' and '.join(missing)}; expected userId,movieId,rating[,timestamp]"
        )
    _check_rows(len(frame), label)
    return frame, rows.notes


def _check_rows(n: int, label: str) -> None:
    if not n:
        raise BadInput(f"{label} has a header but no ratings; expected at least one row")


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
        except UnicodeDecodeError as fault:
            raise BadInput(f"{label} is not text (byte {fault.start:,}); save it as CSV in UTF-8") from fault
    if b"\0" in content:
        line = content[: content.index(b"\0")].count(b"\n") + 1
        raise BadInput(f"line {line:,} of {label} holds a NUL byte; save the file as plain CSV in UTF-8")
    return io.TextIOWrapper(io.BytesIO(content), encoding=encoding, newline=""), notes


def _long(rows: Rows, found: dict[str, int]) -> pd.DataFrame:
    """Read one rating per row."""
    user_at, item_at, rating_at, time_at = (found.get(role, -1) for role in ALIASES)
    users: dict[str, int] = {}
    items: dict[str, int] = {}
    user_codes, item_codes = array("i"), array("i")
    values, stamps = array("d"), array("q")
    for row in rows:
        user, item = row[user_at].strip(), row[item_at].strip()
        if not user or not item:
            rows.fail(f"has no {'user' if not user else 'item'} id; fill it in or remove the line")
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


def _wide(rows: Rows) -> pd.DataFrame:
    """Read one user per row and one item per column; a blank or -1 is no rating."""
    names = rows.header[1:]
    name, times = Counter(names).most_common(1)[0] if names else ("", 0)
    if times != 1 or "" in names:
        problem = f"names the column {name[:80]!r} {times} times" if times > 1 and name else "has a blank column"
        raise BadInput(
            f"the header of {rows.label} {problem if names else 'has a single column'}; expected "
            "userId,movieId,rating[,timestamp], or a user id and then one column per item"
        )
    users: list[str] = []
    user_codes, item_codes, values = array("i"), array("i"), array("d")
    for row in rows:
        if not row[0].strip():
            rows.fail("has no user id; fill it in or remove the line")
        for place, cell in enumerate(row[1:]):
            if cell and (cell := cell.strip()) and cell not in ("-1", "-1.0"):
                user_codes.append(len(users))
                item_codes.append(place)
                values.append(_rating(cell, rows, names[place]))
        users.append(row[0].strip())
    zeros = values.count(0.0)
    if zeros:
        rows.notes.append(
            f"{zeros:,} cells are 0 and count as ratings of 0; leave a cell blank where there is none."
        )
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
        rows.fail(
            (f"has the rating {cell[:40]!r}" if not column else f"has {cell[:40]!r} in the column {column[:80]!r}")
            + f"; expected a number from {low:g} to {high:g}"
            + ("" if not column else ", blank or -1, or one rating per row under userId,movieId,rating")
        )
    return value


def _seconds(cell: str, rows: Rows) -> int:
    """Return seconds since 1970 from seconds or an ISO date (UTC unless it says otherwise)."""
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
        rows.fail(f"has the timestamp {cell[:40]!r}; expected seconds since 1970 or a date such as 2024-05-31")


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


_WHOLE = re.compile(r"[+-]?[0-9]{1,19}(\.0*)?")


def fast_long(
    blocks: Callable[[], Iterator[bytes]], *, sep: bytes = b"", names: tuple[str, ...] = ()
) -> pd.DataFrame | None:
    """Return the ratings of a plain long file, or None when anything in it needs the careful parser.

    Plain: named columns, nothing but decimal numbers below them, ratings in range, and every line with as many
    separators as the header. `names` stands for a missing header; `sep` may then be several bytes.
    """
    mark, width = sep, len(names)
    found = {name: place for place, name in enumerate(names)}
    parts: list[dict[str, NDArray[Any]]] = []
    for block in _whole_lines(blocks()):
        if not width:
            head, _, block = block.partition(b"\n")
            try:
                header = head.decode("utf-8-sig")
            except UnicodeDecodeError:
                return None
            mark = separator(header).encode()
            cells = header.split(mark.decode())
            found, width = roles(cells), len(cells)
            if {'"', "\0"} & set(header) or not {"user_id", "item_id", "rating"} <= found.keys():
                return None
        elif len(mark) > 1:
            block = block.replace(mark, b"\t")
        if block:
            part = _fast_block(block, mark if len(mark) == 1 else b"\t", width, found)
            if part is None:
                return None
            parts.append(part)
    if not parts:
        return None
    return pd.DataFrame({name: np.concatenate([part.pop(name) for part in parts]) for name in found}, copy=False)


def _fast_block(block: bytes, mark: bytes, width: int, found: dict[str, int]) -> dict[str, NDArray[Any]] | None:
    """Parse whole lines, or return None when they are not plain and even."""
    if block.translate(None, b"0123456789.+- \n" + mark) or not _even(block, mark, width - 1):
        return None  # pandas would take "True" for 1 and "1e3" for an id, and would shift an uneven row
    try:
        with np.errstate(all="ignore"):  # of numbers beyond any range, which are refused below
            frame = pd.read_csv(
                io.BytesIO(block),
                sep=mark.decode(),
                header=None,
                names=[*range(width)],
                usecols=list(found.values()),
                dtype={place: _DTYPES[name] for name, place in found.items()},
                na_filter=False,
                engine="c",
            )
    except (ValueError, OverflowError):  # ParserError and UnicodeDecodeError are ValueErrors
        return None
    part = {name: frame[place].to_numpy() for name, place in found.items()}
    low, high = RATING_RANGE
    if not ((part["rating"] >= low) & (part["rating"] <= high)).all():
        return None
    return part | {"rating": part["rating"].astype(np.float32)}


_DTYPES = {"user_id": np.int64, "item_id": np.int64, "rating": np.float64, "timestamp": np.int64}


def _even(block: bytes, mark: bytes, separators: int) -> bool:
    """Say whether every line of the block, which ends with a line end, holds that many separators."""
    data = np.frombuffer(block, np.uint8)
    ends = np.flatnonzero(data == 10)
    marks = np.flatnonzero(data == mark[0])
    if len(marks) != separators * len(ends):
        return False
    by_line = marks.reshape(len(ends), separators)  # right when each line's first and last lie within it
    return bool((by_line[:, -1] < ends).all() and (by_line[1:, 0] > ends[:-1]).all())


def _whole_lines(blocks: Iterator[bytes]) -> Iterator[bytes]:
    """Re-cut blocks at line ends; every kind of line end becomes a line feed, and the last line gets one."""
    rest = b""
    for block in blocks:
        whole, end, tail = block.rpartition(b"\n")
        if end:
            yield _line_feeds(rest + whole + end)
            rest = tail
        else:
            rest += tail
    if rest := _line_feeds(rest).rstrip(b"\n"):
        yield rest + b"\n"


def _line_feeds(block: bytes) -> bytes:
    return block.replace(b"\r\n", b"\n").replace(b"\r", b"\n") if b"\r" in block else block
