"""Long ratings of numbers alone, through pyarrow; anything else is left to the reader that names its lines."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import csv

from recengine.data.readers.delimited import MOST_COLUMNS, RATING_RANGE, roles, separator

_TYPES = {"user_id": pa.int64(), "item_id": pa.int64(), "rating": pa.float64(), "timestamp": pa.int64()}
PIECE = 1 << 20
"""Bytes that are parsed at once: pyarrow needs several times as much memory."""
_CHARACTERS = b"0123456789.+- \n"
"""All that may stand between separators: pyarrow would take "0x1F" for a number, and quotes for nothing."""


def read_numeric(
    blocks: Callable[[], Iterator[bytes]], *, sep: bytes = b"", names: tuple[str, ...] = ()
) -> pd.DataFrame | None:
    """Return the ratings of a long file of numbers, or None when anything in it needs the careful reader.

    `names` stands for a missing header; `sep` may then be several bytes. Every row must have as many cells as the
    header, and every rating lie in range.
    """
    mark, width = sep, len(names)
    columns = {name: index for index, name in enumerate(names)}
    parts: list[dict[str, NDArray[Any]]] = []
    for block in _whole_lines(blocks()):
        if not width:
            head, _, block = block.partition(b"\n")
            try:
                header = head.decode("utf-8-sig")
            except UnicodeDecodeError:
                return None
            mark = separator(header).encode()
            if header.count(mark.decode()) >= MOST_COLUMNS:
                return None
            cells = header.split(mark.decode())
            columns, width = roles(cells), len(cells)
            if {'"', "\0"} & set(header) or not {"user_id", "item_id", "rating"} <= columns.keys():
                return None
        if block:
            part = None if block.translate(None, _CHARACTERS + mark) else _read_block(block, mark, width, columns)
            if part is None:
                return None
            parts.append(part)
    if not parts:
        return None
    return pd.DataFrame({name: np.concatenate([part.pop(name) for part in parts]) for name in columns}, copy=False)


def _read_block(block: bytes, mark: bytes, width: int, columns: dict[str, int]) -> dict[str, NDArray[Any]] | None:
    """Return the columns of whole lines, or None when a row is uneven, a cell no number or a rating out of range."""
    if len(mark) > 1:
        block, mark = block.replace(mark, b"\t"), b"\t"
    try:
        table = csv.read_csv(
            pa.BufferReader(block),
            memory_pool=pa.system_memory_pool(),  # the default pool keeps what is freed
            read_options=csv.ReadOptions(column_names=[str(index) for index in range(width)], use_threads=False),
            parse_options=csv.ParseOptions(delimiter=mark.decode(), quote_char=False),
            convert_options=csv.ConvertOptions(
                include_columns=[str(index) for index in columns.values()],
                column_types={str(index): _TYPES[name] for name, index in columns.items()},
                null_values=[],
            ),
        )
    except pa.ArrowInvalid:
        return None
    part = {name: table.column(str(index)).to_numpy() for name, index in columns.items()}
    low, high = RATING_RANGE
    if not ((part["rating"] >= low) & (part["rating"] <= high)).all():
        return None
    return part | {"rating": part["rating"].astype(np.float32)}


def _whole_lines(blocks: Iterator[bytes]) -> Iterator[bytes]:
    """Re-cut blocks at line ends; every kind of line end becomes a line feed, and the last line gets one."""
    rest = b""
    for block in (big[start : start + PIECE] for big in blocks for start in range(0, len(big), PIECE)):
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
