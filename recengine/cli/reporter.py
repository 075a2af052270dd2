"""What the command line prints: results on standard output, progress and notes on standard error."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import psutil
from tqdm import tqdm

from recengine.data.download import OnProgress
from recengine.export import json_ready
from recengine.training.loop import EpochResult, OnEpoch


class Reporter:
    """Prints a command's result in the form that was asked for, and its progress.

    json : the result is one JSON object; quiet : no progress; progress : `bar` or `jsonl`
    """

    def __init__(self, *, as_json: bool = False, quiet: bool = False, progress: str = "bar") -> None:
        self.as_json, self.quiet, self.progress = as_json, quiet, progress

    def note(self, text: str) -> None:
        """Say a sentence on standard error: what is fetched, trained, substituted or dropped."""
        if self.progress == "jsonl":
            self._line({"event": "note", "text": text})
        elif not self.quiet:
            print(text, file=sys.stderr)

    def step(self, text: str, done: int | None = None, of: int | None = None) -> None:
        """Say what is done next, and how many of how many such steps are done; only those who follow the lines ask."""
        if self.progress == "jsonl":
            self._line({"event": "step", "text": text} | ({} if of is None else {"done": done, "of": of}))

    def result(self, value: Mapping[str, Any], lines: Iterable[str]) -> None:
        """Print the JSON object, or else the lines."""
        if self.as_json:
            print(json.dumps(json_ready(value), ensure_ascii=False))
        else:
            for line in lines:
                print(line)

    def epochs(self, what: str) -> OnEpoch:
        """Return a callback that shows the epochs of one training.

        A line of JSON also has the pace (`examples_per_second`, validation included) and the memory (`memory_mb`).
        """
        bar: tqdm[Any] | None = None
        earlier: EpochResult | None = None

        def on_epoch(result: EpochResult) -> None:
            nonlocal bar, earlier
            if self.progress == "jsonl":
                memory = {"memory_mb": round(psutil.Process().memory_info().rss / 1e6, 1)}
                self._line({"event": "epoch", "model": what, **result.to_dict(), **_pace(earlier, result), **memory})
                earlier = result
                return
            if bar is None or result.epoch <= bar.n:
                bar = self._bar(total=result.epochs, unit="epoch")
            bar.set_description(", ".join([what, *result.stages]))
            shown = {"loss": f"{result.loss:.4f}"}
            for metric, name in (("valid_ndcg@10", "NDCG@10"), ("valid_rmse", "RMSE")):
                if metric in result.metrics:
                    shown[name] = f"{result.metrics[metric]:.4f}"
            bar.set_postfix(shown)
            bar.update(result.epoch - bar.n)
            if result.epoch == result.epochs:
                bar.close()
                bar = None  # a later phase, or the refit, has a bar of its own

        return on_epoch

    def trials(self, what: str) -> Callable[[Mapping[str, Any]], None]:
        """Return a callback that shows the trials of one search."""
        bar: tqdm[Any] | None = None

        def on_trial(row: Mapping[str, Any]) -> None:
            nonlocal bar
            if self.progress == "jsonl":
                self._line({"event": "trial", "model": what, **row})
                return
            bar = bar or self._bar(total=row["trials"], unit="trial", desc=f"tune {what}")
            bar.set_postfix({"best": "-" if row["best"] is None else f"{row['best']:.4f}"})
            bar.update(row["number"] + 1 - bar.n)

        return on_trial

    def stream(self) -> Callable[[Mapping[str, Any]], None]:
        """Return a callback that shows how far a stream has been replayed."""
        bar: tqdm[Any] | None = None

        def on_stream(row: Mapping[str, Any]) -> None:
            nonlocal bar
            if self.progress == "jsonl":
                self._line({"event": "stream", **row})
                return
            bar = bar or self._bar(total=row["of"], unit=" events", desc="stream")
            bar.set_postfix({name: f"{value:.4f}" for name, value in row["moving"].items() if value is not None})
            bar.update(row["done"] - bar.n)
            if row["done"] == row["of"]:
                bar.close()

        return on_stream

    def bytes(self, what: str) -> OnProgress:
        """Return a callback `(done, total)` that shows a download."""
        bar: tqdm[Any] | None = None
        said = 0.0

        def on_progress(done: int, total: int) -> None:
            nonlocal bar, said
            if self.progress == "jsonl":
                if time.monotonic() - said > 0.2 or done == total:
                    said = time.monotonic()
                    self._line({"event": "bytes", "what": what, "done": done, "total": total})
                return
            bar = bar or self._bar(total=total, unit="B", unit_scale=True, desc=what)
            bar.update(done - bar.n)

        return on_progress

    def _bar(self, **about: Any) -> tqdm[Any]:
        """Return a bar, which tqdm hides where standard error is no terminal."""
        return tqdm(disable=True if self.quiet else None, leave=False, **about)

    def _line(self, row: Mapping[str, Any]) -> None:
        if not self.quiet:
            print(json.dumps(json_ready(row)), file=sys.stderr, flush=True)


def _pace(earlier: EpochResult | None, result: EpochResult) -> dict[str, float]:
    """Return how many examples a second the epochs since the earlier one of the same training took."""
    epochs, seconds = result.epoch, result.seconds
    if earlier is not None and earlier.epoch < result.epoch:
        epochs, seconds = epochs - earlier.epoch, seconds - earlier.seconds
    if result.examples is None or epochs <= 0 or seconds <= 0:
        return {}
    return {"examples_per_second": round(result.examples * epochs / seconds, 1)}
