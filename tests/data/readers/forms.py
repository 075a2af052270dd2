"""What tests of readers share: loading with options as texts, and what came of it."""

from collections.abc import Callable

import pytest

from recengine.data.dataset import Dataset
from recengine.data.reading import Reading
from recengine.data.sources import load_upload
from recengine.errors import BadInput


def up(content: str | bytes, name: str = "x.csv", **stated: str) -> Dataset:
    """Load an upload, with options of reading as texts."""
    content = content.encode() if isinstance(content, str) else content
    return load_upload(name, content, reading=Reading.of_texts(stated))


def rows(data: Dataset) -> list[tuple[object, object, float]]:
    r = data.ratings
    users, items = data.user_ids[r.user_idx].tolist(), data.item_ids[r.item_idx].tolist()
    return list(zip(users, items, r.rating.tolist(), strict=True))


def inferred(data: Dataset) -> dict[str, str]:
    return {inference.field: inference.sentence for inference in data.inferences}


def refusal(load: Callable[[], Dataset]) -> str:
    with pytest.raises(BadInput) as refused:
        load()
    assert "\n" not in str(refused.value)
    return str(refused.value)
