"""Predicted ratings with intervals: one posterior solved by hand, and what more ratings do to it."""

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch

from recengine.data.dataset import Dataset
from recengine.data.interactions import Interactions
from recengine.data.sources import load_dataset
from recengine.data.splits import Split, make_split
from recengine.models.item_item.taste import Taste
from recengine.models.ratings.bias import Bias
from recengine.models.ratings.stars import DIM, TRUST, Side, StarPredictor, Stars


def of_one(*ratings: tuple[int, float], n_items: int = 40) -> Interactions:
    items, values = zip(*ratings, strict=True) if ratings else ((), ())
    return Interactions.from_pairs([0] * len(ratings), items, rating=values, n_users=1, n_items=n_items)


@pytest.fixture(scope="module")
def split(tiny: Dataset) -> Split:
    return make_split(tiny, "random", positive=0)


@pytest.fixture(scope="module")
def predictor(split: Split) -> StarPredictor:
    return StarPredictor().fit(split.fit)


def test_a_new_user_is_the_posterior_mean_and_variance_by_sampling(predictor: StarPredictor) -> None:
    """The model itself, sampled: items from their posterior, users from their prior, weighted by the likelihood.

    With items that are known exactly the weights are exact, and so are the mean and the variance of a prediction.
    """
    exact = StarPredictor()
    exact.restore(predictor.state())
    exact.items = Side(predictor.items.mean, torch.zeros_like(predictor.items.covariance))
    exact.bounds = torch.tensor([-100.0, 100.0])
    rows, target = of_one((0, 5.0), (4, 4.0), (1, 1.0)), 8
    rng = np.random.default_rng(0)
    users = rng.multivariate_normal(np.zeros(DIM + 1), exact.prior.numpy(), 400_000)
    mean = exact.items.mean.double().numpy()
    expected = float(exact.centre) + users[:, :DIM] @ mean[:, :DIM].T + users[:, DIM:] + mean[:, DIM]
    noise = float(exact.noise)
    weight = np.exp(-((expected[:, rows.item_idx] - rows.rating) ** 2).sum(1) * TRUST / (2 * noise))
    centre = np.average(expected[:, target], weights=weight)
    spread = np.sqrt(np.average((expected[:, target] - centre) ** 2, weights=weight) + noise)
    stars = exact.predict(rows)
    assert float(stars.rating[0, target]) == pytest.approx(centre, abs=0.02)
    assert float(stars.high[0, target] - stars.low[0, target]) / 2 == pytest.approx(1.2816 * spread, rel=0.02)


def test_it_is_not_behind_bias_and_its_intervals_hold() -> None:
    split = make_split(load_dataset("sample"), "random", positive=0)
    test, users = split.test, np.arange(0, split.test.n_users, 4)
    predictor, bias = StarPredictor().fit(split.fit), Bias().fit(split.fit)
    position, rows = test.rows_of(users)
    cells = torch.from_numpy(position), torch.from_numpy(test.item_idx[rows].astype(np.int64))
    rating, low, high = (part[cells].numpy() for part in predictor.predict(split.fit.of_users(users)))
    actual = test.rating[rows]
    error = float(np.sqrt(((rating - actual) ** 2).mean()))
    of_bias = float(np.sqrt(((bias.predict(test.user_idx[rows], test.item_idx[rows]).numpy() - actual) ** 2).mean()))
    assert error < 0.97 * of_bias
    assert 0.77 < ((low <= actual) & (actual <= high)).mean() < 0.86


def test_more_ratings_of_a_user_and_of_an_item_make_it_surer(predictor: StarPredictor, split: Split) -> None:
    predictor.bounds = torch.tensor([-100.0, 100.0])
    width = lambda stars: stars.high - stars.low  # noqa: E731
    likes = [(i, 5.0) for i in range(0, 24, 4)]
    nothing, little, more = (width(predictor.predict(of_one(*likes[:n]))) for n in (0, 1, 6))
    assert (nothing > little).all()
    assert (little > more).all()
    rarely = StarPredictor().fit(split.fit.select((split.fit.item_idx != 36) | (split.fit.user_idx < 3)))
    rarely.bounds = predictor.bounds
    assert width(rarely.predict(of_one()))[0, 36] > nothing[0, 36]
    predictor.bounds = torch.tensor([1.0, 5.0])


def test_ratings_that_are_all_alike_and_none_at_all_are_predicted_as_such() -> None:
    for rows, value in ((of_one((0, 3.0), (1, 3.0)), 3.0), (of_one(), 0.0)):
        stars = StarPredictor().fit(rows).predict(rows)
        assert all(bool((part == value).all()) for part in stars)


def test_taste_predicts_for_users_of_the_data_as_for_new_ones(tiny: Dataset, tmp_path) -> None:
    model = Taste().fit(tiny.ratings, items=tiny.items)
    users, items = np.array([7, 0, 7, 59]), np.array([3, 39, 20, 0])
    of_new: Stars = model.stars(tiny.ratings.of_users(users))
    expected = of_new.rating[torch.arange(4), torch.from_numpy(items)]
    assert torch.allclose(model.predict(users, items), expected, atol=1e-5)
    assert model.scale == tiny.rating_range
    model.save(tmp_path)
    again: Any = Taste.load(tmp_path)
    assert all(torch.equal(a, b) for a, b in zip(again.stars(tiny.ratings), model.stars(tiny.ratings), strict=True))
    liked = dataclasses.replace(tiny.ratings, rating=np.ones(len(tiny.ratings), np.float32))
    assert bool((Taste().fit(liked, items=tiny.items).stars(liked).rating == 1).all())
