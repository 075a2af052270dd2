"""Content-based, demographic and contextual models, each by what only it can do."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from recengine.data.dataset import Dataset
from recengine.data.interactions import Interactions
from recengine.errors import BadInput
from recengine.models.metadata import RIDGE
from recengine.models.registry import model_class
from recengine.models.simple.contextual import daypart
from recengine.models.simple.demographic import Demographic
from recengine.serving.recommend import recommend, recommend_profile

FILMS = pd.DataFrame({"genres": ["Drama|War", "Drama", "", "Comedy"], "director": ["A & B", "B", "", "C"]})


def test_content_recommends_items_of_similar_metadata_that_no_user_has_seen() -> None:
    seen = Interactions.from_pairs([0], [1], n_users=1, n_items=4)
    model = model_class("content")().fit(seen, items=FILMS)
    assert model.top_k([0], k=1, seen=seen).items.tolist() == [[0]]


def test_content_scores_are_those_of_a_ridge_regression_of_unit_likes() -> None:
    """Solved here as a system of equations, for an oracle of its own."""
    items = pd.DataFrame({"genres": ["A|B", "A", "B|C", "C", "A|C", ""], "year": [1990, 1991, 1985, 1988, 1995, None]})
    rows = Interactions.from_pairs([0, 0], [0, 3], n_users=1, n_items=6)
    kind = model_class("content")
    model = kind(kind.Config(popularity_weight=0.0)).fit(rows, items=items)
    table = np.array([[1, 1, 0], [1, 0, 0], [0, 1, 1], [0, 0, 1], [1, 0, 1]])
    decade = np.array([[1, 0], [1, 0], [0, 1], [0, 1], [1, 0]])
    features = np.hstack([table, decade]).astype(float)
    features -= features.mean(0)
    inverse = np.linalg.inv(features.T @ features + RIDGE * np.eye(5))
    like = {h: features[h] / (features[h] @ inverse @ features[h]) ** 0.5 for h in (0, 3)}
    scores = model.score([0])[0]
    for item in (1, 2, 4):
        expected = sum(vector @ inverse @ features[item] for vector in like.values())
        assert float(scores[item]) == pytest.approx(expected, abs=1e-6)
    assert float(scores[5]) == 0  # nothing is known of it


def test_content_and_demographic_name_what_is_missing(tiny: Dataset) -> None:
    with pytest.raises(BadInput, match="genres"):
        model_class("content")().fit(tiny.positives(4.0))
    with pytest.raises(BadInput, match="user table"):
        model_class("demographic")().fit(tiny.positives(4.0), items=tiny.items)


def test_a_profile_gets_what_its_group_likes(tiny: Dataset) -> None:
    """Occupation and liked genre go together in `tiny`: item i is liked by users of occupation i mod 4."""
    config = Demographic.Config.from_dict({"prior_strength": 5.0})
    model = Demographic(config).fit(tiny.positives(4.0), users=tiny.users)
    listing = recommend_profile(model, tiny, {"occupation": "Artist"}, k=5)
    assert (listing.ranking.items % 4 == 2).all()
    assert not listing.fallback.any()
    with pytest.raises(BadInput, match=r"engineer.*law"):
        recommend_profile(model, tiny, {"occupation": "king"})
    with pytest.raises(BadInput, match="age, gender, occupation"):
        recommend_profile(model, tiny, {"shoe": "44"})


def test_an_age_in_years_counts_as_its_decade(tiny: Dataset) -> None:
    model = Demographic().fit(tiny.positives(4.0), users=tiny.users)
    assert torch.equal(model.score_profiles([{"age": "23"}]), model.score_profiles([{"age": "20-29"}]))
    for text in ("²", "9" * 5_000, "-23"):
        with pytest.raises(BadInput, match="is not a group of this data"):
            model.score_profiles([{"age": text}])


def test_groups_of_any_name_and_ages_that_are_none_are_kept(tiny: Dataset, tmp_path: Path) -> None:
    assert tiny.users is not None
    odd = tiny.users.assign(age=np.resize([25.0, np.inf, -np.inf, np.nan, -3.0], tiny.n_users))
    odd["occupation"] = np.resize(np.array(["a\nb", "=", "é"], dtype=object), tiny.n_users)
    model = Demographic().fit(tiny.positives(4.0), users=odd)
    model.save(tmp_path)
    again = Demographic.load(tmp_path)
    for profile in ({"occupation": "A\nB"}, {"occupation": "="}, {"age": "25"}):
        assert torch.equal(again.score_profiles([profile]), model.score_profiles([profile]))
    assert [group for group in model.groups if group.startswith("age=")] == ["age=20-29"]


def test_popularity_does_not_replace_a_model_that_needs_no_ratings(tiny: Dataset) -> None:
    model = model_class("demographic")().fit(tiny.positives(4.0), users=tiny.users)
    assert not recommend(model, tiny, [0], positive=5.5).fallback.any()


def test_contextual_follows_the_clock_and_never_looks_ahead() -> None:
    """All users watch item 0 in the first half of the time, item 1 in the second."""
    n = 400
    stamps = np.arange(n) * 3600
    rows = Interactions.from_pairs(np.arange(n), (stamps >= stamps[n // 2]).astype(int), n_users=n, n_items=2,
                                   timestamp=stamps)  # fmt: skip
    model = model_class("contextual")().fit(rows)
    top = model.top_k(np.arange(n), k=1, seen=None).items[:, 0].numpy()
    assert (top[: n // 2 - 10] == 0).all()
    assert (top[n // 2 + 20 :] == 1).all()


def test_m46_no_event_after_a_moment_counts_for_it_to_the_second() -> None:
    """Later items change nothing, even in the same slice of time and the same part of the day."""
    rng = np.random.default_rng(2)
    stamps = np.sort(rng.integers(0, 20 * 86_400, 900))
    items, users = rng.integers(0, 12, 900), np.arange(900) % 90
    now = int(stamps[500])
    others = np.where(stamps > now, rng.integers(0, 12, 900), items)

    def scores(of: np.ndarray, **settings: float) -> torch.Tensor:
        rows = Interactions.from_pairs(users, of, n_users=90, n_items=12, timestamp=stamps)
        kind = model_class("contextual")
        return kind(kind.Config(**settings)).fit(rows).score_at([now, int(stamps[-1]), now - 86_400])

    for settings in ({"time_slices": 1, "prior_strength": 1.0}, {"time_slices": 7}, {}):
        one, other = scores(items, **settings), scores(others, **settings)
        assert torch.equal(one[[0, 2]], other[[0, 2]])
        assert not torch.equal(one[1], other[1])


def test_contextual_scores_are_those_of_a_loop_over_the_events() -> None:
    rng = np.random.default_rng(4)
    stamps = np.sort(rng.integers(0, 9 * 86_400, 60))
    items = rng.integers(0, 5, 60)
    rows = Interactions.from_pairs(np.arange(60) % 6, items, n_users=6, n_items=5, timestamp=stamps)
    kind = model_class("contextual")
    model = kind(kind.Config(time_slices=4, slice_half_life=1.0, prior_strength=10.0)).fit(rows)
    edges = np.unique(stamps[[15, 30, 45]])
    for time in (int(stamps[33]), int(stamps[0]) - 1, int(stamps[-1])):
        past = [(int(t), int(i)) for t, i in zip(stamps, items, strict=True) if t <= time]
        now = int((edges <= time).sum())
        for item in range(5):
            recent = sum(0.5 ** (now - int((edges <= t).sum())) for t, i in past if i == item)
            overall = (sum(i == item for _, i in past) + 0.5) / (len(past) + 2.5)
            alike = [i for t, i in past if daypart(np.array([t]))[0] == daypart(np.array([time]))[0]]
            lift = (alike.count(item) + 10 * overall) / (len(alike) + 10) / overall
            assert float(model.score_at([time])[0, item]) == pytest.approx((recent + 1e-3) * lift, rel=1e-5)


def test_the_part_of_the_day_and_week() -> None:
    thursday_night, saturday_noon, monday_evening = 3 * 3600, 2 * 86_400 + 12 * 3600, 4 * 86_400 + 19 * 3600
    assert daypart(np.array([thursday_night, saturday_noon, monday_evening])).tolist() == [0, 6, 3]
