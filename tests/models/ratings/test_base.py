"""The tests of all models that predict ratings."""

import numpy as np
import pytest
import torch

from recengine.data.dataset import Dataset
from recengine.models.registry import MODELS
from tests.support.raters import RATERS, fitted


@pytest.mark.parametrize("name", RATERS)
def test_estimates_are_predictions_in_the_range_of_the_data(tiny: Dataset, name: str) -> None:
    model = fitted(name, tiny.ratings, **({} if MODELS[name].preset_epochs is None else {"epochs": 3}))
    user, item = np.divmod(np.arange(60 * 40), 40)
    estimates = model.estimates(np.arange(60))
    assert torch.allclose(model.predict(user, item), estimates.flatten(), atol=1e-5)
    assert 1 <= estimates.min() <= estimates.max() <= 5
    assert torch.allclose(model.score(np.arange(60)).clamp(1, 5), estimates)


@pytest.mark.parametrize("name", RATERS)
def test_an_unknown_user_and_item_get_a_prediction_near_the_mean(tiny: Dataset, name: str) -> None:
    removed = (tiny.ratings.user_idx == 3) | (tiny.ratings.item_idx == 11)
    rows = tiny.ratings.select(~removed)
    model = fitted(name, rows, **({} if MODELS[name].preset_epochs is None else {"epochs": 8}))
    assert abs(float(model.predict(3, 11)) - rows.rating.mean()) < 0.5
    assert float(model.predict(3, 11)) == pytest.approx(float(model.estimates(3)[0, 11]), abs=1e-5)
