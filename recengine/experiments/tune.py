"""Search a model's settings: trained on the training part of a split, compared on validation; no test row is read."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from importlib.util import find_spec
from types import ModuleType
from typing import TYPE_CHECKING, Self

from recengine.data.dataset import Dataset
from recengine.data.interactions import Interactions
from recengine.data.splits import SplitSetting
from recengine.errors import BadInput
from recengine.evaluation.policy import EvaluationPolicy
from recengine.experiments.search_space import covers, draw, plain
from recengine.experiments.train import TrainingRequest, learning_rows
from recengine.files import Json, JsonObject
from recengine.models.base import Recommender
from recengine.training.config import Config, RunConfig, Scalar, Search
from recengine.training.loop import best_epoch, gain
from recengine.training.progress import EpochResult, OnEpoch

if TYPE_CHECKING:
    import optuna

ON_VALIDATION = EvaluationPolicy(mask="positives", fallback="none")
"""How lists are made on validation: only what a model learns from is hidden, and only users in training count."""
OPTUNA = "optuna==5.0.0"
"""The package that searches."""
WARM_UP = 5
"""Epochs that every trial is given before it can be pruned: slow starters overtake."""


class TrialState(StrEnum):
    """The end of a trial; pruned: at some epoch it was worse than the median trial."""

    COMPLETE = "complete"
    PRUNED = "pruned"
    FAILED = "failed"


@dataclass(frozen=True)
class Trial:
    """One choice of settings that was tried; number 0 is the presets.

    settings : name -> value as the option `set` takes it, those that were fixed included
    value    : the criterion on validation, mean over the seeds; None unless complete
    reason   : why it failed
    """

    number: int
    settings: Mapping[str, Scalar]
    value: float | None
    seconds: float
    state: TrialState
    reason: str = ""

    @classmethod
    def from_dict(cls, row: JsonObject) -> Self:
        """Read what `dataclasses.asdict` gave; other keys are left alone."""
        return cls(
            row["number"],
            row["settings"],
            row["value"],
            row["seconds"],
            TrialState(row["state"]),
            row.get("reason", ""),
        )


OnTrial = Callable[[Trial, float | None], None]
"""Called after each trial with the best value so far, None while no trial is complete."""


@dataclass(frozen=True)
class Tuned:
    """The result of a search; `presets` are the values that settings have when nothing is set."""

    model: str
    criterion: str
    trials: list[Trial]
    best: Trial
    presets: Mapping[str, Scalar]

    @property
    def preset(self) -> float | None:
        """Return the value of the presets; None if they failed."""
        return self.trials[0].value

    @property
    def changes(self) -> dict[str, Scalar]:
        """Return the settings of the best trial that differ from the presets."""
        return {key: value for key, value in self.best.settings.items() if self.presets[key] != value}


@dataclass(frozen=True)
class TuneReport:
    """The result of `tune`: written as JSON by the command line, read by the app.

    split   : the split's settings; seeds : trainings that a trial is the mean of
    preset  : the value of the presets; None if they failed
    set     : the settings of the best trial that differ from the presets, as arguments of a command
    seed    : of the first training; device : that they ran on
    search  : where each setting was looked for: low, high and log, or a list of choices
    policy  : how lists are made on validation; settings : model -> all of its settings in the best trial
    fingerprint : of the data set's content; versions : of the packages that computed the values
    """

    dataset: str
    split: Mapping[str, SplitSetting]
    model: str
    criterion: str
    seeds: int
    trials: Sequence[Trial]
    best: Trial
    preset: float | None
    set: str
    seed: int = 0
    device: str = ""
    search: Mapping[str, Json] = field(default_factory=dict)
    policy: EvaluationPolicy = ON_VALIDATION
    settings: Mapping[str, Mapping[str, Json]] = field(default_factory=dict)
    fingerprint: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Json]:
        """Return what `tune --json` prints."""
        best = {"number": self.best.number, "settings": self.best.settings, "value": self.best.value}
        trials = [asdict(trial) for trial in self.trials]
        return {**vars(self), "trials": trials, "best": best, "policy": self.policy.to_dict()}

    @classmethod
    def from_dict(cls, row: JsonObject) -> Self:
        """Read what `to_dict` wrote. Raises KeyError or TypeError for what is not a report."""
        trials = {trial.number: trial for trial in map(Trial.from_dict, row["trials"])}
        policy = EvaluationPolicy.from_dict(row["policy"]) if "policy" in row else ON_VALIDATION
        best = trials[row["best"]["number"]]
        return cls(**{**row, "trials": list(trials.values()), "best": best, "policy": policy})


@dataclass(frozen=True, eq=False)
class TuneRequest:
    """What is searched: a training on the split of it, with its settings fixed, and where to look for the others.

    seeds   : trainings that a trial is the mean of, with the seeds run.seed, run.seed + 1, ...
    timeout : seconds after which no trial starts
    """

    training: TrainingRequest
    space: Mapping[str, Search]
    trials: int
    seeds: int = 1
    timeout: float = math.inf


def can_tune() -> bool:
    """Return whether optuna, which searches, is installed."""
    return find_spec("optuna") is not None


def load_optuna() -> ModuleType:
    """Return the module that searches; BadInput when it is not installed."""
    try:
        import optuna
    except ImportError:
        raise BadInput(
            "tune", remedy=f"run `pip install {OPTUNA}`", problem="needs optuna, which is not installed"
        ) from None
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna


def tune(request: TuneRequest, on_trial: OnTrial | None = None, on_epoch: OnEpoch | None = None) -> Tuned:
    """Try settings sampled from the request's space; the same seed samples the same ones again.

    The first trial is the presets (with what is fixed). A trial's value is the mean of the model's criterion. An
    interrupt ends the search and what is complete counts. Settings that the data or the numbers do not bear fail
    their trial alone. Raises BadInput when every trial failed, or when the split has no validation rows.
    """
    training, space = request.training, request.space
    kind, run, objective = training.kind, training.run, Objective.of(request)
    presets = {key: plain(value) for key, value in (RunConfig().to_dict() | kind.Config().to_dict()).items()}
    chosen = run.to_dict() | training.config.to_dict()
    fixed = {key: plain(value) for key, value in chosen.items() if key in training.settings}
    study = _study(kind, run)
    study.enqueue_trial({key: presets[key] for key, search in space.items() if covers(search, presets[key])})

    trials: list[Trial] = []
    started = time.perf_counter()
    try:
        while len(trials) < request.trials and (not trials or time.perf_counter() - started < request.timeout):
            trial = study.ask()
            sampled = _settings(trial, space, presets)
            began = time.perf_counter()
            value, state, reason = _run(study, trial, objective, sampled, on_epoch)
            trials.append(Trial(trial.number, fixed | sampled, value, time.perf_counter() - began, state, reason))
            best = _best(trials, kind.criterion)
            if on_trial is not None:
                on_trial(trials[-1], best.value if best else None)
    except KeyboardInterrupt:
        if _best(trials, kind.criterion) is None:
            raise
    best = _best(trials, kind.criterion)
    if best is None:
        raise BadInput("model", training.model, problem=f"completes no trial; the last one failed: {trials[-1].reason}")
    return Tuned(training.model, kind.criterion, trials, best, presets)


def _study(kind: type[Recommender], run: RunConfig) -> optuna.Study:
    """Return an empty study of a model's criterion."""
    optuna = load_optuna()
    return optuna.create_study(
        direction="maximize" if gain(kind.criterion, 1.0) > 0 else "minimize",
        sampler=optuna.samplers.TPESampler(seed=run.seed),
        pruner=optuna.pruners.MedianPruner(n_warmup_steps=WARM_UP),
    )


