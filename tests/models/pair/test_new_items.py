"""Items without a positive in training: what they are says whom they are for."""

import numpy as np
import pandas as pd
import pytest
import torch

from recengine.data.interactions import Interactions
from recengine.models.pair.base import PairModel
from recengine.models.pair.hybrid import Hybrid
from recengine.models.pair.neural import ColdStartMF
from recengine.models.pair.new_items import expect_new_items
from recengine.training.config import RunConfig

N_USERS, N_ITEMS, NEW = 60, 42, 40
"""Even users like what is even, odd ones what is odd; the last two items, one of each genre, nobody."""


@pytest.fixture(scope="module")
def rows() -> Interactions:
    rng = np.random.default_rng(0)
    user, item = np.nonzero(rng.random((N_USERS, NEW)) < 0.5)
    alike = user % 2 == item % 2
    return Interactions.from_pairs(user[alike], item[alike], n_users=N_USERS, n_items=N_ITEMS)


@pytest.fixture(scope="module")
def items() -> pd.DataFrame:
    return pd.DataFrame({"genres": ["Drama", "War"] * (N_ITEMS // 2), "year": [1990] * N_ITEMS})


@pytest.mark.parametrize("kind", [Hybrid, ColdStartMF])
def test_new_items_go_to_those_who_like_their_kind(
    kind: type[PairModel], rows: Interactions, items: pd.DataFrame
) -> None:
    model = kind().fit(rows, items=items, run=RunConfig(epochs=12))
    even, odd = model.score(np.arange(N_USERS))[:, NEW:].T
    users = torch.arange(N_USERS) % 2 == 0
    assert bool((even > odd)[users].all())
    assert bool((odd > even)[~users].all())
    assert model.item_vectors()[NEW:].isfinite().all()


def test_items_with_positives_stay_as_they_are(rows: Interactions, items: pd.DataFrame) -> None:
    model = Hybrid().fit(rows, items=items, run=RunConfig(epochs=3))
    before = model.score(np.arange(N_USERS))
    expect_new_items(model.network, rows)
    assert torch.equal(model.score(np.arange(N_USERS))[:, :NEW], before[:, :NEW])
