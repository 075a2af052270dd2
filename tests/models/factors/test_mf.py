"""`mf`: the negative samples that a row is compared with, and what likes and dislikes make of a new user."""

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from recengine.data.dataset import Dataset
from recengine.data.interactions import Interactions
from recengine.models.pair import base
from recengine.models.pair.softmax_kernel import leave_out, mark_known
from recengine.models.registry import model_class
from recengine.training.config import RunConfig


def test_a_user_is_compared_with_the_negatives_of_that_user_alone(tiny: Dataset) -> None:
    """The loss of two groups is the mean of their separate losses, each with the negatives of its group."""
    kind = model_class("mf")
    model: Any = kind(kind.Config.from_dict({"embedding_dim": 4, "l2": 0, "loss": "adaptive-hinge"}))
    model.fit(tiny.positives(4.0), run=RunConfig(device="cpu", epochs=3))
    user, item = torch.tensor([0, 1, 2, 3]), torch.tensor([2, 3, 4, 5])
    negative = torch.tensor([[10, 11], [20, 21]])  # of users 0 and 1, and of users 2 and 3
    both = model.loss(user, item, negative, None)
    alone = [model.loss(user[g : g + 2], item[g : g + 2], negative[g // 2 :][:1], None) for g in (0, 2)]
    assert both.item() == pytest.approx((alone[0].item() + alone[1].item()) / 2, rel=1e-5)
    assert alone[0].item() != pytest.approx(alone[1].item())


def test_known_positives_are_marked_among_the_negatives_of_each_group(tiny: Dataset) -> None:
    liked = tiny.positives(4.0)
    known = set(zip(liked.user_idx.tolist(), liked.item_idx.tolist(), strict=True))
    kind = model_class("mf")
    model: Any = kind(kind.Config.from_dict({"shared_by": 8, "negatives": 6, "batch_size": 100}))
    trained: list[tuple[int, int]] = []
    for user, item, negative, taken in model.batches(liked, torch.device("cpu"), torch.Generator())():
        for row, u in enumerate(user.tolist()):
            assert taken[row].tolist() == [(u, n) in known for n in negative[row // 8].tolist()]
        trained += zip(user.tolist(), item.tolist(), strict=True)
    assert set(trained) == known
    assert len(trained) < len(known) + 8  # every positive once, and a few twice to fill the last group


@pytest.mark.parametrize("sampling", ["exact", "approximate"])
def test_a_known_positive_is_a_negative_only_in_approximate_sampling(sampling: str) -> None:
    """A user who has every item has no negatives: exact sampling then changes nothing, approximate does."""
    kind = model_class("mf")
    board = Interactions.from_pairs(np.repeat([0, 1], 6), np.tile(np.arange(6), 2), n_users=2, n_items=6)
    config = kind.Config.from_dict({"embedding_dim": 4, "l2": 0, "loss": "hinge", "sampling": sampling})
    one, many = (kind(config).fit(board, run=RunConfig(device="cpu", epochs=e)).score([0, 1]) for e in (1, 5))
    assert torch.equal(one, many) == (sampling == "exact")


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"item_bias": False, "schedule": "cosine"},
        {"sampling": "popularity", "batch_size": 64, "shared_by": 8},
        {"sampling": "approximate", "bias_learning_rate": 0.02},
        {"embedding_dim": 40, "negatives": 33, "shared_by": 20},  # matrices of several tiles, the last ones not full
    ],
)
def test_compiled_steps_are_those_of_autograd(
    settings: dict[str, Any], tiny: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind = model_class("mf")
    small = {"embedding_dim": 6, "negatives": 16, "batch_size": 32, "shared_by": 4, "learning_rate": 0.1}
    config = kind.Config.from_dict(small | settings)

    def trained(compiled_from: int) -> Any:
        monkeypatch.setattr(base, "COMPILED_FROM", compiled_from)
        return kind(config).fit(tiny.positives(4.0), run=RunConfig(device="cpu", epochs=3))

    compiled, plain = trained(0), trained(10**9)
    losses = [[epoch.loss for epoch in model.training_log] for model in (compiled, plain)]
    assert losses[0] == pytest.approx(losses[1], abs=1e-4)
    expected = plain.network.state_dict()
    for name, values in compiled.network.state_dict().items():
        np.testing.assert_allclose(values, expected[name], atol=1e-3, err_msg=name)


def test_a_known_item_is_left_out_although_others_share_its_bit() -> None:
    liked = [[3, 35, 60], [], [28]]
    starts, items = np.array([0, 3, 3, 4]), np.array([3, 35, 60, 28], np.int32)
    for most, width in ((2**30, 64), (64, 32)):  # 3 and 35, 28 and 60 are one bit in 32
        known = mark_known(starts, items, 64, most)
        assert known[2].shape == (3, width // 32)
        for item in (3, 28, 35, 60, 61):
            row = np.zeros(3, np.float32)
            leave_out(np.arange(3), item, 64, known, row)
            assert (row == -np.inf).tolist() == [item in each for each in liked]


@pytest.mark.parametrize("settings", [{"optimizer": "adam"}, {"loss": "bpr"}, {"dropout": 0.1}, {"clip": 1.0}])
def test_what_the_compiled_steps_do_not_do_is_left_to_autograd(
    settings: dict[str, Any], tiny: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(base, "COMPILED_FROM", 0)
    monkeypatch.setattr(base, "CompiledSteps", None)  # to make one fails
    kind = model_class("mf")
    model = kind(kind.Config.from_dict({"embedding_dim": 4, **settings}))
    model.fit(tiny.positives(4.0), run=RunConfig(epochs=1))
    assert [result.epoch for result in model.training_log] == [1]


@pytest.fixture(scope="module")
def model(tiny: Dataset) -> Any:
    kind = model_class("mf")
    config = kind.Config.from_dict({"embedding_dim": 5, "dislike_weight": 0.5})
    return kind(config).fit(tiny.positives(4.0), run=RunConfig(device="cpu", epochs=20))


rated = st.dictionaries(st.integers(0, 39), st.sampled_from([1.0, 2.5, 3.0, 4.0, 5.0]), max_size=12)


@given(ratings=rated)
def test_a_new_user_is_the_ridge_solution_with_dislikes_pushing_away(model: Any, ratings: dict[int, float]) -> None:
    """The formula of the class, written out in float64; what each rating adds is its term of the sum."""
    users, items, bias = (
        model.network.state_dict()[name].double().numpy()
        for name in ("user_embedding.weight", "item_embedding.weight", "item_bias")
    )
    mean, prior = users.mean(0), np.cov(users.T)
    prior += (0.01 * np.diag(prior).mean() + 1e-6) * np.eye(5)
    share = np.exp(items @ mean + bias.reshape(-1))
    share /= share.sum()
    centred = items - share @ items
    spread = (centred * share[:, None]).T @ centred
    weight = np.array([0.7 if r >= 4 else -0.35 if r <= 2.5 else 0.0 for r in ratings.values()])
    past = list(ratings)
    inverse = np.linalg.inv(np.linalg.inv(prior) + np.maximum(weight, 0).sum() * spread)
    moves = (weight[:, None] * centred[past]).reshape(-1, 5) @ inverse
    expected = items @ (mean + moves.sum(0)) + bias.reshape(-1)
    rows = Interactions.from_pairs([0] * len(past), past, rating=list(ratings.values()), n_users=1, n_items=40)
    assert model.score_history(rows)[0].numpy() == pytest.approx(expected, abs=1e-4)
    assert model.explain(rows, np.arange(40)).numpy() == pytest.approx(items @ moves.T, abs=1e-4)


def test_without_dislikes_their_weight_changes_nothing(model: Any, tiny: Dataset) -> None:
    likes = tiny.positives(4.0).of_users([3, 8])
    plain = type(model)(dataclasses.replace(model.config, dislike_weight=0.0))
    plain.n_users, plain.n_items = model.n_users, model.n_items
    plain.restore(model.state())
    assert torch.equal(plain.score_history(likes), model.score_history(likes))
    assert torch.equal(plain.score([3, 8]), model.score([3, 8]))
