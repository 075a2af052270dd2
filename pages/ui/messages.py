"""What a page shows instead of content: waiting, empty, or input that cannot be used. Each offers one action."""

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
from recengine.errors import BadInput

P = ParamSpec("P")
Action = Callable[[], object]
"""Draws one button or link."""


@contextmanager
def catch_bad_input(action: Action) -> Iterator[None]:
    """Turn BadInput into one sentence and the way on that `action` draws."""
    try:
        yield
    except BadInput as fault:
        error(str(fault), action)


def toast_errors(callback: Callable[P, None]) -> Callable[P, None]:
    """Let what comes before the page is drawn, as callbacks do, keep BadInput for `say_told`."""

    @wraps(callback)
    def run(*args: P.args, **named: P.kwargs) -> None:
        try:
            callback(*args, **named)
        except BadInput as fault:
            st.session_state["told"] = str(fault)

    return run


def show_pending_toast() -> None:
    """Say, in passing, what could not be done."""
    if fault := st.session_state.pop("told", ""):
        st.toast(markdown(as_sentence(fault)), icon=":material/error:", duration="long")


def error(message: str, action: Action) -> None:
    """Draw an error state."""
    st.error(markdown(as_sentence(message)), icon=":material/error:")
    action()


def disk_error_message(fault: BaseException) -> str:
    """Return a sentence if a disk that is full or closed is what a fault comes from, else ""."""
    numbers = [getattr(fault, "errno", None), *map(int, re.findall(r"\(os error (\d+)\)", str(fault)))]
    for number in numbers:
        if number in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES):
            why = os.strerror(number)
            return f"Nothing can be stored just now ({why}): free some space or open the folder, then start again."
    cause = fault.__cause__ or fault.__context__
    return disk_error_message(cause) if cause else ""


def empty(title: str, text: str, action: Action) -> None:
    """Draw an empty state. `title` and `text` are ours or plain text, never markup."""
    with st.container(key="empty", horizontal_alignment="center"):
        st.html(f'<div class="empty"><h3>{html(title)}</h3><p>{html(text)}</p></div>')
        action()


def start_again_link() -> None:
    """Offer the first page, without any choice in the address."""
    st.page_link("for_you.py", label="Start again", icon=":material/restart_alt:", query_params={})


def grid_skeleton(rows: int = 1) -> None:
    """Draw the outline of a grid of posters."""
    with st.grid(5, min_column_width=150, gap="medium"):
        for _ in range(5 * rows):
            st.skeleton(height=300)


def back_link(page: str, label: str) -> Action:
    """Return an action that links to a page without the person and the film in the address."""
    return lambda: link(page, label, icon=":material/arrow_back:", user=None, item=None)


def as_sentence(message: str) -> str:
    """Return the message with a capital and a full stop, as a page has it."""
    message = message.strip()
    return message[:1].upper() + message[1:] + ("" if message.endswith((".", "!", "?")) else ".")
