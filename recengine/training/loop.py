"""The one training loop."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice

import numpy as np
import torch
from torch import Tensor, nn

from recengine.data.interactions import Interactions
from recengine.errors import BadInput
from recengine.metrics import RANKING_METRICS, coordinates, find_hits, mask_scores, tie_salts, top_k
from recengine.training.optimizers import make_schedule
from recengine.training.progress import EpochResult, OnEpoch, OnStep, no_step, parts_of

EXACT_UP_TO, LEAST_RANKED = 2**25, 500
"""Scores of a validation, users x items, that is exact. Of more, it ranks all items for a fixed sample of the users: as
many as come to that many scores, but no fewer than these."""
EVERY, EARLY, LONGER = 2, 2, 3
"""Where validation samples, it does so after every second epoch; and a best epoch that is among the first two may stand
before a dip, from which a sparse catalogue takes long to rise: there the patience is three times as long."""
FIRST_BATCHES = 20
"""Batches whose mean is the untrained loss there, so that the first epoch is soon reported."""


def gain(criterion: str, value: float) -> float:
    """Return the value such that more is better: an error counts below zero."""
    return -value if criterion.endswith(("rmse", "mae", "loss")) else value


def best_epoch(log: Iterable[EpochResult], criterion: str) -> EpochResult | None:
    """Return the epoch that is best by the criterion, the first of equals; None if none was validated by it."""
    validated = [result for result in log if criterion in result.metrics]
    return max(validated, key=lambda result: gain(criterion, result.metrics[criterion]), default=None)


Validate = Callable[[], dict[str, float]]


class Batches:
    """The batches of each epoch: a call draws an epoch's, an iterator of tuples of tensors, of which there are `n`."""

    def __init__(self, draw: Callable[[], Iterator[tuple[Tensor | None, ...]]], n: int) -> None:
        self.draw, self.n = draw, n

    def __call__(self) -> Iterator[tuple[Tensor | None, ...]]:
        return self.draw()


@dataclass(frozen=True)
class OnSample:
    """A validation that ranks the items for a sample of the users, since ranking them for all costs too much."""

    measure: Validate

    def __call__(self) -> dict[str, float]:
        return self.measure()


Score = Callable[[Tensor], Tensor]
"""Scores all items, (B, n_items), for user indices (B,)."""


def train(
    network: nn.Module,
    *,
    batches: Batches,
    loss: Callable[..., Tensor],
    optimizers: Sequence[torch.optim.Optimizer],
    epochs: int,
    patience: int,
    validate: Validate | None = None,
    criterion: str = "valid_ndcg@10",
    on_epoch: OnEpoch | None = None,
    schedule: str | OnEpoch = "none",
    clip: float = 0.0,
    mixed_precision: bool = False,
    steps: Callable[..., float] | None = None,
    earlier: Sequence[EpochResult] = (),
) -> list[EpochResult]:
    """Train `network` in place by gradients and return its training log, as `run_epochs` does.

    batches  : draws one epoch, of which each batch is given to `loss(*batch)`
    schedule : none, plateau (on the criterion, or the loss where nothing is validated) or cosine; or a function that
               takes each epoch's result and changes the learning rates
    clip     : largest norm of all gradients together; 0 leaves them
    mixed_precision : products in bfloat16, on CUDA alone
    steps    : takes an epoch's steps without autograd, as `epoch` of `run_epochs` does; without `learn` measures it
    """
    weights = [weight for optimizer in optimizers for group in optimizer.param_groups for weight in group["params"]]
    mixed = mixed_precision and weights[0].is_cuda

    def epoch(on_step: OnStep) -> float:
        losses = []
        for n, batch in enumerate(batches()):
            on_step(n, batches.n)
            with torch.autocast("cuda", torch.bfloat16, enabled=mixed):
                value = loss(*batch)
            for optimizer in optimizers:
                optimizer.zero_grad(set_to_none=True)
            value.backward()
            if clip:
                nn.utils.clip_grad_norm_(weights, clip)
            for optimizer in optimizers:
                optimizer.step()
            losses.append(value.detach())
        return _mean(losses)

    def untrained_loss() -> float:
        most = FIRST_BATCHES if isinstance(validate, OnSample) else None
        return _mean([loss(*batch) for batch in islice(batches(), most)])

    return run_epochs(
        network,
        epoch=steps or epoch,
        untrained_loss=(lambda: steps(no_step, learn=False)) if steps else untrained_loss,
        epochs=epochs,
        patience=patience,
        validate=validate,
        criterion=criterion,
        on_epoch=on_epoch,
        after_epoch=_named_schedule(schedule, optimizers, epochs, criterion) if isinstance(schedule, str) else schedule,
        earlier=earlier,
    )


def _named_schedule(name: str, optimizers: Sequence[torch.optim.Optimizer], epochs: int, criterion: str) -> OnEpoch:
    adjust = make_schedule(name, optimizers, epochs)

    def after_epoch(result: EpochResult) -> None:
        value = result.metrics.get(criterion)
        adjust(-result.loss if value is None else gain(criterion, value))

    return after_epoch


