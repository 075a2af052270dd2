"""The counting models that compete with `step`, compared with slow loops."""

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from recengine.data.interactions import Interactions
from recengine.errors import BadInput
from recengine.models.registry import configure, model_class
from recengine.models.streaming import counts as streaming
from recengine.models.streaming.base import rank_of
from recengine.models.streaming.blend import StreamBlend, StreamBlendConfig
from recengine.models.streaming.counts import Counting, StreamItemKNN
from recengine.models.streaming.step import Step, StepConfig
from recengine.training.config import RunConfig
from tests.models.streaming.test_step import events


def fit(name: str, rows: Interactions, **config: Any) -> Counting:
    kind = model_class(name)
    model = kind(kind.Config.from_dict(config)).fit(rows)
    assert isinstance(model, Counting)
    return model


def rank(item: int, scores: NDArray[np.float64], had: list[int], near: float = 0.0) -> range:
    """Return the ranks that an item can have if scores may be off by `near`."""
    others = [i for i in range(len(scores)) if i != item and i not in had]
    better = [scores[i] > scores[item] + near for i in others]
    as_good = [abs(scores[i] - scores[item]) <= near for i in others]
    return range(1 + sum(better), 2 + sum(better) + sum(as_good))


def test_the_running_count_ranks_by_the_earlier_events() -> None:
    rows = events(200)
    ranks = fit("stream-popularity", rows.select(slice(0, 50))).test_then_train(rows.select(slice(50, 200)))
    for e in range(50, 200):
        counts = np.bincount(rows.item_idx[:e], minlength=30).astype(float)
        had = rows.item_idx[:e][rows.user_idx[:e] == rows.user_idx[e]].tolist()
        assert ranks[e - 50] in rank(int(rows.item_idx[e]), counts, had)


@pytest.mark.parametrize("name", ["stream-popularity", "stream-item-knn", "step"])
def test_m35_the_names_of_items_decide_no_rank_but_among_equal_scores(name: str) -> None:
    rows = events(400)
    names = np.random.default_rng(5).permutation(30)
    renamed = replace(rows, item_idx=names[rows.item_idx])
    settings = {"item_init_std": 0, "user_init_std": 0, "epochs": 1} if name == "step" else {}
    ranks = []
    for stream in (rows, renamed):
        config, run = configure(name, settings, RunConfig(device="cpu"))
        model = model_class(name)(config).fit(stream.select(slice(0, 20)), run=run)
        ranks.append(model.test_then_train(stream.select(slice(20, 400)), learns=False))
    if name != "stream-item-knn":  # whose sums depend on the order of the items in the last bit
        assert ranks[0].tolist() == ranks[1].tolist()
    assert np.mean(ranks[0] != ranks[1]) < 0.1


@given(st.lists(st.integers(0, 3), min_size=2, max_size=9), st.floats(0, 1, exclude_max=True), st.data())
def test_m35_a_rank_lies_evenly_among_equal_scores_and_leaves_out_what_is_known(levels, draw, data) -> None:
    scores = np.array(levels, np.float32)
    item = data.draw(st.integers(0, len(levels) - 1))
    known = data.draw(st.lists(st.integers(0, len(levels) - 1), max_size=12))  # repeats, and perhaps the item itself
    others = [level for i, level in enumerate(levels) if i != item and i not in known]
    better, tied = sum(x > levels[item] for x in others), sum(x == levels[item] for x in others)
    assert rank_of(item, scores, np.array(known, np.int64), draw) == 1 + better + int(draw * (tied + 1))
    by_draw = [rank_of(item, scores, np.array(known, np.int64), (d + 0.5) / (tied + 1)) for d in range(tied + 1)]
    assert by_draw == list(range(1 + better, 2 + better + tied))


def test_m35_a_stream_without_knowledge_reaches_what_chance_reaches() -> None:
    """All items are alike before the first count; an order by index would list the same five each time."""
    rng = np.random.default_rng(0)
    popular_first = np.minimum(rng.geometric(0.2, 4000) - 1, 29)
    rows = Interactions.from_pairs(np.arange(4000), popular_first, n_users=4000, n_items=30)
    model = fit("stream-popularity", rows.select(slice(0)))
    ranks = model.test_then_train(rows, learns=False)
    assert np.mean(ranks <= 5) == pytest.approx(5 / 30, abs=3 * (5 / 30 * 25 / 30 / 4000) ** 0.5)


@pytest.mark.parametrize("largest", [streaming.LARGEST, 3.0])
def test_a_fading_count_halves_every_half_life(largest: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streaming, "LARGEST", largest)
    rows = events(120)
    model = fit("recent-popularity", rows, popularity_half_life=20)
    weights = 0.5 ** (np.arange(120)[::-1] / 20)
    expected = np.bincount(rows.item_idx, weights, minlength=30)
    result = model.score(0)[0].numpy()
    assert result / result.sum() == pytest.approx(expected / expected.sum(), rel=1e-4)


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"recency_half_life": "none", "count_half_life": "none", "norm_shrinkage": 0},
        {"popularity_half_life": 40, "share_weight": 0.5, "recency_floor": 0.2},
    ],
)
def test_item_knn_scores_by_the_counts_written_out(config: dict[str, Any]) -> None:
    rows = events(160)
    model = fit("stream-item-knn", rows.select(slice(0, 40)), **config)
    ranks = model.test_then_train(rows.select(slice(40, 160)))
    settings = model.config

    def recency(age: int, half_life: float | None) -> float:
        return 1.0 if half_life is None else settings.recency_floor + 0.5 ** (age / half_life)

    together, counts = np.zeros((30, 30)), np.zeros(30)
    past: dict[int, list[int]] = {}
    for e, (user, item) in enumerate(zip(rows.user_idx.tolist(), rows.item_idx.tolist(), strict=True)):
        had = past.setdefault(user, [])
        scores = settings.share_weight * counts / max(counts.sum(), 1)
        for age, h in enumerate(reversed(had)):
            weight = recency(age, settings.recency_half_life)
            norms = np.sqrt(counts[h]) * (np.sqrt(counts) + max(settings.norm_shrinkage, 1e-6))
            scores = scores + weight * together[h] / norms
        if not had:
            scores = counts.copy()
        if e >= 40:
            assert ranks[e - 40] in rank(item, scores, had, near=1e-5 * max(scores.max(), 1e-9)), e
        for age, h in enumerate(reversed(had)):
            together[h, item] += recency(age, settings.count_half_life)
            together[item, h] += recency(age, settings.count_half_life)
        counts[item] += 1
        had.append(item)
        if settings.popularity_half_life is not None:
            together, counts = (
                together * 0.5 ** (1 / settings.popularity_half_life),
                counts * 0.5 ** (1 / settings.popularity_half_life),
            )


