"""The app without a browser: `pages/main.py` in AppTest, and a reader of the HTML that it draws."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

ROOT = Path(__file__).resolve().parents[2]
Open = Callable[..., AppTest]


@pytest.fixture
def open_app() -> Open:
    """Return a function that opens a new session at an address: a page file and its parameters."""

    def start(page: str = "for_you.py", **params: str) -> AppTest:
        app = AppTest.from_file(str(ROOT / "pages" / "main.py"), default_timeout=60)
        if page != "for_you.py":
            app.run()
            app.switch_page(page)
        for name, value in params.items():
            app.query_params[name] = value
        app.run()
        assert not app.exception, app.exception
        assert app.html, "nothing was drawn"
        return app

    return start


def markup(app: AppTest) -> str:
    """Return all HTML that the page drew."""
    return "\n".join(str(element.value) for element in app.html)


def titles(app: AppTest, key: str) -> list[str]:
    """Return the titles of the cards whose keys begin with `film-<key>-`, as escaped HTML, in order."""
    cards = [str(e.value) for box in containers(app, f"film-{key}-") for e in box.html]
    return [re.search(r'<p class="name"[^>]*>(.*?)</p>', card)[1] for card in cards]  # type: ignore[index]


def containers(app: AppTest, prefix: str) -> list:
    """Return the keyed containers `<prefix><number>` in order."""
    found, place = [], 0
    keys = {element.key for element in app.get("container") if element.key and element.key.startswith(prefix)}
    for place in sorted(int(key.removeprefix(prefix)) for key in keys):
        found.append(app.container(key=f"{prefix}{place}"))
    return found


def links(app: AppTest) -> dict[str, str]:
    """Return label -> query string of the links on the page."""
    return {link.proto.label: link.proto.query_string for link in app.page_link}
