"""Search a model's settings: trained on the training part of a split, compared on validation; no test row is read."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from importlib.util import find_spec
from types import ModuleType
from typing import TYPE_CHECKING, Any, Self

from recengine.data.dataset import Dataset
from recengine.data.interactions import Interactions
from recengine.errors import BadInput, suggest
from recengine.experiments.train import Settings, TrainingRequest, learning_rows
from recengine.models.base import Recommender
from recengine.models.registry import model_class
from recengine.training.config import Config, Range, RunConfig, Search
from recengine.training.loop import EpochResult, OnEpoch, best_epoch, gain

if TYPE_CHECKING:
    import optuna

OPTUNA = "optuna==5.0.0"
"""The package that searches."""
WARM_UP = 5
"""Epochs that every trial is given before it can be pruned: slow starters overtake."""


@dataclass(frozen=True)
class Trial:
    """One choice of settings that was tried; number 0 is the presets.

    settings : name -> value as the option `set` takes it, those that were fixed included
    value    : the criterion on validation, mean over the seeds; None unless complete
    state    : complete, pruned (at some epoch worse than the median trial) or failed, for `reason`
    """

    number: int
    settings: dict[str, Any]
    value: float | None
    seconds: float
    state: str
    reason: str = ""


OnTrial = Callable[[Trial, float | None], None]
"""Called after each trial with the best value so far, None while no trial is complete."""


@dataclass(frozen=True)
class Tuned:
    """The result of a search; `presets` are the values that settings have when nothing is set."""

    model: str
    criterion: str
    trials: list[Trial]
    best: Trial
    presets: dict[str, Any]

    @property
    def preset(self) -> float | None:
        """Return the value of the presets; None if they failed."""
        return self.trials[0].value

    @property
    def changes(self) -> dict[str, Any]:
        """Return the settings of the best trial that differ from the presets."""
        return {key: value for key, value in self.best.settings.items() if self.presets[key] != value}


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


def search_space(model: str, fixed: Settings, asked: Mapping[str, str]) -> dict[str, Search]:
    """Return what is searched: what the model declares, less what is `fixed`, replaced by `asked` (key -> text).

    Raises BadInput for a text that cannot be read, a setting that is both fixed and asked for, and if nothing is left.
    """
    kind = model_class(model).Config
    known = {f.name: f.metadata.get("search") for f in fields(kind)}
    space = {key: _typed(kind, key, search) for key, search in known.items() if search is not None}
    for key, text in asked.items():
        if key not in known:
            raise BadInput(
                "search",
                key,
                expected=f"one of: {', '.join(known) or 'none'}",
                problem=f"is not a setting of {model!r}{suggest(key, list(known))}",
            )
        if key in fixed:
            raise BadInput(
                "search", key, remedy="choose one of the two", problem=f"is fixed too, at {key}={fixed[key]}"
            )
        space[key] = parse_search(kind, key, text)
    space = {key: search for key, search in space.items() if key not in fixed}
    if not space:
        raise BadInput(
            "model",
            model,
            remedy="fix fewer settings, or choose another model",
            problem="has nothing left to search",
        )
    return space


def parse_search(kind: type[Config], key: str, text: str) -> Search:
    """Return the range of `low:high` or `low:high:log`, or the choices of `a,b,c`; BadInput if it is none."""
    if ":" not in text or isinstance(kind.__dataclass_fields__[key].default, str):
        return _typed(kind, key, tuple(part.strip() for part in text.split(",")))
    low, high, *scale = text.split(":")
    ends = kind.read(key, low), kind.read(key, high)
    numbers = all(isinstance(end, int | float) and not isinstance(end, bool) for end in ends)
    if not numbers or ends[0] >= ends[1] or scale not in ([], ["log"]) or (scale and ends[0] <= 0):
        raise BadInput(
            "search",
            f"{key}={text}",
            expected="LOW:HIGH, LOW:HIGH:log with LOW above 0, or A,B,C",
            problem="cannot be read",
        )
    return Range(*ends, log=bool(scale))


def tune(request: TuneRequest, on_trial: OnTrial | None = None, on_epoch: OnEpoch | None = None) -> Tuned:
    """Try settings sampled from the request's space; the same seed samples the same ones again.

    The first trial is the presets (with what is fixed). A trial's value is the mean of the model's criterion. An
    interrupt ends the search and what is complete counts. Settings that the data or the numbers do not bear fail
    their trial alone. Raises BadInput when every trial failed, or when the split has no validation rows.
    """
    training, space = request.training, request.space
    kind, run, objective = training.kind, training.run, Objective.of(request)
    presets = {key: _plain(value) for key, value in (RunConfig().to_dict() | kind.Config().to_dict()).items()}
    chosen = run.to_dict() | training.config.to_dict()
    fixed = {key: _plain(value) for key, value in chosen.items() if key in training.settings}
    study = _study(kind, run)
    study.enqueue_trial({key: presets[key] for key, search in space.items() if _inside(search, presets[key])})

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

    def __call__(self, sampled: Mapping[str, Any], first: OnEpoch, others: OnEpoch | None) -> float:
        """Return the mean criterion; the epochs of the first seed reach one callback, of the others another."""
        reached: list[float] = []
        for seed in range(self.run.seed, self.run.seed + self.seeds):
            model = self.kind(replace(self.config, **sampled)).fit(
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


def _settings(trial: optuna.Trial, space: Mapping[str, Search], presets: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a trial: what the sampler draws, or the presets in the first."""
    if trial.number:
        return {key: _draw(trial, key, search) for key, search in space.items()}
    for key, search in space.items():
        if _inside(search, presets[key]):  # a preset outside the range is tried all the same, unknown to the sampler
            _draw(trial, key, search)
    return {key: presets[key] for key in space}


