"""The options of all models: one name has one meaning, one type and one range."""

import ast
import dataclasses
import math
from collections import Counter, defaultdict
from pathlib import Path
from types import UnionType
from typing import Any, Literal, NamedTuple, Union, get_args, get_origin, get_type_hints

import pytest

import recengine.models
from recengine.models.options import SharedOptions
from recengine.models.recency import HistoryConfig
from recengine.models.registry import MODELS
from recengine.training.config import RunConfig

NARROWER = {
    ("l2", "EASEConfig"): "without a penalty the item-item matrix may have no inverse",
    ("l2", "SLIMConfig"): "as in EASEConfig",
    ("l2", "TasteConfig"): "as in EASEConfig",
    ("l2", "SLISTConfig"): "as in EASEConfig",
    ("horizon", "SLISTConfig"): "it learns from sequences, and a sitting has none; `ease` and `taste` learn from sets",
    ("loss", "PairConfig"): "the losses of a positive and its negative samples",
    ("loss", "CMLConfig"): "as in PairConfig",
    ("loss", "StepConfig"): "the ones that the compiled loop supports",
    ("loss", "GRURatingConfig"): "the errors of a rating",
    ("max_length", "SequenceConfig"): "two: an event, and the one that it predicts",
    ("max_length", "SASRecConfig"): "as in SequenceConfig",
    ("negatives", "PairConfig"): "a step holds the score of each positive with each of its negative samples",
    ("optimizer", "StepConfig"): "the ones that the compiled loop supports",
    ("prior_strength", "DemographicConfig"): "the logarithm of every share is taken",
    ("recency_half_life", "StreamItemKNNConfig"): "a stream has no validation that could choose",
}
"""The options of which a config supports less than is declared, and why."""


class Option(NamedTuple):
    """A field of one config: its meaning, its kinds (such as int, None or a word of a Literal) and its range."""

    owner: str
    meaning: str
    kinds: frozenset[Any]
    low: float
    open_low: bool
    high: float


def kinds(hint: Any) -> frozenset[Any]:
    if get_origin(hint) in (Union, UnionType):
        return frozenset().union(*map(kinds, get_args(hint)))
    return frozenset(get_args(hint)) if get_origin(hint) is Literal else frozenset([hint])


def options_of(config: type) -> dict[str, Option]:
    """Return a config's options by name; the owner is the class that declares them, or declares them again."""
    hints, options = get_type_hints(config), {}
    for f in dataclasses.fields(config):
        owner = next(c.__name__ for c in config.__mro__ if f.name in vars(c))
        low, high = (f.metadata[end] for end in ("low", "high"))
        ends = -math.inf if low is None else low, f.metadata["open_low"], math.inf if high is None else high
        options[f.name] = Option(owner, f.metadata["meaning"], kinds(hints[f.name]), *ends)
    return options


OPTIONS: dict[str, set[Option]] = defaultdict(set)
for _kind in MODELS.values():
    for _field, _option in options_of(_kind.Config).items():
        OPTIONS[_field].add(_option)
DECLARED = options_of(HistoryConfig) | options_of(SharedOptions)


@pytest.mark.parametrize("name", list(OPTIONS))
def test_one_name_has_one_meaning_one_type_and_one_range(name: str) -> None:
    whole = DECLARED.get(name, next(iter(OPTIONS[name])))
    for option in OPTIONS[name]:
        assert option.meaning == whole.meaning
        is_narrower = option[2:] != whole[2:]
        assert is_narrower == ((name, option.owner) in NARROWER), option
        assert option.kinds <= whole.kinds
        assert (option.low, option.open_low) >= (whole.low, whole.open_low)
        assert option.high <= whole.high


def test_every_narrower_option_exists() -> None:
    assert {(name, option.owner) for name, options in OPTIONS.items() for option in options} >= NARROWER.keys()


def test_models_and_runs_share_no_option() -> None:
    assert not OPTIONS.keys() & {f.name for f in dataclasses.fields(RunConfig)}


def test_every_shared_option_is_the_option_of_several_configs() -> None:
    for f in dataclasses.fields(SharedOptions):
        assert len({option.owner for option in OPTIONS[f.name]}) > 1, f.name


def test_each_option_is_declared_once() -> None:
    count: Counter[str] = Counter()
    for path in Path(recengine.models.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            is_option = isinstance(node, ast.AnnAssign) and isinstance(node.value, ast.Call)
            if is_option and getattr(node.value.func, "id", "") == "option":
                count[node.target.id] += 1
    assert count.keys() >= OPTIONS.keys()
    assert [name for name, times in count.items() if times > 1] == []
