"""TensorBoard as a callback: the events that it reads hold the training log."""

from pathlib import Path

import pytest

import recengine as rec


@pytest.mark.slow
def test_tensorboard_gets_every_epoch(split: rec.Split, tmp_path: Path) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    model = rec.MF(epochs=3, embedding_dim=4).fit(split, on_epoch=rec.TensorBoard(tmp_path))
    events = accumulator.EventAccumulator(str(tmp_path)).Reload()
    logged = [(event.step, event.value) for event in events.Scalars("valid_ndcg@10")]
    expected = [(result.epoch, result.metrics["valid_ndcg@10"]) for result in model.training_log]
    assert [step for step, _ in logged] == [epoch for epoch, _ in expected]
    assert [value for _, value in logged] == pytest.approx([value for _, value in expected])
    assert "refit/loss" in events.Tags()["scalars"]
