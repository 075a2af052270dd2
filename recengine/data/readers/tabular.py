"""The tabular layout: ratings.csv, with movies.csv, links.csv, tags.csv, users.csv where they are; or a single CSV."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from functools import cache
from typing import Any

import pandas as pd

from recengine.data.dataset import Dataset, build_dataset
from recengine.data.readers.archive import Files, read
from recengine.data.readers.delimited import Rows, long_ratings, raw_id, raw_ids, roles, wide_ratings
from recengine.data.readers.numeric import read_numeric
from recengine.data.titles import split_title
from recengine.errors import BadInput

TAGS_PER_ITEM = 5
_NUMBER = re.compile(r"(?:tt)?([0-9]{1,15})(?:\.0+)?")

AGES = {"1": "under 18", "18": "18-24", "25": "25-34", "35": "35-44", "45": "45-49", "50": "50-55", "56": "56+"}
"""The age codes of MovieLens 1M."""

_OCCUPATIONS = (
    "other|academic/educator|artist|clerical/admin|college/grad student|customer service|doctor/health care|"
    "executive/managerial|farmer|homemaker|K-12 student|lawyer|programmer|retired|sales/marketing|scientist|"
    "self-employed|technician/engineer|tradesman/craftsman|unemployed|writer"
)
OCCUPATIONS = {str(code): name for code, name in enumerate(_OCCUPATIONS.split("|"))}
"""The occupation codes of MovieLens 1M."""


def load_layout(name: str, files: Files, *, min_ratings_per_user: int = 0, **metadata: Any) -> Dataset:
    """Load a folder or zip that holds ratings.csv and, as far as they are there, the other files."""
    if "ratings.csv" not in files:
        raise BadInput(
            files.label,
            expected="ratings.csv (userId,movieId,rating[,timestamp]) and movies.csv (movieId,title,genres)",
            remedy="give a single CSV by its path",
            problem="holds no ratings.csv",
        )
    ratings, notes = read_ratings(files, "ratings.csv")
    items: pd.DataFrame | None
    if "movies.csv" in files:
        items = _movies(files, notes)
        for member, add in (("links.csv", _add_links), ("tags.csv", _add_tags)):
            if member in files:
                add(items, _rows(files, member, notes))
    else:
        items = items_named_by_id(ratings["item_id"])
        notes.append("No movies.csv: items are called by their ids; links and tags are not used.")
    users = _users(files, ratings["user_id"], notes) if "users.csv" in files else None
    return build_dataset(
        name, ratings, items, users, min_ratings_per_user=min_ratings_per_user, notes=notes, **metadata
    )


def load_single(name: str, files: Files, member: str, *, min_ratings_per_user: int = 0, **metadata: Any) -> Dataset:
    """Load one CSV: a rating per row, or a user per row and an item per column."""
    ratings, notes = read_ratings(files, member, wide=True)
    items = items_named_by_id(ratings["item_id"])
    return build_dataset(name, ratings, items, min_ratings_per_user=min_ratings_per_user, notes=notes, **metadata)


def read_ratings(files: Files, member: str, *, wide: bool = False) -> tuple[pd.DataFrame, list[str]]:
    """Return user_id, item_id, rating[, timestamp] rows in file order, and notes on what was guessed.

    wide : a user x item table is welcome too

    What is plain goes through the C parser; all else goes row by row, which names the line with the error.
    """
    if (frame := read_numeric(lambda: files.blocks(member))) is not None:
        return frame, []
    rows = Rows(member if member == files.label else f"{member} in {files.label}", read(files, member))
    columns = roles(rows.header)
    missing = [role for role in ("user_id", "item_id", "rating") if role not in columns]
    if not missing:
        frame = long_ratings(rows, columns)
        unused = [cell for index, cell in enumerate(rows.header) if index not in columns.values()]
        if unused:
            rows.notes.append(f"Columns not used: {', '.join(unused)[:200]}.")
    elif wide and "rating" not in columns:
        frame = wide_ratings(rows)
    else:
        problem = f"has the columns {_names(rows)}, without one for {' and '.join(missing)}"
        raise BadInput(rows.label, expected="userId,movieId,rating[,timestamp]", problem=problem)
    if not len(frame):
        raise BadInput(rows.label, expected="at least one row", problem="has a header but no ratings")
    return frame, rows.notes


def item_table(ids: Any, titles: Iterable[str], genres: Iterable[str]) -> pd.DataFrame:
    """Return the item table of a source: natural titles, years, other titles where there are any, tidy genres."""
    split = [split_title(title) for title in titles]
    table = pd.DataFrame(
        {
            "item_id": ids,
            "title": [title for title, _, _ in split],
            "year": pd.array([year for _, year, _ in split], dtype="Int64"),
            "genres": [tidy_genres(text) for text in genres],
        }
    )
    if any(other for _, _, other in split):
        table["other_title"] = [other for _, _, other in split]
    return table


def tidy_genres(text: str) -> str:
    """Return genres joined by `|`, with MovieLens's names for none left out."""
    names = (part.strip() for part in text.split("|"))
    return "|".join(
        "Children" if name == "Children's" else name
        for name in names
        if name and name.lower() not in ("(no genres listed)", "unknown")
    )


