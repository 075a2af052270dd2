"""What a page shows instead of content: errors and empty states. Each offers one action."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import ParamSpec

import streamlit as st

from pages.ui.address import link
from pages.ui.escape import html, markdown
from pages.ui.words import Words
from recengine import settings
from recengine.errors import BadInput
from recengine.serving.search import Matches

P = ParamSpec("P")
Action = Callable[[], object]
"""Draws one button or link."""

LABELS = {
    "user": "viewer",
    "item": "film",
    "dataset": "data set",
    "positive": "liked from",
    "k": "number of films",
    "min_user": "ratings per viewer, at least",
    "min_item": "ratings per film, at least",
}
"""Field of a BadInput -> its label in the app, where that is not the name of the field."""


def bad_input_message(error: BadInput) -> str:
    """Return the error as a sentence that speaks of the app's controls."""
    return as_sentence(error.sentence(_label, equals=": "))


def _label(field: str) -> str:
    """Return what the app calls a field; what is not a plain name, such as that of a file, stays as it is."""
    words: Words | None = st.session_state.get("words")
    if field in LABELS:
        return words.say(LABELS[field]) if words else LABELS[field]
    return field.replace("_", " ") if field.isidentifier() and not field.isupper() else field


@contextmanager
def catch_bad_input(action: Action) -> Iterator[None]:
    """Draw BadInput as one sentence, and the way on that `action` draws."""
    try:
        yield
    except BadInput as bad_input:
        error(bad_input_message(bad_input), action)


def toast_errors(callback: Callable[P, None]) -> Callable[P, None]:
    """Keep a callback's BadInput for `show_pending_toast`: callbacks run before the page can draw anything."""

    @wraps(callback)
    def run(*args: P.args, **named: P.kwargs) -> None:
        try:
            callback(*args, **named)
        except BadInput as bad_input:
            st.session_state["pending toast"] = bad_input_message(bad_input)

    return run


def show_pending_toast() -> None:
    """Show once what a callback could not do."""
    if message := st.session_state.pop("pending toast", ""):
        st.toast(markdown(message), icon=":material/error:", duration="long")


def error(message: str, action: Action) -> None:
    """Draw an error and the way on."""
    st.error(markdown(as_sentence(message)), icon=":material/error:")
    action()


def field_error(message: str) -> None:
    """Draw what is wrong with a field, where it stands."""
    st.html(f'<p class="field-error" role="alert">{html(as_sentence(message))}</p>')


def disk_error_message(error: BaseException) -> str:
    """Return a sentence if a disk that is full or not writable caused the error, else ""."""
    numbers = [getattr(error, "errno", None), *map(int, re.findall(r"\(os error (\d+)\)", str(error)))]
    for number in numbers:
        if number in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES):
            why = os.strerror(number)
            return f"Nothing can be stored just now ({why}): free some space or open the folder, then start again."
    if isinstance(error, OSError) and (home := settings.home_error(error)):
        return bad_input_message(home)
    cause = error.__cause__ or error.__context__
    return disk_error_message(cause) if cause else ""


def empty(title: str, text: str, action: Action) -> None:
    """Draw an empty state. `title` and `text` are ours or plain text, never markup."""
    with st.container(key="empty", horizontal_alignment="center"):
        st.html(f'<div class="empty"><h2>{html(title)}</h2><p>{html(text)}</p></div>')
        action()


def search_note(query: str, matches: Matches) -> None:
    """Say what the list below a search leaves open: nothing matches, only the nearest titles, or there are more."""
    more = matches.total - len(matches.films)
    if matches.nearest or not matches.total:
        missing = f"“{markdown(query)}” is not in this catalogue."
        st.caption(f"{missing} Nearest titles:" if matches.films else missing)
    elif more:
        st.caption(f"{matches.total:,} match, the {len(matches.films)} best are shown. Keep typing to narrow them.")


def start_again_link() -> None:
    """Offer the first page, without any choice in the address."""
    st.page_link("home.py", label="Start again", icon=":material/restart_alt:", query_params={})


def back_link(page: str, label: str) -> Action:
    """Return an action that links to a page without the viewer and the film in the address."""
    return lambda: link(page, label, icon=":material/arrow_back:", user=None, item=None)


def as_sentence(message: str) -> str:
    """Return the message with a capital, unless it begins with the name of a file, and a full stop."""
    message = message.strip()
    capital = message[:1] if re.match(r"\S+\.\w", message) else message[:1].upper()
    return capital + message[1:] + ("" if message.endswith((".", "!", "?")) else ".")
