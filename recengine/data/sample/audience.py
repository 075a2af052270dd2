"""The taste model behind `sample`: how a simulated audience comes to know, watch and rate real films.

1. A film is a bundle of tags (`recengine.data.sample.taste`). Two films are kin by the cosine of their tags, rare ones
   counting for more, and by the circles of fans to which both belong.
2. Fame, how likely any user is to have seen a film, and quality follow from two classes of 1 to 5 in films.csv, written
   down by hand from what is commonly known: `fame`, and `stature`, a film's standing among critics and the public.
3. One user in five is a cinephile: what they love and watch follows stature more than fame, and reaches far back.
4. A user loves a handful of films, drawn by fame and stature, by what their age, gender and occupation lean to and by
   the films of their youth; the first love colours the others. One of its tags, a genre, an era, a country or a
   director, becomes a passion. A user's taste for any film is its kinship to what they love: so users who share a
   love share a circle. Most users also have a genre that they avoid, and rate low when they see it after all.
5. Users rate what they have seen: drawn by fame (some care for it more than others), by stature, by taste and passion,
   by their will to go on with a franchise or director, and by chance.
6. A rating is the film's quality, the user's strictness, their taste and noise, on half stars, the whole ones
   preferred by most.
7. Taste drifts: each love has its season, and the films of a franchise or director tend to be watched together, in
   their order. So a history's order carries information. No user rates a film before July of its year.

Everything is drawn from one PCG64 generator with a fixed seed. What matrix products add up are multiples of 2**-12 or
2**-24, exact in float64 in any order, so no draw depends on the machine's linear algebra. (Logarithms may differ in
the last bit from machine to machine; a draw would have to be that close to a tie to turn out differently.)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recengine.data.sample import taste

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Rng = np.random.Generator

SEED = 0
N_USERS = 2_000
N_LOVES = 6
LEAST_RATINGS, MOST_RATINGS = 20, 500

TAG_WEIGHT = {"genre": 0.7, "keyword": 1.0, "director": 1.5, "era": 1.0, "country": 1.0}
MOST_RARITY = 6.5  # bits: a tag that two films share may count for no more than one that a dozen share
CIRCLE_SHARE = 0.32  # of kinship; the rest is shared tags
LOVE_OF_KIN = 8.0  # how much the first love draws its kin
PULL_OF_FAME, PULL_OF_TASTE, PULL_OF_GROUP = 1.0, 6.0, 0.5  # on what is seen
CINEPHILES = 0.25  # share of the users
PASSIONS, AVERSION = (2.4, 1.6), 1.5  # on what is loved and seen
HALF_LIKING = 0.6  # kinship to all loves that moves a rating by half of what it can
STARS_OF_AVERSION = 0.8  # that a film of the avoided genre loses
GOING_ON = 1.4  # spread of a user's will to go on with a franchise or director, on what is seen
MEAN_STARS, STARS_FOR_TASTE, STAR_NOISE = 3.61, 2.6, 0.75
SEASON, TOGETHER = 0.50, 0.30  # shares of a love's season, and of a franchise's, in when a film is watched

DAY, YEAR = 86_400, 31_556_952
FIRST_START, LAST_MOMENT = 49 * YEAR, 56 * YEAR + YEAR // 2  # January 2019 to June 2026


class Catalogue(NamedTuple):
    """What the model makes of n films."""

    tags: list[str]
    kinds: list[str]  # of each tag: "genre", "keyword", "director", "era" or "country"
    has: Floats  # (n, n_tags) 1 where the film has the tag
    kinship: Floats  # (n, n) in [0, 1]
    fame: Floats  # (n,) in logits
    stature: Floats  # (n,) from 1 to 5
    quality: Floats  # (n,) in stars
    year: Ints  # (n,)
    series: Ints  # (n,) films of one franchise, else of one director, share a number


class Audience(NamedTuple):
    """The users: positions in the tables of `taste`, times of their first rating and to their last, and their taste."""

    age: Ints
    gender: Ints
    occupation: Ints
    start: Ints  # (U,) seconds since 1970
    span: Ints  # (U,) seconds
    released: Floats  # (U, n) July of each film's year as a position in each user's time, 0 its start, 1 its end
    discernment: Floats  # (U,) from 0 to 1: how much stature counts, and fame does not
    leaning: Floats  # (U, n) what their group and their youth draw them to, in logits
    passion: Floats  # (U, n) what their passion adds and their aversion takes, in logits
    avoids: NDArray[np.bool_]  # (U, n) films of the genre that they avoid
    taste: Floats  # (U, n) kinship to all that they love, added up
    dearest: NDArray[np.int8]  # (U, n) which love each film is nearest to


def simulate(films: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return (ratings, users) of the audience of `films`, whose columns are those of films.csv.

    ratings : user_id, item_id, rating, timestamp, by user and time
    users   : user_id, age_group, gender, occupation
    """
    rng = np.random.Generator(np.random.PCG64(SEED))
    catalogue = read_catalogue(films, rng)
    audience = draw_audience(catalogue, rng)
    user, film = choose_films(catalogue, audience, rng)
    stars = rate(catalogue, audience, user, film, rng)
    stamp = date(catalogue, audience, user, film, rng)
    ratings = pd.DataFrame(
        {"user_id": user + 1, "item_id": films["item_id"].to_numpy()[film], "rating": stars, "timestamp": stamp}
    )
    users = pd.DataFrame(
        {
            "user_id": np.arange(N_USERS) + 1,
            "age_group": np.array(list(taste.AGE_GROUPS))[audience.age],
            "gender": np.array(list(taste.GENDERS))[audience.gender],
            "occupation": np.array(list(taste.OCCUPATIONS))[audience.occupation],
        }
    )
    return ratings.iloc[np.lexsort((stamp, user))].reset_index(drop=True), users


