"""Signing in with an OpenID provider that runs next to the app: the same user in every browser, and no other."""

from __future__ import annotations

import re
from collections.abc import Iterator

import oidc_provider_mock
import pytest
from playwright.sync_api import Browser, Page, expect

from benchmarks.server import NO_CHROMIUM, Server, chromium
from pages.hosting import identity
from recengine.serving.event_log import EventLog
from tests.browser.test_rating import board, rate, settled, status_line

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def provider() -> Iterator[str]:
    with oidc_provider_mock.run_server_in_thread() as running:
        yield f"http://localhost:{running.server_port}"


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory, provider: str) -> Iterator[Server]:
    """Run the app with the provider in its secrets."""
    if chromium() is None:
        pytest.skip(NO_CHROMIUM)
    home = tmp_path_factory.mktemp("guarded")
    secrets = f"""
    [auth]
    redirect_uri = "http://localhost:PORT/oauth2callback"
    cookie_secret = "a secret of this test alone, of some length"
    client_id = "recengine"
    client_secret = "not secret"
    server_metadata_url = "{provider}/.well-known/openid-configuration"
    """
    server = Server(home, secrets=secrets)
    yield server
    server.stop()
    assert "Traceback" not in server.log.read_text(), server.log.read_text()


def enter(browser: Browser, server: Server) -> Page:
    """Open Rate in an unused browser."""
    page = browser.new_context().new_page()
    page.set_viewport_size({"width": 1440, "height": 900})
    page.goto(f"{server.url}/")
    board(page, "hand")
    return page


def sign_in(page: Page, subject: str) -> None:
    page.get_by_role("button", name="Sign in").click()
    page.locator("input[name=sub]").fill(subject)
    page.get_by_role("button", name="Authorize").click()
    expect(page.get_by_role("button", name="Sign out")).to_be_visible(timeout=30_000)


def open_rate(page: Page) -> None:
    page.locator("[data-testid=stSidebarNavLink]", has_text="Home").click()
    board(page, "hand")


def test_a_user_is_the_same_in_every_browser_and_takes_along_what_they_rated(
    browser: Browser, guarded: Server, provider: str
) -> None:
    page = enter(browser, guarded)
    first = board(page, "hand").locator(".card").first
    rate(first, 5)
    settled(page)
    sign_in(page, "ann")
    page.get_by_role("button", name=re.compile(r"Add what you rated \(1\) before signing in")).click()
    expect(page.get_by_role("button", name=re.compile("Add what you rated"))).to_have_count(0)

    log = EventLog(f"sqlite:///{guarded.home / 'ratings.db'}")
    (event,) = log.events(identity.account(provider, "ann"))
    assert event.stars == 5
    log.close()

    elsewhere = enter(browser, guarded)
    expect(elsewhere.get_by_text("Or borrow a taste")).to_be_visible()
    sign_in(elsewhere, "ann")
    open_rate(elsewhere)
    expect(status_line(elsewhere)).to_contain_text("from your 1 rating")

    other = enter(browser, guarded)
    sign_in(other, "bob")
    open_rate(other)
    expect(other.get_by_text("Or borrow a taste")).to_be_visible()

    elsewhere.get_by_role("button", name="Sign out").click()
    elsewhere.get_by_role("button", name="End session").click()  # the provider asks
    expect(elsewhere.get_by_role("button", name="Sign in")).to_be_visible(timeout=30_000)
    open_rate(elsewhere)
    expect(elsewhere.get_by_text("Or borrow a taste")).to_be_visible()


def test_a_visitor_whom_the_provider_refuses_stays_anonymous(browser: Browser, guarded: Server) -> None:
    page = enter(browser, guarded)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("button", name=re.compile("Deny")).click()
    expect(page.get_by_role("button", name="Sign in")).to_be_visible(timeout=30_000)
