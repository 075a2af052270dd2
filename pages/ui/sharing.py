"""Sharing and taking home: a link that can be taken back, a picture, and a page that recommends offline."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock
from urllib.parse import urlsplit

import streamlit as st

from pages.hosting.logs import log_event
from pages.hosting.visitor import check_limit, visitor_id
from pages.posters.picture import HEIGHT, WIDTH, Pictured, picture_svg
from pages.ui import caches, datasets, messages, recipes, sidebar
from pages.ui.datasets import origin_of
from pages.ui.escape import markdown, plain
from pages.ui.reason_words import because
from pages.ui.visitor_lists import as_histories, steered_lists
from pages.ui.visitor_ratings import VisitorRatings, event_log
from pages.ui.words import words_of
from recengine.data.dataset import Dataset
from recengine.export import counted
from recengine.models.base import Recommender
from recengine.serving.event_log import Link
from recengine.serving.explain import reasons
from recengine.serving.share import MOST_RATED, Shared, SharedFilm
from recengine.serving.take_home import take_home

ADDRESS = "shared"
"""Path of the page that a link opens."""
_HERE = Path(__file__).parent
_FONT = _HERE.parent / "static" / "fonts" / "barlow-condensed-bold-latin.woff2"
_as_png = st.components.v2.component(
    "recengine_as_png",
    html='<button type="button"></button>',
    css=(_HERE / "as_png.css").read_text(encoding="utf-8"),
    js=(_HERE / "as_png.js").read_text(encoding="utf-8"),
)
_ONE_AT_A_TIME = Lock()
"""Making a page takes memory and seconds; who asks meanwhile waits."""


def draw(dataset: Dataset, model: Recommender, mine: VisitorRatings, positive: float) -> None:
    """Draw all ways to share a list and to take it home.

    mine : of this visitor; without a like there is no list of their own to share, and what was shared is still shown
    """
    items, fallback = steered_lists(model, dataset, mine, [len(mine.stars)], positive)
    listed = [] if fallback[0] else [int(item) for item in items[0] if item >= 0]
    if listed:
        draw_picture(dataset, mine, listed)
    st.html('<h3 class="part-title">A link</h3>')
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
    st.html('<h3 class="part-title">A page that works offline</h3>')
    draw_take_home(dataset, model, mine, positive)


def draw_picture(dataset: Dataset, mine: VisitorRatings, listed: Sequence[int]) -> None:
    """Draw the picture of the list, and offer it as PNG, which the browser makes of it, and as SVG."""
    words = words_of(dataset)
    films = [Pictured(*dataset.films[item][1:], is_film=words.is_film) for item in listed]
    svg = picture_svg(films, "My top ten", f"from {counted(len(mine.stars), words.ratings)}")
    st.html('<h3 class="part-title">A picture</h3>')
    titles = ", ".join(plain(film.title) for film in films)
    st.image(svg, width=640, alt=f"Your list as a picture: {titles}")
    with st.container(horizontal=True, vertical_alignment="center", key="picture-actions"):
        _as_png(
            key="picture-png",
            width="content",
            data={
                "svg": svg,
                "label": "Download as PNG",
                "name": "my-list.png",
                "width": 2 * WIDTH,
                "height": 2 * HEIGHT,
            },
        )
        st.download_button(
            "Download as SVG",
            svg,
            "my-list.svg",
            "image/svg+xml",
            icon=":material/download:",
            on_click="ignore",
            key="picture-svg",
        )


def draw_take_home(dataset: Dataset, model: Recommender, mine: VisitorRatings, positive: float) -> None:
    """Offer the page that recommends without a server; it is made when it is asked for."""
    st.markdown(
        words_of(dataset).say(
            "One file that goes on recommending without a connection: find films, rate them, and the list changes, "
            "with its reasons. It starts from your ratings, without the knobs, and asks nothing of anyone."
        )
    )
    known = caches.known_model(dataset, caches.DEFAULT_MODEL, sidebar.choice().device)
    default = model if model.name == caches.DEFAULT_MODEL else known and known.model
    if not default:
        st.caption(f"{recipes.label(caches.DEFAULT_MODEL)} makes it: choose that model once on this data.")
        return

    def page() -> str:
        with _ONE_AT_A_TIME:
            font = _FONT.read_bytes()
            aside = {"passed": mine.marked("pass"), "seen": mine.marked("seen")}
            return take_home(default, dataset, mine.stars, positive=positive, font=font, **aside)

    st.download_button(
        "Download the page",
        page,
        "my-list.html",
        "text/html",
        icon=":material/download:",
        on_click="ignore",
        key="take-home",
    )


def snapshot(dataset: Dataset, model: Recommender, mine: VisitorRatings, positive: float, listed: list[int]) -> Shared:
    """Return what a link made now shows."""
    history = as_histories(dataset, mine.events, [len(mine.events)], positive)
    why = reasons(model, history, listed, positive=positive, new_user=True)
    best = sorted(mine.stars.items(), key=lambda rating: -rating[1])
    return Shared(
        dataset=datasets.label(origin_of(dataset).name) + (" (simulated)" if dataset.simulated else ""),
        model=recipes.label(model.name),
        films=[
            _film(dataset, item, because=because(dataset, reason, item, "they"))
            for item, reason in zip(listed, why, strict=True)
        ],
        rated=[_film(dataset, item, stars=stars) for item, stars in best[:MOST_RATED]],
        n_rated=len(best),
        is_film=words_of(dataset).is_film,
    )


def _film(dataset: Dataset, item: int, *, because: Sequence[str] = (), stars: float = 0.0) -> SharedFilm:
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
