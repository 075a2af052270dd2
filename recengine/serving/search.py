"""Typeahead over titles and users: the intended one from a few letters, with accents, articles and typos forgiven."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from rapidfuzz import fuzz, process

from recengine.data.dataset import Dataset
from recengine.data.title_index import TitleIndex
from recengine.data.titles import normalise, with_numbers

LONGEST_QUERY = 100
TRAITS = ("director", "genres", "keywords")
"""Columns of the item table by which films are searched besides their titles."""
_TYPO_SCORE, _NEAREST_SCORE = 75.0, 60.0
"""The similarity (0 to 100) from which a word counts as a misspelling, and from which a title counts as near."""
_SHORTEST_PART = 4
"""Letters from which a query may stand within a word: "kes" is no way to ask for Shakespeare."""
_SHORTEST_TYPO = 4
"""Letters from which a word of the query has to resemble one of the title."""
_LONGEST_WHOLE = 4
"""Letters up to which a query has to resemble the whole title: "cars" is no misspelling of Star Wars."""
_MOST_NEAREST = 3
_INITIALS = (3, 4)
"""Letters from which a query may be all initials of a title, and from which only the first of them."""
_YEAR = re.compile(r"^(.*\S)\s*\(?\b((?:18|19|20)\d\d)\)?$")
_DIGIT_IN_WORD = re.compile(r"(?<=[^\W\d])[013457](?=[^\W\d])")
_LETTER_OF = dict(zip("013457", "oieasv", strict=True))


class Matches(NamedTuple):
    """What a query finds.

    films : at most as many positions as asked for, best first
    total : how many films match
    nearest : whether none matches, so that `films` are those whose titles come nearest
    """

    films: list[int]
    total: int
    nearest: bool = False


class TitleSearch:
    """Search for films by title, and by what else is known of them; of equal matches the better known come first."""

    def __init__(self, titles: TitleIndex, traits: Sequence[str] | None = None) -> None:
        """Index titles; `traits` (n_films,) holds the words by which each film is known besides."""
        self.titles = titles
        self.keys, positions = list(titles.keys), titles.positions.tolist()
        for key, position in zip(titles.keys, titles.positions.tolist(), strict=True):
            spelt_out = _DIGIT_IN_WORD.sub(lambda digit: _LETTER_OF[digit[0]], key)
            for other in {with_numbers(key), spelt_out, key.replace(" ", "")} - {key}:
                self.keys.append(other)
                positions.append(position)
        self.positions = np.asarray(positions, dtype=np.int64)
        self._initials = ["".join(word[:1] for word in key.split(" ")) for key in titles.keys]
        years = [str(year or "") for year in titles.years.tolist()]
        known = [normalise(text) for text in traits] if traits is not None else [""] * len(years)
        self._traits = [f" {text} {year}" for text, year in zip(known, years, strict=True)]

    @classmethod
    def of(cls, dataset: Dataset) -> Self:
        """Return the search over a data set's items."""
        columns = [dataset.items[column].fillna("").astype(str) for column in TRAITS if column in dataset.items]
        return cls(TitleIndex.of(dataset), [" ".join(texts) for texts in zip(*columns, strict=True)] or None)

    def find(self, query: str, *, limit: int = 8) -> Matches:
        """Return the films that match, none for an empty query.

        Order: the title itself, then titles that begin with the query, then those with words that begin with its
        words, then films with such words in title, director, genres, keywords and year, or with those initials, then
        titles that contain it; misspellings if there are none, and the nearest titles if there is nothing else.
        """
        query = query[:LONGEST_QUERY]
        wanted = normalise(query)
        if not wanted:
            return Matches([], 0)
        hits = self._ranked(self._grades(wanted))
        dated = _YEAR.match(query.strip())
        if dated:
            wanted = normalise(dated[1])
            grades = self._grades(wanted)
            grades[self.titles.years != int(dated[2])] = 0
            hits = list(dict.fromkeys([*self._ranked(grades), *hits]))
        nearest = False
        if not hits and len(wanted) > 2:
            hits, nearest = self._misspelt(wanted)
        return Matches(hits[:limit], len(hits), nearest)

    def _grades(self, wanted: str) -> NDArray[np.int64]:
        """Return the grade of each film: 6 equal, 5 or 4 starts with the query (5 with a number as a whole word),
        3 its words start words of the title, 2 of anything known, 1 the title contains it, 0 no match."""
        grades = np.zeros(len(self.titles.years), dtype=np.int64)
        for text in dict.fromkeys((wanted, with_numbers(wanted))):
            starts = [f" {word}" for word in text.split(" ")]
            whole = f"{text} " if text[-1].isdigit() else ""
            for key, position in zip(self.keys, self.positions, strict=True):
                grade = 0
                if text in key and (key.startswith(text) or len(text) >= _SHORTEST_PART):
                    starting = 5 if whole and key.startswith(whole) else 4
                    grade = 6 if key == text else starting if key.startswith(text) else 1
                if grade < 3 and starts[0][1:] in key and all(start in f" {key}" for start in starts):
                    grade = 3
                if grade > grades[position]:
                    grades[position] = grade
        self._grade_traits(wanted, grades)
        return grades

    def _grade_traits(self, wanted: str, grades: NDArray[np.int64]) -> None:
        starts = [f" {word}" if len(word) > 1 else f" {word} " for word in wanted.split(" ")]  # episode v: no villain
        for position, traits in enumerate(self._traits):
            known = f"{traits} {self.keys[position]} "
            if grades[position] < 2 and all(start in known for start in starts):
                grades[position] = 2
        whole, part = _INITIALS
        if len(starts) == 1 and len(wanted) >= whole:
            for initials, position in zip(self._initials, self.titles.positions, strict=True):
                for form in (initials, f"t{initials}"):  # the article that `normalise` drops
                    if form == wanted or (len(wanted) >= part and form.startswith(wanted)):
                        grades[position] = max(grades[position], 2)

    def _ranked(self, grades: NDArray[np.int64]) -> list[int]:
        hits = np.flatnonzero(grades)
        return list(map(int, hits[np.lexsort((hits, -self.titles.weights[hits], -grades[hits]))]))

    def _misspelt(self, wanted: str) -> tuple[list[int], bool]:
        """Return the films whose titles are misspelt in the query, or else (.., True) the nearest there are."""
        hits = process.extract(wanted, self.keys, scorer=fuzz.WRatio, score_cutoff=_NEAREST_SCORE, limit=50)
        # WRatio is generous to titles much shorter than the query ("it" in "italian"), so those are left out
        near = [(round(score / 4), self.positions[i], key) for key, score, i in hits if len(key) * 2 > len(wanted)]
        meant = [hit for hit in near if _resembles(wanted, hit[2])]
        best = sorted(meant or near[:_MOST_NEAREST], key=lambda hit: (-hit[0], -self.titles.weights[hit[1]]))
        return list(dict.fromkeys(int(position) for _, position, _ in best)), not meant


def _resembles(wanted: str, key: str) -> bool:
    """Return whether the query is the title misspelt: as a whole, or each longer word is like one of the title."""
    words, others = with_numbers(wanted).split(" "), with_numbers(key).split(" ")
    if not all(word in others for word in words if word.isdigit()):
        return False
    if fuzz.ratio(wanted.replace(" ", ""), key.replace(" ", "")) >= _TYPO_SCORE:
        return words[0][:1] == others[0][:1] or len(words[0]) > _LONGEST_WHOLE
    if len(wanted) <= _LONGEST_WHOLE:
        return False
    longer = [word for word in words if len(word) >= _SHORTEST_TYPO]
    alike = {word: [other for other in others if other[:1] == word[:1]] for word in longer}  # "avventura": no Ventura
    return bool(longer) and all(any(fuzz.ratio(word, other) >= _TYPO_SCORE for other in alike[word]) for word in longer)


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
