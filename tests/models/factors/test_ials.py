"""Implicit ALS: the vectors of training and of new users solve the published normal equations."""

from itertools import pairwise

import numpy as np
import pytest
import torch

from recengine.data.interactions import Interactions
from recengine.models.factors import histories as grouped
from recengine.models.factors.ials import IALS, Histories, IALSConfig

N_USERS, N_ITEMS, DIM = 30, 50, 6


@pytest.fixture(params=["torch", "compiled"])
def case(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> tuple[IALS, Histories, torch.Tensor, np.ndarray]:
    """Return a model, weighted histories (one is empty), the item vectors, and the exact user vectors."""
    monkeypatch.setattr(grouped, "BATCH_NUMBERS", 500)  # several batches
    if request.param == "compiled":
        monkeypatch.setattr(grouped, "COMPILED_FROM", 0)
    rng = np.random.default_rng(0)
    chosen = rng.random((N_USERS, N_ITEMS)) < rng.random((N_USERS, 1)) * rng.random(N_ITEMS)
    chosen[7] = False
    weight = np.where(chosen, rng.uniform(0.2, 1, chosen.shape), 0).astype(np.float32)
    items = rng.normal(size=(N_ITEMS, DIM)).astype(np.float32)
    config = IALSConfig(embedding_dim=DIM, unobserved_weight=0.2, l2=0.05, frequency_scaling=0.5)
    exact = np.zeros((N_USERS, DIM))
    for user in np.flatnonzero(chosen.any(1)):
        ridge = 0.05 * (chosen[user].sum() + 0.2 * N_ITEMS) ** 0.5
        left = 0.2 * items.T @ items + items.T @ np.diag(weight[user]) @ items + ridge * np.eye(DIM)
        exact[user] = np.linalg.solve(left.astype(np.float64), items.T @ weight[user])
    user, item = (x.astype(np.int32) for x in chosen.nonzero())
    return IALS(config), Histories(user, item, weight[chosen], N_USERS), torch.from_numpy(items), exact


def test_a_new_users_vector_solves_the_normal_equations(case) -> None:
    model, histories, items, exact = case
    assert np.allclose(model.solve(histories, items).numpy(), exact, atol=1e-5)


def test_sums_over_a_users_rows_are_those_of_a_matrix(case) -> None:
    _, histories, items, _ = case
    table = torch.zeros(N_USERS, N_ITEMS)
    owner = np.repeat(np.arange(N_USERS), histories.counts)
    table[owner, histories.other] = torch.from_numpy(histories.weight)
    x = torch.randn(N_USERS, DIM, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(histories.sums(items), table @ items, atol=1e-5)
    assert torch.allclose(histories.sums(items, x), (table * (x @ items.T)) @ items, atol=1e-5)


def test_training_approaches_the_same_vectors_with_every_sweep(case) -> None:
    model, histories, items, exact = case
    vectors = torch.randn(N_USERS, DIM, generator=torch.Generator().manual_seed(0))
    errors = []
    for _ in range(4):
        vectors, error = model.refine(histories, items, vectors)
        expected = sum(
            float(w) * (1 - float(vectors[owner] @ items[item])) ** 2
            for owners, other, weight in histories.batches(DIM)
            for owner, row, weights in zip(owners, other, weight, strict=True)
            for item, w in zip(row, weights, strict=True)
        )
        assert float(error) == pytest.approx(expected, rel=1e-4)
        errors.append(np.linalg.norm(vectors.numpy() - exact) / np.linalg.norm(exact))
    assert errors[0] < 0.2
    assert all(later < 0.1 * earlier for earlier, later in pairwise(errors))
    assert bool(torch.isfinite(vectors).all())
    assert vectors[7].tolist() == [0] * DIM


def test_without_any_penalty_training_stays_finite() -> None:
    board = Interactions.from_pairs([0, 0, 1], [0, 1, 1], n_users=3, n_items=4)
    model = IALS(IALSConfig(embedding_dim=4, unobserved_weight=0, l2=0)).fit(board)
    assert bool(torch.isfinite(model.score([0, 1, 2])).all())


def test_a_longer_catalogue_does_not_hold_every_vector_near_zero() -> None:
    model, counts = IALS(IALSConfig(embedding_dim=DIM)), np.array([5])
    widest, longer, shorter = (float(model.ridge(counts, torch.zeros(n, 1))) for n in (10_000, 80_000, 9_999))
    assert shorter < widest == longer
    assert widest == pytest.approx(0.01 * (5 + 0.3 * 10_000))
