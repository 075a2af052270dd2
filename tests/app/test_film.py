"""Film: the film, similar films, the trail, the search, and errors."""

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from streamlit.testing.v1 import AppTest

from pages.ui import film_mix
from pages.ui.film_mix import Mix
from recengine.data.build import build_dataset
from recengine.data.dataset import Dataset
from recengine.data.sources import load_dataset
from recengine.experiments.train import TrainingRequest, obtain
from recengine.models.registry import DEFAULT, model_class
from tests.app.conftest import Open, cards, links, markup, names, settle, text_of

PAGE = "film.py"


@pytest.fixture(scope="module")
def sample() -> Dataset:
    return load_dataset("sample")


AWKWARD = build_dataset(
    "awkward",
    pd.DataFrame(
        {"user_id": "u", "item_id": ["1", "!1", "a b", "é%2C", "x,y", "01"], "rating": [5.0, 4.0] * 3, "timestamp": 0}
    ),
)
"""Ids that hold what stands between ids in an address."""


def captions(app: AppTest, part: str) -> list[str]:
    return [caption.value for caption in app.caption if part in caption.value]


def item_of(dataset: Dataset, title: str) -> str:
    return str(dataset.items.loc[dataset.items["title"] == title, "item_id"].iloc[0])


def test_without_a_film_the_page_offers_well_known_ones(open_app: Open, sample: Dataset) -> None:
    app = open_app(PAGE)
    start = names(app, "start")
    assert len(start) == 10
    most = sample.ratings.item_counts.max()
    assert f"rated by <b>{most:,}</b> viewers" in markup(app)
    assert not cards(app, "near")


@pytest.mark.parametrize("model", ["ease", "item-knn", DEFAULT])
def test_similar_films_are_the_model_s_with_their_similarity(open_app: Open, sample: Dataset, model: str) -> None:
    item = item_of(sample, "The Matrix")
    app = open_app(PAGE, item=item, model=model)
    ranking = obtain(TrainingRequest(sample, model)).model.similar_items(sample.item_index([item]), k=10)
    near = cards(app, "near")
    assert names(app, "near") == sample.items["title"].iloc[ranking.items[0].numpy()].tolist()
    for card, score in zip(near, ranking.scores[0].tolist(), strict=True):
        assert f'title="similarity {score:.2g}"' in card
    strengths = [text_of(card, "badge") for card in near]
    assert set(strengths) <= {"strong", "fair", "weak"}
    assert strengths == sorted(strengths, key=["strong", "fair", "weak"].index)
    assert "The Matrix" not in names(app, "near")


def test_the_film_is_shown_with_its_facts(open_app: Open, sample: Dataset) -> None:
    app = open_app(PAGE, item=item_of(sample, "Alien"))
    page = markup(app)
    assert "<h2>Alien</h2>" in page
    assert "Directed by <b>Ridley Scott</b>" in page
    count = int(sample.ratings.item_counts[int(sample.item_index([item_of(sample, "Alien")])[0])])
    assert f"Rated by <b>{count:,}</b> viewers" in page
    assert "on average (simulated)" in page


def test_walking_leaves_a_trail_back(open_app: Open, sample: Dataset) -> None:
    walk = [item_of(sample, title) for title in ("Alien", "The Matrix", "Jaws")]
    app = open_app(PAGE, item=walk[0])
    for item in walk[1:]:
        app.query_params["item"] = item
        settle(app)
    assert f"item={walk[0]}&" in links(app)["Alien"] + "&"
    assert "The Matrix" in links(app)
    app.query_params["item"] = walk[0]
    settle(app)
    assert "The Matrix" not in links(app), "going back shortens the trail"


def test_a_model_that_compares_no_films_has_them_by_content_and_offers_one_that_does(
    open_app: Open, sample: Dataset
) -> None:
    app = open_app(PAGE, item=item_of(sample, "Alien"), model="popularity")
    assert captions(app, "the same for everyone, so these are similar in content")
    assert "Aliens" in names(app, "near")
    assert not [control for control in app.segmented_control if control.key == "by"]
    next(button for button in app.button if f"Use {model_class(DEFAULT).title}" in button.label).click()
    settle(app)
    assert app.query_params["model"] == DEFAULT
    assert len(cards(app, "near")) == 10