def read_catalogue(films: pd.DataFrame, rng: Rng) -> Catalogue:
    """Return tags, kinship, fame and quality of the films."""
    n, year = len(films), films["year"].to_numpy(np.int64)
    kinds: dict[str, list[list[str]]] = {
        "genre": [text.split("|") for text in films["genres"]],
        "keyword": [text.split("|") for text in films["keywords"]],
        "director": [text.split(" & ") for text in films["director"]],
        "era": [
            [f"{y // 10 * 10}s", f"{country} {_epoch(y)}"]
            for y, country in zip(year.tolist(), films["country"], strict=True)
        ],
        "country": [[name] for name in films["country"]],
    }
    kind_of = {tag: kind for kind, lists in kinds.items() for row in lists for tag in row}
    tags = sorted(kind_of)
    index_of = {tag: i for i, tag in enumerate(tags)}
    has = np.zeros((n, len(tags)))
    for lists in kinds.values():
        for film, row in enumerate(lists):
            has[film, [index_of[tag] for tag in row]] = 1.0
    count = has.sum(0)
    franchise, faint = set(_words(taste.FRANCHISES)), set(_words(taste.FAINT))
    weight = np.minimum(np.log2(n / count), MOST_RARITY) * [TAG_WEIGHT[kind_of[tag]] for tag in tags]
    weight *= [1.6 if tag in franchise else 0.25 if tag in faint else 1.0 for tag in tags]
    weight[count < 2] = 0.0

    circles = np.column_stack([_membership(has, index_of, _words(line)) for line in taste.CIRCLES.strip().split("\n")])
    shared = (1 - CIRCLE_SHARE) * _cosine(has * weight) + CIRCLE_SHARE * _cosine(circles)
    kinship = _exact(shared * np.sqrt(np.sqrt(shared)))  # power 1.25: near kin stand out

    stature = films["stature"].to_numpy(np.float64)
    fame = 0.2 * rng.standard_normal(n) + np.array(taste.FAME_OF_CLASS)[films["fame"].to_numpy() - 1]
    quality = 0.12 * rng.standard_normal(n) + np.array(taste.STARS_OF_STATURE)[films["stature"].to_numpy() - 1]

    series = len(tags) + np.arange(n)
    in_series = [t for t in tags if kind_of[t] == "director"] + [t for t in tags if t in franchise]
    for tag in in_series:
        series[has[:, index_of[tag]] > 0] = index_of[tag]
    number = np.unique(series, return_inverse=True)[1]
    return Catalogue(tags, [kind_of[tag] for tag in tags], has, kinship, fame, stature, quality, year, number)


