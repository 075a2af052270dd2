"""Implicit matrix factorisation: user and item embeddings, item bias, sampled negatives."""

from __future__ import annotations

from recengine.models.factors.fold_in import RidgeModel


class MF(RidgeModel):
    """Matrix factorisation that ranks positives above sampled negatives (Rendle et al., UAI 2009).

    All of its settings are those of `GradientConfig`, whose presets were tuned for this model, and recency.
    """

    name = "mf"
    summary = "A vector for each person and film, trained to rank what was liked above what was not."
    reference = "Rendle et al., BPR: Bayesian personalized ranking from implicit feedback, UAI 2009"
    version = 3
    preset_epochs = 60
    preset_patience = 5
