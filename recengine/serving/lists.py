"""Everybody's lists as one file, Parquet or JSON lines: a row for each listed item, with raw ids.

Columns are made for many users at once, and text is joined by Arrow: no step looks at one user or one row.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from recengine.data.dataset import Dataset
from recengine.export import Cell
from recengine.files import atomic_file
from recengine.serving.recommend import Listing

if TYPE_CHECKING:
    import pyarrow as pa

ENDINGS = (".parquet", ".jsonl")
"""Endings of the files that lists can be written to."""
ROWS_AT_ONCE = 2**18
"""Rows that are made at once: a fifth of what Arrow could join at most, if titles took a kilobyte."""


class Rows(NamedTuple):
    """Some rows, without what pads lists.

    users : raw ids of the listings' users; user : (n,) positions in these; item : (n,) indices; rank : (n,) from 1
    score : (n,) float32; fallback : (n,) whether popularity stands in for the model
    """

    users: Sequence[Cell]
    user: NDArray[np.int64]
    item: NDArray[np.int64]
    rank: NDArray[np.int64]
    score: NDArray[np.float32]
    fallback: NDArray[np.bool_]


def write_lists(
    listings: Iterable[tuple[Sequence[Cell], Listing]], dataset: Dataset, target: Path, *, text_ids: bool = False
) -> int:
    """Write the lists of users, given by their raw ids, atomically; return the number of rows.

    The file's ending says the format; what has none, such as standard output, gets JSON lines. With `text_ids` the
    users' ids are text in Parquet, since some are none of the data set's.
    """
    written = 0
    with atomic_file(target) as file:
        is_parquet = target.suffix.lower() == ".parquet"
        write = _Parquet(file, dataset, text_ids) if is_parquet else _JsonLines(file, dataset)
        for users, listing in listings:
            for rows in _rows(users, listing):
                write.rows(rows)
                written += len(rows.user)
        write.close()
    return written


def _rows(users: Sequence[Cell], listing: Listing) -> Iterator[Rows]:
    items, scores = (part.numpy() for part in listing.ranking)
    at_once = max(1, ROWS_AT_ONCE // items.shape[1])
    for start in range(0, len(users), at_once):
        part = slice(start, start + at_once)
        user, rank = np.nonzero(items[part] >= 0)
        yield Rows(
            users[part], user, items[part][user, rank], rank + 1, scores[part][user, rank], listing.fallback[part][user]
        )


class _Parquet:
    """Columns user_id, rank, item_id, title, score, fallback, a row group for what comes at once."""

    def __init__(self, file: BinaryIO, dataset: Dataset, text_ids: bool) -> None:
        import pyarrow as pa
        from pyarrow import parquet

        def ids(known: NDArray[np.generic], as_text: bool = False) -> pa.DataType:
            return pa.string() if as_text or known.dtype.kind != "i" else pa.int64()

        self.schema = pa.schema(
            [
                ("user_id", ids(dataset.user_ids, text_ids)),
                ("rank", pa.int32()),
                ("item_id", ids(dataset.item_ids)),
                ("title", pa.string()),
                ("score", pa.float32()),
                ("fallback", pa.bool_()),
            ]
        )
        self.item_ids = pa.array(dataset.item_ids, self.schema.field("item_id").type)
        self.titles = pa.array([title for _, title, _, _ in dataset.films], pa.string())
        self.writer = parquet.ParquetWriter(file, self.schema, compression="zstd")

    def rows(self, rows: Rows) -> None:
        """Write some rows."""
        import pyarrow as pa

        kind = self.schema.field("user_id").type
        texts = [str(user) for user in rows.users] if kind == pa.string() else rows.users
        columns = [
            pa.array(texts, kind).take(pa.array(rows.user)),
            pa.array(rows.rank.astype(np.int32)),
            self.item_ids.take(pa.array(rows.item)),
            self.titles.take(pa.array(rows.item)),
            pa.array(rows.score),
            pa.array(rows.fallback),
        ]
        self.writer.write_table(pa.Table.from_arrays(columns, schema=self.schema))

    def close(self) -> None:
        self.writer.close()


class _JsonLines:
    """The same columns as keys, a line for each row."""

    def __init__(self, file: BinaryIO, dataset: Dataset) -> None:
        import pyarrow as pa

        self.file = file
        ids, titles = _json(dataset.item_ids.tolist()), _json([title for _, title, _, _ in dataset.films])
        pairs = zip(ids, titles, strict=True)
        self.items = pa.array([f', "item_id": {id}, "title": {title}, "score": ' for id, title in pairs], pa.string())
        self.ends = pa.array([', "fallback": false}\n', ', "fallback": true}\n'], pa.string())

    def rows(self, rows: Rows) -> None:
        """Write some rows."""
        import pyarrow as pa
        from pyarrow import compute

        if not len(rows.user):
            return
        lines = compute.binary_join_element_wise(
            '{"user_id": ',
            pa.array(_json(rows.users), pa.string()).take(pa.array(rows.user)),
            ', "rank": ',
            pa.array(rows.rank).cast(pa.string()),
            self.items.take(pa.array(rows.item)),
            pa.array(rows.score).cast(pa.string()),  # as many digits as float32 needs
            self.ends.take(pa.array(rows.fallback.astype(np.int8))),
            "",
        )
        whole = pa.LargeListArray.from_arrays(pa.array([0, len(lines)], pa.int64()), lines)
        self.file.write(compute.binary_join(whole, "")[0].as_buffer())

    def close(self) -> None:
        """Nothing is left to write."""


def _json(values: Sequence[Cell]) -> list[str]:
    """Return each value as JSON, by one call: no JSON text holds the end of a line that separates them here."""
    return json.dumps(list(values), ensure_ascii=False, separators=("\n", ":"))[1:-1].split("\n") if values else []
