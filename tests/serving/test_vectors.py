"""Vectors with ids: what other software reads gives the model's scores, for its own ids, whatever the titles are."""

import csv
from dataclasses import replace
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from recengine.data.dataset import Dataset
from recengine.errors import BadInput
from recengine.models.base import Recommender
from recengine.models.registry import MODELS, configure
from recengine.serving import vectors as vectors_module
from recengine.serving.vectors import FORMATS, Vectors, item_index, searchable, vectors_of, write_vectors
from recengine.training.config import RunConfig

HOSTILE = '=HYPERLINK("x")\ta\nb\r\x0b\u2028c\''


def trained(dataset: Dataset, name: str, **settings: Any) -> Recommender:
    config, run = configure(name, {"embedding_dim": 8, "epochs": 2, **settings}, RunConfig())
    model = MODELS[name](config)
    rows = dataset.ratings if model.learns_from == "ratings" else dataset.positives()
    return model.fit(rows, items=dataset.items, users=dataset.user_table, run=run)


@pytest.fixture(scope="module")
def shop(tiny: Dataset) -> Dataset:
    """Return `tiny` with ids that are text and a title that breaks out of any table."""
    ids = np.array([f"007-{item}é" for item in tiny.item_ids], object)
    items = tiny.items.assign(item_id=ids, title=[HOSTILE, *tiny.items["title"][1:]])
    return replace(tiny, items=items, item_ids=ids)


@pytest.fixture(scope="module")
def model(shop: Dataset) -> Recommender:
    return trained(shop, "mf", user_bias=True)


@pytest.fixture(scope="module")
def vectors(model: Recommender, shop: Dataset) -> Vectors:
    return vectors_of(model, shop)


@pytest.fixture(scope="module")
def scores(model: Recommender, shop: Dataset) -> NDArray[np.float32]:
    return model.score(np.arange(shop.n_users)).numpy()


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("ials", {}),
        ("mf", {"item_bias": False}),
        ("cml", {"item_bias": True, "user_bias": True}),
        ("nonlinear-mf", {"layers": "8"}),
        ("cold-start-mf", {"recency_half_life": 2}),
        ("mf-explicit", {"averaged_sweeps": 3, "epochs": 2}),
        ("mf-explicit", {"averaged_sweeps": 2, "epochs": 4}),
        ("mf-explicit", {"solver": "adam"}),
        ("step", {}),
    ],
)
def test_inner_products_are_the_scores_of_every_model_that_scores_by_products(
    tiny: Dataset, name: str, settings: dict[str, Any]
) -> None:
    model = trained(tiny, name, **settings)
    items, queries = searchable(vectors_of(model, tiny))
    assert queries is not None
    expected = model.score(np.arange(tiny.n_users)).numpy()
    np.testing.assert_allclose(queries @ items.T, expected, atol=1e-5)
    assert np.ptp(expected) > 1e-3, "scores that are all alike say nothing"


@pytest.mark.parametrize(
    ("name", "settings", "field"),
    [
        ("mf", {"y_range": "0,5"}, "y_range '0,5'"),
        ("step", {"sigmoid": True}, "sigmoid=True"),
        ("mf-explicit", {"solver": "adam", "bounded": True}, "bounded=True"),
    ],
)
def test_a_setting_that_bends_the_products_is_named(
    tiny: Dataset, name: str, settings: dict[str, Any], field: str
) -> None:
    with pytest.raises(BadInput, match=f"{field} bends the products of vectors"):
        vectors_of(trained(tiny, name, **settings), tiny)


def test_npz_holds_ids_titles_and_what_scores(
    vectors: Vectors, scores: NDArray[np.float32], shop: Dataset, tmp_path: Path
) -> None:
    write_vectors(vectors, shop, "npz", tmp_path / "v.npz")
    with np.load(tmp_path / "v.npz", allow_pickle=False) as read:
        products = read["user_vectors"] @ read["item_vectors"].T + read["item_bias"] + read["user_bias"][:, None]
        np.testing.assert_allclose(products, scores, atol=1e-5)
        assert read["item_ids"].tolist() == shop.item_ids.tolist()
        assert read["user_ids"].dtype == np.int64
        assert read["user_ids"].tolist() == shop.user_ids.tolist()
        assert read["item_titles"][0] == HOSTILE


def test_parquet_holds_a_table_for_each_side(
    vectors: Vectors, scores: NDArray[np.float32], shop: Dataset, tmp_path: Path
) -> None:
    write_vectors(vectors, shop, "parquet", tmp_path / "v")
    items, users = (pd.read_parquet(tmp_path / "v" / f"{side}_vectors.parquet") for side in ("item", "user"))
    assert list(items) == ["item_id", "title", "vector", "bias"]
    assert list(users) == ["user_id", "vector", "bias"]
    assert items["item_id"].tolist() == shop.item_ids.tolist()
    assert items["title"][0] == HOSTILE
    products = np.stack(users["vector"]) @ np.stack(items["vector"]).T
    products = products + items["bias"].to_numpy() + users["bias"].to_numpy()[:, None]
    np.testing.assert_allclose(products, scores, atol=1e-5)


