"""Bad input in the words of the public API: fields are called as Python's arguments and methods are."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from recengine.errors import BadInput, renamed

P = ParamSpec("P")
R = TypeVar("R")

_NAMES = {
    "dataset": "data",
    "model_folder": "folder",
    "train": "model.save",  # which writes a folder here, as `train` does on the command line
    "out": "folder",
}
"""What stands for a field of the layers below, where it has another name here."""


def name_of(field: str) -> str:
    """Return what the API calls a field."""
    return _NAMES.get(field, field)


def in_words(sentence: str) -> str:
    """Return a sentence of the layers below with its fields as the API calls them."""
    return renamed(sentence, name_of)


class InvalidInput(BadInput):
    """A `BadInput` that says what to do in Python: what the public API raises. It is a ValueError."""

    def __str__(self) -> str:
        return self.sentence(name_of)


def own_words(function: Callable[P, R]) -> Callable[P, R]:
    """Let a function raise `InvalidInput` for the bad input that it meets, without the traceback of its inside."""

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except BadInput as error:
            given = (error.field, error.value, error.expected, error.remedy)
            raise InvalidInput(*given, problem=error.problem) from None

    return call
