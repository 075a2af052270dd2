"""The search for parameters: presets first, validation rows only, ranges kept, an error fails its trial alone."""

from __future__ import annotations

import dataclasses
import shlex
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import optuna
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from recengine.cli.tuning import set_line
from recengine.data.dataset import Dataset
from recengine.data.splits import make_split
from recengine.errors import BadInput
from recengine.evaluation.ranking import evaluate
from recengine.experiments.search_space import draw, search_space
from recengine.experiments.train import TrainingRequest
from recengine.experiments.tune import Trial, Tuned, TuneRequest, can_tune, load_optuna, tune
from recengine.models.base import FitContext, Recommender
from recengine.models.registry import MODELS, model_class
from recengine.training.config import Config, Range, RunConfig, option
from recengine.training.loop import ranking_validator
from recengine.training.progress import EpochResult

CPU = RunConfig(device="cpu")
NOTHING_TO_SEARCH = ("random", "popularity", "stream-popularity")


@dataclass(frozen=True)
class PlantedConfig(Config):
    """Best at x = 0.7 and side = right."""

    x: float = option(0.1, "distance", low=-9, high=9, search=Range(0, 1))
    side: Literal["left", "right"] = option("left", "side", search=("left", "right"))
    calm: bool = option(True, "not searched unless asked for")
    cut: int | None = option(None, "not searched unless asked for", low=0, high=100)
    widths: tuple[int, ...] = option((8,), "widths", low=1, high=64, search=((8,), (16, 8)))


class Planted(Recommender):
    """Ignores the data: its validation curve rises to the known value of its parameters."""

    name = "planted"
    family = "baseline"
    summary = "A known optimum."
    Config = PlantedConfig
    preset_epochs = 20
    ran: list[tuple[Config, int, int]] = []  # noqa: RUF012 - emptied by the fixture
    """(config, seed, last epoch) of each training."""

    def learn(self, train: Any, context: FitContext) -> None:
        config = self.config
        if not config.calm and config.x > 0.5:
            raise BadInput("x", config.x, problem="is too far")
        worth = 1 - (config.x - 0.7) ** 2 - 0.2 * (config.side == "left") + 0.1 * context.run.seed
        if config.cut == 0:
            worth = float("nan")
        for epoch in range(1, self.preset_epochs + 1):
            self.ran.append((config, context.run.seed, epoch))
            reached = worth * epoch / self.preset_epochs
            self.training_log.append(EpochResult(epoch, 20, 0.0, 0.0, {self.criterion: reached}))
            if context.on_epoch:
                context.on_epoch(self.training_log[-1])

    def score(self, user_idx: Any) -> Tensor:
        return torch.zeros(len(user_idx), self.n_items)

    def state(self) -> dict[str, Tensor]:
        return {}

    def restore(self, state: dict[str, Tensor]) -> None:
        """Nothing is held."""


@pytest.fixture
def search(tiny: Dataset, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Tuned]:
    """Return a function that tunes a model, `planted` among them, on `tiny`."""
    monkeypatch.setitem(MODELS.built_in, "planted", Planted)
    monkeypatch.setattr(Planted, "ran", [])

    def search_one(name: str = "planted", data: Dataset = tiny, **parameters: Any) -> Tuned:
        fixed, asked = parameters.pop("fixed", {}), parameters.pop("asked", {})
        split = make_split(data, parameters.pop("split", "leave-last"))
        training = TrainingRequest(data, name, fixed, parameters.pop("run", CPU), split=split)
        callbacks = parameters.pop("on_trial", None), parameters.pop("on_epoch", None)
        return tune(TuneRequest(training, search_space(name, fixed, asked), **{"trials": 6, **parameters}), *callbacks)

    return search_one