@dataclass(frozen=True, eq=False)
class Objective:
    """Trains a model with some settings and returns its value on validation."""

    dataset: Dataset
    train: Interactions
    valid: Interactions
    kind: type[Recommender]
    config: Config
    run: RunConfig
    seeds: int

    @classmethod
    def of(cls, request: TuneRequest) -> Self:
        """Return what a request searches. Raises BadInput when its split has no validation rows."""
        training = request.training
        train, valid = learning_rows(training)
        if not len(valid):
            split = None if training.split is None else training.split.options.get("split")
            raise BadInput(
                "split",
                split,
                remedy="choose another split",
                problem="leaves no validation rows to choose settings on",
            )
        return cls(training.dataset, train, valid, training.kind, training.config, training.run, request.seeds)

    def __call__(self, sampled: Mapping[str, Scalar], first: OnEpoch, others: OnEpoch | None) -> float:
        """Return the mean criterion; the epochs of the first seed reach one callback, of the others another."""
        reached: list[float] = []
        for seed in range(self.run.seed, self.run.seed + self.seeds):
            model = self.kind(self.kind.Config.from_dict(self.config.to_dict() | dict(sampled))).fit(
                self.train,
                valid=self.valid,
                items=self.dataset.items,
                users=self.dataset.user_table,
                run=replace(self.run, seed=seed),
                on_epoch=others if reached else first,
            )
            reached.append(validation_value(model, self.train, self.valid))
        value = sum(reached) / self.seeds
        if not math.isfinite(value):
            raise BadInput(self.kind.criterion, value, expected="a finite number")
        return value


