"""The horizon `sitting`: what items start from, what is drawn, how a state is read from ratings in any order."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from recengine.data.dataset import Dataset
from recengine.data.interactions import Interactions
from recengine.data.sequences import Sequences
from recengine.models.registry import configure, model_class
from recengine.models.sequence import sitting
from recengine.training.config import RunConfig


def fit(rows: Interactions, name: str = "gru", items: pd.DataFrame | None = None, **options: Any) -> Any:
    config, run = configure(name, {"horizon": "sitting", **options}, RunConfig(device="cpu"))
    return model_class(name)(config).fit(rows, items=items, run=run)


def ratings_of(seed: int, n_users: int = 8, n_items: int = 12) -> Interactions:
    """Return users with 1 to 11 ratings of distinct items in half stars, their rows shuffled."""
    rng = np.random.default_rng(seed)
    chosen = [rng.permutation(n_items)[: rng.integers(1, n_items)] for _ in range(n_users)]
    user = np.repeat(np.arange(n_users), [len(items) for items in chosen])
    shuffled = rng.permutation(len(user))
    rating = rng.integers(1, 11, len(user)) / 2
    item = np.concatenate(chosen)[shuffled]
    return Interactions.from_pairs(user[shuffled], item, rating=rating, n_users=n_users, n_items=n_items)


@pytest.fixture(scope="module")
def trained(tiny: Dataset) -> Any:
    return fit(tiny.ratings, items=tiny.items, epochs=3)


# What the items start from -----------------------------------------------------------------------------------------


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_products_of_the_vectors_are_the_root_of_what_items_share(seed: int) -> None:
    """With every singular value kept, V V' squared is A' A, where A has a row for each user and each term."""
    rows = ratings_of(seed)
    items = pd.DataFrame({"genres": ["Drama|War", "Comedy", "War"] * 4, "director": ["A & B", "", "C", "A"] * 3})
    start = sitting.start(rows, items, dim=40)
    like = np.zeros((rows.n_users, rows.n_items))
    scale = rows.rating.min() + 0.75 * np.ptp(rows.rating)
    like[rows.user_idx, rows.item_idx] = rows.rating >= scale
    count, of_user = like.sum(0), like.sum(1, keepdims=True)
    like = like / (count + 5) ** 0.5 / np.maximum(of_user, 1) ** 0.25
    like /= (np.linalg.norm(like, axis=0) * count).sum() / count.sum()
    parts = [like]
    for weight, columns in ((0.8, ["genres"]), (0.5, ["genres", "director"])):
        named = [
            {(c, term) for c in columns for term in row[c].replace(" & ", "|").split("|") if term}
            for _, row in items.iterrows()
        ]
        terms = sorted(set().union(*named))
        has = np.array([[term in names for names in named] for term in terms], float)
        has *= np.log(len(named) / has.sum(1, keepdims=True))
        parts.append(weight * has / np.maximum(np.linalg.norm(has, axis=0), 1e-12))
    shared = (lambda a: a.T @ a)(np.concatenate(parts))
    product = (start.vectors @ start.vectors.T).double().numpy()
    root = product @ product
    assert np.allclose(root / np.trace(root), shared / np.trace(shared), atol=1e-4)
    assert (start.vectors.norm(dim=1).double().numpy() * count).sum() / count.sum() == pytest.approx(1, abs=1e-4)


def test_ratings_that_are_all_equal_are_likes() -> None:
    rows = Interactions.from_pairs([0, 0, 1], [0, 1, 1], n_users=2, n_items=3)
    scale = sitting.Scale.of(rows)
    assert scale.like == 1
    assert scale.dislike < 0
    assert sitting.start(rows, None, dim=4).liked.tolist() == [0, 1]


# What is drawn -----------------------------------------------------------------------------------------------------


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), longest=st.integers(1, 6))
def test_a_target_is_a_like_of_the_user_that_was_not_read_yet(seed: int, longest: int) -> None:
    shared, draws = ratings_of(seed), torch.Generator().manual_seed(seed)
    item = shared.user_idx * 12 + shared.item_idx  # so that an item says whose it is
    rows = Interactions.from_pairs(shared.user_idx, item, rating=shared.rating, n_users=8, n_items=96)
    scale, rating = sitting.Scale.of(rows), dict(zip(item.tolist(), rows.rating.tolist(), strict=True))
    read = []
    for items, ratings, at, targets in sitting.batches(rows, scale, longest, 3, draws):
        length = items.shape[1]
        assert length <= longest
        read += (items[:, 0] // 12).tolist()
        for position, target in zip(at.tolist(), targets.tolist(), strict=True):
            b, t = divmod(position, length)
            seen = items[b, : t + 1].tolist()
            assert ratings[b, : t + 1].tolist() == [rating[i] for i in seen]
            assert len({target, *seen}) == t + 2
            assert {i // 12 for i in seen} == {target // 12}
            assert rating[target] >= scale.like
    assert sorted(read) == (rows.user_counts > 1).nonzero()[0].tolist()


def test_each_epoch_reads_other_events_and_all_of_them_alike() -> None:
    rows, draws = ratings_of(3, n_users=1), torch.Generator().manual_seed(0)
    first = [
        int(items[0, 0])
        for _ in range(2000)
        for items, *_ in sitting.batches(rows, sitting.Scale.of(rows), 3, 4, draws)
    ]
    shares = np.bincount(first, minlength=12)[rows.item_idx] / 2000
    assert np.allclose(shares, 1 / len(rows), atol=0.03)


# How a state is read -----------------------------------------------------------------------------------------------


def test_before_it_learns_a_score_is_that_of_the_mean_like_less_what_is_near_the_dislikes(tiny: Dataset) -> None:
    model = fit(tiny.ratings, items=tiny.items, epochs=1, learning_rate=1e-12, weight_decay=0)
    vector = model.network.items()
    history = Interactions.from_pairs([0] * 5, [1, 2, 3, 4, 5], rating=[5, 1, 4.5, 3, 1.5], n_users=1, n_items=40)
    expected = vector @ (vector[1] + vector[3]) / 2 + model.network.item_bias  # a rating of 3 is neither
    for item in (2, 5):
        expected = expected - 1.5 * torch.nn.functional.cosine_similarity(vector, vector[item : item + 1]).relu() ** 4
    assert torch.allclose(model.score_history(history)[0], expected, atol=1e-5)


def test_the_network_weighs_likes_from_nothing_to_twice(trained: Any) -> None:
    items, ratings = torch.tensor([[5, 30, 17]]), torch.tensor([[5.0, 1.0, 4.0]])
    network = trained.network
    with torch.no_grad():
        vectors = network.item_embedding(items)
        weight = 1 + torch.tanh((network(items, ratings) * vectors).sum(2))
        states = sitting.states(network, items, ratings, trained.scale)
    assert weight.min() > 0
    assert weight.max() < 2
    assert (weight - 1).abs().max() > 1e-3  # it learned
    likes = (weight[0, 0] * vectors[0, 0] + weight[0, 2] * vectors[0, 2]) / 2
    assert torch.allclose(states[0, 2], likes, atol=1e-5)


def test_the_loss_is_the_cross_entropy_of_likes_with_popularity_added(trained: Any) -> None:
    draws = torch.Generator().manual_seed(0)
    states, liked = torch.randn(5, trained.config.embedding_dim, generator=draws), torch.arange(0, 40, 2)
    offset, targets = torch.randn(40, generator=draws), torch.tensor([0, 4, 38, 4, 10])
    start = sitting.Start(torch.empty(0), torch.empty(0), offset, liked)
    network = trained.network
    with torch.no_grad():
        logits = (4.5 * (states @ network.items().T + network.item_bias) + offset)[:, liked]
        expected = torch.nn.functional.cross_entropy(logits, targets // 2)
        value = sitting.loss(network, start, states, targets, 0)
    assert value.item() == pytest.approx(expected.item(), rel=1e-5)


@settings(max_examples=25, deadline=None)
@given(data=st.data(), n=st.integers(1, 40))
def test_neither_order_nor_time_changes_a_score(trained: Any, data: st.DataObject, n: int) -> None:
    rng = np.random.default_rng(n)
    items, rating = rng.permutation(40)[:n], rng.integers(1, 11, n) / 2
    order = data.draw(st.permutations(range(n)))
    times = data.draw(st.lists(st.integers(0, 5), min_size=n, max_size=n))

    def scores(rows: Any, timestamp: Any) -> torch.Tensor:
        return trained.score_history(
            Interactions.from_pairs(
                [0] * n, items[rows], rating=rating[rows], timestamp=timestamp, n_users=1, n_items=40
            )
        )

    assert torch.equal(scores(np.arange(n), np.zeros(n)), scores(np.array(order), times))


def test_of_more_ratings_than_a_sitting_holds_the_orders_read_different_ones() -> None:
    n = 10 * sitting.EVENTS
    sequences = Sequences(Interactions.from_pairs([0] * n, np.arange(n), n_users=1, n_items=n))
    orders = list(sitting.served_orders(sequences, np.zeros(1, np.int64), sitting.EVENTS))
    assert [items.shape for items, *_ in orders] == [(1, sitting.EVENTS)] * sitting.ORDERS
    assert len({int(item) for items, *_ in orders for item in items[0]}) > 3 * sitting.EVENTS


# What it learns ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["gru", "sasrec"])
def test_likes_and_dislikes_each_say_which_half_of_the_films_a_new_user_likes(name: str) -> None:
    rng = np.random.default_rng(0)
    user, item = np.repeat(np.arange(200), 12), np.concatenate([rng.permutation(40)[:12] for _ in range(200)])
    rating = np.where(user % 2 == item % 2, 5.0, 1.0)
    rows = Interactions.from_pairs(user, item, rating=rating, n_users=200, n_items=40)
    model = fit(rows, name, embedding_dim=8, epochs=3)

    def share(rating: float) -> float:
        """Return the share of the first ten that are of the half of a single item, rated so."""
        one = Interactions.from_pairs(np.arange(40), np.arange(40), rating=[rating] * 40, n_users=40, n_items=40)
        top = model.score_history(one).topk(10).indices.numpy()
        return float((top % 2 == np.arange(40)[:, None] % 2).mean())

    assert share(5.0) > 0.95
    assert share(1.0) < 0.3  # what is not near it does not gain


def test_an_item_that_nobody_rated_stands_near_its_genre(tiny: Dataset) -> None:
    rows = tiny.ratings.select(tiny.ratings.item_idx != 8)
    model = fit(rows, items=tiny.items, epochs=1)
    similar = model.similar_items([8], k=5).items[0].tolist()
    assert {tiny.items["genres"].iloc[item] for item in similar} == {tiny.items["genres"].iloc[8]}


def test_a_horizon_in_order_learns_from_positives_and_hears_no_dislikes() -> None:
    for name, horizon, sits in (("gru", "sitting", True), ("gru", "next", False), ("sasrec", "later", False)):
        model = model_class(name)(model_class(name).Config.from_dict({"horizon": horizon}))
        assert (model.learns_from == "ratings", model.hears_dislikes, bool(model.reads())) == (sits, sits, sits)
    for name in ("gru", "sasrec"):  # what the class says is what its preset does
        kind = model_class(name)
        assert (kind.learns_from, kind.hears_dislikes) == (kind().learns_from, kind().hears_dislikes)


def test_validation_counts_likes_alone(tiny: Dataset, trained: Any) -> None:
    rng = np.random.default_rng(0)
    held_out = rng.random(len(tiny.ratings)) < 0.1
    train, valid = tiny.ratings.select(~held_out), tiny.ratings.select(held_out)
    liked = valid.at_least(trained.scale.like)
    assert 0 < len(liked) < len(valid)
    assert trained.validator(train, valid)() == trained.validator(train, liked)()