@pytest.mark.parametrize("name", ["stream-popularity", "recent-popularity", "stream-item-knn"])
def test_events_in_one_call_in_several_or_through_a_file_are_counted_the_same(name: str, tmp_path: Path) -> None:
    rows = events(150)
    whole = fit(name, rows)
    parts = fit(name, rows.select(slice(0, 30))).partial_fit(rows.select(slice(30, 77)))
    parts.save(tmp_path)
    back = type(whole).load(tmp_path)
    back.test_then_train(rows.select(slice(77, 150)))
    for key, tensor in whole.state().items():
        assert torch.equal(back.state()[key], tensor), key


@pytest.mark.parametrize("name", ["stream-popularity", "recent-popularity", "stream-item-knn"])
def test_counts_grow_with_new_users_and_items(name: str) -> None:
    rows = events(100)
    model = fit(name, rows)
    before = model.score(0)[0]
    assert before.shape == (30,)
    model.partial_fit(Interactions.from_pairs([14, 14], [33, 32], n_users=15, n_items=34))
    scores = model.score([0, 14])
    assert scores.shape == (2, 34)
    assert torch.isfinite(scores).all()
    assert scores[1, 33] > 0
    assert scores[0, 31] == 0
    if name == "stream-item-knn":
        # no other user had the new items; with more columns, processors add in another order
        torch.testing.assert_close(scores[0, :30], before, rtol=0, atol=1e-6)


def test_a_new_user_is_scored_as_the_user_with_the_same_events() -> None:
    rows = events(150)
    model = fit("stream-item-knn", rows)
    two = rows.of_users([5, 2])
    assert torch.allclose(model.score_history(two), model.score([5, 2]))
    no_history = model.score_history(rows.select(slice(0)).of_users([0]))
    assert no_history[0].argmax() == np.bincount(rows.item_idx).argmax()


def test_item_knn_refuses_a_catalogue_beyond_its_memory() -> None:
    with pytest.raises(BadInput, match=r"stream-item-knn' needs 37\.3 GiB"):
        StreamItemKNN().fit(Interactions.from_pairs([0], [0], n_users=1, n_items=100_000))


def test_the_blend_adds_both_parts_standardised_and_each_learns_alone() -> None:
    rows = events(200)
    start, rest, run = rows.select(slice(0, 60)), rows.select(slice(60, 200)), RunConfig(device="cpu", epochs=2)
    config: dict[str, Any] = {"embedding_dim": 8, "step_weight": 0.7}
    blend = StreamBlend(StreamBlendConfig.from_dict(config)).fit(start, run=run)
    alone = copy.deepcopy(blend)
    ranks = blend.test_then_train(rest)
    neighbours = fit("stream-item-knn", start)
    step = Step(StepConfig(embedding_dim=8)).fit(start, run=run)
    for e, (user, item) in enumerate(zip(rest.user_idx.tolist(), rest.item_idx.tolist(), strict=True)):
        first, second = (part.score(user)[0].double().numpy() for part in (neighbours, step))
        scores = (first - first.mean()) / first.std() + 0.7 * (second - second.mean()) / second.std()
        had = rows.item_idx[: 60 + e][rows.user_idx[: 60 + e] == user].tolist()
        assert ranks[e] in rank(item, scores, had, near=1e-5), e
        event = rest.select(slice(e, e + 1))
        neighbours.partial_fit(event)
        step.partial_fit(event)
    assert torch.equal(blend.step.network.items, step.network.items)
    before = alone.score([0])
    alone.test_then_train(rest.select(rest.user_idx != 0), learns=False)
    assert torch.equal(alone.score([0]), before)


def test_the_blend_grows_and_comes_back_from_a_file_as_it_was(tmp_path: Path) -> None:
    rows = events(100)
    blend = StreamBlend(StreamBlendConfig(embedding_dim=8)).fit(rows, run=RunConfig(device="cpu", epochs=2))
    blend.partial_fit(Interactions.from_pairs([14, 14], [33, 2], n_users=15, n_items=34))
    assert blend.score([14]).shape == (1, 34)
    blend.save(tmp_path)
    back, more = StreamBlend.load(tmp_path), Interactions.from_pairs([3, 14], [33, 5], n_users=15, n_items=34)
    assert back.test_then_train(more).tolist() == blend.test_then_train(more).tolist()
    assert torch.equal(back.score(np.arange(15)), blend.score(np.arange(15)))
