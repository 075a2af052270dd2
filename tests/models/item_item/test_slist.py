"""SLIST: the weights against rows that are written out, and what the order of a history adds."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from recengine.data.interactions import Interactions
from recengine.data.sources import load_dataset
from recengine.data.splits import leave_last, make_split
from recengine.evaluation.ranking import evaluate
from recengine.evaluation.significance import ahead_of
from recengine.models.item_item import slist
from recengine.models.registry import model_class
from recengine.models.simple.baselines import Popularity
from recengine.training.loop import ranking_validator

HALF_LIFE, FLOOR, L2 = 1.5, 0.2, 3.0


def fit(rows: Interactions, **config: float | None) -> torch.Tensor:
    kind = model_class("slist")
    chosen = {"l2": L2, "recency_half_life": HALF_LIFE, "recency_floor": FLOOR, **config}
    return kind(kind.Config.from_dict(chosen)).fit(rows).item_weights


def random_histories(seed: int, n_users: int = 9, n_items: int = 7) -> Interactions:
    """Return users with 1 to 6 distinct items each, their rows shuffled, and one user without any."""
    rng = np.random.default_rng(seed)
    chosen = [rng.permutation(n_items)[: rng.integers(1, 7)] for _ in range(n_users)]
    user = np.repeat(np.arange(n_users), [len(c) for c in chosen])
    shuffled = rng.permutation(len(user))
    return Interactions.from_pairs(
        user[shuffled], np.concatenate(chosen)[shuffled], n_users=n_users + 1, n_items=n_items, timestamp=shuffled
    )


def ridge_without_self(inputs: NDArray[np.float64], targets: NDArray[np.float64], l2: float) -> NDArray[np.float64]:
    """Return the ridge regression of each target column on all input columns except the same one."""
    n = inputs.shape[1]
    result = np.zeros((n, n))
    for i in range(n):
        others = np.delete(np.arange(n), i)
        kept = inputs[:, others]
        result[others, i] = np.linalg.solve(kept.T @ kept + l2 * np.eye(n - 1), kept.T @ targets[:, i])
    return result


@pytest.mark.parametrize("set_weight", [0.0, 0.3])
@pytest.mark.parametrize("half_life", [HALF_LIFE, None])
def test_the_weights_are_the_ridge_regression_of_rows_written_out(set_weight: float, half_life: float | None) -> None:
    rows = random_histories(seed=3)
    before, after, sets = [], [], []
    for user in range(rows.n_users):
        of_user = rows.user_idx == user
        sequence = rows.item_idx[of_user][np.argsort(rows.timestamp[of_user])]
        sets.append(np.isin(np.arange(rows.n_items), sequence).astype(float))
        for position in range(1, len(sequence)):
            history = np.zeros(rows.n_items)
            for age, item in enumerate(sequence[:position][::-1]):
                history[item] = 1.0 if half_life is None else FLOOR + 0.5 ** (age / half_life)
            before.append(history)
            after.append(np.eye(rows.n_items)[sequence[position]])
    share = np.sqrt(np.concatenate([np.full(len(before), 1 - set_weight), np.full(len(sets), set_weight)]))[:, None]
    expected = ridge_without_self(share * np.array([*before, *sets]), share * np.array([*after, *sets]), L2)
    result = fit(rows, set_weight=set_weight, recency_half_life=half_life)
    assert np.allclose(result.numpy(), expected, atol=1e-5)


@pytest.mark.parametrize("set_weight", [0.0, 0.3])
@pytest.mark.parametrize("half_life", [HALF_LIFE, None])
def test_with_a_later_horizon_it_is_the_ridge_regression_with_an_intercept_on_starts_of_histories(
    set_weight: float, half_life: float | None, tmp_path: Path
) -> None:
    """Each user's first 0, 1, 2, 3 items predict all that follow, with a total weight of 1."""
    rows = random_histories(seed=3)
    inputs, targets, share = [], [], []
    for user in range(rows.n_users - 1):
        of_user = rows.user_idx == user
        sequence = rows.item_idx[of_user][np.argsort(rows.timestamp[of_user])]
        starts = min(3, len(sequence) - 1) + 1
        for n in range(starts):
            history = np.zeros(rows.n_items)
            for age, item in enumerate(sequence[:n][::-1]):
                history[item] = 1.0 if half_life is None else FLOOR + 0.5 ** (age / half_life)
            inputs.append(history)
            targets.append(np.isin(np.arange(rows.n_items), sequence[n:]))
            share.append((1 - set_weight) / starts)
        inputs.append(np.isin(np.arange(rows.n_items), sequence))
        targets.append(inputs[-1])
        share.append(set_weight)
    x, y, root = np.array(inputs, float), np.array(targets, float), np.sqrt(share)[:, None]
    read, wanted = (np.average(table, axis=0, weights=share) for table in (x, y))
    expected = ridge_without_self(root * (x - read), root * (y - wanted), L2)
    kind = model_class("slist")
    config = {"l2": L2, "recency_half_life": half_life, "recency_floor": FLOOR, "set_weight": set_weight}
    model = kind(kind.Config.from_dict({**config, "horizon": "later", "first_events": 3})).fit(rows)
    assert np.allclose(model.item_weights.numpy(), expected, atol=1e-5)
    no_history = model.score_history(rows.select(slice(0)).of_users([0]))[0]
    assert np.allclose(no_history.numpy(), wanted - read @ expected, atol=1e-5)
    model.save(tmp_path)
    assert torch.equal(kind.load(tmp_path).score([0, 1]), model.score([0, 1]))


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000), l2=st.floats(0.5, 100))
def test_with_all_weight_on_sets_it_is_ease(seed: int, l2: float) -> None:
    rows = random_histories(seed)
    ease = model_class("ease")
    expected = ease(ease.Config.from_dict({"l2": l2})).fit(rows).item_weights
    assert torch.allclose(fit(rows, l2=l2, set_weight=1.0), expected, atol=1e-4)


