"""Choices that outlive their widgets: Streamlit forgets what a widget holds when its page is left.

Those with a name in the address outlive a reload as well; where the session knows better, the session wins.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import streamlit as st


def value(key: str, default: Any) -> Any:
    """Return what was last chosen with a widget."""
    return st.session_state.get(f"kept {key}", default)


def or_address(key: str, default: Any, name: str, read: Callable[[str], Any]) -> Any:
    """Return what was last chosen with a widget, else what the address says.

    read : returns the value that a text stands for, or None when it stands for none
    """
    text = st.query_params.get(name)
    given = None if text is None else read(text)
    return value(key, default if given is None else given)


def record(name: str, text: str) -> None:
    """Put a choice into the address; "" leaves the address clean."""
    if text:
        st.query_params[name] = text
    else:
        st.query_params.pop(name, None)


def restore(key: str, default: Any) -> None:
    """Give the widget that is drawn next what was last chosen with it."""
    st.session_state[key] = value(key, default)


def keep(key: str) -> None:
    """Keep what was just chosen. For callbacks."""
    st.session_state[f"kept {key}"] = st.session_state[key]


def change(key: str, new: Any) -> None:
    """Choose for the visitor. For callbacks."""
    st.session_state[key] = st.session_state[f"kept {key}"] = new
