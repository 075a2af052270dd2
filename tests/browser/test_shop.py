"""A shop's events from the raw file to a leaderboard, one user's lists and the exports, as a practitioner would go."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys

import pytest
from playwright.sync_api import Locator, expect

from benchmarks.server import ROOT, Server
from tests.browser.conftest import OpenPage
from tests.support.shop import shop_csv

pytestmark = pytest.mark.browser
MOST_CLICKS = 9


class Clicks:
    """Counts clicks."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, target: Locator) -> None:
        self.count += 1
        target.click()


def test_a_shop_s_raw_events_become_a_leaderboard_with_drill_down_exports_and_a_command_that_runs(
    open_page: OpenPage, server: Server
) -> None:
    page, click = open_page("/data"), Clicks()
    content = shop_csv(60_000, users=5_400, products=1_200)
    with page.expect_file_chooser() as chooser:
        click(page.get_by_role("button", name="Upload", exact=True))
    chooser.value.set_files({"name": "shop events.csv", "mimeType": "text/csv", "buffer": content})
    preview = page.locator(".st-key-preview")
    expect(preview).to_contain_text("Every event (view, cart, purchase) counts as 1")
    expect(preview.locator("table.rows tbody tr")).to_have_count(8)
    click(page.get_by_role("button", name="Use it"))
    expect(page.locator("[data-testid=stAlert]")).to_contain_text("shop events.csv is in use")
    click(page.get_by_role("link", name="Compare models on it"))
    click(page.get_by_role("button", name="Compare", exact=True))
    expect(page.locator(".verdict")).to_contain_text("leads with NDCG@10", timeout=600_000)
    expect(page.locator(".verdict")).to_contain_text("items ranked")
    expect(page.locator(".st-key-through .column").first).to_contain_text("SKU-")
    expect(page.locator(".status-line").last).to_contain_text("User Kundin_")
    leader = page.locator(".leaderboard tbody tr th").first.inner_text()
    files = {}
    for kind in ("CSV", "Markdown", "JSON"):
        with page.expect_download() as download:
            click(page.get_by_role("button", name=re.compile(kind)))
        files[kind] = download.value.path().read_text(encoding="utf-8")
    assert click.count <= MOST_CLICKS, click.count
    assert "film" not in page.locator("[data-testid=stMain]").inner_text().lower()

    command = page.locator("[data-testid=stCode]").last.inner_text()
    assert command in files["CSV"].replace('""', '"')
    assert command in files["Markdown"]
    page.reload()
    expect(page.locator(".verdict")).to_contain_text("leads with NDCG@10")
    printed = json.loads(files["JSON"])
    assert printed["leader"].lower() in leader.lower()
    program, *arguments = shlex.split(command)
    assert program == "python"
    ran = subprocess.run(
        [sys.executable, *arguments, "--json", "--quiet"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    again = json.loads(ran.stdout)
    assert again["results"]["popularity"]["ndcg@10"] == printed["results"]["popularity"]["ndcg@10"]
