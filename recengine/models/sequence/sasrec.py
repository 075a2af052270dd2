"""Self-attention over a user's events instead of a recurrent state."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from recengine.models.sequence.base import SequenceConfig, SequenceModel, SequenceNetwork
from recengine.training.config import option, preset


@dataclass(frozen=True)
class SASRecConfig(SequenceConfig):
    """Options of `sasrec`."""

    learning_rate: float = preset(SequenceConfig, "learning_rate", 0.001)
    max_length: int = preset(SequenceConfig, "max_length", 50)
    blocks: int = option(2, "blocks of attention, one above the other", low=1, high=16, search=(1, 2, 3), primary=1)


class SASRecNetwork(SequenceNetwork):
    """Blocks of causal self-attention over the events and their positions, with two heads where the length is even."""

    def __init__(self, n_items: int, config: SASRecConfig) -> None:
        super().__init__(n_items, config)
        dim = config.embedding_dim
        self.position = nn.Parameter(0.05 * torch.randn(config.max_length, dim))
        block = nn.TransformerEncoderLayer(
            dim, 2 - dim % 2, 2 * dim, config.dropout, "gelu", batch_first=True, norm_first=True
        )
        self.blocks = nn.TransformerEncoder(block, config.blocks, nn.LayerNorm(dim), enable_nested_tensor=False)
        self.project = nn.Linear(dim, dim)

    def encode(self, inputs: Tensor) -> Tensor:
        length = inputs.shape[1]
        later = torch.ones(length, length, dtype=torch.bool, device=inputs.device).triu(1)
        return self.blocks(inputs + self.position[:length], mask=later, is_causal=True)


class SASRec(SequenceModel):
    """Predict the next item from the sequence so far with causal self-attention (Kang & McAuley 2018)."""

    name = "sasrec"
    title = "SASRec"
    summary = "A transformer finds the films in your history that predict the next. New viewers need no retraining."
    reference = "Kang & McAuley, Self-attentive sequential recommendation, ICDM 2018"
    Config = SASRecConfig
    network_class = SASRecNetwork
