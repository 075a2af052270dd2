"""Plugins: custom models in Python files and packages that the operator of this machine names.

`RECENGINE_MODELS` lists their paths, joined as in PATH; installed packages name theirs in the entry-point group
`recengine.models`. A module holds subclasses of `Recommender`, or a function `recommend(user_id, history, k)` that
returns item ids, best first, or both; what the function needs training for comes from `learn(ratings)` next to it.
Nothing that is uploaded is ever run.
"""

from __future__ import annotations

import hashlib
import importlib.util
import inspect
import json
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar, NamedTuple

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from recengine.data.interactions import Interactions
from recengine.errors import BadInput
from recengine.models.base import FAMILIES, FitContext, Recommender, as_indices, implemented
from recengine.training.config import Config

VARIABLE, GROUP = "RECENGINE_MODELS", "recengine.models"
_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")


class Rated(NamedTuple):
    """One event of a history that a function is given."""

    item_id: Any
    rating: float
    timestamp: int


class FunctionModel(Recommender[Config]):
    """A plain function as a model: it is called anew for every user, and the order of the ids it returns is the list.

    `recommend(user_id, history, k)` gets the raw user id (None for a new user), a list of `Rated`, oldest first, and
    the number of ids wanted. An item that it does not return is not recommended, so its AUC covers only those returned.
    Where there is `learner(ratings)`, it gets the training rows, and the function what it returns as a fourth argument.
    """

    family = "custom"
    abilities = ("fold-in",)
    function: ClassVar[Callable[..., Sequence[Any]]]
    learner: ClassVar[Callable[[pd.DataFrame], Any] | None] = None
    source: ClassVar[str]

    def learn(self, train: Interactions, context: FitContext) -> None:
        self.rows = train
        self.user_ids = _ids(context.users, "user_id", train.n_users)
        self.item_ids = _ids(context.items, "item_id", train.n_items)
        self._learn()

    def _learn(self) -> None:
        """Give the rows, in the order of their times, to what learns from them."""
        self.learned: tuple[Any, ...] = ()
        learner = type(self).learner
        if learner is None:
            return
        rows = self.rows.select(self.rows.chronological())
        columns = {"user_id": self.user_ids[rows.user_idx], "item_id": self.item_ids[rows.item_idx]}
        ratings = pd.DataFrame(columns | {"rating": rows.rating, "timestamp": rows.timestamp})
        try:
            self.learned = (learner(ratings),)
        except Exception as exception:
            error = f"{type(exception).__name__}: {exception}"
            problem = f"failed in learn with {len(ratings):,} ratings: {error}"
            raise BadInput("model", self.name, remedy=f"correct {self.source}", problem=problem) from exception

    def score(self, user_idx: ArrayLike) -> Tensor:
        users = as_indices(user_idx)
        return self._call(self.rows.of_users(users), self.user_ids[users].tolist())

    def score_history(self, histories: Interactions) -> Tensor:
        """Return (histories.n_users, n_items) scores; the function gets None as the id of each user."""
        return self._call(histories, [None] * histories.n_users)

    def _call(self, histories: Interactions, user_ids: Sequence[Any]) -> Tensor:
        """Return n_items, n_items - 1, ... for the items in the order returned, and -inf for all others."""
        scores = torch.full((len(user_ids), self.n_items), -torch.inf)
        index = pd.Index(self.item_ids)
        ordered = histories.select(histories.chronological())
        starts = np.concatenate([[0], np.cumsum(ordered.user_counts)])
        for row, user_id in enumerate(user_ids):
            rows = ordered.select(slice(starts[row], starts[row + 1]))
            columns = (self.item_ids[rows.item_idx].tolist(), rows.rating.tolist(), rows.timestamp.tolist())
            history = [Rated(*event) for event in zip(*columns, strict=True)]
            try:
                answer = list(type(self).function(user_id, history, self.n_items, *self.learned))
                items = index.get_indexer(pd.Index(answer).drop_duplicates()) if answer else np.empty(0, np.int64)
            except Exception as exception:
                error = f"{type(exception).__name__}: {exception}"
                problem = f"failed in recommend for user {user_id!r} with {len(history)} ratings: {error}"
                raise BadInput("model", self.name, remedy=f"correct {self.source}", problem=problem) from exception
            items = items[items >= 0][: self.n_items]
            scores[row, torch.from_numpy(items)] = self.n_items - torch.arange(len(items), dtype=torch.float32)
        return scores

    def state(self) -> dict[str, Tensor]:
        rows = {name: getattr(self.rows, name) for name in ("user_idx", "item_idx", "rating", "timestamp")}
        ids = {"user_ids": _packed(self.user_ids), "item_ids": _packed(self.item_ids)}
        return {name: torch.from_numpy(np.array(value)) for name, value in {**rows, **ids}.items()}

    def restore(self, state: dict[str, Tensor]) -> None:
        arrays = {name: tensor.numpy() for name, tensor in state.items()}
        self.user_ids, self.item_ids = _unpacked(arrays.pop("user_ids")), _unpacked(arrays.pop("item_ids"))
        self.rows = Interactions.from_pairs(**arrays, n_users=self.n_users, n_items=self.n_items)
        self._learn()


