"""Losses against hand values, gradients written out, and finite properties; the optimisers."""

import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812 - the usual name

from recengine.training import catalogue_softmax
from recengine.training.losses import (
    LOSSES,
    adaptive_hinge_loss,
    bpr_loss,
    hinge_loss,
    logistic_loss,
    softmax_loss,
    squared_loss,
    warp_loss,
)
from recengine.training.optimizers import OPTIMIZERS, make_optimizer

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
        # Row 0: both within the margin of 1, short of it by 0 and 2; row 1: by 0 and 1.5. One violates in each.
        (warp_loss, (math.log(2) * 2 + math.log(2) * 1.5) / 2),
        (squared_loss, ((1 - 2) ** 2 + (1 - 0) ** 2 + 1 + 9 + 1 + 0.25) / 6),
        (logistic_loss, sum(log1p_exp(x) for x in (-2, 0, 1, 3, -1, 0.5)) / 6),
    ],
)
def test_losses_have_the_values_worked_out_by_hand(loss, expected) -> None:
    assert float(loss(POSITIVE, NEGATIVE)) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
def test_a_row_is_compared_with_the_negatives_of_that_row_only(loss) -> None:
    """The pairwise losses average over rows, so the negatives of one row must not change the gradient of another."""
    positive = POSITIVE.clone().requires_grad_()
    loss(positive, NEGATIVE).backward()
    other = POSITIVE.clone().requires_grad_()
    changed = NEGATIVE.clone()
    changed[1] = 100.0  # the second user's negatives become the hardest of all
    loss(other, changed).backward()
    assert positive.grad is not None
    assert other.grad is not None
    assert other.grad[0] == positive.grad[0]


def test_adaptive_hinge_takes_the_hardest_negative_of_each_row() -> None:
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


PAIRWISE = {name: loss for name, loss in LOSSES.items() if name != "squared"}
"""All but the squared loss, which lowers a positive above 1."""


@pytest.mark.parametrize("loss", PAIRWISE.values(), ids=PAIRWISE)
def test_a_loss_falls_when_a_positive_rises_and_rises_with_its_negatives(loss) -> None:
    start = loss(POSITIVE, NEGATIVE)
    assert loss(POSITIVE + 0.5, NEGATIVE) < start < loss(POSITIVE, NEGATIVE + 0.5)


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
def test_a_wider_margin_requires_more(loss) -> None:
    assert loss(POSITIVE, NEGATIVE, 1.5) > loss(POSITIVE, NEGATIVE, 0.5)
    per_cell = torch.full_like(NEGATIVE, 0.5)
    assert torch.equal(loss(POSITIVE, NEGATIVE, per_cell), loss(POSITIVE, NEGATIVE, 0.5))


def test_warp_weighs_a_row_by_how_many_negatives_come_within_the_margin() -> None:
    violated = torch.tensor([[0.5, 0.5, 0.5], [0.5, -9.0, -9.0]])
    both, one = (float(warp_loss(torch.ones(1), row[None], 1.0)) for row in violated)
    assert both == pytest.approx(math.log(4) * 0.5)
    assert one == pytest.approx(math.log(2) * 0.5)


@pytest.mark.parametrize("margin", [0.0, 0.5])
def test_the_softmax_and_its_gradient_are_those_of_the_logarithm_written_out(margin: float) -> None:
    draws = torch.Generator().manual_seed(0)
    positive = torch.randn(5, dtype=torch.float64, generator=draws).requires_grad_()
    scores = 3 * torch.randn(5, 4, dtype=torch.float64, generator=draws)
    scores[0, 1], scores[3] = -torch.inf, -torch.inf  # left out: one, and all of a row
    negative = scores.requires_grad_()
    loss = softmax_loss(positive, negative, margin)
    weights = torch.autograd.grad(loss, (positive, negative))
    together = (positive.exp() + (negative + margin).exp().sum(1)).log() - positive
    expected = torch.autograd.grad(together.mean(), (positive, negative))
    assert loss.item() == pytest.approx(together.mean().item())
    for outcome, wanted in zip(weights, expected, strict=True):
        assert torch.allclose(outcome, wanted.nan_to_num(0.0), atol=1e-12)


def test_softmax_against_all_other_items_is_the_cross_entropy_over_the_catalogue() -> None:
    scores = torch.randn(4, 9, generator=torch.Generator().manual_seed(1))
    target = torch.tensor([0, 8, 3, 3])
    others = scores.masked_fill(torch.arange(9) == target[:, None], -torch.inf)
    outcome = softmax_loss(scores.gather(1, target[:, None])[:, 0], others)
    assert float(outcome) == pytest.approx(float(nn.functional.cross_entropy(scores, target)), rel=1e-6)


@pytest.mark.parametrize("cells", [1, 40, 10_000])
def test_the_softmax_in_blocks_and_its_gradient_are_those_of_the_cross_entropy(cells: int, monkeypatch) -> None:
    monkeypatch.setitem(catalogue_softmax.BLOCK_LOGITS, "cpu", cells)
    draws = torch.Generator().manual_seed(0)
    states, items, bias = (torch.randn(*shape, generator=draws) * 3 for shape in ((7, 4), (11, 4), (11,)))
    targets = torch.tensor([0, 10, 3, 3, 5, 9, 2])
    given = [x.double().requires_grad_() for x in (states, items, bias)]
    for against in (None, torch.arange(11), torch.tensor([4, 3, 4, 7])):
        logits = given[0] @ given[1].T + given[2]
        expected = F.cross_entropy(logits, targets)
        if against is not None:
            others = logits[:, against].masked_fill(against == targets[:, None], -torch.inf)
            target = logits.gather(1, targets[:, None])
            expected = F.cross_entropy(torch.cat([target, others], dim=1), torch.zeros_like(targets))
        outcome = catalogue_softmax.catalogue_softmax_loss(given[0], targets, *given[1:], against)
        assert outcome.item() == pytest.approx(expected.item())
        for one, other in zip(*(torch.autograd.grad(2 * x, given) for x in (outcome, expected)), strict=True):
            torch.testing.assert_close(one, other)
    assert catalogue_softmax.catalogue_softmax_loss(given[0][:0], targets[:0], *given[1:], against).item() == 0


@pytest.mark.parametrize("loss", [hinge_loss, adaptive_hinge_loss, warp_loss, squared_loss])
def test_partial_credit_requires_less_of_a_pair_that_shares_a_genre(loss) -> None:
    """With a credit of 0.4, hinges require a gap of 0.6, and the squared error is least with the negative at 0.4."""
    margin = torch.tensor([[1.0, 0.6]])
    scores = torch.tensor([[0.0, 0.4]])  # an unrelated negative at the full gap, a related one at 0.6
    assert float(loss(torch.ones(1), scores, margin)) == pytest.approx(0.0, abs=1e-6)
    assert float(loss(torch.ones(1), scores, 1.0)) > 0.01


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_lowers_the_loss(name: str) -> None:
    weight = nn.Parameter(torch.tensor([3.0]))
    optimizer = make_optimizer(name, [weight], 0.1)
    for _ in range(5):
        optimizer.zero_grad()
        weight.square().sum().backward()
        optimizer.step()
    assert weight.item() < 3.0
