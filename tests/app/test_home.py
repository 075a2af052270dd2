"""Home: the list that follows from a visitor's ratings, however it is served, and what a browser may send."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa
import torch
from streamlit.testing.v1 import AppTest

from pages.ui import board, caches, shelves, to_rate, visitor_lists, visitor_ratings
from pages.ui.board import Square
from recengine.data.dataset import Dataset
from recengine.data.sources import load_dataset
from recengine.experiments.train import TrainingRequest, obtain
from recengine.models.compiled import COMPLETE, kernel_folder
from recengine.models.factors.ials import IALS
from recengine.models.registry import DEFAULT, model_class
from recengine.models.streaming.step import Step
from recengine.serving import viewers
from recengine.serving.event_log import Event, EventLog, located, rated
from recengine.serving.promotion import promote
from recengine.serving.recommend import recommend_new
from recengine.training.config import RunConfig
from tests.app.conftest import ROOT, Open, Worker, markup, names, press

PAGE = "home.py"
ID = "0123456789abcdef" * 2


@pytest.fixture(scope="module")
def sample() -> Dataset:
    return load_dataset("sample")


def cards_of(app: AppTest, name: str) -> list[dict[str, Any]]:
    """Return the cards of a board, as sent to the browser."""
    return board_of(app, name)["cards"]


def board_of(app: AppTest, name: str) -> dict[str, Any]:
    """Return all that is sent to the browser for a board."""
    boards = [element.proto for element in app.get("bidi_component") if element.proto.id.endswith(f"board-{name}")]
    data: dict[str, Any] = json.loads(boards[0].json)
    return data


def has_board(app: AppTest, name: str) -> bool:
    return any(element.proto.id.endswith(f"board-{name}") for element in app.get("bidi_component"))


def says(app: AppTest) -> str:
    """Return the line above the list."""
    return " ".join(filter(None, board_of(app, "list")["says"]))


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


def test_a_new_visitor_sees_six_films_of_different_kinds_and_two_other_ways_to_a_list(
    open_app: Open, sample: Dataset
) -> None:
    app = open_app(PAGE)
    hand = [sample.item_index_of[card["item"]] for card in cards_of(app, "hand")]
    assert len(hand) == 6
    assert len({sample.films[item][3].partition("|")[0] for item in hand}) == 6
    most = np.sort(sample.ratings.item_counts)[-to_rate.WELL_KNOWN]
    assert (sample.ratings.item_counts[hand] >= most).all()
    assert not has_board(app, "list")
    assert "Or bring your ratings" in markup(app)
    assert app.get("file_uploader")
    assert sum((button.key or "").startswith("persona ") for button in app.button) == to_rate.PERSONAS


def test_a_first_dislike_alone_gives_the_popular_list_and_says_so(open_app: Open) -> None:
    app = give(open_app(PAGE, model="ease"), {12: 1.0})
    shown = cards_of(app, "list")
    assert [card["rank"] for card in shown] == list(range(1, 11))
    assert {tuple(card["note"]) for card in shown} == {("Popular with everyone", "", "")}
    assert "what is popular" in says(app)
    assert not {card["item"] for card in cards_of(app, "hand")} & {"12"}


def test_the_list_is_what_the_model_gives_a_new_user_with_these_ratings(open_app: Open, sample: Dataset) -> None:
    app = give(open_app(PAGE), {839: 5.0, 460: 4.5, 12: 1.0})
    model = obtain(TrainingRequest(sample, DEFAULT)).model
    events = located([rated("839", 5.0), rated("460", 4.5), rated("12", 1.0)], sample.item_index_of)
    history = visitor_lists.as_histories(sample, events, [3])
    expected = recommend_new(model, sample, history, k=10).ranking.items[0].numpy()
    assert [card["item"] for card in cards_of(app, "list")] == [str(i) for i in sample.item_ids[expected]]
    notes = {card["note"][0] for card in cards_of(app, "list")}
    assert notes == {"Because you loved"}
    assert says(app).startswith("Updated after ")
    assert says(app).endswith(" (1 ★) · your first list")


def test_changes_in_the_list_are_marked_until_the_next_rating(open_app: Open) -> None:
    app = give(open_app(PAGE), {839: 5.0})
    assert {card["moved"] for card in cards_of(app, "list")} == {""}
    before = [card["item"] for card in cards_of(app, "list")]
    app = give(app, {1014: 5.0})
    for index, card in enumerate(cards_of(app, "list")):
        if card["item"] not in before:
            assert card["moved"] == "NEW"
        else:
            rise = before.index(card["item"]) - index
            assert card["moved"] == ("" if not rise else f"▲{rise}" if rise > 0 else f"▼{-rise}")
    new = sum(card["moved"] == "NEW" for card in cards_of(app, "list"))
    assert f"(5 ★) · {new} new" in says(app)


def test_ratings_wait_for_the_visitor_who_gave_them_and_for_no_other(open_app: Open) -> None:
    first = give(open_app(PAGE), {839: 5.0})
    back = open_app(PAGE)
    assert not has_board(back, "list")
    back.session_state["visitor"] = visitor(first)
    back.run()
    assert [card["item"] for card in cards_of(back, "list")] == [card["item"] for card in cards_of(first, "list")]


@pytest.mark.parametrize("panel", ["Side by side", "Rank over time", "How it grew"])
def test_every_panel_works(open_app: Open, panel: str) -> None:
    app = give(open_app(PAGE), {839: 5.0, 460: 4.5, 12: 1.0, 927: 4.0, 707: 3.0, 800: 2.5})
    app.segmented_control(key="rate panel").set_value(panel).run()
    assert not app.exception
    if panel == "How it grew":
        assert [f"<h3>After {n}</h3>" in markup(app) for n in (0, 1, 2, 5)] == [True] * 4


@pytest.fixture
def quick_step(warm_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let `step` take a second to train, in an empty home."""
    monkeypatch.setattr(Step, "preset_epochs", 1)