# What is searched -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", list(MODELS))
def test_a_model_declares_where_to_look_and_its_presets_lie_there(name: str) -> None:
    kind = model_class(name).Config
    if name in NOTHING_TO_SEARCH:
        with pytest.raises(BadInput, match=f"model '{name}' has nothing left to search"):
            search_space(name, {}, {})
        return
    for key, space in search_space(name, {}, {}).items():
        preset = getattr(kind(), key)
        if isinstance(space, Range):
            assert space.low < space.high
            assert space.low > 0 or not space.log
            assert space.low <= preset <= space.high
        else:
            assert (",".join(map(str, preset)) if isinstance(preset, tuple) else preset) in space
        for value in (space.low, space.high) if isinstance(space, Range) else space:
            kind.from_dict({key: value})  # valid, or BadInput


@pytest.mark.parametrize("name", ["item-knn", "ease", "slim", "ials", "content"])
def test_recency_is_searched_by_every_model_that_scores_from_a_history(name: str) -> None:
    assert search_space(name, {}, {})["recency_half_life"] == (None, 1, 2, 3, 5, 10, 20)


def test_a_requested_search_replaces_the_declared_one() -> None:
    space = search_space("mf", {"dropout": "0.1"}, {"negatives": "8:16", "loss": "bpr, warp", "clip": "0.5:2:log"})
    assert space["negatives"] == Range(8, 16)
    assert isinstance(space["negatives"].low, int)
    assert space["loss"] == ("bpr", "warp")
    assert space["clip"] == Range(0.5, 2.0, log=True)
    assert "dropout" not in space
    assert space["learning_rate"] == search_space("mf", {}, {})["learning_rate"]
    assert search_space("ease", {}, {"recency_half_life": "none,2"})["recency_half_life"] == (None, 2.0)
    assert search_space("mf", {}, {"partial_credit": "genres:0.4"})["partial_credit"] == ("genres:0.4",)
    assert search_space("mlp", {}, {"layers": "16,32"})["layers"] == ("16", "32")


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (
            {"recency_flor": "1:2"},
            r"search 'recency_flor' is not a setting of 'ease' \(did you mean 'recency_floor'\?\)",
        ),
        ({"l2": "5:1"}, "search 'l2=5:1' cannot be read; expected LOW:HIGH"),
        ({"l2": "5:5"}, "cannot be read"),
        ({"l2": "1:2:3"}, "cannot be read"),
        ({"l2": "1:2:log:log"}, "cannot be read"),
        ({"l2": "1:x"}, "l2 'x' cannot be read; expected a number"),
        ({"l2": "0:5"}, "l2=0.0 is out of range; expected more than 0"),
        ({"l2": "1:1e9"}, "l2=1000000000.0 is out of range"),
        ({"l2": "1:nan"}, "l2=nan is out of range"),
        ({"l2": ""}, "l2 '' cannot be read"),
        ({"recency_floor": "0:1:log"}, "LOW above 0"),
        ({"recency_half_life": "none:5"}, "cannot be read"),
        ({"recency_half_life": "none,0"}, "recency_half_life=0.0 is out of range"),
        ({"recency_floor": "0:1"}, "search 'recency_floor' is fixed too, at recency_floor=0.5; choose one of the two"),
    ],
)
def test_an_invalid_search_is_bad_input(asked: dict[str, str], words: str) -> None:
    fixed = {"recency_floor": "0.5"} if asked == {"recency_floor": "0:1"} else {}
    with pytest.raises(BadInput, match=words):
        search_space("ease", fixed, asked)


@given(st.integers(0, 999), st.floats(1e-6, 1e3), st.floats(1e-6, 1e3), st.booleans())
@settings(max_examples=60, deadline=None)
def test_a_sample_lies_in_its_range_and_has_three_digits(seed: int, one: float, other: float, log: bool) -> None:
    low, high = sorted((one, other))
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed))
    sampled = draw(study.ask(), "x", Range(low, high, log))
    assert low <= sampled <= high
    assert sampled in (low, high) or sampled == float(f"{sampled:.3g}")
    whole = draw(study.ask(), "n", Range(int(low) + 1, int(high) + 2, log))
    assert isinstance(whole, int)
    assert int(low) + 1 <= whole <= int(high) + 2


# The search -----------------------------------------------------------------------------------------------------


