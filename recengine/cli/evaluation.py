"""The command `evaluate`."""

from __future__ import annotations

import argparse
import itertools
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from recengine.cli.arguments import (
    Commands,
    add_data_command,
    add_out,
    add_split_options,
    dataset_names,
    flag_of,
    split_options,
    whole_number,
    whole_numbers,
)
from recengine.cli.common import load_data, settings_by_model
from recengine.cli.reporter import Reporter
from recengine.data.dataset import Dataset
from recengine.errors import BadInput, renamed
from recengine.evaluation.intervals import LEAST_USERS
from recengine.evaluation.policy import FALLBACKS, MASKS, EvaluationPolicy
from recengine.evaluation.readable import lines as readable_lines
from recengine.evaluation.report import EvaluationReport
from recengine.experiments.compare import ComparisonRequest, Observer, compare, refusal
from recengine.experiments.measured import Measured
from recengine.export import TABLES, Cell, check_out, write_json, write_table
from recengine.files import Json
from recengine.metrics import RANKING_METRICS
from recengine.models.registry import model_class
from recengine.training.config import RunConfig, Settings
from recengine.training.progress import OnEpoch

_DEFINITIONS = (
    "Where libraries differ: map@k divides by min(k, relevant items), as LensKit does; map_by_n@k by the relevant "
    "items, as ranx and RecTools do; ndcg@k by a perfect list of min(k, relevant items); novelty@k counts the users in "
    "training alone. A model that refuses the data or fails has no results: the others are given, the exit status is "
    f"0, and standard error says why. Fewer than {LEAST_USERS} users get neither interval nor test."
)


def add_commands(commands: Commands) -> None:
    """Declare `evaluate`."""
    text = "evaluate models by full ranking"
    command = add_data_command(commands, "evaluate", evaluate_models, text, model=False, several=True)
    command.epilog = _DEFINITIONS
    command.add_argument("models", nargs="+", metavar="M")
    add_split_options(command)
    command.add_argument("--mask", choices=tuple(MASKS), default="seen", help=_choices(MASKS))
    command.add_argument("--fallback", choices=tuple(FALLBACKS), default="popularity", help=_choices(FALLBACKS))
    text = "length of the lists; of several the first decides who leads"
    command.add_argument("-k", type=whole_numbers, default=[10], metavar="K,...", help=text)
    command.add_argument(
        "--negatives", type=whole_number(0), default=0, help="adds metrics against N sampled negatives"
    )
    command.add_argument("--seeds", type=whole_number(1), default=1, help="trainings to average")
    command.add_argument("--force", action="store_true", help="train even if it is in the store")
    add_out(command, "also write the JSON object here", endings=(".json",))
    command.add_argument("--users", type=Path, metavar="F", help="also write the figures and the list of each user")


def _choices(texts: Mapping[str, str]) -> str:
    return "; ".join(f"{name}: {text}" for name, text in texts.items())


class _Progress(Observer):
    """Reports a comparison as it goes, and keeps the figures and the list of each user.

    begun : counts the trainings, of which there are `trainings`, over all data sets
    """

    def __init__(
        self,
        report: Reporter,
        data: Dataset,
        lengths: Sequence[int],
        begun: Iterator[int],
        trainings: int,
        flag: Callable[[str], str],
    ) -> None:
        self._report, self._data, self._k, self._trainings, self._flag = report, data, lengths[0], trainings, flag
        self._begun = begun
        self.metrics = [f"{name}@{k}" for k in lengths for name in RANKING_METRICS]
        self.users: list[tuple[Cell, ...]] = []
        self.refusals: dict[str, str] = {}

    def training(self, what: str) -> OnEpoch:
        self._report.step(what, next(self._begun), self._trainings)
        return self._report.epochs(what)

    def evaluation(self, what: str) -> OnEpoch:
        return self._report.epochs(what)

    def note(self, text: str) -> None:
        self._report.note(text)

    def measured(self, name: str, tasks: Sequence[Measured]) -> None:
        key = f"ndcg@{self._k}"
        values = [task.figures()[key].value for task in tasks]
        shown = ", ".join(f"{value:.4f}" for value in values)
        self._report.note(f"{name}: NDCG@{self._k} {shown}", name, {key: values})
        ranking = tasks[0].ranking
        columns = [ranking.per_user[metric].tolist() for metric in self.metrics]
        lists = [to_list(self._data.item_ids[row[row >= 0]].tolist()) for row in ranking.lists]
        ids = self._data.user_ids[ranking.users].tolist()
        self.users.extend(zip(itertools.repeat(self._data.name), itertools.repeat(name), ids, *columns, lists))

    def refused(self, name: str, error: Exception) -> None:
        self.refusals[name] = refusal(error, self._flag)
        self._report.note(f"{name} has no results: {self.refusals[name]}")


def to_list(ids: Sequence[Cell]) -> str:
    """Return ids, which may hold spaces or commas, as one cell of a CSV: a JSON list."""
    return json.dumps(ids, ensure_ascii=False)


def evaluate_models(options: argparse.Namespace, report: Reporter) -> None:
    for name in options.models:
        model_class(name)
    models = settings_by_model(options.set, options.models)
    if options.users:
        check_out(options.users, "users", TABLES)
    names = dataset_names(options)
    loaded = [_loaded(options, report, name) for name in names]  # all of them before anything is trained
    flag = flag_of(options.command)
    trainings, begun = len(names) * len(models) * options.seeds * (options.folds or 1), itertools.count()
    compared: list[tuple[EvaluationReport, _Progress]] = []
    errors: dict[str, BadInput] = {}
    for one, data in loaded:
        progress = _Progress(report, data, options.k, begun, trainings, flag)
        try:
            compared.append((compare(data, _request(one, models), progress), progress))
        except BadInput as error:
            errors[one.dataset] = error
            if len(errors) == len(loaded):
                raise next(iter(errors.values())) from None
            report.note(f"{one.dataset} has no results: {refusal(error, flag)}")
    if options.users:
        header = ("dataset", "model", "user_id", *compared[0][1].metrics, "list")
        write_table(options.users, header, itertools.chain.from_iterable(progress.users for _, progress in compared))
    results = [comparison.to_dict() for comparison, _ in compared]
    refused = {name: refusal(error) for name, error in errors.items()}
    value: dict[str, Json] = results[0] if len(names) == 1 else {"datasets": results, "refused": refused}
    if options.out:
        write_json(options.out, value)
    lines = [line for comparison, progress in compared for line in (*readable_lines(comparison, progress.refusals), "")]
    report.result(value, [renamed(line, flag) for line in lines[:-1]])


def _loaded(options: argparse.Namespace, report: Reporter, name: str) -> tuple[argparse.Namespace, Dataset]:
    """Return the options of one of the data sets, whose scale may set its threshold, and that data set."""
    one = argparse.Namespace(**{**vars(options), "dataset": name})
    return one, load_data(one, report)


def _request(options: argparse.Namespace, models: Mapping[str, Settings]) -> ComparisonRequest:
    """Return what the options ask for on one data set."""
    return ComparisonRequest(
        models,
        options.split,
        **split_options(options),
        given=options.given and tuple(options.given),
        policy=EvaluationPolicy(options.mask, options.fallback),
        k=options.k[0],
        cutoffs=tuple(options.k[1:]),
        negatives=options.negatives,
        seeds=options.seeds,
        run=RunConfig(device=options.device, seed=options.seed),
        force=options.force,
    )
