"""The one exception whose message is meant for the user."""

from __future__ import annotations

import re
from collections.abc import Callable


class BadInput(ValueError):  # noqa: N818 - it names what the user gave, not a failure of ours
    """Something that the user typed, chose or uploaded cannot be used.

    field    : name of what was given: an option, a config field, a column, a file
    value    : what was given for it; None where the field alone says it
    expected : what would have been accepted, a noun phrase such as "1 to 40"; may be empty
    remedy   : what to do, an imperative clause such as "choose another folder"; may be empty
    problem  : what is wrong, a verb phrase such as "is out of range"

    Other fields that `expected` or `remedy` speak of stand in backticks there: raise `min_item`. The command line
    turns them and `field` into flags, the app into the labels of its controls; nobody reads the sentence back. The
    problem, which may quote what the user gave, stays as it is.
    """

    def __init__(
        self, field: str, value: object = None, expected: str = "", remedy: str = "", *, problem: str = ""
    ) -> None:
        super().__init__(field, value, expected, remedy, problem)
        self.field, self.value, self.expected, self.remedy, self.problem = field, value, expected, remedy, problem

    def sentence(self, name_of: Callable[[str], str] = str, *, equals: str = "=") -> str:
        """Return one sentence: the value, what was expected, what to do.

        name_of : renames the fields; equals : stands between a field and a value that is no text
        """
        subject = name_of(self.field)
        if isinstance(self.value, str):
            subject += f" {self.value!r}"
        elif self.value is not None:
            subject += f"{equals}{self.value}"

        parts = [
            " ".join(part for part in (subject, self.problem) if part),
            self.expected and f"expected {renamed(self.expected, name_of)}",
            renamed(self.remedy, name_of),
        ]
        return "; ".join(part for part in parts if part)

    def __str__(self) -> str:
        return self.sentence()


def renamed(text: str, name_of: Callable[[str], str] = str) -> str:
    """Return a text with each field that stands in backticks as `name_of` calls it."""
    return re.sub(r"`(\w+)`", lambda match: name_of(match[1]), text)


def suggest(value: str, known: list[str]) -> str:
    """Return `" (did you mean 'x'?)"` for the closest known name, or an empty string."""
    import difflib

    close = difflib.get_close_matches(value, known, n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""
