"""Data in: names, paths, frames and sparse matrices give the same data set; what is inferred is said."""

import logging
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

import recengine as rec
from tests.api.conftest import frame


def rows(data: rec.Dataset) -> set[tuple[str, str, float]]:
    r = data.ratings
    return set(zip(data.user_ids[r.user_idx], data.item_ids[r.item_idx], r.rating.tolist(), strict=True))


def test_a_frame_a_file_and_a_matrix_of_the_same_ratings_are_the_same_data(data: rec.Dataset, tmp_path: Path) -> None:
    table = frame()
    expected = set(table[["customer", "product", "stars"]].itertuples(index=False, name=None))
    assert rows(data) == expected
    table.to_csv(tmp_path / "mine.csv", index=False)
    columns = {"user": "customer", "item": "product", "rating": "stars", "time": "when"}
    assert rows(rec.load(tmp_path / "mine.csv", columns=columns, scale=(1, 5))) == expected
    assert rows(rec.load(table, columns=columns, scale=(1, 5))) == expected
    users, items = pd.Index(sorted(table["customer"].unique())), pd.Index(sorted(table["product"].unique()))
    cells = (table["stars"], (users.get_indexer(table["customer"]), items.get_indexer(table["product"])))
    matrix = sparse.csr_array(cells, shape=(len(users), len(items)))
    assert rows(rec.from_sparse(matrix, user_ids=users, item_ids=items, scale=(1, 5))) == expected


def test_a_matrix_without_ids_speaks_row_and_column_numbers_and_keeps_items_without_ratings() -> None:
    matrix = sparse.csc_matrix(np.array([[5, 0, 3, 0], [0, 0, 4, 0], [1, 0, 0, 0]]))
    data = rec.load(matrix, scale=(1, 5))
    assert rows(data) == {(0, 0, 5.0), (0, 2, 3.0), (1, 2, 4.0), (2, 0, 1.0)}
    assert data.item_ids.tolist() == [0, 1, 2, 3]


def test_ids_of_a_matrix_must_be_as_many_as_its_rows_and_differ() -> None:
    with pytest.raises(rec.BadInput, match="item_ids has 2 ids, of which 1 differ; expected 2 different ones"):
        rec.from_sparse(sparse.eye_array(2), item_ids=["a", "a"], feedback="implicit")


def test_numbers_stay_numbers_and_text_stays_text() -> None:
    table = pd.DataFrame({"user": [1, 2, 3], "item": ["00123", "123", "123.0"], "rating": [1.0, 2.0, 5.0]})
    data = rec.load(table, scale=(1, 5))
    assert data.user_ids.tolist() == [1, 2, 3]
    assert sorted(data.item_ids) == ["00123", "123", "123.0"]


def test_what_is_inferred_is_logged_and_what_is_stated_is_not(caplog: pytest.LogCaptureFixture) -> None:
    table = frame()
    with caplog.at_level(logging.WARNING, "recengine"):
        rec.from_pandas(table, user="customer", item="product", rating="stars", time="when", scale=(1, 5))
        assert caplog.messages == []
        rec.from_pandas(table, user="customer", item="product", rating="stars", time="when")
    assert caplog.messages == ["frame: Ratings run from 1 to 5; 4 or more counts as liked."]


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: rec.load("ml-100"), "data 'ml-100' is unknown (did you mean 'ml-100k'?)"),
        (lambda: rec.load([1, 2]), "data 'list' is no data that can be loaded; expected a name, a path"),  # type: ignore[arg-type]
        (lambda: rec.load(frame(), columns={"rank": "stars"}), "columns 'rank' is not what a column may be"),
        (lambda: rec.from_pandas(frame(), user="who", item="product"), "who"),
        (lambda: rec.load("sample", scale=(1, 5)), "scale '1.0,5.0' is not for sample, whose form is known"),
    ],
)
def test_bad_data_is_refused_in_a_sentence_that_names_it(make: object, sentence: str) -> None:
    with pytest.raises(rec.BadInput) as refused:
        make()  # type: ignore[operator]
    assert sentence in str(refused.value)
    assert "`" not in str(refused.value)


def test_a_split_takes_the_threshold_of_the_scale_and_carries_its_data(data: rec.Dataset) -> None:
    made = rec.split(data, "random", share=0.2, seed=4)
    assert made.positive == 4
    assert (made.train.rating >= 4).all()
    labels = made.train.labels
    assert labels is not None
    assert labels.dataset is data
    assert made.fit.labels is labels
    assert made.train.select([0, 1]).labels is labels
    assert made.train.of_users([3]).labels is None, "user 3 is user 0 there"
    assert rec.split(data, "random", share=0.2, seed=4, positive=5).positive == 5


def test_a_split_without_rare_items_is_of_the_data_without_them(data: rec.Dataset) -> None:
    least = int(np.median(data.positives(4).item_counts)) + 1
    made = rec.split(data, "leave-last", min_item=least)
    assert made.labels is not None
    assert 0 < made.labels.dataset.n_items < data.n_items
    assert made.train.n_items == made.labels.dataset.n_items
