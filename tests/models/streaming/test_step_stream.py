"""The stream of `step`: ranks and lists against a slow one, in blocks of events, and where scores are equal."""

import copy
from typing import Any

import numpy as np
import pytest

from recengine.data.interactions import Interactions
from recengine.models.streaming import step as step_module
from recengine.models.streaming import step_kernel as kernel
from recengine.models.streaming.step_blocks import block_size
from tests.models.streaming.slow_step import SlowStream, events, fit


@pytest.mark.parametrize("masked", [True, False])
@pytest.mark.parametrize(
    "config",
    [
        {"loss": "squared", "event_negatives": 0, "passes": 1, "replay": 0, "item_bias": False},
        {"loss": "linear", "passes": 1, "replay": 0, "item_bias": False, "l2": 0},
        {"loss": "bpr", "event_negatives": 3, "passes": 2, "replay": 2},
    ],
    ids=lambda config: config["loss"],
)
def test_the_stream_agrees_event_by_event_with_a_slow_one(config: dict[str, Any], masked: bool) -> None:
    rows = events(160)
    model = fit(rows.select(slice(0, 40)), **config)
    slow = SlowStream(model)
    rest = rows.select(slice(40, 160))
    ranks = model.test_then_train(rest, masked=masked)
    for event, rank in enumerate(ranks.tolist()):
        low, high = slow.take(int(rest.user_idx[event]), int(rest.item_idx[event]), masked)
        assert low <= rank <= high, event
    assert model.network.items.numpy() == pytest.approx(slow.tables[1].numpy(), abs=1e-4)
    assert len(np.unique(ranks)) > 10


def test_lists_and_limits_agree_with_the_ranks() -> None:
    rows = events(200)
    model = fit(rows.select(slice(0, 50)))
    rest = rows.select(slice(50, 200))
    full, early, listing = (copy.deepcopy(model) for _ in range(3))
    ranks = full.test_then_train(rest)
    assert early.test_then_train(rest, limit=5).tolist() == np.minimum(ranks, 6).tolist()
    lists = np.zeros((150, 5), np.int32)
    listing.make_room(rest)
    assert listing.advance(rest, ranked=True, lists=lists).tolist() == ranks.tolist()
    assert [list(row).index(i) + 1 if i in row else 6 for i, row in zip(rest.item_idx, lists, strict=True)] == (
        np.minimum(ranks, 6).tolist()
    )
    before = model.top_k(rest.user_idx[:1], k=5, seen=rows.select(slice(0, 50)))
    assert lists[0].tolist() == before.items[0].tolist()


@pytest.mark.parametrize("masked", [True, False])
@pytest.mark.parametrize(
    "config",
    [
        {"loss": "squared", "event_negatives": 0, "passes": 1, "replay": 0, "item_bias": False},
        {"loss": "bpr", "event_negatives": 2, "passes": 1, "replay": 1},
        {"loss": "squared", "event_negatives": 0, "passes": 1, "replay": 0, "item_init_std": 0.0},
        {"loss": "linear", "passes": 1, "replay": 0, "learning_rate": 9.0, "l2": 0, "optimizer": "sgd"},
    ],
    ids=["few rows change", "negatives and replay", "many equal scores", "it diverges"],
)
def test_ranks_and_lists_are_equal_however_many_events_share_a_product(
    config: dict[str, Any], masked: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(2)
    users, items = rng.integers(0, 40, 500), np.minimum(rng.geometric(0.01, 500), 299)
    rows = Interactions.from_pairs(users, items, rating=np.full(500, 5.0), n_users=40, n_items=300)
    start, rest = fit(rows.select(slice(0, 100)), **config), rows.select(slice(100, 500))
    results = []
    for size in (0, 16, 50):
        monkeypatch.setattr(step_module, "block_size", lambda *_, size=size: size)
        model = copy.deepcopy(start)
        model.make_room(rest)
        lists = np.zeros((400, 10), np.int32)
        ranks = model.advance(rest, ranked=True, masked=masked, lists=lists)
        results.append((ranks.tobytes(), lists.tobytes(), model.network.items.numpy().tobytes()))
    assert results[0] == results[1] == results[2]


def test_events_share_a_product_where_few_items_change_in_between() -> None:
    assert block_size(3_706, 1) == 128
    assert block_size(20_000, 277) == 0, "so few events gain nothing"
    assert 32 <= block_size(80_000, 277) < 128


def test_a_score_that_is_not_a_number_ranks_last() -> None:
    items = np.array([[np.nan], [1.0], [2.0]], np.float32)
    arguments = np.zeros((3, 1), np.float32), np.zeros(3, np.int64), -1
    ranks = [
        kernel.rank_item(
            np.ones(1, np.float32), items, *arguments, target, 0.0, 0, np.zeros(0, np.int32), np.zeros(0, np.float32)
        )
        for target in range(3)
    ]
    assert ranks == [3, 2, 1]


@pytest.mark.parametrize("limit", [0, 4])
def test_m35_where_scores_are_equal_every_rank_is_as_likely(limit: int) -> None:
    """Seven items of one score, one of them marked, one better and one worse: ranks 2 to 7."""
    items = np.array([[1.0]] * 7 + [[2.0], [0.0]], np.float32)
    mark = np.zeros(9, np.int64)
    mark[5] = 1
    for target in (0, 3, 6):
        ranks = [
            kernel.rank_item(
                np.ones(1, np.float32), items, np.zeros((9, 1), np.float32), mark, 1, target, draw, limit,
                np.zeros(0, np.int32), np.zeros(0, np.float32),
            )
            for draw in (np.arange(600) / 600).tolist()
        ]  # fmt: skip
        counts = np.bincount(ranks, minlength=8)[1:].tolist()
        assert counts == ([0, 100, 100, 100, 300, 0, 0] if limit else [0, *[100] * 6])
