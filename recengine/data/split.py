"""`Split`: the parts of one set of interactions, what hides from a list, and what identifies it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from recengine.data.interactions import Interactions
from recengine.errors import BadInput

if TYPE_CHECKING:
    from recengine.data.dataset import Dataset

Rng = np.random.Generator
SplitSetting: TypeAlias = str | float | Sequence[int] | None
"""The value of one of a split's options."""
RULE = 2
"""Raised when the same options come to mean other rows, so that stored models of the old ones are not reused."""


@dataclass(frozen=True, eq=False)
class Split:
    """Three disjoint parts of one set of interactions, in one index space.

    candidates : (c,) indices of the items that are ranked: those with a rating
    history  : for users who are not in training (`cold-user`, `sitting`): what is known of them when they are served
    seen     : of the same users all that comes before the targets, by user and time: never ranked in the test
    left_out : how many held-out users are not tested, for want of a target
    rest     : rows below the threshold of a positive that a model of ratings may learn from too
    disliked : of the test users, other ratings so low that the targets should score higher (`sitting`)
    options  : how it was made, JSON-ready; with the data's fingerprint they identify the split
    """

    train: Interactions
    valid: Interactions
    test: Interactions
    candidates: NDArray[np.int64]
    history: Interactions | None = None
    seen: Interactions | None = None
    left_out: int = 0
    rest: Interactions | None = None
    disliked: Interactions | None = None
    options: Mapping[str, SplitSetting] = field(default_factory=dict)

    @property
    def fit(self) -> Interactions:
        """Return training plus validation: what the final model learns from and what is masked in the test."""
        return self.train.concat(self.valid)

    @property
    def rated(self) -> Interactions:
        """Return all that a user had rated before the test, high or low: what a served list leaves out."""
        if self.seen is not None:
            return self.seen
        return self.fit if self.rest is None else self.fit.concat(self.rest)

    @property
    def positive(self) -> float:
        """Return the rating from which on one is a positive; 0: every rating is."""
        return self.number("positive")

    def labelled(self, dataset: Dataset) -> Split:
        """Return the same split of `dataset`, whose training and validation rows carry what their indices stand for."""
        labels = Labels(dataset, self)
        return replace(self, train=replace(self.train, labels=labels), valid=replace(self.valid, labels=labels))

    @property
    def labels(self) -> Labels | None:
        """Return what the indices stand for; None unless the split is a labelled one."""
        return self.train.labels

    @property
    def known(self) -> Interactions:
        """Return all that anybody had rated before the test, high or low."""
        parts = (part for part in (self.rest, self.seen) if part is not None)
        return reduce(Interactions.concat, parts, self.fit)

    @property
    def learned_from(self) -> dict[str, SplitSetting]:
        """Return the part of `options` that decides what is learned, and so identifies a trained model."""
        of_the_test = ("given", "targets_after", *(["ties"] if self.seen is not None else []))
        return {key: value for key, value in self.options.items() if key not in of_the_test} | {"rule": RULE}

    def number(self, option: str) -> float:
        """Return an option that is a number, such as `positive`; 0 where it is missing."""
        value = self.options.get(option)
        return value if isinstance(value, int | float) else 0

    def give(self, given: int) -> Split:
        """Return the same task with only the first `given` ratings of each held-out user known.

        Raises BadInput when no user is held out, or when that many would reach into the targets.
        """
        most = int(self.number("targets_after"))
        if self.seen is None or not 0 <= given <= most:
            problem = "ratings of a held-out user is out of range"
            if self.seen is None:
                raise BadInput("given", given, remedy="choose the `split` 'cold-user'", problem=problem)
            raise BadInput("given", given, f"0 to {most}, before the targets", problem=problem)
        position = np.arange(len(self.seen)) - np.searchsorted(self.seen.user_idx, self.seen.user_idx)
        return replace(self, history=self.seen.select(position < given), options={**self.options, "given": given})

    def ratings(self) -> tuple[Interactions, Interactions]:
        """Return (training, validation) rows for a model that learns from all ratings, high and low.

        These are the split's own parts if they hold every rating (`positive=0`). Otherwise validation is a random
        share of all that is not tested: the split's own has only high ratings, and would favour a model that
        predicts nothing else.
        """
        if self.rest is None or not len(self.rest):
            return self.train, self.valid
        return hold_out(self.fit.concat(self.rest), rng=np.random.default_rng(int(self.number("seed"))))


@dataclass(frozen=True, eq=False)
class Labels:
    """What the indices of some rows stand for: the data set that they are of, and the split that they are a part of."""

    dataset: Dataset
    split: Split


def hold_out(interactions: Interactions, *, share: float = 0.05, rng: Rng) -> tuple[Interactions, Interactions]:
    """Return (rest, held out): a random `share` of the rows is held out."""
    out = np.zeros(len(interactions), bool)
    out[rng.permutation(len(out))[: round(share * len(out))]] = True
    return interactions.select(~out), interactions.select(out)
