"""Duel: two unnamed lists, a vote that is kept once, and what all votes say."""

from __future__ import annotations

import pytest
from streamlit.testing.v1 import AppTest

from pages.ui.recipes import label, request, task_of
from recengine.data.dataset import Dataset
from recengine.data.sources import load_dataset
from recengine.evaluation.duel import LEFT, RIGHT, Vote
from recengine.experiments.train import obtain
from recengine.models.registry import DEFAULT
from recengine.serving.event_log import EventLog, rated
from tests.app.conftest import Open, markup, names, settle

PAGE = "duel.py"


@pytest.fixture(scope="module", autouse=True)
def sample() -> Dataset:
    """Return the sample, on which two models that serve new users are trained."""
    dataset = load_dataset("sample")
    for model in (DEFAULT, "item-knn"):
        obtain(request(dataset, task_of(model, "auto")))
    return dataset


@pytest.fixture
def log() -> EventLog:
    return EventLog()


@pytest.fixture
def app(open_app: Open, log: EventLog, sample: Dataset) -> AppTest:
    """Return the page for a visitor who likes some films."""
    app = open_app(PAGE)
    liked = sample.ratings.item_counts.argsort()[::-1][:5]
    log.append(app.session_state["visitor"], "sample", [rated(str(sample.item_ids[i]), 5.0) for i in liked])
    return settle(app)


def test_without_ratings_the_page_asks_for_some(open_app: Open) -> None:
    app = open_app(PAGE)
    assert "Rate a few films first" in markup(app)
    assert not [button for button in app.button if "is better" in button.label]


def test_neither_list_names_its_model_and_both_leave_out_what_was_rated(app: AppTest, sample: Dataset) -> None:
    rated_films = set(sample.items["title"].iloc[sample.ratings.item_counts.argsort()[::-1][:5]])
    for letter in "AB":
        assert len(names(app, f"duel-{letter}")) == 6
        assert not rated_films & set(names(app, f"duel-{letter}"))
    shown = app.session_state["duel"][1]
    lists = markup(app).partition("List A")[2].partition("about-model")[0]
    assert label(shown.left) not in lists
    assert label(shown.right) not in lists


@pytest.mark.parametrize("letter", ["A", "B"])
def test_a_vote_is_kept_and_the_models_are_named_afterwards(app: AppTest, log: EventLog, letter: str) -> None:
    before = log.votes("sample")
    shown = app.session_state["duel"][1]
    app.button(key=f"prefer-{letter}").click()
    settle(app)
    (vote,) = log.votes("sample")[len(before) :]
    pair = (LEFT, RIGHT) if shown.left == shown.right else (shown.left, shown.right)
    assert vote == Vote(app.session_state["visitor"], *(pair if letter == "A" else pair[::-1]))
    assert ("Both were" if shown.left == shown.right else "You preferred") in markup(app)
    assert app.session_state["duel"][1].id != shown.id


def test_skipping_keeps_no_vote(app: AppTest, log: EventLog) -> None:
    before, shown = log.votes("sample"), app.session_state["duel"][1]
    app.button(key="duel-skip").click()
    settle(app)
    assert log.votes("sample") == before
    assert app.session_state["duel"][1].id != shown.id


def test_all_votes_rank_the_models_with_a_control(app: AppTest, log: EventLog) -> None:
    for n in range(60):
        log.vote(
            "sample", Vote(f"v{n % 30}", DEFAULT, "item-knn") if n % 3 else Vote(f"v{n % 30}", LEFT, RIGHT), f"t{n}"
        )
    page = markup(settle(app))
    table = page.partition("Preferred in duels")[2]
    assert table.index(label(DEFAULT)) < table.index(label("item-knn"))
    assert "Control: between two halves of one list" in " ".join(caption.value for caption in app.caption)
    log.erase("v0")
