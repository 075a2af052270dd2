"""The price of steering: measured on sittings, kept, interpolated, and said in words."""

import json
import math

import pytest

from recengine.data.sources import load_dataset
from recengine.evaluation.intervals import Interval
from recengine.experiments.compare import ComparisonRequest, compare
from recengine.serving.steering import Knobs
from recengine.serving.steering_cost import CostCurve, Price, curve_file, known_curve, measure_curve

CURVE = CostCurve(
    "films",
    "f",
    "ease",
    100,
    Interval(0.4, 0.38, 0.42),
    [
        Price("obscure", 0.5, Interval(0.04, 0.02, 0.06)),
        Price("obscure", 1.0, Interval(0.24, 0.2, 0.28)),
        Price("obscure", -1.0, Interval(-0.03, -0.05, -0.01)),
        Price("dark", 1.0, Interval(0.01, -0.01, 0.03)),
    ],
)


@pytest.mark.parametrize(
    ("knobs", "words"),
    [
        (Knobs(obscure=0.5), ["costs about 4% of accuracy (2 to 6%)"]),
        (Knobs(obscure=0.25), ["costs about 2% of accuracy (1 to 3%)"]),  # half way from 0
        (Knobs(obscure=0.75), ["costs about 14% of accuracy (11 to 17%)"]),  # half way between
        (Knobs(obscure=-1), ["gains about 3% of accuracy (1 to 5%)"]),
        (Knobs(mood="dark"), ["costs nothing that can be measured (-1 to 3%)"]),
        (Knobs(mood="light"), []),  # not measured here
        (Knobs(), []),
    ],
)
def test_a_price_is_interpolated_and_said_in_words(knobs: Knobs, words: list[str]) -> None:
    assert [price.sentence() for price in CURVE.prices_of(knobs)] == words


def test_a_curve_survives_its_file() -> None:
    assert CostCurve.from_dict(json.loads(json.dumps(CURVE.to_dict()))) == CURVE
    few = Price("new", 1.0, Interval(0.1, math.nan, math.nan))
    assert few.sentence() == "was measured on too few users to say what it costs"


@pytest.mark.slow
def test_a_curve_is_measured_on_the_users_of_sitting_and_found_again() -> None:
    data = load_dataset("sample")
    assert known_curve(data, "popularity", 4.0) is None
    folds: list[tuple[int, int]] = []
    curve = measure_curve(data, "item-knn", on_fold=lambda *fold: folds.append(fold))
    report = compare(data, ComparisonRequest({"item-knn": {}}, "sitting"))
    (task,) = report.tasks
    assert curve.users == report.users
    assert curve.ndcg.value == pytest.approx(task.metrics["item-knn"]["ndcg@10"].value, abs=1e-9)
    assert folds == [(number, 5) for number in range(1, 6)]
    assert {price.knob for price in curve.prices} >= {"obscure", "surprising", "new", "dark", "romantic"}
    for price in curve.prices:
        assert price.share.low <= price.share.value <= price.share.high
    worst = {price.position: price.share.value for price in curve.prices if price.knob == "obscure"}
    assert worst[1.0] > worst[0.5] > 0
    assert known_curve(data, "item-knn", 4.0) == curve
    assert known_curve(data, "item-knn", 3.0) is None
    kept = curve_file(data, "item-knn", 4.0)
    kept.write_text("{")
    assert known_curve(data, "item-knn", 4.0) is None
    kept.unlink()
