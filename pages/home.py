"""Home: rate a few films and get a list of your own, with what moved, why, and rows to wander on from."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from pages.hosting.visitor import is_remembered
from pages.ui import (
    caches,
    import_export,
    jobs,
    messages,
    only_from,
    own_list,
    rating_panels,
    recipes,
    shelves,
    sidebar,
    to_rate,
    visitor_ratings,
    waiting,
)
from pages.ui.address import link
from pages.ui.visitor_lists import scored
from pages.ui.visitor_ratings import VisitorRatings
from pages.ui.words import words_of
from recengine.data.dataset import Dataset
from recengine.experiments.store import Trained
from recengine.models.base import Recommender

BOARDS = (to_rate.BOARD, own_list.BOARD, *shelves.BOARDS)
PANELS = {
    "Side by side": rating_panels.side_by_side,
    "Rank over time": rating_panels.ranks_over_time,
    "How it grew": rating_panels.step_by_step,
}
"""What there is to see of a list -> the function that draws it."""


def forget_other_dataset(dataset: Dataset) -> None:
    """Drop what this session keeps of another data set, whose indices mean other films here."""
    state = st.session_state
    if state.setdefault("rate dataset", dataset.fingerprint) != dataset.fingerprint:
        for name in ("hand", "hands", "offered", "shown", "before", "stands", "act"):
            state.pop(f"rate {name}", None)
        state["rate dataset"] = dataset.fingerprint


def start(dataset: Dataset, positive: float) -> None:
    """Draw the other two ways to a first list: an export of one's ratings, and a taste to borrow."""
    sources = " from Letterboxd or IMDb" if words_of(dataset).is_film else ""
    with st.grid(2, min_column_width=300, gap="large", key="start-part"):
        with st.container():
            st.html(f'<h2 class="row-title">Or bring your ratings{sources}</h2>')
            import_export.draw_import(dataset)
        with st.container():
            to_rate.draw_personas(dataset, positive)


def more(dataset: Dataset, model: Recommender, mine: VisitorRatings, positive: float) -> None:
    """Draw what else there is to see of the list."""
    with st.container(horizontal=True, vertical_alignment="bottom", key="more"):
        panel = st.segmented_control("More about your list", list(PANELS), key="rate panel", width="stretch")
        link("my_films.py", "Your ratings, taste and files", icon=":material/video_library:")
    if panel:
        PANELS[panel](dataset, model, mine, positive)


@st.fragment
def studio(model: Recommender, positive: float) -> None:
    """Draw everything that a rating changes; an act reruns this part alone."""
    with messages.catch_bad_input(messages.start_again_link):
        dataset = sidebar.dataset()
        forget_other_dataset(dataset)
        if events := visitor_ratings.unkept(dataset, BOARDS):
            messages.toast_errors(visitor_ratings.append)(dataset, events)
            to_rate.clear_search(events)
        mine = visitor_ratings.current(dataset)
        visitor_ratings.acknowledge(mine)
        if not is_remembered():
            st.caption(visitor_ratings.FORGOTTEN)
        messages.show_pending_toast()
        import_export.draw_imported(dataset, mine)
        above = result = None
        if mine.stars:
            result = scored(model, dataset, mine, [len(mine.stars)], positive, only_from.chosen(dataset, mine))
        with st.container(key="home"):
            left, right = st.container(key="rate-part"), st.container(key="list-part")
            with right:  # the list first: it is what one waits for
                if result is not None:
                    above = own_list.draw(dataset, model, mine, positive, result)
                else:
                    own_list.forget(dataset, mine)
            with left:
                to_rate.draw(dataset, mine)
        if above is None:
            start(dataset, positive)
            return
        shelves.draw(above)
        more(dataset, model, mine, positive)


st.html(Path(__file__).parent / "ui" / "home.css")
ready = sidebar.ready()
with messages.catch_bad_input(messages.start_again_link):
    able = "fold-in" in ready.trained.model.abilities
    trained = ready.trained if able else caches.find_model(ready.dataset, caches.DEFAULT_MODEL, sidebar.choice().device)
    if not able:
        st.info(
            f"{recipes.label(sidebar.choice().model)} cannot read new ratings, so "
            f"{recipes.label(caches.DEFAULT_MODEL)} makes this list.",
            icon=":material/info:",
        )
    if isinstance(trained, Trained):
        studio(trained.model, ready.positive)
    elif trained.active:
        waiting.draw(ready.dataset, trained)
    else:
        messages.error(f"{trained.title} was not trained: {jobs.reason(trained)}", messages.start_again_link)
