"""Content-based: items that are alike by their metadata, whatever users choose."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.nn.functional import normalize

from recengine.data.interactions import Interactions
from recengine.errors import BadInput
from recengine.models.base import FitContext
from recengine.models.item_item.linear import ItemItem
from recengine.models.metadata import COLUMNS, metadata_table, regressed, without_metadata
from recengine.models.recency import TwoSidedConfig
from recengine.training.config import Range, option


@dataclass(frozen=True)
class ContentConfig(TwoSidedConfig):
    """Settings of `content`."""

    popularity_weight: float = option(
        1.0,
        "what a like adds to the best-known item, whatever it is, as a multiple of how far its other scores vary",
        low=0,
        high=10,
        search=Range(0, 10),
        primary=1,
    )


class Content(ItemItem[ContentConfig]):
    """Score an item by a ridge regression of what the user liked on what items are (Pazzani & Billsus 2007).

    weight[h, i] = f_h A f_i / |A^(1/2) f_h|, with F the metadata of all items, centred, and A the inverse of
    F'F + l2 I: every like counts as much, however unusual it is. An item without metadata is scored by its popularity
    alone: `n_unknown` counts these.
    """

    name = "content"
    version = 3
    family = "content-based"
    summary = "Films of the genres, years, keywords, tags and directors that you like. Needs no other viewers."
    reference = "Pazzani & Billsus, Content-based recommendation systems, The Adaptive Web 2007"
    Config = ContentConfig
    matrices = 2

    def reads(self) -> Sequence[str]:
        return COLUMNS

    def check(self, items: pd.DataFrame | None, users: pd.DataFrame | None) -> None:
        _described(items)

    def weights(self, train: Interactions, context: FitContext) -> Tensor:
        table, device = _described(context.items), context.run.torch_device()
        known = torch.from_numpy(~without_metadata(table, COLUMNS, self.n_items))
        self.n_unknown = int((~known).sum())
        traits = (regressed(metadata_table(table, COLUMNS, self.n_items), known) * known[:, None]).to(device)
        weights = normalize(traits, dim=1, eps=1e-12) @ traits.T
        if self.config.popularity_weight:
            fame = torch.from_numpy(np.log1p(train.item_counts).astype(np.float32)).to(device)
            weights += self.config.popularity_weight * weights.std(1).mean() * fame / fame.max().clamp(min=1)
        return weights.fill_diagonal_(0)


def _described(items: pd.DataFrame | None) -> pd.DataFrame:
    """Return the item table; raise BadInput where no item has any metadata."""
    if items is None or without_metadata(items, COLUMNS, len(items)).all():
        raise BadInput(
            "model",
            "content",
            remedy="add a genres column to movies.csv, or choose another model",
            problem="needs genres, years, keywords, tags or directors in the item table, and this data set has none",
        )
    return items
