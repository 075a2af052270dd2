"""A film and the visitor: stars, what is expected, exact reasons, why not, and what puts a film aside."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from streamlit.runtime.scriptrunner import RerunData, get_script_run_ctx
from streamlit.testing.v1 import AppTest

from pages.ui import film_yours, visitor_ratings
from pages.ui.film_facts import film_html
from pages.ui.visitor_lists import as_histories
from recengine.data.dataset import Dataset
from recengine.data.sources import load_dataset
from recengine.experiments.train import TrainingRequest, obtain
from recengine.models.registry import DEFAULT
from recengine.serving.certainty import predicted_stars
from recengine.serving.event_log import Event, EventLog, located, rated
from recengine.serving.explain import Contribution, Why, why
from recengine.serving.recommend import recommend_new
from recengine.serving.why_not import Given, WhyNot
from tests.app.conftest import Open, links, markup, press, settle

PAGE = "film.py"
GIVEN = {"Alien": 5.0, "The Thing": 4.5, "Notting Hill": 1.5, "Jaws": 4.0, "Halloween": 4.5}


@pytest.fixture(scope="module")
def sample() -> Dataset:
    return load_dataset("sample")


def item_of(dataset: Dataset, title: str) -> str:
    return str(dataset.items.loc[dataset.items["title"] == title, "item_id"].iloc[0])


def ratings_of(dataset: Dataset) -> list[Event]:
    return [rated(item_of(dataset, title), stars) for title, stars in GIVEN.items()]


def keep(app: AppTest, *events: Event) -> AppTest:
    """Add acts to the log of the app's visitor and run the page again."""
    log = EventLog()
    log.append(app.session_state["visitor"], "sample", events)
    log.close()
    return settle(app)


def stands(app: AppTest, item: str) -> list[tuple[str, float | None]]:
    log = visitor_ratings.event_log()
    return [(e.kind, e.stars) for e in log.standing(app.session_state["visitor"], "sample") if e.item_id == item]


@pytest.fixture
def open_film(open_app: Open, warm_home: Path, sample: Dataset):
    """Return a function that opens a film for a visitor who has rated five."""

    def start(title: str, **params: str) -> AppTest:
        return keep(open_app(PAGE, item=item_of(sample, title), **params), *ratings_of(sample))

    return start


def test_without_ratings_one_line_invites_to_rate(open_app: Open, warm_home: Path, sample: Dataset) -> None:
    app = open_app(PAGE, item=item_of(sample, "Alien"))
    assert any("where it stands for you, and exactly why" in caption.value for caption in app.caption)
    assert "Rate a few films" in links(app)
    assert "Speaks for it" not in markup(app)


def test_expected_stars_rank_and_reasons_are_the_model_s(open_film, sample: Dataset) -> None:
    page = markup(open_film("Blade Runner"))
    model = obtain(TrainingRequest(sample, DEFAULT)).model
    events = located(ratings_of(sample), sample.item_index_of)
    history = as_histories(sample, events, [len(events)], 4.0)
    seed = int(sample.item_index([item_of(sample, "Blade Runner")])[0])
    answer = why(model, sample, history, seed)
    (guess,) = predicted_stars(model, history, [seed])
    assert f"about <b>{guess.rating:.1f} ★</b> ({guess.low:.1f} to {guess.high:.1f} ★" in page
    assert f"It stands at rank <b>{answer.rank}</b> of 1,229" in page
    shown = re.findall(r'<span class="what">(.*?) <i>([\d.]+) ★</i></span><span class="amount">(.*?)</span>', page)
    parts = {sample.films[part.item_idx][1]: (part.rating, part.amount) for part in answer.contributions}
    assert len(shown) >= 4
    for title, stars, amount in shown:
        assert parts[title][0] == float(stars)
        assert amount == film_yours.signed(parts[title][1])
    assert f"All parts add up to its score, {answer.score:.2f}".replace("-", "−") in page


def test_what_speaks_against_a_film_is_told_apart(open_film) -> None:
    page = markup(open_film("Love Actually"))
    speaks, against = page.split("Speaks against it", 1)
    assert "Notting Hill" in against
    assert "Notting Hill <i>" not in speaks
    assert "−0." in against


def test_a_search_ends_once_something_else_is_clicked(open_film, monkeypatch: pytest.MonkeyPatch) -> None:
    real = film_yours._Search.__call__

    def clicked_meanwhile(search: film_yours._Search, share: float) -> None:
        context = get_script_run_ctx()
        assert context is not None
        assert context.script_requests is not None
        context.script_requests.request_rerun(RerunData(fragment_id="another"))  # it does not end the run by itself
        real(search, share)

    monkeypatch.setattr(film_yours._Search, "__call__", clicked_meanwhile)
    app = open_film("Blade Runner")
    press(app, "What would bring it into my ten?")
    assert 'class="verdict why-not"' not in markup(app)


