"""Model folders: a trained model with all that it takes to serve it elsewhere, the data set's file not among it.

    save_folder(folder, trained, dataset, positive=4.0)
    opened = open_folder(folder)          # .model, .dataset, .positive, .policy
    aligned = align(newer, opened)        # a later edition of the data, in the model's index space

A folder is an artefact, verified file by file, with further files: `items.parquet` and `users.parquet`, the tables with
raw ids and titles by index; `ratings.parquet`, what each user had rated, by which lists leave out what was seen and
popularity stands in; and `serving.json`: how the data were read, what counts as liked, and the policy. The store's
artefacts hold none of these, since they would outlive the upload that its owner deletes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recengine.data.dataset import Dataset
from recengine.data.interactions import Interactions
from recengine.data.reading import Reading
from recengine.errors import BadInput
from recengine.evaluation.policy import EvaluationPolicy
from recengine.experiments.store import UNREADABLE, Manifest, Trained, read_artefact, write_artefact
from recengine.files import Json
from recengine.models.base import Recommender

TABLES = ("items", "users", "ratings")
"""What a folder holds as Parquet."""
COLUMNS = ("user_idx", "item_idx", "rating", "timestamp")
"""The columns of `ratings.parquet`: indices are the rows of the other two tables."""


@dataclass(frozen=True, eq=False)
class ModelFolder:
    """A folder as it was opened.

    dataset  : all that the model was trained on, by its indices; published splits are left out
    positive : the rating from which on an item counts as liked
    policy   : how lists are made
    """

    folder: Path
    model: Recommender
    manifest: Manifest
    dataset: Dataset
    positive: float
    policy: EvaluationPolicy

    @property
    def trained(self) -> Trained:
        """Return the model as the store would."""
        return Trained(self.model, self.folder, self.manifest, fresh=False)


def check_folder(folder: Path, marker: str = "serving.json") -> None:
    """Raise BadInput unless a folder can be written here: it is new, empty, or one with a `marker`, to be replaced."""

    def refused(problem: str, remedy: str) -> BadInput:
        return BadInput("folder", str(folder), remedy=remedy, problem=problem)

    target = folder.resolve()
    if not target.parent.is_dir():
        raise refused(f"is in the folder {target.parent}, which does not exist", "create it or choose another")
    if target.exists() and not target.is_dir():
        raise refused("is a file", "name a folder that is new")
    if target.is_dir() and any(target.iterdir()) and not (target / marker).is_file():
        raise refused("is a folder that holds something else", "name one that is new or empty")


def save_folder(
    folder: Path,
    trained: Trained,
    dataset: Dataset,
    *,
    positive: float,
    policy: EvaluationPolicy = EvaluationPolicy(),  # noqa: B008 - frozen
) -> None:
    """Write a model that was trained on `dataset` as a model folder, atomically. Raises BadInput as `check_folder`."""
    check_folder(folder)
    ratings = dataset.ratings
    tables = {
        "items": dataset.items,
        "users": dataset.user_table,
        "ratings": pd.DataFrame({column: getattr(ratings, column) for column in COLUMNS}),
    }
    serving: dict[str, Json] = {
        "name": dataset.name,
        "reading": dataset.reading.texts(),
        "timed": dataset.timed,
        "simulated": dataset.simulated,
        "licence": dataset.licence,
        "has_profiles": dataset.users is not None,
        "positive": positive,
        "policy": policy.to_dict(),
    }

    def add(new: Path) -> None:
        for name, table in tables.items():
            table.to_parquet(new / f"{name}.parquet", index=False, compression="zstd")
        (new / "serving.json").write_text(json.dumps(serving, ensure_ascii=False, indent=1), encoding="utf-8")

    write_artefact(folder.resolve(), trained.model, trained.manifest, add)


def open_folder(folder: Path, kind: type[Recommender] | None = None) -> ModelFolder:
    """Return what `save_folder` wrote. Raises BadInput, which names the file, for what is no model folder or damaged.

    Nothing is unpickled. `kind` is the class of a model that is not registered.
    """

    def refused(problem: str, remedy: str) -> BadInput:
        return BadInput("model_folder", str(folder), remedy=remedy, problem=problem)

    if not (folder / "manifest.json").is_file():
        raise refused("is no model folder", "name one that `train` wrote as its `out`")
    if not (folder / "serving.json").is_file():
        raise refused("holds a model without its ids", "name a folder that `train` wrote as its `out`")
    try:
        model, manifest = read_artefact(folder, kind)
        if missing := [name for name in _names() if name not in manifest.files]:
            raise ValueError(f"its manifest does not name {missing[0]}")
        serving = json.loads((folder / "serving.json").read_text(encoding="utf-8"))
        dataset = _read_dataset(folder, serving)
        if (model.n_users, model.n_items) != (dataset.n_users, dataset.n_items):
            raise ValueError(f"the model knows {model.n_items:,} items, and the tables {dataset.n_items:,}")
        positive, policy = float(serving["positive"]), EvaluationPolicy.from_dict(serving["policy"])
    except UNREADABLE as error:
        text = error.sentence() if isinstance(error, BadInput) else f"{type(error).__name__}: {error}"
        raise refused(f"cannot be read ({text[:200]})", "let `train` write it again") from None
    return ModelFolder(folder, model, manifest, dataset, positive, policy)


def _names() -> list[str]:
    return [*(f"{name}.parquet" for name in TABLES), "serving.json"]


def _read_dataset(folder: Path, serving: Mapping[str, Any]) -> Dataset:
    items, users, ratings = (pd.read_parquet(folder / f"{name}.parquet") for name in TABLES)
    return Dataset(
        name=serving["name"],
        ratings=Interactions.from_pairs(**ratings[[*COLUMNS]], n_users=len(users), n_items=len(items)),
        user_ids=_ids(users["user_id"]),
        item_ids=_ids(items["item_id"]),
        items=items,
        users=users if serving["has_profiles"] else None,
        reading=Reading.of_texts(serving["reading"]),
        timed=serving["timed"],
        simulated=serving["simulated"],
        licence=serving["licence"],
    )


def _ids(column: pd.Series) -> NDArray[Any]:
    """Return raw ids as a data set holds them: int64 or text."""
    return column.to_numpy() if column.dtype.kind == "i" else column.to_numpy(object)


class Aligned(NamedTuple):
    """A data set in the index space of a model.

    dataset  : the model's users and items, with the ratings that the data set has of them
    users    : the indices of the users whom the data set has, (n,)
    new_ids  : raw ids of the users whom the model does not know
    new_rows : what these rated of the model's items, each user by the index in `new_ids`
    unknown_items : how many items the model does not know, and so cannot list
    """

    dataset: Dataset
    users: NDArray[np.int64]
    new_ids: NDArray[Any]
    new_rows: Interactions
    unknown_items: int = 0


def as_trained(dataset: Dataset) -> Aligned:
    """Return a data set aligned with a model that was trained on it: nothing in it is new."""
    nothing = Interactions.from_pairs([], [], n_users=0, n_items=dataset.n_items)
    return Aligned(dataset, np.arange(dataset.n_users), dataset.user_ids[:0], nothing)


def align(dataset: Dataset, opened: ModelFolder) -> Aligned:
    """Return a data set, such as a later edition of what the model was trained on, as the model knows it.

    Users and items are the same where their raw ids are, to the byte; an item whose title is another one is another
    item. Raises BadInput where no item is known, or the one holds events and the other ratings on a scale.
    """
    known = opened.dataset
    where = f"the model in {opened.folder}"
    given, learned = dataset.reading.feedback, known.reading.feedback
    if given is not None and learned is not None and given != learned:
        problem = f"holds {given} feedback, and {where} learned from {learned} feedback"
        raise BadInput("dataset", dataset.name, remedy="state `feedback`", problem=problem)
    users, items = (_match(getattr(known, ids), getattr(dataset, ids)) for ids in ("user_ids", "item_ids"))
    items[_differ(known.items["title"].to_numpy()[items], dataset.items["title"].to_numpy(), dataset.item_ids)] = -1
    if (items < 0).all():
        problem = f"has none of the {known.n_items:,} items that {where} knows, such as {known.item_ids[0]!s}"
        raise BadInput("dataset", dataset.name, remedy="name the data that it was trained on", problem=problem)
    is_new = users < 0
    rows = dataset.ratings.select(items[dataset.ratings.item_idx] >= 0)
    of_new = is_new[rows.user_idx]

    def moved(rows: Interactions, user_idx: NDArray[np.int64], n_users: int) -> Interactions:
        return Interactions.from_pairs(
            user_idx[rows.user_idx],
            items[rows.item_idx],
            rating=rows.rating,
            timestamp=rows.timestamp,
            n_users=n_users,
            n_items=known.n_items,
        )

    return Aligned(
        replace(
            known,
            name=f"{dataset.name} as far as {where} knows it",
            ratings=moved(rows.select(~of_new), users, known.n_users),
            reading=dataset.reading,
            timed=dataset.timed,
        ),
        np.sort(users[~is_new]),
        dataset.user_ids[is_new],
        moved(rows.select(of_new), np.cumsum(is_new) - 1, int(is_new.sum())),
        int((items < 0).sum()),
    )


def _differ(titles: NDArray[Any], others: NDArray[Any], ids: NDArray[Any]) -> NDArray[np.bool_]:
    """Return which of two titles of an id differ, (n,); `Item <id>` stands for none."""
    pairs = zip(titles, others, ids, strict=True)
    return np.array([title != other and f"Item {id}" not in (title, other) for title, other, id in pairs], bool)


def _match(known: NDArray[Any], ids: NDArray[Any]) -> NDArray[np.int64]:
    """Return the index of each raw id among those known, -1 for another; numbers match their plain spelling."""
    if known.dtype.kind != ids.dtype.kind:
        known, ids = (np.array([str(id) for id in some], object) for some in (known, ids))
    return pd.Index(known).get_indexer(pd.Index(ids)).astype(np.int64)
