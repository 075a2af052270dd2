"""What a person takes away from Letterboxd, IMDb or MovieLens, or keeps in a CSV: one row for each film they rated."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from recengine.data.readers.archive import Zip, read
from recengine.data.readers.delimited import Rows, raw_id, seconds
from recengine.data.titles import LONGEST_TITLE, split_title
from recengine.errors import BadInput

MOST_ROWS, MOST_BYTES = 20_000, 4 << 20
UNPACKED_LIMIT = 64 << 20
"""Of a zip, in which much may stand beside the ratings."""
SERIES = frozenset(
    ["tvseries", "tvminiseries", "tvepisode", "tvshort", "videogame", "podcastseries", "podcastepisode", "musicvideo"]
)
"""IMDb's types of title that are no films."""

_LAST_MOMENT = 4_102_444_800
"""The year 2100: later dates are mistakes."""
_NUMBER = re.compile(r"[0-9]{1,3}(?:[.,][0-9]{0,9})?")
_STARS = re.compile(r"(★*)(½?)")
_IMDB = re.compile(r"(?:tt)?(0*[1-9][0-9]{0,11})")
_EXPECTED = (
    "expected Letterboxd's ratings.csv or its zip, IMDb's or MovieLens's export, "
    "or a CSV with the columns title, year and rating"
)


