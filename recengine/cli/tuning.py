"""The command `tune`."""

from __future__ import annotations

import argparse
import math
import shlex
from collections import Counter
from collections.abc import Iterator, Mapping

from recengine.cli.arguments import Commands, add_data_command, add_out, add_split_options, split_options, whole_number
from recengine.cli.common import load_data, read_settings
from recengine.cli.reporter import Reporter
from recengine.data.dataset import Dataset
from recengine.data.splits import Split, make_split
from recengine.errors import BadInput
from recengine.experiments.compare import versions
from recengine.experiments.search_space import as_json, search_space
from recengine.experiments.train import TrainingRequest
from recengine.experiments.tune import OPTUNA, Tuned, TuneReport, TuneRequest, load_optuna, tune
from recengine.export import counted, write_json
from recengine.files import Json
from recengine.models.registry import configure
from recengine.training.config import RunConfig, Scalar


def add_commands(commands: Commands) -> None:
    """Declare `tune`."""
    text = f"search a model's settings on validation data; needs {OPTUNA}"
    command = add_data_command(commands, "tune", tune_model, text, model=False)
    command.add_argument("model", metavar="M")
    command.add_argument(
        "--trials", type=whole_number(1), default=30, help="settings to try; the first are the presets"
    )
    command.add_argument(
        "--search",
        action="append",
        default=[],
        metavar="KEY=A:B[:log]|A,B,C",
        help="where to look for a setting, instead of the model's range",
    )
    add_split_options(command, split="leave-last")
    command.add_argument("--seeds", type=whole_number(1), default=1, help="trainings that a trial is the mean of")
    command.add_argument("--timeout", type=whole_number(1), metavar="SECONDS", help="start no trial after that long")
    add_out(command, "also write the JSON object here", endings=(".json",))


def tune_model(options: argparse.Namespace, report: Reporter) -> None:
    load_optuna()
    fixed = read_settings(options.set)
    space = search_space(options.model, fixed, read_settings(options.search, "search"))
    data = load_data(options, report)
    split = _split(data, options)
    report.step("presets", 0, options.trials)
    run = RunConfig(device=options.device, seed=options.seed)
    request = TuneRequest(
        TrainingRequest(data, options.model, fixed, run, split=split),
        space=space,
        trials=options.trials,
        seeds=options.seeds,
        timeout=options.timeout or math.inf,
    )
    tuned = tune(request, report.trials(options.model, options.trials), report.epochs(options.model))
    if len(tuned.trials) < options.trials:
        report.note(f"Stopped after {len(tuned.trials):,} of {options.trials:,} trials.")
    value = TuneReport(
        data.name,
        split.options,
        tuned.model,
        tuned.criterion,
        options.seeds,
        tuned.trials,
        tuned.best,
        tuned.preset,
        set_line(tuned.changes),
        seed=options.seed,
        device=str(run.torch_device()),
        search={key: as_json(search) for key, search in space.items()},
        settings={options.model: _best_settings(request.training, tuned)},
        fingerprint=data.fingerprint,
        versions=versions(),
    ).to_dict()
    if options.out:
        write_json(options.out, value)
    states = Counter(trial.state for trial in tuned.trials)
    report.result(
        value,
        [
            f"{data.name}, {options.split}, positives >= {options.positive:g}: {counted(options.seeds, 'seeds')}, "
            + ", ".join(f"{count:,} trials {state}" for state, count in states.items()),
            *_lines(tuned),
        ],
    )


def _best_settings(training: TrainingRequest, tuned: Tuned) -> Mapping[str, Json]:
    """Return all settings of a training with those of the best trial."""
    config, run = configure(tuned.model, dict(tuned.best.settings), training.run)
    return config.to_dict() | run.to_dict()


def _split(data: Dataset, options: argparse.Namespace) -> Split:
    """Return the split that `evaluate` makes of the same options: its test rows are not read by the search."""
    shape = split_options(options)
    if shape.pop("folds") is not None:
        raise BadInput(
            "folds",
            options.folds,
            remedy="leave it out, and search on the users that one fold trains on",
            problem="tests every user in turn, so that no row is left to choose settings on",
        )
    return make_split(
        data, options.split, given=max(options.given) if options.given else None, seed=options.seed, **shape
    )


def set_line(changes: Mapping[str, Scalar], prefix: str = "") -> str:
    """Return `--set key=value ...`, quoted for a shell, with `prefix` before each key."""
    return " ".join(f"--set {shlex.quote(f'{prefix}{key}={value}')}" for key, value in changes.items())


def _lines(tuned: Tuned) -> Iterator[str]:
    presets = "failed" if tuned.preset is None else f"{tuned.preset:.4f}"
    yield f"{tuned.criterion}: presets {presets}, best {tuned.best.value:.4f} (trial {tuned.best.number})"
    if not tuned.changes:
        yield "The presets are the best of these; there is nothing to set."
        return
    yield "for train:"
    yield set_line(tuned.changes)
    yield "for evaluate:"
    yield set_line(tuned.changes, f"{tuned.model}.")
    yield "The best of many trials is flattered by the rows that chose it; evaluate tests it on others."
