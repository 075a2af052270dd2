"""What the commands share: the data set, the trained model, `--set`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from recengine.cli.arguments import flag_of, reading_of
from recengine.cli.reporter import Reporter
from recengine.data.dataset import Dataset
from recengine.data.sources import SOURCES, is_present, load_dataset
from recengine.errors import BadInput, renamed
from recengine.experiments.model_folder import Aligned, ModelFolder, align, as_trained, open_folder
from recengine.experiments.store import Trained
from recengine.experiments.train import TrainingRequest, memory_needed, obtain, unknown_items
from recengine.training.config import RunConfig, Settings

BATCH = 1024
"""Users that are served at once."""
STATED_FROM = 500_000_000
"""Bytes of memory from which on a training says what it takes before it starts."""

OF_TRAINING = ("model", "set", "seed", "device", "positive", "min_item", "min_user")
"""Options that a model folder has settled."""


def open_model_folder(options: argparse.Namespace) -> None:
    """Open the model folder that the options name, if any: from here on they have its model and its threshold."""
    options.opened = None
    if getattr(options, "model_folder", None) is None:
        return
    settled = [name for name in OF_TRAINING if name in options._given or (name == "set" and options.set)]
    if settled:
        problem = "is for a training, and the model in a folder is trained"
        raise BadInput(settled[0], remedy=f"leave `{settled[0]}` or `model_folder` out", problem=problem)
    stated = reading_of(options).texts()
    if stated and "dataset" not in options._given:
        problem = "says how a data set is to be read, and none is named"
        raise BadInput(next(iter(stated)), remedy="name the `dataset`, or leave it out", problem=problem)
    options.opened = opened = open_folder(options.model_folder)
    options.model, options.positive = opened.model.name, opened.positive


def load_aligned(options: argparse.Namespace, report: Reporter) -> Aligned:
    """Load the data set as the model knows it: that of the model folder, if one is named and nothing else is."""
    opened: ModelFolder | None = getattr(options, "opened", None)
    if opened is None:
        return as_trained(load_dataset_of(options, report))
    if "dataset" not in options._given:
        return as_trained(opened.dataset)
    data = load_dataset_of(options, report)
    aligned = align(data, opened)
    if aligned.unknown_items:
        which = f"{aligned.unknown_items:,} of {data.n_items:,} items"
        report.note(f"{which} are unknown to the model in {opened.folder}, so it cannot list them.")
    if len(aligned.new_ids):
        which = f"{len(aligned.new_ids):,} of {data.n_users:,} users"
        report.note(f"{which} are new to the model in {opened.folder}; it goes by their ratings in {data.name} alone.")
    return aligned


def load_data(options: argparse.Namespace, report: Reporter) -> Dataset:
    """Load the data set; with a model folder, in the index space of its model."""
    return load_aligned(options, report).dataset


def load_dataset_of(options: argparse.Namespace, report: Reporter) -> Dataset:
    """Load the data set as the options ask for it: without rare items and users, and say what cleaning did.

    It is fetched first when it is registered and missing. For the split `sitting` all ratings count as positives.
    """
    name = options.dataset
    if name in SOURCES and not is_present(name):
        report.note(f"{name} is not here yet; fetching it.")
    report.step(f"reading {name}")
    data = load_dataset(name, reading=reading_of(options), on_progress=report.bytes(name))
    flag = flag_of(options.command)
    for inference in data.inferences:
        report.note(renamed(inference.sentence, flag))
    if getattr(options, "positive", 0) is None:
        options.positive = data.like_threshold
    if "min_item" in options:
        counted = 0 if getattr(options, "split", None) == "sitting" else options.positive
        data = data.reduced(min_user=options.min_user, min_item=options.min_item, positive=counted)
    for line in data.cleaning.lines()[1:]:
        report.note(line)
    return data


def train_or_find(
    options: argparse.Namespace, report: Reporter, data: Dataset, name: str, settings: Settings
) -> Trained:
    """Return the model that the options ask for, trained now if the store does not have it, and say so."""
    if (opened := getattr(options, "opened", None)) is not None:
        return opened.trained
    report.step(f"training {name}")
    request, force = request_of(options, data, name, settings), getattr(options, "force", False)
    if force or not request.folder.exists():
        needed = memory_needed(data, request.kind(request.config))
        if needed >= STATED_FROM:
            report.note(f"Training {name} on {data.name}, which takes about {needed / 1e9:,.1f} GB of memory.")
    trained = obtain(request, force=force, on_epoch=report.epochs(name))
    if trained.fresh:
        report.note(f"Trained {name} on {data.name} in {trained.manifest.seconds:.1f} s.")
    if unknown := unknown_items(trained.model):
        report.note(unknown)
    return trained


def request_of(options: argparse.Namespace, data: Dataset, name: str, settings: Settings) -> TrainingRequest:
    """Return the training that the options ask for."""
    run = RunConfig(device=options.device, seed=options.seed)
    return TrainingRequest(data, name, settings, run, options.positive)


def settings_by_model(
    pairs: Sequence[str], models: Sequence[str], default: str | None = None
) -> dict[str, dict[str, str]]:
    """Return model -> key -> value of texts such as `model.key=value`; `key=value` is for the model `default`."""
    by_model: dict[str, dict[str, str]] = {name: {} for name in models}
    for key, value in read_settings(pairs).items():
        model, _, field = key.rpartition(".")
        model = model or default or ""
        if model not in by_model or not field:
            plain = "KEY=VALUE, or " if default else ""
            raise BadInput("set", f"{key}={value}", f"{plain}MODEL.KEY=VALUE with one of: {', '.join(by_model)}")
        by_model[model][field] = value
    return by_model


def read_settings(pairs: Sequence[str], option: str = "set") -> dict[str, str]:
    """Return key -> value of texts such as `key=value`, given to `option`, each key once."""
    settings: dict[str, str] = {}
    for pair in pairs:
        if "=" not in pair:
            raise BadInput(option, pair, expected="KEY=VALUE", problem="is not a setting")
        key, value = pair.split("=", 1)
        if key in settings:
            raise BadInput(option, pair, remedy="give it once", problem=f"comes after {key}={settings[key]}")
        settings[key] = value
    return settings
