"""What the command line prints: results on standard output, progress and notes on standard error."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from typing import NoReturn

import psutil
from tqdm import tqdm

from recengine.data.download import OnProgress
from recengine.experiments.tune import OnTrial, Trial
from recengine.export import json_ready
from recengine.files import Json
from recengine.jobs.events import (
    BytesEvent,
    EpochEvent,
    ErrorEvent,
    NoteEvent,
    ProgressEvent,
    StepEvent,
    StreamEvent,
    TrialEvent,
)
from recengine.training.progress import EpochResult, OnEpoch, Stage

SHARE_BAR = "{desc}: {percentage:3.0f}%|{bar}| {elapsed}<{remaining}"
"""The form of a bar that shows a share of the work, with the time that it took and the time left."""


class Reporter:
    """Prints a command's result in the form that was asked for, and its progress.

    json : the result is one JSON object; quiet : no progress; progress : `bar` or `jsonl`
    results_elsewhere : the file that a command writes is standard output, which gets nothing else then
    """

    results_elsewhere = False

    def __init__(self, *, as_json: bool = False, quiet: bool = False, progress: str = "bar") -> None:
        self.as_json, self.quiet, self.as_lines = as_json, quiet, progress == "jsonl"

    def result(self, value: Mapping[str, Json], lines: Iterable[str]) -> None:
        """Print the JSON object, or else the lines."""
        if self.results_elsewhere:
            return
        if self.as_json:
            ready = json_ready(value)
            text = json.dumps(ready, ensure_ascii=False)
            lines = [text if _can_write(text, "strict") else json.dumps(ready)]
        for line in lines:
            print(printable(line))

    def error(self, text: str, prefix: str = "") -> None:
        """Print in one line why the command could not be carried out, even if it is to be quiet."""
        text = " ".join(text.splitlines())
        line = _json(ErrorEvent(text)) if self.as_lines else f"recengine: {prefix}{text}"
        print(line, file=sys.stderr, flush=True)

    def note(self, text: str, model: str = "", metrics: Mapping[str, list[float]] | None = None) -> None:
        """Print a sentence on standard error; `model` and `metrics` tell a program the figures that it gives."""
        if self.as_lines:
            self._write(NoteEvent(text, model, metrics or {}))
        elif not self.quiet:
            print(text, file=sys.stderr)

    def step(self, text: str, done: int | None = None, of: int | None = None) -> None:
        """Write the next step, the number of steps done and their total, for a program that reads the lines."""
        if self.as_lines:
            self._write(StepEvent(text, None if of is None else done, of))

    def epochs(self, what: str) -> OnEpoch:
        """Return a callback that shows the epochs of one training.

        A line of JSON also has the pace (`examples_per_second`, validation included) and the memory (`memory_mb`).
        """
        bar: tqdm[NoReturn] | None = None
        earlier: EpochResult | None = None

        def on_epoch(result: EpochResult) -> None:
            nonlocal bar, earlier
            if self.as_lines:
                memory = round(psutil.Process().memory_info().rss / 1e6, 1)
                self._write(EpochEvent(what, result, _pace(earlier, result), memory))
                earlier = result
                return
            if Stage.STEPS in result.stages:
                if bar is None or 100 * result.share < bar.n:
                    bar = self._bar(total=100, unit="%", desc=", ".join([what, *result.stages[:-1]]))
                bar.update(100 * result.share - bar.n)
                if result.share == 1:
                    bar.close()
                    bar = None
                return
            if bar is None or result.done <= bar.n:
                bar = self._bar(total=result.epochs, unit="epoch")
            if Stage.PART in result.stages:
                bar.n = round(result.done, 1)
                bar.refresh()
                return
            bar.set_description(", ".join([what, *result.stages]))
            shown = {"loss": f"{result.loss:.4f}"}
            for metric, name in (("valid_ndcg@10", "NDCG@10"), ("valid_rmse", "RMSE")):
                if metric in result.metrics:
                    shown[name] = f"{result.metrics[metric]:.4f}"
            bar.set_postfix(shown)
            bar.update(result.epoch - bar.n)
            if result.epoch == result.epochs:
                bar.close()
                bar = None  # a later phase, or the refit, gets a new bar

        return on_epoch

    def trials(self, what: str, of: int) -> OnTrial:
        """Return a callback that shows the trials of one search."""
        bar: tqdm[NoReturn] | None = None

        def on_trial(trial: Trial, best: float | None) -> None:
            nonlocal bar
            if self.as_lines:
                self._write(TrialEvent(what, trial, of, best))
                return
            bar = bar or self._bar(total=of, unit="trial", desc=f"tune {what}")
            bar.set_postfix({"best": "-" if best is None else f"{best:.4f}"})
            bar.update(trial.number + 1 - bar.n)

        return on_trial

    def stream(self) -> Callable[[StreamEvent], None]:
        """Return a callback that shows the progress of a stream's replay."""
        bar: tqdm[NoReturn] | None = None

        def on_stream(event: StreamEvent) -> None:
            nonlocal bar
            if self.as_lines:
                self._write(event)
                return
            bar = bar or self._bar(total=event.of, unit=" events", desc="stream")
            bar.set_postfix({name: f"{value:.4f}" for name, value in event.moving.items() if value is not None})
            bar.update(event.done - bar.n)
            if event.done == event.of:
                bar.close()

        return on_stream

    def bytes(self, what: str) -> OnProgress:
        """Return a callback `(done, total)` that shows a download."""
        bar: tqdm[NoReturn] | None = None
        written = 0.0

        def on_progress(done: int, total: int) -> None:
            nonlocal bar, written
            if self.as_lines:
                if time.monotonic() - written > 0.2 or done == total:
                    written = time.monotonic()
                    self._write(BytesEvent(what, done, total))
                return
            bar = bar or self._bar(total=total, unit="B", unit_scale=True, desc=what)
            bar.update(done - bar.n)

        return on_progress

    def _bar(self, total: int, unit: str, desc: str | None = None, *, unit_scale: bool = False) -> tqdm[NoReturn]:
        """Return a bar, which tqdm hides where standard error is no terminal."""
        disable = True if self.quiet else None
        form = SHARE_BAR if unit == "%" else None
        return tqdm(
            total=total, unit=unit, desc=desc, unit_scale=unit_scale, disable=disable, leave=False, bar_format=form
        )

    def _write(self, event: ProgressEvent) -> None:
        if not self.quiet:
            print(_json(event), file=sys.stderr, flush=True)


def printable(text: str) -> str:
    """Return the text as standard output can write it: what its encoding lacks becomes \\u014d or the like."""
    encoding, errors = sys.stdout.encoding or "utf-8", sys.stdout.errors or "strict"
    if _can_write(text, errors):
        return text
    return text.encode(encoding, "backslashreplace").decode(encoding)


def _can_write(text: str, errors: str) -> bool:
    try:
        text.encode(sys.stdout.encoding or "utf-8", errors)
    except UnicodeEncodeError:
        return False
    return True


def _json(event: ProgressEvent) -> str:
    return json.dumps(json_ready(event.to_dict()))


def _pace(earlier: EpochResult | None, result: EpochResult) -> float | None:
    """Return the examples per second of the epochs since the earlier one of the same training."""
    epochs, seconds = result.done, result.seconds
    if earlier is not None and earlier.done < result.done:
        epochs, seconds = epochs - earlier.done, seconds - earlier.seconds
    if result.examples is None or epochs <= 0 or seconds <= 0:
        return None
    return round(result.examples * epochs / seconds, 1)
