"""How the points of the map are coloured: by genre, decade, fame, the visitor's ratings, or predicted stars."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from itertools import pairwise

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from pages.ui import palette
from pages.ui.escape import plain
from pages.ui.map_chart import Colouring
from pages.ui.words import Words, words_of
from recengine.data.dataset import Dataset

GENRES = len(palette.CATEGORIES) - 1
"""Genres that have a colour; the last colour is for the rest."""
STEPS = 6
"""Steps from little known to well known."""
_OTHER = list(palette.CATEGORIES.values())[-1]
_LOW, _MIDDLE, _HIGH = (palette.THEME[name] for name in ("low", "outline", "accent"))
_NONE = palette.THEME["middle"]


@st.cache_resource(max_entries=12, show_spinner=False)
def of_catalogue(fingerprint: str, way: str, _dataset: Dataset) -> Colouring:
    """Return a colouring by what is the same for all visitors: `genre`, `decade` or `fame`."""
    return {"genre": by_genre, "decade": by_decade, "fame": by_fame}[way](_dataset)


def by_genre(dataset: Dataset) -> Colouring:
    """Colour by the most common genres; an item of several has the colour of the rarest."""
    of_item = [[name for name in genres.split("|") if name] for *_, genres in dataset.films]
    counts = Counter(name for names in of_item for name in names)
    names = sorted(counts, key=lambda name: (-counts[name], name))[:GENRES]
    code = {name: index for index, name in enumerate(names)}
    codes = [max((code[name] for name in names if name in code), default=len(code)) for names in of_item]
    colours = [*list(palette.CATEGORIES.values())[: len(names)], _OTHER]
    return _colouring("Genre", [*(plain(name)[:24] for name in names), "Other"], colours, codes)


def by_decade(dataset: Dataset) -> Colouring:
    """Colour by decade, the earliest ones together."""
    decades = [None if year is None else year // 10 * 10 for _, _, year, _ in dataset.films]
    known = sorted({decade for decade in decades if decade is not None})
    shown = known[-8:]
    labels = [f"{decade}s" for decade in shown]
    if len(known) > len(shown):
        labels[0] = f"{shown[0]}s and before"
    codes = [
        len(shown) if decade is None else next(i for i, d in enumerate(shown) if d >= min(decade, shown[-1]))
        for decade in decades
    ]
    return _ramp("Decade", labels, codes, "Unknown")


def by_fame(dataset: Dataset) -> Colouring:
    """Colour by the number of ratings, in steps of about as many items each."""
    counts = dataset.ratings.item_counts
    edges = np.unique(np.quantile(counts, np.arange(1, STEPS) / STEPS, method="higher"))
    codes = np.searchsorted(edges, counts, side="right")
    ratings = words_of(dataset).ratings
    starts = [int(counts.min()), *(int(edge) for edge in edges)]
    labels = [f"{low:,}–{high - 1:,}" if high - 1 > low else f"{low:,}" for low, high in pairwise(starts)]
    return _ramp("Fame", [*labels, f"{starts[-1]:,} {ratings} or more"], codes.tolist())


def by_own_ratings(dataset: Dataset, stars: Mapping[int, float], positive: float) -> Colouring:
    """Colour by what the visitor rated, `stars` by item."""
    words, codes = words_of(dataset), np.full(dataset.n_items, 2)
    for item, given in stars.items():
        codes[item] = 0 if dataset.in_scale(given, positive) >= positive else 1
    labels = [f"You {words.loved if words.is_implicit else 'liked'}", "You rated lower", "Not rated by you"]
    return _colouring("My ratings", labels, [_HIGH, _LOW, _NONE], codes.tolist())


def by_predicted(dataset: Dataset, predicted: NDArray[np.float64]) -> Colouring:
    """Colour by predicted ratings (n_items,), in about as many steps as half stars of the scale."""
    low, high = dataset.rating_range
    size = (high - low) / 9 or 1.0  # half a star of half a star to five
    bins = np.floor((predicted - low) / size + 1e-6).astype(int)
    first, last = np.quantile(bins, [0.02, 0.98], method="nearest").astype(int)
    words, edges = words_of(dataset), [low + step * size for step in range(first, last + 1)]
    labels = [f"from {words.amount(edge, '.2g')}" for edge in edges]
    labels[0] = f"below {words.amount(edges[0] + size, '.2g')}"
    return _ramp("Predicted for me", labels, (np.clip(bins, first, last) - first).tolist())


def _ramp(name: str, labels: list[str], codes: list[int], missing: str = "") -> Colouring:
    """Return a colouring from blue over grey to the accent; what has no value has the colour after the last."""
    shares = [i / max(1, len(labels) - 1) for i in range(len(labels))]
    colours = [_between(_LOW, _MIDDLE, 2 * x) if x < 0.5 else _between(_MIDDLE, _HIGH, 2 * x - 1) for x in shares]
    if missing and len(labels) in codes:
        return _colouring(name, [*labels, missing], [*colours, _NONE], codes)
    return _colouring(name, labels, colours, codes)


def _colouring(name: str, labels: list[str], colours: list[palette.Colour], codes: list[int]) -> Colouring:
    return Colouring(name, labels, [(colour.light, colour.dark) for colour in colours], np.array(codes, np.uint8))


def _between(low: palette.Colour, high: palette.Colour, share: float) -> palette.Colour:
    return palette.Colour(*(_mix(a, b, share) for a, b in zip(low, high, strict=True)))


def _mix(a: str, b: str, share: float) -> str:
    """Return the colour between two, in hexadecimal digits."""
    parts = ((int(a[at : at + 2], 16), int(b[at : at + 2], 16)) for at in (1, 3, 5))
    return "#" + "".join(f"{math.floor(low + (high - low) * share + 0.5):02x}" for low, high in parts)


def available(words: Words, *, predicts: bool) -> dict[str, str]:
    """Return the ways to colour, by name in the address, and what each is called."""
    ways = {"genre": "Genre", "decade": "Decade", "fame": "Fame", "mine": "My ratings"}
    if not words.is_film:
        ways = {"fame": "Popularity", "mine": "Mine"}
    return {**ways, "predicted": "Predicted for me"} if predicts else ways
