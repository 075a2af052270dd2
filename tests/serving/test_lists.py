"""Everybody's lists as a file: hostile ids and titles, users without a row, and no rows at all."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from recengine.data.dataset import Dataset
from recengine.metrics import Ranking
from recengine.serving import lists
from recengine.serving.recommend import Listing

HOSTILE = ['",\n"a": 1}', "tab\tline\r\u2028\x00\x0b", "\\", "=1+1", "é\U0001f3ac", "", "007"]


@pytest.fixture(scope="module")
def hostile(tiny: Dataset) -> Dataset:
    """Return `tiny` with ids and titles that break out of a line of JSON."""
    texts = np.array([HOSTILE[n % len(HOSTILE)] + str(n) for n in range(tiny.n_items)], object)
    users = np.array([HOSTILE[n % len(HOSTILE)] + str(n) for n in range(tiny.n_users)], object)
    return replace(tiny, items=tiny.items.assign(item_id=texts, title=texts), item_ids=texts, user_ids=users)


@pytest.mark.parametrize("at_once", [1, 7, 10_000])
@pytest.mark.parametrize("ending", lists.ENDINGS)
def test_rows_come_back_as_they_went(
    hostile: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at_once: int, ending: str
) -> None:
    monkeypatch.setattr(lists, "ROWS_AT_ONCE", at_once)
    draws = torch.Generator().manual_seed(0)
    items = torch.stack([torch.randperm(40, generator=draws)[:4] for _ in range(hostile.n_users)])
    items[3], items[5, 2:] = -1, -1
    scores = torch.randn(items.shape, generator=draws) * 10.0 ** torch.randint(-30, 30, items.shape, generator=draws)
    scores[0] = torch.tensor([3.0, 0.0, -0.0, 1 / 3])
    fallback = np.arange(hostile.n_users) % 3 == 0
    expected = [
        (user, rank, hostile.item_ids[item], hostile.item_ids[item], score, bool(stands_in))
        for user, row, values, stands_in in zip(hostile.user_ids, items.tolist(), scores.numpy(), fallback, strict=True)
        for rank, (item, score) in enumerate(zip(row, values, strict=True), 1)
        if item >= 0
    ]
    path = tmp_path / f"l{ending}"
    blocks = [
        (hostile.user_ids[part].tolist(), Listing(Ranking(items[part], scores[part]), fallback[part]))
        for part in (slice(0, 31), slice(31, 60))
    ]
    assert lists.write_lists(iter(blocks), hostile, path) == len(expected)
    if ending == ".parquet":
        read = [tuple(row) for row in pd.read_parquet(path).itertuples(index=False)]
    else:
        read = [tuple(json.loads(line).values()) for line in path.read_text(encoding="utf-8").split("\n")[:-1]]
    assert [(*row[:4], np.float32(row[4]), row[5]) for row in read] == expected


@pytest.mark.parametrize("ending", lists.ENDINGS)
def test_nobody_to_list_for_is_an_empty_file(tiny: Dataset, tmp_path: Path, ending: str) -> None:
    nobody = Listing(Ranking(torch.full((2, 3), -1), torch.full((2, 3), -torch.inf)), np.zeros(2, bool))
    path = tmp_path / f"l{ending}"
    assert lists.write_lists([([1, 2], nobody)], tiny, path) == 0
    assert (len(pd.read_parquet(path)) if ending == ".parquet" else path.stat().st_size) == 0