def test_why_not_is_tried_on_the_model(open_film, sample: Dataset) -> None:
    app = open_film("Blade Runner")
    press(app, "What would bring it into my ten?")
    (answer,) = re.findall(r'<p class="verdict why-not" role="status">(.*?)</p>', markup(app))
    added = re.findall(r"<b>([^<]*)</b> (?:from [\d.]+ ★ to )?([\d.]+) ★", answer)
    rank = int(re.findall(r"<b>rank (\d+)</b>", answer)[0])
    assert added
    assert rank <= 10
    given = GIVEN | {title: float(stars) for title, stars in added}
    events = located([rated(item_of(sample, title), stars) for title, stars in given.items()], sample.item_index_of)
    history = as_histories(sample, events, [len(events)], 4.0)
    model = obtain(TrainingRequest(sample, DEFAULT)).model
    listed = recommend_new(model, sample, history, k=10).ranking.items[0].tolist()
    assert sample.films[listed[rank - 1]][1] == "Blade Runner"
    assert not [button for button in app.button if "into my ten" in button.label], "the answer stands for the button"


def test_a_film_in_the_list_says_how_sure_it_is(open_film) -> None:
    app = open_film("Psycho")
    assert re.search(r"It is in your list, at rank <b>\d+</b>", markup(app))
    assert re.search(r"still be in your ten <b>\d+%</b> of the time", markup(app))
    assert not [button for button in app.button if "into my ten" in button.label]


def test_a_rated_film_is_guessed_from_the_others_alone(open_film, sample: Dataset) -> None:
    page = markup(open_film("Alien"))
    assert "You gave it <b>5 ★</b>. From your other ratings alone we would have guessed about" in page
    assert "Alien <i>" not in page, "its own stars are no reason for it"


def test_a_film_is_put_on_the_watchlist_and_taken_off_again(open_film, sample: Dataset) -> None:
    app, item = open_film("Blade Runner"), item_of(sample, "Blade Runner")
    press(app, "Watchlist")
    assert stands(app, item) == [("watchlist", None)]
    assert "Were it not set aside or rated" in markup(app)
    press(app, "Not interested")
    assert stands(app, item) == [("pass", None)]
    press(app, "Not interested")
    assert stands(app, item) == [("watchlist", None)], "what stood before stands again"
    press(app, "Watchlist")
    assert stands(app, item) == []


def test_stars_are_not_lost_to_the_watchlist(open_film) -> None:
    app = open_film("Alien")
    assert not [button for button in app.button if button.label in ("Watchlist", "Seen it", "Not interested")]


def test_a_model_that_explains_nothing_ranks_and_one_that_reads_no_ratings_leaves_it_to_the_default(open_film) -> None:
    app = open_film("Blade Runner", model="popularity")
    assert re.search(r"at rank <b>[\d,]+</b> of 1,229", markup(app))
    assert "Speaks for it" not in markup(app)
    assert not [button for button in app.button if "into my ten" in button.label], "no rating moves it"
    app = open_film("Blade Runner", model="demographic")
    assert any("cannot read new ratings, so Taste answers here" in caption.value for caption in app.caption)
    assert "Speaks for it" in markup(app)


def test_hostile_titles_are_text_among_reasons_and_answers(sample: Dataset) -> None:
    hostile = "<img src=x onerror=alert(1)> **b**"
    items = sample.items.assign(title=[hostile, hostile, *sample.items["title"][2:]])
    data = replace(sample, items=items)
    mine = visitor_ratings.VisitorRatings([Event("rate", "1", 2.0, item_idx=0)], [])
    answer = WhyNot(5, 30, (Given(0, 5.0), Given(1, 5.0)), 9)
    parts = [Contribution(0, 5.0, 0.5), Contribution(1, 1.0, -0.2)]
    for page in (
        film_yours.answer_html(data, answer, mine),
        film_yours.reasons_html(data, Why(5, 0.3, 30, parts, {"<b>": 0.1})),
        film_html(data, 0),
    ):
        assert "<img src=x" not in page
        assert "&lt;img src=x" in page
    assert film_yours.answer_html(data, answer, mine).endswith(
        "changing <b>&lt;img src=x onerror=alert(1)&gt; **b**</b> from 2 ★ to 5 ★ would bring it from rank 30 to "
        "<b>rank 9</b>. We tried it on the model itself."
    )


def test_no_answer_is_said_as_such(sample: Dataset) -> None:
    mine = visitor_ratings.VisitorRatings([], [])
    assert "would bring it into your ten. It may be" in film_yours.answer_html(sample, WhyNot(5, 30, None, None), mine)
