"""The only list of models, and the recipe that turns one into a finished model."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Iterator, Mapping, Sequence

import pandas as pd
import torch

from recengine.data.interactions import Interactions
from recengine.errors import BadInput, suggest
from recengine.models.base import Recommender
from recengine.models.factors.ials import IALS
from recengine.models.factors.mf import MF
from recengine.models.item_item.linear import EASE, ItemKNN
from recengine.models.item_item.slim import SLIM
from recengine.models.item_item.slist import SLIST
from recengine.models.item_item.taste import Taste
from recengine.models.pair.hybrid import Hybrid, HybridJoint
from recengine.models.pair.neural import CML, MLP, MLPMF, ColdStartMF, DeepFM, NeuMF, NonlinearMF
from recengine.models.plugins import find_plugins
from recengine.models.ratings.bias import Bias
from recengine.models.ratings.mf_explicit import MFExplicit
from recengine.models.ratings.recommender_net import RecommenderNet
from recengine.models.recency import HALF_LIVES, HistoryModel
from recengine.models.sequence.gru import GRU
from recengine.models.sequence.gru_rating import GRURating
from recengine.models.sequence.sasrec import SASRec
from recengine.models.simple.baselines import Popularity, RandomRanking
from recengine.models.simple.content import Content
from recengine.models.simple.contextual import Contextual
from recengine.models.simple.demographic import Demographic
from recengine.models.streaming.blend import StreamBlend
from recengine.models.streaming.counts import RecentPopularity, StreamItemKNN, StreamPopularity
from recengine.models.streaming.step import Step
from recengine.training.config import Config, RunConfig, Settings
from recengine.training.loop import gain
from recengine.training.progress import OnEpoch, Stage, mark_stage


class Registry(Mapping[str, type[Recommender]]):
    """The models by name: the built-in ones, then the operator's plugins, which are loaded when first asked for.

    A built-in model is looked up without loading a plugin, so that no file of the operator's runs on import.
    """

    def __init__(self, *models: type[Recommender]) -> None:
        self.built_in = {model.name: model for model in models}
        self._loaded: tuple[dict[str, type[Recommender]], list[str]] | None = None
        self._lock = threading.RLock()

    @property
    def plugins(self) -> Mapping[str, type[Recommender]]:
        """Return the operator's models by name."""
        return self._load()[0]

    @property
    def errors(self) -> Sequence[str]:
        """Return a sentence on each plugin that cannot be used and is left out, for every front end to show."""
        return self._load()[1]

    def _load(self) -> tuple[dict[str, type[Recommender]], list[str]]:
        with self._lock:
            if self._loaded is None:
                self._loaded = {}, []  # what a plugin sees that looks here while it is loaded
                loaded, errors = find_plugins(list(self.built_in))
                self._loaded = {model.name: model for model in loaded}, errors
            return self._loaded

    def __getitem__(self, name: str) -> type[Recommender]:
        return self.built_in[name] if name in self.built_in else self.plugins[name]

    def __iter__(self) -> Iterator[str]:
        return iter({**self.built_in, **self.plugins})

    def __len__(self) -> int:
        return len(self.built_in) + len(self.plugins)


MODELS = Registry(
    RandomRanking,
    Popularity,
    StreamPopularity,
    RecentPopularity,
    Contextual,
    Demographic,
    Content,
    ItemKNN,
    EASE,
    SLIM,
    SLIST,
    Taste,
    StreamItemKNN,
    IALS,
    MF,
    Step,
    StreamBlend,
    GRU,
    SASRec,
    Bias,
    MFExplicit,
    RecommenderNet,
    GRURating,
    NonlinearMF,
    MLP,
    NeuMF,
    MLPMF,
    CML,
    DeepFM,
    ColdStartMF,
    HybridJoint,
    Hybrid,
)

DEFAULT = Taste.name
"""What answers where no model is chosen."""
FOR_EVENTS = Step.name
"""What learns from single events where no model is chosen."""
RUNNING_COUNT = StreamPopularity.name
"""What every stream is compared with."""
REPLAYED_FIRST = (FOR_EVENTS, StreamItemKNN.name, RecentPopularity.name)
"""What an empty page offers to replay, compared with the running count."""
COMPARED_FIRST = (Popularity.name, EASE.name, MF.name)
"""What an empty page offers to compare."""
SIDE_BY_SIDE = (FOR_EVENTS, GRU.name, DEFAULT, Popularity.name)
"""What a user's list is compared with."""
SMALL_FIRST = (DEFAULT, EASE.name, IALS.name, ItemKNN.name, Popularity.name)
"""What is offered in place of a model that takes too much memory: the first of them that does not."""
WATCHED_FIRST = MF.name
"""What to watch in training first: it learns in epochs, and not many."""


