"""The frame round the pages: what Streamlit runs first for each of them."""

from __future__ import annotations

import sys
from pathlib import Path

import streamlit as st

ROOT = Path(__file__).resolve().parent.parent
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from pages.ui import sidebar  # noqa: E402 - needs the path above

STATIC = ROOT / "pages" / "static"
st.set_page_config(page_icon=str(STATIC / "icon.svg"), layout="wide")  # first: a page's own icon is fetched from afar
PAGES = {
    "Discover": [
        (
            st.Page("for_you.py", title="For you", icon=":material/local_activity:", default=True),
            "The films one person would most likely love next, best first, each with its reason.",
        ),
        (
            st.Page("similar.py", title="More like this", icon=":material/hub:"),
            "Start from a film and walk to its nearest neighbours, as the model sees them.",
        ),
        (
            st.Page("rate.py", title="Rate", icon=":material/star_half:"),
            "Give films stars and watch your own list follow, rating by rating.",
        ),
    ],
    "Understand": [
        (
            st.Page("live.py", title="Live", icon=":material/stream:"),
            "Ratings replayed as they came: before each one the models are asked, after it they learn.",
        ),
        (
            st.Page("compare.py", title="Compare", icon=":material/leaderboard:"),
            "Which model is best here, by what, and whether that could be chance.",
        ),
    ],
    "Build": [
        (
            st.Page("train.py", title="Train", icon=":material/model_training:"),
            "Set a model up, watch it learn from this data, and use what comes out.",
        ),
        (
            st.Page("data.py", title="Data", icon=":material/database:"),
            "What the models learn from: what is loaded, how it is spread, and how to bring your own.",
        ),
    ],
}
page = st.navigation({group: [entry for entry, _ in pages] for group, pages in PAGES.items()})
leads = {entry.title: lead for pages in PAGES.values() for entry, lead in pages}
st.set_page_config(f"{page.title} · RecEngine")
st.logo(str(STATIC / "logo.svg"), size="large", icon_image=str(STATIC / "icon.svg"))
sidebar.style()
sidebar.title(page.title, leads[page.title])

from pages.ui import messages  # noqa: E402

with messages.catch_bad_input(messages.start_again_link):
    with st.skeleton(height=320):  # the first session waits for PyTorch here
        sidebar.draw()
    messages.show_pending_toast()
    page.run()
