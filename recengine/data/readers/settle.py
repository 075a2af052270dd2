"""What the columns of a table mean: events or ratings, on which scale, when; and which rows cannot count."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recengine.data.readers.columns import COUNTS, plain
from recengine.data.readers.times import datetimes, number_times, text_times
from recengine.data.reading import Interpretation, like_from
from recengine.errors import BadInput

USUAL_SCALE = (0.0, 10.0)
"""What ratings lie in where no scale is stated."""
_FEW_ZEROS = 0.2
"""Share of zeros up to which they are the worst rating; more may as well be ratings that were not given."""
_LISTED, _MOST_EVENTS = 6, 50


@dataclass
class Columns:
    """A table as it was read, row by row, before it is known what it means.

    users, items : ids; a row that lacks one has `missing` True
    values       : (n,) float32, NaN where blank; None where the table has no ratings
    times        : texts, numbers or dates; None where the table has none
    events       : texts or categories; None where the table has none
    where        : what messages call a row, and -1 the whole
    without_id   : rows that the reader has left out already, since they lack a user or item
    """

    users: pd.Series
    items: pd.Series
    values: NDArray[np.float32] | None
    times: Sequence[str] | NDArray[np.int64] | pd.Series | None
    events: Any
    where: Callable[[int], str]
    missing: NDArray[np.bool_] | None = None
    without_id: int = 0


def settle(columns: Columns, interpretation: Interpretation) -> pd.DataFrame:
    """Return user_id, item_id, rating[, timestamp] of the rows that count, completing the reading.

    Rows without a user, an item or a rating are dropped and counted. Raises BadInput, naming the row, for a rating off
    the scale, an event without a weight or a time that cannot be read, and where two readings are plausible.
    """
    n = len(columns.users)
    keep = np.ones(n, bool) if columns.missing is None else ~columns.missing
    interpretation.without_id += columns.without_id + int(n - keep.sum())
    if columns.values is not None:
        blank = np.isnan(columns.values) & keep
        values = _ratings(columns.values, keep & ~blank, interpretation, columns.where)
        dropped = np.isnan(values) & keep
        interpretation.without_rating += int(dropped.sum())
        keep &= ~dropped
    elif columns.events is not None:
        values = _weighted(columns.events, keep, interpretation, columns.where)
    else:
        interpretation.infer("There are no ratings: every row is an event that counts as 1.", feedback="implicit")
        values = np.ones(n, np.float32)
    if not keep.any():
        problem = "has no row with a user, an item and a rating" if n or columns.without_id else "holds no ratings"
        raise BadInput(columns.where(-1), expected="at least one row", problem=problem)
    everything = bool(keep.all())
    rows = np.flatnonzero(keep)

    def kept(column: Any) -> Any:
        return column if everything else column[keep]

    frame = {
        "user_id": kept(columns.users),
        "item_id": kept(columns.items),
        "rating": kept(values),
    }
    if columns.times is not None:
        times = columns.times
        if not everything:
            times = [times[row] for row in rows.tolist()] if isinstance(times, list) else times[keep]  # type: ignore[call-overload]  # a list, an array or a column
        frame["timestamp"] = as_seconds(times, interpretation, lambda row: columns.where(int(rows[row])))
    return pd.DataFrame(frame, copy=False)


def as_seconds(times: Any, interpretation: Interpretation, where: Callable[[int], str]) -> NDArray[np.int64]:
    """Return times as a table holds them, dates, numbers or texts, as seconds since 1970, (n,)."""
    if isinstance(times, pd.Series):
        return datetimes(times, interpretation)
    convert = number_times if isinstance(times, np.ndarray) else text_times
    return convert(times, interpretation, where)


def _ratings(
    values: NDArray[np.float32], given: NDArray[np.bool_], interpretation: Interpretation, where: Callable[[int], str]
) -> NDArray[np.float32]:
    """Return the ratings, NaN where a 0 or -1 off the scale stands for none; completes feedback and scale."""
    reading = interpretation.reading
    known = values[given]
    if not len(known):
        return values
    if "book" in plain(reading.rating or "") and reading.scale is None and (known == 0).any() and known.max() <= 10:
        interpretation.infer("As in Book-Crossing, ratings run from 1 to 10 and 0 stands for none.", scale=(1.0, 10.0))
    scale = interpretation.reading.scale
    if scale is not None:
        interpretation.infer("", feedback="explicit")
        none_given = given & np.isin(values, [value for value in (0.0, -1.0) if value < scale[0]])
        _check(values, given & ~none_given, scale, interpretation, where)
        return np.where(none_given, np.float32(np.nan), values)
    if reading.feedback is None and plain(reading.rating or "") in COUNTS:
        interpretation.infer(f"{reading.rating!r} counts events: feedback is implicit.", feedback="implicit")
    if interpretation.reading.feedback == "implicit":
        return values
    low, high = float(known.min()), float(known.max())
    if low < 0 and set(np.unique(known)) <= {-1.0, 0.0, 1.0} and high == 1:
        _explicit(interpretation, -1.0, 1.0, "Ratings are -1 and 1: dislikes and likes.")
        return values
    _check(values, given, USUAL_SCALE, interpretation, where)
    if low == high:
        if reading.feedback is None:
            sentence = f"All ratings are {low:g}: each row counts as an event, whatever its value."
            interpretation.infer(sentence, feedback="implicit")
        return values
    if (low, high) != (0.0, 1.0) and (known == 0).mean() > _FEW_ZEROS:
        share = f"{(known == 0).mean():.0%}"
        problem = f"is not clear: {share} of the ratings are 0, the lowest rating or none at all"
        expected = (
            f"0,{high:g} if they are ratings, or {min(known[known > 0].min(), 1):g},{high:g} if they stand for none"
        )
        raise BadInput("scale", None, expected, "state `scale`", problem=problem)
    zeros = f" ({int((known == 0).sum()):,} ratings are 0 and count as the lowest)" if low == 0 else ""
    sentence = f"Ratings run from {low:g} to {high:g}{zeros}; {like_from(low, high):g} or more counts as liked."
    _explicit(interpretation, low, high, sentence)
    return values


def _explicit(interpretation: Interpretation, low: float, high: float, sentence: str) -> None:
    interpretation.infer("", feedback="explicit")
    interpretation.infer(sentence, scale=(low, high))


def _check(
    values: NDArray[np.float32],
    given: NDArray[np.bool_],
    scale: tuple[float, float],
    interpretation: Interpretation,
    where: Callable[[int], str],
) -> None:
    """Raise BadInput for the first rating off the scale."""
    wrong = given & ~((values >= scale[0]) & (values <= scale[1]))
    if wrong.any():
        row = int(np.argmax(wrong))
        remedy = "correct it, or state another `scale`"
        if interpretation.stated.scale is None:
            remedy = "state `scale`, such as 0,100, or `feedback` implicit if these are counts or weights"
        expected = f"a number from {scale[0]:g} to {scale[1]:g}"
        raise BadInput(where(row), None, expected, remedy, problem=f"has the rating '{values[row]:g}'")


def _weighted(
    events: Sequence[str], given: NDArray[np.bool_], interpretation: Interpretation, where: Callable[[int], str]
) -> NDArray[np.float32]:
    """Return what each event counts: its stated weight, or 1 where no weights are stated."""
    codes, unique = pd.factorize(pd.Series(events))
    names = [str(name) for name in unique]
    interpretation.infer("", feedback="implicit")
    weights = dict(interpretation.stated.weights)
    if not weights and len(names) > _MOST_EVENTS:
        problem = f"is not clear: the column of events has {len(names):,} different ones"
        remedy = "state `weights`, or name another event column in `columns`"
        raise BadInput("weights", None, "what each of a few events counts", remedy, problem=problem)
    if not weights:
        listed = ", ".join(names[:_LISTED]) + (", ..." if len(names) > _LISTED else "")
        weights = dict.fromkeys(names, 1.0)
        sentence = f"Every event ({listed}) counts as 1; state `weights` to tell them apart."
        interpretation.infer(sentence, weights=tuple(weights.items()))
    unknown = [code for code, name in enumerate(names) if name not in weights]
    lacking = np.isin(codes, [*unknown, -1]) & given
    if lacking.any():
        row = int(np.argmax(lacking))
        event = names[codes[row]] if codes[row] >= 0 else ""
        problem = f"has the event {event!r}, which has no weight"
        raise BadInput(where(row), None, f"one of {', '.join(weights)}"[:300], "add it to `weights`", problem=problem)
    table = np.array([weights.get(name, np.nan) for name in names], np.float32)
    result: NDArray[np.float32] = table[codes]
    return result
