"""The map of items: PCA and Procrustes against other implementations, what is near, the file, the islands' names."""

import builtins
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import orthogonal_procrustes
from scipy.spatial import procrustes
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA

from recengine.data.dataset import Dataset
from recengine.data.sources import load_dataset
from recengine.errors import BadInput
from recengine.experiments.train import TrainingRequest, obtain
from recengine.models.registry import MODELS, model_class
from recengine.serving import item_map
from recengine.serving.islands import _Terms, islands, kmeans, log_odds, names
from recengine.serving.item_map import (
    ItemMap,
    item_space,
    known_map,
    map_file,
    map_items,
    nearest,
    obtain_map,
    oriented,
    pca,
    trail,
)


def cloud(n: int = 30, seed: int = 0) -> ItemMap:
    points = np.random.default_rng(seed).normal(size=(n, 2)) * (2, 1)
    return ItemMap(points.astype(np.float32))


def turned(here: ItemMap, angle: float, mirrored: bool = False) -> ItemMap:
    c, s = np.cos(angle), np.sin(angle)
    matrix = np.array([[c, -s], [s, c]]) @ np.diag([-1.0 if mirrored else 1.0, 1.0])
    return ItemMap((here.positions @ matrix).astype(np.float32))


def test_pca_agrees_with_scikit_learn_but_for_the_direction_of_an_axis() -> None:
    rows = np.random.default_rng(1).normal(size=(200, 7)) * np.arange(1, 8)
    points, shares = pca(torch.from_numpy(rows.astype(np.float32)))
    other = PCA(2).fit(rows)
    expected = other.transform(rows)
    expected *= np.sign((expected * points.numpy()).sum(0))
    np.testing.assert_allclose(points, expected, atol=1e-3)
    np.testing.assert_allclose(shares, other.explained_variance_ratio_, rtol=1e-5)


