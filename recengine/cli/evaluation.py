"""The command `evaluate`."""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Iterator, Mapping
from typing import Any

from recengine.cli.common import load_data, read_settings
from recengine.cli.reporter import Reporter
from recengine.errors import BadInput
from recengine.evaluation.ranking import Evaluation
from recengine.experiments.compare import compare
from recengine.export import Cell, check_out, table, write_csv, write_json
from recengine.metrics import RANKING_METRICS
from recengine.models.registry import model_class
from recengine.training.config import RunConfig
from recengine.training.loop import OnEpoch

_SHOWN = ("ndcg", "recall", "hr", "map", "mrr", "auc", "coverage", "novelty", "ild")
"""Metrics of the printed table; the JSON object has all."""
_RATED = ("rmse", "mae", "within_half")
"""Errors of predicted ratings, of the models that predict them."""
_COLD = ("user_mse", "user_mae")
"""The same where people are not in training: each counts once, however much they rated."""
_POSITIVES_NOTE = "Errors of ratings are over the tested positives alone; --positive 0 tests low ratings too."
_SAMPLED_NOTE = "Metrics marked _sampled rank models wrongly (Krichene & Rendle, KDD 2020); trust the full ones."


def evaluate_models(options: argparse.Namespace, report: Reporter) -> None:
    for name in options.models:
        model_class(name)
    per_model: dict[str, dict[str, Any]] = {name: {} for name in options.models}
    for key, setting in read_settings(options.set).items():
        model, _, field = key.partition(".")
        if model not in per_model or not field:
            raise BadInput(f"--set {key}: expected MODEL.KEY=VALUE with one of: {', '.join(options.models)}")
        per_model[model][field] = setting
    if options.users:
        check_out(options.users, "--users")
    data = load_data(options, report)
    trainings = len(options.models) * options.seeds * (options.folds or 1)
    begun = itertools.count()

    def progress(what: str) -> OnEpoch:
        report.step(what, next(begun), trainings)
        return report.epochs(what)

    people: list[tuple[Cell, ...]] = []
    kept = [f"{name}@{options.k}" for name in RANKING_METRICS]

    def each(name: str, ranking: Evaluation) -> None:
        columns = [ranking.per_user[key].tolist() for key in kept]
        lists = [" ".join(map(str, data.item_ids[row[row >= 0]].tolist())) for row in ranking.lists]
        ids = data.user_ids[ranking.users].tolist()
        people.extend(zip(itertools.repeat(name), ids, *columns, lists))

    def reached(name: str, metrics: Mapping[str, list[float]]) -> None:
        values = ", ".join(f"{value:.4f}" for value in metrics[f"ndcg@{options.k}"])
        report.note(f"{name}: NDCG@{options.k} {values}", name, metrics)

    value = compare(
        data,
        per_model,
        options.split,
        given=options.given,
        targets_after=options.targets_after,
        folds=options.folds,
        positive=options.positive,
        min_user=options.min_user,
        min_item=options.min_item,
        share=options.test_share,
        ties=options.ties,
        k=options.k,
        negatives=options.negatives,
        seeds=options.seeds,
        run=RunConfig(device=options.device, seed=options.seed),
        force=options.force,
        progress=progress,
        note=report.note,
        each=each if options.users else lambda name, ranking: None,
        reached=reached,
    )
    if options.users:
        write_csv(options.users, ("model", "user_id", *kept, "list"), people)
    if options.out:
        write_json(options.out, value)
    report.result(value, _lines(value))


def _lines(value: Mapping[str, Any]) -> Iterator[str]:
    """Yield the lines that tell a person what the JSON object tells a program."""
    about, k = value["split"], value["k"]
    blocks = value.get("by_given", [value])
    some = blocks[0]["results"]
    first = some[blocks[0]["leader"]]
    cold = "given" in about
    rated = [key for key in (*_RATED, *(_COLD if cold else ())) if any(key in m for m in some.values())]
    shown = [*(key for key in first if key.partition("@")[0] in _SHOWN or "sampled" in key), *rated]
    ahead = [base for base in blocks[0]["ahead_of"] if cold and len(some) > 1]
    left_out = f" ({value['left_out']:,} left out)" if value["left_out"] else ""
    yield (
        f"{value['dataset']}, {about['split']}, positives >= {about['positive']:g}: {value['users']:,} users"
        f"{left_out}, {value['items']:,} candidates, {value['seeds']} seed(s); ± half a 95 % interval"
    )
    yield from table(
        ("model", *(["given"] if "by_given" in value else []), *shown, *(_ahead(base, k) for base in ahead)),
        [
            (
                name,
                *([block["given"]] if "by_given" in value else []),
                *(_with_interval(metrics.get(key)) for key in shown),
                *(_difference(block["ahead_of"][base].get(name)) for base in ahead),
            )
            for block in blocks
            for name, metrics in block["results"].items()
        ],
    )
    for block in blocks:
        after = f"After {block['given']} given: " if "by_given" in value else ""
        for name, paired in block["behind_leader"].items():
            yield after + _behind(block["leader"], name, paired, k)
        unread = [f"{name} {people:,}" for name, people in block["popularity_fallback"].items() if people]
        if unread:
            yield f"{after}popularity stands in for the people of whom a model can read nothing: {', '.join(unread)}."
    if any("sampled" in key for key in first):
        yield _SAMPLED_NOTE
    if rated and about["positive"] > 0:
        yield _POSITIVES_NOTE


def _behind(leader: str, name: str, paired: Mapping[str, float], k: int) -> str:
    verdict = "more than chance" if paired["p"] < 0.05 else "no difference beyond chance"
    p_value = "p < 0.001" if paired["p"] < 0.001 else f"p {paired['p']:.3f}"
    return (
        f"{name} is {paired['difference']:.4f} NDCG@{k} behind {leader} "
        f"(95 % from {paired['low']:.4f} to {paired['high']:.4f}, {p_value} after Holm): {verdict}."
    )


def _with_interval(cell: Mapping[str, float] | None) -> Cell:
    if cell is None:
        return None
    half = (cell["high"] - cell["low"]) / 2
    return f"{cell['value']:.4f}" + (f" ±{half:.4f}" if half == half else "")  # NaN where there is no interval


def _difference(paired: Mapping[str, float] | None) -> Cell:
    if paired is None:
        return None
    return f"{paired['difference']:+.4f} ({paired['low']:+.4f} to {paired['high']:+.4f})"


def _ahead(reference: str, k: int) -> str:
    """Return the head of a column of differences: what little is known of users outside training must be of use."""
    predicts = "ratings" in model_class(reference).abilities
    return f"user_mae below {reference}" if predicts else f"NDCG@{k} ahead of {reference}"
