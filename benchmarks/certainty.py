"""Whether the probabilities of `how-sure` hold, on held-out users: stated and observed shares by fifths.

python -m benchmarks.certainty [--dataset ml-latest-small] [--model taste] [--folds 2]

Users are held out as in the split `sitting`, each known by twelve ratings. The stated probability of each listed film
is compared with the share of ten more halves of the same ratings, drawn with another seed, that list it.
"""

from __future__ import annotations

import argparse

import numpy as np
import torch

from recengine.data.sources import load_dataset
from recengine.data.splits import make_split
from recengine.experiments.train import TrainingRequest, obtain
from recengine.models.registry import DEFAULT
from recengine.serving.certainty import how_sure, lists_on_halves

FRESH = 10
"""Halves of each user's ratings on which it is observed whether a film stays."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", default="ml-latest-small")
    parser.add_argument("--model", default=DEFAULT)
    parser.add_argument("--folds", type=int, default=2, help="of five")
    options = parser.parse_args()
    torch.set_num_threads(1)
    data = load_dataset(options.dataset)
    stated: list[float] = []
    observed: list[float] = []
    users = 0
    for fold in range(options.folds):
        split = make_split(data, "sitting", positive=data.like_threshold, share=0.2, fold=fold)
        model = obtain(TrainingRequest(data, options.model, split=split)).model
        assert split.history is not None
        held_out = split.history.user_counts.nonzero()[0]
        users += len(held_out)
        for user in held_out.tolist():
            history = split.history.of_users([user])
            fresh = lists_on_halves(model, data, history, FRESH, seed=user + 1)
            for sure in how_sure(model, data, history, seed=0):
                stated.append(sure.probability)
                observed.append(float((fresh == sure.item_idx).any(1).float().mean()))
    promised, stayed = np.array(stated), np.array(observed)
    print(f"{options.model} on {options.dataset}: {len(promised):,} listed films of {users:,} held-out users")
    fifths = np.linspace(0, 1, 6)
    for name, edges in (("equal widths", fifths), ("equal numbers", np.quantile(promised, fifths))):
        print(f"fifths of {name}: from, films, stated, observed, difference")
        fifth = np.searchsorted(edges[1:-1], promised, side="right")
        for number in range(5):
            inside = fifth == number
            if inside.any():
                a, b = promised[inside].mean(), stayed[inside].mean()
                print(f"  {edges[number]:.2f}  {inside.sum():6,}  {a:.3f}  {b:.3f}  {b - a:+.3f}")


if __name__ == "__main__":
    main()
