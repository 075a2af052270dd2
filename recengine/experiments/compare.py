"""Compare models: train them or find them in the store, evaluate them on one task, test the differences."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from recengine.data.dataset import Dataset
from recengine.data.splits import Split, make_folds
from recengine.errors import BadInput
from recengine.evaluation.comparison import Measured, measure, put_together, results
from recengine.evaluation.ranking import Evaluation, no_fold_in
from recengine.experiments.train import obtain, unknown_items
from recengine.models.registry import model_class
from recengine.training.config import RunConfig
from recengine.training.loop import OnEpoch


def compare(
    dataset: Dataset,
    models: Mapping[str, Mapping[str, Any]],
    split: str,
    *,
    given: Sequence[int] = (10,),
    folds: int | None = None,
    k: int = 10,
    negatives: int = 0,
    seeds: int = 1,
    run: RunConfig = RunConfig(),  # noqa: B008 - frozen
    force: bool = False,
    progress: Callable[[str], OnEpoch | None] = lambda what: None,
    note: Callable[[str], None] = lambda text: None,
    each: Callable[[str, Evaluation], None] = lambda name, ranking: None,
    reached: Callable[[str, Mapping[str, list[float]]], None] = lambda name, metrics: None,
    **options: Any,
) -> dict[str, Any]:
    """Return what `evaluate --json` prints: the task, how many people are tested, and the `results` of the models.

    models   : name -> settings
    given    : of `cold-user`, how many ratings of a held-out person are known. Several numbers face the same targets,
               those after `targets_after` (default: the largest), and one training serves them all; their results
               stand in `by_given`, a list with one object for each number, which says it as `given`
    folds    : of `cold-user`, the folds in each of which other people are held out; default: one of five alone
    seeds    : trainings of each model, from the seed of `run` up; a user's value is the mean of theirs
    progress : gives, for what is trained, the callback of its epochs; note : takes a sentence
    each     : takes every model's ranking with its values by person; where several numbers are given, that of the first
    reached  : takes a model's name, and metric key -> its value on each task
    options  : the others of `make_split`

    `left_out` counts the people held out who have no target.
    Raises BadInput for an unknown name, a setting out of range, or a model that cannot serve the people held out.
    """
    if len(given) > 1 and split != "cold-user":
        raise BadInput(f"given={','.join(map(str, given))} has no meaning for split {split!r}; choose 'cold-user'")
    parts = make_folds(dataset, split, folds=folds, given=max(given), seed=run.seed, **options)
    cold = parts[0].history is not None
    for name in models:
        if cold and "fold-in" not in model_class(name).abilities:
            raise no_fold_in(name)
    tasks = [[part.give(n) for n in given] if cold else [part] for part in parts]  # for each fold, each number

    def measured(name: str, fold: Sequence[Split], seed: int, what: str) -> list[Measured]:
        trained = obtain(
            dataset,
            name,
            settings=dict(models[name]),
            run=replace(run, seed=seed),
            split=fold[0],  # what is learned is the same for all of a fold's tasks
            force=force,
            on_epoch=progress(what),
        )
        unknown = unknown_items(trained.model)
        if unknown and fold is tasks[0] and seed == run.seed:
            note(unknown)
        costs = {"train_seconds": trained.manifest["seconds"], "megabytes": trained.manifest["bytes"] / 1e6}
        return [
            measure(trained.model, task, k=k, items=dataset.items, negatives=negatives, seed=seed, costs=costs)
            for task in fold
        ]

    found: list[dict[str, Measured]] = [{} for _ in tasks[0]]
    for name in models:
        runs = [
            [
                measured(name, fold, seed, f"{name}, seed {seed}" + (f", fold {n} of {folds}" if folds else ""))
                for n, fold in enumerate(tasks, 1)
            ]
            for seed in range(run.seed, run.seed + seeds)
        ]
        for place, of_task in enumerate(found):
            of_task[name] = put_together([[fold[place] for fold in each] for each in runs])
        each(name, found[0][name].ranking)
        reached(name, {f"ndcg@{k}": [of_task[name].means()[f"ndcg@{k}"][0] for of_task in found]})
    blocks = [results(of_task, k) for of_task in found]
    about = dict(parts[0].about)
    if len(given) > 1:
        about["given"] = list(given)
    if folds is not None:
        del about["fold"]
        about["folds"] = folds
    return {
        "dataset": dataset.name,
        "split": about,
        "k": k,
        "users": len(next(iter(found[0].values())).ranking.users),
        "left_out": sum(part.left_out for part in parts),
        "items": len(parts[0].candidates),
        "seeds": seeds,
        **(
            blocks[0]
            if len(given) == 1
            else {"by_given": [{"given": n} | r for n, r in zip(given, blocks, strict=True)]}
        ),
    }
