"""An experiment: data sets x models x settings x seeds x splits x k, read from one TOML file."""

from __future__ import annotations

import itertools
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from recengine.data.reading import Reading
from recengine.errors import BadInput, suggest
from recengine.evaluation.policy import EvaluationPolicy
from recengine.experiments.cells import Request
from recengine.experiments.compare import ComparisonRequest
from recengine.experiments.replay import StreamRequest
from recengine.files import read_input
from recengine.models.registry import configure, model_class
from recengine.training.config import RunConfig, Settings

STREAM = "stream"
"""The split that is a stream: every event is tested, then learned."""
_KINDS = {str: "text", int: "a whole number", float: "a number", bool: "true or false", dict: "a table"}
_FILE: Mapping[str, Any] = {
    "title": str,
    "about": str,
    "datasets": [str],
    "reading": dict,
    "min_item": int,
    "min_user": int,
    "k": [int],
    "seed": int,
    "seeds": int,
    "splits": [dict],
    "models": [dict],
    "columns": [dict],
    "published": [dict],
}
_SPLIT: Mapping[str, Any] = {
    "name": str,
    "split": str,
    "positive": float,
    "share": float,
    "ties": str,
    "given": [int],
    "targets_after": int,
    "folds": int,
    "negatives": int,
    "mask": str,
    "fallback": str,
}
_STREAM: Mapping[str, Any] = {"name": str, "split": str, "positive": float, "bootstrap": float, "include_seen": bool}
_MODEL: Mapping[str, Any] = {"name": str, "model": str, "set": dict, "grid": dict}
_COLUMN: Mapping[str, Any] = {
    "head": str,
    "metric": str,
    "split": str,
    "dataset": str,
    "given": int,
    "group": str,
    "ahead_of": str,
    "interval": bool,
    "digits": int,
    "divide_by": float,
}
_PUBLISHED: Mapping[str, Any] = {"model": str, "figures": dict, "source": str, "protocol": str}


@dataclass(frozen=True)
class Protocol:
    """A split with what shapes it and the policy; `options` are the keys of one of the file's `splits`."""

    name: str
    options: Mapping[str, Any]

    @property
    def is_stream(self) -> bool:
        """Return whether events are replayed, rather than users evaluated."""
        return bool(self.options["split"] == STREAM)

    @property
    def counts_from(self) -> float | None:
        """Return the rating from which on `min_item` and `min_user` count; None for the data's own threshold."""
        if self.options["split"] == "sitting":
            return 0.0
        return self.options.get("positive", StreamRequest.positive if self.is_stream else None)


@dataclass(frozen=True)
class Variant:
    """A model with settings, under a name of its own."""

    name: str
    model: str
    settings: Settings = field(default_factory=dict)


@dataclass(frozen=True)
class Column:
    """A column of the summary: one metric of one of the tables, or the lead in it over the model `ahead_of`.

    given : of several numbers of ratings given, the one meant; group : `warm` or `cold` users alone
    interval : whether half of the interval is shown; digits : after the point
    divide_by : what figures are divided by, such as the end of a scale
    """

    head: str
    metric: str
    split: str
    dataset: str
    given: int | None = None
    group: str = ""
    ahead_of: str = ""
    interval: bool = True
    digits: int = 4
    divide_by: float = 1.0


@dataclass(frozen=True)
class Published:
    """What others have printed: figures by the head of the summary's column, the source, and how they were measured."""

    model: str
    figures: Mapping[str, float]
    source: str
    protocol: str


@dataclass(frozen=True)
class Experiment:
    """What is measured and what is shown of it.

    name     : of the file, without its ending
    k        : length of the lists, and further cutoffs
    source   : the content of the file
    """

    name: str
    title: str
    about: str
    datasets: tuple[str, ...]
    protocols: tuple[Protocol, ...]
    variants: tuple[Variant, ...]
    reading: Reading = Reading()  # noqa: RUF009 - frozen
    min_item: int = 0
    min_user: int = 0
    k: tuple[int, ...] = (10,)
    seed: int = 0
    seeds: int = 1
    columns: tuple[Column, ...] = ()
    published: tuple[Published, ...] = ()
    source: Mapping[str, Any] = field(default_factory=dict)

    def request(
        self, protocol: Protocol, like_threshold: float, device: str = "auto", *, force: bool = False
    ) -> Request:
        """Return what is asked of a data set whose threshold of a positive is `like_threshold`."""
        run = RunConfig.from_dict({"device": device, "seed": self.seed})
        models = {variant.name: variant.settings for variant in self.variants}
        kinds = {variant.name: variant.model for variant in self.variants if variant.name != variant.model}
        options = {key: value for key, value in protocol.options.items() if key not in ("name", "split")}
        if protocol.is_stream:
            return StreamRequest(models, **options, k=self.k[0], run=run, kinds=kinds)
        policy = EvaluationPolicy(**_policy(options))
        options = {key: value for key, value in options.items() if key not in _policy(options)}
        options = {"positive": like_threshold, **options}
        if "given" in options:
            options["given"] = tuple(options["given"])
        return ComparisonRequest(
            models,
            protocol.options["split"],
            **options,
            k=self.k[0],
            cutoffs=self.k[1:],
            seeds=self.seeds,
            run=run,
            policy=policy,
            force=force,
            kinds=kinds,
        )


