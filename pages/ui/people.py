"""Who a person in the data is: a profile line, what they loved, and a few personas to start from. No Streamlit here."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recengine.data.dataset import Dataset

GENRE_PERSONAS = {
    "Sci-Fi": "The sci-fi devotee",
    "Horror": "The horror fan",
    "Romance": "The romantic",
    "Animation": "The animation lover",
    "Western": "The western rider",
    "Film-Noir": "The noir detective",
    "Musical": "The musical lover",
    "Documentary": "The documentarian",
    "War": "The war historian",
    "Comedy": "The comedy regular",
    "Action": "The action fan",
    "Children": "The young at heart",
    "Fantasy": "The dreamer",
    "Thriller": "The thrill seeker",
    "Crime": "The crime reader",
    "Drama": "The dramatist",
}
"""In the order of preference: the first five whose lean is strong are shown."""

_ENOUGH = 15
"""Liked films a person needs before their lean to a genre means something."""


class Persona(NamedTuple):
    """A person worth looking at, and why in a few words."""

    title: str
    user_idx: int
    why: str


class History(NamedTuple):
    """What a person rated, best first and among equals the latest first."""

    items: NDArray[np.int64]
    ratings: NDArray[np.float64]


def history(dataset: Dataset, user_idx: int) -> History:
    """Return all that a person rated."""
    _, rows = dataset.ratings.rows_of([user_idx])
    r = dataset.ratings
    order = np.lexsort((-r.timestamp[rows], -r.rating[rows]))
    return History(r.item_idx[rows][order].astype(np.int64), r.rating[rows][order].astype(np.float64))


def liked_in_order(dataset: Dataset, user_idx: int, positive: float) -> NDArray[np.int64]:
    """Return the items that a person liked, oldest first, as models read a history."""
    _, rows = dataset.ratings.rows_of([user_idx])
    r = dataset.ratings
    rows = rows[r.rating[rows] >= positive]
    return r.item_idx[rows[np.lexsort((r.item_idx[rows], r.timestamp[rows]))]].astype(np.int64)


def profile(dataset: Dataset, user_idx: int) -> str:
    """Return what the data says of a person: age, gender and occupation as far as they are known."""
    if dataset.users is None:
        return ""
    row = dataset.users.iloc[user_idx]
    said = []
    for column in ("age_group", "age", "gender", "occupation"):
        value = row.get(column)
        if value is None or pd.isna(value) or not str(value).strip():
            continue
        text = str(value).replace("-", "–") if column in ("age", "age_group") else str(value)
        said.append({"F": "woman", "M": "man"}.get(text, text) if column == "gender" else text)
    return " · ".join(said)


def genre_names(dataset: Dataset) -> list[str]:
    """Return the genres of the data set in alphabetical order."""
    return sorted({name for text in dataset.items["genres"].unique() for name in text.split("|") if name})


def has_genre(dataset: Dataset, genre: str) -> NDArray[np.bool_]:
    """Return which items have the genre, (n_items,)."""
    return np.array([genre in text.split("|") for text in dataset.items["genres"]], dtype=bool)


def personas(dataset: Dataset, positive: float) -> list[Persona]:
    """Return up to seven people: the strongest leans to five genres, the newcomer and the most avid.

    A lean is how far a person's share of liked films of the genre lies above everybody's, in standard errors.
    """
    liked = dataset.ratings.select(dataset.ratings.rating >= positive)
    counts = liked.user_counts
    found: list[Persona] = []
    if not len(liked):
        return found
    taken: set[int] = set()
    genres = set(genre_names(dataset))
    for genre, title in GENRE_PERSONAS.items():
        if genre not in genres or len(found) == 5:
            continue
        of_genre = has_genre(dataset, genre)[liked.item_idx]
        share = of_genre.mean()
        own = np.bincount(liked.user_idx[of_genre], minlength=dataset.n_users)
        with np.errstate(invalid="ignore", divide="ignore"):
            lean = (own - counts * share) / np.sqrt(counts * share * (1 - share))
        lean[(counts < _ENOUGH) | ~np.isfinite(lean)] = -np.inf
        lean[list(taken)] = -np.inf
        best = int(lean.argmax())
        if lean[best] > 3:
            taken.add(best)
            found.append(Persona(title, best, f"{own[best] / counts[best]:.0%} of what they liked is {genre}"))
    rated = dataset.ratings.user_counts
    fewest = int(np.where(counts > 0, rated, rated.max() + 1).argmin())
    most = int(rated.argmax())
    for title, user, why in (
        ("The newcomer", fewest, f"only {rated[fewest]:,} ratings"),
        ("The insatiable", most, f"{rated[most]:,} ratings"),
    ):
        if user not in taken:
            taken.add(user)
            found.append(Persona(title, user, why))
    return found


def favourite_genres(dataset: Dataset, items: NDArray[np.int64], most: int = 3) -> list[str]:
    """Return the commonest genres of some items, commonest first; ties in alphabetical order."""
    counts: dict[str, int] = {}
    for text in dataset.items["genres"].iloc[items]:
        for name in filter(None, text.split("|")):
            counts[name] = counts.get(name, 0) + 1
    return sorted(counts, key=lambda name: (-counts[name], name))[:most]
