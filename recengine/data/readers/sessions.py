"""Session data as implicit feedback: the public layouts of the Yoochoose and trivago challenges, from a folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from recengine.data.build import build_dataset
from recengine.data.dataset import Dataset
from recengine.data.reading import Interpretation, Reading
from recengine.errors import BadInput

YOOCHOOSE = "yoochoose-clicks.dat"
"""RecSys Challenge 2015: session, ISO time, item, category; no header. yoochoose-buys.dat may be there too."""

TRIVAGO = "train.csv"
"""RecSys Challenge 2019: a header with TRIVAGO_COLUMNS; item_metadata.csv may be there too."""

TRIVAGO_COLUMNS = ("session_id", "timestamp", "action_type", "reference")
CLICK, BUY = 1.0, 2.0


def is_session_folder(folder: Path) -> bool:
    """Tell whether a folder holds one of the two layouts."""
    if (folder / YOOCHOOSE).is_file():
        return True
    try:
        with (folder / TRIVAGO).open(encoding="utf-8", errors="replace") as file:
            return set(TRIVAGO_COLUMNS) <= set(file.readline(10_000).strip().split(","))
    except OSError:
        return False


def load_sessions(folder: Path) -> Dataset:
    """Load a folder of session data: a session is a user, a click is a rating of 1, a purchase one of 2.

    Raises BadInput when a file is not in its layout or has no row.
    """
    yoochoose = (folder / YOOCHOOSE).is_file()
    rows = _yoochoose(folder) if yoochoose else _trivago(folder)
    return build_dataset(
        folder.name,
        rows,
        _categories(rows) if yoochoose else _properties(folder),
        interpretation=Interpretation(Reading(feedback="implicit", aggregate="max")),
        notes=["A session stands for a user; a click counts as 1, a purchase as 2."],
        licence="On the terms of its publisher; used from your copy.",
    )


def _yoochoose(folder: Path) -> pd.DataFrame:
    clicks = _read(folder / YOOCHOOSE, names=["user_id", "time", "item_id", "category"])
    clicks["rating"] = CLICK
    buys = folder / "yoochoose-buys.dat"
    if buys.is_file():
        bought = _read(buys, names=["user_id", "time", "item_id", "price", "quantity"])
        bought["rating"] = BUY
        clicks = pd.concat([clicks, bought[["user_id", "time", "item_id", "rating"]]], ignore_index=True)
    when = pd.to_datetime(clicks["time"], errors="coerce", utc=True, format="ISO8601")
    if when.isna().any():
        row = int(np.flatnonzero(when.isna())[0])
        raise BadInput(
            f"row {row + 1} of the session data in {folder}",
            expected="a time such as 2014-04-07T10:51:09.277Z",
            problem=f"has the time {clicks['time'].iloc[row]!r}",
        )
    clicks["timestamp"] = when.astype("datetime64[s, UTC]").astype("int64")
    return clicks


def _trivago(folder: Path) -> pd.DataFrame:
    rows = _read(folder / TRIVAGO, usecols=list(TRIVAGO_COLUMNS))
    rows = rows[rows["reference"].astype(str).str.isdigit()]  # other actions refer to cities, filters and sort orders
    if rows.empty:
        expected = "rows whose reference is an item id"
        raise BadInput(str(folder / TRIVAGO), expected=expected, problem="has no action on an item")
    bought = rows["action_type"] == "clickout item"
    return pd.DataFrame(
        {
            "user_id": rows["session_id"],
            "item_id": rows["reference"].astype(np.int64),
            "rating": np.where(bought, BUY, CLICK),
            "timestamp": rows["timestamp"].astype(np.int64),
        }
    )


def _categories(rows: pd.DataFrame) -> pd.DataFrame:
    """Return an item table with each item's latest category other than 0 and S as its genre."""
    known = rows.dropna(subset=["category"]).drop_duplicates("item_id", keep="last")
    category = known["category"].astype(str)
    return pd.DataFrame(
        {
            "item_id": known["item_id"],
            "title": "Item " + known["item_id"].astype(str),
            "genres": category.where(~category.isin(["0", "S"]), ""),
        }
    )


def _properties(folder: Path) -> pd.DataFrame | None:
    if not (folder / "item_metadata.csv").is_file():
        return None
    items = _read(folder / "item_metadata.csv", usecols=["item_id", "properties"])
    return items.rename(columns={"properties": "tags"}).assign(title="Item " + items["item_id"].astype(str))


def _read(path: Path, **options: object) -> pd.DataFrame:
    """Read one of the files with pandas' C parser; whatever it cannot read is bad input."""
    try:
        frame = pd.read_csv(path, low_memory=False, on_bad_lines="error", index_col=False, **options)  # type: ignore[call-overload]  # typed by keyword
    except (OSError, ValueError) as error:  # ParserError and EmptyDataError are ValueErrors
        problem = f"cannot be read ({str(error).strip()[:200]})"
        raise BadInput(str(path), remedy="check that it is the published file", problem=problem) from None
    if frame.empty:
        raise BadInput(str(path), expected="the published file", problem="has no rows")
    return frame
