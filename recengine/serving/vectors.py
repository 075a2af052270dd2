"""Vectors with ids, in the formats of other software: NumPy, Parquet, Embedding Projector, faiss.

    vectors = vectors_of(model, dataset)
    write_vectors(vectors, dataset, "npz", Path("vectors.npz"))

Where the model scores by products of vectors, user . item + both biases is the score, to the last digits of float32.
Of other models that know which items are alike there are the items' vectors alone, whose cosine is the likeness.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from torch import Tensor

from recengine.data.dataset import Dataset
from recengine.errors import BadInput
from recengine.experiments.model_folder import check_folder
from recengine.export import check_out, harmless
from recengine.files import atomic_file, atomic_folder
from recengine.models.abilities import ScoresByProduct
from recengine.models.base import Recommender

Floats = NDArray[np.float32]
LONGEST = 300
"""Characters of a title that are kept, where every title takes as much room as the longest."""
APPROXIMATE, PORTION, LINKS, BREADTH = 500_000, 25_000, 32, 400
"""Items from which on the faiss index is approximate; how many are added at once, the links of each, and how many of
them a search keeps."""


class Side(NamedTuple):
    """The users or the items: raw ids (n,), vectors (n, D), and biases (n,) or None for none."""

    ids: NDArray[Any]
    vectors: Floats
    bias: Floats | None


class Vectors(NamedTuple):
    """Both sides, or the items alone, for None, where no product of vectors is a score."""

    items: Side
    users: Side | None


def check_vectors(kind: type[Recommender]) -> None:
    """Raise BadInput for a model that has no vectors, before it is trained."""
    if "product" not in kind.abilities and kind.item_vectors is Recommender.item_vectors:
        expected = "one that scores by products of vectors, such as 'ials' or 'mf'"
        raise BadInput("model", kind.name, expected, problem="has no vectors")


def vectors_of(model: Recommender, dataset: Dataset) -> Vectors:
    """Return the vectors of a model whose index space is the data set's.

    Raises BadInput for a model without vectors, or with a setting that bends the products.
    """
    if isinstance(model, ScoresByProduct):
        users, items, user_bias, item_bias = model.product()
        return Vectors(
            _side(dataset.item_ids, items, item_bias),
            _side(dataset.user_ids, users, user_bias),
        )
    check_vectors(type(model))
    vectors = model.item_vectors()
    assert vectors is not None  # as its class has the method
    return Vectors(_side(dataset.item_ids, vectors, None), None)


def _side(ids: NDArray[Any], vectors: Tensor, bias: Tensor | None) -> Side:
    return Side(ids, _floats(vectors), None if bias is None else _floats(bias))


def _floats(tensor: Tensor) -> Floats:
    return np.ascontiguousarray(tensor.detach().cpu().float().numpy())


class Format(NamedTuple):
    """A format of vectors.

    ending : what its file's name ends in; a folder has none, and `marker` is a file in it
    needs  : the module that writes it and the extra that installs this, if it is no dependency
    """

    write: Callable[[Vectors, Dataset, Path], None]
    ending: str = ""
    marker: str = ""
    needs: tuple[str, str] | None = None


def check_target(name: str, target: Path) -> None:
    """Raise BadInput, before anything is computed, for a format that cannot be written here, or not to this target."""
    chosen = FORMATS[name]
    if chosen.needs is not None and find_spec(chosen.needs[0]) is None:
        module, extra = chosen.needs
        remedy = f"install it with `pip install 'recengine[{extra}]'`"
        raise BadInput("to", name, remedy=remedy, problem=f"needs {module}, which is not installed")
    if chosen.ending:
        check_out(target, "folder", (chosen.ending,))
    else:
        check_folder(target, chosen.marker)


def write_vectors(vectors: Vectors, dataset: Dataset, name: str, target: Path) -> None:
    """Write vectors of a data set in a format by its name, atomically. Raises BadInput as `check_target`."""
    check_target(name, target)
    chosen = FORMATS[name]
    if chosen.ending:
        chosen.write(vectors, dataset, target)
        return
    with atomic_folder(target.resolve()) as folder:
        chosen.write(vectors, dataset, folder)


def _write_npz(vectors: Vectors, dataset: Dataset, path: Path) -> None:
    """Write arrays that `numpy.load` reads without unpickling: `item_ids`, `item_titles`, `item_vectors`, ..."""
    arrays: dict[str, Any] = {}  # NDArray, which mypy would compare with another parameter of `savez`
    for name, side in (("item", vectors.items), ("user", vectors.users)):
        if side is not None:
            arrays |= {f"{name}_ids": plain(side.ids), f"{name}_vectors": side.vectors}
            arrays |= {} if side.bias is None else {f"{name}_bias": side.bias}
    titles = [title[:LONGEST] for _, title, _, _ in dataset.films]
    with atomic_file(path) as file:
        np.savez(file, **arrays, item_titles=np.array(titles, str))


def plain(ids: NDArray[Any]) -> NDArray[Any]:
    """Return ids as numbers or as text of NumPy's own, rather than as Python's objects."""
    return ids if ids.dtype.kind == "i" else ids.astype(str)


def _write_parquet(vectors: Vectors, dataset: Dataset, folder: Path) -> None:
    """Write a table for each side: its id, for items the title, the vector as a list of floats, and the bias."""
    titles = dataset.items["title"].astype(str)
    _write_side(folder / "item_vectors.parquet", "item_id", vectors.items, {"title": titles})
    if vectors.users is not None:
        _write_side(folder / "user_vectors.parquet", "user_id", vectors.users, {})


def _write_side(path: Path, key: str, side: Side, more: Mapping[str, pd.Series]) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    flat = pa.array(side.vectors.ravel())
    columns = {key: pa.array(plain(side.ids)), **{name: pa.array(texts) for name, texts in more.items()}}
    columns["vector"] = pa.FixedSizeListArray.from_arrays(flat, side.vectors.shape[1])
    if side.bias is not None:
        columns["bias"] = pa.array(side.bias)
    parquet.write_table(pa.table(columns), path, compression="zstd", use_dictionary=[key])


def _write_projector(vectors: Vectors, dataset: Dataset, folder: Path) -> None:
    """Write what projector.tensorflow.org loads: the items' vectors, and what is known of each item under a header."""
    with (folder / "vectors.tsv").open("w", encoding="utf-8", newline="\n") as file:
        np.savetxt(file, vectors.items.vectors, fmt="%.7g", delimiter="\t")
    counts = dataset.ratings.item_counts.tolist()
    with (folder / "metadata.tsv").open("w", encoding="utf-8", newline="\n") as file:
        file.write("item_id\ttitle\tyear\tgenres\tratings\n")
        for (id, title, year, genres), count in zip(dataset.films, counts, strict=True):
            cells = _one_line(id), harmless(_one_line(title)), year or "", harmless(_one_line(genres)), count
            file.write("\t".join(map(str, cells)) + "\n")


