"""A map of the items: each as a point in two dimensions, near what the model finds alike.

space = item_space(model, dataset, positive)             # what the model knows of each item, (n_items, D)
here = obtain_map(trained, dataset, positive, "pca")     # computed once, kept in RECENGINE_HOME/maps
oriented(here, reference).positions                      # turned so that two maps of the same items compare
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from recengine import settings
from recengine.data.dataset import Dataset
from recengine.errors import BadInput
from recengine.experiments.store import Trained
from recengine.files import atomic_file
from recengine.models.base import Recommender, readable

FORMAT = 1
Projection = Literal["pca", "umap"]
PROJECTIONS: tuple[Projection, ...] = get_args(Projection)
DIM, SPARE, ROUNDS = 32, 16, 4
"""Dimensions that a matrix of similarities is reduced to, extra ones that make them exact, and passes over it."""
ROWS_AT_ONCE = 1024
DENSE = 6_000
"""Items up to which the whole matrix of similarities is held, 144 MB; beyond, it is computed anew in each pass."""
NEIGHBOURS, CLOSEST = 15, 0.15
"""UMAP: neighbours of an item that are to stay near it, and how close two points may come."""
LEAST_ITEMS = 3
"""Items below which there is nothing to map."""


@dataclass(frozen=True, eq=False)
class ItemMap:
    """Where each item is.

    positions : (n_items, 2) float32, their mean 0 and their root mean square 1; NaN for an item that the model does not
                know
    explained : the shares of the variance that the two axes show; None where the projection has no axes
    """

    positions: NDArray[np.float32]
    explained: tuple[float, float] | None = None

    @property
    def known(self) -> NDArray[np.int64]:
        """Return the indices of the items that are on the map."""
        return np.flatnonzero(~np.isnan(self.positions[:, 0]))


@torch.inference_mode()
def item_space(model: Recommender, dataset: Dataset, positive: float) -> Tensor:
    """Return (n_items, D) unit vectors, whose cosines are what the model says of similarity; 0 where it knows nothing.

    They are the item vectors of a model that has some. The similarities of another model are made symmetric and
    factored: the leading eigenvectors, each scaled by the root of its eigenvalue. What is below zero there is left out.
    Raises BadInput for a model that does not compare items, and for data with too few items that it knows.
    """
    vectors = model.item_vectors() if "similar" in model.abilities else None
    if vectors is None:
        if "similar" not in model.abilities:
            problem = "does not compare items, so it has no map of them"
            raise BadInput("model", model.name, "a model with the ability 'similar'", problem=problem)
        vectors = _factored(model)
    vectors = vectors.detach().to("cpu", torch.float32).clone()
    if not model.reads():  # otherwise it knows items by what they are
        vectors[torch.from_numpy(readable(model, dataset.ratings, positive).item_counts == 0)] = 0
    unit = torch.nn.functional.normalize(vectors, dim=1, eps=1e-12)
    if int(unit.any(1).sum()) < LEAST_ITEMS:
        raise BadInput("dataset", dataset.name, f"{LEAST_ITEMS} rated items or more", problem="has too few for a map")
    return unit


def _factored(model: Recommender) -> Tensor:
    """Return (n_items, up to DIM) vectors whose products come closest to the model's symmetric similarities."""
    n = model.n_items
    parts = torch.arange(n).split(ROWS_AT_ONCE)
    whole = [_similarity(model, part) for part in parts] if n <= DENSE else None

    def product(right: Tensor) -> Tensor:
        """Return (S + S') / 2 times `right`."""
        out = torch.zeros_like(right)
        for number, part in enumerate(parts):
            rows = _similarity(model, part) if whole is None else whole[number]  # (B, n)
            out[part] += rows @ right
            out += rows.T @ right[part]
        return out / 2

    basis = torch.randn(n, min(n, DIM + SPARE), generator=torch.Generator().manual_seed(0))
    for _ in range(ROUNDS):
        basis = torch.linalg.qr(product(basis)).Q
    values, turned = torch.linalg.eigh(_symmetric(basis.T @ product(basis)))  # ascending
    kept = values.flip(0)[:DIM].clamp(min=0)
    return (basis @ turned.flip(1)[:, : len(kept)]) * kept.sqrt()


def _similarity(model: Recommender, items: Tensor) -> Tensor:
    rows = model.item_similarity(items)
    assert rows is not None  # the ability says so
    return rows.detach().to("cpu", torch.float32)


def _symmetric(matrix: Tensor) -> Tensor:
    return (matrix + matrix.T) / 2


def pca(space: Tensor) -> tuple[Tensor, tuple[float, float]]:
    """Return (n, 2) coordinates on the two axes along which the rows (n, D) vary most, and their shares of variance.

    Closed form. An axis points to where its largest entry is positive, so that the same rows give the same map.
    """
    centred = (space - space.mean(0)).double()
    values, axes = torch.linalg.eigh(_symmetric(centred.T @ centred))
    axes = torch.nn.functional.pad(axes.flip(1)[:, :2], (0, max(0, 2 - axes.shape[1])))
    largest = axes.gather(0, axes.abs().argmax(0, keepdim=True))
    axes = axes * torch.where(largest < 0, -1.0, 1.0)
    shares = torch.nn.functional.pad(values.flip(0).clamp(min=0), (0, 2)) / values.sum().clamp(min=1e-30)
    return (centred @ axes).float(), (float(shares[0]), float(shares[1]))


