"""The contract itself: each line fails for a model that breaks it, and those of an ability need its declaration."""

from __future__ import annotations

import ctypes
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from recengine.data.dataset import Dataset
from recengine.data.interactions import Interactions
from recengine.metrics import Ranking
from recengine.models.abilities import ABILITIES
from recengine.models.base import FitContext, Recommender
from recengine.models.factors.mf import MF
from recengine.models.item_item.linear import ItemKNN
from recengine.models.item_item.taste import Taste
from recengine.models.ratings.bias import Bias
from recengine.models.simple.baselines import Popularity
from recengine.models.simple.demographic import Demographic
from recengine.models.streaming.counts import StreamItemKNN
from recengine.models.streaming.step import Step
from recengine.testing import ModelContract, check
from recengine.testing.contract import lines
from recengine.training.config import Config, option
from recengine.training.progress import EpochResult


def after(method: Callable[..., Any], change: Callable[..., Any]) -> Callable[..., Any]:
    """Return a method whose result is changed by a function of the model and the result."""
    return lambda self, *args, **options: change(self, method(self, *args, **options))


def one_nan(_: Any, scores: torch.Tensor) -> torch.Tensor:
    scores = scores.clone()
    scores[0, 0] = torch.nan
    return scores


def counting(self: Any, scores: torch.Tensor) -> torch.Tensor:
    scores = scores.clone()
    self.counts += 1
    return scores


def one_for_all(self: Any, _: object) -> None:
    self.counts = self.counts / self.counts


def noted(self: Any, _: object) -> None:
    self.factor = 2  # which state does not hold


def doubled_if_noted(self: Any, scores: torch.Tensor) -> torch.Tensor:
    return scores * getattr(self, "factor", 1)


def spoilt(self: Any, _: object) -> None:
    self.restore({name: -tensor for name, tensor in self.state().items()})


def backwards(_: Any, ranking: Ranking) -> Ranking:
    return Ranking(ranking.items.flip(1), ranking.scores.flip(1))


def careless_load(cls: Any, folder: str) -> Recommender:
    description = json.loads(Path(folder, "model.json").read_text())
    model = cls()
    model.n_users, model.n_items = description["n_users"], description["n_items"]
    model.restore(load_file(Path(folder, "model.safetensors")))
    return model


@dataclass(frozen=True)
class Unchecked(Config):
    size: int = option(1, "a size", low=1)

    def __post_init__(self) -> None:
        """Check nothing."""


class Unstable(Popularity):
    fits = 0

    def learn(self, *args: Any) -> None:
        super().learn(*args)
        Unstable.fits += 1
        self.counts += Unstable.fits


class Unlogged(Popularity):
    preset_epochs = 3


class Biased(Step):
    def arrays(self) -> Any:
        self.network.bias += 1
        return super().arrays()


