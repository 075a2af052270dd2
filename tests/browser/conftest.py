"""One server with a separate home, one Chromium, and a page that records what must not happen."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, expect, sync_playwright

from benchmarks.server import FLAGS, NO_CHROMIUM, Server, chromium

expect.set_options(timeout=60_000)  # both cores may be busy with something else
OpenPage = Callable[..., Page]


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Start the app once for all journeys."""
    if chromium() is None:  # otherwise the app would start for nothing
        pytest.skip(NO_CHROMIUM)
    running = Server(tmp_path_factory.mktemp("browser") / "home")
    yield running
    running.stop()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Return a fresh Chromium."""
    path = chromium()
    if path is None:
        pytest.skip(NO_CHROMIUM)
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield launched
        launched.close()


@pytest.fixture
def open_page(server: Server, browser: Browser) -> Iterator[OpenPage]:
    """Return a function that opens an address in a new session, always of the same visitor, who is new to each test.

    At the end: no request went beyond this machine, no console error, no dialog, no traceback in the server's log.
    """
    context = browser.new_context()
    errors: list[str] = []

    def open_(address: str = "/", *, width: int = 1440, height: int = 900, scheme: str = "dark") -> Page:
        page = context.new_page()
        page.set_viewport_size({"width": width, "height": height})
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]  # dark or light
        page.set_default_timeout(60_000)
        page.on("request", lambda request: errors.append(f"request to {request.url}") if away(request.url) else None)
        page.on("console", lambda message: errors.append(f"console: {message.text}") if bad(message) else None)
        page.on("pageerror", lambda error: errors.append(f"page error: {error}"))
        page.on("dialog", lambda dialog: errors.append(f"dialog: {dialog.message}"))
        page.goto(server.url + address)
        page.wait_for_function("!document.documentElement.classList.contains('loading')")  # hidden text is no text
        return page

    yield open_
    context.close()
    assert not errors, errors
    assert "Traceback" not in server.log.read_text()


def away(url: str) -> bool:
    """Tell whether a request leaves this machine."""
    return urlsplit(url).scheme not in ("data", "blob") and urlsplit(url).hostname not in ("localhost", "127.0.0.1")


def bad(message: ConsoleMessage) -> bool:
    """Tell whether a console message is an error.

    On a deep link Streamlit looks for its base path below the page first, which is a 404 by design.
    """
    probe = "/_stcore/" in message.location.get("url", "") and "404" in message.text
    return message.type == "error" and not probe
