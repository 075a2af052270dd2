"""The form of a model's settings, made from its config: a field for each with its help, range and faults."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Mapping
from types import NoneType, UnionType
from typing import Any, Literal, NamedTuple, Union, get_args, get_origin, get_type_hints

import streamlit as st

from pages.ui import recipes
from pages.ui.escape import html
from pages.ui.messages import as_sentence
from recengine.errors import BadInput
from recengine.models.base import Recommender
from recengine.training.config import Config, RunConfig

_NAMED = re.compile(r"^[a-z_0-9]+=")
"""The name of a field at the start of a fault: beside the field nobody needs it."""
NONE = "–"
"""Stands for no choice in a picker."""


class Field(NamedTuple):
    """One setting: where it is declared, its default, what its declaration says, and what it may be.

    types : such as [int], [bool] or [tuple[int, ...]], without None and words; words : those of its Literals
    """

    name: str
    owner: type[Config]
    default: Any
    about: Mapping[str, Any]
    types: list[Any]
    words: list[str]
    optional: bool

    @property
    def number(self) -> type | None:
        """Return int or float if the setting is nothing but a number."""
        return self.types[0] if self.types in ([int], [float]) and not self.words else None


class Filled(NamedTuple):
    """What a form holds: the settings that are not the presets, as `--set` takes them, and what is wrong by field."""

    settings: dict[str, str]
    faults: dict[str, str]


def fields_of(kind: type[Recommender]) -> list[Field]:
    """Return the settings of a model, and of the run if it has epochs; those that matter most first."""
    declared = [(kind.Config, f) for f in dataclasses.fields(kind.Config)]
    if kind.preset_epochs is not None:
        declared += [(RunConfig, f) for f in dataclasses.fields(RunConfig) if f.name in ("epochs", "patience")]
    own, app = {"epochs": kind.preset_epochs, "patience": kind.preset_patience}, recipes.presets(kind.name)
    found = [_field(owner, f, own, app) for owner, f in declared]
    return sorted(found, key=lambda field: not field.about["primary"])


def _field(
    owner: type[Config], f: dataclasses.Field[Any], presets: Mapping[str, int | None], app: Mapping[str, str]
) -> Field:
    hint = get_type_hints(owner)[f.name]
    parts = list(get_args(hint)) if get_origin(hint) in (Union, UnionType) else [hint]
    words = [word for part in parts if get_origin(part) is Literal for word in get_args(part)]
    types = [part for part in parts if get_origin(part) is not Literal and part is not NoneType]
    default = owner.read(f.name, app[f.name]) if f.name in app else f.default
    return Field(f.name, owner, default, f.metadata | {"preset": presets.get(f.name)}, types, words, NoneType in parts)


def presets(kind: type[Recommender]) -> dict[str, dict[str, str]]:
    """Return ready settings by name; the first are the model's own, tuned on validation data."""
    found: dict[str, dict[str, str]] = {"Tuned": {}}
    if kind.preset_epochs is not None:
        found["Quick look"] = {"epochs": "5"}
    if "partial_credit" in kind.Config.__dataclass_fields__:
        found["Over-fit on purpose"] = {"l2": "0.0", "dropout": "0.0", "epochs": "30", "patience": "30"}
        found["Partial credit for genres"] = {"partial_credit": "genres:0.4"}
    if "recency_half_life" in kind.Config.__dataclass_fields__:
        found["Recent counts more"] = {"recency_half_life": "2.0", "recency_floor": "0.05"}
    return found


def fill(model: str, fields: list[Field], settings: Mapping[str, str]) -> None:
    """Put settings into the form, and presets into the rest of it. For callbacks."""
    for field in fields:
        text = settings.get(field.name)
        value = field.default if text is None else field.owner.read(field.name, text)
        st.session_state[_key(model, field)] = _shown(field, value)


def read(model: str, fields: list[Field]) -> Filled:
    """Return what the form holds, drawn or not: a callback comes before the form is drawn with what was typed last."""
    filled = Filled({}, {})
    for field in fields:
        value = st.session_state.get(_key(model, field), _shown(field, field.default))
        if value == _shown(field, field.default):
            continue
        if value is None and not field.optional:
            filled.faults[field.name] = f"empty; expected {_range(field)}"
            continue
        text = _text(field, value)
        try:
            field.owner.read(field.name, text)
            filled.settings[field.name] = text
        except BadInput as fault:
            filled.faults[field.name] = str(fault)
    return filled


def draw(model: str, fields: list[Field]) -> dict[str, Any]:
    """Draw the fields; return by field the place to say what is wrong with it."""
    first = [field for field in fields if field.about["primary"]]
    rest = [field for field in fields if not field.about["primary"]]
    if len(rest) < 3:
        first, rest = fields, []
    places: dict[str, Any] = {}

    def draw_some(some: list[Field]) -> None:
        with st.grid(2, min_column_width=130, gap="small"):
            for field in some:
                with st.container(gap="xxsmall"):
                    _draw_one(model, field)
                    places[field.name] = st.container()

    draw_some(first)
    if rest:
        with st.expander(f"{len(rest)} more settings", icon=":material/tune:"):
            draw_some(rest)
    return places


def say(place: Any, fault: str) -> None:
    """Say beside a field what is wrong with it."""
    place.html(f'<p class="field-error" role="alert">{html(as_sentence(_NAMED.sub("", fault)))}</p>')


def _draw_one(model: str, field: Field) -> None:
    """Draw a field as its type asks for."""
    key, label, about = _key(model, field), field.name.replace("_", " ").capitalize(), _help(field)
    preset = field.about["preset"]
    hint = f"preset: {preset}" if preset is not None else "off" if field.optional else None
    if key not in st.session_state:
        st.session_state[key] = _shown(field, field.default)
    if field.types == [bool]:
        st.checkbox(label, key=key, help=about, persist_state="session")
    elif not field.types:
        options = [*([NONE] if field.optional else []), *field.words]
        st.selectbox(label, options, key=key, help=about, persist_state="session")
    elif field.number:
        st.number_input(
            label,
            key=key,
            value=None,
            step=1 if field.number is int else _step(field.default),
            format="%d" if field.number is int else "%g",
            help=about,
            placeholder=hint,
            persist_state="session",
        )
    else:
        st.text_input(label, key=key, help=about, placeholder=hint, persist_state="session")


def _key(model: str, field: Field) -> str:
    return f"set {model} {field.name}"


def _shown(field: Field, value: Any) -> Any:
    """Return a value as the field's widget holds it."""
    if field.number or field.types == [bool]:
        return value
    if value is None:
        return "" if field.types else NONE
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _text(field: Field, value: Any) -> str:
    """Return what a widget holds as `--set` takes it."""
    if value in (None, NONE, "") and field.optional:
        return "none"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _step(default: float | None) -> float:
    """Return a step that fits the size of the default."""
    return 10.0 ** math.floor(math.log10(default / 2)) if default else 0.1


def _range(field: Field) -> str:
    low, high = field.about.get("low"), field.about.get("high")
    if low is None:
        return "a value"
    least = f"{'more than ' if field.about.get('open_low') else ''}{low:g}"
    return f"{least} or more" if high is None else f"{least} up to {high:,g}"


def _help(field: Field) -> str:
    said = as_sentence(field.about["help"])
    return f"{said} From {_range(field)}." if field.about.get("low") is not None else said