@pytest.mark.parametrize("step", [1, -1])
def test_it_recommends_what_users_choose_next_where_sets_alone_tell_nothing(step: int) -> None:
    """All users walk round a ring of items in one direction; each pair of neighbours is chosen equally often."""
    n = 12
    user, position = np.divmod(np.arange(n * 6), 6)
    walks = Interactions.from_pairs(user, (user + step * position) % n, n_users=n, n_items=n)
    model = model_class("slist")(model_class("slist").Config.from_dict({"l2": 1.0})).fit(walks)
    last = walks.item_idx[5::6]
    top = model.top_k(np.arange(n), k=1, seen=walks).items[:, 0].numpy()
    assert top.tolist() == ((last + step) % n).tolist()


def test_long_histories_are_learned_from_their_latest_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = random_histories(seed=5)
    rows = rows.select(rows.chronological())
    age = np.cumsum(rows.user_counts)[rows.user_idx] - 1 - np.arange(len(rows))
    latest = fit(rows.select(age < 3), set_weight=0.0)
    whole = fit(rows, set_weight=0.0)
    monkeypatch.setattr(slist, "LONGEST", 3)
    assert torch.allclose(fit(rows, set_weight=0.0), latest, atol=1e-6)
    assert not torch.allclose(whole, latest, atol=1e-3)


@pytest.mark.real
def test_order_adds_to_recency_on_ml_100k(mirror: Path) -> None:
    """On validation rows: EASE, EASE on histories weighted by recency, and SLIST, which learns from order."""
    split = leave_last(load_dataset("ml-100k").positives(4.0))
    recent = {"recency_half_life": 2.0, "recency_floor": 0.05}
    reached = []
    for name, config in (("ease", {"l2": 200.0}), ("ease", {"l2": 200.0, **recent}), ("slist", {})):
        model = model_class(name)(model_class(name).Config.from_dict(config)).fit(split.train)
        reached.append(ranking_validator(model.score, split.train, split.valid)()["valid_ndcg@10"])
    assert reached[0] + 0.02 < reached[1] < reached[2] - 0.005


@pytest.mark.real
def test_after_two_ratings_the_later_horizon_is_ahead_of_popularity_on_ml_100k(mirror: Path) -> None:
    split = make_split(load_dataset("ml-100k"), "cold-user", given=2, targets_after=19)
    kind = model_class("slist")
    config = kind.Config.from_dict({"horizon": "later", "l2": 100.0, "recency_half_life": None})
    result = [evaluate(model.fit(split.fit), split).per_user["ndcg@10"] for model in (kind(config), Popularity())]
    assert ahead_of("popularity", dict(zip(("slist", "popularity"), result, strict=True)))["slist"].low > 0