def read_experiment(path: Path) -> Experiment:
    """Read an experiment. Raises BadInput, which names the key, for what is not one: before anything is trained."""
    try:
        source = tomllib.loads(read_input(path).decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadInput(str(path), problem=f"is no TOML ({error})") from None
    row = _checked(source, _FILE, "")
    for needed in ("splits", "models"):
        if not row.get(needed):
            raise BadInput(needed, remedy=f"add [[{needed}]]", problem=f"is missing in {path}")
    for key, least in (("seeds", 1), ("seed", 0), ("min_item", 0), ("min_user", 0)):
        if row.get(key, least) < least:
            raise BadInput(key, row[key], f"at least {least}", problem="is out of range")
    datasets = tuple(dict.fromkeys(row.get("datasets", ["sample"])))
    protocols = tuple(_protocol(split, number) for number, split in enumerate(row["splits"]))
    columns = tuple(_column(column, datasets, protocols) for column in row.get("columns", ()))
    keep = ("min_item", "min_user", "seed", "seeds")
    return Experiment(
        path.stem,
        row.get("title", path.stem),
        row.get("about", "").strip(),
        _some(datasets, "datasets"),
        protocols=_unique(protocols, "splits"),
        variants=_unique([variant for model in row["models"] for variant in _variants(model, row)], "models"),
        reading=Reading.of_texts({key: str(value) for key, value in row.get("reading", {}).items()}),
        k=_some(tuple(dict.fromkeys(row.get("k", [10]))), "k"),
        columns=columns,
        published=tuple(_published(one, columns) for one in row.get("published", ())),
        source=source,
        **{key: row[key] for key in keep if key in row},
    )


def _checked(row: Mapping[str, Any], kinds: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Return a table whose keys and types are as declared; BadInput for any other."""
    for key, value in row.items():
        name = f"{where}.{key}" if where else key
        if key not in kinds:
            problem = f"is not a key of an experiment{suggest(key, list(kinds))}"
            raise BadInput(name, expected=f"one of: {', '.join(kinds)}", problem=problem)
        kind = kinds[key]
        values, kind = (value, kind[0]) if isinstance(kind, list) else ([value], kind)
        if not isinstance(values, list) or not all(_is(one, kind) for one in values):
            listed = "a list, each " if isinstance(kinds[key], list) else ""
            raise BadInput(name, str(value), f"{listed}{_KINDS[kind]}", problem="cannot be read")
    return dict(row)


def _is(value: object, kind: type) -> bool:
    if isinstance(value, bool):
        return kind is bool
    return isinstance(value, (int, float) if kind is float else kind)


def _protocol(row: Mapping[str, Any], number: int) -> Protocol:
    where = f"splits[{number}]"
    options = _checked(row, _STREAM if row.get("split") == STREAM else _SPLIT, where)
    if "split" not in options:
        raise BadInput(f"{where}.split", problem="is missing", remedy="name the split, such as 'leave-last'")
    EvaluationPolicy(**_policy(options))
    return Protocol(options.get("name", options["split"]), options)


def _policy(options: Mapping[str, Any]) -> dict[str, Any]:
    return {key: options[key] for key in ("mask", "fallback") if key in options}


def _variants(row: Mapping[str, Any], file: Mapping[str, Any]) -> list[Variant]:
    """Return a model with its settings or, with a `grid`, with each combination of those."""
    options = _checked(row, _MODEL, "models")
    if "model" not in options:
        raise BadInput("models.model", problem="is missing", remedy="name the model, such as 'ease'")
    model, fixed, grid = options["model"], options.get("set", {}), options.get("grid", {})
    model_class(model)
    for key, values in grid.items():
        if not isinstance(values, list) or not values or key in fixed:
            raise BadInput(f"models.grid.{key}", str(values), "a list of values, of a key that `set` does not have")
    variants = []
    for values in itertools.product(*grid.values()):
        chosen = dict(zip(grid, values, strict=True))
        name = " ".join([options.get("name", model), *(f"{key}={value}" for key, value in chosen.items())])
        configure(model, {**fixed, **chosen}, RunConfig(seed=file.get("seed", 0)))
        variants.append(Variant(name, model, {**fixed, **chosen}))
    return variants


def _column(row: Mapping[str, Any], datasets: Sequence[str], protocols: Sequence[Protocol]) -> Column:
    options = _checked(row, _COLUMN, "columns")
    names = [protocol.name for protocol in protocols]
    known = {"split": names, "dataset": [*datasets], "group": ["", "warm", "cold"]}
    options = {"split": names[0], "dataset": datasets[0], "head": options.get("metric", ""), **options}
    for key, values in known.items():
        if options.get(key, values[0]) not in values:
            raise BadInput(f"columns.{key}", options[key], f"one of: {', '.join(filter(None, values))}")
    if "metric" not in options:
        raise BadInput("columns.metric", problem="is missing", remedy="name a metric, such as 'ndcg@10'")
    return Column(**options)


def _published(row: Mapping[str, Any], columns: Sequence[Column]) -> Published:
    options = _checked(row, _PUBLISHED, "published")
    if missing := _PUBLISHED.keys() - options.keys():
        raise BadInput(f"published.{min(missing)}", problem="is missing", remedy="say it: a figure needs its source")
    heads = [column.head for column in columns]
    for head, value in options["figures"].items():
        if head not in heads or not _is(value, float):
            expected = f"a number for one of: {', '.join(heads)}"
            raise BadInput(f"published.figures.{head}", str(value), expected, problem="has no column")
    return Published(**options)


def _some(values: tuple[Any, ...], name: str) -> tuple[Any, ...]:
    if not values:
        raise BadInput(name, problem="is empty", remedy="leave it out, or name one")
    return values


def _unique(named: Sequence[Any], where: str) -> tuple[Any, ...]:
    names = [one.name for one in named]
    if repeated := next((name for name in names if names.count(name) > 1), None):
        raise BadInput(where, repeated, problem="stands there twice", remedy="give each a `name` of its own")
    return tuple(named)
