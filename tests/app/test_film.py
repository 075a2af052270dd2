"""Film: the film, similar films, the trail, the search, and errors."""

import pytest

from recengine.data.dataset import Dataset
from recengine.data.sources import load_dataset
from recengine.experiments.train import TrainingRequest, obtain
from recengine.models.registry import DEFAULT, model_class
from tests.app.conftest import Open, cards, links, markup, names, settle, text_of

PAGE = "film.py"


@pytest.fixture(scope="module")
def sample() -> Dataset:
    return load_dataset("sample")


def item_of(dataset: Dataset, title: str) -> str:
    return str(dataset.items.loc[dataset.items["title"] == title, "item_id"].iloc[0])


def test_without_a_film_the_page_offers_well_known_ones(open_app: Open, sample: Dataset) -> None:
    app = open_app(PAGE)
    start = names(app, "start")
    assert len(start) == 10
    most = sample.ratings.item_counts.max()
    assert f"rated by <b>{most:,}</b> viewers" in markup(app)
    assert not cards(app, "near")


@pytest.mark.parametrize("model", ["ease", "item-knn"])
def test_similar_films_are_the_model_s_with_their_similarity(open_app: Open, sample: Dataset, model: str) -> None:
    item = item_of(sample, "The Matrix")
    app = open_app(PAGE, item=item, model=model)
    ranking = obtain(TrainingRequest(sample, model)).model.similar_items(sample.item_index([item]), k=10)
    near = cards(app, "near")
    assert names(app, "near") == sample.items["title"].iloc[ranking.items[0].numpy()].tolist()
    for card, score in zip(near, ranking.scores[0].tolist(), strict=True):
        assert f'title="similarity {score:.2g}"' in card
    assert text_of(near[0], "badge") == "strong"
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
    trail = [label for label, query in links(app).items() if "More like" not in label and f"item={walk[0]}" in query]
    assert trail == ["Alien"]
    assert "The Matrix" in links(app)
    app.query_params["item"] = walk[0]
    settle(app)
    assert "The Matrix" not in links(app), "going back shortens the trail"


def test_model_without_similar_films_offers_one_that_has_them(open_app: Open, sample: Dataset) -> None:
    app = open_app(PAGE, item=item_of(sample, "Alien"), model="popularity")
    assert "cannot tell what is similar" in app.error[0].value
    assert not cards(app, "near")
    next(button for button in app.button if f"Use {model_class(DEFAULT).title}" in button.label).click()
    settle(app)
    assert not app.error
    assert len(cards(app, "near")) == 10


@pytest.mark.parametrize("item", ["0", "-1", "abc", "1e400", "![x](http://192.0.2.9/)"])
def test_unknown_film_is_one_sentence_and_a_way_on(open_app: Open, item: str) -> None:
    app = open_app(PAGE, item=item)
    assert len(app.error) == 1
    assert "not in" in app.error[0].value
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
