"""Counts with their nouns."""

import pytest

from recengine.export import counted, nouns


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 ratings"), (1, "1 rating"), (2, "2 ratings"), (1_001, "1,001 ratings")]
)
def test_a_count_has_its_noun(count: int, text: str) -> None:
    assert counted(count, "ratings") == text
    assert f"{count:,} {nouns(count, 'ratings')}" == text
