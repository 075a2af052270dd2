"""The commands `datasets`, `models` and `train`."""

from __future__ import annotations

import argparse
import dataclasses
import os
from dataclasses import replace
from pathlib import Path

from recengine.cli.arguments import Commands, add_command, add_data_command, add_dataset, whole_number
from recengine.cli.common import load_data, read_settings, request_of, train_or_find
from recengine.cli.reporter import Reporter
from recengine.data.dataset import Dataset
from recengine.data.sources import SOURCES, fetch, is_present
from recengine.errors import BadInput
from recengine.experiments.model_folder import check_folder, save_folder
from recengine.experiments.parallel.train import train_in_parallel
from recengine.experiments.parallel.world import joined
from recengine.experiments.store import Manifest, Trained
from recengine.experiments.train import TrainingReport, TrainingRequest, validate
from recengine.export import table
from recengine.models.registry import DEFAULT, MODELS, model_class
from recengine.testing import check
from recengine.training.config import RunConfig, Setting


def add_commands(commands: Commands) -> None:
    """Declare `datasets`, `models` and `train`."""
    command = add_command(commands, "datasets", datasets, "list the data sets, or fetch one")
    command.add_argument("action", nargs="?", choices=("list", "fetch"), default="list")
    command.add_argument("name", nargs="?")
    text = "list the models; `models M` lists the options of one, `models check M` holds it to the contract"
    command = add_command(commands, "models", models, text)
    command.add_argument("action", nargs="?", default="list", metavar="list | M | check M")
    command.add_argument("name", nargs="?", help=argparse.SUPPRESS)
    add_dataset(command, "what it is tried on")
    command = add_data_command(commands, "train", train, "train a model, or find it in the store", model=False)
    command.add_argument("model", metavar="M", nargs="?", default=DEFAULT, help=f"default: {DEFAULT}")
    command.add_argument("--force", action="store_true", help="train even if it is in the store")
    command.add_argument(
        "--validate",
        action="store_true",
        help="also fit a model without epochs on the training part alone, and report what it reaches on validation",
    )
    command.add_argument(
        "--out",
        dest="folder",
        type=Path,
        metavar="DIR",
        help="also write a model folder here: with ids, titles and ratings, so that `--model-folder DIR` serves it",
    )
    parallel = command.add_argument_group("by several processes, or with checkpoints (needs `--out`)")
    parallel.add_argument(
        "--checkpoint",
        type=Path,
        metavar="DIR",
        help="keep a checkpoint of the last and of the best epoch here; "
        "for several processes: torchrun --nproc-per-node N -m recengine.distributed M --checkpoint DIR --out DIR",
    )
    parallel.add_argument("--resume", action="store_true", help="go on from the last checkpoint")
    parallel.add_argument(
        "--shards",
        type=whole_number(1),
        default=4,
        metavar="N",
        help="parts into which users are dealt out, a multiple of the processes; batches depend on it (default 4)",
    )
    parallel.add_argument(
        "--split-items", action="store_true", help="deal out the items' vectors as well, for a table that is too large"
    )


def datasets(options: argparse.Namespace, report: Reporter) -> None:
    if options.action == "fetch":
        if options.name is None:
            raise BadInput(
                "name", remedy="run `python -m recengine datasets` for the list", problem="is needed to fetch"
            )
        path = fetch(options.name, report.bytes(options.name))
        report.result({"dataset": options.name, "path": str(path)}, [str(path)])
        return
    keys = ("name", "title", "size", "n_ratings", "n_users", "n_items", "licence", "citation", "description")
    listed = [
        {key: getattr(source, key) for key in keys} | {"present": is_present(name)} for name, source in SOURCES.items()
    ]
    rows = [
        (s.name, f"{s.size / 1e6:,.1f}", f"{s.n_ratings:,}", "yes" if is_present(s.name) else "no", s.licence)
        for s in SOURCES.values()
    ]
    report.result({"datasets": listed}, table(("name", "MB", "ratings", "present", "licence"), rows))


