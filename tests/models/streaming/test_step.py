"""`step`: its updates against autograd, learning event by event, its settings, and another device."""

import copy
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from recengine.data.dataset import Dataset
from recengine.data.interactions import Interactions
from recengine.errors import BadInput
from recengine.models.streaming import step_kernel as kernel
from recengine.models.streaming.step import Step, StepConfig
from recengine.models.streaming.step_arrays import LOSSES, OPTIMIZERS, SOURCES, Rule, Scratch, Tables
from recengine.training.config import RunConfig
from tests.models.streaming.slow_step import CPU, events, fit, loss_of


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize(
    ("loss", "sigmoid"), [*((name, False) for name in LOSSES), ("squared", True), ("linear", True)]
)
def test_an_update_is_what_autograd_and_the_optimiser_of_torch_do(loss: str, sigmoid: bool, optimizer: str) -> None:
    """Three steps on batches of examples that share users and items, one of them with fewer negatives."""
    draws = torch.Generator().manual_seed(3)
    table = {n: torch.randn(s, generator=draws) for n, s in {"users": (5, 6), "items": (9, 6), "bias": (9, 1)}.items()}
    parameters = {name: values.clone().requires_grad_() for name, values in table.items()}
    kinds = {"sgd": torch.optim.SGD, "adagrad": torch.optim.Adagrad, "adam": torch.optim.SparseAdam}
    oracle = kinds[optimizer](list(parameters.values()), lr=0.05)
    moments = {name: np.zeros((OPTIMIZERS.index(optimizer), *t.shape), np.float32) for name, t in table.items()}
    tables = Tables(*(t.numpy() for t in table.values()), *moments.values(), np.zeros(1, np.int64))
    codes = LOSSES.index(loss), OPTIMIZERS.index(optimizer)
    rule = Rule(*codes, 0.05, 0.02, sigmoid, True, True, True)
    scratch = Scratch.for_batches(5, 9, 6, 3, 3)
    for turn in range(3):
        examples = [(0, [1, 2, 3, 4], 1.0), (0, [2, 1, 5 + turn, 0], 2.5), (turn + 1, [1, 8], 0.5)]
        for b, (user, picked, weight) in enumerate(examples):
            scratch.users[b], scratch.counts[b], scratch.weights[b] = user, len(picked), weight
            scratch.items[b, : len(picked)] = picked
        used = {"users": [user for user, _, _ in examples], "items": [i for _, picked, _ in examples for i in picked]}
        total = torch.zeros(())
        penalty = torch.zeros(())
        for user, picked, weight in examples:
            u, v, b = parameters["users"][user], parameters["items"][picked], parameters["bias"][picked]
            total = total + weight * loss_of(loss, v @ u + b[:, 0], sigmoid) / 3
            penalty = penalty + 0.02 / 2 * (u.square().sum() + v.square().sum()) / 3
        oracle.zero_grad()
        (total + penalty).backward()
        if optimizer == "adam":
            for name, parameter in parameters.items():
                rows = torch.tensor(sorted(set(used["users" if name == "users" else "items"])))
                parameter.grad = torch.sparse_coo_tensor(
                    rows[None], parameter.grad[rows], parameter.shape, check_invariants=True
                )
        oracle.step()
        assert kernel.train_on_batch(tables, rule, scratch, 3, True) == pytest.approx(float(total.detach()), rel=1e-4)
        for name, parameter in parameters.items():
            assert torch.allclose(table[name], parameter.detach(), atol=2e-5), (turn, name)
    assert (scratch.user_slot == -1).all()
    assert (scratch.item_slot == -1).all()


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_events_in_one_call_in_several_or_through_a_file_teach_the_same(optimizer: str, tmp_path: Path) -> None:
    rows = events(240)
    start = fit(rows.select(slice(0, 60)), optimizer=optimizer, learning_rate=0.01)
    whole = copy.deepcopy(start).partial_fit(rows.select(slice(60, 240)))
    tested = copy.deepcopy(start)
    tested.test_then_train(rows.select(slice(60, 240)))
    halves = copy.deepcopy(start).partial_fit(rows.select(slice(60, 99)))
    halves.save(tmp_path)
    halves = Step.load(tmp_path).partial_fit(rows.select(slice(99, 240)))
    for name, tensor in whole.state().items():
        assert torch.equal(halves.state()[name], tensor), name
        assert torch.equal(tested.state()[name], tensor), name
    assert not torch.equal(whole.network.items, start.network.items)


def test_events_that_are_not_learned_change_nothing_and_are_masked_all_the_same() -> None:
    rows = events(100)
    model = fit(rows.select(slice(0, 50)))
    before = model.network.items.clone()
    ranks = model.test_then_train(rows.select(slice(50, 100)), learns=False)
    assert torch.equal(model.network.items, before)
    assert model.past.size[0] == 100
    again = model.top_k(np.arange(12), k=30, seen=rows)
    assert int((again.items >= 0).sum()) == 12 * 30 - 100
    assert ranks.min() >= 1


