"""What a page shows when it has nothing to show: waiting, empty, or input that cannot be used. Each offers one action."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import streamlit as st

from pages.ui.links import link
from pages.ui.text import html, markdown
from recengine.errors import BadInput


@contextmanager
def guard(action: Callable[[], None]) -> Iterator[None]:
    """Turn BadInput into one sentence and the way on that `action` draws."""
    try:
        yield
    except BadInput as fault:
        problem(str(fault), action)


def problem(message: str, action: Callable[[], None]) -> None:
    """Draw an error state."""
    st.error(markdown(_sentence(message)), icon=":material/error:")
    action()


def empty(title: str, text: str, action: Callable[[], None]) -> None:
    """Draw an empty state. `title` and `text` are ours or plain text, never markup."""
    with st.container(key="empty", horizontal_alignment="center"):
        st.html(f'<div class="empty"><h3>{html(title)}</h3><p>{html(text)}</p></div>')
        action()


def start_again() -> None:
    """Offer the first page, without any choice in the address."""
    st.page_link("for_you.py", label="Start again", icon=":material/restart_alt:", query_params={})


def grid_skeleton(rows: int = 1) -> None:
    """Draw the outline of a grid of posters."""
    with st.grid(5, min_column_width=150, gap="medium"):
        for _ in range(5 * rows):
            st.skeleton(height=300)


def back_to(page: str, label: str) -> Callable[[], None]:
    """Return an action that links to a page without its own parameters."""
    return lambda: link(page, label, icon=":material/arrow_back:")


def _sentence(message: str) -> str:
    """Return the message with a capital and a full stop, as a page has it."""
    message = message.strip()
    return message[:1].upper() + message[1:] + ("" if message.endswith((".", "!", "?")) else ".")
