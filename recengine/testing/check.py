"""The contract without pytest: a finding in words for each of its lines."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from recengine.data.dataset import Dataset
from recengine.models.base import Recommender
from recengine.testing.contract import ModelContract, lines
from recengine.testing.trial import Trial

USERS_TRIED = 60
"""Users that a model is tried on, over the whole catalogue."""


class Finding(NamedTuple):
    """One line of the contract, and what is wrong with it; "" where it holds."""

    line: str
    error: str


def check(kind: type[Recommender], dataset: Dataset) -> list[Finding]:
    """Hold a model to the contract on a few users of a data set; return a finding for each line.

    What a line raises is its finding. Where training fails, nothing further can be tried.
    """
    chosen = np.flatnonzero(dataset.ratings.user_counts)[:USERS_TRIED]
    learns = "it learns from a few users"
    try:
        trial = Trial(kind, dataset, among=chosen)
        trial.model  # noqa: B018 - fits it
    except Exception as error:  # whatever a plugin raises
        return [Finding(learns, _message(error))]
    contract = type("Contract", (ModelContract,), {"model": kind, "trial": trial})
    tests = [getattr(contract(), name) for name in lines(contract)]
    return [Finding(learns, ""), *(_finding(test) for test in tests if test is not None)]


def _finding(test: Callable[[], None]) -> Finding:
    line = (test.__doc__ or "").rstrip(".")
    try:
        test()
    except AssertionError as error:
        return Finding(line, str(error).partition("\nassert ")[0])
    except Exception as error:  # whatever a plugin raises
        return Finding(line, _message(error))
    return Finding(line, "")


def _message(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
