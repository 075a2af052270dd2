"""Plain long tables, through pyarrow; anything else is left to the reader that names its lines."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from pyarrow import csv

from recengine.data.readers.delimited import DOUBLE_COLON, text_ids
from recengine.data.readers.settle import Columns
from recengine.data.readers.shape import Shape

PIECE = 1 << 20
"""Bytes that are parsed at once: pyarrow needs several times as much memory."""
_NUMBERS = b"0123456789.- \n"
"""All that may stand between separators in a table of numbers: pyarrow would take "0x1F" for a number."""
_TEXT = pa.dictionary(pa.int32(), pa.string())
_Part = dict[str, list[Any]]
"""The pieces of each column."""


def read_fast(blocks: Callable[[], Iterator[bytes]], shape: Shape, where: Callable[[int], str]) -> Columns | None:
    """Return the columns of a long table, or None when anything in it needs the careful reader.

    Ids are read as numbers where all are plain ones, which come back to the byte, and else as text. Every row must
    have as many cells as the header, and no cell that is used may be blank.
    """
    if shape.wide or (len(shape.mark) > 1 and shape.mark != DOUBLE_COLON):
        return None
    for as_text in (False, True):
        if (parts := _parts(blocks(), shape, as_text)) is not None:
            return _joined(parts, where) if parts else None
    return None


def _parts(blocks: Iterator[bytes], shape: Shape, as_text: bool) -> list[_Part] | None:
    """Return the columns block by block, or None where a block cannot be read like this."""
    skip = shape.skip
    parts: list[_Part] = []
    mark = shape.mark.encode()
    for block in _whole_lines(blocks):
        while skip and block:
            block = block.partition(b"\n")[2]
            skip -= 1
        if b'"' in block:
            unquoted = _unquoted(block, mark, len(shape.names))
            if unquoted is None:
                return None
            block = unquoted
        if not block:
            continue
        if as_text:
            refused = any(sign in block for sign in (b"\0", b"0x", b"0X"))  # pyarrow would read 0x1F as 31
        else:
            refused = bool(block.translate(None, _NUMBERS + mark)) or not _plain_numbers(block, mark)
        part = None if refused else _read_block(block, shape, as_text)
        if part is None:
            return None
        parts.append(part)
    return parts


def _unquoted(block: bytes, mark: bytes, width: int) -> bytes | None:
    """Return whole lines without the quotes round cells, or None where a quote may mean anything else.

    No separator stands between quotes when there are as many as the rows need, and then each quote must open or
    close a cell.
    """
    if block.count(mark) != (width - 1) * block.count(b"\n"):
        return None
    opening = block.count(mark + b'"') + block.count(b'\n"') + block.startswith(b'"')
    closing = block.count(b'"' + mark) + block.count(b'"\n')
    if not opening == closing == block.count(b'"') / 2:
        return None
    return block.replace(b'"', b"")


def _plain_numbers(block: bytes, mark: bytes) -> bool:
    """Tell whether no cell begins with a zero, a sign and a zero, or a space: 007 and " 7" are not the number 7."""
    if b" " in block or b"-0" in block.replace(b"-0.", b""):
        return False
    if block[:1] == b"0" and block[1:2] not in (b".", b"\n", mark[:1]):
        return False
    for before in (mark, b"\n"):
        zeros = block.count(before + b"0")
        if zeros and zeros != sum(block.count(before + b"0" + after) for after in (b".", b"\n", mark)):
            return False
    return True


def _read_block(block: bytes, shape: Shape, as_text: bool) -> _Part | None:
    """Return the columns of whole lines, or None when a row is uneven, a cell no number or an id blank."""
    mark = shape.mark.encode()
    if len(mark) > 1:
        if b"\t" in block:
            return None
        block, mark = block.replace(mark, b"\t"), b"\t"
    ids = _TEXT if as_text else pa.int64()
    types = {"user": ids, "item": ids, "rating": pa.float64(), "time": pa.int64(), "event": _TEXT}
    try:
        table = csv.read_csv(
            pa.BufferReader(block),
            memory_pool=pa.system_memory_pool(),  # the default pool keeps what is freed
            read_options=csv.ReadOptions(column_names=[*map(str, range(len(shape.names)))], use_threads=False),
            parse_options=csv.ParseOptions(delimiter=mark.decode(), quote_char=False),
            convert_options=csv.ConvertOptions(
                include_columns=[str(index) for index in shape.columns.values()],
                column_types={str(index): types[role] for role, index in shape.columns.items()},
                null_values=[],
                strings_can_be_null=False,
            ),
        )
    except pa.ArrowInvalid:
        return None
    part: _Part = {}
    for role, index in shape.columns.items():
        column = table.column(str(index))
        part[role] = column.chunks if types[role] is _TEXT else [column.to_numpy()]
    if "rating" in part:
        part["rating"] = [ratings.astype(np.float32) for ratings in part["rating"]]
        if not all(np.isfinite(ratings).all() for ratings in part["rating"]):
            return None
    return part


def _joined(parts: list[_Part], where: Callable[[int], str]) -> Columns | None:
    """Return the columns of all blocks, whose memory is given back as it is copied; None where an id is blank."""

    def joined(role: str) -> Any:
        pieces = [piece for part in parts for piece in part.pop(role, ())]
        if not pieces or isinstance(pieces[0], np.ndarray):
            return np.concatenate(pieces) if pieces else None
        whole = pa.chunked_array(pieces).unify_dictionaries().combine_chunks()
        names = whole.dictionary.to_pylist()
        if not all(map(str.strip, names)):
            return None
        return text_ids(whole.indices.to_numpy(zero_copy_only=False), names)

    users, items = joined("user"), joined("item")
    if users is None or items is None:
        return None
    return Columns(
        users=pd.Series(users, copy=False),
        items=pd.Series(items, copy=False),
        values=joined("rating"),
        times=joined("time"),
        events=joined("event"),
        where=where,
    )


def _whole_lines(blocks: Iterator[bytes]) -> Iterator[bytes]:
    """Re-cut blocks at line ends; every kind of line end becomes a line feed, and the last line gets one."""
    rest, bom = b"", b"\xef\xbb\xbf"
    for block in (big[start : start + PIECE] for big in blocks for start in range(0, len(big), PIECE)):
        block, bom = block.removeprefix(bom), b""
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
