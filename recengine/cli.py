"""The command line: the package's functions, with tables, CSV and JSON around them.

Results go to standard output, everything else to standard error. Exit status: 0 done, 1 failed, 2 bad input.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import torch

from recengine import __version__, settings
from recengine.data.dataset import Dataset
from recengine.data.history import read_history, read_pairs
from recengine.data.sources import fetch, is_present, list_datasets, load_dataset
from recengine.data.splits import SPLITS, Split, make_split
from recengine.errors import BadInput
from recengine.evaluation.ranking import Evaluation, evaluate, pooled
from recengine.evaluation.significance import Paired, against_leader
from recengine.models.base import abilities
from recengine.models.registry import MODELS, model_class
from recengine.report import Cell, Reporter, table, write_csv, write_json
from recengine.serving.recommendations import Listing, recommend, recommend_newcomers, similar
from recengine.serving.store import Trained
from recengine.serving.training import obtain
from recengine.training.config import RunConfig

BATCH = 1024


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status."""
    try:
        options = _parser().parse_args(arguments)
        options.run(options, Reporter(as_json=options.json, quiet=options.quiet, progress=options.progress))
    except BadInput as fault:
        print(" ".join(f"recengine: {fault}".splitlines()), file=sys.stderr)  # one line, whatever was typed
        return 2
    except KeyboardInterrupt:
        print("recengine: interrupted; nothing half-made was kept", file=sys.stderr)
        return 1
    except BrokenPipeError:  # the reader of our output has gone, as `| head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as fault:  # a person gets one line; RECENGINE_DEBUG shows the rest
        if os.environ.get("RECENGINE_DEBUG"):
            raise
        print(f"recengine: failed: {type(fault).__name__}: {fault}", file=sys.stderr)
        return 1
    return 0


def _datasets(options: argparse.Namespace, report: Reporter) -> None:
    if options.action == "fetch":
        if options.name is None:
            raise BadInput("datasets fetch needs a name; run `python -m recengine datasets` for the list")
        path = fetch(options.name, report.bytes(options.name))
        report.result({"dataset": options.name, "path": str(path)}, [str(path)])
        return
    found = list_datasets()
    report.result(
        {"datasets": [vars(d) for d in found]},
        table(
            ("name", "MB", "ratings", "present", "licence"),
            [
                (d.name, f"{d.size / 1e6:,.1f}", f"{d.n_ratings:,}", "yes" if d.present else "no", d.licence)
                for d in found
            ],
        ),
    )


def _models(options: argparse.Namespace, report: Reporter) -> None:
    rows = [(m.name, m.family, ", ".join(abilities(m)) or "-", m.summary) for m in MODELS.values()]
    report.result(
        {
            "models": [
                {"name": m.name, "family": m.family, "abilities": list(abilities(m)), "summary": m.summary}
                for m in MODELS.values()
            ]
        },
        table(("name", "family", "abilities", "what it does"), rows),
    )


def _train(options: argparse.Namespace, report: Reporter) -> None:
    data = _load(options, report)
    trained = _obtain(options, report, data, options.model, _settings(options.set))
    metrics = {k: v for k, v in trained.manifest["metrics"].items() if k.startswith("valid_")}
    report.result(
        {
            "folder": str(trained.folder),
            "model": options.model,
            "dataset": data.name,
            "fresh": trained.fresh,
            "seconds": trained.manifest["seconds"],
            "epochs": trained.manifest["epochs"],
            "metrics": metrics,
        },
        [str(trained.folder)],
    )


