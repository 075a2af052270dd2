"""Splits: what a model may learn from, what chooses its settings, what it is tested on. All are seeded.

No row stands in two parts, and nothing of a user's test reaches training: of `leave-last` and `time` no later row of
that user does, below the threshold of a positive included. Time across users is another matter. Only `time` cuts
everybody at one moment. `leave-last` cuts each user at their own last row, so what others did after that moment is
learned from (41 % of ml-100k's training events are later than some test event), and a model may know by it what became
popular later; `random`, `stratified` and `cold-user` do not look at time across users at all. This is how the protocols
are published; ask `time` for what a model would have reached on the day (Ji et al., A critical study on data leakage
in recommender system offline evaluation, TOIS 2023).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recengine.data.cold_item import cold_item_split
from recengine.data.dataset import Dataset
from recengine.data.interactions import Interactions
from recengine.data.sitting import sitting_split
from recengine.data.split import Labels as Labels
from recengine.data.split import Rng
from recengine.data.split import Split as Split
from recengine.data.split import SplitSetting as SplitSetting
from recengine.data.split import hold_out as hold_out
from recengine.errors import BadInput, suggest


def later_item(dataset: Dataset, rows: Interactions) -> NDArray[np.int64]:
    """Return (n,) numbers that say which of two rows of one time is later: the ids, where all are plain integers.

    Other ids say nothing of order, and the later row of the source is later.
    """
    ids = np.asarray(dataset.item_ids).astype(str)
    plain = all(id.isascii() and id.isdecimal() and (id[0] != "0" or id == "0") and len(id) < 19 for id in ids.tolist())
    return ids.astype(np.int64)[rows.item_idx] if plain else np.arange(len(rows))


def leave_last(
    interactions: Interactions,
    *,
    least: int = 3,
    ties: str = "item",
    later: NDArray[np.int64] | None = None,
    rng: Rng | None = None,
    test: bool = True,
) -> Split:
    """Hold out each user's last row for the test and the one before it for validation (protocol P1).

    Users with fewer than `least` rows stay in training whole. Of equal times the row with the larger number in
    `later` (n,) is later, by default the item's index; with ties="random" a seeded random order decides. With
    `test=False` only the last row is held out, for validation.
    What other users did after a user's last row stays in training: see the module's docstring.
    """
    rows = interactions.chronological(later if ties == "item" else _need(rng).permutation(len(interactions)))
    user = interactions.user_idx[rows]
    counts = interactions.user_counts
    from_end = np.cumsum(counts)[user] - 1 - np.arange(len(rows))  # 0 = the user's last row
    from_end[counts[user] < least] = len(rows)
    n_test = 1 if test else 0
    return _by_part(
        interactions,
        rows,
        np.select([from_end < n_test, from_end < n_test + 1], [2, 1], 0),
        ties=ties,
        least=least,
    )


def random_split(interactions: Interactions, *, share: float = 0.1, rng: Rng) -> Split:
    """Hold out a random `share` of all rows for the test and as many for validation."""
    _check_share(share)
    n = round(share * len(interactions))
    part = np.zeros(len(interactions), np.int8)
    rows = rng.permutation(len(interactions))
    part[rows[:n]], part[rows[n : 2 * n]] = 2, 1
    return _by_part(interactions, np.arange(len(interactions)), part, share=share)


def stratified_split(interactions: Interactions, *, share: float = 0.1, rng: Rng) -> Split:
    """Hold out `share` of each user's rows, at least one, for the test and as many for validation.

    Users with fewer than three rows stay in training whole, so every tested user is in every part.
    """
    _check_share(share)
    rows = interactions.chronological(rng.permutation(len(interactions)))
    rows = rows[np.lexsort((rng.random(len(rows)), interactions.user_idx[rows]))]
    user = interactions.user_idx[rows]
    counts = interactions.user_counts
    position = np.arange(len(rows)) - (np.cumsum(counts) - counts)[user]
    n_out = np.clip(np.round(share * counts).astype(int), 1, np.maximum((counts - 1) // 2, 1))
    n_out[counts < 3] = 0
    part = np.select([position < n_out[user], position < 2 * n_out[user]], [2, 1], 0)
    return _by_part(interactions, rows, part, share=share)


def time_split(interactions: Interactions, *, share: float = 0.1) -> Split:
    """Cut the whole set at two moments: the last `share` of rows is the test, the `share` before it validation.

    Rows of the same second fall on the same side of a cut, so the parts can be a little smaller than asked.
    """
    _check_share(share)
    stamps = interactions.timestamp
    ordered = np.sort(stamps)
    n = len(stamps)
    first_test = ordered[min(n - 1, n - round(share * n))]
    first_valid = ordered[max(0, min(n - 1, n - 2 * round(share * n)))]
    part = np.select([stamps >= first_test, stamps >= first_valid], [2, 1], 0)
    if not (part == 0).any() or not (part == 2).any():
        problem = "finds too few different timestamps to cut at"
        raise BadInput("split", "time", remedy="choose 'random' or 'stratified' instead", problem=problem)
    return _by_part(interactions, np.arange(n), part, share=share)


def cold_user_split(
    interactions: Interactions,
    *,
    ratings: Interactions | None = None,
    share: float = 0.2,
    given: int = 10,
    targets_after: int | None = None,
    fold: int = 0,
    ties: str = "item",
    later: Callable[[Interactions], NDArray[np.int64]] = lambda rows: rows.item_idx.astype(np.int64),
    rng: Rng,
) -> Split:
    """Hold out whole users: their first `given` ratings are known when they are served, later ones are the test.

    interactions : the positives: what is learned, and what is a target
    ratings      : all ratings, high and low, by which a user's events are counted; default `interactions`

    Users are dealt into round(1 / share) folds; `fold` says which is held out. `targets_after` (default `given`)
    fixes the targets to the positives after that many ratings, so that lists after 1, 2, 5 ratings face the same
    targets. All ratings before it are `seen`, given or not: a list after one rating that names a film which the
    user did rate next is neither rewarded nor punished, and the candidates are the same after each number.
    Equal times are ordered by `later`, or in a seeded random order with ties="random": where many of a user's first
    ratings share a time, an order by item gives away early items and keeps late ones as targets.
    Validation holds out the last positive of each training user.
    """
    _check_share(share)
    targets_after = max(given, 0) if targets_after is None else targets_after
    ratings = interactions if ratings is None else ratings
    n_folds = max(2, round(1 / share))
    held_out = rng.permutation(ratings.n_users) % n_folds == fold % n_folds
    rows = ratings.chronological(later(ratings) if ties == "item" else rng.permutation(len(ratings)))
    user = ratings.user_idx[rows]
    counts = ratings.user_counts
    position = np.arange(len(rows)) - (np.cumsum(counts) - counts)[user]
    targets = held_out[user] & (position >= targets_after) & np.isin(ratings.pairs, interactions.pairs)[rows]
    tested = np.bincount(user[targets], minlength=ratings.n_users) > 0
    if not tested.any():
        problem = f"finds no held-out user with more than {targets_after} ratings and a target after them"
        raise BadInput("split", "cold-user", remedy="lower `given`", problem=problem)
    others = interactions.select(~held_out[interactions.user_idx])
    warm = leave_last(others, later=later(others), test=False)
    return Split(
        train=warm.train,
        valid=warm.valid,
        test=ratings.select(rows[targets]),
        candidates=interactions.item_counts.nonzero()[0],
        seen=ratings.select(rows[tested[user] & (position < targets_after)]),
        left_out=int((held_out & ~tested & (counts > 0)).sum()),
        options={"share": share, "targets_after": targets_after, "fold": fold, "ties": ties},
    ).give(given)


def predefined_split(dataset: Dataset, which: str, *, positive: float, share: float = 0.1, rng: Rng) -> Split:
    """Take a split that the source publishes (ml-100k: u1..u5, ua, ub), thresholded at `positive`.

    Validation is a random `share` of the published training rows.
    """
    if which not in dataset.predefined:
        names = sorted(dataset.predefined)
        expected = f"one of: {', '.join(names)}" if names else "'random' or 'leave-last', as it has none"
        raise BadInput("split", which, expected, problem=f"is not published with {dataset.name!r}")
    train_rows, test_rows = dataset.predefined[which]
    liked = np.ones(len(dataset.ratings), bool) if positive <= 0 else dataset.ratings.rating >= positive
    rest = dataset.ratings.select(train_rows[~liked[train_rows]])
    train_rows, test_rows = train_rows[liked[train_rows]], test_rows[liked[test_rows]]
    part = np.zeros(len(train_rows), np.int8)
    part[rng.permutation(len(train_rows))[: round(share * len(train_rows))]] = 1
    rows = np.concatenate([train_rows, test_rows])
    part = np.concatenate([part, np.full(len(test_rows), 2)])
    return replace(_by_part(dataset.ratings, rows, part, which=which, share=share), rest=rest)


SPLITS = ("leave-last", "random", "stratified", "time", "cold-user", "sitting", "cold-item", "predefined")
HOLDS_OUT_USERS = ("cold-user", "sitting")
"""Splits that test users who are not in training."""


def make_split(
    dataset: Dataset,
    name: str,
    *,
    positive: float = 4.0,
    share: float | None = None,
    ties: str = "item",
    given: int | None = None,
    targets_after: int | None = None,
    fold: int = 0,
    seed: int = 0,
) -> Split:
    """Make a split by name over the positives of a data set (`positive=0`: every rating is one).

    `share` is the part held out (a tenth of the rows, of the items of `cold-item`, or a fifth of the users of
    `cold-user` and `sitting`, which alone know `given` and `fold`: see `cold_user_split`, which knows `targets_after`
    too, and `sitting_split`). `predefined` means the data's first published split; `predefined:ua`, or just `ua`, a
    particular one. For data without rare items or users, split `Dataset.reduced`.
    Raises BadInput for an unknown name or a split that leaves nothing to train or test on.
    """
    if seed < 0:
        raise BadInput("seed", seed, "a whole number from 0 up", problem="is out of range")
    if targets_after is not None and name != "cold-user":
        problem = f"has no meaning for split {name!r}"
        raise BadInput("targets_after", targets_after, remedy="choose 'cold-user'", problem=problem)
    kind, _, which = (f"predefined:{name}" if name in dataset.predefined else name).partition(":")
    if kind not in SPLITS or (which and kind != "predefined"):
        problem = f"is unknown{suggest(name, list(SPLITS))}"
        raise BadInput("split", name, f"one of: {', '.join(SPLITS)}", problem=problem)
    rng = np.random.default_rng(seed)
    if share is None:
        share = 0.2 if kind in HOLDS_OUT_USERS else 0.1
    if kind == "predefined":
        which = which or next(iter(sorted(dataset.predefined)), "u1")
        split = predefined_split(dataset, which, positive=positive, share=share, rng=rng)
    elif kind == "sitting":
        split = _sitting(dataset, positive=positive, share=share, given=given, fold=fold, rng=rng)
    elif kind == "cold-item":
        _check_share(share)
        split = cold_item_split(
            dataset.ratings, positive=positive, share=share, warm=partial(_last_for_validation, dataset), rng=rng
        )
    elif kind == "cold-user":
        split = cold_user_split(
            dataset.positives(positive),
            ratings=dataset.ratings,
            share=share,
            given=10 if given is None else given,
            targets_after=targets_after,
            fold=fold,
            ties=ties,
            later=partial(later_item, dataset),
            rng=rng,
        )
    else:
        split = _held_out_rows(dataset, kind, positive=positive, share=share, ties=ties, rng=rng)
    if kind not in ("predefined", "sitting", "cold-item"):  # which have told high ratings from low ones themselves
        split = replace(split, rest=_low_ratings(dataset.ratings, split, kind, positive))
    return _recorded(dataset, split, name, positive, seed)


def _held_out_rows(dataset: Dataset, kind: str, *, positive: float, share: float, ties: str, rng: Rng) -> Split:
    """Return the split of one of the kinds that hold out some of the positives of all users."""
    positives = dataset.positives(positive)
    if kind == "leave-last":
        return leave_last(positives, ties=ties, later=later_item(dataset, positives), rng=rng)
    if kind == "time":
        return time_split(positives, share=share)
    return {"random": random_split, "stratified": stratified_split}[kind](positives, share=share, rng=rng)


def _sitting(dataset: Dataset, *, positive: float, share: float, given: int | None, fold: int, rng: Rng) -> Split:
    """Return the split `sitting` of a data set, whose scale says what is disliked: half of the highest or less."""
    return sitting_split(
        dataset.ratings,
        positive=positive,
        disliked=dataset.rating_range[1] / 2,
        given=12 if given is None else given,
        fold=fold,
        n_folds=max(2, round(1 / share)),
        warm=partial(_last_for_validation, dataset),
        rng=rng,
    )


def _last_for_validation(dataset: Dataset, rows: Interactions) -> Split:
    """Return the split of rows that holds out each user's last one for validation, and tests nothing."""
    return leave_last(rows, later=later_item(dataset, rows), test=False)


