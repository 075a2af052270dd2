"""Vectors of items without a positive in training, from what is known of them."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from recengine.data.interactions import Interactions
from recengine.models.pair.networks import BucketNetwork, HybridNetwork, PairNetwork, features_of

RIDGE = 100.0
"""Penalty of both regressions: from users' vectors to who likes an item, and from what items are to the outcome."""


@torch.no_grad()
def expect_new_items(network: PairNetwork, train: Interactions) -> None:
    """Give items without a positive the vectors that a ridge regression on their metadata expects, in place.

    What is learned of them as negative samples alone says nothing of whom they are for.

    What it learns from are the vectors of the other items that fit best, by least squares, which users like them: a
    trained vector also holds how often an item was a negative sample. The new vectors are as long as those that they
    replace, on average, and all new items have the bias that these have on average, so that only what they are tells
    them apart.
    """
    rated = torch.from_numpy(train.item_counts > 0).to(network.device)
    new = (~rated).nonzero()[:, 0]
    if not len(new) or not rated.any():
        return
    network.eval()
    if isinstance(network, BucketNetwork):
        network.known[new] = 1.0  # so that its own part counts
    if isinstance(network, HybridNetwork):
        network.layers_count[new] = 0.0
    users = network.user_embedding.weight
    liked = users.new_zeros(len(rated), users.shape[1])
    item, user = (
        torch.from_numpy(rows.astype(np.int64)).to(network.device) for rows in (train.item_idx, train.user_idx)
    )
    liked.index_add_(0, item, users[user])
    fitted = _ridge(users.T @ users, liked.T).T  # (n_items, D)
    known_by = torch.cat([features_of(network), users.new_ones(len(rated), 1)], dim=1)
    expected = known_by[new] @ _ridge(known_by[rated].T @ known_by[rated], known_by[rated].T @ fitted[rated])
    current = network.item_space(network.item_vectors(new))
    wanted = expected * (current.norm(dim=1).mean() / expected.norm(dim=1).mean().clamp(min=1e-12))
    network.item_embedding.weight[new] += wanted - current
    bias = network.item_biases(new)
    if bias is not None and network.item_bias is not None:
        network.item_bias[new] += bias.mean() - bias


def _ridge(squares: Tensor, products: Tensor) -> Tensor:
    return torch.linalg.solve(squares + RIDGE * torch.eye(len(squares), device=squares.device), products)
