"""The commands `promote` and `rollback`."""

from __future__ import annotations

import argparse

from recengine.cli.arguments import Commands, add_data_command, whole_number
from recengine.cli.common import load_data, read_settings
from recengine.cli.reporter import Reporter
from recengine.errors import BadInput
from recengine.export import table
from recengine.files import Json
from recengine.serving.event_log import EventLog
from recengine.serving.promotion import CAP, Promoted, promote, promoted_models, rollback, served_models
from recengine.training.config import RunConfig


def add_commands(commands: Commands) -> None:
    """Declare `promote` and `rollback`."""
    for name, run, text in (
        ("promote", promote_log, "let incremental models learn visitors' ratings, unless that makes them worse"),
        ("rollback", roll_back, "serve the snapshot from before the last promotion again"),
    ):
        command = add_data_command(commands, name, run, text, model=False)
        default = "all that the app serves" if name == "promote" else "all that were promoted"
        command.add_argument("--model", action="append", metavar="M", help=f"an incremental model; default: {default}")
        if name == "promote":
            command.add_argument(
                "--cap", type=whole_number(1), default=CAP, help="ratings of one visitor that count at most"
            )


def promote_log(options: argparse.Namespace, report: Reporter) -> None:
    """Promote the chosen models, by default all incremental ones that the app serves."""
    data, run = load_data(options, report), _run(options)
    results = {}
    for name in options.model or served_models(data, run=run, positive=options.positive):
        report.step(f"replaying the log onto {name}")
        results[name] = promote(
            data,
            EventLog(),
            name=name,
            run=run,
            positive=options.positive,
            cap=options.cap,
            on_epoch=report.epochs(name),
        )
    _report(options, report, results)


def roll_back(options: argparse.Namespace, report: Reporter) -> None:
    """Roll the chosen models back, by default all that have been promoted."""
    data, run = load_data(options, report), _run(options)
    names = options.model or promoted_models(data, run=run, positive=options.positive)
    _report(options, report, {name: rollback(data, name=name, run=run, positive=options.positive) for name in names})


def _run(options: argparse.Namespace) -> RunConfig:
    if settings := read_settings(options.set):
        problem = f"{next(iter(settings))} cannot be used here: the app serves the presets alone"
        raise BadInput("set", problem=problem)
    return RunConfig(device=options.device, seed=options.seed)


def _report(options: argparse.Namespace, report: Reporter, results: dict[str, Promoted]) -> None:
    """Report the first model's result at the top level, and all of them under `results`."""
    values: dict[str, dict[str, Json]] = {}
    lines: list[str] = []
    for name, done in results.items():
        metrics = {rival: {key: m._asdict() for key, m in part.items()} for rival, part in done.metrics.items()}
        values[name] = {**done._asdict(), "metrics": metrics}
        rows = [
            (key, f"{m.value:.4f}", rival, f"{m.rival:.4f}", f"{m.low:.4f}", f"{m.high:.4f}")
            for rival, part in done.metrics.items()
            for key, m in part.items()
        ]
        lines += table(("hold-out", "new", "against", "value", "low", "high"), rows) if rows else []
        lines.append(f"{'Now' if done.promoted else 'Still'} serving version {done.version} of {name}: {done.why}.")
    first = next(iter(values))
    report.result({"dataset": options.dataset, "model": first, **values[first], "results": values}, lines)