def _evaluate(options: argparse.Namespace, report: Reporter) -> None:
    for name in options.models:
        model_class(name)
    per_model: dict[str, dict[str, Any]] = {name: {} for name in options.models}
    for key, setting in _settings(options.set).items():
        model, _, field = key.partition(".")
        if model not in per_model or not field:
            raise BadInput(f"--set {key}: expected MODEL.KEY=VALUE with one of: {', '.join(options.models)}")
        per_model[model][field] = setting
    data = _load(options, report)
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
            name: {key: dict(zip(("value", "low", "high"), v, strict=True)) for key, v in (f.means() | cost).items()}
            for name, (f, cost) in found.items()
        },
        "leader": leader,
        "behind_leader": {name: paired._asdict() for name, paired in behind.items()},
    }
    if options.out:
        write_json(options.out, value)
    shown = [key for key in found[leader][0].means() if key.partition("@")[0] in _SHOWN or "sampled" in key]
    rows = [(name, *(_with_interval(*f.means()[key]) for key in shown)) for name, (f, _) in found.items()]
    report.result(
        value,
        [
            f"{data.name}, {options.split}, positives >= {options.positive:g}: {users:,} users, "
            f"{len(split.candidates):,} candidates, {options.seeds} seed(s); ± half a 95 % interval",
            *table(("model", *shown), rows),
            *(_behind(leader, name, paired, options.k) for name, paired in behind.items()),
            *([_SAMPLED_NOTE] if options.negatives else []),
        ],
    )


def _evaluation(
    options: argparse.Namespace, report: Reporter, data: Dataset, split: Split, name: str, chosen: dict[str, Any]
) -> tuple[Evaluation, dict[str, tuple[float, float, float]]]:
    """Return a model's evaluation, its seeds pooled, and what it cost: mean, least and most."""
    runs, costs = [], []
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
        costs.append((trained.manifest["seconds"], 1e3 * per_user, trained.manifest["bytes"] / 1e6))
    pool = pooled(runs)
    report.note(f"{name}: NDCG@{options.k} {pool.means()[f'ndcg@{options.k}'][0]:.4f}")
    columns = zip(("train_seconds", "evaluate_ms_per_user", "megabytes"), np.transpose(costs), strict=True)
    return pool, {key: (float(v.mean()), float(v.min()), float(v.max())) for key, v in columns}


def _behind(leader: str, name: str, paired: Paired, k: int) -> str:
    verdict = "more than chance" if paired.p < 0.05 else "no difference beyond chance"
    p_value = "p < 0.001" if paired.p < 0.001 else f"p {paired.p:.3f}"
    return (
        f"{name} is {paired.difference:.4f} NDCG@{k} behind {leader} "
        f"(95 % from {paired.low:.4f} to {paired.high:.4f}, {p_value} after Holm): {verdict}."
    )


_SHOWN = ("ndcg", "recall", "hr", "map", "mrr", "auc", "coverage", "novelty", "ild")
"""Metrics of the printed table; the JSON object has all."""
_SAMPLED_NOTE = "Metrics marked _sampled rank models wrongly (Krichene & Rendle, KDD 2020); trust the full ones."


def _recommend(options: argparse.Namespace, report: Reporter) -> None:
    if sum([options.user is not None, options.all_users, options.ratings is not None]) != 1:
        raise BadInput("recommend needs exactly one of --user ID, --all-users and --ratings F.csv")
    data = _load(options, report)
    trained = _obtain(options, report, data, options.model, _settings(options.set))
    header = ("user_id", "rank", "item_id", "title", "score")
    fallback: list[Cell] = []

    def rows() -> Iterator[Sequence[Cell]]:
        for ids, listing in _listings(options, report, data, trained):
            fallback.extend(user for user, stands_in in zip(ids, listing.fallback, strict=True) if stands_in)
            yield from _listed(data, ids, listing)

    if options.out:
        write_csv(options.out, header, rows())
        report.result({"out": str(options.out), "popularity_fallback": fallback}, [str(options.out)])
    else:
        shown = list(rows())
        report.result(
            {
                "dataset": data.name,
                "model": options.model,
                "recommendations": [dict(zip(header, row, strict=True)) for row in shown],
                "popularity_fallback": fallback,
            },
            table(header, shown),
        )
    if fallback:
        report.note(
            f"{len(fallback):,} with no rating of {options.positive:g} or more: popularity replaces {options.model}."
        )


