"""What a split gives a model of ratings to learn from."""

from dataclasses import replace

import numpy as np
import pytest

from recengine.data.dataset import Dataset
from recengine.data.interactions import Interactions
from recengine.data.splits import make_split


def rows_of(rows: Interactions) -> set[tuple[int, int, float]]:
    return set(zip(rows.user_idx.tolist(), rows.item_idx.tolist(), rows.rating.tolist(), strict=True))


@pytest.mark.parametrize("name", ["leave-last", "random", "stratified", "time", "cold-user"])
def test_m39_a_split_gives_a_model_of_ratings_the_low_ones_too_but_nothing_later(tiny: Dataset, name: str) -> None:
    split = make_split(tiny, name)
    train, valid = split.ratings()
    learned = rows_of(train) | rows_of(valid)
    assert not rows_of(train) & rows_of(valid)
    assert not learned & rows_of(split.test)
    assert rows_of(split.fit) < learned
    assert min(valid.rating) < 4
    if name == "time":
        assert max(train.timestamp.max(), valid.timestamp.max()) < split.test.timestamp.min()
    elif name == "cold-user":
        assert split.history is not None
        assert not {u for u, *_ in learned} & set(split.test.user_idx.tolist())
    elif name == "leave-last":
        last = dict(zip(split.test.user_idx.tolist(), split.test.timestamp.tolist(), strict=True))
        r = tiny.ratings
        times = zip(r.user_idx.tolist(), r.timestamp.tolist(), strict=True)
        earlier = r.select([time <= last[user] for user, time in times])
        assert 0 < len(earlier) < len(r)
        assert learned == rows_of(earlier) - rows_of(split.test)
    else:
        assert learned == rows_of(tiny.ratings) - rows_of(split.test)
    everything = make_split(tiny, name, positive=0)
    assert everything.ratings() == (everything.train, everything.valid)


def test_of_a_published_split_only_training_rows_are_learned(tiny: Dataset) -> None:
    order = np.random.default_rng(0).permutation(len(tiny.ratings))
    published = replace(tiny, predefined={"u1": (order[:900], order[900:])})
    train, valid = make_split(published, "u1").ratings()
    assert rows_of(train) | rows_of(valid) == rows_of(tiny.ratings.select(order[:900]))
