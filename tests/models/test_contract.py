"""The contract of every registered model, held by one suite. A new model is tested by being registered.

A model whose preset is too slow or too strong for a checkerboard of 24 x 24 gets a line in `CHECKERBOARD`.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from recengine.data.dataset import Dataset
from recengine.data.interactions import Interactions
from recengine.data.splits import Split, leave_last
from recengine.errors import BadInput
from recengine.models.abilities import SupportsFoldIn
from recengine.models.base import FAMILIES, Recommender
from recengine.models.pair.base import PairModel
from recengine.models.ratings.base import RatingModel, rating_validator
from recengine.models.recency import HistoryModel
from recengine.models.registry import MODELS, configure, fit_final, model_class
from recengine.models.streaming.blend import StreamBlend
from recengine.models.streaming.step import Step
from recengine.testing import ModelContract
from recengine.training.config import RunConfig
from recengine.training.loop import EpochResult, Stage, gain, ranking_validator

for _name in MODELS:  # one class for each registered model, as an outside model would have its own
    globals()[f"Test{_name}"] = type(f"Test{_name}", (ModelContract,), {"model": MODELS[_name]})
USERS = np.array([3, 0, 59, 17])
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
"""Models that cannot solve a checkerboard, because they learn nothing of who likes what.

Models of ratings neither: a board of ones has nothing to predict (`test_ratings.py` gives them a table to recover).
"""


@pytest.fixture(scope="module")
def split(tiny: Dataset) -> Split:
    return leave_last(tiny.positives(4.0))


@pytest.fixture(scope="module")
def fit(tiny: Dataset, split: Split) -> Callable[..., Recommender]:
    """Return a function that fits a registered model on `tiny` for two epochs."""

    def fit_one(name: str, seed: int = 0, train: Interactions = split.train, **about: Any) -> Recommender:
        epochs = None if model_class(name).preset_epochs is None else 2
        run = RunConfig(device="cpu", seed=seed, epochs=epochs)
        return model_class(name)().fit(train, items=tiny.items, users=tiny.users, run=run, **about)

    return fit_one


@pytest.fixture(scope="module", params=list(MODELS))
def model(request: pytest.FixtureRequest, fit: Callable[..., Recommender]) -> Recommender:
    return fit(request.param)


def tensors(model: Recommender) -> dict[str, bytes]:
    return {name: tensor.detach().numpy().tobytes() for name, tensor in model.state().items()}


def similar(model: Recommender) -> bool:
    return "similar" in model.abilities


# What the registry says -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", list(MODELS))
def test_a_model_says_what_it_is(name: str) -> None:
    kind = MODELS[name]
    assert kind.name == name
    assert kind.family in FAMILIES
    assert kind.summary.endswith(".")
    assert "\n" not in kind.summary
    assert kind.version >= 1
    assert kind.Config() == kind.Config.from_dict(kind.Config().to_dict())
    assert json.loads(json.dumps(kind.Config().to_dict())) == kind.Config().to_dict()


@pytest.mark.parametrize("name", list(MODELS))
def test_an_unknown_setting_or_one_out_of_range_is_bad_input(name: str) -> None:
    with pytest.raises(BadInput, match=rf"bogus is not an option of '{name}'"):
        configure(name, {"bogus": 1}, RunConfig())
    with pytest.raises(BadInput, match=r"epochs=0 is out of range; expected at least 1"):
        configure(name, {"epochs": "0"}, RunConfig())
    for field, option in MODELS[name].Config.__dataclass_fields__.items():
        low = option.metadata.get("low")
        if low is not None:
            with pytest.raises(BadInput, match=rf"{field}={low - 1:g}.*(at least|more than) {low:g}"):
                configure(name, {field: low - 1}, RunConfig())


@pytest.mark.parametrize("name", list(MODELS))
def test_the_memory_of_a_training_is_told_by_setting(name: str) -> None:
    model = model_class(name)()
    parts = model.footprint(100_000, 10_000, 5_000_000)
    assert parts.keys() <= {"", *model.config.to_dict()}
    assert all(isinstance(value, int) and value >= 0 for value in parts.values())
    if model.preset_epochs is not None:
        assert sum(parts.values()) > 1e6


def test_an_unknown_model_is_bad_input_that_names_the_closest() -> None:
    with pytest.raises(BadInput, match=r"model 'eaze' is unknown \(did you mean 'ease'\?\)"):
        model_class("eaze")


# Scoring --------------------------------------------------------------------------------------------------------


# Recommending ---------------------------------------------------------------------------------------------------


def test_without_seen_and_among_everything_is_listed(model: Recommender) -> None:
    assert sorted(model.top_k(5, k=40, seen=None).items[0].tolist()) == list(range(40))


# Similar items --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name in MODELS if "similar" not in MODELS[name].abilities])
def test_a_model_without_item_vectors_says_so(fit, name: str) -> None:
    with pytest.raises(BadInput, match=f"{name!r} has no item vectors"):
        fit(name).similar_items(0)


@pytest.mark.parametrize("name", [name for name in MODELS if "similar" in MODELS[name].abilities])
def test_every_other_item_is_similar_to_some_degree(fit, name: str) -> None:
    model = fit(name)
    found = model.similar_items(np.arange(40), k=39)
    assert found.items.shape == (40, 39)
    for seed, items in enumerate(found.items.tolist()):
        assert sorted(items) == [i for i in range(40) if i != seed]
    assert bool((found.scores[:, 1:] <= found.scores[:, :-1]).all())
    assert model.similar_items(7, k=5).items[0].tolist() == found.items[7, :5].tolist()
    with pytest.raises(BadInput, match="k=40 is out of range"):
        model.similar_items(0, k=40)


def test_an_item_and_a_user_without_interactions_break_nothing(fit, split: Split, model: Recommender) -> None:
    """Item 11 and user 3 lose every row; item-item norms are then zero."""
    gone = (split.train.item_idx == 11) | (split.train.user_idx == 3)
    bare = fit(model.name, train=split.train.select(~gone))
    assert bool(torch.isfinite(bare.score([3, 4])).all())
    assert bare.top_k(3, seen=split.train).items.shape == (1, 10)
    if similar(bare):
        found = bare.similar_items([11, 0], k=39)
        assert bool(torch.isfinite(found.scores).all())
        assert 11 not in found.items[0].tolist()


# Fold-in and explanations ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name in MODELS if "fold-in" in MODELS[name].abilities])
def test_a_training_users_own_history_folds_in_to_that_users_scores(
    tiny: Dataset, split: Split, fit, name: str
) -> None:
    model = fit(name)
    if isinstance(model, PairModel | Step):  # after two epochs a user's vector is still the noise that it started from
        trained = {name: value for name, value in CHECKERBOARD[model.name].items() if name != "l2"}
        config, run = configure(model.name, trained, RunConfig(device="cpu"))
        model = type(model)(config).fit(split.train, items=tiny.items, run=run)
    folded = model.score_history(split.train.of_users(USERS))
    own = model.score(USERS)
    assert folded.shape == own.shape
    if not isinstance(model, Step | StreamBlend) and (not isinstance(model, HistoryModel) or model.scores_from_history):
        assert torch.allclose(folded, own, atol=1e-5)
        return
    for mine, theirs in zip(folded.numpy(), own.numpy(), strict=True):
        assert np.corrcoef(mine, theirs)[0, 1] > 0.9


# Seeds ----------------------------------------------------------------------------------------------------------


def test_the_same_seed_trains_the_same_bytes(fit, model: Recommender, tmp_path: Path) -> None:
    again = fit(model.name)
    assert tensors(again) == tensors(model)
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    model.save(tmp_path / "one")
    again.save(tmp_path / "two")
    files = [(tmp_path / side / "model.safetensors").read_bytes() for side in ("one", "two")]
    assert files[0] == files[1]


@pytest.mark.parametrize("name", ["random", "mf"])
def test_another_seed_trains_another_model(fit, name: str) -> None:
    assert not torch.equal(fit(name, seed=1).score(USERS), fit(name, seed=2).score(USERS))


# Saving ---------------------------------------------------------------------------------------------------------


def test_a_saved_model_loads_to_the_same_bits(model: Recommender, tiny: Dataset, tmp_path: Path) -> None:
    model.save(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["model.json", "model.safetensors"]
    back = type(model).load(tmp_path)
    assert torch.equal(back.score(USERS), model.score(USERS))
    assert (back.n_users, back.n_items, back.config) == (60, 40, model.config)
    assert back.training_log == model.training_log
    assert back.best_epoch == model.best_epoch
    assert back.n_unknown == model.n_unknown == (0 if model.reads() else None)
    if similar(model):
        assert torch.equal(back.similar_items([0, 9]).scores, model.similar_items([0, 9]).scores)
    if isinstance(model, SupportsFoldIn) and isinstance(back, SupportsFoldIn):
        some = tiny.ratings.of_users([4, 5])
        assert torch.equal(back.score_history(some), model.score_history(some))


def test_another_models_or_another_versions_artefact_is_refused(model: Recommender, tmp_path: Path) -> None:
    model.save(tmp_path)
    for other in MODELS.values():
        if other is not type(model):
            with pytest.raises(ValueError, match=rf"holds '{model.name}' version .*, expected '{other.name}'"):
                other.load(tmp_path)
    about = json.loads((tmp_path / "model.json").read_text())
    (tmp_path / "model.json").write_text(json.dumps({**about, "version": model.version + 1}))
    with pytest.raises(ValueError, match="train it again"):
        type(model).load(tmp_path)


def test_an_artefact_that_lacks_a_tensor_is_refused(model: Recommender, tmp_path: Path) -> None:
    model.save(tmp_path)
    held = load_file(tmp_path / "model.safetensors")
    save_file({"something": torch.zeros(1)} | dict(list(held.items())[1:]), tmp_path / "model.safetensors")
    with pytest.raises((KeyError, RuntimeError, ValueError)):
        type(model).load(tmp_path)


# Learning -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [n for n in MODELS if n not in NOT_TRAINED and MODELS[n].learns_from == "positives"])
def test_a_checkerboard_with_its_diagonal_withheld_is_solved_exactly(name: str) -> None:
    """User u liked every item of u's own parity but item u: the only unseen item that fits is u itself."""
    n = 24
    user, item = np.divmod(np.arange(n * n), n)
    kept = np.random.default_rng(0).permutation(np.flatnonzero((user % 2 == item % 2) & (user != item)))
    board = Interactions.from_pairs(user[kept], item[kept], n_users=n, n_items=n)
    config, run = configure(name, CHECKERBOARD.get(name, {}), RunConfig(device="cpu"))
    model = model_class(name)(config).fit(board, run=run)
    assert model.top_k(np.arange(n), k=1, seen=board).items[:, 0].tolist() == list(range(n))
    if similar(model):
        neighbours = model.similar_items(np.arange(n), k=11).items
        assert bool((neighbours % 2 == torch.arange(n)[:, None] % 2).all())


