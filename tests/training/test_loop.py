"""The one training loop: best epoch, patience, callbacks, clipping, schedules, threads."""

import copy
import json
import math
import threading
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

from recengine.errors import BadInput
from recengine.training.loop import Batches, best_epoch, one_thread, train
from recengine.training.progress import EpochResult, Stage, mark_stage


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
        batches=Batches(lambda: iter([()]), 1),
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
            batches=Batches(lambda: iter([()]), 1),
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
            batches=Batches(lambda: iter([()]), 1),
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
        batches=Batches(lambda: iter([()]), 1),
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
        batches=Batches(lambda: iter([()]), 1),
        loss=lambda: -network.weight,
        optimizers=[torch.optim.SGD(network.parameters(), lr=1.0)],
        epochs=4,
        patience=9,
        validate=lambda: {"valid_ndcg@10": 1.0 if round(network.weight.item(), 6) == 1.0 else 0.0},
        on_epoch=lambda result: reached.append(network.weight.item()) if result.epoch else None,
        schedule=schedule,
    )
    assert np.diff(reached) == pytest.approx(steps, abs=1e-5)


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
