"""Trackers: what follows a training through `on_epoch`.

A tracker is anything that can be called with an `EpochResult`: `epoch`, `epochs`, `loss`, `seconds`, `metrics` (of
validation, by names such as "valid_ndcg@10") and `stages`, which is empty for the epochs among which the best is
chosen; with `steps` among them, what is counted are the steps of a model without epochs, which have no loss.
`lambda result: wandb.log(result.to_dict())` is one. What it raises stops the training.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from recengine.api.errors import own_words
from recengine.errors import BadInput
from recengine.training.progress import EpochResult, Stage


class TensorBoard:
    """Write each epoch's loss, validation metrics and duration for TensorBoard; needs the extra `track`.

    model.fit(split, on_epoch=TensorBoard("runs/mf"))
    """

    @own_words
    def __init__(self, folder: str | Path) -> None:
        if find_spec("tensorboard") is None:
            remedy = "install it with `pip install 'recengine[track]'`"
            raise BadInput("TensorBoard", remedy=remedy, problem="is not installed")
        from torch.utils.tensorboard import SummaryWriter  # which imports tensorboard

        self.writer = SummaryWriter(str(folder))

    def __call__(self, result: EpochResult) -> None:
        """Write one epoch; those of a stage that chooses nothing stand under its name. Steps and parts have none."""
        if {Stage.STEPS, Stage.PART} & {*result.stages}:
            return
        stage = "".join(f"{stage}/" for stage in result.stages)
        for name, value in {"loss": result.loss, **result.metrics, "seconds": result.seconds}.items():
            self.writer.add_scalar(f"{stage}{name}", value, result.epoch)
        self.writer.flush()
