"""Implicit matrix factorisation: user and item embeddings, item bias, sampled negatives."""

from __future__ import annotations

from numpy.typing import ArrayLike
from torch import Tensor

from recengine.models.pair.base import PairModel
from recengine.models.pair.fold_in import FoldInConfig, RidgeFoldIn, ServesNewUsers


class MF(ServesNewUsers[FoldInConfig], PairModel[FoldInConfig]):
    """Matrix factorisation that ranks positives above sampled negatives (Rendle et al., UAI 2009).

    The network is `PairNetwork` itself, u.v + the item's bias; `PairModel` trains it. All options are those of
    `PairConfig`, whose presets were tuned for this model, and recency. A new user's vector is a ridge regression.
    """

    name = "mf"
    title = "MF"
    abilities = ("similar", "fold-in", "explain")
    summary = "Learns a vector for each viewer and film that ranks what you liked above the rest."
    reference = "Rendle et al., BPR: Bayesian personalized ranking from implicit feedback, UAI 2009"
    Config = FoldInConfig
    version = 3
    preset_epochs = 60
    preset_patience = 5
    fold_in_class = RidgeFoldIn

    def explain(self, history: ArrayLike, item_idx: ArrayLike) -> Tensor:
        """Return (n_targets, n_history): what each item of a history, oldest first, adds to a new user's scores."""
        return self.fold_in.explain(self.network, self.config, history, item_idx)
