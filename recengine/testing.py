"""The contract of a model as checks that anyone can run over their own: each holds, or says what is wrong."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from recengine.data.dataset import Dataset
from recengine.data.interactions import Interactions
from recengine.models.base import Recommender, SupportsFoldIn
from recengine.training.config import RunConfig

PEOPLE = 60
"""People that a model is tried on, over the whole catalogue."""


class Finding(NamedTuple):
    """One line of the contract, and what is wrong with it; "" where it holds."""

    what: str
    fault: str


@dataclass(frozen=True)
class _Trial:
    """A model fitted on a few people, how to fit it again, what it was fitted on, and users to try it with."""

    model: Recommender
    fit: Callable[[], Recommender]
    rows: Interactions
    users: NDArray[np.int64]


def check(kind: type[Recommender], dataset: Dataset, *, seed: int = 0) -> list[Finding]:
    """Try a model on a few people of a data set; return a finding for each line of the contract.

    What a line raises is its finding. Where training fails, nothing further can be tried.
    """
    chosen = np.flatnonzero(dataset.ratings.user_counts)[:PEOPLE]
    rows, people = dataset.ratings.of_users(chosen), dataset.user_table.iloc[chosen].reset_index(drop=True)
    run = RunConfig(device="cpu", seed=seed, epochs=None if kind.preset_epochs is None else 2)

    def fit() -> Recommender:
        return kind().fit(rows, items=dataset.items, users=people, run=run)

    try:
        trial = _Trial(fit(), fit, rows, np.array([rows.n_users - 1, 0, rows.n_users // 2]))
    except Exception as fault:  # whatever a person's own code does
        return [Finding("it learns from a few people", f"{type(fault).__name__}: {fault}")]
    return [Finding("it learns from a few people", ""), *(_finding(line, trial) for line in LINES)]


def _finding(line: Callable[[_Trial], str | None], trial: _Trial) -> Finding:
    what = (line.__doc__ or "").rstrip(".")
    try:
        return Finding(what, line(trial) or "")
    except Exception as fault:  # whatever a person's own code does
        return Finding(what, f"{type(fault).__name__}: {fault}")


def _scores(trial: _Trial) -> str | None:
    """it scores every item for a batch of users."""
    return _wrong(trial.model.score(trial.users), len(trial.users), trial.model.n_items)


def _wrong(scores: Tensor, n_users: int, n_items: int) -> str | None:
    """Return what keeps a tensor from being scores."""
    if not isinstance(scores, Tensor):
        return f"score gives a {type(scores).__name__}; expected a tensor"
    if scores.shape != (n_users, n_items):
        return f"the shape of the scores is {tuple(scores.shape)}; expected {(n_users, n_items)}: users, items"
    if scores.dtype != torch.float32:
        return f"the scores are {scores.dtype}; expected torch.float32"
    if scores.requires_grad:
        return "the scores carry gradients; detach them"
    if scores.isnan().any() or scores.isposinf().any():
        return f"{int((scores.isnan() | scores.isposinf()).sum()):,} scores are not numbers; expected finite ones"
    if not scores.isfinite().any(dim=1).all():
        return "somebody gets no item at all; expected at least one id of the catalogue for everybody"
    return None


def _alone(trial: _Trial) -> str | None:
    """a user scores alone as in a batch."""
    batch = trial.model.score(trial.users)
    for place, user in enumerate(trial.users.tolist()):
        alone = trial.model.score(user)
        if alone.shape != batch[:1].shape or not torch.allclose(alone[0], batch[place], atol=1e-5):
            return f"user_idx {user} scores otherwise alone; let no row depend on the others"
    return None


def _lists(trial: _Trial) -> str | None:
    """a list is unseen, without repeats, best first."""
    found = trial.model.top_k(trial.users, k=min(10, trial.model.n_items), seen=trial.rows)
    for user, items, scores in zip(trial.users, found.items.tolist(), found.scores, strict=True):
        listed = [item for item in items if item >= 0]
        seen = set(trial.rows.item_idx[trial.rows.user_idx == user].tolist())
        if len(set(listed)) < len(listed) or seen & set(listed) or bool((scores.diff() > 0).any()):
            return f"the list of user_idx {user} is {items}, of which {sorted(seen & set(listed))} are seen"
    return None


def _unchanged(trial: _Trial) -> str | None:
    """serving leaves the model as it was."""
    before = {name: tensor.clone() for name, tensor in trial.model.state().items()}
    first = trial.model.score(trial.users).clone()
    trial.model.top_k(trial.users, k=1, seen=trial.rows)
    if "similar" in trial.model.abilities:
        trial.model.similar_items([0, 1], k=1)
    moved = [name for name, tensor in trial.model.state().items() if not torch.equal(tensor, before[name])]
    if moved:
        return f"{', '.join(moved)} changed; copy before you write"
    return None if torch.equal(trial.model.score(trial.users), first) else "the same question got another answer"


def _repeatable(trial: _Trial) -> str | None:
    """the same seed trains the same model."""
    same = torch.equal(trial.fit().score(trial.users), trial.model.score(trial.users))
    return None if same else "a second training scored otherwise; draw from a generator seeded by given.run.seed"


def _kept(trial: _Trial) -> str | None:
    """saved and loaded, it scores the same."""
    with tempfile.TemporaryDirectory() as folder:
        trial.model.save(folder)
        back = type(trial.model).load(folder)
    same = torch.equal(back.score(trial.users), trial.model.score(trial.users))
    return None if same else "the loaded model scores otherwise; let state hold all that score reads"


def _similar(trial: _Trial) -> str | None:
    """similar items are sorted and leave out the film asked about."""
    if "similar" not in trial.model.abilities:
        return None
    found = trial.model.similar_items([0, 1], k=min(10, trial.model.n_items - 1))
    own = [seed for seed, items in enumerate(found.items.tolist()) if seed in items]
    return f"item_idx {own} stands in its own list" if own or bool((found.scores.diff(dim=1) > 0).any()) else None


def _newcomers(trial: _Trial) -> str | None:
    """newcomers are scored from their ratings, also without any."""
    if not isinstance(trial.model, SupportsFoldIn):
        return None
    some = trial.rows.of_users(trial.users)
    nobody = some.select(slice(0))
    return _wrong(trial.model.score_history(some), len(trial.users), trial.model.n_items) or _wrong(
        trial.model.score_history(nobody), len(trial.users), trial.model.n_items
    )


LINES = (_scores, _alone, _lists, _unchanged, _repeatable, _kept, _similar, _newcomers)
