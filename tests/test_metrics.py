"""Metrics against hand values, a plain reference, scikit-learn, and properties that must hold for any list."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import ndcg_score, roc_auc_score

from recengine.data.interactions import Interactions
from recengine.metrics import (
    MANY,
    RANKING_METRICS,
    auc,
    average_precision,
    average_precision_by_n,
    coverage,
    find_hits,
    hit_rate,
    mask_scores,
    ndcg,
    precision,
    recall,
    reciprocal_rank,
    tie_salts,
    top_k,
    top_k_of_row,
)
from tests.support.ranking import in_order

INF = math.inf


def one(metric: Callable[..., torch.Tensor], hits: list[int], n_relevant: int) -> float:
    return float(metric(torch.tensor([hits], dtype=torch.bool), torch.tensor([n_relevant]))[0])


# Hand values ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        # hits at ranks 2 and 4 of 5, 3 relevant in all
        (ndcg, (1 / math.log2(3) + 1 / math.log2(5)) / (1 + 1 / math.log2(3) + 1 / math.log2(4))),
        (recall, 2 / 3),
        (precision, 2 / 5),
        (hit_rate, 1.0),
        (average_precision, (1 / 2 + 2 / 4) / 3),
        (average_precision_by_n, (1 / 2 + 2 / 4) / 3),
        (reciprocal_rank, 1 / 2),
    ],
)
def test_hits_at_ranks_two_and_four_have_the_values_worked_out_by_hand(metric, expected) -> None:
    assert one(metric, [0, 1, 0, 1, 0], 3) == pytest.approx(expected, abs=1e-12)


def test_ndcg_discounts_by_the_logarithm_to_base_two() -> None:
    assert one(ndcg, [0, 1], 1) == pytest.approx(0.6309297535714575)  # 1 / log2(3)
    assert one(ndcg, [0, 0, 1], 1) == pytest.approx(0.5)  # 1 / log2(4)
    # A single-item ratio cannot tell natural logarithms of all ranks apart, but log2(2) = 1 can.
    assert one(ndcg, [1, 0], 1) == 1.0


def test_ndcg_and_map_of_more_relevant_items_than_ranks_can_still_be_one() -> None:
    assert one(ndcg, [1, 1, 1], 50) == pytest.approx(1.0)
    assert one(average_precision, [1, 1, 1], 50) == pytest.approx(1.0)
    assert one(average_precision_by_n, [1, 1, 1], 50) == pytest.approx(3 / 50)
    assert one(recall, [1, 1, 1], 50) == pytest.approx(3 / 50)


@pytest.mark.parametrize("metric", RANKING_METRICS.values(), ids=RANKING_METRICS)
def test_a_user_with_nothing_relevant_is_nan_and_one_without_hits_is_zero(metric) -> None:
    assert math.isnan(one(metric, [0, 0, 0], 0))
    assert one(metric, [0, 0, 0], 2) == 0


# Properties -----------------------------------------------------------------------------------------------------


@st.composite
def hit_lists(draw, max_k=8):
    hits = draw(st.lists(st.booleans(), min_size=1, max_size=max_k))
    return hits, sum(hits) + draw(st.integers(0, 5))


@given(hit_lists())
@settings(max_examples=150, deadline=None)
def test_metrics_lie_between_zero_and_one_and_agree_with_a_plain_reference(case) -> None:
    hits, n_relevant = case
    if not n_relevant:
        return
    k = len(hits)
    ranks = [rank for rank, hit in enumerate(hits, 1) if hit]
    expected = {
        "ndcg": sum(1 / math.log2(r + 1) for r in ranks)
        / sum(1 / math.log2(r + 1) for r in range(1, min(k, n_relevant) + 1)),
        "recall": len(ranks) / n_relevant,
        "precision": len(ranks) / k,
        "hr": float(bool(ranks)),
        "map": sum(n / r for n, r in enumerate(ranks, 1)) / min(k, n_relevant),
        "map_by_n": sum(n / r for n, r in enumerate(ranks, 1)) / n_relevant,
        "mrr": 1 / ranks[0] if ranks else 0.0,
    }
    assert set(expected) == set(RANKING_METRICS)
    for name, metric in RANKING_METRICS.items():
        value = one(metric, hits, n_relevant)
        assert 0 <= value <= 1 + 1e-12
        assert value == pytest.approx(expected[name], abs=1e-9), name


@given(hit_lists(), st.data())
@settings(max_examples=100, deadline=None)
def test_moving_a_hit_one_rank_up_never_lowers_a_metric(case, data) -> None:
    hits, n_relevant = case
    swappable = [i for i in range(1, len(hits)) if hits[i] and not hits[i - 1]]
    if not swappable:
        return
    i = data.draw(st.sampled_from(swappable))
    better = [*hits[: i - 1], True, False, *hits[i + 1 :]]
    for metric in RANKING_METRICS.values():
        assert one(metric, better, n_relevant) >= one(metric, hits, n_relevant) - 1e-12


@given(st.integers(1, 8), st.integers(1, 12))
@settings(max_examples=60, deadline=None)
def test_a_perfect_list_scores_one(k, n_relevant) -> None:
    hits = [rank <= n_relevant for rank in range(1, k + 1)]
    for name in ("ndcg", "map", "mrr", "hr"):
        assert one(RANKING_METRICS[name], hits, n_relevant) == pytest.approx(1.0)
    assert one(recall, hits, n_relevant) == pytest.approx(min(1.0, k / n_relevant))
    assert one(precision, hits, n_relevant) == pytest.approx(min(1.0, n_relevant / k))


@st.composite
def score_tables(draw, levels=6, max_users=4, max_items=12):
    """Return (scores with many ties and some items masked, relevant) for a few users."""
    n_users, n_items = draw(st.integers(1, max_users)), draw(st.integers(2, max_items))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    scores = rng.integers(0, draw(st.integers(1, levels)), (n_users, n_items)).astype(np.float32)
    masked = rng.random((n_users, n_items)) < draw(st.sampled_from([0.0, 0.3]))
    scores[masked] = -np.inf
    relevant = rng.random((n_users, n_items)) < 0.3
    return torch.from_numpy(scores), torch.from_numpy(relevant)


@given(score_tables(), st.data())
@settings(max_examples=150, deadline=None)
def test_top_k_equals_the_head_of_a_full_sort_by_score_and_then_by_the_order_of_ties(table, data) -> None:
    scores, _ = table
    n = scores.shape[1]
    k = data.draw(st.integers(1, n))
    salts = torch.tensor([data.draw(st.integers(0, 2**62 - 1)) for _ in scores])
    before = scores.clone()
    ranking = top_k(scores, k, salts)
    for row, salt, items, values in zip(scores.tolist(), salts.tolist(), *(x.tolist() for x in ranking), strict=True):
        head = in_order(row, range(n), salt)[:k]
        assert items == [i if row[i] > -INF else -1 for i in head]
        assert values == [row[i] for i in head]
    assert ranking.items.dtype == torch.int64
    assert torch.equal(scores, before)


@given(score_tables(max_users=1), st.data())
@settings(max_examples=150, deadline=None)
def test_lists_from_one_order_of_the_items_are_those_of_a_table_of_scores(table, data) -> None:
    """Whatever users have seen, however often, whatever is left to choose from, and however many scores are equal."""
    row, n = table[0][0], table[0].shape[1]
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    m, among = int(rng.integers(0, 4 * n)), data.draw(st.sampled_from([None, rng.integers(0, n, n)]))
    rows = Interactions.from_pairs(rng.integers(0, 5, m), rng.integers(0, n, m), n_users=5, n_items=n)
    users, seen, k = rng.integers(0, 5, 9), data.draw(st.sampled_from([None, rows])), data.draw(st.integers(1, n))
    salts = tie_salts(rows, users)
    whole = top_k(mask_scores(row.repeat(9, 1), users, seen=seen, among=among), k, salts)
    lists = top_k_of_row(row, k, salts, users=users, seen=seen, among=among)
    assert torch.equal(lists.items, whole.items)
    assert torch.equal(lists.scores, whole.scores)
    assert torch.equal(row, table[0][0])


@pytest.mark.parametrize("levels", [3, 40, 10_000, 10**9])
def test_long_rows_of_which_few_stretches_are_looked_at_have_the_lists_that_each_has_alone(levels: int) -> None:
    rng = np.random.default_rng(levels)
    scores = torch.from_numpy(rng.integers(0, levels, (40, 7001)).astype(np.float32))
    scores[torch.from_numpy(rng.random(scores.shape) < 0.2)] = -INF
    scores[0, 5:] = -INF
    scores[1, :-9] = -INF  # what is left stands beyond the last whole stretch
    salts = torch.from_numpy(rng.integers(0, 2**62, 40))
    assert scores[0].numel() < MANY <= scores.numel()
    together = top_k(scores, 10, salts)
    for number, row in enumerate(scores):
        alone = top_k(row[None], 10, salts[number : number + 1])
        assert torch.equal(together.items[number], alone.items[0])
        assert torch.equal(together.scores[number], alone.scores[0])
        assert torch.equal(alone.scores[0], row.sort(descending=True).values[:10])


@given(score_tables(levels=3, max_users=1, max_items=9), st.data())
@settings(max_examples=25, deadline=None)
def test_m35_equal_scores_are_listed_as_often_as_chance_would_however_the_items_are_named(table, data) -> None:
    """Over many users an item in a tie has the share of the ranks that the tie takes in the list, by any name."""
    scores, _ = table
    n, users = scores.shape[1], 4000
    names = torch.tensor(data.draw(st.permutations(range(n))))
    k = data.draw(st.integers(1, n))
    salts = tie_salts(None, np.zeros(users), seed=0) + torch.arange(users) * 0x9E3779B97F4A7C1 % 2**62
    lists = top_k(scores[:, names].expand(users, -1), k, salts).items
    shown = names[lists.clamp(min=0)]
    for item, score in enumerate(scores[0].tolist()):
        better, equal = int((scores > score).sum()), int((scores == score).sum())
        share = 0.0 if score == -INF else min(1.0, max(0, k - better) / equal)
        listed = float((shown.eq(item) & (lists >= 0)).any(1).double().mean())
        assert listed == pytest.approx(share, abs=5 * math.sqrt(share * (1 - share) / users) + 1e-9)


@given(score_tables(levels=1000), st.data())
@settings(max_examples=60, deadline=None)
def test_metrics_do_not_depend_on_how_the_items_are_numbered(table, data) -> None:
    scores, relevant = table
    distinct = torch.from_numpy(  # without ties, which chance decides
        np.random.default_rng(0).permuted(
            np.tile(np.arange(scores.shape[1], dtype=np.float32), (len(scores), 1)), axis=1
        )
    )
    distinct[scores == -INF] = -INF
    order = torch.tensor(data.draw(st.permutations(range(scores.shape[1]))))
    k = data.draw(st.integers(1, scores.shape[1]))

    def values(s, r):
        hits = find_hits(top_k(s, k).items, r)
        return torch.stack(
            [metric(hits, r.sum(1)) for metric in RANKING_METRICS.values()] + [auc(s, *r.nonzero(as_tuple=True))]
        )

    assert torch.allclose(values(distinct, relevant), values(distinct[:, order], relevant[:, order]), equal_nan=True)


# Independent oracle: scikit-learn -------------------------------------------------------------------------------


@pytest.mark.parametrize("k", [1, 3, 10, 30])
def test_ndcg_agrees_with_scikit_learn(k) -> None:
    rng = np.random.default_rng(k)
    scores = rng.permuted(np.tile(np.arange(30, dtype=np.float32), (50, 1)), axis=1)
    relevant = rng.random((50, 30)) < 0.2
    relevant[:, 0] = True
    hits = find_hits(top_k(torch.from_numpy(scores), k).items, torch.from_numpy(relevant))
    ours = ndcg(hits, torch.from_numpy(relevant.sum(1)))
    for user in range(50):
        assert float(ours[user]) == pytest.approx(
            ndcg_score(relevant[None, user].astype(float), scores[None, user], k=k), abs=1e-9
        )


@given(score_tables())
@settings(max_examples=150, deadline=None)
def test_auc_agrees_with_scikit_learn_ties_included(table) -> None:
    scores, relevant = table
    relevant &= scores > -INF
    ours = auc(scores, *relevant.nonzero(as_tuple=True))
    for row, wanted, value in zip(scores.numpy(), relevant.numpy(), ours.tolist(), strict=True):
        inside = row > -np.inf
        if wanted.any() and (inside & ~wanted).any():
            assert value == pytest.approx(roc_auc_score(wanted[inside], row[inside]), abs=1e-9)
        else:
            assert math.isnan(value)


@given(score_tables())
@settings(max_examples=100, deadline=None)
def test_auc_counts_a_relevant_item_outside_the_candidates_as_lost(table) -> None:
    scores, relevant = table
    ours = auc(scores, *relevant.nonzero(as_tuple=True))
    for row, wanted, value in zip(scores.tolist(), relevant.tolist(), ours.tolist(), strict=True):
        others = [s for s, w in zip(row, wanted, strict=True) if not w and s > -INF]
        relevant_scores = [s for s, w in zip(row, wanted, strict=True) if w]
        if not relevant_scores or not others:
            assert math.isnan(value)
            continue
        wins = sum(0.0 if p == -INF else (p > n) + (p == n) / 2 for p in relevant_scores for n in others)
        assert value == pytest.approx(wins / (len(relevant_scores) * len(others)), abs=1e-9)


# Ties, padding, NaN ---------------------------------------------------------------------------------------------


def test_a_constant_scorer_gets_neither_a_perfect_mrr_nor_a_perfect_auc() -> None:
    n_items = 40
    scores = torch.zeros(n_items, n_items)
    relevant = torch.eye(n_items, dtype=torch.bool)  # every item is the only relevant one of some user
    hits = find_hits(top_k(scores, n_items).items, relevant)
    expected = sum(1 / rank for rank in range(1, n_items + 1)) / n_items  # what chance reaches, .107
    assert float(reciprocal_rank(hits, relevant.sum(1)).mean()) == pytest.approx(expected)
    assert auc(scores, *relevant.nonzero(as_tuple=True)).tolist() == [0.5] * n_items


def test_c36_ties_follow_neither_the_index_nor_the_items_before_them() -> None:
    """Of 5,000 equal items each list of 50 is a sample of all: the mean index is in the middle, none is favoured."""
    salts = torch.arange(400) * 0x9E3779B97F4A7C1 % 2**62
    items = top_k(torch.zeros(400, 5000), 50, salts).items
    assert float(items.double().mean()) == pytest.approx(2499.5, abs=5 * 5000 / math.sqrt(12 * 20_000))
    assert int(items.unique().numel()) > 4000
    first = torch.zeros(1, 5000)
    first[0, 4999] = 1
    assert top_k(first, 4, salts[:1]).items[0].tolist() == [4999, *[i for i in items[0].tolist() if i != 4999][:3]]


def test_the_order_of_ties_follows_from_the_items_seen_not_from_the_user_or_the_order() -> None:
    seen = Interactions.from_pairs([0, 0, 1, 1, 2], [3, 5, 5, 3, 4], n_users=4, n_items=9)
    salts = tie_salts(seen, [0, 1, 2, 3])
    assert salts[0] == salts[1]
    assert len(set(salts.tolist())) == 3
    assert torch.equal(tie_salts(seen, [2, 0])[1:], salts[:1])
    assert not torch.equal(tie_salts(seen, [0], seed=1), salts[:1])


def test_padding_is_not_an_item() -> None:
    items = torch.tensor([[2, -1, -1]])
    relevant = torch.tensor([[True, False, False, True]])  # item 0 and the last item: what -1 could be taken for
    assert find_hits(items, relevant).tolist() == [[False, False, False]]
    assert coverage(items, 4) == 0.25
    assert coverage(np.full((2, 3), -1), 4) == 0.0


def test_a_masked_item_is_never_listed_even_when_the_list_cannot_be_filled() -> None:
    scores = torch.tensor([[-INF, 3.0, -INF]])
    ranking = top_k(scores, 3)
    assert ranking.items.tolist() == [[1, -1, -1]]
    assert ranking.scores.tolist() == [[3.0, -INF, -INF]]


def test_nan_scores_are_never_listed() -> None:
    scores = mask_scores(torch.tensor([[math.nan, 1.0, math.nan, 2.0]]), [0], seen=None)
    assert top_k(scores, 4).items.tolist() == [[3, 1, -1, -1]]


def test_seen_is_masked_by_user_and_item_not_the_other_way_round() -> None:
    seen = Interactions.from_pairs([0, 0, 2], [1, 2, 0], n_users=3, n_items=3)
    # The batch is in another order than the users, so its positions are not the user indices.
    masked = mask_scores(torch.ones(2, 3), [2, 0], seen=seen) == -INF
    assert masked.tolist() == [[True, False, False], [False, True, True]]


def test_among_keeps_only_the_candidates_and_does_not_change_their_array() -> None:
    among = np.array([3, 1])
    masked = mask_scores(torch.ones(2, 4), [0, 1], seen=None, among=among) == -INF
    assert masked.tolist() == [[True, False, True, False]] * 2
    assert among.tolist() == [3, 1]
    assert bool((mask_scores(torch.ones(1, 4), [0], seen=None, among=[]) == -INF).all())
