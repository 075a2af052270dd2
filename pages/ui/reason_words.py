"""Why a film is listed, in words: the films that speak for it, and what it shares with them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import pandas as pd

from pages.ui.escape import html, plain
from pages.ui.words import words_of
from recengine.data.dataset import Dataset
from recengine.serving.explain import Reason

Who = Literal["you", "they"]
IMPERSONAL = {
    "popular": "Popular with everyone",
    "alike": "Liked by viewers of the same age, gender or occupation",
    "moment": "Popular at this time",
    "none": "No single film explains it",
}
"""Kinds of reasons that name no film, in words."""
TRAITS = 2
"""Things that films share which are named at most."""


def because(dataset: Dataset, reason: Reason, target: int, who: Who = "you") -> tuple[str, str, str]:
    """Return why a film is listed for the visitor or for another viewer, in three parts; the middle one has titles.

    The last part is what the data say that all of them share: a fact, which the model may not have read. It is plain
    text, as is all of it.
    """
    words = words_of(dataset)
    if reason.kind in IMPERSONAL:
        return words.say(IMPERSONAL[reason.kind]), "", ""
    films = [item for item in (reason.item_idx, reason.also) if item >= 0]
    titles = listed([plain(dataset.films[item][1]) for item in films])
    shared = ", ".join(traits(dataset, [target, *films])[:TRAITS])
    start = f"Because {who} {words.loved}" if reason.kind == "contribution" else "Most similar to"
    return start, titles, f"· {shared}" if shared else ""


def because_html(dataset: Dataset, reason: Reason, target: int, who: Who = "you") -> str:
    """Return what `because` does as HTML, the titles in bold."""
    start, titles, end = map(html, because(dataset, reason, target, who))
    return " ".join(filter(None, (start, f"<b>{titles}</b>" if titles else "", end)))


def listed(parts: Sequence[str]) -> str:
    """Return texts as a list in words: "a", "a and b", "a, b and c"."""
    return " and ".join(filter(None, (", ".join(parts[:-1]), *parts[-1:])))


def traits(dataset: Dataset, items: Sequence[int]) -> list[str]:
    """Return what all of some films share: a director, then keywords, then genres in small letters."""
    director = [f"by {name}" for name in shared(dataset, items, "director")]
    return [
        *director,
        *shared(dataset, items, "keywords"),
        *(genre.lower() for genre in shared(dataset, items, "genres")),
    ]


def shared(dataset: Dataset, items: Sequence[int], column: str) -> list[str]:
    """Return the words of a column that all of some films have, in the order of the first."""
    first, *others = (parts_of(dataset, item, column) for item in items)
    return [word for word in first if all(word in theirs for theirs in others)]


def parts_of(dataset: Dataset, item: int, column: str) -> list[str]:
    """Return the words that a film's column joins by `|`, or none where the data has no such column."""
    if column not in dataset.items:
        return []
    value = dataset.items[column].iloc[item]
    return [] if pd.isna(value) else [word for word in str(value).split("|") if word]