BREAKS: list[tuple[type[Recommender], dict[str, Any], str, str]] = [
    (Popularity, {"score": after(Popularity.score, lambda _, s: s[:, 1:])}, "scores", "the shape of the scores is"),
    (Popularity, {"score": after(Popularity.score, one_nan)}, "scores", "1 scores are not numbers"),
    (Popularity, {"score": after(Popularity.score, lambda _, s: s.double())}, "scores", "the scores are torch.float64"),
    (Popularity, {"score": after(Popularity.score, lambda _, s: s + len(s))}, "alone", "user_idx 59 gets other scores"),
    (Popularity, {"score": after(Popularity.score, counting)}, "unchanged", "counts changed"),
    (Popularity, {"score": after(Popularity.score, lambda _, s: s + torch.rand(1))}, "repeatable", "a second training"),
    (Popularity, {"top_k": lambda self, users, **_: Popularity.top_k(self, users, seen=None)}, "lists", "the list of"),
    (Popularity, {"top_k": after(Popularity.top_k, backwards)}, "candidates", "the list of user_idx 59 is"),
    (Popularity, {"top_k": lambda self, users, **_: Popularity.top_k(self, users, seen=None)}, "k", "it accepts"),
    (Popularity, {"summary": "Two\nlines."}, "description", "the summary has several lines"),
    (Popularity, {"family": "magic"}, "description", "BadInput: family 'magic' of 'popularity' is unknown"),
    (Popularity, {"abilities": ("similar",)}, "abilities", "it declares ['similar'] and has ['fold-in']"),
    (Popularity, {"Config": Unchecked}, "parameters", "it accepts what it should refuse"),
    (Popularity, {"footprint": lambda *_: {"size": 1}}, "footprint", "footprint names ['size']"),
    (Popularity, {"footprint": lambda *_: {"": 0.5}}, "footprint", "footprint gives {'': 0.5}"),
    (Popularity, {"learn": after(Popularity.learn, one_for_all)}, "missing_rows", "3 scores are not numbers"),
    (Unlogged, {}, "best_epoch", "the training log is empty"),
    (MF, {"learn": after(MF.learn, spoilt)}, "best_epoch", "the model is not that of epoch"),
    (Unstable, {}, "final_in_closed_form", "the final model is not the one trained on all rows"),
    (Unstable, {"preset_epochs": 3}, "final", "the final model is not the one trained on all rows"),
    (Popularity, {"restore": lambda self, _: setattr(self, "counts", torch.ones(40))}, "saved", "the loaded model"),
    (
        Popularity,
        {"restore": lambda self, s: setattr(self, "counts", s.get("counts"))},
        "incomplete_artefacts",
        "it loads an artefact without 'counts'",
    ),
    (Popularity, {"load": classmethod(careless_load)}, "other_artefacts", "it loads an artefact with {'model': 'not-"),
    (Popularity, {"similar_items": lambda self, *_, **__: None}, "not_similar", "it accepts what it should refuse"),
    (ItemKNN, {"similar_items": after(ItemKNN.similar_items, backwards)}, "similar", "a less similar item comes first"),
    (
        ItemKNN,
        {"item_similarity": after(ItemKNN.item_similarity, lambda _, s: s / s.sum(1, keepdim=True))},
        "similar_missing_rows",
        "a similarity is not a number",
    ),
    (
        ItemKNN,
        {"learn": after(ItemKNN.learn, noted), "item_similarity": after(ItemKNN.item_similarity, doubled_if_noted)},
        "similar_saved",
        "the loaded model gives other similarities",
    ),
    (
        MF,
        {"product": after(MF.product, lambda _, product: product._replace(item_bias=None))},
        "product",
        "the products are other numbers than the scores",
    ),
    (
        Popularity,
        {"score_history": after(Popularity.score_history, lambda _, s: s + len(s))},
        "new_users",
        "a new user gets other scores alone",
    ),
    (
        Popularity,
        {"learn": after(Popularity.learn, noted), "score_history": after(Popularity.score_history, doubled_if_noted)},
        "new_users_saved",
        "the loaded model scores otherwise",
    ),
    (
        ItemKNN,
        {"score": after(ItemKNN.score, lambda _, s: 2 * s)},
        "same_scores_as_a_new_user",
        "a new user with the same ratings gets other scores",
    ),
    (ItemKNN, {"explain": after(ItemKNN.explain, lambda _, s: 2 * s)}, "explanations", "the parts do not add up"),
    (
        ItemKNN,
        {"signed_weights": after(ItemKNN.signed_weights, lambda _, weights: abs(weights))},
        "dislikes",
        "the scores of items like a disliked one change by 0.",
    ),
    (Bias, {"estimates": after(Bias.estimates, lambda _, s: s + 1)}, "ratings", "a pair gets another rating"),
    (Bias, {"scale": property(lambda _: (4.0, 4.5)), "estimates": Bias.score}, "ratings", "a pair gets another"),
    (
        Taste,
        {"stars": after(Taste.stars, lambda _, stars: stars._replace(low=stars.high))},
        "stars",
        "a predicted rating is outside its interval",
    ),
    (
        Demographic,
        {"score_profiles": lambda self, profiles: self.base.expand(len(profiles), -1)},
        "profiles",
        "the profile {'age': '27', 'gender': 'M', 'occupation': 'law'} changes nothing",
    ),
    (StreamItemKNN, {"partial_fit": lambda self, _: self}, "events", "20 events change no score"),
    (StreamItemKNN, {"forget_from": lambda self, _: self}, "new_in_events", "1 users are left"),
    (Biased, {}, "session", "a session changed bias"),
]


@pytest.mark.parametrize(("parent", "attributes", "name", "message"), BREAKS, ids=[broken[2] for broken in BREAKS])
def test_a_line_that_is_broken_is_reported(
    tiny: Dataset, parent: type[Recommender], attributes: dict[str, Any], name: str, message: str
) -> None:
    errors = {finding.line: finding.error for finding in check(type("Broken", (parent,), attributes), tiny)}
    line = getattr(ModelContract, f"test_{name}").__doc__.rstrip(".")
    assert errors[line].startswith(message)


def test_every_line_is_broken_by_some_model() -> None:
    names = {f"test_{name}" for _, _, name, _ in BREAKS}
    assert set(lines(ModelContract)) - names == {"test_nearly_the_scores_of_a_new_user"}, "it is opted into; see below"


