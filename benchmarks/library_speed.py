"""Time implicit's lists and BPR, LightFM, and the metrics of ranx and RecTools; run by other files of this folder.

python library_speed.py topk|bpr|warp|metrics FILE.npz: prints one JSON object. It runs in the libraries'
environment, and does not import this package. What the libraries ask for, tables and dictionaries, is made before the
clock starts.
"""

from __future__ import annotations

import itertools
import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

Case = dict[str, np.ndarray]
EPOCHS = (10, 20, 40, 80)


def best_of(times: int, work: Callable[[], Any]) -> tuple[float, Any]:
    """Return the least time that some work takes, in seconds, and what it returns."""
    seconds = []
    for _ in range(times):
        started = time.perf_counter()
        result = work()
        seconds.append(time.perf_counter() - started)
    return min(seconds), result


def topk(case: Case) -> dict[str, Any]:
    """Return the time of implicit's `recommend` for all users, its peak memory and its lists of the first ones."""
    from implicit.als import AlternatingLeastSquares
    from scipy.sparse import csr_matrix

    users, items, k = case["users"], case["items"], int(case["k"])
    model = AlternatingLeastSquares(factors=users.shape[1], num_threads=int(case["threads"]))
    model.user_factors, model.item_factors = users, items
    cells = np.ones(len(case["user"]), np.float32), (case["user"], case["item"])
    seen = csr_matrix(cells, shape=(len(users), len(items)))
    wanted = np.arange(len(users))
    model.recommend(wanted[:1000], seen[:1000], N=k)
    seconds, (lists, _) = best_of(1, lambda: model.recommend(wanted, seen, N=k))
    return {"seconds": seconds, "peak": peak(), "lists": lists[:1000].tolist()}


def bpr(case: Case) -> dict[str, Any]:
    """Return the best validation NDCG@10 of implicit's BPR over a grid, its seconds of CPU and its settings.

    Both are means over seeds: the best of many single runs would be a lucky one.
    """
    from implicit.bpr import BayesianPersonalizedRanking

    table, results = positives(case), []
    for factors, rate, penalty, epochs in itertools.product((32, 64), (0.03, 0.05, 0.1), (0.001, 0.01), EPOCHS):
        runs = []
        for seed in seeds(case):
            model = BayesianPersonalizedRanking(
                factors, rate, penalty, iterations=epochs, num_threads=1, random_state=seed
            )
            started = time.process_time()
            model.fit(table, show_progress=False)
            seconds = time.process_time() - started
            runs.append((ndcg(model.user_factors, model.item_factors, case), seconds))
        settings = {"factors": factors, "learning_rate": rate, "regularization": penalty, "epochs": epochs}
        reached, seconds = np.mean(runs, axis=0).tolist()
        results.append({"ndcg": reached, "seconds": seconds, "settings": settings})
    return max(results, key=lambda result: result["ndcg"])


def warp(case: Case) -> dict[str, Any]:
    """Return the same of LightFM's WARP."""
    from lightfm import LightFM

    table, results = positives(case).tocoo(), []
    for factors, rate, sampled in itertools.product((32, 64), (0.05, 0.1), (10, 30)):
        runs = np.zeros((len(seeds(case)), 10, 2))
        for seed in seeds(case):
            model = LightFM(factors, loss="warp", learning_rate=rate, max_sampled=sampled, random_state=seed)
            seconds = 0.0
            for turn in range(10):
                started = time.process_time()
                model.fit_partial(table, epochs=4, num_threads=1)
                seconds += time.process_time() - started
                (bias, items), (_, users) = model.get_item_representations(), model.get_user_representations()
                runs[seed, turn] = ndcg(np.c_[users, np.ones(len(users))], np.c_[items, bias], case), seconds
        for turn, (reached, seconds) in enumerate(runs.mean(0).tolist()):
            settings = {"factors": factors, "learning_rate": rate, "max_sampled": sampled, "epochs": 4 * turn + 4}
            results.append({"ndcg": reached, "seconds": seconds, "settings": settings})
    return max(results, key=lambda result: result["ndcg"])


