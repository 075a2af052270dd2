"""Content-based, demographic and contextual models: what each of them alone can do."""

import math

import numpy as np
import pandas as pd
import pytest
import torch

from recengine.data.dataset import Dataset
from recengine.data.interactions import Interactions
from recengine.errors import BadInput
from recengine.models.registry import model_class
from recengine.models.simple.content import term_matrix
from recengine.models.simple.contextual import daypart
from recengine.models.simple.demographic import Demographic
from recengine.serving.recommend import recommend, recommend_profile

FILMS = pd.DataFrame({"genres": ["Drama|War", "Drama", "", "Comedy"], "director": ["A & B", "B", "", "C"]})


def test_a_term_weighs_the_logarithm_of_its_rarity() -> None:
    terms = term_matrix(FILMS)
    assert terms.sum(1)[2] == 0  # nothing is known of it
    shared, rare = math.log(4 / 2), math.log(4 / 1)
    assert terms[0].sum() == pytest.approx(2 * shared + 2 * rare)  # Drama and B shared, War and A its own
    assert terms[1].sum() == pytest.approx(2 * shared)


def test_content_recommends_what_is_alike_on_paper_though_nobody_saw_it() -> None:
    seen = Interactions.from_pairs([0], [1], n_users=1, n_items=4)
    model = model_class("content")().fit(seen, items=FILMS)
    assert model.top_k([0], k=1, seen=seen).items.tolist() == [[0]]


def test_content_and_demographic_say_what_is_missing(tiny: Dataset) -> None:
    with pytest.raises(BadInput, match="genres"):
        model_class("content")().fit(tiny.positives(4.0))
    with pytest.raises(BadInput, match="user table"):
        model_class("demographic")().fit(tiny.positives(4.0), items=tiny.items)


def test_a_profile_gets_what_its_group_likes(tiny: Dataset) -> None:
    """Occupation and liked genre go together in `tiny`: film i is liked by users of occupation i mod 4."""
    config = Demographic.Config.from_dict({"prior_strength": 5.0})
    model = Demographic(config).fit(tiny.positives(4.0), users=tiny.users)
    listing = recommend_profile(model, tiny, {"occupation": "Artist"}, k=5)
    assert (listing.ranking.items % 4 == 2).all()
    assert not listing.fallback.any()
    with pytest.raises(BadInput, match=r"engineer.*law"):
        recommend_profile(model, tiny, {"occupation": "king"})
    with pytest.raises(BadInput, match="age, gender, occupation"):
        recommend_profile(model, tiny, {"shoe": "44"})


def test_an_age_in_years_finds_its_decade(tiny: Dataset) -> None:
    model = Demographic().fit(tiny.positives(4.0), users=tiny.users)
    assert torch.equal(model.score_profiles([{"age": "23"}]), model.score_profiles([{"age": "20-29"}]))


def test_popularity_does_not_replace_a_model_that_needs_no_ratings(tiny: Dataset) -> None:
    model = model_class("demographic")().fit(tiny.positives(4.0), users=tiny.users)
    assert not recommend(model, tiny, [0], positive=5.5).fallback.any()


def test_contextual_follows_the_clock_and_never_looks_ahead() -> None:
    """Everybody watches item 0 in the first half of time, item 1 in the second."""
    n = 400
    stamps = np.arange(n) * 3600
    rows = Interactions.from_pairs(np.arange(n), (stamps >= stamps[n // 2]).astype(int), n_users=n, n_items=2,
                                   timestamp=stamps)  # fmt: skip
    model = model_class("contextual")().fit(rows)
    top = model.top_k(np.arange(n), k=1, seen=None).items[:, 0].numpy()
    assert (top[: n // 2 - 10] == 0).all()
    assert (top[n // 2 + 20 :] == 1).all()


def test_the_part_of_the_day_and_week() -> None:
    thursday_night, saturday_noon, monday_evening = 3 * 3600, 2 * 86_400 + 12 * 3600, 4 * 86_400 + 19 * 3600
    assert daypart(np.array([thursday_night, saturday_noon, monday_evening])).tolist() == [0, 6, 3]