@pytest.mark.usefixtures("quick_step")
def test_step_serves_each_visitor_by_a_session(open_app: Open, sample: Dataset) -> None:
    obtain(TrainingRequest(sample, "step"))
    app = give(open_app(PAGE, model="step"), {839: 5.0, 927: 5.0})
    shown = cards_of(app, "list")
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
    assert len(kept(app)) == viewers.MOST_LIKED + viewers.MOST_DISLIKED
    assert len(cards_of(app, "list")) == 10
    assert says(app) == "Updated after the ratings you borrowed · your first list"


def test_a_model_without_fold_in_is_replaced_with_a_note(open_app: Open) -> None:
    app = give(open_app(PAGE, model="random"), {839: 5.0})
    assert any("cannot read new ratings" in info.value for info in app.info)
    assert len(cards_of(app, "list")) == 10


def test_while_a_model_trains_there_are_popular_films_and_how_long_it_takes(sample: Dataset, worker: Worker) -> None:
    app = AppTest.from_file(str(ROOT / "pages" / "main.py"), default_timeout=60)
    app.query_params["model"] = "neumf"
    app.run()
    assert not app.exception, app.exception
    assert app.get("progress")
    assert "a few seconds to a few minutes" in markup(app)
    most = np.argsort(-sample.ratings.item_counts, kind="stable")[:10]
    assert names(app, "meanwhile") == [sample.films[item][1] for item in most]
    worker.ends()


@pytest.mark.slow
def test_no_visitor_waits_for_the_compiler_of_sessions(sample: Dataset) -> None:
    from recengine.serving.sessions import OnlineSession, _learn_one, compile_loops

    compile_loops()
    compiled = list(_learn_one.signatures)
    session = OnlineSession(Step().fit(sample.ratings, run=RunConfig(epochs=1)))
    session.append(rated("", 4.5)._replace(item_idx=7))
    assert len(session.top(5).items[0]) == 5
    assert list(_learn_one.signatures) == compiled


@pytest.mark.slow
def test_loops_are_compiled_once_by_a_process_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(caches, "kernel_folder", lambda: str(tmp_path))
    child = caches.compile_loops()
    assert child is not None
    assert child.wait(300) == 0
    assert (Path(kernel_folder()) / COMPLETE).exists()
    (tmp_path / COMPLETE).touch()
    assert caches.compile_loops() is None


