"""Which film of a data set a person means: by id, then by title and year, then by a likeness that they confirm."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from rapidfuzz import fuzz, process

from recengine.data.dataset import Dataset
from recengine.data.readers.exports import Export, RatedTitle, Refused
from recengine.data.title_index import TitleIndex
from recengine.data.titles import normalise, with_numbers

ALIKE, AHEAD = 92.0, 4.0
"""How alike (0 to 100) a title must be to be asked about, and how far ahead of the next film."""
_MOVIELENS_NUMBERS = re.compile(r"ml-(1m|10m|20m|25m|32m|latest)")
"""Data sets that number films as MovieLens does today; ml-100k has numbers of its own."""


class Match(NamedTuple):
    """A row with the film that it means, or -1; `how` says why that film, or why none."""

    row: RatedTitle
    item_idx: int
    how: str


@dataclass(frozen=True)
class MatchReport:
    """What becomes of every row of an export.

    matched    : certain, by an id or by title and year
    by_number  : named by a number alone, from a catalogue that may not be this one: to be confirmed together
    to_confirm : much alike: each to be confirmed
    unmatched  : no film of the data set
    replaced   : certain, but a later row rates the same film
    refused    : rows that no film could be looked for
    """

    source: str
    matched: list[Match]
    by_number: list[Match]
    to_confirm: list[Match]
    unmatched: list[Match]
    replaced: list[Match]
    refused: list[Refused]
    notes: list[str]


class Matcher:
    """Finds the films of a data set by their ids and titles, other titles included."""

    def __init__(self, dataset: Dataset, titles: TitleIndex | None = None) -> None:
        """Prepare a data set's items; `titles` is their index, where it is there already."""
        self.titles = titles or TitleIndex.of(dataset)
        self._ids = {str(id): place for place, id in enumerate(dataset.item_ids.tolist())}
        self._imdb, self._tmdb = (_numbers(dataset, name) for name in ("imdb_id", "tmdb_id"))
        self._movielens = bool(_MOVIELENS_NUMBERS.match(dataset.name))

    def titled(self, names: Sequence[str], year: int | None) -> list[int]:
        """Return the films of one of these titles and that year, or else of the year before or after it.

        Without a year, all of the first title that there is.
        """
        return self._titled(_keys(names), year)

    def _titled(self, keys: Sequence[str], year: int | None) -> list[int]:
        for apart in (0,) if year is None else (0, 1):
            for key in keys:
                places = self.titles.by_key.get(key, [])
                found = [p for p in places if year is None or abs(int(self.titles.years[p]) - year) == apart]
                if found:
                    return found
        return []

    def find(self, row: RatedTitle) -> tuple[str, Match]:
        """Return the part of the report that a row belongs to, and the row with its film."""
        keys = _keys(row.names)
        same = {place for key in keys for place in self.titles.by_key.get(key, [])}
        for place, name in (
            (self._ids.get(row.item_id, -1), "this data set's id"),
            (self._ids.get(row.movielens_id, -1) if self._movielens else -1, "MovieLens's id"),
        ):
            if place >= 0 and (place in same or not row.names):  # an id of another catalogue is betrayed by its title
                return "matched", Match(row, place, name)
        for place, name in (
            (self._imdb.get(row.imdb_id, -1), "IMDb's id"),
            (self._tmdb.get(row.tmdb_id, -1), "TMDB's id"),
        ):
            if place >= 0:
                return "matched", Match(row, place, name)
        if not row.names:
            place = self._ids.get(row.movielens_id, -1)
            if place >= 0:
                return "by_number", Match(row, place, "its number alone")
            return "unmatched", Match(row, -1, "no film here has its id")
        places = self._titled(keys, row.year)
        if len(places) == 1:
            exact = row.year is None or self.titles.years[places[0]] == row.year
            said = "its title" if row.year is None else "title and year" if exact else "its title, a year apart"
            return "matched", Match(row, places[0], said)
        if places:
            known = max(places, key=lambda p: self.titles.weights[p])
            return "to_confirm", Match(row, known, f"the best known of {len(places)} films of its title")
        undated = [place for place in same if not self.titles.years[place]]
        if len(undated) == 1:
            return "to_confirm", Match(row, undated[0], "its title; the year is not known here")
        for key in keys:
            place = -1 if row.year is None else self._alike(key, row.year)
            if place >= 0:
                return "to_confirm", Match(row, place, "a title much alike")
        if same:
            return "unmatched", Match(row, -1, f"the film of its title here is of {self.titles.years[min(same)]}")
        return "unmatched", Match(row, -1, "no film here has its title")

    def report(self, export: Export) -> MatchReport:
        """Return what becomes of every row; of the certain rows of one film the latest counts, in the file's order."""
        parts: dict[str, list[Match]] = defaultdict(list)
        for row in export.rows:
            part, match = self.find(row)
            parts[part].append(match)
        latest: dict[int, Match] = {}
        for match in sorted(parts["matched"], key=lambda m: m.row.ts):
            latest[match.item_idx] = match
        kept = {match.row.line for match in latest.values()}
        return MatchReport(
            export.source,
            [match for match in parts["matched"] if match.row.line in kept],
            parts["by_number"],
            parts["to_confirm"],
            parts["unmatched"],
            [match for match in parts["matched"] if match.row.line not in kept],
            export.refused,
            export.notes,
        )

    @cached_property
    def _by_year(self) -> dict[int, tuple[list[str], list[int]]]:
        """Return titles with numerals as numbers, and whose they are: of each year and its neighbours, and of all."""
        found: dict[int, tuple[list[str], list[int]]] = defaultdict(lambda: ([], []))
        for key, places in self.titles.by_key.items():
            title = with_numbers(key)
            for place in places:
                year = int(self.titles.years[place])
                for pool in (year - 1, year, year + 1):
                    found[pool][0].append(title)
                    found[pool][1].append(place)
        return dict(found)

    @cached_property
    def _longest(self) -> int:
        return max(map(len, self.titles.by_key), default=0)

    def _alike(self, key: str, year: int) -> int:
        """Return the one film of about that year whose title is much like this one, with the same numbers, or -1."""
        if len(key) > 2 * self._longest:  # no title here can be like it
            return -1
        wanted = with_numbers(key)
        titles, places = self._by_year.get(year, ([], []))
        near = process.extract(wanted, titles, scorer=fuzz.ratio, score_cutoff=ALIKE - AHEAD, limit=20)
        best: dict[int, float] = {}
        for title, score, at in near:
            if _digits(title) == _digits(wanted):
                best[places[at]] = max(score, best.get(places[at], 0.0))
        ranked = sorted(best.items(), key=lambda hit: -hit[1])
        if not ranked or ranked[0][1] < ALIKE or (len(ranked) > 1 and ranked[0][1] - ranked[1][1] < AHEAD):
            return -1
        return ranked[0][0]


def _keys(names: Sequence[str]) -> list[str]:
    """Return the forms of titles in which they are compared, each once."""
    return list(dict.fromkeys(normalise(name) for name in names))


def _digits(title: str) -> list[str]:
    return [word for word in title.split(" ") if word.isdigit()]


def _numbers(dataset: Dataset, column: str) -> dict[int, int]:
    """Return where each number of a column stands; numbers of several films are left out."""
    if column not in dataset.items:
        return {}
    numbers = dataset.items[column].to_numpy(np.int64, na_value=0)
    values, first, counts = np.unique(numbers, return_index=True, return_counts=True)
    sure = (counts == 1) & (values > 0)
    return dict(zip(values[sure].tolist(), first[sure].tolist(), strict=True))
