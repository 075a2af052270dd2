"""The embedded data set: the catalogue's facts, the audience's shape, its cache, and that models learn from it."""

import csv
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from recengine.data.dataset import Dataset
from recengine.data.sample import audience, taste
from recengine.data.sample import build as sample
from recengine.data.sample.build import sample_dataset, sample_films
from recengine.data.sources import load_dataset
from recengine.data.splits import Split, leave_last
from recengine.data.titles import normalise
from recengine.models.base import Recommender
from recengine.models.registry import fit_final, model_class
from recengine.training.config import RunConfig
from recengine.training.loop import ranking_validator

NEIGHBOURS = Path(__file__).with_name("neighbours.csv")


@pytest.fixture(scope="module")
def films() -> pd.DataFrame:
    return sample_films()


@pytest.fixture(scope="module")
def data() -> Dataset:
    return sample_dataset()


def words(text: str, mark: str = ",") -> set[str]:
    return {" ".join(word.split()) for word in text.split(mark)}


# The catalogue


def test_the_catalogue_is_numbered_sorted_and_complete(films: pd.DataFrame) -> None:
    assert list(films.columns) == [*sample.COLUMNS, "country", "stature", "fame"]
    assert 1_150 <= len(films) <= 1_300
    assert films["item_id"].tolist() == list(range(1, len(films) + 1))
    assert films.sort_values(["year", "title"])["item_id"].tolist() == films["item_id"].tolist()
    assert films["year"].between(1895, 2026).all()
    assert films[["stature", "fame"]].isin(range(1, 6)).all(axis=None)
    for column in ("title", "genres", "director", "keywords", "country"):
        assert (films[column].str.strip() == films[column]).all()
        assert (films[column] != "").all()


def test_genres_and_keywords_keep_to_their_form(films: pd.DataFrame) -> None:
    for genres, keywords in zip(films["genres"].str.split("|"), films["keywords"].str.split("|"), strict=True):
        assert set(genres) <= words(taste.GENRES)
        assert 1 <= len(genres) == len(set(genres)) <= 4
        assert 3 <= len(keywords) == len(set(keywords)) <= 6
        assert all(word and word == word.lower().strip() for word in keywords)


def test_no_film_appears_twice(films: pd.DataFrame) -> None:
    assert not films.assign(title=films["title"].map(normalise)).duplicated(["title", "year"]).any()


@pytest.mark.parametrize(
    ("title", "year", "director"),
    [
        ("The Matrix", 1999, "Lana Wachowski & Lilly Wachowski"),
        ("Seven Samurai", 1954, "Akira Kurosawa"),
        ("Rome, Open City", 1945, "Roberto Rossellini"),
        ("1917", 2019, "Sam Mendes"),
        ("Black Panther", 2018, "Ryan Coogler"),
    ],
)
def test_well_known_facts_are_right(films: pd.DataFrame, title: str, year: int, director: str) -> None:
    film = films[films["title"] == title]
    assert film[["year", "director"]].to_numpy().tolist() == [[year, director]]


@pytest.mark.real
def test_years_agree_with_movielens_wherever_it_has_the_title(films: pd.DataFrame, mirror: Path) -> None:
    known: dict[str, set[int]] = {}
    for row in load_dataset("ml-latest-small").items.dropna(subset="year").itertuples():
        known.setdefault(normalise(str(row.title)), set()).add(int(row.year))
    years = [(year, known.get(normalise(title))) for title, year in zip(films["title"], films["year"], strict=True)]
    matched = [year in theirs for year, theirs in years if theirs]
    assert len(matched) > 900
    assert np.mean(matched) >= 0.95


def test_every_name_in_the_taste_tables_is_in_the_catalogue(films: pd.DataFrame) -> None:
    tags = {tag for column in ("genres", "keywords") for text in films[column] for tag in text.split("|")}
    tags |= {name for text in films["director"] for name in text.split(" & ")}
    tags |= {f"{year // 10 * 10}s" for year in films["year"]} | set(films["country"])
    tags |= {f"{country} {epoch}" for country in set(films["country"]) for epoch in taste.EPOCHS}
    circles = {tag for line in taste.CIRCLES.strip().splitlines() for tag in words(line)}
    leanings = {tag for leaning in taste.LEANINGS.values() for tag in leaning}
    assert circles | leanings | set(taste.AVERSIONS) | words(taste.FRANCHISES) | words(taste.FAINT) <= tags
    assert set(taste.LEANINGS) == {*taste.AGE_GROUPS, *taste.GENDERS, *taste.OCCUPATIONS}


# The audience


def test_the_data_set_says_that_its_audience_is_simulated(data: Dataset) -> None:
    assert data.name == "sample"
    assert data.simulated
    assert "simulated" in data.licence
    assert any("simulated" in line for line in data.cleaning.lines())