def has_umap() -> bool:
    """Tell whether the package for UMAP is installed."""
    return find_spec("umap") is not None


def umap(space: Tensor, start: Tensor) -> Tensor:
    """Return (n, 2) coordinates that keep neighbours together, from the rows (n, D) and where PCA puts them.

    UMAP (McInnes, Healy & Melville, arXiv 1802.03426), seeded. Raises BadInput where its package is not installed.
    """
    if not has_umap():
        problem, remedy = "needs the package umap-learn", "install the extra `maps`, or choose 'pca'"
        raise BadInput("projection", "umap", remedy=remedy, problem=problem)
    from umap import UMAP  # seconds, and a compiler

    near = min(NEIGHBOURS, len(space) - 1)
    spread = (10 * start / start.abs().max().clamp(min=1e-12)).numpy()
    fitted = UMAP(n_neighbors=near, min_dist=CLOSEST, metric="cosine", init=spread, random_state=0, n_jobs=1)
    return torch.from_numpy(fitted.fit_transform(space.numpy()).astype(np.float32))


def map_items(
    model: Recommender,
    dataset: Dataset,
    positive: float,
    projection: Projection = "pca",
    on_step: Callable[[str], None] = lambda _: None,
) -> ItemMap:
    """Compute a map. Its axes are those of PCA; UMAP, which has none, starts from them and is turned towards them.

    `on_step` is called with what begins. Raises BadInput where `item_space` or `umap` does.
    """
    if projection not in PROJECTIONS:
        raise BadInput("projection", projection, f"one of: {', '.join(PROJECTIONS)}")
    on_step("comparing the items")
    space = item_space(model, dataset, positive)
    known = space.any(1)
    flat, explained = pca(space[known])
    placed = ItemMap(_scattered(flat, known), explained)
    if projection == "pca":
        return placed
    on_step("keeping neighbours together")
    return oriented(ItemMap(_scattered(umap(space[known], flat), known)), placed)


def _scattered(points: Tensor, known: Tensor) -> NDArray[np.float32]:
    """Return the points of the known items among all, centred and scaled."""
    points = points - points.mean(0)
    positions = np.full((len(known), 2), np.nan, np.float32)
    positions[known.numpy()] = (points / points.square().sum(1).mean().sqrt().clamp(min=1e-12)).numpy()
    return positions


def oriented(here: ItemMap, reference: ItemMap) -> ItemMap:
    """Turn and mirror a map so that its items come as near to where they are on another as they can.

    Orthogonal Procrustes (Schönemann 1966) over the items of both: distances stay as they are.
    """
    both = np.intersect1d(here.known, reference.known)
    if len(both) < 2:
        return here
    mine, theirs = (each.positions[both].astype(np.float64) for each in (here, reference))
    left, _, right = np.linalg.svd((mine - mine.mean(0)).T @ (theirs - theirs.mean(0)))
    return replace(here, positions=(here.positions @ (left @ right)).astype(np.float32))


def trail(here: ItemMap, liked: Sequence[int], most: int = 6) -> NDArray[np.float32]:
    """Return (m, 2): a user's position after each of their last likes, the latest last; none without a known like.

    A user is where the mean of what they like is.
    """
    points = here.positions[np.asarray(liked, np.int64)]
    points = points[~np.isnan(points[:, 0])]
    means = points.cumsum(0, dtype=np.float64) / np.arange(1, len(points) + 1)[:, None]
    return means[-most:].astype(np.float32)


def nearest(here: ItemMap, item_idx: int, k: int = 10) -> NDArray[np.int64]:
    """Return the k items that are nearest to one on the map, nearest first; none if it is not there itself."""
    distance = np.square(here.positions - here.positions[item_idx]).sum(1)
    distance[item_idx] = np.nan
    order = np.argsort(distance, kind="stable")[:k]
    return order[~np.isnan(distance[order])]


def map_file(trained: Trained, dataset: Dataset, positive: float, projection: Projection) -> Path:
    """Return where the map of a trained model is kept."""
    parts = [FORMAT, dict(trained.manifest.files), dataset.fingerprint, positive, projection, DIM, NEIGHBOURS, CLOSEST]
    digest = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
    return settings.home() / "maps" / f"{trained.model.name}-{projection}-{digest[:20]}.npz"


def known_map(trained: Trained, dataset: Dataset, positive: float, projection: Projection) -> ItemMap | None:
    """Return the map that was computed before, or None where there is none that can be read."""
    try:
        with np.load(map_file(trained, dataset, positive, projection), allow_pickle=False) as kept:
            positions, explained = kept["positions"].astype(np.float32), kept["explained"].tolist()
    except (OSError, EOFError, ValueError, LookupError, zipfile.BadZipFile):
        return None
    if positions.shape != (dataset.n_items, 2):
        return None
    return ItemMap(positions, (explained[0], explained[1]) if explained else None)


def obtain_map(
    trained: Trained,
    dataset: Dataset,
    positive: float,
    projection: Projection = "pca",
    on_step: Callable[[str], None] = lambda _: None,
) -> ItemMap:
    """Return the map, computed and kept if there is none yet. Raises BadInput where `map_items` does."""
    known = known_map(trained, dataset, positive, projection)
    if known is not None:
        return known
    made = map_items(trained.model, dataset, positive, projection, on_step)
    path = map_file(trained, dataset, positive, projection)
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(path) as file:
        np.savez(file, positions=made.positions, explained=np.array(made.explained or (), np.float64))
    return made
