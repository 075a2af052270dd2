"""What the item table says of items, as tables of zeros and ones and as sparse terms."""

from __future__ import annotations

import math
import tracemalloc

import pandas as pd
import pytest
import torch

from recengine.models.metadata import (
    credit_table,
    dense_rows,
    metadata_table,
    parse_credit,
    term_matrix,
)

FILMS = pd.DataFrame(
    {
        "genres": ["Action|Drama", "Drama", "", "Action|Comedy|Drama"],
        "year": pd.array([1994, 1999, None, 2001], dtype="Int64"),
        "director": ["A & B", "B", "", "A"],
    }
)


TERMS = pd.DataFrame({"genres": ["Drama|War", "Drama", "", "Comedy"], "director": ["A & B", "B", "", "C"]})


def test_metadata_is_a_table_of_the_values_of_at_least_two_items() -> None:
    genres = metadata_table(FILMS, ["genres"], 4)
    assert genres.tolist() == [[1, 1], [1, 0], [0, 0], [1, 1]]  # Drama, Action; only one film is a Comedy
    years = metadata_table(FILMS, ["year"], 4)
    assert years.tolist() == [[1], [1], [0], [0]]  # the nineties; the only other decade has one film
    assert metadata_table(None, ["genres"], 4).tolist() == [[0]] * 4
    assert metadata_table(FILMS, ["tags"], 4).tolist() == [[0]] * 4


def test_credit_is_the_weight_of_each_shared_value() -> None:
    table = credit_table(FILMS, parse_credit("genres:0.4,director:0.1"), 4)
    shared = table @ table.T
    assert shared[0, 1].item() == pytest.approx(0.4 + 0.1)  # Drama, and B
    assert shared[0, 3].item() == pytest.approx(0.8 + 0.1)  # Action and Drama, and A
    assert shared[0, 2].item() == 0.0


def test_a_term_weighs_the_logarithm_of_its_rarity() -> None:
    terms = term_matrix(TERMS).to_dense()
    assert terms.sum(1)[2] == 0  # nothing is known of it
    shared, rare = math.log(4 / 2), math.log(4 / 1)
    assert terms[0].sum() == pytest.approx(2 * shared + 2 * rare)  # Drama and B are shared, War and A are not
    assert terms[1].sum() == pytest.approx(2 * shared)


def test_the_rare_tags_of_a_large_catalogue_take_hardly_any_memory() -> None:
    tags = pd.DataFrame({"tags": [f"all|{i % 3}|rare {i}|rarer {i}" for i in range(10_000)]})
    tracemalloc.start()
    table, terms = metadata_table(tags, ("tags",), len(tags)), term_matrix(tags)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1e8  # a number for each item and tag would take 8e8 bytes
    assert table.shape == (10_000, 4)  # those that two items share, at least
    assert table.sum(0).tolist() == [10_000, 3_334, 3_333, 3_333]
    assert terms.shape == (10_000, 20_004)
    assert terms.is_sparse


def test_rows_of_sparse_terms_are_read_in_inference_mode_too() -> None:
    tags = pd.DataFrame({"tags": [f"all|{i % 3}|{i % 7}|rare {i}" if i % 5 else "" for i in range(20_000)]})
    with torch.inference_mode():
        terms = term_matrix(tags)
        rows = dense_rows(terms, torch.tensor([10, 7, 19_999, 7]))
    assert torch.equal(rows, terms.to_dense()[[10, 7, 19_999, 7]])
    assert rows[0].sum() == 0
