"""Long ratings through pandas' C parser: only what is plain, so that it never reads anything wrongly."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recengine.data.readers.delimited import MOST_COLUMNS, RATING_RANGE, roles, separator

_DTYPES = {"user_id": np.int64, "item_id": np.int64, "rating": np.float64, "timestamp": np.int64}


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
            if header.count(mark.decode()) >= MOST_COLUMNS:
                return None
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
