"""Delimited text: its encoding, its separator, and its rows, with the line named when something is wrong."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator
from typing import Any, NoReturn

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recengine.data.readers.columns import MOST_NAMED, roles
from recengine.errors import BadInput

MOST_COLUMNS = 200_000
HEADER_LIMIT = 1 << 22
_SEP_LINE = re.compile(r'^"?sep=(.)"?\s*$', re.IGNORECASE)
_PLAIN_ID = re.compile(r"0|-?[1-9][0-9]{0,18}")
DOUBLE_COLON = "::"
_STAND_IN = "\x1f"
"""What stands for the double colon while rows are split: the csv module takes one character."""


class Rows:
    """The rows of a delimited text below its header, each as long as the header.

    `header` holds the stripped cells, or the numbers of the columns where the text has none; `notes` tell what had to
    be guessed; `line` is the line last read.
    Raises BadInput, naming the line, for an uneven row, a stray quote, a NUL or an unreadable encoding.
    """

    def __init__(self, label: str, content: bytes, *, mark: str | None = None, header: bool = True) -> None:
        self.label = label
        text, self.notes = decoded(label, content)
        first, sep_line = first_line(text)
        if not first:
            raise BadInput(label, None, "a header and one row per line", problem="is empty")
        self.delimiter = mark or sep_line or separator(first)
        if first.count(self.delimiter) >= MOST_COLUMNS:
            problem = f"has more than {MOST_COLUMNS:,} columns"
            raise BadInput(label, remedy="put one rating on each line instead", problem=problem)
        text.seek(0)
        self._reader = reader(text, self.delimiter)
        rows = self.lines()
        if sep_line:
            next(rows)
        self._first = next(rows, [])
        self.header = [cell.strip() for cell in self._first]
        if header:
            self._first = []
        else:
            self.header = [str(number) for number in range(1, len(self.header) + 1)]

    @property
    def line(self) -> int:
        return self._reader.line_num

    def fail(self, problem: str, expected: str = "", remedy: str = "") -> NoReturn:
        """Raise BadInput about the line last read."""
        raise BadInput(f"line {self.line:,} of {self.label}", None, expected, remedy, problem=problem)

    def cells(self) -> Iterator[list[str]]:
        """Yield the rows below the header as they are, even or not."""
        if self._first:
            yield self._first
        yield from self.lines()

    def __iter__(self) -> Iterator[list[str]]:
        expected = len(self.header)
        for row in self.cells():
            if len(row) != expected:
                remedy = "correct that line (put quotes round a field that holds the separator)"
                self.fail(f"has {len(row)} fields where the header has {expected}", remedy=remedy)
            yield row

    def lines(self) -> Iterator[list[str]]:
        """Yield what is left of the text, row by row."""
        try:
            for row in self._reader:
                if row:
                    yield row
        except csv.Error as error:
            self.fail(f"is not well-formed CSV ({error})", remedy="correct its quotes")


def reader(text: Iterable[str], mark: str) -> Any:
    """Return a strict reader of the csv module; a double colon is one separator."""
    if mark == DOUBLE_COLON:
        text, mark = (line.replace(DOUBLE_COLON, _STAND_IN) for line in text), _STAND_IN
    return csv.reader(text, delimiter=mark, strict=True)


def first_line(text: io.TextIOBase) -> tuple[str, str | None]:
    """Return the first line that is not blank, and the separator that Excel's line `sep=;` before it names."""
    mark = None
    while line := text.readline(HEADER_LIMIT):
        if not mark and (named := _SEP_LINE.match(line)):
            mark = named[1]
        elif line.strip():
            return line, mark
    return "", mark


def separator(header: str) -> str:
    """Return which separator splits a header line into most roles, or else most cells."""

    def worth(mark: str) -> tuple[int, int]:
        cells = header.split(mark, MOST_NAMED)
        return len(roles([cell.strip(' "\r\n') for cell in cells])), header.count(mark)

    return max((*",;\t|", DOUBLE_COLON), key=worth)


def decoded(label: str, content: bytes) -> tuple[io.TextIOWrapper, list[str]]:
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


def raw_ids(cells: Iterable[str]) -> NDArray[Any]:
    """Return ids as int64 when that loses nothing, else as they are, as text objects.

    A plain number (7, -3, but neither 007, +7 nor 7.0) stands for its text, so both come back to the byte.
    """
    texts = list(cells)
    try:
        if all(map(_PLAIN_ID.fullmatch, texts)):
            return np.array([int(text) for text in texts], dtype=np.int64)
    except OverflowError:  # 19 digits may be beyond 64 bits
        pass
    return np.array(texts, dtype=object)


def text_ids(codes: NDArray[np.int32], names: Iterable[str]) -> Any:
    """Return (n,) ids from the codes of their texts: numbers where all are plain, else a categorical column."""
    ids = raw_ids(names)
    return ids[codes] if ids.dtype.kind == "i" else pd.Categorical.from_codes(codes, pd.Index(ids, dtype=object))
