"""Sparse weights of large catalogues: those of the dense path where both can be had, and the tail by hand."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.functional import embedding_bag

from recengine.data.dataset import Dataset
from recengine.data.interactions import Interactions
from recengine.errors import BadInput
from recengine.models.base import Recommender
from recengine.models.item_item import linear, sparse
from recengine.models.item_item.linear import gram_matrix, ridge_weights
from recengine.models.item_item.nearness import Nearness
from recengine.models.item_item.sparse import Links, approximate_ridge
from recengine.models.registry import model_class
from recengine.testing import check


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take every catalogue for a large one."""
    monkeypatch.setattr(sparse, "DENSE_BYTES", 0)


def fitted(name: str, rows: Interactions, **settings: object) -> Recommender:
    kind = model_class(name)
    return kind(kind.Config.from_dict(settings)).fit(rows)


def rows_of(n_users: int = 80, n_items: int = 30) -> Interactions:
    rng = np.random.default_rng(0)
    chosen = rng.random((n_users, n_items)) < rng.random((n_users, 1)) * rng.random(n_items)
    chosen[:, 4] = False
    return Interactions.from_pairs(*chosen.nonzero(), n_users=n_users, n_items=n_items)


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("item-knn", {"neighbours": 30}),
        ("ease", {"l2": 20}),
        ("slim", {"l2": 5}),
        ("slist", {}),
        ("slist", {"horizon": "later"}),
    ],
)
def test_a_large_catalogue_is_scored_as_a_small_one_where_nothing_is_left_out(
    monkeypatch, tmp_path, name, settings
) -> None:
    rows = rows_of()
    dense = fitted(name, rows, **settings)
    monkeypatch.setattr(sparse, "DENSE_BYTES", 0)
    few = fitted(name, rows, **settings)
    assert isinstance(few.item_weights, Links)
    assert not isinstance(dense.item_weights, Links)
    users, items = np.arange(80), torch.arange(30)
    assert np.allclose(few.score(users), dense.score(users), atol=1e-6)
    assert np.allclose(few.item_similarity(items), dense.item_similarity(items), atol=1e-6)
    some = rows.of_users([3])
    assert np.allclose(few.explain(some, items), dense.explain(some, items), atol=1e-6)
    few.save(tmp_path)
    assert torch.equal(type(few).load(tmp_path).score(users), few.score(users))


def test_the_nearest_are_the_largest_cosines(large: None) -> None:
    rows = rows_of()
    table = np.zeros((80, 30))
    table[rows.user_idx, rows.item_idx] = 1
    gram = table.T @ table
    norm = np.sqrt(np.diag(gram))
    cosine = gram / (np.outer(norm, norm) + 3.0)
    np.fill_diagonal(cosine, 0)
    kept = fitted("item-knn", rows, neighbours=4).item_weights.transposed.dense(torch.arange(30)).numpy()
    assert (kept > 0).sum(1).max() == 4
    for item in range(30):
        assert np.allclose(np.sort(kept[item])[-4:], np.sort(cosine[item])[-4:], atol=1e-6)
        assert np.allclose(kept[item][kept[item] > 0], cosine[item][kept[item] > 0], atol=1e-6)


