"""`gru-rating`: the offsets and the network by hand, the sequences it reads, and how new users gain from them."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from recengine.data.dataset import Dataset
from recengine.data.interactions import Interactions
from recengine.data.sequences import Sequences
from recengine.errors import BadInput
from recengine.models.ratings.bias import Bias
from recengine.models.registry import configure, model_class
from recengine.models.sequence.gru_rating import leave_one_out_residuals
from recengine.training.config import RunConfig


def fit(rows: Interactions, name: str = "gru-rating", **settings: Any) -> Any:
    config, run = configure(name, settings, RunConfig(device="cpu"))
    return model_class(name)(config).fit(rows, run=run)


def random_ratings(seed: int, n_users: int = 6, n_items: int = 9) -> Interactions:
    """Return users with 1 to 8 ratings of distinct items, one user without any, their rows shuffled; time increases."""
    rng = np.random.default_rng(seed)
    chosen = [rng.permutation(n_items)[: rng.integers(1, 9)] for _ in range(n_users)]
    chosen[0] = np.arange(3)  # at least one user is read
    user = np.repeat(np.arange(n_users), [len(c) for c in chosen])
    shuffled = rng.permutation(len(user))
    rating = rng.integers(1, 11, len(user)) / 2
    return Interactions.from_pairs(
        user[shuffled],
        np.concatenate(chosen)[shuffled],
        rating=rating[shuffled],
        timestamp=shuffled,
        n_users=n_users + 1,
        n_items=n_items,
    )


@pytest.fixture(scope="module")
def trained(tiny: Dataset) -> Any:
    return fit(tiny.ratings, epochs=4)


# By hand ---------------------------------------------------------------------------------------------------------


def test_a_prediction_is_that_of_the_equations_written_out(tiny: Dataset, trained: Any) -> None:
    """mean + b_i + (sum of residuals) / (n + shrink) + W relu(U h + V e_i + c) + d, h from the equations of the GRU."""
    weight = {name: tensor.double().numpy() for name, tensor in trained.network.state_dict().items()}

    def sigmoid(x: np.ndarray) -> np.ndarray:
        return 1 / (1 + np.exp(-x))

    items, ratings = [5, 30, 17], [4.5, 1.0, 3.0]
    state, total = np.zeros(trained.config.hidden_dim), 0.0
    for item, rating in zip(items, ratings, strict=True):
        residual = rating - weight["mean"][0] - weight["item_offset"][item]
        total += residual
        pair = np.append(weight["item_embedding.weight"][item], residual)
        of_input = np.split(weight["gru.weight_ih_l0"] @ pair + weight["gru.bias_ih_l0"], 3)
        of_state = np.split(weight["gru.weight_hh_l0"] @ state + weight["gru.bias_hh_l0"], 3)
        reset, update = (sigmoid(of_input[gate] + of_state[gate]) for gate in (0, 1))
        state = (1 - update) * np.tanh(of_input[2] + reset * of_state[2]) + update * state
    expected = [
        weight["mean"][0]
        + weight["item_offset"][i]
        + total / (len(items) + trained.config.user_shrink)
        + weight["output.bias"][0]
        + weight["output.weight"][0]
        @ np.maximum(
            weight["from_state.weight"] @ state
            + weight["from_state.bias"]
            + weight["from_item.weight"] @ weight["item_embedding.weight"][i],
            0,
        )
        for i in range(40)
    ]
    history = Interactions.from_pairs([0] * 3, items, rating=ratings, n_users=1, n_items=40)
    assert trained.score_history(history)[0].numpy() == pytest.approx(np.array(expected), abs=1e-4)
    assert np.ptp(expected - weight["mean"] - weight["item_offset"][:-1]) > 1e-3  # the network has an effect


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), shrink=st.sampled_from([0.0, 0.5, 2.0]))
def test_a_residual_leaves_its_row_out_of_the_item_offset(seed: int, shrink: float) -> None:
    rows = random_ratings(seed)
    offsets: Any = fit(rows, "bias", item_shrink=shrink, user_shrink=5)
    assert isinstance(offsets, Bias)
    result = leave_one_out_residuals(rows, offsets)
    item, user, rating = rows.item_idx, rows.user_idx, rows.rating
    for position, row in enumerate(rows.chronological()):
        others = (item == item[row]) & (np.arange(len(rows)) != row)
        left = rating[others] - float(offsets.mean) - offsets.users[user[others]].numpy()
        # The user offsets are updated after the item offsets, so both sides agree only once they have converged.
        offset = left.sum() / (others.sum() + shrink) if others.sum() + shrink else 0.0
        assert float(result[position]) == pytest.approx(rating[row] - float(offsets.mean) - offset, abs=0.05)


# Sequences -------------------------------------------------------------------------------------------------------


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), longest=st.integers(1, 6))
def test_sampled_targets_follow_the_events_that_predict_them_and_sequences_are_sampled_anew(
    seed: int, longest: int
) -> None:
    rows = random_ratings(seed)
    model = fit(rows, epochs=1, max_length=longest, event_targets=3, batch_size=4)
    known = torch.arange(len(rows) + 0.0)  # instead of a residual, the row's position in time order
    batches = model._batches(known, torch.device("cpu"), torch.Generator().manual_seed(seed))
    sequences = Sequences(rows)
    read: list[list[int]] = []
    for items, positions, targets, wanted, used in [batch for _ in range(3) for batch in batches()]:
        assert bool((used.sum(1) - 1 == (items < rows.n_items).sum(1)).all())
        for row in range(len(items)):
            n = int(used[row].sum()) - 1
            assert 1 <= n <= longest
            events = positions[row, :n].long()
            assert events.tolist() == list(range(int(events[0]), int(events[0]) + n))  # one stretch of time
            assert items[row].tolist() == [*sequences.items[events].tolist(), *[rows.n_items] * (items.shape[1] - n)]
            assert not positions[row, n:].any()
            owner = np.searchsorted(sequences.ends, int(events[0]), side="right")
            for after in range(n + 1):
                later = wanted[row, after].long()
                assert int(later.min()) >= int(events[0]) + after  # never an event that was read
                assert int(later.max()) < sequences.ends[owner]  # nor one of another user
                assert targets[row, after].tolist() == sequences.items[later].tolist()
            read.append(events.tolist())
    assert len(read) == 3 * (rows.user_counts > 1).sum()  # each user once an epoch


def test_padding_in_a_batch_changes_no_loss(trained: Any) -> None:
    draws = torch.Generator().manual_seed(3)
    items, targets = (torch.randint(40, shape, generator=draws) for shape in ((1, 5), (1, 6, 4)))
    residuals, wanted = torch.randn(1, 5, generator=draws), torch.randn(1, 6, 4, generator=draws)
    used = torch.ones(1, 6, dtype=torch.bool)
    plain = trained._loss(items, residuals, targets, wanted, used)
    pad = torch.nn.functional.pad
    padded = trained._loss(
        pad(items, (0, 3), value=40),
        pad(residuals, (0, 3)),
        pad(targets, (0, 0, 0, 3)),
        pad(wanted, (0, 0, 0, 3), value=9.0),
        pad(used, (0, 3)),
    )
    assert plain.item() == pytest.approx(padded.item(), rel=1e-5)


def test_a_long_history_is_read_from_its_latest_events_and_their_order_counts(tiny: Dataset) -> None:
    model = fit(tiny.ratings, epochs=4, max_length=3)
    items, ratings = np.array([5, 30, 17, 2]), np.array([4.5, 1.0, 3.0, 5.0])

    def scores(order: list[int]) -> torch.Tensor:
        rows = Interactions.from_pairs([0] * len(order), items[order], rating=ratings[order], n_users=1, n_items=40)
        return model.score_history(rows)

    assert torch.equal(scores([0, 1, 2, 3]), scores([1, 2, 3]))
    assert not torch.allclose(scores([1, 2, 3]), scores([3, 2, 1]), atol=1e-4)


# What it learns --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", ["absolute", "squared"])
def test_a_few_ratings_show_which_half_of_the_films_a_new_user_likes(loss: str) -> None:
    rng = np.random.default_rng(0)
    user, item = np.repeat(np.arange(320), 10), np.concatenate([rng.permutation(16)[:10] for _ in range(320)])
    rating = np.where(user % 2 == item % 2, 5.0, 1.0)
    rows = Interactions.from_pairs(user, item, rating=rating, n_users=320, n_items=16)
    known, later = rows.user_idx < 240, np.arange(len(rows)) % 10 >= 5
    given, target = rows.select(~known & ~later), rows.select(~known & later)
    train = rows.select(known)
    config = {"epochs": 25, "learning_rate": 0.03, "weight_decay": 0.01, "dropout": 0.1, "loss": loss}
    error = [
        np.abs(model.score_history(given).numpy()[target.user_idx, target.item_idx] - target.rating).mean()
        for model in (fit(train, **config), fit(train, "bias"))
    ]
    assert error[1] > 1.5  # offsets cannot tell the halves apart
    assert error[0] < 0.3


def test_users_with_one_rating_each_are_bad_input() -> None:
    rows = Interactions.from_pairs([0, 1, 2], [0, 1, 2], n_users=3, n_items=3)
    with pytest.raises(BadInput, match="at least 2 ratings, and none of 3 has that many; choose another model"):
        fit(rows)
