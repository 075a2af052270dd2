"""Taste: two-sided, without order, with content where few have rated and a cap on series; its reasons add up."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from recengine.data.dataset import Dataset
from recengine.data.interactions import Interactions
from recengine.data.reading import Reading
from recengine.data.sources import from_frame
from recengine.data.titles import series_of
from recengine.models.item_item import likeness, taste
from recengine.models.item_item.likeness import CHANCE, SHRINK, SPREAD, Traits, likeness_by_users
from recengine.models.item_item.taste import Taste, TasteConfig
from recengine.models.metadata import RIDGE, metadata_table
from recengine.serving.explain import contributions


@pytest.fixture(scope="module")
def model(tiny: Dataset) -> Taste:
    return Taste(TasteConfig(content_weight=0.3)).fit(tiny.ratings, items=tiny.items)


def history(*ratings: tuple[int, float]) -> Interactions:
    items, values = zip(*ratings, strict=True) if ratings else ((), ())
    return Interactions.from_pairs([0] * len(ratings), items, rating=values, n_users=1, n_items=40)


rated = st.lists(
    st.tuples(st.integers(0, 39), st.sampled_from([1.0, 2.0, 3.0, 4.0, 5.0])),
    max_size=15,
    unique_by=lambda row: row[0],
)


@given(ratings=rated, seed=st.integers(0, 9))
@settings(max_examples=40, deadline=None)
def test_reasons_add_up_and_the_order_of_the_ratings_does_not_matter(model, ratings, seed) -> None:
    rows = history(*ratings)
    parts = model.explain(rows, np.arange(40))
    scores = model.score_history(rows)[0]
    assert parts.sum(1).numpy() == pytest.approx((scores - model.score_history(history())[0]).numpy(), abs=1e-5)
    shuffled = rows.select(np.random.default_rng(seed).permutation(len(rows)))
    assert torch.allclose(model.score_history(shuffled)[0], scores, atol=1e-6)


@pytest.mark.parametrize("stars", [1.0, 5.0])
def test_reasons_add_up_where_what_the_ratings_share_cancels_out(model, stars: float) -> None:
    """One film of each of the four genres: what they have in common is nothing but errors of rounding."""
    rows = history((1, stars), (15, stars), (28, stars), (34, stars))
    parts, none = model.explain(rows, np.arange(40)), model.score_history(history())[0]
    assert parts.sum(1).numpy() == pytest.approx((model.score_history(rows)[0] - none).numpy(), abs=1e-5)
    assert parts.abs().max() < 100


def test_what_speaks_against_an_item_is_negative(model, tiny: Dataset) -> None:
    rows = history((0, 5.0), (4, 1.0))
    target = 8  # of the same genre as both
    for_it, against = (part.amount for part in contributions(model, rows, target, new_user=True))
    assert for_it > 0 > against
    assert [part.rating for part in contributions(model, rows, target, new_user=True)] == [5, 1]


def test_the_score_is_the_sum_that_the_class_states(tiny: Dataset) -> None:
    config = TasteConfig(
        damping=0.2, dislike_weight=0.7, genre_weight=0.4, content_weight=0.0, quality_weight=0.0, fame_weight=0.0
    )
    model = Taste(config).fit(tiny.ratings, items=tiny.items)
    liked = tiny.ratings.at_least(4)  # three quarters of the scale of 1 to 5
    x = np.zeros((60, 40))
    x[liked.user_idx, liked.item_idx] = 1
    inverse = np.linalg.inv(x.T @ x + config.l2 * np.eye(40))
    b = inverse / -np.diag(inverse)
    np.fill_diagonal(b, 0)
    genres = (tiny.items["genres"].to_numpy()[:, None] == tiny.items["genres"].to_numpy()).astype(float)
    likes, dislikes = [1, 6, 10], [0, 3]
    together = b[likes].sum(0) / (x.sum(0) + 1) ** 0.2
    near = (np.maximum(b[dislikes], 0) / np.maximum(b[dislikes].max(1, keepdims=True), 0.02)) ** 2
    shared = genres[likes].mean(0) - config.shared_dislike * genres[dislikes].mean(0)
    expected = together / max(together.max(), 0.02) - 0.7 * near.sum(0) + 0.4 * shared * np.abs(shared).max() ** 2
    rows = history(*[(i, 5.0) for i in likes], *[(i, 2.0) for i in dislikes], (20, 3.0))
    assert model.score_history(rows)[0].numpy() == pytest.approx(expected, abs=1e-4)


def test_at_most_two_films_of_a_series_stand_at_their_full_score(tiny: Dataset) -> None:
    titles = [f"Rocky {'I' * (i + 1)}" if i < 3 else f"Lonely film called {'q' * (i + 1)}" for i in range(39)] + [
        "Rocky (1976)"
    ]
    model = Taste().fit(tiny.ratings, items=tiny.items.assign(title=titles))
    scores = torch.arange(40.0)[None] / 100
    scores[0, 0] = -torch.inf  # hidden: it does not count
    arranged = model.arrange(scores.clone())[0]
    assert (arranged != scores[0]).nonzero()[:, 0].tolist() == [1]
    assert arranged[1] < scores[0, 2:].min()
    free = Taste(TasteConfig(series_cap=0)).fit(tiny.ratings, items=tiny.items.assign(title=titles))
    assert torch.equal(free.arrange(scores.clone()), scores)


def test_likes_alone_and_no_item_table_are_enough(tiny: Dataset) -> None:
    liked = tiny.ratings.at_least(4)
    implicit = dataclasses.replace(liked, rating=np.ones(len(liked), np.float32))
    for items in (None, tiny.items.assign(genres=""), pd.DataFrame({"item_id": tiny.item_ids})):
        model = Taste().fit(implicit, items=items)
        top = model.top_k(np.arange(60), k=5, seen=implicit)
        assert not top.scores.isnan().any()
        popular = np.argsort(-implicit.item_counts)[:5]
        assert any(set(row) != set(popular.tolist()) for row in top.items.tolist())


def test_an_item_that_nobody_rated_is_listed_for_what_it_is_and_its_reasons_add_up(tiny: Dataset) -> None:
    fresh = 8  # of the genre of items 0, 4, 12, 16, ...
    rows = tiny.ratings.select(tiny.ratings.item_idx != fresh)
    model = Taste(TasteConfig(genre_weight=0, content_weight=0)).fit(rows, items=tiny.items)
    likes = history((0, 5.0), (4, 5.0), (12, 4.0), (1, 1.0))
    scores = model.score_history(likes)[0]
    others = [item for item in range(40) if item not in (0, 4, 12, 1)]
    assert (scores[others] > scores[fresh]).sum() < 10  # among the first ten
    parts = model.explain(likes, [fresh])
    assert parts.sum().item() == pytest.approx(
        (scores[fresh] - model.score_history(history())[0, fresh]).item(), abs=1e-6
    )
    assert (parts[0, :3] > 0).all()


def test_content_is_the_ridge_regression_of_likes_on_traits(tiny: Dataset) -> None:
    """The products of the vectors are f_h (F'F + l2 I)^-1 f_i, with the traits F about their mean over rated items."""
    rated = torch.arange(40) != 8
    content = Traits.of(tiny.items, 40, rated).content.double().numpy()
    traits = metadata_table(tiny.items, ("genres", "year"), 40).double().numpy()
    traits -= traits[rated.numpy()].mean(0)
    inverse = np.linalg.inv(traits[rated.numpy()].T @ traits[rated.numpy()] + RIDGE * np.eye(traits.shape[1]))
    assert content @ content.T == pytest.approx(traits @ inverse @ traits.T, abs=1e-6)


def test_no_event_is_a_dislike_however_little_it_weighs() -> None:
    """A purchase weighs 5 and a view 1: who viewed an item is no enemy of it."""
    rng = np.random.default_rng(0)
    events = pd.DataFrame({"user": rng.integers(0, 30, 400), "item": rng.integers(0, 20, 400)}).drop_duplicates()
    events["rating"] = rng.choice([1.0, 5.0], len(events))
    data = from_frame(events, name="shop", reading=Reading.of_texts({"feedback": "implicit"}))
    assert data.ratings.implicit
    assert data.positives(0).select(slice(5)).implicit
    model = Taste().fit(data.ratings, items=data.items)
    assert model.counts.tolist() == data.ratings.item_counts.tolist()
    viewed = Interactions.from_pairs([0] * 4, [1, 2, 3, 4], rating=[0.2, 1.0, 1.0, 5.0], n_users=1, n_items=20)
    assert not model.evidence(viewed).dislike.any()
    assert model.evidence(viewed).like.all()


def test_an_item_that_few_like_is_similar_to_what_it_shares_and_one_that_many_like_to_what_they_like() -> None:
    n = 600
    user = np.concatenate([np.arange(n), np.arange(n), [0, 1], np.arange(n)])
    item = np.concatenate([np.zeros(n), np.ones(n), [2, 2], np.full(n, 4)]).astype(int)
    rating = np.concatenate([np.full(2 * n + 2, 5.0), np.ones(n)])
    rows = Interactions.from_pairs(user, item, rating=rating, n_users=n, n_items=5)
    items = pd.DataFrame({"genres": ["Drama", "War", "Western", "Western", "Drama"]})
    model = Taste().fit(rows, items=items)
    assert model.similar_items([0], k=1).items.tolist() == [[1]]  # all who like one like the other
    assert model.similar_items([2], k=1).items.tolist() == [[3]]  # two users say little: the genre speaks
    similarity = model.item_similarity(torch.arange(5))
    assert bool((similarity <= 1.0001).all())


@pytest.mark.parametrize(
    "series",
    [
        ["Star Wars: Episode IV - A New Hope (1977)", "Star Wars: Episode V - The Empire Strikes Back (1980)"],
        ["Rocky (1976)", "Rocky III (1982)", "Rocky V (1990)"],
        ["Shrek (2001)", "Shrek 2 (2004)", "Shrek the Third (2007)"],
        ["Godfather, The (1972)", "Godfather: Part II, The (1974)"],
        ["Terminator, The (1984)", "Terminator 2: Judgment Day (1991)"],
        ["Harry Potter and the Goblet of Fire (2005)", "Harry Potter and the Chamber of Secrets (2002)"],
        ["Back to the Future (1985)", "Back to the Future Part II (1989)"],
        ["Kill Bill: Vol. 1 (2003)", "Kill Bill: Vol. 2 (2004)"],
        ["Ocean's Eleven (2001)", "Ocean's Twelve (2004)", "Ocean's Thirteen (2007)"],
        ["Jurassic Park (1993)", "Jurassic Park III (2001)"],
        ["Fast & Furious (2009)", "Fast & Furious 6 (2013)"],
        ["Ringu (1998)", "Ringu 0: Bâsudei (2000)"],
        ["District 13 (2004)", "District 13: Ultimatum (2009)"],
        ["Blade Runner (1982)", "Blade Runner 2049 (2017)"],
        ["Fantasia (1940)", "Fantasia 2000 (1999)"],
    ],
)
def test_films_of_a_series_have_one_number(series: list[str]) -> None:
    numbers = series_of([*series, "Apollo 13 (1995)", "Heat (1995)", "2001: A Space Odyssey (1968)"])
    assert len(set(numbers[: len(series)].tolist())) == 1
    assert numbers[0] >= 0
    assert (numbers[len(series) :] == -1).all()


@pytest.mark.parametrize(
    ("series", "stranger"),
    [
        (["Mission: Impossible (1996)", "Mission: Impossible II (2000)"], "Mission, The (1986)"),
        (["Alien (1979)", "Alien: Covenant (2017)"], "Aliens in the Attic (2009)"),
        (["Hobbit: The Desolation of Smaug, The (2013)", "Hobbit: An Unexpected Journey, The (2012)"], "Hobbit (1985)"),
    ],
)
def test_a_title_that_only_sounds_like_a_series_is_none_of_it(series: list[str], stranger: str) -> None:
    first, second, other = series_of([*series, stranger]).tolist()
    assert first == second >= 0
    assert other == -1


def test_other_titles_tell_of_a_series_too() -> None:
    titles = ["Mad Max", "The Road Warrior", "Mad Max: Fury Road", "Léon: The Professional", "The Professional", "MIB"]
    others = ["", "Mad Max 2", "", "The Professional|Léon", "Le professionnel", ""]
    first, second, third, *rest = series_of(titles, others).tolist()
    assert first == second == third >= 0
    assert rest == [-1, -1, -1]


@pytest.mark.parametrize(
    "titles",
    [
        ["Apollo 11 (2019)", "Apollo 13 (1995)", "Apollo 18 (2011)"],
        ["District 13 (2004)", "District 9 (2009)"],
        ["Big One, The (1997)", "Big (1988)"],
        ["Game 6 (2005)", "Game, The (1997)"],
        ["K-9 (1989)", "K-19: The Widowmaker (2002)"],
        ["Super 8 (2011)", "Super (2010)"],
        ["Henry V (1989)", "Henry: Portrait of a Serial Killer (1986)"],
        ["Class of 1984 (1982)", "Class of 1999 (1990)", "1984 (1956)"],
        ["Film " + "9" * 5_000, "Film " + "²" * 600, "Film"],  # more digits than Python reads
    ],
)
def test_a_number_in_a_name_counts_no_parts(titles: list[str]) -> None:
    assert (series_of(titles) == -1).all()


def test_who_likes_films_from_abroad_is_listed_more_of_them() -> None:
    """Nobody in training tells them apart; the titles and the genres do."""
    rng = np.random.default_rng(0)
    user, item = np.nonzero(rng.random((60, 12)) < 0.4)
    rows = Interactions.from_pairs(user, item, rating=np.full(len(user), 4.0), n_users=60, n_items=12)
    rows = rows.concat(Interactions.from_pairs([0], [1], rating=[1.0], n_users=60, n_items=12))
    words = ["", "Huset", "Trappan", "Dörren", "Bordet", "Stolen"] + [""] * 6
    items = pd.DataFrame(
        {
            "title": [f"Film {i + 60}" for i in range(12)],
            "other_title": words,
            "genres": ["Drama", "Drama", "Drama", "Drama", "War", "War"] + ["Drama", "War"] * 3,
        }
    )
    model, plain = (Taste(TasteConfig(abroad_weight=weight)).fit(rows, items=items) for weight in (5.0, 0.0))

    def gain(*ratings: tuple[int, float]) -> np.ndarray:
        given = Interactions.from_pairs(
            [0] * len(ratings), [i for i, _ in ratings], rating=[r for _, r in ratings], n_users=1, n_items=12
        )
        return (model.score_history(given) - plain.score_history(given))[0].numpy()

    keen = gain((1, 4.0), (2, 4.0))
    assert keen[3] == pytest.approx(5, abs=1e-4)  # likes all from abroad and of its genre: the whole weight
    assert keen[4] == pytest.approx(2.5, abs=1e-4)  # from abroad, of another genre: half of it
    assert keen[[0, 6, 7, 8, 9, 10, 11]] == pytest.approx(0, abs=1e-5)
    assert gain((1, 4.0), (0, 4.0))[3] == pytest.approx(5 / 8, abs=1e-4)  # half of the likes: an eighth
    assert gain((0, 4.0), (3, 1.0))[2] < 0


def test_numbered_names_are_no_series() -> None:
    assert (series_of([f"Film {i}" for i in range(1, 40)]) == -1).all()


def test_the_penalty_grows_with_the_likes_up_to_a_limit(tiny: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    def weights(likes: float) -> torch.Tensor:
        monkeypatch.setattr(taste, "LIKES_OF_L2", likes)
        return Taste().fit(tiny.ratings, items=tiny.items).weights

    usual, more, most = weights(1e6), weights(100.0), weights(1.0)
    assert usual.abs().sum() > more.abs().sum() > most.abs().sum()
    assert torch.equal(weights(0.1), most)


def test_some_users_of_a_popular_item_stand_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    fond = rng.random((3000, 1)) < 0.5
    rated = rng.random((3000, 12)) < np.where(fond == (np.arange(12) < 6), 0.8, 0.2)
    users, items = rated.nonzero()
    rating = rng.integers(1, 6, len(users))
    rows = Interactions.from_pairs(users, items, rating=rating, n_users=3000, n_items=12)
    liked = torch.from_numpy(rows.at_least(4).item_counts.astype(np.float32))
    seeds = torch.arange(12)
    table = np.zeros((3000, 12))
    table[users, items] = rating
    cosines = []
    for chosen in (table > 0, table >= 4):
        both, n = chosen.T.astype(float) @ chosen, chosen.sum(0)
        expected = (both - CHANCE * np.outer(n, n) / 3000) / (np.sqrt(np.outer(n, n)) + SHRINK)
        cosines.append(np.clip(expected, 0, None))
    exact = (sum(cosines) / 2) ** SPREAD
    assert np.allclose(likeness_by_users(rows, 4, liked, seeds), exact, atol=1e-5)
    monkeypatch.setattr(likeness, "MOST_USERS", 400)
    some = likeness_by_users(rows, 4, liked, seeds).numpy()
    assert not np.allclose(some, exact, atol=1e-5)
    assert np.abs(some - exact).max() < 0.1
