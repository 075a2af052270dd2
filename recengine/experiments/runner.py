"""An experiment carried out: planned, measured as far as it is not yet, and reported."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from recengine.data.dataset import Dataset
from recengine.errors import BadInput
from recengine.evaluation.readable import (
    figures_table,
    group_table,
    heading,
    remarks,
    shown_metrics,
    stream_heading,
    stream_table,
)
from recengine.evaluation.report import EvaluationReport
from recengine.evaluation.stream_report import StreamReport
from recengine.experiments.cells import Cell, CellStore, Contents, Request
from recengine.experiments.compare import NotMeasured, compare, refusal, tasks_of, versions
from recengine.experiments.experiment import Experiment, Protocol
from recengine.experiments.grid import Grid, markdown_text
from recengine.experiments.measured import from_arrays
from recengine.experiments.replay import StreamRequest, report_replays
from recengine.experiments.summary import Report, Summary
from recengine.export import counted
from recengine.files import Json

Load = Callable[[str, Protocol], Dataset]
"""Returns a data set as a split needs it; raises BadInput where it cannot."""


@dataclass(frozen=True, eq=False)
class Planned:
    """One table: a data set under one split, the cells of each model, or why there is none."""

    dataset: str
    protocol: str
    data: Dataset | None = None
    request: Request | None = None
    cells: Mapping[tuple[str, int], Cell] | None = None
    problem: str = ""


def plan(experiment: Experiment, load: Load, device: str = "auto", *, force: bool = False) -> list[Planned]:
    """Return the tables of an experiment. Raises BadInput where no table is possible."""
    tables, errors = [], []
    for name, protocol in itertools.product(experiment.datasets, experiment.protocols):
        try:
            tables.append(_planned(experiment, name, protocol, load, device, force))
        except BadInput as error:
            errors.append(error)
            tables.append(Planned(name, protocol.name, problem=refusal(error)))
    if len(errors) == len(tables):
        raise errors[0]
    return tables


def _planned(experiment: Experiment, name: str, protocol: Protocol, load: Load, device: str, force: bool) -> Planned:
    data = load(name, protocol)
    request = experiment.request(protocol, data.like_threshold, device, force=force)
    if isinstance(request, StreamRequest):
        request.stream(data)
        seeds = [experiment.seed]  # a stream is replayed once
    else:
        tasks_of(request.splits(data), request)
        seeds = [*range(experiment.seed, experiment.seed + experiment.seeds)]
    cells = {(one, seed): Cell(data, protocol.name, request, one, seed) for one in request.models for seed in seeds}
    return Planned(name, protocol.name, data, request, cells)


def missing(tables: Sequence[Planned], store: CellStore, *, resume: bool = True) -> list[Cell]:
    """Return the cells that are to be measured: those that the store does not have or, without `resume`, all."""
    by_key = {cell.key: cell for table in tables for cell in (table.cells or {}).values()}
    return [cell for key, cell in by_key.items() if not resume or store.find(key) is None]


@dataclass(frozen=True, eq=False)
class Table:
    """What was measured of a data set under one split, or why nothing was; refused : model -> why it has no results."""

    dataset: str
    protocol: str
    report: Report | None
    refused: Mapping[str, str]
    problem: str = ""

    @property
    def title(self) -> str:
        """Return the data set and the split."""
        return f"{self.dataset}, {self.protocol}"

    def grid(self) -> Grid:
        """Return the figures as a table; a model without results has an empty row."""
        assert self.report is not None
        if not isinstance(self.report, StreamReport):
            return Grid(*figures_table(self.report))
        header, rows = stream_table(self.report)
        return Grid(header, [*rows, *((name, *[None] * (len(header) - 1)) for name in self.refused)])

    def groups(self) -> Iterator[tuple[str, Grid]]:
        """Yield the tables of known and of new users, each with its title, where there are both."""
        if not isinstance(self.report, EvaluationReport):
            return
        for task in self.report.tasks:
            for group, text in ((task.warm, "known by a positive"), (task.cold, "new")):
                if group is not None:
                    after = "" if task.given is None else f", after {task.given} given"
                    shown = shown_metrics(self.report)
                    yield f"{counted(group.users, 'users')} {text}{after}", Grid(*group_table(group.results, shown))

    def sentences(self) -> Iterator[str]:
        """Yield what belongs below the table: the policy, the paired tests, what was refused and why."""
        if isinstance(self.report, EvaluationReport):
            yield from remarks(self.report, self.refused, groups=False)
        else:
            yield from (f"{name} refused: {sentence}." for name, sentence in self.refused.items())

    def heading(self) -> str:
        """Return what was measured, in a line."""
        assert self.report is not None
        return stream_heading(self.report) if isinstance(self.report, StreamReport) else heading(self.report)

    def to_dict(self) -> dict[str, Json]:
        """Return plain values: what `evaluate` and `stream` print stands under their names."""
        kind = "stream" if isinstance(self.report, StreamReport) else "evaluation"
        row: dict[str, Json] = {"dataset": self.dataset, "split": self.protocol, "problem": self.problem}
        return {**row, "refused": dict(self.refused), kind: None if self.report is None else self.report.to_dict()}


def report_of(
    experiment: Experiment, tables: Sequence[Planned], store: CellStore, failures: Mapping[str, str]
) -> ExperimentReport:
    """Return the report of what is in the store; `failures` says of the keys of other cells why they are not."""
    return ExperimentReport(experiment, tuple(_table(table, store, failures) for table in tables))


def _table(planned: Planned, store: CellStore, failures: Mapping[str, str]) -> Table:
    data, request, cells = planned.data, planned.request, planned.cells
    if data is None or request is None or cells is None:
        return Table(planned.dataset, planned.protocol, None, {}, planned.problem)

    def contents(name: str, seed: int) -> Contents:
        key = cells[name, seed].key
        stored = None if key in failures else store.find(key)
        if stored is None:
            raise NotMeasured(failures.get(key, "its cell cannot be read; run the experiment again"))
        return stored

    refused: Mapping[str, str]
    made: Report
    try:
        if isinstance(request, StreamRequest):
            made, errors = report_replays(data, request, lambda name: contents(name, request.run.seed))
            refused = {name: refusal(error) for name, error in errors.items()}
        else:
            made = compare(data, request, runs=lambda name, seed: from_arrays(*contents(name, seed)))
            refused = made.refused
    except NotMeasured:
        whys = {name: failures[cell.key] for (name, _), cell in cells.items() if cell.key in failures}
        return Table(planned.dataset, planned.protocol, None, whys, "no model has any")
    return Table(planned.dataset, planned.protocol, made, refused)


@dataclass(frozen=True, eq=False)
class ExperimentReport:
    """The tables of an experiment, written as JSON, Markdown or LaTeX."""

    experiment: Experiment
    tables: tuple[Table, ...]

    @property
    def summary(self) -> Summary | None:
        """Return the summary that the file asks for, if it does."""
        reports = {(table.dataset, table.protocol): table.report for table in self.tables if table.report is not None}
        return Summary.of(self.experiment, reports) if self.experiment.columns else None

    def to_dict(self) -> dict[str, Json]:
        """Return plain values; JSON has no NaN, so `export.json_ready` makes them null."""
        experiment = self.experiment
        return {
            "experiment": experiment.name,
            "title": experiment.title,
            "file": experiment.source,
            "written": datetime.now(UTC).date().isoformat(),
            "versions": versions(),
            "summary": None if self.summary is None else self.summary.to_dict(),
            "tables": [table.to_dict() for table in self.tables],
        }

    def markdown(self) -> Iterator[str]:
        """Yield the lines of a Markdown document."""
        experiment = self.experiment
        yield from (f"# {markdown_text(experiment.title)}", "")
        if experiment.about:
            yield from (experiment.about, "")
        if self.summary is not None:
            yield from (*self.summary.grid().markdown(), "")
        for table in self.tables:
            yield from (f"## {markdown_text(table.title)}", "")
            if table.report is None:
                yield from (f"No results: {markdown_text(table.problem)}.", "")
            else:
                yield from (markdown_text(table.heading()), "", *table.grid().markdown(), "")
            yield from (f"- {markdown_text(line)}" for line in table.sentences())
            yield ""
            for title, grid in table.groups():
                yield from (f"### {title}", "", *grid.markdown(), "")
        packages = ", ".join(f"{name} {version}" for name, version in versions().items())
        yield f"Written by `recengine run {experiment.name}.toml` with {packages}."

    def latex(self) -> Iterator[str]:
        """Yield the lines of LaTeX tables, to be read into a document with the package booktabs."""
        if self.summary is not None:
            yield from self.summary.grid().latex(self.experiment.title)
        for table in self.tables:
            if table.report is not None:
                yield from table.grid().latex(f"{table.title}. {table.heading()}", [*table.sentences()])
            for title, grid in table.groups():
                yield from grid.latex(f"{table.title}: {title}")
