"""A model's settings as fields of a form, made from its config: type, default, help, range, and what is wrong."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import NoneType, UnionType
from typing import Any, Literal, NamedTuple, Union, get_args, get_origin, get_type_hints

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from pages.ui import recipes
from pages.ui.messages import as_sentence
from pages.ui.task_form import Field
from recengine.errors import BadInput
from recengine.jobs.job import Task
from recengine.models.base import Recommender
from recengine.training.config import Config, RunConfig, range_text

NONE = "–"
"""Stands for no choice in a picker."""


@dataclass(frozen=True, kw_only=True)
class Setting(Field):
    """One setting of a model. It is kept in the session, apart for each model, and not in the address.

    owner    : the config that declares it; preset : what an empty field means, where the model says so
    types    : such as [int], [bool] or [tuple[int, ...]], without None and words; words : those of its Literals
    """

    model: str
    owner: type[Config]
    preset: int | None
    types: Sequence[Any]
    words: Sequence[str]
    optional: bool
    primary: int
    range: str

    @property
    def key(self) -> str:
        return f"set {self.model} {self.name}"

    @property
    def number(self) -> type | None:
        """Return int or float if the setting is nothing but a number."""
        return self.types[0] if self.types in ([int], [float]) and not self.words else None

    def read(self, text: str) -> Any:
        """Return what the widget holds for a text that `--set` takes."""
        return self.shown(self.owner.read(self.name, text))

    def write(self, value: Any) -> str:
        """Return what the widget holds as `--set` takes it."""
        if value in (None, NONE, "") and self.optional:
            return "none"
        return str(value).lower() if isinstance(value, bool) else str(value)

    def shown(self, value: Any) -> Any:
        """Return a value of the config as the widget holds it."""
        if self.number or self.types == [bool]:
            return value
        if value is None:
            return "" if self.types else NONE
        return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)

    def draw(self) -> None:
        hint = f"preset: {self.preset}" if self.preset is not None else "off" if self.optional else None
        if self.key not in st.session_state:
            st.session_state[self.key] = self.shown(self.default)
        if self.types == [bool]:
            st.checkbox(self.label, key=self.key, help=self.help, persist_state="session")
        elif not self.types:
            options = [*([NONE] if self.optional else []), *self.words]
            st.selectbox(self.label, options, key=self.key, help=self.help, persist_state="session")
        elif self.number:
            st.number_input(
                self.label,
                key=self.key,
                value=None,
                step=1 if self.number is int else _step(self.default),
                format="%d" if self.number is int else "%g",
                help=self.help,
                placeholder=hint,
                persist_state="session",
            )
        else:
            st.text_input(self.label, key=self.key, help=self.help, placeholder=hint, persist_state="session")

    def arguments(self, task: Task) -> list[str]:
        return recipes.set_flags({name: text for name, text in task.settings.items() if name == self.name})


class Filled(NamedTuple):
    """What a form holds: the settings that are not the presets, as `--set` takes them, and the errors by field."""

    settings: dict[str, str]
    errors: dict[str, BadInput]


def settings_of(kind: type[Recommender]) -> list[Setting]:
    """Return the settings of a model, and of the run if it has epochs; those that matter most first."""
    declared = [(kind.Config, f) for f in dataclasses.fields(kind.Config)]
    if kind.preset_epochs is not None:
        declared += [(RunConfig, f) for f in dataclasses.fields(RunConfig) if f.name in ("epochs", "patience")]
    return sorted((_setting(kind, owner, f) for owner, f in declared), key=lambda setting: setting.primary or math.inf)


def _setting(kind: type[Recommender], owner: type[Config], f: dataclasses.Field[Any]) -> Setting:
    hint = get_type_hints(owner)[f.name]
    parts = list(get_args(hint)) if get_origin(hint) in (Union, UnionType) else [hint]
    types = [part for part in parts if get_origin(part) is not Literal and part is not NoneType]
    of_app, of_run = recipes.presets(kind.name), {"epochs": kind.preset_epochs, "patience": kind.preset_patience}
    range_ = range_text(f.metadata)
    help_ = as_sentence(f.metadata["help"])
    return Setting(
        name=f.name,
        label=f.name.replace("_", " ").capitalize(),
        default=owner.read(f.name, of_app[f.name]) if f.name in of_app else f.default,
        help=help_ if f.metadata["low"] is None else f"{help_} {as_sentence(range_)}",
        model=kind.name,
        owner=owner,
        preset=of_run.get(f.name),
        types=types,
        words=[word for part in parts if get_origin(part) is Literal for word in get_args(part)],
        optional=NoneType in parts,
        primary=f.metadata["primary"],
        range=range_,
    )


def presets(kind: type[Recommender]) -> dict[str, dict[str, str]]:
    """Return ready settings by name; the first are the model's own, tuned on validation data."""
    ready: dict[str, dict[str, str]] = {"Tuned": {}}
    if kind.preset_epochs is not None:
        ready["Quick look"] = {"epochs": "5"}
    if "partial_credit" in kind.Config.__dataclass_fields__:
        ready["Over-fit on purpose"] = {"l2": "0.0", "dropout": "0.0", "epochs": "30", "patience": "30"}
        ready["Partial credit for genres"] = {"partial_credit": "genres:0.4"}
    if "recency_half_life" in kind.Config.__dataclass_fields__:
        ready["Recent counts more"] = {"recency_half_life": "2.0", "recency_floor": "0.05"}
    return ready


def fill(settings: Sequence[Setting], texts: Mapping[str, str]) -> None:
    """Put texts into the form, and presets into the rest of it. For callbacks."""
    for setting in settings:
        text = texts.get(setting.name)
        st.session_state[setting.key] = setting.shown(setting.default) if text is None else setting.read(text)


def read(settings: Sequence[Setting]) -> Filled:
    """Return what the form holds, drawn or not: callbacks run before what was typed last is drawn."""
    filled = Filled({}, {})
    for setting in settings:
        value = st.session_state.get(setting.key, setting.shown(setting.default))
        if value == setting.shown(setting.default):
            continue
        if value is None and not setting.optional:
            filled.errors[setting.name] = BadInput(setting.name, expected=setting.range, problem="is empty")
            continue
        text = setting.write(value)
        try:
            setting.owner.read(setting.name, text)
            filled.settings[setting.name] = text
        except BadInput as error:
            filled.errors[setting.name] = error
    return filled


def draw(settings: Sequence[Setting]) -> dict[str, DeltaGenerator]:
    """Draw the fields; return by field where its error goes."""
    primary = [setting for setting in settings if setting.primary]
    rest = [setting for setting in settings if not setting.primary]
    if len(rest) < 3:
        primary, rest = list(settings), []
    slots = _draw_grid(primary)
    if rest:
        with st.expander(f"{len(rest)} more settings", icon=":material/tune:"):
            slots |= _draw_grid(rest)
    return slots


def _draw_grid(settings: Sequence[Setting]) -> dict[str, DeltaGenerator]:
    slots = {}
    with st.grid(2, min_column_width=130, gap="small"):
        for setting in settings:
            with st.container(gap="xxsmall"):
                setting.draw()
                slots[setting.name] = st.container()
    return slots


def _step(default: float | None) -> float:
    """Return a step that fits the size of the default."""
    return 10.0 ** math.floor(math.log10(default / 2)) if default else 0.1
