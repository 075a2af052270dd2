"""How `step` scores new users: against hand values and a slow sum, whatever the order, and split over the ratings."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from recengine.data.dataset import Dataset
from recengine.data.interactions import Interactions
from recengine.models.streaming.new_users import SHRINK_LENGTH, Tables, directions, explain_new_user, score_new_users
from recengine.models.streaming.step import Step, StepConfig
from recengine.training.config import RunConfig

CPU = RunConfig(device="cpu", epochs=2)
N_ITEMS = 9
SCALE = torch.tensor([4.0, 5.0])
WEIGHTS = SimpleNamespace(dislike_weight=0.6, vector_weight=0.25, bias_weight=0.1)


def tables(seed: int = 0) -> Tables:
    """Return tables whose last item came after training, and was not moved."""
    kinds, vectors, bias = torch.randn(3, N_ITEMS, 4, generator=torch.Generator().manual_seed(seed))
    kinds[-1] = vectors[-1] = 0
    return Tables.of(kinds, vectors, bias[:, 0], SCALE)


def one_user(rows: list[tuple[int, float]], user: int = 0, n_users: int = 1) -> Interactions:
    items, ratings = [item for item, _ in rows], [rating for _, rating in rows]
    return Interactions.from_pairs([user] * len(rows), items, rating=ratings, n_users=n_users, n_items=N_ITEMS)


def slow(rows: list[tuple[int, float]], known: Tables) -> list[float]:
    """Return the scores as the module states them, item by item."""
    kinds, ways, bias = (part.double().numpy() for part in (known.kinds, known.directions, known.bias))
    liked = [item for item, rating in rows if rating >= 4]
    disliked = [item for item, rating in rows if rating <= 2.5]
    taste = sum((ways[item] for item in liked), np.zeros(4))
    scores = []
    for i in range(N_ITEMS):
        score = WEIGHTS.bias_weight * bias[i] + sum(kinds[h] @ kinds[i] for h in liked) / max(1, len(liked))
        score += WEIGHTS.vector_weight * (taste @ ways[i]) / max(np.linalg.norm(taste), 1e-9)
        for h in disliked:
            cosine = kinds[h] @ kinds[i] / max(np.linalg.norm(kinds[h]) * np.linalg.norm(kinds[i]), 1e-9)
            score -= WEIGHTS.dislike_weight * max(cosine, 0) ** 4
        scores.append(score)
    return scores


ROWS = st.lists(
    st.tuples(st.integers(0, N_ITEMS - 1), st.sampled_from([0.5, 2.5, 3.0, 4.0, 5.0])),
    max_size=N_ITEMS,
    unique_by=lambda row: row[0],
)


def test_the_scores_of_a_like_and_a_dislike_by_hand() -> None:
    """Item 1 is of the liked kind and item 3 between both kinds: cosine 1 / sqrt 2, so that a quarter is taken."""
    kinds = torch.tensor([[1.0, 0], [2, 0], [0, 1], [1, 1]])
    vectors = torch.tensor([[0.0, 0.9], [0, 0.1], [0.9, 0], [0, 0]])
    assert SHRINK_LENGTH == 0.1
    assert torch.allclose(directions(vectors), torch.tensor([[0, 0.9], [0, 0.5], [0.9, 0], [0, 0]]))
    known = Tables.of(kinds, vectors, torch.tensor([0.0, 1, 0, 2]), SCALE)
    user = Interactions.from_pairs([0, 0], [0, 2], rating=[5, 1], n_users=1, n_items=4)
    scores = score_new_users(user, known, WEIGHTS)[0].tolist()
    # mean kind of the likes (1, 0), direction of the likes (0, 1)
    assert scores == pytest.approx([1 + 0.25 * 0.9, 2 + 0.25 * 0.5 + 0.1, -0.6, 1 + 0.2 - 0.15], abs=1e-6)


@settings(max_examples=80, deadline=None)
@given(ROWS, st.integers(0, 5))
def test_scores_are_the_sums_that_are_stated(rows: list[tuple[int, float]], seed: int) -> None:
    known = tables(seed)
    assert score_new_users(one_user(rows), known, WEIGHTS)[0].tolist() == pytest.approx(slow(rows, known), abs=1e-5)


@settings(max_examples=60, deadline=None)
@given(ROWS, st.randoms(use_true_random=False))
def test_the_order_of_the_ratings_changes_not_a_bit(rows: list[tuple[int, float]], random: object) -> None:
    known, shuffled = tables(), rows.copy()
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert torch.equal(
        score_new_users(one_user(shuffled), known, WEIGHTS), score_new_users(one_user(rows), known, WEIGHTS)
    )


@settings(max_examples=60, deadline=None)
@given(ROWS, ROWS)
def test_a_user_among_others_gets_the_same_scores(
    mine: list[tuple[int, float]], theirs: list[tuple[int, float]]
) -> None:
    known = tables()
    both = one_user(mine, 0, 2).concat(one_user(theirs, 1, 2))
    together = score_new_users(both, known, WEIGHTS)
    for scores, rows in zip(together, (mine, theirs), strict=True):
        assert torch.allclose(scores, score_new_users(one_user(rows), known, WEIGHTS)[0], atol=1e-5)


def test_rows_that_changed_are_scored_by_what_they_became() -> None:
    before, user = tables(0), one_user([(1, 5.0), (2, 4.0), (4, 1.0)])
    vectors = torch.randn(2, 4, generator=torch.Generator().manual_seed(2))
    item, bias = torch.tensor([2, 7]), torch.tensor([0.5, -3])
    changed = before.with_rows(item, vectors, bias)
    assert torch.equal(changed.directions[item], directions(vectors))
    assert torch.equal(before.directions, tables(0).directions)
    moved = (score_new_users(user, changed, WEIGHTS) != score_new_users(user, before, WEIGHTS))[0]
    assert moved.tolist() == [item != N_ITEMS - 1 for item in range(N_ITEMS)]  # the like 2 moved, and all but a zero


@settings(max_examples=60, deadline=None)
@given(ROWS)
def test_what_the_ratings_add_sums_to_the_score(rows: list[tuple[int, float]]) -> None:
    known, user = tables(), one_user(rows)
    parts = explain_new_user(user, np.arange(N_ITEMS), known, WEIGHTS)
    assert parts.shape == (N_ITEMS, len(rows))
    added = score_new_users(user, known, WEIGHTS)[0] - WEIGHTS.bias_weight * known.bias
    assert torch.allclose(parts.sum(1), added, atol=1e-5)
    for column, (_, rating) in zip(parts.T, rows, strict=True):
        assert rating > 2.5 or column.max() <= 0
        assert rating != 3 or not column.any()


def test_a_new_user_is_listed_the_genre_that_they_liked_and_not_the_one_that_they_disliked(tiny: Dataset) -> None:
    """Genres are the remainders by 4; a few ratings are enough, and one dislike empties its genre."""
    model = Step(StepConfig(embedding_dim=8)).fit(tiny.positives(4.0), items=tiny.items, run=CPU)

    def top(*rows: tuple[int, float]) -> list[int]:
        items, ratings = [item for item, _ in rows], [rating for _, rating in rows]
        user = Interactions.from_pairs([0] * len(rows), items, rating=ratings, n_users=1, n_items=40)
        scores = model.score_history(user)[0]
        scores[items] = -torch.inf
        return [item % 4 for item in scores.argsort(descending=True)[:6].tolist()]

    assert top((2, 5.0), (6, 5.0)) == [2] * 6
    both = top((2, 5.0), (3, 5.0))
    assert set(both) == {2, 3}
    assert 3 not in top((2, 5.0), (3, 5.0), (7, 1.0), (11, 1.0))


def test_the_factors_follow_from_the_seed_and_leave_the_global_draws_alone(tiny: Dataset) -> None:
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    one = Step(StepConfig(embedding_dim=8)).fit(tiny.positives(4.0), items=tiny.items, run=CPU)
    assert torch.equal(torch.rand(1), expected)
    other = Step(StepConfig(embedding_dim=8)).fit(tiny.positives(4.0), items=tiny.items, run=CPU)
    assert torch.equal(one.kinds, other.kinds)


def test_an_item_that_came_after_training_is_scored_by_what_events_moved(tiny: Dataset) -> None:
    model = Step(StepConfig(embedding_dim=8)).fit(tiny.positives(4.0), items=tiny.items, run=CPU)
    model.partial_fit(Interactions.from_pairs([0, 4, 8], [40, 40, 40], rating=[5, 5, 5], n_users=60, n_items=41))
    assert model.kinds.shape == (41, 8)
    assert not model.kinds[40].any()
    like_them = Interactions.from_pairs([0] * 3, [0, 4, 8], rating=[5] * 3, n_users=1, n_items=41)
    before = model.score_history(like_them.select(slice(0)))[0, 40]
    assert model.score_history(like_them)[0, 40] > before