def test_a_planted_optimum_is_reached_and_written_as_a_line_for_set(search) -> None:
    tuned = search(trials=40)
    assert tuned.preset == pytest.approx(1 - 0.36 - 0.2)
    assert abs(tuned.best.settings["x"] - 0.7) < 0.05
    assert tuned.best.settings["side"] == "right"
    assert tuned.best.value == max(trial.value for trial in tuned.trials if trial.state == "complete")
    read = dict(pair.split("=", 1) for pair in shlex.split(set_line(tuned.changes, "planted.")) if pair != "--set")
    back = PlantedConfig.from_dict({key.removeprefix("planted."): value for key, value in read.items()})
    assert back in [config for config, _, _ in Planted.ran]
    assert (back.x, back.side) == (tuned.best.settings["x"], "right")


def test_the_first_trial_is_the_presets_even_outside_the_range_and_the_rest_lie_inside(search) -> None:
    tuned = search(trials=12, asked={"x": "0.3:0.4"}, fixed={"side": "right"})
    assert tuned.trials[0].settings == {"side": "right", "x": 0.1, "widths": "8"}
    assert tuned.trials[0].value == pytest.approx(1 - 0.36)
    assert all(0.3 <= trial.settings["x"] <= 0.4 for trial in tuned.trials[1:])
    assert {config.side for config, _, _ in Planted.ran} == {"right"}  # what is fixed stays fixed
    assert tuned.changes["side"] == "right"


def test_if_the_presets_are_best_there_is_nothing_to_set(search) -> None:
    assert search(trials=3, asked={"x": "0.1,5"}, fixed={"side": "left"}).changes == {}


@pytest.mark.filterwarnings("error")  # optuna warns when an epoch is reported twice, as by a second seed
def test_a_trial_that_is_worse_than_the_median_at_an_epoch_is_pruned(search) -> None:
    tuned = search(trials=30, seeds=2)
    states = [trial.state for trial in tuned.trials]
    assert states[:5] == ["complete"] * 5  # a median of few trials means little
    assert 0 < states.count("pruned") < 25
    for trial in tuned.trials:
        mine = [(seed, epoch) for config, seed, epoch in Planted.ran if config.x == trial.settings["x"]]
        if trial.state == "pruned":
            assert trial.value is None
            assert {seed for seed, _ in mine} == {0}
            assert len(mine) < 20
        else:
            assert len(mine) % 40 == 0
            worth = 1 - (trial.settings["x"] - 0.7) ** 2 - 0.2 * (trial.settings["side"] == "left")
            assert trial.value == pytest.approx(worth + 0.05)  # the mean of the seeds 0 and 1


def test_the_same_seed_searches_the_same_settings(search) -> None:
    def tried(seed: int) -> list[Any]:
        return [trial.settings for trial in search(run=RunConfig(device="cpu", seed=seed)).trials]

    assert tried(3) == tried(3)
    assert tried(3) != tried(4)


def test_invalid_parameters_fail_their_trial_alone(search) -> None:
    tuned = search(trials=20, fixed={"calm": "false"})
    for trial in tuned.trials:
        assert (trial.state == "failed") == (trial.settings["x"] > 0.5)
        assert trial.reason == (f"x={trial.settings['x']} is too far" if trial.state == "failed" else "")
    assert {trial.state for trial in tuned.trials} >= {"complete", "failed"}
    with pytest.raises(BadInput, match=r"model 'planted' completes no trial; .*valid_ndcg@10=nan"):
        search(trials=2, fixed={"cut": "0"})
    with pytest.raises(BadInput, match="bogus is not an option of 'planted'"):
        search(fixed={"bogus": "1"})


def test_an_interrupt_and_the_time_limit_keep_what_is_complete(search) -> None:
    def interrupt(after: int) -> Callable[[Any], None]:
        def on_epoch(row: Any) -> None:
            if len(Planted.ran) > after:
                raise KeyboardInterrupt

        return on_epoch

    tuned = search(on_epoch=interrupt(50))
    assert len(tuned.trials) == 2
    assert tuned.best in tuned.trials
    Planted.ran.clear()
    with pytest.raises(KeyboardInterrupt):
        search(on_epoch=interrupt(5))
    assert len(search(timeout=0).trials) == 1  # the presets


