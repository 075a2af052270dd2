"""Typeahead over titles and users: the intended one from a few letters, with accents, articles and typos forgiven."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rapidfuzz import fuzz, process

from recengine.data.title_index import TitleIndex
from recengine.data.titles import normalise

LONGEST_QUERY = 100
_TYPO_SCORE = 78.0
"""The similarity (0 to 100) from which a title counts as misspelt in the query."""
_YEAR = re.compile(r"^(.*\S)\s*\(?\b((?:18|19|20)\d\d)\)?$")


class TitleSearch:
    """Search for films by title; of those that match equally well, the better known come first."""

    def __init__(self, titles: TitleIndex) -> None:
        self.titles = titles

    def find(self, query: str, *, limit: int = 8) -> list[int]:
        """Return the positions of at most `limit` films, best first; none for an empty query.

        Order: the title itself, then titles that begin with the query, then those with words that begin with
        its words, then those that contain it; misspellings if there are none. Among equals the better known come first.
        """
        query = query[:LONGEST_QUERY]
        wanted = normalise(query)
        if not wanted:
            return []
        hits = self._ranked(self._exactness(wanted), limit)
        dated = _YEAR.match(query.strip())
        if dated:
            year = int(dated[2])
            named = self._exactness(normalise(dated[1]))
            named[self.titles.years[self.titles.positions] != year] = 0
            hits = list(dict.fromkeys([*self._ranked(named, limit), *hits]))
            wanted = normalise(dated[1])
        if not hits and len(wanted) > 2:
            hits = self._misspelt(wanted, limit)
        return hits[:limit]

    def _exactness(self, wanted: str) -> NDArray[np.int64]:
        """Return the match of each key: 4 equal, 3 starts with the query, 2 some word does, 1 contains it, 0 none."""
        words = wanted.split(" ")
        starts = [f" {word}" for word in words]
        grades = np.zeros(len(self.titles.keys), dtype=np.int64)
        for i, key in enumerate(self.titles.keys):
            if wanted in key:
                grades[i] = 4 if key == wanted else 3 if key.startswith(wanted) else 1
            if grades[i] < 3 and words[0] in key and all(start in f" {key}" for start in starts):
                grades[i] = 2
        return grades

    def _ranked(self, grades: NDArray[np.int64], limit: int) -> list[int]:
        hits = np.flatnonzero(grades)
        positions = self.titles.positions[hits]
        order = np.lexsort((hits, -self.titles.weights[positions], -grades[hits]))
        return list(dict.fromkeys(positions[order].tolist()))[:limit]

    def _misspelt(self, wanted: str, limit: int) -> list[int]:
        titles = self.titles
        hits = process.extract(wanted, titles.keys, scorer=fuzz.WRatio, score_cutoff=_TYPO_SCORE, limit=4 * limit)
        # WRatio is generous to titles much shorter than the query ("it" in "italian"), so those are left out
        near = [(round(score / 4), int(titles.positions[i])) for key, score, i in hits if len(key) * 2 > len(wanted)]
        near.sort(key=lambda hit: (-hit[0], -titles.weights[hit[1]]))
        return list(dict.fromkeys(position for _, position in near))[:limit]


class UserIndex:
    """Search for users by id, or by the words of their profile (one text each)."""

    def __init__(self, ids: Sequence[Any] | NDArray[Any], profiles: Sequence[str] | None = None) -> None:
        self._ids = [str(i) for i in ids]
        self._profiles = [f" {normalise(text)}" for text in profiles] if profiles is not None else None

    def find(self, query: str, *, limit: int = 8) -> list[int]:
        """Return the positions of at most `limit` users: by id (equal, start, contained), then by profile."""
        wanted = query.strip()[:LONGEST_QUERY].removeprefix("#").casefold()
        if not wanted:
            return []
        graded: tuple[list[int], list[int], list[int]] = ([], [], [])
        for position, name in enumerate(self._ids):
            text = name.casefold()
            if wanted in text:
                graded[0 if text == wanted else 1 if text.startswith(wanted) else 2].append(position)
        graded[1].sort(key=lambda position: (len(self._ids[position]), position))
        hits = [position for grade in graded for position in grade]
        starts = [f" {word}" for word in normalise(query).split(" ") if word]
        if self._profiles and starts and len(hits) < limit:
            for position, profile in enumerate(self._profiles):
                if all(start in profile for start in starts):
                    hits.append(position)
                    if len(hits) > 2 * limit:
                        break
        return list(dict.fromkeys(hits))[:limit]
