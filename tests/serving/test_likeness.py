"""How alike films are: thirty seeds of film lore, what a likeness rests on, and one scale for all."""

import csv
import json
from dataclasses import replace
from pathlib import Path
from random import Random

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from recengine.cli import main
from recengine.data.dataset import Dataset
from recengine.data.sources import load_dataset
from recengine.models.base import Recommender
from recengine.models.item_item.taste import Taste
from recengine.models.registry import model_class
from recengine.serving.likeness import (
    FEW_RATINGS,
    basis,
    combined,
    on_one_scale,
    similar_to,
    sources,
    strength,
    traits_of,
)
from recengine.serving.recommend import similar

LORE = {"sample": 15, "ml-latest-small": 7}
"""Seeds, of twenty and of ten, for which two of the five expected are among the first five."""
SEEDS = Path(__file__).with_name("similar_films.csv")
"""Thirty films and five that a film lover would expect near each, written down before any model was asked."""


@pytest.fixture(scope="module")
def sample() -> tuple[Dataset, Recommender]:
    data = load_dataset("sample")
    return data, Taste().fit(data.ratings, items=data.items)


def films(data: Dataset) -> dict[str, int]:
    return {f"{title} ({year})": index for index, (_, title, year, _) in enumerate(data.films)}


def expected_in_first_five(data: Dataset, model: Recommender) -> dict[str, int]:
    with SEEDS.open(encoding="utf-8") as file:
        rows = [list(row.values()) for row in csv.DictReader(file)]
    index = films(data)
    seeds = [[index[title] for title in row[1:]] for row in rows if row[0] == data.name]
    near = model.similar_items([seed for seed, *_ in seeds], k=5).items.tolist()
    titles = [row[1] for row in rows if row[0] == data.name]
    return {t: len(set(five) & set(expected)) for t, five, (_, *expected) in zip(titles, near, seeds, strict=True)}


def test_film_lore_of_the_sample(sample: tuple[Dataset, Recommender]) -> None:
    hits = expected_in_first_five(*sample)
    assert len(hits) == 20
    assert sum(hit >= 2 for hit in hits.values()) >= LORE["sample"], hits


def test_film_lore_of_movielens(mirror: Path) -> None:
    data = load_dataset("ml-latest-small")
    model = Taste().fit(data.ratings, items=data.items)
    hits = expected_in_first_five(data, model)
    assert len(hits) == 10
    assert sum(hit >= 2 for hit in hits.values()) >= LORE["ml-latest-small"], hits
    index, titles = films(data), data.items["title"].tolist()
    fury, amelie = model.similar_items([index["Mad Max: Fury Road (2015)"], index["Amelie (2001)"]], k=5).items.tolist()
    assert titles[fury[0]] == "Mad Max"
    assert "Fight Club" not in [titles[item] for item in amelie[:1]]


def test_every_likeness_is_on_one_scale(sample: tuple[Dataset, Recommender]) -> None:
    data, model = sample
    scores = model.item_similarity(torch.arange(200))
    assert scores is not None
    assert 0 <= scores.min() <= scores.max() <= 1
    words = [strength(likeness, None) for likeness in (0.9, 0.4, 0.1)]
    assert words == ["strong", "fair", "weak"] == [strength(x, 0.09) for x in (0.09, 0.04, 0.01)]
    ease = model_class("ease")()
    assert on_one_scale(model, "both")
    assert not on_one_scale(ease, "users")
    assert basis(ease, 0) is None
    assert basis(model, int(data.ratings.item_counts.argmax())) == "users and content"


def test_a_film_that_nobody_rated_has_neighbours_by_content(sample: tuple[Dataset, Recommender]) -> None:
    data, _ = sample
    seed = films(data)["The Empire Strikes Back (1980)"]
    rows = data.ratings.select(data.ratings.item_idx != seed)
    model = Taste().fit(rows, items=data.items)
    listing = similar(model, data, seed, k=5)
    assert not listing.fallback[0]
    assert "Star Wars" in [data.items["title"][item] for item in listing.ranking.items[0].tolist()]


