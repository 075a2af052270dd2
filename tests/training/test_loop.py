"""Losses against hand values and finite properties; the one training loop: best epoch, patience, callbacks."""

import copy
import json
import math
import threading
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - the usual name

from recengine.data.interactions import Interactions
from recengine.errors import BadInput
from recengine.metrics import tie_salts
from recengine.training import catalogue_softmax, loop
from recengine.training.loop import (
    EpochResult,
    OnSample,
    Stage,
    best_epoch,
    mark_stage,
    one_thread,
    ranking_validator,
    train,
)
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
from tests.support.ranking import in_order

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


# The loop -------------------------------------------------------------------------------------------------------


class Walk(nn.Module):
    """One weight that an SGD step with loss = -weight raises by one."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(()))


def walk(scores: list[float], *, patience: int = 10, on_epoch: Callable | None = None, validate: bool = True):
    """Train a `Walk` whose validation after epoch i is scores[i]; return the network and the training log."""
    network = Walk()
    log = train(
        network,
        batches=lambda: [()],
        loss=lambda: -network.weight,
        optimizers=[torch.optim.SGD(network.parameters(), lr=1.0)],
        epochs=len(scores) - 1,
        patience=patience,
        validate=(lambda: {"valid_ndcg@10": scores[round(network.weight.item())]}) if validate else None,
        on_epoch=on_epoch,
    )
    return network, log


def test_the_best_epochs_weights_are_restored_not_the_last_ones() -> None:
    network, log = walk([0.0, 0.2, 0.5, 0.4, 0.3])
    assert network.weight.item() == 2.0
    assert [result.epoch for result in log] == [0, 1, 2, 3, 4]
    assert not network.training


def test_training_stops_after_patience_epochs_without_a_gain() -> None:
    network, log = walk([0.0, 0.5, 0.4, 0.5, 0.4, 0.9], patience=3)
    assert log[-1].epoch == 4  # an equal value is no gain
    assert network.weight.item() == 1.0


def test_an_untrained_network_that_validates_best_is_kept() -> None:
    network, _ = walk([0.9, 0.1, 0.2])
    assert network.weight.item() == 0.0


def test_without_validation_every_epoch_runs_and_the_last_weights_stay() -> None:
    network, log = walk([0.0] * 4, validate=False)
    assert network.weight.item() == 3.0
    assert [result.epoch for result in log] == [1, 2, 3]


def test_the_callback_sees_every_row_and_stops_training_by_raising() -> None:
    results: list[EpochResult] = []
    _, log = walk([0.0, 0.1, 0.2], on_epoch=results.append)
    assert results == log
    assert [result.epoch for result in results] == [0, 1, 2]
    assert all(result.epochs == 2 and result.metrics.keys() == {"valid_ndcg@10"} for result in results)

    def stop(result: EpochResult) -> None:
        if result.epoch == 1:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        walk([0.0, 0.1, 0.2], on_epoch=stop)


def test_a_loss_that_is_not_a_number_is_bad_input_and_the_best_weights_are_restored() -> None:
    network = Walk()
    losses = iter([1.0, 1.0, math.nan])
    with pytest.raises(BadInput, match=r"loss=nan came out in epoch 2.*lower learning_rate \(epoch 1's weights"):
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


def test_a_second_phase_continues_the_training_log_and_is_kept_only_if_it_beats_the_first() -> None:
    network, log = walk([0.0, 0.6, 0.5])
    for scores, kept in (([0.6, 0.3, 0.2], 1.0), ([0.6, 0.3, 0.9], 3.0)):
        again = copy.deepcopy(network)
        both = train(
            again,
            batches=lambda: [()],
            loss=lambda again=again: -again.weight,
            optimizers=[torch.optim.SGD(again.parameters(), lr=1.0)],
            epochs=2,
            patience=5,
            validate=lambda again=again, scores=scores: {"valid_ndcg@10": scores[round(again.weight.item()) - 1]},
            earlier=log,
        )
        assert [result.epoch for result in both] == [0, 1, 2, 3, 4]
        assert both[:3] == log
        assert both[-1].seconds >= log[-1].seconds
        assert again.weight.item() == kept


def test_an_epochs_result_comes_back_from_its_json() -> None:
    plain = EpochResult(1, 3, 0.5, 2.0)
    assert json.loads(json.dumps(plain.to_dict())) == {"epoch": 1, "epochs": 3, "loss": 0.5, "seconds": 2.0}
    full = EpochResult(1, 3, 0.5, 2.0, {"valid_mae": 0.7}, examples=90, stages=(Stage.REFIT, Stage.PRETRAINING))
    row = json.loads(json.dumps(full.to_dict()))
    assert (row["valid_mae"], row["examples"], row["stages"]) == (0.7, 90, ["refit", "pretraining"])
    for result in (plain, full):
        assert EpochResult.from_dict({**result.to_dict(), "event": "epoch", "memory_mb": 1.0}) == result


def test_an_outer_stage_comes_before_the_inner_one() -> None:
    results: list[EpochResult] = []
    outer = mark_stage(results.append, Stage.REFIT)
    inner = mark_stage(outer, Stage.PRETRAINING)
    assert inner is not None
    inner(EpochResult(1, 1, 0.0, 0.0))
    assert results[0].stages == (Stage.REFIT, Stage.PRETRAINING)
    assert mark_stage(None, Stage.REFIT) is None


def test_the_best_epoch_is_the_first_of_equals_by_the_model_s_criterion() -> None:
    log = [
        EpochResult(n, 3, 0.0, 0.0, {"valid_rmse": r, "valid_mae": m}) for n, r, m in ((0, 2, 1), (1, 1, 3), (2, 3, 1))
    ]
    assert best_epoch(log, "valid_mae") is log[0]
    assert best_epoch(log, "valid_rmse") is log[1]
    assert best_epoch(log, "valid_ndcg@10") is None


def test_clipping_limits_the_length_of_a_step() -> None:
    network = Walk()
    train(
        network,
        batches=lambda: [()],
        loss=lambda: -100 * network.weight,
        optimizers=[torch.optim.SGD(network.parameters(), lr=1.0)],
        epochs=3,
        patience=3,
        clip=0.5,
    )
    assert network.weight.item() == pytest.approx(1.5, rel=1e-4)


@pytest.mark.parametrize(
    ("schedule", "steps"),
    [("none", [1, 1, 1, 1]), ("cosine", [1, (1 + 0.5**0.5) / 2, 0.5, (1 - 0.5**0.5) / 2]), ("plateau", [1, 1, 1, 0.5])],
)
def test_a_schedule_lowers_the_learning_rate(schedule: str, steps: list[float]) -> None:
    """Cosine falls over the four epochs; plateau halves after two epochs without a gain."""
    network, reached = Walk(), [0.0]
    train(
        network,
        batches=lambda: [()],
        loss=lambda: -network.weight,
        optimizers=[torch.optim.SGD(network.parameters(), lr=1.0)],
        epochs=4,
        patience=9,
        validate=lambda: {"valid_ndcg@10": 1.0 if round(network.weight.item(), 6) == 1.0 else 0.0},
        on_epoch=lambda result: reached.append(network.weight.item()) if result.epoch else None,
        schedule=schedule,
    )
    assert np.diff(reached) == pytest.approx(steps, abs=1e-5)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_lowers_the_loss(name: str) -> None:
    weight = nn.Parameter(torch.tensor([3.0]))
    optimizer = make_optimizer(name, [weight], 0.1)
    for _ in range(5):
        optimizer.zero_grad()
        weight.square().sum().backward()
        optimizer.step()
    assert weight.item() < 3.0


def test_the_validator_masks_training_items_and_averages_over_validation_users() -> None:
    train_rows = Interactions.from_pairs([0, 0, 1], [0, 1, 2], n_users=3, n_items=12)
    valid = Interactions.from_pairs([0, 1], [2, 0], n_users=3, n_items=12)
    table = torch.linspace(1, 0, 12).repeat(3, 1)
    given: list[Tensor] = []

    def score(users: Tensor) -> Tensor:
        given.append(users)
        return table[users]

    outcome = ranking_validator(score, train_rows, valid)()
    # User 0: items 0 and 1 are masked, so item 2 comes first; user 1: item 0 comes first.
    assert outcome == {"valid_ndcg@10": pytest.approx(1.0), "valid_hr@10": pytest.approx(1.0)}
    assert torch.cat(given).tolist() == [0, 1]
    assert torch.equal(table, torch.linspace(1, 0, 12).repeat(3, 1))  # the scores of the model are unchanged


def test_the_validator_gives_the_loop_its_key_on_a_catalogue_smaller_than_ten() -> None:
    x = Interactions.from_pairs([0, 1], [0, 1], n_users=2, n_items=4)
    valid = Interactions.from_pairs([0], [2], n_users=2, n_items=4)
    outcome = ranking_validator(lambda users: torch.ones(len(users), 4), x, valid)()
    listed = in_order([1.0] * 4, [1, 2, 3], int(tie_salts(x, [0])))
    assert outcome["valid_ndcg@10"] == pytest.approx(1 / np.log2(listed.index(2) + 2))


@pytest.mark.parametrize("unknown", [[3], [3, 4], [0, 4]])
def test_c33_users_without_a_training_row_choose_no_epoch(unknown: list[int]) -> None:
    """Of `time` most late users are new; a model's scores for them are whatever its vectors started as."""
    known = [user for user in range(5) if user not in unknown]
    rows = Interactions.from_pairs(known, [0] * len(known), n_users=5, n_items=4)
    valid = Interactions.from_pairs(range(5), [1, 2, 3, 1, 2], n_users=5, n_items=4)
    table = torch.rand(5, 4, generator=torch.Generator().manual_seed(1))
    among_known = valid.select(np.isin(valid.user_idx, known))
    expected = ranking_validator(lambda users: table[users], rows, among_known, k=1)()
    table[unknown] = torch.tensor([0.0, 3.0, 2.0, 1.0])  # right for some, wrong for others
    assert ranking_validator(lambda users: table[users], rows, valid, k=1)() == expected
    none = rows.select(slice(0))
    alone = ranking_validator(lambda users: table[users], none, valid.select(np.isin(valid.user_idx, unknown)), k=4)()
    assert alone["valid_hr@4"] == 1.0  # where nobody is known they are all there is


