"""Links within the app: every view has an address, and a link keeps the data set, model and device in it."""

from __future__ import annotations

import streamlit as st

KEPT = ("data", "model", "device")
"""Address parameters that go with every link."""


def address(**params: object) -> dict[str, str]:
    """Return the query parameters of a link: the frame's own and those given."""
    kept = {name: st.query_params[name] for name in KEPT if name in st.query_params}
    return kept | {name: str(value) for name, value in params.items() if value is not None}


def link(page: str, label: str, *, icon: str | None = None, help: str | None = None, **params: object) -> None:
    """Draw a link to a page. `label` is Markdown whose data has been escaped."""
    st.page_link(page, label=label, icon=icon, help=help or "", query_params=address(**params))