class RatedTitle(NamedTuple):
    """One row that can be used. `stars` are halves from 0.5 to 5; `ts` is in seconds since 1970, 0 where unknown.

    `names` are the titles that the row gives, the full one first; ids that it does not give are "" or 0.
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


class Refused(NamedTuple):
    """One row that cannot be used, and why."""

    line: int
    title: str
    why: str


@dataclass(frozen=True)
class Export:
    """What a file says. `source` is `letterboxd`, `imdb`, `movielens` or `csv`."""

    source: str
    rows: list[RatedTitle]
    refused: list[Refused]
    notes: list[str] = field(default_factory=list)


def read_export(label: str, content: bytes, *, out_of: int = 5) -> Export:
    """Return the ratings of one person from what they uploaded.

    out_of : the best rating of a plain CSV; the scale of the other formats is known. It never follows from the values

    A row that cannot be used is refused by itself, with its line. Raises BadInput for a file that is in no known form.
    """
    notes: list[str] = []
    if content.startswith(b"PK\x03\x04"):
        files = Zip(label, content, UNPACKED_LIMIT)
        if "ratings.csv" not in files:
            raise BadInput(f"{label} holds no ratings.csv; {_EXPECTED}")
        label, content = f"ratings.csv in {label}", read(files, "ratings.csv")
        notes.append("Of the zip only ratings.csv is read: films that were watched but not rated are left out.")
    if len(content) > MOST_BYTES:
        raise BadInput(
            f"{label} holds {len(content):,} bytes; an import takes the ratings of one person, up to {MOST_BYTES:,}"
        )
    rows = Rows(label, content)
    places = _places(rows.header)
    source, best = _form(places, rows, out_of)
    found: list[RatedTitle] = []
    refused: list[Refused] = []
    people: set[str] = set()
    rounded = undated = count = 0
    for cells in rows.lines():
        count += 1
        if count > MOST_ROWS:
            raise BadInput(f"{label} has more than {MOST_ROWS:,} rows; an import takes the ratings of one person")
        if len(cells) != len(rows.header):
            said = f"it has {len(cells)} fields where the header has {len(rows.header)}"
            refused.append(Refused(rows.line, cells[0][:80], said))
            continue
        row = {name: cells[place].strip() for name, place in places.items()}
        people.add(row.get("user", ""))
        if len(people) > 1:
            raise BadInput(
                f"{label} holds the ratings of several people (line {rows.line:,}); an import takes one person's, "
                "and the page Data takes a whole data set"
            )
        title = row.get("title", "")
        stars, why = _stars(row, best)
        why = why or _unusable(row)
        if why:
            refused.append(Refused(rows.line, title[:80], why))
            continue
        halves = min(5.0, max(0.5, round(2 * stars) / 2))
        rounded += abs(halves - stars) > 1e-6
        ts = seconds(row["date"]) if row.get("date") else 0
        undated += "date" in row and not 0 < (ts or 0) < _LAST_MOMENT
        found.append(_rated(row, rows.line, halves, ts if ts and 0 < ts < _LAST_MOMENT else 0))
    if not found and not refused:
        raise BadInput(f"{label} has a header but no ratings; {_EXPECTED}")
    if rounded:
        notes.append(f"{rounded:,} ratings were rounded to half stars.")
    if undated:
        notes.append(f"{undated:,} rows have no date that can be read; they count as rated now.")
    return Export(source, found, refused, [*rows.notes, *notes])


def _places(header: Iterable[str]) -> dict[str, int]:
    """Return the place of each column that is used, by its role; the first of two columns of one role counts."""
    roles = {
        **dict.fromkeys(("title", "name", "film", "movie", "movietitle", "filmtitle"), "title"),
        **dict.fromkeys(("imdbid", "const"), "imdb"),
        **dict.fromkeys(("userid", "user"), "user"),
        **dict.fromkeys(("date", "daterated", "timestamp", "watcheddate", "ratedat"), "date"),
        **dict.fromkeys(("rating", "stars", "score"), "rating"),
        **{"year": "year", "originaltitle": "original", "tmdbid": "tmdb", "movieid": "movielens", "itemid": "item"},
        **{"rating10": "rating10", "yourrating": "yourrating", "titletype": "type", "letterboxduri": "letterboxd"},
    }
    places: dict[str, int] = {}
    for place, cell in enumerate(header):
        role = roles.get(re.sub(r"[\W_]+", "", cell.lower()))
        if role:
            places.setdefault(role, place)
    return places


def _form(places: Mapping[str, int], rows: Rows, out_of: int) -> tuple[str, float]:
    """Return the source and its best rating, by the columns alone."""
    if places.keys() >= {"imdb", "yourrating"}:
        return "imdb", 10.0
    if places.keys() >= {"letterboxd", "title", "rating"}:
        return "letterboxd", 5.0
    if places.keys() >= {"movielens", "rating"}:
        return "movielens", 5.0
    if places.keys() & {"rating", "rating10"} and places.keys() & {"title", "item", "imdb", "tmdb"}:
        return "csv", float(out_of)
    raise BadInput(f"{rows.label} has the columns {', '.join(rows.header)[:200]!r}; {_EXPECTED}")


def _stars(row: Mapping[str, str], best: float) -> tuple[float, str]:
    """Return the stars of a row, in fives, or why there are none."""
    cell = row.get("yourrating") or row.get("rating", "")
    if not cell and row.get("rating10"):
        cell, best = row["rating10"], 10.0
    if not cell:
        return 0.0, "it has no rating"
    drawn = _STARS.fullmatch(cell)
    if drawn:
        value, best = len(drawn[1]) + 0.5 * len(drawn[2]), 5.0
    elif _NUMBER.fullmatch(cell):
        value = float(cell.replace(",", "."))
    else:
        return 0.0, f"its rating {cell[:40]!r} is no number"
    if not 0 < value <= best:
        return 0.0, f"its rating {cell[:40]} is outside the scale, which goes up to {best:g}"
    return value * 5 / best, ""


def _unusable(row: Mapping[str, str]) -> str:
    kind = row.get("type", "")
    if re.sub(r"[\W_]+", "", kind.lower()) in SERIES:
        return f"it is no film but a {kind[:40]}"
    numbered = any(_IMDB.fullmatch(row.get(name, "")) for name in ("imdb", "tmdb"))
    if not numbered and not any(row.get(name) for name in ("title", "item", "movielens")):
        return "it names no film"
    if len(row.get("title", "")) > LONGEST_TITLE:
        return f"its title has {len(row['title']):,} letters"
    return ""


def _rated(row: Mapping[str, str], line: int, stars: float, ts: int) -> RatedTitle:
    title = row.get("title", "")
    natural, year, others = split_title(title)
    original = row.get("original", "")[:LONGEST_TITLE]
    given = re.match(r"[12][0-9]{3}(?![0-9])", row.get("year", ""))
    imdb = _IMDB.fullmatch(row.get("imdb", ""))
    tmdb = _IMDB.fullmatch(row.get("tmdb", ""))
    return RatedTitle(
        line=line,
        title=title,
        names=tuple(dict.fromkeys(filter(None, (title, natural, original, *others.split("|"))))),
        year=int(given[0]) if given else year,
        stars=stars,
        date=row.get("date", "")[:40],
        ts=ts,
        item_id=raw_id(row.get("item", "")),
        movielens_id=raw_id(row.get("movielens", "")),
        imdb_id=int(imdb[1]) if imdb else 0,
        tmdb_id=int(tmdb[1]) if tmdb else 0,
    )
