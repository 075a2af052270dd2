"""The pairs that `python -m benchmarks` measures: what ours does, what the rival is asked, how both are judged."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.slim import fit_ours as fit_slim
from benchmarks.slim import objective
from benchmarks.stream import PLAIN, autograd_loop, made_up
from recengine.data.interactions import Interactions
from recengine.data.sources import load_dataset
from recengine.data.splits import Split, make_split
from recengine.evaluation.ranking import evaluate, list_metrics, metrics_of_lists
from recengine.metrics import mask_scores, top_k
from recengine.models.base import Recommender
from recengine.models.item_item.slim import SLIM
from recengine.models.registry import model_class
from recengine.models.simple.baselines import Popularity
from recengine.models.streaming.step import Step, StepConfig
from recengine.training.config import RunConfig

Case = Mapping[str, Any]
K, DIM = 10, 64


@dataclass(frozen=True)
class Pair:
    """Two ways to the same result.

    ours  : does the work once
    rival : does it too, or is the name of a function in rivals.py, which gets `case`, NumPy's arrays
    judge : the quality of what either returns; it is not timed
    share : by how many times the rival's work is the smaller
    """

    ours: Callable[[], Case]
    rival: Callable[[], Case] | str
    judge: Callable[[Case], float]
    case: Case
    share: float = 1.0


@dataclass(frozen=True)
class Row:
    """A pair with names: `packages` has the rival, `quality` says what `judge` returns; `make(quick)` makes it."""

    rival: str
    quality: str
    make: Callable[[bool], Pair]
    packages: str = ""


def split_of(quick: bool, full: str = "ml-100k", name: str = "leave-last", positive: float = 4.0) -> Split:
    return make_split(load_dataset("sample" if quick else full), name, positive=positive)


def fitted(name: str, rows: Interactions, epochs: int | None = None, **settings: object) -> Recommender:
    """Fit a model with one thread, for all of the epochs where some are given."""
    kind = model_class(name)
    return kind(kind.Config.from_dict(settings)).fit(
        rows, run=RunConfig(device="cpu", **({"epochs": epochs} if epochs else {}))
    )


def case_of(rows: Interactions, **more: object) -> dict[str, Any]:
    """Return training rows as rivals.py reads them."""
    case = {"user": rows.user_idx, "item": rows.item_idx, "rating": rows.rating, "time": rows.timestamp}
    return {**case, "n_users": rows.n_users, "n_items": rows.n_items, **more}


def ndcg_of_lists(split: Split) -> Callable[[Case], float]:
    """Return what judges lists (n_users, K) by the one validation item of each user."""
    user, item = split.valid.user_idx, split.valid.item_idx

    def judge(result: Case) -> float:
        hits = np.asarray(result["lists"])[user] == item[:, None]
        return float((hits / np.log2(np.arange(K) + 2)).sum(1).mean())

    return judge


def ndcg_of_vectors(split: Split) -> Callable[[Case], float]:
    """Return what judges `users` (n_users, D) and `items` (n_items, D) by their lists."""
    everybody, of_lists = np.arange(split.train.n_users), ndcg_of_lists(split)

    def judge(result: Case) -> float:
        scores = torch.as_tensor(result["users"]) @ torch.as_tensor(result["items"]).T
        return of_lists({"lists": top_k(mask_scores(scores, everybody, seen=split.train), K).items})

    return judge


def streamed(quick: bool) -> Pair:
    rows = made_up(6040, 3706, 1300 if quick else 4000)
    boot, rest = rows.select(slice(0, 1000)), rows.select(slice(1000, None))
    few = rest.select(slice(0, len(rest) // 10))
    config = StepConfig.from_dict({"embedding_dim": 128, **PLAIN})
    start = Step(config).fit(boot, run=RunConfig(device="cpu", epochs=1))

    def ours() -> Case:
        model = copy.deepcopy(start)
        model.make_room(rest)
        model.advance(rest, ranked=True, lists=np.zeros((len(rest), K), np.int32))
        return {"events": len(rest)}

    def rival() -> Case:
        autograd_loop(few, 128)
        return {"events": len(few)}

    return Pair(ours, rival, lambda result: float(result["events"]), {}, len(rest) / len(few))


def slim(quick: bool) -> Pair:
    rows, config = split_of(quick).train, SLIM.Config()

    def judge(result: Case) -> float:
        return objective(rows, torch.as_tensor(result["weights"]).float())

    return Pair(lambda: {"weights": fit_slim(rows)}, "fastslim", judge, case_of(rows, l1=config.l1, l2=config.l2))


def alternating(rival: str, full: str) -> Callable[[bool], Pair]:
    def make(quick: bool) -> Pair:
        split, epochs = split_of(quick, full), 10

        def ours() -> Case:
            network: Any = fitted("ials", split.train, epochs, embedding_dim=DIM).network  # type: ignore[attr-defined]
            return {"users": network.users.detach(), "items": network.items.detach()}

        return Pair(ours, rival, ndcg_of_vectors(split), case_of(split.train, epochs=epochs))

    return make


def sampled(rival: str, full: str, epochs: int, settings: Mapping[str, float]) -> Callable[[bool], Pair]:
    """Return what pairs `mf` with a rival that learns from sampled negatives, too, with its best settings of a grid.

    epochs : the first that are above the rival's best NDCG; the grid is that of `benchmarks.training rivals`
    """

    def make(quick: bool) -> Pair:
        split = split_of(quick, full)

        def ours() -> Case:
            product = fitted("mf", split.train, epochs).product()  # type: ignore[attr-defined]
            ones = torch.ones(len(product.users), 1)
            return {
                "users": torch.cat([product.users, ones], 1),
                "items": torch.cat([product.items, product.item_bias[:, None]], 1),
            }

        return Pair(ours, rival, ndcg_of_vectors(split), case_of(split.train, **settings))

    return make


def listed(model: Recommender, rows: Interactions) -> Case:
    """Return everybody's lists."""
    with torch.inference_mode():
        return {"lists": model.top_k(np.arange(rows.n_users), k=K, seen=rows).items.numpy()}


