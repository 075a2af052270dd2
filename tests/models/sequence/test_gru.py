"""`gru` with the horizon `later`: targets may follow at any distance, which serves short histories."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from recengine.data.interactions import Interactions
from recengine.data.sequences import Sequences
from recengine.errors import BadInput
from recengine.models.registry import configure, model_class
from recengine.models.sequence.gru import GRU, GRUConfig
from recengine.training.config import RunConfig


def fit(rows: Interactions, **settings: Any) -> Any:
    config, run = configure("gru", {"horizon": "later", **settings}, RunConfig(device="cpu"))
    return model_class("gru")(config).fit(rows, run=run)


def histories(lengths: list[int], n_items: int = 40) -> Interactions:
    """Return users with these numbers of distinct items; each user's times run from 0."""
    rng = np.random.default_rng(len(lengths))
    items = [rng.permutation(n_items)[:n] for n in lengths]
    user, position = np.repeat(np.arange(len(lengths)), lengths), np.concatenate([np.arange(n) for n in lengths])
    shuffled = rng.permutation(len(user))
    return Interactions.from_pairs(
        user[shuffled],
        np.concatenate(items)[shuffled],
        timestamp=position[shuffled],
        n_users=len(lengths),
        n_items=n_items,
    )


@settings(max_examples=40, deadline=None)
@given(lengths=st.lists(st.integers(0, 9), min_size=1, max_size=6), longest=st.integers(2, 5), seed=st.integers(0, 99))
def test_a_target_after_an_event_is_a_later_item_of_the_same_user(lengths: list[int], longest: int, seed: int) -> None:
    rows = histories(lengths)
    sequences = Sequences(rows)
    ends, window = sequences.starts(longest)
    users = [user for user, n in enumerate(lengths) if n > 1]
    assert window.tolist() == [min(lengths[user], longest) for user in users]
    items, _, length = sequences.windows(ends, window)
    row, after, item = sequences.draw_later(ends, length, torch.Generator().manual_seed(seed))
    for b, t, target in zip(row.tolist(), after.tolist(), item.tolist(), strict=True):
        of_user = rows.user_idx == users[b]
        when = dict(zip(rows.item_idx[of_user].tolist(), rows.timestamp[of_user].tolist(), strict=True))
        assert when[int(items[b, t])] == t < window[b]
        assert when[target] > t


def test_all_pairs_of_an_event_and_a_later_row_are_equally_likely() -> None:
    sequences = Sequences(histories([6]))
    ends, window = sequences.starts(3)
    draws = torch.Generator().manual_seed(0)
    seen = np.zeros((3, 6))
    position = {item: n for n, item in enumerate(sequences.items[:6].tolist())}
    for _ in range(3000):
        _, after, item = sequences.draw_later(ends, torch.from_numpy(window), draws)
        np.add.at(seen, (after.numpy(), [position[i] for i in item.tolist()]), 1)
    possible = np.arange(3)[:, None] < np.arange(6)
    assert np.allclose(seen / 3000, possible / 3, atol=0.04)


def test_it_starts_from_how_often_an_item_follows_others_whatever_the_history() -> None:
    rows = histories([8] * 30)
    model = fit(rows, epochs=1, learning_rate=1e-9)
    scores = model.score(np.arange(30))
    assert torch.allclose(scores, scores[:1].expand_as(scores), atol=1e-4)
    pairs = np.bincount(rows.item_idx, rows.timestamp, minlength=40)  # an event at time t follows t others
    assert np.corrcoef(np.log(pairs + 1), scores[0].numpy())[0, 1] > 0.95


def test_one_item_predicts_which_half_of_the_catalogue_follows() -> None:
    rng = np.random.default_rng(0)
    items = np.array([rng.permutation(20) + 20 * (user % 2) for user in range(200)])[:, :12]
    rows = Interactions.from_pairs(np.repeat(np.arange(200), 12), items.flatten(), n_users=200, n_items=40)
    model = fit(rows, embedding_dim=8, hidden_dim=16, max_length=3, learning_rate=0.02, epochs=15)
    new_users = Interactions.from_pairs(np.arange(40), np.arange(40), n_users=40, n_items=40)
    top = model.score_history(new_users).topk(10).indices.numpy()
    assert (top // 20 == np.arange(40)[:, None] // 20).mean() > 0.95


@pytest.mark.parametrize("users", [(), (0, 1, 2), tuple(range(15))])
def test_data_in_which_no_user_has_two_events_is_refused_in_words(users: tuple[int, ...]) -> None:
    rows = Interactions.from_pairs(users, [u % 4 for u in users], n_users=15, n_items=4)
    with pytest.raises(BadInput, match="at least two events, and no user has as many"):
        GRU(GRUConfig()).fit(rows)
