"""Map: what the chart is given, colours, the film that is looked for, the visitor's steps, waiting, and errors."""

import base64
import json
import struct
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from pages.ui import map_chart, map_colours, map_source, palette
from recengine.data.dataset import Dataset
from recengine.data.sources import load_dataset
from recengine.experiments.train import TrainingRequest, obtain
from recengine.models.registry import DEFAULT
from recengine.serving.event_log import EventLog, rated
from recengine.serving.islands import Island
from recengine.serving.item_map import ItemMap, map_items, nearest, obtain_map, oriented, trail
from tests.app.conftest import Open, Worker, links, markup, names, press, settle

PAGE = "taste_map.py"
HOSTILE = "<img src=x onerror=alert(1)>\u202e\n![](http://192.0.2.9/a)"


@pytest.fixture(scope="module")
def sample() -> Dataset:
    return load_dataset("sample")


@pytest.fixture(scope="module")
def here(sample: Dataset) -> ItemMap:
    return obtain_map(obtain(TrainingRequest(sample, DEFAULT)), sample, 4.0)


def sent(app: AppTest, key: str) -> Any:
    return next(e.proto for e in app.get("bidi_component") if e.proto.id.endswith(f"-{key}"))


def overlay(app: AppTest) -> dict[str, Any]:
    return json.loads(sent(app, "taste-map-overlay").json)


def unpacked(data: bytes) -> tuple[dict[str, Any], np.ndarray]:
    (length,) = struct.unpack_from("<I", data)
    head = json.loads(data[4 : 4 + length])
    return head, np.frombuffer(data[4 + length :], "<f4").reshape(2, -1).T


def rate(app: AppTest, *items: str, stars: float = 5) -> AppTest:
    log = EventLog()
    log.append(app.session_state["visitor"], "sample", [rated(item, stars) for item in items])
    log.close()
    return app.run()


def test_the_chart_gets_every_film_where_the_model_has_it_the_best_known_first(
    open_app: Open, sample: Dataset, here: ItemMap
) -> None:
    app = open_app(PAGE)
    head, points = unpacked(sent(app, "taste-map").bytes)
    items = sample.item_index(head["ids"])
    assert sorted(items.tolist()) == here.known.tolist()
    np.testing.assert_allclose(points, oriented(here, here).positions[items], atol=1e-5)
    counts = sample.ratings.item_counts[items]
    assert (np.diff(counts) <= 0).all()
    assert head["titles"][:3] == sample.items["title"].iloc[items[:3]].tolist()
    assert len(head["islands"]) > 5
    assert overlay(app)["version"] == head["version"]
    share = sum(here.explained or ())
    assert any(f"the two axes show {share:.0%}" in caption.value for caption in app.caption)
    assert "Rate films to see yourself on the map" in links(app)


def test_islands_and_the_nearest_films_are_there_without_the_chart(
    open_app: Open, sample: Dataset, here: ItemMap
) -> None:
    app = open_app(PAGE)
    assert markup(app).count("such as</p>") == len(unpacked(sent(app, "taste-map").bytes)[0]["islands"])
    query = next(query for query in links(app).values() if "near=" in query)
    (item_id,) = parse_qs(query)["near"]
    app = open_app(PAGE, near=item_id)
    (item,) = sample.item_index([item_id])
    assert overlay(app)["focus"] == item_id
    near = nearest(here, int(item)).tolist()
    assert names(app, "map") == sample.items["title"].iloc[near].tolist()
    press(app, "Show the whole map")
    assert overlay(app)["focus"] is None
    assert "near" not in app.query_params


def test_a_search_leads_to_the_film(open_app: Open, sample: Dataset) -> None:
    app = open_app(PAGE)
    app.text_input[0].set_value("alien").run()
    (focus,) = parse_qs(links(app)["Alien \\(1979\\)"])["near"]
    assert sample.items["title"].iloc[sample.item_index([focus])[0]] == "Alien"
    app = open_app(PAGE, near=focus)
    assert overlay(app)["focus"] == focus
    assert "Near Alien" in markup(app)


def test_the_visitor_is_the_mean_of_what_they_like_and_moves_as_they_rate(
    open_app: Open, sample: Dataset, here: ItemMap
) -> None:
    app = open_app(PAGE)
    assert overlay(app)["trail"] == []
    ids = [str(sample.item_ids[item]) for item in here.known[[5, 50, 500]]]
    rate(app, *ids[:2])
    first = overlay(app)
    np.testing.assert_allclose(first["trail"], trail(here, sample.item_index(ids[:2]).tolist()), atol=1e-3)
    rate(app, ids[2])
    second = overlay(app)
    np.testing.assert_allclose(second["trail"][-1], here.positions[sample.item_index(ids)].mean(0), atol=1e-3)
    assert second["trail"][:2] == first["trail"]
    rate(app, "1", stars=1)
    third = overlay(app)
    assert third["trail"] == second["trail"]
    assert dict(third["rings"]) == {**dict.fromkeys(ids, True), "1": False}
    assert third["values"]["1"] == "You: 1 ★"
    assert sent(app, "taste-map").bytes == sent(open_app(PAGE), "taste-map").bytes


