"""The deep network that predicts ratings."""

from typing import Any

import numpy as np
import torch

from recengine.data.dataset import Dataset
from recengine.data.splits import hold_out
from recengine.models.ratings.recommender_net import RecommenderNet
from recengine.models.registry import configure
from tests.support.raters import CPU, fitted, rmse


def test_recommender_net_recovers_what_is_withheld_of_a_table_of_rank_one(table) -> None:
    given, withheld = table
    model = fitted(
        "recommender-net",
        given,
        **{"embedding_dim": 4, "layers": (32, 32), "embedding_dropout": 0, "dropout": 0, "l2": 0.001},
        **{"batch_size": 64, "learning_rate": 0.01, "epochs": 30, "init_std": 0.3},
    )
    assert rmse(model, withheld) < 0.4 * rmse(fitted("bias", given), withheld)


def test_recommender_net_reduces_its_learning_rate_on_a_plateau(tiny: Dataset, monkeypatch) -> None:
    rates: list[float] = []
    step = torch.optim.Adam.step

    def recorded(self: torch.optim.Adam, *args: Any) -> Any:
        rates.append(self.param_groups[0]["lr"])
        return step(self, *args)

    monkeypatch.setattr(torch.optim.Adam, "step", recorded)
    train, valid = hold_out(tiny.ratings, share=0.2, rng=np.random.default_rng(0))
    config, run = configure(
        "recommender-net", {"epochs": 8, "schedule_patience": 0, "learning_rate": 0.05, "patience": 8}, CPU
    )
    RecommenderNet(config).fit(train, valid=valid, run=run)
    assert rates[0] == 0.05
    assert rates[-1] < 0.05
