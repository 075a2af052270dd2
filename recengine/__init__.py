"""RecEngine: load ratings, train and evaluate recommenders, serve them.

    import recengine as rec

    data = rec.load("ml-100k")
    split = rec.split(data, "leave-last")
    model = rec.EASE(l2=200).fit(split.train)
    print(rec.evaluate(model, split, k=10))
    model.recommend(["196", "22"], k=10)

Everything is loaded when it is first asked for, so that the import itself takes no time.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from recengine.api.data import from_pandas as from_pandas
    from recengine.api.data import from_sparse as from_sparse
    from recengine.api.data import load as load
    from recengine.api.data import split as split
    from recengine.api.model import Model as Model
    from recengine.api.models import create as create
    from recengine.api.models import load_model as load_model
    from recengine.api.results import Report as Report
    from recengine.api.results import evaluate as evaluate
    from recengine.api.tracking import TensorBoard as TensorBoard
    from recengine.data.dataset import Dataset as Dataset
    from recengine.data.interactions import Interactions as Interactions
    from recengine.data.splits import Split as Split
    from recengine.errors import BadInput as BadInput
    from recengine.evaluation.policy import EvaluationPolicy as EvaluationPolicy
    from recengine.models.base import Recommender as Recommender
    from recengine.training.progress import EpochResult as EpochResult

# Before PyTorch starts its threads: on a busy machine, threads that spin while they wait take whole seconds away.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

__version__ = "0.1.0"

_MODULES = {
    "api.data": ("from_pandas", "from_sparse", "load", "split"),
    "api.model": ("Model",),
    "api.models": ("create", "load_model"),
    "api.results": ("Report", "evaluate"),
    "api.tracking": ("TensorBoard",),
    "data.dataset": ("Dataset",),
    "data.interactions": ("Interactions",),
    "data.splits": ("Split",),
    "errors": ("BadInput",),
    "evaluation.policy": ("EvaluationPolicy",),
    "models.base": ("Recommender",),
    "training.progress": ("EpochResult",),
}
_PLACES = {name: module for module, names in _MODULES.items() for name in names}
"""The module in which each name is."""


def __getattr__(name: str) -> type[Model]:
    """Load a name of the API, or the class of a model, such as `EASE`. The type is that of the models."""
    if name in _PLACES:
        value = getattr(import_module(f"recengine.{_PLACES[name]}"), name)
    elif name[:1].isupper() and (kind := import_module("recengine.api.models").model_types().get(name)):
        value = kind
    else:
        raise AttributeError(f"module 'recengine' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    models = import_module("recengine.api.models").model_types()
    return sorted({*_PLACES, *models, "__version__"})