def test_axes_point_the_same_way_whatever_the_order_of_the_items() -> None:
    rows = torch.randn(50, 5, generator=torch.Generator().manual_seed(0)) * torch.arange(1, 6)
    order = torch.randperm(50, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(pca(rows)[0][order], pca(rows[order])[0], atol=1e-4, rtol=1e-4)


def test_one_dimension_is_a_line_and_shows_all() -> None:
    points, shares = pca(torch.tensor([[1.0], [2.0], [6.0]]))
    assert points[:, 0].tolist() == [-2.0, -1.0, 3.0]
    assert points[:, 1].tolist() == [0.0, 0.0, 0.0]
    assert shares == (1.0, 0.0)


@settings(max_examples=40, deadline=None)
@given(angle=st.floats(-7, 7), mirrored=st.booleans(), seed=st.integers(0, 99))
def test_a_map_that_was_turned_or_mirrored_is_turned_back(angle: float, mirrored: bool, seed: int) -> None:
    here = cloud(seed=seed)
    back = oriented(turned(here, angle, mirrored), here)
    np.testing.assert_allclose(back.positions, here.positions, atol=1e-5)


def test_orientation_agrees_with_scipy() -> None:
    mine, theirs = cloud(seed=3), cloud(seed=4)
    a, b = (each.positions - each.positions.mean(0) for each in (mine, theirs))
    rotation, _ = orthogonal_procrustes(a.astype(np.float64), b.astype(np.float64))
    got = oriented(mine, theirs).positions
    np.testing.assert_allclose(got, mine.positions @ rotation, atol=1e-5)
    got = got.astype(np.float64) - got.mean(0)
    got, target = got / np.linalg.norm(got), b / np.linalg.norm(b)
    scale = float((got * target).sum())  # scipy.spatial.procrustes scales too
    assert float(np.square(scale * got - target).sum()) == pytest.approx(procrustes(b, a)[2], abs=1e-6)


def test_orientation_goes_by_the_items_of_both_and_keeps_distances() -> None:
    reference = cloud()
    mine = turned(reference, 2.0, True)
    mine.positions[4:8] = np.nan
    reference.positions[0] = np.nan
    back = oriented(mine, reference)
    np.testing.assert_allclose(back.positions[9:], reference.positions[9:], atol=1e-5)
    assert np.isnan(back.positions[4:8]).all()
    some = (each.positions[10:20] for each in (mine, back))
    lengths = [np.linalg.norm(points[:, None] - points[None], axis=2) for points in some]
    np.testing.assert_allclose(*lengths, atol=1e-5)
    lonely = ItemMap(np.full((30, 2), np.nan, np.float32))
    assert oriented(mine, lonely) is mine


def test_the_trail_is_the_mean_of_what_was_liked_so_far() -> None:
    here = ItemMap(np.array([[0, 0], [2, 0], [np.nan, np.nan], [4, 6]], np.float32))
    assert trail(here, [0, 1, 2, 3]).tolist() == [[0, 0], [1, 0], [2, 2]]
    assert trail(here, [0, 1, 2, 3], most=1).tolist() == [[2, 2]]
    assert trail(here, [2]).shape == trail(here, []).shape == (0, 2)


def test_nearest_agrees_with_hand_values_and_leaves_out_what_is_not_there() -> None:
    here = ItemMap(np.array([[0, 0], [1, 0], [np.nan, np.nan], [0, 0.5], [5, 5]], np.float32))
    assert nearest(here, 0, 2).tolist() == [3, 1]
    assert nearest(here, 0).tolist() == [3, 1, 4]
    assert nearest(here, 2).tolist() == []


def test_vectors_of_an_item_item_model_give_its_symmetric_similarities_back(tiny: Dataset) -> None:
    model = model_class("item-knn")().fit(tiny.positives(4))
    n = tiny.n_items
    whole = model.item_similarity(torch.arange(n)).double()
    values, axes = torch.linalg.eigh((whole + whole.T) / 2)
    best = (axes * values.clamp(min=0)) @ axes.T  # the nearest without negative eigenvalues
    vectors = item_map._factored(model).double()
    kept = values.clamp(min=0).sort(descending=True).values[item_map.DIM :].sum()
    torch.testing.assert_close(vectors @ vectors.T, best, atol=float(kept) + 1e-4, rtol=0)


@pytest.mark.parametrize("dense", [6_000, 0])
def test_similarities_in_parts_give_the_same_vectors(
    dense: int, tiny: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = model_class("item-knn")().fit(tiny.positives(4))
    expected = item_map._factored(model)
    monkeypatch.setattr(item_map, "DENSE", dense)
    monkeypatch.setattr(item_map, "ROWS_AT_ONCE", 7)
    vectors = item_map._factored(model)
    torch.testing.assert_close(vectors @ vectors.T, expected @ expected.T, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", [name for name, kind in MODELS.items() if "similar" in kind.abilities])
def test_every_model_that_compares_items_has_a_map(name: str, tiny: Dataset) -> None:
    trained = obtain(TrainingRequest(tiny, name))
    here = map_items(trained.model, tiny, 4.0)
    assert here.positions.shape == (tiny.n_items, 2)
    points = here.positions[here.known].astype(np.float64)
    np.testing.assert_allclose(points.mean(0), 0, atol=1e-4)
    assert np.square(points).sum(1).mean() == pytest.approx(1, abs=1e-3)
    genre = tiny.items["genres"].iloc[here.known].to_numpy()
    distance = np.linalg.norm(points[:, None] - points[None], axis=2)
    same = genre[:, None] == genre[None]
    if model_class(name).preset_epochs is None:  # the others need more data than this
        assert distance[same & ~np.eye(len(points), dtype=bool)].mean() < distance[~same].mean()


def test_items_without_a_positive_are_not_on_the_map(tiny: Dataset) -> None:
    model = model_class("mf")().fit(tiny.positives(5))
    never = np.flatnonzero(tiny.liked_counts(5) == 0)
    space = item_space(model, tiny, 5.0)
    assert not space[never].any()
    assert set(map_items(model, tiny, 5.0).known) == set(range(tiny.n_items)) - set(never.tolist())


def test_a_model_that_compares_nothing_is_refused(tiny: Dataset) -> None:
    model = model_class("popularity")().fit(tiny.positives(4))
    with pytest.raises(BadInput, match="does not compare items"):
        map_items(model, tiny, 4.0)
    with pytest.raises(BadInput, match="one of: pca, umap"):
        map_items(model, tiny, 4.0, "tsne")  # type: ignore[arg-type]


def test_a_map_is_kept_and_a_damaged_file_is_made_again(
    tiny: Dataset, fresh_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained = obtain(TrainingRequest(tiny, "ease"))
    assert known_map(trained, tiny, 4.0, "pca") is None
    steps: list[str] = []
    made = obtain_map(trained, tiny, 4.0, "pca", steps.append)
    assert steps
    kept = obtain_map(trained, tiny, 4.0, "pca", lambda _: pytest.fail("it was computed twice"))
    np.testing.assert_array_equal(made.positions, kept.positions)
    assert kept.explained == made.explained
    path = map_file(trained, tiny, 4.0, "pca")
    content = bytearray(path.read_bytes())
    for damaged in (bytes(content[: len(content) // 2]), b"", bytes(content[:200]) + b"\0" + bytes(content[201:])):
        path.write_bytes(damaged)
        assert known_map(trained, tiny, 4.0, "pca") is None
    again = obtain_map(trained, tiny, 4.0, "pca")
    np.testing.assert_array_equal(made.positions, again.positions)
    other = obtain(TrainingRequest(tiny, "item-knn"))
    assert map_file(other, tiny, 4.0, "pca") != path != map_file(trained, tiny, 4.0, "umap")


def test_without_its_package_umap_is_refused_with_the_extra_to_install(
    tiny: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(item_map, "find_spec", lambda _: None)
    monkeypatch.setattr(builtins, "__import__", refusing("umap", builtins.__import__))
    with pytest.raises(BadInput, match="install the extra maps"):
        map_items(obtain(TrainingRequest(tiny, "ease")).model, tiny, 4.0, "umap")


def refusing(name: str, original: Any) -> Any:
    def load(module: str, *rest: Any, **named: Any) -> Any:
        if module == name:
            raise ModuleNotFoundError(module)
        return original(module, *rest, **named)

    return load


@pytest.mark.slow
def test_umap_keeps_neighbours_better_than_pca_and_is_seeded() -> None:
    pytest.importorskip("umap")
    sample = load_dataset("sample")
    model = obtain(TrainingRequest(sample, "ease")).model
    space = item_space(model, sample, 4.0)
    similarity = (space @ space.T).fill_diagonal_(-2)

    def kept(here: ItemMap) -> float:
        near = [set(similarity[i].topk(10).indices.tolist()) & set(nearest(here, i).tolist()) for i in here.known[:300]]
        return float(np.mean([len(both) / 10 for both in near]))

    once, twice = (map_items(model, sample, 4.0, "umap") for _ in range(2))
    np.testing.assert_array_equal(once.positions, twice.positions)
    assert once.explained is None
    assert kept(once) > 2 * kept(map_items(model, sample, 4.0))


def test_kmeans_separates_what_is_apart_and_costs_what_scikit_learn_costs() -> None:
    random = np.random.default_rng(0)
    middle = np.repeat([[0, 0], [9, 0], [0, 9], [9, 9]], 50, axis=0)
    points = middle + random.normal(size=(200, 2))
    member = kmeans(points, 4)
    assert all(len(set(member[start : start + 50].tolist())) == 1 for start in range(0, 200, 50))
    assert len(set(member.tolist())) == 4
    spread = random.normal(size=(500, 2))
    member = kmeans(spread, 6)
    cost = sum(np.square(spread[member == g] - spread[member == g].mean(0)).sum() for g in range(6))
    assert cost < 1.1 * KMeans(6, n_init=10, random_state=0).fit(spread).inertia_
    assert (kmeans(np.zeros((5, 2)), 3) == 0).all()


def test_log_odds_by_hand() -> None:
    z = log_odds(np.array([[8.0, 5.0], [2.0, 5.0]]), np.array([10, 10]))
    inside, outside = 8 + 5, 2 + 5  # ten items are added to each side, half of which have the term
    expected = (np.log(inside / (20 - inside)) - np.log(outside / (20 - outside))) / np.sqrt(1 / inside + 1 / outside)
    assert z[0, 0] == pytest.approx(expected)
    assert z[1, 0] == pytest.approx(-expected)
    assert z[0, 1] == pytest.approx(0)


def test_islands_are_named_by_what_only_they_have() -> None:
    rows = 40
    items = pd.DataFrame(
        {
            "genres": ["Horror"] * rows + ["Romance|Comedy"] * rows + ["Drama"] * rows,
            "year": pd.array([1985] * rows + [None] * rows + [1950] * rows, "Int64"),
        }
    )
    member = np.repeat([0, 1, 2], rows)

    def named(items: pd.DataFrame, member: np.ndarray) -> list[set[str]]:
        terms = _Terms.of(items)
        return [{terms.names[i] for i in name} for name in names(terms, member)]

    assert named(items, member) == [{"Horror", "1980s"}, {"Romance", "Comedy"}, {"Drama", "1950s"}]
    assert named(items, np.random.default_rng(0).permutation(member)) == [set()] * 3
    assert named(items[["year"]].assign(year=pd.NA), member) == [set()] * 3


def test_islands_of_the_sample_cover_it_and_are_named_apart() -> None:
    sample = load_dataset("sample")
    here = map_items(obtain(TrainingRequest(sample, "taste")).model, sample, 4.0)
    groups = islands(here, sample)
    assert sorted(np.concatenate([group.items for group in groups]).tolist()) == here.known.tolist()
    assert len({group.name for group in groups}) == len(groups) > 5
    sizes = [len(group.items) for group in groups]
    assert sizes == sorted(sizes, reverse=True)
    animation = next(group for group in groups if "animation" in group.name.lower())
    share = sample.items["genres"].str.contains("Animation")
    assert share.iloc[animation.items].mean() > 3 * share.mean()
    term = animation.name.split(" · ")[0]
    assert sample.items["genres"].iloc[animation.examples].str.contains(term).all()
    assert len(animation.examples) > 10
