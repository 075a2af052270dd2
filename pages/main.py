"""What Streamlit runs first for every page: page config, title, sidebar and navigation round the page itself."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import NamedTuple

import streamlit as st

ROOT = Path(__file__).resolve().parent.parent
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from pages.ui import palette  # noqa: E402 - needs the path above
from pages.ui.escape import html  # noqa: E402 - needs the path above

STATIC = ROOT / "pages" / "static"


class Page(NamedTuple):
    """A page: its file, whose stem is its address, and what the frame shows of it."""

    file: str
    title: str
    icon: str
    lead: str

    @property
    def address(self) -> str:
        """Return the path of the page; the first page is the root."""
        return "" if self is PAGES[0] else self.file.removesuffix(".py")


GROUPS = {
    "Discover": (
        Page(
            "home.py",
            "Home",
            "home",
            "Rate a few films, get a list of your own, and see exactly why. Runs here; no rating leaves it.",
        ),
        Page("film.py", "Film", "movie", "Start from a film you love and wander from there."),
        Page("my_films.py", "My films", "video_library", "Your ratings, your watchlist and your taste."),
        Page("taste_map.py", "Map", "map", "Films that are alike lie together. Find yours, and see where you are."),
        Page("together.py", "Together", "groups", "Two to five tastes, and films for tonight that suit them all."),
    ),
    "Understand": (
        Page(
            "viewers.py",
            "Viewers",
            "local_activity",
            "Pick a viewer and see what a model would recommend them, and why.",
        ),
        Page("live.py", "Live", "stream", "Replay it all in order: each model guesses first, then learns."),
        Page("compare.py", "Compare", "leaderboard", "Which model is best, and is the difference real?"),
        Page("duel.py", "Duel", "balance", "Two lists, two unnamed models: which is better for you?"),
    ),
    "Build": (
        Page("train.py", "Train", "model_training", "Configure a model, watch it train, then use it."),
        Page("data.py", "Data", "database", "What the models learn from, and how to bring your own."),
    ),
}
"""A new page is a file and a line here."""
PAGES = tuple(page for pages in GROUPS.values() for page in pages)


def main() -> None:
    """Draw the frame, then the page that the address names."""
    st.set_page_config(
        page_icon=str(STATIC / "icon.svg"), layout="wide"
    )  # first: a page's own icon is fetched from afar
    chosen = st.navigation({group: [_entry(page) for page in pages] for group, pages in GROUPS.items()})
    lead = next(page.lead for page in PAGES if page.title == chosen.title)
    is_own = chosen.title in [page.title for page in GROUPS["Discover"]]
    st.set_page_config(f"{chosen.title} · RecEngine")
    st.logo(str(STATIC / "logo.svg"), size="large", icon_image=str(STATIC / "icon.svg"))
    st.html(palette.style())
    st.html(ROOT / "pages" / "ui" / "style.css")
    head, header = st.empty(), '<header class="head"><h1>{}</h1><p>{}</p></header>'
    head.html(header.format(html(chosen.title), html(lead)))

    from pages.ui import messages, scroll, sidebar

    scroll.follow()
    with messages.catch_bad_input(messages.start_again_link):
        with st.skeleton(height=320):  # the first session waits for PyTorch here
            words = sidebar.draw(is_folded=is_own)
        if not words.is_film:
            head.html(header.format(html(words.say(chosen.title)), html(words.say(lead))))
        messages.show_pending_toast()
        chosen.run()


def _entry(page: Page) -> st.Page:
    return st.Page(page.file, title=page.title, icon=f":material/{page.icon}:", default=page is PAGES[0])


if __name__ == "__main__":
    main()
