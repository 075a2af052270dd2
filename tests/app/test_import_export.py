"""Import and export on My films: ratings imported from other sites, and downloaded again."""

from __future__ import annotations

import csv
import io
import uuid
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from pages.ui import board, import_export, marks, visitor_ratings
from recengine.data.sources import load_dataset
from recengine.serving.event_log import Event
from recengine.serving.event_log import rated as rated_now
from tests.app.conftest import Open, markup, press
from tests.support.letterboxd import letterboxd_zip

EXPORT = """Date,Name,Year,Letterboxd URI,Rating
2024-05-31,The Matrix,1999,https://boxd.it/1,5
2024-06-01,Se7en,1995,https://boxd.it/2,4.5
2024-06-02,Rocky 4,1985,https://boxd.it/3,3
2024-06-03,<script>alert(1)</script>,2001,https://boxd.it/4,3
2024-06-04,Heat,1995,https://boxd.it/5,
"""
ALIEN = "2024-05-31,Alien,1979,https://boxd.it/8,5\n"


@pytest.fixture
def app(open_app: Open, warm_home: Path) -> AppTest:
    """Open the page in an empty home."""
    return open_app("my_films.py")


def upload(app: AppTest, text: str, name: str = "ratings.csv") -> None:
    app.file_uploader[0].upload(name, text.encode(), "text/csv").run()
    assert not app.exception, app.exception


def counts(app: AppTest) -> dict[str, str]:
    return {metric.label: metric.value for metric in app.metric}


def show(app: AppTest, view: str) -> None:
    app.segmented_control(key="show").set_value(view).run()
    assert not app.exception, app.exception


def stands(app: AppTest) -> dict[str, tuple[str, float | None]]:
    """Return title -> what stands of the visitor's acts."""
    data = load_dataset("sample")
    standing = visitor_ratings.event_log().standing(app.session_state["visitor"], "sample")
    titles = dict(zip(map(str, data.item_ids.tolist()), data.items["title"], strict=True))
    return {titles[event.item_id]: (event.kind, event.stars) for event in standing}


def test_an_export_is_reviewed_confirmed_and_imported_once(app: AppTest) -> None:
    upload(app, EXPORT)
    assert counts(app) == {"Matched": "2", "To confirm": "1", "Not in this catalogue": "1", "Not usable": "1"}
    assert "&lt;script&gt;" in markup(app)
    assert "line 6: <b>Heat</b>, it has no rating" in markup(app)
    assert app.button(key="import-keep").label == "Import 2 ratings"
    assert "Rocky IV" in app.checkbox[-1].label
    assert "**Is this the film?** 1 title differs slightly from ours. Tick it if so." in [m.value for m in app.markdown]
    app.checkbox[-1].check().run()
    press(app, "Import 3 ratings")
    assert [success.value for success in app.success] == ["3 ratings imported from Letterboxd."]
    assert stands(app) == {"The Matrix": ("rate", 5.0), "Se7en": ("rate", 4.5), "Rocky IV": ("rate", 3.0)}
    show(app, "files")
    upload(app, EXPORT)
    press(app, "Import 2 ratings")
    assert [success.value for success in app.success] == ["0 ratings imported from Letterboxd; 2 you already had."]
    assert len(stands(app)) == 3


def test_films_newer_than_the_catalogue_are_counted_with_its_last_year(app: AppTest) -> None:
    last = int(load_dataset("sample").items["year"].max())
    upload(
        app, f"Date,Name,Year,Letterboxd URI,Rating\n2024-05-31,Not Made Yet,{last + 9},https://boxd.it/9,4\n{ALIEN}"
    )
    (text,) = [caption.value for caption in app.caption if f"catalogue ends in {last}" in caption.value]
    assert "one missing film is newer" in text


