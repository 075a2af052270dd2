"""Train a model in parallel, from where its last checkpoint stands, and hand over the finished model."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from recengine.data.interactions import Interactions
from recengine.errors import BadInput
from recengine.experiments.parallel.alternating import AlternatingTraining
from recengine.experiments.parallel.checkpoint import Checkpoints
from recengine.experiments.parallel.gradient import GradientTraining
from recengine.experiments.parallel.learner import Learner, learner_of
from recengine.experiments.parallel.world import World
from recengine.experiments.train import TrainingRequest, learning_rows
from recengine.files import Json
from recengine.models.base import FitContext, Recommender
from recengine.models.factors.ials import IALS
from recengine.training.loop import Validate, best_epoch, one_thread, ranking_validator, run_epochs
from recengine.training.optimizers import make_schedule
from recengine.training.progress import EpochResult, OnEpoch, OnStep


def train_in_parallel(
    request: TrainingRequest,
    world: World,
    checkpoint: Path,
    *,
    resume: bool = False,
    split_items: bool = False,
    on_epoch: OnEpoch | None = None,
) -> tuple[Recommender, float]:
    """Train this process's part of a model, and return the model with the seconds that it took.

    It learns from the training rows of `learning_rows`, validation chooses the epoch, and nothing is fitted again: what
    chose the epoch is not learned from. Each epoch ends with a checkpoint in the folder `checkpoint`, from which
    `resume` goes on with any number of processes that divides the shards. The model of the process of rank 0 is
    complete. All processes take the same batches, whatever their number; their sums differ in rounding alone.

    Raises BadInput for a model that one process has to train, and for checkpoints of another training.
    """
    started = time.perf_counter()
    train, valid = learning_rows(request)
    model = request.kind(request.config)
    model.n_users, model.n_items = train.n_users, train.n_items
    context = FitContext(valid if len(valid) else None, request.dataset.items, None, request.run, on_epoch)
    with one_thread(world.device):
        learner: Learner | None = None
        part: GradientTraining | AlternatingTraining
        if isinstance(model, IALS):
            part = AlternatingTraining(world, model, train, request.run.seed)
            rows = part.rows
        else:
            learner = learner_of(model, train, context, world)
            clip = float(getattr(model.config, "clip", 0.0))
            part = GradientTraining(world, learner, split_items=split_items, clip=clip)
            rows = learner.rows
        checkpoints = Checkpoints(checkpoint, world, _identity(request, world, split_items))
        log = checkpoints.log()
        if log and not resume:
            remedy = "resume it, or name another folder"
            raise BadInput("checkpoint", str(checkpoint), remedy=remedy, problem="holds a training already")
        own_valid = valid.of_users(world.own_users(train.n_users))
        validate = None if context.valid is None else _validator(world, part, model, rows, own_valid)
        model.training_log = _run(model, part, world, checkpoints, log, context, validate)
        seconds = time.perf_counter() - started
        if isinstance(part, AlternatingTraining):
            part.finish(train)
        else:
            assert learner is not None
            tables = {name: part.whole(name, train.n_users) for name in part.of_users}
            tables |= {name: part.whole(name, train.n_items) for name in part.of_items}
            learner.finish(train, tables)
            learner.model.network.eval()
    return model, seconds


def _run(
    model: Recommender,
    part: GradientTraining | AlternatingTraining,
    world: World,
    checkpoints: Checkpoints,
    log: list[EpochResult],
    context: FitContext,
    validate: Validate | None,
) -> list[EpochResult]:
    """Run the epochs that are left, with a checkpoint after each, and return the whole log."""
    epochs, patience = context.run.epochs or model.preset_epochs or 1, context.run.patience or model.preset_patience
    schedule = getattr(model.config, "schedule", "none")
    adjust = make_schedule(schedule, getattr(part, "optimizers", ()), epochs)
    best, number = best_epoch(log, model.criterion), log[-1].epoch if log else 0

    def schedule_after(result: EpochResult) -> None:
        adjust(result.metrics.get(model.criterion, -result.loss))

    going_on: Callable[[], None] | None = None
    if log:
        part.restore(*checkpoints.read(number))
        last = [tensor.detach().clone() for tensor in part.network.state_dict().values()]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # a schedule expects steps between its own, and has had them
            for result in log:
                if result.epoch:
                    schedule_after(result)
        if best is not None and best.epoch != number and best.epoch:
            part.restore(*checkpoints.read(best.epoch), moments=False)

        def going_on() -> None:
            with torch.no_grad():
                for kept, tensor in zip(part.network.state_dict().values(), last, strict=True):
                    kept.copy_(tensor)

    def epoch(_: OnStep) -> float:
        nonlocal going_on
        if going_on is not None:
            going_on()
            going_on = None
        return part.epoch()

    def after_epoch(result: EpochResult) -> None:
        schedule_after(result)
        done.append(result)
        checkpoints.write(done, model.criterion, *part.state(model.n_users))

    def note(result: EpochResult) -> None:
        if not result.epoch:
            done.append(result)
        if context.on_epoch is not None and world.rank == 0:
            context.on_epoch(result)

    done = list(log)
    if isinstance(part, GradientTraining):
        part.number = number
    if log and (number >= epochs or (best is not None and number - best.epoch >= patience)):
        return log
    return run_epochs(
        part.network,
        epoch=epoch,
        untrained_loss=part.untrained_loss,
        epochs=epochs - number,
        patience=patience,
        validate=validate,
        criterion=model.criterion,
        on_epoch=note,
        after_epoch=after_epoch,
        earlier=log,
        resumed=bool(log),
    )


def _validator(
    world: World,
    part: GradientTraining | AlternatingTraining,
    model: Recommender,
    rows: Interactions,
    valid: Interactions,
) -> Validate:
    """Return what measures all processes' users: each ranks all items for its own."""
    ranked = int(((valid.user_counts > 0) & (rows.user_counts > 0)).sum())
    measure = ranking_validator(model.score, rows, valid) if ranked else None

    def validate() -> dict[str, float]:
        with part.all_items():
            metrics = measure() if measure else {"valid_ndcg@10": 0.0, "valid_hr@10": 0.0}
        names = sorted(metrics)
        total: Tensor = torch.tensor([*(ranked * metrics[name] for name in names), ranked], dtype=torch.float64)
        total = total.to(world.device)
        world.add_up(total)
        *sums, users = total.tolist()
        return {name: value / max(1, users) for name, value in zip(names, sums, strict=True)}

    return validate


def _identity(request: TrainingRequest, world: World, split_items: bool) -> dict[str, Json]:
    """Return what the checkpoints of this training share, and no other's have."""
    return {
        "model": request.model,
        "version": request.kind.version,
        "config": request.config.to_dict(),
        "data": request.dataset.fingerprint,
        "split": {str(key): str(value) for key, value in request.learned_from.items()},
        "seed": request.run.seed,
        "shards": world.shards,
    }
