"""Token buckets: what is allowed at once, how they refill, and which visitors share one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pages.hosting import limits
from pages.hosting.limits import LIMITS, Buckets
from recengine.errors import BadInput


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def allowed(buckets: Buckets, kind: str, visitor: str, address: str = "", tries: int = 1) -> int:
    """Return the number of tries that pass."""
    passed = 0
    for _ in range(tries):
        try:
            buckets.take(kind, visitor, address)
            passed += 1
        except BadInput:
            pass
    return passed


def test_sixty_ratings_at_once_and_thirty_a_minute_after_that() -> None:
    clock = Clock()
    buckets = Buckets(clock)
    assert allowed(buckets, "rating", "ann", tries=100) == 60
    clock.now = 60
    assert allowed(buckets, "rating", "ann", tries=100) == 30
    clock.now = 60 + 3600
    assert allowed(buckets, "rating", "ann", tries=100) == 60


def test_a_refusal_names_the_time_to_come_back() -> None:
    clock = Clock()
    buckets = Buckets(clock)
    for _ in range(3):
        buckets.take("upload", "ann")
    with pytest.raises(BadInput, match=r"more than 3 uploads at once .*; come back in 20 minutes, or run the app"):
        buckets.take("upload", "ann")
    assert allowed(buckets, "upload", "bob") == 1
    assert allowed(buckets, "rating", "ann") == 1


def test_an_address_is_allowed_five_times_as_much_by_any_visitors() -> None:
    buckets = Buckets(Clock())
    assert sum(allowed(buckets, "upload", f"visitor {n}", "10.0.0.1") for n in range(40)) == 3 * limits.SHARED
    assert allowed(buckets, "upload", "visitor 40", "10.0.0.2") == 1


def test_a_refused_request_takes_no_tokens() -> None:
    buckets = Buckets(Clock())
    with pytest.raises(BadInput):
        buckets.take("rating", "ann", count=61)
    buckets.take("rating", "ann", count=60)


def test_the_number_of_buckets_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "_MAX_BUCKETS", 10)
    buckets = Buckets(Clock())
    for n in range(100):
        buckets.take("job", f"visitor {n}")
    assert len(buckets._tokens) == 10


@given(st.lists(st.tuples(st.floats(0, 100), st.integers(1, 5)), max_size=60))
def test_never_more_than_the_burst_and_the_refill_pass(asked: list[tuple[float, int]]) -> None:
    clock, passed = Clock(), 0
    buckets = Buckets(clock)
    for wait, count in asked:
        clock.now += wait
        try:
            buckets.take("rating", "ann", count=count)
            passed += count
        except BadInput:
            pass
    assert passed <= LIMITS["rating"].burst + clock.now / LIMITS["rating"].seconds + 1e-6