@pytest.mark.parametrize("name", list(MODELS))
def test_the_final_model_knows_the_validation_rows_too(name: str, tiny: Dataset, split: Split) -> None:
    config, run = configure(name, {"epochs": 2}, RunConfig(device="cpu"))
    results: list[EpochResult] = []
    final = fit_final(
        name,
        config,
        split.train,
        split.valid,
        items=tiny.items,
        users=tiny.users,
        run=run,
        on_epoch=results.append,
    )
    if model_class(name).preset_epochs is None:
        assert (results, final.training_log, final.best_epoch) == ([], [], None)
        everything = model_class(name)(config).fit(split.fit, items=tiny.items, users=tiny.users, run=run)
        assert tensors(final) == tensors(everything)
        return
    chosen = model_class(name)(config).fit(split.train, valid=split.valid, items=tiny.items, users=tiny.users, run=run)
    refit = model_class(name)(config).fit(
        split.fit,
        items=tiny.items,
        users=tiny.users,
        run=RunConfig(device="cpu", epochs=max(1, chosen.best_epoch or 1)),
    )
    assert tensors(final) == tensors(refit)
    assert [result.epoch for result in final.training_log] == [result.epoch for result in chosen.training_log]
    assert [result.epoch for result in results if not result.stages] == [0, 1, 2]
    refitted = [result.epoch for result in results if result.stages == (Stage.REFIT,)]
    assert refitted == list(range(1, max(1, final.best_epoch or 1) + 1))


