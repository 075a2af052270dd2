"""Ranking primitives and metrics: pure functions on tensors, one value per user.

Throughout: B users, k listed items. `hits` (B, k) bool says whether the item at each rank is relevant;
`n_relevant` (B,) counts each user's relevant items. A user with none gets NaN: the mean over users leaves
them out. Equal scores are put in a seeded random order before a metric sees the list: neither the ids of the items
nor their popularity decides, so that a model which knows nothing reaches what chance reaches.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from recengine.data.interactions import Interactions

STRETCH, MANY = 64, 2**18
"""Columns whose maximum is taken first, and the scores from which on that is faster."""
FEW = 3
"""Relevant items of a user up to which comparing them with all scores is faster than sorting these."""


class Ranking(NamedTuple):
    """Top-k items of a batch: items (B, k) int64, padded with -1; scores (B, k) float32, non-increasing.

    Equal scores stand in the order of a seeded hash, so that a ranking is the same on every machine.
    """

    items: Tensor
    scores: Tensor


def mask_scores(
    scores: Tensor,
    users: ArrayLike,
    *,
    seen: Interactions | None,
    among: ArrayLike | None = None,
) -> Tensor:
    """Set to -inf, in place, each user's items in `seen` and the items that are not in `among`; NaN counts as -inf.

    scores : (B, n_items), users : (B,) their indices in `seen`, among : candidate item indices.
    """
    return mask_cells(scores, None if seen is None else coordinates(seen, users), among)


def mask_cells(scores: Tensor, cells: tuple[Tensor, Tensor] | None, among: ArrayLike | None) -> Tensor:
    """Do what `mask_scores` does, given the `coordinates` of what was seen."""
    scores.nan_to_num_(nan=-torch.inf, posinf=torch.inf, neginf=-torch.inf)
    if cells is not None:
        scores[cells] = -torch.inf
    if among is not None:
        outside = torch.ones(scores.shape[1], dtype=torch.bool)
        outside[torch.as_tensor(np.asarray(among, dtype=np.int64))] = False
        scores[:, outside] = -torch.inf
    return scores


def coordinates(interactions: Interactions, users: ArrayLike) -> tuple[Tensor, Tensor]:
    """Return (position, item), both (m,) int64: the cells of a (B, n_items) table in which a batch has interactions."""
    position, rows = interactions.rows_of(users)
    return torch.from_numpy(position), torch.from_numpy(interactions.item_idx[rows].astype(np.int64))


def tie_salts(seen: Interactions | None, users: ArrayLike, seed: int = 0) -> Tensor:
    """Return (B,) int64: what sets the order of equal scores for each user, from the items that the user has seen.

    Users with the same items get the same order, whether they are in the data or new; other users get another one.
    """
    n_users = np.atleast_1d(np.asarray(users)).shape[0]
    return cell_salts(n_users, None if seen is None else coordinates(seen, users), seed)


def cell_salts(n_users: int, cells: tuple[Tensor, Tensor] | None, seed: int) -> Tensor:
    """Do what `tie_salts` does, given the `coordinates` of what was seen."""
    salts = torch.full((n_users,), seed)
    if cells is not None:
        salts.index_add_(0, cells[0], hashed(cells[1]))
    return hashed(salts)


def hashed(numbers: Tensor) -> Tensor:
    """Return numbers of 62 bits that look random, the same ones for the same numbers (splitmix64's mixer)."""
    mixed = numbers.numpy() + 0x1E3779B97F4A7C15  # numpy takes a third of the time for one user
    for shift, factor in ((30, -0x40A7B892E31B1A47), (27, -0x6B2FB644ECCEEE15)):
        mixed = (mixed ^ (mixed >> shift)) * factor
    return torch.from_numpy((mixed ^ (mixed >> 31)) & (2**62 - 1))  # so that a little more does not overflow


@lru_cache(maxsize=8)
def _tie_order(n: int) -> tuple[Tensor, Tensor]:
    """Return (order, rank), (n,) each: the columns in the order of their hash, and where each stands in it."""
    order = hashed(torch.arange(n)).argsort()
    return order, order.argsort()


def top_k(scores: Tensor, k: int, salts: Tensor | None = None) -> Ranking:
    """Return the k best columns of each row, and -1 where the score is -inf.

    Equal scores stand in the order of a hash of the column, read round from the one of them that the row's salt (B,)
    says, which `tie_salts` makes: each of them is first, or left out, as often as any other. `torch.topk` breaks ties
    as it likes: rows whose k-th score also stands outside the list choose again among the columns with that score.
    """
    order, rank = _tie_order(scores.shape[1])
    salts = torch.zeros(len(scores), dtype=torch.int64) if salts is None else salts
    values, items = _largest(scores, min(k + 1, scores.shape[1]))  # one more shows whether the last has equals outside
    items = items[:, :k]
    if (values[:, 1:] < values[:, :-1]).all():  # mostly so for one user
        best = values[:, :k].contiguous()
        return Ranking(items.masked_fill(best == -torch.inf, -1), best)
    items = items.gather(1, rank[items].argsort(dim=1))
    best, by_score = scores.gather(1, items).sort(dim=1, descending=True, stable=True)
    items = _turned(items.gather(1, by_score), best, salts)
    last = best[:, -1:]
    tied = ((values[:, k:] == last) & (last > -torch.inf)).any(1)
    if tied.any():
        count = (scores[tied][:, order] == last[tied]).cumsum(1, dtype=torch.int32)  # of equals up to each column
        better = (best[tied] > last[tied]).sum(1, keepdim=True)
        wanted = salts[tied][:, None] + torch.arange(k) - better
        column = torch.searchsorted(count, (wanted % count[:, -1:] + 1).int())
        items[tied] = torch.where(torch.arange(k) < better, items[tied], order[column])
    return Ranking(items.masked_fill(best == -torch.inf, -1), best)


def _largest(scores: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Return the k largest scores of each row and their columns; in long rows only k stretches are looked at closely.

    These are the stretches with the largest maxima: whatever stands in another is no larger than each of the k maxima.
    """
    n = scores.shape[1]
    if n < 2 * k * STRETCH or scores.numel() < MANY:
        values, columns = scores.topk(k, dim=1)
        return values, columns
    whole = n // STRETCH
    maxima = scores[:, : whole * STRETCH].view(-1, whole, STRETCH).amax(2)
    inside = maxima.topk(k, dim=1, sorted=False).indices[:, :, None] * STRETCH + torch.arange(STRETCH)
    columns = torch.cat([inside.flatten(1), torch.arange(whole * STRETCH, n).expand(len(scores), -1)], 1)
    values, among = scores.gather(1, columns).topk(k, dim=1)
    return values, columns.gather(1, among)


def top_k_of_row(
    scores: Tensor, k: int, salts: Tensor, *, users: ArrayLike, seen: Interactions | None, among: ArrayLike | None
) -> Ranking:
    """Return the lists that `top_k` makes of scores (n_items,) that are those of all users, masked by `mask_scores`.

    The items are put in order once, and each user's own are skipped: the memory is that of the lists and of `seen`.
    """
    row = mask_scores(scores[None].clone(), [0], seen=None, among=among)[0].numpy()
    order = np.lexsort((_tie_order(len(row))[1].numpy(), -row))
    order = order[row[order] > -np.inf]
    n, n_users = len(order), len(salts)
    position_of = np.full(len(row), -1)
    position_of[order] = np.arange(n)
    user_row, rows = (np.zeros(0, np.int64),) * 2 if seen is None else seen.rows_of(users)
    at = np.zeros(0, np.int64) if seen is None else position_of[seen.item_idx[rows]]
    hidden = np.sort((user_row * (n + 1) + at)[at >= 0])  # a number for each user and position
    hidden = hidden[np.diff(hidden, prepend=-1) > 0]
    first = np.searchsorted(hidden, np.arange(n_users + 1) * (n + 1))
    owner = np.repeat(np.arange(n_users), np.diff(first))
    ahead = hidden - np.arange(len(hidden)) + first[owner]  # how many of the numbers before it are not a user's own

    def nth(user: NDArray[np.int64], number: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the positions of the items that come after `number` others of the user's own."""
        return number + np.searchsorted(ahead, user * (n + 1) + number, side="right") - first[user]

    def before(user: NDArray[np.int64], end: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return how many of the user's own stand before a position."""
        return end - np.searchsorted(hidden, user * (n + 1) + end) + first[user]

    user, number = np.divmod(np.arange(n_users * k), k)
    listed = number < (n - np.diff(first))[user]
    user, number = user[listed], number[listed]
    chosen = nth(user, number)
    new = np.flatnonzero(np.diff(row[order], prepend=np.nan) != 0)  # where a run of equal scores begins
    run = np.searchsorted(new, chosen, side="right") - 1
    begin, end = new[run], np.append(new, n)[run + 1]
    equal = end - begin > 1
    owner, least = user[equal], before(user[equal], begin[equal])
    turned = (number[equal] - least + salts.numpy()[owner]) % (before(owner, end[equal]) - least)
    chosen[equal] = nth(owner, least + turned)
    items, best = np.full(n_users * k, -1), np.full(n_users * k, -np.inf, np.float32)
    items[listed], best[listed] = order[chosen], row[order[chosen]]
    return Ranking(*(torch.from_numpy(part.reshape(n_users, k)) for part in (items, best)))


def _turned(items: Tensor, best: Tensor, salts: Tensor) -> Tensor:
    """Return sorted items (B, k) with each run of equal scores (B, k) turned round by the row's salt (B,)."""
    begins = torch.ones_like(items, dtype=torch.bool)
    begins[:, 1:] = best[:, 1:] != best[:, :-1]
    if begins.all():  # mostly nothing is equal
        return items
    rank = torch.arange(items.shape[1]).expand_as(items)
    start = torch.where(begins, rank, 0).cummax(1).values
    size = torch.zeros_like(items).scatter_add(1, start, torch.ones_like(items)).gather(1, start)
    return items.gather(1, start + (rank - start + salts[:, None]) % size)


def find_hits(items: Tensor, relevant: Tensor) -> Tensor:
    """Return (B, k) bool: is each listed item (-1 = padding) marked in `relevant` (B, n_items) bool?"""
    return relevant.gather(1, items.clamp(min=0)) & (items >= 0)


def listed_hits(items: Tensor, position: Tensor, item: Tensor, n_items: int) -> Tensor:
    """Return what `find_hits` does, given the relevant cells, both (m,), instead of a table of users and items."""
    relevant = (position * n_items + item).sort().values
    if not len(relevant):
        return torch.zeros(items.shape, dtype=torch.bool)
    wanted = torch.arange(len(items))[:, None] * n_items + items
    nearest = relevant[torch.searchsorted(relevant, wanted).clamp(max=len(relevant) - 1)]
    return (nearest == wanted) & (items >= 0)


def _per_user(value: Tensor, n_relevant: Tensor) -> Tensor:
    return torch.where(n_relevant > 0, value, torch.nan)


def ndcg(hits: Tensor, n_relevant: Tensor) -> Tensor:
    """Normalised discounted cumulative gain: sum of 1/log2(rank + 1) over hits, by that of a perfect list.

    The perfect list has min(k, n_relevant) hits at the top (Järvelin & Kekäläinen, TOIS 2002; binary gains).
    """
    discount = 1 / torch.log2(torch.arange(2, hits.shape[1] + 2, dtype=torch.float64))  # (k,)
    ideal = discount.cumsum(0)[n_relevant.clamp(1, hits.shape[1]) - 1]
    return _per_user((hits * discount).sum(1) / ideal, n_relevant)


def recall(hits: Tensor, n_relevant: Tensor) -> Tensor:
    """Share of the user's relevant items that are listed: hits / n_relevant."""
    return _per_user(hits.sum(1) / n_relevant.clamp(min=1).double(), n_relevant)


def precision(hits: Tensor, n_relevant: Tensor) -> Tensor:
    """Share of the k ranks that hold a relevant item: hits / k, whether or not k items could be listed."""
    return _per_user(hits.double().mean(1), n_relevant)


def hit_rate(hits: Tensor, n_relevant: Tensor) -> Tensor:
    """1 when at least one relevant item is listed, else 0."""
    return _per_user(hits.any(1).double(), n_relevant)


def average_precision(hits: Tensor, n_relevant: Tensor) -> Tensor:
    """Sum of precision@rank over the hits, by min(k, n_relevant): a perfect list has 1 (as LensKit has it)."""
    return _per_user(_precision_at_hits(hits) / n_relevant.clamp(1, hits.shape[1]), n_relevant)


def average_precision_by_n(hits: Tensor, n_relevant: Tensor) -> Tensor:
    """Sum of precision@rank over the hits, by n_relevant, however short the list (as ranx and RecTools have it)."""
    return _per_user(_precision_at_hits(hits) / n_relevant.clamp(min=1), n_relevant)


def _precision_at_hits(hits: Tensor) -> Tensor:
    ranks = torch.arange(1, hits.shape[1] + 1, dtype=torch.float64)
    return (hits * hits.cumsum(1) / ranks).sum(1)


def reciprocal_rank(hits: Tensor, n_relevant: Tensor) -> Tensor:
    """1 / rank of the first relevant item, 0 when none is among the k."""
    first = hits.double().argmax(1) + 1
    return _per_user(torch.where(hits.any(1), 1 / first.double(), 0.0), n_relevant)


RANKING_METRICS: Mapping[str, Callable[[Tensor, Tensor], Tensor]] = {
    "ndcg": ndcg,
    "recall": recall,
    "precision": precision,
    "hr": hit_rate,
    "map": average_precision,
    "map_by_n": average_precision_by_n,
    "mrr": reciprocal_rank,
}
"""Metrics of a list of k items by their plain names, reported as `name@k`."""


def pairs(scores: Tensor, position: Tensor, item: Tensor, low_position: Tensor, low_item: Tensor) -> Tensor:
    """Share of the pairs of a liked and a disliked item in which the liked one scores higher; ties half.

    scores : (B, n_items); position, item : (m,) the liked cells; low_position, low_item : (l,) the disliked ones
    Returns (B,), NaN for a user without a pair.
    """
    shares = torch.full((len(scores),), torch.nan, dtype=torch.float64)
    for user in torch.unique(low_position).tolist():
        liked = scores[user, item[position == user]][:, None]
        disliked = scores[user, low_item[low_position == user]]
        if len(liked):
            shares[user] = ((liked > disliked).double() + (liked == disliked).double() / 2).mean()
    return shares


def auc(scores: Tensor, position: Tensor, item: Tensor) -> Tensor:
    """Area under the ROC curve: the chance that a relevant item outscores an irrelevant candidate; ties half.

    scores : (B, n_items), -inf where an item is not a candidate
    position, item : (m,) the relevant cells; one that is not a candidate ranks below every candidate
    Returns (B,), NaN for a user without a relevant item or without an irrelevant candidate.
    """
    n_users = scores.shape[0]
    n_relevant = torch.bincount(position, minlength=n_users)
    width = int(n_relevant.max()) if len(position) else 0
    by_user = torch.argsort(position, stable=True)
    position, item = position[by_user], item[by_user]
    column = torch.arange(len(position)) - (n_relevant.cumsum(0) - n_relevant)[position]
    targets = torch.full((n_users, width), -torch.inf)
    targets[position, column] = scores[position, item]
    targets = targets.sort(dim=1).values  # padding (-inf) first
    if not width:
        return torch.full((n_users,), torch.nan, dtype=torch.float64)
    if width <= FEW:  # faster than to sort
        below, above = (_counts(compare, scores, targets) for compare in (np.less, np.greater))
        masked = _counts(np.equal, scores, torch.full((n_users, 1), -torch.inf))
    else:
        ordered = torch.from_numpy(np.sort(scores.numpy(), axis=1))  # (B, n) ascending; numpy's SIMD sort
        below = torch.searchsorted(ordered, targets).double()
        above = scores.shape[1] - torch.searchsorted(ordered, targets, right=True).double()
        masked = torch.searchsorted(ordered, torch.full((n_users, 1), -torch.inf), right=True).double()
    lost = (targets == -torch.inf).double()  # a relevant item that is not a candidate loses to every candidate
    beaten = torch.where(lost > 0, 0.0, below - masked)
    tied = torch.where(lost > 0, 0.0, scores.shape[1] - above - below)
    # Wins over all candidates, less the wins (and ties) among the relevant items themselves.
    n_ranked = n_relevant - _lost_relevant(lost, n_relevant, width)
    inner = n_ranked * n_ranked / 2.0
    wins = (beaten + tied / 2).sum(1) - inner
    n_irrelevant = scores.shape[1] - masked[:, 0] - n_ranked
    total = n_relevant * n_irrelevant
    return torch.where(total > 0, wins / total.clamp(min=1), torch.nan)


def _counts(compare: np.ufunc, scores: Tensor, targets: Tensor) -> Tensor:
    """Return (B, w) float64: how many of a row's scores (B, n) compare so with each of its targets (B, w)."""
    rows = zip(scores.numpy(), targets.numpy(), strict=True)
    counts = [[np.count_nonzero(compare(row, target)) for target in some] for row, some in rows]
    return torch.tensor(counts, dtype=torch.float64)


def _lost_relevant(lost: Tensor, n_relevant: Tensor, width: int) -> Tensor:
    """Return (B,) the number of relevant items that are not candidates: -inf cells that are not padding."""
    return lost.sum(1) - (width - n_relevant)


def coverage(items: NDArray[np.int64] | Tensor, n_candidates: int) -> float:
    """Share of the candidates that stand in at least one list; -1 is padding."""
    listed = np.unique(np.asarray(items))
    return float((listed >= 0).sum() / n_candidates)
