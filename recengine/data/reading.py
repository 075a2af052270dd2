"""`Reading`: how a table of ratings or events is to be read, what is left open, and what was inferred."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple, get_args

from recengine.errors import BadInput, suggest

Layout = Literal["long", "wide"]
Feedback = Literal["explicit", "implicit"]
Aggregate = Literal["latest", "max", "sum", "count"]

ROLES = ("user", "item", "rating", "time", "event")
"""What a column may be; `event` names the kind of an event, such as `view` or `buy`."""
TIME_UNITS = ("s", "ms", "us", "ns", "iso", "compact")
"""Seconds, milliseconds, microseconds or nanoseconds since 1970, ISO dates, and dates such as 20240531."""
SEPARATORS = {"comma": ",", "semicolon": ";", "tab": "\t", "bar": "|", "space": " ", "double colon": "::"}

_NUMBER = r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?"
_SCALE = re.compile(rf"\s*({_NUMBER})\s*(?:,|to)\s*({_NUMBER})\s*")
_WEIGHT = re.compile(rf"(.+?)=({_NUMBER})(?:,|$)", re.DOTALL)
_COLUMN = re.compile(rf",(?=(?:{'|'.join(ROLES)})=)")


def like_from(low: float, high: float) -> float:
    """Return the rating from which an item counts as liked on a scale: 4 of 5 stars, or three quarters up another.

    A result of exactly 0 is put just below, since 0 stands for "every rating" wherever a threshold is taken.
    """
    return 4.0 if low >= 0 and 4 < high <= 5 else float(f"{low + 0.75 * (high - low):.6g}") or -1e-9


class Inference(NamedTuple):
    """Something that was not stated and had to be inferred.

    field    : the field of `Reading`, or `columns` for several of its columns at once
    value    : what was inferred for it
    sentence : the same for the user, with how it can be changed where another reading is possible
    """

    field: str
    value: object
    sentence: str


@dataclass(frozen=True)
class Reading:
    """How a table is to be read. What is None is inferred, and a `Dataset` carries the result.

    user, item, rating, time, event : names of columns, or their numbers from 1 where there is no header. Without a
                 rating every row is an event that counts as 1, or as what `weights` has for its event
    header     : False for a file whose first line is data already
    separator  : between the cells of a text file: , ; tab | space or ::
    layout     : `long`, one rating in a row; or `wide`, one user in a row and one item in a column
    scale      : lowest and highest rating that can be given, for explicit ratings. A 0 or -1 below it, and a blank
                 rating, stand for a row without a rating: such rows are dropped and counted
    time_unit  : one of `TIME_UNITS`, or a pattern of strptime such as %d/%m/%Y %H:%M
    feedback   : `explicit` ratings, of which the high ones are likes; or `implicit` events, which all count
    aggregate  : what counts where a user has an item several times: the `latest` or the highest (`max`) rating, the
                 `sum` of all, or their `count`; all at the time of the latest
    weights    : (event, weight) pairs: what an event counts. Events without a weight are refused

    Frozen and hashable, and equal to `Reading.of_texts(reading.texts())`. Raises BadInput, naming the option, where
    a value is out of range or two contradict each other.
    """

    user: str | None = None
    item: str | None = None
    rating: str | None = None
    time: str | None = None
    event: str | None = None
    header: bool | None = None
    separator: str | None = None
    layout: Layout | None = None
    scale: tuple[float, float] | None = None
    time_unit: str | None = None
    feedback: Feedback | None = None
    aggregate: Aggregate | None = None
    weights: tuple[tuple[str, float], ...] = ()

    def __post_init__(self) -> None:
        for name, kind in (("layout", Layout), ("feedback", Feedback), ("aggregate", Aggregate)):
            _one_of(name, getattr(self, name), get_args(kind))
        if self.time_unit is not None and "%" not in self.time_unit:
            _one_of("time_unit", self.time_unit, TIME_UNITS, " or a pattern such as %d/%m/%Y %H:%M")
        if self.separator is not None:
            _one_of("separator", self.separator, tuple(SEPARATORS.values()))
        named = [column for column in self.columns.values() if column is not None]
        if repeated := sorted({column for column in named if named.count(column) > 1}):
            raise BadInput("columns", repeated[0], problem="has two meanings", remedy="give each column one")
        if self.scale is not None and not -1e30 < self.scale[0] < self.scale[1] < 1e30:
            raise BadInput(
                "scale",
                "{:g},{:g}".format(*self.scale),
                "the lowest and the highest rating, such as 1,5",
                problem="is no scale",
            )
        if bad := next((pair for pair in self.weights if not -1e30 < pair[1] < 1e30), None):
            raise BadInput("weights", f"{bad[0]}={bad[1]}", "a finite number", problem="is no weight")
        self._check_combination()

    def _check_combination(self) -> None:
        """Raise BadInput where two options contradict each other."""
        for other, stated in (("scale", self.scale), ("weights", self.weights or None)):
            needs = "explicit" if other == "scale" else "implicit"
            if stated is not None and self.feedback not in (None, needs):
                problem = f"contradicts {other}, which is for {needs} feedback"
                raise BadInput("feedback", self.feedback, remedy=f"leave one of `feedback` and `{other}` out",
                               problem=problem)  # fmt: skip
        if self.aggregate in ("sum", "count") and "explicit" in (self.feedback, self.scale and "explicit"):
            problem = "is for events, and these are ratings on a scale"
            raise BadInput("aggregate", self.aggregate, "latest or max", "or state `feedback` implicit",
                           problem=problem)  # fmt: skip
        if self.layout == "wide" and (self.weights or any([self.item, self.rating, self.time, self.event])):
            problem = "has one column for each item, and only its user column can be named"
            raise BadInput("layout", "wide", remedy="leave the other `columns` out", problem=problem)
        if self.weights and self.rating is not None:
            raise BadInput("weights", problem="give events a value, and so does the rating column",
                           remedy="leave one of them out")  # fmt: skip

    @property
    def columns(self) -> dict[str, str | None]:
        """Return the column of each role, None where it is left open."""
        return {role: getattr(self, role) for role in ROLES}

    def texts(self) -> dict[str, str]:
        """Return what is stated, each option as one text: what stands on a command line or in a form."""
        texts: dict[str, str] = {}
        if columns := ",".join(f"{role}={name}" for role, name in self.columns.items() if name is not None):
            texts["columns"] = columns
        for name in _PLAIN:
            value = getattr(self, name)
            if value is not None:
                texts[name] = value
        if self.header is not None:
            texts["header"] = "yes" if self.header else "none"
        if self.scale is not None:
            texts["scale"] = "{!r},{!r}".format(*self.scale)
        if self.weights:
            texts["weights"] = ",".join(f"{event}={weight!r}" for event, weight in self.weights)
        return texts

    @classmethod
    def of_texts(cls, texts: Mapping[str, str | None]) -> Reading:
        """Return the reading that `OPTIONS` given as texts describe; a text that is None or "" is left open."""
        given = {name: text for name, text in texts.items() if text}
        if unknown := given.keys() - OPTIONS.keys():
            name = min(unknown)
            raise BadInput(name, problem=f"is no option of reading{suggest(name, list(OPTIONS))}")
        stated: dict[str, Any] = {name: given[name] for name in _PLAIN if name in given}
        if "separator" in stated:
            stated["separator"] = SEPARATORS.get(stated["separator"], stated["separator"].replace("\\t", "\t"))
        if "columns" in given:
            stated |= _columns(given["columns"])
        if "header" in given:
            _one_of("header", given["header"], ("yes", "none"))
            stated["header"] = given["header"] == "yes"
        if "scale" in given:
            if not (pair := _SCALE.fullmatch(given["scale"])):
                raise BadInput(
                    "scale", given["scale"], "the lowest and the highest rating, such as 1,5", problem="is no scale"
                )
            stated["scale"] = (float(pair[1]), float(pair[2]))
        if "weights" in given:
            stated["weights"] = _weights(given["weights"])
        return cls(**stated)


_PLAIN = ("separator", "layout", "time_unit", "feedback", "aggregate")
OPTIONS = {
    "columns": "which column is what, such as user=customer,item=product,rating=stars,time=when,event=type",
    "header": "none for a file whose first line is data already, else yes",
    "separator": f"between the cells: the sign itself or its name ({', '.join(SEPARATORS)})",
    "layout": "long for one rating in a row, wide for one user in a row and one item in a column",
    "scale": "LOW,HIGH: the lowest and the highest rating that can be given, such as 1,5",
    "time_unit": f"{', '.join(TIME_UNITS)}, or a pattern such as %d/%m/%Y",
    "feedback": "explicit ratings, of which the high ones are likes, or implicit events, which all count",
    "aggregate": "what counts of a repeated pair: latest, max, sum or count",
    "weights": "what each event counts, such as view=1,buy=5",
}
"""The options as texts, with what each is for."""


def _one_of(field: str, value: object, known: tuple[str, ...], more: str = "") -> None:
    if value is not None and value not in known:
        raise BadInput(field, value, f"{', '.join(known)}{more}", problem="is not known")


def _columns(text: str) -> dict[str, str]:
    columns: dict[str, str] = {}
    for part in _COLUMN.split(text):
        role, equals, name = part.partition("=")
        if not equals or not name or role not in ROLES:
            expected = "user=NAME,item=NAME,rating=NAME,time=NAME,event=NAME, each only where it is needed"
            raise BadInput("columns", part, expected, problem="is not a role and a column")
        if role in columns:
            raise BadInput("columns", text, problem=f"names {role} twice")
        columns[role] = name
    return columns


def _weights(text: str) -> tuple[tuple[str, float], ...]:
    pairs = [(match[1], float(match[2])) for match in _WEIGHT.finditer(text)]
    if sum(len(match[0]) for match in _WEIGHT.finditer(text)) != len(text) or not pairs:
        raise BadInput("weights", text, "EVENT=WEIGHT,... such as view=1,buy=5", problem="cannot be read")
    if len({event for event, _ in pairs}) < len(pairs):
        raise BadInput("weights", text, problem="names an event twice")
    return tuple(pairs)


class Interpretation:
    """A reading as it is completed while a table is read, with all that had to be inferred.

    stated, reading : what was stated; the same with what has been inferred so far
    inferences      : in the order in which they were made
    notes           : sentences on what else the user should know
    without_id, without_rating : rows that were dropped because they lack a user or item, or a rating
    """

    def __init__(self, reading: Reading | None = None) -> None:
        self.stated = self.reading = reading or Reading()
        self.inferences: list[Inference] = []
        self.notes: list[str] = []
        self.without_id = self.without_rating = 0

    def copy(self) -> Interpretation:
        """Return an interpretation that goes on from here without changing this one."""
        other = Interpretation(self.stated)
        other.adopt(self)
        return other

    def adopt(self, other: Interpretation) -> None:
        """Take over what another one, which went on from here, has come to."""
        self.reading, self.inferences, self.notes = other.reading, [*other.inferences], [*other.notes]
        self.without_id, self.without_rating = other.without_id, other.without_rating

    def infer(self, sentence: str, **values: Any) -> None:
        """Complete the reading; without a sentence it is by the book, and nothing had to be inferred."""
        open_values = {name: value for name, value in values.items() if getattr(self.reading, name) in (None, ())}
        if not open_values:
            return
        self.reading = replace(self.reading, **open_values)
        if sentence:
            several = len(open_values) > 1 or next(iter(open_values)) in ROLES
            field = "columns" if several else next(iter(open_values))
            value: Any = open_values if several else next(iter(open_values.values()))
            self.inferences.append(Inference(field, value, sentence))
