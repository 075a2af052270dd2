"""Viewers: the viewer, their list and its reasons, the filters, and the empty and error states."""

import re

import numpy as np
import pytest

from pages.ui import caches
from recengine.data.dataset import Dataset
from recengine.data.sources import load_dataset
from recengine.experiments.train import TrainingRequest, obtain
from recengine.models.abilities import PredictsRatings
from recengine.models.registry import DEFAULT
from recengine.serving.viewers import history_of
from tests.app.conftest import Open, cards, links, markup, names, settle, text_of


@pytest.fixture(scope="module")
def sample() -> Dataset:
    return load_dataset("sample")


def test_first_visit_shows_ten_ranked_posters_each_with_a_reason(open_app: Open) -> None:
    app = open_app()
    top = cards(app, "top")
    assert [text_of(card, "rank") for card in top] == [str(i) for i in range(1, 11)]
    assert all('<img src="poster/v1.svg?t=' in card and 'alt="Poster of ' in card for card in top)
    assert all(text_of(card, "note").startswith("Because they loved") for card in top)
    assert cards(app, "loved")
    assert "simulated" in markup(app)


def test_list_is_the_model_s_without_rated_films(open_app: Open, sample: Dataset) -> None:
    app = open_app(user="12")
    model = obtain(TrainingRequest(sample, DEFAULT)).model
    user = sample.user_index([12])
    expected = model.top_k(user, k=10, seen=sample.ratings).items[0].numpy()
    assert names(app, "top") == sample.items["title"].iloc[expected].tolist()


def test_reasons_are_films_that_the_viewer_liked(open_app: Open, sample: Dataset) -> None:
    app = open_app(user="12")
    past = history_of(sample, int(sample.user_index([12])[0]))
    liked = set(sample.items["title"].iloc[past.items[past.ratings >= 4]])
    for card in cards(app, "top"):
        films = re.findall(r"<b>(.*?)</b>", card)[-1]
        assert films in liked or set(films.split(" and ", 1)) <= liked, films


def test_switch_shows_rated_films_with_the_viewer_s_rating(open_app: Open, sample: Dataset) -> None:
    app = open_app(user="12")
    assert all(text_of(card, "badge").startswith("≈ ") for card in cards(app, "top"))  # predicted
    app.toggle(key="unseen").set_value(False)
    settle(app)
    assert app.query_params["unseen"] == "no"
    past = history_of(sample, int(sample.user_index([12])[0]))
    rated = dict(zip(sample.items["title"].iloc[past.items], past.ratings, strict=True))
    shown = [(text_of(card, "name"), text_of(card, "badge")) for card in cards(app, "top")]
    assert any(name in rated for name, _ in shown)
    assert all((badge == f"{rated[name]:g} ★") if name in rated else badge[0] == "≈" for name, badge in shown)


def test_summary_counts_the_unfiltered_top_against_the_ratings(open_app: Open, sample: Dataset) -> None:
    app = open_app(user="12", genres="Horror")
    user = int(sample.user_index([12])[0])
    model = obtain(TrainingRequest(sample, DEFAULT)).model
    top = model.top_k([user], k=10, seen=None).items[0].numpy()
    past = history_of(sample, user)
    rated = dict(zip(past.items.tolist(), past.ratings.tolist(), strict=True))
    high = sum(rated.get(i, 0) >= 4 for i in top.tolist())
    low = sum(0 < rated.get(i, 0) <= 2.5 for i in top.tolist())
    assert f"Unfiltered, <b>{high}</b> of the model’s top 10" in markup(app)
    assert f"they rated <b>{low}</b> of them" in markup(app)


def test_filters_in_the_address_narrow_the_list(open_app: Open, sample: Dataset) -> None:
    app = open_app(user="12", genres="Horror|Western", years="1950-1999", k="20", popularity="well known")
    top = names(app, "top")
    films = sample.items.set_index("title")
    fame = dict(zip(sample.items["title"], sample.ratings.item_counts, strict=True))
    assert 0 < len(top) <= 20
    for title in top:
        rows = films.loc[[title]]
        assert any({"Horror", "Western"} & set(text.split("|")) for text in rows["genres"])
        assert rows["year"].between(1950, 1999).any()
        assert fame[title] >= np.quantile(sample.ratings.item_counts, 0.8)


