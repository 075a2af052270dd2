"""Frozen, self-validating configurations: `Config` of a model, `RunConfig` of a run."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import UnionType
from typing import Any, Literal, Self, TypeAlias, Union, get_args, get_origin, get_type_hints

import torch

from recengine.errors import BadInput, suggest


@dataclass(frozen=True)
class Range:
    """What a search draws a number from, both ends included; `log`: evenly on a logarithmic scale."""

    low: float
    high: float
    log: bool = False


Scalar: TypeAlias = bool | int | float | str | None
Setting: TypeAlias = Scalar | Sequence[int | float]
"""The value of a config field, or the text of it."""
Settings: TypeAlias = Mapping[str, Setting]
"""Name of a field of a model's config or of `RunConfig` -> its value, or the text of it."""
Search = Range | tuple[Setting, ...]
"""A range of numbers, or a tuple of choices."""


def option(
    default: Any,
    meaning: str,
    *,
    note: str = "",
    low: float | None = None,
    high: float | None = None,
    open_low: bool = False,
    search: Search | None = None,
    primary: int = 0,
) -> Any:
    """Declare a config field with its meaning and range (`open_low`: the low end itself is excluded).

    The help text is the meaning, and after it the `note` on what holds for this config alone.
    `search` is where `tune` looks for a good value, far less than what is valid; None leaves the field alone.
    `primary` fields are the ones to look at first, 1 before 2; 0 is for all others.
    """
    about = {"low": low, "high": high, "open_low": open_low, "search": search, "primary": primary}
    return field(default=default, metadata=about | {"meaning": meaning, "help": _help(meaning, note)})


def preset(kind: Any, name: str, default: Any, *, note: str | None = None, **changed: Any) -> Any:
    """Declare again a field that the config `kind` has: with the same meaning, and another default.

    `note` replaces the note of `kind`, and `changed` parts of its metadata: the `search`, `primary`, or the range,
    which may only become narrower.
    """
    about = {**kind.__dataclass_fields__[name].metadata, **changed}
    if note is not None:
        about["help"] = _help(about["meaning"], note)
    return field(default=default, metadata=about)


def _help(meaning: str, note: str) -> str:
    return f"{meaning}; {note}" if note else meaning