def validation_value(model: Recommender, train: Interactions, valid: Interactions) -> float:
    """Return the model's criterion on validation: its best epoch's, or for a closed form what it scores now."""
    best = best_epoch(model.training_log, model.criterion)
    if best is not None:
        return best.metrics[model.criterion]
    return model.validator(train, valid)()[model.criterion]


def _settings(trial: optuna.Trial, space: Mapping[str, Search], presets: Mapping[str, Scalar]) -> dict[str, Scalar]:
    """Return the settings of a trial: what the sampler draws, or the presets in the first."""
    if trial.number:
        return {key: draw(trial, key, search) for key, search in space.items()}
    for key, search in space.items():
        if covers(search, presets[key]):  # a preset outside the range is tried all the same, unknown to the sampler
            draw(trial, key, search)
    return {key: presets[key] for key in space}


def _run(
    study: optuna.Study,
    trial: optuna.Trial,
    objective: Objective,
    sampled: Mapping[str, Scalar],
    on_epoch: OnEpoch | None,
) -> tuple[float | None, TrialState, str]:
    """Return (value, state, reason) of a trial, and report it to the study."""
    from optuna import TrialPruned
    from optuna import trial as optuna_trial

    try:
        value = objective(sampled, _pruned(trial, objective.kind.criterion, on_epoch), on_epoch)
    except TrialPruned:
        study.tell(trial, state=optuna_trial.TrialState.PRUNED)
        return None, TrialState.PRUNED, ""
    except (BadInput, RuntimeError) as error:  # RuntimeError: torch's word for a singular matrix or no memory
        study.tell(trial, state=optuna_trial.TrialState.FAIL)
        return None, TrialState.FAILED, str(error)
    study.tell(trial, value)
    return value, TrialState.COMPLETE, ""


def _pruned(trial: optuna.Trial, criterion: str, on_epoch: OnEpoch | None) -> OnEpoch:
    """Return a callback that ends a trial at an epoch at which the median of the others was better."""
    from optuna import TrialPruned

    def watch(result: EpochResult) -> None:
        if on_epoch is not None:
            on_epoch(result)
        if criterion in result.metrics:
            trial.report(result.metrics[criterion], result.epoch)
            if trial.should_prune():
                raise TrialPruned

    return watch


def _best(trials: Sequence[Trial], criterion: str) -> Trial | None:
    """Return the best complete trial, the first of equals."""
    complete = [(gain(criterion, trial.value), trial) for trial in trials if trial.value is not None]
    return max(complete, key=lambda pair: pair[0])[1] if complete else None
