"""The forms of a training and of a search: the model, and its settings with type, default, help and range by config."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import streamlit as st

from pages.ui import recipes
from pages.ui.messages import as_sentence
from pages.ui.task_form import Field, Model, TaskForm
from recengine.data.dataset import Dataset
from recengine.errors import BadInput
from recengine.jobs.job import Task
from recengine.models.base import Recommender
from recengine.models.registry import MODELS
from recengine.training.config import Config, RunConfig, range_text

NONE = "–"
"""Stands for no choice in a picker."""
OF_TASK, LAST = ("seed", "device"), 100
"""Settings of a run that every task has, and their position up front: after all others."""
TRIALS = (5, 200)
"""Fewest and most trials of a search; the fewest is also the step."""


@dataclass(frozen=True, kw_only=True)
class Setting(Field):
    """One setting of a model or of its run, apart for each model.

    What is not valid stays in the session, with its error, and does not reach the address.
    owner    : the config that declares it; preset : what an empty field stands for, where the model has one
    types    : such as [int], [bool] or [tuple[int, ...]], without None and words; words : those of its Literals
    """

    model: str
    owner: type[Config]
    preset: int | None
    types: Sequence[Any]
    words: Sequence[str]
    optional: bool
    range: str

    @property
    def key(self) -> str:
        return f"{self.model}.{self.name}"

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

    def recall(self) -> None:
        with suppress(BadInput):
            if (text := st.query_params.get(self.key)) is not None:
                st.session_state[self.key] = self.read(text)
        st.session_state.setdefault(self.key, self.shown(self.default))

    def record(self) -> None:
        text = ""
        with suppress(BadInput):
            text = self.text()
        if text:
            st.query_params[self.key] = text
        else:
            st.query_params.pop(self.key, None)

    def text(self) -> str:
        """Return what the widget holds as `--set` takes it, or "" for the default. Raises BadInput."""
        value = st.session_state[self.key]
        if value == self.shown(self.default):
            return ""
        if value is None and not self.optional:
            raise BadInput(self.name, expected=self.range, problem="is empty")
        text = self.write(value)
        self.owner.read(self.name, text)
        return text

    def put(self, task: Task) -> Task:
        text = self.text()
        if not text:
            return task
        if self.name in OF_TASK:
            return replace(task, **{self.name: self.owner.read(self.name, text)})
        return replace(task, settings={**task.settings, self.name: text})

    def draw(self) -> None:
        hint = f"preset: {self.preset}" if self.preset is not None else "off" if self.optional else None
        shared: dict[str, Any] = {
            "key": self.key,
            "help": self.help,
            "on_change": self.record,
            "persist_state": "session",
        }
        if self.types == [bool]:
            st.checkbox(self.label, **shared)
        elif not self.types:
            options = [*([NONE] if self.optional else []), *self.words]
            st.selectbox(
                self.label, options, key=self.key, help=self.help, on_change=self.record, persist_state="session"
            )
        elif self.number:
            step, format = (1, "%d") if self.number is int else (_step(self.default), "%g")
            st.number_input(self.label, value=None, step=step, format=format, placeholder=hint, **shared)
        else:
            st.text_input(self.label, placeholder=hint, **shared)

    def arguments(self, task: Task) -> list[str]:
        return recipes.set_flags({name: text for name, text in recipes.asked(task).items() if name == self.name})


@dataclass(frozen=True, kw_only=True)
class Trials(Field):
    """How many settings a search tries."""

    def read(self, text: str) -> int | None:
        return int(text) if text in map(str, range(TRIALS[0], TRIALS[1] + 1, TRIALS[0])) else None

    def put(self, task: Task) -> Task:
        return replace(task, trials=st.session_state[self.name])

    def draw(self) -> None:
        st.slider(self.label, *TRIALS, step=TRIALS[0], key=self.name, on_change=self.record)

    def arguments(self, task: Task) -> list[str]:
        return [self.flag, str(task.trials)]


def training_form(dataset: Dataset, name: str) -> TaskForm:
    """Return the form of a training of a model."""
    model = Model(
        name="train_model",
        label="Model to train",
        default=name,
        options=list(MODELS),
        text_of=lambda model: f"{recipes.label(model)} · {MODELS[model].family}",
    )
    return TaskForm(dataset, "train", "", model, settings_of(MODELS[name]))


def search_form(dataset: Dataset, name: str) -> TaskForm:
    """Return the form of a search for the settings of a model: those that are set, and the number of trials."""
    form = training_form(dataset, name)
    trials = Trials(name="trials", label="Trials", default=20, flag="--trials")
    return replace(form, command="tune", verb="Search", fields=(*form.fields, trials))


def settings_of(kind: type[Recommender]) -> list[Setting]:
    """Return the settings of a model and of its run, epochs among them if it has any; the primary ones first."""
    declared = [(kind.Config, f) for f in dataclasses.fields(kind.Config)]
    run = OF_TASK if kind.preset_epochs is None else (*OF_TASK, "epochs", "patience")
    declared += [(RunConfig, f) for f in dataclasses.fields(RunConfig) if f.name in run]
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
        primary=f.metadata["primary"] or (LAST if f.name in OF_TASK else 0),
        range=range_,
    )


def presets(kind: type[Recommender], *, has_genres: bool = True) -> dict[str, dict[str, str]]:
    """Return ready settings by name; the first are the model's own, tuned on validation data."""
    ready: dict[str, dict[str, str]] = {"Tuned": {}}
    if kind.preset_epochs is not None:
        ready["Quick look"] = {"epochs": "5"}
    if "partial_credit" in kind.Config.__dataclass_fields__:
        ready["Over-fit on purpose"] = {"l2": "0.0", "dropout": "0.0", "epochs": "30", "patience": "30"}
        if has_genres:
            ready["Partial credit for genres"] = {"partial_credit": "genres:0.4"}
    if "recency_half_life" in kind.Config.__dataclass_fields__:
        ready["Recent counts more"] = {"recency_half_life": "2.0", "recency_floor": "0.05"}
    return ready


def fill(settings: Sequence[Setting], texts: Mapping[str, str]) -> None:
    """Put texts into the form, and presets into the rest of it. For callbacks."""
    for setting in settings:
        text = texts.get(setting.name)
        st.session_state[setting.key] = setting.shown(setting.default) if text is None else setting.read(text)
        setting.record()


def _step(default: float | None) -> float:
    """Return a step that fits the size of the default."""
    return 10.0 ** math.floor(math.log10(default / 2)) if default else 0.1
