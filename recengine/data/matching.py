"""Which film of a data set a user means: by id, then by title and year, then by a likeness that they confirm."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from operator import attrgetter
from pathlib import Path
from typing import NamedTuple

import numpy as np
from rapidfuzz import fuzz, process

from recengine.data.dataset import Dataset
from recengine.data.interactions import Interactions
from recengine.data.readers.exports import PLAIN, Export, RatedTitle, Refused, read_export
from recengine.data.title_index import TitleIndex
from recengine.data.titles import normalise, with_numbers
from recengine.errors import BadInput
from recengine.files import read_input

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
    """What becomes of one row; of a refused one only the line, the title and the reason are known."""

    line: int
    title: str
    year: int | None
    stars: float | None
    outcome: str
    item_idx: int
    reason: str


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

    def outcomes(self) -> list[Outcome]:
        """Return the outcome of every row, in the order of the file."""
        parts = {
            "matched": self.matched,
            "to confirm": [*self.by_number, *self.to_confirm],
            "unmatched": self.unmatched,
            "replaced by a later row": self.replaced,
        }
        rows = [
            Outcome(m.row.line, m.row.label, m.row.year, m.row.stars, outcome, m.item_idx, m.reason)
            for outcome, matches in parts.items()
            for m in matches
        ]
        rows += [Outcome(row.line, row.title, None, None, "rejected", -1, row.reason) for row in self.refused]
        return sorted(rows, key=attrgetter("line"))


class Matcher:
    """Finds the films of a data set by their ids and titles, other titles included."""

    def __init__(self, dataset: Dataset, titles: TitleIndex | None = None) -> None:
        """Prepare a data set's items; `titles` is their index, where it is there already."""
        self.titles = titles or TitleIndex.of(dataset)
        self._ids = {str(item_id): index for index, item_id in enumerate(dataset.item_ids.tolist())}
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
            (self._ids.get(row.item_id, -1), "this data set's id"),
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
            return self._ids.get(row.item_id, -1)
        position = self._ids.get(row.movielens_id, -1)
        if position >= 0 and (not row.names or position in self._same(_keys(row.names))):
            return position
        part, match = self.find(row)
        return match.item_idx if part == "matched" else -1

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


class Histories(NamedTuple):
    """The ratings of users who are not in the data: their ids, their rows, and notes on what is not used.

    A file without a column for users is of one user, `new`.
    """

    user_ids: list[str]
    rows: Interactions
    notes: list[str]


def read_ratings(path: Path, dataset: Dataset) -> tuple[Interactions, list[str]]:
    """Return one user's ratings, as `read_histories` reads them, and the notes; BadInput for those of several."""
    histories = read_histories(path, dataset)
    if len(histories.user_ids) > 1:
        problem = f"holds the ratings of {len(histories.user_ids):,} users"
        raise BadInput(path.name, expected="those of one user", problem=problem)
    return histories.rows, histories.notes


def read_histories(path: Path, dataset: Dataset) -> Histories:
    """Return the ratings of one user or, from a plain CSV with a column `user_id`, of each of its users.

    A plain CSV has `item_id` or `title` ("The Matrix", "Matrix, The (1999)", or with a `year` column), and `rating` in
    the data set's range; its rows stand in the order of time, and those of an export in that of their dates. Of an
    item that a user rates twice the last rating counts. A user none of whose items is known has an empty history.
    Raises BadInput when the file cannot be read, a rating is out of range, or nothing matches.
    """
    export = read_export(path.name, read_input(path), rating_range=dataset.rating_range)
    matcher = Matcher(dataset)
    plain = export.source in PLAIN
    ratings: dict[str, dict[int, float]] = {}  # user -> item -> rating
    missing: list[str] = []
    repeated = 0
    for row in export.rows if plain else sorted(export.rows, key=lambda row: row.ts or np.inf):
        of_user = ratings.setdefault(row.user_id or "new", {})
        item = matcher.rated(row)
        if item < 0:
            missing.append(row.label)
            continue
        repeated += of_user.pop(item, None) is not None
        of_user[item] = dataset.in_scale(row.stars) if row.rating is None else row.rating
    missing += [row.title for row in export.refused if plain]
    matched = [(user, item, rating) for user, of in enumerate(ratings.values()) for item, rating in of.items()]
    if not matched:
        problem = f"names no film of {dataset.name!r} (looked for {', '.join(missing[:3])[:200]!r})"
        raise BadInput(path.name, expected="its item ids or titles", problem=problem)
    notes = list(export.notes)
    if missing:
        notes.append(f"{len(matched):,} ratings matched, {len(missing):,} not: {', '.join(missing[:5])}")
    if export.refused and not plain:
        first = export.refused[0]
        notes.append(f"{len(export.refused):,} rows cannot be used, the first in line {first.line:,}: {first.reason}.")
    if repeated:
        notes.append(f"{repeated:,} ratings are replaced by a later one of the same film.")
    users, items, values = zip(*matched, strict=True)
    rows = Interactions.from_pairs(users, items, rating=values, n_users=len(ratings), n_items=dataset.n_items)
    return Histories(list(ratings), rows, notes)
