"""Typeahead over titles and people: what was meant, from a few letters, with accents, articles and typos forgiven."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from rapidfuzz import fuzz, process

from recengine.data.titles import normalise

LONGEST_QUERY = 100
_TYPO_SCORE = 78.0
"""How alike (0 to 100) a title must be to count as a misspelt query."""
_YEAR = re.compile(r"^(.*\S)\s*\(?\b((?:18|19|20)\d\d)\)?$")


class TitleIndex:
    """Films found by title.

    titles, others : aligned texts; `others` holds further titles of each film joined by `|`
    years          : aligned numbers (0 or NaN = unknown), matched when the query ends in a year
    weight         : how well known each film is; it orders titles that match equally well
    """

    def __init__(
        self,
        titles: Sequence[str],
        *,
        years: ArrayLike | None = None,
        weight: ArrayLike | None = None,
        others: Sequence[str] | None = None,
    ) -> None:
        n = len(titles)
        keys = [normalise(title) for title in titles]
        places = list(range(n))
        for place, text in enumerate(others or ()):
            for other in filter(None, str(text or "").split("|")):
                keys.append(normalise(other))
                places.append(place)
        self._keys = keys
        self._places = np.asarray(places, dtype=np.int64)
        self._years = np.zeros(n) if years is None else np.nan_to_num(np.asarray(years, dtype=np.float64))
        self._weight = np.zeros(n) if weight is None else np.asarray(weight, dtype=np.float64)

    def find(self, query: str, *, limit: int = 8) -> list[int]:
        """Return the places of at most `limit` films, best first; none for an empty query.

        Order: the title itself, then titles that begin with the query, then those with words that begin with
        its words, then those that contain it; misspellings if there are none. Among equals the better known come first.
        """
        query = query[:LONGEST_QUERY]
        wanted = normalise(query)
        if not wanted:
            return []
        found = self._ranked(self._exactness(wanted), limit)
        dated = _YEAR.match(query.strip())
        if dated:
            year = int(dated[2])
            named = self._exactness(normalise(dated[1]))
            named[self._years[self._places] != year] = 0
            found = _joined(self._ranked(named, limit), found)
            wanted = normalise(dated[1])
        if not found and len(wanted) > 2:
            found = self._misspelt(wanted, limit)
        return found[:limit]

    def _exactness(self, wanted: str) -> NDArray[np.int64]:
        """Return how well each key matches: 4 the same, 3 begins with it, 2 words begin so, 1 contains, 0 not."""
        words = wanted.split(" ")
        starts = [f" {word}" for word in words]
        grades = np.zeros(len(self._keys), dtype=np.int64)
        for i, key in enumerate(self._keys):
            if wanted in key:
                grades[i] = 4 if key == wanted else 3 if key.startswith(wanted) else 1
            if grades[i] < 3 and words[0] in key and all(start in f" {key}" for start in starts):
                grades[i] = 2
        return grades

    def _ranked(self, grades: NDArray[np.int64], limit: int) -> list[int]:
        hits = np.flatnonzero(grades)
        order = np.lexsort((hits, -self._weight[self._places[hits]], -grades[hits]))
        return list(dict.fromkeys(self._places[hits[order]].tolist()))[:limit]

    def _misspelt(self, wanted: str, limit: int) -> list[int]:
        hits = process.extract(wanted, self._keys, scorer=fuzz.WRatio, score_cutoff=_TYPO_SCORE, limit=4 * limit)
        # WRatio is generous to titles much shorter than the query ("it" in "italian"), so those are left out
        near = [(round(score / 4), int(self._places[i])) for key, score, i in hits if len(key) * 2 > len(wanted)]
        near.sort(key=lambda hit: (-hit[0], -self._weight[hit[1]]))
        return list(dict.fromkeys(place for _, place in near))[:limit]


class UserIndex:
    """People found by id, or by the words of their profile (one text each)."""

    def __init__(self, ids: Sequence[Any] | NDArray[Any], profiles: Sequence[str] | None = None) -> None:
        self._ids = [str(i) for i in ids]
        self._profiles = [f" {normalise(text)}" for text in profiles] if profiles is not None else None

    def find(self, query: str, *, limit: int = 8) -> list[int]:
        """Return the places of at most `limit` people: the id itself, ids that begin so, that contain it, profiles."""
        wanted = query.strip()[:LONGEST_QUERY].removeprefix("#").casefold()
        if not wanted:
            return []
        graded: tuple[list[int], list[int], list[int]] = ([], [], [])
        for place, name in enumerate(self._ids):
            text = name.casefold()
            if wanted in text:
                graded[0 if text == wanted else 1 if text.startswith(wanted) else 2].append(place)
        graded[1].sort(key=lambda place: (len(self._ids[place]), place))
        found = [place for grade in graded for place in grade]
        starts = [f" {word}" for word in normalise(query).split(" ") if word]
        if self._profiles and starts and len(found) < limit:
            for place, profile in enumerate(self._profiles):
                if all(start in profile for start in starts):
                    found.append(place)
                    if len(found) > 2 * limit:
                        break
        return list(dict.fromkeys(found))[:limit]


def _joined(first: list[int], then: list[int]) -> list[int]:
    return list(dict.fromkeys([*first, *then]))
