"""The contract of every registered model, and the promises of the registry.

Every registered model is tested here; one whose preset is too slow for a checkerboard of 24 x 24, or too strongly
regularised, gets an entry in `CHECKERBOARD`.
"""

from typing import Any

import numpy as np
import pytest
import torch

from recengine.data.dataset import Dataset
from recengine.data.interactions import Interactions
from recengine.data.splits import leave_last
from recengine.errors import BadInput
from recengine.models.registry import MODELS, configure, fit_final, model_class
from recengine.testing import ModelContract
from recengine.testing.lines import exists_for, requires
from recengine.training.config import RunConfig
from recengine.training.progress import EpochResult, Stage

CHECKERBOARD: dict[str, dict[str, Any]] = {
    "gru": {
        "embedding_dim": 16,
        "hidden_dim": 32,
        "dropout": 0.0,
        "learning_rate": 0.02,
        "batch_size": 8,
        "epochs": 10,
    },
    "sasrec": {"embedding_dim": 16, "dropout": 0.2, "learning_rate": 0.02, "batch_size": 8, "epochs": 20},
    "mf": {"embedding_dim": 8, "l2": 0.001, "learning_rate": 0.05, "epochs": 30},
    "ials": {"embedding_dim": 8, "epochs": 8},
    "step": {"embedding_dim": 8, "epochs": 40},
    "stream-blend": {"embedding_dim": 8, "epochs": 40},
    **{
        name: {
            "embedding_dim": 8,
            "l2": 0.001,
            "learning_rate": 0.05,
            "negatives": 16,
            "dropout": 0.0,
            "epochs": 40,
        }
        for name in (
            "nonlinear-mf",
            "mlp",
            "neumf",
            "mlp-mf",
            "cml",
            "deepfm",
            "cold-start-mf",
            "hybrid-joint",
            "hybrid",
        )
    },
}
NOT_TRAINED = ("random", "popularity", "stream-popularity", "recent-popularity", "content", "demographic", "contextual")
"""Models that cannot solve a checkerboard, because they do not learn who likes what.

Models of ratings cannot either: a board of ones has nothing to predict (`tests/models/ratings` has a table for them).
"""
NEARLY: dict[str, dict[str, Any]] = {
    "mf-explicit": {},
    "stream-blend": {},
    **{
        name: {key: value for key, value in CHECKERBOARD[name].items() if key != "l2"}
        for name in ("mf", "nonlinear-mf", "cml", "cold-start-mf")
    },
    "step": {**CHECKERBOARD["step"], "vector_weight": 3.0, "bias_weight": 0.5},
}
"""Models whose users and new users with the same ratings get nearly the same scores, with settings that show it.

After two epochs a user's vector may still be its initial noise. All other models give the same scores.
"""


class OurContract(ModelContract):
    """What the models of this package guarantee beyond the contract."""

    def test_everything_can_be_listed(self) -> None:
        model = self.trial.model
        assert sorted(model.top_k(5, k=40, seen=None).items[0].tolist()) == list(range(40))

    def test_the_catalogue_is_known(self) -> None:
        model = self.trial.model
        assert model.n_unknown == (0 if model.reads() else None)

    @requires("similar")
    def test_every_other_item_is_similar_to_some_degree(self) -> None:
        for item, items in enumerate(self.trial.model.similar_items(np.arange(40), k=39).items.tolist()):
            assert sorted(items) == [other for other in range(40) if other != item]

    @exists_for(lambda contract: contract.model.preset_epochs is not None)
    def test_a_large_training_needs_memory(self) -> None:
        assert sum(self.model().footprint(100_000, 10_000, 5_000_000).values()) > 1e6


def contract_of(name: str) -> type[OurContract]:
    exactly = "fold-in" in MODELS[name].abilities and name not in NEARLY
    attributes = {"model": MODELS[name], "folds_in_exactly": exactly, "folds_in_nearly": NEARLY.get(name)}
    return type(f"Test{MODELS[name].__name__}", (OurContract,), attributes)


CONTRACTS = {name: contract_of(name) for name in MODELS}
globals().update({contract.__name__: contract for contract in CONTRACTS.values()})  # pytest collects these


def test_every_model_has_one_contract_and_no_exception_is_out_of_date() -> None:
    assert len({contract.__name__ for contract in CONTRACTS.values()}) == len(MODELS)
    assert {*CHECKERBOARD, *NEARLY, *NOT_TRAINED} <= {*MODELS}


@pytest.mark.parametrize("name", list(MODELS))
def test_a_model_describes_itself(name: str) -> None:
    assert MODELS[name].name == name
    assert MODELS[name].summary.endswith(".")


@pytest.mark.parametrize("name", list(MODELS))
def test_a_parameter_that_is_unknown_or_out_of_range_is_bad_input(name: str) -> None:
    with pytest.raises(BadInput, match=rf"bogus is not an option of '{name}'"):
        configure(name, {"bogus": 1}, RunConfig())
    with pytest.raises(BadInput, match=r"epochs=0 is out of range; expected at least 1"):
        configure(name, {"epochs": "0"}, RunConfig())
    for field, option in MODELS[name].Config.__dataclass_fields__.items():
        low = option.metadata.get("low")
        if low is not None:
            with pytest.raises(BadInput, match=rf"{field}={low - 1:g}.*(at least|more than) {low:g}"):
                configure(name, {field: low - 1}, RunConfig())


def test_an_unknown_model_is_bad_input_that_names_the_closest() -> None:
    with pytest.raises(BadInput, match=r"model 'eaze' is unknown \(did you mean 'ease'\?\)"):
        model_class("eaze")


@pytest.mark.parametrize("name", ["random", "mf"])
def test_another_seed_trains_a_different_model(name: str) -> None:
    trial = CONTRACTS[name]().trial
    assert not torch.equal(trial.fit(seed=1).score(trial.users), trial.fit(seed=2).score(trial.users))


def test_the_second_training_of_a_final_model_reports_its_epochs_as_a_refit(tiny: Dataset) -> None:
    split = leave_last(tiny.positives(4.0))
    config, run = configure("mf", {"epochs": 2}, RunConfig(device="cpu"))
    results: list[EpochResult] = []
    final = fit_final(model_class("mf"), config, split.train, split.valid, run=run, on_epoch=results.append)
    assert [result.epoch for result in results if not result.stages] == [0, 1, 2]
    refitted = [result.epoch for result in results if result.stages == (Stage.REFIT,)]
    assert refitted == list(range(1, max(1, final.best_epoch or 1) + 1))


@pytest.mark.parametrize("name", [n for n in MODELS if n not in NOT_TRAINED and MODELS[n].learns_from == "positives"])
def test_a_checkerboard_with_its_diagonal_withheld_is_solved_exactly(name: str) -> None:
    """User u liked every item of the same parity except item u, so item u alone is unseen and fits."""
    n = 24
    user, item = np.divmod(np.arange(n * n), n)
    kept = np.random.default_rng(0).permutation(np.flatnonzero((user % 2 == item % 2) & (user != item)))
    board = Interactions.from_pairs(user[kept], item[kept], n_users=n, n_items=n)
    config, run = configure(name, CHECKERBOARD.get(name, {}), RunConfig(device="cpu"))
    model = model_class(name)(config).fit(board, run=run)
    assert model.top_k(np.arange(n), k=1, seen=board).items[:, 0].tolist() == list(range(n))
    if "similar" in model.abilities:
        neighbours = model.similar_items(np.arange(n), k=11).items
        assert bool((neighbours % 2 == torch.arange(n)[:, None] % 2).all())
