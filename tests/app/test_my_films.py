"""My films: the visitor's ratings and what they put aside, in order, searched, edited and found again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from pages.ui import own_ratings, own_taste, visitor_ratings
from pages.ui.words import Words
from recengine.data.dataset import Dataset
from recengine.data.sources import load_dataset
from recengine.serving.event_log import Event, EventLog, located, rated
from tests.app.conftest import Open, markup, press

PAGE = "my_films.py"
FOUR = ["The Adventures of Robin Hood", "Battleship Potemkin", "The Cabinet of Dr. Caligari", "A Night at the Opera"]


@pytest.fixture(scope="module")
def sample() -> Dataset:
    return load_dataset("sample")


@pytest.fixture
def app(open_app: Open, warm_home: Path) -> AppTest:
    """Open the page in an empty home."""
    return open_app(PAGE)


def board_of(app: AppTest, name: str) -> list[dict[str, Any]]:
    """Return the cards of a board, as sent to the browser; none where it is not drawn."""
    boards = [element.proto for element in app.get("bidi_component") if element.proto.id.endswith(f"board-{name}")]
    return json.loads(boards[0].json)["cards"] if boards else []


def shown(app: AppTest) -> list[str]:
    return [card["item"] for card in board_of(app, "mine")]


def keep(app: AppTest, *events: Event, catalogue: str = "sample") -> AppTest:
    """Add acts to the log of the app's visitor and run the page again."""
    log = EventLog()
    log.append(app.session_state["visitor"], catalogue, events)
    log.close()
    return app.run()


def act(name: str, kind: str, item: str) -> Event:
    return Event(kind, item, event_id=name * 32)


def test_nothing_rated_says_what_will_be_here_and_offers_both_ways_in(app: AppTest) -> None:
    assert "Your films will be here" in markup(app)
    assert [link.proto.page for link in app.page_link if link.proto.label == "Rate films"] == [""]
    assert app.file_uploader[0].label == "Choose a file"
    assert not board_of(app, "mine")


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        ("newest", ["12", "460", "839"]),
        ("oldest", ["839", "460", "12"]),
        ("stars", ["839", "12", "460"]),
    ],
)
def test_ratings_stand_in_the_order_that_the_address_asks_for(open_app: Open, order: str, expected: list[str]) -> None:
    app = open_app(PAGE, sort=order)
    app = keep(app, rated("839", 5.0), rated("460", 1.0), rated("12", 3.0))
    assert shown(app) == expected
    assert {card["item"]: card["stars"] for card in board_of(app, "mine")} == {"839": 5.0, "460": 1.0, "12": 3.0}


def test_every_other_order_is_that_of_its_column(sample: Dataset) -> None:
    events = located([rated(str(item), 4.0) for item in range(1, 60)], sample.item_index_of)
    mine = visitor_ratings.VisitorRatings(events, [])
    years = [sample.films[item][2] or 0 for item in own_ratings.in_order(sample, mine, "year")]
    assert years == sorted(years, reverse=True)
    raters = [int(sample.ratings.item_counts[item]) for item in own_ratings.in_order(sample, mine, "rarity")]
    assert raters == sorted(raters)
    titles = [title for item in own_ratings.in_order(sample, mine, "title") if (title := sample.films[item][1]) in FOUR]
    assert titles == FOUR


def test_a_removed_film_stays_in_sight_until_the_page_is_opened_again(app: AppTest) -> None:
    app = keep(app, rated("839", 5.0), rated("460", 1.0))
    app.session_state["board-mine"] = {"events": [{"id": "ab" * 16, "kind": "undo", "item": "839"}]}
    app.run()
    assert shown(app) == ["460"]  # the whole page ran again
    app = keep(app, rated("839", 2.0))
    assert {card["item"]: card["stars"] for card in board_of(app, "mine")} == {"839": 2.0, "460": 1.0}


def test_a_search_narrows_the_ratings_and_says_when_none_matches(app: AppTest, sample: Dataset) -> None:
    app = keep(app, rated("839", 5.0), rated("460", 1.0))
    app.text_input(key="mine query").set_value("matrx").run()
    assert shown(app) == ["839"]
    app.text_input(key="mine query").set_value("zzzz qqqq").run()
    assert shown(app) == []
    assert any("None of your 2 films matches" in caption.value for caption in app.caption)


def test_many_ratings_come_in_parts(app: AppTest) -> None:
    app = keep(app, *(rated(str(item), 4.0) for item in range(1, 31)))
    assert len(shown(app)) == 24
    press(app, "Show 6 more")
    assert len(shown(app)) == 30