def test_the_projector_gets_one_line_for_each_item_whatever_its_title(
    vectors: Vectors, shop: Dataset, tmp_path: Path
) -> None:
    write_vectors(vectors, shop, "projector", tmp_path / "v")
    with (tmp_path / "v" / "vectors.tsv").open(encoding="utf-8", newline="\n") as file:
        read = np.array([line.split("\t") for line in file], np.float32)
    np.testing.assert_allclose(read, vectors.items.vectors, rtol=1e-6)
    lines = (tmp_path / "v" / "metadata.tsv").read_text(encoding="utf-8").splitlines()  # at \x0b and \u2028 as well
    header, *rows = csv.reader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)
    assert header == ["item_id", "title", "year", "genres", "ratings"]
    assert [row[0] for row in rows] == shop.item_ids.tolist()
    assert {len(row) for row in rows} == {5}
    assert rows[0][1] == "'=HYPERLINK(\"x\") a b c'"
    assert [int(row[4]) for row in rows] == shop.ratings.item_counts.tolist()


def test_a_search_with_faiss_finds_what_the_model_ranks_first(
    vectors: Vectors, scores: NDArray[np.float32], shop: Dataset, tmp_path: Path
) -> None:
    write_vectors(vectors, shop, "faiss", tmp_path / "v")
    index = faiss.read_index(str(tmp_path / "v" / "items.faiss"))
    queries = pd.read_parquet(tmp_path / "v" / "queries.parquet")
    scored, rows = index.search(np.stack(queries["vector"]), 5)
    np.testing.assert_allclose(scored, -np.sort(-scores, axis=1)[:, :5], atol=1e-5)
    np.testing.assert_allclose(np.take_along_axis(scores, rows, axis=1), scored, atol=1e-5)
    assert queries["user_id"].tolist() == shop.user_ids.tolist()
    assert pd.read_parquet(tmp_path / "v" / "items.parquet")["item_id"].tolist() == shop.item_ids.tolist()


def test_the_index_of_many_items_is_a_graph_that_finds_nearly_all_of_the_best(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    rng = np.random.default_rng(0)
    lengths = rng.permutation(np.hstack([np.zeros(2_000), rng.pareto(1.5, 4_000) + 0.01]))[:, None]
    items = (rng.standard_normal((6_000, 16)) * lengths).astype(np.float32)
    exact = item_index(items)
    assert isinstance(exact, faiss.IndexFlatIP)
    monkeypatch.setattr(vectors_module, "APPROXIMATE", 6_000)
    monkeypatch.setattr(vectors_module, "PORTION", 500)
    faiss.write_index(item_index(items), str(tmp_path / "items.faiss"))
    graph = faiss.read_index(str(tmp_path / "items.faiss"))
    assert isinstance(faiss.downcast_index(graph.index), faiss.IndexHNSWFlat)
    assert (np.diff(np.linalg.norm(items, axis=1)[faiss.vector_to_array(graph.id_map)]) <= 0).all(), "longest first"
    queries = rng.standard_normal((50, 16)).astype(np.float32)
    wanted, found = (index.search(queries, 100)[1] for index in (exact, graph))
    assert np.mean([np.isin(a, b).mean() for a, b in zip(wanted, found, strict=True)]) > 0.99


@pytest.mark.parametrize("name", FORMATS)
def test_a_model_without_products_has_the_vectors_of_its_items(tiny: Dataset, tmp_path: Path, name: str) -> None:
    model = trained(tiny, "neumf")
    vectors = vectors_of(model, tiny)
    assert vectors.users is None
    unit = vectors.items.vectors / np.linalg.norm(vectors.items.vectors, axis=1, keepdims=True)
    expected = model.similar_items([3], k=1)
    likeness = unit @ unit[3]
    likeness[3] = -1
    assert likeness.argmax() == expected.items[0, 0]
    write_vectors(vectors, tiny, name, tmp_path / f"v{FORMATS[name].ending}")
    written = sorted(path.name for path in tmp_path.rglob("*") if path.is_file())
    assert not any("user" in path or "queries" in path for path in written)


def test_what_is_no_export_is_not_replaced_and_an_export_is(vectors: Vectors, shop: Dataset, tmp_path: Path) -> None:
    folder = tmp_path / "v"
    write_vectors(vectors, shop, "parquet", folder)
    write_vectors(vectors, shop, "parquet", folder)
    with pytest.raises(BadInput, match="holds something else"):
        write_vectors(vectors, shop, "faiss", folder)
    assert sorted(path.name for path in folder.iterdir()) == ["item_vectors.parquet", "user_vectors.parquet"]