def _ids(table: pd.DataFrame | None, column: str, n: int) -> NDArray[Any]:
    return np.arange(n) if table is None or column not in table else table[column].to_numpy()


def _packed(ids: NDArray[Any]) -> NDArray[Any]:
    """Return ids as numbers: integers as they are, texts as the bytes of a list in JSON."""
    return ids.astype(np.int64) if ids.dtype.kind == "i" else np.frombuffer(json.dumps(ids.tolist()).encode(), np.uint8)


def _unpacked(packed: NDArray[Any]) -> NDArray[Any]:
    return packed if packed.dtype == np.int64 else np.array(json.loads(packed.tobytes()), dtype=object)


def find_plugins(taken: Sequence[str]) -> tuple[list[type[Recommender]], list[str]]:
    """Return the models of all plugins, and a sentence on each source that cannot be used, which affects no other.

    taken : names that other models have
    """
    models: dict[str, type[Recommender]] = {}
    errors: list[str] = []
    for source, get in _sources():
        try:
            for model in get():
                if model.name in {*taken, *models}:
                    raise BadInput("name", model.name, remedy="give it another", problem="is taken")
                models[model.name] = model
        except BadInput as error:
            errors.append(f"{source}: {error}")
        except (Exception, SystemExit) as error:  # whatever a plugin raises
            where = f" in line {error.lineno}" if isinstance(error, SyntaxError) else ""
            errors.append(f"{source} cannot be loaded: {type(error).__name__}{where}: {error}; correct it")
    return list(models.values()), errors


def _sources() -> Iterator[tuple[str, Callable[[], list[type[Recommender]]]]]:
    """Yield the name of each source with the function that loads its models."""
    for text in filter(None, os.environ.get(VARIABLE, "").split(os.pathsep)):
        yield f"{VARIABLE} {text!r}", partial(_of_path, Path(text).expanduser())
    for point in metadata.entry_points(group=GROUP):
        yield f"entry point {point.name!r} of {GROUP}", partial(_of_entry_point, point)


def _of_path(path: Path) -> list[type[Recommender]]:
    """Import a file or a package by its path and return its models."""
    start = path / "__init__.py" if path.is_dir() else path
    if not start.is_file() or start.suffix != ".py":
        raise BadInput(
            "file", None, "the path of a .py file or a package folder", problem="is not a Python file or package"
        )
    name = f"recengine_plugin_{hashlib.sha256(str(path).encode()).hexdigest()[:12]}"
    inside = [str(path)] if path.is_dir() else None
    spec = importlib.util.spec_from_file_location(name, start, submodule_search_locations=inside)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return _of_module(module, path.stem)


