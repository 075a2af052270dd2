"""Implicit matrix factorisation: user and item embeddings, item bias, sampled negatives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from recengine.models.pair.base import PairConfig
from recengine.models.pair.fold_in import ExplainsToNewUsers, RidgeFoldInConfig
from recengine.training.config import Range, preset


@dataclass(frozen=True)
class MFConfig(RidgeFoldInConfig):
    """Options of `mf`: with softmax, Adagrad and no dropout its steps are compiled, and only touch a batch's rows."""

    optimizer: Literal["sgd", "adam", "adamw", "adagrad", "rmsprop"] = preset(PairConfig, "optimizer", "adagrad")
    learning_rate: float = preset(PairConfig, "learning_rate", 0.1, search=Range(0.03, 0.5, log=True))


class MF(ExplainsToNewUsers[RidgeFoldInConfig]):
    """Matrix factorisation that ranks positives above sampled negatives (Rendle et al., UAI 2009).

    The network is `PairNetwork` itself, u.v + the item's bias; `PairModel` trains it. All options are those of
    `PairConfig`, recency, and what a dislike takes. A new user's vector is a ridge regression.
    """

    name = "mf"
    title = "MF"
    summary = "Learns a vector for each viewer and film that ranks what you liked above the rest."
    reference = "Rendle et al., BPR: Bayesian personalized ranking from implicit feedback, UAI 2009"
    Config = MFConfig
    version = 5
    preset_epochs = 60
    preset_patience = 5
