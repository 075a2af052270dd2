"""A form for a task: each choice is declared once, with its parameter in the address, its widget and its flags."""

from __future__ import annotations

import hashlib
import json
import re
import shlex
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import streamlit as st

from pages.hosting.visitor import check_limit, visitor_id
from pages.ui import address, jobs, messages, recipes
from pages.ui.datasets import liked_from, origin_of
from recengine.data.dataset import Dataset
from recengine.errors import BadInput
from recengine.jobs.job import Job, JobKind, Task
from recengine.models.registry import MODELS


@dataclass(frozen=True, kw_only=True)
class Field(ABC):
    """One choice of a task.

    name    : of its parameter in the address, of its widget, and of the option in the task
    flag    : of the command line, which takes the choice as text
    flags   : the arguments, where they are not just the flag and the choice
    names_result : whether another choice is another result; not so for what only changes how it is watched
    primary : its position up front, from 1; 0 folds it away where a form has many
    """

    name: str
    label: str
    default: Any
    help: str | None = None
    flag: str = ""
    flags: Callable[[Task], Sequence[str]] | None = None
    names_result: bool = True
    primary: int = 1

    @abstractmethod
    def read(self, text: str) -> Any:
        """Return the value that a text of the address stands for, or None."""

    def write(self, value: Any) -> str:
        """Return the text that stands for a value."""
        return str(value)

    @abstractmethod
    def draw(self) -> None:
        """Draw the widget."""

    def recall(self) -> None:
        """Give the widget its value before it is drawn."""
        address.recall(self.name, self.default, self.read)

    def record(self) -> None:
        """Put the choice into the address. For callbacks, and after the widget is drawn."""
        address.record(self.name, self.default, self.write)

    def put(self, task: Task) -> Task:
        """Return the task with this choice. Raises BadInput for what cannot be chosen."""
        return replace(task, options={**task.options, self.name: self.write(st.session_state[self.name])})

    def arguments(self, task: Task) -> list[str]:
        """Return its part of the command line."""
        if self.flags is not None:
            return list(self.flags(task))
        return [self.flag, task.options[self.name]] if self.flag else []


@dataclass(frozen=True, kw_only=True)
class Models(Field):
    """Several models."""

    options: Sequence[str]
    most: int
    placeholder: str

    def read(self, text: str) -> list[str] | None:
        return [name for name in text.split(",") if name in self.options][: self.most] or (None if text else [])

    def write(self, value: Sequence[str]) -> str:
        return ",".join(value)

    def put(self, task: Task) -> Task:
        return replace(task, models=tuple(st.session_state[self.name]))

    def draw(self) -> None:
        st.multiselect(
            self.label,
            self.options,
            key=self.name,
            format_func=recipes.label,
            max_selections=self.most,
            on_change=self.record,
            placeholder=self.placeholder,
            help=self.help,
        )


@dataclass(frozen=True, kw_only=True)
class Choice(Field):
    """One of several texts; `text_of` returns what is shown for each."""

    options: Sequence[str]
    text_of: Callable[[str], str] = str

    def read(self, text: str) -> str | None:
        return text if text in self.options else None

    def draw(self) -> None:
        st.selectbox(
            self.label,
            self.options,
            key=self.name,
            format_func=self.text_of,
            on_change=self.record,
            help=self.help,
        )


@dataclass(frozen=True, kw_only=True)
class Model(Choice):
    """One model."""

    def put(self, task: Task) -> Task:
        return replace(task, models=(st.session_state[self.name],))


@dataclass(frozen=True, kw_only=True)
class Number(Field):
    """A whole number from 1."""

    most: int

    def read(self, text: str) -> int | None:
        return int(text) if re.fullmatch("[0-9]{1,9}", text) and 1 <= int(text) <= self.most else None

    def draw(self) -> None:
        st.number_input(self.label, 1, self.most, key=self.name, on_change=self.record, help=self.help)


@dataclass(frozen=True, kw_only=True)
class Switch(Field):
    """Yes or no."""

    default: bool = False

    def read(self, text: str) -> bool | None:
        return {"yes": True, "no": False}.get(text)

    def write(self, value: bool) -> str:
        return "yes" if value else "no"

    def draw(self) -> None:
        st.checkbox(self.label, key=self.name, on_change=self.record, help=self.help)


