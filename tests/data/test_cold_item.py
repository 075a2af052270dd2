"""The split `cold-item`: a share of the items withheld with all of their ratings, and ranked alone."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recengine.data.dataset import Dataset
from recengine.data.splits import make_split
from recengine.errors import BadInput
from recengine.evaluation.ranking import evaluate
from recengine.models.registry import model_class


@given(share=st.floats(0.03, 0.45), seed=st.integers(0, 99), positive=st.sampled_from((0.0, 3.0, 4.0)))
def test_training_holds_no_rating_of_a_withheld_item_and_the_test_all_its_positives(
    tiny: Dataset, share: float, seed: int, positive: float
) -> None:
    split = make_split(tiny, "cold-item", share=share, seed=seed, positive=positive)
    rated = np.unique(tiny.ratings.item_idx)
    assert len(split.candidates) == max(1, round(share * len(rated)))
    assert set(split.candidates) <= set(rated)
    assert split.rest is not None
    learned = split.fit.concat(split.rest)
    assert not set(learned.item_idx) & set(split.candidates)
    others = tiny.ratings.select(~np.isin(tiny.ratings.item_idx, split.candidates))
    assert len(learned) == len(others)
    assert (split.fit.rating >= positive).all()
    withheld = tiny.ratings.select(np.isin(tiny.ratings.item_idx, split.candidates)).at_least(positive)
    pairs = [sorted(zip(part.user_idx, part.item_idx, strict=True)) for part in (split.test, withheld)]
    assert pairs[0] == pairs[1]


def test_content_finds_what_a_user_likes_among_items_that_nobody_rated_and_ease_is_left_to_chance(
    tiny: Dataset,
) -> None:
    split = make_split(tiny, "cold-item", share=0.4)
    results = {
        name: evaluate(model_class(name)().fit(split.fit, items=tiny.items), split, k=3) for name in ("content", "ease")
    }
    assert set(results["content"].lists[results["content"].lists >= 0]) <= set(split.candidates)
    assert not results["content"].fallback.any()
    assert results["ease"].fallback.all()
    gain = {name: float(np.nanmean(result.per_user["ndcg@3"])) for name, result in results.items()}
    assert gain["content"] > 1.5 * gain["ease"]


def test_a_share_of_all_items_is_bad_input(tiny: Dataset) -> None:
    with pytest.raises(BadInput, match="share=1"):
        make_split(tiny, "cold-item", share=1.0)