def test_each_trial_is_reported_with_the_best_so_far(search) -> None:
    rows: list[tuple[Trial, float | None]] = []
    tuned = search(on_trial=lambda trial, best: rows.append((trial, best)))
    assert [trial for trial, _ in rows] == tuned.trials
    assert [trial.number for trial in tuned.trials] == list(range(6))
    best = [max(t.value for t in tuned.trials[: n + 1] if t.value is not None) for n in range(6)]
    assert [value for _, value in rows] == best
    assert all(trial.settings and trial.seconds >= 0 for trial in tuned.trials)


# Validation alone -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "fixed"), [("ease", {}), ("mf", {"epochs": "3", "embedding_dim": "4"}), ("bias", {}), ("content", {})]
)
def test_the_test_rows_are_not_used(search, tiny: Dataset, name: str, fixed: dict[str, str]) -> None:
    """A data set with other items in all its test rows gives the same values, bit for bit."""
    split = make_split(tiny, "leave-last")
    ratings, rng = tiny.ratings, np.random.default_rng(0)
    tested = set(zip(split.test.user_idx.tolist(), split.test.item_idx.tolist(), strict=True))
    items = ratings.item_idx.copy()
    for row, pair in enumerate(zip(ratings.user_idx.tolist(), ratings.item_idx.tolist(), strict=True)):
        if pair in tested:
            free = set(range(40)) - set(ratings.item_idx[ratings.user_idx == pair[0]].tolist())
            items[row] = rng.choice(sorted(free))
    other = dataclasses.replace(tiny, ratings=dataclasses.replace(ratings, item_idx=items))
    model = model_class("popularity")().fit(split.fit)
    result, other_result = (
        evaluate(model, made).means()["ndcg@10"] for made in (split, make_split(other, "leave-last"))
    )
    assert result != other_result  # the test rows do matter for a result
    one, two = (search(name, data, fixed=fixed, trials=4).trials for data in (tiny, other))
    assert [(t.settings, t.value) for t in one] == [(t.settings, t.value) for t in two]


@pytest.mark.parametrize("name", [name for name in MODELS if name not in NOTHING_TO_SEARCH])
def test_every_model_trains_with_the_parameters_of_its_trials(search, name: str) -> None:
    fixed = {"epochs": "1"} if model_class(name).preset_epochs else {}
    tuned = search(name, trials=3, fixed=fixed)
    assert [(trial.state, trial.reason) for trial in tuned.trials] == [("complete", "")] * 3


def test_the_value_of_a_trial_is_that_of_the_validation_in_training(search, tiny: Dataset) -> None:
    split = make_split(tiny, "leave-last")
    ease = model_class("ease")().fit(split.train)
    value = ranking_validator(ease.score, split.train, split.valid)()["valid_ndcg@10"]
    assert search("ease", trials=1).preset == value
    fixed = {"epochs": "4", "embedding_dim": "4"}
    mf = model_class("mf")(model_class("mf").Config(embedding_dim=4))
    mf.fit(split.train, valid=split.valid, run=RunConfig(device="cpu", epochs=4))
    reached = [result.metrics["valid_ndcg@10"] for result in mf.training_log]
    assert search("mf", trials=1, fixed=fixed).preset == max(reached)


def test_the_lowest_error_is_best(search, tiny: Dataset) -> None:
    tuned = search("bias", trials=8)
    assert tuned.criterion == "valid_rmse"
    assert tuned.best.value == min(trial.value for trial in tuned.trials if trial.value is not None)
    train, valid = make_split(tiny, "leave-last").ratings()
    model: Any = model_class("bias")().fit(train)
    error = model.predict(valid.user_idx, valid.item_idx).numpy() - valid.rating
    assert tuned.preset == pytest.approx(float(np.sqrt(np.mean(error**2))))


def test_without_optuna_one_sentence_names_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    assert can_tune()
    monkeypatch.setitem(sys.modules, "optuna", None)
    assert not can_tune()
    message = r"tune needs optuna, which is not installed; run `pip install optuna==5\.0\.0`"
    with pytest.raises(BadInput, match=message):
        load_optuna()