@dataclass(frozen=True)
class Config:
    """Base of every configuration. Fields are declared with `option`; values are checked on construction.

    Only a field's declaration knows its type, so that what reads any field takes and returns Any; whoever uses a config
    names its class, and has the types.

    Types understood: bool, int, float, str, Literal[...], tuple[X, ...], tuple[X, Y], and with any of them
    `| Literal[...]` or `| None`.
    """

    def __post_init__(self) -> None:
        hints = get_type_hints(type(self))
        for f in dataclasses.fields(self):
            object.__setattr__(self, f.name, _read(f, getattr(self, f.name), hints[f.name]))

    @classmethod
    def read(cls, name: str, value: Any) -> Any:
        """Return a value of one field, which may be text, as the field's type; BadInput as on construction."""
        return _read(cls.__dataclass_fields__[name], value, get_type_hints(cls)[name])

    @classmethod
    def accepts(cls, name: str) -> str:
        """Return what a field takes, in words: its type and range, or its choices."""
        hint = get_type_hints(cls)[name]
        meta = cls.__dataclass_fields__[name].metadata
        kinds, words = _parts(hint)
        ranged = [range_text(meta)] if meta.get("low") is not None or meta.get("high") is not None else []
        typed = [", ".join([_kind_text(kinds[0]), *ranged])] if kinds else []
        parts = [*typed, ", ".join(map(str, words)), "empty" if _optional(hint) else ""]
        return "; or ".join(filter(None, parts))

    @classmethod
    def from_dict(cls, values: Settings) -> Self:
        """Build from names and values, which may be text; BadInput names an unknown field or a bad value."""
        known = [f.name for f in dataclasses.fields(cls)]
        for name in values:
            if name not in known:
                problem = f"is not an option of {cls.__name__}{suggest(name, known)}"
                raise BadInput(name, expected=f"one of: {', '.join(known) or 'none'}", problem=problem)
        return cls(**values)

    def to_dict(self) -> dict[str, Setting]:
        """Return plain JSON-ready values."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in dataclasses.asdict(self).items()}


@dataclass(frozen=True)
class RunConfig(Config):
    """How a run happens: where, from which seed, for how long."""

    device: Literal["auto", "cpu", "cuda"] = option("auto", "where to train; auto takes CUDA when it is there")
    seed: int = option(0, "seed of every random draw", low=0, high=2**31 - 1)
    epochs: int | None = option(
        None, "at most this many passes; empty takes the model's preset", low=1, high=10_000, primary=True
    )
    patience: int | None = option(
        None,
        "stop after this many validations without a gain; empty takes the model's preset",
        low=1,
        high=10_000,
    )

    def torch_device(self) -> torch.device:
        """Return the device, chosen once; BadInput when CUDA is asked for and absent."""
        if self.device == "cuda" and not torch.cuda.is_available():
            raise BadInput(
                "device", "cuda", remedy="choose 'cpu' or 'auto'", problem="is not available on this machine"
            )
        if self.device == "auto":
            return torch.device("cuda" if torch.cuda.is_available() else "cpu")
        return torch.device(self.device)


def _read(f: dataclasses.Field[Any], value: Any, hint: Any) -> Any:
    """Return the value as the field's type; BadInput when it cannot be or is out of the field's range."""
    value = _coerce(f.name, value, hint)
    low, high = f.metadata.get("low"), f.metadata.get("high")
    for number in value if isinstance(value, tuple) else (value,):
        if isinstance(number, bool) or not isinstance(number, int | float):
            continue
        below = low is not None and (number <= low if f.metadata.get("open_low") else number < low)
        if below or (high is not None and number > high) or not math.isfinite(number):
            raise BadInput(f.name, number, range_text(f.metadata), problem="is out of range")
    return value


def _coerce(name: str, value: Any, hint: Any) -> Any:
    """Return the value as the field's type, reading text as the command line gives it."""
    if _optional(hint) and (value is None or (isinstance(value, str) and value.lower() in {"", "none"})):
        return None
    kinds, words = _parts(hint)
    for word in words:
        if str(value) == str(word):
            return word
    if not kinds:
        choices = [str(word) for word in words]
        problem = f"is unknown{suggest(str(value), choices)}"
        raise BadInput(name, str(value), f"one of: {', '.join(choices)}", problem=problem)
    try:
        return _convert(value, kinds[0])
    except (ValueError, TypeError, KeyError, OverflowError):
        expected = " or ".join([_kind_text(kinds[0]), *map(repr, words)])
        raise BadInput(name, str(value), expected, problem="cannot be read") from None


def _parts(hint: Any) -> tuple[list[Any], list[Any]]:
    """Return the types of a hint, None aside, and the words that it takes."""
    options = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    words = [word for option in options if get_origin(option) is Literal for word in get_args(option)]
    return [option for option in options if option is not type(None) and get_origin(option) is not Literal], words


def _optional(hint: Any) -> bool:
    return get_origin(hint) in (Union, UnionType) and type(None) in get_args(hint)


def _convert(value: Any, hint: Any) -> Any:
    if get_origin(hint) is tuple:
        kinds = get_args(hint)
        parts = value.split(",") if isinstance(value, str) else [value] if isinstance(value, int) else value
        parts = [part for part in parts if part != ""]
        kinds = kinds[:1] * len(parts) if kinds[1:] == (...,) else kinds
        return tuple(_convert(part, kind) for part, kind in zip(parts, kinds, strict=True))
    if hint is bool:
        if isinstance(value, bool):
            return value
        return {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}[str(value).lower()]
    if hint is int:
        if isinstance(value, bool) or (isinstance(value, float) and not value.is_integer()):
            raise ValueError(value)
        return int(value)
    return hint(value)


def _kind_text(hint: Any) -> str:
    if get_origin(hint) is tuple:
        kinds = get_args(hint)
        many = "" if kinds[1:] == (...,) else f"{len(kinds)} "
        return f"{many}{'whole numbers' if kinds[0] is int else 'numbers'} joined by commas"
    return {int: "a whole number", float: "a number", bool: "true or false", str: "text"}[hint]


def range_text(meta: Mapping[str, Any]) -> str:
    """Return the range that a field's metadata declares, in words."""
    low, high = meta.get("low"), meta.get("high")
    above = f"more than {low:g}" if meta.get("open_low") else f"at least {low:g}" if low is not None else ""
    below = f"at most {high:g}" if high is not None else ""
    return " and ".join(part for part in (above, below) if part) or "a finite number"
