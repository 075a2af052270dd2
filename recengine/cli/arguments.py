"""The arguments that commands share, and the flags that stand for fields."""

from __future__ import annotations

import argparse
import dataclasses
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn, TypeAlias

from recengine import settings
from recengine.cli.reporter import Reporter, printable
from recengine.data.reading import OPTIONS, Reading
from recengine.data.splits import SPLITS
from recengine.export import TABLES
from recengine.models.registry import MODELS
from recengine.training.config import Config, RunConfig

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"
"""What commands are added to."""
_METAVARS = {
    "columns": "ROLE=NAME,...",
    "header": "yes|none",
    "layout": "long|wide",
    "scale": "LOW,HIGH",
    "feedback": "explicit|implicit",
    "aggregate": "latest|max|sum|count",
    "weights": "EVENT=WEIGHT,...",
}
Run = Callable[[argparse.Namespace, Reporter], None]
"""What carries a command out."""


class UsageError(ValueError):
    """The arguments cannot be read: a sentence with the way to the help."""


class _Once(argparse.Action):
    """Stores the value of an option that may be given once: of two, neither can be dropped without a word."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: object,
        option_string: str | None = None,
    ) -> None:
        given = vars(namespace).setdefault("_given", set())
        if option_string is not None and self.dest in given:
            raise argparse.ArgumentError(self, "given a second time; this command takes one")
        given.add(self.dest)
        setattr(namespace, self.dest, values)


class Parser(argparse.ArgumentParser):
    """Raises UsageError, one line, instead of printing its usage and leaving, and for an option that is repeated."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._negative_number_matcher = re.compile(r"-[0-9.][0-9.,]*")  # the scale -1,1 is a value, no option
        for action in (None, "store"):
            self.register("action", action, _Once)

    def format_help(self) -> str:
        return printable(super().format_help())

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}; see `{self.prog} --help`")


def add_command(commands: Commands, name: str, run: Run, text: str) -> argparse.ArgumentParser:
    """Add a command with the arguments that all have, and return its parser."""
    command = commands.add_parser(name, help=text, description=text)
    command.set_defaults(run=run, command=command)
    command.add_argument("--json", action="store_true", help="print one JSON object")
    command.add_argument("--quiet", action="store_true", help="no progress")
    command.add_argument("--progress", choices=("bar", "jsonl"), default="bar", help="form of the progress")
    return command


def add_dataset(command: argparse.ArgumentParser, text: str = "name or path", *, several: bool = False) -> None:
    """Add `--dataset` and how it is to be read; with `several` it may be repeated, and is a list or None."""
    if several:
        command.add_argument("--dataset", action="append", metavar="D", help=f"{text}; may be repeated")
    else:
        command.add_argument("--dataset", default=settings.default_dataset(), metavar="D", help=text)
    add_reading(command)


def dataset_names(options: argparse.Namespace) -> list[str]:
    """Return the data sets of a command that takes several, each once."""
    return list(dict.fromkeys(options.dataset or [settings.default_dataset()]))


def add_data_command(
    commands: Commands,
    name: str,
    run: Run,
    text: str,
    *,
    model: bool = True,
    default: str | None = None,
    several: bool = False,
) -> argparse.ArgumentParser:
    """Add a command that reads a data set and trains, with `--model` unless it names models in another way.

    `default` is the model where none is named; without it `--model` is required. With `several` the command takes
    more than one data set.
    """
    command = add_command(commands, name, run, text)
    add_dataset(command, several=several)
    if model:
        about = None if default is None else f"default: {default}"
        either = command.add_mutually_exclusive_group(required=default is None)
        either.add_argument("--model", default=default, metavar="M", help=about)
        either.add_argument(
            "--model-folder",
            type=Path,
            metavar="DIR",
            help="a folder that `train --out` wrote: nothing is trained, and without --dataset it serves what it holds",
        )
    command.add_argument("--positive", type=float, help="least rating of a positive; default: 4 of 5 stars")
    for kind, sees in (("item", "are dropped first"), ("user", "are dropped then")):
        text = f"{kind}s with fewer than N positives {sees} and are nowhere in the data"
        command.add_argument(f"--min-{kind}", type=whole_number(0), default=0, metavar="N", help=text)
    command.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a setting of the model")
    command.add_argument("--seed", type=int, default=0)
    command.add_argument("--device", default=settings.default_device(), help="auto, cpu or cuda")
    return command


