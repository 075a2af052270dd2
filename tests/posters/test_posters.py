"""Posters: valid, the same every time, readable, and nothing from data reaches the markup."""

import asyncio
import re
import xml.etree.ElementTree as ET
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from starlette.requests import Request

import app
from pages.posters.art import GLYPHS, TEXTURES
from pages.posters.lettering import Line, clean, fit, width
from pages.posters.poster import HUES, poster_svg, tile_svg
from pages.ui.palette import CATEGORIES
from recengine.data.sources import load_dataset

ROOT = Path(app.__file__).parent
SVG = "{http://www.w3.org/2000/svg}"
SAFE = {"svg", "g", "path", "rect", "circle", "use", "defs", "stop", "linearGradient", "text"}
SIZES = (46.0, 34.0, 24.0)


def tags(svg: str) -> set[str]:
    return {element.tag.removeprefix(SVG) for element in ET.fromstring(svg).iter()}


@given(st.text(max_size=300), st.none() | st.integers(-10, 3000), st.text(max_size=100))
def test_any_text_gives_a_valid_image_of_harmless_elements(title: str, year: int | None, genres: str) -> None:
    svg = poster_svg(title, year, genres)
    assert tags(svg) <= SAFE
    for element in ET.fromstring(svg).iter():
        assert not any(name.lower().startswith("on") for name in element.attrib)
        assert element.get("href", "#").startswith("#")


@pytest.mark.parametrize(
    "title", ["<script>alert(1)</script>", '"><svg onload=alert(1)>', "]]>", "&lt;b&gt;", "A" * 10_000]
)
def test_hostile_titles_stay_text_and_small(title: str) -> None:
    svg = poster_svg(title, 1999, "<b>|&amp;")
    assert tags(svg) <= SAFE
    assert len(svg) < 60_000


def test_a_film_always_gets_the_same_poster_and_another_year_another() -> None:
    assert poster_svg("King Kong", 1933, "Horror") == poster_svg("King Kong", 1933, "Horror")
    assert poster_svg("King Kong", 1933, "Horror") != poster_svg("King Kong", 2005, "Horror")


def test_every_genre_and_decade_has_a_design() -> None:
    assert set(HUES) <= set(GLYPHS)
    assert set(HUES.values()) <= set(CATEGORIES)
    for genre in GLYPHS:
        assert tags(poster_svg("Film", 1975, genre)) <= SAFE
    posters = {poster_svg("Film", decade + 5, "Drama") for decade in TEXTURES}
    assert len(posters) == len(TEXTURES)


def test_all_layouts_are_used_and_titles_of_the_sample_fit() -> None:
    catalogue = load_dataset("sample").items
    signs = {"beam": "url(#b)", "disc": "url(#d)", "tiles": 'id="t"', "block": 'width="44"'}
    used: Counter[str] = Counter()
    for title, year, genres in zip(catalogue["title"], catalogue["year"], catalogue["genres"], strict=True):
        svg = poster_svg(title, int(year), genres)
        used.update(name for name, sign in signs.items() if sign in svg)
        assert "…" not in fit(title, 252, (46, 42, 38, 34, 30, 27, 24), 5)[-1].text, title
    assert used.total() == len(catalogue)
    assert min(used[name] for name in signs) > len(catalogue) / 8


@given(st.text(min_size=1, max_size=200))
def test_lines_stay_within_the_box_and_keep_the_words(text: str) -> None:
    lines = fit(text, 252, SIZES, 5)
    assert len(lines) <= 5
    assert all(width(line.text, line.size) <= 252 + 1e-6 for line in lines)
    if lines and not lines[-1].text.endswith("…"):
        assert "".join(line.text for line in lines).replace(" ", "") == clean(text).replace(" ", "")


def test_longer_titles_get_smaller_letters_and_then_an_ellipsis() -> None:
    titles = ["Jaws", "The Good, the Bad and the Ugly", "Word " * 18, "Word " * 90]
    sizes = [fit(title, 252, SIZES, 5)[0].size for title in titles]
    assert all(first >= second for first, second in pairwise(sizes))
    assert sizes[0] > sizes[-1]
    assert fit(titles[-1], 252, SIZES, 5)[-1].text.endswith("…")


def test_letters_without_an_outline_fall_back_to_the_viewer_s_font() -> None:
    assert fit("Amélie", 252, SIZES, 5) == [Line("Amélie", 46.0)]
    assert "text" not in tags(poster_svg("Amélie", 2001, "Comedy"))
    assert "text" in tags(poster_svg("千と千尋", 2001, "Animation"))


