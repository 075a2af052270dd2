"""Implicit matrix factorisation: user and item embeddings, item bias, sampled negatives."""

from __future__ import annotations

from recengine.models.pair.fold_in import ExplainsToNewUsers, RidgeFoldInConfig


class MF(ExplainsToNewUsers[RidgeFoldInConfig]):
    """Matrix factorisation that ranks positives above sampled negatives (Rendle et al., UAI 2009).

    The network is `PairNetwork` itself, u.v + the item's bias; `PairModel` trains it. All options are those of
    `PairConfig`, whose presets were tuned for this model, recency, and what a dislike takes. A new user's vector is a
    ridge regression.
    """

    name = "mf"
    title = "MF"
    summary = "Learns a vector for each viewer and film that ranks what you liked above the rest."
    reference = "Rendle et al., BPR: Bayesian personalized ranking from implicit feedback, UAI 2009"
    Config = RidgeFoldInConfig
    version = 4
    preset_epochs = 60
    preset_patience = 5
