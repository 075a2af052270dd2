"""The page taken home: what it holds, how large it is, and that titles in it are data. Chromium opens it elsewhere."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from recengine.data.dataset import Dataset
from recengine.data.sources import load_dataset
from recengine.errors import BadInput
from recengine.experiments.train import TrainingRequest, obtain
from recengine.models.item_item.taste import Taste
from recengine.models.registry import model_class
from recengine.serving import take_home as module
from recengine.serving.take_home import MOST_BYTES, take_home

STARS = {12: 5.0, 80: 1.0, 300: 4.5}


@pytest.fixture(scope="module")
def sample() -> Dataset:
    return load_dataset("sample")


@pytest.fixture(scope="module")
def taste(sample: Dataset) -> Taste:
    model = obtain(TrainingRequest(sample, "taste")).model
    assert isinstance(model, Taste)
    return model


def unpacked(text: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the JSON and the arrays of a page, read as the script reads them."""
    (packed,) = re.findall(r'id="data">([^<]*)<', text)
    content = gzip.decompress(base64.b64decode(packed))
    head = json.loads(content.partition(b"\n")[0])
    at = -(-(content.index(b"\n") + 1) // 4) * 4
    arrays = {}
    for name, kind, size in head["arrays"]:
        arrays[name] = np.frombuffer(content, kind, size, at)
        at += arrays[name].nbytes
    assert at == len(content)
    return head, arrays


def rows_of(arrays: dict[str, Any], n: int) -> np.ndarray:
    """Return the weights (n, n) that a page holds, 0 where it holds none."""
    weights, ends = np.zeros((n, n)), np.cumsum(arrays["sizes"].astype(int))
    for row, (start, end) in enumerate(zip([0, *ends], ends, strict=False)):
        columns = np.cumsum(arrays["gaps"][start:end].astype(int))
        values = arrays["values"][start:end].astype(float)
        weights[row, columns] = arrays["scales"][row] * np.sign(values) * (values / 127) ** 2
    return weights


def test_the_page_holds_weights_vectors_and_ratings_to_a_byte(sample: Dataset, taste: Taste) -> None:
    text = take_home(taste, sample, STARS, passed=[7], seen=[9])
    assert len(text.encode()) < MOST_BYTES
    head, arrays = unpacked(text)
    assert head["mine"] == {"stars": [[item, stars] for item, stars in STARS.items()], "passed": [7], "seen": [9]}
    assert [film[0] for film in head["films"]] == sample.items["title"].tolist()
    assert head["likes"] == [False] * 7 + [True] * 3
    assert head["dislikes"] == [True] * 5 + [False] * 5
    n = len(taste.linked)
    most = taste.weights.abs().amax(1, keepdim=True).numpy()
    assert np.abs(rows_of(arrays, n) - taste.weights.numpy()).max() <= (most / 127).max()  # half a step of the root
    content = arrays["content"].reshape(sample.n_items, -1) * arrays["contentScales"]
    exact = (taste.traits.content @ taste.traits.content.T).numpy()
    assert np.corrcoef((content @ content.T).ravel(), exact.ravel())[0, 1] > 0.99
    standing = sum(taste.standing().values(), torch.zeros(sample.n_items))
    assert np.array_equal(arrays["standing"], standing.numpy())


def test_of_a_large_catalogue_the_largest_weights_stay_and_all_of_what_was_rated(
    sample: Dataset, taste: Taste, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_WEIGHTS", 60_000)
    _, arrays = unpacked(take_home(taste, sample, STARS))
    n = len(taste.linked)
    kept, whole = rows_of(arrays, n) != 0, taste.weights.numpy()
    position = {int(item): row for row, item in enumerate(taste.linked)}
    for item in STARS:
        assert arrays["sizes"][position[item]] == n
    some = next(row for row in range(n) if arrays["sizes"][row] < n)
    assert arrays["sizes"].sum() <= 60_000
    assert whole[some][kept[some]].min() >= np.sort(whole[some])[n - int(arrays["sizes"][some])]


@pytest.mark.slow
def test_a_page_that_would_be_too_large_holds_fewer_weights_and_in_the_end_is_refused(
    sample: Dataset, taste: Taste, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_BYTES", 1_000_000)
    assert len(take_home(taste, sample, STARS).encode()) < 1_000_000
    monkeypatch.setattr(module, "MOST_BYTES", 20_000)
    with pytest.raises(BadInput, match="has 1,229 items, which do not fit"):
        take_home(taste, sample, STARS)


def test_the_policy_admits_the_script_and_the_style_of_the_page_and_no_request(sample: Dataset, taste: Taste) -> None:
    text = take_home(taste, sample, STARS, font=b"wOF2")
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', text)
    for name in ("script", "style"):
        (part,) = re.findall(rf"<{name}>(.*?)</{name}>", text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(part.encode()).digest()).decode()
        assert f"{name}-src 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'; ")
    assert "http" not in policy
    assert "*" not in policy


def test_hostile_titles_are_data(sample: Dataset, taste: Taste) -> None:
    hostile = "</script><script>alert(1)</script>\u202e" + "x" * 10_000
    items = sample.items.assign(title=hostile, genres=hostile)
    text = take_home(taste, replace(sample, items=items), STARS)
    assert "alert" not in text
    assert text.count("<script") == 2
    head, _ = unpacked(text)
    assert head["films"][0][0] == hostile[:300]


def test_another_model_cannot_be_taken_home(sample: Dataset) -> None:
    model = model_class("popularity")().fit(sample.ratings)
    with pytest.raises(BadInput, match="cannot be taken home"):
        take_home(model, sample, STARS)
