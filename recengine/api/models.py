"""The classes of the API for all models, and models by name or from a folder."""

from __future__ import annotations

import inspect
from dataclasses import fields
from functools import cache
from pathlib import Path
from typing import Any

from recengine.api.errors import own_words
from recengine.api.model import Model
from recengine.experiments.model_folder import open_folder
from recengine.models.base import Recommender
from recengine.models.plugins import check_class
from recengine.models.registry import MODELS, model_class
from recengine.training.config import Setting


@cache
def model_type(kind: type[Recommender[Any]]) -> type[Model]:
    """Return the class of the API for a kind of recommender, with its options as the signature and in the help."""
    config = list(fields(kind.Config))
    lines = [kind.summary, "", *(f"{f.name} : {f.metadata['help']}; default {f.default!r}" for f in config)]
    if kind.reference:
        lines += ["", kind.reference]
    made = type(kind.__name__, (Model,), {"kind": kind, "__doc__": "\n".join(lines), "__module__": "recengine"})
    keywords = [inspect.Parameter(f.name, inspect.Parameter.KEYWORD_ONLY, default=f.default) for f in config]
    run = inspect.Parameter("run", inspect.Parameter.VAR_KEYWORD)
    made.__signature__ = inspect.Signature([*keywords, run])  # type: ignore[attr-defined]  # what help() and IDEs read
    return made


def model_types() -> dict[str, type[Model]]:
    """Return the classes of the registered models by the names of their classes, such as EASE."""
    return {kind.__name__: model_type(kind) for kind in MODELS.built_in.values()}


@own_words
def create(model: str | type[Recommender[Any]], **settings: Setting) -> Model:
    """Return a model that is not fitted: by its registered name, or of a class of your own.

    `create("ease", l2=200)` is `EASE(l2=200)`. Settings are those of the model and of its training; BadInput names
    the nearest one where there is none of that name.
    """
    if isinstance(model, str):
        return model_type(model_class(model))(**settings)
    check_class(model)
    return model_type(model)(**settings)


@own_words
def load_model(folder: str | Path, kind: type[Recommender[Any]] | None = None) -> Model:
    """Return the model of a folder that `save`, or `recengine train` with an `out`, has written; nothing is unpickled.

    kind : the class of a model of your own, unless it is registered (docs/custom-models.md)

    Every file is verified by its sha256. Raises BadInput, which names the file, for what is damaged or no model folder.
    """
    opened = open_folder(Path(folder).expanduser(), kind)
    model = model_type(type(opened.model))()
    model.config = opened.model.config
    model.data, model.positive, model.policy = opened.dataset, opened.positive, opened.policy
    model._fitted, model._origin, model._seconds = opened.model, opened.manifest.origin, opened.manifest.seconds
    return model
