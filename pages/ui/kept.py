"""Choices that outlive their widgets: Streamlit forgets what a widget holds when its page is left."""

from __future__ import annotations

from typing import Any

import streamlit as st


def value(key: str, default: Any) -> Any:
    """Return what was last chosen with a widget."""
    return st.session_state.get(f"kept {key}", default)


def restore(key: str, default: Any) -> None:
    """Give the widget that is drawn next what was last chosen with it."""
    st.session_state[key] = value(key, default)


def keep(key: str) -> None:
    """Keep what was just chosen. For callbacks."""
    st.session_state[f"kept {key}"] = st.session_state[key]


def change(key: str, new: Any) -> None:
    """Choose for the visitor. For callbacks."""
    st.session_state[key] = st.session_state[f"kept {key}"] = new
