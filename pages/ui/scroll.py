"""Where a page is scrolled to: at the top on another film or viewer, and where one was on the way back."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

_follow = st.components.v2.component(
    "recengine_scroll",
    html="<span hidden></span>",
    js=(Path(__file__).parent / "scroll.js").read_text(encoding="utf-8"),
)


def follow() -> None:
    """Let the browser scroll as pages come and go; drawn once for each page."""
    with st.container(key="scroll"):
        _follow(key="follow scroll")
