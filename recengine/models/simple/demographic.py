"""Demographic: what users of the same age, gender and occupation like."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from recengine.data.interactions import Interactions
from recengine.errors import BadInput
from recengine.models.base import FitContext, Recommender, as_indices
from recengine.models.options import shared
from recengine.training.config import Config, Range

ATTRIBUTES = ("age", "age_group", "gender", "occupation")
"""Columns of the user table that are used, as far as they are there; a numeric age is taken by decade."""


@dataclass(frozen=True)
class DemographicConfig(Config):
    """Settings of `demographic`."""

    prior_strength: float = shared("prior_strength", 1000.0, open_low=True, search=Range(10, 1e5, log=True))


class Demographic(Recommender[DemographicConfig]):
    """Score an item by its popularity among similar users, one attribute at a time, as naive Bayes does.

    log p(i) + sum over attributes of log(p(i | group) / p(i)), where a group's share is shrunk towards that of all
    users (Pazzani, A framework for collaborative, content-based and demographic filtering, 1999). A user of whom
    nothing is known gets log p(i).
    """

    name = "demographic"
    abilities = ("profiles",)
    is_personalised = False
    reason = "alike"
    family = "demographic"
    summary = "What viewers of the same age, gender and occupation like. Works before the first rating."
    reference = "Pazzani, A framework for collaborative, content-based and demographic filtering, AI Review 1999"
    Config = DemographicConfig
    version = 3

    def check(self, items: pd.DataFrame | None, users: pd.DataFrame | None) -> None:
        if users is None or not any(column in users for column in ATTRIBUTES):
            raise BadInput(
                "model",
                self.name,
                remedy="add users.csv, or choose another model",
                problem="needs age, gender or occupation in a user table, and this data set has none",
            )

    def learn(self, train: Interactions, context: FitContext) -> None:
        self.check(None, context.users)
        users = pd.DataFrame() if context.users is None else context.users
        self.groups: list[str] = []  # "gender=F"
        member: list[np.ndarray] = []
        for column in (name for name in ATTRIBUTES if name in users):
            words = group_words(users[column])
            for word in sorted(set(words) - {""}):
                self.groups.append(f"{column.removesuffix('_group')}={word}")
                member.append(words == word)
        self.member = torch.from_numpy(np.array(member).T.astype(np.float32))  # (n_users, n_groups)
        counts = torch.zeros(len(self.groups), self.n_items)
        item = torch.from_numpy(train.item_idx.astype(np.int64))
        for group in range(len(self.groups)):
            weight = self.member[torch.from_numpy(train.user_idx.astype(np.int64)), group]
            counts[group] = torch.bincount(item, weight, minlength=self.n_items)
        overall = (torch.from_numpy(train.item_counts) + 0.5) / (len(train) + 0.5 * self.n_items)
        prior = self.config.prior_strength
        shrunk = (counts + prior * overall) / (counts.sum(1, keepdim=True) + prior)
        self.base = overall.log().float()  # (n_items,)
        self.log_lift = (shrunk / overall).log().float()  # (n_groups, n_items)

    def score(self, user_idx: ArrayLike) -> Tensor:
        users = torch.as_tensor(as_indices(user_idx))
        return self.base + self.member[users] @ self.log_lift

    def score_profiles(self, profiles: Sequence[Mapping[str, str]]) -> Tensor:
        """Return (len(profiles), n_items) scores of users known only by age, gender or occupation.

        Raises BadInput for an attribute or a group that the data does not have.
        """
        member = torch.zeros(len(profiles), len(self.groups))
        for row, profile in enumerate(profiles):
            for attribute, value in profile.items():
                member[row, self._group(attribute, value)] = 1.0
        return self.base + member @ self.log_lift

    def _group(self, attribute: str, value: str) -> int:
        groups = {g.partition("=")[2]: i for i, g in enumerate(self.groups) if g.partition("=")[0] == attribute}
        if not groups:
            known = sorted({g.partition("=")[0] for g in self.groups})
            raise BadInput(
                "profile", attribute, f"one of: {', '.join(known)}", problem="is not an attribute of this data"
            )
        matches = {word.casefold(): i for word, i in groups.items()}
        age = float(value) if re.fullmatch(r"\s*[0-9]{1,3}\s*", value) else -1.0
        group = matches.get(value.strip().casefold(), matches.get(_decade(age)))
        if group is None:
            raise BadInput(attribute, value, f"one of: {', '.join(groups)}", problem="is not a group of this data")
        return group

    def state(self) -> dict[str, Tensor]:
        names = torch.tensor(list(json.dumps(self.groups).encode()), dtype=torch.uint8)
        return {"base": self.base, "log_lift": self.log_lift, "member": self.member, "groups": names}

    def restore(self, state: dict[str, Tensor]) -> None:
        self.base, self.log_lift, self.member = state["base"], state["log_lift"], state["member"]
        self.groups = json.loads(bytes(state["groups"].tolist()))


def group_words(column: pd.Series) -> np.ndarray:
    """Return each user's group as text, "" where unknown; ages in numbers become decades such as "20-29"."""
    if pd.api.types.is_numeric_dtype(column):
        return np.array([_decade(age) for age in column.to_numpy(np.float64, na_value=np.nan)], dtype=object)
    return column.fillna("").astype(str).to_numpy(dtype=object)


def _decade(age: float) -> str:
    return f"{age // 10 * 10:.0f}-{age // 10 * 10 + 9:.0f}" if 0 <= age < float("inf") else ""
