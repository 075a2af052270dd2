"""Steering: traits by hand, lists that move as the knobs say, and exactly the same list where none is turned."""

import itertools
import time
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from recengine.data.dataset import Dataset
from recengine.data.interactions import Interactions
from recengine.data.sources import load_dataset
from recengine.errors import BadInput
from recengine.metrics import top_k
from recengine.models.registry import model_class
from recengine.serving.moods import MOODS, mood_features
from recengine.serving.recommend import recommend, recommend_new
from recengine.serving.sessions import OnlineSession
from recengine.serving.steering import STRENGTH, Knobs, Steering, Traits
from recengine.training.config import RunConfig

ITEMS = pd.DataFrame(
    {
        "title": list("abcde"),
        "year": pd.array([1950, 1990, 1990, 2020, None], dtype="Int64"),
        "genres": ["Comedy", "Comedy|Drama", "Drama", "", "Horror|Thriller"],
        "tags": ["feel-good", "", "", "", "disturbing|serial killer"],
    }
)
LIKES = [1000, 100, 10, 3, 0]


def likes(*items: int, n_items: int = 5) -> Interactions:
    return Interactions.from_pairs([0] * len(items), items, rating=[5] * len(items), n_users=1, n_items=n_items)


def test_traits_have_their_values_by_hand() -> None:
    traits = Traits(ITEMS, LIKES)
    assert traits.obscure.tolist() == pytest.approx([-1, 0, 1, 1, 1])
    assert traits.new.tolist() == pytest.approx([-0.75, 0, 0, 0.75, 0])  # of four with a year
    # one comedy liked: cos = 1, 1 / sqrt 2, 0; without genres 0; nothing in common with horror
    assert traits.surprising(likes(0))[0].tolist() == pytest.approx([-1, 1 - 2**0.5, 1, 0, 1], abs=1e-6)
    assert traits.surprising(likes())[0].tolist() == [0] * 5


