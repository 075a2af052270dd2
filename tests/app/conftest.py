"""The app without a browser: `pages/main.py` in AppTest, and readers of what it draws."""

from __future__ import annotations

import html
import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

ROOT = Path(__file__).resolve().parents[2]
Open = Callable[..., AppTest]


@pytest.fixture
def open_app() -> Open:
    """Return a function that opens a new session at a page file, with the parameters of its address."""

    def start(page: str = "for_you.py", **params: str) -> AppTest:
        app = AppTest.from_file(str(ROOT / "pages" / "main.py"), default_timeout=60)
        for name, value in params.items():
            app.query_params[name] = value
        if page != "for_you.py":
            app.run()
            app.switch_page(page)
            for name, value in params.items():
                app.query_params[name] = value
        return settle(app)

    return start


def settle(app: AppTest) -> AppTest:
    """Run, and again while a model trains; nothing may have failed and something must be drawn."""
    app.run()
    for _ in range(100):
        if not app.get("progress"):
            break
        time.sleep(0.2)
        app.run()
    assert not app.exception, app.exception
    assert app.html, "nothing was drawn"
    return app


def markup(app: AppTest) -> str:
    """Return all HTML that the page drew, without the style sheet."""
    return "\n".join(str(element.value) for element in app.html if "<style" not in str(element.value))


def cards(app: AppTest, kind: str) -> list[str]:
    """Return the HTML of the cards `film-<kind>-<number>` in the order of the page."""
    found = [box for box in app.get("container") if re.fullmatch(rf"film-{kind}-\d+", box.key or "")]
    return ["".join(str(element.value) for element in box.html) for box in found]


def text_of(card: str, kind: str) -> str:
    """Return the text of the part of a card with that class (name, meta, note, rank, badge), or ""."""
    found = re.search(rf'<(\w+) class="{kind}"[^>]*>(.*?)</\1>', card)
    return html.unescape(re.sub(r"<[^>]*>", "", found[2])) if found else ""


def names(app: AppTest, kind: str) -> list[str]:
    """Return the titles of the cards of a kind."""
    return [text_of(card, "name") for card in cards(app, kind)]


def links(app: AppTest) -> dict[str, str]:
    """Return label -> query string of the links on the page."""
    return {link.proto.label: link.proto.query_string for link in app.page_link}
