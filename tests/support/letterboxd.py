"""Zips as Letterboxd exports them."""

from collections.abc import Iterable, Mapping

from tests.support.archives import zipped

HEADER = "Date,Name,Year,Letterboxd URI"
Film = tuple[str, int]


def table(films: Iterable[Film] | Mapping[Film, float], *, day: str = "") -> str:
    """Return a table of Letterboxd: of ratings where films have stars; without `day` the dates are mixed."""
    rated = isinstance(films, Mapping)
    rows = [HEADER + (",Rating" if rated else "")]
    for number, (title, year) in enumerate(films):
        date = day or f"20{14 + number * 7 % 11:02}-{1 + number * 5 % 12:02}-{1 + number * 11 % 28:02}"
        cell = f'"{title}"' if "," in title else title
        rating = f",{films[title, year]:g}" if isinstance(films, Mapping) else ""
        rows.append(f"{date},{cell},{year},https://boxd.it/{number:03}{rating}")
    return "\n".join(rows) + "\n"


def letterboxd_zip(
    rated: Mapping[Film, float],
    *,
    liked: Iterable[Film] = (),
    seen: Iterable[Film] = (),
    watchlist: Iterable[Film] = (),
) -> bytes:
    """Return the zip of an account; as on Letterboxd, what is rated or liked is also among the films watched."""
    liked, seen = list(liked), list(seen)
    return zipped(
        {
            "profile.csv": "Date Joined,Username\n2014-01-01,ann\n",
            "ratings.csv": table(rated),
            "watched.csv": table([*rated, *(film for film in liked if film not in rated), *seen]),
            "watchlist.csv": table(watchlist),
            "likes/films.csv": table(liked),
            "likes/reviews.csv": "Date,Letterboxd URI\n",
            "deleted/ratings.csv": table({("The Room", 2003): 5.0}),
            "orphaned/watched.csv": table([("The Room", 2003)]),
        }
    )
