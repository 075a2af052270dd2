"""The summary of an experiment: chosen metrics of its tables side by side, with what others have published."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from recengine.evaluation.glossary import METRICS
from recengine.evaluation.intervals import Interval
from recengine.evaluation.report import EvaluationReport
from recengine.evaluation.stream_report import StreamReport
from recengine.experiments.experiment import Column, Experiment, Published
from recengine.experiments.grid import Grid
from recengine.export import Cell
from recengine.files import Json, JsonObject

Report = EvaluationReport | StreamReport


@dataclass(frozen=True)
class Summary:
    """The figures of each model by the head of the column, in the order of the file."""

    columns: Sequence[Column]
    published: Sequence[Published]
    figures: Mapping[str, Mapping[str, Interval]]

    @classmethod
    def of(cls, experiment: Experiment, reports: Mapping[tuple[str, str], Report]) -> Self:
        """Return the summary of reports by data set and split; models of streams that no one named are among them."""
        names = [variant.name for variant in experiment.variants]
        for report in reports.values():
            names += list(report.models) if isinstance(report, StreamReport) else []
        figures: dict[str, dict[str, Interval]] = {name: {} for name in names}
        for column in experiment.columns:
            report_of = reports.get((column.dataset, column.split))
            for name, row in figures.items() if report_of is not None else ():
                figure = _figure(report_of, column, name)
                if figure is not None and not math.isnan(figure.value):
                    row[column.head] = Interval(*(part / column.divide_by for part in figure))
        return cls(experiment.columns, experiment.published, figures)

    def to_dict(self) -> dict[str, Json]:
        """Return plain values; JSON has no NaN, so `export.json_ready` makes them null."""
        return {name: {head: f._asdict() for head, f in row.items()} for name, row in self.figures.items()}

    @classmethod
    def from_dict(cls, experiment: Experiment, row: JsonObject) -> Self:
        """Read what `to_dict` wrote for the same file."""
        figures = {n: {head: Interval.from_dict(f) for head, f in figures.items()} for n, figures in row.items()}
        return cls(experiment.columns, experiment.published, figures)

    def grid(self) -> Grid:
        """Return the table. The best figure of a column stands out, whosever it is."""
        heads = [column.head for column in self.columns]
        rows: list[list[Cell]] = []
        values: list[list[float]] = []
        for name, figures in self.figures.items():
            texts = [_text(figures.get(column.head), column) for column in self.columns]
            rows.append([name, *texts, *(["ours"] if self.published else [])])
            values.append([figures[head].value if head in figures else math.nan for head in heads])
        for one in self.published:
            printed = [_printed(one.figures[head]) if head in one.figures else None for head in heads]
            rows.append([one.model, *printed, f"{one.source}; {one.protocol}"])
            values.append([one.figures.get(head, math.nan) for head in heads])
        header = ["model", *heads, *(["whose figures; protocol"] if self.published else [])]
        return Grid(header, rows, frozenset(self._best(values)))

    def _best(self, values: Sequence[Sequence[float]]) -> set[tuple[int, int]]:
        best = set()
        for number, column in enumerate(self.columns):
            better = METRICS[base].better if (base := column.metric.partition("@")[0]) in METRICS else ""
            known = [row[number] for row in values if not math.isnan(row[number])]
            if better and not column.ahead_of and len(known) > 1:
                value = max(known) if better == "more" else min(known)
                best |= {(r, number + 1) for r, row in enumerate(values) if row[number] == value}
        return best


def _figure(report: Report | None, column: Column, name: str) -> Interval | None:
    if isinstance(report, StreamReport):
        if name not in report.models:
            return None
        figures = report.models[name]
        return {f"recall@{report.k}": figures.recall, f"recall@{report.k}_rest": figures.rest}.get(column.metric)
    assert report is not None
    task = next((task for task in report.tasks if task.given == column.given), report.first)
    if column.group:
        group = task.warm if column.group == "warm" else task.cold
        if group is None:
            return None
        task = group.results
    if not column.ahead_of:
        return task.metrics.get(name, {}).get(column.metric)
    lead = task.ahead_of.get(column.ahead_of, {}).get(name)
    return lead and Interval(*lead[:3])


def _text(figure: Interval | None, column: Column) -> str | None:
    if figure is None:
        return None

    def text(value: float, sign: str = "") -> str:
        return _short(f"{value:{sign}.{column.digits}f}")

    known = not math.isnan(figure.half)
    if column.ahead_of:
        span = f" ({text(figure.low, '+')} to {text(figure.high, '+')})" if known else ""
        return f"{text(figure.value, '+')}{span}"
    return text(figure.value) + (f" ± {text(figure.half)}" if known and column.interval else "")


def _printed(value: float) -> str:
    """Return a published figure: three digits after the point, or four where it has them."""
    return _short(f"{value:.4f}".removesuffix("0"))


def _short(text: str) -> str:
    """Return a number as tables print it, without the zero before the point."""
    return re.sub(r"^([+-]?)0\.", r"\1.", text)
