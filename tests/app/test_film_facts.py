"""Facts and links on the card of a film: only what is known, and nothing asked without a key."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from pages.posters import tmdb
from pages.ui.cards import film
from pages.ui.film_facts import backdrop_html, facts_html
from recengine import settings
from recengine.data.build import build_dataset
from recengine.data.dataset import Dataset
from tests.posters.test_tmdb import Server


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Server]:
    made = Server()
    monkeypatch.setattr(tmdb, "API", f"{made.address}/3")
    monkeypatch.setattr(tmdb, "IMAGES", f"{made.address}/img")
    monkeypatch.setenv("RECENGINE_HOME", str(tmp_path))
    yield made
    made.server.shutdown()
    made.server.server_close()


@pytest.fixture(scope="module")
def films() -> Dataset:
    ratings = pd.DataFrame({"user_id": ["u", "u"], "item_id": ["1", "2"], "rating": [5.0, 4.0], "timestamp": [1, 2]})
    items = pd.DataFrame(
        {
            "item_id": ["1", "2"],
            "title": ["Alien", "Home movie <b>"],
            "year": [1979, 1980],
            "genres": ["Horror", "Drama"],
            "imdb_id": pd.array([78748, None], "Int64"),
            "tmdb_id": pd.array([348, None], "Int64"),
        }
    )
    return build_dataset("films", ratings, items=items)


def shown(dataset: Dataset, item_idx: int) -> str:
    return facts_html(dataset, item_idx, film(dataset, item_idx))


def test_without_a_key_there_are_links_by_number_and_nothing_is_asked(films: Dataset, server: Server) -> None:
    text = shown(films, 0)
    for address in (
        "https://letterboxd.com/tmdb/348",
        "https://www.imdb.com/title/tt0078748/",
        "https://www.themoviedb.org/movie/348",
        "https://www.justwatch.com/us/search?q=Alien",
    ):
        assert f'href="{address}"' in text
    assert shown(films, 1) == "", "a title alone may mislead"
    assert server.requests == []


def test_with_a_key_plot_cast_and_services_appear_with_the_notice_that_tmdb_asks_for(
    films: Dataset, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMDB_API_KEY", "a key")
    server.films["348"] = server.films["348"] | {
        "overview": "In <space> no one",
        "credits": {"cast": [{"name": "<b>"}]},
    }
    assert "In &lt;space&gt;" not in shown(films, 0), "the drawn poster and the links come first"
    service = tmdb.service("a key", settings.home())
    assert service is not None
    service.join()
    text = shown(films, 0)
    assert "In &lt;space&gt; no one" in text
    assert "With &lt;b&gt;" in text
    assert "117 min" in text
    assert "Streams on Hulu" in text
    assert tmdb.NOTICE in text
    assert 'href="https://www.youtube.com/watch?v=LjLamj-b0I8"' in text
    assert shown(films, 1) == ""
    assert backdrop_html(films, 0) == "", "it is asked for now"
    service.join()
    assert backdrop_html(films, 0).startswith('<img class="backdrop" src="poster/v1.svg?m=348&amp;wide"')
    assert backdrop_html(films, 1) == ""