def test_filters_that_hide_everything_offer_one_way_out(open_app: Open) -> None:
    app = open_app(user="12", genres="Western", years="1902-1902")
    assert "No films match these filters" in markup(app)
    app.button[-1].click()
    settle(app)
    assert len(cards(app, "top")) == 10
    assert "genres" not in app.query_params
    assert "years" not in app.query_params


@pytest.mark.parametrize(
    "params",
    [
        {"genres": "Nonsense"},
        {"years": "2000-1990"},
        {"years": "x"},
        {"k": "1000000"},
        {"unseen": "maybe"},
        {"popularity": ""},
    ],
)
def test_nonsense_in_the_address_falls_back_to_the_default(open_app: Open, params: dict[str, str]) -> None:
    assert len(cards(open_app(user="12", **params), "top")) == 10


@pytest.mark.parametrize("user", ["0", "abc", "99999999999999999999", "<script>"])
def test_unknown_viewer_is_one_sentence_and_a_way_on(open_app: Open, user: str) -> None:
    app = open_app(user=user)
    assert len(app.error) == 1
    assert app.error[0].value.startswith("No viewer ")
    assert "Viewers run from 1 to 2,000" in app.error[0].value
    assert not cards(app, "top")
    assert app.text_input[0].label == "Find a viewer"
    assert "user" not in links(app)["Show another viewer"]


def test_unknown_data_set_or_model_is_named_and_replaced(open_app: Open) -> None:
    app = open_app(data="ml-25m", model="crystal-ball")
    warnings = " ".join(element.value for element in app.warning)
    assert "ml\\-25m" in warnings
    assert "crystal\\-ball" in warnings
    assert len(cards(app, "top")) == 10


def test_random_viewer_is_another_one_and_in_the_address(open_app: Open) -> None:
    app = open_app(user="12")
    next(button for button in app.button if button.label == "Random viewer").click()
    settle(app)
    assert app.query_params["user"] != "12"
    assert f"<b>{app.query_params['user']}</b>" in markup(app)


def test_search_finds_viewers_by_id_and_by_profile(open_app: Open, sample: Dataset) -> None:
    app = open_app(user="12")
    app.text_input[0].set_value("1999")
    settle(app)
    assert any(label.startswith("Demo viewer 1999") for label in links(app))
    app.text_input[0].set_value("engineer")
    settle(app)
    matches = [label for label in links(app) if label.startswith("Demo viewer ")]
    assert matches
    assert all("engineer" in label for label in matches)
    app.text_input[0].set_value("astronaut")
    settle(app)
    assert any("No match for" in caption.value for caption in app.caption)


def test_search_finds_personas_by_their_taste(open_app: Open, sample: Dataset) -> None:
    app = open_app(user="12")
    assert app.text_input[0].placeholder == "Number, taste, age or occupation"
    app.text_input[0].set_value("horror")
    settle(app)
    persona = next(each for each in caches.personas(sample, 4.0) if each.title == "Horror fan")
    shown = [label for label in links(app) if label.endswith("fan")]
    assert shown == ["Horror fan"]
    assert f"user={sample.user_ids[persona.user_idx]}" in links(app)["Horror fan"]
    assert not any("No match for" in caption.value for caption in app.caption)


def test_the_persona_that_is_shown_is_marked_and_explained(open_app: Open, sample: Dataset) -> None:
    persona = caches.personas(sample, 4.0)[1]
    app = open_app(user=str(sample.user_ids[persona.user_idx]))
    (mark,) = [box for box in app.get("container") if box.key == "chosen-viewer"]
    assert [link.proto.label for link in mark.get("page_link")] == [persona.title]
    assert f"{persona.title}: {persona.why}" in markup(app)


def test_a_second_model_shows_its_list_and_what_both_hold(open_app: Open, sample: Dataset) -> None:
    app = open_app(user="12")
    assert not cards(app, "against")
    app.selectbox(key="against").set_value("item-knn")
    settle(app)
    assert app.query_params["against"] == "item-knn"
    user = sample.user_index([12])
    trained = [
        obtain(TrainingRequest(sample, DEFAULT)),
        obtain(TrainingRequest(sample, "item-knn", settings={"recency_half_life": "auto"})),  # as the app trains it
    ]
    lists = [each.model.top_k(user, k=10, seen=sample.ratings).items[0].numpy() for each in trained]
    assert names(app, "against") == sample.items["title"].iloc[lists[1]].tolist()
    both = set(lists[0]) & set(lists[1])
    assert any(caption.value.startswith(f"{len(both)} of 10 films are in both") for caption in app.caption)
    marked = [text_of(card, "badge") == "in both" for card in cards(app, "against")]
    assert marked == [item in both for item in lists[1].tolist()]
    app.selectbox(key="against").set_value("")
    settle(app)
    assert "against" not in app.query_params


