"""The commands `why`, `why-not` and `how-sure`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from recengine.cli.arguments import Commands, add_data_command, whole_number
from recengine.cli.common import load_data, read_settings, train_or_find
from recengine.cli.reporter import Reporter
from recengine.data.dataset import Dataset
from recengine.data.histories import read_histories
from recengine.data.interactions import Interactions
from recengine.errors import BadInput
from recengine.export import table
from recengine.models.base import Recommender
from recengine.models.registry import DEFAULT
from recengine.serving.certainty import Predicted, how_sure, predicted_stars
from recengine.serving.explain import Why, why
from recengine.serving.why_not import KNOWN, MOST, why_not

STANDING = {
    "quality": "how its raters rate it, whoever asks",
    "fame": "how many like it, whoever asks",
    "average": "what a user without ratings would get",
    "passed": "items like those that are not of interest",
    "arrangement": "others of its kind stand above it in the list",
    "fallback": "how many like it: nothing else is known for these ratings",
}
"""What no single rating causes, in words."""
SHOWN = 10
"""Ratings that speak for an item, and against it, that are printed one by one."""


class Asked(NamedTuple):
    """Whose list is asked about: all that the user rated, saw without rating, and the index of a user of the data."""

    data: Dataset
    model: Recommender
    history: Interactions
    seen: Interactions | None
    user_idx: int | None


def add_commands(commands: Commands) -> None:
    """Declare `why`, `why-not` and `how-sure`."""
    for name, run, text in (
        ("why", run_why, "show what speaks for an item, and what against it: the parts sum to its score"),
        ("why-not", run_why_not, f"find up to {MOST} ratings that would bring an item into the list"),
        ("how-sure", run_how_sure, "show which items of the list would stay on half of the ratings"),
    ):
        command = add_data_command(commands, name, run, text, default=DEFAULT)
        if name != "how-sure":
            command.add_argument("item", metavar="ITEM", help="its id")
        command.add_argument(
            "--ratings", type=Path, metavar="F", help="ratings of a new user, in any form that `recommend` reads"
        )
        command.add_argument("--user", help="a user of the data")
        if name != "why":
            command.add_argument("-k", type=whole_number(1), default=10, help="length of the list")


def _ask(options: argparse.Namespace, report: Reporter) -> Asked:
    """Return the data, the trained model and the ratings that the options name."""
    if (options.ratings is None) == (options.user is None):
        problem = "is missing" if options.user is None else "is a second choice of users"
        raise BadInput("user", options.user, "exactly one of `ratings` and `user`", problem=problem)
    data = load_data(options, report)
    if getattr(options, "item", None) is not None:
        options.item_idx = int(data.item_index([options.item])[0])
    user_idx = seen = None
    if options.ratings is not None:
        histories = read_histories(options.ratings, data)
        if len(histories.user_ids) > 1:
            problem = f"holds the ratings of {len(histories.user_ids):,} users"
            raise BadInput("ratings", str(options.ratings), "those of one user", problem=problem)
        for note in histories.notes:
            report.note(note)
        history, seen = histories.rows, histories.seen
    else:
        user_idx = int(data.user_index([options.user])[0])
        history = data.ratings.of_users([user_idx])
    trained = train_or_find(options, report, data, options.model, read_settings(options.set))
    return Asked(data, trained.model, history, seen, user_idx)


def run_why(options: argparse.Namespace, report: Reporter) -> None:
    data, model, history, seen, user_idx = _ask(options, report)
    result = why(model, data, history, options.item_idx, positive=options.positive, user_idx=user_idx, seen=seen)
    stars = predicted_stars(model, history, [options.item_idx])
    value = _item(data, options.item_idx) | {
        "dataset": data.name,
        "model": model.name,
        "score": result.score,
        "rank": result.rank,
        "contributions": [
            _item(data, part.item_idx) | {"rating": part.rating, "amount": part.amount} for part in result.contributions
        ],
        "standing": dict(result.standing),
        "popularity_fallback": result.fallback,
        **_stars(stars, 0),
    }
    where = "rated, so not listed" if result.rank is None else f"rank {result.rank:,}"
    expected = [f"Predicted rating: {_in_words(one)}" for one in stars]
    report.result(value, [f"{value['title']}: score {result.score:.3f}, {where}", *expected, *_reasons(data, result)])


def _reasons(data: Dataset, result: Why) -> list[str]:
    """Return the parts of a score as a table: those that add, what no rating causes, those that take."""
    titles = data.items["title"].to_numpy()
    adds = [part for part in result.contributions if part.amount > 0]
    takes = [part for part in result.contributions if part.amount < 0]
    rows = [(f"{part.amount:+.3f}", f"{titles[part.item_idx]}, rated {part.rating:g}") for part in adds[:SHOWN]]
    if rest := adds[SHOWN:]:
        rows.append((f"{sum(part.amount for part in rest):+.3f}", f"{len(rest):,} more ratings"))
    rows += [(f"{amount:+.3f}", STANDING.get(name, name)) for name, amount in result.standing.items()]
    if rest := takes[:-SHOWN]:
        rows.append((f"{sum(part.amount for part in rest):+.3f}", f"{len(rest):,} more ratings"))
    rows += [(f"{part.amount:+.3f}", f"{titles[part.item_idx]}, rated {part.rating:g}") for part in takes[-SHOWN:]]
    return table(("adds", "what"), rows)


def run_why_not(options: argparse.Namespace, report: Reporter) -> None:
    data, model, history, seen, _ = _ask(options, report)
    result = why_not(model, data, history, options.item_idx, k=options.k, positive=options.positive, seen=seen)
    answer = None
    if result.ratings is not None:
        answer = [_item(data, given.item_idx) | {"rating": given.rating} for given in result.ratings]
    value = _item(data, options.item_idx) | {
        "dataset": data.name,
        "model": model.name,
        "rank": result.rank,
        "ratings": answer,
        "new_rank": result.new_rank,
    }
    if answer is None:
        items = f"the {KNOWN:,} most rated items, those listed, those like it and your own"
        lines = [f"No set of up to {MOST} ratings of {items} was found that brings it into the {options.k}."]
    elif not answer:
        lines = ["It is in the list already."]
    else:
        lines = [f"With these ratings it stands at rank {result.new_rank:,}:"]
        lines += [f"  {row['rating']:g} for {row['title']}" for row in answer]
    report.result(value, [f"{value['title']} stands at rank {result.rank:,}.", *lines])


def run_how_sure(options: argparse.Namespace, report: Reporter) -> None:
    data, model, history, seen, _ = _ask(options, report)
    listed = how_sure(model, data, history, k=options.k, positive=options.positive, seed=options.seed, seen=seen)
    stars = predicted_stars(model, history, [sure.item_idx for sure in listed])
    rows = [
        _item(data, sure.item_idx) | {"probability": sure.probability} | _stars(stars, position)
        for position, sure in enumerate(listed)
    ]
    header = ["rank", "title", "stays on half of the ratings", *(["predicted rating"] if stars else [])]
    shown = [
        (position + 1, row["title"], f"{row['probability']:.0%}", *([_in_words(stars[position])] if stars else []))
        for position, row in enumerate(rows)
    ]
    report.result({"dataset": data.name, "model": model.name, "items": rows}, table(header, shown))


def _stars(stars: Sequence[Predicted], position: int) -> dict[str, float]:
    """Return a predicted rating for JSON; nothing where the model predicts none."""
    if not stars:
        return {}
    _, rating, low, high = stars[position]
    return {"stars": rating, "low": low, "high": high}


def _in_words(one: Predicted) -> str:
    return f"{one.rating:.1f}, four of five times {one.low:.1f} to {one.high:.1f}"


def _item(data: Dataset, item_idx: int) -> dict[str, Any]:
    """Return an item's raw id and title, JSON-ready."""
    raw = data.item_ids[item_idx]
    return {"item_id": raw.item() if hasattr(raw, "item") else raw, "title": data.items["title"].iloc[item_idx]}
