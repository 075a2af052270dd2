"""Times that a page names, on a machine whose clock is behind that of the one that wrote them."""

from datetime import UTC, datetime, timedelta

import pytest

from pages.ui.sidebar import ago


@pytest.mark.parametrize("ahead", [0, 1, 5, 59, 3_600, 86_400, 86_400 * 400])
def test_what_was_made_later_than_now_was_made_just_now(ahead: int) -> None:
    assert ago((datetime.now(UTC) + timedelta(seconds=ahead)).isoformat()) == "just now"


@pytest.mark.parametrize(
    ("back", "text"), [(61, "1 min ago"), (7_300, "2 hours ago"), (86_401, "1 day ago"), (180_000, "2 days ago")]
)
def test_what_was_made_before_has_its_age(back: int, text: str) -> None:
    assert ago((datetime.now(UTC) - timedelta(seconds=back)).isoformat()) == text
