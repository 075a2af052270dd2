"""The commands `promote` and `rollback`."""

from __future__ import annotations

import argparse

from recengine.cli.common import load_data, read_settings
from recengine.cli.reporter import Reporter
from recengine.errors import BadInput
from recengine.export import table
from recengine.serving.event_log import EventLog
from recengine.serving.promotion import Promoted, promote, rollback
from recengine.training.config import RunConfig


def promote_log(options: argparse.Namespace, report: Reporter) -> None:
    data, run = load_data(options, report), _run(options)
    report.step(f"replaying the log onto {options.model}")
    done = promote(
        data,
        EventLog(),
        name=options.model,
        run=run,
        positive=options.positive,
        cap=options.cap,
        on_epoch=report.epochs(options.model),
    )
    _tell(options, report, done)


def roll_back(options: argparse.Namespace, report: Reporter) -> None:
    data = load_data(options, report)
    _tell(options, report, rollback(data, name=options.model, run=_run(options), positive=options.positive))


def _run(options: argparse.Namespace) -> RunConfig:
    if settings := read_settings(options.set):
        raise BadInput(f"--set {next(iter(settings))}: the app serves the presets alone, so nothing else is promoted")
    return RunConfig(device=options.device, seed=options.seed)


def _tell(options: argparse.Namespace, report: Reporter, done: Promoted) -> None:
    metrics = {rival: {key: m._asdict() for key, m in found.items()} for rival, found in done.metrics.items()}
    value = {"dataset": options.dataset, "model": options.model, **done._asdict(), "metrics": metrics}
    rows = [
        (key, f"{m.value:.4f}", rival, f"{m.rival:.4f}", f"{m.low:.4f}", f"{m.high:.4f}")
        for rival, found in done.metrics.items()
        for key, m in found.items()
    ]
    said = f"{'Now' if done.promoted else 'Still'} serving version {done.version} of {options.model}: {done.why}."
    report.result(value, [*(table(("hold-out", "new", "against", "value", "low", "high"), rows) if rows else []), said])
