"""The arguments of every command."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from recengine import __version__, settings
from recengine.cli.evaluation import evaluate_models
from recengine.cli.predicting import estimates, predict, score
from recengine.cli.promotion import promote_log, roll_back
from recengine.cli.serving import recommend_items, similar_items
from recengine.cli.streaming import stream_models
from recengine.cli.training import datasets, models, train
from recengine.cli.tuning import tune_model
from recengine.data.splits import SPLITS
from recengine.errors import BadInput
from recengine.serving.promotion import CAP


def _from(least: int) -> Callable[[str], int]:
    """Return a reader of whole numbers from `least` up, for argparse."""

    def read(text: str) -> int:
        if not text.lstrip("-").isdigit() or int(text) < least:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of {least} or more")
        return int(text)

    return read


def _counts(text: str) -> list[int]:
    """Read whole numbers from 0 up, joined by commas, each once, for argparse."""
    return list(dict.fromkeys(map(_from(0), text.split(","))))


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, as BadInput does."""

    def error(self, message: str) -> NoReturn:
        raise BadInput(f"{message}; see `{self.prog} --help`")


def build_parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="python -m recengine", description="Train, compare and serve movie recommenders.")
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(metavar="COMMAND", required=True, parser_class=_Parser)

    def add(name: str, run: Any, text: str) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=text, description=text)
        command.set_defaults(run=run)
        command.add_argument("--json", action="store_true", help="print one JSON object")
        command.add_argument("--quiet", action="store_true", help="no progress")
        command.add_argument("--progress", choices=("bar", "jsonl"), default="bar", help="how progress is written")
        return command

    command = add("datasets", datasets, "list the data sets, or fetch one")
    command.add_argument("action", nargs="?", choices=("list", "fetch"), default="list")
    command.add_argument("name", nargs="?")
    command = add("models", models, "list the models, or hold one to the contract")
    command.add_argument("action", nargs="?", choices=("list", "check"), default="list")
    command.add_argument("name", nargs="?")
    command.add_argument("--dataset", default=settings.default_dataset(), metavar="D", help="what it is tried on")

    def with_data(name: str, run: Any, text: str, *, model: bool = True) -> argparse.ArgumentParser:
        command = add(name, run, text)
        command.add_argument("--dataset", default=settings.default_dataset(), metavar="D", help="name or path")
        if model:
            command.add_argument("--model", required=True, metavar="M")
        command.add_argument("--positive", type=float, help="least rating of a positive; default: 4 of 5 stars")
        command.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a setting of the model")
        command.add_argument("--seed", type=int, default=0)
        command.add_argument("--device", default=settings.default_device(), help="auto, cpu or cuda")
        return command

    command = with_data("train", train, "train a model, or find it in the store", model=False)
    command.add_argument("model", metavar="M")
    command.add_argument("--force", action="store_true", help="train even if it is in the store")

    command = with_data("evaluate", evaluate_models, "evaluate models by full ranking", model=False)
    command.add_argument("models", nargs="+", metavar="M")
    command.add_argument("--split", required=True, help=f"{', '.join(SPLITS)}, or a published one such as u1")
    command.add_argument("--min-user", type=_from(0), default=0, help="positives that a user must have")
    command.add_argument("--min-item", type=_from(0), default=0, help="positives that an item must have")
    command.add_argument("--test-share", type=float, default=None, help="share held out")
    command.add_argument("--ties", choices=("item", "random"), default="item", help="order among equal times")
    command.add_argument(
        "--given", type=_counts, default=[10], metavar="N,...", help="cold-user: ratings known of each person"
    )
    command.add_argument(
        "--targets-after", type=_from(0), metavar="N", help="cold-user: test what comes after N; default: what is given"
    )
    command.add_argument("--folds", type=_from(3), metavar="N", help="cold-user: hold everybody out, in N turns")
    command.add_argument("-k", type=int, default=10)
    command.add_argument("--negatives", type=_from(0), default=0, help="adds metrics against N sampled negatives")
    command.add_argument("--seeds", type=_from(1), default=1, help="trainings to average")
    command.add_argument("--force", action="store_true", help="train even if it is in the store")
    command.add_argument("--out", type=Path, help="also write the JSON object here")
    command.add_argument(
        "--users", type=Path, metavar="F.csv", help="also write the figures and the list of each person"
    )

    command = with_data("tune", tune_model, "search a model's settings on validation data", model=False)
    command.add_argument("model", metavar="M")
    command.add_argument("--trials", type=_from(1), default=30, help="settings to try; the first are the presets")
    command.add_argument(
        "--search",
        action="append",
        default=[],
        metavar="KEY=A:B[:log]|A,B,C",
        help="where to look for a setting, instead of where the model says",
    )
    command.add_argument("--split", default="leave-last", help="as of evaluate; its test part is not looked at")
    command.add_argument("--min-item", type=_from(0), default=0, help="positives that an item must have")
    command.add_argument("--seeds", type=_from(1), default=1, help="trainings that a trial is the mean of")
    command.add_argument("--timeout", type=_from(1), metavar="SECONDS", help="start no trial after so long")
    command.add_argument("--out", type=Path, help="also write the JSON object here")

    command = with_data("stream", stream_models, "replay ratings in time order: test, then train", model=False)
    command.set_defaults(positive=5.0)
    command.add_argument("--model", action="append", metavar="M", help="one that learns from events; default: step")
    command.add_argument("--bootstrap", type=float, default=0.2, metavar="SHARE", help="of the events to start from")
    command.add_argument("--include-seen", action="store_true", help="rank what a person had before, too")
    command.add_argument("-k", type=int, default=10)
    command.add_argument("--events", type=_from(1), metavar="N", help="replay no more than N")
    command.add_argument("--mix", type=Path, metavar="F.csv", help="item_id or title, rating: one person more")
    command.add_argument("--pace", type=float, metavar="N", help="replay no more than N events a second, to watch")
    command.add_argument("--hold", type=Path, metavar="F", help="stand still while this file is there")
    command.add_argument("--out", type=Path, metavar="F.csv", help="one row for each event and model")

    for name, run, text in (
        ("promote", promote_log, "let incremental models learn visitors' ratings, unless that makes them worse"),
        ("rollback", roll_back, "serve the snapshot from before the last promotion again"),
    ):
        command = with_data(name, run, text, model=False)
        default = "all that the app serves" if name == "promote" else "all that were promoted"
        command.add_argument("--model", action="append", metavar="M", help=f"an incremental model; default: {default}")
        if name == "promote":
            command.add_argument("--cap", type=_from(1), default=CAP, help="ratings of one visitor that count at most")

    command = with_data("recommend", recommend_items, "recommend for a user, for all, or for a person of your own")
    command.add_argument("--user")
    command.add_argument("--all-users", action="store_true")
    command.add_argument("--ratings", type=Path, metavar="F.csv", help="item_id or title, rating; nothing is retrained")
    command.add_argument("--profile", metavar="KEY=VALUE,...", help="for demographic: age, gender, occupation")
    command.add_argument("-k", type=int, default=10)
    command.add_argument("--include-seen", action="store_true")
    command.add_argument("--out", type=Path)

    command = with_data("similar", similar_items, "list the items nearest to one")
    command.add_argument("--item", required=True)
    command.add_argument("-k", type=int, default=10)
    command.add_argument("--out", type=Path)

    command = with_data("score", score, "add the model's raw score to pairs of user and item")
    command.add_argument("--pairs", type=Path, required=True, metavar="F.csv")
    command.add_argument("--out", type=Path, required=True)

    command = with_data("predict", predict, "add the predicted rating to pairs of user and item")
    command.add_argument("--pairs", type=Path, required=True, metavar="F.csv")
    command.add_argument("--out", type=Path, required=True)

    command = with_data("estimates", estimates, "write the whole matrix of predicted ratings")
    command.add_argument("--out", type=Path, required=True)
    return parser