@pytest.mark.slow
def test_neither_training_nor_a_list_waits_for_the_compiler_of_ials_or_of_pairs_of_items(
    sample: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    from recengine.models.factors import histories
    from recengine.models.factors.ials_kernel import refine_rows, solve_rows
    from recengine.models.item_item import linear, sparse
    from recengine.models.item_item.sparse_kernel import add_rows, count_pairs, fill_gram, mirror, nearest
    from recengine.serving.sessions import compile_loops

    compile_loops()
    loops = refine_rows, solve_rows, count_pairs, mirror, fill_gram, nearest, add_rows
    before = [list(loop.signatures) for loop in loops]
    assert all(before)
    monkeypatch.setattr(histories, "COMPILED_FROM", 0)
    IALS().fit(sample.ratings, run=RunConfig(epochs=1))
    monkeypatch.setattr(linear, "COUNTED_FROM", 0)
    linear.EASE().fit(sample.ratings)
    monkeypatch.setattr(sparse, "DENSE_BYTES", 0)
    taste = model_class("taste")().fit(sample.ratings, items=sample.items)
    taste.score(np.arange(3))
    taste.item_similarity(torch.tensor([7]))
    assert [list(loop.signatures) for loop in loops] == before


def test_every_row_has_films_of_its_own_that_can_be_listed(open_app: Open, sample: Dataset) -> None:
    app = give(open_app(PAGE), {839: 5.0, 460: 4.5, 12: 1.0})
    top, hand = ([card["item"] for card in cards_of(app, name)] for name in ("list", "hand"))
    rows = {name: [card["item"] for card in cards_of(app, name)] for name in ("because", "gems", "different")}
    assert [len(row) for row in rows.values()] == [shelves.LENGTH] * 3
    assert not set(hand) & {item for row in rows.values() for item in row}
    everything = [*top, *(item for row in rows.values() for item in row)]
    assert len(set(everything)) == len(everything)
    assert not {"839", "460", "12"} & set(everything)
    counts = sample.ratings.item_counts
    mean = {name: np.mean([counts[sample.item_index_of[item]] for item in row]) for name, row in rows.items()}
    assert mean["gems"] < np.mean([counts[sample.item_index_of[item]] for item in top]) / 2
    loved = {sample.films[sample.item_index_of[item]][1] for item in ("839", "460")}
    assert any(f"Because you loved {title}" in markup(app) for title in loved)


def test_a_film_that_is_acted_on_makes_room_in_the_hand_and_the_others_stay(open_app: Open) -> None:
    app = open_app(PAGE)
    before = [card["item"] for card in cards_of(app, "hand")]
    app = give(app, {int(before[2]): 4.0})
    after = [card["item"] for card in cards_of(app, "hand")]
    assert after[2] not in before
    assert [item for index, item in enumerate(after) if index != 2] == [*before[:2], *before[3:]]
    press(app, "Show others")
    others = [card["item"] for card in cards_of(app, "hand")]
    assert not set(others) & {*before, *after}
    press(app, "Back")
    assert [card["item"] for card in cards_of(app, "hand")] == after


def test_undo_takes_the_last_act_back_and_leads_to_the_list_before(open_app: Open) -> None:
    app = give(open_app(PAGE), {839: 5.0})
    before = [card["item"] for card in cards_of(app, "list")]
    app = give(app, {460: 5.0})
    assert [card["item"] for card in cards_of(app, "list")] != before
    press(app, "Undo")
    assert [card["item"] for card in cards_of(app, "list")] == before
    assert says(app).startswith("Updated without ")


def test_a_rating_that_moves_nothing_says_why(open_app: Open, sample: Dataset) -> None:
    app = give(open_app(PAGE, model="ease"), {839: 5.0, 927: 5.0})
    rare = next(str(i) for i in sample.item_ids[np.argsort(sample.ratings.item_counts)] if str(i) not in ("839", "927"))
    app = give(app, {int(rare): 1.0})
    count = sample.ratings.item_counts[sample.item_index_of[rare]]
    assert f"nothing moved: only {count} viewers here rated it, too few to learn from" in says(app)


def test_knobs_and_only_from_outlive_the_page(open_app: Open, sample: Dataset) -> None:
    app = give(open_app(PAGE), {839: 5.0, 460: 4.5})
    app.select_slider(key=f"rate knob new {sample.fingerprint}").set_value(-1.0).run()
    app.segmented_control(key=f"only from source {sample.fingerprint}").set_value("Titles I paste").run()
    titles = "1. Alien (1979)\n- Blade Runner\nNo such film at all\nthe godfather"
    app.text_area(key=f"only from titles {sample.fingerprint}").set_value(titles).run()
    listed = {card["title"] for card in cards_of(app, "list")}
    assert listed <= {"Alien", "Blade Runner", "The Godfather"}
    assert len(listed) >= 2
    assert "Not in this catalogue: No such film at all." in [caption.value for caption in app.caption]
    app.switch_page("film.py").run()
    app.switch_page("home.py").run()
    assert {card["title"] for card in cards_of(app, "list")} == listed
    assert app.select_slider(key=f"rate knob new {sample.fingerprint}").value == -1.0
    assert "Steer this list · old · only my titles" in [box.label for box in app.expander]
    press(app, "Back to the list as it is")
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
    card = board._card(replace(tiny, items=items), Square(0, note=("Because you loved", hostile, "")), {})
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
