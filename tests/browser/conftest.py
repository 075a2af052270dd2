"""One server with a separate home, one Chromium, and a page that records what must not happen."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, expect, sync_playwright

from benchmarks.server import FLAGS, NO_CHROMIUM, Server, chromium

expect.set_options(timeout=60_000)  # both cores may be busy with something else
OpenPage = Callable[..., Page]
SCHEMES = "dark", "light"


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


@pytest.fixture(scope="session")
def warm_context(browser: Browser) -> Iterator[BrowserContext]:
    """Return a context whose cache keeps what the app loads, which a new one would fetch and compile for each test."""
    context = browser.new_context()
    context.new_page()  # a context without pages gives up its cache
    yield context
    context.close()


@pytest.fixture
def visitor(server: Server, warm_context: BrowserContext) -> Iterator[BrowserContext]:
    """Return the context as a visitor has it who is new: nothing but the cache is left of earlier ones."""
    first = warm_context.pages[0]
    yield warm_context
    for page in warm_context.pages[1:]:
        page.close()
    warm_context.clear_cookies()
    session = warm_context.new_cdp_session(first)
    session.send("Storage.clearDataForOrigin", {"origin": server.url, "storageTypes": "local_storage,indexeddb"})
    session.detach()


@pytest.fixture
def cold_visitor(browser: Browser) -> Iterator[BrowserContext]:
    """Return a context with an empty cache, for what shows while things arrive."""
    context = browser.new_context()
    yield context
    context.close()


@pytest.fixture
def open_page(server: Server, visitor: BrowserContext) -> Iterator[OpenPage]:
    """Return a function that opens an address in a new session, always of the same visitor, who is new to each test."""
    yield from opening(server, visitor)


@pytest.fixture
def open_cold_page(server: Server, cold_visitor: BrowserContext) -> Iterator[OpenPage]:
    """Do as `open_page` does, in a browser that has nothing of the app yet."""
    yield from opening(server, cold_visitor)


def opening(server: Server, context: BrowserContext) -> Iterator[OpenPage]:
    """Yield the function.

    At the end: no request went beyond this machine, no console error, no dialog, no traceback in the server's log.
    """
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
    assert not errors, errors
    assert "Traceback" not in server.log.read_text()


def turn(page: Page, scheme: str) -> None:
    """Make an open page dark or light, and wait until it is."""
    page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]  # dark or light
    page.wait_for_function(
        "scheme => getComputedStyle(document.querySelector('.stApp')).colorScheme === scheme", arg=scheme
    )
    page.wait_for_timeout(400)  # colours fade


def away(url: str) -> bool:
    """Tell whether a request leaves this machine."""
    return urlsplit(url).scheme not in ("data", "blob") and urlsplit(url).hostname not in ("localhost", "127.0.0.1")


def bad(message: ConsoleMessage) -> bool:
    """Tell whether a console message is an error.

    On a deep link Streamlit looks for its base path below the page first, which is a 404 by design.
    """
    probe = "/_stcore/" in message.location.get("url", "") and "404" in message.text
    return message.type == "error" and not probe
