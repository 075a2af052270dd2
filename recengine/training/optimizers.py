"""Optimisers and learning-rate schedules by name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

OPTIMIZERS: Mapping[str, Callable[..., Optimizer]] = {
    "sgd": torch.optim.SGD,
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "adagrad": torch.optim.Adagrad,
    "rmsprop": torch.optim.RMSprop,
}
FUSED = ("sgd", "adam", "adamw")
"""Those whose whole update is one call on CPU and CUDA alike."""


def make_optimizer(name: str, parameters: Iterable[Tensor], learning_rate: float) -> Optimizer:
    """Return the optimiser of that name; weight decay is the losses' business."""
    options: dict[str, Any] = {"fused": True} if name in FUSED else {}
    if name == "adamw":
        options["weight_decay"] = 0.0
    return OPTIMIZERS[name](list(parameters), lr=learning_rate, **options)


def make_schedule(name: str, optimizers: Sequence[Optimizer], epochs: int) -> Callable[[float], None]:
    """Return a function to call after each epoch with what it gained (more is better).

    plateau : halves every rate after two epochs without a gain
    cosine  : lets every rate fall to zero over `epochs`
    """
    if name == "plateau":
        falling = [
            torch.optim.lr_scheduler.ReduceLROnPlateau(o, mode="max", factor=0.5, patience=1) for o in optimizers
        ]

        def plateau(gained: float) -> None:
            for scheduler in falling:
                scheduler.step(gained)

        return plateau
    waves = [torch.optim.lr_scheduler.CosineAnnealingLR(o, T_max=epochs) for o in optimizers if name == "cosine"]

    def cosine(_gained: float) -> None:
        for scheduler in waves:
            scheduler.step()

    return cosine
