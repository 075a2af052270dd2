"""The command `evaluate`."""

from __future__ import annotations

import argparse
import time
from typing import Any

import numpy as np

from recengine.cli.common import load_data, read_settings, tell_unknown
from recengine.data.dataset import Dataset
from recengine.data.splits import Split, make_split
from recengine.errors import BadInput
from recengine.evaluation.ranking import Evaluation, evaluate, pooled
from recengine.evaluation.ratings import pooled_errors, rating_errors
from recengine.evaluation.significance import Paired, against_leader
from recengine.models.base import PredictsRatings
from recengine.models.registry import model_class
from recengine.report import Reporter, table, write_json
from recengine.serving.training import obtain
from recengine.training.config import RunConfig


def evaluate_models(options: argparse.Namespace, report: Reporter) -> None:
    for name in options.models:
        model_class(name)
    per_model: dict[str, dict[str, Any]] = {name: {} for name in options.models}
    for key, setting in read_settings(options.set).items():
        model, _, field = key.partition(".")
        if model not in per_model or not field:
            raise BadInput(f"--set {key}: expected MODEL.KEY=VALUE with one of: {', '.join(options.models)}")
        per_model[model][field] = setting
    data = load_data(options, report)
    split = make_split(
        data,
        options.split,
        positive=options.positive,
        min_user=options.min_user,
        min_item=options.min_item,
        share=options.test_share,
        ties=options.ties,
        given=options.given,
        seed=options.seed,
    )
    found = {name: _evaluation(options, report, data, split, name, per_model[name]) for name in options.models}
    leader, behind = against_leader({name: f.per_user[f"ndcg@{options.k}"] for name, (f, _) in found.items()})
    users = len(found[leader][0].users)
    value = {
        "dataset": data.name,
        "split": split.about,
        "k": options.k,
        "users": users,
        "items": len(split.candidates),
        "seeds": options.seeds,
        "results": {
            name: {key: dict(zip(("value", "low", "high"), v, strict=True)) for key, v in (f.means() | more).items()}
            for name, (f, more) in found.items()
        },
        "leader": leader,
        "behind_leader": {name: paired._asdict() for name, paired in behind.items()},
    }
    if options.out:
        write_json(options.out, value)
    shown = [key for key in found[leader][0].means() if key.partition("@")[0] in _SHOWN or "sampled" in key]
    rated = [key for key in _RATED if any(key in more for _, more in found.values())]
    rows = [
        (
            name,
            *(_with_interval(*f.means()[key]) for key in shown),
            *(_with_interval(*more[key]) if key in more else None for key in rated),
        )
        for name, (f, more) in found.items()
    ]
    report.result(
        value,
        [
            f"{data.name}, {options.split}, positives >= {options.positive:g}: {users:,} users, "
            f"{len(split.candidates):,} candidates, {options.seeds} seed(s); ± half a 95 % interval",
            *table(("model", *shown, *rated), rows),
            *(_behind(leader, name, paired, options.k) for name, paired in behind.items()),
            *([_SAMPLED_NOTE] if options.negatives else []),
            *([_POSITIVES_NOTE] if rated and options.positive > 0 else []),
        ],
    )


def _evaluation(
    options: argparse.Namespace, report: Reporter, data: Dataset, split: Split, name: str, chosen: dict[str, Any]
) -> tuple[Evaluation, dict[str, tuple[float, float, float]]]:
    """Return a model's evaluation, its seeds pooled, and more: rating errors if it can, and what it cost.

    A cost is the mean, the least and the most of the seeds.
    """
    runs, errors, costs = [], [], []
    for seed in range(options.seed, options.seed + options.seeds):
        trained = obtain(
            data,
            name,
            settings=chosen,
            run=RunConfig(device=options.device, seed=seed),
            split=split,
            force=options.force,
            on_epoch=report.epochs(f"{name}, seed {seed}"),
        )
        started = time.perf_counter()
        runs.append(
            evaluate(trained.model, split, k=options.k, items=data.items, negatives=options.negatives, seed=seed)
        )
        per_user = (time.perf_counter() - started) / len(runs[-1].users)
        if isinstance(trained.model, PredictsRatings):
            errors.append(rating_errors(trained.model, split))
        costs.append((trained.manifest["seconds"], 1e3 * per_user, trained.manifest["bytes"] / 1e6))
    tell_unknown(report, data, trained.model)
    pool = pooled(runs)
    report.note(f"{name}: NDCG@{options.k} {pool.means()[f'ndcg@{options.k}'][0]:.4f}")
    columns = zip(("train_seconds", "evaluate_ms_per_user", "megabytes"), np.transpose(costs), strict=True)
    cost = {key: (float(v.mean()), float(v.min()), float(v.max())) for key, v in columns}
    return pool, (pooled_errors(errors).means() if errors else {}) | cost


def _behind(leader: str, name: str, paired: Paired, k: int) -> str:
    verdict = "more than chance" if paired.p < 0.05 else "no difference beyond chance"
    p_value = "p < 0.001" if paired.p < 0.001 else f"p {paired.p:.3f}"
    return (
        f"{name} is {paired.difference:.4f} NDCG@{k} behind {leader} "
        f"(95 % from {paired.low:.4f} to {paired.high:.4f}, {p_value} after Holm): {verdict}."
    )


_SHOWN = ("ndcg", "recall", "hr", "map", "mrr", "auc", "coverage", "novelty", "ild")
"""Metrics of the printed table; the JSON object has all."""
_RATED = ("rmse", "mae", "within_half")
"""Errors of predicted ratings, of the models that predict them."""
_POSITIVES_NOTE = "Errors of ratings are over the tested positives alone; --positive 0 tests low ratings too."
_SAMPLED_NOTE = "Metrics marked _sampled rank models wrongly (Krichene & Rendle, KDD 2020); trust the full ones."


def _with_interval(mean: float, low: float, high: float) -> str:
    return f"{mean:.4f}" + ("" if np.isnan(low) else f" ±{(high - low) / 2:.4f}")