def item_item(name: str, rival: str, full: str, **settings: object) -> Callable[[bool], Pair]:
    """Return what makes a pair of fitting a model and listing for everybody."""

    def make(quick: bool) -> Pair:
        split = split_of(quick, full)
        rows = split.train
        return Pair(
            lambda: listed(fitted(name, rows, **settings), rows), rival, ndcg_of_lists(split), case_of(rows, **settings)
        )

    return make


def lists(rival: Callable[[Interactions, Case], Case] | str) -> Callable[[bool], Pair]:
    """Return what makes a pair of listing for everybody from the same vectors."""

    def make(quick: bool) -> Pair:
        split = split_of(quick, "ml-1m-ordered")
        model, rows = fitted("ials", split.train, 2, embedding_dim=DIM), split.train
        network: Any = model.network  # type: ignore[attr-defined]
        vectors = {"users": network.users.detach().numpy(), "items": network.items.detach().numpy()}

        def judge(result: Case) -> float:
            users, items = (vectors[name] for name in ("users", "items"))
            chosen = items[np.asarray(result["lists"])]
            return float(np.einsum("ud,ukd->uk", users, chosen).mean())

        other = rival if isinstance(rival, str) else lambda: rival(rows, vectors)
        return Pair(lambda: listed(model, rows), other, judge, case_of(rows, **vectors))

    return make


def by_numpy(rows: Interactions, vectors: Case) -> Case:
    scores: NDArray[np.float32] = vectors["users"] @ vectors["items"].T
    scores[rows.user_idx, rows.item_idx] = -np.inf
    return {"lists": np.argsort(-scores, axis=1)[:, :K]}