def draw_audience(films: Catalogue, rng: Rng) -> Audience:
    """Return the users, each with a group, a time in which they rate, and a taste."""
    n = N_USERS
    age = _pick(np.array([list(taste.AGE_GROUPS.values())]), np.zeros(n, int), rng)
    gender = _pick(np.array([list(taste.GENDERS.values())]), np.zeros(n, int), rng)
    occupation = _pick(np.array(list(taste.OCCUPATIONS.values())).T, age, rng)
    start = (FIRST_START + np.sqrt(rng.random(n)) * (LAST_MOMENT - 30 * DAY - FIRST_START)).astype(np.int64)
    span = np.minimum(DAY * np.exp(3.5 + 1.8 * rng.standard_normal(n)), LAST_MOMENT - start - DAY).astype(np.int64)

    index_of = {tag: i for i, tag in enumerate(films.tags)}
    leaning = np.zeros((n, len(films.year)))
    for names, group in ((taste.AGE_GROUPS, age), (taste.GENDERS, gender), (taste.OCCUPATIONS, occupation)):
        leaning += np.array([_weighted(films.has, index_of, taste.LEANINGS[name]) for name in names])[group]
    youth = np.array(list(taste.FORMATIVE_YEAR.values()))[age] + 8 * rng.standard_normal(n)
    leaning += 0.9 / (1 + ((films.year - youth[:, None]) / 14) ** 2)

    everyone = np.arange(n)
    discernment = 0.3 * rng.random(n)
    cinephile = rng.random(n) < CINEPHILES
    discernment[cinephile] = 0.6 + 0.4 * rng.random(int(cinephile.sum()))
    likely = (0.6 - 0.5 * discernment[:, None]) * films.fame + leaning
    likely += (0.2 + discernment[:, None]) * (films.stature - 3.5)
    released = _released(films, start, span)
    likely[released >= 1] = -np.inf
    loves = np.empty((n, N_LOVES), np.int64)
    loves[:, 0] = (likely + _gumbel(rng, likely.shape)).argmax(1)
    avoided = _draw_aversions(films, loves[:, 0], rng)
    with_tag = np.ascontiguousarray(films.has.T)
    avoids = (with_tag[avoided] > 0) & (avoided >= 0)[:, None]
    passion: Floats = np.where(avoids, -AVERSION, 0.0)
    for pull in PASSIONS:
        passion += pull * with_tag[_draw_passions(films, loves[:, 0], discernment, rng)]
    likely += LOVE_OF_KIN * films.kinship[loves[:, 0]] + passion + _gumbel(rng, likely.shape)
    likely[everyone, loves[:, 0]] = -np.inf
    for j in range(1, N_LOVES):
        loves[:, j] = likely.argmax(1)
        likely[everyone, loves[:, j]] = -np.inf

    strength = _exact(np.linspace(1.0, 0.5, N_LOVES) * (0.6 + 0.8 * rng.random((n, N_LOVES))))
    total, nearest = np.zeros(leaning.shape), np.zeros(leaning.shape)
    dearest = np.zeros(leaning.shape, np.int8)
    for j in range(N_LOVES):
        kin = strength[:, j, None] * films.kinship[loves[:, j]]
        total += kin
        dearest[kin > nearest] = j
        np.maximum(nearest, kin, out=nearest)
    who = (age, gender, occupation, start, span, released)
    return Audience(*who, discernment, leaning, passion, avoids, total, dearest)