def _of_module(module: ModuleType, name: str) -> list[type[Recommender]]:
    """Return the models that a module defines: its classes, and its function `recommend` under the module's name."""
    classes = [value for value in vars(module).values() if inspect.isclass(value) and issubclass(value, Recommender)]
    models = [_prepared(kind) for kind in classes if kind.__module__.split(".")[0] == module.__name__.split(".")[0]]
    if inspect.isfunction(getattr(module, "recommend", None)):
        models.append(_of_function(module.recommend, name.replace("_", "-").lower(), getattr(module, "learn", None)))
    if not models:
        raise BadInput(
            "module", name, "a subclass of Recommender, or recommend(user_id, history, k)", problem="has no model"
        )
    return models


def _of_entry_point(point: metadata.EntryPoint) -> list[type[Recommender]]:
    target = point.load()
    if inspect.ismodule(target):
        return _of_module(target, point.name)
    if inspect.isclass(target) and issubclass(target, Recommender):
        return [_prepared(target)]
    return [_of_function(target, point.name, getattr(inspect.getmodule(target), "learn", None))]


def _prepared(kind: type[Recommender]) -> type[Recommender]:
    """Return the class, checked and with a version that follows from its source."""
    check_class(kind)
    kind.version = _version(kind)
    return kind


def check_class(kind: type[Recommender]) -> None:
    """Raise BadInput unless a class of a model is complete and describes itself as the registry needs it."""
    if inspect.isabstract(kind):
        raise BadInput("class", kind.__name__, problem=f"lacks {', '.join(sorted(kind.__abstractmethods__))}")
    for attribute in ("name", "family", "summary"):
        if not isinstance(getattr(kind, attribute, None), str):
            raise BadInput("class", kind.__name__, remedy="give it one", problem=f"lacks the text {attribute!r}")
    if not _NAME.fullmatch(kind.name):
        raise BadInput("name", kind.name, "small letters, digits and hyphens", problem="is not a name for a model")
    if kind.family not in FAMILIES:
        raise BadInput("family", kind.family, f"one of: {', '.join(FAMILIES)}", problem=f"of {kind.name!r} is unknown")
    if set(kind.abilities) != set(implemented(kind)):
        expected = f"those whose methods it has: {', '.join(implemented(kind)) or 'none'}"
        raise BadInput(
            "abilities", ", ".join(kind.abilities), expected, problem=f"of {kind.name!r} are not those that it has"
        )


def _of_function(
    function: Callable[..., Any], name: str, learner: Callable[[pd.DataFrame], Any] | None
) -> type[Recommender]:
    taken = ("user_id", "history", "k", *(() if learner is None else ("learned",)))
    try:
        inspect.signature(function).bind(*taken)
    except TypeError as error:
        call = f"recommend({', '.join(taken)})"
        why = "has learn(ratings), so it is called as" if learner else "is called as"
        raise BadInput("function", function.__name__, problem=f"{why} {call}, and it cannot be: {error}") from error
    first_line = (inspect.getdoc(function) or "").strip().partition("\n")[0]
    attributes = {
        "name": name,
        "summary": first_line or f"A custom function, {function.__name__}.",
        "function": staticmethod(function),
        "learner": None if learner is None else staticmethod(learner),
        "source": inspect.getsourcefile(function) or function.__module__,
        "__module__": function.__module__,
    }
    return _prepared(type("CustomFunction", (FunctionModel,), attributes))


def _version(kind: type[Recommender]) -> int:
    """Return a number that changes with the source, so that a model trained by an older source is not reused."""
    module = sys.modules[kind.__module__]
    file = Path(inspect.getsourcefile(module) or "")
    files = sorted(file.parent.rglob("*.py")) if file.name == "__init__.py" else [file]
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in files if path.is_file()))
    return 1 + int.from_bytes(digest.digest()[:4], "big")