def model_class(name: str) -> type[Recommender]:
    """Return the registered class; BadInput names the closest one."""
    if name not in MODELS:
        unloaded = f" ({'; '.join(MODELS.errors)})" if MODELS.errors else ""
        problem = f"is unknown{suggest(name, list(MODELS))}"
        raise BadInput("model", name, f"one of: {', '.join(MODELS)}{unloaded}", problem=problem)
    return MODELS[name]


def configure(name: str, settings: Settings, run: RunConfig) -> tuple[Config, RunConfig]:
    """Share settings out between the config of the model of that name and the run's (`epochs`, `patience`, ...)."""
    return configure_kind(model_class(name), settings, run)


def configure_kind(kind: type[Recommender], settings: Settings, run: RunConfig) -> tuple[Config, RunConfig]:
    """Share settings out between a model's config and the run's; BadInput for what is an option of neither."""
    model_fields = {f.name for f in dataclasses.fields(kind.Config)}
    run_fields = {f.name for f in dataclasses.fields(RunConfig)} - model_fields
    for key in settings:
        if key not in model_fields | run_fields:
            known = sorted(model_fields | run_fields)
            problem = f"is not an option of {kind.name!r}{suggest(key, known)}"
            raise BadInput(key, expected=f"one of: {', '.join(known)}", problem=problem)
    config = kind.Config.from_dict({k: v for k, v in settings.items() if k in model_fields})
    return config, RunConfig.from_dict({**vars(run), **{k: v for k, v in settings.items() if k in run_fields}})


def fit_final(
    kind: type[Recommender],
    config: Config,
    train: Interactions,
    valid: Interactions,
    *,
    items: pd.DataFrame | None = None,
    users: pd.DataFrame | None = None,
    run: RunConfig = RunConfig(),  # noqa: B008 - frozen
    on_epoch: OnEpoch | None = None,
) -> Recommender:
    """Choose the epoch on `valid`, then fit a new model for that many epochs on training plus validation.

    `recency_half_life=auto` is chosen on `valid` too; without validation it becomes none. A closed form has no epoch
    to choose: where nothing else is to be chosen either, it is fitted once. The finished model keeps the
    training log of the first fit, whose curves are the ones that mean something; epochs of the second reach `on_epoch`
    marked as the stage `REFIT`.
    """
    everything = train.concat(valid)
    auto = getattr(config, "recency_half_life", None) == "auto"
    if auto and not len(valid):
        config = dataclasses.replace(config, recency_half_life=None)  # type: ignore[call-arg]  # auto has the field
    if not len(valid) or (kind.preset_epochs is None and not auto):
        return kind(config).fit(everything, items=items, users=users, run=run, on_epoch=on_epoch)
    chosen = kind(config).fit(train, valid=valid, items=items, users=users, run=run, on_epoch=on_epoch)
    if auto:
        config = best_half_life(chosen, train, valid)
    epochs = max(1, chosen.best_epoch or 1)
    final = kind(config).fit(
        everything,
        items=items,
        users=users,
        run=dataclasses.replace(run, epochs=epochs),
        on_epoch=mark_stage(on_epoch, Stage.REFIT),
    )
    final.training_log = chosen.training_log
    return final


def what_fits(
    n_users: int, n_items: int, n_rows: int, free: int, offers: Sequence[str] = SMALL_FIRST, always: int = 0
) -> str:
    """Return what to do about a model that takes too much: the first of the `offers` that fits into `free` bytes.

    always : the bytes that training takes whatever the model
    """
    for name in offers:
        needed = always + sum(model_class(name)().footprint(n_users, n_items, n_rows).values())
        if needed <= free:
            return f"choose {name!r}, which takes about {needed / 1e9:,.1f} GB, or drop rare items with `min_item`"
    return "choose another model, or drop rare items with `min_item`"


def best_half_life(model: Recommender, train: Interactions, valid: Interactions) -> Config:
    """Return the config of a model fitted on `train` with the half-life that serves `valid` best, which may be none.

    Items stay as they were learned, so nothing is fitted again; the model is left serving with the last half-life.
    """
    if not isinstance(model, HistoryModel):
        raise TypeError(f"{model.name} does not score from histories")
    validate = model.validator(train, valid)

    def served() -> float:
        with torch.inference_mode():
            return gain(model.criterion, validate()[model.criterion])

    choices = {served(): dataclasses.replace(model.config, recency_half_life=None)}
    for half_life in HALF_LIVES:
        model.config = dataclasses.replace(model.config, recency_half_life=half_life)
        model.serve_from(train)
        choices.setdefault(served(), model.config)
    return choices[max(choices)]