def test_the_mix_of_people_and_content_is_chosen_and_stays_in_the_address(open_app: Open, sample: Dataset) -> None:
    item = item_of(sample, "Mad Max: Fury Road")
    app = open_app(PAGE, item=item)
    count = sample.ratings.item_counts[int(sample.item_index([item])[0])]
    assert captions(app, f"% by the {count:,} viewers who rated it")
    both = names(app, "near")
    app.segmented_control(key="by").set_value("content")
    settle(app)
    assert app.query_params["by"] == "content"
    by_content = names(app, "near")
    assert by_content[:2] == ["Mad Max", "Mad Max 2: The Road Warrior"]
    assert names(open_app(PAGE, item=item, by="content"), "near") == by_content
    assert names(open_app(PAGE, item=item, by="users"), "near") not in (both, by_content)
    assert names(open_app(PAGE, item=item, by="nonsense"), "near") == both


def test_few_ratings_are_said_and_content_stands_in(open_app: Open, sample: Dataset) -> None:
    few = int(sample.ratings.item_counts.argmin())
    app = open_app(PAGE, item=str(sample.item_ids[few]), model="ease")
    assert captions(app, f"Too few ratings ({sample.ratings.item_counts[few]}) to tell who likes it, so by content")
    assert len(cards(app, "near")) == 10


def test_the_rest_of_a_series_has_a_row_by_year(open_app: Open, sample: Dataset) -> None:
    app = open_app(PAGE, item=item_of(sample, "Mad Max: Fury Road"))
    assert "In the same series" in markup(app)
    assert names(app, "series") == ["Mad Max", "Mad Max 2: The Road Warrior"]
    remakes = open_app(PAGE, item=str(sample.items.loc[sample.items["title"] == "Nosferatu", "item_id"].iloc[0]))
    assert "Other versions" in markup(remakes)
    alone = open_app(PAGE, item=item_of(sample, "Jaws"))
    assert not cards(alone, "series")


def test_several_films_are_mixed_by_links_and_taken_out_again(open_app: Open, sample: Dataset) -> None:
    alien, thing, jaws = (item_of(sample, title) for title in ("Alien", "The Thing", "Jaws"))
    app = open_app(PAGE, item=alien)
    more = next(query for label, query in links(app).items() if label == "More like The Thing too")
    assert f"item={alien}%2C{thing}" in more
    app = open_app(PAGE, item=f"{alien},{thing}")
    assert "More like <b>Alien</b> and <b>The Thing</b></h2>" in markup(app)
    assert not {"Alien", "The Thing"} & set(names(app, "near"))
    both = names(app, "near")
    assert f"item={thing}&" in links(app)["Remove Alien"] + "&"
    app = open_app(PAGE, item=f"{alien},{thing},!{jaws}")
    assert "less like <b>Jaws</b></h2>" in markup(app)
    assert names(app, "near") != both
    assert "Jaws" not in names(app, "near")


@pytest.mark.parametrize("item", ["345,nobody", "345,!zz", ",", "!345"])
def test_a_broken_mix_is_one_sentence_or_the_start(open_app: Open, item: str) -> None:
    app = open_app(PAGE, item=item)
    assert len(app.error) == 1 or len(names(app, "start")) == 10


@given(st.lists(st.integers(0, 5), min_size=1, max_size=6, unique=True), st.integers(0, 5))
def test_a_mix_is_read_as_it_was_written(films: list[int], split: int) -> None:
    mix = Mix(tuple(films[: max(1, split)]), tuple(films[max(1, split) :]))
    assert film_mix.read(AWKWARD, film_mix.write(AWKWARD, mix)) == mix


@pytest.mark.parametrize("item", ["0", "-1", "abc", "1e400", "![x](http://192.0.2.9/)"])
def test_unknown_film_is_one_sentence_and_a_way_on(open_app: Open, item: str) -> None:
    app = open_app(PAGE, item=item)
    assert len(app.error) == 1
    assert app.error[0].value.endswith(" is not in this catalogue; search by its title\\.")
    assert "item" not in links(app)["Start from another film"]
    assert "![x](" not in app.error[0].value


def test_search_forgives_typos_and_reports_when_nothing_matches(open_app: Open) -> None:
    app = open_app(PAGE)
    app.text_input[0].set_value("Godfahter")
    settle(app)
    assert any(label.startswith("The Godfather") for label in links(app))
    app.text_input[0].set_value("zzzzqqqq")
    settle(app)
    assert any("is not in this catalogue" in caption.value for caption in app.caption)
