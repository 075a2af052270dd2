"""What the tests of the public API share: small data with text ids, split and fitted."""

import numpy as np
import pandas as pd
import pytest

import recengine as rec


def frame() -> pd.DataFrame:
    """Return 90 users and 30 items with text ids; each user likes one of three kinds, one of which each item is."""
    rng = np.random.default_rng(3)
    users, items = np.repeat(np.arange(90), 15), np.concatenate([rng.permutation(30)[:15] for _ in range(90)])
    liked, disliked = rng.choice([4.0, 5.0], len(users)), rng.choice([1.0, 2.0], len(users))
    return pd.DataFrame(
        {
            "customer": [f"u{user:03}" for user in users],
            "product": [f"{item:04}" for item in items],
            "stars": np.where(users % 3 == items % 3, liked, disliked),
            "when": np.arange(len(users)) + 10**9,
        }
    )


@pytest.fixture(scope="session")
def data() -> rec.Dataset:
    titles = pd.DataFrame({"item_id": [f"{item:04}" for item in range(30)], "title": [f"Film {i}" for i in range(30)]})
    return rec.from_pandas(
        frame(), user="customer", item="product", rating="stars", time="when", items=titles, scale=(1, 5), name="shop"
    )


@pytest.fixture(scope="session")
def split(data: rec.Dataset) -> rec.Split:
    return rec.split(data, "leave-last")


@pytest.fixture(scope="session")
def ease(split: rec.Split) -> rec.Model:
    return rec.EASE(l2=20).fit(split.train)
