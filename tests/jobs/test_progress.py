"""The progress of a command, read from its lines."""

from __future__ import annotations

import math

import pytest

from recengine.experiments.tune import Trial
from recengine.jobs.events import BytesEvent, EpochEvent, StepEvent, TextEvent, TrialEvent
from recengine.jobs.progress import STAGES, epochs_of, in_words, progress_of
from recengine.training.progress import EpochResult, Stage


def epoch(number: int, seconds: float, *stages: Stage) -> EpochEvent:
    return EpochEvent("mf", EpochResult(number, 10, loss=1.0, seconds=seconds, stages=stages))


def test_progress_counts_epochs_then_the_refit() -> None:
    step = StepEvent("training mf")
    assert progress_of([]) == (0.0, "starting", None)
    assert progress_of([step]) == (0.0, "training mf", None)
    first = progress_of([step, epoch(0, 0.5)])
    assert (first.share, first.seconds_left) == (0.0, None)
    half = [step, *(epoch(n, 0.5 + 2 * n) for n in range(6))]
    assert progress_of(half) == (pytest.approx(0.45), "epoch 5 of at most 10", pytest.approx(10.0))
    refit = [*half, epoch(1, 2.0, Stage.REFIT), epoch(2, 5.0, Stage.REFIT)]
    assert progress_of(refit) == (pytest.approx(0.92), "refit on everything, epoch 2 of 10", pytest.approx(24.0))
    assert [result.epoch for result in epochs_of(refit)] == [0, 1, 2, 3, 4, 5]
    assert [result.epoch for result in epochs_of([*refit, epoch(0, 0.1), epoch(1, 0.2)])] == [0, 1]


def test_every_stage_of_a_training_has_words_and_stays_out_of_the_curves() -> None:
    assert set(STAGES) == set(Stage) - {Stage.STEPS, Stage.PART}
    event = EpochEvent("mf", EpochResult(2, 4, loss=1.0, seconds=1.0, stages=(Stage.REFIT, Stage.PRETRAINING)))
    assert progress_of([event]) == (pytest.approx(0.9), "refit on everything, pretraining, epoch 2 of 4", 1.0)
    assert epochs_of([event]) == []


def test_steps_are_a_share_with_the_time_left_and_no_epochs() -> None:
    steps = [epoch(n, 1.0 + n, Stage.STEPS) for n in range(6)]
    progress = progress_of([StepEvent("training ease"), *steps], spent=20.0)
    assert progress == (pytest.approx(0.45), "50%", pytest.approx(5.0))
    assert in_words(epoch(2, 1.0, Stage.REFIT, Stage.STEPS)) == "refit on everything, 20%"
    assert epochs_of(steps) == []
    evaluation = [StepEvent("ease, seed 1", 1, 2), *steps, epoch(5, 1.0, Stage.EVALUATION, Stage.STEPS)]
    assert progress_of(evaluation)[:2] == (
        pytest.approx((1 + 0.95) / 2),
        "ease, seed 1 (2 of 2) · evaluation, 50%",
    )


def test_an_epoch_under_way_counts_as_far_as_it_is_done() -> None:
    half, later = (
        EpochEvent("mf", EpochResult(n, 10, loss=math.nan, seconds=s, stages=(Stage.PART,), part=0.5))
        for n, s in ((0, 4.0), (2, 20.0))
    )
    assert progress_of([half]) == (pytest.approx(0.045), "epoch 0 of at most 10, 50% of the next", pytest.approx(76.0))
    progress = progress_of([epoch(0, 1.0), half, epoch(1, 8.0), epoch(2, 16.0), later])
    assert progress == (pytest.approx(0.225), "epoch 2 of at most 10, 50% of the next", pytest.approx(19 * 7.5 / 2.5))
    assert epochs_of([epoch(0, 1.0), half]) == [epoch(0, 1.0).result]
    again = progress_of([epoch(0, 1.0), epoch(9, 50.0), epoch(0, 1.0), epoch(1, 3.0)])  # of another training
    assert again.seconds_left == pytest.approx(18.0)


def test_progress_of_a_search_counts_its_trials() -> None:
    presets = StepEvent("presets", 0, 4)
    first = progress_of([StepEvent("reading"), presets, epoch(5, 1.0)], spent=9.0)
    assert (first.share, first.text) == (pytest.approx(0.1125), "presets (1 of 4) · epoch 5 of at most 10")
    tried = TrialEvent("mf", Trial(0, {}, 0.1, 1.0, "complete"), trials=4, best=0.1)
    second = progress_of([presets, epoch(5, 1.0), tried, epoch(5, 1.0)], spent=9.0)
    assert (second.share, second.text) == (pytest.approx(0.3625), "trial 2 of 4 · epoch 5 of at most 10")


def test_progress_of_several_steps_and_of_bytes() -> None:
    progress = progress_of([StepEvent("reading"), StepEvent("mf, seed 1", 1, 4), epoch(5, 1.0)], spent=10.0)
    assert progress.share == pytest.approx((1 + 0.45) / 4)
    assert progress.text == "mf, seed 1 (2 of 4) · epoch 5 of at most 10"
    assert progress.seconds_left == pytest.approx(10 * (1 - progress.share) / progress.share)
    moved = progress_of([BytesEvent("x", 2_500_000, 10_000_000)], spent=3.0)
    assert moved == (0.25, "2.5 of 10.0 MB", pytest.approx(9.0))
    assert in_words(TextEvent("boom")) == "boom"
