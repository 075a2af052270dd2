"""One user's ratings: an export of Letterboxd, IMDb, TMDB, Trakt or MovieLens, a plain CSV, or JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from recengine.data.dataset import LIKED_STARS
from recengine.data.readers.archive import Zip, is_zip, read
from recengine.data.readers.delimited import Rows
from recengine.data.readers.export_rows import (
    RatedTitle,
    Refused,
    columns_of,
    rated_title,
    stars_of,
    unusable,
)
from recengine.data.readers.times import seconds
from recengine.data.readers.typed import JSON_SUFFIXES, json_frame
from recengine.errors import BadInput

MOST_ROWS, MOST_BYTES = 20_000, 4 << 20
UNPACKED_LIMIT = 64 << 20
"""Bytes that a zip may unpack to: it may hold much more than the ratings."""
PLAIN = frozenset(["movielens", "csv"])
"""Sources whose ratings may be in the scale of the data set that the file is read for."""
_BEST = {"imdb": 10.0, "tmdb": 10.0, "trakt": 10.0, "letterboxd": 5.0, "movielens": 5.0}
"""The best rating of the sources whose scale is known."""
_LAST_MOMENT = 4_102_444_800
"""The year 2100: later dates are mistakes."""
_MARK_OF = {"ratings.csv": "rated", "likes/films.csv": "liked", "watched.csv": "seen", "watchlist.csv": "watchlist"}
"""The tables of Letterboxd's zip that are read, in the order of `MARKS`, and what their rows say of a film."""
_NAMED = re.compile(r"(films|watched|watchlist)\b", re.IGNORECASE)
"""The names of those tables outside the zip, as far as they hold no ratings."""
_MARKED = {"liked": LIKED_STARS, "seen": 0.0, "watchlist": 0.0}
_EXPECTED = (
    "Letterboxd's ratings.csv or its zip, an export of IMDb, TMDB, Trakt or MovieLens, "
    "or a CSV with the columns title, year and rating, or item_id and rating"
)
_RATED = {"rating", "rating10"}
_ONE_USER = "the ratings of one user"


class Records(Rows):
    """The objects of a JSON file as rows; `line` counts them. One object may map item ids to ratings."""

    def __init__(self, label: str, content: bytes) -> None:
        self.label, self.notes, self._at = label, list[str](), 1
        try:
            value = json.loads(content)
        except (ValueError, RecursionError):  # JSON lines, or an error that names its line
            value = None
        if isinstance(value, dict) and not columns_of(value):
            content = json.dumps([{"item_id": item, "rating": rating} for item, rating in value.items()]).encode()
        elif isinstance(value, dict):
            content = json.dumps([value]).encode()
        frame = json_frame(label, content)
        self.header = list(map(str, frame.columns))
        self._records = frame.astype(object).where(frame.notna(), "").astype(str).to_numpy().tolist()

    @property
    def line(self) -> int:
        return self._at

    def cells(self) -> Iterator[list[str]]:
        yield from (row for self._at, row in enumerate(self._records, 1))


class Table(NamedTuple):
    """What one table of a zip gave: its `mark`, its usable rows, and those whose film a table before it names too."""

    file: str
    mark: str
    rows: int
    repeated: int


@dataclass(frozen=True)
class Export:
    """The content of a file. `source` is `letterboxd`, `imdb`, `tmdb`, `trakt`, `movielens` or `csv`.

    tables : of a zip what each of its tables gave; of a film that several name only the row that says most is kept
    """

    source: str
    rows: list[RatedTitle]
    refused: list[Refused]
    notes: list[str] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)


def read_export(
    label: str, content: bytes, *, out_of: int = 5, rating_range: tuple[float, float] | None = None
) -> Export:
    """Return the ratings in a file's content; of Letterboxd's zip also the likes, what was seen, and the watchlist.

    out_of       : the best rating of a plain CSV; the scale of the other formats is known. It is never guessed
    rating_range : lowest and highest rating of the data set that the file is read for. Where it is given, files of
                   any size are read; a plain file may be of several users, its ratings are kept as they are, and
                   one outside the range is an error of the file, as is an uneven row. Without a column of ratings
                   every row counts as the best one

    A row that cannot be used is refused by itself, with its line. Raises BadInput for a file in no known format.
    """
    if not is_zip(content, label):
        export = _table(label, content, "", out_of, rating_range)
    else:
        files = Zip(label, content, UNPACKED_LIMIT, known=_MARK_OF, first=_MARK_OF)
        members = [member for member in _MARK_OF if member in files]
        if not members:
            raise BadInput(label, expected=_EXPECTED, problem="holds no ratings.csv")
        export = _joined([_table(label, read(files, member), member, out_of, rating_range) for member in members])
    if not export.rows and not export.refused:
        raise BadInput(label, expected=_EXPECTED, problem="has a header but no ratings")
    return export


def _joined(exports: Sequence[Export]) -> Export:
    """Return the content of several tables, which stand in the order of `MARKS`."""
    known: set[tuple[str, int | None]] = set()
    rows: list[RatedTitle] = []
    tables = []
    for export in exports:
        fresh = [row for row in export.rows if (row.title, row.year) not in known]
        known |= {(row.title, row.year) for row in fresh}
        rows += fresh
        tables += [table._replace(repeated=table.rows - len(fresh)) for table in export.tables]
    refused = [row for export in exports for row in export.refused]
    notes = list(dict.fromkeys(note for export in exports for note in export.notes))
    return Export(exports[0].source, rows, refused, notes, tables)