def items_named_by_id(ids: pd.Series) -> pd.DataFrame | None:
    """Return an item table for text ids, which are then the titles too; None for numbers."""
    if pd.api.types.is_integer_dtype(ids):
        return None
    names = [str(name) for name in ids.unique()]
    return item_table(names, names, [""] * len(names))


def words(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the user table with words for age and occupation, where those hold MovieLens 1M's codes."""
    if {"age", "occupation"} <= set(frame.columns):
        age, work = frame["age"].astype(str), frame["occupation"].astype(str)
        if age.isin(AGES.keys()).all() and work.isin(OCCUPATIONS.keys()).all():
            return frame.assign(age=age.map(AGES), occupation=work.map(OCCUPATIONS))
    return frame


def tag_column(pairs: Iterable[tuple[str, str]], ids: Iterable[Any]) -> list[str]:
    """Return for each item id its most used tags in lower case, joined by `|`; ties in alphabetical order."""
    tidy = cache(lambda tag: tag.strip().lower().replace("|", "/"))  # few of millions differ
    counts = Counter((item, tidy(tag)) for item, tag in pairs)
    by_item: dict[str, list[tuple[int, str]]] = defaultdict(list)
    for (item, tag), n in counts.items():
        if tag:
            by_item[item].append((-n, tag))
    return ["|".join(tag for _, tag in sorted(by_item.get(str(item), ()))[:TAGS_PER_ITEM]) for item in ids]


def _rows(files: Files, member: str, notes: list[str]) -> Rows:
    rows = Rows(member, read(files, member))
    notes.extend(rows.notes)
    return rows


def _names(rows: Rows) -> str:
    """Return the names in a header for a message, which a long header must not fill."""
    return repr(", ".join(rows.header)[:200])


def _columns(rows: Rows, *needed: str) -> dict[str, list[str]]:
    """Return the stripped columns by lower-case name, the ids as `item_id` and `user_id`; checks `needed`."""
    names = [name.lower() for name in rows.header]
    for role, index in roles(names).items():
        if role.endswith("_id") and names[index] != "title":
            names[index] = role
    for name in needed:
        if name not in names:
            raise BadInput(rows.label, problem=f"has the columns {_names(rows)}, without one for {name}")
    columns: list[list[str]] = [[] for _ in names]
    for row in rows:
        for column, cell in zip(columns, row, strict=True):
            column.append(cell.strip())
        if "" in [row[names.index(name)].strip() for name in needed if name.endswith("_id")]:
            rows.fail("has no id", remedy="fill it in or remove the line")
    return dict(zip(names, columns, strict=True))


def _numbers(cells: Iterable[str]) -> Any:
    """Return cells as Int64, without IMDb's "tt"; what is no whole number is missing."""
    matches = [_NUMBER.fullmatch(cell) for cell in cells]
    return pd.array([int(match[1]) if match else None for match in matches], dtype="Int64")


def _movies(files: Files, notes: list[str]) -> pd.DataFrame:
    columns = _columns(_rows(files, "movies.csv", notes), "item_id", "title")
    ids = raw_ids(columns.pop("item_id"))
    repeated = len(ids) - len(set(ids))
    if repeated:
        notes.append(f"movies.csv names {repeated:,} items more than once; the last line counts.")
    table = item_table(ids, columns.pop("title"), columns.pop("genres", [""] * len(ids)))
    if "year" in columns:
        table["year"] = pd.Series(_numbers(columns.pop("year"))).fillna(table["year"])
    for name, cells in columns.items():
        if name and name not in table:
            table[name] = _numbers(cells) if name in ("imdb_id", "tmdb_id") else cells
    return table


def _add_links(items: pd.DataFrame, rows: Rows) -> None:
    columns = _columns(rows, "item_id")
    ids = [raw_id(cell) for cell in columns["item_id"]]
    for name in ("imdb_id", "tmdb_id"):
        cells = columns.get(name, columns.get(name.replace("_", "")))
        if cells is not None:
            known = dict(zip(ids, cells, strict=True))
            items[name] = _numbers(known.get(str(item), "") for item in items["item_id"])


def _add_tags(items: pd.DataFrame, rows: Rows) -> None:
    names = [name.lower() for name in rows.header]
    item_at = roles(names).get("item_id")
    if item_at is None or "tag" not in names:
        raise BadInput("tags.csv", expected="userId,movieId,tag", problem=f"has the columns {_names(rows)}")
    tag_at, short = names.index("tag"), cache(raw_id)
    items["tags"] = tag_column(((short(row[item_at]), row[tag_at]) for row in rows), items["item_id"])


def _users(files: Files, rating_users: pd.Series, notes: list[str]) -> pd.DataFrame:
    """Read the users with ratings; postal codes are left out, as nothing needs them."""
    columns = _columns(_rows(files, "users.csv", notes), "user_id")
    frame = pd.DataFrame({name: cells for name, cells in columns.items() if name and "zip" not in name})
    frame["user_id"] = [raw_id(cell) for cell in columns["user_id"]]
    frame = words(frame[frame["user_id"].isin({str(user) for user in rating_users.unique()})])
    if "age" in frame and frame["age"].str.fullmatch("[0-9]{1,3}").all():
        frame = frame.assign(age=frame["age"].astype(int))
    return frame
