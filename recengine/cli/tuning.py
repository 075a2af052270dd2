"""The command `tune`."""

from __future__ import annotations

import argparse
import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict

from recengine.cli.common import load_data, read_settings
from recengine.cli.reporter import Reporter
from recengine.data.splits import make_split
from recengine.experiments.tune import Tuned, load_optuna, search_space, tune
from recengine.export import write_json
from recengine.training.config import RunConfig


def tune_model(options: argparse.Namespace, report: Reporter) -> None:
    load_optuna()
    fixed = read_settings(options.set)
    space = search_space(options.model, fixed, read_settings(options.search, "--search"))
    data = load_data(options, report)
    split = make_split(data, options.split, positive=options.positive, min_item=options.min_item, seed=options.seed)
    report.step("presets", 0, options.trials)
    tuned = tune(
        data,
        split,
        options.model,
        trials=options.trials,
        space=space,
        fixed=fixed,
        run=RunConfig(device=options.device, seed=options.seed),
        seeds=options.seeds,
        timeout=options.timeout or math.inf,
        on_trial=report.trials(options.model, options.trials),
        on_epoch=report.epochs(options.model),
    )
    if len(tuned.trials) < options.trials:
        report.note(f"Stopped after {len(tuned.trials):,} of {options.trials:,} trials.")
    value = {
        "dataset": data.name,
        "split": split.about,
        "model": tuned.model,
        "criterion": tuned.criterion,
        "seeds": options.seeds,
        "trials": [asdict(trial) for trial in tuned.trials],
        "best": {key: getattr(tuned.best, key) for key in ("number", "settings", "value")},
        "preset": tuned.preset,
        "set": tuned.set_line(),
    }
    if options.out:
        write_json(options.out, value)
    states = Counter(trial.state for trial in tuned.trials)
    report.result(
        value,
        [
            f"{data.name}, {options.split}, positives >= {options.positive:g}: {options.seeds} seed(s), "
            + ", ".join(f"{count:,} trials {state}" for state, count in states.items()),
            *_told(tuned),
        ],
    )


def _told(tuned: Tuned) -> Iterator[str]:
    presets = "failed" if tuned.preset is None else f"{tuned.preset:.4f}"
    yield f"{tuned.criterion}: presets {presets}, best {tuned.best.value:.4f} (trial {tuned.best.number})"
    if not tuned.set_line():
        yield "The presets are the best of these; there is nothing to set."
        return
    yield "for train:"
    yield tuned.set_line()
    yield "for evaluate:"
    yield tuned.set_line(f"{tuned.model}.")
    yield "The best of many trials is flattered by the rows that chose it; evaluate tests it on others."
