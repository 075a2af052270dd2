"""`sample`: real films and a simulated audience, the data set that needs no network."""

from __future__ import annotations

import hashlib
import io
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from recengine import settings
from recengine.data.build import build_dataset
from recengine.data.dataset import Dataset
from recengine.data.readers.archive import Files
from recengine.data.sample.audience import simulate
from recengine.data.source import DatasetSource
from recengine.files import atomic_file

FILMS = Path(__file__).with_name("films.csv")
LICENCE = "Free to use with RecEngine. The films are facts written down by hand; the audience is simulated."
COLUMNS = ("item_id", "title", "year", "genres", "director", "keywords")
"""What the data set tells of a film; the rest of films.csv is for the simulation, and no model sees it."""
NOTE = "The films are real; the users, their ratings and the times are simulated."

_SOURCES = (FILMS, FILMS.with_name("taste.py"), FILMS.with_name("audience.py"))
_DIGEST_SIZE = 16
_Tables = tuple[pd.DataFrame, pd.DataFrame]


def sample_films() -> pd.DataFrame:
    """Return the catalogue: item_id, title, year, genres and keywords (joined by `|`), director (by ` & `), country.

    `stature` and `fame` are classes of 1 to 5 written down by hand, for the simulation only.
    """
    text = ("title", "genres", "director", "keywords", "country")
    return pd.read_csv(FILMS, dtype=dict.fromkeys(text, str), keep_default_na=False, encoding="utf-8")


def sample_dataset(source: DatasetSource | None = None, files: Files | None = None, /) -> Dataset:
    """Return the embedded data set, simulated on first use and then read from the cache in `settings.home()`."""
    films = sample_films()
    cache = settings.home() / "data" / f"sample-{_generator_key()}.cache"
    tables = _read(cache)
    if tables is None:
        tables = simulate(films)
        _write(cache, tables)
    ratings, users = tables
    return build_dataset(
        "sample",
        ratings,
        films[list(COLUMNS)],
        users,
        notes=(NOTE,),
        licence=LICENCE,
        simulated=True,
    )


SAMPLE = DatasetSource("sample", "RecEngine sample", 151_063, 2_000, 1_229, LICENCE, "", sample_dataset)


def _generator_key() -> str:
    """Return a hash of all that the audience follows from, so that no change can meet an old cache."""
    digest = hashlib.blake2b(digest_size=8)
    for source in _SOURCES:
        digest.update(source.read_bytes())
    return digest.hexdigest()


def _read(cache: Path) -> _Tables | None:
    """Return the cached tables, or None when they are missing or damaged: then they are made again."""
    try:
        content = cache.read_bytes()
    except OSError:
        return None
    if content[:_DIGEST_SIZE] != _digest(content[_DIGEST_SIZE:]):
        return None
    columns: tuple[dict[str, np.ndarray], dict[str, np.ndarray]] = ({}, {})
    with np.load(io.BytesIO(content[_DIGEST_SIZE:]), allow_pickle=False) as arrays:
        for name in arrays.files:
            table, column = name.split(".")
            columns[int(table)][column] = arrays[name]
    return pd.DataFrame(columns[0]), pd.DataFrame(columns[1])


def _write(cache: Path, tables: _Tables) -> None:
    """Write the tables atomically, as a digest and an npz."""
    arrays: dict[str, Any] = {}
    for table, frame in enumerate(tables):
        for name, column in frame.items():
            arrays[f"{table}.{name}"] = column.to_numpy(str if column.dtype.kind not in "if" else None)
    stream = io.BytesIO()
    np.savez_compressed(stream, allow_pickle=False, **arrays)
    content = stream.getvalue()
    with suppress(OSError):  # a full or read-only disk costs a second at the next start, no more
        cache.parent.mkdir(parents=True, exist_ok=True)
        with atomic_file(cache) as file:
            file.write(_digest(content) + content)


def _digest(content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=_DIGEST_SIZE).digest()
