"""Sharing and taking home: a link that can be taken back, a picture, and a page that recommends offline."""

from __future__ import annotations

from datetime import UTC, datetime
from urllib.parse import urlsplit

import streamlit as st

from pages.hosting.logs import log_event
from pages.hosting.visitor import check_limit, visitor_id
from pages.ui import datasets, messages, recipes
from pages.ui.datasets import origin_of
from pages.ui.escape import markdown
from pages.ui.visitor_lists import as_histories, steered_lists
from pages.ui.visitor_ratings import VisitorRatings, event_log
from pages.ui.words import words_of
from recengine.data.dataset import Dataset
from recengine.export import counted
from recengine.models.base import Recommender
from recengine.serving.event_log import Link
from recengine.serving.explain import reasons
from recengine.serving.share import MOST_RATED, Shared, SharedFilm

ADDRESS = "shared"
"""Path of the page that a link opens."""


def draw(dataset: Dataset, model: Recommender, mine: VisitorRatings, positive: float) -> None:
    """Draw all ways to share a list and to take it home.

    mine : of this visitor; without a like there is no list of their own to share, and what was shared is still shown
    """
    items, fallback = steered_lists(model, dataset, mine, [len(mine.stars)], positive)
    listed = [] if fallback[0] else [int(item) for item in items[0] if item >= 0]
    st.html('<h3 class="part-title">As a link</h3>')
    st.markdown(
        words_of(dataset).say(
            "A page with your list and your ratings as they are now, for anyone who has the link. It shows nothing "
            "else of you, does not change when you rate more, and is gone the moment you take it back."
        )
    )
    if listed:
        st.button(
            "Create a link",
            on_click=share,
            args=(dataset, model, mine, positive, listed),
            icon=":material/link:",
            key="share-link",
        )
    else:
        st.caption(words_of(dataset).say("Rate at least one film first: until then your list is everyone’s."))
    draw_links()


def snapshot(dataset: Dataset, model: Recommender, mine: VisitorRatings, positive: float, listed: list[int]) -> Shared:
    """Return what a link made now shows."""
    history = as_histories(dataset, mine.events, [len(mine.events)], positive)
    why = reasons(model, history, listed, positive=positive, new_user=True)
    because = [reason.item_idx if reason.kind == "contribution" else -1 for reason in why]
    best = sorted(mine.stars.items(), key=lambda rating: -rating[1])
    return Shared(
        dataset=datasets.label(origin_of(dataset).name) + (" (simulated)" if dataset.simulated else ""),
        model=recipes.label(model.name),
        films=[
            _film(dataset, item, because=dataset.films[seed][1] if seed >= 0 else "")
            for item, seed in zip(listed, because, strict=True)
        ],
        rated=[_film(dataset, item, stars=stars) for item, stars in best[:MOST_RATED]],
        n_rated=len(best),
        is_film=words_of(dataset).is_film,
    )


def _film(dataset: Dataset, item: int, *, because: str = "", stars: float = 0.0) -> SharedFilm:
    _, title, year, genres = dataset.films[item]
    return SharedFilm(title, year, genres, because, stars)


@messages.toast_errors
def share(dataset: Dataset, model: Recommender, mine: VisitorRatings, positive: float, listed: list[int]) -> None:
    """Create a link. For callbacks."""
    check_limit("link")
    event_log().share(visitor_id(), snapshot(dataset, model, mine, positive, listed).to_bytes())
    log_event("a link was created")


@messages.toast_errors
def revoke(token: str) -> None:
    """Take a link back. For callbacks."""
    event_log().revoke(visitor_id(), token)
    log_event("a link was taken back")


def draw_links() -> None:
    """List the visitor's links, of all data sets, each with the way to take it back."""
    for number, link in enumerate(event_log().links(visitor_id())):
        shared = Shared.from_bytes(link.content)
        with st.container(horizontal=True, vertical_alignment="center", key=f"shared-{number}"):
            st.code(address_of(link), language=None, wrap_lines=True, width="stretch")
            st.link_button("Open", address_of(link), icon=":material/open_in_new:")
            st.button(
                "Take back",
                on_click=revoke,
                args=(link.token,),
                icon=":material/link_off:",
                help="The link stops working at once, for everyone",
                key=f"revoke-{link.token}",
            )
        moment = datetime.fromtimestamp(link.timestamp, UTC)
        st.caption(
            f"Your list and {counted(shared.n_rated, 'ratings')} on {markdown(shared.dataset)}, "
            f"as on {moment.day} {moment:%B %Y}"
        )


def address_of(link: Link) -> str:
    """Return the whole address of a link, as the visitor's browser reaches this app."""
    base = str(st.get_option("server.baseUrlPath")).strip("/")
    path = f"{base}/{ADDRESS}".lstrip("/")
    here = urlsplit(st.context.url or "")
    origin = f"{here.scheme}://{here.netloc}" if here.netloc else ""
    return f"{origin}/{path}?link={link.token}"
