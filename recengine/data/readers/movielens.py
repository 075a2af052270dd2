"""MovieLens: the seven published editions, how a genuine zip of each is known, and how each is read."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recengine.data.build import build_dataset
from recengine.data.dataset import Dataset
from recengine.data.readers.archive import Files, read
from recengine.data.readers.fast import read_fast
from recengine.data.readers.shape import Shape
from recengine.data.readers.tabular import item_table, load_layout, tag_column, words
from recengine.data.reading import Reading
from recengine.data.source import DatasetSource
from recengine.errors import BadInput

_COMMON = "Research use; acknowledge Harper & Konstan 2015 (doi 10.1145/2827872); no commercial use without permission"
KEPT = f"{_COMMON}; not to be redistributed without permission."
SHARED = f"{_COMMON}; may be redistributed under the same conditions."

_RECORDED = """
ml-latest-small.zip 696d65a3dfceac7c45750ad32df2c259311949efec81f0f144fdfb91ebc9e436
ml-100k.zip 50d2a982c66986937beb9ffb3aa76efe955bf3d5c6b761f4e3a7cd717c6a3229
ml-1m.zip a6898adb50b9ca05aa231689da44c217cb524e7ebd39d264c56e2832f2c54e20
ml-10m.zip 813c411ccb6122564edfe752e7f80c4dcc5aa25fa94c93622f6877a7ba252862
ml-20m.zip 96f243c338a8665f6bcc89c53edf6ee39162a846940de6b7c8c48aeada765ff3
ml-25m.zip 8b21cfb7eb1706b4ec0aac894368d90acf26ebdfb6aced3ebd4ad5bd1eb9c6aa
ml-32m.zip e4a68655d7386b8f95f2f2424b2ff975dfdd15ffd59e0d864a14dca43e99d6ee
u.data 06416e597f82b7342361e41163890c81036900f418ad91315590814211dca490
u.genre 9757e0d3e6b298159a80dd48eaf938114690e911e39af97a76949ef1663610bb
u.item 553841ebc7de3a0fd0d6b62a204ea30c1e651aacfb2814c7a6584ac52f2c5701
u.user f120e114da2e8cf314fd28f99417c94ae9ddf1cb6db8ce0e4b5995d40e90e62c
u1.base ce253ec86c448b44fb3ba9a30d12dcfc2e9210cbde71efada3730c22e9ac212a
u1.test 18c6014a4b2c7324f250a63f8904a7b16b2b19f911129e346141507b0cbac950
u2.base 6c06f0b5df4b256da1a994f3ac66edc8da4d3f09bc9282df6b14d893366d703e
u2.test 4de658d1e04ed9104629509a2e2528fce833ac8e048280183f1df167632038c3
u3.base afdc155c291c6edc41c0407e39d7462eb98d341e064f0b0a12175b80b3c4af5d
u3.test 0f548b51c78327de4c156461d3e430b7e5579fe2b5681586a59416e48fd35f6d
u4.base 219f0f4d40dfe9c5141d425f53fa91ee23ed275f14e280bbf1b50117afb064ca
u4.test 7c02ad0a1e7ab1083c8b9d4b627203a051dd7b5eab46d99fa44de33470de8db9
u5.base a9574e59ce961eec2121627760b6e9b0974ce1637b3fe69ac32cb14a4bfab485
u5.test 351cc52e0d15b6c721466276fc24671d40936899e3d01fadeaf312915b8c5634
ua.base 67b5bcdb380c29f85d56a012ecd88612ae020f30a6730d117a334ee8203b91f2
ua.test d0497e202417720f57a184ec8c66be2d1afa4ff41bb53787c57b28d6bf79bc42
ub.base 237254d253b6ad7de84f919d041055428646254f34ed8f562703c899430cd881
ub.test d54a72d05730d5892062734b2bec73e976f9b713d18c828a18b968d6cce442da
"""
_SHA256 = dict(line.split() for line in _RECORDED.strip().splitlines())
"""Of the official zips, and of the members of ml-100k."""


_MEMBERS = {name: value for name, value in _SHA256.items() if name.startswith("u")}
GROUPLENS = "https://files.grouplens.org/datasets/movielens"
HUGGING_FACE = "https://huggingface.co/datasets/Recommenders/MovieLens/resolve/main"
CITATION = (
    "F. M. Harper & J. A. Konstan, The MovieLens Datasets: History and Context, ACM TiiS 5(4), 2015, "
    "doi 10.1145/2827872."
)


def load_edition(source: DatasetSource, files: Files | None) -> Dataset:
    """Load an edition from a zip already known as genuine."""
    assert files is not None  # every edition has a zip
    if "ratings.csv" in files:
        data = load_layout(source.name, files, licence=source.licence)
        return replace(data, reading=Reading(), inferences=())
    load = _load_100k if "u.data" in files else _load_dat
    return load(source.name, files, source.licence)


def _edition(
    name: str,
    title: str,
    size: int,
    counts: tuple[int, int, int],
    licence: str,
    *,
    mirrored: bool = False,
    **known: Any,
) -> DatasetSource:
    """Describe an edition. `counts` are of its ratings, users and films; `mirrored` : Hugging Face has it, too."""
    return DatasetSource(
        name,
        title,
        *counts,
        licence,
        CITATION,
        load_edition,
        addresses=tuple(f"{base}/{name}.zip" for base in ([GROUPLENS, HUGGING_FACE] if mirrored else [GROUPLENS])),
        size=size,
        sha256=_SHA256[f"{name}.zip"],
        **{"verified": False, **known},
    )


SOURCES = (
    _edition(
        "ml-latest-small",
        "MovieLens latest small (2018)",
        978_202,
        (100_836, 610, 9_742),
        SHARED,
        rolling=True,
        verified=True,
    ),
    _edition(
        "ml-100k",
        "MovieLens 100K (1998)",
        4_924_029,
        (100_000, 943, 1_682),
        KEPT,
        mirrored=True,
        members=_MEMBERS,
        verified=True,
    ),
    _edition("ml-1m", "MovieLens 1M (2000)", 5_917_549, (1_000_209, 6_040, 3_883), KEPT, mirrored=True),
    _edition("ml-10m", "MovieLens 10M (2009)", 65_566_137, (10_000_054, 71_567, 10_681), KEPT, mirrored=True),
    _edition("ml-20m", "MovieLens 20M (2015)", 198_702_078, (20_000_263, 138_493, 27_278), SHARED, mirrored=True),
    _edition("ml-25m", "MovieLens 25M (2019)", 261_978_986, (25_000_095, 162_541, 62_423), SHARED),
    _edition("ml-32m", "MovieLens 32M (2023)", 238_950_008, (32_000_204, 200_948, 87_585), SHARED),
)


def _ratings(files: Files, member: str, sep: str) -> pd.DataFrame:
    label = f"{member} in {files.label}"
    roles = ("user", "item", "rating", "time")
    shape = Shape(sep, False, 0, ["1", "2", "3", "4"], {role: at for at, role in enumerate(roles)}, False)
    columns = read_fast(lambda: files.blocks(member), shape, lambda row: label)
    if columns is None or columns.users.dtype.kind != "i" or columns.items.dtype.kind != "i":
        raise BadInput(label, remedy="fetch it again", problem="is damaged")
    names = ("user_id", "item_id", "rating", "timestamp")
    parts = (columns.users, columns.items, columns.values, columns.times)
    return pd.DataFrame(dict(zip(names, parts, strict=True)), copy=False)


def _fields(files: Files, member: str, sep: str) -> list[list[str]]:
    """Return the fields of each line; the encoding is UTF-8 (10M) or Latin-1 (100K, 1M)."""
    content = read(files, member)
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        text = content.decode("latin-1")
    return [line.rstrip("\r").split(sep) for line in text.split("\n") if line.strip()]


def _load_100k(name: str, files: Files, licence: str) -> Dataset:
    genres = [fields[0] for fields in _fields(files, "u.genre", "|")]
    films = _fields(files, "u.item", "|")
    flagged = ["|".join(g for g, flag in zip(genres, film[5:], strict=True) if flag == "1") for film in films]
    items = item_table([int(film[0]) for film in films], [film[1] for film in films], flagged)
    user_rows = _fields(files, "u.user", "|")
    users = pd.DataFrame(
        {
            "user_id": [int(row[0]) for row in user_rows],
            "age": [int(row[1]) for row in user_rows],
            "gender": [row[2] for row in user_rows],
            "occupation": [row[3] for row in user_rows],
        }
    )
    data = build_dataset(name, _ratings(files, "u.data", "\t"), items, users, licence=licence)
    predefined = {
        split: (
            _rows_of(data, _ratings(files, f"{split}.base", "\t")),
            _rows_of(data, _ratings(files, f"{split}.test", "\t")),
        )
        for split in ("u1", "u2", "u3", "u4", "u5", "ua", "ub")
    }
    return replace(data, predefined=MappingProxyType(predefined))


def _rows_of(data: Dataset, pairs: pd.DataFrame) -> NDArray[np.int64]:
    """Return the rows of `data.ratings` with these (user, item) pairs, ascending."""
    wanted = data.user_index(pairs["user_id"]) * data.n_items + data.item_index(pairs["item_id"])
    return np.flatnonzero(np.isin(data.ratings.pairs, wanted))


def _load_dat(name: str, files: Files, licence: str) -> Dataset:
    films = _fields(files, "movies.dat", "::")
    items = item_table(
        [int(film[0]) for film in films], ["::".join(film[1:-1]) for film in films], [film[-1] for film in films]
    )
    if "tags.dat" in files:
        pairs = ((row[1], "::".join(row[2:-1])) for row in _fields(files, "tags.dat", "::"))
        items = items.assign(tags=tag_column(pairs, items["item_id"]))
    users = None
    if "users.dat" in files:
        user_rows = _fields(files, "users.dat", "::")
        columns = zip(("user_id", "gender", "age", "occupation"), zip(*user_rows, strict=True), strict=False)
        users = words(pd.DataFrame({name: list(cells) for name, cells in columns}).astype({"user_id": int}))
    return build_dataset(name, _ratings(files, "ratings.dat", "::"), items, users, licence=licence)