def test_an_unknown_format_is_explained_with_an_example_that_works(app: AppTest) -> None:
    upload(app, "colour,size\nred,3\n")
    assert "Choose a file" in app.file_uploader[0].label
    assert app.error[0].value.startswith("ratings\\.csv has the columns"), "a file keeps its name"
    upload(app, "title,year,rating\nThe Matrix,1999,★★★★½\nAlien,1979,8\n", "mine.csv")
    assert counts(app) == {"Matched": "1", "To confirm": "0", "Not in this catalogue": "0", "Not usable": "1"}
    app.segmented_control(key="rate out of").set_value(10).run()
    assert counts(app) == {"Matched": "2", "To confirm": "0", "Not in this catalogue": "0", "Not usable": "0"}
    press(app, "Import 2 ratings")
    assert stands(app)["Alien"] == ("rate", 4.0)


def test_newer_ratings_are_kept_over_imported_ones(app: AppTest) -> None:
    upload(app, EXPORT)
    press(app, "Import 2 ratings")
    show(app, "files")
    upload(app, "title,year,rating\nThe Matrix,1999,1\n", "undated.csv")  # counts as rated now
    press(app, "Import 1 rating")
    show(app, "files")
    upload(app, EXPORT.replace("boxd.it/1,5", "boxd.it/1,3"))
    press(app, "Import 2 ratings")
    (success,) = app.success
    assert "1 left unchanged: you have rated those films here since" in success.value
    assert stands(app)["The Matrix"] == ("rate", 1.0)


@pytest.mark.parametrize("line", ["The Matrix,1999,4.5,", "The Matrix,1999,4.5,2020-01-31", "Se7en,1995,1,"])
def test_c30_what_was_taken_back_comes_in_again(app: AppTest, line: str) -> None:
    log, visitor = visitor_ratings.event_log(), app.session_state["visitor"]
    for _ in range(3):
        upload(app, f"title,year,rating,date\n{line}\n")
        press(app, "Import 1 rating")
        assert [success.value for success in app.success] == ["1 rating imported from your CSV."]
        (event,) = log.standing(visitor, "sample")
        log.append(visitor, "sample", [Event("undo", event.item_id, event_id=uuid.uuid4().hex)])
        app.run()


