"""Sharing: a link shows what was shared and no more, and is dead once it is taken back."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from io import BytesIO

import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

from pages.hosting.limits import LIMITS
from pages.ui import shared_page, visitor_ratings
from pages.ui.escape import html
from recengine.data.dataset import Dataset
from recengine.data.interactions import Interactions
from recengine.data.sources import load_dataset
from recengine.experiments.train import TrainingRequest, obtain
from recengine.models.registry import DEFAULT
from recengine.serving.event_log import EventLog, Link, rated
from recengine.serving.recommend import recommend_new
from recengine.serving.share import Shared, SharedFilm
from tests.app.conftest import press
from tests.app.test_data import HOSTILE

TAGS = {"header", "main", "section", "footer", "h1", "h2", "h3", "p", "ol", "ul", "li", "img", "span", "b", "a"}
ATTRIBUTES = {"class", "id", "aria-labelledby", "src", "alt", "loading", "decoding", "width", "height", "href"}
PICTURE = "http://localhost/picture.jpg"


class Elements(HTMLParser):
    """The names of elements and attributes of a page, as a browser reads it."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}


LIKED = {"839": 5.0, "460": 4.5, "927": 4.0, "12": 1.5}


def page() -> None:
    """Draw the ways to share as a page does, for a visitor of this session."""
    import streamlit as st

    from pages.ui import caches, datasets, sharing, visitor_ratings

    st.session_state["data"], st.session_state["model"] = "sample", caches.DEFAULT_MODEL
    dataset = datasets.shared_dataset("sample")
    model = caches.find_model(dataset, caches.DEFAULT_MODEL, "cpu").model
    sharing.draw(dataset, model, visitor_ratings.current(dataset), 4.0)


def visit(ratings: dict[str, float]) -> AppTest:
    app = AppTest.from_function(page, default_timeout=60).run()
    log = EventLog()
    log.append(app.session_state["visitor"], "sample", [rated(item, stars) for item, stars in ratings.items()])
    log.close()
    return run(app)


def run(app: AppTest) -> AppTest:
    app.run()
    assert not app.exception, app.exception
    return app


def links_of(app: AppTest) -> list[Link]:
    return visitor_ratings.event_log().links(app.session_state["visitor"])


def test_a_link_shows_the_list_and_the_ratings_of_its_moment() -> None:
    app = visit(LIKED)
    press(app, "Create a link")
    (link,) = links_of(app)
    assert app.code[0].value.endswith(f"/shared?link={link.token}")
    shared = Shared.from_bytes(link.content)
    sample = load_dataset("sample")
    model = obtain(TrainingRequest(sample, DEFAULT)).model
    histories = history(sample, LIKED)
    listed = recommend_new(model, sample, histories).ranking.items[0].tolist()
    assert [film.title for film in shared.films] == [sample.films[item][1] for item in listed]
    assert [film.stars for film in shared.rated] == sorted(LIKED.values(), reverse=True)
    text, status = shared_page.page(link, PICTURE)
    assert f'<meta property="og:image" content="{PICTURE}">' in text
    assert status == 200
    for film in (*shared.films, *shared.rated):
        assert html(film.title) in text
    press(app, "Create a link")
    assert len(links_of(app)) == 1

    visitor_ratings.event_log().append(app.session_state["visitor"], "sample", [rated("1", 5.0)])
    assert shared_page.page(links_of(app)[0], PICTURE)[0] == text, "later ratings do not show"


def history(sample: Dataset, ratings: dict[str, float]) -> Interactions:
    items = [sample.item_index_of[item] for item in ratings]
    stars = list(ratings.values())
    return Interactions.from_pairs([0] * len(items), items, rating=stars, n_users=1, n_items=sample.n_items)


def test_a_link_names_neither_its_owner_nor_ids() -> None:
    app = visit(LIKED)
    press(app, "Create a link")
    (link,) = links_of(app)
    text = shared_page.page(link, PICTURE)[0]
    assert app.session_state["visitor"] not in text
    assert link.token not in text
    assert not re.search(r"https?://|<script|onerror", text.replace(PICTURE, ""))
    assert shared_page.HEADERS["Referrer-Policy"] == "no-referrer"
    assert 'name="robots" content="noindex' in text


def test_a_link_that_is_taken_back_looks_like_one_that_never_was() -> None:
    app = visit(LIKED)
    press(app, "Create a link")
    (link,) = links_of(app)
    press(app, "Take back")
    assert links_of(app) == []
    assert not app.code
    log = visitor_ratings.event_log()
    dead, never = (shared_page.page(log.shared(token), PICTURE) for token in (link.token, "A" * 32))
    assert dead == never
    assert dead[1] == 404
    assert "may have taken it back" in dead[0]


def test_two_visitors_see_only_their_own_links() -> None:
    one, two = visit(LIKED), visit(LIKED)
    press(one, "Create a link")
    assert not run(two).code
    assert len(run(one).code) == 1


def test_a_hosted_app_makes_a_visitor_wait_for_more_links(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECENGINE_HOSTED", "1")
    app = visit(LIKED)
    allowed = LIMITS["link"].burst
    for number in range(allowed + 1):
        press(app, "Create a link")
        visitor_ratings.event_log().append(app.session_state["visitor"], "sample", [rated(str(20 + number), 3.0)])
        run(app)
    assert len(links_of(app)) == allowed


def test_without_a_rating_there_is_no_list_to_share() -> None:
    app = visit({})
    assert not app.button
    assert "Rate at least one film first" in app.caption[0].value


@pytest.mark.parametrize("title", HOSTILE)
def test_hostile_titles_are_text_in_a_shared_page(title: str) -> None:
    film = SharedFilm(title, 1999, f"Drama|{title}", because=("Because they loved", title, f"· {title}"))
    shared = Shared(title, title, [film], [film._replace(stars=4.5)], 1)
    text = shared_page.page(Link("t", 0, shared.to_bytes()), PICTURE)[0]
    elements = Elements()
    elements.feed(text.partition("<body>")[2])
    assert elements.tags <= TAGS
    assert elements.attributes <= ATTRIBUTES
    with Image.open(BytesIO(shared_page.picture(shared.to_bytes()))) as picture:
        assert (picture.format, picture.size) == ("PNG", (1200, 630))
    assert all(address.startswith("poster/v1.svg?") for address in re.findall(r'src="([^"]*)"', text))