def test_moods_add_up_what_terms_say(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recengine.serving.moods.LEAST_ITEMS", 1)
    features = mood_features(ITEMS)
    assert features["light"].tolist() == pytest.approx([1, 0.3, -0.4, 0, -1])  # .7 + .6, capped; .7 - .4; ...
    assert features["dark"].tolist() == pytest.approx([-1, -0.6, 0.1, 0, 1])
    monkeypatch.setattr("recengine.serving.moods.LEAST_ITEMS", 2)
    assert mood_features(ITEMS) == {}


def test_a_score_moves_by_the_distance_to_rank_100_times_the_traits() -> None:
    scores = torch.tensor([[1.0, 3.0, 2.0, -torch.inf, 5.0]])  # fewer than 100 are left: 5 - 1 = 4 is the unit
    traits = Traits(ITEMS, LIKES)
    steered = Steering(Knobs(obscure=0.5, new=-1), traits).rerank(scores, likes(0))
    shift = STRENGTH * torch.tensor([-0.5 + 0.75, 0, 0.5, 0, 0.5])
    assert steered[0, [0, 1, 2, 4]].tolist() == pytest.approx((scores[0] + 4 * shift)[[0, 1, 2, 4]].tolist())
    assert steered[0, 3] == -torch.inf


@pytest.mark.parametrize(
    ("knobs", "words"),
    [
        ({"obscure": 1.5}, "obscure=1.5 is out of range; expected -1 to 1, and 0 for none"),
        ({"new": float("nan")}, "new=nan is out of range"),
        ({"mood": "sad"}, "mood 'sad' is unknown; expected one of: light, dark"),
    ],
)
def test_a_knob_out_of_range_is_bad_input(knobs: dict[str, Any], words: str) -> None:
    with pytest.raises(BadInput, match=words):
        Knobs(**knobs)


def test_a_mood_that_the_data_cannot_carry_is_bad_input() -> None:
    with pytest.raises(BadInput, match="mood 'dark' is not in this data set"):
        Steering(Knobs(mood="dark"), Traits(ITEMS, LIKES)).rerank(torch.rand(1, 5), likes(0))


# Lists ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def sample() -> Dataset:
    return load_dataset("sample")


@pytest.fixture(scope="module")
def traits(sample: Dataset) -> Traits:
    return Traits.of(sample, 4.0)


def trait_of(traits: Traits, knob: str, liked: Interactions) -> Tensor:
    return traits.surprising(liked)[0] if knob == "surprising" else getattr(traits, knob)


@settings(max_examples=60, deadline=None)
@given(
    knob=st.sampled_from(["obscure", "surprising", "new"]),
    places=st.lists(st.floats(-1, 1, width=32), min_size=2, max_size=5),
    other=st.floats(-1, 1, width=32),
    seed=st.integers(0, 9),
)
def test_turning_a_knob_further_never_moves_the_list_the_other_way(
    traits: Traits, sample: Dataset, knob: str, places: list[float], other: float, seed: int
) -> None:
    scores = torch.from_numpy(np.random.default_rng(seed).gumbel(size=(1, sample.n_items)).astype(np.float32))
    liked = likes(5, 70, 300, n_items=sample.n_items)
    held = Knobs(mood="dark").turned("new" if knob != "new" else "obscure", other)
    of_item = trait_of(traits, knob, liked).double()
    means = [
        of_item[top_k(Steering(held.turned(knob, at), traits).rerank(scores, liked), 10).items[0]].mean().item()
        for at in sorted(places)
    ]
    assert all(later >= earlier - 1e-5 for earlier, later in itertools.pairwise(means))


def test_more_obscure_lists_are_less_popular_and_a_mood_fills_a_list(traits: Traits, sample: Dataset) -> None:
    model = model_class("ease")().fit(sample.positives(4.0))
    liked = likes(5, 70, 300, 411, n_items=sample.n_items)
    counts = sample.liked_counts(4.0)

    def listed(**knobs: Any) -> list[int]:
        steered = Steering(Knobs(**knobs), traits)
        return recommend_new(model, sample, liked, steering=steered).ranking.items[0].tolist()

    popularity = [np.log(np.maximum(counts[listed(obscure=at)], 10)).mean() for at in (-1, -0.5, 0, 0.5, 1)]
    assert all(later <= earlier + 1e-9 for earlier, later in itertools.pairwise(popularity))
    assert popularity[0] > popularity[-1] + 0.5
    for mood, feature in traits.moods.items():
        assert feature[listed(mood=mood)].mean() > feature[listed()].mean()


def test_a_list_that_is_not_steered_is_exactly_the_same(traits: Traits, sample: Dataset) -> None:
    model = model_class("taste")().fit(sample.ratings, items=sample.items)
    neutral, liked = Steering(Knobs(), traits), likes(5, 70, 300, n_items=sample.n_items)
    for one, other in (
        (recommend_new(model, sample, liked, k=50), recommend_new(model, sample, liked, k=50, steering=neutral)),
        (recommend(model, sample, [3, 4], k=50), recommend(model, sample, [3, 4], k=50, steering=neutral)),
    ):
        assert torch.equal(one.ranking.items, other.ranking.items)
        assert torch.equal(one.ranking.scores, other.ranking.scores)
    turned = recommend(model, sample, [3], steering=Steering(Knobs(new=1), traits)).ranking.items
    assert (turned != recommend(model, sample, [3]).ranking.items).any()


def test_a_session_gives_the_scores_that_its_list_is_ranked_by(tiny: Dataset) -> None:
    model = model_class("step")().fit(tiny.positives(4.0), run=RunConfig(device="cpu", epochs=1))
    session = OnlineSession(model)
    session.follow([])
    among = np.arange(0, 40, 2)
    assert torch.equal(top_k(session.scores(among=among), 10).items, session.top(10, among=among).items)
    assert (session.scores(among=among)[0, 1::2] == -torch.inf).all()


def test_a_catalogue_of_9700_films_is_steered_in_under_50_milliseconds() -> None:
    rng, n = np.random.default_rng(0), 9_700
    genres = ["Comedy|Romance", "Crime|Thriller", "Drama", "Horror", "Sci-Fi|Mystery"]
    items = pd.DataFrame({"year": rng.integers(1920, 2020, n), "genres": rng.choice(genres, n)})
    traits = Traits(items, rng.zipf(1.5, n).clip(max=300))
    assert set(traits.moods) == set(MOODS)  # read once
    scores, liked = torch.rand(1, n), likes(*range(12), n_items=n)
    knobs = Steering(Knobs(0.3, -0.5, 0.7, "dark"), traits)
    spent = []
    for _ in range(5):
        started = time.perf_counter()
        knobs.rerank(scores, liked)
        spent.append(time.perf_counter() - started)
    assert min(spent) < 0.05
