"""What the rivals of `python -m benchmarks` do, in the Python that has them; it does not import this package.

python rivals.py NAME CASE.npz: for every line read, does the work once, and prints a line of JSON: the seconds of the
processor, and the memory added at the peak. What the work returns goes to CASE.out.npz. What a library asks for, its
own data set or tables, is made before the clock starts.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

Case = dict[str, np.ndarray]
Work = Callable[[], Case]
STATUS, REFERENCES = Path("/proc/self/status"), Path("/proc/self/clear_refs")


class Spent(NamedTuple):
    """Seconds of the processor, and bytes of memory at the peak beyond those before; -1 where Linux does not tell."""

    seconds: float
    added: int


def measured(work: Callable[[], Any]) -> tuple[Spent, Any]:
    """Do some work and return what it took and what it returned."""
    resident, _ = _memory(forget=True)
    began = time.process_time()
    result = work()
    seconds = time.process_time() - began
    return Spent(seconds, _memory()[1] - resident if resident >= 0 else -1), result


def _memory(forget: bool = False) -> tuple[int, int]:
    """Return bytes resident now and at most since the last call with `forget`."""
    if not STATUS.exists():
        return -1, -1
    if forget:
        with contextlib.suppress(OSError):
            REFERENCES.write_text("5")
    text = STATUS.read_text()
    now, most = (1024 * int(text.split(f"{name}:")[1].split()[0]) for name in ("VmRSS", "VmHWM"))
    return now, most


def table(case: Case) -> Any:
    """Return the training rows as a matrix of ones, users x items."""
    from scipy.sparse import csr_matrix

    shape = int(case["n_users"]), int(case["n_items"])
    return csr_matrix((np.ones(len(case["user"]), np.float32), (case["user"], case["item"])), shape=shape)


def frame(case: Case, **names: str) -> Any:
    """Return the training rows as a frame, whose columns are renamed."""
    import pandas as pd

    columns = {"user_id": case["user"], "item_id": case["item"], "rating": case["rating"], "timestamp": case["time"]}
    return pd.DataFrame(columns).rename(columns=names)


def implicit_als(case: Case) -> Work:
    from implicit.cpu.als import AlternatingLeastSquares

    rows = table(case)

    def work() -> Case:
        model = AlternatingLeastSquares(factors=64, iterations=int(case["epochs"]), alpha=3, num_threads=1)
        model.fit(rows, show_progress=False)
        return {"users": model.user_factors, "items": model.item_factors}

    return work


def implicit_bpr(case: Case) -> Work:
    from implicit.cpu.bpr import BayesianPersonalizedRanking

    rows, factors, rate, epochs = table(case), int(case["factors"]), float(case["rate"]), int(case["epochs"])

    def work() -> Case:
        model = BayesianPersonalizedRanking(factors, rate, 0.001, iterations=epochs, num_threads=1, random_state=0)
        model.fit(rows, show_progress=False)
        return {"users": model.user_factors, "items": model.item_factors}

    return work


def lightfm_warp(case: Case) -> Work:
    from lightfm import LightFM

    rows, factors, rate, epochs = table(case).tocoo(), int(case["factors"]), float(case["rate"]), int(case["epochs"])

    def work() -> Case:
        model = LightFM(factors, loss="warp", learning_rate=rate, max_sampled=10, random_state=0)
        model.fit(rows, epochs=epochs, num_threads=1)
        (bias, items), (_, users) = model.get_item_representations(), model.get_user_representations()
        return {"users": np.c_[users, np.ones(len(users), np.float32)], "items": np.c_[items, bias]}

    return work


def implicit_cosine(case: Case) -> Work:
    from implicit.nearest_neighbours import CosineRecommender

    rows, everybody = table(case), np.arange(int(case["n_users"]))

    def work() -> Case:
        model = CosineRecommender(K=int(case["neighbours"]), num_threads=1)
        model.fit(rows, show_progress=False)
        return {"lists": model.recommend(everybody, rows, N=10)[0]}

    return work


def implicit_lists(case: Case) -> Work:
    from implicit.cpu.als import AlternatingLeastSquares

    model = AlternatingLeastSquares(factors=case["items"].shape[1], num_threads=1)
    model.user_factors, model.item_factors = case["users"], case["items"]
    seen, everybody = table(case), np.arange(int(case["n_users"]))
    return lambda: {"lists": model.recommend(everybody, seen, N=10)[0]}


def lenskit_als(case: Case) -> Work:
    from lenskit.als import ImplicitMFScorer
    from lenskit.data import from_interactions_df
    from lenskit.training import TrainingOptions

    data = from_interactions_df(frame(case))

    def work() -> Case:
        model = ImplicitMFScorer(embedding_size=64, epochs=int(case["epochs"]))
        model.train(data, TrainingOptions(rng=0))
        sides = {"users": (model.users, model.user_embeddings), "items": (model.items, model.item_embeddings)}
        vectors = {}
        for name, (known, found) in sides.items():
            vectors[name] = np.zeros((int(case[f"n_{name}"]), found.shape[1]), np.float32)
            vectors[name][known.ids()] = np.asarray(found)
        return vectors

    return work


def fastslim(case: Case) -> Work:
    import fastslim as library

    rows, l1, l2 = table(case).astype(np.float64), float(case["l1"]), float(case["l2"])
    return lambda: {"weights": library.SLIM(l1, l2, n_threads=1).fit(rows).weights.toarray()}


def rectools_ease(case: Case) -> Work:
    from rectools.dataset import Dataset
    from rectools.models import EASEModel

    rows = frame(case, rating="weight", timestamp="datetime").assign(weight=1.0)
    data, users = Dataset.construct(rows), np.unique(case["user"])

    def work() -> Case:
        model = EASEModel(regularization=float(case["l2"]), recommend_n_threads=1).fit(data)
        listed = model.recommend(users=users, dataset=data, k=10, filter_viewed=True)
        lists = np.full((int(case["n_users"]), 10), -1)
        lists[listed["user_id"], listed["rank"] - 1] = listed["item_id"]
        return {"lists": lists}

    return work


def kindling(case: Case) -> Work:
    import pandas as pd
    from kindling import Engine

    rows, users = frame(case, user_id="entity_id"), np.unique(case["user"])
    rows["timestamp"] = pd.to_datetime(rows["timestamp"], unit="s")

    def work() -> Case:
        engine = Engine()
        engine.fit(rows)
        lists = np.full((int(case["n_users"]), 10), -1)
        for user, listed in zip(users, engine.recommend_batch(users.tolist(), n=10), strict=True):
            lists[user, : len(listed)] = [each.item_id for each in listed]
        return {"lists": lists}

    return work


def cornac_ratings(case: Case) -> Work:
    from cornac.data import Dataset
    from cornac.models import MF

    data = Dataset.from_uir(list(zip(*(case[name].tolist() for name in ("user", "item", "rating")), strict=True)))
    user, item = (
        np.array([known.get(id, -1) for id in ids.tolist()])
        for known, ids in ((data.uid_map, case["test_user"]), (data.iid_map, case["test_item"]))
    )
    known = (user >= 0) & (item >= 0)

    def work() -> Case:
        model = MF(k=50, max_iter=60, learning_rate=0.005, lambda_reg=0.1, num_threads=1, seed=0).fit(data)
        stars = model.global_mean + model.u_biases[user] * (user >= 0) + model.i_biases[item] * (item >= 0)
        return {"stars": (stars + known * (model.u_factors[user] * model.i_factors[item]).sum(1)).clip(1, 5)}

    return work


def rectools_metrics(case: Case) -> Work:
    import pandas as pd
    import rectools.metrics as rectools

    users, k = case["users"], 10

    def pairs(user: np.ndarray, item: np.ndarray) -> Any:
        return pd.DataFrame({"user_id": user, "item_id": item})

    listed = pairs(np.repeat(users, k), case["lists"].ravel()).assign(rank=np.tile(np.arange(1, k + 1), len(users)))
    chosen = {"ndcg": rectools.NDCG(k, divide_by_achievable=True), "coverage": rectools.CatalogCoverage(k)}
    chosen |= {
        c.__name__: c(k) for c in (rectools.Recall, rectools.Precision, rectools.HitRate, rectools.MRR, rectools.MAP)
    }
    relevant, catalog = pairs(case["test_user"], case["test_item"]), np.arange(int(case["n_items"]))

    def work() -> Case:
        return {"ndcg": rectools.calc_metrics(chosen, reco=listed, interactions=relevant, catalog=catalog)["ndcg"]}

    return work


def recbole_evaluation(case: Case) -> Work:
    import torch
    from recbole.evaluator import Collector, Evaluator

    torch.set_num_threads(1)
    vars(np)["float"] = float  # RecBole 1.2 calls it by a name that NumPy has dropped
    names = ["NDCG", "Recall", "Precision", "Hit", "MRR", "MAP"]
    config = {"metrics": names, "topk": [10], "metric_decimal_place": 9, "device": "cpu", "eval_args": {"mode": "full"}}
    scores, users = torch.from_numpy(case["scores"]), case["users"]
    position = np.full(int(case["n_users"]), -1)
    position[users] = np.arange(len(users))
    seen, relevant = (
        tuple(torch.from_numpy(column[position[user] >= 0]) for column in (position[user], item))
        for user, item in ((case["user"], case["item"]), (case["test_user"], case["test_item"]))
    )

    def work() -> Case:
        collector, masked = Collector(config), scores.clone()
        masked[seen] = -torch.inf
        collector.eval_batch_collect(masked, None, *relevant)
        return {"ndcg": Evaluator(config).evaluate(collector.get_data_struct())["ndcg@10"]}

    return work


def main() -> None:
    warnings.filterwarnings("ignore")
    name, path = sys.argv[1], Path(sys.argv[2])
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a library prints is no answer
    with np.load(path) as arrays:
        case = dict(arrays)
    try:
        work = globals()[name](case)
    except ImportError as error:
        print(json.dumps({"missing": str(error)}), file=answers, flush=True)
        return
    for _ in sys.stdin:
        spent, result = measured(work)
        np.savez(path.with_suffix(".out.npz"), **result)
        print(json.dumps(spent._asdict()), file=answers, flush=True)


if __name__ == "__main__":
    main()
