"""Neural ranking models: one estimator (`PairModel`) over small networks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch

from recengine.data.interactions import Interactions
from recengine.errors import BadInput
from recengine.models.metadata import COLUMNS
from recengine.models.options import shared
from recengine.models.pair.base import PairConfig, PairModel, TrainingPhase
from recengine.models.pair.fold_in import (
    ExplainsToNewUsers,
    FoldInConfig,
    GradientFoldIn,
    RidgeFoldInConfig,
    ServesNewUsers,
)
from recengine.models.pair.networks import (
    BucketNetwork,
    DeepFMNetwork,
    JoinedNetwork,
    MetricNetwork,
    NeuMFNetwork,
    ResidualNetwork,
    TwoTowers,
)
from recengine.models.pair.new_items import expect_new_items
from recengine.models.recency import RecencyOptions
from recengine.training.config import Range, option, preset


@dataclass(frozen=True)
class LayeredConfig(PairConfig):
    """Options of models with layers above the vectors."""

    layers: tuple[int, ...] = shared("layers", (16, 8), search=((16, 8), (32, 16), (64, 32), (64,)))
    layer_learning_rate: float = option(
        0.002, "step size of the layers", low=0, high=1000, open_low=True, search=Range(0.0003, 0.03, log=True)
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.layers:
            raise BadInput("layers", "", "at least one size, such as 16,8", problem="names no layer")


@dataclass(frozen=True)
class MLPConfig(LayeredConfig):
    """Options of `mlp`, whose layers have all the work to do."""

    layer_learning_rate: float = preset(
        LayeredConfig, "layer_learning_rate", 0.015, search=Range(0.001, 0.05, log=True)
    )


class MLP(PairModel[MLPConfig]):
    """Layers over the joined vectors of user and item (He et al. 2017, the network of R3)."""

    name = "mlp"
    title = "MLP"
    summary = "A neural network takes a viewer's and a film's vector and predicts how well they fit."
    reference = "He et al., Neural collaborative filtering, WWW 2017"
    Config = MLPConfig
    network_class = JoinedNetwork
    preset_epochs = 30
    preset_patience = 4


@dataclass(frozen=True)
class NeuMFConfig(LayeredConfig):
    """Options of `neumf`."""

    layers: tuple[int, ...] = shared("layers", (32, 16, 8), search=((16, 8), (32, 16, 8), (64, 32, 16)))


class NeuMF(PairModel[NeuMFConfig]):
    """The sum of a weighted product and a network, each over separate vectors (He et al. 2017)."""

    name = "neumf"
    title = "NeuMF"
    summary = "Matrix factorisation and a neural network side by side, each with separate vectors."
    reference = "He et al., Neural collaborative filtering, WWW 2017"
    Config = NeuMFConfig
    network_class = NeuMFNetwork
    preset_epochs = 30
    preset_patience = 4


class MLPMF(PairModel[LayeredConfig]):
    """Matrix factorisation plus a network over the same vectors, which starts at nothing."""

    name = "mlp-mf"
    title = "MLP-MF"
    summary = "Matrix factorisation, corrected by a neural network over the same vectors."
    reference = "He et al., Neural collaborative filtering, WWW 2017; Cheng et al., Wide & deep learning, DLRS 2016"
    Config = LayeredConfig
    network_class = ResidualNetwork
    preset_epochs = 30
    preset_patience = 4


@dataclass(frozen=True)
class NonlinearMFConfig(LayeredConfig, RecencyOptions):
    """Options of `nonlinear-mf`."""

    layers: tuple[int, ...] = shared(
        "layers", (64,), note="the same on each side", search=((32,), (64,), (128,), (64, 64))
    )
    dropout: float = shared("dropout", 0.3, search=Range(0, 0.6))


class NonlinearMF(ServesNewUsers[NonlinearMFConfig], PairModel[NonlinearMFConfig]):
    """A network on each side, user and item, before the dot product (Yi et al. 2019)."""

    name = "nonlinear-mf"
    title = "Nonlinear-MF"
    abilities = ("similar", "product", "fold-in")
    summary = "Two towers: small networks reshape a viewer's and a film's vector before they are multiplied."
    reference = "Yi et al., Sampling-bias-corrected neural modeling for large corpus item recommendations, RecSys 2019"
    Config = NonlinearMFConfig
    network_class = TwoTowers
    fold_in_class = GradientFoldIn
    preset_epochs = 60
    preset_patience = 5


@dataclass(frozen=True)
class CMLConfig(FoldInConfig):
    """Options of `cml`: the unit ball replaces the penalty, and distance the bias."""

    loss: Literal["softmax", "bpr", "hinge", "adaptive-hinge", "warp", "logistic", "squared"] = preset(
        PairConfig, "loss", "warp"
    )
    l2: float = preset(PairConfig, "l2", 0.0, search=None)
    item_bias: bool = shared("item_bias", False)


class CML(ServesNewUsers[CMLConfig], PairModel[CMLConfig]):
    """Collaborative metric learning: users lie near what they like, so similar items lie close (Hsieh et al. 2017)."""

    name = "cml"
    title = "CML"
    abilities = ("similar", "product", "fold-in")
    summary = "Puts viewers and films on one map: what you like is near you, and similar films are near each other."
    reference = "Hsieh et al., Collaborative metric learning, WWW 2017"
    Config = CMLConfig
    network_class = MetricNetwork
    fold_in_class = GradientFoldIn
    preset_epochs = 60
    preset_patience = 5


class DeepFM(PairModel[LayeredConfig]):
    """A factorisation machine and a network over user, item and genres (Guo et al. 2017)."""

    name = "deepfm"
    title = "DeepFM"
    family = "hybrid"
    summary = "Multiplies viewer, film and genres in pairs, and adds a neural network over all three."
    reference = "Guo et al., DeepFM: a factorization-machine based neural network for CTR prediction, IJCAI 2017"
    Config = LayeredConfig
    network_class = DeepFMNetwork
    metadata = ("genres",)
    preset_epochs = 30
    preset_patience = 4


@dataclass(frozen=True)
class ColdStartConfig(RidgeFoldInConfig):
    """Options of `cold-start-mf`."""

    bucket_epochs: int = option(
        5, "first epochs, in which only users and buckets learn", low=0, high=10_000, search=Range(0, 10)
    )
    min_positives: int = option(
        5,
        "positives that an item needs to add a vector and a bias to those of its bucket",
        low=0,
        high=1_000_000,
        search=Range(0, 20),
    )


class ColdStartMF(ExplainsToNewUsers[ColdStartConfig]):
    """Matrix factorisation whose items start from the mean vector of what they are, and stay there while few like them.

    What they are: their genres, decade, keywords, tags and director, as far as the item table says. An item that nobody
    likes gets the vector that a regression on these expects (`new_items.py`).
    """

    name = "cold-start-mf"
    title = "Cold-start-MF"
    family = "hybrid"
    summary = (
        "Matrix factorisation in which a new film starts as the average of films like it, then moves as likes arrive."
    )
    reference = "Kula, Metadata embeddings for user and item cold-start recommendations, CBRecSys 2015"
    Config = ColdStartConfig
    version = 5
    network_class = BucketNetwork
    metadata = COLUMNS
    any_metadata_do = True
    preset_epochs = 60
    preset_patience = 5

    def phases(self, epochs: int) -> list[TrainingPhase]:
        first = min(self.config.bucket_epochs, epochs)
        phases = [TrainingPhase(first, frozen=("item_embedding", "item_bias")), TrainingPhase(epochs - first)]
        return [phase for phase in phases if phase.epochs]

    def finish(self, train: Interactions, device: torch.device) -> None:
        super().finish(train, device)
        expect_new_items(self.network, train)
