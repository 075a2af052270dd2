"""Models of one's own: Python files and packages that the operator of this machine names. Nothing uploaded is run.

`RECENGINE_MODELS` holds their paths (joined as those of PATH are); installed packages name theirs in the entry-point
group `recengine.models`. A module gives subclasses of `Recommender`, a function `recommend(user_id, history, k)` that
returns item ids, best first, or both.
"""

from __future__ import annotations

import hashlib
import importlib.util
import inspect
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
    """A plain function as a model: asked anew for every person, it ranks by the place in its answer.

    `recommend(user_id, history, k)` gets the raw user id (None for a newcomer), a list of `Rated`, oldest first, and
    the number of ids wanted. What it does not return is not recommended, so its AUC is over what it returns.
    """

    family = "custom"
    abilities = ("fold-in",)
    function: ClassVar[Callable[[Any, list[Rated], int], Sequence[Any]]]
    source: ClassVar[str]

    def learn(self, train: Interactions, context: FitContext) -> None:
        self.rows = train
        self.user_ids = _ids(context.users, "user_id", train.n_users)
        self.item_ids = _ids(context.items, "item_id", train.n_items)

    def score(self, user_idx: ArrayLike) -> Tensor:
        users = as_indices(user_idx)
        return self._ask(self.rows.of_users(users), self.user_ids[users].tolist())

    def score_history(self, histories: Interactions) -> Tensor:
        """Return (histories.n_users, n_items) scores; the function is told None as the id of each."""
        return self._ask(histories, [None] * histories.n_users)

    def _ask(self, histories: Interactions, people: Sequence[Any]) -> Tensor:
        """Return n_items, n_items - 1, ... for the items in the order returned, and -inf for all others."""
        scores = torch.full((len(people), self.n_items), -torch.inf)
        place = pd.Index(self.item_ids)
        ordered = histories.select(histories.chronological())
        starts = np.concatenate([[0], np.cumsum(ordered.user_counts)])
        for row, person in enumerate(people):
            own = ordered.select(slice(starts[row], starts[row + 1]))
            columns = (self.item_ids[own.item_idx].tolist(), own.rating.tolist(), own.timestamp.tolist())
            history = [Rated(*event) for event in zip(*columns, strict=True)]
            try:
                answer = list(type(self).function(person, history, self.n_items))
                items = place.get_indexer(pd.Index(answer).drop_duplicates()) if answer else np.empty(0, np.int64)
            except Exception as exception:
                error = f"{type(exception).__name__}: {exception}"
                problem = f"failed in recommend for user {person!r} with {len(history)} ratings: {error}"
                raise BadInput("model", self.name, remedy=f"correct {self.source}", problem=problem) from exception
            items = items[items >= 0][: self.n_items]
            scores[row, torch.from_numpy(items)] = self.n_items - torch.arange(len(items), dtype=torch.float32)
        return scores

    def state(self) -> dict[str, Tensor]:
        rows = {name: getattr(self.rows, name) for name in ("user_idx", "item_idx", "rating", "timestamp")}
        ids = {"user_ids": _packed(self.user_ids), "item_ids": _packed(self.item_ids)}
        return {name: torch.from_numpy(np.array(value)) for name, value in {**rows, **ids}.items()}

    def restore(self, state: dict[str, Tensor]) -> None:
        held = {name: tensor.numpy() for name, tensor in state.items()}
        self.user_ids, self.item_ids = _unpacked(held.pop("user_ids")), _unpacked(held.pop("item_ids"))
        self.rows = Interactions(**held, n_users=self.n_users, n_items=self.n_items)


def _ids(table: pd.DataFrame | None, column: str, n: int) -> NDArray[Any]:
    return np.arange(n) if table is None or column not in table else table[column].to_numpy()


def _packed(ids: NDArray[Any]) -> NDArray[Any]:
    """Return ids as numbers: integers as they are, words as the bytes of their UTF-8."""
    return ids.astype(np.int64) if ids.dtype.kind == "i" else np.frombuffer("\0".join(ids).encode(), np.uint8)


def _unpacked(held: NDArray[Any]) -> NDArray[Any]:
    return held if held.dtype == np.int64 else np.array(held.tobytes().decode().split("\0"), dtype=object)


def find_plugins(taken: Sequence[str]) -> tuple[list[type[Recommender]], list[str]]:
    """Return the operator's own models, and a sentence on each that cannot be used. One bad file spoils no other.

    taken : names that are given already
    """
    found: dict[str, type[Recommender]] = {}
    errors: list[str] = []
    for source, get in _sources():
        try:
            for model in get():
                if model.name in {*taken, *found}:
                    raise BadInput("name", model.name, remedy="give it another", problem="is taken")
                found[model.name] = model
        except BadInput as error:
            errors.append(f"{source}: {error}")
        except (Exception, SystemExit) as fault:  # whatever a person's own code does
            where = f" in line {fault.lineno}" if isinstance(fault, SyntaxError) else ""
            errors.append(f"{source} cannot be loaded: {type(fault).__name__}{where}: {fault}; correct it")
    return list(found.values()), errors


