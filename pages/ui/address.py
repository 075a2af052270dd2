"""The address of a view: links, and choices that stand in the address.

Streamlit's own binding drops a page's parameters on the way to another page, so that a step back would lose the
filters. Here the address wins; where it says nothing, as after a click on the navigation, the session fills in.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import streamlit as st


def link(page: str, label: str, *, icon: str | None = None, help: str | None = None, **params: object) -> None:
    """Draw a link to a page file of `pages`. `label` is Markdown whose data has been escaped.

    All that the address says goes along, so that a step back finds the view as it was; None leaves a parameter out.
    """
    merged = st.query_params.to_dict() | params
    query = {name: str(value) for name, value in merged.items() if value is not None}
    st.page_link(page, label=label, icon=icon, help=help or "", query_params=query)


def recall(name: str, default: Any, read: Callable[[str], Any]) -> None:
    """Give the widget `name`, which is drawn next, its value: the address's, the session's or the default.

    `read` returns the value that a text stands for, or None when it stands for none.
    """
    text = st.query_params.get(name)
    value = None if text is None else read(text)
    if value is None:
        earlier = st.session_state.get(f"kept {name}")
        value = default if earlier is None or read(earlier) is None else read(earlier)
    st.session_state[name] = value


def record(name: str, default: Any, write: Callable[[Any], str] = str) -> None:
    """Put the widget's value into the address and the session; the default leaves the address clean.

    To be called after the widget is drawn, and as its `on_change`, so that a change wins over the address.
    """
    value = st.session_state[name]
    text = write(value)
    st.session_state[f"kept {name}"] = text
    if value == default:
        st.query_params.pop(name, None)
    else:
        st.query_params[name] = text


def forget(*names: str) -> None:
    """Drop choices from address and session. For callbacks, which run before any widget is drawn."""
    for name in names:
        st.query_params.pop(name, None)
        for key in (name, f"kept {name}"):
            st.session_state.pop(key, None)
