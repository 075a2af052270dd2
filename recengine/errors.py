"""The one exception that a person is meant to read."""


class BadInput(ValueError):  # noqa: N818 - it names what the person gave, not our failure
    """Something that a person typed, chose or uploaded cannot be used.

    The message is one sentence: the value, what was expected, what to do. The command line prints it and
    exits with 2; the app shows it beside the control.
    """


def suggest(value: str, known: list[str]) -> str:
    """Return `" (did you mean 'x'?)"` for the closest known name, or an empty string."""
    import difflib

    close = difflib.get_close_matches(value, known, n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""
