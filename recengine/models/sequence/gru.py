"""A recurrent network instead of a table of users: new users with a few ratings are served at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn

from recengine.models.options import shared
from recengine.models.sequence.base import SequenceConfig, SequenceModel, SequenceNetwork
from recengine.training.config import Range, preset


@dataclass(frozen=True)
class GRUConfig(SequenceConfig):
    """Options of `gru`."""

    hidden_dim: int = shared("hidden_dim", 128, search=Range(64, 256, log=True))
    horizon: Literal["next", "later", "sitting"] = preset(SequenceConfig, "horizon", "sitting")


class GRUNetwork(SequenceNetwork):
    """A GRU over the events."""

    def __init__(self, n_items: int, config: GRUConfig) -> None:
        super().__init__(n_items, config)
        self.gru = nn.GRU(config.embedding_dim, config.hidden_dim, batch_first=True)
        self.project = nn.Linear(config.hidden_dim, config.embedding_dim)

    def encode(self, inputs: Tensor) -> Tensor:
        return self.gru(inputs)[0]


class GRU(SequenceModel):
    """Read a user's ratings with a recurrent network (Hidasi et al. 2016): as one sitting unless `horizon` differs."""

    name = "gru"
    title = "GRU"
    family = "hybrid"
    summary = "A recurrent network weighs your likes and dislikes, in any order. New viewers need no retraining."
    learns_from = "ratings"
    hears_dislikes = True
    is_order_sensitive = False
    reference = "Hidasi et al., Session-based recommendations with recurrent neural networks, ICLR 2016"
    Config = GRUConfig
    network_class = GRUNetwork