@pytest.mark.parametrize("negatives_from", SOURCES)
def test_new_users_and_items_are_added_as_they_come(negatives_from: str) -> None:
    rows = events(100)
    model = fit(rows, negatives_from=negatives_from, optimizer="adagrad", event_negatives=4)
    users, items = model.network.users.clone(), model.network.items.clone()
    model.partial_fit(Interactions.from_pairs([14, 3], [33, 31], n_users=15, n_items=34))
    assert model.score([14]).shape == (1, 34)
    assert (model.n_users, model.n_items) == (15, 34)
    assert bool(torch.isfinite(model.score(np.arange(15))).all())
    moved = (model.network.users[:12] != users).any(1)
    assert 1 < int(moved.sum()) <= 1 + model.config.replay * 2  # the replay moves others too
    assert model.network.items[:30].shape == items.shape
    assert model.past.items_of(3)[0] == 31
    model.partial_fit(rows)
    assert 14 in model.top_k(14, k=34, seen=None).items[0]
    ring = [int(model.network.newer[0])]
    while ring[-1]:
        ring.append(int(model.network.newer[ring[-1]]))
    assert sorted(ring) == list(range(35))
    assert all(int(model.network.older[b]) == a for a, b in pairwise([0, *ring]))


def test_a_user_who_liked_one_genre_is_recommended_it(tiny: Dataset) -> None:
    liked = tiny.positives(4.0)
    model = fit(liked, run=RunConfig(device="cpu", epochs=20), learning_rate=0.5)
    new_user = Interactions.from_pairs([60] * 5, [2, 6, 10, 14, 18], n_users=61, n_items=40)
    model.partial_fit(new_user)
    scores, like = model.score(60)[0], torch.arange(40) % 4 == 2
    assert scores[like].mean() > scores[~like].mean() + 1


def test_frozen_tables_do_not_change_and_training_starts_from_pretrained_ones() -> None:
    rows = events(100)
    users, items = torch.randn(12, 8), torch.randn(30, 8)
    config = StepConfig(embedding_dim=8, freeze_items=True)
    model = Step(config).start_from(users=users, items=items).fit(rows, run=CPU)
    assert torch.equal(model.network.items, items)
    assert not torch.equal(model.network.users, users)
    other = Step(StepConfig(embedding_dim=8, freeze_users=True)).start_from(users=users).fit(rows, run=CPU)
    assert torch.equal(other.network.users, users)
    with pytest.raises(BadInput, match=r"pretrained items have the shape \(12, 8\); expected \(30, 8\)"):
        Step(config).start_from(items=users).fit(rows, run=CPU)


def test_confidence_weighs_an_event_by_its_rating_and_a_sigmoid_keeps_scores_within_0_and_1() -> None:
    rows = events(30)
    model = fit(rows, confidence=2.0, sigmoid=True, loss="logistic")
    assert model.past.weight[:30].tolist() == (1 + 2 * rows.rating).tolist()
    scores = model.score(np.arange(12))
    assert 0 < scores.min() < scores.max() < 1


def test_a_batch_is_one_step_on_the_mean() -> None:
    rows = events(64)
    config = {"loss": "squared", "event_negatives": 0, "l2": 0.0, "item_bias": False}
    run = RunConfig(device="cpu", epochs=1)
    start = fit(rows.select(slice(0)), run=run, **config).network
    users, items = start.users.clone().requires_grad_(), start.items.clone().requires_grad_()
    pairs = (users[rows.user_idx.tolist()] * items[rows.item_idx.tolist()]).sum(1)
    ((1 - pairs) ** 2 / 2).mean().backward()
    model = fit(rows, run=run, batch_size=64, **config)
    assert torch.allclose(model.network.users, (users - 0.1 * users.grad).detach(), atol=1e-6)
    assert torch.allclose(model.network.items, (items - 0.1 * items.grad).detach(), atol=1e-6)


def test_linear_grows_without_bound_where_squared_converges() -> None:
    rows = events(100)
    norms = {
        loss: float(fit(rows, run=RunConfig(device="cpu", epochs=60), loss=loss).network.items.norm())
        for loss in ("linear", "squared")
    }
    assert norms["linear"] > 100 * norms["squared"]


@pytest.mark.cuda
def test_scores_on_cuda_are_those_of_the_cpu() -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device here")
    rows = events(100)
    here, there = fit(rows), fit(rows, run=RunConfig(device="cuda", epochs=2))
    assert there.score([0, 3]).device.type == "cuda"
    assert torch.allclose(there.score([0, 3]).cpu(), here.score([0, 3]), atol=1e-5)
    there.partial_fit(rows)
    assert torch.allclose(there.score([0]).cpu(), here.partial_fit(rows).score([0]), atol=1e-5)
    assert torch.allclose(there.score_history(rows).cpu(), here.score_history(rows), atol=1e-5)
