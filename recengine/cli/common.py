"""What the commands share: the data set, the trained model, `--set`."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence

from recengine.cli.arguments import flag_of, reading_of
from recengine.cli.reporter import Reporter
from recengine.data.dataset import Dataset
from recengine.data.sources import SOURCES, is_present, load_dataset
from recengine.errors import BadInput
from recengine.experiments.store import Trained
from recengine.experiments.train import TrainingRequest, obtain, unknown_items
from recengine.training.config import RunConfig, Settings

BATCH = 1024
"""Users that are served at once."""


def load_data(options: argparse.Namespace, report: Reporter) -> Dataset:
    """Load the data set, fetching it first when it is registered and missing, and say what cleaning did."""
    name = options.dataset
    if name in SOURCES and not is_present(name):
        report.note(f"{name} is not here yet; fetching it.")
    report.step(f"reading {name}")
    data = load_dataset(name, reading=reading_of(options), on_progress=report.bytes(name))
    flag = flag_of(options.command)
    for inference in data.inferences:
        report.note(re.sub(r"`(\w+)`", lambda match: flag(match[1]), inference.sentence))
    for line in data.cleaning.lines()[1:]:
        report.note(line)
    if getattr(options, "positive", 0) is None:
        options.positive = data.like_threshold
    return data


def train_or_find(
    options: argparse.Namespace, report: Reporter, data: Dataset, name: str, settings: Settings
) -> Trained:
    """Return the model that the options ask for, trained now if the store does not have it, and say so."""
    report.step(f"training {name}")
    run = RunConfig(device=options.device, seed=options.seed)
    request = TrainingRequest(data, name, settings, run, options.positive)
    trained = obtain(request, force=getattr(options, "force", False), on_epoch=report.epochs(name))
    if trained.fresh:
        report.note(f"Trained {name} on {data.name} in {trained.manifest.seconds:.1f} s.")
    if unknown := unknown_items(trained.model):
        report.note(unknown)
    return trained


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
