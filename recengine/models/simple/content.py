"""Content-based: items that are alike by their metadata, whatever users choose."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from recengine.data.interactions import Interactions
from recengine.errors import BadInput
from recengine.models.item_item.linear import ItemItem
from recengine.models.metadata import without_metadata
from recengine.models.recency import TwoSidedConfig
from recengine.training.config import Range, option

COLUMNS = ("genres", "keywords", "tags", "director")
"""Columns of the item table that describe an item, each a list joined by `|` (director: by " & ")."""


@dataclass(frozen=True)
class ContentConfig(TwoSidedConfig):
    """Settings of `content`."""

    popularity_weight: float = option(
        3.0,
        "how much a well-known item is preferred among equally similar ones",
        low=0,
        high=10,
        search=Range(0, 10),
        primary=1,
    )


class Content(ItemItem[ContentConfig]):
    """Score an item by its TF-IDF cosine to what the user liked (Pazzani & Billsus, The Adaptive Web 2007).

    A term is one genre, keyword, tag or director; its weight is the logarithm of how rare it is. An item without
    metadata is similar to no other: `n_unknown` counts these.
    """

    name = "content"
    version = 2
    family = "content-based"
    summary = "Films that share genres, keywords, tags or a director with those you liked. Needs no other viewers."
    reference = "Pazzani & Billsus, Content-based recommendation systems, The Adaptive Web 2007"
    Config = ContentConfig
    matrices = 2

    def reads(self) -> Sequence[str]:
        return COLUMNS

    def check(self, items: pd.DataFrame | None, users: pd.DataFrame | None) -> None:
        _described(items)

    def weights(self, train: Interactions, items: pd.DataFrame | None, device: torch.device) -> Tensor:
        table = _described(items)
        self.n_unknown = int(without_metadata(table, COLUMNS, self.n_items).sum())
        terms = term_matrix(table).to(device)
        unit = torch.nn.functional.normalize(terms, dim=1, eps=1e-12)
        similar = unit @ unit.T
        similar.fill_diagonal_(0)
        if self.config.popularity_weight:
            known = torch.from_numpy(np.log1p(train.item_counts).astype(np.float32)).to(device)
            similar *= 1 + self.config.popularity_weight * known / known.max().clamp(min=1)
        return similar


def _described(items: pd.DataFrame | None) -> pd.DataFrame:
    """Return the item table; raise BadInput where no item has any metadata."""
    if items is None or without_metadata(items, COLUMNS, len(items)).all():
        raise BadInput(
            "model",
            "content",
            remedy="add a genres column to movies.csv, or choose another model",
            problem="needs genres, keywords or tags in the item table, and this data set has none",
        )
    return items


def term_matrix(items: pd.DataFrame) -> Tensor:
    """Return (n_items, n_terms) float32: log(n_items / items with the term) where an item has it, else 0."""
    lists = [items[c].fillna("").str.split(" & " if c == "director" else "|") for c in COLUMNS if c in items]
    named = [(item, (i, term)) for i, column in enumerate(lists) for item, row in enumerate(column) for term in row]
    pairs = [(item, term) for item, term in named if term[1]]
    item_idx = np.array([item for item, _ in pairs], dtype=np.int64)
    codes, unique = pd.factorize(pd.Series([term for _, term in pairs], dtype=object))
    matrix = torch.zeros(len(items), len(unique))
    matrix[torch.from_numpy(item_idx), torch.from_numpy(codes.astype(np.int64))] = 1.0
    return matrix * torch.log(len(items) / matrix.sum(0).clamp(min=1))
