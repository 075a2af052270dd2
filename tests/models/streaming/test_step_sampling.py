"""What `step` samples as negatives, the log that tells it what a user had, and the compiler of both."""

import math
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from recengine.models.streaming import step_sampling as sampling
from recengine.models.streaming.base import LinkedEvents
from recengine.models.streaming.step_arrays import SOURCES, Sampler


def sampler(n_items: int, seed: int = 0, source: str = "any") -> Sampler:
    positions = np.arange(n_items + 1)
    older, newer = ((positions + by) % (n_items + 1) for by in (-1, 1))
    return Sampler(
        np.array([seed], np.uint64),
        np.zeros(n_items, np.int64),
        np.zeros(1, np.int64),
        older.astype(np.int32),
        newer.astype(np.int32),
        np.zeros(n_items, np.bool_),
        np.zeros(n_items, np.int32),
        np.zeros(1, np.int64),
        SOURCES.index(source),
    )


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**63),
    had=st.sets(st.integers(0, 19), min_size=1),
    came=st.sets(st.integers(0, 19)),
    n=st.integers(1, 25),
    source=st.sampled_from(SOURCES),
)
def test_negatives_are_distinct_and_new_to_the_user(
    seed: int, had: set[int], came: set[int], n: int, source: str
) -> None:
    log = LinkedEvents.of([0] * len(had), list(had), [1] * len(had), 1)
    drawing, picked = sampler(20, seed, source), np.full(1 + n, -1, np.int32)
    for item in had | came:
        sampling.register_item(drawing, item)
    sampling.mark_history(log, 0, drawing)
    for _ in range(3):
        count = sampling.sample_negatives(drawing, min(had), n, picked)
        negative = picked[1:count].tolist()
        assert picked[0] == min(had)
        assert len(set(negative)) == len(negative) <= n
        assert not set(negative) & had
        if source == "known":
            assert set(negative) <= came
        elif source == "oldest" or n < 5 < 20 - len(had):
            assert len(negative) == min(n, 20 - len(had))


def test_every_item_is_sampled_equally_often() -> None:
    drawing, picked = sampler(50, seed=9), np.zeros(6, np.int32)
    sampling.mark_history(LinkedEvents.of([0], [7], [1], 1), 0, drawing)
    counts = np.zeros(50)
    for _ in range(4000):
        assert sampling.sample_negatives(drawing, 7, 5, picked) == 6
        counts[picked[1:]] += 1
    expected = 4000 * 5 / 49
    assert counts[7] == 0
    assert ((np.delete(counts, 7) - expected) ** 2 / expected).sum() < 49 + 5 * math.sqrt(2 * 49)


def test_the_oldest_come_first_and_then_queue_up_again() -> None:
    drawing, picked = sampler(6, source="oldest"), np.zeros(3, np.int32)
    log = LinkedEvents.of([0], [1], [1], 1)
    for item in (0, 2, 1):
        sampling.move_to_newest(drawing, item)  # oldest first: 3 4 5 0 2 1
    sampling.mark_history(log, 0, drawing)
    result = []
    for _ in range(3):
        sampling.sample_negatives(drawing, 1, 2, picked)
        result += picked[1:].tolist()
    assert result == [3, 4, 5, 0, 2, 3]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 9)), max_size=40), st.integers(0, 40))
def test_a_log_gives_each_user_s_items_latest_first_however_it_was_filled(
    pairs: list[tuple[int, int]], split: int
) -> None:
    users, items = [u for u, _ in pairs], [i for _, i in pairs]
    log = LinkedEvents.of(
        users[:split], items[:split], [1] * len(users[:split]), 4 if max(users[:split], default=0) < 4 else 6
    )
    log = log.with_room(len(pairs) - len(users[:split]), 6)
    for user, item in pairs[split:]:
        log.append(user, item, 1.0)
    for user in range(6):
        assert log.items_of(user).tolist() == [i for u, i in pairs if u == user][::-1]
    back = LinkedEvents.from_state(log.state(), 6)
    assert [back.items_of(u).tolist() for u in range(6)] == [log.items_of(u).tolist() for u in range(6)]


def test_a_function_that_cannot_be_cached_is_compiled_all_the_same() -> None:
    space: dict[str, Any] = {}
    exec("def double(x):\n    return 2 * x\n", space)  # without a file, so numba has nowhere to cache it
    assert sampling.compiled(space["double"])(21) == 42