def _sources() -> Iterator[tuple[str, Callable[[], list[type[Recommender]]]]]:
    """Yield a name of each source and what loads its models."""
    for text in filter(None, os.environ.get(VARIABLE, "").split(os.pathsep)):
        yield f"{VARIABLE} {text!r}", partial(_of_path, Path(text).expanduser())
    for point in metadata.entry_points(group=GROUP):
        yield f"entry point {point.name!r} of {GROUP}", partial(_of_entry_point, point)


def _of_path(path: Path) -> list[type[Recommender]]:
    """Import a file or a package by its path and return its models."""
    start = path / "__init__.py" if path.is_dir() else path
    if not start.is_file() or start.suffix != ".py":
        raise BadInput(
            "file", None, "the path of a .py file or a package folder", problem="is no Python file or package"
        )
    name = f"recengine_plugin_{hashlib.sha256(str(path).encode()).hexdigest()[:12]}"
    inside = [str(path)] if path.is_dir() else None
    about = importlib.util.spec_from_file_location(name, start, submodule_search_locations=inside)
    assert about is not None
    assert about.loader is not None
    module = importlib.util.module_from_spec(about)
    sys.modules[name] = module
    try:
        about.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return _of_module(module, path.stem)


def _of_module(module: ModuleType, name: str) -> list[type[Recommender]]:
    """Return the models that a module gives: its own classes, and its function `recommend` under the module's name."""
    held = [value for value in vars(module).values() if inspect.isclass(value) and issubclass(value, Recommender)]
    own = [_checked(kind) for kind in held if kind.__module__.split(".")[0] == module.__name__.split(".")[0]]
    if inspect.isfunction(getattr(module, "recommend", None)):
        own.append(_of_function(module.recommend, name.replace("_", "-").lower()))
    if not own:
        raise BadInput(
            "module", name, "a subclass of Recommender, or recommend(user_id, history, k)", problem="has no model"
        )
    return own


def _of_entry_point(point: metadata.EntryPoint) -> list[type[Recommender]]:
    target = point.load()
    if inspect.ismodule(target):
        return _of_module(target, point.name)
    if inspect.isclass(target) and issubclass(target, Recommender):
        return [_checked(target)]
    return [_of_function(target, point.name)]


def _checked(kind: type[Recommender]) -> type[Recommender]:
    """Return the class if it says what it is and does what it must; its version follows its source."""
    if inspect.isabstract(kind):
        raise BadInput("class", kind.__name__, problem=f"lacks {', '.join(sorted(kind.__abstractmethods__))}")
    for attribute in ("name", "family", "summary"):
        if not isinstance(getattr(kind, attribute, None), str):
            raise BadInput("class", kind.__name__, remedy="give it one", problem=f"lacks the text {attribute!r}")
    if not _NAME.fullmatch(kind.name):
        raise BadInput("name", kind.name, "small letters, digits and hyphens", problem="is no name of a model")
    if kind.family not in FAMILIES:
        raise BadInput("family", kind.family, f"one of: {', '.join(FAMILIES)}", problem=f"of {kind.name!r} is unknown")
    if set(kind.abilities) != set(implemented(kind)):
        expected = f"those whose methods it has: {', '.join(implemented(kind)) or 'none'}"
        raise BadInput("abilities", ", ".join(kind.abilities), expected, problem=f"of {kind.name!r} are not its own")
    kind.version = _version(kind)
    return kind


def _of_function(function: Callable[..., Any], name: str) -> type[Recommender]:
    said = (inspect.getdoc(function) or "").strip().partition("\n")[0]
    about = {
        "name": name,
        "summary": said or f"The function {function.__name__} of one's own.",
        "function": staticmethod(function),
        "source": inspect.getsourcefile(function) or function.__module__,
        "__module__": function.__module__,
    }
    return _checked(type("Own", (FunctionModel,), about))


def _version(kind: type[Recommender]) -> int:
    """Return a number that changes with the source, so that what an older text was trained to is not reused."""
    module = sys.modules[kind.__module__]
    file = Path(inspect.getsourcefile(module) or "")
    files = sorted(file.parent.rglob("*.py")) if file.name == "__init__.py" else [file]
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in files if path.is_file()))
    return 1 + int.from_bytes(digest.digest()[:4], "big")
