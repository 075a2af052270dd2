"""Where `tune` looks: the values that it draws for each setting, and the reading of what was asked for instead."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import TYPE_CHECKING

from recengine.errors import BadInput, suggest
from recengine.files import Json
from recengine.models.registry import model_class
from recengine.training.config import Config, Range, Scalar, Search, Setting, Settings

if TYPE_CHECKING:
    import optuna


def search_space(model: str, fixed: Settings, asked: Mapping[str, str]) -> dict[str, Search]:
    """Return what is searched: what the model declares, less what is `fixed`, replaced by `asked` (key -> text).

    Raises BadInput for a text that cannot be read, a setting that is both fixed and asked for, and if nothing is left.
    """
    kind = model_class(model).Config
    known = {f.name: f.metadata.get("search") for f in fields(kind)}
    space = {key: _typed(kind, key, search) for key, search in known.items() if search is not None}
    for key, text in asked.items():
        if key not in known:
            raise BadInput(
                "search",
                key,
                expected=f"one of: {', '.join(known) or 'none'}",
                problem=f"is not a setting of {model!r}{suggest(key, list(known))}",
            )
        if key in fixed:
            raise BadInput(
                "search", key, remedy="choose one of the two", problem=f"is fixed too, at {key}={fixed[key]}"
            )
        space[key] = parse_search(kind, key, text)
    space = {key: search for key, search in space.items() if key not in fixed}
    if not space:
        raise BadInput(
            "model",
            model,
            remedy="fix fewer settings, or choose another model",
            problem="has nothing left to search",
        )
    return space


def parse_search(kind: type[Config], key: str, text: str) -> Search:
    """Return the range of `low:high` or `low:high:log`, or the choices of `a,b,c`; BadInput if it is none."""
    if ":" not in text or isinstance(kind.__dataclass_fields__[key].default, str):
        return _typed(kind, key, tuple(part.strip() for part in text.split(",")))
    low, high, *scale = text.split(":")
    ends = kind.read(key, low), kind.read(key, high)
    numbers = all(isinstance(end, int | float) and not isinstance(end, bool) for end in ends)
    if not numbers or ends[0] >= ends[1] or scale not in ([], ["log"]) or (scale and ends[0] <= 0):
        raise BadInput(
            "search",
            f"{key}={text}",
            expected="LOW:HIGH, LOW:HIGH:log with LOW above 0, or A,B,C",
            problem="cannot be read",
        )
    return Range(*ends, log=bool(scale))


def as_json(search: Search) -> Json:
    """Return a range as its ends and its scale, and choices as a list."""
    return asdict(search) if isinstance(search, Range) else [plain(choice) for choice in search]


def _typed(kind: type[Config], key: str, search: Search) -> Search:
    """Return the search with its values as the field has them, so that 1 and 1.0 are one."""
    if isinstance(search, Range):
        return Range(kind.read(key, search.low), kind.read(key, search.high), search.log)
    return tuple(dict.fromkeys(plain(kind.read(key, value)) for value in search))


def plain(value: Setting) -> Scalar:
    """Return a value as the option `set` takes it: the numbers of a tuple joined by commas."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return ",".join(map(str, value))


def covers(search: Search, value: Scalar) -> bool:
    """Tell whether a search can draw a value."""
    if isinstance(search, Range):
        return isinstance(value, int | float) and search.low <= value <= search.high
    return value in search


def draw(trial: optuna.Trial, key: str, search: Search) -> Scalar:
    """Return a value of the search; numbers with a point keep three digits, as one would write them."""
    if not isinstance(search, Range):
        return trial.suggest_categorical(key, [plain(choice) for choice in search])
    if isinstance(search.low, int) and isinstance(search.high, int):
        return trial.suggest_int(key, search.low, search.high, log=search.log)
    value = trial.suggest_float(key, search.low, search.high, log=search.log)
    return min(max(float(f"{value:.3g}"), search.low), search.high)
