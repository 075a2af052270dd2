"""A form for a task: each choice is declared once, with its parameter in the address, its widget and its flags."""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import streamlit as st

from pages.ui import address, jobs, messages, recipes
from recengine.data.dataset import Dataset
from recengine.jobs.job import Job, Task
from recengine.models.registry import MODELS


@dataclass(frozen=True, kw_only=True)
class Field(ABC):
    """One choice of a task.

    name    : of its parameter in the address, of its widget, and of the option in the task
    flag    : of the command line, which takes the choice as text
    flags   : the arguments, where they are not just the flag and the choice
    names_result : whether another choice is another result; not so for what only changes how it is watched
    """

    name: str
    label: str
    default: Any
    help: str | None = None
    flag: str = ""
    flags: Callable[[Task], Sequence[str]] | None = None
    names_result: bool = True

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
class Number(Field):
    """A whole number from 1."""

    most: int

    def read(self, text: str) -> int | None:
        return int(text) if text.isascii() and text.isdigit() and 1 <= int(text) <= self.most else None

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
    """The choices of a command that runs several models on a data set.

    verb     : begins the title of its jobs
    model_flag : before each model; without it the models follow the command
    positive : the rating from which on an item counts as liked, where it is not the data set's
    """

    dataset: Dataset
    command: str
    verb: str
    models: Models
    fields: Sequence[Field]
    model_flag: str = ""
    positive: Callable[[Task], float] | None = None

    def recall(self, device: str) -> Task:
        """Return the task that the form asks for; address and session say it before the form is drawn."""
        for field in (self.models, *self.fields):
            field.recall()
        state = st.session_state
        options = {field.name: field.write(state[field.name]) for field in self.fields}
        return Task(tuple(state[self.models.name]), device=device, options=options)

    def draw(self, columns: int, width: int) -> None:
        """Draw the widgets, the switches together in the last cell."""
        self.models.draw()
        switches = [field for field in self.fields if isinstance(field, Switch)]
        with st.grid(columns, min_column_width=width, gap="small"):
            for field in self.fields:
                if field not in switches:
                    field.draw()
            if switches:
                with st.container(gap="xxsmall"):
                    for field in switches:
                        field.draw()
        for field in (self.models, *self.fields):
            field.record()

    def draw_start(self, task: Task, label: str, icon: str, start: Callable[[Task], None], *, disabled: bool) -> None:
        """Draw the button that starts the task, and the command line that does the same."""
        with st.container(horizontal=True, vertical_alignment="center"):
            args = (task,)
            key = label.lower()
            st.button(label, type="primary", icon=icon, on_click=start, args=args, disabled=disabled, key=key)
            with st.popover("On the command line", icon=":material/terminal:"):
                st.code(self.command_line(task), language="bash", wrap_lines=True)

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
        return f"{self.verb} {', '.join(map(recipes.label, task.models))}"[:80]

    def arguments(self, task: Task, *, result_only: bool = False) -> list[str]:
        """Return the arguments beside models and data set; `result_only` leaves out what does not change the result."""
        positive = self.dataset.like_threshold if self.positive is None else self.positive(task)
        parts = [field.arguments(task) for field in self.fields if field.names_result or not result_only]
        return [*recipes.run_flags(positive, task.seed, task.device), *(part for some in parts for part in some)]

    def key(self, task: Task, more: str = "") -> str:
        """Return the key of the task's job: one for the same models on the same data with the same result.

        more : what else goes into the result, such as the content of a file
        """
        versions = [MODELS[name].version for name in task.models]
        arguments = self.arguments(task, result_only=True)
        text = json.dumps([self.dataset.fingerprint, versions, task.models, arguments, more])
        return f"{self.command} {hashlib.sha256(text.encode()).hexdigest()[:20]}"

    def find(self, task: Task, more: str = "") -> Job | None:
        """Return the latest job that did or does this task."""
        return jobs.jobs().latest(self.key(task, more))

    def command_line(self, task: Task) -> str:
        """Return the command line that gives the same result."""
        command, flags = self._command(task)
        return recipes.command_line(self.dataset, command, [*flags, *self.arguments(task)])

    def start(
        self, task: Task, arguments: Sequence[str] = (), *, files: Mapping[str, bytes] | None = None, more: str = ""
    ) -> Job:
        """Queue the task. Raises BadInput where the app is hosted and this visitor has asked for too much.

        arguments, files, more : those of the job alone, as in `recipes.start_on` and `key`
        """
        command, flags = self._command(task)
        return recipes.start_on(
            self.dataset,
            command,
            [*flags, *self.arguments(task), *arguments],
            title=self.title(task),
            key=self.key(task, more),
            task=task,
            files=files,
        )

    def _command(self, task: Task) -> tuple[list[str], list[str]]:
        """Return the command and what of its models comes after the data set."""
        if self.model_flag:
            return [self.command], [part for name in task.models for part in (self.model_flag, name)]
        return [self.command, *task.models], []
