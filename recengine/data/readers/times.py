"""Times as seconds since 1970: from numbers in any unit, ISO dates, compact dates, or a pattern."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from recengine.data.reading import Interpretation
from recengine.errors import BadInput

PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
_CALLED = {"s": "seconds", "ms": "milliseconds", "us": "microseconds", "ns": "nanoseconds"}
_LARGEST = {"s": 10**11, "ms": 10**14, "us": 10**17}
"""Numbers below these are in that unit: in seconds they go up to the year 5138, in milliseconds they begin in 1973."""
_WHOLE = re.compile(r"[+-]?[0-9]{1,99}")
_DECIMAL = re.compile(r"[+-]?(?:[0-9]+\.[0-9]*|\.[0-9]+|[0-9]+(?=[eE]))(?:[eE][+-]?[0-9]+)?")
_ISO = re.compile(r"[0-9]{4}-[0-9]")
_COMPACT = {8: "%Y%m%d", 14: "%Y%m%d%H%M%S"}
_DATES = ((19000101, 21001231), (19000101000000, 21001231235959))
"""What compact dates lie between: in seconds, August 1970, and in milliseconds, the year 2572."""
EXPECTED = "seconds since 1970 or a date such as 2024-05-31"
Where = Callable[[int], str]
"""What messages call a row."""


def seconds(cell: str) -> int | None:
    """Return seconds since 1970 of one cell on its own, in seconds or as an ISO date; None of anything else."""
    value = _number(cell.strip())
    return _iso(cell) if value is None else value


def text_times(cells: Sequence[str], interpretation: Interpretation, where: Where) -> NDArray[np.int64]:
    """Return a column of text as seconds since 1970, (n,).

    Raises BadInput, naming the row, for a cell in no known form, and where cells are in more than one form.
    """
    unit = interpretation.reading.time_unit
    if unit and "%" in unit:
        return np.array([_by_pattern(cell, unit, where(row)) for row, cell in enumerate(cells)], np.int64)
    if unit in (None, "compact") and (seconds := _compact(cells, unit is not None, where)) is not None:
        interpretation.infer("Times are dates such as 20240531.", time_unit="compact")
        return seconds
    numbers = [_number(cell.strip()) for cell in cells]
    at_dates = [row for row, value in enumerate(numbers) if value is None]
    if at_dates and (len(at_dates) < len(cells) or unit in PER_SECOND):
        _mixed_or_bad(cells, numbers, at_dates[0], unit, where)
    if not at_dates and unit != "iso":
        return number_times(np.array(numbers, np.int64), interpretation, where)
    moments = [_iso(cell) for cell in cells]
    if None in moments:
        row = moments.index(None)
        _bad(cells[row], where(row))
    interpretation.infer("Times are ISO dates; those without an offset are taken as UTC.", time_unit="iso")
    return np.array(moments, np.int64)


def number_times(values: NDArray[np.int64], interpretation: Interpretation, where: Where) -> NDArray[np.int64]:
    """Return numbers as seconds since 1970, (n,); their unit is stated or follows from their size.

    Raises BadInput where some are as large as milliseconds and others as seconds.
    """
    unit = interpretation.reading.time_unit
    low, high = int(values.min(initial=2**62)), int(values.max(initial=0))
    if unit in (None, "compact") and any(f <= low <= high <= t for f, t in _DATES):
        dates = _compact([str(value) for value in values.tolist()], unit is not None, where)
        if dates is not None:
            interpretation.infer("Times are dates such as 20240531.", time_unit="compact")
            return dates
    if unit is None:
        size = np.abs(values)
        largest = int(size.max(initial=0))
        unit = next((name for name, limit in _LARGEST.items() if largest < limit), "ns")
        below = {"ms": "s", "us": "ms", "ns": "us"}.get(unit)
        small = size < _LARGEST[below] if below else np.zeros(len(size), bool)
        if (small & (size > 0)).any():
            row, other = int(np.flatnonzero(small & (size > 0))[0]), int(np.argmax(size))
            problem = f"has the time {values[row]}, and {where(other)} {values[other]}: they are in different units"
            raise BadInput(where(row), None, "one unit for all", "correct them, or state `time_unit`", problem=problem)
        sentence = "" if unit == "s" else f"Times are {_CALLED[unit]} since 1970."
        interpretation.infer(sentence, time_unit=unit)
    if unit not in PER_SECOND:
        _bad(str(values[0]), where(0), f"{unit} as stated")
    return values if unit == "s" else values // PER_SECOND[unit]


def datetimes(column: Any, interpretation: Interpretation) -> NDArray[np.int64]:
    """Return a pandas column of dates as seconds since 1970, (n,)."""
    interpretation.infer("", time_unit="iso")
    moments = column.dt.tz_convert("UTC").dt.tz_localize(None) if column.dt.tz is not None else column
    stamps: NDArray[np.int64] = moments.to_numpy("datetime64[s]").astype(np.int64)
    return stamps


def _number(cell: str) -> int | None:
    """Return the whole part of a number, or None of anything else or beyond 64 bits."""
    if _WHOLE.fullmatch(cell):
        value = int(cell)
    elif _DECIMAL.fullmatch(cell):
        try:
            value = int(float(cell))
        except OverflowError:
            return None
    else:
        return None
    return value if -(2**63) <= value < 2**63 else None


def _iso(cell: str) -> int | None:
    cell = cell.strip()
    if not _ISO.match(cell):
        return None
    try:
        moment = datetime.fromisoformat(cell.removesuffix(" UTC"))
        return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())
    except (ValueError, OverflowError):
        return None


def _compact(cells: Sequence[str], stated: bool, where: Where) -> NDArray[np.int64] | None:
    """Return dates such as 20240531 or 20240531235959 as seconds; None unless every cell is one."""
    moments: list[int] = []
    for row, cell in enumerate(cells):
        text = cell.strip()
        pattern = _COMPACT.get(len(text), "") if text.isascii() and text.isdigit() else ""
        try:
            moment = datetime.strptime(text, pattern).replace(tzinfo=UTC) if pattern else None
        except ValueError:
            moment = None
        if moment is None or not 1900 <= moment.year <= 2100:
            if stated:
                _bad(cell, where(row), "a date such as 20240531")
            return None
        moments.append(int(moment.timestamp()))
    return np.array(moments, np.int64)


def _by_pattern(cell: str, pattern: str, name: str) -> int:
    try:
        moment = datetime.strptime(cell.strip(), pattern)
        return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())
    except (ValueError, OverflowError):
        _bad(cell, name, f"a time in the form {pattern}")


def _mixed_or_bad(cells: Sequence[str], numbers: list[int | None], row: int, unit: str | None, where: Where) -> None:
    """Raise BadInput for a column in which not all cells are numbers: one is no time at all, or forms are mixed."""
    if _iso(cells[row]) is None or unit in PER_SECOND:
        _bad(cells[row], where(row))
    other = next(at for at, value in enumerate(numbers) if value is not None)
    problem = f"has the time {cells[row][:40]!r}, and {where(other)} {cells[other][:40]!r}: they are of different kinds"
    raise BadInput(where(row), None, "one kind for all", "write all as dates or all as numbers", problem=problem)


def _bad(cell: str, name: str, expected: str = EXPECTED) -> NoReturn:
    remedy = "or state `time_unit`, such as %d/%m/%Y %H:%M" if expected == EXPECTED else ""
    raise BadInput(name, None, expected, remedy, problem=f"has the timestamp {cell[:40]!r}")