def _draw_passions(films: Catalogue, love: Ints, discernment: Floats, rng: Rng) -> Ints:
    """Return (U,) a tag of each user's first love, of a kind that cinephiles and others favour in different shares."""
    kinds = list(taste.PASSIONS)
    shares = np.array(list(taste.PASSIONS.values())).T[(discernment > 0.5).astype(int)]
    kind = [kinds[i] for i in _pick(shares, np.arange(len(love)), rng)]
    which = {name: np.array(films.kinds) == name for name in kinds}
    drawn = np.empty(len(love), np.int64)
    for user, at in enumerate(rng.random(len(love))):
        tags = np.flatnonzero((films.has[love[user]] > 0) & which[kind[user]])
        drawn[user] = tags[int(at * len(tags))]
    return drawn


def _draw_aversions(films: Catalogue, love: Ints, rng: Rng) -> Ints:
    """Return (U,) the genre that each user avoids, never one of their first love, or -1."""
    genres = np.array([films.tags.index(name) for name in taste.AVERSIONS])
    drawn = genres[_pick(np.array([list(taste.AVERSIONS.values())]), np.zeros(len(love), int), rng)]
    avoids = (rng.random(len(love)) < taste.HAVE_AN_AVERSION) & (films.has[love, drawn] == 0)
    return np.where(avoids, drawn, -1)


def choose_films(films: Catalogue, audience: Audience, rng: Rng) -> tuple[Ints, Ints]:
    """Return who has seen what, as aligned (user, film): the likeliest of each user's draws."""
    n = N_USERS
    many = LEAST_RATINGS + np.floor(np.exp(3.36 + 1.15 * rng.standard_normal(n)))
    size = np.minimum(many, MOST_RATINGS).astype(np.int64)
    keen = PULL_OF_FAME - 0.5 * audience.discernment + 0.2 * rng.standard_normal(n)
    want = keen[:, None] * films.fame + PULL_OF_TASTE * audience.taste + PULL_OF_GROUP * audience.leaning
    want -= 0.8 * PULL_OF_TASTE * audience.taste.mean(0)  # a film that is kin to many is not seen by all the more
    want += audience.passion + (0.2 + 0.8 * audience.discernment[:, None]) * (films.stature - 3.5)
    want += GOING_ON * rng.standard_normal((n, int(films.series.max()) + 1))[:, films.series]
    want += _gumbel(rng, want.shape)
    want[audience.released >= 1] = -np.inf
    order = np.argsort(-want, axis=1, kind="stable")
    user = np.repeat(np.arange(n), size)
    return user, order[user, _ranks(size)]


def rate(films: Catalogue, audience: Audience, user: Ints, film: Ints, rng: Rng) -> Floats:
    """Return the stars of each (user, film): 0.5 to 5 in halves."""
    strictness = 0.35 * rng.standard_normal(N_USERS)
    stars = MEAN_STARS + strictness[user] + films.quality[film] + STAR_NOISE * rng.standard_normal(len(user))
    n = len(films.year)
    liking = audience.taste[user, film]
    liking = liking / (liking + HALF_LIKING)
    usual = np.bincount(film, liking, n) / np.maximum(np.bincount(film, minlength=n), 1)
    stars += STARS_FOR_TASTE * (liking - usual[film])  # so that its mean is its quality
    stars -= STARS_OF_AVERSION * audience.avoids[user, film]
    likes_whole = 0.1 + 0.6 * rng.random(N_USERS)
    whole = rng.random(len(user)) < likes_whole[user]
    return np.clip(np.where(whole, np.round(stars), np.round(2 * stars) / 2), 0.5, 5.0)


