"""Evaluate lists by ranx, RecTools and LensKit; `benchmarks.metric_oracles` runs this in the libraries' environment.

python library_metrics.py FOLDER: reads each NAME.npz in it, prints one JSON object. It does not import this package.
A figure carries our key (`map@10`) where the library's definition is ours, else a key that names the difference.
"""

from __future__ import annotations

import json
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
import rectools.metrics as rectools
from lenskit.data import ItemList
from lenskit.metrics import ranking as lenskit
from ranx import Qrels, Run, evaluate

Case = dict[str, np.ndarray]


def by_ranx(case: Case, k: int) -> dict[str, float]:
    """Return ranx's means; its MAP is by all relevant items."""
    relevant: dict[str, dict[str, int]] = {}
    for user, item in case["relevant"]:
        relevant.setdefault(str(user), {})[str(item)] = 1
    run = {
        str(user): {str(item): float(k - rank) for rank, item in enumerate(row)}
        for user, row in zip(case["users"], case["lists"], strict=True)
    }
    ours = {"ndcg": "ndcg", "recall": "recall", "precision": "precision", "hr": "hit_rate", "mrr": "mrr"}
    keys = {f"{key}@{k}": f"{name}@{k}" for key, name in {**ours, "map_by_n": "map"}.items()}
    values = evaluate(Qrels(relevant), Run(run), list(keys.values()))
    return {key: float(values[name]) for key, name in keys.items()}


def by_rectools(case: Case, k: int) -> dict[str, float]:
    """Return RecTools' means: its defaults for NDCG and MAP, and the variants nearest to ours."""

    def table(pairs: np.ndarray) -> pd.DataFrame:
        return pd.DataFrame(pairs, columns=["user_id", "item_id"])

    lists = table(np.column_stack([np.repeat(case["users"], k), case["lists"].ravel()]))
    lists["rank"] = np.tile(np.arange(1, k + 1), len(case["users"]))
    metrics = {
        "ndcg": rectools.NDCG(k, divide_by_achievable=True),
        "ndcg_by_full_list": rectools.NDCG(k),
        "recall": rectools.Recall(k),
        "precision": rectools.Precision(k),
        "hr": rectools.HitRate(k),
        "mrr": rectools.MRR(k),
        "map_by_n": rectools.MAP(k),
        "map_by_k": rectools.MAP(k, divide_by_k=True),
        "coverage": rectools.CatalogCoverage(k, normalize=True),
        "novelty": rectools.MeanInvUserFreq(k),
    }
    values = rectools.calc_metrics(
        metrics,
        reco=lists,
        interactions=table(case["relevant"]),
        prev_interactions=table(case["training"]),
        catalog=case["candidates"],
    )
    return {f"{key}@{k}": float(values[key]) for key in metrics}


def by_lenskit(case: Case, k: int) -> dict[str, float]:
    """Return LensKit's means: its default NDCG discounts from rank 3 on, its recall divides by min(k, n)."""
    metrics = {
        "ndcg": lenskit.NDCG(k, weight=lenskit.LogRankWeight(offset=1)),
        "ndcg_from_rank_3": lenskit.NDCG(k),
        "recall_by_min": lenskit.Recall(k),
        "precision": lenskit.Precision(k),
        "hr": lenskit.Hit(k),
        "mrr": lenskit.RecipRank(k),
        "map": lenskit.AveragePrecision(k),
    }
    relevant = pd.DataFrame(case["relevant"], columns=["user", "item"]).groupby("user")["item"]
    wanted = {user: ItemList(item_ids=items.to_numpy()) for user, items in relevant}
    lists = [ItemList(item_ids=row, ordered=True) for row in case["lists"]]
    pairs = [(row, wanted[user]) for user, row in zip(case["users"], lists, strict=True)]
    figures = {key: float(np.mean([metric.measure_list(*pair) for pair in pairs])) for key, metric in metrics.items()}
    gini = lenskit.ListGini(k, items=len(case["candidates"]))
    figures["gini"] = float(gini.global_aggregate([gini.compute_list_data(*pair) for pair in pairs]))
    return {f"{key}@{k}": value for key, value in figures.items()}


def main() -> None:
    libraries = {"ranx": by_ranx, "rectools": by_rectools, "lenskit": by_lenskit}
    cases = {}
    for path in sorted(Path(sys.argv[1]).glob("*.npz")):
        with np.load(path) as arrays:
            case = dict(arrays)
        k = case["lists"].shape[1]
        cases[path.stem] = {"users": len(case["users"]), **{name: by(case, k) for name, by in libraries.items()}}
    versions = {name: version(name) for name in (*libraries, "numpy", "pandas")}
    print(json.dumps({"versions": versions, "cases": cases}))


if __name__ == "__main__":
    main()
