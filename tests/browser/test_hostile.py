"""Hostile text in catalogues, uploads and addresses, on every page: it is shown literally, and has no effect.

That no dialog opened, no request left this machine and nothing failed is checked by `open_page` after each test.
"""

from __future__ import annotations

import re
from urllib.parse import quote

import pytest
from playwright.sync_api import Page, expect

from pages.main import PAGES
from tests.app.test_data import HOSTILE, hostile_zip
from tests.browser.conftest import OpenPage
from tests.browser.test_rating import board, import_and_export, rate
from tests.browser.test_rating import settled as kept

pytestmark = pytest.mark.browser
NAME = "<img src=x onerror=alert(1)>"
FOREIGN = """() => {
  const active = [];
  const look = root => root.querySelectorAll('*').forEach(e => {
    if (e.shadowRoot) look(e.shadowRoot);
    const handles = [...e.attributes].some(a => /^on/i.test(a.name));
    const leaves = [e.src, e.href, e.action, e.data].some(value => typeof value === 'string' && value
      && !['localhost', '127.0.0.1'].includes(new URL(value, location).hostname) && !/^(blob:|data:image)/.test(value));
    if (handles || leaves || e.matches('script, iframe')) active.push(e.outerHTML.slice(0, 200));
  });
  for (const part of document.querySelectorAll('[data-testid=stMain], [data-testid=stSidebar]')) look(part);
  return active }"""
"""Returns elements made from text: scripts, frames, event handlers, and addresses of other machines."""
NAMED = "user item model data genres years k unseen popularity trail runs models split at seeds sampled recent replayed"
NAMED += " near colour projection liked show sort strategy against by group kind"
NAMED += " ratings events speed device visitor train_model trials mf.epochs mf.seed mf.loss mf.partial_credit"
"""Parameters of addresses, and one that must not be any."""
ADDRESSES = '"><script>alert(1)</script><img src=http://192.0.2.9/ onerror=alert(1)>\u202e' + "![](//192.0.2.9/a)" * 40


def wait_for_script(page: Page) -> None:
    """Wait until the page's script has run, and check that no text has become an element."""
    expect(page.locator(".status")).to_have_count(1)
    page.wait_for_function("document.querySelector('[data-test-script-state=notRunning]') !== null")
    assert page.evaluate(FOREIGN) == []


def go(page: Page, name: str) -> None:
    page.locator("[data-testid=stSidebarNavLink]", has_text=re.compile(f"{name}$")).click()
    expect(page.locator(".head h1")).to_have_text(name)
    wait_for_script(page)


def shows(page: Page, selector: str, *texts: str) -> None:
    """Wait until an element shows these texts, letter by letter."""
    for text in texts:
        expect(page.locator(selector).get_by_text(text).first).to_be_attached()


def give(page: Page, name: str, content: bytes) -> None:
    """Upload a file."""
    kind = "application/zip" if name.endswith(".zip") else "text/csv"
    page.locator("input[type=file]").first.set_input_files([{"name": name, "mimeType": kind, "buffer": content}])


def test_a_hostile_catalogue_is_text_on_every_page(open_page: OpenPage) -> None:
    page = open_page("/data")
    give(page, f"{NAME}.zip", hostile_zip())
    page.get_by_role("button", name="Use it").click()
    expect(page.locator(".status")).to_contain_text(".zip")
    shows(page, "[data-testid=stMain]", NAME)
    wait_for_script(page)

    go(page, "Viewers")
    expect(page.locator(".st-key-top .film").first).to_be_visible()
    shows(page, ".st-key-top", "<b>x</b>")
    wait_for_script(page)

    go(page, "Film")
    expect(page.locator(".st-key-start .film")).to_have_count(10)
    for film in page.locator(".st-key-start [class*=st-key-film-start]").all():
        title = film.locator(".name").inner_text()
        label = film.locator("a").get_attribute("aria-label") or film.locator("a").text_content() or ""
        assert title in label.replace("\u2060", "")
    page.get_by_label("Find a film").press_sequentially("script", delay=20)
    match = page.locator(".st-key-matches a").first
    expect(match).to_contain_text("script")  # what half of the word matches is not meant
    match.click()
    expect(page.locator(".seed h2")).to_have_text(HOSTILE[0])
    wait_for_script(page)

    go(page, "Map")
    expect(page.locator(".map[data-painted]")).to_have_count(1)
    wait_for_script(page)

    go(page, "Home")
    for index in range(2):
        rate(board(page, "hand").locator(".card").nth(index), 5)
        kept(page)
    names = board(page, "list").locator(".card .name").all_inner_texts()
    assert len({name for name in names if name in HOSTILE}) >= 5, names
    for panel in ("Rank over time", "How it grew", "Side by side"):
        page.get_by_role("radio", name=panel).or_(page.get_by_role("button", name=panel)).first.click()
        wait_for_script(page)
    import_and_export(page)
    cells = [title.replace('"', '""') for title in HOSTILE]
    rows = "".join(f'"{cell}",1999,{"<b>4" if "x" in cell else 4}\n' for cell in cells)
    give(page, f"{NAME}.csv", f"title,year,rating\n{rows}".encode())
    expect(page.locator(".st-key-import-counts")).to_be_visible()
    wait_for_script(page)

    go(page, "Compare")
    page.get_by_role("button", name="Compare", exact=True).click()
    expect(page.locator(".st-key-through .column").first).to_be_visible(timeout=120_000)
    listed = page.locator(".st-key-through li").all_inner_texts()  # not those that this viewer has rated
    assert any(text.startswith(title) for text in listed for title in HOSTILE if title[0] in "<!['\""), listed
    wait_for_script(page)

    go(page, "Train")
    page.get_by_role("button", name="Train", exact=True).click()
    wait_for_script(page)
    page.get_by_role("button", name="On the command line").first.click()
    shows(page, "body", NAME)
    page.keyboard.press("Escape")
    wait_for_script(page)

    go(page, "Live")
    page.get_by_role("button", name="Replay", exact=True).click()
    expect(page.locator(".happened article").first).to_be_visible(timeout=120_000)
    wait_for_script(page)


def test_hostile_uploads_are_refused_in_plain_text(open_page: OpenPage) -> None:
    page = open_page("/data")
    for text in (*HOSTILE[:5], HOSTILE[8]):
        cell = text.replace('"', '""')
        give(page, f"{NAME}.csv", f'userId,movieId,rating\n1,2,"{cell}"\n'.encode())
        expect(page.locator("[data-testid=stAlert]")).to_contain_text(f"Line 2 of {NAME}.csv has the rating")
        letters = "\u2060?".join(map(re.escape, text[:30]))  # addresses are broken up
        expect(page.locator("[data-testid=stAlert]")).to_contain_text(re.compile(letters))
        wait_for_script(page)


@pytest.mark.parametrize("name", [page.address for page in PAGES])
def test_a_hostile_address_is_text_on_every_page(open_page: OpenPage, name: str) -> None:
    (title,) = (page.title for page in PAGES if page.address == name)
    keys = [key for key in NAMED.split() if name or key != "user"]  # links to a viewer once named the root
    page = open_page(f"/{name}?" + "&".join(f"{key}={quote(ADDRESSES)}" for key in keys))
    wait_for_script(page)
    expect(page.locator(".head h1")).to_have_text(title)
    warnings = page.locator("[data-testid=stSidebar] [data-testid=stAlert]")
    expect(warnings).to_have_count(2)  # neither is a data set, nor a model
    expect(warnings.first).to_contain_text(re.compile("Unknown data set “.*script.*192.*”. Showing sample"))