def stars(quick: bool) -> Pair:
    split = split_of(quick, name="random", positive=0.0)
    train, test = split.fit, split.test

    def judge(result: Case) -> float:
        return float(np.sqrt(np.mean((np.asarray(result["stars"]) - test.rating) ** 2)))

    def ours() -> Case:
        model: Any = fitted("mf-explicit", train)
        return {"stars": model.predict(test.user_idx, test.item_idx)}

    return Pair(ours, "cornac_ratings", judge, case_of(train, test_user=test.user_idx, test_item=test.item_idx))


def ndcg(result: Case) -> float:
    return float(np.nanmean(result["ndcg"]))


def metrics(quick: bool) -> Pair:
    split = split_of(quick, "ml-1m-ordered")
    result, test = evaluate(Popularity().fit(split.fit), split), split.test

    def ours() -> Case:
        values = metrics_of_lists(result.lists, result.users, split, result.lengths, None)
        list_metrics(result.lists, split.candidates, result.lengths)
        return {"ndcg": values["ndcg@10"]}

    case = case_of(split.fit, users=result.users, lists=result.lists, test_user=test.user_idx, test_item=test.item_idx)
    return Pair(ours, "rectools_metrics", ndcg, case)


def evaluation(quick: bool) -> Pair:
    split = split_of(quick, "ml-1m-ordered", positive=0.0)
    users = split.test.user_counts.nonzero()[0]
    model = fitted("ials", split.fit, 2, embedding_dim=DIM)
    with torch.inference_mode():
        scores = model.score(np.arange(split.fit.n_users))
    model.score = lambda user_idx: scores[torch.as_tensor(user_idx)]  # type: ignore[method-assign]

    def ours() -> Case:
        return {"ndcg": evaluate(model, split).per_user["ndcg@10"]}

    case = case_of(split.fit, users=users, scores=scores[users].numpy())
    return Pair(
        ours, "recbole_evaluation", ndcg, {**case, "test_user": split.test.user_idx, "test_item": split.test.item_idx}
    )


NDCG, SAME = "validation NDCG@10", "mean score of the lists"
ROWS: Mapping[str, Row] = {
    "lists of a stream": Row("R0's own loop: items @ user, sorted, autograd", "events, each by its own", streamed),
    "slim": Row("fastslim", "objective, less is better", slim, "fastslim"),
    "ials": Row("implicit's ALS", NDCG, alternating("implicit_als", "ml-1m-ordered"), "implicit"),
    "ials, small": Row("LensKit's ImplicitMF", NDCG, alternating("lenskit_als", "ml-100k"), "lenskit"),
    "mf": Row(
        "implicit's BPR",
        NDCG,
        sampled("implicit_bpr", "ml-100k", 4, {"factors": 64, "rate": 0.03, "epochs": 20}),
        "implicit",
    ),
    "mf, further": Row(
        "LightFM's WARP",
        NDCG,
        sampled("lightfm_warp", "ml-100k", 6, {"factors": 32, "rate": 0.05, "epochs": 24}),
        "lightfm-next",
    ),
    "item-knn": Row(
        "implicit's cosine", NDCG, item_item("item-knn", "implicit_cosine", "ml-1m-ordered", neighbours=50), "implicit"
    ),
    "ease": Row("RecTools' EASE", NDCG, item_item("ease", "rectools_ease", "ml-100k", l2=200.0), "rectools"),
    "slist": Row("kindling", NDCG, item_item("slist", "kindling", "ml-100k"), "kindling-rec"),
    "mf-explicit": Row("cornac's MF", "RMSE, less is better", stars, "cornac"),
    "lists of everybody": Row("NumPy: all scores, argsort", SAME, lists(by_numpy)),
    "lists": Row("implicit's recommend", SAME, lists("implicit_lists"), "implicit"),
    "metrics": Row("RecTools' calc_metrics", "NDCG@10", metrics, "rectools"),
    "evaluation": Row("RecBole's collector and evaluator", "NDCG@10", evaluation, "recbole"),
}
