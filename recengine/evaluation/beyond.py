"""Beyond accuracy: how varied, how obscure and how fitting the lists are, whether or not they hit."""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from recengine.data.interactions import Interactions

Floats = NDArray[np.float64]


def genre_matrix(items: pd.DataFrame) -> Floats:
    """Return (n_items, n_genres): each item's genres, sharing out a weight of 1; a row of zeros where unknown."""
    table = items["genres"].str.get_dummies("|").drop(columns="", errors="ignore").to_numpy(np.float64)
    return table / np.maximum(table.sum(1, keepdims=True), 1)


def beyond_accuracy(
    lists: NDArray[np.int64], users: NDArray[np.int64], history: Interactions, genres: Floats, k: int
) -> dict[str, Floats]:
    """Return one value per user (n,) of each metric; NaN where a list is empty or genres are unknown.

    lists   : (n, k) item indices, -1 padded; users : (n,) their rows in `history`, all choices before the test
    novelty : mean of -log2(share of the users in `history` who chose the item), in bits (Zhou et al., PNAS 2010), as
              RecTools has it; users of whom nothing is known do not count, and an item that nobody chose counts as one
              that a single user did
    ild     : mean of 1 - cosine of the genres over all pairs of the list, of items whose genres are known (Ziegler et
              al., WWW 2005)
    miscalibration : Kullback-Leibler divergence of the list's genres from the history's, smoothed by 1 %
              (Steck, RecSys 2018); 0 is perfectly calibrated
    popularity_lift : mean popularity of the list over that of the history, less 1 (Abdollahpouri et al. 2019)
    """
    listed = lists >= 0
    length = listed.sum(1)
    at = np.maximum(lists, 0)
    counts = history.item_counts
    share = np.maximum(counts, 1) / max(np.count_nonzero(history.user_counts), 1)
    position, rows = history.rows_of(users)
    past = torch.from_numpy(history.item_idx[rows].astype(np.int64))

    n_past = np.bincount(position, minlength=len(users))
    first = torch.from_numpy(np.cumsum(n_past) - n_past)

    def mean_of_history(values: Floats) -> Floats:
        """Return (n, ...): the mean of values (n_items, ...) over each user's history."""
        table = torch.from_numpy(values.reshape(len(values), -1))
        total = torch.nn.functional.embedding_bag(past, table, first, mode="sum").numpy()
        return (total / np.maximum(n_past, 1)[:, None]).reshape(len(users), *values.shape[1:])

    with np.errstate(invalid="ignore", divide="ignore"):
        novelty = (-np.log2(share)[at] * listed).sum(1) / length
        popularity = (counts[at] * listed).sum(1) / length
        lift = popularity / mean_of_history(counts.astype(np.float64)) - 1
        known = listed & (genres.sum(1) > 0)[at]  # (n, k): listed, and its genres are known
        unit = genres / np.linalg.norm(genres, axis=1, keepdims=True)
        unit = np.where(known[:, :, None], np.nan_to_num(unit)[at], 0.0)  # (n, k, G)
        n_known = known.sum(1)
        ild = 1 - ((unit.sum(1) ** 2).sum(1) - n_known) / (n_known * (n_known - 1))
        wanted = mean_of_history(genres)  # (n, G)
        wanted = wanted / wanted.sum(1, keepdims=True)
        given = (genres[at] * known[:, :, None]).sum(1) / n_known[:, None]
        given = 0.99 * given + 0.01 * wanted
        divergence = np.where(wanted > 0, wanted * np.log2(wanted / given), 0.0).sum(1)
        divergence[~np.isfinite(wanted.sum(1)) | (n_known == 0)] = np.nan
    values = {"novelty": novelty, "ild": ild, "miscalibration": divergence, "popularity_lift": lift}
    return {f"{name}@{k}": np.where(np.isfinite(value), value, np.nan) for name, value in values.items()}


def gini(lists: NDArray[np.int64], candidates: NDArray[np.int64]) -> float:
    """Return how unequally the candidates are listed: 0 all alike, towards 1 a few only (-1 is padding)."""
    counts = np.sort(np.bincount(lists[lists >= 0], minlength=int(candidates.max()) + 1)[candidates])
    n = len(counts)
    if counts.sum() == 0:
        return float("nan")
    return float(((2 * np.arange(1, n + 1) - n - 1) * counts).sum() / (n * counts.sum()))