def test_a_promise_of_nearly_the_same_scores_is_checked() -> None:
    negated = {"score_history": after(Popularity.score_history, lambda _, s: -s), "model": Popularity}
    kind = type("Negated", (Popularity,), negated)
    contract = type("Promising", (ModelContract,), {"model": kind, "folds_in_nearly": {}})
    with pytest.raises(AssertionError, match=r"the scores of user_idx 59 as a new user correlate by -1\.00"):
        contract().test_nearly_the_scores_of_a_new_user()


def test_training_that_fails_is_the_only_finding(tiny: Dataset) -> None:
    def learn(self: Recommender, *_: object) -> None:
        raise ArithmeticError("no")

    kind = type("Failing", (Popularity,), {"learn": learn})
    assert check(kind, tiny) == [("it learns from a few users", "ArithmeticError: no")]


def reporting(result: object) -> type[Recommender]:
    """Return a model with a custom training loop, which reports `result` as its epoch."""

    def learn(self: Popularity, train: Interactions, context: FitContext) -> None:
        Popularity.learn(self, train, context)
        if context.on_epoch:
            context.on_epoch(result)  # type: ignore[arg-type]

    return type("Reporting", (Popularity,), {"learn": learn})


@pytest.mark.parametrize("result", [{"epoch": 1.0, "epochs": 20.0}, {"epoch": 1, "epochs": 2, "loss": 0.5}, 1])
def test_m30_epochs_that_are_not_of_the_type_are_named(tiny: Dataset, result: object) -> None:
    (finding,) = check(reporting(result), tiny)
    assert finding.error == (
        f"BadInput: on_epoch of 'popularity' is called with a {type(result).__name__}; "
        "expected EpochResult(epoch, epochs, loss, seconds)"
    )


def test_m30_epochs_of_the_type_are_passed_on(tiny: Dataset) -> None:
    kind, seen = reporting(EpochResult(1, 2, 0.5, 0.1)), list[EpochResult]()
    kind().fit(tiny.ratings, on_epoch=seen.append)
    own = [result for result in seen if not result.stages]
    assert own == [EpochResult(1, 2, 0.5, 0.1, examples=len(tiny.ratings))]
    assert [finding for finding in check(kind, tiny) if finding.error] == []


def numpy_in_place(train: Interactions) -> None:
    train.rating[:] = 0


def numpy_output(train: Interactions) -> None:
    np.add(train.item_idx, 1, out=train.item_idx)


def writable_buffer(train: Interactions) -> None:
    ctypes.c_int64.from_buffer(train.timestamp)  # as compiled code does, even if it does not write


@pytest.mark.parametrize("write", [numpy_in_place, numpy_output, writable_buffer])
def test_m29_code_that_needs_writable_rows_is_advised_to_copy_them(
    tiny: Dataset, write: Callable[[Interactions], None]
) -> None:
    def learn(self: Popularity, train: Interactions, context: FitContext) -> None:
        write(train)
        Popularity.learn(self, train, context)

    (finding,) = check(type("Writing", (Popularity,), {"learn": learn}), tiny)
    assert "'popularity' asks for arrays that it may write to (" in finding.error
    assert finding.error.endswith("; give it copies of the training rows, such as train.user_idx.copy()")


@pytest.mark.parametrize("ability", list(ABILITIES))
def test_lines_about_an_ability_exist_only_for_models_that_declare_it(ability: str) -> None:
    def held(*abilities: str) -> set[str]:
        kind = type("Able", (Popularity,), {"abilities": abilities})
        contract = type("Contract", (ModelContract,), {"model": kind})
        return {name for name in lines(contract) if getattr(contract, name) is not None}

    assert held(ability) - held()


def test_a_contract_of_a_contract_has_the_lines_of_its_model() -> None:
    parent = type("Parent", (ModelContract,), {"model": Popularity})
    child: Any = type("Child", (parent,), {"model": ItemKNN})
    assert parent.test_similar is None
    assert child.test_similar is ModelContract.test_similar
    assert child.test_not_similar is None


def test_settings_reach_the_model_and_the_run() -> None:
    settings = {"embedding_dim": 3, "epochs": 1, "seed": 5}
    contract: Any = type("Small", (ModelContract,), {"model": MF, "settings": settings})
    model = contract().trial.model
    assert model.config.embedding_dim == 3
    assert [result.epoch for result in model.training_log] == [1]
    assert contract().trial.configure({})[1].seed == 5