def test_sizes_and_ratings_look_like_a_real_audience(data: Dataset) -> None:
    r = data.ratings
    assert data.n_users == 2_000
    assert 140_000 <= len(r) <= 160_000
    assert r.user_counts.min() >= 20
    assert 300 <= r.user_counts.max() <= 600
    assert set(np.unique(r.rating)) == set(np.arange(1, 11) / 2)
    assert 3.4 <= r.rating.mean() <= 3.7
    assert 0.9 <= r.rating.std() <= 1.15
    share = {stars: float((r.rating == stars).mean()) for stars in np.arange(1, 11) / 2}
    assert all(share[whole] > share[whole - 0.5] for whole in (2.0, 3.0, 4.0, 5.0))
    assert share[4.0] + share[5.0] > 2 * (share[1.0] + share[2.0])
    seen = np.sort(r.item_counts)[::-1]
    assert seen[0] > 0.35 * data.n_users
    assert np.median(seen) < 0.2 * seen[0]


def test_no_model_sees_what_the_simulation_knows_of_a_film(data: Dataset) -> None:
    assert not {"country", "stature", "fame"} & set(data.items)


def test_means_follow_stature_and_audiences_follow_fame(data: Dataset, films: pd.DataFrame) -> None:
    r = data.ratings
    mean = np.bincount(r.item_idx, r.rating, data.n_items) / r.item_counts
    ranks = pd.DataFrame({"mean": mean, "seen": r.item_counts, **films[["stature", "fame"]]}).rank().corr()
    assert ranks.loc["mean", "stature"] >= 0.6
    assert ranks.loc["seen", "fame"] >= 0.6
    of_title = dict(zip(films["title"], mean, strict=True))
    assert of_title["The Godfather"] >= 4.0
    assert of_title["Seven Samurai"] > of_title["Transformers"] + 1
    most_rated = set(films["title"].to_numpy()[np.argsort(-r.item_counts)[:40]])
    assert {"The Godfather", "The Matrix", "Star Wars", "Pulp Fiction", "The Shawshank Redemption"} <= most_rated


def test_cinephiles_watch_together_what_others_hardly_know(data: Dataset, films: pd.DataFrame) -> None:
    japan = films["country"].to_numpy() == "Japan"
    share = np.bincount(data.ratings.user_idx, japan[data.ratings.item_idx]) / data.ratings.user_counts
    assert np.median(share) < 0.06
    assert (share > 0.2).sum() > 0.01 * data.n_users


def test_people_have_a_group_each_and_their_groups_lean(data: Dataset) -> None:
    assert data.users is not None
    assert list(data.users.columns) == ["user_id", "age_group", "gender", "occupation"]
    assert set(data.users["age_group"]) == set(taste.AGE_GROUPS)
    assert set(data.users["gender"]) == set(taste.GENDERS)
    assert set(data.users["occupation"]) == set(taste.OCCUPATIONS)
    rows = data.users.iloc[data.ratings.user_idx].reset_index(drop=True)
    item = data.items.iloc[data.ratings.item_idx].reset_index(drop=True)
    year = item["year"].astype(int).groupby(rows["age_group"]).mean()
    assert year["18-24"] > year["35-44"] > year["55+"]
    arthouse = item["keywords"].str.contains("arthouse").groupby(rows["occupation"]).mean()
    assert arthouse["artist"] == arthouse.max()


def test_nobody_rates_a_film_before_its_year_or_two_in_one_second(data: Dataset) -> None:
    r = data.ratings
    year = pd.to_datetime(r.timestamp, unit="s").year.to_numpy()
    assert (year >= data.items["year"].to_numpy(int)[r.item_idx]).all()
    assert (year <= 2026).all()
    assert not pd.DataFrame({"user": r.user_idx, "time": r.timestamp}).duplicated().any()


def test_a_franchise_is_watched_in_order(data: Dataset) -> None:
    saga = data.items.index[data.items["keywords"].str.contains("middle-earth")]
    r = data.ratings.select(np.isin(data.ratings.item_idx, saga))
    rows = r.chronological()
    same = r.user_idx[rows][1:] == r.user_idx[rows][:-1]
    assert same.sum() > 300
    assert (np.diff(r.item_idx[rows])[same] > 0).all()  # items are sorted by year


