"""Negative sampling: never a known positive, uniform over the rest, for many users at once."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from recengine.data import sampling
from recengine.data.interactions import Interactions
from recengine.data.sampling import KnownPairs, NegativeSampler


@st.composite
def positives(draw):
    n_users, n_items = draw(st.integers(1, 6)), draw(st.integers(1, 9))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    user, item = (rng.random((n_users, n_items)) < draw(st.sampled_from([0.1, 0.5, 0.9, 1.1]))).nonzero()
    order = rng.permutation(len(user))
    return Interactions.from_pairs(user[order], item[order], n_users=n_users, n_items=n_items)


def owned(x: Interactions, user: int) -> set[int]:
    return set(x.item_idx[x.user_idx == user].tolist())


@given(positives(), st.integers(0, 100))
@settings(max_examples=80, deadline=None)
def test_a_draw_reaches_every_free_item_and_never_a_positive(x: Interactions, seed: int) -> None:
    users = np.arange(x.n_users).repeat(2)
    drawn = NegativeSampler(x).draw(users, 200, np.random.default_rng(seed))
    assert drawn.shape == (len(users), 200)
    for user, row in zip(users.tolist(), drawn.tolist(), strict=True):
        free = set(range(x.n_items)) - owned(x, user)
        assert set(row) == (free or {-1})


def test_draws_are_uniform_over_the_free_items_and_seeded() -> None:
    x = Interactions.from_pairs([0, 0, 1], [1, 3, 0], n_users=2, n_items=6)
    sampler = NegativeSampler(x)
    drawn = sampler.draw(np.array([0]), 40_000, np.random.default_rng(0))
    assert np.allclose(np.bincount(drawn[0], minlength=6)[[0, 2, 4, 5]] / 40_000, 0.25, atol=0.01)
    again = sampler.draw(np.array([0]), 40_000, np.random.default_rng(0))
    assert (drawn == again).all()
    assert (drawn != sampler.draw(np.array([0]), 40_000, np.random.default_rng(1))).any()


def test_a_repeated_positive_counts_once() -> None:
    x = Interactions.from_pairs([0, 0, 0], [1, 1, 1], n_users=1, n_items=3)
    assert set(NegativeSampler(x).draw(np.array([0]), 50, np.random.default_rng(0))[0].tolist()) == {0, 2}


def test_an_index_space_beyond_32_bits_draws_right_even_from_32_bit_user_indices() -> None:
    n_users, n_items = 100_000, 60_000
    last = np.array([n_users - 1], dtype=np.int32)
    x = Interactions.from_pairs(np.repeat(last, n_items - 1), np.arange(1, n_items), n_users=n_users, n_items=n_items)
    assert set(NegativeSampler(x).draw(last, 20, np.random.default_rng(0))[0].tolist()) == {0}


@pytest.mark.parametrize("limit", [sampling.BITMAP_LIMIT, 0], ids=["table", "search"])
@given(x=positives())
@settings(max_examples=40, deadline=None)
def test_known_pairs_are_known_by_table_and_by_search_alike(x: Interactions, limit: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sampling, "BITMAP_LIMIT", limit)
        known = KnownPairs(x)
    assert (known.table is None) == (limit == 0)
    if not len(x):
        return
    items = torch.arange(x.n_items).repeat(x.n_users, 1)
    result = known(torch.arange(x.n_users), items)
    assert result.tolist() == [[i in owned(x, u) for i in range(x.n_items)] for u in range(x.n_users)]