@pytest.mark.parametrize("kind", ["watchlist", "seen", "pass"])
def test_a_film_is_put_aside_by_a_search_and_leaves_when_it_is_rated(app: AppTest, sample: Dataset, kind: str) -> None:
    app = keep(app, rated("460", 4.0))
    app.segmented_control(key="show").set_value(kind).run()
    assert board_of(app, "aside") == []
    app.text_input(key=f"aside {kind} query").set_value(sample.films[sample.item_index_of["460"]][1]).run()
    assert app.button(key=f"aside add {kind} {sample.item_index_of['460']}").disabled  # it is rated
    app.text_input(key=f"aside {kind} query").set_value("the matrix").run()
    app.button(key=f"aside add {kind} {sample.item_index_of['839']}").click().run()
    assert [(card["item"], card["mark"]) for card in board_of(app, "aside")] == [("839", kind)]
    app.session_state["board-aside"] = {"events": [{"id": "cd" * 16, "kind": "rate", "item": "839", "stars": 4.5}]}
    app.run()
    assert board_of(app, "aside") == []
    standing = EventLog().standing(app.session_state["visitor"], "sample")
    assert [(event.item_id, event.kind, event.stars) for event in standing] == [
        ("460", "rate", 4.0),
        ("839", "rate", 4.5),
    ]


@pytest.mark.real
def test_ratings_of_another_data_set_are_found_again_and_are_one_press_away(app: AppTest, mirror: Path) -> None:
    app = keep(app, rated("50", 4.0), rated("181", 3.0), catalogue="ml-latest-small")
    press(app, "ml-latest-small · 2")
    assert app.session_state["data"] == "ml-latest-small"
    assert sorted(shown(app)) == ["181", "50"]
    assert "elsewhere ml-latest-small" not in [button.key for button in app.button]


def test_ratings_of_films_that_this_edition_lacks_are_kept_and_counted(app: AppTest) -> None:
    app = keep(app, rated("460", 4.0), rated("no such film", 5.0))
    assert shown(app) == ["460"]
    assert "1 film of yours is not in this edition" in markup(app)


def test_too_few_ratings_cannot_tell_which_model_suits(open_app: Open, fresh_home: Path) -> None:
    app = keep(open_app(PAGE, show="models"), *(rated(str(item), 5.0) for item in range(1, 9)), rated("30", 1.0))
    assert "Too few ratings to tell" in markup(app)
    assert "You have 8 liked and 1 others" in markup(app)


def test_the_models_that_are_ready_are_compared_on_hidden_ratings(open_app: Open, sample: Dataset) -> None:
    liked = [str(sample.item_ids[i]) for i in range(sample.n_items) if "Horror" in sample.films[i][3]][:14]
    others = [str(sample.item_ids[i]) for i in range(sample.n_items) if "Musical" in sample.films[i][3]][:8]
    app = open_app(PAGE, show="models")
    app = keep(app, *(rated(item, 5.0) for item in liked), *(rated(item, 1.0) for item in others))
    press(app, "Compare the models")
    page = markup(app)
    assert "On 14 films you liked and 8 you did not" in " ".join(caption.value for caption in app.caption)
    for title in ("EASE", "Taste", "Popularity"):
        assert f'<th scope="row">{title}</th>' in page
    assert page.count("% to ") >= 3  # an interval each
    assert 'class="verdict" role="status"' in page
    app = keep(app, rated("839", 5.0))
    press(app, "Compare again: your ratings have changed")
    assert "On 15 films you liked" in " ".join(caption.value for caption in app.caption)
    assert not [button for button in app.button if button.label.startswith("Compare")]


def test_taste_compares_with_all_viewers_and_its_data_can_be_taken(open_app: Open, sample: Dataset) -> None:
    horror = [str(sample.item_ids[i]) for i in range(sample.n_items) if sample.films[i][3] == "Horror|Thriller"][:4]
    app = keep(open_app(PAGE, show="charts"), *(rated(item, 5.0) for item in horror), rated("839", 1.0))
    assert "Horror 100% of your likes" in markup(app)
    assert "Your most common rating is 5 ★: 4 films of 5." in [caption.value for caption in app.caption]
    assert "<dt>Your mean</dt><dd>4.2 ★</dd>" in markup(app)
    assert [element.proto.label for element in app.get("download_button")] == ["Download the data"] * 3
    app.segmented_control(key="kind").set_value("decade").run()
    assert not app.exception
    assert app.query_params["kind"] in ("decade", ["decade"])


def test_taste_without_a_like_says_what_it_takes(open_app: Open) -> None:
    app = keep(open_app(PAGE, show="charts"), rated("839", 1.0))
    assert "Like a film to see this." in markup(app)
    assert "Rate 3 films of one kind to see this." in markup(app)


def test_hostile_names_reach_the_charts_and_captions_as_text(monkeypatch: pytest.MonkeyPatch) -> None:
    evil = own_taste.Group("<img src=x> ![](http://x.example) `a`", 3, 3, 0, 1.0, 0.1, 5.0, 3.0)
    texts: list[str] = []
    monkeypatch.setattr(own_taste.st, "caption", texts.append)
    monkeypatch.setattr(own_taste.st, "html", texts.append)
    monkeypatch.setattr(own_taste.st, "plotly_chart", lambda figure, **_: texts.append(figure.data[0].y[0]))
    monkeypatch.setattr(own_taste.st, "download_button", lambda *_, **__: None)
    own_taste.liked_share([evil], "genres", Words(True, True, False))
    assert "&lt;img src=x&gt; ![](http" in texts[0]
    assert "<img" not in "".join(texts)