def date(films: Catalogue, audience: Audience, user: Ints, film: Ints, rng: Rng) -> Ints:
    """Return when each (user, film) was rated, no two of a user in the same second."""
    season = rng.random((N_USERS, N_LOVES))
    together = rng.random((N_USERS, int(films.series.max()) + 1))
    series = films.series[film]
    moment = SEASON * season[user, audience.dearest[user, film]] + TOGETHER * together[user, series]
    moment += (1 - SEASON - TOGETHER) * rng.random(len(user))
    in_order = np.lexsort((film, films.year[film], series, user))
    moment[in_order] = moment[np.lexsort((moment, series, user))]  # a series is watched in its order
    moment = np.maximum(moment, audience.released[user, film])

    # Users sit down now and then and rate several films in a row, after having seen the last of them.
    by_time = np.lexsort((moment, user))
    size = np.bincount(user, minlength=N_USERS)
    rank = _ranks(size)
    sitting = np.floor(4 + 16 * rng.random(N_USERS)).astype(np.int64)[user]  # `user` is ascending, so is by_time's
    last = np.minimum(rank - rank % sitting + sitting, size[user]) - 1
    first_row = np.repeat(np.cumsum(size) - size, size)
    seconds = (moment[by_time][first_row + last] * audience.span[user]).astype(np.int64) + rank % sitting * 45
    seconds += (40 * rng.random(len(user))).astype(np.int64)
    apart = user * 2**33 + seconds - rank  # one running maximum for all users, at least a second apart
    stamp = np.empty(len(user), np.int64)
    stamp[by_time] = np.maximum.accumulate(apart) - user * 2**33 + rank + audience.start[user]
    return stamp


def _released(films: Catalogue, start: Ints, span: Ints) -> Floats:
    """Return (U, n) when each film came out, see `Audience`."""
    july = (films.year - 1970) * YEAR + YEAR // 2
    return (july - start[:, None]) / span[:, None]


def _epoch(year: int) -> str:
    """Return the latest epoch of film-making that began by the year."""
    return [name for name, first in taste.EPOCHS.items() if first <= year][-1]


def _membership(has: Floats, index_of: dict[str, int], tags: Sequence[str]) -> Floats:
    """Return (n,) how much each film belongs to a circle: hardly with one of its tags, wholly with three.

    A director (a tag in title case that is no genre) counts for two keywords, a genre for a little more than half.
    """
    genres = _words(taste.GENRES)
    worth = {tag: 0.6 if tag in genres else 2.0 if tag.istitle() else 1.0 for tag in tags}
    return np.interp(_weighted(has, index_of, worth), [0, 1, 2, 3], [0, 0.15, 0.8, 1.0])


def _weighted(has: Floats, index_of: dict[str, int], weight: dict[str, float]) -> Floats:
    """Return (n,) the summed weights of each film's tags."""
    return _exact(has[:, [index_of[tag] for tag in weight]] @ np.array(list(weight.values())))


def _cosine(rows: Floats) -> Floats:
    """Return (n, n) cosines of the rows, exact sums of rounded products; short rows count as of length 0.5."""
    length = np.sqrt((rows * rows).sum(1, keepdims=True))
    unit = _exact(rows / np.maximum(length, 0.5))
    return np.minimum(unit @ unit.T, 1.0)


def _exact(values: Floats) -> Floats:
    """Return the values as multiples of 2**-12."""
    return np.round(values * 4096) / 4096


def _pick(shares: Floats, group: Ints, rng: Rng) -> Ints:
    """Return one column per user, drawn by the shares of their group's row."""
    bounds = np.cumsum(shares, axis=1)
    drawn = rng.random(len(group)) * bounds[group, -1]
    return (drawn[:, None] >= bounds[group]).sum(1)


def _ranks(sizes: Ints) -> Ints:
    """Return 0, 1, ..., size - 1 for each size, one after the other."""
    return np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes)


def _gumbel(rng: Rng, shape: tuple[int, ...]) -> Floats:
    """Return Gumbel noise: the largest of logits plus it is a draw from their softmax."""
    noise = np.maximum(rng.random(shape), 1e-300)
    for _ in range(2):  # -log(-log(u)), in place
        np.negative(np.log(noise, out=noise), out=noise)
    return noise


def _words(text: str, mark: str = ",") -> list[str]:
    return [word for part in text.split(mark) if (word := " ".join(part.split()))]
