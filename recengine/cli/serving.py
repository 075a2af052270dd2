"""The commands `recommend` and `similar`."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from recengine.cli.arguments import Commands, add_data_command, add_out
from recengine.cli.common import load_aligned, load_data, read_settings, train_or_find
from recengine.cli.reporter import Reporter
from recengine.cli.steering import add_knobs, report_prices, steering_of
from recengine.data.dataset import Dataset
from recengine.data.histories import read_histories
from recengine.data.interactions import Interactions
from recengine.errors import BadInput
from recengine.evaluation.policy import EvaluationPolicy
from recengine.experiments.model_folder import Aligned
from recengine.experiments.store import Trained
from recengine.export import Cell, table, write_table
from recengine.models.abilities import SupportsFoldIn
from recengine.models.registry import DEFAULT
from recengine.serving.likeness import basis
from recengine.serving.recommend import Listing, most_popular, recommend, recommend_new, recommend_profile, similar
from recengine.serving.steering import Steering
from recengine.training.progress import no_step, steps_of

Listings: TypeAlias = "Iterator[tuple[Sequence[Cell], Listing, NDArray[np.int64]]]"
AT_ONCE = 2**14
"""Users whose lists are held until they are written."""


def add_commands(commands: Commands) -> None:
    """Declare `recommend` and `similar`."""
    command = add_data_command(
        commands, "recommend", recommend_items, "recommend for a user, for all, or for a new user", default=DEFAULT
    )
    command.add_argument("--user")
    command.add_argument("--all-users", action="store_true")
    command.add_argument(
        "--ratings",
        type=Path,
        metavar="F",
        help="item_id or title, rating (none: liked), user_id for several users, as CSV or JSON; or an export of "
        "Letterboxd, IMDb, TMDB, ...",
    )
    command.add_argument("--profile", metavar="KEY=VALUE,...", help="for demographic: age, gender, occupation")
    command.add_argument("-k", type=int, default=10)
    command.add_argument("--include-seen", action="store_true")
    add_knobs(command)
    add_out(command, "write the table here")

    command = add_data_command(commands, "similar", similar_items, "list the items nearest to one", default=DEFAULT)
    command.add_argument("--item", required=True)
    command.add_argument("-k", type=int, default=10)
    add_out(command, "write the table here")


def recommend_items(options: argparse.Namespace, report: Reporter) -> None:
    choices = ("user", "all_users", "ratings", "profile")
    chosen = [name for name in choices if getattr(options, name) not in (None, False)]
    if len(chosen) != 1:
        raise BadInput(
            chosen[1] if chosen else "user",
            expected="exactly one of `user`, `all_users`, `ratings` and `profile`",
            remedy=f"drop it or `{chosen[0]}`" if chosen else "",
            problem="is a second choice of users" if chosen else "is missing",
        )
    aligned = load_aligned(options, report)
    data = aligned.dataset
    trained = train_or_find(options, report, data, options.model, read_settings(options.set))
    steering = steering_of(options, data)
    if steering is not None and options.profile is not None:
        raise BadInput(
            "profile", options.profile, remedy="drop it, or leave the list as it is", problem="has no steering"
        )
    prices = report_prices(options, report, data, steering)
    header = ("user_id", "rank", "item_id", "title", "score")
    fallback: list[Cell] = []
    sated: list[Cell] = []

    def rows() -> Iterator[Sequence[Cell]]:
        for ids, listing, counts in listings(options, report, aligned, trained, steering):
            sated.extend(user for user, count in zip(ids, counts, strict=True) if count == data.n_items)
            fallback.extend(user for user, stands_in in zip(ids, listing.fallback, strict=True) if stands_in)
            yield from _listed(data, ids, listing)

    if options.out:
        write_table(options.out, header, rows())
        report.result({"out": str(options.out), "popularity_fallback": fallback}, [str(options.out)])
    else:
        shown = list(rows())
        report.result(
            {
                "dataset": data.name,
                "model": options.model,
                "recommendations": [dict(zip(header, row, strict=True)) for row in shown],
                "popularity_fallback": fallback,
                "steering": prices,
            },
            table(header, shown),
        )
    if fallback:
        report.note(
            f"{len(fallback):,} with no rating of {options.positive:g} or more: popularity replaces {options.model}."
        )
    if sated and not options.include_seen:
        who = f"User {sated[0]} has" if len(sated) == 1 else f"{len(sated):,} users have"
        report.note(f"{who} rated all {data.n_items:,} items, so nothing is left to list; --include-seen lists them.")


def listings(
    options: argparse.Namespace, report: Reporter, aligned: Aligned, trained: Trained, steering: Steering | None
) -> Listings:
    """Yield (user ids, listing, number of items that each user has rated) in batches."""
    data, policy = aligned.dataset, EvaluationPolicy() if options.opened is None else options.opened.policy
    parameters = {"k": options.k, "positive": options.positive, "include_seen": options.include_seen, "policy": policy}
    parameters["steering"] = steering

    def of_new(ids: Sequence[Cell], histories: Interactions, seen: Interactions | None = None) -> Listings:
        for start in range(0, len(ids), AT_ONCE):
            some = ids[start : start + AT_ONCE]
            users = np.arange(start, start + len(some))
            rows, aside = histories.of_users(users), None if seen is None else seen.of_users(users)
            yield some, recommend_new(trained.model, data, rows, seen=aside, **parameters), rows.user_counts

    if options.ratings is not None:
        histories = read_histories(options.ratings, data)
        for note in histories.notes:
            report.note(note)
        yield from of_new(histories.user_ids, histories.rows, histories.seen)
        return
    if options.profile is not None:
        profile = read_settings(options.profile.split(","), "profile")
        yield ["new"], recommend_profile(trained.model, data, profile, k=options.k), np.zeros(1, np.int64)
        return
    new = np.arange(len(aligned.new_ids))
    if not options.all_users:
        new = np.flatnonzero([str(id) == options.user for id in aligned.new_ids.tolist()])
    users = aligned.users if options.all_users else data.user_index([options.user] if not len(new) else [])
    on_step = steps_of(report.epochs(f"lists by {trained.model.name}")) if len(users) > AT_ONCE else no_step
    for start in range(0, len(users), AT_ONCE):
        on_step(start, len(users))
        some = users[start : start + AT_ONCE]
        listing = recommend(trained.model, data, some, **parameters)
        yield data.user_ids[some].tolist(), listing, data.ratings.user_counts[some]
    on_step(1, 1)
    ids, rows = aligned.new_ids[new].tolist(), aligned.new_rows.of_users(new)
    if isinstance(trained.model, SupportsFoldIn):
        yield from of_new(ids, rows)
    elif ids:
        yield ids, most_popular(data, rows, k=options.k, positive=options.positive), rows.user_counts


def _listed(data: Dataset, users: Sequence[Cell], listing: Listing) -> Iterator[Sequence[Cell]]:
    named = list(zip(data.item_ids.tolist(), data.items["title"].tolist(), strict=True))
    for user, items, scores in zip(users, *(part.tolist() for part in listing.ranking), strict=True):
        for rank, (item, score) in enumerate(zip(items, scores, strict=True), 1):
            if item >= 0:
                yield user, rank, *named[item], score


def similar_items(options: argparse.Namespace, report: Reporter) -> None:
    data = load_data(options, report)
    seed = data.item_index([options.item])
    trained = train_or_find(options, report, data, options.model, read_settings(options.set))
    listing = similar(trained.model, data, int(seed[0]), k=options.k, positive=options.positive)
    header = ("rank", "item_id", "title", "similarity")
    rows = [row[1:] for row in _listed(data, [""], listing)]
    value = {
        "dataset": data.name,
        "model": options.model,
        "item_id": data.item_ids[seed[0]],
        "title": data.items["title"].iloc[seed[0]],
        "similar": [dict(zip(header, row, strict=True)) for row in rows],
        "fallback": "popularity" if listing.fallback[0] else None,
        "basis": None if listing.fallback[0] else basis(trained.model, int(seed[0])),
        "ratings": int(data.ratings.item_counts[seed[0]]),
    }
    if listing.fallback[0]:
        report.note(f"{value['title']} has no rating of {options.positive:g} or more: the most popular items stand in.")
    if options.out:
        write_table(options.out, header, rows)
    by_content = f" (by content: only {value['ratings']:,} ratings)" if value["basis"] == "content" else ""
    report.result(value, [f"Similar to {value['title']}{by_content}:", *table(header, rows)])
