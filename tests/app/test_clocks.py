"""Ages of what was made, also where the clock is behind that of the machine that made it."""

from datetime import UTC, datetime, timedelta

import pytest

from pages.ui.sidebar import ago


@pytest.mark.parametrize("ahead", [0, 1, 5, 59, 3_600, 86_400, 86_400 * 400])
def test_a_time_in_the_future_reads_just_now(ahead: int) -> None:
    assert ago((datetime.now(UTC) + timedelta(seconds=ahead)).isoformat()) == "just now"


@pytest.mark.parametrize(
    ("back", "text"), [(61, "1 min ago"), (7_300, "2 hours ago"), (86_401, "1 day ago"), (180_000, "2 days ago")]
)
def test_a_time_in_the_past_reads_as_an_age(back: int, text: str) -> None:
    assert ago((datetime.now(UTC) - timedelta(seconds=back)).isoformat()) == text