@given(st.text(st.sampled_from("AWé i 🍿😀ЖМ千ﷺ"), min_size=1, max_size=200))
@example("🎬🍿 The Emoji Movie 😀😀😀😀😀😀😀😀😀")
@example("МММММММММММММММММММММММММ")
@example("SKU-0004 Thé vert 🍵 Löffel, 3er-Set")
def test_no_letter_is_drawn_beyond_the_margin_whatever_font_the_viewer_has(title: str) -> None:
    for svg in (poster_svg(title, 1999, "Drama"), tile_svg(title)):
        root = ET.fromstring(svg)
        for part in root.iter(f"{SVG}text"):
            assert part.get("lengthAdjust") == "spacingAndGlyphs"
            assert 24 <= float(part.attrib["x"]) <= float(part.attrib["x"]) + float(part.attrib["textLength"]) <= 276.01
        for part in root.iter(f"{SVG}g"):
            position, _, scale = part.get("transform", "").partition(" scale(")
            if "path" in {child.tag.removeprefix(SVG) for child in part} and re.fullmatch(r"0\.\d+\)", scale):
                pen = max(_shift(child) for child in part)
                assert float(re.findall(r"[\d.]+", position)[0]) + pen * float(scale[:-1]) < 276


def _shift(letter: ET.Element) -> float:
    """Return how far from the start of its run a letter of a title stands."""
    if "transform" in letter.attrib:
        return float(re.findall(r"[\d.]+", letter.attrib["transform"])[0])
    return float(letter.get("x", 0)) + float(letter.get("href", "-0").rpartition("-")[2] or 0)


def test_characters_that_turn_the_direction_are_dropped() -> None:
    assert clean("abc\u202egnp.exe\u200f \n d") == "abcgnp.exe d"


def asked(query: bytes) -> tuple[int, dict[str, str], bytes]:
    scope = {"type": "http", "method": "GET", "path": "/poster/v1.svg", "query_string": query, "headers": []}
    with ThreadPoolExecutor(1) as thread:  # the browser tests leave an event loop running in the main one
        response = thread.submit(asyncio.run, app.poster(Request(scope))).result()
    return response.status_code, dict(response.headers), response.body


def test_route_serves_a_locked_down_picture_that_may_be_cached() -> None:
    status, headers, body = asked(b"t=The+Matrix&y=1999&g=Sci-Fi%7CAction")
    assert status == 200
    assert body.decode() == poster_svg("The Matrix", 1999, "Sci-Fi|Action")
    assert headers["content-type"] == "image/svg+xml"
    assert headers["x-content-type-options"] == "nosniff"
    assert "immutable" in headers["cache-control"]
    assert headers["content-security-policy"].startswith("default-src 'none'")


@pytest.mark.parametrize(
    "query", [b"", b"t=", b"y=abcd", b"y=99999999", b"t=%FF%FE&y=-1", b"t=" + b"A" * 100_000, b"&&==&"]
)
def test_route_answers_nonsense_with_a_poster(query: bytes) -> None:
    status, _, body = asked(query)
    assert status == 200
    assert tags(body.decode()) <= SAFE


def test_a_photo_stands_in_for_the_drawn_poster_once_it_has_come(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("RECENGINE_HOME", str(tmp_path))
    drawn = asked(b"t=Alien&y=1979&g=Horror&m=348")
    assert drawn[1]["content-type"] == "image/svg+xml"
    monkeypatch.setenv("TMDB_API_KEY", "a key")
    status, headers, body = asked(b"t=Alien&y=1979&g=Horror&m=348")
    assert (status, body, headers["cache-control"]) == (200, drawn[2], "no-store")
    (tmp_path / "tmdb").mkdir()
    (tmp_path / "tmdb" / "348.poster").write_bytes(b"\xff\xd8\xff a picture")
    (tmp_path / "tmdb" / "348.json").write_text('{"title": "Alien"}')
    status, headers, body = asked(b"t=Alien&y=1979&g=Horror&m=348")
    assert (status, body, headers["content-type"]) == (200, b"\xff\xd8\xff a picture", "image/jpeg")
    assert headers["x-content-type-options"] == "nosniff"
    for number in (b"..%2F348", b"-1", b"9" * 40, b"349"):
        assert asked(b"t=Alien&y=1979&g=Horror&m=" + number)[2] == drawn[2]
