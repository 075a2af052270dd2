"""Rank items that nobody has rated: models that read what items are, against a ridge from content to item vectors.

`python -m benchmarks.cold_items --dataset ml-1m-ordered --models taste,content`

The rival is written apart from the models: a truncated singular value decomposition of who likes what in training gives
users and items vectors, a ridge regression gives the vector of a withheld item from its genres, decade, keywords, tags
and director, and the score is the product. Its rank and its penalty are those that do best on a tenth of the training
items, withheld in the same way.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from recengine.data.dataset import Dataset
from recengine.data.interactions import Interactions
from recengine.data.sources import load_dataset
from recengine.data.splits import make_split
from recengine.evaluation.ranking import evaluate
from recengine.evaluation.significance import paired
from recengine.experiments.train import TrainingRequest, obtain
from recengine.metrics import find_hits, ndcg
from recengine.models.metadata import COLUMNS, metadata_table

RANKS, PENALTIES = (16, 32, 64, 128), (1.0, 10.0, 100.0, 300.0, 1000.0)


def ridge_scores(train: Interactions, traits: Tensor, cold: Tensor, rank: int, penalty: float) -> Tensor:
    """Return (n_users, len(cold)): each user's vector times that which the traits (n_items, F) predict of an item."""
    likes = torch.zeros(train.n_users, train.n_items)
    likes[train.user_idx.astype(np.int64), train.item_idx.astype(np.int64)] = 1.0
    warm = torch.from_numpy(train.item_counts.nonzero()[0])
    left, sizes, right = torch.svd_lowrank(likes, q=rank, niter=4)
    known = traits[warm]
    weights = torch.linalg.solve(known.T @ known + penalty * torch.eye(traits.shape[1]), known.T @ right[warm])
    return (left * sizes) @ (traits[cold] @ weights).T


def gain(scores: Tensor, test: Interactions, cold: Tensor) -> np.ndarray:
    """Return NDCG@10 (n,) of each user with a target."""
    users = test.user_counts.nonzero()[0]
    relevant = torch.zeros(test.n_users, test.n_items, dtype=torch.bool)
    relevant[test.user_idx.astype(np.int64), test.item_idx.astype(np.int64)] = True
    among = relevant[users][:, cold]
    lists = scores[users].topk(10, dim=1).indices
    return ndcg(find_hits(lists, among), among.sum(1)).double().numpy()


def rival(dataset: Dataset, train: Interactions, test: Interactions, cold: Tensor) -> tuple[np.ndarray, str]:
    """Return NDCG@10 (n,) of the ridge on the test, and what was chosen for it within training."""
    torch.manual_seed(0)
    table = metadata_table(dataset.items, [name for name in COLUMNS if name in dataset.items], dataset.n_items)
    traits = torch.cat([table, torch.ones(len(table), 1)], dim=1)
    rated = np.random.default_rng(0).permutation(train.item_counts.nonzero()[0])
    held = np.sort(rated[: len(rated) // 10])
    out = np.isin(train.item_idx, held)
    inner, valid, inner_cold = train.select(~out), train.select(out), torch.from_numpy(held)
    choices = {
        (rank, penalty): gain(ridge_scores(inner, traits, inner_cold, rank, penalty), valid, inner_cold).mean()
        for rank, penalty in itertools.product(RANKS, PENALTIES)
    }
    rank, penalty = max(choices, key=lambda choice: choices[choice])
    return gain(ridge_scores(train, traits, cold, rank, penalty), test, cold), f"rank {rank}, penalty {penalty:g}"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dataset", default="ml-1m-ordered")
    parser.add_argument("--models", default="taste,content")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    dataset = load_dataset(options.dataset)
    split = make_split(dataset, "cold-item", seed=options.seed)
    theirs, chosen = rival(dataset, split.fit, split.test, torch.from_numpy(split.candidates))
    print(f"{dataset.name}: {len(theirs):,} users, {len(split.candidates):,} items without ratings")
    print(f"ridge ({chosen}): NDCG@10 {theirs.mean():.4f}", flush=True)
    for name in options.models.split(","):
        model = obtain(TrainingRequest(dataset, name, split=split)).model
        ours = evaluate(model, split).per_user["ndcg@10"]
        lead = paired({name: ours - theirs})[name]
        print(
            f"{name}: NDCG@10 {ours.mean():.4f}, ahead of ridge by {lead.difference:+.4f} "
            f"({lead.low:+.4f} to {lead.high:+.4f})",
            flush=True,
        )


if __name__ == "__main__":
    main()