def test_films_seen_one_after_the_other_are_kin(data: Dataset, films: pd.DataFrame) -> None:
    kinship = audience.read_catalogue(films, np.random.default_rng(0)).kinship
    r = data.ratings
    rows = r.chronological()
    item, same = r.item_idx[rows], np.diff(r.user_idx[rows]) == 0
    anywhere = np.random.default_rng(0).permutation(r.by_user[1])
    shuffled = anywhere[np.argsort(r.user_idx[anywhere], kind="stable")]
    by_chance = r.item_idx[shuffled]
    in_order = kinship[item[1:], item[:-1]][same].mean()
    assert in_order > 1.15 * kinship[by_chance[1:], by_chance[:-1]][same].mean()


def test_the_same_audience_comes_out_every_time(films: pd.DataFrame, data: Dataset) -> None:
    ratings, users = audience.simulate(films)
    assert data.users is not None
    pd.testing.assert_frame_equal(users, data.users)
    np.testing.assert_array_equal(ratings["user_id"], data.user_ids[data.ratings.user_idx])
    np.testing.assert_array_equal(ratings["item_id"], data.item_ids[data.ratings.item_idx])
    np.testing.assert_array_equal(ratings["rating"], data.ratings.rating)
    np.testing.assert_array_equal(ratings["timestamp"], data.ratings.timestamp)


# The cache


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch, fresh_home: Path) -> list[int]:
    """Simulate 60 users only, count how often, in an empty home."""
    calls: list[int] = []
    monkeypatch.setattr(audience, "N_USERS", 60)
    monkeypatch.setattr(sample, "simulate", lambda films: calls.append(1) or audience.simulate(films))
    return calls


def test_a_second_start_reads_the_cache(few: list[int], fresh_home: Path) -> None:
    first, second = sample_dataset(), sample_dataset()
    assert len(few) == 1
    assert first.fingerprint == second.fingerprint
    assert [path.suffix for path in (fresh_home / "data").iterdir()] == [".cache"]


@pytest.mark.parametrize("damage", ["empty", "truncated", "flipped bit", "another file"])
def test_a_damaged_cache_is_made_again(few: list[int], fresh_home: Path, damage: str) -> None:
    first = sample_dataset()
    (cache,) = (fresh_home / "data").iterdir()
    content = cache.read_bytes()
    flipped = bytearray(content)
    flipped[len(content) // 2] ^= 1
    damaged = {"empty": b"", "truncated": content[:-9], "flipped bit": flipped, "another file": b"PK\x03\x04" * 99}
    cache.write_bytes(bytes(damaged[damage]))
    assert sample_dataset().fingerprint == first.fingerprint
    assert len(few) == 2
    assert cache.read_bytes() == content


def test_a_change_of_the_sources_makes_a_new_cache(
    few: list[int], fresh_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sample_dataset()
    (changed := tmp_path / "taste.py").write_text("another taste", encoding="utf-8")
    monkeypatch.setattr(sample, "_SOURCES", (sample.FILMS, changed))
    sample_dataset()
    assert len(few) == 2
    assert len(list((fresh_home / "data").iterdir())) == 2


def test_a_home_that_cannot_be_written_costs_only_the_cache(
    few: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (not_a_folder := tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("RECENGINE_HOME", str(not_a_folder))
    assert sample_dataset().fingerprint == sample_dataset().fingerprint
    assert len(few) == 2


# What models make of it


@pytest.fixture(scope="module")
def learned(data: Dataset) -> tuple[Split, dict[str, Recommender]]:
    split = leave_last(data.positives(4.0))
    names = ("popularity", "item-knn", "ease", "mf")
    run = RunConfig(seed=0)
    return split, {
        name: fit_final(model_class(name), model_class(name).Config(), split.train, split.valid, run=run)
        for name in names
    }


def test_trained_models_clearly_beat_popularity(learned: tuple[Split, dict[str, Recommender]]) -> None:
    split, models = learned
    ndcg = {
        name: ranking_validator(model.score, split.fit, split.test)()["valid_ndcg@10"] for name, model in models.items()
    }
    assert 0.015 <= ndcg["popularity"] <= 0.06  # a realistic share of people do watch what everyone watches
    for name in ("item-knn", "ease", "mf"):
        assert ndcg[name] >= 1.3 * ndcg["popularity"], ndcg


def test_neighbours_make_sense_to_a_film_lover(data: Dataset, learned: tuple[Split, dict[str, Recommender]]) -> None:
    with NEIGHBOURS.open(encoding="utf-8", newline="") as stream:
        expected = [(row[0], set(row[1:])) for row in list(csv.reader(stream))[1:]]
    assert len(expected) == 20
    title, mf = data.items["title"].to_numpy(), learned[1]["mf"]
    film = 0
    for seed, neighbours in expected:
        namesakes = np.flatnonzero(title == seed)
        best_known = namesakes[data.ratings.item_counts[namesakes].argmax()]
        film += not neighbours.isdisjoint(title[mf.similar_items([best_known], k=5).items[0].numpy()])
    assert film >= 16
