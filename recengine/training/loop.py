"""The one training loop."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from recengine.data.interactions import Interactions
from recengine.errors import BadInput
from recengine.metrics import RANKING_METRICS, coordinates, find_hits, mask_scores, top_k
from recengine.training.optimizers import make_schedule

OnEpoch = Callable[[Mapping[str, float]], None]
"""Called after each epoch with `epoch`, `epochs`, `loss`, `seconds`, validation metrics; may raise to stop.

`Recommender.fit` adds `examples`, the rows of an epoch. Epochs that choose nothing are marked by a 1 under the name of
their stage; they are not in the model's history.
"""

STAGES = ("refit", "pretraining")
"""Training on everything once the epoch is chosen; training of a model that this one starts from."""


def stage(row: Mapping[str, float]) -> str:
    """Return the stages that an epoch belongs to, such as "refit" or "refit, pretraining"; "" for the fit itself."""
    return ", ".join(name for name in STAGES if row.get(name))


def mark_stage(on_epoch: OnEpoch | None, name: str) -> OnEpoch | None:
    """Return the callback with each row marked as of that stage."""
    return None if on_epoch is None else lambda row: on_epoch({**row, name: 1.0})


Validate = Callable[[], dict[str, float]]


def train(
    network: nn.Module,
    *,
    batches: Callable[[], Iterable[Sequence[Tensor | None]]],
    loss: Callable[..., Tensor],
    optimizers: Sequence[torch.optim.Optimizer],
    epochs: int,
    patience: int,
    validate: Validate | None = None,
    criterion: str = "valid_ndcg@10",
    on_epoch: OnEpoch | None = None,
    schedule: str = "none",
    clip: float = 0.0,
    mixed_precision: bool = False,
    earlier: Sequence[dict[str, float]] = (),
) -> list[dict[str, float]]:
    """Train `network` in place by gradients and return its history, as `run_epochs` does.

    batches  : draws one epoch, an iterable of tuples of tensors, each given to `loss(*batch)`
    schedule : none, plateau (on the criterion, or the loss where nothing is validated) or cosine
    clip     : largest norm of all gradients together; 0 leaves them
    mixed_precision : products in bfloat16, on CUDA alone
    """
    weights = [weight for optimizer in optimizers for group in optimizer.param_groups for weight in group["params"]]
    mixed = mixed_precision and weights[0].is_cuda
    adjust = make_schedule(schedule, optimizers, epochs)

    def epoch() -> float:
        losses = []
        for batch in batches():
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
        return _mean([loss(*batch) for batch in batches()])

    return run_epochs(
        network,
        epoch=epoch,
        untrained_loss=untrained_loss,
        epochs=epochs,
        patience=patience,
        validate=validate,
        criterion=criterion,
        on_epoch=on_epoch,
        after_epoch=lambda row: adjust(gain(criterion, row[criterion]) if criterion in row else -row["loss"]),
        earlier=earlier,
    )


def gain(criterion: str, value: float) -> float:
    """Return the value such that more is better: an error counts below zero."""
    return -value if criterion.endswith(("rmse", "mae", "loss")) else value


def run_epochs(
    network: nn.Module,
    *,
    epoch: Callable[[], float],
    untrained_loss: Callable[[], float],
    epochs: int,
    patience: int,
    validate: Validate | None = None,
    criterion: str = "valid_ndcg@10",
    on_epoch: OnEpoch | None = None,
    after_epoch: OnEpoch | None = None,
    earlier: Sequence[dict[str, float]] = (),
) -> list[dict[str, float]]:
    """Run up to `epochs` epochs, restore the best one's weights, and return the history, one row per epoch.

    epoch    : improves `network` once and returns the mean loss
    validate : returns metrics, of which `criterion` chooses the epoch; without it all `epochs` are run
    patience : stop after this many epochs without a gain
    earlier  : the history of a phase before this one, whose best weights `network` holds: it is continued, and this
               phase's weights are kept only if they beat it
    The history starts at epoch 0, the untrained network, when there is validation.
    Raises BadInput with the epoch and the remedy when the loss is no longer a number, with the best weights back.
    """
    started = time.perf_counter()
    history = list(earlier)
    first = int(history[-1]["epoch"]) if history else 0
    last = first + epochs
    scored = [row for row in history if criterion in row]
    best_row = max(scored, key=lambda row: gain(criterion, row[criterion]), default=None)
    best, best_epoch = (gain(criterion, best_row[criterion]), int(best_row["epoch"])) if best_row else (-math.inf, 0)
    before = history[-1]["seconds"] if history else 0.0
    kept = _weights(network)

    def note(number: int, mean_loss: float) -> None:
        nonlocal best, best_epoch, kept
        row = {"epoch": float(number), "epochs": float(last), "loss": mean_loss}
        if validate is not None:
            network.eval()
            with torch.inference_mode():
                row |= validate()
            if gain(criterion, row[criterion]) > best:
                best, best_epoch, kept = gain(criterion, row[criterion]), number, _weights(network)
        history.append(row | {"seconds": before + time.perf_counter() - started})
        if on_epoch is not None:
            on_epoch(history[-1])

    if validate is not None and not earlier:
        with torch.no_grad():
            note(0, untrained_loss())
    for number in range(first + 1, last + 1):
        network.train()
        mean_loss = epoch()
        if not math.isfinite(mean_loss):
            network.load_state_dict(kept)
            raise BadInput(
                f"the loss is {mean_loss} in epoch {number}; expected a finite number; "
                f"lower learning_rate (epoch {best_epoch}'s weights are kept)"
            )
        note(number, mean_loss)
        if after_epoch is not None:
            after_epoch(history[-1])
        if validate is not None and number - max(best_epoch, first) >= patience:
            break
    if validate is not None:
        network.load_state_dict(kept)
    network.eval()
    return history


def ranking_validator(
    score: Callable[[Tensor], Tensor], train: Interactions, valid: Interactions, *, k: int = 10, batch: int = 2048
) -> Validate:
    """Return a function that ranks all items, `train` masked, for the users of `valid`: NDCG and hit rate @k."""
    users = torch.from_numpy(valid.user_counts.nonzero()[0])
    listed = min(k, train.n_items)

    def validate() -> dict[str, float]:
        total = dict.fromkeys(("ndcg", "hr"), 0.0)
        for some in users.split(batch):
            scores = mask_scores(score(some).float().cpu().clone(), some, seen=train)
            relevant = torch.zeros(scores.shape, dtype=torch.bool)
            relevant[coordinates(valid, some)] = True
            hits = find_hits(top_k(scores, listed).items, relevant)
            for name in total:
                total[name] += float(RANKING_METRICS[name](hits, relevant.sum(1)).sum())
        return {f"valid_{name}@{k}": value / len(users) for name, value in total.items()}

    return validate


@contextmanager
def one_thread(device: torch.device) -> Iterator[None]:
    """Run small steps on one CPU thread: far faster on a busy machine, and equal bytes on any."""
    threads = torch.get_num_threads()
    if device.type == "cpu":
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _weights(network: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in network.state_dict().items()}


def _mean(losses: Sequence[Tensor]) -> float:
    return float(torch.stack(list(losses)).mean()) if losses else math.nan
