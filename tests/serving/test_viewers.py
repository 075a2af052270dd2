"""What the data says of a user: a sitting for a persona."""

import numpy as np
import pandas as pd

from recengine.data.build import build_dataset
from recengine.data.dataset import Dataset
from recengine.data.sources import load_dataset
from recengine.serving.viewers import history_of, personas, sitting_of


def rated(*stars: float) -> Dataset:
    """Return a data set whose first user rates items 1, 2, ... so, and whose second spans the scale."""
    rows = [(1, item, value) for item, value in enumerate(stars, start=1)] + [(2, 1, 0.5), (2, 2, 5.0)]
    ratings = pd.DataFrame(rows, columns=["user_id", "item_id", "rating"]).assign(timestamp=0)
    items = pd.DataFrame({"item_id": range(1, len(stars) + 1), "title": [f"film {i}" for i in range(len(stars))]})
    return build_dataset("few", ratings, items)


def test_a_sitting_holds_the_best_eight_and_the_worst_four_below_the_middle() -> None:
    data = rated(5, 5, 4.5, 4.5, 4, 4, 4, 4, 3.5, 3, 2.5, 2, 1.5, 1, 0.5)
    sitting = sitting_of(data, 0)
    assert sitting.ratings.tolist() == [5, 5, 4.5, 4.5, 4, 4, 4, 4, 2, 1.5, 1, 0.5]
    assert data.item_ids[sitting.items].tolist() == [*range(1, 9), 12, 13, 14, 15]


def test_a_user_who_dislikes_nothing_has_a_sitting_of_likes_and_no_item_twice() -> None:
    assert sitting_of(rated(5, 4, 3, 3), 0).ratings.tolist() == [5, 4, 3, 3]
    sitting = sitting_of(rated(5, 1, 1), 0)  # the dislikes are among the best eight
    assert sitting.ratings.tolist() == [5, 1, 1]
    assert len(np.unique(sitting.items)) == 3


def test_personas_of_the_sample_rate_likes_and_dislikes_at_once() -> None:
    sample = load_dataset("sample")
    for persona in personas(sample, 4.0)[:3]:
        sitting, past = sitting_of(sample, persona.user_idx), history_of(sample, persona.user_idx)
        assert 8 <= len(sitting.items) <= 12
        assert (sitting.ratings >= 4).sum() == 8
        assert sitting.ratings.min() == past.ratings.min()
