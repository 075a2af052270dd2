"""Shared by the tests of rating models: a table whose withheld part can be recovered."""

import numpy as np
import pytest

from recengine.data.interactions import Interactions
from recengine.data.splits import hold_out


@pytest.fixture(scope="module")
def table() -> tuple[Interactions, Interactions]:
    """Return (given, withheld): the noiseless table 3 + a_u b_i + c_u, rank one plus offsets; 30 % is withheld."""
    rng = np.random.default_rng(0)
    n_users, n_items = 50, 40
    a, b, c = rng.choice([-1.0, 1.0], n_users), rng.uniform(-1.2, 1.2, n_items), rng.uniform(-0.7, 0.7, n_users)
    user, item = np.divmod(np.arange(n_users * n_items), n_items)
    rows = Interactions.from_pairs(user, item, n_users=n_users, n_items=n_items, rating=3 + a[user] * b[item] + c[user])
    return hold_out(rows, share=0.3, rng=rng)