@dataclass(frozen=True)
class TaskForm:
    """The choices of a command that runs one or more models on a data set.

    verb     : begins the title of its jobs
    model_flag : before each model; without it the models follow the command
    positive : the rating from which on an item counts as liked, where it is not the data set's
    """

    dataset: Dataset
    command: str
    verb: str
    models: Models | Model
    fields: Sequence[Field]
    model_flag: str = ""
    positive: Callable[[Task], float] | None = None

    def recall(self, device: str) -> Task:
        """Return the task of address and session, before the form is drawn."""
        for field in (self.models, *self.fields):
            field.recall()
        return self.read(device)[0]

    def read(self, device: str) -> tuple[Task, dict[str, BadInput]]:
        """Return the task that the widgets hold, and the errors by field, whose choices it leaves out."""
        task, errors = Task(device=device), {}
        for field in (self.models, *self.fields):
            try:
                task = field.put(task)
            except BadInput as error:
                errors[field.name] = error
        return task, errors

    def draw(self, columns: int, width: int) -> None:
        """Draw the widgets."""
        self.models.draw()
        self.models.record()
        self.draw_fields(columns, width)

    def draw_fields(
        self, columns: int, width: int, errors: Mapping[str, BadInput] = MappingProxyType({}), most_folded: int = 2
    ) -> None:
        """Draw the widgets but for the models, each with its error; many that are not primary are folded away."""
        folded = [field for field in self.fields if not field.primary]
        folded = folded if len(folded) > most_folded else []
        _draw_grid([field for field in self.fields if field not in folded], columns, width, errors)
        if folded:
            wrong = any(field.name in errors for field in folded)
            with st.expander(f"{len(folded)} more settings", icon=":material/tune:", expanded=wrong):
                _draw_grid(folded, columns, width, errors)
        for field in self.fields:
            field.record()
        for name in errors.keys() - {field.name for field in self.fields}:
            messages.field_error(messages.bad_input_message(errors[name]))

    def draw_start(
        self, task: Task, label: str, icon: str, start: Callable[[Task], None], *, disabled: bool, note: str = ""
    ) -> bool:
        """Draw the button that starts the task, a note, and the command line; return whether it was clicked."""

        def start_it() -> None:
            now, errors = self.read(task.device)  # the last choice may have come with the click
            if not errors:
                start(now)

        with st.container(horizontal=True, vertical_alignment="center"):
            clicked = st.button(
                label, type="primary", icon=icon, on_click=start_it, disabled=disabled, key=label.lower()
            )
            with st.popover("On the command line", icon=":material/terminal:"):
                st.code(self.command_line(task), language="bash", wrap_lines=True)
            if note:
                st.caption(note)
        return clicked

    def draw_first(
        self, task: Task, title: str, text: str, start: Callable[[Task], None], *, disabled: bool = False
    ) -> None:
        """Draw what stands in place of a result where there is none: one thing to do, with the default models."""
        first = replace(task, models=tuple(self.models.default))
        label, icon = self.title(first), ":material/play_arrow:"
        messages.empty(
            title,
            text,
            lambda: st.button(label, on_click=start, args=(first,), icon=icon, disabled=disabled, key="first"),
        )

    def title(self, task: Task) -> str:
        """Return the title of the task's job."""
        return f"{self.verb} {recipes.describe(task)}".strip()[:80]

    def arguments(self, task: Task, *, result_only: bool = False) -> list[str]:
        """Return all arguments but models and data set; `result_only` leaves out what does not change the result."""
        positive = liked_from(self.dataset) if self.positive is None else self.positive(task)
        parts = [field.arguments(task) for field in self.fields if field.names_result or not result_only]
        run = ["--positive", str(positive), "--seed", str(task.seed), "--device", task.device]
        return [*run, *(part for some in parts for part in some)]

    def key(self, task: Task, more: str = "") -> str:
        """Return the key of the task's job: one for the same models on the same data with the same result.

        On an upload it ends in its owner, whose jobs no other visitor is given.
        more : what else goes into the result, such as the content of a file
        """
        versions = [MODELS[name].version for name in task.models]
        arguments = self.arguments(task, result_only=True)
        owner = origin_of(self.dataset).owner
        text = json.dumps([self.dataset.fingerprint, versions, task.models, arguments, more])
        return f"{self.command} {hashlib.sha256(text.encode()).hexdigest()[:20]} {owner}".rstrip()

    def find(self, task: Task, more: str = "") -> Job | None:
        """Return the latest job that did or does this task."""
        return jobs.jobs().latest(self.key(task, more))

    def command_line(self, task: Task) -> str:
        """Return the command line that gives the same result."""
        command, flags = self._command(task)
        arguments = [*command, *origin_of(self.dataset).shown_arguments(), *flags, *self.arguments(task)]
        return shlex.join(["python", "-m", "recengine", *arguments])

    def start(
        self, task: Task, arguments: Sequence[str] = (), *, files: Mapping[str, bytes] | None = None, more: str = ""
    ) -> Job:
        """Queue the task; return the job that does it already, if there is one.

        A job on a visitor's upload is theirs alone.
        arguments, more : of the job alone, and as in `key`
        files           : name -> content of what else the job's folder holds, of this visitor, who then owns the job
        Raises BadInput where the app is hosted and this visitor has asked for too much.
        """
        check_limit("job")
        origin = origin_of(self.dataset)
        command, flags = self._command(task)
        return jobs.jobs().start(
            [*command, *origin.arguments(), *flags, *self.arguments(task), *arguments],
            kind=JobKind(self.command),
            title=self.title(task),
            key=self.key(task, more),
            owner=origin.owner or (visitor_id() if files else ""),
            task=replace(task, data=origin.name, fingerprint=self.dataset.fingerprint),
            files=files,
        )

    def _command(self, task: Task) -> tuple[list[str], list[str]]:
        """Return the command and what of its models comes after the data set."""
        if self.model_flag:
            return [self.command], [part for name in task.models for part in (self.model_flag, name)]
        return [self.command, *task.models], []


def _draw_grid(fields: Sequence[Field], columns: int, width: int, errors: Mapping[str, BadInput]) -> None:
    """Draw fields in a grid, each with its error, the switches together in the last cell."""
    switches = [field for field in fields if isinstance(field, Switch)]
    with st.grid(columns, min_column_width=width, gap="small"):
        for field in fields:
            if field not in switches:
                with st.container(gap="xxsmall"):
                    field.draw()
                    if field.name in errors:
                        messages.field_error(messages.bad_input_message(errors[field.name]))
        if switches:
            with st.container(gap="xxsmall"):
                for field in switches:
                    field.draw()