def add_out(
    command: argparse.ArgumentParser, text: str, *, required: bool = False, endings: Sequence[str] = TABLES
) -> None:
    """Add `--out`, a file whose ending names its format; `main` checks it before anything is done."""
    command.add_argument("--out", type=Path, required=required, metavar="F", help=f"{text}: {', '.join(endings)}")
    command.set_defaults(out_endings=endings)


def add_reading(command: argparse.ArgumentParser) -> None:
    """Add the options that state how the table of a data set is to be read."""
    group = command.add_argument_group("reading a table", "what is left out is inferred, and printed")
    for option, text in OPTIONS.items():
        group.add_argument(
            _reading_flag(option), metavar=_METAVARS.get(option, option.upper()), help=text.replace("%", "%%")
        )


def reading_of(options: argparse.Namespace) -> Reading:
    """Return how the data set is to be read, as far as the options state it."""
    return Reading.of_texts({option: getattr(options, option, None) for option in OPTIONS})


def reading_flags(reading: Reading) -> list[str]:
    """Return the arguments that state a reading."""
    return [f"{_reading_flag(option)}={text}" for option, text in reading.texts().items()]


def _reading_flag(option: str) -> str:
    return f"--{option.replace('_', '-')}"


def add_split_options(command: argparse.ArgumentParser, split: str | None = None) -> None:
    """Add the options that shape a split, which is required unless `split` is the default."""
    text = f"{', '.join(SPLITS)}, or a published one such as u1"
    command.add_argument("--split", required=split is None, default=split, help=text)
    command.add_argument("--test-share", type=float, default=None, help="share held out")
    command.add_argument(
        "--ties",
        choices=("item", "random"),
        default="item",
        help="order among equal times: the larger number is later where all ids are numbers, else the later row; "
        "or random, which no id can sway",
    )
    command.add_argument(
        "--given",
        type=whole_numbers,
        metavar="N,...",
        help="ratings known of each held-out user; default: 10 for cold-user, 12 for sitting",
    )
    command.add_argument(
        "--targets-after",
        type=whole_number(0),
        metavar="N",
        help="cold-user: test what comes after N; default: what is given",
    )
    command.add_argument(
        "--folds", type=whole_number(3), metavar="N", help="hold all users out, in N turns; default for sitting: 5"
    )


def split_options(options: argparse.Namespace) -> dict[str, Any]:
    """Return the options of `add_split_options` by the names of `ComparisonRequest` and `make_folds`."""
    names = ("positive", "ties", "targets_after", "folds")
    return {name: getattr(options, name) for name in names} | {"share": options.test_share}


def whole_number(least: int) -> Callable[[str], int]:
    """Return a reader of whole numbers from `least` up, for argparse."""

    def read(text: str) -> int:
        if not re.fullmatch("-?[0-9]{1,18}", text) or int(text) < least:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of {least} or more")
        return int(text)

    return read


def whole_numbers(text: str) -> list[int]:
    """Read whole numbers from 0 up, joined by commas, each once, for argparse."""
    return list(dict.fromkeys(map(whole_number(0), text.split(","))))


def flag_of(command: argparse.ArgumentParser) -> Callable[[str], str]:
    """Return a function from a field that BadInput names to what stands for it on the command line.

    An option of the command is its flag, a field of a model's config `--set NAME`; anything else keeps its name.
    """
    flags: dict[str, str] = {}
    for action in command._actions:
        if action.option_strings:
            flags[action.dest] = action.option_strings[-1]
    if "test_share" in flags:
        flags["share"] = flags["test_share"]
    kinds: list[type[Config]] = [RunConfig, *(kind.Config for kind in MODELS.values())]
    fields = {f.name for kind in kinds for f in dataclasses.fields(kind)} if "set" in flags else set()

    def flag(field: str) -> str:
        return flags.get(field) or (f"--set {field}" if field in fields else field)

    return flag