def test_personas_link_to_their_viewers(open_app: Open, sample: Dataset) -> None:
    personas = caches.personas(sample, 4.0)
    assert 3 <= len(personas) <= 7
    shown = links(open_app())
    for persona in personas:
        assert f"user={sample.user_ids[persona.user_idx]}" in shown[persona.title]


def test_popularity_is_labelled_as_popular_with_everyone(open_app: Open) -> None:
    app = open_app(user="12", model="popularity")
    assert all("Popular with everyone" in text_of(card, "note") for card in cards(app, "top"))


def test_changing_the_model_changes_address_list_and_status(open_app: Open) -> None:
    app = open_app(user="12")
    before = names(app, "top")
    app.selectbox(key="model").set_value("item-knn")
    settle(app)
    assert app.query_params["model"] == "item-knn"
    assert names(app, "top") != before
    assert "Item-KNN · sample · trained" in markup(app)


def test_recency_is_shown_where_validation_chose_it(open_app: Open, sample: Dataset) -> None:
    half_life = obtain(
        TrainingRequest(sample, "ease", settings={"recency_half_life": "auto"})
    ).model.config.recency_half_life
    assert half_life is not None
    sentence = f"{half_life:g} likes later, a film counts half (chosen on validation)"
    assert sentence in markup(open_app(user="12", model="ease"))
    assert "a film counts half" not in markup(open_app(user="12", model="popularity"))


def test_every_card_links_to_its_film_and_keeps_the_view(open_app: Open, sample: Dataset) -> None:
    app = open_app(user="12", genres="Horror")
    first = names(app, "top")[0]
    label = next(label for label in links(app) if label.startswith(f"{first} "))
    assert "genres=Horror" in links(app)[label]
    assert "user=12" in links(app)[label]
    assert "item=" in links(app)[label]


def test_a_rating_model_shows_its_predictions_and_offers_all_of_them(open_app: Open, sample: Dataset) -> None:
    app = open_app(user="12", model="bias")
    model = obtain(TrainingRequest(sample, "bias")).model
    assert isinstance(model, PredictsRatings)
    user = sample.user_index([12])
    top = model.top_k(user, k=10, seen=sample.ratings).items[0].numpy()  # type: ignore[attr-defined]
    expected = [f"≈ {rating:.1f} ★" for rating in model.predict(np.repeat(user, 10), top).tolist()]
    assert [text_of(card, "badge") for card in cards(app, "top")] == expected
    assert any("2,458,000 ratings" in caption.value for caption in app.caption)
    assert any("estimates --dataset sample --model bias" in code.value for code in app.code)


def test_a_model_of_likes_predicts_no_stars(open_app: Open) -> None:
    app = open_app(user="12", model="ease")
    assert not any("ratings, about" in caption.value for caption in app.caption)
    assert not any(text_of(card, "badge") for card in cards(app, "top"))


def test_models_are_offered_by_name_the_recommended_one_first(open_app: Open) -> None:
    offered = open_app(user="12").selectbox(key="model").options
    assert offered[0] == "Taste · recommended"
    assert "EASE · collaborative" in offered
    families = [option.rpartition(" · ")[2] for option in offered[1:]]
    assert families == sorted(families, key=families.index)  # family by family
    assert families[-1] == "baseline"


def test_pages_of_a_visitor_s_own_fold_data_set_and_model_away(open_app: Open) -> None:
    folded, open_ = open_app("film.py"), open_app("viewers.py")
    (fold,) = [box for box in folded.sidebar.expander if box.label == "Under the hood"]
    assert [box.key for box in fold.selectbox] == ["data", "model"]
    assert "trained" in "".join(str(each.value) for each in fold.get("html"))
    assert not open_.sidebar.expander
    assert open_.sidebar.selectbox


@pytest.mark.parametrize(("model", "deaf"), [("bias", True), ("ease", False)])
def test_the_sidebar_names_a_model_for_which_dislikes_do_not_count(open_app: Open, model: str, deaf: bool) -> None:
    assert ("Dislikes do not count" in markup(open_app(user="12", model=model))) == deaf
