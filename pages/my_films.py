"""My films: the visitor's ratings, watchlist, seen and hidden films, their taste, and all of it in and out."""

from __future__ import annotations

import streamlit as st

from pages.hosting.visitor import is_remembered
from pages.ui import (
    caches,
    cards,
    datasets,
    import_export,
    marks,
    messages,
    own_models,
    own_ratings,
    own_taste,
    sharing,
    sidebar,
    visitor_ratings,
)
from pages.ui.address import link, recall, record
from pages.ui.escape import html
from pages.ui.visitor_lists import steered_lists
from pages.ui.visitor_ratings import VisitorRatings
from pages.ui.words import Words, words_of
from recengine.data.dataset import Dataset
from recengine.export import counted, nouns
from recengine.models.base import Recommender

VIEWS = ("ratings", *marks.LABELS, "charts", "models", "files", "share")
"""What the page shows, one at a time."""
EXPORTED = 50
"""Recommendations in the file to download."""


def label(view: str, mine: VisitorRatings) -> str:
    """Return the name of a view, with how many films it holds."""
    if view in marks.LABELS:
        return f"{marks.LABELS[view]} {len(mine.marked(view)):,}"
    names = {"charts": "Taste", "models": "Which model suits me", "files": "Import and export", "share": "Share"}
    return names.get(view, f"Ratings {len(mine.stars):,}")


def elsewhere(dataset: Dataset) -> None:
    """Say what the visitor has rated on other data sets, with a button that leads there."""
    others = visitor_ratings.elsewhere(dataset)
    if not others:
        return
    with st.container(horizontal=True, vertical_alignment="center", key="elsewhere"):
        st.html('<span class="legend">You have ratings on other data too</span>')
        for name, count in others.items():
            st.button(
                f"{datasets.label(name)} · {count:,}",
                on_click=sidebar.choose,
                args=("data", name),
                help=f"Switches to {datasets.label(name)}, where {counted(count, 'films')} of yours are",
                key=f"elsewhere {name}",
            )


def ticket(dataset: Dataset, mine: VisitorRatings, positive: float) -> None:
    """Draw the visitor's figures."""
    words, stars = words_of(dataset), list(mine.stars.values())
    liked = sum(dataset.in_scale(value, positive) >= positive for value in stars)
    mean = "" if words.is_implicit or not stars else f"<b>{sum(stars) / len(stars):.1f} ★</b> on average · "
    parts = [
        f"<b>{len(items):,}</b> {text}"
        for kind, text in (("watchlist", "on your watchlist"), ("seen", "seen, not rated"), ("pass", "not interested"))
        if (items := mine.marked(kind))
    ]
    missing = (
        f"{counted(mine.elsewhere, 'films')} of yours {'is' if mine.elsewhere == 1 else 'are'} not in this edition of "
        "the data; your ratings of them are kept."
        if mine.elsewhere
        else ""
    )
    st.html(
        f'<section class="ticket"><div class="stub"><b>{len(stars):,}</b>'
        f"<span>{nouns(len(stars), words.items)} rated</span></div><div>"
        f'<p class="who">{mean}<b>{liked:,}</b> liked</p>'
        f'<p class="facts">{" · ".join(parts)}</p><p class="facts">{html(words.say(missing))}</p></div></section>'
    )


def nothing_yet(dataset: Dataset, words: Words) -> None:
    """Draw what will stand here, the way to the first ratings, and the import."""
    messages.empty(
        words.say("Your films will be here"),
        words.say("Every film you rate or save, your taste in charts, and a way to take it all with you."),
        lambda: link("home.py", words.say("Rate films"), icon=":material/star_half:"),
    )
    st.html('<h2 class="row-title">Or import your ratings</h2>')
    import_export.draw_import(dataset)
    sharing.draw_links()


def list_model(dataset: Dataset) -> Recommender | None:
    """Return the model that makes the visitor's list: the chosen one, or the default; None while neither is trained."""
    chosen = sidebar.choice()
    names = (chosen.model, caches.DEFAULT_MODEL)
    known = (caches.known_model(dataset, name, chosen.device) for name in names)
    return next((one.model for one in known if one and "fold-in" in one.model.abilities), None)


def files(dataset: Dataset, mine: VisitorRatings, positive: float) -> None:
    """Draw the downloads, the import and the erasure."""
    model, films = list_model(dataset), []
    if model is not None and mine.stars:
        items, _ = steered_lists(model, dataset, mine, [len(mine.stars)], positive, k=EXPORTED)
        films = [cards.film(dataset, int(item)) for item in items[0] if item >= 0]
    st.html('<h2 class="row-title">Take it with you</h2>')
    import_export.draw_export(dataset, mine, films)
    st.html('<h2 class="row-title">Import ratings</h2>')
    import_export.draw_import(dataset)


def share(dataset: Dataset, mine: VisitorRatings, positive: float) -> None:
    """Draw the ways to share the list, once there is a model that makes one."""
    st.html('<h2 class="row-title">Share your list</h2>')
    model = list_model(dataset)
    if model is not None:
        sharing.draw(dataset, model, mine, positive)
        return
    link("home.py", "Your list is not ready yet: see how far it is on Home", icon=":material/hourglass:")


@st.fragment
def studio() -> None:
    """Draw the views; an act on a film reruns this part alone."""
    with messages.catch_bad_input(messages.start_again_link):
        dataset = sidebar.dataset()
        positive, words = datasets.liked_from(dataset), words_of(dataset)
        if events := visitor_ratings.unkept(dataset, (own_ratings.BOARD, marks.BOARD)):
            messages.toast_errors(visitor_ratings.append)(dataset, events)
        mine = visitor_ratings.current(dataset)
        visitor_ratings.acknowledge(mine)
        messages.show_pending_toast()
        import_export.draw_imported(dataset, mine)
        if not mine.standing and "mine order" not in st.session_state:
            nothing_yet(dataset, words)
            return
        if not is_remembered():
            st.caption(visitor_ratings.FORGOTTEN)
        ticket(dataset, mine, positive)
        recall("show", VIEWS[0], lambda text: text if text in VIEWS else None)
        view = st.segmented_control(
            "Show",
            VIEWS,
            format_func=lambda view: words.say(label(view, mine)),
            required=True,
            label_visibility="collapsed",
            key="show",
            on_change=record,
            args=("show", VIEWS[0]),
        )
        record("show", VIEWS[0])
        if view == "ratings":
            own_ratings.draw(dataset, mine)
        elif view == "charts":
            own_taste.draw(dataset, mine, positive)
        elif view == "models":
            own_models.draw(dataset, mine, positive)
        elif view == "files":
            files(dataset, mine, positive)
        elif view == "share":
            share(dataset, mine, positive)
        else:
            marks.draw_kind(dataset, mine, str(view))


with messages.catch_bad_input(messages.start_again_link):
    data = sidebar.dataset()
    sidebar.show_model_status(data)
    own_ratings.start_over()
    elsewhere(data)
    studio()