def test_the_film_looked_at_can_be_rated_there(open_app: Open, sample: Dataset) -> None:
    app = open_app(PAGE, near="600")
    app.segmented_control(key=f"map stars {sample.fingerprint} 600").set_value(4.0).run()
    assert [item for item, _ in overlay(app)["rings"]] == ["600"]
    app.segmented_control(key=f"map stars {sample.fingerprint} 600").set_value(None).run()
    assert overlay(app)["rings"] == []


@pytest.mark.parametrize("colour", ["genre", "decade", "fame", "mine", "predicted"])
def test_every_colouring_gives_each_film_a_colour_with_a_label(open_app: Open, colour: str) -> None:
    app = open_app(PAGE, colour=colour)
    rate(app, "600", "601")
    shown = overlay(app)
    head, _ = unpacked(sent(app, "taste-map").bytes)
    codes = np.frombuffer(base64.b64decode(shown["codes"]), np.uint8)
    assert len(codes) == len(head["ids"])
    assert codes.max() < len(shown["legend"]) == len(shown["colours"])
    assert len(set(shown["legend"])) == len(shown["legend"])
    if colour == "mine":
        assert codes[head["ids"].index("600")] == 0
        assert np.bincount(codes).tolist() == [2, 0, len(codes) - 2]


def test_colours_by_hand(tiny: Dataset) -> None:
    genre = map_colours.by_genre(tiny)
    assert genre.labels[-1] == "Other"
    of_item = [genre.labels[code] for code in genre.codes]
    assert all(label in genres.split("|") for label, (*_, genres) in zip(of_item, tiny.films, strict=True))
    fame = map_colours.by_fame(tiny)
    counts = tiny.ratings.item_counts
    assert (np.diff(fame.codes[np.argsort(counts)].astype(int)) >= 0).all()
    stars = map_colours.by_predicted(tiny, np.linspace(1, 5, tiny.n_items))
    assert (np.diff(stars.codes.astype(int)) >= 0).all()
    assert len(map_colours.by_predicted(tiny, np.full(tiny.n_items, 3.0)).labels) == 1
    assert fame.colours[0] == (palette.THEME["low"].light, palette.THEME["low"].dark)


def test_another_model_keeps_the_map_turned_like_that_of_the_default(
    open_app: Open, sample: Dataset, here: ItemMap
) -> None:
    other = map_items(obtain(TrainingRequest(sample, "ease", {"recency_half_life": "auto"})).model, sample, 4.0)
    app = open_app(PAGE, model="ease")
    head, points = unpacked(sent(app, "taste-map").bytes)
    items = sample.item_index(head["ids"])
    np.testing.assert_allclose(points, oriented(other, here).positions[items], atol=1e-4)
    assert not np.allclose(points, other.positions[items], atol=1e-2)


def test_the_other_view_is_drawn_by_a_job(open_app: Open, worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    app = open_app(PAGE, projection="umap")
    assert "Not drawn yet" in markup(app)
    assert sent(app, "taste-map").bytes
    press(app, "Draw this map")
    job = worker.after(0)
    assert job.command[:3] == ("map", "--dataset", "sample")
    assert job.command[-2:] == ("--projection", "umap")
    assert app.get("progress")
    worker.does(code=1)
    worker.ends()
    app.run()
    monkeypatch.setattr(map_source, "has_umap", lambda: False)
    assert any("umap-learn" in info.value for info in open_app(PAGE, projection="umap").info)


def test_a_model_that_compares_nothing_offers_one_that_does(open_app: Open) -> None:
    app = open_app(PAGE, model="popularity")
    assert "does not compare films" in app.error[0].value.replace("\\", "")
    press(app, "Use Taste instead")
    settle(app)
    assert sent(app, "taste-map").bytes


def test_an_unknown_film_in_the_address_is_an_error_with_a_way_on(open_app: Open) -> None:
    app = open_app(PAGE, near="nope", colour="mauve", projection="globe")
    assert "nope" in app.error[0].value
    assert "Show the whole map" in links(app)


def test_hostile_text_is_plain_and_short(tiny: Dataset) -> None:
    titles = tiny.items.assign(title=[HOSTILE, "x" * 10_000] + ["t"] * (tiny.n_items - 2))
    hostile = replace(tiny, items=titles)
    spread = ItemMap(np.random.default_rng(0).normal(size=(tiny.n_items, 2)).astype(np.float32))
    head, _ = unpacked(
        map_chart.packed(hostile, spread, [Island(HOSTILE, spread.known, (0.0, 0.0), spread.known)], "v")
    )
    assert all("\u202e" not in title and "\n" not in title and len(title) <= 300 for title in head["titles"])
    assert len(head["islands"][0]["name"]) <= 30