def test_a_dear_validation_ranks_a_fixed_sample_of_the_users(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    rows = Interactions.from_pairs(range(60), rng.integers(0, 20, 60), n_users=60, n_items=40)
    valid = Interactions.from_pairs(range(60), rng.integers(20, 40, 60), n_users=60, n_items=40)
    table, given = torch.rand(60, 40, generator=torch.Generator().manual_seed(1)), []

    def score(users: Tensor) -> Tensor:
        given.append(users)
        return table[users]

    exact = ranking_validator(score, rows, valid)
    assert not isinstance(exact, OnSample)
    exact()
    assert torch.cat(given).tolist() == list(range(60))
    given.clear()
    monkeypatch.setattr(loop, "EXACT_UP_TO", 60 * 40 - 1)
    monkeypatch.setattr(loop, "LEAST_RANKED", 25)
    sampled = ranking_validator(score, rows, valid)
    assert isinstance(sampled, OnSample)
    first, second = sampled(), ranking_validator(score, rows, valid)()
    assert first == second  # two models are ranked for the same users
    users, again = given
    assert users.tolist() == again.tolist() == sorted(set(users.tolist()))
    assert len(users) == 59
    monkeypatch.setattr(loop, "EXACT_UP_TO", 40)
    given.clear()
    ranking_validator(score, rows, valid)()
    assert len(given[0]) == 25


def test_m37_where_validation_samples_an_early_dip_does_not_end_training() -> None:
    """On a sparse catalogue `ials` falls below its first epoch for several, and then rises far above it."""
    network = nn.Linear(1, 1)
    reached = {0: 0.0, 1: 0.14, 2: 0.14, 4: 0.13, 6: 0.13, 8: 0.15, 10: 0.16, 11: 0.17, 12: 0.17}
    asked: list[int] = []

    def run(validate: Callable[[], dict[str, float]], epochs: int) -> list[EpochResult]:
        asked.clear()
        done = iter(range(100))
        return loop.run_epochs(
            network,
            epoch=lambda: float(next(done)),
            untrained_loss=lambda: 1.0,
            epochs=epochs,
            patience=3,
            validate=validate,
            on_epoch=lambda result: asked.append(result.epoch) if result.metrics else None,
        )

    def curve(step: int) -> Callable[[], dict[str, float]]:
        epochs = iter(range(0, 100, step))
        return lambda: {"valid_ndcg@10": reached[min(next(epochs), 12)]}

    log = run(OnSample(curve(2)), epochs=12)
    assert asked == [0, 2, 4, 6, 8, 10, 12]
    assert best_epoch(log, "valid_ndcg@10").epoch == 12
    run(OnSample(curve(2)), epochs=11)
    assert asked[-1] == 11  # the last epoch is always validated
    flat = run(OnSample(lambda: {"valid_ndcg@10": 0.1}), epochs=50)
    assert len(flat) - 1 == 9  # three times the patience, and no more


def test_one_thread_is_given_back_even_after_an_error() -> None:
    before = torch.get_num_threads()

    def fail() -> None:
        with one_thread(torch.device("cpu")):
            assert torch.get_num_threads() == 1
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert torch.get_num_threads() == before


def test_training_outside_the_main_thread_leaves_the_process_its_threads() -> None:
    """A server answers in other threads, and the number of threads that torch uses is shared by all of them."""
    counts: list[int] = []

    def train_in_a_server() -> None:
        with one_thread(torch.device("cpu")):
            counts.append(torch.get_num_threads())

    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        server = threading.Thread(target=train_in_a_server)
        server.start()
        server.join()
        with one_thread(torch.device("cpu")):
            counts.append(torch.get_num_threads())
        assert (counts, torch.get_num_threads()) == ([2, 1], 2)
    finally:
        torch.set_num_threads(before)
