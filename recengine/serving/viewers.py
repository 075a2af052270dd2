"""What the data says of a user: a profile line, what they liked, and a few personas to start from."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recengine.data.dataset import Dataset
from recengine.export import counted

GENRE_PERSONAS = {
    "Sci-Fi": "Sci-fi fan",
    "Horror": "Horror fan",
    "Romance": "Romance fan",
    "Animation": "Animation fan",
    "Western": "Western fan",
    "Film-Noir": "Film noir fan",
    "Musical": "Musical fan",
    "Documentary": "Documentary fan",
    "War": "War film fan",
    "Comedy": "Comedy fan",
    "Action": "Action fan",
    "Children": "Family film fan",
    "Fantasy": "Fantasy fan",
    "Thriller": "Thriller fan",
    "Crime": "Crime fan",
    "Drama": "Drama fan",
}
"""Genre -> title of its persona, in order of preference: the first five genres with a strong fan are shown."""

MOST_LIKED, MOST_DISLIKED = 8, 4
"""Items of a sitting."""
_MIN_LIKED = 15
"""Liked items a user needs before their preference for a genre means something."""
_MIN_Z_SCORE = 3


class Persona(NamedTuple):
    """A user worth looking at, and why in a few words."""

    title: str
    user_idx: int
    why: str


class History(NamedTuple):
    """All ratings of a user, best first and among equals the latest first."""

    items: NDArray[np.int64]
    ratings: NDArray[np.float64]
    timestamps: NDArray[np.int64]


def history_of(dataset: Dataset, user_idx: int) -> History:
    """Return all that a user rated."""
    _, rows = dataset.ratings.rows_of([user_idx])
    r = dataset.ratings
    rows = rows[np.lexsort((-r.timestamp[rows], -r.rating[rows]))]
    return History(r.item_idx[rows].astype(np.int64), r.rating[rows].astype(np.float64), r.timestamp[rows])


def sitting_of(dataset: Dataset, user_idx: int) -> History:
    """Return what a user might rate in one sitting: what they liked most, then what they disliked most.

    A dislike lies below the middle of the rating scale; a user may have none.
    """
    past = history_of(dataset, user_idx)
    disliked = np.flatnonzero(past.ratings < sum(dataset.rating_range) / 2)[::-1][:MOST_DISLIKED]
    rows = np.unique(np.concatenate([np.arange(len(past.items))[:MOST_LIKED], disliked[::-1]]))
    return History(past.items[rows], past.ratings[rows], past.timestamps[rows])


def profile(dataset: Dataset, user_idx: int) -> str:
    """Return age, gender and occupation of a user as far as they are known, joined by a dot."""
    if dataset.users is None:
        return ""
    row = dataset.users.iloc[user_idx]
    parts = []
    for column in ("age_group", "age", "gender", "occupation"):
        value = row.get(column)
        if value is None or pd.isna(value) or not str(value).strip():
            continue
        text = str(value).replace("-", "–") if column in ("age", "age_group") else str(value)
        parts.append({"F": "woman", "M": "man"}.get(text, text) if column == "gender" else text)
    return " · ".join(parts)


def genre_names(dataset: Dataset) -> list[str]:
    """Return the genres of the data set in alphabetical order."""
    return sorted({name for text in dataset.items["genres"].unique() for name in text.split("|") if name})


def has_genre(dataset: Dataset, genre: str) -> NDArray[np.bool_]:
    """Return which items have the genre, (n_items,)."""
    return np.array([genre in text.split("|") for text in dataset.items["genres"]], dtype=bool)


def personas(dataset: Dataset, positive: float) -> list[Persona]:
    """Return up to seven users: the strongest fans of five genres, and those with the fewest and the most ratings.

    A fan's share of liked items of the genre lies above everybody's by the most standard errors.
    """
    liked = dataset.ratings.select(dataset.ratings.rating >= positive)
    if not len(liked):
        return []
    counts = liked.user_counts
    chosen: dict[int, Persona] = {}
    genres = set(genre_names(dataset))
    for genre, title in GENRE_PERSONAS.items():
        if genre not in genres or len(chosen) == 5:
            continue
        is_of_genre = has_genre(dataset, genre)[liked.item_idx]
        share = is_of_genre.mean()
        of_genre = np.bincount(liked.user_idx[is_of_genre], minlength=dataset.n_users)
        with np.errstate(invalid="ignore", divide="ignore"):
            z_score = (of_genre - counts * share) / np.sqrt(counts * share * (1 - share))
        z_score[(counts < _MIN_LIKED) | ~np.isfinite(z_score)] = -np.inf
        z_score[list(chosen)] = -np.inf
        best = int(z_score.argmax())
        if z_score[best] > _MIN_Z_SCORE:
            chosen[best] = Persona(title, best, f"{of_genre[best] / counts[best]:.0%} of what they liked is {genre}")
    rated = dataset.ratings.user_counts
    noun = "events" if dataset.feedback == "implicit" else "ratings"
    fewest = int(np.where(counts > 0, rated, rated.max() + 1).argmin())
    most = int(rated.argmax())
    chosen.setdefault(fewest, Persona("Just started", fewest, f"only {counted(rated[fewest], noun)}"))
    chosen.setdefault(
        most, Persona("Watches everything" if genres else "Most active", most, counted(rated[most], noun))
    )
    return list(chosen.values())


def favourite_genres(dataset: Dataset, items: NDArray[np.int64], most: int = 3) -> list[str]:
    """Return the most common genres of some items, most common first; ties in alphabetical order."""
    counts: dict[str, int] = {}
    for text in dataset.items["genres"].iloc[items]:
        for name in filter(None, text.split("|")):
            counts[name] = counts.get(name, 0) + 1
    return sorted(counts, key=lambda name: (-counts[name], name))[:most]
