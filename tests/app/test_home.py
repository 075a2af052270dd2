"""Rate: the list that follows from a visitor's ratings, however it is served, and what a browser may send."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa
import torch
from streamlit.testing.v1 import AppTest

from pages.ui import board, visitor_lists, visitor_ratings
from pages.ui.board import Square
from recengine.data.dataset import Dataset
from recengine.data.sources import load_dataset
from recengine.experiments.train import TrainingRequest, obtain
from recengine.models.registry import DEFAULT
from recengine.models.streaming.step import Step
from recengine.serving.event_log import Event, EventLog, located, rated
from recengine.serving.promotion import promote
from recengine.serving.recommend import recommend_new
from tests.app.conftest import Open, markup, press

PAGE = "home.py"
ID = "0123456789abcdef" * 2


@pytest.fixture(scope="module")
def sample() -> Dataset:
    return load_dataset("sample")


def cards_of(app: AppTest, name: str) -> list[dict[str, Any]]:
    """Return the cards of a board, as sent to the browser."""
    boards = [element.proto for element in app.get("bidi_component") if element.proto.id.endswith(f"board-{name}")]
    return json.loads(boards[0].json)["cards"]


def visitor(app: AppTest) -> str:
    return app.session_state["visitor"]


def kept(app: AppTest) -> list[str]:
    return [event.item_id for event in visitor_ratings.event_log().standing(visitor(app), "sample")]


def give(app: AppTest, ratings: dict[int, float]) -> AppTest:
    """Add ratings to the log of the app's visitor, as a board would, and run the page again."""
    log = EventLog()
    log.append(visitor(app), "sample", [rated(str(item), stars) for item, stars in ratings.items()])
    log.close()
    return app.run()


def test_a_new_visitor_sees_popular_films_and_films_to_rate(open_app: Open, sample: Dataset) -> None:
    app = open_app(PAGE)
    shown = cards_of(app, "list")
    assert [card["rank"] for card in shown] == list(range(1, 11))
    assert {tuple(card["note"]) for card in shown} == {("Popular with everyone", "", "")}
    assert "what is popular" in markup(app)
    hand = cards_of(app, "hand")
    assert len(hand) == 6
    assert not {card["item"] for card in hand} & {card["item"] for card in shown}


def test_the_list_is_what_the_model_gives_a_new_user_with_these_ratings(open_app: Open, sample: Dataset) -> None:
    app = give(open_app(PAGE), {839: 5.0, 460: 4.5, 12: 1.0})
    model = obtain(TrainingRequest(sample, DEFAULT)).model
    events = located([rated("839", 5.0), rated("460", 4.5), rated("12", 1.0)], sample.item_index_of)
    history = visitor_lists.as_histories(sample, events, [3])
    expected = recommend_new(model, sample, history, k=10).ranking.items[0].numpy()
    assert [card["item"] for card in cards_of(app, "list")] == [str(i) for i in sample.item_ids[expected]]
    notes = {card["note"][0] for card in cards_of(app, "list")}
    assert notes == {"Because you loved"}
    assert "after <b>" in markup(app)


def test_changes_in_the_list_are_marked_until_the_next_rating(open_app: Open) -> None:
    app = give(open_app(PAGE), {839: 5.0})
    assert {card["moved"] for card in cards_of(app, "list")} - {""}
    before = [card["item"] for card in cards_of(app, "list")]
    app = give(app, {1014: 5.0})
    for index, card in enumerate(cards_of(app, "list")):
        if card["item"] not in before:
            assert card["moved"] == "NEW"
        else:
            rise = before.index(card["item"]) - index
            assert card["moved"] == ("" if not rise else f"▲{rise}" if rise > 0 else f"▼{-rise}")


def test_ratings_wait_for_the_visitor_who_gave_them_and_for_no_other(open_app: Open) -> None:
    first = give(open_app(PAGE), {839: 5.0})
    back = open_app(PAGE)
    assert "to make this list yours" in markup(back)
    back.session_state["visitor"] = visitor(first)
    back.run()
    assert [card["item"] for card in cards_of(back, "list")] == [card["item"] for card in cards_of(first, "list")]


@pytest.mark.parametrize("panel", ["Side by side", "Rank over time", "How it grew", "Your taste", "Import and export"])
def test_every_panel_works(open_app: Open, panel: str) -> None:
    app = give(open_app(PAGE), {839: 5.0, 460: 4.5, 12: 1.0, 927: 4.0, 707: 3.0, 800: 2.5})
    app.segmented_control(key="rate panel").set_value(panel).run()
    assert not app.exception
    if panel == "How it grew":
        assert [f"<h3>After {n}</h3>" in markup(app) for n in (0, 1, 2, 5)] == [True] * 4
    if panel == "Import and export":
        assert "6 films rated" in markup(app)


