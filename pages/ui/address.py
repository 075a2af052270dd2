"""The address of a view: links, and choices that stand in the address.

Streamlit's own binding drops a page's parameters on the way to another page, so that a step back would lose the
filters. Here the address wins; where it has no value, as after a click on the navigation, the session fills in.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import streamlit as st


def link(page: str, label: str, *, icon: str | None = None, help: str | None = None, **params: object) -> None:
    """Draw a link to a page file of `pages`. `label` is Markdown whose data has been escaped.

    All parameters of the address go along, so that a step back finds the view as it was; None leaves one out.
    """
    merged = st.query_params.to_dict() | params
    query = {name: str(value) for name, value in merged.items() if value is not None}
    st.page_link(page, label=label, icon=icon, help=help or "", query_params=query)


def recall(name: str, default: Any, read: Callable[[str], Any], *, of_dataset: bool = False) -> None:
    """Give the widget `name`, which is drawn next, its value: the address's, the session's or the default.

    read       : returns the value that a text stands for, or None when it stands for none
    of_dataset : whether the choice means something on one data set only, as a viewer or a film does
    """
    if of_dataset:
        st.session_state.setdefault("choices of the data set", set()).add(name)
    text = st.query_params.get(name)
    value = None if text is None else read(text)
    if value is None:
        earlier = st.session_state.get(_kept(name))
        value = default if earlier is None or read(earlier) is None else read(earlier)
    st.session_state[name] = value


def record(name: str, default: Any, write: Callable[[Any], str] = str) -> None:
    """Put the widget's value into the address and the session; the default leaves the address clean.

    To be called after the widget is drawn, and as its `on_change`, so that a change wins over the address.
    """
    value = st.session_state[name]
    text = write(value)
    st.session_state[_kept(name)] = text
    if value == default:
        st.query_params.pop(name, None)
    else:
        st.query_params[name] = text


def forget(*names: str) -> None:
    """Drop choices from address and session. For callbacks, which run before any widget is drawn."""
    for name in names:
        st.query_params.pop(name, None)
        for key in (name, _kept(name)):
            st.session_state.pop(key, None)


def forget_of_dataset() -> None:
    """Drop the choices that another data set gives no meaning, and parameters that no page has read yet.

    For callbacks, like `forget`.
    """
    unread = [name for name in st.query_params if _kept(name) not in st.session_state]
    forget(*st.session_state.get("choices of the data set", ()), *unread)


def _kept(name: str) -> str:
    return f"kept {name}"
