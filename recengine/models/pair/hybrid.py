"""Hybrids: matrix factorisation joined with what is known of the items."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from recengine.data.interactions import Interactions
from recengine.errors import BadInput
from recengine.models.base import FitContext
from recengine.models.factors.mf import MF
from recengine.models.metadata import COLUMNS, parse_columns
from recengine.models.pair.base import PairConfig, PairModel, TrainingPhase
from recengine.models.pair.fold_in import RidgeFoldInConfig
from recengine.models.pair.networks import HybridNetwork
from recengine.models.pair.neural import LayeredConfig
from recengine.models.pair.new_items import expect_new_items
from recengine.training.config import Range, option
from recengine.training.progress import Stage, mark_stage

FACTORISATION = ("user_embedding", "item_embedding", "item_bias", "user_bias")
"""Parameters that come from the matrix factorisation."""


@dataclass(frozen=True)
class HybridJointConfig(LayeredConfig):
    """Options of `hybrid-joint`."""

    metadata: str = option(
        "genres,year",
        "columns of the item table that are read: some of genres, year, keywords, tags, director",
        primary=1,
    )
    metadata_layers: tuple[int, ...] = option(
        (16, 8),
        "widths of the layers over the metadata, joined by commas",
        low=1,
        high=4096,
        search=((8,), (16, 8), (32, 16)),
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if not parse_columns(self.metadata):
            raise BadInput("metadata", self.metadata, f"some of: {', '.join(COLUMNS)}", problem="names no column")
        if not self.metadata_layers:
            object.__setattr__(self, "metadata_layers", (8,))


@dataclass(frozen=True)
class HybridConfig(HybridJointConfig):
    """Options of `hybrid`."""

    pretrain_epochs: int = option(
        10, "epochs of the matrix factorisation that it starts from", low=0, high=10_000, search=Range(5, 20)
    )
    frozen_epochs: int = option(
        5, "epochs of phase 1, in which only the new layers learn", low=0, high=10_000, search=Range(0, 10)
    )
    second_phase_rate: float = option(
        0.1,
        "step sizes of phase 2, as a share of those of phase 1",
        low=0,
        high=1,
        open_low=True,
        search=Range(0.03, 1, log=True),
    )


class HybridJoint(PairModel[HybridJointConfig]):
    """Vectors of user and item and layers over the metadata, all trained together from the start."""

    name = "hybrid-joint"
    family = "hybrid"
    summary = "Matrix factorisation plus a neural network over genres and years, trained together."
    reference = "Cheng et al., Wide & deep learning for recommender systems, DLRS 2016"
    Config = HybridJointConfig
    version = 2
    network_class = HybridNetwork
    preset_epochs = 30
    preset_patience = 4

    def columns(self) -> Sequence[str]:
        return parse_columns(self.config.metadata)


class Hybrid(PairModel[HybridConfig]):
    """Start from a trained matrix factorisation, add layers over the metadata, then tune the whole.

    The new layers' score is added to the factorisation's and starts at zero, so that training starts from its
    accuracy. Phase 1 trains the layers while the tables are frozen; phase 2 trains all from the best weights of
    phase 1, at a much lower rate. A trained `mf` of the same size can be given:
    `Hybrid(config, tables=mf.network.state_dict())`.
    """

    name = "hybrid"
    family = "hybrid"
    summary = "Trains a matrix factorisation, adds a neural network over genres and years, then tunes both."
    reference = HybridJoint.reference
    Config = HybridConfig
    version = 3
    network_class = HybridNetwork
    preset_epochs = 30
    preset_patience = 4

    def columns(self) -> Sequence[str]:
        return parse_columns(self.config.metadata)

    def phases(self, epochs: int) -> list[TrainingPhase]:
        first = min(self.config.frozen_epochs, epochs)
        phases = [
            TrainingPhase(first, frozen=FACTORISATION),
            TrainingPhase(epochs - first, self.config.second_phase_rate),
        ]
        return [phase for phase in phases if phase.epochs]

    def finish(self, train: Interactions, device: torch.device) -> None:
        super().finish(train, device)
        expect_new_items(self.network, train)

    def start(self, train: Interactions, context: FitContext, device: torch.device) -> None:
        if not self.tables and self.config.pretrain_epochs:
            shared = {f.name for f in dataclasses.fields(PairConfig)} - {"negatives", "learning_rate"}
            config = RidgeFoldInConfig(**{name: getattr(self.config, name) for name in shared})
            run = dataclasses.replace(context.run, epochs=self.config.pretrain_epochs)
            on_epoch = mark_stage(context.on_epoch, Stage.PRETRAINING)
            self.tables = MF(config).fit(train, items=context.items, run=run, on_epoch=on_epoch).network.state_dict()
        super().start(train, context, device)