@pytest.fixture
def quick_step(fresh_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let `step` take a second to train, in an empty home."""
    monkeypatch.setattr(Step, "preset_epochs", 1)


@pytest.mark.usefixtures("quick_step")
def test_step_serves_each_visitor_by_a_session(open_app: Open, sample: Dataset) -> None:
    obtain(TrainingRequest(sample, "step"))
    app = give(open_app(PAGE, model="step"), {839: 5.0, 927: 5.0})
    shown = cards_of(app, "list")
    assert "Updated after" in markup(app)
    assert not {"839", "927"} & {card["item"] for card in shown}
    app = give(app, {460: 5.0})
    assert [card["item"] for card in cards_of(app, "list")] != [card["item"] for card in shown]


@pytest.mark.slow
@pytest.mark.usefixtures("quick_step")
def test_a_promoted_snapshot_is_served_at_once_and_no_rating_is_lost(open_app: Open, sample: Dataset) -> None:
    obtain(TrainingRequest(sample, "step"))
    app = give(open_app(PAGE, model="step"), {839: 5.0, 927: 5.0})
    old = app.session_state["rate session"]
    EventLog().append("another visitor", "sample", [rated(str(i), 5.0) for i in (839, 927, 460)])
    assert promote(sample, EventLog()).promoted
    app = give(app, {460: 5.0})
    new = app.session_state["rate session"]
    assert new.model is not old.model
    assert not torch.equal(new.model.item_vectors(), old.model.item_vectors())
    assert len(new.events) == 3


def test_a_database_that_cannot_be_written_is_one_sentence_and_the_rating_is_kept_later(open_app: Open) -> None:
    app = give(open_app(PAGE), {839: 5.0})
    engine = visitor_ratings.event_log()._engine

    def close(connection: object, *_: object) -> None:
        connection.execute("PRAGMA query_only=ON")  # type: ignore[attr-defined]

    sent = {"events": [{"id": "ab" * 16, "kind": "rate", "item": "460", "stars": 4.5}]}
    sa.event.listen(engine, "checkout", close)
    try:
        app.session_state["board-list"] = sent
        app.run()
        assert not app.exception
        (toast,) = app.toast
        assert "cannot be kept just now" in toast.value
        assert kept(app) == ["839"]
    finally:
        sa.event.remove(engine, "checkout", close)
        engine.dispose()
    app.session_state["board-list"] = sent  # the browser sends it again
    app.run()
    assert not app.toast
    assert kept(app) == ["839", "460"]


def test_a_visitor_can_start_from_what_a_persona_liked_and_disliked(open_app: Open) -> None:
    app = open_app(PAGE)
    next(button for button in app.button if (button.key or "").startswith("persona ")).click()
    app.run()
    app.segmented_control(key="rate panel").set_value("Import and export").run()
    assert "12 films rated" in markup(app)
    press(app, "Erase")
    assert "to make this list yours" in markup(app)


def test_a_model_without_fold_in_is_replaced_with_a_note(open_app: Open) -> None:
    app = open_app(PAGE, model="random")
    assert any("cannot read new ratings" in info.value for info in app.info)
    assert len(cards_of(app, "list")) == 10


# What a browser sends -------------------------------------------------------------------------------------------


def test_events_are_read_and_anything_else_is_ignored(tiny: Dataset) -> None:
    good = {"id": ID, "kind": "rate", "item": "101", "stars": 4.5}
    assert board.read(tiny, [good]) == [Event("rate", "101", 4.5, event_id=ID, item_idx=0)]
    assert board.read(tiny, [{**good, "kind": "undo", "stars": None}]) == [
        Event("undo", "101", event_id=ID, item_idx=0)
    ]
    bad: list[Any] = [
        None,
        7,
        [],
        {},
        {**good, "stars": 4.7},
        {**good, "stars": 0},
        {**good, "stars": 5.5},
        {**good, "stars": "5"},
        {**good, "stars": float("nan")},
        {**good, "kind": "erase"},
        {**good, "kind": ["rate"]},
        {**good, "item": "999"},
        {**good, "item": 101},
        {**good, "item": "'; DROP TABLE event; --"},
        {**good, "id": "x" * 33},
        {**good, "id": 5},
    ]
    assert board.read(tiny, bad) == []
    for whole in (None, "events", {"0": good}, 5):
        assert board.read(tiny, whole) == []
    assert len(board.read(tiny, [good] * 5000)) == 200


def test_titles_reach_the_browser_as_text(tiny: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    hostile = "<img src=x onerror=alert(1)>\u202e\x00" + "a" * 10_000
    items = tiny.items.assign(title=hostile)
    card = board._card(replace(tiny, items=items), Square(0, note=("Because you loved", hostile, "")))
    assert card["title"].startswith("<img src=x onerror=alert(1)>")  # board.js sets textContent
    assert len(card["title"]) == len(card["note"][1]) == 300
    assert "\u202e" not in json.dumps(card, ensure_ascii=False)


def test_stars_fit_any_scale(tiny: Dataset) -> None:
    assert [tiny.in_scale(stars) for stars in (0.5, 4.5, 5.0)] == [1.0, 4.5, 5.0]
    rows = tiny.ratings
    ten = replace(tiny, ratings=replace(rows, rating=rows.rating * 20))
    low, high = ten.rating_range
    assert [ten.in_scale(stars) for stars in (0.5, 5.0)] == [low, high]
    assert np.isclose(ten.in_scale(2.75), (low + high) / 2)
