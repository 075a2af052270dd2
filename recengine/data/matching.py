"""Which film of a data set a user means: by id, then by title and year, then by a likeness that they confirm."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from rapidfuzz import fuzz, process

from recengine.data.dataset import Dataset
from recengine.data.readers.export_rows import MARKS, RatedTitle, Refused
from recengine.data.readers.exports import Export, Table
from recengine.data.title_index import TitleIndex
from recengine.data.titles import normalise, with_numbers

ALIKE, AHEAD = 92.0, 4.0
"""How alike (0 to 100) a title must be to be asked about, and how far ahead of the next film."""
SHORTEST_PART = 4
"""Letters that a title must have for longer ones that hold it to be asked about."""
_MOVIELENS_NUMBERS = re.compile(r"ml-(1m|10m|20m|25m|32m|latest)")
"""Data sets that number films as MovieLens does today; ml-100k has other numbers."""


class Match(NamedTuple):
    """A row with the film that it means, or -1; `reason` says why that film, or why none."""

    row: RatedTitle
    item_idx: int
    reason: str


class Outcome(NamedTuple):
    """What becomes of one row; of a refused one only the line, the title and the reason are known.

    mark, file : as in `RatedTitle`; `stars` are None where the mark has none
    """

    line: int
    title: str
    year: int | None
    stars: float | None
    outcome: str
    item_idx: int
    reason: str
    mark: str = "rated"
    file: str = ""


@dataclass(frozen=True)
class MatchReport:
    """What becomes of every row of an export.

    matched    : certain, by an id or by title and year
    by_number  : named by a number alone, from a catalogue that may not be this one: to be confirmed together
    to_confirm : much alike: each to be confirmed
    unmatched  : no film of the data set
    replaced   : certain, but a later row rates the same film
    refused    : rows that no film could be looked for
    tables     : what each table of a zip gave
    """

    source: str
    matched: list[Match]
    by_number: list[Match]
    to_confirm: list[Match]
    unmatched: list[Match]
    replaced: list[Match]
    refused: list[Refused]
    notes: list[str]
    tables: list[Table]

    def outcomes(self) -> list[Outcome]:
        """Return the outcome of every row, in the order of the file, or of its tables."""
        parts = {
            "matched": self.matched,
            "to confirm": [*self.by_number, *self.to_confirm],
            "unmatched": self.unmatched,
            "replaced by a later row": self.replaced,
        }
        rows = [
            Outcome(r.line, r.label, r.year, r.stars or None, outcome, match.item_idx, match.reason, r.mark, r.file)
            for outcome, matches in parts.items()
            for match in matches
            for r in (match.row,)
        ]
        rows += [
            Outcome(row.line, row.title, None, None, "rejected", -1, row.reason, file=row.file) for row in self.refused
        ]
        order = [table.file for table in self.tables]
        return sorted(rows, key=lambda row: (order.index(row.file) if row.file else 0, row.line))

    def gave(self) -> list[dict[str, str | int]]:
        """Return of each table of a zip its `file` and `mark`, and how many of its rows are what, as counts."""
        counts = []
        for table in self.tables:
            certain = sum(match.row.file == table.file for match in self.matched)
            refused = sum(row.file == table.file for row in self.refused)
            counts.append({**table._asdict(), "matched": certain, "rejected": refused})
        return counts


class Matcher:
    """Finds the films of a data set by their ids and titles, other titles included."""

    def __init__(self, dataset: Dataset, titles: TitleIndex | None = None) -> None:
        """Prepare a data set's items; `titles` is their index, where it is there already."""
        self.titles = titles or TitleIndex.of(dataset)
        self._ids = {str(item_id): index for index, item_id in enumerate(dataset.item_ids.tolist())}
        self._imdb, self._tmdb = (_numbers(dataset, name) for name in ("imdb_id", "tmdb_id"))
        self._movielens = bool(_MOVIELENS_NUMBERS.match(dataset.name))

    def _own(self, item_id: str) -> int:
        """Return the index of an id to the byte, else of the id without the spaces round it; -1 where it is neither."""
        return self._ids.get(item_id, self._ids.get(item_id.strip(), -1))

    def titled(self, names: Sequence[str], year: int | None) -> list[int]:
        """Return the films of one of these titles and that year, or else of the year before or after it.

        Without a year, all of the first title that there is.
        """
        return self._titled(_keys(names), year)

    def _titled(self, keys: Sequence[str], year: int | None) -> list[int]:
        for apart in (0,) if year is None else (0, 1):
            for key in keys:
                same = self.titles.by_key.get(key, [])
                films = [p for p in same if year is None or abs(int(self.titles.years[p]) - year) == apart]
                if films:
                    return films
        return []

    def _same(self, keys: Sequence[str]) -> set[int]:
        """Return the films of these titles, of any year."""
        return {position for key in keys for position in self.titles.by_key.get(key, [])}

    def find(self, row: RatedTitle) -> tuple[str, Match]:
        """Return the part of the report that a row belongs to, and the row with its film."""
        keys = _keys(row.names)
        same = self._same(keys)
        for position, name in (
            (self._own(row.item_id), "this data set's id"),
            (self._ids.get(row.movielens_id, -1) if self._movielens else -1, "MovieLens's id"),
        ):
            if position >= 0 and (
                position in same or not row.names
            ):  # an id of another catalogue is betrayed by its title
                return "matched", Match(row, position, name)
        for position, name in (
            (self._imdb.get(row.imdb_id, -1), "IMDb's id"),
            (self._tmdb.get(row.tmdb_id, -1), "TMDB's id"),
        ):
            if position >= 0:
                return "matched", Match(row, position, name)
        if not row.names:
            position = self._ids.get(row.movielens_id, -1)
            if position >= 0:
                return "by_number", Match(row, position, "its number alone")
            return "unmatched", Match(row, -1, "no film here has its id")
        films = self._titled(keys, row.year)
        if len(films) == 1:
            exact = row.year is None or self.titles.years[films[0]] == row.year
            reason = "its title" if row.year is None else "title and year" if exact else "its title, a year apart"
            return "matched", Match(row, films[0], reason)
        if films:
            best_known = max(films, key=lambda position: self.titles.weights[position])
            return "to_confirm", Match(row, best_known, f"the best known of {len(films)} films of its title")
        undated = [position for position in same if not self.titles.years[position]]
        if len(undated) == 1:
            return "to_confirm", Match(row, undated[0], "its title; the year is not known here")
        for key in keys:
            position = -1 if row.year is None else self._alike(key, row.year)
            if position >= 0:
                return "to_confirm", Match(row, position, "a title much alike")
        for key in keys:
            position = -1 if row.year is None else self._holding(key, row.year)
            if position >= 0:
                return "to_confirm", Match(row, position, "a longer title of that year")
        if same:
            return "unmatched", Match(row, -1, f"the film of its title here is of {self.titles.years[min(same)]}")
        return "unmatched", Match(row, -1, "no film here has its title")

    def rated(self, row: RatedTitle) -> int:
        """Return the item that a row rates for certain, or -1; ids are this data set's unless the title contradicts."""
        if row.item_id:
            return self._own(row.item_id)
        position = self._ids.get(row.movielens_id, -1)
        if position >= 0 and (not row.names or position in self._same(_keys(row.names))):
            return position
        part, match = self.find(row)
        return match.item_idx if part == "matched" else -1

    def report(self, export: Export) -> MatchReport:
        """Return what becomes of every row; of the certain rows of one film the latest with stars counts.

        Without stars it is what says most: liked, seen, on the watchlist. All are in the file's order.
        """
        parts: dict[str, list[Match]] = defaultdict(list)
        for row in export.rows:
            part, match = self.find(row)
            parts[part].append(match)
        latest: dict[int, Match] = {}
        for match in sorted(parts["matched"], key=lambda m: (-MARKS.index(m.row.mark), m.row.ts)):
            latest[match.item_idx] = match
        kept = {(match.row.file, match.row.line) for match in latest.values()}
        return MatchReport(
            export.source,
            [match for match in parts["matched"] if (match.row.file, match.row.line) in kept],
            parts["by_number"],
            parts["to_confirm"],
            parts["unmatched"],
            [match for match in parts["matched"] if (match.row.file, match.row.line) not in kept],
            export.refused,
            [*export.notes, *self.ends(match.row for match in parts["unmatched"])],
            export.tables,
        )

    def ends(self, missing: Iterable[RatedTitle]) -> list[str]:
        """Return the note that films are missing because they are newer than this catalogue, where some are."""
        last = int(self.titles.years.max(initial=0))
        newer = sum(last < (row.year or 0) for row in missing) if last else 0
        films = f"{newer:,} missing films are" if newer > 1 else "one missing film is"
        return [f"This catalogue ends in {last}: {films} newer."] if newer else []

    @cached_property
    def _by_year(self) -> dict[int, tuple[list[str], list[int]]]:
        """Return year -> titles with numerals as numbers, and their films, of that year and its neighbours."""
        films: dict[int, tuple[list[str], list[int]]] = defaultdict(lambda: ([], []))
        for key, positions in self.titles.by_key.items():
            title = with_numbers(key)
            for position in positions:
                year = int(self.titles.years[position])
                for pool in (year - 1, year, year + 1):
                    films[pool][0].append(title)
                    films[pool][1].append(position)
        return dict(films)

    @cached_property
    def _longest(self) -> int:
        return max(map(len, self.titles.by_key), default=0)

    def _alike(self, key: str, year: int) -> int:
        """Return the one film of about that year whose title is much like this one, with the same numbers, or -1."""
        if len(key) > 2 * self._longest:  # no title here can be like it
            return -1
        wanted = with_numbers(key)
        titles, positions = self._by_year.get(year, ([], []))
        near = process.extract(wanted, titles, scorer=fuzz.ratio, score_cutoff=ALIKE - AHEAD, limit=20)
        best: dict[int, float] = {}
        for title, score, at in near:
            if _digits(title) == _digits(wanted):
                best[positions[at]] = max(score, best.get(positions[at], 0.0))
        ranked = sorted(best.items(), key=lambda hit: -hit[1])
        if not ranked or ranked[0][1] < ALIKE or (len(ranked) > 1 and ranked[0][1] - ranked[1][1] < AHEAD):
            return -1
        return ranked[0][0]

    def _holding(self, key: str, year: int) -> int:
        """Return the one film of that year whose longer title holds this one as whole words, or -1."""
        if len(key) < SHORTEST_PART or len(key) > self._longest:
            return -1
        wanted = f" {with_numbers(key)} "
        titles, positions = self._by_year.get(year, ([], []))
        films = {at for title, at in zip(titles, positions, strict=True) if wanted in f" {title} "}
        films = {at for at in films if self.titles.years[at] == year}
        return films.pop() if len(films) == 1 else -1


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