def _listings(
    options: argparse.Namespace, report: Reporter, data: Dataset, trained: Trained
) -> Iterator[tuple[Sequence[Cell], Listing]]:
    """Yield (user ids, listing) in batches."""
    how = {"k": options.k, "positive": options.positive, "include_seen": options.include_seen}
    if options.ratings is not None:
        history, notes = read_history(options.ratings, data)
        for note in notes:
            report.note(note)
        yield ["new"], recommend_newcomers(trained.model, data, history, **how)
        return
    users = np.arange(data.n_users) if options.all_users else data.user_index([options.user])
    for start in range(0, len(users), BATCH):
        some = users[start : start + BATCH]
        yield data.user_ids[some].tolist(), recommend(trained.model, data, some, **how)


def _listed(data: Dataset, users: Sequence[Cell], listing: Listing) -> Iterator[Sequence[Cell]]:
    titles, ids = data.items["title"].to_numpy(), data.item_ids
    for user, items, scores in zip(users, *(part.tolist() for part in listing.ranking), strict=True):
        for rank, (item, score) in enumerate(zip(items, scores, strict=True), 1):
            if item >= 0:
                yield (
                    user,
                    rank,
                    ids[item].item() if hasattr(ids[item], "item") else ids[item],
                    titles[item],
                    score,
                )


def _similar(options: argparse.Namespace, report: Reporter) -> None:
    data = _load(options, report)
    seed = data.item_index([options.item])
    trained = _obtain(options, report, data, options.model, _settings(options.set))
    listing = similar(trained.model, data, int(seed[0]), k=options.k, positive=options.positive)
    header = ("rank", "item_id", "title", "similarity")
    rows = [row[1:] for row in _listed(data, [""], listing)]
    value = {
        "dataset": data.name,
        "model": options.model,
        "item_id": data.item_ids[seed[0]],
        "title": data.items["title"].iloc[seed[0]],
        "similar": [dict(zip(header, row, strict=True)) for row in rows],
        "fallback": "popularity" if listing.fallback[0] else None,
    }
    if listing.fallback[0]:
        report.note(f"{value['title']} has no rating of {options.positive:g} or more: the most popular items stand in.")
    if options.out:
        write_csv(options.out, header, rows)
    report.result(value, [f"Similar to {value['title']}:", *table(header, rows)])


def _score(options: argparse.Namespace, report: Reporter) -> None:
    data = _load(options, report)
    header, cells, users, items = read_pairs(options.pairs, data)
    trained = _obtain(options, report, data, options.model, _settings(options.set))
    scores = np.empty(len(users), np.float32)
    unique, place = np.unique(users, return_inverse=True)
    with torch.inference_mode():
        for start in range(0, len(unique), BATCH):
            inside = np.flatnonzero((place >= start) & (place < start + BATCH))
            block = trained.model.score(unique[start : start + BATCH]).cpu()
            scores[inside] = block[torch.from_numpy(place[inside] - start), torch.from_numpy(items[inside])].numpy()
    write_csv(options.out, (*header, "score"), ((*row, float(s)) for row, s in zip(cells, scores, strict=True)))
    report.result({"out": str(options.out), "rows": len(users)}, [str(options.out)])


def _load(options: argparse.Namespace, report: Reporter) -> Dataset:
    """Load the data set, fetching it first when it is registered and missing, and say what cleaning did."""
    name = options.dataset
    if any(d.name == name for d in list_datasets()) and not is_present(name):
        report.note(f"{name} is not here yet; fetching it.")
    data = load_dataset(name, on_progress=report.bytes(name))
    for line in data.cleaning.lines()[1:]:
        report.note(line)
    return data


def _obtain(options: argparse.Namespace, report: Reporter, data: Dataset, name: str, chosen: dict[str, str]) -> Trained:
    trained = obtain(
        data,
        name,
        settings=chosen,
        run=RunConfig(device=options.device, seed=options.seed),
        positive=options.positive,
        force=getattr(options, "force", False),
        on_epoch=report.epochs(name),
    )
    if trained.fresh:
        report.note(f"Trained {name} on {data.name} in {trained.manifest['seconds']:.1f} s.")
    return trained


def _settings(pairs: Sequence[str]) -> dict[str, str]:
    """Return key -> value of `--set key=value`."""
    for pair in pairs:
        if "=" not in pair:
            raise BadInput(f"--set {pair!r} is not a setting; expected KEY=VALUE")
    return dict(pair.split("=", 1) for pair in pairs)