def _recorded(dataset: Dataset, split: Split, name: str, positive: float, seed: int) -> Split:
    """Return the split with every rated item as a candidate and with the options that all splits have."""
    if not len(split.test) or not len(split.train):
        problem = f"of {dataset.name!r} leaves {len(split.train):,} rows to train on and {len(split.test):,} to test on"
        raise BadInput("split", name, remedy="lower `positive` or choose another split", problem=problem)
    shared: dict[str, SplitSetting] = {
        "split": name,
        "positive": positive,
        "min_user": dataset.cleaning.min_user,
        "min_item": dataset.cleaning.min_item,
        "seed": seed,
    }
    candidates = split.candidates if name == "cold-item" else dataset.ratings.item_counts.nonzero()[0]
    return replace(split, candidates=candidates, options={**shared, **split.options})


def make_folds(dataset: Dataset, name: str, *, folds: int | None = None, **options: Any) -> list[Split]:
    """Return one split or, with `folds`, that many of `cold-user` or `sitting`, in which each user is held out once.

    `options` are those of `make_split`. Raises BadInput for folds of another split, or of a share as well.
    """
    if folds is None:
        return [make_split(dataset, name, **options)]
    if name not in HOLDS_OUT_USERS or options.get("share") is not None:
        expected = "the `split` 'cold-user' or 'sitting' without a `share`"
        raise BadInput("folds", folds, expected, problem="holds each user out in turn")
    return [make_split(dataset, name, **{**options, "share": 1 / folds, "fold": fold}) for fold in range(folds)]


