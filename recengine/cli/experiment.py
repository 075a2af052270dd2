"""The command `run`: experiments from files."""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from recengine import settings
from recengine.cli.arguments import Commands, add_command, whole_number
from recengine.cli.common import load_data
from recengine.cli.reporter import Reporter
from recengine.data.dataset import Dataset
from recengine.errors import BadInput
from recengine.experiments.cells import Cell, CellStore
from recengine.experiments.compare import Observer
from recengine.experiments.experiment import Experiment, Protocol, read_experiment
from recengine.experiments.runner import ExperimentReport, missing, plan, report_of
from recengine.experiments.workers import measure_all
from recengine.export import write_json
from recengine.files import Json, atomic_text_file
from recengine.training.progress import OnEpoch

_TEXT = "carry out experiments: data sets x models x settings x seeds x splits x k from a TOML file"
_KEPT = (
    "What is measured is kept at once, cell by cell (one model, one seed, on one split of one data set), under a key "
    "of all that it depends on. The same command goes on where it was interrupted, and measures only what a changed "
    "file adds. A cell that fails is named in the report and tried again the next time; the others are not affected. "
    "The report is written as NAME.md, NAME.json and NAME.tex. Several workers share the cores; their figures may "
    "differ from those of one in the last digits, as with any other number of threads."
)


def add_commands(commands: Commands) -> None:
    """Declare `run`."""
    command = add_command(commands, "run", run_experiments, _TEXT)
    command.epilog = _KEPT
    command.add_argument("experiments", nargs="+", type=Path, metavar="EXPERIMENT.toml")
    command.add_argument(
        "--resume",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="take what was measured before (default), or train and measure all of it again",
    )
    command.add_argument("--workers", type=whole_number(1), default=1, metavar="N", help="processes that measure")
    text = "folder for reports and cells; default: experiments in RECENGINE_HOME"
    command.add_argument("--out", dest="folder", type=Path, metavar="DIR", help=text)
    command.add_argument("--device", default=settings.default_device(), help="auto, cpu or cuda")


class _Epochs(Observer):
    """Shows the epochs of the trainings in this process."""

    def __init__(self, report: Reporter) -> None:
        self._report = report

    def training(self, what: str) -> OnEpoch:
        return self._report.epochs(what)

    evaluation = training

    def note(self, text: str) -> None:
        self._report.note(text)


class _Progress:
    """Says of each cell that it is done or failed, and how long the others may take."""

    def __init__(self, report: Reporter, cells: Sequence[Cell], workers: int) -> None:
        self._report, self._left, self._of, self._workers = report, list(cells), len(cells), workers
        self._seconds: dict[str, list[float]] = defaultdict(list)
        self.failures: dict[str, str] = {}
        self._step()

    @property
    def kept(self) -> int:
        return self._of - len(self._left) - len(self.failures)

    def __call__(self, cell: Cell, seconds: float, failure: str) -> None:
        self._left.remove(cell)
        if failure:
            self.failures[cell.key] = failure
        else:
            self._seconds[cell.name].append(seconds)
        outcome = f"no results: {failure}" if failure else f"{seconds:.1f} s"
        done = self._of - len(self._left)
        self._report.note(f"{done} of {self._of}: {cell.title}: {outcome}{self._remaining()}")
        self._step()

    def _step(self) -> None:
        self._report.step(self._left[0].title if self._left else "report", self._of - len(self._left), self._of)

    def _remaining(self) -> str:
        """Return what is left in words: a cell takes as long as those of its model, or else as those of all."""
        every = [seconds for taken in self._seconds.values() for seconds in taken]
        if not every or not self._left:
            return ""
        seconds = sum(_mean(self._seconds.get(cell.name, every)) for cell in self._left) / self._workers
        return f"; about {_duration(seconds)} left"


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _duration(seconds: float) -> str:
    minutes = round(seconds / 60)
    if minutes < 2:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 100 else f"{minutes / 60:.1f} h"


def run_experiments(options: argparse.Namespace, report: Reporter) -> None:
    folder = options.folder or settings.home() / "experiments"
    experiments = [read_experiment(path) for path in options.experiments]  # all of them before anything is trained
    names = [experiment.name for experiment in experiments]
    if repeated := next((name for name in names if names.count(name) > 1), None):
        raise BadInput("experiments", repeated, problem="names two files", remedy="rename one, or run it by itself")
    if folder.exists() and not folder.is_dir():
        raise BadInput("folder", str(folder), problem="is a file", remedy="name a folder")
    folder.mkdir(parents=True, exist_ok=True)
    reports = []
    for experiment in experiments:
        reports.append(_run(experiment, options, report, folder))
        _write(reports[-1], folder)
    value: dict[str, Json] = reports[0].to_dict()
    if len(reports) > 1:
        value = {"experiments": [one.to_dict() for one in reports]}
    report.note(f"Written to {folder}: {', '.join(f'{name}.md, .json, .tex' for name in names)}.")
    report.result(value, (line for one in reports for line in one.markdown()))


def _run(experiment: Experiment, options: argparse.Namespace, report: Reporter, folder: Path) -> ExperimentReport:
    @cache
    def loaded(name: str, counts_from: float | None) -> Dataset:
        one = vars(options) | {"dataset": name, "positive": counts_from, "split": ""} | experiment.reading.texts()
        return load_data(argparse.Namespace(**one, min_item=experiment.min_item, min_user=experiment.min_user), report)

    def load(name: str, protocol: Protocol) -> Dataset:
        counted = experiment.min_item or experiment.min_user
        return loaded(name, protocol.counts_from if counted else None)

    tables = plan(experiment, load, options.device, force=not options.resume)
    for table in tables:
        if table.problem:
            report.note(f"{table.dataset}, {table.protocol} has no results: {table.problem}")
    store = CellStore(folder)
    cells = missing(tables, store, resume=options.resume)
    of = sum(len(table.cells or ()) for table in tables)
    report.note(f"{experiment.name}: {of:,} cells, {of - len(cells):,} measured before.")
    progress = _Progress(report, cells, options.workers)
    try:
        measure_all(cells, store, progress, _Epochs(report), options.workers)
    except KeyboardInterrupt:
        report.note(
            f"{of - len(cells) + progress.kept:,} of {of:,} cells are kept; the same command goes on from there."
        )
        raise
    return report_of(experiment, tables, store, progress.failures)


def _write(report: ExperimentReport, folder: Path) -> None:
    write_json(folder / f"{report.experiment.name}.json", report.to_dict())
    for ending, lines in (("md", report.markdown()), ("tex", report.latex())):
        with atomic_text_file(folder / f"{report.experiment.name}.{ending}") as file:
            file.writelines(f"{line}\n" for line in lines)