def test_a_film_with_three_ratings_has_neighbours_by_content_and_the_command_says_so(
    tmp_path: Path, fresh_home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(0)
    lines = [f"{user},{item},{rng.integers(3, 6)}" for user in range(30) for item in (1, 2, 3, 4, 5)]
    lines += [f"{user},6,5" for user in range(3)]
    (tmp_path / "ratings.csv").write_text("\n".join(["userId,movieId,rating", *lines]))
    genres = ["Drama", "War", "Comedy", "Western", "Horror", "Western"]
    films = [f"{item},{title} (2000),{genre}" for item, title, genre in zip(range(1, 7), "ABCDEF", genres, strict=True)]
    (tmp_path / "movies.csv").write_text("\n".join(["movieId,title,genres", *films]))
    command = ["similar", "--dataset", str(tmp_path), "-k", "3", "--quiet", "--item"]
    assert main([*command, "6"]) == 0
    assert "Similar to F (by content: only 3 ratings):" in capsys.readouterr().out
    assert main([*command, "6", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert (answer["basis"], answer["ratings"], answer["similar"][0]["title"]) == ("content", 3, "D")
    assert main([*command, "4", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["basis"] == "users and content"


def test_of_several_seeds_what_all_are_like_comes_first_and_what_is_like_the_others_falls() -> None:
    alike = torch.tensor([[0.8, 0.1, 0.4], [0.1, 0.8, 0.4]])
    assert torch.equal(combined(alike[:1]), alike[0])
    by_hand = [((0.85 * 0.15) ** 0.5) - 0.05, ((0.85 * 0.15) ** 0.5) - 0.05, 0.4]
    assert combined(alike).tolist() == pytest.approx(by_hand, abs=1e-6)
    away = combined(alike, torch.tensor([[0.0, 0.0, 0.6], [-1.0, 0.4, 0.2]])).tolist()
    assert away == pytest.approx([by_hand[0], by_hand[1] - 0.2, 0.1], abs=1e-6)


@given(
    st.lists(st.lists(st.floats(0, 1), min_size=5, max_size=5), min_size=1, max_size=4),
    st.randoms(use_true_random=False),
)
def test_the_order_of_the_seeds_does_not_matter(rows: list[list[float]], shuffle: Random) -> None:
    other = list(rows)
    shuffle.shuffle(other)
    torch.testing.assert_close(combined(torch.tensor(rows)), combined(torch.tensor(other)))
    assert (combined(torch.tensor(rows)) <= torch.tensor(rows).amax(0) + 1e-6).all(), "a mean"


def test_similar_to_lists_no_seed_and_steers_away(sample: tuple[Dataset, Recommender]) -> None:
    data, model = sample
    index = films(data)
    alien, aliens = index["Alien (1979)"], index["Aliens (1986)"]
    for source in sources(model, data, [alien]):
        plain = similar_to(model, None, [alien], source=source, k=50).items[0].tolist()
        assert aliens in plain[:3], source
        steered = similar_to(model, None, [alien], [aliens], source=source, k=50).items[0].tolist()
        assert not {alien, aliens} & set(steered)
        assert steered != [item for item in plain if item != aliens]
    assert (
        model.similar_items([alien], k=50).items[0].tolist()
        == similar_to(model, None, [alien], source="both", k=50).items[0].tolist()
    ), "without more seeds it is what the model says"


def test_few_ratings_fall_back_on_content(sample: tuple[Dataset, Recommender]) -> None:
    data, model = sample
    ease, popular = model_class("ease")(), model_class("popularity")()
    counts = data.ratings.item_counts
    few, many = int(counts.argmin()), int(counts.argmax())
    assert counts[few] < FEW_RATINGS
    assert sources(model, data, [many]) == ["both", "users", "content"]
    assert sources(model, data, [many, few]) == ["content"]
    assert sources(ease, data, [many]) == ["users", "content"]
    assert sources(popular, data, [many]) == ["content"]
    bare = replace(data, items=data.items[["item_id", "title", "year"]])
    assert sources(ease, bare, [few]) == ["users"]
    assert sources(popular, bare, [many]) == []


def test_content_is_the_same_for_all_models(sample: tuple[Dataset, Recommender]) -> None:
    data, model = sample
    seeds = [films(data)["Alien (1979)"], films(data)["Jaws (1975)"]]
    by_taste, by_ease = (
        similar_to(one, traits, seeds, source="content")
        for one, traits in ((model, None), (model_class("ease")(), traits_of(data)))
    )
    assert torch.equal(by_taste.items, by_ease.items)