def test_pairs_that_are_counted_make_the_matrix_that_a_product_makes(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = rows_of(200, 150)
    rows = rows.concat(rows.select(slice(0, 40)))  # repeated ones count once
    product = gram_matrix(rows, torch.device("cpu"))
    for name in ("COUNTED_FROM", "SPARSER"):
        monkeypatch.setattr(linear, name, 0)
    monkeypatch.setattr(linear, "MOST_USERS", 90)
    steps: list[tuple[int, int]] = []
    assert torch.equal(gram_matrix(rows, torch.device("cpu"), lambda n, of: steps.append((n, of))), product)
    assert steps == [(0, 3), (1, 3), (2, 3)]


def test_the_head_is_solved_in_full_and_the_tail_pair_by_pair(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sparse, "HEAD", 10)
    monkeypatch.setattr(sparse, "TAIL_LINKS", 30)
    rows, l2 = rows_of(), 5.0
    weights = approximate_ridge(rows, l2).dense(torch.arange(30)).numpy()
    counts = rows.item_counts
    head = np.sort(np.argsort(-counts, kind="stable")[:10])
    inside = rows.select(np.isin(rows.item_idx, head))
    position = np.searchsorted(head, inside.item_idx)
    alone = Interactions.from_pairs(inside.user_idx, position, n_users=80, n_items=10)
    assert np.allclose(
        weights[np.ix_(head, head)], ridge_weights(gram_matrix(alone, torch.device("cpu")), l2), atol=1e-5
    )
    gram = gram_matrix(rows, torch.device("cpu")).numpy()
    simple = (gram - np.outer(counts, counts) / 80) / (counts + l2)[:, None]  # row: the predictor
    expected = np.where((simple > 0) & (gram > 0), simple, 0)
    expected[np.ix_(head, head)] = 0
    np.fill_diagonal(expected, 0)
    weights[np.ix_(head, head)] = 0
    assert np.allclose(weights, expected, atol=1e-6)
    monkeypatch.setattr(sparse, "TAIL_LINKS", 2)
    fewer = approximate_ridge(rows, l2).dense(torch.arange(30)).numpy()
    fewer[np.ix_(head, head)] = 0
    for item in range(30):
        assert np.allclose(np.sort(fewer[:, item])[-2:], np.sort(expected[:, item])[-2:], atol=1e-6)


@pytest.mark.parametrize("horizon", ["next", "later"])
def test_the_tail_of_slist_is_of_the_size_of_what_is_solved_in_full(monkeypatch, large: None, horizon: str) -> None:
    rng = np.random.default_rng(2)
    liked = rng.random((400, 30)) < np.where(np.arange(30) % 3 == rng.integers(0, 3, (400, 1)), 0.5, 0.1)
    rows = Interactions.from_pairs(*liked.nonzero(), n_users=400, n_items=30)
    rows = rows.select(rng.permutation(len(rows)))
    settings = {"horizon": horizon, "l2": 20.0}
    full = fitted("slist", rows, **settings).item_weights.dense(torch.arange(30))
    monkeypatch.setattr(sparse, "HEAD", 10)
    monkeypatch.setattr(sparse, "TAIL_LINKS", 30)
    few = fitted("slist", rows, **settings).item_weights.dense(torch.arange(30))
    tail = torch.from_numpy(~np.isin(np.arange(30), sparse.most_liked(rows)))
    outside = (tail[:, None] | tail) & (few > 0)
    assert 0.4 < few[outside].sum() / full[outside].sum() < 2.5
    alone = fitted("slist", rows, l2=20.0, set_weight=1.0).item_weights.dense(torch.arange(30))
    assert torch.allclose(alone, fitted("ease", rows, l2=20.0).item_weights.dense(torch.arange(30)), atol=1e-6)


@pytest.mark.parametrize("at_once", [1, 2, 4096])
def test_sums_of_rows_are_those_of_the_full_matrix(monkeypatch: pytest.MonkeyPatch, at_once: int) -> None:
    monkeypatch.setattr(sparse, "ROWS_AT_ONCE", at_once)
    rng = np.random.default_rng(1)
    full = np.where(rng.random((20, 20)) < 0.2, rng.normal(size=(20, 20)), 0).astype(np.float32)
    row, column = full.nonzero()
    shuffled = rng.permutation(len(row))
    links = Links.of(row[shuffled], column[shuffled], full[row, column][shuffled], 20)
    rows, starts = torch.tensor([3, 3, 0, 19, 7]), torch.tensor([0, 2, 2])  # the second bag is empty
    weight = torch.tensor([1.0, -2.0, 0.5, 1.0, 3.0])
    expected = embedding_bag(rows, torch.from_numpy(full), starts, mode="sum", per_sample_weights=weight)
    assert torch.allclose(links.sums(rows, starts, weight), expected, atol=1e-6)
    assert np.array_equal(links.transposed.dense(torch.arange(20)).numpy(), full.T)


def test_what_is_near_a_dislike_is_the_same_from_sparse_weights() -> None:
    rng = np.random.default_rng(1)
    full = np.where(rng.random((20, 20)) < 0.3, rng.normal(size=(20, 20)), 0).astype(np.float32)
    full[4] = 0
    row, column = full.nonzero()
    series = torch.from_numpy(rng.integers(-1, 6, 20))
    dense = Nearness(torch.from_numpy(full), series)
    sparse_ones = Nearness(Links.of(row, column, full[row, column], 20), series)
    assert torch.allclose(sparse_ones.rows(torch.arange(20)), dense.rows(torch.arange(20)), atol=1e-6)
    near = dense.rows(torch.arange(20))
    assert (near[(series[:, None] == series) & (series >= 0)] == 1).all()
    rows, starts, weight = torch.tensor([3, 3, 0, 19, 4]), torch.tensor([0, 2, 2]), torch.tensor([1.0, 0, 0.5, 1, 3])
    expected = embedding_bag(rows, near, starts, mode="sum", per_sample_weights=weight)
    for each in (dense, sparse_ones):
        assert torch.allclose(each.sums(rows, starts, weight), expected, atol=1e-6)
    alone = Nearness(Links.of(row, column, full[row, column], 20), torch.full((20,), -1))
    assert torch.allclose(alone.rows(torch.tensor([0]))[0].max(), torch.tensor(1.0))
    assert alone.rows(torch.tensor([4])).abs().sum() == 0


@pytest.mark.parametrize("name", ["item-knn", "ease", "slim", "slist", "taste"])
def test_the_contract_holds_on_a_large_catalogue(large: None, monkeypatch, tiny: Dataset, name: str) -> None:
    monkeypatch.setattr(sparse, "HEAD", 25)
    assert [finding for finding in check(model_class(name), tiny) if finding.error] == []


def test_small_catalogues_are_solved_in_full() -> None:
    assert not sparse.is_large(16_384)
    assert sparse.is_large(16_385)
    for name in ("taste", "ease", "slim", "slist"):
        assert sum(model_class(name)().footprint(50_000, 80_000, 2_000_000).values()) < 4e9


def test_a_folder_of_taste_with_sparse_weights_is_read_back(large: None, tiny: Dataset, tmp_path: Path) -> None:
    model = model_class("taste")().fit(tiny.ratings, items=tiny.items)
    model.save(tmp_path)
    users = np.arange(20)
    assert torch.equal(type(model).load(tmp_path).score(users), model.score(users))


def test_where_a_square_matrix_is_too_large_the_best_model_that_fits_is_offered() -> None:
    rows = Interactions.from_pairs([0, 1], [0, 79_999], n_users=50_000, n_items=80_000)
    with pytest.raises(BadInput, match=r"23\.8 GiB for a matrix .*; choose 'taste', which takes about \d\.\d GB"):
        type("Square", (linear.EASE,), {"links": lambda *_: None})().fit(rows)
    with pytest.raises(BadInput, match=r"'stream-item-knn' needs .*; choose 'step', which takes about 0\.\d GB"):
        fitted("stream-item-knn", rows)
