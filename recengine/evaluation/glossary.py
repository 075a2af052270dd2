"""What every figure of a leaderboard is: its name, its formula, where it comes from, and which way is better."""

from __future__ import annotations

from math import inf
from typing import Literal, NamedTuple


class Entry(NamedTuple):
    """One metric. `formula` is LaTeX; `better` is `more`, `less`, or "" where neither is; `within` is its range."""

    title: str
    group: Literal["accuracy", "rating error", "beyond accuracy", "cost"]
    better: Literal["more", "less", ""]
    meaning: str
    formula: str = ""
    source: str = ""
    within: tuple[float, float] = (0.0, 1.0)


GROUPS = ("accuracy", "rating error", "beyond accuracy", "cost")
SAMPLED = (
    "Against a few sampled films nearly every model looks good, and the order of the models can turn: a sampled metric "
    "hardly sees whether a film stood at rank 3 or at rank 30 of the whole catalogue (Krichene & Rendle, On sampled "
    "metrics for item recommendation, KDD 2020). Trust the full ranking; the sampled one is for papers that print it."
)
METRICS = {
    "ndcg": Entry(
        "NDCG",
        "accuracy",
        "more",
        "hits count by their rank, the first most; a perfect list has 1",
        r"\frac{\sum_{r \le k} h_r / \log_2(r + 1)}{\sum_{r \le \min(k, n)} 1 / \log_2(r + 1)}",
        "Järvelin & Kekäläinen, TOIS 2002",
    ),
    "recall": Entry("Recall", "accuracy", "more", "share of relevant films listed", r"\frac{1}{n}\sum_{r \le k} h_r"),
    "precision": Entry(
        "Precision", "accuracy", "more", "share of the ranks with a relevant film", r"\frac{1}{k}\sum_{r \le k} h_r"
    ),
    "hr": Entry("Hit rate", "accuracy", "more", "share of viewers with any hit", r"\max_{r \le k} h_r"),
    "map": Entry(
        "MAP",
        "accuracy",
        "more",
        "precision at every hit, over as many hits as the list can hold, as in LensKit",
        r"\frac{1}{\min(k, n)} \sum_{r \le k} h_r \, \frac{1}{r} \sum_{s \le r} h_s",
        "Manning, Raghavan & Schütze 2008, ch. 8",
    ),
    "map_by_n": Entry(
        "MAP by n",
        "accuracy",
        "more",
        "precision at every hit, over all relevant films, as in ranx and RecTools",
        r"\frac{1}{n} \sum_{r \le k} h_r \, \frac{1}{r} \sum_{s \le r} h_s",
        "Manning, Raghavan & Schütze 2008, ch. 8",
    ),
    "mrr": Entry("MRR", "accuracy", "more", "one over the rank of the first hit", r"1 / \min\{r : h_r = 1\}"),
    "auc": Entry(
        "AUC",
        "accuracy",
        "more",
        "chance that a relevant film outscores another, over the whole ranking",
        r"P(s_{\text{relevant}} > s_{\text{other}})",
        "Hanley & McNeil, Radiology 1982",
    ),
    "pairs": Entry(
        "Pairs",
        "accuracy",
        "more",
        "share of the pairs of a liked and a disliked film, both not given, that are in the right order; ties half",
        r"P(s_{\text{liked}} > s_{\text{disliked}})",
    ),
    "rmse": Entry(
        "RMSE",
        "rating error",
        "less",
        "root mean squared error",
        r"\sqrt{\overline{(r - \hat r)^2}}",
        within=(0.0, inf),
    ),
    "mae": Entry("MAE", "rating error", "less", "mean absolute error", r"\overline{|r - \hat r|}", within=(0.0, inf)),
    "within_half": Entry(
        "Within ½ ★", "rating error", "more", "share of predictions within half a star", r"P(|r - \hat r| \le 0.5)"
    ),
    "user_mse": Entry(
        "MSE by viewer", "rating error", "less", "mean squared error, every viewer counting alike", within=(0.0, inf)
    ),
    "user_mae": Entry(
        "MAE by viewer", "rating error", "less", "mean absolute error, every viewer counting alike", within=(0.0, inf)
    ),
    "coverage": Entry(
        "Coverage", "beyond accuracy", "more", "share of the catalogue that anybody is shown", r"|\bigcup_u L_u| / |I|"
    ),
    "novelty": Entry(
        "Novelty",
        "beyond accuracy",
        "more",
        "how little known the films are, in bits: among the viewers in training, as in RecTools",
        r"\overline{-\log_2 p_i}",
        "Zhou et al., PNAS 2010",
        within=(0.0, inf),
    ),
    "ild": Entry(
        "Diversity",
        "beyond accuracy",
        "more",
        "how unlike the films of a list are, by genre",
        r"\overline{1 - \cos(g_i, g_j)}",
        "Ziegler et al., WWW 2005",
    ),
    "gini": Entry(
        "Gini",
        "beyond accuracy",
        "less",
        "how unevenly films are shown: 0 all alike, 1 one film alone",
        r"\frac{\sum_i (2i - m - 1) c_{(i)}}{m \sum_i c_i}",
        "Adomavicius & Kwon, TKDE 2012",
    ),
    "miscalibration": Entry(
        "Miscalibration",
        "beyond accuracy",
        "less",
        "how far the genres of a list are from those of the viewer's history",
        r"\sum_g p_g \log_2 (p_g / \tilde q_g)",
        "Steck, RecSys 2018",
        within=(0.0, inf),
    ),
    "list_popularity": Entry(
        "Popularity",
        "beyond accuracy",
        "",
        "how many viewers of the training chose the films of a list, on average",
        r"\overline{c}_{L}",
        within=(0.0, inf),
    ),
    "popularity_lift": Entry(
        "Popularity lift",
        "beyond accuracy",
        "less",
        "how much more popular the list is than the history; 0 is as popular",
        r"\overline{c}_{L} / \overline{c}_{H} - 1",
        "Abdollahpouri et al., RMSE workshop, RecSys 2019",
        within=(-1.0, inf),
    ),
    "train_seconds": Entry(
        "Training, s", "cost", "less", "seconds of a training, the choice of the epoch included", within=(0.0, inf)
    ),
    "evaluate_ms_per_user": Entry(
        "Answer, ms", "cost", "less", "milliseconds to rank for one viewer, in batches", within=(0.0, inf)
    ),
    "megabytes": Entry("Size, MB", "cost", "less", "megabytes of the stored model", within=(0.0, inf)),
}
"""Metrics by the part of their key before `@` or `_sampled`, in the order in which they are shown."""
SYMBOLS = (
    "$h_r$: 1 if the film at rank $r$ is relevant, else 0; $n$: relevant films of the viewer; $k$: length of the list; "
    "$r, \\hat r$: the rating and its prediction; $p_i$: share of viewers who chose the film; $g$: genres; $c$: how "
    "often a film is shown or chosen; $L, H$: list and history. A value is a viewer's, averaged over viewers."
)


def entry(key: str) -> Entry:
    """Return what a key such as `ndcg@10` or `hr@10_sampled99` means. Raises KeyError for one that is unknown."""
    return METRICS[key.partition("@")[0]]


def title(key: str) -> str:
    """Return the title of a key, such as "NDCG@10" or "HR@10 of 100"."""
    base, at, rest = key.partition("@")
    k, _, sampled = rest.partition("_sampled")
    return METRICS[base].title + (f"@{k}" if at else "") + (f" of {int(sampled) + 1}" if sampled else "")
