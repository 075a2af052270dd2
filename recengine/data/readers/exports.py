"""One user's ratings: an export of Letterboxd, IMDb, TMDB, Trakt or MovieLens, a plain CSV, or JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from recengine.data.readers.archive import Zip, is_zip, read
from recengine.data.readers.delimited import Rows
from recengine.data.readers.times import seconds
from recengine.data.readers.typed import JSON_SUFFIXES, json_frame
from recengine.data.titles import LONGEST_TITLE, split_title
from recengine.errors import BadInput

MOST_ROWS, MOST_BYTES = 20_000, 4 << 20
UNPACKED_LIMIT = 64 << 20
"""Bytes that a zip may unpack to: it may hold much more than the ratings."""
PLAIN = frozenset(["movielens", "csv"])
"""Sources whose ratings may be in the scale of the data set that the file is read for."""
_BEST = {"imdb": 10.0, "tmdb": 10.0, "trakt": 10.0, "letterboxd": 5.0, "movielens": 5.0}
"""The best rating of the sources whose scale is known."""
_SERIES = frozenset(
    ("tv", "tvseries", "tvminiseries", "tvepisode", "tvseason", "tvshort", "show", "series", "season", "episode")
).union(("videogame", "podcastseries", "podcastepisode", "musicvideo"))
"""Types of title that are not films, as IMDb, TMDB and Trakt call them."""

_LAST_MOMENT = 4_102_444_800
"""The year 2100: later dates are mistakes."""
_NUMBER = re.compile(r"(?=[.,]?[0-9])[0-9]{0,3}(?:[.,][0-9]{0,20})?")
_STARS = re.compile(r"(★*)(½?)")
_NUMBERED = re.compile(r"(?:tt)?(0*[1-9][0-9]{0,11})")
_EXPECTED = (
    "Letterboxd's ratings.csv or its zip, an export of IMDb, TMDB, Trakt or MovieLens, "
    "or a CSV with the columns title, year and rating, or item_id and rating"
)
_RATED = {"rating", "rating10"}
_ONE_USER = "the ratings of one user"
_ROLES = {
    **dict.fromkeys(("title", "name", "film", "movie", "movietitle", "filmtitle"), "title"),
    **dict.fromkeys(("imdbid", "const"), "imdb"),
    **dict.fromkeys(("userid", "user"), "user"),
    **dict.fromkeys(("itemid", "item", "filmid"), "item"),
    **dict.fromkeys(("date", "daterated", "timestamp", "watcheddate", "ratedat"), "date"),
    **dict.fromkeys(("rating", "stars", "score"), "rating"),
    **dict.fromkeys(("yourrating", "yourated"), "yourrating"),
    **dict.fromkeys(("titletype", "type"), "type"),
    **dict.fromkeys(("releasedate", "released"), "released"),
    **{"year": "year", "originaltitle": "original", "tmdbid": "tmdb", "traktid": "trakt", "movieid": "movielens"},
    **{"rating10": "rating10", "letterboxduri": "letterboxd"},
}
"""What the columns mean, by their names in lower case without spaces and signs."""


class Records(Rows):
    """The objects of a JSON file as rows; `line` counts them. One object may map item ids to ratings."""

    def __init__(self, label: str, content: bytes) -> None:
        self.label, self.notes, self._at = label, list[str](), 1
        try:
            value = json.loads(content)
        except (ValueError, RecursionError):  # JSON lines, or an error that names its line
            value = None
        if isinstance(value, dict) and not _columns(value):
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


class RatedTitle(NamedTuple):
    """One row that can be used. `stars` are halves from 0.5 to 5; `ts` is in seconds since 1970, 0 where unknown.

    `names` are the titles that the row gives, the full one first; ids that it does not give are "" or 0. `rating` is
    the number as it stands in the file where the scale is that of a data set, else None. `user_id` is the cell of a
    file with a column for users.
    """

    line: int
    title: str
    names: tuple[str, ...]
    year: int | None
    stars: float
    date: str = ""
    ts: int = 0
    item_id: str = ""
    movielens_id: str = ""
    imdb_id: int = 0
    tmdb_id: int = 0
    rating: float | None = None
    user_id: str = ""

    @property
    def label(self) -> str:
        """Return what the row calls the film: its title, or else an id."""
        return self.title or self.item_id or self.movielens_id or str(self.imdb_id or self.tmdb_id or "")


class Refused(NamedTuple):
    """One row that cannot be used, and the reason."""

    line: int
    title: str
    reason: str


@dataclass(frozen=True)
class Export:
    """The content of a file. `source` is `letterboxd`, `imdb`, `tmdb`, `trakt`, `movielens` or `csv`."""

    source: str
    rows: list[RatedTitle]
    refused: list[Refused]
    notes: list[str] = field(default_factory=list)


def read_export(
    label: str, content: bytes, *, out_of: int = 5, rating_range: tuple[float, float] | None = None
) -> Export:
    """Return the ratings in a file's content.

    out_of       : the best rating of a plain CSV; the scale of the other formats is known. It is never guessed
    rating_range : lowest and highest rating of the data set that the file is read for. Where it is given, files of
                   any size are read; a plain file may be of several users, its ratings are kept as they are, and
                   one outside the range is an error of the file, as is an uneven row. Without a column of ratings
                   every row counts as the best one

    A row that cannot be used is refused by itself, with its line. Raises BadInput for a file in no known format.
    """
    rows, notes = _opened(label, content, limited=rating_range is None)
    columns = _columns(rows.header)
    source = _source(columns, rows, unrated=rating_range is not None)
    strict = rating_range if source in PLAIN else None
    low, best = strict or (0.0, _BEST.get(source, float(out_of)))
    usable: list[RatedTitle] = []
    refused: list[Refused] = []
    users: set[str] = set()
    rounded = undated = 0
    for cells in rows if strict else _counted(rows, limited=rating_range is None):
        if len(cells) != len(rows.header):
            reason = f"it has {len(cells)} fields where the header has {len(rows.header)}"
            refused.append(Refused(rows.line, cells[0][:80], reason))
            continue
        row = {role: cells[column].strip() for role, column in columns.items()}
        user_id = cells[columns["user"]] if "user" in columns else ""
        users.add(user_id)
        if len(users) > 1 and not strict:
            problem = f"holds the ratings of several users (line {rows.line:,})"
            raise BadInput(rows.label, expected=_ONE_USER, remedy="load it as a data set instead", problem=problem)
        rated = not strict or columns.keys() & _RATED
        stars, rating, reason = _stars(row, low, best, exact=strict is not None) if rated else (5.0, best, "")
        if strict and reason:
            problem = f"in line {rows.line:,} of {rows.label} cannot be used"
            expected = f"a number from {low:g} to {best:g}, the range of the data set"
            raise BadInput("rating", row.get("rating", ""), expected, problem=problem)
        reason = reason or _unusable(row) or ("" if user_id or "user" not in columns else "it has no user")
        if reason:
            refused.append(Refused(rows.line, (row.get("title") or row.get("item", ""))[:80], reason))
            continue
        halves = min(5.0, max(0.5, round(2 * stars) / 2))
        rounded += abs(halves - stars) > 1e-6
        ts = seconds(row["date"]) if row.get("date") else 0
        undated += "date" in row and not 0 < (ts or 0) < _LAST_MOMENT
        known = _rated(row, rows.line, halves, ts if ts and 0 < ts < _LAST_MOMENT else 0)
        usable.append(known._replace(rating=rating, user_id=user_id))
    if not usable and not refused:
        raise BadInput(rows.label, expected=_EXPECTED, problem="has a header but no ratings")
    if strict and not columns.keys() & _RATED:
        notes.append(f"{rows.label} has no column of ratings: every row counts as {best:g}, the best there is.")
    if rounded and not strict:
        notes.append(f"{rounded:,} ratings were rounded to half stars.")
    if undated and not strict:
        notes.append(f"{undated:,} rows have no date that can be read; they count as rated now.")
    return Export(source, usable, refused, [*rows.notes, *notes])


def _opened(label: str, content: bytes, *, limited: bool) -> tuple[Rows, list[str]]:
    """Return the rows of a file, or of the ratings.csv in a zip, and a note on what of the zip is not read."""
    notes: list[str] = []
    if is_zip(content, label):
        files = Zip(label, content, UNPACKED_LIMIT)
        if "ratings.csv" not in files:
            raise BadInput(label, expected=_EXPECTED, problem="holds no ratings.csv")
        label, content = f"ratings.csv in {label}", read(files, "ratings.csv")
        notes.append("Of the zip only ratings.csv is read: films that were watched but not rated are left out.")
    if limited and len(content) > MOST_BYTES:
        expected = f"{_ONE_USER}, up to {MOST_BYTES:,} bytes"
        raise BadInput(label, expected=expected, problem=f"holds {len(content):,} bytes")
    opened = Records if label.lower().endswith(JSON_SUFFIXES) else Rows
    return opened(label, content), notes


def _counted(rows: Rows, *, limited: bool) -> Iterator[list[str]]:
    """Yield the rows, even or not, up to the limit."""
    for count, cells in enumerate(rows.cells(), 1):
        if limited and count > MOST_ROWS:
            raise BadInput(rows.label, expected=_ONE_USER, problem=f"has more than {MOST_ROWS:,} rows")
        yield cells


def _columns(header: Iterable[str]) -> dict[str, int]:
    """Return the position of each column that is used, by its role; the first of two columns of one role counts."""
    columns: dict[str, int] = {}
    for position, cell in enumerate(header):
        role = _ROLES.get(re.sub(r"[\W_]+", "", cell.lower()))
        if role:
            columns.setdefault(role, position)
    return columns


def _source(columns: Mapping[str, int], rows: Rows, *, unrated: bool) -> str:
    """Return where the file comes from, by the columns alone; `unrated`: a plain file needs no ratings."""
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


def _stars(row: Mapping[str, str], low: float, best: float, *, exact: bool) -> tuple[float, float | None, str]:
    """Return the stars of a row, in fives, its number if that is exact, or the reason why there are none."""
    cell = row["yourrating"] if "yourrating" in row else row.get("rating", "")  # `rating` may be the average
    if not cell and row.get("rating10"):
        cell, low, best, exact = row["rating10"], 0.0, 10.0, False
    if not cell:
        return 0.0, None, "it has no rating"
    drawn = _STARS.fullmatch(cell)
    if drawn:
        value, low, best, exact = len(drawn[1]) + 0.5 * len(drawn[2]), 0.0, 5.0, False
    elif _NUMBER.fullmatch(cell):
        value = float(cell.replace(",", "."))
    else:
        return 0.0, None, f"its rating {cell[:40]!r} is not a number"
    if not low <= value <= best or (value == 0 and not exact):
        return 0.0, None, f"its rating {cell[:40]} is outside the scale, which goes up to {best:g}"
    return value * 5 / best if best else 0.0, value if exact else None, ""


def _unusable(row: Mapping[str, str]) -> str:
    kind = row.get("type", "")
    if re.sub(r"[\W_]+", "", kind.lower()) in _SERIES:
        return f"it is not a film: its type is {kind[:40]}"
    numbered = any(_NUMBERED.fullmatch(row.get(name, "")) for name in ("imdb", "tmdb"))
    if not numbered and not any(row.get(name) for name in ("title", "item", "movielens")):
        return "it names no film"
    if len(row.get("title", "")) > LONGEST_TITLE:
        return f"its title has {len(row['title']):,} letters"
    return ""


def _rated(row: Mapping[str, str], line: int, stars: float, ts: int) -> RatedTitle:
    title = row.get("title", "")
    natural, year, others = split_title(title)
    original = row.get("original", "")[:LONGEST_TITLE]
    given = re.match(r"[12][0-9]{3}(?![0-9])", row.get("year") or row.get("released", ""))
    imdb = _NUMBERED.fullmatch(row.get("imdb", ""))
    tmdb = _NUMBERED.fullmatch(row.get("tmdb", ""))
    return RatedTitle(
        line=line,
        title=title,
        names=tuple(dict.fromkeys(filter(None, (title, natural, original, *others.split("|"))))),
        year=int(given[0]) if given else year,
        stars=stars,
        date=row.get("date", "")[:40],
        ts=ts,
        item_id=row.get("item", ""),
        movielens_id=row.get("movielens", ""),
        imdb_id=int(imdb[1]) if imdb else 0,
        tmdb_id=int(tmdb[1]) if tmdb else 0,
    )
