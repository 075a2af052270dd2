"""Compare models: train them or find them in the store, evaluate them on one task, test the differences."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
import torch

from recengine import __version__
from recengine.data.dataset import Dataset
from recengine.data.splits import HOLDS_OUT_USERS, Split, make_folds
from recengine.errors import BadInput
from recengine.evaluation.policy import EvaluationPolicy
from recengine.evaluation.ranking import check_negatives, evaluate, no_fold_in
from recengine.evaluation.ratings import rating_errors
from recengine.evaluation.report import EvaluationReport, EvaluationSettings, Group, TaskResults
from recengine.evaluation.significance import against_leader, ahead_of
from recengine.experiments.measured import Measured, Runs, aggregate
from recengine.experiments.train import TrainingRequest, obtain, unknown_items
from recengine.models.base import Recommender
from recengine.models.registry import configure, model_class
from recengine.training.config import RunConfig, Settings
from recengine.training.progress import OnEpoch, OnStep, Stage, no_step, steps_of


@dataclass(frozen=True)
class ComparisonRequest:
    """Which models are compared on which split.

    models : name -> settings; kinds : name -> model, of those that do not have its name
    given  : of `cold-user` (default: 10) and `sitting` (12), the number of ratings known of a held-out user. Several
             numbers face the same targets, those after `targets_after` (default: the largest), and one training
             serves them all
    folds  : of these, the folds in each of which other users are held out; default: `sitting` all of five, `cold-user`
             one of five alone
    seeds  : trainings of each model, from the seed of `run` up; a user's value is the mean of theirs
    k, cutoffs : length of the lists, which decides who leads, and further lengths at which metrics are computed
    negatives : adds metrics among that many sampled items
    The others are those of `make_split`.
    """

    models: Mapping[str, Settings]
    split: str
    positive: float = 4.0
    share: float | None = None
    ties: str = "item"
    given: tuple[int, ...] | None = None
    targets_after: int | None = None
    folds: int | None = None
    k: int = 10
    cutoffs: tuple[int, ...] = ()
    negatives: int = 0
    seeds: int = 1
    run: RunConfig = RunConfig()  # noqa: RUF009 - frozen
    policy: EvaluationPolicy = EvaluationPolicy()  # noqa: RUF009 - frozen
    force: bool = False
    kinds: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        sits = self.split == "sitting"
        if self.given is None:
            object.__setattr__(self, "given", (12,) if sits else (10,))
        if sits and self.folds is None and self.share is None:
            object.__setattr__(self, "folds", 5)

    @property
    def numbers(self) -> tuple[int, ...]:
        """Return the numbers of ratings known of a held-out user."""
        return self.given or ()

    def kind(self, name: str) -> str:
        """Return the model that a name stands for."""
        return self.kinds.get(name, name)

    def splits(self, dataset: Dataset) -> list[Split]:
        """Return the split of each fold. Raises BadInput for a split that the data cannot bear."""
        if len(self.numbers) > 1 and self.split not in HOLDS_OUT_USERS:
            raise BadInput(
                "given",
                ",".join(map(str, self.numbers)),
                remedy="choose `split` 'cold-user' or 'sitting'",
                problem=f"has no meaning for split {self.split!r}",
            )
        return make_folds(
            dataset,
            self.split,
            folds=self.folds,
            positive=self.positive,
            share=self.share,
            ties=self.ties,
            given=max(self.numbers),
            targets_after=self.targets_after,
            seed=self.run.seed,
        )

    def settings(self, dataset: Dataset, split: Split) -> EvaluationSettings:
        """Return the settings that a report gives of the request."""
        options = dict(split.options)
        if len(self.numbers) > 1:
            options["given"] = list(self.numbers)
        if self.folds is not None:
            del options["fold"]
            options["folds"] = self.folds
        models = {n: configure(self.kind(n), dict(settings), self.run) for n, settings in self.models.items()}
        return EvaluationSettings(
            dataset.name,
            options,
            self.k,
            self.seeds,
            cutoffs=self.cutoffs,
            policy=self.policy,
            models={
                name: ({"model": self.kinds[name]} if name in self.kinds else {}) | config.to_dict() | run.to_dict()
                for name, (config, run) in models.items()
            },
            seed=self.run.seed,
            device=str(self.run.torch_device()),
            fingerprint=dataset.fingerprint,
            versions=versions(),
        )


class NotMeasured(Exception):  # noqa: N818 - it says what is so, as BadInput does
    """A model has no results, for a reason that was put into words when it was to be measured."""


class Observer:
    """Follows a comparison; this one ignores what it is passed."""

    def training(self, what: str) -> OnEpoch | None:
        """Return the callback for the epochs of the training that comes next."""
        return None

    def evaluation(self, what: str) -> OnEpoch | None:
        """Return the callback for the steps of the evaluation that comes next."""
        return None

    def note(self, text: str) -> None:
        """Take a sentence."""

    def measured(self, name: str, tasks: Sequence[Measured]) -> None:
        """Take what a model reached on each task."""

    def refused(self, name: str, error: Exception) -> None:
        """Take the error of a model that has no results."""


def compare(
    dataset: Dataset,
    request: ComparisonRequest,
    observer: Observer | None = None,
    runs: Callable[[str, int], Runs] | None = None,
) -> EvaluationReport:
    """Train, evaluate and compare models.

    runs : returns what a name reached with a seed, where that was measured before; it may raise why it was not

    A model that refuses the data, or fails, does not take the results of the others with it: the report says why it
    has none. Raises BadInput for an unknown name or a setting out of range, and what the first model raised where all
    of them failed.
    """
    observer = observer or Observer()
    splits, given = request.splits(dataset), request.numbers
    settings, folds = request.settings(dataset, splits[0]), tasks_of(splits, request)
    runs = runs or (lambda name, seed: measure_seed(dataset, request, name, seed, folds, observer))
    by_model: dict[str, list[Measured]] = {}
    errors: dict[str, Exception] = {}
    for name in request.models:
        try:
            seeds = range(request.run.seed, request.run.seed + request.seeds)
            by_seed = [runs(name, seed) for seed in seeds]
            by_model[name] = [aggregate([[f[task] for f in run] for run in by_seed]) for task in range(len(folds[0]))]
            observer.measured(name, by_model[name])
        except Exception as error:
            errors[name] = error
            if len(errors) == len(request.models):
                raise next(iter(errors.values())) from None
            observer.refused(name, error)
    references = [name for name in by_model if model_class(request.kind(name)).is_reference]
    tasks = [
        summarise(
            {name: measured[task] for name, measured in by_model.items()},
            request.k,
            references=references,
            given=given[task] if len(given) > 1 else None,
        )
        for task in range(len(folds[0]))
    ]
    return EvaluationReport(
        settings,
        users=len(next(iter(by_model.values()))[0].ranking.users),
        left_out=sum(split.left_out for split in splits),
        items=len(splits[0].candidates),
        tasks=tuple(tasks),
        refused={name: refusal(error) for name, error in errors.items()},
    )


def refusal(error: Exception, name_of: Callable[[str], str] = str) -> str:
    """Return why a model has no results: what it refuses, or in what it failed. `name_of` renames the fields."""
    if isinstance(error, NotMeasured):
        return str(error)
    return error.sentence(name_of) if isinstance(error, BadInput) else f"failed: {type(error).__name__}: {error}"


def versions() -> dict[str, str]:
    """Return the versions of what computes the figures."""
    return {
        "recengine": __version__,
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "numpy": np.__version__,
    }


def tasks_of(splits: Sequence[Split], request: ComparisonRequest) -> list[list[Split]]:
    """Return the tasks of each fold. Raises BadInput for more sampled items than a user has left."""
    for split in splits if request.negatives else ():
        check_negatives(split, request.negatives, request.policy)
    return [[s.give(n) for n in request.numbers] if s.history is not None else [s] for s in splits]


def measure_seed(
    dataset: Dataset,
    request: ComparisonRequest,
    name: str,
    seed: int,
    folds: Sequence[Sequence[Split]],
    observer: Observer,
) -> Runs:
    """Train a model with one seed, on each fold, and return what it reaches on each task."""
    kind = request.kind(name)
    if folds[0][0].history is not None and "fold-in" not in model_class(kind).abilities:
        raise no_fold_in(name)
    runs: Runs = []
    for number, tasks in enumerate(folds, 1):
        fold = f", fold {number} of {request.folds}" if request.folds else ""
        training = TrainingRequest(
            dataset,
            kind,
            settings=request.models[name],
            run=replace(request.run, seed=seed),
            split=tasks[0],  # what is learned is the same for all of a fold's tasks
        )
        what = f"{name}, seed {seed}{fold}"
        trained = obtain(training, force=request.force, on_epoch=observer.training(what))
        if number == 1 and seed == request.run.seed and (unknown := unknown_items(trained.model)):
            observer.note(unknown)
        costs = {"train_seconds": trained.manifest.seconds, "megabytes": trained.manifest.bytes / 1e6}
        runs.append([])
        for split in tasks:
            on_step = steps_of(observer.evaluation(what), Stage.EVALUATION)
            runs[-1].append(measure(trained.model, split, request, dataset.items, seed, costs, on_step))
    return runs


def measure(
    model: Recommender,
    split: Split,
    request: ComparisonRequest,
    items: pd.DataFrame,
    seed: int,
    costs: Mapping[str, float],
    on_step: OnStep = no_step,
) -> Measured:
    """Evaluate one trained model on one split; `costs` are those of its training."""
    started = time.perf_counter()
    ranking = evaluate(
        model,
        split,
        k=request.k,
        cutoffs=request.cutoffs,
        policy=request.policy,
        items=items,
        negatives=request.negatives,
        seed=seed,
        on_step=on_step,
    )
    per_user = 1e3 * (time.perf_counter() - started) / len(ranking.users)
    rated = "ratings" in model.abilities and not split.test.implicit
    errors = rating_errors(model, split) if rated else None
    return Measured(ranking, errors, [{**costs, "evaluate_ms_per_user": per_user}])


def summarise(
    by_model: Mapping[str, Measured], k: int, *, references: Collection[str] = (), given: int | None = None
) -> TaskResults:
    """Return the results of models on the same task, with the paired tests; warm and cold users also apart."""
    whole = replace(_results(by_model, k, references), given=given)
    warm = next(iter(by_model.values())).ranking.warm
    if warm.all() or not warm.any():
        return whole
    groups = [
        Group(int(chosen.sum()), _results({name: m.of(chosen) for name, m in by_model.items()}, k, references))
        for chosen in (warm, ~warm)
    ]
    return replace(whole, warm=groups[0], cold=groups[1])


def _results(by_model: Mapping[str, Measured], k: int, references: Collection[str]) -> TaskResults:
    gain = {name: measured.ranking.per_user[f"ndcg@{k}"] for name, measured in by_model.items()}
    loss = {name: -measured.errors.user_mae for name, measured in by_model.items() if measured.errors is not None}
    leader, behind = against_leader(gain)
    ordered = {name: measured.ranking.per_user.get("pairs") for name, measured in by_model.items()}
    known = {name: values[~np.isnan(values)] for name, values in ordered.items() if values is not None}
    pairs_leader, pairs_behind = against_leader(known) if known else ("", {})
    return TaskResults(
        metrics={name: measured.figures() for name, measured in by_model.items()},
        leader=leader,
        behind_leader=behind,
        pairs_leader=pairs_leader,
        pairs_behind=pairs_behind,
        ahead_of={
            name: ahead_of(name, loss, share=False) if name in loss else ahead_of(name, gain) for name in references
        },
        popularity_fallback={name: int(measured.ranking.fallback.sum()) for name, measured in by_model.items()},
    )