def _low_ratings(ratings: Interactions, split: Split, kind: str, positive: float) -> Interactions:
    """Return the rows below the threshold that reveal nothing of the test's future or of the users held out."""
    low = ratings.rating < positive
    if kind == "leave-last":
        last = np.full(ratings.n_users, np.iinfo(np.int64).max)
        last[split.test.user_idx] = split.test.timestamp
        low &= ratings.timestamp <= last[ratings.user_idx]
    if kind == "time" and len(split.test):
        low &= ratings.timestamp < split.test.timestamp.min()
    if kind == "cold-user":
        low &= split.train.user_counts[ratings.user_idx] > 0
    return ratings.select(low)


def _by_part(interactions: Interactions, rows: NDArray[np.int64], part: NDArray[Any], **options: SplitSetting) -> Split:
    """Return the split in which `part` gives the part of each row: 0 training, 1 validation, 2 test."""
    train, valid, test = (interactions.select(rows[part == i]) for i in range(3))
    return Split(train, valid, test, candidates=interactions.item_counts.nonzero()[0], options=options)


def _check_share(share: float) -> None:
    if not 0 < share < 0.5:
        raise BadInput("share", share, "more than 0 and less than 0.5", problem="is out of range")


def _need(rng: Rng | None) -> Rng:
    if rng is None:
        raise ValueError("a random order of ties needs rng=")
    return rng