def run_epochs(
    network: nn.Module,
    *,
    epoch: Callable[[OnStep], float],
    untrained_loss: Callable[[], float],
    epochs: int,
    patience: int,
    validate: Validate | None = None,
    criterion: str = "valid_ndcg@10",
    on_epoch: OnEpoch | None = None,
    after_epoch: OnEpoch | None = None,
    earlier: Sequence[EpochResult] = (),
    resumed: bool = False,
) -> list[EpochResult]:
    """Run up to `epochs` epochs, restore the best one's weights, and return the training log, one result per epoch.

    epoch    : improves `network` once and returns the mean loss; it may report its steps as it goes
    validate : returns metrics, of which `criterion` chooses the epoch; without it all `epochs` are run
    patience : stop after this many epochs without a gain
    earlier  : the log of a phase before this one, whose best weights `network` holds: it is continued, and this
               phase's weights are kept only if they beat it
    resumed  : whether `earlier` is this phase itself, interrupted, so that its patience has been running
    Where validation is `OnSample`, it waits for every second epoch and the last, and an early best has more patience.
    The log starts at epoch 0, the untrained network, when there is validation.
    Raises BadInput with the epoch and the remedy when the loss is no longer a number, with the best weights back.
    """
    started, sampled = time.perf_counter(), isinstance(validate, OnSample)
    log = list(earlier)
    first, before = (log[-1].epoch, log[-1].seconds) if log else (0, 0.0)
    last = first + epochs
    best_earlier = best_epoch(log, criterion)
    best, best_number = -math.inf, 0
    if best_earlier is not None:
        best, best_number = gain(criterion, best_earlier.metrics[criterion]), best_earlier.epoch
    best_weights = _weights(network)

    def record(number: int, mean_loss: float) -> EpochResult:
        nonlocal best, best_number, best_weights
        metrics: dict[str, float] = {}
        if validate is not None and (not sampled or number % EVERY == 0 or number == last):
            network.eval()
            with torch.inference_mode():
                metrics = validate()
            value = gain(criterion, metrics[criterion])
            if value > best:
                best, best_number, best_weights = value, number, _weights(network)
        log.append(EpochResult(number, last, mean_loss, before + time.perf_counter() - started, metrics))
        if on_epoch is not None:
            on_epoch(log[-1])
        return log[-1]

    if validate is not None and not earlier:
        with torch.no_grad():
            record(0, untrained_loss())
    for number in range(first + 1, last + 1):
        network.train()
        mean_loss = epoch(parts_of(on_epoch, number - 1, last, before + time.perf_counter() - started))
        if not math.isfinite(mean_loss):
            network.load_state_dict(best_weights)
            raise _diverged(mean_loss, number, best_number)
        result = record(number, mean_loss)
        if after_epoch is not None:
            after_epoch(result)
        since = number - max(best_number, 0 if resumed else first)
        early = sampled and (resumed or not earlier) and best_number <= EARLY
        if validate is not None and since >= patience * (LONGER if early else 1):
            break
    if validate is not None:
        network.load_state_dict(best_weights)
    network.eval()
    return log


def _diverged(loss: float, number: int, kept: int) -> BadInput:
    """Return the error of an epoch whose loss is no number; `kept` is the epoch whose weights are back."""
    remedy = f"lower `learning_rate` (epoch {kept}'s weights are kept)"
    return BadInput("loss", loss, "a finite number", remedy, problem=f"came out in epoch {number}")


def ranking_validator(
    score: Score, train: Interactions, valid: Interactions, *, k: int = 10, batch: int = 2048
) -> Validate:
    """Return a function that ranks all items, `train` masked, for the users of `valid`: NDCG and hit rate @k.

    Where that is more than `EXACT_UP_TO` scores, the users are a sample, the same for every model and epoch.
    Users without a training row are left out, unless there are no others: of them a model knows nothing, and in use
    they get popularity, so that what it makes up for them must not choose its epoch or its settings.
    """
    tested = valid.user_counts > 0
    known = tested & (train.user_counts > 0)
    everyone = (known if known.any() else tested).nonzero()[0]
    chosen = np.sort(np.random.default_rng(0).permutation(everyone)[: most_ranked(valid.n_items)])
    users = torch.from_numpy(chosen)
    listed = min(k, train.n_items)

    def validate() -> dict[str, float]:
        total = dict.fromkeys(("ndcg", "hr"), 0.0)
        for some in users.split(batch):
            scores = mask_scores(score(some).float().cpu().clone(), some, seen=train)
            relevant = torch.zeros(scores.shape, dtype=torch.bool)
            relevant[coordinates(valid, some)] = True
            hits = find_hits(top_k(scores, listed, tie_salts(train, some)).items, relevant)
            for name in total:
                total[name] += float(RANKING_METRICS[name](hits, relevant.sum(1)).sum())
        return {f"valid_{name}@{k}": value / len(users) for name, value in total.items()}

    return OnSample(validate) if len(users) < len(everyone) else validate


def most_ranked(n_items: int) -> int:
    """Return for how many users a validation ranks that many items at most."""
    return max(LEAST_RANKED, EXACT_UP_TO // max(1, n_items))


@contextmanager
def seeded(device: torch.device, seed: int) -> Iterator[None]:
    """Seed what takes no generator, dropout and the initialisation of layers, and give the earlier state back."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield


@contextmanager
def one_thread(device: torch.device) -> Iterator[None]:
    """Train in small steps on one CPU thread: far faster on a busy machine, and equal bytes on any.

    The count is the whole process's, so it is set only where training has the main thread, as a command's has: a
    server answers in other threads, and its count is left alone.
    """
    threads = torch.get_num_threads()
    alone = device.type == "cpu" and threading.current_thread() is threading.main_thread()
    if alone:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        if alone:
            torch.set_num_threads(threads)


def _weights(network: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in network.state_dict().items()}


def _mean(losses: Sequence[Tensor]) -> float:
    return float(torch.stack(list(losses)).mean()) if losses else math.nan