def test_an_import_does_not_make_a_board_send_its_events_again(app: AppTest, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[list[str]] = []
    monkeypatch.setattr(visitor_ratings, "REMEMBERED", 2)
    monkeypatch.setattr(board, "draw", lambda *_, acknowledged, **__: sent.append(list(acknowledged)))
    visitor_ratings.event_log().append(
        app.session_state["visitor"], "sample", [rated_now("839", 4.0, event_id="a" * 32)]
    )
    show(app.run(), "files")
    upload(app, EXPORT)
    press(app, "Import 2 ratings")
    show(app, "ratings")
    assert sent
    assert all(ids == ["a" * 32] for ids in sent)


def test_downloaded_ratings_can_be_imported_again(app: AppTest) -> None:
    upload(app, EXPORT)
    press(app, "Import 2 ratings")
    show(app, "files")
    labels = {button.proto.label for button in app.get("download_button")}
    assert {
        "Download my ratings (MovieLens format)",
        "Download my ratings (Letterboxd format)",
        "Download my top 50",
    } <= labels
    films = [
        (import_export.cards.Film("839", "The Matrix", 1999, ""), 5.0),
        (import_export.cards.Film("730", "Se7en", 1995, ""), 4.5),
    ]
    letterboxd = import_export.letterboxd_csv(films)
    assert list(csv.reader(io.StringIO(letterboxd)))[:2] == [["Title", "Year", "Rating"], ["The Matrix", "1999", "5.0"]]
    upload(app, letterboxd, "letterboxd.csv")
    assert counts(app)["Matched"] == "2"
    upload(app, import_export.movielens_csv(films, {}), "movielens.csv")
    assert counts(app) == {"Matched": "0", "To confirm": "2", "Not in this catalogue": "0", "Not usable": "0"}
    assert "Number 839 is **The Matrix" in app.checkbox[-1].label
    app.checkbox[-1].check().run()
    assert app.button(key="import-keep").label == "Import 2 ratings"


def test_visitors_of_a_hosted_app_upload_a_few_files_and_then_wait(
    app: AppTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RECENGINE_HOSTED", "1")
    for n in range(3):
        upload(app, EXPORT, f"{n}.csv")
        assert not app.error
        app.run()  # looking again costs nothing
    upload(app, EXPORT, "3.csv")
    assert "more than 3 uploads at once" in app.error[0].value
    assert not app.metric


ACCOUNT = letterboxd_zip(
    {("The Matrix", 1999): 5.0, ("Se7en", 1995): 4.5},
    liked=[("Alien", 1979)],
    seen=[("Jaws", 1975), ("Heat", 1995)],
    watchlist=[("Psycho", 1960)],
)


def test_letterboxd_s_zip_brings_likes_films_seen_and_the_watchlist_and_can_be_undone(app: AppTest) -> None:
    app.file_uploader[0].upload("letterboxd.zip", ACCOUNT, "application/zip").run()
    captions = [caption.value for caption in app.caption]
    assert (
        "**ratings.csv** 2 rated · **likes/films.csv** 1 liked · **watched.csv** 5 seen (3 counted above already) · "
        "**watchlist.csv** 1 on your watchlist"
    ) in captions
    before = stands(app)
    press(app, "Import 3 ratings, 2 seen, 1 for your watchlist")
    assert [success.value for success in app.success] == ["6 films imported from Letterboxd."]
    assert stands(app) == {
        "The Matrix": ("rate", 5.0),
        "Se7en": ("rate", 4.5),
        "Alien": ("rate", 4.5),
        "Jaws": ("seen", None),
        "Heat": ("seen", None),
        "Psycho": ("watchlist", None),
    }
    press(app, "Undo the import")
    assert stands(app) == before == {}


def test_what_a_zip_merely_mentions_never_replaces_stars_given_here(app: AppTest) -> None:
    data = load_dataset("sample")
    ids = dict(zip(data.items["title"], map(str, data.item_ids.tolist()), strict=True))
    given = [rated_now(ids[title], 2.0) for title in ("Alien", "Jaws", "Psycho")]
    visitor_ratings.event_log().append(app.session_state["visitor"], "sample", given)
    show(app.run(), "files")
    app.file_uploader[0].upload("letterboxd.zip", ACCOUNT, "application/zip").run()
    press(app, "Import 3 ratings, 2 seen, 1 for your watchlist")
    assert [success.value for success in app.success] == ["3 films imported from Letterboxd; 3 you already had."]
    assert {stands(app)[title] for title in ("Alien", "Jaws", "Psycho")} == {("rate", 2.0)}
    show(app, "files")
    press(app, "Take back 3 from Letterboxd")
    assert set(stands(app)) == {"Alien", "Jaws", "Psycho"}


def test_films_put_aside_are_shown_and_can_be_removed(app: AppTest) -> None:
    app.file_uploader[0].upload("letterboxd.zip", ACCOUNT, "application/zip").run()
    press(app, "Import 3 ratings, 2 seen, 1 for your watchlist")
    assert {"Ratings 3", "Watchlist 1", "Seen, not rated 2", "Not interested 0"} <= set(
        app.segmented_control(key="show").options
    )
    show(app, "seen")
    jaws = load_dataset("sample").items.set_index("title")["item_id"]["Jaws"]
    app.session_state["board-aside"] = {"events": [{"id": "ab" * 16, "kind": "undo", "item": str(jaws)}]}
    app.run()
    assert "Jaws" not in stands(app)
    assert stands(app)["Heat"] == ("seen", None)
    assert "Seen, not rated 1" in app.segmented_control(key="show").options


def test_a_watchlist_that_was_downloaded_is_a_watchlist_when_it_comes_back(app: AppTest) -> None:
    app.file_uploader[0].upload("letterboxd.zip", ACCOUNT, "application/zip").run()
    press(app, "Import 3 ratings, 2 seen, 1 for your watchlist")
    data = load_dataset("sample")
    (psycho,) = [item for item in range(data.n_items) if data.films[item][1:3] == ("Psycho", 1960)]
    text = import_export.put_aside_csv(data, [psycho])
    assert next(csv.DictReader(io.StringIO(text)))["Title"] == "Psycho"
    visitor_ratings.event_log().erase(app.session_state["visitor"])
    app.run()
    upload(app, text, marks.FILES["watchlist"])
    press(app, "Import 1 for your watchlist")
    assert stands(app) == {"Psycho": ("watchlist", None)}
