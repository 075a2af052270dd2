"""Models of ratings, fitted for tests."""

from dataclasses import replace
from typing import Any

import numpy as np

from recengine.data.interactions import Interactions
from recengine.models.ratings.base import RatingModel
from recengine.models.registry import MODELS, configure
from recengine.training.config import RunConfig

CPU = RunConfig(device="cpu")


RATERS = [name for name, kind in MODELS.items() if issubclass(kind, RatingModel)]
"""Models that rank by the rating that they predict."""


def fitted(name: str, rows: Interactions, seed: int = 0, **settings: Any) -> RatingModel:
    config, run = configure(name, settings, replace(CPU, seed=seed))
    model = MODELS[name](config).fit(rows, run=run)
    assert isinstance(model, RatingModel)
    return model


def rmse(model: RatingModel, rows: Interactions) -> float:
    error = model.predict(rows.user_idx, rows.item_idx).numpy() - rows.rating
    return float(np.sqrt((error**2).mean()))
