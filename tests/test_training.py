"""Losses against hand values and finite properties; the one training loop: best epoch, patience, callbacks."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from recengine.data.interactions import Interactions
from recengine.errors import BadInput
from recengine.training.loop import one_thread, ranking_validator, train
from recengine.training.losses import (
    LOSSES,
    adaptive_hinge_loss,
    bpr_loss,
    hinge_loss,
    logistic_loss,
    softmax_loss,
)

POSITIVE = torch.tensor([2.0, 0.0])
NEGATIVE = torch.tensor([[1.0, 3.0], [-1.0, 0.5]])


def log1p_exp(x: float) -> float:
    return math.log1p(math.exp(x))


@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        (bpr_loss, sum(log1p_exp(x) for x in (1 - 2, 3 - 2, -1 - 0, 0.5 - 0)) / 4),
        (hinge_loss, (0 + 2 + 0 + 1.5) / 4),
        (adaptive_hinge_loss, (2 + 1.5) / 2),
        (
            softmax_loss,
            (math.log(math.exp(2) + math.exp(1) + math.exp(3)) - 2 + math.log(1 + math.exp(-1) + math.exp(0.5))) / 2,
        ),
        (logistic_loss, sum(log1p_exp(x) for x in (-2, 0, 1, 3, -1, 0.5)) / 6),
    ],
)
def test_losses_have_the_values_worked_out_by_hand(loss, expected) -> None:
    assert float(loss(POSITIVE, NEGATIVE)) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
def test_a_row_is_judged_by_its_own_negatives_only(loss) -> None:
    """The pairwise losses average over rows, so that another row's negatives must not move a row's gradient."""
    positive = POSITIVE.clone().requires_grad_()
    loss(positive, NEGATIVE).backward()
    other = POSITIVE.clone().requires_grad_()
    changed = NEGATIVE.clone()
    changed[1] = 100.0  # the second user's negatives become the hardest of all
    loss(other, changed).backward()
    assert positive.grad is not None
    assert other.grad is not None
    assert other.grad[0] == positive.grad[0]


def test_adaptive_hinge_takes_the_hardest_of_each_rows_own_negatives() -> None:
    negative = torch.tensor([[0.0, 9.0, 0.0], [5.0, 0.0, 0.0]], requires_grad=True)
    adaptive_hinge_loss(torch.zeros(2), negative).backward()
    assert negative.grad is not None
    assert (negative.grad > 0).tolist() == [[False, True, False], [True, False, False]]


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
def test_a_masked_negative_adds_no_loss_and_no_gradient_and_nothing_overflows(loss) -> None:
    positive = torch.tensor([500.0, -500.0], requires_grad=True)
    negative = torch.tensor([[1.0, 500.0], [0.0, 0.0]], requires_grad=True)
    masked = negative.masked_fill(torch.tensor([[False, True], [False, True]]), -torch.inf)
    value = loss(positive, masked)
    value.backward()
    assert negative.grad is not None
    assert positive.grad is not None
    assert bool(torch.isfinite(value))
    assert bool(torch.isfinite(negative.grad).all())
    assert bool(torch.isfinite(positive.grad).all())
    assert negative.grad[:, 1].tolist() == [0.0, 0.0]


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
def test_a_loss_falls_when_a_positive_rises_and_rises_with_its_negatives(loss) -> None:
    start = loss(POSITIVE, NEGATIVE)
    assert loss(POSITIVE + 0.5, NEGATIVE) < start < loss(POSITIVE, NEGATIVE + 0.5)


@pytest.mark.parametrize("loss", [bpr_loss, hinge_loss, adaptive_hinge_loss, softmax_loss, logistic_loss])
def test_a_wider_margin_asks_for_more(loss) -> None:
    assert loss(POSITIVE, NEGATIVE, 1.5) > loss(POSITIVE, NEGATIVE, 0.5)
    per_cell = torch.full_like(NEGATIVE, 0.5)
    assert torch.equal(loss(POSITIVE, NEGATIVE, per_cell), loss(POSITIVE, NEGATIVE, 0.5))


# The loop -------------------------------------------------------------------------------------------------------


class Walk(nn.Module):
    """One weight that an SGD step with loss = -weight raises by one."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(()))


