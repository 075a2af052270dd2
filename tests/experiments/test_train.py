"""Training requests: what they train, and the name under which it is kept."""

from pathlib import Path

import numpy as np
import torch

from recengine.data.dataset import Dataset
from recengine.experiments.store import ArtefactStore
from recengine.experiments.train import TrainingRequest, obtain
from tests.support.raters import CPU, fitted


def test_a_model_of_ratings_is_trained_on_all_of_them_and_is_one_artefact_at_any_threshold(
    tiny: Dataset, tmp_path: Path
) -> None:
    store = ArtefactStore(tmp_path)
    first, again = (obtain(TrainingRequest(tiny, "bias", run=CPU, positive=p), store=store) for p in (4.0, 3.0))
    assert (first.fresh, again.fresh) == (True, False)
    assert torch.allclose(first.model.score(np.arange(60)), fitted("bias", tiny.ratings).score(np.arange(60)))