def seeds(case: Case) -> range:
    """Return the seeds to take the mean over: three of few rows, which leave more to chance."""
    return range(3 if len(case["user"]) < 200_000 else 1)


def positives(case: Case) -> Any:
    """Return the training rows as a sparse matrix of ones."""
    from scipy.sparse import csr_matrix

    cells = np.ones(len(case["user"]), np.float32), (case["user"], case["item"])
    table = csr_matrix(cells, shape=tuple(case["shape"]))
    table.data[:] = 1
    return table


def ndcg(users: np.ndarray, items: np.ndarray, case: Case) -> float:
    """Return NDCG@10 of one held-out item each, the user's training rows left out, all other items ranked."""
    seen, total = positives(case), 0.0
    known = np.diff(seen.indptr)[case["valid_user"]] > 0
    user, item = case["valid_user"][known], case["valid_item"][known]
    for first in range(0, len(user), 1000):
        some, wanted = user[first : first + 1000], item[first : first + 1000]
        scores = users[some] @ items.T
        own = scores[np.arange(len(some)), wanted].copy()
        scores[seen[some].nonzero()] = -np.inf
        ranks = (scores > own[:, None]).sum(1)
        total += (1 / np.log2(ranks + 2))[ranks < 10].sum()
    return total / len(user)


def metrics(case: Case) -> dict[str, Any]:
    """Return the least times of ranx and RecTools for the metrics that are theirs and ours, and their NDCG."""
    import pandas as pd
    import rectools.metrics as rectools
    from ranx import Qrels, Run, evaluate

    k, users, lists = case["lists"].shape[1], case["users"], case["lists"]
    relevant: dict[str, dict[str, int]] = {}
    for user, item in case["relevant"]:
        relevant.setdefault(str(user), {})[str(item)] = 1
    run = {
        str(user): {str(item): float(k - rank) for rank, item in enumerate(row)}
        for user, row in zip(users, lists, strict=True)
    }
    qrels, ran = Qrels(relevant), Run(run)
    names = [f"{name}@{k}" for name in ("ndcg", "recall", "precision", "hit_rate", "mrr", "map")]
    by_ranx, values = best_of(4, lambda: evaluate(qrels, ran, names, return_mean=True))  # the first time compiles

    def table(pairs: np.ndarray) -> pd.DataFrame:
        return pd.DataFrame(pairs, columns=["user_id", "item_id"])

    listed = table(np.column_stack([np.repeat(users, k), lists.ravel()]))
    listed["rank"] = np.tile(np.arange(1, k + 1), len(users))
    chosen = {
        "ndcg": rectools.NDCG(k, divide_by_achievable=True),
        "recall": rectools.Recall(k),
        "precision": rectools.Precision(k),
        "hr": rectools.HitRate(k),
        "mrr": rectools.MRR(k),
        "map": rectools.MAP(k),
        "coverage": rectools.CatalogCoverage(k, normalize=True),
    }
    rows = table(case["relevant"])
    catalog = case["candidates"]
    by_rectools, theirs = best_of(
        3,
        lambda: rectools.calc_metrics(chosen, reco=listed, interactions=rows, catalog=catalog),
    )
    ndcg = {"ranx": float(values[names[0]]), "rectools": float(theirs["ndcg"])}
    return {"seconds": {"ranx": by_ranx, "rectools": by_rectools}, "ndcg": ndcg}


def peak() -> int:
    """Return the most memory that this process has had, in bytes."""
    status = Path("/proc/self/status")
    if status.exists():  # what follows counts what the process had that started this one
        return 1024 * int(status.read_text().split("VmHWM:")[1].split()[0])
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


if __name__ == "__main__":
    with np.load(Path(sys.argv[2])) as arrays:
        print(json.dumps({"topk": topk, "bpr": bpr, "warp": warp, "metrics": metrics}[sys.argv[1]](dict(arrays))))
