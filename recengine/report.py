"""What the command line says: results on standard output, progress and notes on standard error."""

from __future__ import annotations

import csv
import io
import json
import math
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, TextIO

import psutil
from tqdm import tqdm

from recengine.data.download import OnProgress
from recengine.errors import BadInput
from recengine.files import whole_text_file
from recengine.training.loop import OnEpoch, stage

Cell = str | int | float | None


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
        earlier: Mapping[str, float] = {}

        def on_epoch(row: Mapping[str, float]) -> None:
            nonlocal bar, earlier
            if self.progress == "jsonl":
                memory = {"memory_mb": round(psutil.Process().memory_info().rss / 1e6, 1)}
                self._line({"event": "epoch", "model": what, **row, **_pace(earlier, row), **memory})
                earlier = row
                return
            if bar is None or row["epoch"] <= bar.n:
                bar = self._bar(total=int(row["epochs"]), unit="epoch")
            bar.set_description(", ".join(filter(None, (what, stage(row)))))
            shown = {"loss": f"{row['loss']:.4f}"}
            if "valid_ndcg@10" in row:
                shown["NDCG@10"] = f"{row['valid_ndcg@10']:.4f}"
            if "valid_rmse" in row:
                shown["RMSE"] = f"{row['valid_rmse']:.4f}"
            bar.set_postfix(shown)
            bar.update(int(row["epoch"]) - bar.n)
            if row["epoch"] == row["epochs"]:
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


def _pace(earlier: Mapping[str, float], row: Mapping[str, float]) -> dict[str, float]:
    """Return how many examples a second the epochs since the earlier row of the same training took."""
    start = earlier if earlier and earlier["epoch"] < row["epoch"] else {"epoch": 0.0, "seconds": 0.0}
    epochs, seconds = row["epoch"] - start["epoch"], row["seconds"] - start["seconds"]
    known = "examples" in row and epochs > 0 and seconds > 0
    return {"examples_per_second": round(row["examples"] * epochs / seconds, 1)} if known else {}


def json_ready(value: Any) -> Any:
    """Return the value with NaN and infinities as null, so that every JSON reader takes it."""
    if isinstance(value, Mapping):
        return {str(k): json_ready(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [json_ready(v) for v in value]
    if hasattr(value, "item"):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value


def table(header: Sequence[str], rows: Iterable[Sequence[Cell]]) -> list[str]:
    """Return the lines of a plain table: text to the left, numbers to the right."""
    shown = [[_cell(value) for value in row] for row in rows]
    widths = [max(len(r[i]) for r in [list(header), *shown]) for i in range(len(header))]
    right = [bool(shown) and all(_is_number(r[i]) for r in shown) for i in range(len(header))]

    def line(cells: Sequence[str]) -> str:
        return "  ".join(c.rjust(w) if r else c.ljust(w) for c, w, r in zip(cells, widths, right, strict=True)).rstrip()

    return [line(header), line(["-" * w for w in widths]), *map(line, shown)]


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[Cell]]) -> None:
    """Write a CSV whole or not at all; text that a spreadsheet would run as a formula is prefixed with '."""
    with _out(path) as file:
        _write_rows(file, header, rows)


def csv_text(header: Sequence[str], rows: Iterable[Sequence[Cell]]) -> str:
    """Return what `write_csv` writes."""
    file = io.StringIO(newline="")
    _write_rows(file, header, rows)
    return file.getvalue()


def _write_rows(file: TextIO, header: Sequence[str], rows: Iterable[Sequence[Cell]]) -> None:
    writer = csv.writer(file)
    writer.writerow([_harmless(cell) for cell in header])
    writer.writerows([_harmless(cell) for cell in row] for row in rows)


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write one JSON object, whole or not at all."""
    with _out(path) as file:
        json.dump(json_ready(value), file, indent=1, ensure_ascii=False)


def check_out(path: Path, option: str = "--out") -> None:
    """Raise BadInput unless an option names a file in a folder that exists."""
    if not path.parent.is_dir():
        raise BadInput(f"{option} {path}: the folder {path.parent} does not exist; create it or choose another place")
    if path.is_dir():
        raise BadInput(f"{option} {path} is a folder; name a file in it")


def _out(path: Path) -> AbstractContextManager[TextIO]:
    check_out(path)
    return whole_text_file(path)


def _harmless(cell: Cell) -> Cell:
    return f"'{cell}" if isinstance(cell, str) and cell[:1] in ("=", "+", "-", "@", "\t", "\r") else cell


def _cell(value: Cell) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "-"
    return f"{value:.4f}" if isinstance(value, float) else str(value)


def _is_number(text: str) -> bool:
    return text.replace(",", "").replace(".", "").replace("-", "").isdigit() or text == "-"
