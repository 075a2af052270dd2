"""Steps: models without epochs, and evaluations, report the share of their work that is done, and can be stopped."""

import math
from pathlib import Path

import numpy as np
import pytest

from recengine.data.dataset import Dataset
from recengine.data.interactions import Interactions
from recengine.experiments.compare import ComparisonRequest, Observer, compare
from recengine.models.item_item import linear, slim, sparse
from recengine.models.pair import base as pair
from recengine.models.pair import compiled_steps
from recengine.models.registry import configure, model_class
from recengine.models.streaming import step
from recengine.training import progress
from recengine.training.config import RunConfig
from recengine.training.progress import EpochResult, OnEpoch, Stage, steps_of, within


@pytest.fixture
def every_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """Report each step, and let there be several on little data."""
    monkeypatch.setattr(progress, "STEP_SECONDS", -1.0)
    monkeypatch.setattr(linear, "LEAST_USERS", 10)
    monkeypatch.setattr(linear, "PRODUCTS", 0)
    monkeypatch.setattr(slim, "CHUNK", 100)


def rows() -> Interactions:
    rng = np.random.default_rng(0)
    users, items = (rng.random((60, 30)) < 0.3).nonzero()
    rating = rng.integers(1, 6, len(users)).astype(np.float32)
    return Interactions.from_pairs(users, items, rating=rating, n_users=60, n_items=30)


@pytest.mark.parametrize("size", ["small", "large"])
@pytest.mark.parametrize("name", ["ease", "item-knn", "slim", "slist", "taste"])
def test_a_model_without_epochs_reports_its_steps_and_stops_between_them(
    name: str, size: str, every_step: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if size == "large":
        monkeypatch.setattr(sparse, "DENSE_BYTES", 0)
    results: list[EpochResult] = []
    model_class(name)().fit(rows(), on_epoch=results.append)
    shares = [result.share for result in results]
    assert shares == sorted(set(shares))
    assert (shares[0], shares[-1]) == (0, 1)
    assert len([share for share in shares if 0 < share < 1]) >= 3
    assert {result.stages for result in results} == {(Stage.STEPS,)}
    assert EpochResult.from_dict({**results[1].to_dict(), "loss": None}) == results[1]

    def stop(result: EpochResult) -> None:
        if result.share > 0.4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        model_class(name)().fit(rows(), on_epoch=stop)


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("mf", {"batch_size": 16, "shared_by": 4}),
        ("ials", {}),
        ("step", {"batch_size": 2}),
        ("gru", {"batch_size": 4}),
        ("gru-rating", {"batch_size": 4}),
        ("mf-explicit", {"batch_size": 16, "solver": "adam"}),
        ("mf-explicit", {}),
    ],
)
def test_a_long_epoch_reports_the_part_that_is_done_and_can_be_stopped(
    name: str, settings: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "PART_SECONDS", -1.0)
    monkeypatch.setattr(step, "STEPS_AT_ONCE", 30)
    monkeypatch.setattr(pair, "COMPILED_FROM", 0)
    monkeypatch.setattr(compiled_steps, "AT_ONCE", 100)
    kind, results = model_class(name), list[EpochResult]()
    config, run = configure(name, settings, RunConfig(epochs=2))
    kind(config).fit(rows(), on_epoch=results.append, run=run)
    done = [result.done for result in results]
    assert done == sorted(set(done))
    parts = [result for result in results if result.part]
    assert {result.epoch for result in parts} == {0, 1}
    assert {result.stages for result in parts} == {(Stage.PART,)}
    assert len(parts) >= (6 if settings else 2)
    assert [result.epoch for result in results if not result.stages] == [1, 2]
    assert EpochResult.from_dict({**parts[0].to_dict(), "loss": None}) == parts[0]

    def stop(result: EpochResult) -> None:
        assert result.epoch == 0
        if result.part:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        kind(config).fit(rows(), on_epoch=stop, run=run)


def test_steps_are_reported_a_few_times_a_second_and_only_forwards() -> None:
    results: list[EpochResult] = []
    on_step = steps_of(results.append, Stage.EVALUATION)
    for part in (within(on_step, 0, 0.5), within(on_step, 0.25, 1)):
        for done in range(101):
            part(done, 100)
    assert [result.share for result in results] == [0, 1]
    assert results[0].stages == (Stage.EVALUATION, Stage.STEPS)
    assert math.isnan(results[0].loss)


def test_an_evaluation_reports_its_steps_after_each_training(tiny: Dataset, fresh_home: Path, every_step: None) -> None:
    log: list[tuple[str, tuple[Stage, ...], float]] = []

    class Recording(Observer):
        def training(self, what: str) -> OnEpoch:
            return lambda result: log.append((what, result.stages, result.share))

        evaluation = training

    compare(tiny, ComparisonRequest({"popularity": {}}, "leave-last", seeds=2), Recording())
    for seed in (0, 1):
        seen = [(stages, share) for what, stages, share in log if what == f"popularity, seed {seed}"]
        evaluation = (Stage.EVALUATION, Stage.STEPS)
        assert [share for stages, share in seen if stages == (Stage.STEPS,)] == [0, 1]
        assert [share for stages, share in seen if stages == evaluation] == [0, 1]
        assert seen[-1] == (evaluation, 1)