def _run(
    study: optuna.Study, trial: optuna.Trial, objective: Objective, sampled: Mapping[str, Any], on_epoch: OnEpoch | None
) -> tuple[float | None, str, str]:
    """Return (value, state, reason) of a trial, and report it to the study."""
    from optuna import TrialPruned
    from optuna.trial import TrialState

    try:
        value = objective(sampled, _pruned(trial, objective.kind.criterion, on_epoch), on_epoch)
    except TrialPruned:
        study.tell(trial, state=TrialState.PRUNED)
        return None, "pruned", ""
    except (BadInput, RuntimeError) as error:  # RuntimeError: torch's word for a singular matrix or no memory
        study.tell(trial, state=TrialState.FAIL)
        return None, "failed", str(error)
    study.tell(trial, value)
    return value, "complete", ""


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


def _typed(kind: type[Config], key: str, search: Search) -> Search:
    """Return the search with its values as the field has them, so that 1 and 1.0 are one."""
    if isinstance(search, Range):
        return Range(kind.read(key, search.low), kind.read(key, search.high), search.log)
    return tuple(dict.fromkeys(_plain(kind.read(key, value)) for value in search))


def _plain(value: Any) -> Any:
    """Return a value as the option `set` takes it: the numbers of a tuple joined by commas."""
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else value


def _inside(search: Search, value: Any) -> bool:
    if isinstance(search, Range):
        return value is not None and search.low <= value <= search.high
    return value in search


def _draw(trial: optuna.Trial, key: str, search: Search) -> Any:
    """Return a value of the search; numbers with a point keep three digits, as one would write them."""
    if not isinstance(search, Range):
        return trial.suggest_categorical(key, search)
    if isinstance(search.low, int) and isinstance(search.high, int):
        return trial.suggest_int(key, search.low, search.high, log=search.log)
    value = trial.suggest_float(key, search.low, search.high, log=search.log)
    return min(max(float(f"{value:.3g}"), search.low), search.high)
