"""The contract: all its lines in one class, which a test of a model subclasses."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from recengine.data.dataset import Dataset
from recengine.models.base import Recommender
from recengine.testing.abilities import FoldIn, Incremental, Product, Ratings, Similar
from recengine.testing.general import Declarations, Learning, Serving, Storing
from recengine.testing.trial import Trial, small_dataset
from recengine.training.config import Settings


class ModelContract(Declarations, Learning, Serving, Storing, Similar, Product, FoldIn, Ratings, Incremental):
    """What holds for every model. A subclass names its `model`; its tests share one trained model.

    Tests that a subclass adds can ask `self.trial` for the model, the rows, the tables and three users.
    """

    model: ClassVar[type[Recommender]]
    settings: ClassVar[Settings] = {}
    """Parameters of the model and of the run to train with: a slow model names small sizes and few epochs here."""
    folds_in_exactly: ClassVar[bool] = False
    """Whether users of the data get the scores that new users with the same ratings get.

    A model with `scores_from_history` declares it by itself.
    """
    folds_in_nearly: ClassVar[Settings | None] = None
    """Settings, on top of `settings`, with which the two are nearly the same; None makes no such promise."""
    _trial: ClassVar[Trial | None] = None

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls._trial = None
        if hasattr(cls, "model"):
            for name in lines(cls):
                line = next(vars(base)[name] for base in cls.__mro__ if vars(base).get(name) is not None)
                applies = getattr(line, "applies", None)
                setattr(cls, name, line if applies is None or applies(cls) else None)  # pytest collects no None

    @classmethod
    def dataset(cls) -> Dataset:
        """Return the data that the model is tried on."""
        return small_dataset()

    @property
    def trial(self) -> Trial:
        """Return the model trained on the data, one for all lines."""
        contract = type(self)
        if contract._trial is None:
            contract._trial = Trial(contract.model, contract.dataset(), settings=contract.settings)
        return contract._trial


def lines(contract: type) -> Iterator[str]:
    """Yield the name of each line of a contract, in order, also of lines that do not apply to its model."""
    names = [name for base in contract.__mro__ for name in vars(base) if name.startswith("test_")]
    yield from dict.fromkeys(names)
