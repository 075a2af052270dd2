"""What the lines of the contract share: for which models a line exists, and what scores must be like."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import torch
from torch import Tensor

from recengine.errors import BadInput
from recengine.models.base import Recommender
from recengine.training.config import Settings

if TYPE_CHECKING:
    from recengine.testing.contract import ModelContract
    from recengine.testing.trial import Trial

Line = TypeVar("Line", bound=Callable[[Any], None])


class Lines:
    """A part of the contract: what its lines ask of the class that they are in."""

    folds_in_nearly: ClassVar[Settings | None]

    @property
    def trial(self) -> Trial:
        """Return the model trained on the data, one for all lines."""
        raise NotImplementedError


def exists_for(applies: Callable[[type[ModelContract]], bool]) -> Callable[[Line], Line]:
    """Let a line exist only in contracts to which it applies."""

    def mark(line: Line) -> Line:
        line.__dict__["applies"] = applies
        return line

    return mark


def requires(ability: str) -> Callable[[Line], Line]:
    """Let a line exist only for models that declare an ability."""
    return exists_for(lambda contract: ability in contract.model.abilities)


def refused(call: Callable[[], object]) -> BadInput:
    """Return the BadInput that a call raises; AssertionError where it raises none."""
    try:
        call()
    except BadInput as error:
        return error
    raise AssertionError("it accepts what it should refuse")


def check_scores(scores: Tensor, n_users: int, n_items: int) -> None:
    """Raise AssertionError, which says why, unless a tensor is one of scores."""
    assert isinstance(scores, Tensor), f"score returns a {type(scores).__name__}; expected a tensor"
    shape = (n_users, n_items)
    assert scores.shape == shape, f"the shape of the scores is {tuple(scores.shape)}; expected {shape}: users, items"
    assert scores.dtype == torch.float32, f"the scores are {scores.dtype}; expected torch.float32"
    assert not scores.requires_grad, "the scores carry gradients; detach them"
    wrong = int((scores.isnan() | scores.isposinf()).sum())
    assert not wrong, f"{wrong:,} scores are not numbers; expected finite ones"
    assert scores.isfinite().any(dim=1).all(), "at least one user has no finite score; expected one item for each"


def reloaded(model: Recommender) -> Recommender:
    """Return a model saved and loaded again."""
    with tempfile.TemporaryDirectory() as folder:
        model.save(folder)
        return type(model).load(folder)


def changed(model: Recommender, before: dict[str, Tensor]) -> list[str]:
    """Return the names of the tensors of a model's state that are not what they were."""
    state = model.state()
    names = state.keys() | before.keys()
    return sorted(n for n in names if n not in state or n not in before or not torch.equal(state[n], before[n]))


def snapshot(model: Recommender) -> dict[str, Tensor]:
    """Return a copy of a model's state."""
    return {name: tensor.detach().clone() for name, tensor in model.state().items()}
