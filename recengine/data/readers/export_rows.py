"""One row of a user's ratings: what its columns are called, its stars, and the film that it names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from recengine.data.titles import LONGEST_TITLE, split_title

MARKS = ("rated", "liked", "seen", "watchlist")
"""What a row says of its film, what says most first: stars, a like without stars, seen without either, to be seen."""
_SERIES = frozenset(
    ("tv", "tvseries", "tvminiseries", "tvepisode", "tvseason", "tvshort", "show", "series", "season", "episode")
).union(("videogame", "podcastseries", "podcastepisode", "musicvideo"))
"""Types of title that are not films, as IMDb, TMDB and Trakt call them."""
_NUMBER = re.compile(r"(?=[.,]?[0-9])[0-9]{0,3}(?:[.,][0-9]{0,20})?")
_STARS = re.compile(r"(★*)(½?)")
_NUMBERED = re.compile(r"(?:tt)?(0{0,9}[1-9][0-9]{0,11})")
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


class RatedTitle(NamedTuple):
    """One row that can be used. `stars` are halves from 0.5 to 5; `ts` is in seconds since 1970, 0 where unknown.

    `mark` is one of `MARKS`; what is seen or on a watchlist has 0 stars. `file` is its table where there are several.

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
    mark: str = "rated"
    file: str = ""

    @property
    def label(self) -> str:
        """Return what the row calls the film: its title, or else an id."""
        return self.title or self.item_id or self.movielens_id or str(self.imdb_id or self.tmdb_id or "")


class Refused(NamedTuple):
    """One row that cannot be used, and the reason."""

    line: int
    title: str
    reason: str
    file: str = ""


def columns_of(header: Iterable[str]) -> dict[str, int]:
    """Return the position of each column that is used, by its role; the first of two columns of one role counts."""
    columns: dict[str, int] = {}
    for position, cell in enumerate(header):
        role = _ROLES.get(re.sub(r"[\W_]+", "", cell.lower()))
        if role:
            columns.setdefault(role, position)
    return columns


def stars_of(row: Mapping[str, str], low: float, best: float, *, exact: bool) -> tuple[float, float | None, str]:
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


def unusable(row: Mapping[str, str]) -> str:
    kind = row.get("type", "")
    if re.sub(r"[\W_]+", "", kind.lower()) in _SERIES:
        return f"it is not a film: its type is {kind[:40]}"
    numbered = any(_NUMBERED.fullmatch(row.get(name, "")) for name in ("imdb", "tmdb"))
    if not numbered and not any(row.get(name, "").strip() for name in ("title", "item", "movielens")):
        return "it names no film"
    if len(row.get("title", "")) > LONGEST_TITLE:
        return f"its title has {len(row['title']):,} letters"
    return ""


def rated_title(row: Mapping[str, str], line: int, stars: float, ts: int) -> RatedTitle:
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