def walk(scores: list[float], *, patience: int = 10, on_epoch: Callable | None = None, validate: bool = True):
    """Train a `Walk` whose validation after epoch i is scores[i]; return the network and the history."""
    network = Walk()
    history = train(
        network,
        batches=lambda: [()],
        loss=lambda: -network.weight,
        optimizers=[torch.optim.SGD(network.parameters(), lr=1.0)],
        epochs=len(scores) - 1,
        patience=patience,
        validate=(lambda: {"valid_ndcg@10": scores[round(network.weight.item())]}) if validate else None,
        on_epoch=on_epoch,
    )
    return network, history


def test_the_best_epochs_weights_are_restored_not_the_last_ones() -> None:
    network, history = walk([0.0, 0.2, 0.5, 0.4, 0.3])
    assert network.weight.item() == 2.0
    assert [row["epoch"] for row in history] == [0, 1, 2, 3, 4]
    assert not network.training


def test_training_stops_after_patience_epochs_without_a_gain() -> None:
    network, history = walk([0.0, 0.5, 0.4, 0.5, 0.4, 0.9], patience=3)
    assert history[-1]["epoch"] == 4  # an equal value is no gain
    assert network.weight.item() == 1.0


def test_an_untrained_network_that_validates_best_is_kept() -> None:
    network, _ = walk([0.9, 0.1, 0.2])
    assert network.weight.item() == 0.0


def test_without_validation_every_epoch_runs_and_the_last_weights_stay() -> None:
    network, history = walk([0.0] * 4, validate=False)
    assert network.weight.item() == 3.0
    assert [row["epoch"] for row in history] == [1, 2, 3]


def test_the_callback_sees_every_row_and_stops_training_by_raising() -> None:
    rows: list[dict[str, float]] = []
    walk([0.0, 0.1, 0.2], on_epoch=lambda row: rows.append(dict(row)))
    assert [row["epoch"] for row in rows] == [0, 1, 2]
    assert all(row["epochs"] == 2 and {"loss", "seconds", "valid_ndcg@10"} <= row.keys() for row in rows)

    def stop(row):
        if row["epoch"] == 1:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        walk([0.0, 0.1, 0.2], on_epoch=stop)


def test_a_loss_that_is_no_number_is_bad_input_and_the_best_weights_are_back() -> None:
    network = Walk()
    losses = iter([1.0, 1.0, math.nan])
    with pytest.raises(BadInput, match=r"loss is nan in epoch 2.*lower learning_rate \(epoch 1's weights"):
        train(
            network,
            batches=lambda: [()],
            loss=lambda: -network.weight * next(losses),
            optimizers=[torch.optim.SGD(network.parameters(), lr=1.0)],
            epochs=5,
            patience=5,
            validate=lambda: {"valid_ndcg@10": network.weight.item()},
        )
    assert network.weight.item() == 1.0


def test_the_validator_masks_training_items_and_averages_over_validation_users() -> None:
    train_rows = Interactions.from_pairs([0, 0, 1], [0, 1, 2], n_users=3, n_items=12)
    valid = Interactions.from_pairs([0, 1], [2, 0], n_users=3, n_items=12)
    table = torch.linspace(1, 0, 12).repeat(3, 1)
    given: list[Tensor] = []

    def score(users: Tensor) -> Tensor:
        given.append(users)
        return table[users]

    found = ranking_validator(score, train_rows, valid)()
    # User 0: items 0 and 1 are masked, so item 2 comes first; user 1: item 0 comes first.
    assert found == {"valid_ndcg@10": pytest.approx(1.0), "valid_hr@10": pytest.approx(1.0)}
    assert torch.cat(given).tolist() == [0, 1]
    assert torch.equal(table, torch.linspace(1, 0, 12).repeat(3, 1))  # the scores stay the model's own


def test_the_validator_gives_the_loop_its_key_on_a_catalogue_smaller_than_ten() -> None:
    x = Interactions.from_pairs([0, 1], [0, 1], n_users=2, n_items=4)
    valid = Interactions.from_pairs([0], [2], n_users=2, n_items=4)
    found = ranking_validator(lambda users: torch.ones(len(users), 4), x, valid)()
    assert found["valid_ndcg@10"] == pytest.approx(1 / np.log2(3))  # items 1, 2, 3 tie: item 2 is second


def test_one_thread_is_given_back_even_after_a_fault() -> None:
    before = torch.get_num_threads()

    def fail() -> None:
        with one_thread(torch.device("cpu")):
            assert torch.get_num_threads() == 1
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert torch.get_num_threads() == before
