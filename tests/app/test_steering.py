"""Steering on Home: knobs that move the list, their price, and the way back."""

import json
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from pages.ui import steering
from recengine.data.dataset import Dataset
from recengine.data.sources import load_dataset
from recengine.evaluation.intervals import Interval
from recengine.models.registry import DEFAULT
from recengine.serving.steering_cost import CostCurve, Price, curve_file
from tests.app.conftest import Open, Worker, press
from tests.app.test_home import cards_of, give


@pytest.fixture(scope="module")
def sample() -> Dataset:
    return load_dataset("sample")


def listed(app: AppTest) -> list[str]:
    return [card["item"] for card in cards_of(app, "list")]


def turn(app: AppTest, dataset: Dataset, knob: str, value: Any) -> None:
    key = f"rate knob {knob} {dataset.fingerprint}"
    (app.pills(key=key) if knob == "mood" else app.select_slider(key=key)).set_value(value).run()
    assert not app.exception, app.exception


def test_a_knob_moves_the_list_and_neutral_is_exactly_the_list_as_it_is(open_app: Open, sample: Dataset) -> None:
    app = give(open_app("home.py"), {839: 5.0, 460: 4.5, 12: 1.0})
    before = listed(app)
    turn(app, sample, "new", -1.0)
    old = listed(app)
    assert old != before
    years = dict(zip(map(str, sample.item_ids.tolist()), sample.items["year"], strict=True))
    assert sum(years[item] for item in old) < sum(years[item] for item in before)
    turn(app, sample, "mood", "dark")
    assert listed(app) != old
    assert "Steer this list · old · dark" in [box.label for box in app.expander]
    press(app, "Back to the list as it is")
    assert listed(app) == before


def test_a_knob_names_its_price_where_that_was_measured(open_app: Open, sample: Dataset) -> None:
    path = curve_file(sample, DEFAULT, 4.0)
    path.parent.mkdir(exist_ok=True)
    prices = [Price("new", 1.0, Interval(0.12, 0.08, 0.16)), Price("dark", 1.0, Interval(0.3, 0.2, 0.4))]
    curve = CostCurve("sample", sample.fingerprint, DEFAULT, 900, Interval(0.4, 0.3, 0.5), prices)
    path.write_text(json.dumps(curve.to_dict()))
    try:
        app = give(open_app("home.py"), {839: 5.0})
        turn(app, sample, "new", 0.5)
        assert "Costs about 6% of accuracy (4 to 8%)" in [caption.value for caption in app.caption]
        assert not [button for button in app.button if button.key == "steering-measure"]
    finally:
        path.unlink()


def test_what_it_costs_is_measured_in_the_background(open_app: Open, worker: Worker) -> None:
    app = give(open_app("home.py"), {839: 5.0})
    assert steering.UNMEASURED in [caption.value for caption in app.caption]
    app.button(key="steering-measure").click().run()
    (job,) = worker.jobs.all()
    assert job.command == ("steering", "--dataset", "sample", "--model", DEFAULT)
    assert app.get("progress")
    worker.ends()