@pytest.mark.parametrize("name", [name for name in MODELS if MODELS[name].preset_epochs is not None])
def test_the_restored_epoch_is_the_one_with_the_best_validation(name: str, tiny: Dataset, split: Split) -> None:
    config, run = configure(name, {"epochs": 6, "patience": 6}, RunConfig(device="cpu"))
    model = model_class(name)(config).fit(split.train, valid=split.valid, items=tiny.items, users=tiny.users, run=run)
    reached = [gain(model.criterion, result.metrics[model.criterion]) for result in model.training_log]
    assert model.best_epoch == reached.index(max(reached))
    if isinstance(model, RatingModel):
        again = rating_validator(model, split.valid)()
    else:
        again = ranking_validator(model.score, split.train, split.valid)()
    assert gain(model.criterion, again[model.criterion]) == pytest.approx(max(reached))


def test_mf_pairs_nobody_with_another_users_negatives(tiny: Dataset) -> None:
    """The loss of two groups is the mean of what each gives alone with its own negatives."""
    kind = model_class("mf")
    model: Any = kind(kind.Config.from_dict({"embedding_dim": 4, "l2": 0, "loss": "adaptive-hinge"}))
    model.fit(tiny.positives(4.0), run=RunConfig(device="cpu", epochs=3))
    user, item = torch.tensor([0, 1, 2, 3]), torch.tensor([2, 3, 4, 5])
    negative = torch.tensor([[10, 11], [20, 21]])  # of users 0 and 1, and of users 2 and 3
    both = model._loss(user, item, negative, None)
    alone = [model._loss(user[g : g + 2], item[g : g + 2], negative[g // 2 :][:1], None) for g in (0, 2)]
    assert both.item() == pytest.approx((alone[0].item() + alone[1].item()) / 2, rel=1e-5)
    assert alone[0].item() != pytest.approx(alone[1].item())


def test_mf_looks_up_each_row_against_the_negatives_that_its_own_group_is_given(tiny: Dataset) -> None:
    liked = tiny.positives(4.0)
    known = set(zip(liked.user_idx.tolist(), liked.item_idx.tolist(), strict=True))
    kind = model_class("mf")
    model: Any = kind(kind.Config.from_dict({"shared_by": 8, "negatives": 6, "batch_size": 100}))
    drawn: list[tuple[int, int]] = []
    for user, item, negative, taken in model._batches(liked, torch.device("cpu"), torch.Generator())():
        for row, u in enumerate(user.tolist()):
            assert taken[row].tolist() == [(u, n) in known for n in negative[row // 8].tolist()]
        drawn += zip(user.tolist(), item.tolist(), strict=True)
    assert set(drawn) == known
    assert len(drawn) < len(known) + 8  # every positive once, and a few twice to fill the last group


@pytest.mark.parametrize("sampling", ["exact", "approximate"])
def test_mf_never_sets_a_known_positive_against_another_unless_told_to(sampling: str) -> None:
    """A user who has every item has no negatives: exact sampling then moves nothing, approximate does."""
    kind = model_class("mf")
    board = Interactions.from_pairs(np.repeat([0, 1], 6), np.tile(np.arange(6), 2), n_users=2, n_items=6)
    config = kind.Config.from_dict({"embedding_dim": 4, "l2": 0, "loss": "hinge", "sampling": sampling})
    one, many = (kind(config).fit(board, run=RunConfig(device="cpu", epochs=e)).score([0, 1]) for e in (1, 5))
    assert torch.equal(one, many) == (sampling == "exact")


def test_item_knn_lists_the_seeds_own_neighbours(tiny: Dataset) -> None:
    """Also when the seed is nobody else's: item-kNN keeps few neighbours of each item, and that is not symmetric."""
    kind = model_class("item-knn")
    liked = tiny.positives(4.0)
    table = np.zeros((60, 40))
    table[liked.user_idx, liked.item_idx] = 1
    gram = table.T @ table
    norm = np.sqrt(np.diag(gram))
    cosine = gram / (np.outer(norm, norm) + 3.0)
    np.fill_diagonal(cosine, -1)
    model = kind(kind.Config.from_dict({"neighbours": 3, "shrink": 3.0})).fit(liked)
    found = model.similar_items(np.arange(40), k=3)
    for seed in range(40):
        assert np.allclose(np.sort(found.scores[seed].numpy()), np.sort(cosine[seed])[-3:], atol=1e-5)
