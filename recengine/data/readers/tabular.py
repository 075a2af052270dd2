"""The tabular layout: ratings.csv, with movies.csv, links.csv, tags.csv, users.csv where they are; or a single CSV."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from functools import cache
from typing import Any

import pandas as pd

from recengine.data.build import build_dataset
from recengine.data.dataset import Dataset
from recengine.data.readers.archive import Files, read
from recengine.data.readers.columns import roles
from recengine.data.readers.delimited import Rows, raw_ids
from recengine.data.readers.text import read_text
from recengine.data.readers.typed import is_typed, read_typed
from recengine.data.reading import Interpretation, Reading
from recengine.data.titles import split_title
from recengine.errors import BadInput

TAGS_PER_ITEM = 5
_NUMBER = re.compile(r"(?:tt)?([0-9]{1,15})(?:\.0+)?")
_LISTED = re.compile(r"""(?:\[|,|['"]name['"]:)\s*(['"])(?!(?:id|name)\1\s*:)(.*?)\1(?=\s*[,\]}])""")
"""A name in a list of genres."""

AGES = {"1": "under 18", "18": "18-24", "25": "25-34", "35": "35-44", "45": "45-49", "50": "50-55", "56": "56+"}
"""The age codes of MovieLens 1M."""

_OCCUPATIONS = (
    "other|academic/educator|artist|clerical/admin|college/grad student|customer service|doctor/health care|"
    "executive/managerial|farmer|homemaker|K-12 student|lawyer|programmer|retired|sales/marketing|scientist|"
    "self-employed|technician/engineer|tradesman/craftsman|unemployed|writer"
)
OCCUPATIONS = {str(code): name for code, name in enumerate(_OCCUPATIONS.split("|"))}
"""The occupation codes of MovieLens 1M."""


def load_layout(name: str, files: Files, *, reading: Reading | None = None, **metadata: Any) -> Dataset:
    """Load a folder or zip that holds ratings.csv and, as far as they are there, the other files."""
    if "ratings.csv" not in files:
        raise BadInput(
            files.label,
            expected="ratings.csv (userId,movieId,rating[,timestamp]) and movies.csv (movieId,title,genres)",
            remedy="give a single CSV by its path",
            problem="holds no ratings.csv",
        )
    interpretation = Interpretation(reading)
    ratings, items = read_text(files, "ratings.csv", interpretation)
    notes = interpretation.notes
    if "movies.csv" in files:
        items = _movies(files, notes)
        for member, add in (("links.csv", _add_links), ("tags.csv", _add_tags)):
            if member in files:
                add(items, _rows(files, member, notes))
    else:
        items = described_items(ratings["item_id"], items, notes)
        notes.append("No movies.csv: links and tags are not used.")
    users = _users(files, ratings["user_id"], notes) if "users.csv" in files else None
    return build_dataset(name, ratings, items, users, interpretation=interpretation, **metadata)


def load_single(name: str, files: Files, member: str, *, reading: Reading | None = None) -> Dataset:
    """Load one file: delimited text in long or wide form, JSON lines, or parquet."""
    interpretation = Interpretation(reading)
    read = read_typed if is_typed(member, files) else read_text
    ratings, items = read(files, member, interpretation, wide=True)
    items = described_items(ratings["item_id"], items, interpretation.notes)
    return build_dataset(name, ratings, items, interpretation=interpretation)


def item_table(ids: Any, titles: Iterable[str], genres: Iterable[str]) -> pd.DataFrame:
    """Return the item table of a source: natural titles, years, other titles where there are any, tidy genres."""
    split = [split_title(title) for title in titles]
    table = pd.DataFrame(
        {
            "item_id": ids,
            "title": [title or None for title, _, _ in split],
            "year": pd.array([year for _, year, _ in split], dtype="Int64"),
            "genres": [tidy_genres(text) for text in genres],
        }
    )
    if any(other for _, _, other in split):
        table["other_title"] = [other for _, _, other in split]
    return table


def tidy_genres(text: str) -> str:
    """Return genres joined by `|`, with MovieLens's names for none left out.

    They may come joined by `|` or by commas, or as a list of names, or of objects with a name, in JSON's or
    Python's form.
    """
    text = text.strip()
    if not text:
        return ""
    if text.startswith("[") and text.endswith("]"):
        parts = [match[2] for match in _LISTED.finditer(text)]
    else:
        parts = text.split("|" if "|" in text else ",")
    names = (part.strip() for part in parts)
    return "|".join(
        "Children" if name == "Children's" else name
        for name in names
        if name and name.lower() not in ("(no genres listed)", "unknown")
    )


def described_items(ids: pd.Series, items: pd.DataFrame | None, notes: list[str]) -> pd.DataFrame | None:
    """Return the items as the table of ratings describes them, or else by their ids.

    Text ids are titles, too, where nothing else is; numbers get the title "Item 7".
    """
    if items is not None:
        notes.append("Titles are taken from the table of ratings.")
        genres = items.get("genres", pd.Series([""] * len(items)))
        table = item_table(items["item_id"], items["title"], genres)
        if "year" in items:
            table["year"] = pd.Series(_numbers(items["year"])).fillna(table["year"])
        return table
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
    """Return the columns by lower-case name, the ids as `item_id` and `user_id`; checks `needed`.

    Cells are stripped, but for ids, which are kept as they are.
    """
    names = [name.lower() for name in rows.header]
    for role, index in roles(names).items():
        if role in ("user", "item") and names[index] != "title":
            names[index] = f"{role}_id"
    for name in needed:
        if name not in names:
            raise BadInput(rows.label, problem=f"has the columns {_names(rows)}, without one for {name}")
    columns: list[list[str]] = [[] for _ in names]
    exact = [name in ("user_id", "item_id") for name in names]
    for row in rows:
        for column, cell, keep in zip(columns, row, exact, strict=True):
            column.append(cell if keep else cell.strip())
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
    ids = columns["item_id"]
    for name in ("imdb_id", "tmdb_id"):
        cells = columns.get(name, columns.get(name.replace("_", "")))
        if cells is not None:
            known = dict(zip(ids, cells, strict=True))
            items[name] = _numbers(known.get(str(item), "") for item in items["item_id"])


def _add_tags(items: pd.DataFrame, rows: Rows) -> None:
    names = [name.lower() for name in rows.header]
    item_at = roles(names).get("item")
    if item_at is None or "tag" not in names:
        raise BadInput("tags.csv", expected="userId,movieId,tag", problem=f"has the columns {_names(rows)}")
    tag_at = names.index("tag")
    items["tags"] = tag_column(((row[item_at], row[tag_at]) for row in rows), items["item_id"])


def _users(files: Files, rating_users: pd.Series, notes: list[str]) -> pd.DataFrame:
    """Read the users with ratings; postal codes are left out, as nothing needs them."""
    columns = _columns(_rows(files, "users.csv", notes), "user_id")
    frame = pd.DataFrame({name: cells for name, cells in columns.items() if name and "zip" not in name})
    frame["user_id"] = columns["user_id"]
    frame = words(frame[frame["user_id"].isin({str(user) for user in rating_users.unique()})])
    if "age" in frame and frame["age"].str.fullmatch("[0-9]{1,3}").all():
        frame = frame.assign(age=frame["age"].astype(int))
    return frame