def _with_interval(mean: float, low: float, high: float) -> str:
    return f"{mean:.4f}" + ("" if np.isnan(low) else f" ±{(high - low) / 2:.4f}")


def _from(least: int) -> Callable[[str], int]:
    """Return a reader of whole numbers from `least` up, for argparse."""

    def read(text: str) -> int:
        if not text.lstrip("-").isdigit() or int(text) < least:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of {least} or more")
        return int(text)

    return read


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, as BadInput does."""

    def error(self, message: str) -> NoReturn:
        raise BadInput(f"{message}; see `{self.prog} --help`")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="python -m recengine", description="Train, compare and serve movie recommenders.")
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(metavar="COMMAND", required=True, parser_class=_Parser)

    def add(name: str, run: Any, text: str) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=text, description=text)
        command.set_defaults(run=run)
        command.add_argument("--json", action="store_true", help="print one JSON object")
        command.add_argument("--quiet", action="store_true", help="no progress")
        command.add_argument("--progress", choices=("bar", "jsonl"), default="bar", help="how progress is written")
        return command

    command = add("datasets", _datasets, "list the data sets, or fetch one")
    command.add_argument("action", nargs="?", choices=("list", "fetch"), default="list")
    command.add_argument("name", nargs="?")
    add("models", _models, "list the models")

    def with_data(name: str, run: Any, text: str, *, model: bool = True) -> argparse.ArgumentParser:
        command = add(name, run, text)
        command.add_argument("--dataset", default=settings.default_dataset(), metavar="D", help="name or path")
        if model:
            command.add_argument("--model", required=True, metavar="M")
        command.add_argument("--positive", type=float, default=4.0, help="a rating from here up is a positive")
        command.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a setting of the model")
        command.add_argument("--seed", type=int, default=0)
        command.add_argument("--device", default=settings.default_device(), help="auto, cpu or cuda")
        return command

    command = with_data("train", _train, "train a model, or find it in the store", model=False)
    command.add_argument("model", metavar="M")
    command.add_argument("--force", action="store_true", help="train even if it is in the store")

    command = with_data("evaluate", _evaluate, "evaluate models by full ranking", model=False)
    command.add_argument("models", nargs="+", metavar="M")
    command.add_argument("--split", required=True, help=f"{', '.join(SPLITS)}, or a published one such as u1")
    command.add_argument("--min-user", type=_from(0), default=0, help="positives that a user must have")
    command.add_argument("--min-item", type=_from(0), default=0, help="positives that an item must have")
    command.add_argument("--test-share", type=float, default=None, help="share held out")
    command.add_argument("--ties", choices=("item", "random"), default="item", help="order among equal times")
    command.add_argument("--given", type=_from(0), default=10, help="cold-user: ratings known of each person")
    command.add_argument("-k", type=int, default=10)
    command.add_argument("--negatives", type=_from(0), default=0, help="adds metrics against N sampled negatives")
    command.add_argument("--seeds", type=_from(1), default=1, help="trainings to average")
    command.add_argument("--force", action="store_true", help="train even if it is in the store")
    command.add_argument("--out", type=Path, help="also write the JSON object here")

    command = with_data("recommend", _recommend, "recommend for a user, for all, or for a person of your own")
    command.add_argument("--user")
    command.add_argument("--all-users", action="store_true")
    command.add_argument("--ratings", type=Path, metavar="F.csv", help="item_id or title, rating; nothing is retrained")
    command.add_argument("-k", type=int, default=10)
    command.add_argument("--include-seen", action="store_true")
    command.add_argument("--out", type=Path)

    command = with_data("similar", _similar, "list the items nearest to one")
    command.add_argument("--item", required=True)
    command.add_argument("-k", type=int, default=10)
    command.add_argument("--out", type=Path)

    command = with_data("score", _score, "add the model's raw score to pairs of user and item")
    command.add_argument("--pairs", type=Path, required=True, metavar="F.csv")
    command.add_argument("--out", type=Path, required=True)
    return parser