def _one_line(text: str) -> str:
    """Return text in which neither a tab nor the end of a line is left."""
    return " ".join(text.split())


def _write_faiss(vectors: Vectors, dataset: Dataset, folder: Path) -> None:
    """Write an index of the items by inner product, what its rows are, and what to search it with."""
    import faiss

    items, queries = searchable(vectors)
    faiss.write_index(item_index(items), str(folder / "items.faiss"))
    known = pd.DataFrame({"item_id": plain(dataset.item_ids), "title": dataset.items["title"].astype(str)})
    known.to_parquet(folder / "items.parquet", index=False)
    if vectors.users is not None and queries is not None:
        _write_side(folder / "queries.parquet", "user_id", vectors.users._replace(vectors=queries, bias=None), {})


def item_index(items: Floats) -> Any:
    """Return a faiss index of items (n_items, E) by inner product, exact for fewer than `APPROXIMATE` items.

    Of more it is a graph of near neighbours (HNSW; Malkov & Yashunin, IEEE TPAMI 2020); the breadth of a search is
    stored with it. Clusters (IVF) are far worse on the vectors of a model, whose lengths differ by orders of magnitude:
    the best items of a user lie in many clusters. The longest vectors have to come first: a graph that grows from short
    ones, which are near nothing by inner product, leads nowhere. Faiss shuffles what it is given at once, so they come
    in portions. `python -m benchmarks.topk --index` measures recall and rate.
    """
    import faiss

    if len(items) < APPROXIMATE:
        exact = faiss.IndexFlatIP(items.shape[1])
        exact.add(np.ascontiguousarray(items))
        return exact
    graph = faiss.IndexHNSWFlat(items.shape[1], LINKS, faiss.METRIC_INNER_PRODUCT)
    graph.hnsw.efSearch = BREADTH
    index = faiss.IndexIDMap(graph)
    order = np.argsort(-np.linalg.norm(items, axis=1), kind="stable")
    for start in range(0, len(items), PORTION):
        rows = order[start : start + PORTION]
        index.add_with_ids(items[rows], rows)
    return index


def searchable(vectors: Vectors) -> tuple[Floats, Floats | None]:
    """Return items (n_items, E) and queries (n_users, E) whose inner products are the scores, the biases included.

    A bias is one more number of its own side, and 1 on the other. Without users there are no queries.
    """
    items, users = vectors.items, vectors.users
    if users is None:
        return items.vectors, None
    columns = [(items.vectors, users.vectors)]
    ones = [np.ones((len(side.ids), 1), np.float32) for side in (items, users)]
    if items.bias is not None:
        columns.append((items.bias[:, None], ones[1]))
    if users.bias is not None:
        columns.append((ones[0], users.bias[:, None]))
    of_items, of_users = (np.hstack(side) for side in zip(*columns, strict=True))
    return of_items, of_users


FORMATS: Mapping[str, Format] = {
    "npz": Format(_write_npz, ending=".npz"),
    "parquet": Format(_write_parquet, marker="item_vectors.parquet"),
    "projector": Format(_write_projector, marker="metadata.tsv"),
    "faiss": Format(_write_faiss, marker="items.faiss", needs=("faiss", "scale")),
}
"""The formats of vectors by name."""