def _table(label: str, content: bytes, member: str, out_of: int, rating_range: tuple[float, float] | None) -> Export:
    """Return the content of a file, or of a member of a zip, as `read_export` says."""
    limited, file = rating_range is None, label
    label = f"{member} in {label}" if member else label
    if limited and len(content) > MOST_BYTES:
        expected = f"{_ONE_USER}, up to {MOST_BYTES:,} bytes"
        raise BadInput(label, expected=expected, problem=f"holds {len(content):,} bytes")
    rows = (Records if label.lower().endswith(JSON_SUFFIXES) else Rows)(label, content)
    columns = columns_of(rows.header)
    mark = _MARK_OF[member] if member else _mark(file, columns)
    source = _source(columns, rows, unrated=not limited, mark=mark)
    strict = rating_range if source in PLAIN else None
    low, best = strict or (0.0, _BEST.get(source, float(out_of)))
    usable: list[RatedTitle] = []
    refused: list[Refused] = []
    users: set[str] = set()
    rounded = undated = 0
    for cells in rows if strict else _counted(rows, limited=limited):
        if len(cells) != len(rows.header):
            reason = f"it has {len(cells)} fields where the header has {len(rows.header)}"
            refused.append(Refused(rows.line, cells[0][:80], reason, member))
            continue
        row = {role: cells[at] if role == "item" else cells[at].strip() for role, at in columns.items()}
        user_id = cells[columns["user"]] if "user" in columns else ""
        users.add(user_id)
        if len(users) > 1 and not strict:
            problem = f"holds the ratings of several users (line {rows.line:,})"
            raise BadInput(rows.label, expected=_ONE_USER, remedy="load it as a data set instead", problem=problem)
        stars, rating, reason = _MARKED.get(mark, 5.0), best if strict and mark == "rated" else None, ""
        if mark == "rated" and (not strict or columns.keys() & _RATED):
            stars, rating, reason = stars_of(row, low, best, exact=strict is not None)
        if strict and reason:
            problem = f"in line {rows.line:,} of {rows.label} cannot be used"
            expected = f"a number from {low:g} to {best:g}, the range of the data set"
            raise BadInput("rating", row.get("rating", ""), expected, problem=problem)
        reason = reason or unusable(row) or ("" if user_id or "user" not in columns else "it has no user")
        if reason:
            refused.append(Refused(rows.line, (row.get("title") or row.get("item", ""))[:80], reason, member))
            continue
        halves = min(5.0, max(0.5, round(2 * stars) / 2)) if stars else 0.0
        rounded += abs(halves - stars) > 1e-6
        ts = seconds(row["date"]) if row.get("date") else 0
        undated += "date" in row and not 0 < (ts or 0) < _LAST_MOMENT
        known = rated_title(row, rows.line, halves, ts if ts and 0 < ts < _LAST_MOMENT else 0)
        usable.append(known._replace(rating=rating, user_id=user_id, mark=mark, file=member))
    notes = list(rows.notes)
    if strict and not columns.keys() & _RATED:
        notes.append(f"{rows.label} has no column of ratings: every row counts as {best:g}, the best there is.")
    if rounded and not strict:
        notes.append(f"{rounded:,} ratings were rounded to half stars.")
    if undated and not strict:
        notes.append(f"{undated:,} rows have no date that can be read; they count as rated now.")
    return Export(source, usable, refused, notes, [Table(member, mark, len(usable), 0)] if member else [])


def _mark(label: str, columns: Mapping[str, int]) -> str:
    """Return what the rows of a table outside a zip say: Letterboxd's without ratings goes by its name."""
    named = _NAMED.match(label)
    if not named or columns.keys() & _RATED or not columns.keys() >= {"letterboxd", "title"}:
        return "rated"
    return {"films": "liked", "watched": "seen"}.get(named[1].lower(), "watchlist")


def _counted(rows: Rows, *, limited: bool) -> Iterator[list[str]]:
    """Yield the rows, even or not, up to the limit."""
    for count, cells in enumerate(rows.cells(), 1):
        if limited and count > MOST_ROWS:
            raise BadInput(rows.label, expected=_ONE_USER, problem=f"has more than {MOST_ROWS:,} rows")
        yield cells


def _source(columns: Mapping[str, int], rows: Rows, *, unrated: bool, mark: str) -> str:
    """Return where the file comes from, by the columns alone; `unrated`: a plain file needs no ratings."""
    if mark != "rated" and "title" in columns:
        return "letterboxd"
    for source, needed in (
        ("tmdb", {"tmdb", "yourrating"}),
        ("imdb", {"imdb", "yourrating"}),
        ("trakt", {"trakt", "rating"}),
        ("letterboxd", {"letterboxd", "title", "rating"}),
        ("movielens", {"movielens", "rating"}),
    ):
        if columns.keys() >= needed:
            return source
    if columns.keys() & _RATED and columns.keys() & {"title", "item", "imdb", "tmdb"}:
        return "csv"
    plain = not columns.keys() & {"yourrating", "letterboxd"}  # who exports has watched, not liked
    known = len(columns) == len(rows.header)  # any other column might hold the ratings
    if unrated and plain and known and columns.keys() & {"title", "item", "movielens", "imdb", "tmdb"}:
        return "csv"
    problem = f"has the columns {', '.join(rows.header)[:200]!r}"
    raise BadInput(rows.label, expected=_EXPECTED, problem=problem)
