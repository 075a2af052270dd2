"""The picture of a list: well-formed, complete without any other file, and titles in it are text."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest

from pages.posters.picture import HEIGHT, WIDTH, Pictured, picture_svg
from tests.app.test_data import HOSTILE

FILMS = [Pictured(f"Film {n}", 1950 + 8 * n, "Drama|Western") for n in range(10)]


def test_ten_posters_stand_in_two_rows_within_the_picture() -> None:
    root = ElementTree.fromstring(picture_svg(FILMS, "My top ten", "from 23 ratings"))
    assert root.attrib["viewBox"] == f"0 0 {WIDTH} {HEIGHT}"
    placed = re.findall(r"translate\(([\d.]+) ([\d.]+)\) scale\(([\d.]+)\)", picture_svg(FILMS, "My top ten", ""))
    posters = [(float(x), float(y)) for x, y, scale in placed if 0.5 < float(scale) < 0.6]
    assert len(posters) == 10
    assert len({y for _, y in posters}) == 2
    assert max(x for x, _ in posters) + 166 <= WIDTH - 40
    assert max(y for _, y in posters) + 249 <= HEIGHT - 40


def test_names_differ_and_each_reference_has_its_element() -> None:
    svg = picture_svg(FILMS, "My top ten", "from 23 ratings")
    names = re.findall(r'\bid="([^"]*)"', svg)
    assert len(names) == len(set(names))
    assert set(re.findall(r'(?:href="#|url\(#)([^")]*)', svg)) <= set(names)
    assert not re.findall(r'(?:href|src)="(?!#)', svg)
    assert "url(http" not in svg


@pytest.mark.parametrize("title", [*HOSTILE, 'id="x" href="#v" url(#v)', '七人の侍 id="x'])
def test_hostile_titles_are_text_in_the_picture(title: str) -> None:
    svg = picture_svg([Pictured(title, 1999, title), Pictured(title, is_film=False)], "My top ten", title)
    tags = {element.tag.rpartition("}")[2] for element in ElementTree.fromstring(svg).iter()}
    assert tags <= {"svg", "rect", "g", "path", "use", "circle", "clipPath", "linearGradient", "stop", "text", "defs"}
    assert not re.search(r"<[^>]*\son\w+=", svg)
