"""The Rate page without a browser: ratings brought in from elsewhere, and taken away again."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from tests.app.conftest import Open, markup, press

EXPORT = """Date,Name,Year,Letterboxd URI,Rating
2024-05-31,The Matrix,1999,https://boxd.it/1,5
2024-06-01,Se7en,1995,https://boxd.it/2,4.5
2024-06-02,Rocky 4,1985,https://boxd.it/3,3
2024-06-03,<script>alert(1)</script>,2001,https://boxd.it/4,3
2024-06-04,Heat,1995,https://boxd.it/5,
"""


@pytest.fixture
def page(open_app: Open, fresh_home: Path) -> AppTest:
    """Open the page in a home where nobody has rated anything."""
    return open_app("rate.py")


def upload(page: AppTest, text: str, name: str = "ratings.csv") -> None:
    page.file_uploader[0].upload(name, text.encode(), "text/csv").run()
    assert not page.exception, page.exception


def counts(page: AppTest) -> dict[str, str]:
    return {metric.label: metric.value for metric in page.metric}


def rated(page: AppTest) -> str:
    page.segmented_control(key="rate panel").set_value("Import and export").run()
    assert not page.exception, page.exception
    return markup(page)


def test_an_export_is_looked_at_confirmed_and_kept_once(page: AppTest) -> None:
    upload(page, EXPORT)
    assert counts(page) == {"Found": "2", "To confirm": "1", "Not here": "1", "Not usable": "1"}
    assert "&lt;script&gt;" in markup(page)
    assert "line 6: <b>Heat</b> it has no rating" in markup(page)
    assert page.button(key="import-keep").label == "Keep 2 ratings"
    assert "Rocky IV" in page.checkbox[-1].label
    page.checkbox[-1].check().run()
    press(page, "Keep 3 ratings")
    assert [said.value for said in page.success] == ["3 ratings came in from Letterboxd."]
    said = rated(page)
    assert "3 films rated" in said
    assert "Se7en (1995) <b>4.5 ★</b>" in said
    upload(page, EXPORT)
    press(page, "Keep 2 ratings")
    assert [said.value for said in page.success] == ["0 ratings came in from Letterboxd; 2 were here already."]
    assert "3 films rated" in rated(page)


def test_a_file_in_no_known_form_is_one_sentence_and_an_example_that_works(page: AppTest) -> None:
    upload(page, "colour,size\nred,3\n")
    assert "Ratings from elsewhere" in page.file_uploader[0].label
    assert "has the columns" in page.error[0].value
    upload(page, "title,year,rating\nThe Matrix,1999,★★★★½\nAlien,1979,8\n", "mine.csv")
    assert counts(page) == {"Found": "1", "To confirm": "0", "Not here": "0", "Not usable": "1"}
    page.segmented_control(key="rate out of").set_value(10).run()
    assert counts(page) == {"Found": "2", "To confirm": "0", "Not here": "0", "Not usable": "0"}
    press(page, "Keep 2 ratings")
    assert "Alien (1979) <b>4 ★</b>" in rated(page)


def test_what_was_rated_here_since_stays(page: AppTest) -> None:
    upload(page, EXPORT)
    press(page, "Keep 2 ratings")
    rated(page)
    upload(page, "title,year,rating\nThe Matrix,1999,1\n", "undated.csv")  # counts as rated now
    press(page, "Keep 1 rating")
    rated(page)
    upload(page, EXPORT.replace("boxd.it/1,5", "boxd.it/1,3"))
    press(page, "Keep 2 ratings")
    (said,) = page.success
    assert "1 of films that you have rated here since stay" in said.value
    assert "The Matrix (1999) <b>1 ★</b>" in rated(page)


def test_what_is_taken_away_can_be_brought_back(page: AppTest) -> None:
    from pages.ui import exchange  # after the page has set the app up

    upload(page, EXPORT)
    press(page, "Keep 2 ratings")
    rated(page)
    taken = {button.proto.label for button in page.get("download_button")}
    assert {"My ratings, as MovieLens has them", "My ratings, for Letterboxd", "My list, 50 films"} <= taken
    films = [
        (exchange.cards.Film("839", "The Matrix", 1999, ""), 5.0),
        (exchange.cards.Film("730", "Se7en", 1995, ""), 4.5),
    ]
    letterboxd = exchange.letterboxd_csv(films, {"839": 1717113600})
    assert list(csv.reader(io.StringIO(letterboxd)))[1] == ["The Matrix", "1999", "5.0", "2024-05-31"]
    upload(page, letterboxd, "letterboxd.csv")
    assert counts(page)["Found"] == "2"
    upload(page, exchange.movielens_csv(films, {}), "movielens.csv")
    assert counts(page) == {"Found": "0", "To confirm": "2", "Not here": "0", "Not usable": "0"}
    assert "number 839 is **The Matrix" in page.checkbox[-1].label
    page.checkbox[-1].check().run()
    assert page.button(key="import-keep").label == "Keep 2 ratings"
