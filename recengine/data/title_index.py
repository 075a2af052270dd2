"""The titles of a catalogue in the form in which spellings are compared, for search and for matching alike."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from recengine.data.dataset import Dataset
from recengine.data.titles import normalise


class TitleIndex:
    """Normalised titles, whose they are, and what tells films of one title apart.

    keys      : each film's title, then all further titles, normalised
    positions : aligned with `keys`: the position of the film in the catalogue
    years     : (n_films,) 0 where unknown
    weights   : (n_films,) how well known each film is
    """

    def __init__(
        self,
        titles: Sequence[str],
        *,
        years: ArrayLike | None = None,
        weights: ArrayLike | None = None,
        others: Sequence[str] | None = None,
    ) -> None:
        """Index titles; `others` holds further titles of each film, joined by `|`."""
        n = len(titles)
        self.keys = [normalise(title) for title in titles]
        positions = list(range(n))
        for position, text in enumerate(others or ()):
            for other in filter(None, str(text or "").split("|")):
                self.keys.append(normalise(other))
                positions.append(position)
        self.positions = np.asarray(positions, dtype=np.int64)
        known = np.zeros(n) if years is None else np.nan_to_num(np.asarray(years, dtype=np.float64))
        self.years = known.astype(np.int64)
        self.weights = np.zeros(n) if weights is None else np.asarray(weights, dtype=np.float64)

    @classmethod
    def of(cls, dataset: Dataset) -> TitleIndex:
        """Return the index of a data set's items; those with more ratings weigh more."""
        items = dataset.items
        return cls(
            items["title"].tolist(),
            years=items["year"].to_numpy(np.float64, na_value=np.nan),
            weights=dataset.ratings.item_counts,
            others=items["other_title"].tolist() if "other_title" in items else None,
        )

    @cached_property
    def by_key(self) -> dict[str, list[int]]:
        """Return the positions of each key's films, each once."""
        films: dict[str, dict[int, None]] = {}
        for key, position in zip(self.keys, self.positions.tolist(), strict=True):
            films.setdefault(key, {})[position] = None
        return {key: list(positions) for key, positions in films.items()}