def models(options: argparse.Namespace, report: Reporter) -> None:
    if options.action == "check":
        return check_model(options, report)
    if options.name is not None:
        raise BadInput("name", options.name, remedy=f"drop it, or `models check {options.name}`", problem="is too much")
    if options.action != "list":
        return list_options(options.action, report)
    for error in MODELS.errors:
        report.note(error)
    rows = [
        (m.name, m.family, ", ".join(m.abilities) or "-", "yes" if m.hears_dislikes else "no", m.summary)
        for m in MODELS.values()
    ]
    report.result(
        {
            "models": [
                {
                    "name": m.name,
                    "family": m.family,
                    "abilities": list(m.abilities),
                    "hears_dislikes": m.hears_dislikes,
                    "summary": m.summary,
                }
                for m in MODELS.values()
            ]
        },
        table(("name", "family", "abilities", "hears dislikes", "what it does"), rows),
    )


def list_options(name: str, report: Reporter) -> None:
    """Print the options of a model and of its training: what each does, what it takes, and its default."""
    kind = model_class(name)
    of_run = {"epochs": kind.preset_epochs, "patience": kind.preset_patience} if kind.preset_epochs else {}
    listed = [
        {
            "option": f.name,
            "default": of_run.get(f.name, f.default),
            "accepts": owner.accepts(f.name),
            "help": f.metadata["help"],
        }
        for owner in (kind.Config, RunConfig)
        for f in dataclasses.fields(owner)
        if owner is kind.Config or f.name in of_run
    ]
    rows = [(row["option"], _default(row["default"]), row["accepts"], row["help"]) for row in listed]
    lines = table(("option", "default", "accepts", "what it does"), rows) if rows else ["It has no options."]
    report.result({"model": name, "summary": kind.summary, "options": listed}, [f"{name}: {kind.summary}", *lines])


def _default(value: Setting) -> str:
    """Return a default as `set` takes it."""
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def check_model(options: argparse.Namespace, report: Reporter) -> None:
    """Hold a model to the contract and print a finding for each of its lines; a broken one is bad input."""
    if options.name is None:
        raise BadInput("name", remedy="run `python -m recengine models` for the list", problem="is needed to check")
    findings = check(model_class(options.name), load_data(options, report))
    broken = [finding for finding in findings if finding.error]
    report.result(
        {"model": options.name, "dataset": options.dataset, "findings": [f._asdict() for f in findings]},
        table(("", "line of the contract", "finding"), [("no" if f.error else "ok", *f) for f in findings]),
    )
    if broken:
        raise BadInput("model", options.name, problem=f"breaks {len(broken)} of {len(findings)} lines of the contract")


def train(options: argparse.Namespace, report: Reporter) -> None:
    if options.folder is not None:
        check_folder(options.folder)
    data = load_data(options, report)
    settings = read_settings(options.set)
    if options.checkpoint is not None or int(os.environ.get("WORLD_SIZE", "1")) > 1:
        return train_with_checkpoints(options, report, data, request_of(options, data, options.model, settings))
    trained = train_or_find(options, report, data, options.model, settings)
    if options.folder is not None:
        save_folder(options.folder, trained, data, positive=options.positive)
        trained = replace(trained, folder=options.folder)
    if options.validate:
        report.step(f"validating {options.model}")
    validation = validate(trained.model, request_of(options, data, options.model, settings)) if options.validate else {}
    report.result(TrainingReport.of(trained, data, validation).to_dict(), [str(trained.folder)])


def train_with_checkpoints(
    options: argparse.Namespace, report: Reporter, data: Dataset, request: TrainingRequest
) -> None:
    """Train by all processes that `torchrun` has started, or by this one; the process of rank 0 writes the model."""
    for name in ("checkpoint", "folder"):
        if getattr(options, name) is None:
            raise BadInput(name, expected="a folder", problem="is needed to train by several processes")
    with joined(options.shards, request.run.torch_device()) as world:
        report.step(f"training {request.model}")
        model, seconds = train_in_parallel(
            request,
            world,
            options.checkpoint,
            resume=options.resume,
            split_items=options.split_items,
            on_epoch=report.epochs(request.model),
        )
        if world.rank == 0:
            trained = Trained(model, options.folder, Manifest.of(model, request.origin, seconds), fresh=True)
            save_folder(options.folder, trained, data, positive=options.positive)
            report.result(TrainingReport.of(trained, data).to_dict(), [str(options.folder)])
        world.wait()
