"""A data set as a zip: read again it is the same, and what a spreadsheet opens does nothing there."""

import io
import zipfile
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from recengine.data.dataset import Dataset
from recengine.data.sources import load_dataset, load_upload
from recengine.data.writing import KINDS, dataset_zip
from recengine.errors import BadInput


def test_the_sample_comes_back_from_csv_as_it_went() -> None:
    sample = load_dataset("sample")
    again = load_upload("sample.zip", dataset_zip(sample, "csv"))
    assert again.fingerprint == replace(sample, items=again.items, users=again.users).fingerprint
    for column in ("item_id", "title", "year", "genres", "director", "keywords"):
        assert again.items[column].tolist() == sample.items[column].tolist(), column
    assert again.users is not None
    assert sample.users is not None
    assert again.users["occupation"].tolist() == sample.users["occupation"].tolist()


@pytest.mark.parametrize("timed", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_ids_and_titles_of_any_kind_are_kept_and_no_cell_runs(tiny: Dataset, kind: str, timed: bool) -> None:
    ids = np.array([f'00{item},\n"' for item in tiny.item_ids], object)
    titles = ["=1+1", "a\tb", "x, y", *tiny.items["title"][3:]]
    data = replace(tiny, items=tiny.items.assign(item_id=ids, title=titles), item_ids=ids, timed=timed)
    with zipfile.ZipFile(io.BytesIO(dataset_zip(data, kind))) as archive:
        assert "60 users, 40 items" in archive.read("README.txt").decode()
        if kind == "parquet":
            ratings, items = (pd.read_parquet(archive.open(f"{name}.parquet")) for name in ("ratings", "items"))
            keys = ("user_id", "item_id")
        else:
            ratings, items = (pd.read_csv(archive.open(f"{name}.csv")) for name in ("ratings", "movies"))
            keys = ("userId", "movieId")
            titles[0] = "'=1+1"
    assert ("timestamp" in ratings) is timed
    assert items[keys[1]].tolist() == ids.tolist()
    assert items["title"].tolist() == titles
    assert ratings[keys[0]].tolist() == data.user_ids[data.ratings.user_idx].tolist()
    assert ratings[keys[1]].tolist() == ids[data.ratings.item_idx].tolist()
    assert ratings["rating"].astype("float32").tolist() == data.ratings.rating.tolist()


def test_another_kind_is_bad_input(tiny: Dataset) -> None:
    with pytest.raises(BadInput, match="kind 'xlsx' is unknown; expected one of: csv, parquet"):
        dataset_zip(tiny, "xlsx")
